//! Setup intents, Checkout pages and the customer portal over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::security::search::{contents, readable};
use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_setup_intent_is_for_a_browser,
    pages_lead_back_to_allowed_origins_alone,
    pages_are_opened_once_for_a_key,
    secrets_are_in_the_answer_and_nowhere_else,
    a_module_that_is_not_ready_is_told_first,
);

const GLOBEX: &str = "/v1/portals/acme/customers/ext:globex";

async fn billing(engine: Database) -> Service {
    let service = Service::start(engine).await;
    service.with_billing().await;
    service.customer("globex").await;
    service.forget_calls().await;
    service
}

fn checkout(success_url: &str, cancel_url: &str) -> Value {
    json!({"mode": "setup", "success_url": success_url, "cancel_url": cancel_url})
}

async fn a_setup_intent_is_for_a_browser(engine: Database) {
    let service = billing(engine).await;
    let path = format!("{GLOBEX}/setup-intents");
    let made = service.post(&path, Value::Null).await.expect(201);
    assert_eq!(made["publishable_key"], "pk_test_simulator");
    assert_eq!(made["status"], "requires_payment_method");
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["client_secret"].as_str().unwrap(),
    );
    assert!(secret.starts_with(&format!("{id}_secret_")), "{secret}");
    assert_eq!(
        service.calls().await,
        ["POST /v1/customers", "POST /v1/setup_intents"]
    );
    let there = service.objects_at_stripe("setup_intent").await;
    let customer = service.get(GLOBEX).await.expect(200);
    assert_eq!(there[0]["customer"], customer["stripe"]["customer"]);
    assert_eq!(there[0]["usage"], "off_session");
    assert_eq!(
        there[0]["metadata"]["portal_billing_customer"],
        customer["id"]
    );
    service.forget_calls().await;
    service.post(&path, json!({})).await.expect(201);
    assert_eq!(service.calls().await, ["POST /v1/setup_intents"]);
    service
        .post(&path, json!({"usage": "on_session"}))
        .await
        .problem(422, "unknown_field");
    let actions = service.audited().await;
    assert_eq!(
        actions
            .iter()
            .filter(|it| *it == "setup_intent.created")
            .count(),
        2
    );
}

async fn pages_lead_back_to_allowed_origins_alone(engine: Database) {
    let service = billing(engine).await;
    let good = "https://portal.example/billing?session={CHECKOUT_SESSION_ID}";
    let path = format!("{GLOBEX}/checkout-sessions");
    let opened = service
        .post(&path, checkout(good, "https://portal.example"))
        .await
        .expect(201);
    assert!(opened["id"].as_str().unwrap().starts_with("cs_"));
    assert!(opened["url"].as_str().unwrap().starts_with("http"));
    assert!(opened["expires_at"].as_str().unwrap().ends_with('Z'));
    let there = service.objects_at_stripe("checkout.session").await;
    assert_eq!(there[0]["mode"], "setup");
    assert_eq!(there[0]["success_url"], good);
    let customer = service.get(GLOBEX).await.expect(200);
    assert_eq!(there[0]["customer"], customer["stripe"]["customer"]);
    assert_eq!(there[0]["client_reference_id"], customer["id"]);

    let portal = format!("{GLOBEX}/portal-sessions");
    let page = service
        .post(
            &portal,
            json!({"return_url": "https://portal.example/billing"}),
        )
        .await
        .expect(201);
    assert!(page["url"].as_str().unwrap().starts_with("http"));
    assert_eq!(page.as_object().unwrap().len(), 1, "{page}");
    service.forget_calls().await;
    for bad in [
        "https://evil.example/",
        "https://portal.example.evil.example/",
        "https://portal.example@evil.example/",
        "https://portal.example:8443/",
        "http://portal.example/",
        "https://portal.example\\@evil.example/",
        "javascript:alert(1)",
        "/billing",
        "",
    ] {
        for (body, pointers) in [
            (checkout(bad, good), vec!["/success_url"]),
            (checkout(good, bad), vec!["/cancel_url"]),
            (checkout(bad, bad), vec!["/success_url", "/cancel_url"]),
        ] {
            let refused = service.post(&path, body).await;
            let refused = refused.problem(422, "return_origin_not_allowed");
            let errors = refused["errors"].as_array().unwrap().iter();
            let found: Vec<_> = errors.map(|it| it["pointer"].as_str().unwrap()).collect();
            assert_eq!(found, pointers, "{bad}");
        }
        let refused = service.post(&portal, json!({"return_url": bad})).await;
        refused.problem(422, "return_origin_not_allowed");
    }
    for mode in ["payment", "Setup"] {
        let mut body = checkout(good, good);
        body["mode"] = json!(mode);
        let refused = service.post(&path, body).await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/mode");
    }
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn pages_are_opened_once_for_a_key(engine: Database) {
    let service = billing(engine).await;
    let url = "https://portal.example/";
    for (number, (route, body)) in [
        ("setup-intents", json!({})),
        ("checkout-sessions", checkout(url, url)),
        ("portal-sessions", json!({"return_url": url})),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("{GLOBEX}/{route}");
        let key = format!("open-{number:04}");
        let first = service.post_once(&path, &key, body.clone()).await;
        let text = first.text.clone();
        first.expect(201);
        service.forget_calls().await;
        let again = service.post_once(&path, &key, body).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.status.as_u16(), again.text), (201, text), "{route}");
        assert_eq!(service.calls().await, Vec::<String>::new());
    }
}

async fn secrets_are_in_the_answer_and_nowhere_else(engine: Database) {
    let service = billing(engine).await;
    let url = "https://portal.example/";
    let intent = service
        .post_once(&format!("{GLOBEX}/setup-intents"), "open-0001", json!({}))
        .await
        .expect(201);
    let page = service
        .post_once(
            &format!("{GLOBEX}/checkout-sessions"),
            "open-0002",
            checkout(url, url),
        )
        .await
        .expect(201);
    for secret in [&intent["client_secret"], &page["url"]] {
        let secret = secret.as_str().unwrap();
        for place in ["operations", "audit-log"] {
            let list = service
                .get(&format!("/v1/portals/acme/{place}?limit=100"))
                .await
                .expect(200);
            assert!(!list.to_string().contains(secret), "{place}");
        }
        let stored = readable(&contents(&service.database).await);
        assert!(!stored.contains(secret), "in the database");
    }
}

async fn a_module_that_is_not_ready_is_told_first(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    service.customer("globex").await;
    let url = "https://portal.example/";
    let routes = [
        ("setup-intents", json!({})),
        ("checkout-sessions", checkout(url, url)),
        ("portal-sessions", json!({"return_url": url})),
        ("payment-methods", json!({"payment_method": "pm_1"})),
    ];
    for code in ["module_disabled", "stripe_not_ready"] {
        for (route, body) in &routes {
            let path = format!("{GLOBEX}/{route}");
            let refused = service.post_once(&path, "early-0001", body.clone()).await;
            refused.problem(409, code);
        }
        service
            .put("/v1/portals/acme/modules/stripe", json!({"enabled": true}))
            .await;
    }
    let list = service.get(CUSTOMERS).await.expect(200);
    assert_eq!(list["data"][0]["stripe"], Value::Null);
    let none = service
        .call(Method::GET, "/v1/portals/acme/operations", Value::Null)
        .await;
    assert_eq!(none.expect(200)["data"], json!([]));
}
