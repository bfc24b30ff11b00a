//! Rate limits, when they are switched on: <https://docs.stripe.com/rate-limits>.
//!
//! They count seconds of the wall: what they protect against is real load, and a clock that stands
//! still would never let anybody in again.

use std::collections::HashMap;

use super::errors::StripeError;
use crate::clock::{Timestamp, wall_seconds};

/// Requests a second, for an account's mode and for each of its endpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) account: u64,
    pub(crate) endpoint: u64,
}

/// The requests of the running second.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    pub(crate) limits: Option<Limits>,
    second: Timestamp,
    account: u64,
    endpoints: HashMap<String, u64>,
}

impl RateLimiter {
    /// Counts a request.
    ///
    /// # Errors
    /// 429 `rate_limit`; such a request is not stored under its idempotency key.
    pub(crate) fn admit(&mut self, livemode: bool, endpoint: &str) -> Result<(), StripeError> {
        let Some(limits) = self.limits else {
            return Ok(());
        };
        let now = wall_seconds();
        if now != self.second {
            self.second = now;
            self.account = 0;
            self.endpoints.clear();
        }
        self.account += 1;
        let count = self.endpoints.entry(endpoint.to_owned()).or_default();
        *count += 1;
        let reason = if self.account > limits.account {
            "global-rate"
        } else if *count > limits.endpoint {
            "endpoint-rate"
        } else {
            return Ok(());
        };
        Err(exceeded(livemode).header("Stripe-Rate-Limited-Reason", reason))
    }
}

/// 429 `rate_limit`.
pub(crate) fn exceeded(livemode: bool) -> StripeError {
    let message = if livemode {
        "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
    } else {
        "Testmode request rate limit exceeded, the rate limits in testmode are lower than livemode. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
    };
    StripeError::rate_limit("rate_limit", message)
}
