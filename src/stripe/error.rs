//! What a call to Stripe can end in, when it does not end well.

use std::fmt;
use std::time::Duration;

/// The kinds of failure, by what a caller may conclude.
///
/// For a write, the first question is whether it took effect. Everything but
/// [`Outcome::OutcomeUnknown`] answers it: no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The issuer or the bank said no (402, or any `card_error`). Stored by Stripe under the
    /// idempotency key.
    Declined,
    /// Stripe refused the request as sent (other 4xx). Sending it again changes nothing.
    Rejected,
    /// Stripe does not accept the key (401): unknown, revoked, expired, or of the other mode.
    Credentials,
    /// The key is good and may not do this (403); see [`StripeError::missing_permission`].
    Forbidden,
    /// The object named does not exist in this account and mode (`resource_missing`).
    Missing,
    /// The idempotency key was used before with other parameters (400 `idempotency_error`): a bug
    /// of ours, never to be mended with a fresh key.
    KeyReused,
    /// Turned away before anything was done: rate limit, or another writer on the same object
    /// (`lock_timeout`), both 429.
    Throttled,
    /// Surely not applied: never sent, or a read that got no usable answer.
    Unavailable,
    /// A write was sent, and whether it took effect is not known: no answer, an answer that cannot
    /// be read, a 5xx, or the same key still running (409). Sending it again *with the same key* is
    /// safe; concluding anything is not.
    OutcomeUnknown,
}

impl Outcome {
    /// Every kind there is.
    pub const ALL: &'static [Self] = &[
        Self::Declined,
        Self::Rejected,
        Self::Credentials,
        Self::Forbidden,
        Self::Missing,
        Self::KeyReused,
        Self::Throttled,
        Self::Unavailable,
        Self::OutcomeUnknown,
    ];

    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::Credentials => "credentials",
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::KeyReused => "key_reused",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// Whether a write that ended so surely had no effect.
    pub const fn surely_not_applied(self) -> bool {
        !matches!(self, Self::OutcomeUnknown)
    }

    /// What callers of the API are told.
    const fn caller_text(self) -> &'static str {
        match self {
            Self::Declined => "The payment was declined.",
            Self::Rejected => "Stripe refused the request.",
            Self::Credentials => "Stripe does not accept the portal's credentials.",
            Self::Forbidden => "The portal's Stripe key lacks a permission.",
            Self::Missing => "Stripe does not know an object the request names.",
            Self::KeyReused => "Stripe saw the same operation before with other parameters.",
            Self::Throttled => "Stripe asks to slow down.",
            Self::Unavailable => "Stripe cannot be reached.",
            Self::OutcomeUnknown => "Stripe has not confirmed the outcome yet.",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A failed call. `Display` and `Debug` show nothing that came from Stripe as prose; that is in
/// [`StripeError::log_text`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.caller_text())]
pub struct StripeError(Box<Detail>);

/// The parts of a [`StripeError`], filled by the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub request_id: Option<String>,
    pub kind: Option<String>,
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub param: Option<String>,
    pub missing_permission: Option<String>,
    pub account: Option<String>,
    pub retry_after: Option<Duration>,
    pub should_retry: Option<bool>,
    pub replayed: bool,
    pub from_stripe: bool,
    pub log_text: String,
}

impl Detail {
    pub(super) fn new(outcome: Outcome, log_text: impl Into<String>) -> Self {
        Self {
            outcome,
            status: None,
            request_id: None,
            kind: None,
            code: None,
            decline_code: None,
            param: None,
            missing_permission: None,
            account: None,
            retry_after: None,
            should_retry: None,
            replayed: false,
            from_stripe: false,
            log_text: log_text.into(),
        }
    }
}

impl From<Detail> for StripeError {
    fn from(detail: Detail) -> Self {
        Self(Box::new(detail))
    }
}

impl StripeError {
    /// A request that this service would not even send.
    pub(super) fn refused_here(log_text: impl Into<String>) -> Self {
        Detail::new(Outcome::Rejected, log_text).into()
    }

    /// The kind of failure.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Stripe's `Request-Id`, for its support and our logs.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Stripe's error `type`, such as `card_error`.
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// Stripe's error `code`, such as `card_declined`
    /// (<https://docs.stripe.com/error-codes>).
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The issuer's reason, such as `insufficient_funds`
    /// (<https://docs.stripe.com/declines/codes>).
    pub fn decline_code(&self) -> Option<&str> {
        self.0.decline_code.as_deref()
    }

    /// The parameter Stripe complains of.
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// For [`Outcome::Forbidden`]: the permission that Stripe names, such as
    /// `rak_customer_write`.
    pub fn missing_permission(&self) -> Option<&str> {
        self.0.missing_permission.as_deref()
    }

    /// For [`Outcome::Forbidden`]: the account that Stripe names in its refusal.
    pub(super) fn account(&self) -> Option<&str> {
        self.0.account.as_deref()
    }

    /// How long Stripe asks to wait (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether Stripe answered from what it has stored under the idempotency key.
    pub fn is_replayed(&self) -> bool {
        self.0.replayed
    }

