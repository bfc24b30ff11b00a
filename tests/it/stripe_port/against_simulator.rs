//! The port against the simulator, which is another reading of Stripe's API than the port's own.

use portal_billing::domain::stripe_key::{ApiKey, Mode, PublishableKey};
use portal_billing::stripe::{
    Access, EVENT_TYPES, IdempotencyKey, Metadata, NewWebhookEndpoint, Outcome, PermissionReport,
    PublishableKeyCheck, SameAccount, StripeClient, WebhookEndpointChange, WebhookEndpointStatus,
};
use serde_json::json;
use stripe_simulator::{API_VERSION, DEFAULT_PUBLISHABLE_KEY, DEFAULT_SECRET_KEY};

use super::client;
use crate::support::simulator::{admin, start};

fn key() -> ApiKey {
    ApiKey::parse(DEFAULT_SECRET_KEY).unwrap()
}

fn step(number: u8) -> IdempotencyKey {
    IdempotencyKey::new(format!("oper_1:{number}")).unwrap()
}

fn new_endpoint(metadata: &Metadata) -> NewWebhookEndpoint<'_> {
    NewWebhookEndpoint {
        url: "https://billing.example/v1/hooks/stripe/h",
        events: EVENT_TYPES,
        description: "portal demo",
        metadata,
    }
}

async fn restricted(
    simulator: &stripe_simulator::Simulator,
    missing: &[&str],
) -> (ApiKey, StripeClient) {
    let permissions: Vec<&str> = StripeClient::needed_permissions()
        .map(|permission| permission.stripe_name)
        .filter(|name| !missing.contains(name))
        .collect();
    let text = "rk_test_simulator_restricted";
    admin(
        simulator,
        "/keys",
        &json!({"key": text, "permissions": permissions}),
    )
    .await;
    (ApiKey::parse(text).unwrap(), client(simulator.base_url()))
}

fn unknown(report: &PermissionReport) -> Vec<String> {
    report
        .unknown
        .iter()
        .map(|(permission, error)| format!("{}: {}", permission.resource, error.log_text()))
        .collect()
}

#[test]
fn both_sides_speak_the_same_version() {
    assert_eq!(API_VERSION, portal_billing::stripe::API_VERSION);
}

#[tokio::test]
async fn the_account_of_a_key_is_found() {
    let simulator = start();
    let client = client(simulator.base_url());
    let reply = client.account(&key()).await.unwrap();
    assert!(reply.object.id.starts_with("acct_"));
    assert!(reply.object.country.is_some());
    assert!(reply.object.default_currency.is_some());
    assert_eq!(reply.object.charges_enabled, Some(true));
    assert!(reply.request_id.unwrap().starts_with("req_"));
    assert_eq!(simulator.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn unknown_and_revoked_keys_are_refused() {
    let simulator = start();
    let client = client(simulator.base_url());
    let unknown = ApiKey::parse("sk_test_nobodyknowsthis").unwrap();
    let error = client.account(&unknown).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Credentials);
    let text = "sk_test_simulator_revoked";
    admin(&simulator, "/keys", &json!({"key": text})).await;
    let revoked = ApiKey::parse(text).unwrap();
    client.account(&revoked).await.unwrap();
    admin(&simulator, "/keys/revoke", &json!({"key": text})).await;
    let error = client.account(&revoked).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Credentials);
    assert!(!error.log_text().contains(text));
}

