//! Subscriptions whose making came to no end: somebody has to look, and may say that it is over.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_stripe, order, payer, read, shop_with, subscribe, tell};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    what_came_to_no_end_can_be_ended,
    what_has_arrived_unheard_is_ended_there,
    a_retry_that_waits_for_its_turn_is_ended_too,
);

/// Soon in `attention`.
const IMPATIENT: [(&str, &str); 3] = [
    ("operations.max_attempts", "2"),
    ("operations.first_backoff_ms", "1"),
    ("operations.longest_backoff_ms", "1"),
];

/// A subscription whose making is in `attention`, Stripe having answered in this way: its operation
/// and itself.
async fn abandoned(service: &Service, customer: &str, kind: &str) -> (Value, Value) {
    let down = json!({"kind": kind, "method": "POST", "path": "/v1/subscriptions", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;
    let stuck = subscribe(service, "paid-0001", order(customer, "gold")).await;
    let stuck = stuck.expect(202);
    assert_eq!(stuck["status"], "attention", "{stuck}");
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    let subscription = json!({"id": stuck["subject"]});
    assert_eq!(read(service, &subscription).await["status"], "provisioning");
    (stuck, subscription)
}

async fn retry(service: &Service, operation: &Value) -> crate::support::service::Answer {
    let id = operation["id"].as_str().unwrap();
    let path = format!("/v1/portals/acme/operations/{id}/retry");
    service.post(&path, json!({})).await
}

/// The operation cannot be tried again, and its caller hears why.
async fn is_closed(service: &Service, operation: &Value, customer: &str) {
    retry(service, operation)
        .await
        .problem(409, "operation_not_retryable");
    let again = subscribe(service, "paid-0001", order(customer, "gold")).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.code(), "subscription_state_conflict");
}

async fn what_came_to_no_end_can_be_ended(engine: Database) {
    let service = shop_with(engine, &IMPATIENT).await;
    let customer = payer(&service, "globex").await;
    let (stuck, subscription) = abandoned(&service, &customer, "reset_before").await;
    service.forget_calls().await;
    let ended = tell(&service, &subscription, "cancel", json!({"at": "now"})).await;
    assert_eq!(ended.expect(200)["status"], "canceled");
    assert_eq!(service.calls().await, ["GET /v1/subscriptions"]);
    // Tried again it would be made, and charged for.
    is_closed(&service, &stuck, &customer).await;
    assert_eq!(at_stripe(&service, "subscription").await.len(), 0);
    assert_eq!(at_stripe(&service, "charge").await.len(), 0);
    subscribe(&service, "paid-0002", order(&customer, "gold"))
        .await
        .expect(201);
}

async fn what_has_arrived_unheard_is_ended_there(engine: Database) {
    let service = shop_with(engine, &IMPATIENT).await;
    let customer = payer(&service, "globex").await;
    let (stuck, subscription) = abandoned(&service, &customer, "reset_after").await;
    let ended = tell(&service, &subscription, "cancel", json!({"at": "now"})).await;
    assert_eq!(ended.expect(200)["status"], "canceled");
    is_closed(&service, &stuck, &customer).await;
    let there = at_stripe(&service, "subscription").await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0]["status"], "canceled");
    assert_eq!(at_stripe(&service, "charge").await.len(), 1);
}

async fn a_retry_that_waits_for_its_turn_is_ended_too(engine: Database) {
    let service = shop_with(engine, &IMPATIENT).await;
    let customer = payer(&service, "globex").await;
    let (stuck, subscription) = abandoned(&service, &customer, "reset_before").await;
    // The cancel has the turn while it looks; whoever retries then waits behind it.
    let slow = json!({"kind": "slow_before", "method": "GET", "path": "/v1/subscriptions", "delay_ms": 500});
    service.simulator(Method::POST, "/faults", slow).await;
    let canceling = tell(&service, &subscription, "cancel", json!({"at": "now"}));
    let retrying = async {
        let canceling = "/v1/portals/acme/operations?kind=cancel_subscription";
        while service.get(canceling).await.expect(200)["data"] == json!([]) {}
        retry(&service, &stuck).await.expect(202)
    };
    let (ended, _) = futures_util::future::join(canceling, retrying).await;
    assert_eq!(ended.expect(200)["status"], "canceled");
    is_closed(&service, &stuck, &customer).await;
    assert_eq!(at_stripe(&service, "subscription").await.len(), 0);
    assert_eq!(at_stripe(&service, "charge").await.len(), 0);
}
