//! A Customer whose making was given up without an answer may be at Stripe all the same: whatever comes
//! next finds it, and makes no second one.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::{CUSTOMERS, customer};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_customer_that_came_to_be_unheard_is_found_by_what_comes_next,
    a_customer_that_never_came_to_be_is_made_once,
    a_subscription_finds_it_too_and_is_paid_with_its_own_card,
);

const GLOBEX: &str = "/v1/portals/acme/customers/ext:globex";

/// Soon in `attention`.
const IMPATIENT: [(&str, &str); 3] = [
    ("operations.max_attempts", "2"),
    ("operations.first_backoff_ms", "1"),
    ("operations.longest_backoff_ms", "1"),
];

/// A portal with a customer, and an operation of it that was given up while saving this card, since the
/// connection broke off in this way whenever the Customer was made.
async fn given_up(engine: Database, kind: &str, card: &str) -> (Service, Value) {
    let service = Service::start_with(engine, &IMPATIENT).await;
    service.with_billing().await;
    service
        .post(CUSTOMERS, customer("globex"))
        .await
        .expect(201);
    let down = json!({"kind": kind, "method": "POST", "path": "/v1/customers", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;
    let method = service.card(card).await;
    let body = json!({"payment_method": method, "default": true});
    let stuck = service
        .save("ext:globex", "save-0001", body)
        .await
        .expect(202);
    assert_eq!(stuck["status"], "attention", "{stuck}");
    assert_eq!(stuck["step"], "create_customer");
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
    (service, stuck)
}

async fn retried(service: &Service, operation: &Value) -> Value {
    let path = format!(
        "/v1/portals/acme/operations/{}",
        operation["id"].as_str().unwrap()
    );
    service
        .post(&format!("{path}/retry"), json!({}))
        .await
        .expect(202);
    let over = async {
        loop {
            let operation = service.get(&path).await.expect(200);
            if operation["status"] != "running" {
                return operation;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), over)
        .await
        .unwrap()
}

async fn brands(service: &Service) -> Vec<String> {
    let path = format!("{GLOBEX}/payment-methods");
    let list = service.get(&path).await.expect(200);
    let all = list["data"].as_array().unwrap().iter();
    let mut all: Vec<String> = all
        .map(|it| it["card"]["brand"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    all
}

/// The one Customer there is, which is the customer's.
async fn the_one(service: &Service) -> Value {
    let all = service.objects_at_stripe("customer").await;
    assert_eq!(all.len(), 1, "{all:?}");
    let shown = service.get(GLOBEX).await.expect(200);
    assert_eq!(shown["stripe"]["customer"], all[0]["id"], "{shown}");
    all[0].clone()
}

async fn a_customer_that_came_to_be_unheard_is_found_by_what_comes_next(engine: Database) {
    let (service, stuck) = given_up(engine, "reset_after", "visa").await;
    let method = service.card("mastercard").await;
    let body = json!({"payment_method": method, "default": true});
    let saved = service
        .save("ext:globex", "save-0002", body)
        .await
        .expect(201);
    assert_eq!(saved["card"]["brand"], "mastercard", "{saved}");
    the_one(&service).await;

    // What was given up goes on with the same Customer.
    let over = retried(&service, &stuck).await;
    assert_eq!(over["status"], "succeeded", "{over}");
    the_one(&service).await;
    assert_eq!(brands(&service).await, ["mastercard", "visa"]);
}

async fn a_customer_that_never_came_to_be_is_made_once(engine: Database) {
    let (service, stuck) = given_up(engine, "reset_before", "visa").await;
    assert_eq!(service.objects_at_stripe("customer").await.len(), 0);
    let path = format!("{GLOBEX}/setup-intents");
    service.post(&path, json!({})).await.expect(201);
    let own = the_one(&service).await;
    // Its key has made nothing, and would make a second one now.
    let over = retried(&service, &stuck).await;
    assert_eq!(over["status"], "succeeded", "{over}");
    assert_eq!(the_one(&service).await["id"], own["id"]);
    assert_eq!(brands(&service).await, ["visa"]);
    let shown = service.get(GLOBEX).await.expect(200);
    assert!(shown["default_payment_method"].is_string(), "{shown}");
}

async fn a_subscription_finds_it_too_and_is_paid_with_its_own_card(engine: Database) {
    let (service, stuck) = given_up(engine, "reset_after", "visa").await;
    let price = json!({"amount": 1500, "currency": "usd"});
    let monthly = json!({"unit": "month", "count": 1});
    let plan = json!({
        "id": "gold", "title": "Gold",
        "pricing": {"model": "flat", "price": price, "interval": monthly},
    });
    let product = json!({
        "title": "Weather", "version": "1.0.0", "state": "published", "plans": [plan],
    });
    let path = "/v1/portals/acme/products/weather";
    service.put(path, product).await.expect(201);
    let method = service.card("mastercard").await;
    let order = json!({
        "customer": "ext:globex", "product": "weather", "plan": "gold", "payment_method": method,
    });
    let path = "/v1/portals/acme/subscriptions";
    let made = service
        .post_once(path, "order-0001", order)
        .await
        .expect(201);
    assert_eq!(made["status"], "active", "{made}");
    the_one(&service).await;
    let at_stripe = service.objects_at_stripe("subscription").await;
    assert_eq!(at_stripe.len(), 1);
    assert_eq!(at_stripe[0]["default_payment_method"], method);
    let over = retried(&service, &stuck).await;
    assert_eq!(over["status"], "succeeded", "{over}");
    the_one(&service).await;
    assert_eq!(brands(&service).await, ["mastercard", "visa"]);
    assert_eq!(service.objects_at_stripe("charge").await.len(), 1);
}
