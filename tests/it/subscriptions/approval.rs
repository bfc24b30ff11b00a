//! Approval before anything is charged.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    CREATE, CREATE_CUSTOMER, SUBSCRIPTIONS, at_stripe, order, payer, place, plans, read, shop,
    subscribe, tell, told_of, with,
};
use crate::support::billing::PORTAL;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    nothing_is_charged_before_somebody_approves,
    what_was_asked_for_is_kept_until_it_is_approved,
    a_free_one_is_active_when_approved,
    a_rejected_one_is_over,
    a_declined_one_waits_again,
    a_changed_price_is_not_approved,
    a_request_can_be_taken_back,
    only_operators_decide,
);

async fn nothing_is_charged_before_somebody_approves(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "board-001", order(&customer, "board"))
        .await
        .expect(201);
    assert_eq!(made["status"], "pending_approval");
    assert_eq!(
        made["access"],
        json!({"decision": "deny", "reason": "pending_approval", "until": null})
    );
    assert_eq!(service.calls().await, Vec::<String>::new());
    let again = subscribe(&service, "board-002", order(&customer, "gold")).await;
    again.problem(409, "subscription_exists");
    let approved = tell(&service, &made, "approve", Value::Null)
        .await
        .expect(200);
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(
        (&approved["status"], &approved["id"]),
        (&json!("active"), &made["id"])
    );
    assert_eq!(read(&service, &made).await, approved);
    assert_eq!(
        told_of(&service, &made["id"]).await,
        [
            ("subscription.created".to_owned(), 1),
            ("subscription.updated".to_owned(), 2),
            ("subscription.updated".to_owned(), 3),
        ]
    );
    for verb in ["approve", "reject"] {
        let twice = tell(&service, &made, verb, Value::Null).await;
        twice.problem(409, "subscription_state_conflict");
    }
    assert_eq!(service.calls().await, [CREATE]);
    assert_eq!(at_stripe(&service, "invoice").await[0]["total"], 9900);
}

async fn what_was_asked_for_is_kept_until_it_is_approved(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let card = service.card("visa").await;
    service.forget_calls().await;
    let body = with(
        order("ext:globex", "board"),
        "payment_method",
        card.as_str(),
    );
    let made = subscribe(&service, "board-001", body).await.expect(201);
    assert_eq!(service.calls().await, Vec::<String>::new());
    let approved = tell(&service, &made, "approve", json!({}))
        .await
        .expect(200);
    assert_eq!(service.calls().await, [CREATE_CUSTOMER, CREATE]);
    assert_eq!(approved["status"], "active");
    let there = &at_stripe(&service, "subscription").await[0];
    assert_eq!(there["default_payment_method"], card.as_str());
    // A code that does not exist is found out then; it can be rejected, and asked for again.
    let customer = payer(&service, "initech").await;
    let body = with(order(&customer, "board"), "promotion_code", "NOTHING");
    let made = subscribe(&service, "board-002", body).await.expect(201);
    let refused = tell(&service, &made, "approve", Value::Null).await;
    refused.problem(422, "promotion_code_invalid");
    assert_eq!(read(&service, &made).await["status"], "pending_approval");
}

async fn a_free_one_is_active_when_approved(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let made = subscribe(&service, "club-0001", order("ext:globex", "club"))
        .await
        .expect(201);
    assert_eq!(made["status"], "pending_approval");
    let approved = tell(&service, &made, "approve", Value::Null)
        .await
        .expect(200);
    assert_eq!(approved["status"], "active");
    assert_eq!(approved["access"]["reason"], "free");
}

async fn a_rejected_one_is_over(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "board-001", order(&customer, "board"))
        .await
        .expect(201);
    let rejected = tell(&service, &made, "reject", Value::Null)
        .await
        .expect(200);
    assert_eq!(rejected["status"], "rejected");
    assert!(rejected["ended_at"].is_string());
    for verb in ["approve", "reject", "undo-cancel"] {
        let late = tell(&service, &made, verb, Value::Null).await;
        late.problem(409, "subscription_state_conflict");
    }
    assert_eq!(service.calls().await, Vec::<String>::new());
    // It does not stand in the way.
    subscribe(&service, "board-002", order(&customer, "board"))
        .await
        .expect(201);
}

async fn a_declined_one_waits_again(engine: Database) {
    let service = shop(engine).await;
    let customer = service.customer("globex").await;
    let id = customer["id"].as_str().unwrap();
    let card = service.card("chargeCustomerFail").await;
    service
        .save(id, "save-0001", json!({"payment_method": card}))
        .await
        .expect(201);
    let made = subscribe(&service, "board-001", order(id, "board"))
        .await
        .expect(201);
    let approve = place(&made, "approve");
    let declined = service.post_once(&approve, "approve-1", json!({})).await;
    declined.problem(402, "payment_declined");
    assert_eq!(read(&service, &made).await["status"], "pending_approval");
    assert_eq!(at_stripe(&service, "subscription").await.len(), 0);
    let again = service.post_once(&approve, "approve-1", json!({})).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.expect(402)["code"], "payment_declined");
    let card = service.card("visa").await;
    let good = json!({"payment_method": card, "default": true});
    service.save(id, "save-0002", good).await.expect(201);
    let approved = service
        .post_once(&approve, "approve-2", json!({}))
        .await
        .expect(200);
    assert_eq!(approved["status"], "active");
    let told = told_of(&service, &made["id"]).await;
    assert_eq!(
        told.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
}

async fn a_changed_price_is_not_approved(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "board-001", order(&customer, "board"))
        .await
        .expect(201);
    let mut plans = plans();
    plans[3]["pricing"]["price"]["amount"] = json!(19900);
    super::publish(&service, "weather", plans).await;
    let refused = tell(&service, &made, "approve", Value::Null).await;
    refused.problem(409, "plan_unavailable");
    tell(&service, &made, "reject", Value::Null)
        .await
        .expect(200);
}

async fn a_request_can_be_taken_back(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "board-001", order(&customer, "board"))
        .await
        .expect(201);
    let taken = tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(taken["status"], "canceled");
    let late = tell(&service, &made, "approve", Value::Null).await;
    late.problem(409, "subscription_state_conflict");
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn only_operators_decide(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let body = order("ext:globex", "club");
    let made = service
        .call_bound("globex", Method::POST, SUBSCRIPTIONS, body)
        .await
        .expect(201);
    for verb in ["approve", "reject"] {
        let path = place(&made, verb);
        let refused = service
            .call_bound("globex", Method::POST, &path, Value::Null)
            .await;
        refused.problem(403, "organization_bound");
    }
    let path = format!(
        "/v1/portals/other/subscriptions/{}/approve",
        made["id"].as_str().unwrap()
    );
    service.configured_portal("other").await;
    service
        .post(&path, Value::Null)
        .await
        .problem(404, "not_found");
    // What was read is what is decided on.
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("if-match", "\"1-1\"")];
    let path = place(&made, "approve");
    let stale = service
        .call_with(Method::POST, &path, &headers, Value::Null)
        .await;
    stale.problem(412, "precondition_failed");
    let tag = service
        .get(&format!(
            "/v1/portals/{PORTAL}/subscriptions/{}",
            made["id"].as_str().unwrap()
        ))
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-match", tag.as_str()),
    ];
    service
        .call_with(Method::POST, &path, &headers, Value::Null)
        .await
        .expect(200);
}
