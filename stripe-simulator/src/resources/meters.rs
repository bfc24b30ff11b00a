//! Billing meters: <https://docs.stripe.com/api/billing/meter>.

use serde_json::{Map, Value, json};

use super::customers;
use super::shared::number;
use crate::account::Account;
use crate::billing::usage::{Formula, Meter};
use crate::clock::{DAY, HOUR};
use crate::engine::period::Period;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing.meter",
    prefixes: &["mtr_"],
    routes: &[
        Route::post("/v1/billing/meters", "billing_meter", create),
        Route::get("/v1/billing/meters", "billing_meter", list_all),
        Route::get("/v1/billing/meters/{id}", "billing_meter", retrieve),
        Route::post("/v1/billing/meters/{id}", "billing_meter", update),
        Route::post(
            "/v1/billing/meters/{id}/deactivate",
            "billing_meter",
            deactivate,
        ),
        Route::post(
            "/v1/billing/meters/{id}/reactivate",
            "billing_meter",
            reactivate,
        ),
        Route::get(
            "/v1/billing/meters/{id}/event_summaries",
            "billing_meter",
            summaries,
        ),
    ],
    find: |account, id| {
        account
            .billing
            .meters
            .get(id)
            .map(|own| render(own, account))
    },
    all: |account| {
        let all = account.billing.meters.oldest_first();
        all.map(|own| render(own, account)).collect()
    },
    includes: &[],
};

fn render(own: &Meter, account: &Account) -> Value {
    json!({
        "id": own.id,
        "object": "billing.meter",
        "created": own.created,
        "customer_mapping": { "event_payload_key": own.customer_key, "type": "by_id" },
        "default_aggregation": { "formula": own.formula.as_str() },
        "display_name": own.display_name,
        "event_name": own.event_name,
        "event_time_window": own.time_window,
        "livemode": account.livemode,
        "status": if own.deactivated_at.is_none() { "active" } else { "inactive" },
        "status_transitions": { "deactivated_at": own.deactivated_at },
        "updated": own.updated,
        "value_settings": { "event_payload_key": own.value_key },
    })
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account.render(id).unwrap_or_default().into()
}

fn of_path(ctx: &Ctx<'_>) -> Result<Meter, StripeError> {
    let id = ctx.arg("id");
    let own = ctx.account.billing.meters.get(id).cloned();
    own.ok_or_else(|| StripeError::no_such("meter", id, "id"))
}

/// The active meter of an event name.
pub(crate) fn by_event_name(account: &Account, event_name: &str) -> Option<Meter> {
    let mut named = account.billing.meters.by_key("event_name", event_name);
    named.find(|own| own.deactivated_at.is_none()).cloned()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let event_name = params.required("event_name")?;
    let display_name = params.required("display_name")?;
    if by_event_name(account, event_name).is_some() {
        return Err(StripeError::invalid(format!(
            "There is an existing active meter with the same event name `{event_name}`."
        ))
        .param("event_name"));
    }
    let key = |name: &str, fallback: &str| {
        let given = params
            .child(name)
            .and_then(|own| own.owned("event_payload_key"));
        given.unwrap_or_else(|| fallback.to_owned())
    };
    let formula = params
        .child("default_aggregation")
        .and_then(|own| own.text("formula"));
    let now = account.now();
    let meter = Meter {
        id: account.ids.long("mtr_"),
        created: now,
        updated: now,
        display_name: display_name.to_owned(),
        event_name: event_name.to_owned(),
        formula: Formula::parse(formula.unwrap_or("sum")),
        time_window: params.owned("event_time_window"),
        customer_key: key("customer_mapping", "stripe_customer_id"),
        value_key: key("value_settings", "value"),
        deactivated_at: None,
    };
    let id = meter.id.clone();
    account.billing.meters.insert(meter);
    emit(account, &id, "billing.meter.created");
    Ok(answer(ctx, &id))
}

