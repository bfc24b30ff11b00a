//! The endpoint at Stripe, and what it delivers.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Answer, Service, check};

on_both_databases!(
    a_signed_delivery_is_stored_and_shows_in_the_readiness,
    an_unknown_hook_and_a_bad_signature_answer_alike,
    what_stripe_delivers_arrives,
    a_rotated_secret_is_good_for_a_day,
    a_lost_answer_makes_no_second_endpoint,
    an_old_attempt_lists_before_it_posts,
    an_endpoint_changed_at_stripe_is_mended,
);

const ENDPOINT: &str = "/v1/portals/acme/modules/stripe/webhook-endpoint";
const MODULE: &str = "/v1/portals/acme/modules/stripe";
pub(crate) const BY_HAND: &str = "whsec_stored_by_hand_0123456789";

pub(crate) fn signature(secret: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", HEXLOWER.encode(tag.as_ref()))
}

pub(crate) async fn deliver(service: &Service, hook: &str, signature: &str, body: &str) -> Answer {
    let request = service
        .client
        .post(format!("{}/v1/hooks/stripe/{hook}", service.base_url))
        .header("stripe-signature", signature)
        .header("content-type", "application/json")
        .body(body.to_owned());
    Service::answer(request).await
}

/// A portal whose endpoint was made by hand; gives its hook.
async fn by_hand(service: &Service) -> String {
    service.enabled_portal("acme").await;
    let body = json!({
        "secret_key": "sk_test_simulator", "publishable_key": "pk_test_simulator",
        "webhook_secret": BY_HAND,
    });
    service
        .put("/v1/portals/acme/modules/stripe/credentials", body)
        .await
        .expect(201);
    let endpoint = service.post(ENDPOINT, Value::Null).await.expect(201);
    hook_of(&endpoint)
}

