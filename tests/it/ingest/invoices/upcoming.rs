//! The next invoice, asked for at Stripe.

use reqwest::Method;
use serde_json::{Value, json};

use crate::subscriptions::{order, payer, read, shop, subscribe, with};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::SECRET_KEY;

on_both_databases!(
    the_next_invoice_is_shown,
    nothing_upcoming_is_not_found,
    a_stripe_that_does_not_answer_is_said,
);

fn path(customer: &str) -> String {
    format!("/v1/portals/acme/customers/{customer}/upcoming-invoice")
}

const ASKED: &str = "POST /v1/invoices/create_preview";

async fn the_next_invoice_is_shown(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    let made = subscribe(&service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    service.forget_calls().await;
    let next = service.get(&path("ext:globex")).await.expect(200);
    assert_eq!(next["total"], json!({"amount": 1500, "currency": "usd"}));
    assert_eq!(next["amount_due"], next["total"]);
    assert_eq!(
        (&next["customer"], &next["subscription"]),
        (&json!(customer), &made["id"])
    );
    assert_eq!(next["lines"].as_array().unwrap().len(), 1);
    assert_eq!(next["has_more_lines"], false);
    let now = read(&service, &made).await;
    assert_eq!(next["period"]["start"], now["current_period"]["end"]);
    assert_eq!(service.calls().await, [ASKED]);
    // Of several the one whose period ends first; or the one that is named.
    let trial = with(order(&customer, "trial"), "application", "mobile");
    let trial = subscribe(&service, "subscribe-2", trial).await.expect(201);
    let next = service.get(&path(&customer)).await.expect(200);
    assert_eq!(next["subscription"], trial["id"]);
    assert_eq!(next["total"]["amount"], 2000);
    let named = format!(
        "{}?subscription={}",
        path(&customer),
        made["id"].as_str().unwrap()
    );
    let next = service.get(&named).await.expect(200);
    assert_eq!(next["subscription"], made["id"]);
    let own = service
        .call_bound("globex", Method::GET, &path("ext:globex"), Value::Null)
        .await;
    own.expect(200);
}

async fn nothing_upcoming_is_not_found(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    service.forget_calls().await;
    service
        .get(&path(&customer))
        .await
        .problem(404, "not_found");
    subscribe(&service, "subscribe-1", order(&customer, "open"))
        .await
        .expect(201);
    service
        .get(&path(&customer))
        .await
        .problem(404, "not_found");
    service
        .get(&path("ext:nobody"))
        .await
        .problem(404, "not_found");
    assert_eq!(service.calls().await, [""; 0], "Stripe knows nothing of it");
    let ending = with(order(&customer, "gold"), "application", "mobile");
    let ending = subscribe(&service, "subscribe-2", ending).await.expect(201);
    let cancel = format!(
        "/v1/portals/acme/subscriptions/{}/cancel",
        ending["id"].as_str().unwrap()
    );
    service
        .post(&cancel, json!({"at": "period_end"}))
        .await
        .expect(200);
    service
        .get(&path(&customer))
        .await
        .problem(404, "not_found");
    service.customer("initech").await;
    let other = service
        .call_bound("initech", Method::GET, &path(&customer), Value::Null)
        .await;
    other.problem(404, "not_found");
}

async fn a_stripe_that_does_not_answer_is_said(engine: Database) {
    let service = shop(engine).await;
    let customer = payer(&service, "globex").await;
    subscribe(&service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    for (fault, status, code) in [
        ("error_before", 502, "stripe_bad_answer"),
        ("not_json", 502, "stripe_bad_answer"),
        ("reset_before", 503, "stripe_unavailable"),
        ("rate_limit", 503, "stripe_unavailable"),
    ] {
        let body = json!({
            "kind": fault, "method": "POST", "path": "/v1/invoices/create_preview", "times": 0,
        });
        service.simulator(Method::POST, "/faults", body).await;
        service.get(&path(&customer)).await.problem(status, code);
        service
            .simulator(Method::DELETE, "/faults", Value::Null)
            .await;
    }
    let key = json!({"key": SECRET_KEY});
    service
        .simulator(Method::POST, "/keys/revoke", key.clone())
        .await;
    service
        .get(&path(&customer))
        .await
        .problem(424, "stripe_credentials_invalid");
    service.simulator(Method::POST, "/keys", key).await;
    let module = "/v1/portals/acme/modules/stripe";
    service
        .put(module, json!({"enabled": false}))
        .await
        .expect(200);
    service
        .get(&path(&customer))
        .await
        .problem(409, "module_disabled");
}
