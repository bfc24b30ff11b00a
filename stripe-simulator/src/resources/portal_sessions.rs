//! Billing portal sessions: <https://docs.stripe.com/api/customer_portal/sessions>.

use super::customers;
use crate::checkout::portal::PortalSession;
use crate::front::errors::StripeError;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing_portal.session",
    prefixes: &["bps_"],
    routes: &[Route::post(
        "/v1/billing_portal/sessions",
        "customer_portal",
        create,
    )],
    // Sessions can be made, not read: Stripe has no call for it.
    find: |_, _| None,
    all: |account| {
        let all = account.hosted.portal_sessions.oldest_first();
        all.map(|session| session.render(&account.base_url))
            .collect()
    },
    includes: &[],
};

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?;
    customers::named(ctx.account, customer, "customer")?;
    ctx.account.act_for(customer);
    let account = &mut *ctx.account;
    let configuration = match params.text("configuration") {
        Some(id) => {
            let found = account.hosted.portal_configurations.get(id);
            let found = found
                .ok_or_else(|| StripeError::no_such_in("configuration", id, "configuration"))?;
            if !found.active {
                return Err(StripeError::invalid(format!(
                    "The configuration {id} is not active. Activate it to use it."
                ))
                .param("configuration"));
            }
            id.to_owned()
        }
        None => account.default_portal_configuration(),
    };
    let fallback = account.hosted.portal_configurations.get(&configuration);
    let fallback = fallback.and_then(|own| own.default_return_url.clone());
    let session = PortalSession {
        id: account.ids.long("bps_"),
        created: account.now(),
        livemode: account.livemode,
        configuration,
        customer: customer.to_owned(),
        return_url: params.owned("return_url").or(fallback),
        locale: params.owned("locale"),
        flow: params.child("flow_data").map(|flow| flow.map().clone()),
        secret: format!(
            "{}_{}",
            if account.livemode { "live" } else { "test" },
            account.ids.base62(60)
        ),
    };
    let body = session.render(&account.base_url);
    account.hosted.portal_sessions.insert(session);
    account.emit("billing_portal.session.created", &body);
    Ok(body.into())
}
