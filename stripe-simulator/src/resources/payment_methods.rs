//! Payment methods: <https://docs.stripe.com/api/payment_methods>.

use serde_json::Value;

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
    object: "payment_method",
    prefixes: &["pm_"],
    routes: &[
        Route::post("/v1/payment_methods", "payment_method", create),
        Route::get("/v1/payment_methods", "payment_method", list_all),
        Route::get(
            "/v1/payment_methods/{payment_method}",
            "payment_method",
            retrieve,
        ),
        Route::post(
            "/v1/payment_methods/{payment_method}",
            "payment_method",
            update,
        ),
        Route::post(
            "/v1/payment_methods/{payment_method}/attach",
            "payment_method",
            attach,
        ),
        Route::post(
            "/v1/payment_methods/{payment_method}/detach",
            "payment_method",
            detach,
        ),
        Route::get(
            "/v1/customers/{customer}/payment_methods",
            "payment_method",
            list_of_customer,
        ),
        Route::get(
            "/v1/customers/{customer}/payment_methods/{payment_method}",
            "payment_method",
            retrieve_of_customer,
        ),
    ],
    find: |account, id| {
        account
            .payments
            .payment_methods
            .get(id)
            .map(PaymentMethod::render)
    },
    all: |account| {
        account
            .payments
            .payment_methods
            .oldest_first()
            .map(PaymentMethod::render)
            .collect()
    },
    includes: &[],
};

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.account.payment_method_from(params, "")?;
    Ok(rendered(ctx.account, &id).into())
}

fn rendered(account: &Account, id: &str) -> Value {
    account
        .payments
        .payment_methods
        .get(id)
        .map_or(Value::Null, PaymentMethod::render)
}

/// The path's payment method, its customer's clock being acted on.
fn of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("payment_method").to_owned();
    let Some(method) = ctx.account.payments.payment_methods.get(&id) else {
        return Err(StripeError::no_such("PaymentMethod", &id, "payment_method"));
    };
    if let Some(customer) = method.customer.clone() {
        ctx.account.act_for(&customer);
    }
    Ok(id)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    Ok(rendered(ctx.account, &id).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let now = ctx.account.year_month();
    let Some(method) = ctx.account.payments.payment_methods.get(&id) else {
        return Err(StripeError::no_such("PaymentMethod", &id, "payment_method"));
    };
    if method.tenure != Tenure::Attached {
        return Err(StripeError::invalid(
            "You must save this PaymentMethod to a customer before you can update it.",
        ));
    }
    let before = method.render();
    let mut changed = method.clone();
    params.merge_metadata(&mut changed.metadata);
    params
        .patch("allow_redisplay")
        .apply(&mut changed.allow_redisplay);
    if let Some(details) = params.child("billing_details") {
        changed.billing_details.merge(details);
    }
    if let Some(fields) = params.child("card") {
        update_card(&mut changed, fields, now)?;
    }
    let after = changed.render();
    ctx.account.payments.payment_methods.insert(changed);
    ctx.account
        .emit_updated("payment_method.updated", &before, &after);
    Ok(after.into())
}

fn update_card(
    method: &mut PaymentMethod,
    fields: Params<'_>,
    now: (i64, i64),
) -> Result<(), StripeError> {
    let Instrument::Card(card) = &mut method.instrument else {
        return Err(StripeError::invalid(format!(
            "You passed `card` details, but the PaymentMethod is of type {}.",
            method.instrument.type_name()
        ))
        .param("card"));
    };
    let month = fields
        .integer("exp_month")
        .unwrap_or(i64::from(card.exp_month));
    let year = fields
        .integer("exp_year")
        .unwrap_or(i64::from(card.exp_year));
    let (month, year) = check_expiry(month, year, now).map_err(|fault| {
        StripeError::card(fault.code, fault.message).param(format!("card[{}]", fault.field))
    })?;
    card.exp_month = month;
    card.exp_year = year;
    Ok(())
}

fn attach(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?;
    customers::named(ctx.account, customer, "customer")?;
    ctx.account.act_for(customer);
    let named = ctx.arg("payment_method").to_owned();
    let id = ctx
        .account
        .resolve_payment_method(&named, "payment_method")
        .map_err(|error| {
            // In the path, an unknown id is 404.
            error.status(404)
        })?;
    ctx.account.attach_payment_method(&id, customer)?;
    Ok(rendered(ctx.account, &id).into())
}

fn detach(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    ctx.account.detach_payment_method(&id)?;
    Ok(rendered(ctx.account, &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    match params.text("customer") {
        Some(customer) => {
            customers::named(ctx.account, customer, "customer")?;
            page(ctx, params, customer)
        }
        // Stripe lists nobody's payment methods as nothing.
        None => page(ctx, params, ""),
    }
}

fn list_of_customer(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = ctx.arg("customer").to_owned();
    customers::named(ctx.account, &customer, "customer").map_err(|error| error.status(404))?;
    page(ctx, params, &customer)
}

fn retrieve_of_customer(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let customer = ctx.arg("customer").to_owned();
    let id = of_path(ctx)?;
    // Reading another's method under this customer is 404 on `customer`.
    ctx.account
        .check_owned_method(&id, &customer, "customer")
        .map_err(|error| error.status(404))?;
    Ok(rendered(ctx.account, &id).into())
}

fn page(ctx: &Ctx<'_>, params: Params<'_>, customer: &str) -> Reply {
    let kind = params.text("type");
    let redisplay = params.text("allow_redisplay");
    let keep = |method: &PaymentMethod| {
        method.id.starts_with("pm_")
            && kind.is_none_or(|kind| method.instrument.type_name() == kind)
            && redisplay.is_none_or(|asked| {
                method.allow_redisplay.as_deref().unwrap_or("unspecified") == asked
            })
    };
    let page = list::list(
        ctx,
        params,
        &ctx.account.payments.payment_methods,
        "PaymentMethod",
        Some(("customer", customer)),
        keep,
        PaymentMethod::render,
    )?;
    Ok(page.into())
}
