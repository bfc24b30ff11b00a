//! What a key may do, found out without changing anything.

use std::sync::atomic::{AtomicUsize, Ordering};

use portal_billing::stripe::{Access, Outcome, PublishableKeyCheck, SameAccount, StripeClient};

use super::{client, publishable_key, restricted_key, secret_key};
use crate::support::fake_stripe::{FakeStripe, Reaction, Recorded, answer, answer_with};

const NO_SUCH: &str = r#"{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such object"}}"#;
const EMPTY: &str = r#"{"object":"list","data":[],"has_more":false}"#;

fn forbidden(permission: &str) -> Vec<u8> {
    answer(
        403,
        &format!(
            r#"{{"error":{{"type":"invalid_request_error","message":"The provided key 'rk_test_****' does not have the required permissions for this endpoint on account 'acct_1'. Having the '{permission}' permission would allow this request to continue."}}}}"#
        ),
    )
}

fn permitted(request: &Recorded) -> Vec<u8> {
    if request.method == "GET" && request.query == "limit=1" {
        answer(200, EMPTY)
    } else {
        answer(404, NO_SUCH)
    }
}

#[tokio::test]
async fn an_unrestricted_key_is_not_probed() {
    let stripe = FakeStripe::start(|_| Reaction::Hang).await;
    let report = client(stripe.base_url())
        .probe_permissions(&secret_key())
        .await;
    assert!(report.is_complete());
    assert_eq!(
        report.granted.len(),
        StripeClient::needed_permissions().count()
    );
    assert!(stripe.recorded().is_empty());
}

