//! Many requests at once.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    SUBSCRIPTIONS, at_stripe, live_at_stripe, order, payer, place, shop, subscribe, told, with,
};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    of_fifty_alike_one_succeeds,
    fifty_first_subscriptions_make_one_customer,
    one_key_makes_one_subscription,
    a_cancel_that_races_the_making_wins,
);

async fn of_fifty_alike_one_succeeds(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let calls = (0..50).map(|number| {
        let (service, customer) = (&service, &customer);
        async move {
            let key = format!("race-{number:04}");
            subscribe(service, &key, order(customer, "gold")).await
        }
    });
    let answers = join_all(calls).await;
    let made = answers
        .iter()
        .filter(|answer| answer.status.as_u16() == 201)
        .count();
    assert_eq!(made, 1);
    for answer in answers {
        if answer.status.as_u16() != 201 {
            answer.problem(409, "subscription_exists");
        }
    }
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
    assert_eq!(at_stripe(&service, "invoice").await.len(), 1);
}

async fn fifty_first_subscriptions_make_one_customer(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let settings = json!({"enabled": true, "settings": {"one_trial_per_customer": false}});
    service
        .put("/v1/portals/acme/modules/stripe", settings)
        .await
        .expect(200);
    let calls = (0..50).map(|number| {
        let service = &service;
        async move {
            let body = with(
                order("ext:globex", "taste"),
                "application",
                format!("a-{number}"),
            );
            let bearer = service.bearer();
            let key = format!("race-{number:04}");
            let headers = [
                ("authorization", bearer.as_str()),
                ("idempotency-key", key.as_str()),
                ("prefer", "wait=30"),
            ];
            service
                .call_with(Method::POST, SUBSCRIPTIONS, &headers, body)
                .await
        }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.expect(201)["status"], "trialing");
    }
    assert_eq!(at_stripe(&service, "customer").await.len(), 1);
    assert_eq!(live_at_stripe(&service).await, 50);
}

async fn one_key_makes_one_subscription(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let calls = (0..20).map(|_| subscribe(&service, "same-0001", order(&customer, "gold")));
    let mut texts = Vec::new();
    for answer in join_all(calls).await {
        match answer.status.as_u16() {
            201 => texts.push(answer.text),
            _ => drop(answer.problem(409, "idempotency_in_progress")),
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
}

/// C29: whatever comes first, there is no live subscription after a cancel that was accepted.
async fn a_cancel_that_races_the_making_wins(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let slow = json!({
        "kind": "slow_before", "method": "POST", "path": "/v1/subscriptions",
        "delay_ms": 700, "times": 0,
    });
    service.simulator(Method::POST, "/faults", slow).await;
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "race-0001"),
        ("prefer", "wait=0"),
    ];
    let body = order(&customer, "gold");
    let begun = service
        .call_with(Method::POST, SUBSCRIPTIONS, &headers, body)
        .await;
    let operation = begun.expect(202);
    let subject = json!({"id": operation["subject"]});
    let seen = service
        .get(&format!(
            "{SUBSCRIPTIONS}/{}",
            subject["id"].as_str().unwrap()
        ))
        .await;
    let seen = seen.expect(200);
    assert_eq!(seen["status"], "provisioning");
    assert_eq!(seen["access"]["decision"], "deny");
    let patch = json!({"metadata": {"k": "v"}});
    let path = format!("{SUBSCRIPTIONS}/{}", subject["id"].as_str().unwrap());
    let early = service.call(Method::PATCH, &path, patch).await;
    early.problem(409, "operation_pending");
    let canceled = service
        .post(&place(&subject, "cancel"), json!({"at": "now"}))
        .await;
    let canceled: Value = canceled.expect(200);
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(live_at_stripe(&service).await, 0);
    let sequence: Vec<i64> = told(&service)
        .await
        .into_iter()
        .filter(|event| event.subject == subject["id"].as_str().unwrap())
        .map(|event| event.seq)
        .collect();
    assert_eq!(sequence, [1, 2]);
    let path = format!(
        "/v1/portals/acme/operations/{}",
        operation["id"].as_str().unwrap()
    );
    assert_eq!(service.get(&path).await.expect(200)["status"], "succeeded");
}
