//! Stripe in trouble while a subscription is made.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    SUBSCRIPTIONS, at_stripe, order, payer, place, read, shop, shop_with, subscribe, told, told_of,
};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    an_outage_is_waited_out_and_nothing_is_done_twice,
    whatever_stripe_answers_there_is_one_subscription,
    a_404_without_an_error_is_no_success,
    a_revoked_key_is_said_and_leaves_nothing,
    the_making_goes_on_after_a_restart,
    a_cancel_is_waited_out_too,
);

/// How often a fault was met.
async fn happened(service: &Service) -> u64 {
    let faults = service.simulator(Method::GET, "/faults", Value::Null).await;
    let rules = faults["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|rule| rule["hits"].as_u64().unwrap())
        .sum()
}

async fn until_over(service: &Service, operation: &Value) -> Value {
    let path = format!(
        "/v1/portals/acme/operations/{}",
        operation["id"].as_str().unwrap()
    );
    for _ in 0..300 {
        let seen = service.get(&path).await.expect(200);
        if seen["status"] != "running" {
            return seen;
        }
        // Asleep, because only the service's own loop makes it go on; and its clock has to pass
        // what it waits for.
        service.clock.advance_millis(500);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{operation} does not end");
}

async fn begin(service: &Service, key: &str, body: Value) -> Value {
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", key),
        ("prefer", "wait=0"),
    ];
    let begun = service
        .call_with(Method::POST, SUBSCRIPTIONS, &headers, body)
        .await;
    let location = begun.header("location").unwrap().to_owned();
    let operation = begun.expect(202);
    assert!(location.ends_with(operation["id"].as_str().unwrap()));
    operation
}

async fn an_outage_is_waited_out_and_nothing_is_done_twice(engine: Database) {
    let service = shop_with(engine, &[("operations.poll_ms", "10")]).await;
    let customer = payer(&service, "globex").await;
    let down = json!({"kind": "reset_before", "path": "/v1/*", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;
    let operation = begin(&service, "paid-0001", order(&customer, "gold")).await;
    assert_eq!(operation["kind"], "create_subscription");
    let subject = json!({"id": operation["subject"]});
    assert_eq!(read(&service, &subject).await["status"], "provisioning");
    let in_progress = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    in_progress.problem(409, "idempotency_in_progress");
    let other = subscribe(&service, "paid-0002", order(&customer, "gold")).await;
    other.problem(409, "subscription_exists");
    let told_so_far = told(&service).await;
    assert!(
        told_so_far
            .iter()
            .all(|event| !event.event_type.starts_with("subscription."))
    );
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    let over = until_over(&service, &operation).await;
    assert_eq!(over["status"], "succeeded");
    assert_eq!(read(&service, &subject).await["status"], "active");
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
    assert_eq!(at_stripe(&service, "invoice").await.len(), 1);
    assert_eq!(told_of(&service, &subject["id"]).await.len(), 1);
    let replayed = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.expect(201)["id"], subject["id"]);
}

async fn whatever_stripe_answers_there_is_one_subscription(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    for (number, kind) in [
        "rate_limit",
        "lock_timeout",
        "conflict",
        "error_before",
        "error_after",
        "bad_gateway_before",
        "bad_gateway_after",
        "reset_before",
        "reset_after",
        "truncated_body",
        "not_json",
    ]
    .into_iter()
    .enumerate()
    {
        service.fault(kind, "POST", "/v1/subscriptions").await;
        let body = super::with(order(&customer, "gold"), "application", kind);
        let made = subscribe(&service, &format!("paid-{kind}"), body).await;
        let made = made.expect(201);
        assert_eq!(made["status"], "active", "{kind}");
        let there = at_stripe(&service, "subscription").await;
        assert_eq!(there.len(), number + 1, "{kind}");
        assert_eq!(
            at_stripe(&service, "invoice").await.len(),
            number + 1,
            "{kind}"
        );
        assert_eq!(told_of(&service, &made["id"]).await.len(), 1, "{kind}");
        service
            .simulator(Method::DELETE, "/faults", Value::Null)
            .await;
    }
}

async fn a_404_without_an_error_is_no_success(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    service
        .fault("not_found_plain", "POST", "/v1/subscriptions")
        .await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    assert_eq!(made["status"], "active");
    assert_eq!(happened(&service).await, 1);
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
    // Nor is it the end of one.
    let path = "/v1/subscriptions/{subscription_exposed_id}";
    service.fault("not_found_plain", "DELETE", path).await;
    let ended = service
        .post(&place(&made, "cancel"), json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(ended["status"], "canceled");
    assert_eq!(
        at_stripe(&service, "subscription").await[0]["status"],
        "canceled"
    );
}

async fn a_revoked_key_is_said_and_leaves_nothing(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let key = json!({"key": crate::support::service::SECRET_KEY});
    service
        .simulator(Method::POST, "/keys/revoke", key.clone())
        .await;
    let refused = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    refused.problem(424, "stripe_credentials_invalid");
    assert_eq!(
        service.get(SUBSCRIPTIONS).await.expect(200)["data"],
        json!([])
    );
    service.simulator(Method::POST, "/keys", key).await;
    // That was no answer to be kept: the same key does the work now.
    subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
}

async fn the_making_goes_on_after_a_restart(engine: Database) {
    let mut service = shop_with(engine, &[("operations.poll_ms", "10")]).await;
    let customer = payer(&service, "globex").await;
    let down = json!({"kind": "reset_after", "path": "/v1/subscriptions", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;
    let operation = begin(&service, "paid-0001", order(&customer, "gold")).await;
    service.stop();
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    service.clock.advance_millis(20_000);
    service.run().await;
    let over = until_over(&service, &operation).await;
    assert_eq!(over["status"], "succeeded");
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
    let replayed = subscribe(&service, "paid-0001", order(&customer, "gold")).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(replayed.expect(201)["status"], "active");
}

async fn a_cancel_is_waited_out_too(engine: Database) {
    let service = shop_with(engine, &[("operations.poll_ms", "10")]).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    let down = json!({"kind": "reset_after", "path": "/v1/*", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
    let path = place(&made, "cancel");
    let begun = service
        .call_with(Method::POST, &path, &headers, json!({"at": "now"}))
        .await;
    let operation = begun.expect(202);
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    assert_eq!(
        until_over(&service, &operation).await["status"],
        "succeeded"
    );
    let ended = read(&service, &made).await;
    assert_eq!(ended["status"], "canceled");
    assert_eq!(
        at_stripe(&service, "subscription").await[0]["status"],
        "canceled"
    );
}
