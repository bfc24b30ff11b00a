//! Event destinations and events of `/v2/core`:
//! <https://docs.stripe.com/api/v2/core/event_destinations>. Only webhook endpoints can be
//! destinations here.

use serde_json::{Value, json};

use super::shared::rfc3339;
use super::webhook_endpoints::{Destination, WebhookEndpoint, check_url, make};
use crate::account::Account;
use crate::events::Event;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "v2.core.event_destination",
    prefixes: &[],
    routes: &[
        Route::post("/v2/core/event_destinations", "event_destinations", create),
        Route::get(
            "/v2/core/event_destinations",
            "event_destinations",
            list_all,
        ),
        Route::get(
            "/v2/core/event_destinations/{id}",
            "event_destinations",
            retrieve,
        ),
        Route::post(
            "/v2/core/event_destinations/{id}",
            "event_destinations",
            update,
        ),
        Route::delete(
            "/v2/core/event_destinations/{id}",
            "event_destinations",
            delete,
        ),
        Route::post(
            "/v2/core/event_destinations/{id}/disable",
            "event_destinations",
            disable,
        ),
        Route::post(
            "/v2/core/event_destinations/{id}/enable",
            "event_destinations",
            enable,
        ),
        Route::post(
            "/v2/core/event_destinations/{id}/ping",
            "event_destinations",
            ping,
        ),
        Route::get("/v2/core/events", "event", list_events),
        Route::get("/v2/core/events/{id}", "event", retrieve_event),
    ],
    find: |_, _| None,
    all: |_| Vec::new(),
    includes: &[],
};

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    if params.text("type") != Some("webhook_endpoint") {
        return Err(StripeError::invalid(
            "The simulator delivers to destinations of type webhook_endpoint only.",
        )
        .param("type"));
    }
    let url = params
        .child("webhook_endpoint")
        .and_then(|endpoint| endpoint.text("url"));
    let url = url.ok_or_else(|| StripeError::missing_param("webhook_endpoint[url]"))?;
    let destination = Destination {
        name: params.owned("name").unwrap_or_default(),
        thin: params.text("event_payload") == Some("thin"),
    };
    let version = "snapshot_api_version";
    let (endpoint, secret) = make(account, params, url, version, Some(destination))?;
    let include = params.texts("include");
    let mut body = endpoint.render_destination(account, include.contains(&URL));
    if include.contains(&"webhook_endpoint.signing_secret")
        && let Some(place) = body.pointer_mut("/webhook_endpoint/signing_secret")
    {
        *place = secret.into();
    }
    account.webhook_endpoints.insert(endpoint);
    Ok(body.into())
}

const URL: &str = "webhook_endpoint.url";

fn of_path(ctx: &Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("id");
    match ctx.account.webhook_endpoints.get(id) {
        Some(endpoint) if endpoint.destination.is_some() => Ok(endpoint.id.clone()),
        _ => Err(StripeError::no_such("event destination", id, "id").code("not_found")),
    }
}

fn show(account: &Account, id: &str, params: Params<'_>) -> Reply {
    let with_url = params.texts("include").contains(&URL);
    let body = account
        .webhook_endpoints
        .get(id)
        .map(|e| e.render_destination(account, with_url));
    Ok(body.unwrap_or_default().into())
}

fn retrieve(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    show(ctx.account, &id, params)
}

fn change(ctx: &mut Ctx<'_>, params: Params<'_>, f: impl FnOnce(&mut WebhookEndpoint)) -> Reply {
    let id = of_path(ctx)?;
    let now = ctx.account.now();
    if let Some(mut endpoint) = ctx.account.webhook_endpoints.get_mut(&id) {
        f(&mut endpoint);
        endpoint.updated = now;
    }
    show(ctx.account, &id, params)
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let url = params
        .child("webhook_endpoint")
        .and_then(|endpoint| endpoint.owned("url"));
    if let Some(url) = &url {
        check_url(url)?;
    }
    change(ctx, params, |endpoint| {
        if let Some(url) = url {
            endpoint.url = url;
        }
        params.patch("description").apply(&mut endpoint.description);
        params.merge_metadata(&mut endpoint.metadata);
        let events = params.texts("enabled_events");
        if !events.is_empty() {
            endpoint.enabled_events = events.into_iter().map(str::to_owned).collect();
        }
        if let (Some(name), Some(destination)) = (params.owned("name"), &mut endpoint.destination) {
            destination.name = name;
        }
    })
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    ctx.account.webhook_endpoints.remove(&id);
    Ok(json!({ "id": id, "object": "v2.core.event_destination" }).into())
}

fn disable(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    change(ctx, params, |endpoint| endpoint.enabled = false)
}

fn enable(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    change(ctx, params, |endpoint| endpoint.enabled = true)
}

/// Sends a `v2.core.event_destination.ping` event to this destination alone.
fn ping(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    let about = json!({ "id": id, "object": "v2.core.event_destination" });
    let event = account.record("v2.core.event_destination.ping", &about, None);
    account.resend(&event, Some(&id));
    let body = account.events.get(&event).map(Event::render_thin);
    Ok(body.unwrap_or_default().into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let with_url = params.texts("include").contains(&URL);
    let account = &*ctx.account;
    let data: Vec<Value> = account
        .webhook_endpoints
        .newest_first()
        .filter(|endpoint| endpoint.destination.is_some())
        .take(list::limit(params)?)
        .map(|endpoint| endpoint.render_destination(account, with_url))
        .collect();
    // At most 16 exist, so there is never a second page.
    Ok(json!({ "data": data, "next_page_url": null, "previous_page_url": null }).into())
}

fn list_events(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let kinds = params.texts("types");
    let object = params.text("object_id");
    let bounds = params.child("created");
    let bound = |name: &str| bounds.and_then(|bounds| bounds.text(name));
    let (gt, gte, lt, lte) = (bound("gt"), bound("gte"), bound("lt"), bound("lte"));
    let data: Vec<Value> = ctx
        .account
        .events
        .newest_first()
        .filter(|event| object.is_none_or(|object| event.about == object))
        .filter(|event| kinds.is_empty() || kinds.contains(&event.thin_kind().as_str()))
        .filter(|event| {
            // Times of one form compare as texts.
            let created = rfc3339(event.created);
            let created = created.as_str();
            gt.is_none_or(|at| created > at)
                && gte.is_none_or(|at| created >= at)
                && lt.is_none_or(|at| created < at)
                && lte.is_none_or(|at| created <= at)
        })
        .take(list::limit(params)?)
        .map(Event::render_thin)
        .collect();
    Ok(json!({ "data": data, "next_page_url": null, "previous_page_url": null }).into())
}

fn retrieve_event(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    match ctx.account.events.get(id) {
        Some(event) => Ok(event.render_thin().into()),
        None => Err(StripeError::no_such("event", id, "id").code("not_found")),
    }
}