pub(crate) fn hook_of(endpoint: &Value) -> String {
    endpoint["url"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned()
}

fn event(id: &str) -> String {
    json!({
        "id": id, "object": "event", "type": "customer.created", "created": 1_700_000_000,
        "api_version": "2026-09-30.endive", "livemode": false, "data": {"object": {}},
    })
    .to_string()
}

async fn a_signed_delivery_is_stored_and_shows_in_the_readiness(engine: Database) {
    let service = Service::start(engine).await;
    let hook = by_hand(&service).await;
    let now = service.clock.now().as_seconds();
    let body = event("evt_1");
    let first = deliver(&service, &hook, &signature(BY_HAND, now, &body), &body)
        .await
        .expect(200);
    assert_eq!(first, json!({"received": true, "duplicate": false}));
    let again = deliver(&service, &hook, &signature(BY_HAND, now, &body), &body)
        .await
        .expect(200);
    assert_eq!(again, json!({"received": true, "duplicate": true}));
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(check(&module, "webhook_received")["status"], "pass");
}

async fn an_unknown_hook_and_a_bad_signature_answer_alike(engine: Database) {
    let service = Service::start(engine).await;
    let hook = by_hand(&service).await;
    let now = service.clock.now().as_seconds();
    let body = event("evt_1");
    let good = signature(BY_HAND, now, &body);
    let nobody = "0".repeat(26);
    let cases = [
        (nobody.as_str(), good.clone(), body.clone()),
        (
            &hook,
            signature("whsec_of_somebody_else_000", now, &body),
            body.clone(),
        ),
        (&hook, signature(BY_HAND, now - 301, &body), body.clone()),
        (&hook, signature(BY_HAND, now + 301, &body), body.clone()),
        (&hook, good.clone(), event("evt_2")),
        (&hook, String::new(), body.clone()),
        (&hook, "nonsense".to_owned(), body.clone()),
        (&hook, signature(BY_HAND, now, "{}"), "{}".to_owned()),
    ];
    let mut answers = Vec::new();
    for (hook, signature, body) in cases {
        let mut answer = deliver(&service, hook, &signature, &body)
            .await
            .problem(400, "webhook_rejected");
        answer["instance"] = Value::Null;
        answer["request_id"] = Value::Null;
        answers.push(answer);
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(
        check(&module, "webhook_received")["status"],
        "unknown",
        "nothing of all that was taken"
    );

    for seconds in [-300, 300] {
        let signature = signature(BY_HAND, now + seconds, &body);
        deliver(&service, &hook, &signature, &body)
            .await
            .expect(200);
    }
    let big = "x".repeat(512 * 1024 + 1);
    deliver(&service, &hook, &signature(BY_HAND, now, &big), &big)
        .await
        .problem(413, "body_too_large");
}

async fn what_stripe_delivers_arrives(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    service.post(ENDPOINT, Value::Null).await.expect(201);
    let request = service
        .client
        .post(format!("{}/v1/customers", service.simulator.base_url()))
        .bearer_auth("sk_test_simulator")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=Delivered");
    Service::answer(request).await.expect(200);
    // Deliveries are made beside the calls; asking takes its time, and there is an end to it.
    let mut statuses = Vec::new();
    for _ in 0..2000 {
        let sent = service
            .simulator(Method::GET, "/webhooks", Value::Null)
            .await;
        let attempts = sent["attempts"].as_array().unwrap();
        statuses = attempts
            .iter()
            .map(|attempt| attempt["status"].clone())
            .collect();
        if !statuses.is_empty() {
            break;
        }
    }
    assert_eq!(statuses, [200]);
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(check(&module, "webhook_received")["status"], "pass");
}

async fn a_rotated_secret_is_good_for_a_day(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let first = service.post(ENDPOINT, Value::Null).await.expect(201);
    service.clock.advance_millis(1);
    let rotated = service
        .post(ENDPOINT, json!({"rotate": true}))
        .await
        .expect(201);
    assert_eq!(rotated["url"], first["url"]);
    assert_ne!(
        rotated["stripe"]["webhook_endpoint"],
        first["stripe"]["webhook_endpoint"]
    );
    assert_eq!(
        service
            .calls_to_stripe("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
            .await,
        1
    );
    let secrets = async || {
        let path = "/v1/portals/acme/modules/stripe/credentials";
        service.get(path).await.expect(200)["webhook_secrets"].clone()
    };
    let both = secrets().await;
    assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
    let end = service
        .clock
        .now()
        .plus_millis(24 * 60 * 60 * 1000)
        .to_rfc3339();
    assert_eq!(
        (&both[0]["expires_at"], &both[1]["expires_at"]),
        (&Value::Null, &json!(end))
    );
    service.clock.advance_millis(24 * 60 * 60 * 1000);
    assert_eq!(secrets().await.as_array().unwrap().len(), 1);
}

async fn a_lost_answer_makes_no_second_endpoint(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let fault = json!({
        "method": "POST", "path": "/v1/webhook_endpoints", "kind": "reset_after", "times": 1,
    });
    service.simulator(Method::POST, "/faults", fault).await;
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(503, "stripe_unavailable");
    service.post(ENDPOINT, Value::Null).await.expect(201);
    assert_eq!(service.get(MODULE).await.expect(200)["status"], "ready");
    assert_eq!(endpoints_at_stripe(&service).await, 1);
}

async fn an_old_attempt_lists_before_it_posts(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let fault = json!({
        "method": "POST", "path": "/v1/webhook_endpoints", "kind": "reset_after", "times": 1,
    });
    service.simulator(Method::POST, "/faults", fault).await;
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(503, "stripe_unavailable");
    // A day later Stripe may have forgotten the key, and the endpoint's secret is lost for ever.
    service.clock.advance_millis(24 * 60 * 60 * 1000);
    service.post(ENDPOINT, Value::Null).await.expect(201);
    assert_eq!(endpoints_at_stripe(&service).await, 1);
    assert_eq!(
        service
            .calls_to_stripe("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
            .await,
        1
    );
}

async fn an_endpoint_changed_at_stripe_is_mended(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let endpoint = service.post(ENDPOINT, Value::Null).await.expect(201);
    let id = endpoint["stripe"]["webhook_endpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    let at_stripe = format!("{}/v1/webhook_endpoints/{id}", service.simulator.base_url());
    let stripe = async |method: Method, form: &str| {
        let request = service
            .client
            .request(method, &at_stripe)
            .bearer_auth("sk_test_simulator");
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned());
        Service::answer(request).await.expect(200)
    };
    let disabled = stripe(
        Method::POST,
        "disabled=true&enabled_events[]=customer.created",
    )
    .await;
    assert_eq!(disabled["status"], "disabled");
    service.post(ENDPOINT, Value::Null).await.expect(200);
    let mended = stripe(Method::GET, "").await;
    assert_eq!(mended["status"], "enabled");
    assert!(mended["enabled_events"].as_array().unwrap().len() > 10);

    // One that was deleted there is made anew.
    stripe(Method::DELETE, "").await;
    let anew = service.post(ENDPOINT, Value::Null).await.expect(201);
    assert_ne!(anew["stripe"]["webhook_endpoint"], json!(id));
    assert_eq!(endpoints_at_stripe(&service).await, 1);
}

async fn endpoints_at_stripe(service: &Service) -> usize {
    let url = format!("{}/v1/webhook_endpoints", service.simulator.base_url());
    let request = service.client.get(url).bearer_auth("sk_test_simulator");
    Service::answer(request).await.expect(200)["data"]
        .as_array()
        .unwrap()
        .len()
}
