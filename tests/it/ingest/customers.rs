//! Customers and what they pay with, as they are changed at Stripe.

use reqwest::Method;
use serde_json::{Value, json};

use super::{World, event, later};
use crate::subscriptions::{at_stripe, payer};
use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_customer_changed_at_stripe_is_followed,
    a_customer_deleted_at_stripe_is_made_anew_when_needed,
    a_method_saved_by_a_page_nobody_came_back_from_is_there,
    a_method_taken_away_at_stripe_is_gone,
    a_default_that_is_not_known_yet_is_asked_for,
    a_finished_checkout_page_makes_the_first_method_the_default,
);

async fn methods(world: &World, customer: &str) -> Vec<Value> {
    let path = format!("{CUSTOMERS}/{customer}/payment-methods");
    let page = world.service.get(&path).await.expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn customer(world: &World, id: &str) -> Value {
    world
        .service
        .get(&format!("{CUSTOMERS}/{id}"))
        .await
        .expect(200)
}

/// Stripe's id of the one customer.
async fn there(world: &World) -> String {
    let all = at_stripe(&world.service, "customer").await;
    all[0]["id"].as_str().unwrap().to_owned()
}

async fn a_customer_changed_at_stripe_is_followed(engine: Database) {
    let world = World::new(engine).await;
    let id = payer(&world.service, "globex").await;
    let cus = there(&world).await;
    let mut said = world.get_there(&format!("/v1/customers/{cus}")).await;
    let before = customer(&world, &id).await;
    let at = later(&world.service, 0);
    world.service.forget_calls().await;
    // What says the same changes nothing.
    world
        .deliver(&event("evt_1", "customer.updated", at, &said))
        .await;
    assert_eq!(customer(&world, &id).await, before);
    said["name"] = json!("Globex AG");
    said["email"] = json!("ag@globex.example");
    said["address"] = json!({"line1": "Hauptstr. 1", "city": "Berlin", "country": "DE"});
    world
        .deliver(&event("evt_2", "customer.updated", at + 1, &said))
        .await;
    let now = customer(&world, &id).await;
    assert_eq!(
        (&now["name"], &now["email"], &now["address"]["city"]),
        (
            &json!("Globex AG"),
            &json!("ag@globex.example"),
            &json!("Berlin")
        )
    );
    assert_eq!(
        now["default_payment_method"],
        before["default_payment_method"]
    );
    // What could not stand here leaves what does, and what is older is not believed.
    said["name"] = json!("");
    said["email"] = json!("nobody");
    world
        .deliver(&event("evt_3", "customer.updated", at + 2, &said))
        .await;
    said["name"] = json!("Old");
    world
        .deliver(&event("evt_0", "customer.updated", at, &said))
        .await;
    world.rest().await;
    let after = customer(&world, &id).await;
    assert_eq!(
        (&after["name"], &after["email"]),
        (&now["name"], &now["email"])
    );
    assert_eq!(world.service.calls().await, [""; 0]);
    assert_eq!(world.inbox().await["evt_0"], "stale");
}

async fn a_customer_deleted_at_stripe_is_made_anew_when_needed(engine: Database) {
    let world = World::new(engine).await;
    let id = payer(&world.service, "globex").await;
    let cus = there(&world).await;
    let said = world.get_there(&format!("/v1/customers/{cus}")).await;
    let at = later(&world.service, 0);
    world
        .deliver(&event("evt_1", "customer.deleted", at, &said))
        .await;
    let now = customer(&world, &id).await;
    assert_eq!(
        (&now["stripe"], &now["default_payment_method"]),
        (&Value::Null, &Value::Null)
    );
    assert!(methods(&world, &id).await.is_empty());
    // What was on its way before does not bring it back.
    world
        .deliver(&event("evt_0", "customer.updated", at - 1, &said))
        .await;
    assert_eq!(customer(&world, &id).await["stripe"], Value::Null);
    let card = world.service.card("visa").await;
    let saved = world
        .service
        .save(&id, "save-again", json!({"payment_method": card}))
        .await;
    saved.expect(201);
    assert_ne!(
        customer(&world, &id).await["stripe"]["customer"],
        json!(cus)
    );
}

async fn a_method_saved_by_a_page_nobody_came_back_from_is_there(engine: Database) {
    let world = World::delivering(engine).await;
    let id = payer(&world.service, "globex").await;
    world.rest().await;
    let before = methods(&world, &id).await;
    let card = world.service.card("mastercard").await;
    let cus = there(&world).await;
    let path = format!("/v1/payment_methods/{card}/attach");
    world.service.stripe(&path, &[("customer", &cus)]).await;
    world.rest().await;
    let now = methods(&world, &id).await;
    assert_eq!(now.len(), before.len() + 1);
    let new = now
        .iter()
        .find(|it| it["card"]["brand"] == "mastercard")
        .unwrap();
    assert_eq!(
        (&new["status"], &new["default"]),
        (&json!("usable"), &json!(false))
    );
    assert!(
        world
            .service
            .audited()
            .await
            .contains(&"payment_method.created".to_owned())
    );
    // Saving it once more finds it.
    let saved = world
        .service
        .save(&id, "save-known", json!({"payment_method": card}))
        .await;
    assert_eq!(saved.expect(200)["id"], new["id"]);
}

async fn a_method_taken_away_at_stripe_is_gone(engine: Database) {
    let world = World::delivering(engine).await;
    let id = payer(&world.service, "globex").await;
    world.rest().await;
    let default = customer(&world, &id).await["default_payment_method"].clone();
    let methods_there = at_stripe(&world.service, "payment_method").await;
    let attached = methods_there
        .iter()
        .find(|it| it["customer"].is_string())
        .unwrap();
    let path = format!(
        "/v1/payment_methods/{}/detach",
        attached["id"].as_str().unwrap()
    );
    world.service.stripe(&path, &[]).await;
    world.rest().await;
    assert!(methods(&world, &id).await.is_empty());
    assert_eq!(
        customer(&world, &id).await["default_payment_method"],
        Value::Null
    );
    let path = format!(
        "{CUSTOMERS}/{id}/payment-methods/{}",
        default.as_str().unwrap()
    );
    assert_eq!(
        world.service.get(&path).await.expect(200)["status"],
        "detached"
    );
}

async fn a_default_that_is_not_known_yet_is_asked_for(engine: Database) {
    let world = World::new(engine).await;
    let id = payer(&world.service, "globex").await;
    let cus = there(&world).await;
    let card = world.service.card("mastercard").await;
    let path = format!("/v1/payment_methods/{card}/attach");
    world.service.stripe(&path, &[("customer", &cus)]).await;
    let form = [("invoice_settings[default_payment_method]", card.as_str())];
    let said = world
        .service
        .stripe(&format!("/v1/customers/{cus}"), &form)
        .await;
    world.service.forget_calls().await;
    // The event that would tell of the method is lost.
    world
        .deliver(&event(
            "evt_1",
            "customer.updated",
            later(&world.service, 0),
            &said,
        ))
        .await;
    assert_eq!(world.inbox().await["evt_1"], "parked");
    assert_eq!(
        world.service.calls().await,
        [""; 0],
        "it may come by itself"
    );
    world.rest().await;
    let all = methods(&world, &id).await;
    let new = all
        .iter()
        .find(|it| it["card"]["brand"] == "mastercard")
        .unwrap();
    assert_eq!(
        customer(&world, &id).await["default_payment_method"],
        new["id"]
    );
    assert_eq!(world.service.calls().await.len(), 2);
}

async fn a_finished_checkout_page_makes_the_first_method_the_default(engine: Database) {
    let world = World::delivering(engine).await;
    let made = world.service.customer("globex").await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CUSTOMERS}/{id}/checkout-sessions");
    let body = json!({
        "mode": "setup",
        "success_url": "https://portal.example/done",
        "cancel_url": "https://portal.example/back",
    });
    world.service.post(&path, body).await.expect(201);
    let sessions = at_stripe(&world.service, "checkout.session").await;
    let session = sessions[0]["id"].as_str().unwrap();
    let complete = format!("/checkout/{session}/complete");
    let card = json!({"payment_method": "pm_card_visa"});
    world.service.simulator(Method::POST, &complete, card).await;
    for _ in 0..200 {
        world.rest().await;
        if customer(&world, &id).await["default_payment_method"].is_string() {
            break;
        }
    }
    let all = methods(&world, &id).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["default"], &all[0]["status"]),
        (&json!(true), &json!("usable"))
    );
    world.rest().await;
    let cus = world
        .get_there(&format!("/v1/customers/{}", there(&world).await))
        .await;
    assert!(cus["invoice_settings"]["default_payment_method"].is_string());
}
