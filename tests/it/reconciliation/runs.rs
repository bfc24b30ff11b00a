//! How a reconciliation runs: asked for once, shown, given up, gone on with elsewhere.

use reqwest::Method;
use serde_json::{Value, json};

use super::{RECONCILIATIONS, delete_at_stripe, found, reconcile, shop, subscriber, until};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_repeated_request_begins_one,
    they_are_listed_newest_first,
    what_cannot_be_done_is_refused,
    it_goes_on_where_it_was_after_the_service_was_stopped,
    a_call_that_fails_is_made_again,
);

async fn a_repeated_request_begins_one(engine: Database) {
    let service = shop(engine, &[]).await;
    let body = json!({"repair": true});
    let first = service
        .post_once(RECONCILIATIONS, "reconcile-0001", body.clone())
        .await;
    let again = service
        .post_once(RECONCILIATIONS, "reconcile-0001", body)
        .await;
    assert_eq!((first.status.as_u16(), &first.text), (202, &again.text));
    assert_eq!(again.status.as_u16(), 202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let place = first.header("location").unwrap().to_owned();
    let done = until(&service, &place, |body| body["status"] != "running").await;
    assert_eq!(done["status"], "done");
    assert_eq!(done["repair"], true);
    let list = service.get(RECONCILIATIONS).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

async fn they_are_listed_newest_first(engine: Database) {
    let service = shop(engine, &[]).await;
    let mut ids = Vec::new();
    for repair in [false, true, false] {
        ids.push(reconcile(&service, repair).await["id"].clone());
        service.clock.advance_millis(1_000);
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = format!("{RECONCILIATIONS}?limit=2&status=done");
    loop {
        let page = service.get(&path).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].clone()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{RECONCILIATIONS}?limit=2&status=done&cursor={cursor}");
    }
    assert_eq!(seen, ids);
    let failed = service
        .get(&format!("{RECONCILIATIONS}?status=failed"))
        .await
        .expect(200);
    assert_eq!(failed["data"], json!([]));
    let path = format!("{RECONCILIATIONS}/{}", ids[0].as_str().unwrap());
    let shown = service.get(&path).await;
    let tag = shown.header("etag").unwrap().to_owned();
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-none-match", tag.as_str()),
    ];
    let known = service
        .call_with(Method::GET, &path, &headers, Value::Null)
        .await;
    assert_eq!(known.status.as_u16(), 304);
}

async fn what_cannot_be_done_is_refused(engine: Database) {
    let service = Service::start(engine).await;
    service
        .post(RECONCILIATIONS, Value::Null)
        .await
        .problem(404, "not_found");
    service.enabled_portal("acme").await;
    service
        .post(RECONCILIATIONS, Value::Null)
        .await
        .problem(409, "stripe_not_ready");
    service
        .get(&format!(
            "{RECONCILIATIONS}/recn_01kat5bmf0f3x8q2r7w1e4t6y9"
        ))
        .await
        .problem(404, "not_found");
    let entry = json!({"stripe_customer": "cus_1", "external_id": "globex"});
    let many = vec![entry; 1_001];
    service
        .post(RECONCILIATIONS, json!({"adopt": {"customers": many}}))
        .await
        .problem(422, "validation_failed");
    let bad = json!({"adopt": {
        "customers": [{"stripe_customer": "sub_1", "external_id": ""}],
        "subscriptions": [{
            "stripe_subscription": "../x", "customer": "globex", "product": "A", "plan": "",
        }],
    }});
    let refused = service
        .post(RECONCILIATIONS, bad)
        .await
        .problem(422, "validation_failed");
    let mut pointers: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/adopt/customers/0/external_id",
            "/adopt/customers/0/stripe_customer",
            "/adopt/subscriptions/0/customer",
            "/adopt/subscriptions/0/plan",
            "/adopt/subscriptions/0/product",
            "/adopt/subscriptions/0/stripe_subscription",
        ]
    );
}

async fn it_goes_on_where_it_was_after_the_service_was_stopped(engine: Database) {
    let service = shop(engine, &[("reconciliation.poll_ms", "20")]).await;
    let mut canceled = Vec::new();
    for number in 0..6 {
        let subscribed = subscriber(&service, &format!("globex-{number}"), "gold").await;
        let there = subscribed["stripe"]["subscription"].as_str().unwrap();
        delete_at_stripe(&service, &format!("/v1/subscriptions/{there}")).await;
        canceled.push(format!(
            "subscription {} differs status+canceled_at+ended_at",
            subscribed["id"].as_str().unwrap()
        ));
    }
    canceled.sort();
    // A server that may call Stripe once a second begins it, and is stopped on its way.
    let slow = service
        .one_more(&[
            ("stripe.test_calls_per_second", "1"),
            ("reconciliation.poll_ms", "60000"),
        ])
        .await;
    let request = service
        .client
        .post(format!("{}{RECONCILIATIONS}", slow.base_url))
        .header("authorization", service.bearer())
        .header("prefer", "wait=0")
        .header("content-type", "application/json")
        .body(json!({"repair": true}).to_string());
    let begun = Service::answer(request).await.expect(202);
    let path = format!("{RECONCILIATIONS}/{}", begun["id"].as_str().unwrap());
    let halfway = until(&service, &path, |body| body["requests"].as_i64() >= Some(2)).await;
    assert_eq!(halfway["status"], "running", "{halfway}");
    drop(slow);
    let stopped = service.get(&path).await.expect(200);
    assert_eq!(stopped["status"], "running", "{stopped}");

    // Its lease runs out, and the other server goes on.
    service.clock.advance_millis(61_000);
    let done = until(&service, &path, |body| body["status"] != "running").await;
    assert_eq!(done["status"], "done");
    assert_eq!(found(&done, true), canceled);
    // Each thing was compared once: what was done before the stop was not done again.
    assert_eq!(
        done["compared"],
        json!({
            "customers": 6, "payment_methods": 6, "subscriptions": 6, "invoices": 6, "foreign": 0,
        })
    );
    assert_eq!(done["requests"], 9);
    let again = reconcile(&service, true).await;
    assert_eq!(found(&again, true), Vec::<String>::new());
}

async fn a_call_that_fails_is_made_again(engine: Database) {
    let service = shop(engine, &[]).await;
    subscriber(&service, "globex", "gold").await;
    service.fault("error_before", "GET", "/v1/customers").await;
    let done = reconcile(&service, false).await;
    assert_eq!(found(&done, false), Vec::<String>::new());
    assert_eq!(done["error"], Value::Null);
    // Four, and the one that was made twice.
    assert_eq!(done["requests"], 5);
}
