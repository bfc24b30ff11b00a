//! Webhook endpoints: <https://docs.stripe.com/api/webhook_endpoints>.
//!
//! Event destinations of `/v2/core` are the same thing under another shape, and live here too.

use hyper::Uri;
use serde_json::{Value, json};

use super::shared::{deleted, rfc3339};
use crate::account::Account;
use crate::clock::Timestamp;
use crate::events::Event;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "webhook_endpoint",
    prefixes: &["we_"],
    routes: &[
        Route::post("/v1/webhook_endpoints", "webhook", create),
        Route::get("/v1/webhook_endpoints", "webhook", list_all),
        Route::get(
            "/v1/webhook_endpoints/{webhook_endpoint}",
            "webhook",
            retrieve,
        ),
        Route::post(
            "/v1/webhook_endpoints/{webhook_endpoint}",
            "webhook",
            update,
        ),
        Route::delete(
            "/v1/webhook_endpoints/{webhook_endpoint}",
            "webhook",
            delete,
        ),
    ],
    find: |account, id| {
        account
            .webhook_endpoints
            .get(id)
            .map(|endpoint| endpoint.render(account))
    },
    all: |account| {
        account
            .webhook_endpoints
            .oldest_first()
            .map(|e| e.render(account))
            .collect()
    },
    includes: &[],
};

/// Stripe: at most 16 endpoints in each mode.
const MAX_ENDPOINTS: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct WebhookEndpoint {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) url: String,
    pub(crate) enabled: bool,
    pub(crate) enabled_events: Vec<String>,
    /// Of the payloads; the account's version when none was asked for.
    pub(crate) api_version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// The signing secrets, newest first, with the second from which each is invalid.
    pub(crate) secrets: Vec<(String, Option<Timestamp>)>,
    /// Set for event destinations of `/v2/core`.
    pub(crate) destination: Option<Destination>,
}

#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) name: String,
    /// Whether payloads only name the object.
    pub(crate) thin: bool,
}

impl Stored for WebhookEndpoint {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }
}

impl WebhookEndpoint {
    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.enabled
            && self
                .enabled_events
                .iter()
                .any(|name| name == "*" || name.strip_prefix("v1.").unwrap_or(name) == kind)
    }

    /// The secrets that sign now: more than one while a roll overlaps.
    pub(crate) fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.secrets
            .iter()
            .filter(move |(_, until)| until.is_none_or(|until| now < until))
            .map(|(secret, _)| secret.as_str())
    }

    /// The body of a delivery.
    pub(crate) fn payload(&self, event: &Event) -> Value {
        if self
            .destination
            .as_ref()
            .is_some_and(|destination| destination.thin)
        {
            return event.render_thin();
        }
        let mut body = event.render();
        if let (Some(version), Value::Object(map)) = (&self.api_version, &mut body) {
            map.insert("api_version".to_owned(), version.as_str().into());
        }
        body
    }

    fn render(&self, account: &Account) -> Value {
        json!({
            "id": self.id,
            "object": "webhook_endpoint",
            "api_version": self.api_version,
            "application": null,
            "created": self.created,
            "description": self.description,
            "enabled_events": self.enabled_events,
            "livemode": account.livemode,
            "metadata": self.metadata,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "url": self.url,
        })
    }

    /// The shape of `/v2/core/event_destinations`; the URL only when it is asked for.
    pub(crate) fn render_destination(&self, account: &Account, with_url: bool) -> Value {
        let destination = self.destination.as_ref();
        let details = json!({ "disabled": { "reason": "user" } });
        json!({
            "id": self.id,
            "object": "v2.core.event_destination",
            "amazon_eventbridge": null,
            "azure_event_grid": null,
            "created": rfc3339(self.created),
            "description": self.description.as_deref().unwrap_or_default(),
            "enabled_events": self.enabled_events,
            "event_payload": if destination.is_some_and(|d| d.thin) { "thin" } else { "snapshot" },
            "events_from": ["self"],
            "livemode": account.livemode,
            "metadata": self.metadata,
            "name": destination.map(|d| d.name.as_str()).unwrap_or_default(),
            "snapshot_api_version": self.api_version,
            "status": if self.enabled { "enabled" } else { "disabled" },
            "status_details": if self.enabled { Value::Null } else { details },
            "type": "webhook_endpoint",
            "updated": rfc3339(self.updated),
            "webhook_endpoint": {
                "signing_secret": null,
                "url": with_url.then_some(&self.url),
            },
        })
    }
}

