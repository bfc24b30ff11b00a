//! Restricted, revoked, publishable and live keys over HTTP.

use serde_json::json;

use crate::support::{Reply, Stripe};

fn register(stripe: &Stripe, key: &str, permissions: &[&str]) {
    stripe
        .admin(
            "POST",
            "/keys",
            json!({ "key": key, "permissions": permissions }),
        )
        .ok();
}

fn with(stripe: &Stripe, key: &str, method: &str, path: &str) -> Reply {
    let bearer = format!("Bearer {key}");
    stripe.send(method, path, &[], &[("authorization", &bearer)])
}

#[test]
fn a_restricted_key_is_told_what_it_lacks_before_anything_else() {
    let stripe = Stripe::start();
    let key = "rk_test_portal1234";
    register(&stripe, key, &["rak_customer_read", "rak_product_write"]);
    // Neither the missing object nor the unknown parameter is looked at.
    for path in ["/v1/customers/cus_none", "/v1/customers/cus_none?nothing=1"] {
        let error = with(&stripe, key, "POST", path).error(403);
        assert_eq!(error["type"], "invalid_request_error");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("'rak_customer_write'"), "{message}");
        assert!(message.contains("rk_test_******1234"), "{message}");
    }
    assert_eq!(
        with(&stripe, key, "GET", "/v1/customers/cus_none").error(404)["code"],
        "resource_missing"
    );
    // Writing includes reading.
    with(&stripe, key, "GET", "/v1/products").ok();
    with(&stripe, key, "GET", "/v1/prices").error(403);
}

#[test]
fn a_revoked_key_is_401() {
    let stripe = Stripe::start();
    register(&stripe, "sk_test_old", &[]);
    with(&stripe, "sk_test_old", "GET", "/v1/customers").ok();
    stripe
        .admin("POST", "/keys/revoke", json!({ "key": "sk_test_old" }))
        .ok();
    let error = with(&stripe, "sk_test_old", "GET", "/v1/customers").error(401);
    assert_eq!(error["code"], "api_key_expired");
    assert_eq!(
        stripe
            .admin("POST", "/keys/revoke", json!({ "key": "sk_test_none" }))
            .status,
        404
    );
    assert_eq!(
        stripe
            .admin("POST", "/keys", json!({ "key": "nonsense" }))
            .status,
        400
    );
}

#[test]
fn a_publishable_key_may_not_use_the_servers_calls() {
    let stripe = Stripe::start();
    let error = with(&stripe, "pk_test_simulator", "GET", "/v1/customers").error(401);
    assert_eq!(error["code"], "secret_key_required");
}

#[test]
fn a_key_acts_for_its_own_account_only() {
    let stripe = Stripe::start();
    let ask =
        |account: &str| stripe.send("GET", "/v1/customers", &[], &[("stripe-account", account)]);
    assert_eq!(ask("acct_another").error(403)["code"], "account_invalid");
    let own = stripe.get("/v1/account").id();
    ask(&own).ok();
}

#[test]
fn modes_and_accounts_are_apart() {
    let stripe = Stripe::start();
    register(&stripe, "sk_live_simulator", &[]);
    let test = stripe.post("/v1/customers", &[]).ok();
    let live = with(&stripe, "sk_live_simulator", "POST", "/v1/customers").ok();
    assert_eq!(
        (&test["livemode"], &live["livemode"]),
        (&json!(false), &json!(true))
    );
    assert_ne!(test["id"], live["id"]);
    let path = format!("/v1/customers/{}", test["id"].as_str().unwrap());
    with(&stripe, "sk_live_simulator", "GET", &path).error(404);
}
