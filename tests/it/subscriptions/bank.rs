//! 3-D Secure: the subscription is incomplete, and what is left to do is said.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CREATE, at_stripe, live_at_stripe, order, payer, read, shop, subscribe, tell, told, told_of,
    with,
};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_bank_that_wants_to_see_the_consumer_leaves_it_incomplete,
    an_incomplete_one_is_one_subscription_and_can_be_ended,
    the_action_survives_a_lost_answer,
);

async fn incomplete(service: &crate::support::service::Service) -> Value {
    let customer = payer(service, "globex").await;
    let card = service.card("authenticationRequired").await;
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "payment_method", card);
    subscribe(service, "bank-0001", body).await.expect(201)
}

async fn a_bank_that_wants_to_see_the_consumer_leaves_it_incomplete(engine: Database) {
    let service = shop(engine).await;
    let made = incomplete(&service).await;
    assert_eq!(
        service.calls().await,
        [
            "POST /v1/payment_methods/{payment_method}/attach",
            CREATE,
            CREATE
        ]
    );
    assert_eq!(made["status"], "incomplete");
    assert_eq!(
        made["access"],
        json!({"decision": "deny", "reason": "incomplete", "until": null})
    );
    let action = &made["action"];
    assert_eq!(action["type"], "authenticate");
    let secret = action["client_secret"].as_str().unwrap();
    assert!(
        secret.starts_with("pi_") && secret.contains("_secret_"),
        "{secret}"
    );
    assert!(
        action["url"].as_str().unwrap().starts_with("http"),
        "{action}"
    );
    assert_eq!(read(&service, &made).await, made);
    // One subscription at Stripe, and no charge yet.
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
    assert_eq!(
        told_of(&service, &made["id"]).await,
        [("subscription.created".to_owned(), 1)]
    );
    // The secret is nowhere but in answers.
    assert!(
        told(&service)
            .await
            .iter()
            .all(|event| !event.data.contains(secret))
    );
    // The consumer completes it with the bank: Stripe has it active.
    let intent = secret.split("_secret_").next().unwrap();
    let approve = format!("/bank/{intent}/approve");
    service.simulator(Method::POST, &approve, json!({})).await;
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(there["status"], "active");
    // The same request again is the same answer, secret and all.
    let again = super::subscribe(
        &service,
        "bank-0001",
        with(
            order(made["customer"].as_str().unwrap(), "gold"),
            "payment_method",
            "pm_other",
        ),
    )
    .await;
    again.problem(422, "idempotency_key_reused");
}

async fn an_incomplete_one_is_one_subscription_and_can_be_ended(engine: Database) {
    let service = shop(engine).await;
    let made = incomplete(&service).await;
    let customer = made["customer"].as_str().unwrap();
    let second = subscribe(&service, "bank-0002", order(customer, "gold")).await;
    second.problem(409, "subscription_exists");
    let later = tell(&service, &made, "cancel", json!({"at": "period_end"})).await;
    later.problem(409, "subscription_state_conflict");
    let ended = tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(ended["status"], "expired");
    assert_eq!(ended["action"], Value::Null);
    assert_eq!(ended["access"]["reason"], "expired");
    assert_eq!(live_at_stripe(&service).await, 0);
    let invoices = at_stripe(&service, "invoice").await;
    assert!(
        invoices.iter().all(|invoice| invoice["status"] == "void"),
        "{invoices:?}"
    );
    subscribe(&service, "bank-0003", order(customer, "gold"))
        .await
        .expect(201);
    assert_eq!(live_at_stripe(&service).await, 1);
}

/// A stored failure hides the answer: the subscription is found in a list, which does not show how to
/// finish it, so that it is read once more.
async fn the_action_survives_a_lost_answer(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let card = service.card("authenticationRequired").await;
    let fault = json!({
        "kind": "error_after", "method": "POST", "path": "/v1/subscriptions", "nth": 2,
    });
    service.simulator(Method::POST, "/faults", fault).await;
    service.forget_calls().await;
    let body = with(order(&customer, "gold"), "payment_method", card);
    let made = subscribe(&service, "bank-0001", body).await.expect(201);
    assert_eq!(
        service.calls().await,
        [
            "POST /v1/payment_methods/{payment_method}/attach",
            CREATE,
            CREATE,
            "GET /v1/subscriptions",
            "GET /v1/subscriptions/{subscription_exposed_id}",
        ]
    );
    assert_eq!(made["status"], "incomplete");
    let secret = made["action"]["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("pi_"), "{secret}");
    assert!(made["action"]["url"].is_string());
    assert_eq!(at_stripe(&service, "subscription").await.len(), 1);
}
