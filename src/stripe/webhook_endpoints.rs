//! The webhook endpoints of an account: where Stripe delivers its events.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use stripe_misc::webhook_endpoint::{
    CreateWebhookEndpoint, CreateWebhookEndpointEnabledEvents, DeleteWebhookEndpoint,
    ListWebhookEndpoint, UpdateWebhookEndpoint, UpdateWebhookEndpointEnabledEvents,
};
use stripe_rust::StripeRequest;
use zeroize::Zeroize;

use super::classify::{self, Effect, Meta};
use super::request::hash_map;
use super::wire::{null_as_default, open_enum};
use super::{
    API_VERSION, Deleted, IdempotencyKey, List, Metadata, Reply, StripeClient, StripeError, path_id,
};
use crate::domain::stripe_key::{ApiKey, WebhookSecret};

/// Stripe allows sixteen endpoints per account and mode; a list that does not end is cut here.
const PAGES_MAX: usize = 10;

open_enum! {
    /// Whether Stripe delivers to an endpoint.
    WebhookEndpointStatus {
        /// It does.
        Enabled = "enabled",
        /// It does not, by our wish or after many failures.
        Disabled = "disabled",
    }
}

/// What this service reads of Stripe's `WebhookEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookEndpoint {
    /// `we_…`.
    pub id: String,
    /// Where to.
    #[serde(default, deserialize_with = "null_as_default")]
    pub url: String,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<WebhookEndpointStatus>,
    /// Which events, or `*`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub enabled_events: Vec<String>,
    /// The version that events are rendered in; `None` follows the account's default.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}

/// A new endpoint with the secret that Stripe shows this once.
#[derive(Clone)]
pub struct CreatedWebhookEndpoint {
    /// The endpoint.
    pub endpoint: WebhookEndpoint,
    /// What it signs with.
    pub secret: WebhookSecret,
}

impl fmt::Debug for CreatedWebhookEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreatedWebhookEndpoint")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// An endpoint to be. Its version is always [`API_VERSION`].
#[derive(Clone, Debug)]
pub struct NewWebhookEndpoint<'a> {
    /// Where to; `https` in live mode.
    pub url: &'a str,
    /// Which events; [`EVENT_TYPES`](super::EVENT_TYPES) for this service.
    pub events: &'a [&'a str],
    /// For people, in Stripe's dashboard.
    pub description: &'a str,
    /// By which the endpoint is recognized as ours.
    pub metadata: &'a Metadata,
}

/// What to change of an endpoint; `None` leaves as is. The version cannot be changed.
#[derive(Clone, Debug, Default)]
pub struct WebhookEndpointChange<'a> {
    /// Where to.
    pub url: Option<&'a str>,
    /// Which events.
    pub events: Option<&'a [&'a str]>,
    /// Whether to stop deliveries.
    pub disabled: Option<bool>,
    /// For people.
    pub description: Option<&'a str>,
    /// Added to what is there; an empty value removes its key.
    pub metadata: Option<&'a Metadata>,
}

/// The creation's answer, the one place where Stripe tells the secret.
#[derive(Deserialize)]
struct WithSecret {
    #[serde(flatten)]
    endpoint: WebhookEndpoint,
    #[serde(default)]
    secret: Option<String>,
}

impl StripeClient {
    /// Registers an endpoint.
    ///
    /// An answer without a readable secret is an
    /// [`Outcome::OutcomeUnknown`](super::Outcome::OutcomeUnknown): the endpoint exists then, and
    /// its secret can be had by nobody; delete it and begin again.
    pub async fn create_webhook_endpoint(
        &self,
        key: &ApiKey,
        idempotency_key: &IdempotencyKey,
        new: &NewWebhookEndpoint<'_>,
    ) -> Result<Reply<CreatedWebhookEndpoint>, StripeError> {
        let events: Vec<CreateWebhookEndpointEnabledEvents> = parsed(new.events);
        let request = CreateWebhookEndpoint::new(events, new.url)
            .api_version(stripe_client_core::VERSION)
            .description(new.description)
            .metadata(hash_map(new.metadata))
            .build();
        let mut reply: Reply<WithSecret> = self.write(key, idempotency_key, request).await?;
        // The raw answer holds the secret in clear; nothing but the sealed field may.
        reply.raw.zeroize();
        reply.raw.push_str("{}");
        let mut text = reply.object.secret.take();
        let secret = text.as_deref().map(WebhookSecret::parse);
        text.zeroize();
        let Some(Ok(secret)) = secret else {
            let meta = Meta {
                status: 200,
                request_id: reply.request_id,
                replayed: reply.replayed,
                ..Meta::default()
            };
            let why = "the new webhook endpoint came without a usable secret";
            return Err(classify::nonsense(Effect::Write, &meta, why).into());
        };
        Ok(reply.map(|created| CreatedWebhookEndpoint {
            endpoint: created.endpoint,
            secret,
        }))
    }

