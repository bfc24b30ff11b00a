//! Portals over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_portal_lives_its_life,
    preconditions_are_honoured,
    a_merge_patch_tells_absent_null_and_value_apart,
    lists_page_through_everything_once,
    other_portals_do_not_exist,
    a_cursor_is_good_for_its_list_alone,
    concurrent_writers_lose_nothing,
);

async fn a_portal_lives_its_life(engine: Database) {
    let service = Service::start(engine).await;
    service
        .get("/v1/portals/acme")
        .await
        .problem(404, "not_found");

    let body = json!({"title": "  Acme ", "metadata": {"team": "apis"}});
    let made = service.put("/v1/portals/acme", body.clone()).await;
    let tag = made.header("etag").unwrap().to_owned();
    let made = made.expect(201);
    let now = service.clock.now().to_rfc3339();
    assert_eq!(
        made,
        json!({
            "id": "acme", "title": "Acme", "metadata": {"team": "apis"},
            "created_at": now, "updated_at": now,
        })
    );

    service.clock.advance_millis(1000);
    let again = service.put("/v1/portals/acme", body).await;
    assert_eq!(
        again.header("etag"),
        Some(tag.as_str()),
        "the same again changes nothing"
    );
    assert_eq!(again.expect(200), made);

    let renamed = service
        .put("/v1/portals/acme", json!({"title": "Acme 2"}))
        .await;
    assert_ne!(renamed.header("etag"), Some(tag.as_str()));
    let renamed = renamed.expect(200);
    assert_eq!(
        (&renamed["title"], &renamed["metadata"]),
        (&json!("Acme 2"), &json!({}))
    );
    assert_eq!(renamed["created_at"], made["created_at"]);
    assert_ne!(renamed["updated_at"], made["updated_at"]);
    assert_eq!(service.get("/v1/portals/acme").await.expect(200), renamed);

    let gone = service.delete("/v1/portals/acme").await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    service
        .delete("/v1/portals/acme")
        .await
        .problem(404, "not_found");
    service
        .get("/v1/portals/acme")
        .await
        .problem(404, "not_found");
}

async fn preconditions_are_honoured(engine: Database) {
    let service = Service::start(engine).await;
    let put = async |headers: &[(&str, &str)], title: &str| {
        let bearer = service.bearer();
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        service
            .call_with(
                Method::PUT,
                "/v1/portals/acme",
                &all,
                json!({"title": title}),
            )
            .await
    };
    put(&[("if-match", "*")], "A")
        .await
        .problem(412, "precondition_failed");
    let made = put(&[("if-none-match", "*")], "A").await;
    let first = made.header("etag").unwrap().to_owned();
    made.expect(201);
    put(&[("if-none-match", "*")], "B")
        .await
        .problem(412, "precondition_failed");
    let second = put(&[("if-match", &first)], "B").await;
    let second_tag = second.header("etag").unwrap().to_owned();
    second.expect(200);
    put(&[("if-match", &first)], "C")
        .await
        .problem(412, "precondition_failed");
    put(&[("if-match", "unquoted")], "C")
        .await
        .problem(400, "invalid_header");

    let bearer = service.bearer();
    let reading = [
        ("authorization", bearer.as_str()),
        ("if-none-match", second_tag.as_str()),
    ];
    let known = service
        .call_with(Method::GET, "/v1/portals/acme", &reading, Value::Null)
        .await;
    assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));

    let deleting = [
        ("authorization", bearer.as_str()),
        ("if-match", first.as_str()),
    ];
    service
        .call_with(Method::DELETE, "/v1/portals/acme", &deleting, Value::Null)
        .await
        .problem(412, "precondition_failed");

    // A portal made anew under the same name has other tags.
    service.delete("/v1/portals/acme").await.expect(204);
    service.clock.advance_millis(1);
    put(&[], "A").await.expect(201);
    put(&[("if-match", &first)], "C")
        .await
        .problem(412, "precondition_failed");
}

