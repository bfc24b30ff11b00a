//! Discounts of customers: <https://docs.stripe.com/api/discounts>.
//!
//! Since 2025-03-31 no call gives a customer a discount; requests of older versions do, with
//! `coupon`. Every version can take it away.

use serde_json::{Value, json};

use super::{coupons, customers};
use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::front::errors::StripeError;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "discount",
    prefixes: &[],
    routes: &[Route::delete(
        "/v1/customers/{customer}/discount",
        "customer",
        delete,
    )],
    find: |_, _| None,
    all: |_| Vec::new(),
    includes: &[],
};

/// Says whether a coupon can be given to a customer, before anything is changed.
pub(crate) fn check(account: &Account, coupon: Option<&str>) -> Result<(), StripeError> {
    let Some(id) = coupon.filter(|id| !id.is_empty()) else {
        return Ok(());
    };
    if coupons::named(account, id, "coupon")?.is_valid(account.now()) {
        return Ok(());
    }
    Err(StripeError::invalid(format!("Coupon expired: {id}"))
        .code("coupon_expired")
        .param("coupon"))
}

/// Gives a customer the coupon's discount in place of what it had; an empty coupon takes it away.
pub(crate) fn set(account: &mut Account, customer: &str, coupon: &str) -> Result<(), StripeError> {
    let before = of(account, customer);
    if coupon.is_empty() {
        if let Some(before) = before {
            put(account, customer, None)?;
            account.emit("customer.discount.deleted", &before);
        }
        return Ok(());
    }
    let named = customers::named(account, customer, "customer")?;
    let currency = match (
        named.currency,
        &coupons::named(account, coupon, "coupon")?.off,
    ) {
        (Some(currency), _) => currency,
        // The customer has no currency yet, so the coupon's will do.
        (None, coupons::Off::Amount { currency, .. }) => *currency,
        (None, coupons::Off::Percent(_)) => account.default_currency(),
    };
    let (owner, who) = (Owner::Customer, Some(customer));
    let id = discounts::redeem(account, coupon, None, &owner, who, currency, "coupon")?;
    put(account, customer, Some(id))?;
    let after = of(account, customer).unwrap_or_default();
    match before {
        None => account.emit("customer.discount.created", &after),
        Some(before) => account.emit_updated("customer.discount.updated", &before, &after),
    }
    Ok(())
}

fn put(account: &mut Account, customer: &str, id: Option<String>) -> Result<(), StripeError> {
    customers::change(account, customer, |customer| {
        customer.discount = id;
        Ok(())
    })?;
    Ok(())
}

/// The customer's discount as Stripe shows it.
pub(crate) fn of(account: &Account, customer: &str) -> Option<Value> {
    let id = account.customers.get(customer)?.discount.as_ref()?;
    Some(account.billing.discounts.get(id)?.render())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("customer").to_owned();
    let account = &mut *ctx.account;
    account.act_for(&id);
    if !account.customers.contains(&id) {
        return Err(StripeError::no_such("customer", &id, "customer"));
    }
    let Some(mut discount) = of(account, &id) else {
        return Err(
            StripeError::not_found(format!("No active discount for customer: {id}"))
                .code("resource_missing"),
        );
    };
    set(account, &id, "")?;
    if let Value::Object(map) = &mut discount {
        map.insert("deleted".to_owned(), json!(true));
    }
    Ok(discount.into())
}
