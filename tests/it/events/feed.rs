//! The pull feed.

use serde_json::{Value, json};

use super::{ENDPOINTS, publish, publish_for, service};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_poller_sees_each_event_once_and_in_order,
    filters_leave_out_what_is_not_asked_for_and_go_on_behind_it,
    an_organization_sees_what_concerns_it,
    what_cannot_be_read_is_refused,
    changes_of_endpoints_are_events,
);

const EVENTS: &str = "/v1/portals/acme/events";

async fn page(service: &Service, query: &str) -> Value {
    service.get(&format!("{EVENTS}?{query}")).await.expect(200)
}

fn subjects(page: &Value) -> Vec<String> {
    let events = page["data"].as_array().unwrap();
    events
        .iter()
        .map(|event| {
            format!(
                "{}/{}",
                event["subject"].as_str().unwrap(),
                event["sequence"]
            )
        })
        .collect()
}

async fn a_poller_sees_each_event_once_and_in_order(engine: Database) {
    let service = service(engine, &[]).await;
    let nothing = page(&service, "limit=5").await;
    assert_eq!(
        (&nothing["data"], &nothing["has_more"]),
        (&json!([]), &json!(false))
    );
    let mut cursor = nothing["next_cursor"].as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    let mut expected = Vec::new();
    for round in 1..=4_i64 {
        let facts: Vec<_> = ["subn_a", "subn_b", "subn_c"]
            .map(|subject| ("subscription.updated", subject, round))
            .into();
        publish(&service, "acme", &facts).await;
        expected.extend(facts.iter().map(|(_, subject, n)| format!("{subject}/{n}")));
        loop {
            let page = page(&service, &format!("limit=2&cursor={cursor}")).await;
            seen.extend(subjects(&page));
            page["next_cursor"]
                .as_str()
                .unwrap()
                .clone_into(&mut cursor);
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    let from_the_start = page(&service, "limit=100").await;
    assert_eq!(subjects(&from_the_start), expected);
    let first = &from_the_start["data"][0];
    assert!(first["id"].as_str().unwrap().starts_with("fact_"));
    assert_eq!(first["type"], "subscription.updated");
    assert_eq!(first["data"], json!({"id": "subn_a", "version": 1}));
    assert_eq!(first["created_at"], service.clock.now().to_rfc3339());
}

async fn filters_leave_out_what_is_not_asked_for_and_go_on_behind_it(engine: Database) {
    let service = service(engine, &[]).await;
    let facts = [
        ("customer.created", "org_a", 1),
        ("subscription.created", "subn_a", 1),
        ("customer.updated", "org_a", 2),
        ("subscription.created", "subn_b", 1),
        ("customer.updated", "org_a", 3),
    ];
    publish(&service, "acme", &facts).await;
    let created = page(&service, "type=subscription.created").await;
    assert_eq!(subjects(&created), ["subn_a/1", "subn_b/1"]);
    let one = page(&service, "subject=org_a&limit=2").await;
    assert_eq!(subjects(&one), ["org_a/1", "org_a/2"]);
    assert_eq!(one["has_more"], true);
    // The next page as the `Link` header names it.
    let answer = service
        .get(&format!("{EVENTS}?subject=org_a&limit=2"))
        .await;
    let link = answer.header("link").unwrap();
    let next = link
        .strip_prefix('<')
        .unwrap()
        .strip_suffix(">; rel=\"next\"")
        .unwrap();
    let next = service.get(next).await.expect(200);
    assert_eq!(subjects(&next), ["org_a/3"]);
    assert_eq!(next["has_more"], false);
    // Nothing matched behind the last one, and yet the cursor stands at the feed's end.
    let cursor = created["next_cursor"].as_str().unwrap();
    publish(&service, "acme", &[("customer.updated", "org_a", 4)]).await;
    let later = page(&service, &format!("cursor={cursor}")).await;
    assert_eq!(subjects(&later), ["org_a/4"]);
    let both = page(&service, "type=customer.updated&subject=org_a").await;
    assert_eq!(subjects(&both), ["org_a/2", "org_a/3", "org_a/4"]);
}

async fn an_organization_sees_what_concerns_it(engine: Database) {
    let service = service(engine, &[]).await;
    let of = |org| Some(org);
    publish_for(
        &service,
        "acme",
        of("one"),
        &[("customer.created", "org_1", 1)],
    )
    .await;
    publish_for(
        &service,
        "acme",
        of("two"),
        &[("customer.created", "org_2", 1)],
    )
    .await;
    publish(&service, "acme", &[("product.created", "weather", 1)]).await;
    let read = async |claims: &[(&str, &str)]| {
        let token = format!("Bearer {}", service.token(claims));
        let headers = [("authorization", token.as_str())];
        service
            .call_with(reqwest::Method::GET, EVENTS, &headers, Value::Null)
            .await
    };
    let claims = [("portal", "acme"), ("scope", "events:read"), ("org", "two")];
    assert_eq!(subjects(&read(&claims).await.expect(200)), ["org_2/1"]);
    let all = read(&claims[..2]).await.expect(200);
    assert_eq!(subjects(&all), ["org_1/1", "org_2/1", "weather/1"]);
    read(&[("portal", "other"), ("scope", "events:read")])
        .await
        .problem(404, "not_found");
    read(&[("portal", "acme"), ("scope", "audit:read")])
        .await
        .problem(403, "scope_missing");
}

async fn what_cannot_be_read_is_refused(engine: Database) {
    let service = service(engine, &[]).await;
    let other = service.get("/v1/portals?limit=1").await.expect(200);
    assert_eq!(other["has_more"], false);
    for (query, status, code) in [
        ("limit=0", 422, "validation_failed"),
        ("limit=101", 422, "validation_failed"),
        ("cursor=nonsense", 400, "invalid_cursor"),
        ("since=2026-01-01", 422, "unknown_field"),
        ("type=Not%20a%20type", 422, "validation_failed"),
        ("subject=", 422, "validation_failed"),
        ("subject=sk_test_0123456789abcdef", 422, "validation_failed"),
    ] {
        service
            .get(&format!("{EVENTS}?{query}"))
            .await
            .problem(status, code);
    }
    service
        .get("/v1/portals/nowhere/events")
        .await
        .problem(404, "not_found");
}

async fn changes_of_endpoints_are_events(engine: Database) {
    let service = service(engine, &[]).await;
    let made = super::endpoint(&service, "https://acme.example/", &["*"]).await;
    let id = super::id_of(&made);
    let path = format!("{ENDPOINTS}/{id}");
    service
        .call(reqwest::Method::PATCH, &path, json!({"description": "x"}))
        .await
        .expect(200);
    let rotate = format!("{path}/rotate-secret");
    service.post(&rotate, Value::Null).await.expect(200);
    service.delete(&path).await.expect(204);
    let feed = page(&service, &format!("subject={id}")).await;
    let events = feed["data"].as_array().unwrap();
    let types: Vec<_> = events
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "webhook_endpoint.created",
            "webhook_endpoint.updated",
            "webhook_endpoint.updated",
            "webhook_endpoint.deleted"
        ]
    );
    assert_eq!(subjects(&feed), [1, 2, 3, 4].map(|n| format!("{id}/{n}")));
    assert_eq!(events[1]["data"]["description"], "x");
    assert_eq!(
        events[2]["data"]["public_keys"].as_array().unwrap().len(),
        2
    );
    assert!(!feed.to_string().contains("whsec_"));
}
