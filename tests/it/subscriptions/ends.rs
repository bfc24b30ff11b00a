//! The end of paid subscriptions.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    SUBSCRIPTIONS, advance, at_stripe, live_at_stripe, order, payer, place, read, shop, subscribe,
    tell, told_of,
};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{SECRET_KEY, Service};

on_both_databases!(
    a_paid_one_ends_at_once,
    it_ends_with_its_period_unless_that_is_taken_back,
    what_stripe_has_ended_already_is_ended,
    ending_a_past_due_one_settles_its_open_invoice,
    what_is_owed_for_one_that_stripe_has_ended_already_goes_too,
    what_is_owed_for_one_that_stripe_has_ended_already_can_be_kept,
    an_open_invoice_can_be_kept,
    the_end_comes_by_the_clock,
    the_same_cancel_is_done_once,
);

const CANCEL: &str = "DELETE /v1/subscriptions/{subscription_exposed_id}";
const READ: &str = "GET /v1/subscriptions/{subscription_exposed_id}";
const VOID: &str = "POST /v1/invoices/{invoice}/void";
const UPDATE: &str = "POST /v1/subscriptions/{subscription_exposed_id}";
const MONTH: i64 = 31 * 86_400;

async fn a_paid_one_ends_at_once(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    service.forget_calls().await;
    let ended = tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(service.calls().await, [CANCEL]);
    assert_eq!(ended["status"], "canceled");
    assert!(ended["ended_at"].is_string() && ended["canceled_at"].is_string());
    assert_eq!(
        ended["access"],
        json!({"decision": "deny", "reason": "canceled", "until": null})
    );
    assert_eq!(ended["stripe"], made["stripe"]);
    assert_eq!(live_at_stripe(&service).await, 0);
    assert_eq!(
        told_of(&service, &made["id"]).await,
        [
            ("subscription.created".to_owned(), 1),
            ("subscription.updated".to_owned(), 2),
        ]
    );
    let again = tell(&service, &made, "cancel", json!({"at": "now"})).await;
    again.problem(409, "subscription_state_conflict");
    subscribe(&service, "paid-0002", order(&customer, "gold"))
        .await
        .expect(201);
}

async fn it_ends_with_its_period_unless_that_is_taken_back(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    service.forget_calls().await;
    let at_end = json!({"at": "period_end"});
    let ending = tell(&service, &made, "cancel", at_end.clone())
        .await
        .expect(200);
    assert_eq!(service.calls().await, [UPDATE]);
    assert_eq!(ending["status"], "active");
    assert_eq!(ending["cancel_at"], made["current_period"]["end"]);
    assert_eq!(ending["access"]["until"], made["current_period"]["end"]);
    assert_eq!(ending["access"]["decision"], "allow");
    assert_eq!(read(&service, &made).await, ending);
    let undone = tell(&service, &made, "undo-cancel", Value::Null)
        .await
        .expect(200);
    assert_eq!(undone["cancel_at"], Value::Null);
    assert_eq!(undone["access"]["until"], Value::Null);
    assert_eq!(
        at_stripe(&service, "subscription").await[0]["cancel_at"],
        Value::Null
    );
    let nothing = tell(&service, &made, "undo-cancel", Value::Null).await;
    nothing.problem(409, "subscription_state_conflict");
    let versions = told_of(&service, &made["id"]).await;
    assert_eq!(versions.last().unwrap().1, 3);
}

async fn what_stripe_has_ended_already_is_ended(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    end_at_stripe(&service, &made).await;
    let ended = tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(ended["status"], "canceled");
    assert!(ended["ended_at"].is_string());
}

