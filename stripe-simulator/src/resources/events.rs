//! The list of events: <https://docs.stripe.com/api/events>.

use crate::clock::DAY;
use crate::events::Event;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "event",
    prefixes: &["evt_"],
    routes: &[
        Route::get("/v1/events", "event", list_all),
        Route::get("/v1/events/{id}", "event", retrieve),
    ],
    find: |account, id| account.events.get(id).map(Event::render),
    all: |account| account.events.oldest_first().map(Event::render).collect(),
    includes: &[],
};

/// Stripe: "going back up to 30 days".
const KEPT: i64 = 30 * DAY;

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    let oldest = ctx.account.clocks.account_now() - KEPT;
    match ctx.account.events.get(id) {
        Some(event) if event.recorded >= oldest => Ok(event.render().into()),
        _ => Err(StripeError::no_such("event", id, "id")),
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let kinds = params.texts("types");
    let kind = params.text("type");
    if kind.is_some() && !kinds.is_empty() {
        return Err(StripeError::invalid(
            "You may only specify one of these parameters: type, types.",
        )
        .param("type"));
    }
    let oldest = ctx.account.clocks.account_now() - KEPT;
    let delivered = params.boolean("delivery_success");
    let keep = |event: &Event| {
        event.recorded >= oldest
            && kind.is_none_or(|pattern| matches(pattern, &event.kind))
            && (kinds.is_empty() || kinds.iter().any(|pattern| matches(pattern, &event.kind)))
            && delivered.is_none_or(|delivered| (event.pending_webhooks == 0) == delivered)
            && !event.kind.starts_with("v2.")
    };
    let key = kind
        .filter(|kind| !kind.contains('*'))
        .map(|kind| ("type", kind));
    let store = &ctx.account.events;
    Ok(list::list(ctx, params, store, "event", key, keep, Event::render)?.into())
}

/// Stripe: "`*` may be used as a wildcard", as in `customer.*`.
fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            kind.len() >= before.len() + after.len()
                && kind.starts_with(before)
                && kind.ends_with(after)
        }
        None => pattern == kind,
    }
}
