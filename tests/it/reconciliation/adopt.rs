//! Taking over what was at Stripe before this service.

use reqwest::Method;
use serde_json::{Value, json};

use super::{RECONCILIATIONS, at_stripe, customer, found, reconcile, reconcile_with, shop, writes};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(what_was_at_stripe_before_is_taken_over);

/// A customer with a card and a subscription that somebody else made; their ids.
async fn made_elsewhere(service: &Service) -> (String, String) {
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    let form = [("name", "Hooli"), ("email", "money@hooli.example")];
    let owner = id(&service.stripe("/v1/customers", &form).await);
    let card = service.card("visa").await;
    let form = [("customer", owner.as_str())];
    service
        .stripe(&format!("/v1/payment_methods/{card}/attach"), &form)
        .await;
    let form = [("invoice_settings[default_payment_method]", card.as_str())];
    service
        .stripe(&format!("/v1/customers/{owner}"), &form)
        .await;
    let form = [
        ("currency", "usd"),
        ("unit_amount", "1500"),
        ("recurring[interval]", "month"),
        ("product_data[name]", "Weather"),
    ];
    let price = id(&service.stripe("/v1/prices", &form).await);
    let form = [
        ("customer", owner.as_str()),
        ("items[0][price]", price.as_str()),
    ];
    let subscription = id(&service.stripe("/v1/subscriptions", &form).await);
    (owner, subscription)
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn what_was_at_stripe_before_is_taken_over(engine: Database) {
    let service = shop(engine, &[]).await;
    let (owner, there) = made_elsewhere(&service).await;
    let charges = at_stripe(&service, "charge").await.len();
    let entry = |product: &str| {
        json!({
            "stripe_subscription": there, "customer": "ext:hooli", "product": product,
            "plan": "gold", "application": "app-7",
        })
    };
    let adopt = |repair: bool| {
        json!({"repair": repair, "adopt": {
            "customers": [
                {"stripe_customer": owner, "external_id": "hooli"},
                {"stripe_customer": "cus_nobody", "external_id": "nobody"},
            ],
            "subscriptions": [entry("nothing"), entry("weather")],
        }})
    };
    service.forget_calls().await;
    let looked = reconcile_with(&service, adopt(false)).await;
    assert_eq!(looked["drift_count"], 4);
    service
        .get("/v1/portals/acme/customers/ext:hooli")
        .await
        .problem(404, "not_found");

    let taken = reconcile_with(&service, adopt(true)).await;
    let told: Vec<(&Value, &Value, bool)> = taken["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| {
            (
                &drift["kind"],
                &drift["repaired"],
                drift["detail"].is_null(),
            )
        })
        .collect();
    let (yes, no) = (json!(true), json!(false));
    let (a_customer, a_method, a_subscription, an_invoice) = (
        json!("customer"),
        json!("payment_method"),
        json!("subscription"),
        json!("invoice"),
    );
    assert_eq!(
        told,
        [
            (&a_customer, &yes, true),
            (&a_customer, &no, false),
            (&a_subscription, &no, false),
            (&a_subscription, &yes, true),
            (&a_method, &yes, true),
            (&an_invoice, &yes, true),
        ]
    );
    let hooli = customer(&service, "hooli").await;
    assert_eq!(
        (&hooli["name"], &hooli["email"]),
        (&json!("Hooli"), &json!("money@hooli.example"))
    );
    assert_eq!(hooli["stripe"]["customer"], owner.as_str());
    assert!(hooli["default_payment_method"].is_string());
    let list = service.get(super::SUBSCRIPTIONS).await.expect(200);
    let shown = &list["data"][0];
    assert_eq!(shown["stripe"]["subscription"], there.as_str());
    assert_eq!(shown["customer"], hooli["id"]);
    assert_eq!(shown["application"], "app-7");
    assert_eq!(
        (&shown["status"], &shown["plan"]),
        (&json!("active"), &json!("gold"))
    );
    assert_eq!(shown["access"]["decision"], "allow");

    // Once taken over it is like any other: nothing more to take, and followed from here on.
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());
    assert_eq!(writes(&service).await, Vec::<String>::new());
    let url = format!("{}/v1/subscriptions/{there}", service.simulator.base_url());
    let key = crate::support::service::SECRET_KEY;
    Service::answer(service.client.request(Method::DELETE, url).bearer_auth(key))
        .await
        .expect(200);
    assert_eq!(found(&reconcile(&service, true).await, true).len(), 1);
    let listed = service.get(RECONCILIATIONS).await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 4);
    assert_eq!(at_stripe(&service, "charge").await.len(), charges);
}
