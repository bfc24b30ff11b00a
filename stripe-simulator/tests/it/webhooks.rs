//! Webhook endpoints and deliveries over HTTP.

use aws_lc_rs::hmac;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::{Value, json};

use crate::receiver::{Received, Receiver};
use crate::support::{START, Stripe};

fn endpoint(stripe: &Stripe, receiver: &Receiver, events: &str) -> Value {
    let form = [("url", receiver.url.as_str()), ("enabled_events[]", events)];
    stripe.post("/v1/webhook_endpoints", &form).ok()
}

fn settle(stripe: &Stripe) {
    assert_eq!(
        stripe
            .get("/_simulator/webhooks/idle?timeout_ms=10000")
            .ok()["idle"],
        true
    );
}

/// The signatures of a delivery that this secret made.
fn signed_by(received: &Received, secret: &str) -> usize {
    let time = received
        .signature
        .split(',')
        .find_map(|part| part.strip_prefix("t="))
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{time}.{}", received.text).as_bytes());
    let hex = tag
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    received
        .signature
        .split(',')
        .filter(|part| *part == format!("v1={hex}"))
        .count()
}

#[test]
fn an_event_is_delivered_signed_to_those_that_want_it() {
    let stripe = Stripe::start();
    let (all, some) = (Receiver::start(&[]), Receiver::start(&[]));
    let created = endpoint(&stripe, &all, "*");
    let secret = created["secret"].as_str().unwrap();
    endpoint(&stripe, &some, "customer.updated");
    let path = format!("/v1/webhook_endpoints/{}", created["id"].as_str().unwrap());
    assert!(
        stripe.get(&path).ok().get("secret").is_none(),
        "the secret is shown only once"
    );

    let customer = stripe.post("/v1/customers", &[("name", "A")]).id();
    stripe
        .post(&format!("/v1/customers/{customer}"), &[("name", "B")])
        .ok();
    settle(&stripe);
    assert_eq!(all.kinds(), ["customer.created", "customer.updated"]);
    assert_eq!(some.kinds(), ["customer.updated"]);
    let requests = all.received();
    assert_eq!(signed_by(&requests[0], secret), 1);
    assert!(requests[0].signature.starts_with(&format!("t={START},")));
    assert_eq!(
        requests[1].body["data"]["previous_attributes"],
        json!({ "name": "A" })
    );
    let events = stripe.get("/v1/events").ok();
    assert_eq!(events["data"][0]["pending_webhooks"], 0);
    assert_eq!(events["data"][0]["id"], requests[1].body["id"]);
}

#[test]
fn a_failed_delivery_is_tried_again_on_the_clock() {
    let stripe = Stripe::start();
    let receiver = Receiver::start(&[500, 302]);
    endpoint(&stripe, &receiver, "*");
    stripe.post("/v1/customers", &[]).ok();
    settle(&stripe);
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(
        stripe.get("/v1/events").ok()["data"][0]["pending_webhooks"],
        1
    );
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 59 }))
        .ok();
    settle(&stripe);
    assert_eq!(receiver.received().len(), 1, "not yet due");
    for (seconds, attempts) in [(1, 2), (300, 3), (86_400, 3)] {
        stripe
            .admin("POST", "/clock", json!({ "advance_seconds": seconds }))
            .ok();
        settle(&stripe);
        assert_eq!(receiver.received().len(), attempts);
    }
    let ids: Vec<Value> = receiver
        .received()
        .iter()
        .map(|r| r.body["id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(
        stripe.get("/v1/events").ok()["data"][0]["pending_webhooks"],
        0
    );
}

#[test]
fn deliveries_are_disturbed_on_demand() {
    let stripe = Stripe::start();
    let receiver = Receiver::start(&[]);
    endpoint(&stripe, &receiver, "customer.created");
    let create = |count: usize| {
        for _ in 0..count {
            stripe.post("/v1/customers", &[]).ok();
        }
    };
    stripe
        .admin("POST", "/webhooks/plan", json!({ "duplicates": 2 }))
        .ok();
    create(1);
    settle(&stripe);
    assert_eq!(receiver.received().len(), 3);

    stripe
        .admin(
            "POST",
            "/webhooks/plan",
            json!({ "duplicates": 0, "hold": true }),
        )
        .ok();
    create(3);
    settle(&stripe);
    assert_eq!(receiver.received().len(), 3, "held back");
    let held = stripe.admin("GET", "/webhooks", Value::Null).ok()["held"].clone();
    let order = json!([held[2], held[0], held[1]]);
    stripe
        .admin("POST", "/webhooks/release", json!({ "order": order }))
        .ok();
    settle(&stripe);
    let ids: Vec<Value> = receiver.received()[3..]
        .iter()
        .map(|r| r.body["id"].clone())
        .collect();
    assert_eq!(json!(ids), order);

    let plan = json!({ "hold": false, "loss_permille": 1000 });
    stripe.admin("POST", "/webhooks/plan", plan).ok();
    create(2);
    settle(&stripe);
    assert_eq!(receiver.received().len(), 6, "lost");
    let plan = json!({ "loss_permille": 0, "delay_seconds": 30 });
    stripe.admin("POST", "/webhooks/plan", plan).ok();
    create(1);
    settle(&stripe);
    assert_eq!(receiver.received().len(), 6, "delayed");
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 30 }))
        .ok();
    settle(&stripe);
    assert_eq!(receiver.received().len(), 7);

    stripe
        .admin(
            "POST",
            "/webhooks/send",
            json!({ "event": held[0], "times": 2 }),
        )
        .ok();
    settle(&stripe);
    assert_eq!(receiver.received().len(), 9);
}

