//! Idempotency keys over HTTP.

use proptest::prelude::*;
use serde_json::json;

use crate::support::{Reply, Stripe};

fn create(stripe: &Stripe, key: &str, name: &str) -> Reply {
    stripe.send(
        "POST",
        "/v1/customers",
        &[("name", name)],
        &[("idempotency-key", key)],
    )
}

fn customers(stripe: &Stripe) -> usize {
    stripe.get("/v1/customers?limit=100").ok()["data"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn a_replay_is_identical_and_has_no_effect() {
    let stripe = Stripe::start();
    let first = create(&stripe, "k1", "A");
    let again = create(&stripe, "k1", "A");
    assert_eq!(first.text, again.text);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("original-request"), first.header("request-id"));
    assert_ne!(again.header("request-id"), first.header("request-id"));
    assert_eq!(again.header("idempotency-key"), Some("k1"));
    assert_eq!(customers(&stripe), 1);
    assert_eq!(
        stripe.get("/v1/events").ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_key_is_bound_to_its_parameters_and_path() {
    let stripe = Stripe::start();
    create(&stripe, "k1", "A").ok();
    let error = create(&stripe, "k1", "B").error(400);
    assert_eq!(error["type"], "idempotency_error");
    let key = [("idempotency-key", "k1")];
    let error = stripe
        .send("POST", "/v1/products", &[("name", "A")], &key)
        .error(400);
    assert_eq!(error["type"], "idempotency_error");
    // Another key of the account shares its idempotency keys, another account does not.
    stripe
        .admin(
            "POST",
            "/keys",
            json!({ "key": "sk_test_other", "account": "acct_2" }),
        )
        .ok();
    let other = [
        ("idempotency-key", "k1"),
        ("authorization", "Bearer sk_test_other"),
    ];
    let reply = stripe.send("POST", "/v1/customers", &[("name", "B")], &other);
    assert_eq!(reply.header("idempotent-replayed"), None);
    reply.ok();
}

#[test]
fn errors_of_execution_are_kept_and_those_before_it_are_not() {
    let stripe = Stripe::start();
    // Validation: the corrected request may use the key.
    let key = [("idempotency-key", "k1")];
    stripe
        .send("POST", "/v1/customers", &[("nmae", "A")], &key)
        .error(400);
    create(&stripe, "k1", "A").ok();
    // The handler's own refusal: replayed.
    let form = [("email", "nobody")];
    let key = [("idempotency-key", "k2")];
    let first = stripe.send("POST", "/v1/customers", &form, &key);
    let again = stripe.send("POST", "/v1/customers", &form, &key);
    assert_eq!((first.status, &first.text), (400, &again.text));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // Limits: decided before the layer.
    stripe
        .admin(
            "POST",
            "/faults",
            json!({ "kind": "rate_limit", "method": "POST" }),
        )
        .ok();
    assert_eq!(create(&stripe, "k3", "C").status, 429);
    create(&stripe, "k3", "D").ok();
}

#[test]
fn a_key_is_forgotten_after_24_hours() {
    let stripe = Stripe::start();
    let first = create(&stripe, "k1", "A").id();
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 86_399 }))
        .ok();
    assert_eq!(create(&stripe, "k1", "A").id(), first);
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 1 }))
        .ok();
    let second = create(&stripe, "k1", "A");
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_ne!(second.id(), first);
    // The new outcome lives its own 24 hours.
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 3_600 }))
        .ok();
    assert_eq!(
        create(&stripe, "k1", "Z").error(400)["type"],
        "idempotency_error"
    );
}

#[test]
fn a_key_in_flight_is_409() {
    let stripe = Stripe::start();
    let fault = json!({ "kind": "slow_before", "delay_ms": 1500, "method": "POST" });
    stripe.admin("POST", "/faults", fault).ok();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| create(&stripe, "k1", "A").status))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert!(
        statuses.contains(&200) && statuses.contains(&409),
        "{statuses:?}"
    );
    assert_eq!(
        create(&stripe, "k1", "A").header("idempotent-replayed"),
        Some("true")
    );
    assert_eq!(customers(&stripe), 1);
}

#[test]
fn keys_of_more_than_255_characters_are_refused() {
    let stripe = Stripe::start();
    create(&stripe, &"k".repeat(256), "A").error(400);
    create(&stripe, &"k".repeat(255), "A").ok();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is replayed and however often: one effect per key, identical answers.
    #[test]
    fn one_effect_per_key(calls in prop::collection::vec(0_u8..6, 1..40)) {
        let stripe = Stripe::start();
        let mut seen = std::collections::HashMap::new();
        for call in &calls {
            let reply = create(&stripe, &format!("k{call}"), &format!("N{call}"));
            let first = seen.entry(*call).or_insert_with(|| reply.text.clone());
            prop_assert_eq!(&*first, &reply.text);
        }
        prop_assert_eq!(customers(&stripe), seen.len());
    }

    /// The same seed and the same requests give the same history, event for event.
    #[test]
    fn the_same_seed_gives_the_same_history(seed: u64, names in prop::collection::vec("[a-z]{1,8}", 1..12)) {
        let run = || {
            let stripe = Stripe::with(|builder| builder.seed(seed));
            for name in &names {
                let customer = stripe.post("/v1/customers", &[("name", name)]).id();
                stripe.post("/v1/products", &[("name", name)]).ok();
                stripe.post(&format!("/v1/customers/{customer}"), &[("description", name)]).ok();
            }
            stripe.admin("GET", "/state", json!({})).text
        };
        prop_assert_eq!(run(), run());
    }
}
