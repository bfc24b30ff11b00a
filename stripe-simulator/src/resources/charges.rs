//! Charges: <https://docs.stripe.com/api/charges>. They are made by payment intents only.

use serde_json::Value;

use crate::account::Account;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::charge::Charge;
use crate::payments::refund::Refund;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "charge",
    prefixes: &["ch_", "py_"],
    routes: &[
        Route::get("/v1/charges", "charge", list_all),
        Route::get("/v1/charges/{charge}", "charge", retrieve),
        Route::post("/v1/charges/{charge}", "charge", update),
    ],
    find: |account, id| account.payments.charges.get(id).map(Charge::render),
    all: |account| {
        account
            .payments
            .charges
            .oldest_first()
            .map(Charge::render)
            .collect()
    },
    includes: &[("refunds", refunds)],
};

fn refunds(account: &Account, id: &str) -> Value {
    let refunds: Vec<Value> = account
        .payments
        .refunds
        .by_key("charge", id)
        .map(Refund::render)
        .collect();
    account
        .payments
        .charges
        .get(id)
        .map_or(Value::Null, |charge| charge.render_refunds(refunds))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("charge");
    match ctx.account.payments.charges.get(id) {
        Some(charge) => Ok(charge.render().into()),
        None => Err(StripeError::no_such("charge", id, "id")),
    }
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("charge").to_owned();
    if !ctx.account.payments.charges.contains(&id) {
        return Err(StripeError::no_such("charge", &id, "id"));
    }
    let (before, after) = ctx.account.change_charge(&id, |charge| {
        params.patch("description").apply(&mut charge.description);
        params
            .patch("receipt_email")
            .apply(&mut charge.receipt_email);
        params.merge_metadata(&mut charge.metadata);
    });
    ctx.account.emit_updated("charge.updated", &before, &after);
    Ok(after.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (customer, intent) = (params.text("customer"), params.text("payment_intent"));
    let key = match (intent, customer) {
        (Some(intent), _) => Some(("payment_intent", intent)),
        (None, Some(customer)) => Some(("customer", customer)),
        (None, None) => None,
    };
    let keep = |charge: &Charge| {
        customer.is_none_or(|customer| charge.customer.as_deref() == Some(customer))
    };
    let store = &ctx.account.payments.charges;
    let page = list::list(ctx, params, store, "charge", key, keep, Charge::render)?;
    Ok(page.into())
}
