//! From a card that fails to access restored, by every way there is.

use serde_json::{Value, json};

use super::super::{event, later};
use super::{DAY, access, bank_approves, behind, invoice, saved, tell};
use crate::subscriptions::{advance, read, told_of};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    access_follows_money,
    a_card_that_works_again_restores_access_without_anybody,
    a_bank_that_wants_to_see_who_pays_is_answered_by_the_consumer,
    the_bank_is_asked_for_in_whatever_order_it_is_told,
);

fn decided(answer: &Value) -> (&str, &str) {
    let word = |name: &str| answer[name].as_str().unwrap();
    (word("decision"), word("reason"))
}

async fn access_follows_money(engine: Database) {
    let (world, customer, subscription, open) = behind(engine, "chargeCustomerFail").await;
    let answer = access(&world).await;
    assert_eq!(decided(&answer), ("grace", "past_due"));
    assert_eq!(answer["subscription"], subscription["id"]);
    assert_eq!(open["attempt_count"], 1);
    assert!(open["next_attempt_at"].is_string() && open["hosted_url"].is_string());
    let told = told_of(&world.service, &open["id"]).await;
    assert_eq!(told.last().unwrap().0, "invoice.payment_failed", "{told:?}");

    // Further failures do not restart grace, and nothing has to arrive for it to end.
    world.plan(json!({"hold": true})).await;
    let until = answer["until"].as_str().unwrap();
    let until = portal_billing::clock::Timestamp::parse_rfc3339(until).unwrap();
    let left = until.millis_since(world.service.clock.now());
    assert!((0..=3 * DAY * 1000).contains(&left), "{left}");
    world.service.clock.advance_millis(left - 1);
    assert_eq!(decided(&access(&world).await), ("grace", "past_due"));
    world.service.clock.advance_millis(1);
    assert_eq!(decided(&access(&world).await), ("deny", "past_due"));

    // Paid here: access is back with the answer, whatever becomes of Stripe's events.
    let works = saved(&world, &customer, "mastercard").await;
    let with = json!({"payment_method": works["id"]});
    let paid = tell(&world, &open, "pay", "pay-00000001", with).await;
    assert!(paid.header("etag").is_some());
    let paid = paid.expect(200);
    assert_eq!(paid["status"], "paid");
    assert_eq!(paid["amount_paid"], paid["total"]);
    assert_eq!(decided(&access(&world).await), ("allow", "active"));
    assert_eq!(
        read(&world.service, &subscription).await["status"],
        "active"
    );
    let told = told_of(&world.service, &open["id"]).await;
    assert_eq!(told.last().unwrap().0, "invoice.paid");

    // What Stripe tells of it afterwards changes nothing more.
    world.let_go().await;
    assert_eq!(decided(&access(&world).await), ("allow", "active"));
    assert_eq!(invoice(&world, &open["id"]).await, paid);
}

async fn a_card_that_works_again_restores_access_without_anybody(engine: Database) {
    let (world, _, subscription, open) = behind(engine, "chargeCustomerFail").await;
    super::pays_with(&world, &subscription, "visa").await;
    for _ in 0..4 {
        if read(&world.service, &subscription).await["status"] == "active" {
            break;
        }
        advance(&world.service, 3 * DAY).await;
        world.rest().await;
    }
    assert_eq!(invoice(&world, &open["id"]).await["status"], "paid");
    assert_eq!(decided(&access(&world).await), ("allow", "active"));
}

async fn a_bank_that_wants_to_see_who_pays_is_answered_by_the_consumer(engine: Database) {
    let (world, _, subscription, open) = behind(engine, "authenticationRequired").await;
    let expected = json!({"type": "authenticate", "url": open["hosted_url"]});
    assert_eq!(open["action"], expected);
    let action = read(&world.service, &subscription).await["action"].clone();
    assert_eq!(
        action,
        json!({"type": "authenticate", "client_secret": null, "url": open["hosted_url"]})
    );
    assert_eq!(decided(&access(&world).await), ("grace", "past_due"));
    bank_approves(&world, &open).await;
    world.rest().await;
    let paid = invoice(&world, &open["id"]).await;
    assert_eq!(
        (&paid["status"], &paid["action"]),
        (&json!("paid"), &Value::Null)
    );
    let now = read(&world.service, &subscription).await;
    assert_eq!(
        (&now["status"], &now["action"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(decided(&access(&world).await), ("allow", "active"));
    let told = told_of(&world.service, &subscription["id"]).await;
    let numbers: Vec<i64> = told.iter().map(|(_, number)| *number).collect();
    let expected: Vec<i64> = (1..=i64::try_from(told.len()).unwrap()).collect();
    assert_eq!(numbers, expected);
}

async fn the_bank_is_asked_for_in_whatever_order_it_is_told(engine: Database) {
    let (world, _, subscription, open) = behind(engine, "chargeCustomerFail").await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let mut there = world.get_there(&format!("/v1/invoices/{id}")).await;
    let at = later(&world.service, 0);
    let version = async || told_of(&world.service, &subscription["id"]).await.len();
    let asks =
        |id: &str, at: i64, there: &Value| event(id, "invoice.payment_action_required", at, there);
    let action = async || read(&world.service, &subscription).await["action"].clone();
    let count = there["attempt_count"].as_i64().unwrap();
    let before = version().await;
    // Told late: another attempt has come since.
    there["attempt_count"] = json!(count + 2);
    world
        .deliver(&event("evt_1", "invoice.updated", at, &there))
        .await;
    there["attempt_count"] = json!(count + 1);
    world.deliver(&asks("evt_2", at - 1, &there)).await;
    assert_eq!(action().await, Value::Null);
    assert_eq!(version().await, before);
    // Told in time, twice, and overtaken by another attempt.
    there["attempt_count"] = json!(count + 2);
    world.deliver(&asks("evt_3", at + 1, &there)).await;
    assert_eq!(action().await["type"], "authenticate");
    assert_eq!(version().await, before + 1);
    world.deliver(&asks("evt_4", at + 1, &there)).await;
    assert_eq!(version().await, before + 1);
    there["attempt_count"] = json!(count + 3);
    world
        .deliver(&event("evt_5", "invoice.payment_failed", at + 2, &there))
        .await;
    assert_eq!(action().await, Value::Null);
    assert_eq!(version().await, before + 2);
}
