//! From an answer, or its absence, to an [`Outcome`]. Pure, so that the whole table can be tested.

use std::time::Duration;

use serde_json::Value;

use super::error::{Detail, Outcome, scrub};
use crate::clock::Timestamp;

/// Whether a request can change anything at Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A read, or a request that cannot have an effect.
    None,
    /// A write.
    Write,
}

impl Effect {
    /// What no usable answer means.
    const fn without_answer(self) -> Outcome {
        match self {
            Self::None => Outcome::Unavailable,
            Self::Write => Outcome::OutcomeUnknown,
        }
    }
}

/// What the headers of an answer say.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    pub status: u16,
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
    pub should_retry: Option<bool>,
    pub replayed: bool,
    /// Stripe's clock, from the `Date` header.
    pub date: Option<Timestamp>,
}

impl Meta {
    fn detail(&self, outcome: Outcome, log_text: String) -> Detail {
        Detail {
            status: Some(self.status),
            request_id: self.request_id.clone(),
            retry_after: self.retry_after,
            should_retry: self.should_retry,
            replayed: self.replayed,
            ..Detail::new(outcome, log_text)
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An answer that is not one of Stripe's API.
pub(super) fn nonsense(effect: Effect, meta: &Meta, why: &str) -> Detail {
    let outcome = if meta.status == 429 {
        // Whoever turned it away, it was turned away.
        Outcome::Throttled
    } else {
        effect.without_answer()
    };
    meta.detail(outcome, format!("status {}: {}", meta.status, scrub(why)))
}

/// No answer at all. `sent` is false when the request surely never left this machine.
pub(super) fn no_answer(effect: Effect, sent: bool, why: &str) -> Detail {
    let outcome = if sent {
        effect.without_answer()
    } else {
        Outcome::Unavailable
    };
    Detail::new(outcome, scrub(why))
}

/// An answer whose status is not 2xx.
pub(super) fn failure(effect: Effect, meta: &Meta, body: &[u8]) -> Detail {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let Some(error) = parsed
        .as_ref()
        .and_then(|value| value.get("error"))
        .filter(|error| error.is_object())
    else {
        return nonsense(effect, meta, "the body has no Stripe error");
    };
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let message = text("message").unwrap_or_default();
    let outcome = outcome(effect, meta.status, text("type"), text("code"));
    let own = |name: &str| text(name).map(scrub);
    let named = |start| match outcome {
        Outcome::Forbidden => name_in(message, start),
        _ => None,
    };
    Detail {
        kind: own("type"),
        code: own("code"),
        decline_code: own("decline_code"),
        param: own("param"),
        missing_permission: named("rak_"),
        account: named("acct_"),
        from_stripe: true,
        ..meta.detail(
            outcome,
            format!("status {}: {}", meta.status, scrub(message)),
        )
    }
}

/// The table. Sources: <https://docs.stripe.com/api/errors>,
/// <https://docs.stripe.com/error-low-level>, <https://docs.stripe.com/rate-limits>.
fn outcome(effect: Effect, status: u16, kind: Option<&str>, code: Option<&str>) -> Outcome {
    match (status, kind, code) {
        // Not applied, whatever the status it comes with.
        (400..=499, _, Some("lock_timeout" | "rate_limit")) | (429, _, _) => Outcome::Throttled,
        (409 | 424, _, _) => effect.without_answer(),
        (400, Some("idempotency_error"), _) => Outcome::KeyReused,
        (401, _, _) => Outcome::Credentials,
        (403, _, _) => Outcome::Forbidden,
        (402, _, _) | (400..=499, Some("card_error"), _) => Outcome::Declined,
        (400 | 404, _, Some("resource_missing")) => Outcome::Missing,
        // A 404 without that code says that the address is wrong, not that the object is gone.
        (400..=499, _, _) => Outcome::Rejected,
        _ => effect.without_answer(),
    }
}

/// What a 403 names: "The provided key … does not have the required permissions for this endpoint on
/// account `acct_…`. Having the `rak_customer_write` permission would allow this request to
/// continue.", with quotation marks around the names.
fn name_in(message: &str, start: &str) -> Option<String> {
    let name: String = message
        .get(message.find(start)?..)?
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
        .take(100)
        .collect();
    (name.len() > start.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stripe::StripeError;

    fn meta(status: u16) -> Meta {
        Meta {
            status,
            request_id: Some("req_1".to_owned()),
            ..Meta::default()
        }
    }

    /// Bodies as Stripe sends them: its documentation, its SDKs' tests, its API.
    const TABLE: &[(u16, &str, Outcome, Outcome)] = &[
        // (status, body, of a write, of a read)
        (
            402,
            r#"{"error":{"charge":"ch_3","code":"card_declined","decline_code":"insufficient_funds","doc_url":"https://stripe.com/docs/error-codes/card-declined","message":"Your card has insufficient funds.","type":"card_error"}}"#,
            Outcome::Declined,
            Outcome::Declined,
        ),
        (
            402,
            r#"{"error":{"code":"expired_card","message":"Your card has expired.","param":"exp_month","type":"card_error"}}"#,
            Outcome::Declined,
            Outcome::Declined,
        ),
        (
            402,
            r#"{"error":{"code":"subscription_payment_intent_requires_action","message":"Payment for this subscription requires additional user action before it can be completed successfully.","type":"invalid_request_error"}}"#,
            Outcome::Declined,
            Outcome::Declined,
        ),
        (
            400,
            r#"{"error":{"code":"incorrect_number","message":"Your card number is incorrect.","param":"number","type":"card_error"}}"#,
            Outcome::Declined,
            Outcome::Declined,
        ),
        (
            400,
            r#"{"error":{"code":"parameter_unknown","doc_url":"https://stripe.com/docs/error-codes/parameter-unknown","message":"Received unknown parameter: colour","param":"colour","type":"invalid_request_error"}}"#,
            Outcome::Rejected,
            Outcome::Rejected,
        ),
        (
            400,
            r#"{"error":{"code":"resource_missing","message":"No such customer: 'cus_none'","param":"customer","type":"invalid_request_error"}}"#,
            Outcome::Missing,
            Outcome::Missing,
        ),
        (
            404,
            r#"{"error":{"code":"resource_missing","message":"No such subscription: 'sub_none'","param":"id","type":"invalid_request_error"}}"#,
            Outcome::Missing,
            Outcome::Missing,
        ),
        (
            404,
            r#"{"error":{"message":"Unrecognized request URL (GET: /v1/custommers).","type":"invalid_request_error"}}"#,
            Outcome::Rejected,
            Outcome::Rejected,
        ),
        (404, "{}", Outcome::OutcomeUnknown, Outcome::Unavailable),
        (
            404,
            r#"{"error":"not found"}"#,
            Outcome::OutcomeUnknown,
            Outcome::Unavailable,
        ),
        (
            404,
            "<html>nginx</html>",
            Outcome::OutcomeUnknown,
            Outcome::Unavailable,
        ),
        (
            401,
            r#"{"error":{"message":"Invalid API Key provided: sk_test_********************abcd","type":"invalid_request_error"}}"#,
            Outcome::Credentials,
            Outcome::Credentials,
        ),
        (
            401,
            r#"{"error":{"code":"api_key_expired","message":"Expired API Key provided: rk_live_****abcd","type":"invalid_request_error"}}"#,
            Outcome::Credentials,
            Outcome::Credentials,
        ),
        (401, "", Outcome::OutcomeUnknown, Outcome::Unavailable),
        (
            403,
            r#"{"error":{"message":"The provided key 'rk_test_****abcd' does not have the required permissions for this endpoint on account 'acct_1'. Having the 'rak_customer_write' permission would allow this request to continue.","type":"invalid_request_error"}}"#,
            Outcome::Forbidden,
            Outcome::Forbidden,
        ),
        (
            400,
            r#"{"error":{"message":"Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than 'oper_1:1' if you meant to execute a different request.","type":"idempotency_error"}}"#,
            Outcome::KeyReused,
            Outcome::KeyReused,
        ),
        (
            409,
            r#"{"error":{"code":"idempotency_key_in_use","message":"There is currently another in-progress request using this Idempotent Key.","type":"idempotency_error"}}"#,
            Outcome::OutcomeUnknown,
            Outcome::Unavailable,
        ),
        (
            429,
            r#"{"error":{"code":"rate_limit","message":"Request rate limit exceeded.","type":"invalid_request_error"}}"#,
            Outcome::Throttled,
            Outcome::Throttled,
        ),
        (
            429,
            r#"{"error":{"code":"lock_timeout","message":"This object cannot be accessed right now because another API request or Stripe process is currently accessing it.","type":"invalid_request_error"}}"#,
            Outcome::Throttled,
            Outcome::Throttled,
        ),
        (429, "slow down", Outcome::Throttled, Outcome::Throttled),
        (
            424,
            r#"{"error":{"message":"A dependency failed.","type":"api_error"}}"#,
            Outcome::OutcomeUnknown,
            Outcome::Unavailable,
        ),
        (
            500,
            r#"{"error":{"message":"An unknown error occurred.","type":"api_error"}}"#,
            Outcome::OutcomeUnknown,
            Outcome::Unavailable,
        ),
        (502, "<html>", Outcome::OutcomeUnknown, Outcome::Unavailable),
        (503, "", Outcome::OutcomeUnknown, Outcome::Unavailable),
        (301, "", Outcome::OutcomeUnknown, Outcome::Unavailable),
    ];

    #[test]
    fn every_answer_of_stripes_has_its_outcome() {
        for (status, body, of_write, of_read) in TABLE {
            let write = failure(Effect::Write, &meta(*status), body.as_bytes());
            let read = failure(Effect::None, &meta(*status), body.as_bytes());
            assert_eq!(write.outcome, *of_write, "write, {status} {body}");
            assert_eq!(read.outcome, *of_read, "read, {status} {body}");
            assert_eq!(write.request_id.as_deref(), Some("req_1"));
            assert_eq!(write.status, Some(*status));
        }
    }

    #[test]
    fn every_outcome_that_an_answer_can_have_is_in_the_table() {
        for outcome in Outcome::ALL {
            assert!(
                TABLE
                    .iter()
                    .any(|(_, _, write, read)| write == outcome || read == outcome),
                "{outcome}"
            );
        }
    }

    #[test]
    fn the_fields_of_an_error_are_kept_apart_from_its_prose() {
        let (status, body, ..) = TABLE[0];
        let error = StripeError::from(failure(Effect::Write, &meta(status), body.as_bytes()));
        assert_eq!(error.code(), Some("card_declined"));
        assert_eq!(error.decline_code(), Some("insufficient_funds"));
        assert_eq!(error.kind(), Some("card_error"));
        assert_eq!(error.param(), None);
        assert_eq!(error.caller_text(), "The payment was declined.");
        assert_eq!(
            error.log_text(),
            "status 402: Your card has insufficient funds."
        );
    }

    #[test]
    fn a_403_names_the_permission_and_the_account_and_no_key() {
        let body = TABLE.iter().find(|row| row.0 == 403).unwrap().1;
        let error = StripeError::from(failure(Effect::Write, &meta(403), body.as_bytes()));
        assert_eq!(error.missing_permission(), Some("rak_customer_write"));
        assert!(!error.log_text().contains("abcd"));
        assert_eq!(error.account(), Some("acct_1"));
        assert_eq!(name_in("no permission named", "rak_"), None);
        assert_eq!(name_in("rak_", "rak_"), None);
    }

    #[test]
    fn a_500_in_stripes_envelope_is_stored_under_the_key_and_a_502_page_is_not() {
        let stored = r#"{"error":{"type":"api_error"}}"#;
        let of = |status, body: &str| {
            StripeError::from(failure(Effect::Write, &meta(status), body.as_bytes()))
        };
        assert!(of(500, stored).is_stored_failure());
        assert!(!of(502, "<html>").is_stored_failure());
        assert!(of(502, "<html>").is_nonsense());
        assert!(!of(409, stored).is_stored_failure());
    }

    proptest! {
        /// Whatever comes, only Stripe's own word closes the question of a write's effect.
        #[test]
        fn no_garbage_closes_the_question_of_an_effect(
            status in 100..1000_u16,
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "\\{\"(error|data|id)\":(null|1|\"x\"|\\[\\]|\\{\\})\\}".prop_map(String::into_bytes),
            ],
        ) {
            let has_error = serde_json::from_slice::<Value>(&body)
                .is_ok_and(|value| value["error"].is_object());
            let of_write = failure(Effect::Write, &meta(status), &body);
            let of_read = failure(Effect::None, &meta(status), &body);
            prop_assert_ne!(of_read.outcome, Outcome::OutcomeUnknown);
            if !has_error && status != 429 {
                prop_assert_eq!(of_write.outcome, Outcome::OutcomeUnknown);
                prop_assert_eq!(of_read.outcome, Outcome::Unavailable);
            }
        }
    }

    #[test]
    fn fields_of_the_wrong_type_do_not_hide_the_rest() {
        let body = br#"{"error":{"type":7,"code":["x"],"message":null,"param":{"a":1}}}"#;
        let detail = failure(Effect::Write, &meta(400), body);
        assert_eq!(detail.outcome, Outcome::Rejected);
        assert_eq!(detail.code, None);
    }
}
