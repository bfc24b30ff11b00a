//! A customer's sources, the older way of storing cards: <https://docs.stripe.com/api/cards>.
//!
//! A source is kept as a payment method whose id begins with `card_`; charges and invoices use it
//! like any other.

use serde_json::{Value, json};

use super::customers;
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::cards::check_expiry;
use crate::payments::instrument::Instrument;
use crate::payments::payment_method::{PaymentMethod, Tenure};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "card",
    prefixes: &["card_"],
    routes: &[
        Route::post("/v1/customers/{customer}/sources", "source", create),
        Route::get("/v1/customers/{customer}/sources", "source", list_all),
        Route::get("/v1/customers/{customer}/sources/{id}", "source", retrieve),
        Route::post("/v1/customers/{customer}/sources/{id}", "source", update),
        Route::delete("/v1/customers/{customer}/sources/{id}", "source", delete),
    ],
    find: |account, id| {
        let found = account
            .payments
            .payment_methods
            .get(id)
            .filter(|own| own.id == id);
        found.filter(|own| own.id.starts_with("card_")).map(render)
    },
    all: |account| {
        let all = account.payments.payment_methods.oldest_first();
        all.filter(|own| own.id.starts_with("card_"))
            .map(render)
            .collect()
    },
    includes: &[],
};

/// The method as a card object.
fn render(method: &PaymentMethod) -> Value {
    let Instrument::Card(card) = &method.instrument else {
        return Value::Null;
    };
    let address = &method.billing_details.address;
    json!({
        "id": method.id,
        "object": "card",
        "address_city": address.city,
        "address_country": address.country,
        "address_line1": address.line1,
        "address_line1_check": null,
        "address_line2": address.line2,
        "address_state": address.state,
        "address_zip": address.postal_code,
        "address_zip_check": null,
        "allow_redisplay": "unspecified",
        "brand": card.test.brand.legacy_name(),
        "country": card.test.country,
        "customer": method.customer,
        "cvc_check": "pass",
        "dynamic_last4": null,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "fingerprint": card.fingerprint,
        "funding": card.test.funding.as_str(),
        "last4": card.test.last4(),
        "metadata": method.metadata,
        "name": method.billing_details.name,
        "regulated_status": "unregulated",
        "tokenization_method": null,
    })
}

fn customer_of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let customer = ctx.arg("customer").to_owned();
    customers::named(ctx.account, &customer, "customer").map_err(|error| error.status(404))?;
    ctx.account.act_for(&customer);
    Ok(customer)
}

/// The path's source, if it is the customer's.
fn of_path(ctx: &mut Ctx<'_>) -> Result<PaymentMethod, StripeError> {
    let customer = customer_of_path(ctx)?;
    let id = ctx.arg("id");
    let found = ctx.account.payments.payment_methods.get(id);
    found
        .filter(|own| own.id.starts_with("card_") && own.customer.as_ref() == Some(&customer))
        .cloned()
        .ok_or_else(|| StripeError::no_such("source", id, "id"))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    let token = params.required("source")?;
    let account = &mut *ctx.account;
    let id = account.card_from_token(token, "source")?;
    account.check_attachable(&id)?;
    if let Some(mut method) = account.payments.payment_methods.get_mut(&id) {
        method.customer = Some(customer);
        method.tenure = Tenure::Attached;
        method.verified = true;
        params.merge_metadata(&mut method.metadata);
    }
    Ok(emitted(account, &id, "customer.source.created").into())
}

fn emitted(account: &mut Account, id: &str, kind: &str) -> Value {
    let body = account
        .payments
        .payment_methods
        .get(id)
        .map_or(Value::Null, render);
    account.emit(kind, &body);
    body
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(render(&of_path(ctx)?).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut method = of_path(ctx)?;
    let before = render(&method);
    params.merge_metadata(&mut method.metadata);
    params.patch("name").apply(&mut method.billing_details.name);
    let now = ctx.account.year_month();
    if let Instrument::Card(card) = &mut method.instrument {
        let month = params
            .integer("exp_month")
            .unwrap_or(i64::from(card.exp_month));
        let year = params
            .integer("exp_year")
            .unwrap_or(i64::from(card.exp_year));
        (card.exp_month, card.exp_year) = check_expiry(month, year, now)
            .map_err(|fault| StripeError::card(fault.code, fault.message).param(fault.field))?;
    }
    let after = render(&method);
    ctx.account.payments.payment_methods.insert(method);
    ctx.account
        .emit_updated("customer.source.updated", &before, &after);
    Ok(after.into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let method = of_path(ctx)?;
    let last = render(&method);
    if let Some(mut method) = ctx.account.payments.payment_methods.get_mut(&method.id) {
        method.customer = None;
        method.tenure = Tenure::Spent;
    }
    ctx.account.emit("customer.source.deleted", &last);
    Ok(super::shared::deleted("card", &method.id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    let page = list::list(
        ctx,
        params,
        &ctx.account.payments.payment_methods,
        "source",
        Some(("customer", &customer)),
        |method| method.id.starts_with("card_"),
        render,
    )?;
    Ok(page.into())
}
