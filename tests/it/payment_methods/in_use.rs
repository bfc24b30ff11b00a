//! What live subscriptions need cannot be taken from under them, and is replaced in one step.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::{CUSTOMERS, PORTAL};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    what_a_subscription_is_paid_with_stays,
    subscriptions_go_on_with_what_replaces_theirs,
    a_fault_while_subscriptions_move_is_not_seen,
    a_customer_with_live_subscriptions_stays,
);

const GLOBEX: &str = "/v1/portals/acme/customers/ext:globex";
const SUBSCRIPTIONS: &str = "/v1/portals/acme/subscriptions";

async fn shop(engine: Database) -> Service {
    let service = Service::start_with(
        engine,
        &[
            ("operations.first_backoff_ms", "5"),
            ("stripe.test_calls_per_second", "10000"),
            ("stripe.endpoint_calls_per_second", "10000"),
        ],
    )
    .await;
    service.with_billing().await;
    service.customer("globex").await;
    for product in ["weather", "maps", "tides"] {
        let body = json!({
            "title": product, "version": "1.0.0", "state": "published",
            "plans": [
                {"id": "open", "title": "Open", "pricing": {"model": "free"}},
                {"id": "gold", "title": "Gold", "pricing": {
                    "model": "flat",
                    "price": {"amount": 1500, "currency": "usd"},
                    "interval": {"unit": "month", "count": 1},
                }},
            ],
        });
        let path = format!("/v1/portals/{PORTAL}/products/{product}");
        service.put(&path, body).await.expect(201);
    }
    service
}

async fn save(service: &Service, key: &str, card: &str, more: Value) -> Value {
    let mut body = json!({"payment_method": service.card(card).await});
    for (field, value) in more.as_object().unwrap() {
        body[field] = value.clone();
    }
    service.save("ext:globex", key, body).await.expect(201)
}

/// Subscribes; gives the subscription's address.
async fn subscribe(service: &Service, product: &str, plan: &str, method: Option<&Value>) -> String {
    let mut body = json!({"customer": "ext:globex", "product": product, "plan": plan});
    if let Some(method) = method {
        body["payment_method"] = method["id"].clone();
    }
    let made = service
        .post_once(SUBSCRIPTIONS, &format!("order-{product}"), body)
        .await
        .expect(201);
    assert_eq!(made["status"], "active", "{made}");
    format!("{SUBSCRIPTIONS}/{}", made["id"].as_str().unwrap())
}

async fn cancel(service: &Service, subscription: &str) {
    service
        .post(&format!("{subscription}/cancel"), json!({"at": "now"}))
        .await
        .expect(200);
}

fn place(method: &Value) -> String {
    format!(
        "{GLOBEX}/payment-methods/{}",
        method["id"].as_str().unwrap()
    )
}

async fn what_a_subscription_is_paid_with_stays(engine: Database) {
    let service = shop(engine).await;
    let default = save(&service, "save-0001", "visa", json!({})).await;
    let named = save(&service, "save-0002", "mastercard", json!({})).await;
    let spare = save(&service, "save-0003", "amex", json!({})).await;
    subscribe(&service, "tides", "open", None).await;
    let by_default = subscribe(&service, "weather", "gold", None).await;
    let by_name = subscribe(&service, "maps", "gold", Some(&named)).await;
    for method in [&default, &named] {
        service
            .delete(&place(method))
            .await
            .problem(409, "payment_method_in_use");
    }
    let clear = || json!({"default_payment_method": null});
    service
        .call(Method::PATCH, GLOBEX, clear())
        .await
        .problem(409, "payment_method_in_use");
    // Replaced by one that is not to be the default, it would leave a subscription without any.
    let card = service.card("jcb").await;
    service
        .save(
            "ext:globex",
            "save-0004",
            json!({"payment_method": card, "replaces": default["id"], "default": false}),
        )
        .await
        .problem(409, "payment_method_in_use");
    service.delete(&place(&spare)).await.expect(204);
    cancel(&service, &by_name).await;
    service.delete(&place(&named)).await.expect(204);
    cancel(&service, &by_default).await;
    // The free subscription that is left needs none.
    service.delete(&place(&default)).await.expect(204);
    let customer = service.get(GLOBEX).await.expect(200);
    assert_eq!(customer["default_payment_method"], Value::Null);
}

