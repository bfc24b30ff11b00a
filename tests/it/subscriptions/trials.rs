//! Trials: with and without a payment method, and one for each customer.

use serde_json::{Value, json};

use super::{
    CREATE, CREATE_CUSTOMER, at_stripe, order, payer, read, shop, subscribe, tell, told, with,
};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_trial_begins_without_a_charge,
    a_trial_may_begin_without_a_payment_method,
    a_trial_can_be_left_out,
    a_customer_has_one_trial,
    a_portal_may_give_more_trials,
);

const DAY_MS: i64 = 86_400_000;

async fn a_trial_begins_without_a_charge(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let before = service.clock.now();
    let made = subscribe(&service, "trial-001", order(&customer, "trial"))
        .await
        .expect(201);
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(made["status"], "trialing");
    assert_eq!(made["access"]["decision"], "allow");
    assert_eq!(made["access"]["reason"], "trialing");
    assert_eq!(made["access"]["until"], made["trial_end"]);
    let end = made["trial_end"].as_str().unwrap();
    let end = portal_billing::clock::Timestamp::parse_rfc3339(end).unwrap();
    assert!(
        (end.millis_since(before) - 14 * DAY_MS).abs() < 60_000,
        "{made}"
    );
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(there["status"], "trialing");
    let invoices = at_stripe(&service, "invoice").await;
    assert!(
        invoices.iter().all(|invoice| invoice["amount_due"] == 0),
        "{invoices:?}"
    );
    // Without a way to pay it does not begin.
    service.customer("initech").await;
    let refused = subscribe(&service, "trial-002", order("ext:initech", "trial")).await;
    refused.problem(409, "payment_method_required");
}

async fn a_trial_may_begin_without_a_payment_method(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    service.forget_calls().await;
    let made = subscribe(&service, "taste-001", order("ext:globex", "taste"))
        .await
        .expect(201);
    assert_eq!(service.calls().await, [CREATE_CUSTOMER, CREATE]);
    assert_eq!(made["status"], "trialing");
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(
        there["trial_settings"]["end_behavior"]["missing_payment_method"],
        "cancel"
    );
    // The consumer may save a card for what follows.
    let action = &made["action"];
    assert_eq!(action["type"], "authenticate_setup");
    let secret = action["client_secret"].as_str().unwrap();
    assert!(
        secret.starts_with("seti_") && secret.contains("_secret_"),
        "{secret}"
    );
    assert_eq!(read(&service, &made).await["action"], *action);
    let told = told(&service).await;
    let of_it = told
        .iter()
        .filter(|event| event.event_type == "subscription.created");
    for event in of_it {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["action"]["client_secret"], Value::Null);
        assert_eq!(data["action"]["type"], "authenticate_setup");
    }
    assert!(told.iter().all(|event| !event.data.contains(secret)));
}

async fn a_trial_can_be_left_out(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let body = with(order(&customer, "trial"), "trial", false);
    let made = subscribe(&service, "trial-001", body).await.expect(201);
    assert_eq!(
        (&made["status"], &made["trial_end"]),
        (&json!("active"), &Value::Null)
    );
    let invoice = &at_stripe(&service, "invoice").await[0];
    assert_eq!(invoice["total"], 2000);
    // Then it costs money at once.
    service.customer("initech").await;
    let body = with(order("ext:initech", "taste"), "trial", false);
    let refused = subscribe(&service, "trial-002", body).await;
    refused.problem(409, "payment_method_required");
}

async fn a_customer_has_one_trial(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let first = subscribe(&service, "trial-001", order(&customer, "trial"))
        .await
        .expect(201);
    service.forget_calls().await;
    let again = |application: &str| with(order(&customer, "taste"), "application", application);
    let refused = subscribe(&service, "trial-002", again("two")).await;
    refused.problem(409, "trial_used");
    tell(&service, &first, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    service.forget_calls().await;
    let refused = subscribe(&service, "trial-003", again("three")).await;
    refused.problem(409, "trial_used");
    assert_eq!(service.calls().await, Vec::<String>::new());
    let paid = with(again("four"), "trial", false);
    let made = subscribe(&service, "trial-004", paid).await.expect(201);
    assert_eq!(made["status"], "active");
    // Another customer has its own.
    let other = payer(&service, "initech").await;
    subscribe(&service, "trial-005", order(&other, "trial"))
        .await
        .expect(201);
}

async fn a_portal_may_give_more_trials(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let settings = json!({"enabled": true, "settings": {"one_trial_per_customer": false}});
    service
        .put("/v1/portals/acme/modules/stripe", settings)
        .await
        .expect(200);
    for application in ["one", "two"] {
        let body = with(order(&customer, "trial"), "application", application);
        let made = subscribe(&service, &format!("trial-{application}"), body)
            .await
            .expect(201);
        assert_eq!(made["status"], "trialing");
    }
}
