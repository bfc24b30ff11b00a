//! What is sent, and what is made of good answers.

use portal_billing::domain::stripe_key::ApiKey;
use portal_billing::stripe::{
    API_VERSION, EVENT_TYPES, Metadata, NewWebhookEndpoint, Outcome, StripeSettings,
    WebhookEndpointChange, WebhookEndpointStatus,
};

use super::{client, client_with, idempotency_key, secret_key};
use crate::support::contract;
use crate::support::fake_stripe::{FakeStripe, Reaction, answer, answer_with};

const ACCOUNT: &str = r#"{"id":"acct_1","object":"account","country":"DE","charges_enabled":true}"#;
const ENDPOINT: &str = r#"{"id":"we_1","object":"webhook_endpoint","livemode":false,"status":"enabled",
    "url":"https://billing.example/v1/hooks/stripe/h","enabled_events":["invoice.paid"],
    "api_version":"2026-09-30.endive","metadata":{"portal":"demo"},"secret":"whsec_CanaryCanary"}"#;

fn always(status: u16, body: &str) -> impl Fn(&crate::support::fake_stripe::Recorded) -> Reaction {
    let bytes = answer(status, body);
    move |_| Reaction::Answer(bytes.clone())
}

#[tokio::test]
async fn a_read_carries_key_version_and_agent_and_no_idempotency_key() {
    let stripe = FakeStripe::start(always(200, ACCOUNT)).await;
    let reply = client(stripe.base_url())
        .account(&secret_key())
        .await
        .unwrap();
    assert_eq!(reply.object.id, "acct_1");
    assert_eq!(reply.object.charges_enabled, Some(true));
    assert_eq!(reply.request_id.as_deref(), Some("req_fake"));
    assert_eq!(reply.raw_json(), ACCOUNT);
    let sent = &stripe.recorded()[0];
    assert_eq!(
        (sent.method.as_str(), sent.path.as_str()),
        ("GET", "/v1/account")
    );
    assert_eq!(
        sent.header("authorization"),
        Some("Bearer sk_test_simulator_a")
    );
    assert_eq!(sent.header("stripe-version"), Some(API_VERSION));
    assert_eq!(
        sent.header("user-agent"),
        Some(concat!("portal-billing/", env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(sent.header("idempotency-key"), None);
}

#[tokio::test]
async fn all_portals_share_one_kept_connection_and_never_each_others_key() {
    let stripe = FakeStripe::start(always(200, ACCOUNT)).await;
    let client = client(stripe.base_url());
    for round in 0..50 {
        let key = ApiKey::parse(&format!("sk_test_portal_{}", round % 5)).unwrap();
        client.clone().account(&key).await.unwrap();
    }
    let recorded = stripe.recorded();
    assert_eq!(recorded.len(), 50);
    for (round, sent) in recorded.iter().enumerate() {
        assert_eq!(sent.connection, 0);
        let own = format!("Bearer sk_test_portal_{}", round % 5);
        assert_eq!(sent.header("authorization"), Some(own.as_str()));
    }
}

#[tokio::test]
async fn each_worker_keeps_a_connection_of_its_own_and_all_know_stripes_clock() {
    let date = [("Date", "Sun, 15 Jun 2025 12:00:00 GMT")];
    let answered = answer_with(200, &date, ACCOUNT);
    let stripe = FakeStripe::start(move |_| Reaction::Answer(answered.clone())).await;
    let client = client(stripe.base_url());
    let (one, two) = (client.for_worker(), client.for_worker());
    for worker in [&one, &two, &one.clone(), &two] {
        worker.account(&secret_key()).await.unwrap();
    }
    let recorded = stripe.recorded();
    let connections: Vec<_> = recorded.iter().map(|sent| sent.connection).collect();
    assert_eq!(connections, [0, 1, 0, 1]);
    assert!(client.clock_reading().is_some());
    assert_eq!(client.clock_reading(), one.clock_reading());
}

#[tokio::test]
async fn a_webhook_endpoint_is_created_pinned_and_its_secret_stays_in_one_place() {
    let stripe = FakeStripe::start(always(200, ENDPOINT)).await;
    let metadata = Metadata::from([("portal".to_owned(), "demo & co".to_owned())]);
    let new = NewWebhookEndpoint {
        url: "https://billing.example/v1/hooks/stripe/h?a=1&b=ü",
        events: &["invoice.paid", "price.created"],
        description: "portal demo",
        metadata: &metadata,
    };
    let reply = client(stripe.base_url())
        .create_webhook_endpoint(&secret_key(), &idempotency_key(), &new)
        .await
        .unwrap();
    assert_eq!(reply.object.secret.expose(), "whsec_CanaryCanary");
    assert!(!reply.raw_json().contains("Canary"));
    assert!(!format!("{reply:?}").contains("Canary"));
    let sent = &stripe.recorded()[0];
    assert_eq!(
        (sent.method.as_str(), sent.path.as_str()),
        ("POST", "/v1/webhook_endpoints")
    );
    assert_eq!(sent.header("idempotency-key"), Some("oper_1:1"));
    assert_eq!(
        sent.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let expected = [
        ("api_version", API_VERSION),
        ("description", "portal demo"),
        ("enabled_events[0]", "invoice.paid"),
        ("enabled_events[1]", "price.created"),
        ("metadata[portal]", "demo & co"),
        ("url", "https://billing.example/v1/hooks/stripe/h?a=1&b=ü"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sent.parameters(), expected);
}

#[test]
fn the_events_we_subscribe_to_are_all_of_their_families_in_the_pinned_version() {
    const FAMILIES: [&str; 10] = [
        "charge.dispute.",
        "checkout.session.",
        "credit_note.",
        "customer.",
        "invoice.",
        "payment_method.",
        "price.",
        "product.",
        "refund.",
        "setup_intent.",
    ];
    const SINGLE: [&str; 2] = ["billing.alert.triggered", "invoice_payment.paid"];
    let known = contract::enum_values(
        "POST",
        "/v1/webhook_endpoints",
        "/properties/enabled_events/items/enum",
    );
    let mut needed: Vec<&str> = known
        .iter()
        .map(String::as_str)
        .filter(|event| {
            SINGLE.contains(event) || FAMILIES.iter().any(|family| event.starts_with(family))
        })
        .collect();
    needed.sort_unstable();
    assert_eq!(EVENT_TYPES, needed);
    assert_eq!(contract::api_version(), API_VERSION);
}

#[tokio::test]
async fn stripes_published_examples_are_read() {
    let stripe = FakeStripe::start(|request| {
        Reaction::Answer(match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/account") => answer(200, &contract::fixture("account")),
            ("DELETE", _) => answer(200, &contract::fixture("deleted_webhook_endpoint")),
            ("POST", _) => answer(200, &contract::fixture("webhook_endpoint")),
            _ => {
                let endpoint = contract::fixture("webhook_endpoint");
                answer(
                    200,
                    &format!(r#"{{"object":"list","data":[{endpoint}],"has_more":false}}"#),
                )
            }
        })
    })
    .await;
    let (client, key) = (client(stripe.base_url()), secret_key());
    let account = client.account(&key).await.unwrap().object;
    assert_eq!(account.country.as_deref(), Some("US"));
    assert_eq!(
        account.requirements.disabled_reason.as_deref(),
        Some("requirements.past_due")
    );
    let listed = client.all_webhook_endpoints(&key).await.unwrap();
    assert_eq!(
        listed[0].enabled_events,
        ["charge.failed", "charge.succeeded"]
    );
    let change = WebhookEndpointChange::default();
    let changed = client
        .update_webhook_endpoint(&key, &idempotency_key(), &listed[0].id, &change)
        .await
        .unwrap();
    assert_eq!(changed.object, listed[0]);
    let deleted = client
        .delete_webhook_endpoint(&key, &idempotency_key(), &listed[0].id)
        .await
        .unwrap();
    assert!(deleted.object.deleted);
}

#[tokio::test]
async fn a_created_endpoint_without_a_secret_is_no_success() {
    for body in [
        r#"{"id":"we_1"}"#,
        r#"{"id":"we_1","secret":null}"#,
        r#"{"id":"we_1","secret":"Canary"}"#,
    ] {
        let stripe = FakeStripe::start(always(200, body)).await;
        let metadata = Metadata::new();
        let new = NewWebhookEndpoint {
            url: "https://billing.example",
            events: &["invoice.paid"],
            description: "",
            metadata: &metadata,
        };
        let error = client(stripe.base_url())
            .create_webhook_endpoint(&secret_key(), &idempotency_key(), &new)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Outcome::OutcomeUnknown);
        assert!(!error.log_text().contains("Canary"));
    }
}

#[tokio::test]
async fn a_proxy_is_used_when_it_is_named_in_the_settings() {
    let proxy = FakeStripe::start(always(200, ACCOUNT)).await;
    let settings = StripeSettings {
        // Nobody listens there; the proxy answers in its place.
        base_url: "http://127.0.0.1:9".to_owned(),
        proxy: Some(proxy.base_url().into()),
        ..StripeSettings::default()
    };
    let reply = client_with(&settings).account(&secret_key()).await.unwrap();
    assert_eq!(reply.object.id, "acct_1");
    assert_eq!(proxy.recorded()[0].header("host"), Some("127.0.0.1:9"));
}

#[tokio::test]
async fn lists_are_paged_to_their_end() {
    let stripe = FakeStripe::start(|request| {
        let page = |ids: &[&str], has_more: bool| {
            let data: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
            let data = data.join(",");
            answer(
                200,
                &format!(r#"{{"object":"list","data":[{data}],"has_more":{has_more}}}"#),
            )
        };
        Reaction::Answer(if request.query.contains("starting_after=we_2") {
            page(&["we_1"], false)
        } else {
            page(&["we_3", "we_2"], true)
        })
    })
    .await;
    let all = client(stripe.base_url())
        .all_webhook_endpoints(&secret_key())
        .await
        .unwrap();
    let ids: Vec<_> = all.iter().map(|endpoint| endpoint.id.as_str()).collect();
    assert_eq!(ids, ["we_3", "we_2", "we_1"]);
    let queries: Vec<_> = stripe.recorded().into_iter().map(|r| r.query).collect();
    assert_eq!(queries, ["limit=100", "limit=100&starting_after=we_2"]);
}

#[tokio::test]
async fn a_list_that_never_ends_is_cut() {
    let endless = r#"{"data":[{"id":"we_1"}],"has_more":true}"#;
    let stripe = FakeStripe::start(always(200, endless)).await;
    let all = client(stripe.base_url())
        .all_webhook_endpoints(&secret_key())
        .await
        .unwrap();
    assert_eq!((all.len(), stripe.recorded().len()), (10, 10));
}

#[tokio::test]
async fn endpoints_are_changed_and_deleted_by_id() {
    let stripe = FakeStripe::start(|request| {
        Reaction::Answer(match request.method.as_str() {
            "DELETE" => answer(
                200,
                r#"{"id":"we_1","object":"webhook_endpoint","deleted":true}"#,
            ),
            _ => answer_with(200, &[("Idempotent-Replayed", "true")], ENDPOINT),
        })
    })
    .await;
    let client = client(stripe.base_url());
    let change = WebhookEndpointChange {
        disabled: Some(false),
        events: Some(EVENT_TYPES),
        ..WebhookEndpointChange::default()
    };
    let changed = client
        .update_webhook_endpoint(&secret_key(), &idempotency_key(), "we_1", &change)
        .await
        .unwrap();
    assert_eq!(changed.object.status, Some(WebhookEndpointStatus::Enabled));
    assert!(changed.replayed);
    let deleted = client
        .delete_webhook_endpoint(&secret_key(), &idempotency_key(), "we_1")
        .await
        .unwrap();
    assert!(deleted.object.deleted);
    let recorded = stripe.recorded();
    assert_eq!(recorded[0].path, "/v1/webhook_endpoints/we_1");
    assert_eq!(recorded[0].parameters().len(), EVENT_TYPES.len() + 1);
    assert_eq!(recorded[1].method, "DELETE");
    assert_eq!(recorded[1].header("idempotency-key"), Some("oper_1:1"));
    assert!(recorded[1].body.is_empty());
}

#[tokio::test]
async fn an_id_that_is_none_is_not_sent() {
    let stripe = FakeStripe::start(always(200, ENDPOINT)).await;
    let error = client(stripe.base_url())
        .delete_webhook_endpoint(&secret_key(), &idempotency_key(), "../customers/cus_1")
        .await
        .unwrap_err();
    assert_eq!((error.outcome(), error.status()), (Outcome::Rejected, None));
    assert!(stripe.recorded().is_empty());
}

#[tokio::test]
async fn the_headers_of_a_refusal_are_kept() {
    let stripe = FakeStripe::start(|_| {
        Reaction::Answer(answer_with(
            429,
            &[
                ("Retry-After", "7"),
                ("Stripe-Should-Retry", "false"),
                ("Date", "Mon, 23 Nov 2026 13:59:50 GMT"),
            ],
            r#"{"error":{"type":"invalid_request_error","code":"lock_timeout","message":"locked"}}"#,
        ))
    })
    .await;
    let client = client(stripe.base_url());
    assert_eq!(client.clock_reading(), None);
    let error = client.account(&secret_key()).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Throttled);
    assert_eq!(error.request_id(), Some("req_fake"));
    assert_eq!(error.code(), Some("lock_timeout"));
    assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(7));
    assert!(!error.is_retryable());
    assert_eq!(client.clock_reading().unwrap().ahead_millis(), 10_000);
}