    /// One page of endpoints, newest first. `limit` is 1 to 100.
    pub async fn list_webhook_endpoints(
        &self,
        key: &ApiKey,
        limit: u8,
        starting_after: Option<&str>,
    ) -> Result<Reply<List<WebhookEndpoint>>, StripeError> {
        let mut list = ListWebhookEndpoint::new().limit(limit.clamp(1, 100));
        if let Some(id) = starting_after {
            list = list.starting_after(path_id(id)?);
        }
        self.read(key, list.build()).await
    }

    /// All endpoints of the account, newest first.
    pub async fn all_webhook_endpoints(
        &self,
        key: &ApiKey,
    ) -> Result<Vec<WebhookEndpoint>, StripeError> {
        let mut all: Vec<WebhookEndpoint> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = all.last().map(|endpoint| endpoint.id.clone());
            let page = self
                .list_webhook_endpoints(key, 100, after.as_deref())
                .await?
                .object;
            let ended = !page.has_more || page.data.is_empty();
            all.extend(page.data);
            if ended {
                break;
            }
        }
        Ok(all)
    }

    /// Changes an endpoint.
    pub async fn update_webhook_endpoint(
        &self,
        key: &ApiKey,
        idempotency_key: &IdempotencyKey,
        id: &str,
        change: &WebhookEndpointChange<'_>,
    ) -> Result<Reply<WebhookEndpoint>, StripeError> {
        let mut update = UpdateWebhookEndpoint::new(path_id(id)?);
        if let Some(url) = change.url {
            update = update.url(url);
        }
        if let Some(events) = change.events {
            let events: Vec<UpdateWebhookEndpointEnabledEvents> = parsed(events);
            update = update.enabled_events(events);
        }
        if let Some(disabled) = change.disabled {
            update = update.disabled(disabled);
        }
        if let Some(description) = change.description {
            update = update.description(description);
        }
        if let Some(metadata) = change.metadata {
            update = update.metadata(hash_map(metadata));
        }
        self.write(key, idempotency_key, update.build()).await
    }

    /// Deletes an endpoint. One that is gone already is
    /// [`Outcome::Missing`](super::Outcome::Missing).
    pub async fn delete_webhook_endpoint(
        &self,
        key: &ApiKey,
        idempotency_key: &IdempotencyKey,
        id: &str,
    ) -> Result<Reply<Deleted>, StripeError> {
        let request = DeleteWebhookEndpoint::new(path_id(id)?).build();
        self.write(key, idempotency_key, request).await
    }
}

impl WebhookEndpoint {
    /// Whether it is as this service registers one: enabled, of the pinned version, with all of
    /// `events`.
    pub fn serves(&self, events: &[&str]) -> bool {
        let subscribed = |event: &str| {
            self.enabled_events
                .iter()
                .any(|enabled| enabled == "*" || enabled == event)
        };
        self.status == Some(WebhookEndpointStatus::Enabled)
            && self.api_version.as_deref() == Some(API_VERSION)
            && events.iter().all(|event| subscribed(event))
    }
}

fn parsed<T: FromStr<Err = Infallible>>(events: &[&str]) -> Vec<T> {
    events
        .iter()
        .map(|event| {
            let Ok(event) = event.parse();
            event
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(json: &str) -> WebhookEndpoint {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_endpoint_serves_when_it_is_enabled_pinned_and_subscribed() {
        let of = |status: &str, version: &str, events: &str| {
            endpoint(&format!(
                r#"{{"id":"we_1","url":"https://x","status":"{status}","api_version":{version},"enabled_events":{events}}}"#
            ))
        };
        let pinned = format!("\"{API_VERSION}\"");
        let needed = ["price.created", "invoice.paid"];
        assert!(
            of(
                "enabled",
                &pinned,
                r#"["invoice.paid","price.created","x"]"#
            )
            .serves(&needed)
        );
        assert!(of("enabled", &pinned, r#"["*"]"#).serves(&needed));
        assert!(!of("disabled", &pinned, r#"["*"]"#).serves(&needed));
        assert!(!of("paused", &pinned, r#"["*"]"#).serves(&needed));
        assert!(!of("enabled", "null", r#"["*"]"#).serves(&needed));
        assert!(!of("enabled", &pinned, r#"["invoice.paid"]"#).serves(&needed));
    }

    #[test]
    fn an_endpoint_of_tomorrow_is_read_today() {
        let read = endpoint(
            r#"{"id":"we_1","status":"paused","metadata":null,"enabled_events":null,"x":[1]}"#,
        );
        assert_eq!(
            read.status,
            Some(WebhookEndpointStatus::Other("paused".into()))
        );
        assert!(read.enabled_events.is_empty() && read.metadata.is_empty());
    }
}