#[tokio::test]
async fn a_webhook_endpoint_lives_and_dies() {
    let simulator = start();
    let client = client(simulator.base_url());
    let metadata = Metadata::from([("portal".to_owned(), "demo".to_owned())]);
    let created = client
        .create_webhook_endpoint(&key(), &step(1), &new_endpoint(&metadata))
        .await
        .unwrap()
        .object;
    assert!(created.secret.expose().starts_with("whsec_"));
    let endpoint = created.endpoint;
    assert!(endpoint.serves(EVENT_TYPES));
    assert_eq!(endpoint.metadata, metadata);
    let listed = client.all_webhook_endpoints(&key()).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&endpoint));
    let change = WebhookEndpointChange {
        url: Some("https://billing.example/v1/hooks/stripe/i"),
        events: Some(&["invoice.paid"]),
        disabled: Some(true),
        description: Some(""),
        metadata: Some(&Metadata::from([("portal".to_owned(), String::new())])),
    };
    let changed = client
        .update_webhook_endpoint(&key(), &step(2), &endpoint.id, &change)
        .await
        .unwrap()
        .object;
    assert_eq!(changed.status, Some(WebhookEndpointStatus::Disabled));
    assert_eq!(changed.url, "https://billing.example/v1/hooks/stripe/i");
    assert_eq!(changed.enabled_events, ["invoice.paid"]);
    assert!(changed.metadata.is_empty());
    assert!(!changed.serves(EVENT_TYPES));
    let deleted = client
        .delete_webhook_endpoint(&key(), &step(3), &endpoint.id)
        .await
        .unwrap();
    assert!(deleted.object.deleted);
    let error = client
        .delete_webhook_endpoint(&key(), &step(4), &endpoint.id)
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::Missing);
    assert_eq!(simulator.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn lists_are_paged_by_the_last_id() {
    let simulator = start();
    let client = client(simulator.base_url());
    let metadata = Metadata::new();
    for number in 1..=5 {
        client
            .create_webhook_endpoint(&key(), &step(number), &new_endpoint(&metadata))
            .await
            .unwrap();
    }
    let all = client.all_webhook_endpoints(&key()).await.unwrap();
    let mut paged = Vec::new();
    loop {
        let after = paged
            .last()
            .map(|endpoint: &portal_billing::stripe::WebhookEndpoint| endpoint.id.clone());
        let page = client
            .list_webhook_endpoints(&key(), 2, after.as_deref())
            .await
            .unwrap()
            .object;
        paged.extend(page.data);
        if !page.has_more {
            break;
        }
    }
    assert_eq!((all.len(), &paged), (5, &all));
}

#[tokio::test]
async fn the_same_key_gives_the_same_endpoint_and_other_parameters_are_refused() {
    let simulator = start();
    let client = client(simulator.base_url());
    let metadata = Metadata::from([
        ("portal".to_owned(), "demo".to_owned()),
        ("operation".to_owned(), "oper_1".to_owned()),
    ]);
    let mut ids = Vec::new();
    for attempt in 0..3 {
        let reply = client
            .create_webhook_endpoint(&key(), &step(1), &new_endpoint(&metadata))
            .await
            .unwrap();
        assert_eq!(reply.replayed, attempt > 0);
        ids.push((
            reply.object.endpoint.id,
            reply.object.secret.expose().to_owned(),
        ));
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(client.all_webhook_endpoints(&key()).await.unwrap().len(), 1);
    let other = Metadata::new();
    let error = client
        .create_webhook_endpoint(&key(), &step(1), &new_endpoint(&other))
        .await
        .unwrap_err();
    assert_eq!(error.outcome(), Outcome::KeyReused);
}

#[tokio::test]
async fn a_restricted_key_with_all_permissions_is_complete() {
    let simulator = start();
    let (key, client) = restricted(&simulator, &[]).await;
    let report = client.probe_permissions(&key).await;
    assert_eq!(unknown(&report), Vec::<String>::new());
    assert!(report.is_complete());
}

#[tokio::test]
async fn a_key_without_the_right_to_see_its_account_learns_its_id() {
    let simulator = start();
    let (restricted, client) = restricted(&simulator, &[]).await;
    let known = client.account(&key()).await.unwrap().object;
    let learnt = client.account(&restricted).await.unwrap().object;
    assert_eq!(learnt.id, known.id);
    assert_eq!(learnt.charges_enabled, None);
}

#[tokio::test]
async fn each_missing_permission_is_named_as_stripe_names_it() {
    let simulator = start();
    for permission in StripeClient::needed_permissions() {
        // A write permission includes reading, so that one lacks reading only without both.
        let write = permission.stripe_name.replace("_read", "_write");
        let (key, client) = restricted(&simulator, &[permission.stripe_name, &write]).await;
        let report = client.probe_permissions(&key).await;
        assert_eq!(unknown(&report), Vec::<String>::new());
        let named = report
            .missing
            .iter()
            .any(|missing| missing.stripe_name == permission.stripe_name);
        assert!(named, "{permission:?}: {:?}", report.missing);
    }
}

#[tokio::test]
async fn probing_leaves_nothing_behind() {
    let simulator = start();
    let (key, client) = restricted(&simulator, &[]).await;
    client.probe_permissions(&key).await;
    let secret = self::key();
    assert!(
        client
            .all_webhook_endpoints(&secret)
            .await
            .unwrap()
            .is_empty()
    );
    let url = format!("{}/v1/events?limit=100", simulator.base_url());
    let events = reqwest::Client::new()
        .get(url)
        .bearer_auth(DEFAULT_SECRET_KEY)
        .send()
        .await
        .unwrap();
    let events: serde_json::Value = serde_json::from_str(&events.text().await.unwrap()).unwrap();
    assert_eq!(events["data"], json!([]));
    let writes = StripeClient::needed_permissions()
        .filter(|permission| permission.access == Access::Write)
        .count();
    assert!(writes >= 12);
}

#[tokio::test]
async fn publishable_keys_are_told_apart() {
    let simulator = start();
    let client = client(simulator.base_url());
    let publishable = PublishableKey::parse(DEFAULT_PUBLISHABLE_KEY).unwrap();
    let unknown = PublishableKey::parse("pk_test_nobodyknowsthis").unwrap();
    let of = async |publishable: &PublishableKey| {
        client
            .check_publishable_key(publishable, &key())
            .await
            .unwrap()
    };
    assert_eq!(
        of(&publishable).await,
        PublishableKeyCheck::Accepted(SameAccount::Unknown)
    );
    assert_eq!(of(&unknown).await, PublishableKeyCheck::Refused);
    let intent = reqwest::Client::new()
        .post(format!("{}/v1/setup_intents", simulator.base_url()))
        .bearer_auth(DEFAULT_SECRET_KEY)
        .send()
        .await
        .unwrap();
    assert!(intent.status().is_success());
    let text = "pk_test_simulator_elsewhere";
    admin(
        &simulator,
        "/keys",
        &json!({"key": text, "account": "acct_elsewhere"}),
    )
    .await;
    let elsewhere = PublishableKey::parse(text).unwrap();
    assert_eq!(
        of(&publishable).await,
        PublishableKeyCheck::Accepted(SameAccount::Yes)
    );
    assert_eq!(
        of(&elsewhere).await,
        PublishableKeyCheck::Accepted(SameAccount::No)
    );
}

#[tokio::test]
async fn live_keys_see_the_live_account_only() {
    let simulator = start();
    let client = client(simulator.base_url());
    let text = "sk_live_simulator_a";
    admin(&simulator, "/keys", &json!({"key": text})).await;
    let live = ApiKey::parse(text).unwrap();
    assert_eq!(live.mode(), Mode::Live);
    let metadata = Metadata::new();
    let created = client
        .create_webhook_endpoint(&live, &step(1), &new_endpoint(&metadata))
        .await
        .unwrap();
    assert!(created.object.endpoint.livemode);
    assert!(
        client
            .all_webhook_endpoints(&key())
            .await
            .unwrap()
            .is_empty()
    );
}

/// A fault, what the write under it ends in, whether sending it again with the same key mends it,
/// and how many endpoints there are in the end.
const FAULTS: &[(&str, Outcome, bool, usize)] = &[
    ("rate_limit", Outcome::Throttled, true, 1),
    ("lock_timeout", Outcome::Throttled, true, 1),
    ("conflict", Outcome::OutcomeUnknown, true, 1),
    ("error_before", Outcome::OutcomeUnknown, false, 0),
    ("error_after", Outcome::OutcomeUnknown, false, 1),
    ("bad_gateway_before", Outcome::OutcomeUnknown, true, 1),
    ("bad_gateway_after", Outcome::OutcomeUnknown, true, 1),
    ("reset_before", Outcome::OutcomeUnknown, true, 1),
    ("reset_after", Outcome::OutcomeUnknown, true, 1),
    ("truncated_body", Outcome::OutcomeUnknown, true, 1),
    ("not_json", Outcome::OutcomeUnknown, true, 1),
    ("not_found_plain", Outcome::OutcomeUnknown, true, 1),
];

#[tokio::test]
async fn a_write_under_a_fault_is_told_truly_and_never_doubled_by_its_key() {
    for (kind, outcome, mended, left) in FAULTS {
        let simulator = start();
        let client = client(simulator.base_url());
        let metadata = Metadata::new();
        let create = async || {
            client
                .create_webhook_endpoint(&key(), &step(1), &new_endpoint(&metadata))
                .await
        };
        admin(
            &simulator,
            "/faults",
            &json!({"kind": kind, "method": "POST"}),
        )
        .await;
        let error = create().await.unwrap_err();
        assert_eq!(error.outcome(), *outcome, "{kind}: {}", error.log_text());
        assert!(error.is_retryable() || error.is_stored_failure(), "{kind}");
        let again = create().await;
        assert_eq!(again.is_ok(), *mended, "{kind}: {again:?}");
        if let Err(error) = again {
            assert!(error.is_stored_failure() && error.is_replayed(), "{kind}");
        }
        let endpoints = client.all_webhook_endpoints(&key()).await.unwrap();
        assert_eq!(endpoints.len(), *left, "{kind}");
    }
}

#[tokio::test]
async fn a_read_under_a_fault_is_unavailable_or_mended_by_itself() {
    for (kind, outcome, ..) in FAULTS {
        let simulator = start();
        let client = client(simulator.base_url());
        admin(
            &simulator,
            "/faults",
            &json!({"kind": kind, "method": "GET"}),
        )
        .await;
        let read = client.all_webhook_endpoints(&key()).await;
        match (*kind, outcome) {
            ("reset_before" | "reset_after", _) => assert!(read.is_ok(), "{kind}: {read:?}"),
            (_, Outcome::Throttled) => assert_eq!(read.unwrap_err().outcome(), Outcome::Throttled),
            _ => assert_eq!(read.unwrap_err().outcome(), Outcome::Unavailable, "{kind}"),
        }
    }
}
