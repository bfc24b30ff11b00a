//! What a failed call to Stripe means for the caller.

use crate::domain::error::{Code, Error, StripeContext};
use crate::domain::operation::Failure;
use crate::stripe::{Outcome, StripeError};

impl From<StripeError> for Error {
    fn from(error: StripeError) -> Self {
        let failed_there =
            error.is_nonsense() || error.status().is_some_and(|status| status >= 500);
        let (code, retry_after_seconds) = match error.outcome() {
            Outcome::Credentials => (Code::StripeCredentialsInvalid, None),
            Outcome::Forbidden => (Code::StripePermissionsMissing, None),
            Outcome::Throttled => (Code::StripeUnavailable, Some(wait(&error))),
            Outcome::Unavailable | Outcome::OutcomeUnknown if failed_there => {
                (Code::StripeBadAnswer, None)
            }
            Outcome::Unavailable | Outcome::OutcomeUnknown => {
                (Code::StripeUnavailable, Some(wait(&error)))
            }
            Outcome::Declined | Outcome::Rejected | Outcome::Missing | Outcome::KeyReused => {
                (Code::StripeRejected, None)
            }
        };
        let mapped = Self::new(code, error.caller_text())
            .with_log(error.log_text())
            .with_stripe(stripe_context(&error));
        match retry_after_seconds {
            Some(seconds) => mapped.with_retry_after(seconds),
            None => mapped,
        }
    }
}

/// Whole seconds to wait: Stripe's own word, or one.
fn wait(error: &StripeError) -> u32 {
    let seconds = error.retry_after().map_or(1, |wait| wait.as_secs().max(1));
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn stripe_context(error: &StripeError) -> StripeContext {
    StripeContext {
        request_id: error.request_id().map(str::to_owned),
        code: error.code().map(str::to_owned),
        decline_code: error.decline_code().map(str::to_owned),
    }
}

/// What a final refusal of an operation's step means for whoever asked for the operation: a declined
/// payment is 402, and anything else that Stripe refuses for its meaning is 422.
pub(super) fn refusal(error: &StripeError) -> Error {
    let code = match error.outcome() {
        Outcome::Declined => Code::PaymentDeclined,
        Outcome::Rejected | Outcome::Missing => Code::StripeRefused,
        _ => return error.clone().into(),
    };
    Error::new(code, error.caller_text())
        .with_log(error.log_text())
        .with_stripe(stripe_context(error))
}

/// What an operation keeps of an error.
pub(super) fn failure_of(error: &Error) -> Failure {
    let stripe = error.stripe().cloned().unwrap_or_default();
    Failure {
        code: error.code().as_str().to_owned(),
        detail: error.detail().to_owned(),
        stripe_request_id: stripe.request_id,
        stripe_code: stripe.code,
        decline_code: stripe.decline_code,
    }
}
