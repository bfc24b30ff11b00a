//! Settings of an account.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::account::Account;
use crate::currency::Currency;
use crate::front::rate_limit::Limits;
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/settings",
        does: "shows the account's settings",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/settings",
        does: "sets {country, default_currency, charges_enabled, business_name, search_lag_seconds, rate_limits: {account, endpoint} or off}",
        handler: change,
    },
];

fn render(account: &Account) -> Value {
    let settings = &account.settings;
    let limits = account.rate_limiter.limits;
    json!({
        "country": settings.country,
        "default_currency": settings.default_currency,
        "charges_enabled": settings.charges_enabled,
        "business_name": settings.business_name,
        "search_lag_seconds": settings.search_lag_seconds,
        "rate_limits": limits.map(|limits| json!({
            "account": limits.account,
            "endpoint": limits.endpoint,
        })),
    })
}

fn show(call: &AdminCall<'_>) -> AdminReply {
    Ok(render(&lock(&call.account())))
}

fn change(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    if let Some(code) = params.text("default_currency") {
        let currency = Currency::parse(code, "default_currency")
            .map_err(|error| AdminError::invalid(error.message()))?;
        currency
            .code()
            .clone_into(&mut account.settings.default_currency);
    }
    if let Some(country) = params.owned("country") {
        account.settings.country = country;
    }
    if let Some(name) = params.owned("business_name") {
        account.settings.business_name = name;
    }
    if let Some(enabled) = params.boolean("charges_enabled") {
        account.settings.charges_enabled = enabled;
    }
    if let Some(lag) = params.integer("search_lag_seconds") {
        account.settings.search_lag_seconds = lag;
    }
    if params.text("rate_limits") == Some("off") {
        account.rate_limiter.limits = None;
    }
    if let Some(limits) = params.child("rate_limits") {
        // Stripe's test mode: 25 requests a second, and as many on each endpoint.
        let read = |name| {
            limits
                .integer(name)
                .and_then(|v| u64::try_from(v).ok())
                .unwrap_or(25)
        };
        account.rate_limiter.limits = Some(Limits {
            account: read("account"),
            endpoint: read("endpoint"),
        });
    }
    Ok(render(&account))
}
