//! Meter events and their adjustments: <https://docs.stripe.com/api/billing/meter-event>.

use serde_json::{Map, Value, json};

use super::meters;
use super::shared::rfc3339;
use crate::account::Account;
use crate::billing::usage::UsageEvent;
use crate::clock::DAY;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

/// Stripe: "The timestamp must be within the past 35 calendar days or up to 5 minutes in the
/// future."
const PAST_DAYS: i64 = 35;
const FUTURE_SECONDS: i64 = 300;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing.meter_event",
    prefixes: &[],
    routes: &[
        Route::post("/v1/billing/meter_events", "billing_meter_event", create),
        Route::post(
            "/v1/billing/meter_event_adjustments",
            "billing_meter_event_adjustment",
            adjust,
        ),
        Route::post("/v2/billing/meter_events", "billing_meter_event", create_v2),
        Route::post(
            "/v2/billing/meter_event_stream",
            "billing_meter_event",
            stream_v2,
        ),
        Route::post(
            "/v2/billing/meter_event_adjustments",
            "billing_meter_event_adjustment",
            adjust_v2,
        ),
    ],
    find: |_, _| None,
    all: |_| Vec::new(),
    includes: &[],
};

/// A meter event that was taken in.
struct Taken {
    event_name: String,
    identifier: String,
    payload: Map<String, Value>,
    timestamp: i64,
}

/// Checks an event and takes it in.
///
/// # Errors
/// 400 for an unknown event name, customer or value, a time out of range, a taken identifier.
fn take(
    account: &mut Account,
    params: Params<'_>,
    timestamp: Option<i64>,
) -> Result<Taken, StripeError> {
    let event_name = params.required("event_name")?;
    let payload = params
        .child("payload")
        .ok_or_else(|| StripeError::missing_param("payload"))?;
    let meter = meters::by_event_name(account, event_name).ok_or_else(|| {
        StripeError::invalid(format!(
            "No active meter found with event name '{event_name}'."
        ))
        .code("billing_meter_no_meter")
        .param("event_name")
    })?;
    let field = |key: &str| {
        payload.text(key).ok_or_else(|| {
            StripeError::invalid(format!("Missing required payload key: {key}."))
                .param(format!("payload[{key}]"))
        })
    };
    let customer = field(&meter.customer_key)?;
    let known = account
        .customers
        .get(customer)
        .is_some_and(|own| !own.deleted);
    if !known {
        return Err(StripeError::no_such_in(
            "customer",
            customer,
            &format!("payload[{}]", meter.customer_key),
        ));
    }
    let value = if meter.formula == crate::billing::usage::Formula::Count {
        Decimal::ONE
    } else {
        read_value(field(&meter.value_key)?, &meter.value_key)?
    };
    account.act_for(customer);
    let now = account.now();
    let timestamp = timestamp.unwrap_or(now);
    if timestamp < now - PAST_DAYS * DAY || timestamp > now + FUTURE_SECONDS {
        return Err(StripeError::invalid(
            "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future.",
        )
        .code("timestamp_out_of_range")
        .param("timestamp"));
    }
    let identifier = params
        .owned("identifier")
        .unwrap_or_else(|| account.ids.base62(32));
    if account.billing.usage.is_taken(event_name, &identifier, now) {
        return Err(StripeError::invalid(format!(
            "An event already exists with identifier {identifier}."
        ))
        .code("duplicate_meter_event")
        .param("identifier"));
    }
    let event = UsageEvent {
        identifier: identifier.clone(),
        timestamp,
        value,
    };
    account.billing.usage.record(&meter, customer, event, now);
    Ok(Taken {
        event_name: event_name.to_owned(),
        identifier,
        payload: payload.map().clone(),
        timestamp,
    })
}

fn read_value(text: &str, key: &str) -> Result<Decimal, StripeError> {
    Decimal::parse(text).map_err(|_| {
        StripeError::invalid(format!("Invalid value for payload key `{key}`: {text}"))
            .code("meter_event_invalid_value")
            .param(format!("payload[{key}]"))
    })
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let taken = take(ctx.account, params, params.integer("timestamp"))?;
    Ok(json!({
        "object": "billing.meter_event",
        "created": ctx.now(),
        "event_name": taken.event_name,
        "identifier": taken.identifier,
        "livemode": ctx.account.livemode,
        "payload": taken.payload,
        "timestamp": taken.timestamp,
    })
    .into())
}

fn timestamp_v2(params: Params<'_>) -> Option<i64> {
    let text = params.text("timestamp")?;
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

fn create_v2(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let taken = take(ctx.account, params, timestamp_v2(params))?;
    Ok(json!({
        "object": "v2.billing.meter_event",
        "created": rfc3339(ctx.now()),
        "event_name": taken.event_name,
        "identifier": taken.identifier,
        "livemode": ctx.account.livemode,
        "payload": taken.payload,
        "timestamp": rfc3339(taken.timestamp),
    })
    .into())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of routes asks for a result"
)]
fn stream_v2(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    for event in params.children("events") {
        // The stream answers nothing about single events: what is wrong with one is left out.
        let taken = take(ctx.account, event, timestamp_v2(event));
        drop(taken);
    }
    Ok(json!({}).into())
}

fn cancel(ctx: &mut Ctx<'_>, params: Params<'_>) -> Result<(String, String), StripeError> {
    let event_name = params.required("event_name")?;
    let identifier = params
        .child("cancel")
        .and_then(|own| own.text("identifier"));
    let identifier = identifier.ok_or_else(|| StripeError::missing_param("cancel[identifier]"))?;
    let meter = meters::by_event_name(ctx.account, event_name).ok_or_else(|| {
        StripeError::invalid(format!(
            "No active meter found with event name '{event_name}'."
        ))
        .param("event_name")
    })?;
    let now = ctx.now();
    if !ctx.account.billing.usage.cancel(&meter, identifier, now) {
        return Err(StripeError::invalid(format!(
            "No meter event found with identifier '{identifier}' within the last 24 hours."
        ))
        .code("resource_missing")
        .param("cancel[identifier]"));
    }
    Ok((event_name.to_owned(), identifier.to_owned()))
}

fn adjust(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (event_name, identifier) = cancel(ctx, params)?;
    Ok(json!({
        "object": "billing.meter_event_adjustment",
        "cancel": { "identifier": identifier },
        "event_name": event_name,
        "livemode": ctx.account.livemode,
        "status": "pending",
        "type": "cancel",
    })
    .into())
}

fn adjust_v2(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (event_name, identifier) = cancel(ctx, params)?;
    Ok(json!({
        "id": ctx.account.ids.long("mtr_evt_adj_"),
        "object": "v2.billing.meter_event_adjustment",
        "cancel": { "identifier": identifier },
        "created": rfc3339(ctx.now()),
        "event_name": event_name,
        "livemode": ctx.account.livemode,
        "status": "pending",
        "type": "cancel",
    })
    .into())
}
