//! The port to Stripe: our requests, our words for what they end in.
//!
//! One [`StripeClient`] serves all portals over one pool of connections; every call names the key
//! it is made with. What holds for each call:
//!
//! - `Stripe-Version` is [`API_VERSION`], for calls and for the webhook endpoints we register.
//! - TLS is always verified, redirects are not followed, answers are limited in size and time, and
//!   the environment's proxy variables are not read.
//! - A write carries the caller's [`IdempotencyKey`] and is sent once. Whether it is sent again is
//!   decided by the operation that owns it, which knows what was sent before. (A request that was
//!   queued on a connection found closed before its first byte left is put on another one; that is
//!   still one sending.)
//! - A read is repeated at most once, on a fresh connection, when the connection broke without any
//!   answer: an idle connection that the other side closes just as we take it looks like that, and
//!   a read asked twice changes nothing.
//! - A failure is a [`StripeError`] whose [`Outcome`] says what may be concluded.
//!
//! Request paths and parameters come from the builders of the `async-stripe` crates, which nothing
//! outside this module names; calls without parameters are named by their path. Answers are read by
//! structs of our own that tolerate what is new, absent or null (see `wire`), because one missing
//! field would make the library's types lose the whole object.

mod account;
mod classify;
mod error;
mod events;
mod permissions;
mod publishable;
mod settings;
pub mod signature;
mod skew;
mod transport;
mod webhook_endpoints;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod};

pub use account::Account;
pub use error::{Outcome, StripeError};
pub use events::EVENT_TYPES;
pub use permissions::{Access, MissingPermission, Permission, PermissionReport};
pub use publishable::{PublishableKeyCheck, SameAccount};
pub use settings::{SettingsError, StripeSettings};
pub use skew::ClockReading;
pub use webhook_endpoints::{
    CreatedWebhookEndpoint, NewWebhookEndpoint, WebhookEndpoint, WebhookEndpointChange,
    WebhookEndpointStatus,
};
pub use wire::{Deleted, List, Metadata};

use crate::clock::Clock;
use crate::domain::stripe_key::ApiKey;
use crate::ids::Id;
use classify::Effect;
use transport::{Answer, Bearer, Call, Transport};
use wire::LivemodePeek;

/// The version of Stripe's API that every call and every webhook endpoint of ours is pinned to.
pub const API_VERSION: &str = "2026-09-30.endive";

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct StripeClient {
    transport: Arc<Transport>,
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StripeClient")
            .finish_non_exhaustive()
    }
}

impl StripeClient {
    /// A client after these settings. Connects to nothing yet.
    pub fn new(settings: &StripeSettings, clock: Clock) -> Result<Self, SettingsError> {
        Transport::new(settings, clock).map(|transport| Self {
            transport: Arc::new(transport),
        })
    }

    /// The two clocks at the last answer of Stripe's, to any portal.
    pub fn clock_reading(&self) -> Option<ClockReading> {
        self.transport.skew().latest()
    }

    /// A read.
    async fn read<T: DeserializeOwned>(
        &self,
        key: &ApiKey,
        request: RequestBuilder,
    ) -> Result<Reply<T>, StripeError> {
        self.send(Call {
            bearer: Bearer::Api(key),
            request,
            idempotency_key: None,
        })
        .await
    }

    /// A write, sent once.
    async fn write<T: DeserializeOwned>(
        &self,
        key: &ApiKey,
        idempotency_key: &IdempotencyKey,
        request: RequestBuilder,
    ) -> Result<Reply<T>, StripeError> {
        self.send(Call {
            bearer: Bearer::Api(key),
            request,
            idempotency_key: Some(idempotency_key),
        })
        .await
    }

    async fn send<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Reply<T>, StripeError> {
        let answer = self.transport.call(&call).await?;
        decode(call.effect(), call.bearer, answer)
    }
}

