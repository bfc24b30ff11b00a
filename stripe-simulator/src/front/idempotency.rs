//! Idempotency keys: <https://docs.stripe.com/api/idempotent_requests>.
//!
//! The first outcome of a key, a 500 included, is what every later request with it gets, for 24
//! hours of the account's clock. Requests that never began to execute (validation, 409, 429) are
//! not kept.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest;
use serde_json::{Map, Value};

use super::HttpResponse;
use super::errors::StripeError;
use crate::clock::{DAY, Timestamp};

/// Stripe: "up to 255 characters".
const MAX_KEY: usize = 255;

#[derive(Debug)]
struct Kept {
    at: Timestamp,
    path: String,
    fingerprint: Vec<u8>,
    request_id: String,
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

/// The outcomes of an account's keys.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyKeys {
    kept: HashMap<String, Kept>,
    /// Keys by age.
    order: VecDeque<(Timestamp, String)>,
}

/// What a key is bound to.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) key: &'a str,
    pub(crate) path: &'a str,
    fingerprint: Vec<u8>,
}

impl<'a> Bound<'a> {
    /// # Errors
    /// 400 for a key that is too long.
    pub(crate) fn new(
        key: &'a str,
        path: &'a str,
        params: &Map<String, Value>,
    ) -> Result<Self, StripeError> {
        if key.chars().count() > MAX_KEY {
            return Err(StripeError::invalid(format!(
                "Idempotency keys can be at most {MAX_KEY} characters long."
            ))
            .not_stored());
        }
        // Keys of maps are sorted, so equal parameters have equal text.
        let text = serde_json::to_vec(params).unwrap_or_default();
        let fingerprint = digest::digest(&digest::SHA256, &text).as_ref().to_vec();
        Ok(Self {
            key,
            path,
            fingerprint,
        })
    }
}

impl IdempotencyKeys {
    /// The kept outcome of this key, if there is one.
    ///
    /// # Errors
    /// 400 `idempotency_error` when the key came with another path or other parameters.
    pub(crate) fn replay(
        &mut self,
        bound: &Bound<'_>,
        now: Timestamp,
    ) -> Result<Option<HttpResponse>, StripeError> {
        self.prune(now);
        let Some(kept) = self.kept.get(bound.key) else {
            return Ok(None);
        };
        let key = bound.key;
        if kept.path != bound.path {
            return Err(StripeError::idempotency(format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{}' vs '{}'). Try using a key other than '{key}' if you meant to execute a different request.",
                bound.path, kept.path
            )));
        }
        if kept.fingerprint != bound.fingerprint {
            return Err(StripeError::idempotency(format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
            )));
        }
        Ok(Some(HttpResponse {
            status: kept.status,
            content_type: kept.content_type,
            headers: vec![
                ("Idempotent-Replayed", "true".to_owned()),
                ("Original-Request", kept.request_id.clone()),
            ],
            body: kept.body.clone(),
        }))
    }

    /// Keeps an outcome.
    pub(crate) fn keep(
        &mut self,
        bound: Bound<'_>,
        response: &HttpResponse,
        request_id: &str,
        now: Timestamp,
    ) {
        self.order.push_back((now, bound.key.to_owned()));
        let kept = Kept {
            at: now,
            path: bound.path.to_owned(),
            fingerprint: bound.fingerprint,
            request_id: request_id.to_owned(),
            status: response.status,
            content_type: response.content_type,
            body: response.body.clone(),
        };
        self.kept.insert(bound.key.to_owned(), kept);
    }

    fn prune(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.order.front()
            && *at + DAY <= now
        {
            if let Some((at, key)) = self.order.pop_front()
                && self.kept.get(&key).is_some_and(|kept| kept.at == at)
            {
                self.kept.remove(&key);
            }
        }
    }
}

/// 409 for a key whose first request is still running.
pub(crate) fn in_flight(key: &str) -> StripeError {
    StripeError::conflict(
        "idempotency_key_in_use",
        format!(
            "There is currently another in-progress request using this Idempotency-Key ({key}). This probably means you submitted twice, and the other request is still going through. Please try again later."
        ),
    )
    .header("Stripe-Should-Retry", "true")
}
