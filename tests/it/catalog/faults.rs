//! Whatever goes wrong on the way to Stripe, there is one Product and one Price in the end.

use reqwest::Method;
use serde_json::{Value, json};

use super::{QUICK, WEATHER, at_stripe, calls, flat, plan, product};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    every_fault_at_every_step_ends_with_one_of_each,
    what_an_abandoned_operation_made_is_taken_over,
    what_could_not_be_archived_is_archived_later,
    a_product_is_not_deleted_under_a_running_operation,
);

const FAULTS: [&str; 11] = [
    "rate_limit",
    "lock_timeout",
    "conflict",
    "error_before",
    "error_after",
    "bad_gateway_before",
    "bad_gateway_after",
    "reset_before",
    "reset_after",
    "truncated_body",
    "not_json",
];

async fn fault(service: &Service, kind: &str, path: &str, times: u64) {
    let fault = json!({
        "kind": kind, "method": "POST", "path": path, "times": times, "retry_after": 0,
    });
    service.simulator(Method::POST, "/faults", fault).await;
}

async fn no_faults(service: &Service) {
    service
        .simulator(Method::DELETE, "/faults", Value::Null)
        .await;
}

/// How many objects of a kind stand for this product of ours.
async fn count(service: &Service, kind: &str, product: &str) -> usize {
    let objects = at_stripe(service, kind).await;
    objects
        .iter()
        .filter(|object| object["metadata"]["portal_billing_product"] == product)
        .count()
}

async fn every_fault_at_every_step_ends_with_one_of_each(engine: Database) {
    let service = Service::start_with(engine, &QUICK).await;
    service.configured_portal("acme").await;
    let body = product("published", &[plan("gold", flat(1500))]);
    for (step, path) in ["/v1/products", "/v1/prices"].into_iter().enumerate() {
        for kind in FAULTS {
            // Twice each: what comes after the first repetition may go wrong as well.
            for times in [1, 2] {
                let name = format!("p{step}-{}-{times}", kind.replace('_', "-"));
                let place = format!("/v1/portals/acme/products/{name}");
                fault(&service, kind, path, times).await;
                let made = service.put(&place, body.clone()).await.expect(201);
                no_faults(&service).await;
                assert_ne!(made["plans"][0]["stripe"], Value::Null, "{name}");
                assert_eq!(count(&service, "product", &name).await, 1, "{name}");
                assert_eq!(count(&service, "price", &name).await, 1, "{name}");
                let before = calls(&service).await;
                let same = service.put(&place, body.clone()).await.expect(200);
                assert_eq!(same, made, "{name}");
                assert_eq!(calls(&service).await, before, "{name}");
            }
        }
    }
}

async fn what_an_abandoned_operation_made_is_taken_over(engine: Database) {
    let settings = [QUICK[0], QUICK[1], ("operations.max_attempts", "2")];
    let service = Service::start_with(engine, &settings).await;
    service.configured_portal("acme").await;
    let body = product("published", &[plan("gold", flat(1500))]);
    for (name, path) in [("first", "/v1/products"), ("second", "/v1/prices")] {
        let place = format!("/v1/portals/acme/products/{name}");
        // It takes effect, and nobody ever hears of it.
        fault(&service, "reset_after", path, 0).await;
        let stuck = service.put(&place, body.clone()).await.expect(202);
        assert_eq!(stuck["status"], "attention", "{stuck}");
        no_faults(&service).await;
        let shown = service.get(&place).await.expect(200);
        assert_eq!(shown["plans"][0]["stripe"], Value::Null);

        // The next one finds it and takes it for its own.
        let made = service.put(&place, body.clone()).await.expect(200);
        assert_ne!(made["plans"][0]["stripe"], Value::Null);
        assert_eq!(count(&service, "product", name).await, 1);
        assert_eq!(count(&service, "price", name).await, 1);

        // And the first one, when somebody has looked, finds nothing left to do.
        let id = stuck["id"].as_str().unwrap();
        let operation = format!("/v1/portals/acme/operations/{id}");
        service
            .post(&format!("{operation}/retry"), json!({}))
            .await
            .expect(202);
        while service.get(&operation).await.expect(200)["status"] == "running" {}
        assert_eq!(
            service.get(&operation).await.expect(200)["status"],
            "succeeded"
        );
        assert_eq!(service.get(&place).await.expect(200), made);
        assert_eq!(count(&service, "price", name).await, 1);
    }
}