#[test]
fn answers_are_of_the_second_that_events_are_pinned_to() {
    let stripe = Stripe::start();
    let old = stripe.post("/v1/customers", &[]);
    let plan = json!({"same_second": true});
    stripe.admin("POST", "/webhooks/plan", plan).ok();
    stripe.advance(8 * 86_400);
    let made = stripe.post("/v1/customers", &[("name", "Globex")]);
    let date = DateTimeParser::new()
        .parse_timestamp(made.header("date").unwrap())
        .unwrap();
    assert_eq!(date.as_second(), START);
    // Of what is older; nothing is told of before it is made.
    let after = stripe.post(
        &format!("/v1/customers/{}", old.id()),
        &[("name", "Globex")],
    );
    assert_eq!(after.header("date"), made.header("date"));
    let all = stripe.get("/v1/events?limit=2").ok();
    let created = |number: usize| all["data"][number]["created"].as_i64().unwrap();
    let mut both = [created(0), created(1)];
    both.sort_unstable();
    assert_eq!(both, [START, START + 8 * 86_400]);
}

#[test]
fn a_rolled_secret_overlaps_with_the_old_one() {
    let stripe = Stripe::start();
    let receiver = Receiver::start(&[]);
    let created = endpoint(&stripe, &receiver, "*");
    let old = created["secret"].as_str().unwrap();
    let path = format!(
        "/webhooks/endpoints/{}/roll_secret",
        created["id"].as_str().unwrap()
    );
    let rolled = stripe
        .admin("POST", &path, json!({ "overlap_seconds": 60 }))
        .ok();
    let new = rolled["secret"].as_str().unwrap();
    stripe.post("/v1/customers", &[]).ok();
    settle(&stripe);
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 60 }))
        .ok();
    stripe.post("/v1/customers", &[]).ok();
    settle(&stripe);
    let requests = receiver.received();
    assert_eq!(
        (signed_by(&requests[0], old), signed_by(&requests[0], new)),
        (1, 1)
    );
    assert_eq!(
        (signed_by(&requests[1], old), signed_by(&requests[1], new)),
        (0, 1)
    );
}

#[test]
fn endpoints_are_checked() {
    let stripe = Stripe::start();
    let form = [("url", "example.com"), ("enabled_events[]", "*")];
    assert_eq!(
        stripe.post("/v1/webhook_endpoints", &form).error(400)["code"],
        "url_invalid"
    );
    let form = [
        ("url", "https://example.com"),
        ("enabled_events[]", "no.such"),
    ];
    assert_eq!(
        stripe.post("/v1/webhook_endpoints", &form).error(400)["param"],
        "enabled_events[0]"
    );
    let form = [
        ("url", "https://example.com"),
        ("enabled_events[]", "*"),
        ("api_version", "x"),
    ];
    assert_eq!(
        stripe.post("/v1/webhook_endpoints", &form).error(400)["param"],
        "api_version"
    );
    stripe.get("/v1/webhook_endpoints/we_none").error(404);
}

#[test]
fn event_destinations_are_webhook_endpoints_in_another_shape() {
    let stripe = Stripe::start();
    let receiver = Receiver::start(&[]);
    let body = json!({
        "name": "Thin", "type": "webhook_endpoint", "event_payload": "thin",
        "enabled_events": ["v1.customer.created"],
        "webhook_endpoint": { "url": receiver.url },
        "include": ["webhook_endpoint.signing_secret"],
    });
    let path = "/v2/core/event_destinations";
    let header = ("content-type", "application/json");
    let made = stripe
        .send_raw("POST", path, body.to_string().as_bytes(), &[header])
        .ok();
    let secret = made["webhook_endpoint"]["signing_secret"].as_str().unwrap();
    let customer = stripe.post("/v1/customers", &[]).id();
    settle(&stripe);
    let requests = receiver.received();
    assert_eq!(requests[0].body["object"], "v2.core.event");
    assert_eq!(requests[0].body["type"], "v1.customer.created");
    assert_eq!(signed_by(&requests[0], secret), 1);
    let list = stripe
        .get(&format!("/v2/core/events?object_id={customer}"))
        .ok();
    assert_eq!(list["data"][0]["id"], requests[0].body["id"]);
    let path = format!("{path}/{}", made["id"].as_str().unwrap());
    stripe
        .send_raw("POST", &format!("{path}/ping"), b"", &[header])
        .ok();
    settle(&stripe);
    assert_eq!(receiver.kinds()[1], "v2.core.event_destination.ping");
    assert_eq!(
        stripe
            .send_raw("POST", &format!("{path}/disable"), b"", &[])
            .ok()["status"],
        "disabled"
    );
    stripe.post("/v1/customers", &[]).ok();
    settle(&stripe);
    assert_eq!(receiver.received().len(), 2);
}

#[test]
fn events_are_listed_and_filtered() {
    let stripe = Stripe::start();
    stripe.post("/v1/customers", &[]).ok();
    stripe.post("/v1/products", &[("name", "Gold")]).ok();
    let only = |query: &str| {
        let list = stripe.get(&format!("/v1/events?{query}")).ok();
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(only("type=customer.created"), 1);
    assert_eq!(only("type=customer.*"), 1);
    assert_eq!(only("types[]=customer.created&types[]=product.created"), 2);
    assert_eq!(only(&format!("created[gt]={START}")), 0);
    let id = stripe.get("/v1/events").ok()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        stripe.get(&format!("/v1/events/{id}")).ok()["type"],
        "product.created"
    );
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 31 * 86_400 }))
        .ok();
    assert_eq!(only("limit=10"), 0, "events go back 30 days");
}