    /// Whether sending the same request with the same key again can end differently.
    /// `Stripe-Should-Retry` overrides the kind of failure
    /// (<https://docs.stripe.com/error-low-level#idempotency>).
    pub fn is_retryable(&self) -> bool {
        self.0.should_retry.unwrap_or(matches!(
            self.0.outcome,
            Outcome::Throttled | Outcome::Unavailable | Outcome::OutcomeUnknown
        ))
    }

    /// Whether Stripe has most likely stored this failure under the idempotency key, so that the
    /// same key will get the same answer for 24 hours: a 5xx in Stripe's own envelope. The way on
    /// is to list first, and only then to post under a new key.
    pub fn is_stored_failure(&self) -> bool {
        self.0.outcome == Outcome::OutcomeUnknown
            && self.0.from_stripe
            && self.0.status.is_some_and(|status| status >= 500)
    }

    /// Whether an answer came that is not one of Stripe's API: not JSON, cut off, too large, a
    /// redirect, an error without an `error`.
    pub fn is_nonsense(&self) -> bool {
        self.0.status.is_some() && !self.0.from_stripe
    }

    /// For people outside: what happened, in our words, without Stripe's.
    pub fn caller_text(&self) -> &'static str {
        self.0.outcome.caller_text()
    }

    /// For the log: what Stripe said or what broke. Freed of anything that looks like a key.
    pub fn log_text(&self) -> &str {
        &self.0.log_text
    }
}

impl fmt::Debug for StripeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StripeError")
            .field("outcome", &self.0.outcome)
            .field("status", &self.0.status)
            .field("request_id", &self.0.request_id)
            .field("code", &self.0.code)
            .field("decline_code", &self.0.decline_code)
            .field("param", &self.0.param)
            .finish_non_exhaustive()
    }
}

/// Replaces everything in `text` that begins like a Stripe key or signing secret. Stripe masks the
/// keys it repeats in messages; this does not depend on it.
pub(super) fn scrub(text: &str) -> String {
    const STARTS: [&str; 8] = [
        "sk_test_", "sk_live_", "rk_test_", "rk_live_", "pk_test_", "pk_live_", "sk_org_", "whsec_",
    ];
    const TEXT_MAX: usize = 1000;
    let mut clean = String::with_capacity(text.len().min(TEXT_MAX));
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if clean.len() >= TEXT_MAX {
            clean.push('…');
            break;
        }
        let start = STARTS.iter().find(|start| rest.starts_with(**start));
        let taken = if let Some(start) = start {
            clean.push_str(start);
            clean.push_str("[removed]");
            rest.find(|character: char| !is_key_like(character))
                .unwrap_or(rest.len())
        } else {
            // Control characters would let a message write lines of its own into a plain log.
            clean.push(if character.is_control() {
                ' '
            } else {
                character
            });
            character.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    clean
}

fn is_key_like(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(character, '_' | '-' | '+' | '/' | '=' | '*' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_scrubbed_wherever_they_stand() {
        for (text, clean) in [
            (
                "Invalid API Key provided: sk_test_51Abc123",
                "Invalid API Key provided: sk_test_[removed]",
            ),
            (
                "key 'rk_live_****abcd' lacks",
                "key 'rk_live_[removed]' lacks",
            ),
            (
                "whsec_a+b/c== and pk_test_1,sk_live_2",
                "whsec_[removed] and pk_test_[removed],sk_live_[removed]",
            ),
            ("sk_test_", "sk_test_[removed]"),
            ("two\nlines\u{7f}", "two lines "),
            ("No such customer: 'cus_é'", "No such customer: 'cus_é'"),
        ] {
            assert_eq!(scrub(text), clean);
        }
        assert!(scrub(&"é".repeat(5000)).len() < 1010);
    }

    #[test]
    fn should_retry_overrides_the_kind_of_failure() {
        let mut detail = Detail::new(Outcome::Rejected, "");
        assert!(!StripeError::from(detail.clone()).is_retryable());
        detail.should_retry = Some(true);
        assert!(StripeError::from(detail.clone()).is_retryable());
        detail.outcome = Outcome::Throttled;
        detail.should_retry = Some(false);
        assert!(!StripeError::from(detail).is_retryable());
    }

    #[test]
    fn only_an_unknown_outcome_leaves_room_for_an_effect() {
        for outcome in Outcome::ALL {
            assert_eq!(
                outcome.surely_not_applied(),
                *outcome != Outcome::OutcomeUnknown
            );
        }
    }

    #[test]
    fn what_stripe_said_is_not_displayed() {
        let mut detail = Detail::new(Outcome::Declined, "Canary from Stripe");
        detail.decline_code = Some("lost_card".to_owned());
        let error = StripeError::from(detail);
        assert_eq!(error.to_string(), "The payment was declined.");
        assert!(!format!("{error:?}").contains("Canary"));
        assert_eq!(error.log_text(), "Canary from Stripe");
    }
}
