//! Webhook endpoints: made, read, changed, rotated, removed.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ENDPOINTS, endpoint, id_of, service};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    an_endpoint_shows_its_secret_once,
    an_endpoint_is_changed_under_its_tag,
    what_an_endpoint_must_not_be_is_refused,
    a_portal_has_sixteen_endpoints_at_most,
    every_change_is_in_the_audit_log,
    another_portals_endpoint_does_not_exist,
);

async fn an_endpoint_shows_its_secret_once(engine: Database) {
    let service = service(engine, &[]).await;
    let body = json!({
        "url": "https://hooks.acme.example/billing", "events": ["subscription.updated", "customer.created"],
        "description": " For the portal ", "metadata": {"team": "apis"},
    });
    let bearer = service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "endpoint-0001"),
    ];
    let make = async || {
        service
            .call_with(Method::POST, ENDPOINTS, &headers, body.clone())
            .await
    };
    let first = make().await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.text);
    let made = first.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    let shown = &made["endpoint"];
    let id = shown["id"].as_str().unwrap();
    assert_eq!(
        shown["events"],
        json!(["customer.created", "subscription.updated"])
    );
    assert_eq!(shown["description"], "For the portal");
    assert_eq!(
        (
            &shown["enabled"],
            &shown["disabled"],
            &shown["failing_since"]
        ),
        (&json!(true), &Value::Null, &Value::Null)
    );
    let path = format!("{ENDPOINTS}/{id}");
    assert_eq!(first.header("location"), Some(path.as_str()));
    let read = service.get(&path).await;
    assert_eq!(read.header("etag"), first.header("etag"));
    assert!(!read.text.contains("whsec_"));
    assert_eq!(read.json(), *shown);
    let list = service.get(ENDPOINTS).await;
    assert!(!list.text.contains("whsec_"));
    assert_eq!(list.json()["data"], json!([shown]));
    // The same request is answered as it was, secret included, and makes no second one.
    let again = make().await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.text, first.text);
    assert_eq!(service.get(ENDPOINTS).await.json()["data"], json!([shown]));
}

async fn an_endpoint_is_changed_under_its_tag(engine: Database) {
    let service = service(engine, &[]).await;
    let made = endpoint(&service, "https://acme.example/", &["*"]).await;
    let path = format!("{ENDPOINTS}/{}", id_of(&made));
    let tag = service.get(&path).await.header("etag").unwrap().to_owned();
    let bearer = service.bearer();
    let patch = async |tag: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        service
            .call_with(Method::PATCH, &path, &headers, body)
            .await
    };
    service.clock.advance_millis(1);
    let changed = patch(
        &tag,
        json!({"url": "https://acme.example:8443/x", "events": ["customer.created"], "description": "d",
               "metadata": {"a": "b"}, "enabled": false}),
    )
    .await;
    let newer = changed.header("etag").unwrap().to_owned();
    let changed = changed.expect(200);
    assert_eq!(changed["url"], "https://acme.example:8443/x");
    assert_eq!(changed["events"], json!(["customer.created"]));
    assert_eq!(changed["enabled"], false);
    let at = service.clock.now().to_rfc3339();
    assert_eq!(
        changed["disabled"],
        json!({"reason": "requested", "at": at})
    );
    patch(&tag, json!({"enabled": true}))
        .await
        .problem(412, "precondition_failed");
    let removed = patch(
        &newer,
        json!({"description": null, "metadata": null, "enabled": true}),
    )
    .await
    .expect(200);
    assert_eq!(
        (
            &removed["description"],
            &removed["metadata"],
            &removed["disabled"]
        ),
        (&Value::Null, &json!({}), &Value::Null)
    );
    // What changes nothing makes no version.
    let before = service.get(&path).await;
    let same = patch("*", json!({"enabled": true})).await;
    assert_eq!(same.header("etag"), before.header("etag"));
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-none-match", before.header("etag").unwrap()),
    ];
    let known = service
        .call_with(Method::GET, &path, &headers, Value::Null)
        .await;
    assert_eq!(known.status.as_u16(), 304);
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-match", tag.as_str()),
    ];
    service
        .call_with(Method::DELETE, &path, &headers, Value::Null)
        .await
        .problem(412, "precondition_failed");
    service.delete(&path).await.expect(204);
    service.get(&path).await.problem(404, "not_found");
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn what_an_endpoint_must_not_be_is_refused(engine: Database) {
    let service = service(engine, &[]).await;
    let good = json!({"url": "https://acme.example/", "events": ["*"]});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, pointer) in [
        (json!({"events": ["*"]}), "/url"),
        (json!({"url": "https://acme.example/"}), "/events"),
        (with("url", json!("acme.example")), "/url"),
        (with("url", json!("http://acme.example/")), "/url"),
        (with("url", json!("https://u:p@acme.example/")), "/url"),
        (with("url", json!("https://acme.example:25/")), "/url"),
        (with("url", json!("https://10.0.0.1/")), "/url"),
        (
            with("url", json!("https://a.example/sk_test_0123456789abcdef")),
            "/url",
        ),
        (
            with(
                "url",
                json!(format!("https://a.example/{}", "x".repeat(2000))),
            ),
            "/url",
        ),
        (with("events", json!([])), "/events"),
        (
            with("events", json!(["*", "customer.created"])),
            "/events/0",
        ),
        (with("events", json!(["nothing.happened"])), "/events/0"),
        (
            with("events", json!(["customer.created", "customer.created"])),
            "/events/1",
        ),
        (with("events", json!("*")), "/events"),
        (with("description", json!("")), "/description"),
        (with("description", json!("x".repeat(201))), "/description"),
        (
            with("metadata", json!({"k": "v".repeat(501)})),
            "/metadata/k",
        ),
        (with("enabled", json!("yes")), "/enabled"),
        (with("secret", json!("whsec_own")), "/secret"),
    ] {
        let refused = service.post(ENDPOINTS, body.clone()).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body} {refused}");
    }
    assert_eq!(service.get(ENDPOINTS).await.json()["data"], json!([]));
    let made = endpoint(&service, "https://acme.example/", &["*"]).await;
    let path = format!("{ENDPOINTS}/{}", id_of(&made));
    for (body, pointer) in [
        (json!({"url": "https://10.0.0.2/"}), "/url"),
        (json!({"url": null}), "/url"),
        (json!({"events": ["x.y"]}), "/events/0"),
        (json!({"enabled": null}), "/enabled"),
        (json!({"metadata": {"k": "v".repeat(501)}}), "/metadata/k"),
    ] {
        let refused = service
            .call(Method::PATCH, &path, body.clone())
            .await
            .expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    for body in [
        json!({}),
        json!({"since": "2026-11-25T12:00:00Z", "from_event": "fact_01kat5bmf0f3x8q2r7w1e4t6y9"}),
        json!({"since": "yesterday"}),
        json!({"since": "2026-11-25T12:00:00Z", "until": "tomorrow"}),
        json!({"from_event": "fact_01kat5bmf0f3x8q2r7w1e4t6y9"}),
    ] {
        service
            .post(&format!("{path}/replay"), body)
            .await
            .problem(422, "validation_failed");
    }
}