/// Reads a 2xx answer. One that cannot be read is not a success.
fn decode<T: DeserializeOwned>(
    effect: Effect,
    bearer: Bearer<'_>,
    answer: Answer,
) -> Result<Reply<T>, StripeError> {
    let Answer { meta, body } = answer;
    let nonsense = |why: &str| StripeError::from(classify::nonsense(effect, &meta, why));
    let raw = String::from_utf8(body).map_err(|_| nonsense("the body is not UTF-8"))?;
    let object = serde_json::from_str::<T>(&raw)
        // The place and the kind, not the value: an object may hold addresses and client secrets.
        .map_err(|error| {
            nonsense(&format!(
                "the body is not the object expected ({:?} error at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            ))
        })?;
    let livemode = serde_json::from_str::<LivemodePeek>(&raw)
        .ok()
        .and_then(|peek| peek.livemode());
    if livemode.is_some_and(|livemode| livemode != bearer.mode().livemode()) {
        return Err(nonsense("the answer is of the other mode than the key"));
    }
    Ok(Reply {
        object,
        request_id: meta.request_id,
        replayed: meta.replayed,
        raw,
    })
}

/// A successful answer.
#[derive(Clone)]
pub struct Reply<T> {
    /// What this service reads of it.
    pub object: T,
    /// Stripe's `Request-Id`.
    pub request_id: Option<String>,
    /// Whether Stripe answered from what it had stored under the idempotency key.
    pub replayed: bool,
    raw: String,
}

impl<T> Reply<T> {
    /// The whole answer as JSON text, as Stripe sent it.
    pub fn raw_json(&self) -> &str {
        &self.raw
    }

    /// The same answer with another object made from this one.
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Reply<U> {
        Reply {
            object: change(self.object),
            request_id: self.request_id,
            replayed: self.replayed,
            raw: self.raw,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Reply<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reply")
            .field("object", &self.object)
            .field("request_id", &self.request_id)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

/// What makes a write the same write when it is sent again
/// (<https://docs.stripe.com/api/idempotent_requests>).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// A write within an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Registers an endpoint.
    CreateWebhookEndpoint,
    /// Mends a registered endpoint.
    UpdateWebhookEndpoint,
    /// Removes an endpoint.
    DeleteWebhookEndpoint,
}

impl IdempotencyKey {
    /// 1 to 255 visible ASCII characters; `None` for anything else.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some(Self(text))
    }

    /// The key of one step of a durable operation: `<operation id>:<step>`.
    pub fn for_step(operation: &Id, step: Step) -> Self {
        let step = match step {
            Step::CreateWebhookEndpoint => "create_webhook_endpoint",
            Step::UpdateWebhookEndpoint => "update_webhook_endpoint",
            Step::DeleteWebhookEndpoint => "delete_webhook_endpoint",
        };
        Self(format!("{operation}:{step}"))
    }

    /// The key as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn get(path: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(StripeMethod::Get, path)
}

fn post(path: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(StripeMethod::Post, path)
}

/// A list's first element.
fn first_of(path: &str) -> RequestBuilder {
    get(path).query(&BTreeMap::from([("limit", 1)]))
}

/// An id of Stripe's that goes into a path. The library's builders put it there as it is, so that
/// a `/` or `?` in it would name something else.
fn path_id(id: &str) -> Result<&str, StripeError> {
    let fits = (1..=255).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits {
        Ok(id)
    } else {
        Err(StripeError::refused_here(
            "an id of Stripe's has letters, digits, '_' and '-' only",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_version_is_the_one_the_builders_are_made_for() {
        assert_eq!(stripe_client_core::VERSION.as_str(), API_VERSION);
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        for id in ["we_1Pgc6y", "prod-with-dash", "a"] {
            assert_eq!(path_id(id).ok(), Some(id));
        }
        let long = "a".repeat(256);
        for id in [
            "",
            "we_1/../x",
            "we?x=1",
            "we#x",
            "we 1",
            "wé",
            "%2e",
            &long,
        ] {
            assert_eq!(path_id(id).unwrap_err().outcome(), Outcome::Rejected);
        }
    }

    #[test]
    fn idempotency_keys_fit_in_the_header() {
        assert!(IdempotencyKey::new("oper_01kat:1").is_some());
        assert!(IdempotencyKey::new("a".repeat(255)).is_some());
        for text in [
            String::new(),
            "a".repeat(256),
            "a b".into(),
            "é".into(),
            "a\n".into(),
        ] {
            assert_eq!(IdempotencyKey::new(text), None);
        }
    }
}