/// A subscription whose renewal was declined; we have not heard of it.
async fn past_due(service: &Service) -> (Value, Value) {
    let customer = payer(service, "globex").await;
    let made = subscribe(service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    let bad = service.card("chargeCustomerFail").await;
    let body = json!({"payment_method": bad, "default": true});
    service.save(&customer, "save-bad1", body).await.expect(201);
    advance(service, MONTH + 7_200).await;
    let there = at_stripe(service, "subscription").await.remove(0);
    assert_eq!(there["status"], "past_due");
    let invoice = there["latest_invoice"].clone();
    let open = invoice_at_stripe(service, &invoice).await;
    assert_eq!(open["status"], "open");
    service.forget_calls().await;
    (made, invoice)
}

async fn invoice_at_stripe(service: &Service, id: &Value) -> Value {
    let all = at_stripe(service, "invoice").await;
    all.into_iter()
        .find(|invoice| invoice["id"] == *id)
        .unwrap()
}

/// Somebody ends it in Stripe's dashboard, and we have not heard of it.
async fn end_at_stripe(service: &Service, made: &Value) {
    let id = made["stripe"]["subscription"].as_str().unwrap();
    let url = format!("{}/v1/subscriptions/{id}", service.simulator.base_url());
    let request = service.client.delete(url).bearer_auth(SECRET_KEY);
    Service::answer(request).await.expect(200);
    service.forget_calls().await;
}

/// Ends a subscription that is past due, and sees what that calls at Stripe and what becomes of its invoice.
async fn cancel_past_due(engine: Database, body: Value, ended_there: bool) -> (Vec<String>, Value) {
    let service = shop(engine).await;
    let (made, invoice) = past_due(&service).await;
    if ended_there {
        end_at_stripe(&service, &made).await;
    }
    let ended = tell(&service, &made, "cancel", body).await.expect(200);
    assert_eq!(ended["status"], "canceled");
    let calls = service.calls().await;
    (
        calls,
        invoice_at_stripe(&service, &invoice).await["status"].clone(),
    )
}

async fn ending_a_past_due_one_settles_its_open_invoice(engine: Database) {
    let (calls, invoice) = cancel_past_due(engine, json!({"at": "now"}), false).await;
    assert_eq!(calls, [CANCEL, VOID]);
    assert_eq!(invoice, "void");
}

async fn what_is_owed_for_one_that_stripe_has_ended_already_goes_too(engine: Database) {
    let (calls, invoice) = cancel_past_due(engine, json!({"at": "now"}), true).await;
    assert_eq!(calls, [CANCEL, READ, VOID]);
    assert_eq!(invoice, "void");
}

async fn what_is_owed_for_one_that_stripe_has_ended_already_can_be_kept(engine: Database) {
    let body = json!({"at": "now", "open_invoice": "keep"});
    let (calls, invoice) = cancel_past_due(engine, body, true).await;
    assert_eq!(calls, [CANCEL, READ]);
    assert_eq!(invoice, "open");
}

async fn an_open_invoice_can_be_kept(engine: Database) {
    let body = json!({"at": "now", "open_invoice": "keep"});
    let (calls, invoice) = cancel_past_due(engine, body, false).await;
    assert_eq!(calls, [CANCEL]);
    assert_eq!(invoice, "open");
}

async fn the_end_comes_by_the_clock(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    let at_end = json!({"at": "period_end"});
    tell(&service, &made, "cancel", at_end).await.expect(200);
    let path = format!("{SUBSCRIPTIONS}/{}", made["id"].as_str().unwrap());
    let before = service.get(&path).await;
    let tag = before.header("etag").unwrap().to_owned();
    // Nothing is heard of Stripe any more.
    service.clock.advance_millis(MONTH * 1000);
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-none-match", tag.as_str()),
    ];
    let after = service
        .call_with(Method::GET, &path, &headers, Value::Null)
        .await;
    assert_ne!(after.header("etag"), Some(tag.as_str()));
    let body = after.expect(200);
    assert_eq!(
        body["access"],
        json!({"decision": "deny", "reason": "canceled", "until": null})
    );
    // A writer is held to the version alone.
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-match", tag.as_str()),
    ];
    let patch = json!({"metadata": {"k": "v"}});
    service
        .call_with(Method::PATCH, &path, &headers, patch)
        .await
        .expect(200);
}

async fn the_same_cancel_is_done_once(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "paid-0001", order(&customer, "gold"))
        .await
        .expect(201);
    service.forget_calls().await;
    let path = place(&made, "cancel");
    let first = service
        .post_once(&path, "cancel-01", json!({"at": "now"}))
        .await;
    let text = first.text.clone();
    first.expect(200);
    let again = service
        .post_once(&path, "cancel-01", json!({"at": "now"}))
        .await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status.as_u16(), again.text), (200, text));
    let other = service
        .post_once(&path, "cancel-01", json!({"at": "period_end"}))
        .await;
    other.problem(422, "idempotency_key_reused");
    assert_eq!(service.calls().await, [CANCEL]);
}