async fn a_merge_patch_tells_absent_null_and_value_apart(engine: Database) {
    let service = Service::start(engine).await;
    let start = json!({"title": "Acme", "metadata": {"a": "1", "b": "2"}});
    service.put("/v1/portals/acme", start).await.expect(201);
    let patch = async |body: Value| service.call(Method::PATCH, "/v1/portals/acme", body).await;

    let changed = patch(json!({"metadata": {"a": null, "c": "3"}}))
        .await
        .expect(200);
    assert_eq!(changed["title"], "Acme");
    assert_eq!(changed["metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(patch(json!({})).await.expect(200), changed);
    let cleared = patch(json!({"metadata": null, "title": "New"}))
        .await
        .expect(200);
    assert_eq!(
        (&cleared["title"], &cleared["metadata"]),
        (&json!("New"), &json!({}))
    );
    let refused = patch(json!({"title": null}))
        .await
        .problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/title");

    let fifty: Value = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    patch(json!({"metadata": fifty})).await.expect(200);
    let over = patch(json!({"metadata": {"one_more": "v"}})).await;
    assert_eq!(
        over.problem(422, "validation_failed")["errors"][0]["code"],
        "too_many"
    );

    let request = service
        .client
        .patch(format!("{}/v1/portals/acme", service.base_url))
        .header("authorization", service.bearer())
        .header("content-type", "application/merge-patch+json")
        .body(r#"{"title":"By its own type"}"#);
    assert_eq!(
        Service::answer(request).await.expect(200)["title"],
        "By its own type"
    );
}

async fn lists_page_through_everything_once(engine: Database) {
    let service = Service::start(engine).await;
    for n in 0..7 {
        // Three made in the same millisecond: the name decides.
        if n != 3 && n != 4 {
            service.clock.advance_millis(10);
        }
        service
            .put(&format!("/v1/portals/p{n}"), json!({"title": "P"}))
            .await
            .expect(201);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/portals?limit=3".to_owned();
    loop {
        let answer = service.get(&path).await;
        let link = answer.header("link").map(str::to_owned);
        let page = answer.expect(200);
        for portal in page["data"].as_array().unwrap() {
            seen.push(portal["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(page["has_more"].as_bool().unwrap(), link.is_some());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/portals?limit=3&cursor={cursor}");
        assert_eq!(link.unwrap(), format!("<{path}>; rel=\"next\""));
    }
    assert_eq!(seen, ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]);
    for bad in ["limit=0", "limit=101"] {
        let refused = service.get(&format!("/v1/portals?{bad}")).await;
        assert_eq!(
            refused.problem(422, "validation_failed")["errors"][0]["pointer"],
            "?limit"
        );
    }
    let unknown = service
        .get("/v1/portals?page=2")
        .await
        .problem(422, "unknown_field");
    assert_eq!(unknown["errors"][0]["pointer"], "?page");
}

async fn other_portals_do_not_exist(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/mine", json!({"title": "M"}))
        .await
        .expect(201);
    service
        .put("/v1/portals/theirs", json!({"title": "T"}))
        .await
        .expect(201);
    let token = service.token(&[("portal", "mine"), ("scope", "all")]);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let mut bodies = Vec::new();
    for portal in ["theirs", "nowhere"] {
        let path = format!("/v1/portals/{portal}");
        let answer = service
            .call_with(Method::GET, &path, &headers, Value::Null)
            .await;
        let mut body = answer.problem(404, "not_found");
        body["instance"] = Value::Null;
        body["request_id"] = Value::Null;
        bodies.push(body);
    }
    assert_eq!(
        bodies[0], bodies[1],
        "an existing portal of others looks like none"
    );
    let list = service
        .call_with(Method::GET, "/v1/portals", &headers, Value::Null)
        .await;
    let list = list.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], "mine");
    let put = json!({"title": "taken over"});
    service
        .call_with(Method::PUT, "/v1/portals/theirs", &headers, put)
        .await
        .problem(404, "not_found");
    assert_eq!(
        service.get("/v1/portals/theirs").await.expect(200)["title"],
        "T"
    );
}

async fn a_cursor_is_good_for_its_list_alone(engine: Database) {
    let service = Service::start(engine).await;
    for portal in ["one", "two"] {
        service
            .put(&format!("/v1/portals/{portal}"), json!({"title": "P"}))
            .await
            .expect(201);
        service
            .put(&format!("/v1/portals/{portal}"), json!({"title": "Q"}))
            .await
            .expect(200);
        service.clock.advance_millis(1);
    }
    let page = service
        .get("/v1/portals/one/audit-log?limit=1")
        .await
        .expect(200);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    service
        .get(&format!("/v1/portals/one/audit-log?cursor={cursor}"))
        .await
        .expect(200);
    for path in ["/v1/portals/two/audit-log", "/v1/portals"] {
        service
            .get(&format!("{path}?cursor={cursor}"))
            .await
            .problem(400, "invalid_cursor");
    }
    let mut forged = cursor.into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    service
        .get(&format!("/v1/portals?cursor={forged}"))
        .await
        .problem(400, "invalid_cursor");
}

async fn concurrent_writers_lose_nothing(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/busy", json!({"title": "P"}))
        .await
        .expect(201);
    let writes = (0..40).map(|n| {
        let service = &service;
        async move {
            let body = json!({"metadata": {format!("k{n}"): "v"}});
            service
                .call(Method::PATCH, "/v1/portals/busy", body)
                .await
                .status
                .as_u16()
        }
    });
    let statuses = futures_util::future::join_all(writes).await;
    // A writer that met another is told so and has stored nothing.
    let stored = statuses.iter().filter(|status| **status == 200).count();
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 409)),
        "{statuses:?}"
    );
    let portal = service.get("/v1/portals/busy").await.expect(200);
    assert_eq!(portal["metadata"].as_object().unwrap().len(), stored);
    let log = service
        .get("/v1/portals/busy/audit-log?limit=100")
        .await
        .expect(200);
    let entries = log["data"].as_array().unwrap();
    assert_eq!(entries.len(), stored + 1, "one audit entry per change");
    let sequence: Vec<u64> = entries
        .iter()
        .rev()
        .map(|e| e["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        sequence,
        (1..=u64::try_from(stored).unwrap() + 1).collect::<Vec<_>>()
    );
}
