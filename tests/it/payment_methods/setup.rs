//! Payment methods that a setup intent or a Checkout page has set up.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_finished_intent_is_saved,
    three_d_secure_is_waited_for,
    a_declined_intent_says_why,
    an_unfinished_or_foreign_intent_is_refused,
    a_finished_checkout_page_is_saved,
);

const GLOBEX: &str = "/v1/portals/acme/customers/ext:globex";

async fn billing(engine: Database) -> Service {
    let service = Service::start(engine).await;
    service.with_billing().await;
    service.customer("globex").await;
    service
}

async fn intent(service: &Service) -> String {
    let made = service
        .post(&format!("{GLOBEX}/setup-intents"), json!({}))
        .await
        .expect(201);
    made["id"].as_str().unwrap().to_owned()
}

/// Confirms an intent, as Stripe's scripts do in a browser.
async fn confirm(service: &Service, intent: &str, card: &str) {
    let path = format!("/v1/setup_intents/{intent}/confirm");
    let form = [
        ("payment_method", card),
        ("return_url", "https://portal.example/back"),
    ];
    service.stripe(&path, &form).await;
}

async fn a_finished_intent_is_saved(engine: Database) {
    let service = billing(engine).await;
    let intent = intent(&service).await;
    confirm(&service, &intent, "pm_card_visa").await;
    service.forget_calls().await;
    let saved = service
        .save("ext:globex", "save-0001", json!({"setup_intent": intent}))
        .await
        .expect(201);
    assert_eq!(
        (&saved["status"], &saved["default"]),
        (&json!("usable"), &json!(true))
    );
    assert_eq!(saved["card"]["last4"], "4242");
    assert_eq!(
        service.calls().await,
        [
            "GET /v1/setup_intents/{intent}",
            "POST /v1/customers/{customer}"
        ]
    );
    let again = service
        .save("ext:globex", "save-0002", json!({"setup_intent": intent}))
        .await
        .expect(200);
    assert_eq!(again, saved);
    let by_method = json!({"payment_method": saved["stripe"]["payment_method"]});
    let again = service.save("ext:globex", "save-0003", by_method).await;
    assert_eq!(again.expect(200), saved);
    let default = &service.objects_at_stripe("customer").await[0]["invoice_settings"];
    assert_eq!(
        default["default_payment_method"],
        saved["stripe"]["payment_method"]
    );
}

async fn three_d_secure_is_waited_for(engine: Database) {
    let service = billing(engine).await;
    let intent = intent(&service).await;
    confirm(&service, &intent, "pm_card_authenticationRequiredOnSetup").await;
    let save = async |key: &str| {
        service
            .save("ext:globex", key, json!({"setup_intent": intent}))
            .await
    };
    let waiting = save("save-0001").await.expect(201);
    assert_eq!(
        (&waiting["status"], &waiting["default"]),
        (&json!("requires_action"), &json!(false))
    );
    let to = json!({"default_payment_method": waiting["id"]});
    service
        .call(Method::PATCH, GLOBEX, to)
        .await
        .problem(409, "payment_method_unusable");
    let still = save("save-0002").await.expect(200);
    assert_eq!(still, waiting);
    service
        .simulator(
            Method::POST,
            &format!("/bank/{intent}/approve"),
            Value::Null,
        )
        .await;
    let usable = save("save-0003").await.expect(200);
    assert_eq!(
        (&usable["id"], &usable["status"], &usable["default"]),
        (&waiting["id"], &json!("usable"), &json!(true))
    );

    // One that the consumer never finishes can be forgotten without Stripe.
    let other = self::intent(&service).await;
    confirm(&service, &other, "pm_card_authenticationRequiredOnSetup").await;
    let waiting = service
        .save("ext:globex", "save-0004", json!({"setup_intent": other}))
        .await
        .expect(201);
    service.forget_calls().await;
    let path = format!(
        "{GLOBEX}/payment-methods/{}",
        waiting["id"].as_str().unwrap()
    );
    service.delete(&path).await.expect(204);
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn a_declined_intent_says_why(engine: Database) {
    let service = billing(engine).await;
    let intent = intent(&service).await;
    let card = service.card("authenticationRequiredOnSetup").await;
    confirm(&service, &intent, &card).await;
    service
        .simulator(Method::POST, &format!("/bank/{intent}/deny"), Value::Null)
        .await;
    let refused = service
        .save("ext:globex", "save-0001", json!({"setup_intent": intent}))
        .await
        .problem(402, "payment_declined");
    assert_eq!(
        refused["stripe"]["code"],
        "setup_intent_authentication_failure"
    );
    let list = service
        .get(&format!("{GLOBEX}/payment-methods"))
        .await
        .expect(200);
    assert_eq!(list["data"], json!([]));
}

async fn an_unfinished_or_foreign_intent_is_refused(engine: Database) {
    let service = billing(engine).await;
    let fresh = intent(&service).await;
    let canceled = intent(&service).await;
    service
        .stripe(&format!("/v1/setup_intents/{canceled}/cancel"), &[])
        .await;
    service.customer("initech").await;
    let theirs = service
        .post(&format!("{CUSTOMERS}/ext:initech/setup-intents"), json!({}))
        .await
        .expect(201);
    let theirs = theirs["id"].as_str().unwrap().to_owned();
    confirm(&service, &theirs, "pm_card_visa").await;
    let nobodys = service.stripe("/v1/setup_intents", &[]).await;
    let nobodys = nobodys["id"].as_str().unwrap().to_owned();
    for (number, intent) in [fresh, canceled, theirs, nobodys].iter().enumerate() {
        service
            .save(
                "ext:globex",
                &format!("save-{number:04}"),
                json!({"setup_intent": intent}),
            )
            .await
            .problem(409, "payment_method_unusable");
    }
}

async fn a_finished_checkout_page_is_saved(engine: Database) {
    let service = billing(engine).await;
    let page = json!({
        "mode": "setup",
        "success_url": "https://portal.example/billing?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://portal.example/billing",
    });
    let opened = service
        .post(&format!("{GLOBEX}/checkout-sessions"), page)
        .await
        .expect(201);
    let session = opened["id"].as_str().unwrap().to_owned();
    let save = async |customer: &str, key: &str| {
        service
            .save(customer, key, json!({"checkout_session": session}))
            .await
    };
    save("ext:globex", "save-0001")
        .await
        .problem(409, "payment_method_unusable");
    service
        .simulator(
            Method::POST,
            &format!("/checkout/{session}/complete"),
            json!({"payment_method": "pm_card_visa"}),
        )
        .await;
    service.customer("initech").await;
    service
        .post(&format!("{CUSTOMERS}/ext:initech/setup-intents"), json!({}))
        .await
        .expect(201);
    save("ext:initech", "save-0002")
        .await
        .problem(409, "payment_method_unusable");
    let saved = save("ext:globex", "save-0003").await.expect(201);
    assert_eq!(
        (&saved["status"], &saved["default"]),
        (&json!("usable"), &json!(true))
    );
    let again = save("ext:globex", "save-0004").await.expect(200);
    assert_eq!(again, saved);
}
