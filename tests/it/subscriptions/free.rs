//! Free plans: Stripe is never asked.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    SUBSCRIPTIONS, order, plans, publish, read, shop, subscribe, tell, told, told_of, with,
};
use crate::support::billing::PORTAL;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_free_plan_is_active_at_once_with_stripe_down_and_the_module_off,
    a_free_plan_has_nothing_to_pay_and_no_seats,
    one_live_subscription_for_each_application,
    what_is_wrong_is_pointed_at,
    a_plan_that_is_not_on_offer_takes_nobody,
    the_callers_own_values_change_by_a_merge_patch,
    a_portal_with_live_subscriptions_stays,
);

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn a_free_plan_is_active_at_once_with_stripe_down_and_the_module_off(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let free = plans()[0].clone();
    publish(&service, "weather", json!([free])).await;
    let customer = service.customer("globex").await;
    let down = json!({"kind": "reset_before", "times": 0});
    service.simulator(Method::POST, "/faults", down).await;

    let body = json!({
        "customer": "ext:globex", "product": "weather", "plan": "open",
        "application": " app-1 ", "metadata": {"ticket": "4711"},
    });
    let made = subscribe(&service, "free-0001", body).await;
    let (tag, location) = (
        made.header("etag").unwrap().to_owned(),
        made.header("location").unwrap().to_owned(),
    );
    let made = made.expect(201);
    let now = service.clock.now().to_rfc3339();
    assert_eq!(
        made,
        json!({
            "id": made["id"],
            "customer": customer["id"],
            "product": "weather",
            "plan": "open",
            "plan_revision": 1,
            "application": "app-1",
            "status": "active",
            "access": {"decision": "allow", "reason": "free", "until": null},
            "current_period": null,
            "trial_end": null,
            "cancel_at": null,
            "canceled_at": null,
            "ended_at": null,
            "quantity": 1,
            "payment_method": null,
            "latest_invoice": null,
            "scheduled_change": null,
            "action": null,
            "metadata": {"ticket": "4711"},
            "stripe": null,
            "created_at": now,
            "updated_at": now,
        })
    );
    assert_eq!(
        location,
        format!("{SUBSCRIPTIONS}/{}", made["id"].as_str().unwrap())
    );
    let again = service.get(&location).await;
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    assert_eq!(again.expect(200), made);

    let ended = tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(ended["status"], "canceled");
    assert_eq!(ended["ended_at"], now);
    assert_eq!(ended["access"]["decision"], "deny");
    let again = tell(&service, &made, "cancel", json!({"at": "now"})).await;
    again.problem(409, "subscription_state_conflict");
    assert_eq!(
        told_of(&service, &made["id"]).await,
        [
            ("subscription.created".to_owned(), 1),
            ("subscription.updated".to_owned(), 2),
        ]
    );
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn a_free_plan_has_nothing_to_pay_and_no_seats(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    for (number, (name, value)) in [
        ("quantity", json!(2)),
        ("payment_method", json!("pm_123")),
        ("promotion_code", json!("SPRING")),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(order("ext:globex", "open"), name, value);
        let refused = subscribe(&service, &format!("refused-{number}"), body).await;
        let problem = refused.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{name}"));
    }
    let made = subscribe(&service, "free-0001", order("ext:globex", "open"))
        .await
        .expect(201);
    let at_period_end = tell(&service, &made, "cancel", json!({"at": "period_end"})).await;
    let problem = at_period_end.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/at");
    let undone = tell(&service, &made, "undo-cancel", Value::Null).await;
    undone.problem(409, "subscription_state_conflict");
}

async fn one_live_subscription_for_each_application(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    publish(&service, "tides", json!([plans()[0]])).await;
    let free = || order("ext:globex", "open");
    let first = subscribe(&service, "key-00001", free()).await.expect(201);
    // Another plan of the same product is the same product.
    let refused = subscribe(&service, "key-00002", order("ext:globex", "club")).await;
    let problem = refused.problem(409, "subscription_exists");
    let id = first["id"].as_str().unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains(id),
        "{problem}"
    );
    let for_one = with(free(), "application", "one");
    subscribe(&service, "key-00003", for_one.clone())
        .await
        .expect(201);
    let for_two = with(free(), "application", "two");
    subscribe(&service, "key-00004", for_two).await.expect(201);
    let other_product = with(free(), "product", "tides");
    subscribe(&service, "key-00005", other_product)
        .await
        .expect(201);
    let again = subscribe(&service, "key-00006", for_one).await;
    again.problem(409, "subscription_exists");
    // Ended, it makes room.
    tell(&service, &first, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    let second = subscribe(&service, "key-00007", free()).await.expect(201);
    assert_ne!(second["id"], first["id"]);
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn what_is_wrong_is_pointed_at(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let long = "x".repeat(256);
    for (number, (name, value)) in [
        ("customer", json!("globex")),
        ("customer", json!("ext:")),
        ("product", json!("No Slug")),
        ("plan", json!("")),
        ("plan", json!("platinum")),
        ("application", json!(" ")),
        ("application", json!(long)),
        ("application", json!("a\nb")),
        ("quantity", json!(0)),
        ("quantity", json!(1_000_001)),
        ("payment_method", json!("card_123")),
        ("payment_method", json!("pm_")),
        ("payment_method", json!("meth_1")),
        ("promotion_code", json!("")),
        ("metadata", json!({"k": "whsec_0123456789"})),
    ]
    .into_iter()
    .enumerate()
    {
        let body = with(order("ext:globex", "open"), name, value.clone());
        let refused = subscribe(&service, &format!("wrong-{number:03}"), body).await;
        let problem = refused.problem(422, "validation_failed");
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap().to_owned();
        assert!(
            pointer.starts_with(&format!("/{name}")),
            "{name} {value} {pointer}"
        );
    }
    let unknown = with(order("ext:globex", "open"), "coupon", "x");
    let refused = subscribe(&service, "unknown-1", unknown).await;
    refused.problem(422, "unknown_field");
    let card = with(
        order("ext:globex", "open"),
        "application",
        "4242 4242 4242 4242",
    );
    subscribe(&service, "card-00001", card)
        .await
        .problem(422, "pan_detected");
    let nobody = subscribe(&service, "nobody-001", order("ext:initech", "open")).await;
    nobody.problem(404, "not_found");
    let without_key = service
        .post(SUBSCRIPTIONS, order("ext:globex", "open"))
        .await;
    without_key.problem(400, "idempotency_key_missing");
    let id = "subn_01kat5bmf0f3x8q2r7w1e4t6y9";
    for path in [
        format!("{SUBSCRIPTIONS}/{id}"),
        format!("{SUBSCRIPTIONS}/nothing"),
    ] {
        service.get(&path).await.problem(404, "not_found");
    }
    for verb in ["approve", "reject", "undo-cancel"] {
        let missing = tell(&service, &json!({"id": id}), verb, Value::Null).await;
        missing.problem(404, "not_found");
    }
    let ended = json!({"at": "tomorrow"});
    let refused = tell(&service, &json!({"id": id}), "cancel", ended).await;
    refused.problem(422, "validation_failed");
    assert!(
        told(&service)
            .await
            .iter()
            .all(|event| !event.event_type.starts_with("subscription"))
    );
}

async fn a_plan_that_is_not_on_offer_takes_nobody(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let path = format!("/v1/portals/{PORTAL}/products/weather");
    for (number, (state, plans)) in [("deprecated", plans()), ("published", json!([plans()[1]]))]
        .into_iter()
        .enumerate()
    {
        let body = json!({"title": "W", "version": "1", "state": state, "plans": plans});
        service.put(&path, body).await.expect(200);
        let key = format!("offered-{number}");
        let refused = subscribe(&service, &key, order("ext:globex", "open")).await;
        refused.problem(409, "plan_unavailable");
    }
}

async fn the_callers_own_values_change_by_a_merge_patch(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let body = with(
        order("ext:globex", "open"),
        "metadata",
        json!({"a": "1", "b": "2"}),
    );
    let made = subscribe(&service, "free-0001", body).await;
    let tag = made.header("etag").unwrap().to_owned();
    let made = made.expect(201);
    let path = format!("{SUBSCRIPTIONS}/{}", made["id"].as_str().unwrap());
    let bearer = service.bearer();
    let patch = async |tag: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        service
            .call_with(Method::PATCH, &path, &headers, body)
            .await
    };
    let changed = patch(&tag, json!({"metadata": {"a": null, "c": "3"}})).await;
    let newer = changed.header("etag").unwrap().to_owned();
    assert_eq!(changed.expect(200)["metadata"], json!({"b": "2", "c": "3"}));
    assert_ne!(tag, newer);
    let stale = patch(&tag, json!({"metadata": null})).await;
    stale.problem(412, "precondition_failed");
    let same = patch(&newer, json!({"metadata": {"b": "2"}})).await;
    assert_eq!(same.header("etag"), Some(newer.as_str()));
    let nothing = patch(&newer, json!({})).await;
    assert_eq!(nothing.header("etag"), Some(newer.as_str()));
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("k{n}"), json!("v"))).collect();
    patch(&newer, json!({"metadata": many}))
        .await
        .problem(422, "validation_failed");
    let plan = patch(&newer, json!({"status": "active"})).await;
    plan.problem(422, "unknown_field");
    let cleared = patch("*", json!({"metadata": null})).await;
    assert_eq!(cleared.expect(200)["metadata"], json!({}));
    assert_eq!(told_of(&service, &made["id"]).await.len(), 3);
    assert_eq!(read(&service, &made).await["metadata"], json!({}));
}

async fn a_portal_with_live_subscriptions_stays(engine: Database) {
    let service = shop(engine).await;
    service.customer("globex").await;
    let made = subscribe(&service, "free-0001", order("ext:globex", "open"))
        .await
        .expect(201);
    service
        .delete("/v1/portals/acme")
        .await
        .problem(409, "portal_in_use");
    // A free one does not need the credentials.
    let credentials = "/v1/portals/acme/modules/stripe/credentials";
    service.delete(credentials).await.expect(204);
    tell(&service, &made, "cancel", json!({"at": "now"}))
        .await
        .expect(200);
    service.delete("/v1/portals/acme").await.expect(204);
}
