//! The port to Stripe: our requests, our words for what they end in.
//!
//! One [`StripeClient`] serves all portals, over a pool of connections for each worker; every call names
//! the key it is made with. What holds for each call:
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
//! A write of a durable operation is a [`FrozenRequest`]: stored as text, then sent by
//! [`StripeClient::send_frozen`], so that a repetition sends the same bytes. Each family of objects
//! has a module with the requests as pure functions and the objects as this service reads them.
//!
//! Request paths and parameters come from the builders of the `async-stripe` crates, which nothing
//! outside this module names, or from forms of our own where the builders cannot say it
//! (`docs/decisions/stripe-client.md`). Answers are read by
//! structs of our own that tolerate what is new, absent or null (see `wire`), because one missing
//! field would make the library's types lose the whole object.

mod account;
pub mod catalog;
mod classify;
pub mod customers;
mod error;
pub mod events;
pub mod invoices;
pub mod payment_methods;
mod permissions;
mod publishable;
pub mod refunds;
mod reply;
mod request;
pub mod schedules;
pub mod sessions;
mod settings;
pub mod setup_intents;
pub mod signature;
mod skew;
pub mod subscriptions;
mod transport;
mod webhook_endpoints;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod};

pub use account::Account;
pub use catalog::{Price, Product, PromotionCode};
pub use customers::{Address, Customer, TaxId};
pub use error::{Outcome, StripeError};
pub use events::{EVENT_TYPES, Event};
pub use invoices::{Invoice, InvoiceLine, InvoicePayment, InvoiceStatus};
pub use payment_methods::PaymentMethod;
pub use permissions::{Access, MissingPermission, Permission, PermissionReport};
pub use publishable::{PublishableKeyCheck, SameAccount};
pub use refunds::{CreditNote, Refund};
pub use reply::{RawReply, Reply};
pub use request::{Created, FrozenRequest, Method, Page};
pub use schedules::Schedule;
pub use sessions::{CheckoutSession, PortalSession};
pub use settings::{SettingsError, StripeSettings};
pub use setup_intents::{SetupIntent, SetupIntentStatus};
pub use skew::ClockReading;
pub use subscriptions::{Subscription, SubscriptionItem, SubscriptionStatus};
pub use webhook_endpoints::{
    CreatedWebhookEndpoint, NewWebhookEndpoint, WebhookEndpoint, WebhookEndpointChange,
    WebhookEndpointStatus,
};
pub use wire::{Bare, Change, Deleted, Expandable, Identified, List, Metadata};

use crate::clock::Clock;
use crate::domain::stripe_key::ApiKey;
use crate::ids::Id;
use transport::{Bearer, Call, Transport};

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

    /// The same over connections of its own, for one worker.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self {
            transport: Arc::new(self.transport.for_worker()),
        }
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
        RawReply::of(call.effect(), call.bearer, answer)?.into_reply()
    }

    /// Sends a frozen request, once.
    ///
    /// A read ([`FrozenRequest::is_read`]) goes without a key, whether or not one is given.
    /// Everything else needs one and is [`Outcome::Rejected`] here without.
    pub async fn send_frozen(
        &self,
        key: &ApiKey,
        idempotency_key: Option<&IdempotencyKey>,
        request: &FrozenRequest,
    ) -> Result<RawReply, StripeError> {
        let idempotency_key = idempotency_key.filter(|_| !request.is_read());
        if idempotency_key.is_none() && !request.is_read() {
            return Err(StripeError::refused_here(
                "a write needs an idempotency key",
            ));
        }
        let call = Call {
            bearer: Bearer::Api(key),
            request: request.to_builder(),
            idempotency_key,
        };
        let answer = self.transport.call(&call).await?;
        RawReply::of(call.effect(), call.bearer, answer)
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

    /// The key of one step of a durable operation, `<operation>:<step>`, and of its repetitions under
    /// a new key, `<operation>:<step>:<generation>` from generation 1 on: after Stripe has stored a
    /// failure of its own under the key before, or has forgotten it. `step` is a short name of ours
    /// in visible ASCII; anything else in it becomes `-`.
    pub fn for_operation(operation: &Id, step: &str, generation: u32) -> Self {
        const STEP_MAX: usize = 100;
        let step: String = step
            .chars()
            .take(STEP_MAX)
            .map(|character| {
                if character.is_ascii_graphic() {
                    character
                } else {
                    '-'
                }
            })
            .collect();
        Self(match generation {
            0 => format!("{operation}:{step}"),
            _ => format!("{operation}:{step}:{generation}"),
        })
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

fn delete(path: impl Into<String>) -> RequestBuilder {
    RequestBuilder::new(StripeMethod::Delete, path)
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
    fn the_steps_and_generations_of_an_operation_have_keys_of_their_own() {
        let ids = crate::ids::Ids::seeded(Clock::machine(), 7);
        let operation = ids.new_id(crate::ids::Kind::Operation);
        let of = |step: &str, generation| {
            let key = IdempotencyKey::for_operation(&operation, step, generation);
            assert_eq!(IdempotencyKey::new(key.as_str()), Some(key.clone()));
            key.as_str().replace(operation.as_str(), "oper")
        };
        assert_eq!(of("customer", 0), "oper:customer");
        assert_eq!(of("customer", 1), "oper:customer:1");
        assert_eq!(of("a b\né", u32::MAX), "oper:a-b--:4294967295");
        assert!(of(&"s".repeat(500), u32::MAX).len() < 255);
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