async fn what_could_not_be_archived_is_archived_later(engine: Database) {
    let service = Service::start_with(engine, &QUICK).await;
    service.configured_portal("acme").await;
    let put = async |amount: i64| {
        let body = product("published", &[plan("gold", flat(amount))]);
        service.put(WEATHER, body).await
    };
    put(1500).await.expect(201);
    let refused = json!({
        "kind": "error_before",
        "status": 400,
        "method": "POST",
        "path": "/v1/prices/{price}",
        "times": 1,
    });
    service.simulator(Method::POST, "/faults", refused).await;
    // The new price is on offer all the same.
    let shown = put(1700).await.expect(200);
    assert_ne!(shown["plans"][0]["stripe"], Value::Null);
    let active = async || {
        let prices = at_stripe(&service, "price").await;
        let active = prices.iter().filter(|price| price["active"] == true);
        active
            .map(|price| price["unit_amount"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(active().await, [json!(1500), json!(1700)]);
    put(1700).await.expect(200);
    assert_eq!(active().await, [json!(1700)]);

    // What cannot be archived keeps no product from being deleted, and the audit log names it.
    let endless = json!({
        "kind": "error_before",
        "status": 400,
        "method": "POST",
        "path": "/v1/prices/{price}",
        "times": 0,
    });
    service.simulator(Method::POST, "/faults", endless).await;
    service.delete(WEATHER).await.expect(204);
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(
        log["data"][0]["details"]["left_in_use_at_stripe"],
        shown["plans"][0]["stripe"]["price"]
    );
}

async fn a_product_is_not_deleted_under_a_running_operation(engine: Database) {
    let settings = [
        ("operations.first_backoff_ms", "60000"),
        ("operations.longest_backoff_ms", "60000"),
    ];
    let service = Service::start_with(engine, &settings).await;
    service.configured_portal("acme").await;
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
    let call = async |method: Method, body: Value| {
        service.call_with(method, WEATHER, &headers, body).await
    };
    // It waits a minute for its second attempt.
    fault(&service, "reset_after", "/v1/products", 1).await;
    let body = product("published", &[plan("gold", flat(1500))]);
    let running = call(Method::PUT, body).await.expect(202);
    let place = format!(
        "/v1/portals/acme/operations/{}",
        running["id"].as_str().unwrap()
    );
    while service.get(&place).await.expect(200)["attempts"] == 0 {}

    let module = "/v1/portals/acme/modules/stripe";
    service
        .put(module, json!({"enabled": false}))
        .await
        .expect(200);
    call(Method::DELETE, Value::Null)
        .await
        .problem(409, "operation_pending");
    service
        .put(module, json!({"enabled": true}))
        .await
        .expect(200);
    let going = call(Method::DELETE, Value::Null).await.expect(202);
    assert_eq!(going["kind"], "archive_plan");
    assert_eq!(going["step"], "queued");
    // Nobody subscribes from now on.
    let shown = service.get(WEATHER).await.expect(200);
    assert_eq!(shown["state"], "retired");

    // Time passes: the first one ends, then the product goes.
    service.clock.advance_millis(61_000);
    while service.get(WEATHER).await.status.as_u16() != 404 {}
    assert_eq!(count(&service, "product", "weather").await, 1);
    let products = at_stripe(&service, "product").await;
    assert_eq!(products[0]["active"], false);
    assert_eq!(at_stripe(&service, "price").await.len(), 0);
}