async fn a_portal_has_sixteen_endpoints_at_most(engine: Database) {
    let service = service(engine, &[]).await;
    let make = || {
        service.post(
            ENDPOINTS,
            json!({"url": "https://a.example/", "events": ["*"]}),
        )
    };
    let made = futures_util::future::join_all((0..20).map(|_| make())).await;
    let count = made.iter().filter(|it| it.status.as_u16() == 201).count();
    assert_eq!(count, 16);
    make().await.problem(409, "webhook_endpoint_limit");
    // In pages, newest first.
    let mut seen = Vec::new();
    let mut query = "?limit=7".to_owned();
    loop {
        let page = service
            .get(&format!("{ENDPOINTS}{query}"))
            .await
            .expect(200);
        seen.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=7&cursor={cursor}"),
            None => break,
        }
    }
    let mut ids: Vec<String> = seen
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 16);
    service
        .delete(&format!("{ENDPOINTS}/{}", ids[3]))
        .await
        .expect(204);
    make().await.expect(201);
}

async fn every_change_is_in_the_audit_log(engine: Database) {
    let service = service(engine, &[]).await;
    let made = endpoint(&service, "https://acme.example/?token=kept-out", &["*"]).await;
    let path = format!("{ENDPOINTS}/{}", id_of(&made));
    service
        .call(Method::PATCH, &path, json!({"enabled": false}))
        .await
        .expect(200);
    let rotate = format!("{path}/rotate-secret");
    service.post(&rotate, Value::Null).await.expect(200);
    let replay = json!({"since": "2020-01-01T00:00:00Z"});
    service
        .post(&format!("{path}/replay"), replay)
        .await
        .expect(200);
    service.delete(&path).await.expect(204);
    let log = service.get("/v1/portals/acme/audit-log").await;
    assert!(!log.text.contains("whsec_") && !log.text.contains("kept-out"));
    let log = log.json();
    let actions: Vec<_> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["subject"] == path.as_str())
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "webhook_endpoint.deleted",
            "webhook_endpoint.replayed",
            "webhook_endpoint.secret_rotated",
            "webhook_endpoint.updated",
            "webhook_endpoint.created",
        ]
    );
}

async fn another_portals_endpoint_does_not_exist(engine: Database) {
    let service = service(engine, &[]).await;
    service
        .put("/v1/portals/theirs", json!({"title": "Theirs"}))
        .await
        .expect(201);
    let made = endpoint(&service, "https://acme.example/", &["*"]).await;
    let path = format!("/v1/portals/theirs/webhook-endpoints/{}", id_of(&made));
    let replay = json!({"since": "2020-01-01T00:00:00Z"});
    for (method, suffix, body) in [
        (Method::GET, "", Value::Null),
        (Method::PATCH, "", json!({"enabled": false})),
        (Method::DELETE, "", Value::Null),
        (Method::GET, "/deliveries", Value::Null),
        (Method::POST, "/rotate-secret", Value::Null),
        (Method::POST, "/replay", replay),
    ] {
        service
            .call(method, &format!("{path}{suffix}"), body)
            .await
            .problem(404, "not_found");
    }
    let theirs = service.get("/v1/portals/theirs/webhook-endpoints").await;
    assert_eq!(theirs.json()["data"], json!([]));
    let ours = service.get(&format!("{ENDPOINTS}/{}", id_of(&made))).await;
    assert_eq!(ours.expect(200), made["endpoint"]);
}