async fn subscriptions_go_on_with_what_replaces_theirs(engine: Database) {
    let service = shop(engine).await;
    let old = save(&service, "save-0001", "visa", json!({})).await;
    let weather = subscribe(&service, "weather", "gold", Some(&old)).await;
    let maps = subscribe(&service, "maps", "gold", Some(&old)).await;
    let tides = subscribe(&service, "tides", "gold", None).await;
    service.forget_calls().await;
    let new = save(
        &service,
        "save-0002",
        "mastercard",
        json!({"replaces": old["id"]}),
    )
    .await;
    assert_eq!(new["default"], true);
    let calls: Vec<String> = service
        .calls()
        .await
        .into_iter()
        // The card was made by the test.
        .filter(|call| call != "POST /v1/payment_methods")
        .collect();
    let subscription = calls[2].clone();
    assert!(
        subscription.starts_with("POST /v1/subscriptions/{"),
        "{calls:?}"
    );
    assert_eq!(
        calls,
        [
            "POST /v1/payment_methods/{payment_method}/attach",
            "POST /v1/customers/{customer}",
            subscription.as_str(),
            subscription.as_str(),
            "POST /v1/payment_methods/{payment_method}/detach",
        ]
    );
    for (path, method) in [
        (&weather, new["id"].clone()),
        (&maps, new["id"].clone()),
        (&tides, Value::Null),
    ] {
        let seen = service.get(path).await.expect(200);
        assert_eq!(seen["payment_method"], method, "{seen}");
        assert_eq!(seen["status"], "active");
    }
    let there = service.objects_at_stripe("subscription").await;
    let named = there
        .iter()
        .filter(|it| it["default_payment_method"] == new["stripe"]["payment_method"]);
    assert_eq!((there.len(), named.count()), (3, 2));
    assert_eq!(
        service.get(&place(&old)).await.expect(200)["status"],
        "detached"
    );
    service
        .delete(&place(&new))
        .await
        .problem(409, "payment_method_in_use");
}

async fn a_fault_while_subscriptions_move_is_not_seen(engine: Database) {
    let service = shop(engine).await;
    let mut old = save(&service, "save-0001", "visa", json!({})).await;
    let weather = subscribe(&service, "weather", "gold", Some(&old)).await;
    let maps = subscribe(&service, "maps", "gold", Some(&old)).await;
    for (number, kind) in [
        "error_before",
        "error_after",
        "reset_before",
        "reset_after",
        "not_json",
    ]
    .into_iter()
    .enumerate()
    {
        service.fault(kind, "POST", "/v1/subscriptions/*").await;
        let key = format!("next-{number:04}");
        let new = save(&service, &key, "visa", json!({"replaces": old["id"]})).await;
        for path in [&weather, &maps] {
            let seen = service.get(path).await.expect(200);
            assert_eq!(seen["payment_method"], new["id"], "{kind}");
        }
        let there = service.objects_at_stripe("subscription").await;
        assert!(
            there
                .iter()
                .all(|it| it["default_payment_method"] == new["stripe"]["payment_method"]),
            "{kind}"
        );
        assert_eq!(
            service.get(&place(&old)).await.expect(200)["status"],
            "detached"
        );
        old = new;
    }
    let faults = service.simulator(Method::GET, "/faults", Value::Null).await;
    let rules = faults["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["hits"] == 1), "{faults}");
}

async fn a_customer_with_live_subscriptions_stays(engine: Database) {
    let service = shop(engine).await;
    let free = subscribe(&service, "tides", "open", None).await;
    service.delete(GLOBEX).await.problem(409, "customer_in_use");
    save(&service, "save-0001", "visa", json!({})).await;
    let paid = subscribe(&service, "weather", "gold", None).await;
    cancel(&service, &free).await;
    service.delete(GLOBEX).await.problem(409, "customer_in_use");
    cancel(&service, &paid).await;
    service.delete(GLOBEX).await.expect(204);
    let list = service.get(CUSTOMERS).await.expect(200);
    assert_eq!(list["data"], json!([]));
}