fn emit(account: &mut Account, id: &str, kind: &str) {
    if let Some(object) = account.render(id) {
        account.emit(kind, &object);
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    Ok(answer(ctx, &own.id))
}

fn change(ctx: &mut Ctx<'_>, kind: &str, change: impl FnOnce(&mut Meter, i64)) -> Reply {
    let own = of_path(ctx)?;
    let now = ctx.now();
    if let Some(mut meter) = ctx.account.billing.meters.get_mut(&own.id) {
        change(&mut meter, now);
        meter.updated = now;
    }
    emit(ctx.account, &own.id, kind);
    Ok(answer(ctx, &own.id))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    change(ctx, "billing.meter.updated", |own, _| {
        if let Some(name) = params.owned("display_name") {
            own.display_name = name;
        }
    })
}

fn deactivate(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    if of_path(ctx)?.deactivated_at.is_some() {
        return Err(StripeError::invalid("This meter is already inactive."));
    }
    change(ctx, "billing.meter.deactivated", |own, now| {
        own.deactivated_at = Some(now);
    })
}

fn reactivate(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if own.deactivated_at.is_none() {
        return Err(StripeError::invalid("This meter is already active."));
    }
    if by_event_name(ctx.account, &own.event_name).is_some() {
        return Err(StripeError::invalid(format!(
            "There is an existing active meter with the same event name `{}`.",
            own.event_name
        )));
    }
    change(ctx, "billing.meter.reactivated", |own, _| {
        own.deactivated_at = None;
    })
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let key = params.text("status").map(|status| ("status", status));
    let render = |own: &Meter| render(own, ctx.account);
    let store = &ctx.account.billing.meters;
    let page = list::list(ctx, params, store, "meter", key, |_| true, render)?;
    Ok(page.into())
}

/// The windows of a summary call, newest first; one for the whole range without a grouping.
fn windows(params: Params<'_>) -> Result<Vec<Period>, StripeError> {
    let bound = |name: &str| {
        let at = params
            .integer(name)
            .ok_or_else(|| StripeError::missing_param(name))?;
        if at % 60 == 0 {
            return Ok(at);
        }
        Err(
            StripeError::invalid(format!("`{name}` must be aligned with minute boundaries."))
                .param(name),
        )
    };
    let (start, end) = (bound("start_time")?, bound("end_time")?);
    if end <= start {
        return Err(
            StripeError::invalid("`end_time` must be after `start_time`.").param("end_time"),
        );
    }
    let step = match params.text("value_grouping_window") {
        Some("hour") => HOUR,
        Some("day") => DAY,
        _ => return Ok(vec![Period { start, end }]),
    };
    if start % step != 0 || end % step != 0 {
        return Err(StripeError::invalid(
            "`start_time` and `end_time` must align with the boundaries of `value_grouping_window`.",
        )
        .param("start_time"));
    }
    let count = (end - start) / step;
    let mut windows: Vec<Period> = (0..count.min(10_000))
        .map(|n| Period {
            start: start + n * step,
            end: start + (n + 1) * step,
        })
        .collect();
    windows.reverse();
    Ok(windows)
}

fn summaries(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let meter = of_path(ctx)?;
    let customer = params.required("customer")?;
    customers::named(ctx.account, customer, "customer")?;
    let windows = windows(params)?;
    let limit = list::limit(params)?;
    let id = |window: &Period| format!("mtrusg_{}_{}_{}", meter.id, window.start, window.end);
    let after = params.text("starting_after");
    let start = after.map_or(0, |cursor| {
        windows
            .iter()
            .position(|window| id(window) == cursor)
            .map_or(windows.len(), |at| at + 1)
    });
    let account = &*ctx.account;
    let data: Vec<Value> = windows
        .iter()
        .skip(start)
        .take(limit)
        .map(|window| {
            json!({
                "id": id(window),
                "object": "billing.meter_event_summary",
                "aggregated_value": number(account.billing.usage.total(&meter, customer, *window)),
                "end_time": window.end,
                "livemode": account.livemode,
                "meter": meter.id,
                "start_time": window.start,
            })
        })
        .collect();
    let has_more = windows.len() > start + data.len();
    let mut page = Map::new();
    page.insert("object".to_owned(), "list".into());
    page.insert("data".to_owned(), data.into());
    page.insert("has_more".to_owned(), has_more.into());
    page.insert("url".to_owned(), ctx.request.path.as_str().into());
    Ok(Value::Object(page).into())
}
