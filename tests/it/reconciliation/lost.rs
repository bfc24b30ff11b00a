//! Rows that are lost: a database restored from a copy that is older than what Stripe has.

use serde_json::{Value, json};

use super::{
    at_stripe, customer, delete_at_stripe, found, reconcile, shop, subscriber, subscription, writes,
};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(lost_rows_are_made_anew_from_what_stripe_has);

/// Everything about customers; their events stay, so that what is made anew goes on counting.
const LOSE: &str = "DELETE FROM stripe_objects WHERE kind IN ('customer', 'payment_method', 'subscription'); \
                    DELETE FROM subscriptions; DELETE FROM payment_methods; DELETE FROM customers;";

async fn lost_rows_are_made_anew_from_what_stripe_has(engine: Database) {
    let service = shop(engine, &[]).await;
    let subscribed = subscriber(&service, "globex", "seats").await;
    let owner = customer(&service, "globex").await;
    let canceled = subscriber(&service, "initech", "gold").await;
    let there = canceled["stripe"]["subscription"].as_str().unwrap();
    delete_at_stripe(&service, &format!("/v1/subscriptions/{there}")).await;
    let charges = at_stripe(&service, "charge").await.len();
    service.database.execute(LOSE).await;
    service
        .get("/v1/portals/acme/customers/ext:globex")
        .await
        .problem(404, "not_found");
    service.forget_calls().await;

    let looked = reconcile(&service, false).await;
    let wanted = format!(
        "subscription {} missing_here",
        subscribed["id"].as_str().unwrap()
    );
    assert!(found(&looked, false).contains(&wanted), "{looked}");
    let mended = reconcile(&service, true).await;
    let lines = found(&mended, true);
    // Two customers, a method of each, and the subscription that lives.
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines.contains(&wanted), "{lines:?}");
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());

    // They are who they were.
    let anew = customer(&service, "globex").await;
    assert_eq!(anew["id"], owner["id"]);
    assert_eq!(anew["stripe"], owner["stripe"]);
    assert_eq!(
        (&anew["name"], &anew["email"]),
        (&owner["name"], &owner["email"])
    );
    assert!(anew["default_payment_method"].is_string(), "{anew}");
    let shown = subscription(&service, &subscribed["id"]).await;
    for field in [
        "customer",
        "product",
        "plan",
        "plan_revision",
        "application",
        "status",
        "quantity",
        "current_period",
        "stripe",
        "access",
    ] {
        assert_eq!(shown[field], subscribed[field], "{field}");
    }
    assert!(shown["latest_invoice"].is_string(), "{shown}");
    let body = json!({
        "customer": "ext:globex", "product": "weather", "plan": "seats", "application": "app-42",
    });
    service
        .post_once(super::SUBSCRIPTIONS, "second-0001", body)
        .await
        .problem(409, "subscription_exists");
    assert_eq!(writes(&service).await, Vec::<String>::new());
    assert_eq!(at_stripe(&service, "charge").await.len(), charges);
}

/// A backup, what happened after it, and a service on what was restored from it.
#[tokio::test]
async fn a_restored_backup_is_brought_up_to_what_stripe_has() {
    let mut service = shop(Database::Lite, &[]).await;
    let early = subscriber(&service, "early", "gold").await;
    let backup = format!("{}.backup", service.database.file().unwrap());
    service
        .database
        .execute(&format!("VACUUM INTO '{backup}'"))
        .await;
    let late = subscriber(&service, "late", "seats").await;
    let path = format!(
        "{}/{}/cancel",
        super::SUBSCRIPTIONS,
        early["id"].as_str().unwrap()
    );
    service.post(&path, json!({"at": "now"})).await.expect(200);
    let charges = at_stripe(&service, "charge").await.len();
    service.stop();
    let url = format!("sqlite://{backup}");
    let restored = service.one_more(&[("database.url", &url)]).await;
    service.base_url.clone_from(&restored.base_url);
    assert_eq!(
        subscription(&service, &early["id"]).await["status"],
        "active"
    );
    service.forget_calls().await;

    let mended = reconcile(&service, true).await;
    assert_eq!(found(&mended, true).len(), 4, "{mended}");
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());
    let status = async |it: &Value| subscription(&service, &it["id"]).await["status"].clone();
    assert_eq!(status(&early).await, "canceled");
    assert_eq!(status(&late).await, "active");
    assert_eq!(writes(&service).await, Vec::<String>::new());
    assert_eq!(at_stripe(&service, "charge").await.len(), charges);
    drop(restored);
}