#[tokio::test]
async fn a_key_with_everything_is_complete_and_nothing_was_created() {
    let stripe = FakeStripe::start(|request| Reaction::Answer(permitted(request))).await;
    let report = client(stripe.base_url())
        .probe_permissions(&restricted_key())
        .await;
    assert!(report.is_complete());
    let recorded = stripe.recorded();
    assert_eq!(recorded.len(), StripeClient::needed_permissions().count());
    for sent in recorded {
        assert_eq!(sent.header("idempotency-key"), None);
        assert_ne!(sent.method, "DELETE");
        if sent.method == "POST" {
            // Either an update of what cannot exist, without a parameter, or a creation for it.
            let on_nothing = sent.body.is_empty() && sent.path.contains("_portalbillingprobe");
            let for_nothing = sent.parameters().len() == 1
                && sent.parameters()[0].1.ends_with("_portalbillingprobe");
            assert!(on_nothing || for_nothing, "{sent:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_may_not_see_its_account_still_learns_its_id() {
    let named = forbidden("rak_accounts_kyc_basic_read");
    let stripe = FakeStripe::start(move |_| Reaction::Answer(named.clone())).await;
    let reply = client(stripe.base_url())
        .account(&restricted_key())
        .await
        .unwrap();
    assert_eq!(reply.object.id, "acct_1");
    assert_eq!(reply.object.charges_enabled, None);
    let unnamed = answer(403, r#"{"error":{"message":"no"}}"#);
    let stripe = FakeStripe::start(move |_| Reaction::Answer(unnamed.clone())).await;
    let error = client(stripe.base_url())
        .account(&restricted_key())
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Forbidden);
}

#[tokio::test]
async fn missing_permissions_are_named_one_by_one() {
    let stripe = FakeStripe::start(|request| {
        Reaction::Answer(match (request.method.as_str(), request.path.as_str()) {
            ("POST", path) if path.starts_with("/v1/customers/") => forbidden("rak_customer_write"),
            ("GET", "/v1/prices") => forbidden("rak_price_read"),
            // Without the name in the text, the table's stands in.
            ("GET", "/v1/events") => answer(403, r#"{"error":{"message":"no"}}"#),
            _ => permitted(request),
        })
    })
    .await;
    let report = client(stripe.base_url())
        .probe_permissions(&restricted_key())
        .await;
    let missing: Vec<_> = report
        .missing
        .iter()
        .map(|missing| {
            let permission = missing.permission;
            (
                permission.resource,
                permission.access,
                missing.stripe_name.as_str(),
            )
        })
        .collect();
    assert_eq!(
        missing,
        [
            ("customers", Access::Write, "rak_customer_write"),
            ("prices", Access::Read, "rak_price_read"),
            ("events", Access::Read, "rak_event_read"),
        ]
    );
    assert!(report.unknown.is_empty());
}

#[tokio::test]
async fn a_probe_that_is_turned_away_is_asked_again() {
    let first = AtomicUsize::new(0);
    let stripe = FakeStripe::start(move |request| {
        let turned_away = first.fetch_add(1, Ordering::SeqCst) < 3;
        Reaction::Answer(if turned_away {
            answer_with(429, &[("Retry-After", "0")], "{}")
        } else {
            permitted(request)
        })
    })
    .await;
    let report = client(stripe.base_url())
        .probe_permissions(&restricted_key())
        .await;
    assert!(report.is_complete());
    assert_eq!(
        stripe.recorded().len(),
        StripeClient::needed_permissions().count() + 3
    );
}

#[tokio::test]
async fn what_cannot_be_found_out_is_neither_granted_nor_missing() {
    let stripe = FakeStripe::start(|request| {
        Reaction::Answer(match request.path.as_str() {
            "/v1/invoices" => answer(500, r#"{"error":{"type":"api_error"}}"#),
            "/v1/charges" => answer_with(429, &[("Retry-After", "0")], "{}"),
            "/v1/coupons" => answer(404, "{}"),
            "/v1/events" => answer(
                404,
                r#"{"error":{"type":"invalid_request_error","message":"Unrecognized request URL"}}"#,
            ),
            _ => permitted(request),
        })
    })
    .await;
    let report = client(stripe.base_url())
        .probe_permissions(&restricted_key())
        .await;
    assert!(!report.is_complete() && report.missing.is_empty());
    let unknown: Vec<_> = report
        .unknown
        .iter()
        .map(|(permission, error)| (permission.resource, error.outcome()))
        .collect();
    assert_eq!(
        unknown,
        [
            ("invoices", Outcome::Unavailable),
            ("charges", Outcome::Throttled),
            ("coupons", Outcome::Unavailable),
            ("events", Outcome::Rejected),
        ]
    );
}

/// An account with one `SetupIntent`; `seen` says whether the publishable key is of that account.
async fn account_with_intent(seen: bool) -> FakeStripe {
    FakeStripe::start(move |request| {
        let publishable = request.header("authorization") == Some("Bearer pk_test_simulator_a");
        let intent = r#"{"id":"seti_1","object":"setup_intent","client_secret":"seti_1_secret_x","livemode":false}"#;
        Reaction::Answer(match (request.path.as_str(), publishable) {
            ("/v1/setup_intents", false) => {
                answer(200, &format!(r#"{{"data":[{intent}],"has_more":true}}"#))
            }
            ("/v1/setup_intents/seti_1", true) if seen => {
                assert_eq!(request.query, "client_secret=seti_1_secret_x");
                answer(200, intent)
            }
            _ => answer(404, NO_SUCH),
        })
    })
    .await
}

#[tokio::test]
async fn a_publishable_key_of_the_same_account_sees_what_the_other_key_has() {
    for (seen, verdict) in [(true, SameAccount::Yes), (false, SameAccount::No)] {
        let stripe = account_with_intent(seen).await;
        let check = client(stripe.base_url())
            .check_publishable_key(&publishable_key(), &secret_key())
            .await
            .unwrap();
        assert_eq!(check, PublishableKeyCheck::Accepted(verdict));
        assert!(stripe.recorded().iter().all(|sent| sent.method == "GET"));
    }
}

#[tokio::test]
async fn an_account_without_setup_intents_leaves_the_question_open() {
    for list in [answer(200, EMPTY), forbidden("rak_setup_intent_read")] {
        let stripe = FakeStripe::start(move |request| {
            Reaction::Answer(match request.path.as_str() {
                "/v1/setup_intents" => list.clone(),
                _ => answer(404, NO_SUCH),
            })
        })
        .await;
        let check = client(stripe.base_url())
            .check_publishable_key(&publishable_key(), &restricted_key())
            .await
            .unwrap();
        assert_eq!(check, PublishableKeyCheck::Accepted(SameAccount::Unknown));
    }
}

#[tokio::test]
async fn a_publishable_key_that_stripe_does_not_know_is_refused() {
    let stripe = FakeStripe::start(|_| {
        Reaction::Answer(answer(
            401,
            r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key provided"}}"#,
        ))
    })
    .await;
    let check = client(stripe.base_url())
        .check_publishable_key(&publishable_key(), &secret_key())
        .await
        .unwrap();
    assert_eq!(check, PublishableKeyCheck::Refused);
    assert_eq!(stripe.recorded().len(), 1);
}