/// Refuses what Stripe refuses as a URL. Unlike Stripe, plain HTTP and loopback hosts are taken:
/// the simulator has nowhere else to deliver to.
pub(crate) fn check_url(url: &str) -> Result<(), StripeError> {
    let has_host = url
        .parse::<Uri>()
        .is_ok_and(|uri| uri.host().is_some_and(|h| !h.is_empty()));
    let has_scheme = url.starts_with("http://") || url.starts_with("https://");
    if has_scheme && has_host {
        return Ok(());
    }
    let message = if has_scheme {
        "Not a valid URL"
    } else {
        "Invalid URL: An explicit scheme (such as https) must be provided."
    };
    Err(StripeError::invalid(message)
        .code("url_invalid")
        .param("url"))
}

/// A new signing secret.
fn new_secret(account: &mut Account) -> String {
    format!("whsec_{}", account.ids.base62(32))
}

/// Rolls the secret: the old one goes on signing for so many seconds. The new one is the answer.
pub(crate) fn roll(account: &mut Account, id: &str, overlap_seconds: i64) -> Option<String> {
    let secret = new_secret(account);
    let now = account.clocks.account_now();
    let mut endpoint = account.webhook_endpoints.get_mut(id)?;
    endpoint
        .secrets
        .retain(|(_, until)| until.is_none_or(|until| now < until));
    for (_, until) in &mut endpoint.secrets {
        let end = now.saturating_add(overlap_seconds);
        *until = Some(until.map_or(end, |old| old.min(end)));
    }
    endpoint.secrets.insert(0, (secret.clone(), None));
    Some(secret)
}

/// A new endpoint from the parameters that both ways of making one share, and its secret, which is
/// shown only once.
pub(crate) fn make(
    account: &mut Account,
    params: Params<'_>,
    url: &str,
    version_param: &str,
    destination: Option<Destination>,
) -> Result<(WebhookEndpoint, String), StripeError> {
    check_url(url)?;
    let events = params.texts("enabled_events");
    if events.is_empty() {
        return Err(StripeError::missing_param("enabled_events"));
    }
    if account.webhook_endpoints.len() >= MAX_ENDPOINTS {
        let mode = if account.livemode { "live" } else { "test" };
        return Err(StripeError::invalid(format!(
            "You have reached the maximum of {MAX_ENDPOINTS} {mode} webhook endpoints."
        )));
    }
    let secret = new_secret(account);
    let now = account.now();
    let endpoint = WebhookEndpoint {
        id: account.ids.long("we_"),
        created: now,
        updated: now,
        url: url.to_owned(),
        enabled: true,
        enabled_events: events.into_iter().map(str::to_owned).collect(),
        api_version: params.owned(version_param),
        description: params.owned("description"),
        metadata: params.metadata(),
        secrets: vec![(secret.clone(), None)],
        destination,
    };
    Ok((endpoint, secret))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let url = params.required("url")?;
    let (endpoint, secret) = make(account, params, url, "api_version", None)?;
    let mut body = endpoint.render(account);
    if let Value::Object(map) = &mut body {
        map.insert("secret".to_owned(), secret.into());
    }
    account.webhook_endpoints.insert(endpoint);
    Ok(body.into())
}

fn of_path(ctx: &Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("webhook_endpoint");
    match ctx.account.webhook_endpoints.get(id) {
        Some(endpoint) => Ok(endpoint.id.clone()),
        None => Err(StripeError::no_such(
            "webhook endpoint",
            id,
            "webhook_endpoint",
        )),
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    if let Some(url) = params.text("url") {
        check_url(url)?;
    }
    let account = &mut *ctx.account;
    let now = account.now();
    if let Some(mut endpoint) = account.webhook_endpoints.get_mut(&id) {
        if let Some(url) = params.owned("url") {
            endpoint.url = url;
        }
        if let Some(disabled) = params.boolean("disabled") {
            endpoint.enabled = !disabled;
        }
        let events = params.texts("enabled_events");
        if !events.is_empty() {
            endpoint.enabled_events = events.into_iter().map(str::to_owned).collect();
        }
        params.patch("description").apply(&mut endpoint.description);
        params.merge_metadata(&mut endpoint.metadata);
        endpoint.updated = now;
    }
    Ok(account.render(&id).unwrap_or_default().into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    ctx.account.webhook_endpoints.remove(&id);
    Ok(deleted("webhook_endpoint", &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let render = |endpoint: &WebhookEndpoint| endpoint.render(ctx.account);
    let store = &ctx.account.webhook_endpoints;
    Ok(list::list(
        ctx,
        params,
        store,
        "webhook endpoint",
        None,
        |_| true,
        render,
    )?
    .into())
}
