//! Good answers, and what is made of them.

use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::StripeError;
use super::classify::{self, Effect, Meta};
use super::transport::{Answer, Bearer};
use super::wire::LivemodePeek;
use crate::clock::Timestamp;

/// A successful answer as it came: surely JSON, surely of the key's mode, and not yet read.
///
/// Its text may hold addresses and client secrets, so that `Debug` does not show it.
#[derive(Clone)]
pub struct RawReply {
    /// Stripe's `Request-Id`.
    pub request_id: Option<String>,
    /// Whether Stripe answered from what it had stored under the idempotency key.
    pub replayed: bool,
    /// Stripe's clock when it answered, in whole seconds.
    pub date: Option<Timestamp>,
    effect: Effect,
    status: u16,
    raw: String,
}

impl fmt::Debug for RawReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RawReply")
            .field("request_id", &self.request_id)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

impl RawReply {
    /// Takes a 2xx answer. One that is not JSON, or is of the other mode, is not a success.
    pub(super) fn of(
        effect: Effect,
        bearer: Bearer<'_>,
        answer: Answer,
    ) -> Result<Self, StripeError> {
        let Answer { meta, body } = answer;
        let nonsense = |why: &str| StripeError::from(classify::nonsense(effect, &meta, why));
        let raw = String::from_utf8(body).map_err(|_| nonsense("the body is not UTF-8"))?;
        let reply = Self {
            effect,
            status: meta.status,
            request_id: meta.request_id.clone(),
            replayed: meta.replayed,
            date: meta.date,
            raw,
        };
        reply.read::<IgnoredAny>()?;
        let livemode = serde_json::from_str::<LivemodePeek>(&reply.raw)
            .ok()
            .and_then(|peek| peek.livemode());
        if livemode.is_some_and(|livemode| livemode != bearer.mode().livemode()) {
            return Err(nonsense("the answer is of the other mode than the key"));
        }
        Ok(reply)
    }

    /// An object that a list told, as if a call had answered it: the effect of a write whose own
    /// answer was lost.
    pub fn found(object: String) -> Self {
        Self {
            request_id: None,
            replayed: true,
            date: None,
            effect: Effect::Write,
            status: 200,
            raw: object,
        }
    }

    /// The whole answer as JSON text, as Stripe sent it.
    pub fn raw_json(&self) -> &str {
        &self.raw
    }

    /// The answer as an object. One that cannot be read is
    /// [`Outcome::OutcomeUnknown`](super::Outcome::OutcomeUnknown) for a write and
    /// [`Outcome::Unavailable`](super::Outcome::Unavailable) for a read.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StripeError> {
        serde_json::from_str(&self.raw).map_err(|error| {
            let meta = Meta {
                status: self.status,
                request_id: self.request_id.clone(),
                replayed: self.replayed,
                ..Meta::default()
            };
            // The place and the kind, not the value: an object may hold addresses and client
            // secrets.
            let why = format!(
                "the body is not the object expected ({:?} error at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            );
            classify::nonsense(self.effect, &meta, &why).into()
        })
    }

    /// The same answer, read.
    pub fn into_reply<T: DeserializeOwned>(self) -> Result<Reply<T>, StripeError> {
        Ok(Reply {
            object: self.read()?,
            request_id: self.request_id,
            replayed: self.replayed,
            raw: self.raw,
        })
    }
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
    pub(super) raw: String,
}

impl<T> Reply<T> {
    /// The whole answer as JSON text, as Stripe sent it.
    pub fn raw_json(&self) -> &str {
        &self.raw
    }

    /// The same answer with another object made from this one.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Reply<U> {
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
