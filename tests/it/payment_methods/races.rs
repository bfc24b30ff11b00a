//! Many at once, and faults at every step: one customer at Stripe, one payment method, one default.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Answer, Service};

on_both_databases!(
    fifty_first_uses_make_one_customer,
    fifty_times_the_same_method_is_one,
    a_fault_at_any_step_is_not_seen,
    a_lost_answer_of_an_old_step_is_looked_for,
);

/// Settings with which nothing is waited for long.
const FAST: &[(&str, &str)] = &[
    ("operations.first_backoff_ms", "5"),
    ("stripe.test_calls_per_second", "10000"),
    ("stripe.endpoint_calls_per_second", "10000"),
];

async fn billing(engine: Database) -> Service {
    let service = Service::start_with(engine, FAST).await;
    service.with_billing().await;
    service.customer("globex").await;
    service
}

/// A POST that is waited for as long as can be asked for: fifty of them stand in one line.
async fn patiently(service: &Service, path: &str, key: &str, body: Value) -> Answer {
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", key),
        ("prefer", "wait=30"),
    ];
    service.call_with(Method::POST, path, &headers, body).await
}

async fn fifty_first_uses_make_one_customer(engine: Database) {
    let service = billing(engine).await;
    let cards = join_all((0..25).map(|_| service.card("visa"))).await;
    let globex = format!("{CUSTOMERS}/ext:globex");
    let first_uses = (0..50).map(|n| {
        let (service, globex, cards) = (&service, &globex, &cards);
        async move {
            let (route, body) = match cards.get(n) {
                Some(card) => ("payment-methods", json!({"payment_method": card})),
                None => ("setup-intents", json!({})),
            };
            let path = format!("{globex}/{route}");
            patiently(service, &path, &format!("first-{n:04}"), body).await
        }
    });
    for answer in join_all(first_uses).await {
        answer.expect(201);
    }
    let customers = service.objects_at_stripe("customer").await;
    assert_eq!(customers.len(), 1, "{customers:?}");
    assert_eq!(service.objects_at_stripe("setup_intent").await.len(), 25);
    let attached = service.objects_at_stripe("payment_method").await;
    assert_eq!(attached.len(), 25);
    assert!(
        attached
            .iter()
            .all(|it| it["customer"] == customers[0]["id"])
    );
    let page = format!("{CUSTOMERS}/ext:globex/payment-methods?limit=100");
    let list = service.get(&page).await.expect(200);
    let listed = list["data"].as_array().unwrap();
    assert_eq!(listed.len(), 25);
    let defaults: Vec<_> = listed.iter().filter(|it| it["default"] == true).collect();
    assert_eq!(defaults.len(), 1);
    assert_eq!(
        customers[0]["invoice_settings"]["default_payment_method"],
        defaults[0]["stripe"]["payment_method"]
    );
}

async fn fifty_times_the_same_method_is_one(engine: Database) {
    let service = billing(engine).await;
    let card = service.card("visa").await;
    let saves = (0..50).map(|n| {
        let (service, card) = (&service, &card);
        async move {
            let path = format!("{CUSTOMERS}/ext:globex/payment-methods");
            let key = format!("save-{n:04}");
            patiently(service, &path, &key, json!({"payment_method": card})).await
        }
    });
    let mut created = 0;
    let mut ids = Vec::new();
    for answer in join_all(saves).await {
        created += usize::from(answer.status.as_u16() == 201);
        assert!(
            matches!(answer.status.as_u16(), 200 | 201),
            "{}",
            answer.text
        );
        ids.push(answer.json()["id"].clone());
    }
    ids.dedup();
    assert_eq!((created, ids.len()), (1, 1));
    assert_eq!(service.objects_at_stripe("customer").await.len(), 1);
    assert_eq!(service.calls_to_stripe("POST /v1/customers").await, 1);
}

/// What may befall any one call and must not be seen from outside.
const FAULTS: [&str; 11] = [
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
];

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn a_fault_at_any_step_is_not_seen(engine: Database) {
    let service = billing(engine).await;
    let steps = [
        ("POST", "/v1/customers"),
        ("POST", "/v1/payment_methods/{payment_method}/attach"),
        ("POST", "/v1/customers/{customer}"),
        ("POST", "/v1/payment_methods/{payment_method}/detach"),
    ];
    let mut number = 0;
    for kind in FAULTS {
        for (method, path) in steps {
            number += 1;
            let name = format!("org-{number}");
            service.customer(&name).await;
            let card = async || service.card("visa").await;
            let reference = format!("ext:{name}");
            let (first, second) = (card().await, card().await);
            service.fault(kind, method, path).await;
            let what = format!("{kind} at {method} {path}");
            let old = service
                .save(
                    &reference,
                    &format!("old-{number:05}"),
                    json!({"payment_method": first}),
                )
                .await;
            assert_eq!(old.status.as_u16(), 201, "{what}: {}", old.text);
            let old = old.json();
            let new = service
                .save(
                    &reference,
                    &format!("new-{number:05}"),
                    json!({"payment_method": second, "replaces": old["id"]}),
                )
                .await;
            assert_eq!(new.status.as_u16(), 201, "{what}: {}", new.text);
            let new = new.json();
            let customer = service
                .get(&format!("{CUSTOMERS}/{reference}"))
                .await
                .expect(200);
            assert_eq!(customer["default_payment_method"], new["id"], "{what}");
            let there: Vec<Value> = service
                .objects_at_stripe("customer")
                .await
                .into_iter()
                .filter(|it| it["metadata"]["portal_billing_customer"] == customer["id"])
                .collect();
            assert_eq!(there.len(), 1, "{what}");
            assert_eq!(there[0]["id"], customer["stripe"]["customer"]);
            assert_eq!(
                there[0]["invoice_settings"]["default_payment_method"],
                json!(second),
                "{what}"
            );
            let attached: Vec<Value> = service
                .objects_at_stripe("payment_method")
                .await
                .into_iter()
                .filter(|it| it["customer"] == there[0]["id"])
                .collect();
            assert_eq!(attached.len(), 1, "{what}");
        }
    }
    let faults = service.simulator(Method::GET, "/faults", Value::Null).await;
    let rules = faults["rules"].as_array().unwrap();
    assert_eq!(rules.len(), FAULTS.len() * steps.len());
    assert!(
        rules.iter().all(|rule| rule["hits"] == 1),
        "each has happened: {faults}"
    );
}

async fn a_lost_answer_of_an_old_step_is_looked_for(engine: Database) {
    let service = billing(engine).await;
    let page = json!({
        "mode": "setup",
        "success_url": "https://portal.example/",
        "cancel_url": "https://portal.example/",
    });
    // A failure of its own that Stripe has stored under the key, after the effect: only a list tells.
    for (route, body, path, object) in [
        (
            "setup-intents",
            json!({}),
            "/v1/setup_intents",
            "setup_intent",
        ),
        (
            "checkout-sessions",
            page,
            "/v1/checkout/sessions",
            "checkout.session",
        ),
    ] {
        service.fault("error_after", "POST", path).await;
        let answer = service
            .post(&format!("{CUSTOMERS}/ext:globex/{route}"), body)
            .await
            .expect(201);
        let there = service.objects_at_stripe(object).await;
        assert_eq!(there.len(), 1, "{object}");
        assert_eq!(there[0]["id"], answer["id"]);
    }
    let intents = service.objects_at_stripe("setup_intent").await;
    assert!(
        intents[0]["metadata"]["operation"].is_string(),
        "{intents:?}"
    );
}
