//! Events: <https://docs.stripe.com/api/events>.

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

/// Stripe: "List events, going back up to 30 days."
const KEPT_DAYS: i64 = 30;

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    match ctx.account.events.get(id) {
        Some(event) => Ok(event.render().into()),
        None => Err(StripeError::no_such("event", id, "id")),
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let kind = params.text("type");
    let kinds = params.texts("types");
    if kind.is_some() && !kinds.is_empty() {
        return Err(
            StripeError::invalid("You may pass either `type` or `types`, but not both.")
                .param("types"),
        );
    }
    let oldest = ctx
        .account
        .clocks
        .account_now()
        .saturating_sub(KEPT_DAYS * DAY);
    let keep = |event: &Event| {
        let wanted = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => event.kind.starts_with(start),
            None => event.kind == pattern,
        };
        event.created >= oldest
            && kind.is_none_or(wanted)
            && (kinds.is_empty() || kinds.iter().any(|kind| wanted(kind)))
    };
    // `invoice.*` is a pattern; a whole name is found by its index.
    let key = kind
        .filter(|kind| !kind.ends_with('*'))
        .map(|kind| ("type", kind));
    let store = &ctx.account.events;
    let page = list::list(ctx, params, store, "event", key, keep, Event::render)?;
    Ok(page.into())
}
