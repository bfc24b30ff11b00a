//! Test clocks and the account's clock over HTTP.

use serde_json::json;

use crate::support::{START, Stripe};

#[test]
fn a_test_clock_carries_its_customers() {
    let stripe = Stripe::start();
    let at = (START - 1_000).to_string();
    let clock = stripe
        .post("/v1/test_helpers/test_clocks", &[("frozen_time", &at)])
        .ok();
    let id = clock["id"].as_str().unwrap();
    assert_eq!(clock["status"], "ready");
    let customer = stripe.post("/v1/customers", &[("test_clock", id)]).ok();
    assert_eq!(customer["created"], START - 1_000);
    assert_eq!(stripe.get("/v1/customers").ok()["data"], json!([]));
    let list = stripe.get(&format!("/v1/customers?test_clock={id}")).ok();
    assert_eq!(list["data"][0]["id"], customer["id"]);

    let path = format!("/v1/test_helpers/test_clocks/{id}");
    let to = (START + 86_400).to_string();
    let advancing = stripe
        .post(&format!("{path}/advance"), &[("frozen_time", &to)])
        .ok();
    assert_eq!(advancing["status"], "advancing");
    let ready = stripe.get(&path).ok();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["frozen_time"], START + 86_400);
    stripe
        .post(&format!("{path}/advance"), &[("frozen_time", &at)])
        .error(400);
    // The account's own clock did not move.
    assert_eq!(stripe.post("/v1/customers", &[]).ok()["created"], START);

    stripe.delete(&path).ok();
    let customer = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    assert_eq!(stripe.get(&customer).ok()["deleted"], true);
    stripe.get(&path).error(404);
}

#[test]
fn the_accounts_clock_moves_only_forward() {
    let stripe = Stripe::start();
    let clock = stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 60 }))
        .ok();
    assert_eq!(clock["now"], START + 60);
    assert_eq!(
        stripe
            .admin("POST", "/clock", json!({ "advance_to": START }))
            .status,
        400
    );
    assert_eq!(
        stripe.post("/v1/customers", &[]).ok()["created"],
        START + 60
    );
}

#[test]
fn a_reset_empties_the_account() {
    let stripe = Stripe::start();
    let first = stripe.post("/v1/customers", &[]).ok();
    stripe.admin("POST", "/reset", json!({})).ok();
    assert_eq!(stripe.get("/v1/customers").ok()["data"], json!([]));
    // The same seed gives the same ids again.
    assert_eq!(stripe.post("/v1/customers", &[]).ok()["id"], first["id"]);
}
