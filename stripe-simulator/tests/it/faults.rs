//! The fault plan over HTTP.

use serde_json::json;

use crate::support::Stripe;

fn customers(stripe: &Stripe) -> usize {
    stripe.get("/v1/customers?limit=100").ok()["data"]
        .as_array()
        .unwrap()
        .len()
}

fn fault(stripe: &Stripe, kind: &str) {
    stripe
        .admin(
            "POST",
            "/faults",
            json!({ "kind": kind, "path": "/v1/customers" }),
        )
        .ok();
}

#[test]
fn limits_and_locks_leave_no_trace() {
    let stripe = Stripe::start();
    let body = json!({ "kind": "rate_limit", "retry_after": 7, "should_retry": true });
    stripe.admin("POST", "/faults", body).ok();
    let reply = stripe.post("/v1/customers", &[]);
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_eq!(reply.header("stripe-should-retry"), Some("true"));
    assert_eq!(reply.error(429)["code"], "rate_limit");
    fault(&stripe, "lock_timeout");
    let error = stripe.post("/v1/customers", &[]).error(429);
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!("lock_timeout"), &json!("invalid_request_error"))
    );
    fault(&stripe, "conflict");
    assert_eq!(
        stripe.post("/v1/customers", &[]).error(409)["code"],
        "idempotency_key_in_use"
    );
    assert_eq!(customers(&stripe), 0);
}

#[test]
fn server_errors_are_stored_with_and_without_effect() {
    let stripe = Stripe::start();
    for (kind, effects) in [("error_before", 0), ("error_after", 1)] {
        fault(&stripe, kind);
        let key = [("idempotency-key", kind)];
        let first = stripe.send("POST", "/v1/customers", &[], &key);
        assert_eq!(first.status, 500);
        assert_eq!(first.body["error"]["type"], "api_error");
        let again = stripe.send("POST", "/v1/customers", &[], &key);
        assert_eq!((again.status, again.text), (500, first.text));
        assert_eq!(customers(&stripe), effects);
    }
}

#[test]
fn what_stands_before_stripe_speaks_another_language() {
    let stripe = Stripe::start();
    fault(&stripe, "bad_gateway_before");
    assert_eq!(stripe.post("/v1/customers", &[]).status, 502);
    assert_eq!(customers(&stripe), 0);
    fault(&stripe, "bad_gateway_after");
    let key = [("idempotency-key", "k")];
    assert_eq!(stripe.send("POST", "/v1/customers", &[], &key).status, 502);
    assert_eq!(customers(&stripe), 1);
    // The true answer was stored.
    let again = stripe.send("POST", "/v1/customers", &[], &key);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    again.ok();
    fault(&stripe, "not_json");
    let reply = stripe.post("/v1/customers", &[]);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/html"))
    );
    fault(&stripe, "not_found_plain");
    let reply = stripe.get("/v1/customers");
    assert_eq!((reply.status, reply.body), (404, json!({})));
}

#[test]
fn connections_are_cut_with_and_without_effect() {
    let stripe = Stripe::start();
    fault(&stripe, "reset_before");
    assert!(stripe.try_send("POST", "/v1/customers", &[], &[]).is_err());
    assert_eq!(customers(&stripe), 0);
    fault(&stripe, "reset_after");
    assert!(stripe.try_send("POST", "/v1/customers", &[], &[]).is_err());
    assert_eq!(customers(&stripe), 1);
    fault(&stripe, "truncated_body");
    let reply = stripe.post("/v1/customers", &[]);
    assert_eq!((reply.status, reply.body), (200, json!(null)));
    assert_eq!(customers(&stripe), 2);
}

#[test]
fn lists_go_stale() {
    let stripe = Stripe::start();
    let ids: Vec<String> = (0..3)
        .map(|_| stripe.post("/v1/customers", &[]).id())
        .collect();
    let body = json!({ "kind": "stale_list", "path": "/v1/customers", "count": 2 });
    stripe.admin("POST", "/faults", body).ok();
    let list = stripe.get("/v1/customers").ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], ids[0].as_str());
    assert_eq!(customers(&stripe), 3);
}

#[test]
fn rules_count_their_calls() {
    let stripe = Stripe::start();
    let rule = json!({
        "kind": "lock_timeout", "method": "POST", "path": "/v1/customers/{customer}",
        "nth": 2, "every": 2, "times": 2,
    });
    stripe.admin("POST", "/faults", rule).ok();
    let path = format!("/v1/customers/{}", stripe.post("/v1/customers", &[]).id());
    let statuses: Vec<u16> = (0..8).map(|_| stripe.post(&path, &[]).status).collect();
    assert_eq!(statuses, [200, 429, 200, 429, 200, 200, 200, 200]);
    assert_eq!(
        stripe.admin("GET", "/faults", json!({})).ok()["rules"][0]["hits"],
        2
    );
    assert_eq!(
        stripe
            .admin("POST", "/faults", json!({ "kind": "nothing" }))
            .status,
        400
    );
}

#[test]
fn chance_follows_its_seed() {
    let run = |seed: u64| -> Vec<u16> {
        let stripe = Stripe::start();
        let body =
            json!({ "seed": seed, "permille": 400, "kinds": ["rate_limit", "error_before"] });
        stripe.admin("POST", "/faults/random", body).ok();
        (0..40)
            .map(|_| stripe.post("/v1/customers", &[]).status)
            .collect()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    assert!(run(7).contains(&429) && run(7).contains(&200));
}

#[test]
fn rate_limits_can_be_switched_on() {
    let stripe = Stripe::start();
    let body = json!({ "rate_limits": { "account": 5, "endpoint": 3 } });
    stripe.admin("POST", "/settings", body).ok();
    let replies: Vec<_> = (0..30).map(|_| stripe.get("/v1/customers")).collect();
    let limited = replies.iter().find(|reply| reply.status == 429).unwrap();
    assert_eq!(
        limited.header("stripe-rate-limited-reason"),
        Some("endpoint-rate")
    );
    stripe
        .admin("POST", "/settings", json!({ "rate_limits": "off" }))
        .ok();
    assert!((0..30).all(|_| stripe.get("/v1/customers").status == 200));
}

#[test]
fn requests_are_logged_and_counted() {
    let stripe = Stripe::start();
    let key = [("idempotency-key", "k1")];
    stripe
        .send("POST", "/v1/customers", &[("name", "A")], &key)
        .ok();
    stripe.get("/v1/customers/cus_none").error(404);
    let log = stripe.admin("GET", "/requests", json!({})).ok();
    assert_eq!(log["counts"]["POST /v1/customers"], 1);
    assert_eq!(log["counts"]["GET /v1/customers/{customer}"], 1);
    assert_eq!(log["data"][0]["params"]["name"], "A");
    assert_eq!(log["data"][0]["idempotency_key"], "k1");
    assert_eq!(log["data"][1]["error"], "resource_missing");
    let one = stripe.get("/_simulator/requests?method=GET").ok();
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
}
