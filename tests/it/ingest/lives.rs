//! Subscriptions over HTTP: as Stripe tells of them, in order and out of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::{EVENTS, World, deliver_to, event, hook_in, in_status, later};
use crate::subscriptions::{
    SUBSCRIPTIONS, advance, at_stripe, order, payer, read, subscribe, told_of, with,
};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    an_event_in_order_is_applied_and_stripe_is_not_asked,
    an_older_event_changes_nothing,
    an_event_of_the_same_second_has_stripe_asked_once_for_all,
    another_version_has_stripe_asked,
    what_arrives_while_stripe_is_asked_is_not_undone,
    an_event_of_another_portal_is_foreign,
    an_event_before_its_operation_waits_for_it,
    a_bank_that_is_satisfied_makes_it_active,
    what_is_never_paid_expires,
    a_life_at_stripe_ends_here_as_it_ends_there,
);

async fn an_event_in_order_is_applied_and_stripe_is_not_asked(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let at = later(&world.service, 0);
    let unpaid = event(
        "evt_1",
        "customer.subscription.updated",
        at,
        &in_status(&there, "past_due"),
    );
    assert!(!world.deliver(&unpaid).await);
    let now = read(&world.service, &made).await;
    assert_eq!(
        (&now["status"], &now["access"]["decision"]),
        (&json!("past_due"), &json!("grace"))
    );
    assert_eq!(world.service.calls().await, [""; 0]);
    assert_eq!(
        told_of(&world.service, &made["id"]).await.last().unwrap(),
        &("subscription.updated".to_owned(), 2)
    );
    let log = world
        .service
        .get("/v1/portals/acme/audit-log?limit=1")
        .await
        .expect(200);
    let entry = &log["data"][0];
    assert_eq!(
        entry["actor"],
        json!({"subject": "stripe", "issuer": "stripe"})
    );
    assert_eq!(
        (&entry["action"], &entry["request_id"]),
        (&json!("subscription.updated"), &json!("evt_1"))
    );
    assert_eq!(
        entry["details"],
        json!({"status": "past_due", "version": "2"})
    );
    // Paid: restored at once.
    let paid = event("evt_2", "customer.subscription.updated", at + 1, &there);
    assert!(!world.deliver(&paid).await);
    let now = read(&world.service, &made).await;
    assert_eq!(
        (&now["status"], &now["access"]["decision"]),
        (&json!("active"), &json!("allow"))
    );
    assert_eq!(world.service.calls().await, [""; 0]);
    assert!(
        world
            .inbox()
            .await
            .values()
            .all(|status| status == "applied")
    );
}

async fn an_older_event_changes_nothing(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let at = later(&world.service, 0);
    world
        .deliver(&event(
            "evt_2",
            "customer.subscription.updated",
            at + 1,
            &there,
        ))
        .await;
    let before = read(&world.service, &made).await;
    let old = event(
        "evt_1",
        "customer.subscription.updated",
        at,
        &in_status(&there, "past_due"),
    );
    assert!(!world.deliver(&old).await);
    assert_eq!(read(&world.service, &made).await, before);
    let inbox = world.inbox().await;
    assert_eq!(
        (inbox["evt_1"].as_str(), inbox["evt_2"].as_str()),
        ("stale", "applied")
    );
    // An end is an end, whenever it is told.
    let ended = event(
        "evt_0",
        "customer.subscription.deleted",
        at - 1,
        &in_status(&there, "canceled"),
    );
    world.deliver(&ended).await;
    assert_eq!(read(&world.service, &made).await["status"], "canceled");
    world
        .deliver(&event(
            "evt_3",
            "customer.subscription.updated",
            at + 9,
            &there,
        ))
        .await;
    assert_eq!(read(&world.service, &made).await["status"], "canceled");
    assert_eq!(world.service.calls().await, [""; 0]);
}

async fn an_event_of_the_same_second_has_stripe_asked_once_for_all(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let at = later(&world.service, 0);
    let updated = |id: &str, status: &str| {
        event(
            id,
            "customer.subscription.updated",
            at,
            &in_status(&there, status),
        )
    };
    world.deliver(&updated("evt_1", "past_due")).await;
    world.deliver(&updated("evt_2", "past_due")).await;
    assert_eq!(world.service.calls().await, [""; 0], "they say the same");
    let slow = json!({"kind": "slow_before", "method": "GET", "path": "/v1/subscriptions/*", "delay_ms": 300});
    world.service.simulator(Method::POST, "/faults", slow).await;
    world.deliver(&updated("evt_3", "active")).await;
    let more: Vec<Value> = (4..10)
        .map(|n| updated(&format!("evt_{n}"), ["unpaid", "active"][n % 2]))
        .collect();
    futures_util::future::join_all(more.iter().map(|event| world.deliver(event))).await;
    world.rest().await;
    let reads = world.service.calls().await;
    assert!((1..=2).contains(&reads.len()), "{reads:?}");
    assert!(
        reads
            .iter()
            .all(|call| call.starts_with("GET /v1/subscriptions/")),
        "{reads:?}"
    );
    // What Stripe has, whatever any of them said.
    assert_eq!(read(&world.service, &made).await["status"], there["status"]);
    // What was read is later than all that was heard.
    world.service.forget_calls().await;
    world
        .deliver(&event(
            "evt_0",
            "customer.subscription.updated",
            at - 1,
            &in_status(&there, "unpaid"),
        ))
        .await;
    assert_eq!(read(&world.service, &made).await["status"], there["status"]);
    assert_eq!(world.service.calls().await, [""; 0]);
}

async fn another_version_has_stripe_asked(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let mut other = event(
        "evt_1",
        "customer.subscription.updated",
        later(&world.service, 0),
        &in_status(&there, "unpaid"),
    );
    other["api_version"] = json!("2020-08-27");
    world.deliver(&other).await;
    world.rest().await;
    assert_eq!(world.service.calls().await.len(), 1);
    assert_eq!(read(&world.service, &made).await["status"], "active");
}

/// What Stripe was asked for before something happened there says nothing against it.
async fn what_arrives_while_stripe_is_asked_is_not_undone(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let path = format!("/v1/subscriptions/{}", there["id"].as_str().unwrap());
    let slow = json!({"kind": "slow_after", "method": "GET", "path": path, "delay_ms": 700});
    world.service.simulator(Method::POST, "/faults", slow).await;
    let mut other = event(
        "evt_1",
        "customer.subscription.updated",
        later(&world.service, 0),
        &there,
    );
    other["api_version"] = json!("2020-08-27");
    world.deliver(&other).await;
    while world.service.calls().await.is_empty() {}
    let form = [("cancel_at_period_end", "true")];
    world.service.stripe(&path, &form).await;
    let planned = world.get_there(&path).await;
    let at = later(&world.service, 60);
    world
        .deliver(&event(
            "evt_2",
            "customer.subscription.updated",
            at,
            &planned,
        ))
        .await;
    assert_ne!(read(&world.service, &made).await["cancel_at"], Value::Null);
    world.rest().await;
    assert_ne!(read(&world.service, &made).await["cancel_at"], Value::Null);
}

async fn an_event_of_another_portal_is_foreign(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    // A second portal on the same account is told of everything, too.
    world.service.enabled_portal("other").await;
    let hook = hook_in(&world.service, "other").await;
    world.service.forget_calls().await;
    let at = later(&world.service, 0);
    let unpaid = event(
        "evt_1",
        "customer.subscription.updated",
        at,
        &in_status(&there, "past_due"),
    );
    let answer = deliver_to(&world.service, &hook, &unpaid).await;
    assert_eq!(answer, json!({"received": true, "duplicate": false}));
    let page = world
        .service
        .get("/v1/portals/other/modules/stripe/events?status=foreign")
        .await
        .expect(200);
    assert_eq!(page["data"][0]["id"], "evt_1");
    assert_eq!(read(&world.service, &made).await["status"], "active");
    // Nor one that nobody here knows, live or test.
    let mut unknown = there.clone();
    unknown["id"] = json!("sub_of_somebody");
    unknown["metadata"] = json!({});
    world
        .deliver(&event(
            "evt_2",
            "customer.subscription.updated",
            at,
            &unknown,
        ))
        .await;
    let mut live = event(
        "evt_3",
        "customer.subscription.updated",
        at,
        &in_status(&there, "unpaid"),
    );
    live["livemode"] = json!(true);
    world.deliver(&live).await;
    let inbox = world.inbox().await;
    assert_eq!(
        (inbox["evt_2"].as_str(), inbox["evt_3"].as_str()),
        ("foreign", "foreign")
    );
    assert_eq!(read(&world.service, &made).await["status"], "active");
    assert_eq!(world.service.calls().await, [""; 0]);
}

/// C20: Stripe tells of the subscription before the answer that made it is stored.
async fn an_event_before_its_operation_waits_for_it(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = payer(&world.service, "globex").await;
    world.rest().await;
    let slow = json!({"kind": "slow_after", "method": "POST", "path": "/v1/subscriptions", "delay_ms": 700});
    world.service.simulator(Method::POST, "/faults", slow).await;
    let made = subscribe(&world.service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    let parked = world
        .inbox()
        .await
        .values()
        .filter(|status| *status == "parked")
        .count();
    assert!(parked > 0, "{:?}", world.inbox().await);
    world.rest().await;
    let all = world.service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
    assert_eq!(read(&world.service, &made).await["status"], "active");
    let path = format!("{EVENTS}?status=dead");
    assert_eq!(
        world.service.get(&path).await.expect(200)["data"],
        json!([])
    );
    // The events of one subject have no gap.
    let told = told_of(&world.service, &made["id"]).await;
    assert!(
        told.iter()
            .map(|(_, seq)| *seq)
            .eq(1..=i64::try_from(told.len()).unwrap()),
        "{told:?}"
    );
}

async fn a_bank_that_is_satisfied_makes_it_active(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = payer(&world.service, "globex").await;
    let card = world.service.card("authenticationRequired").await;
    let body = with(order(&customer, "gold"), "payment_method", card);
    let made = subscribe(&world.service, "bank-0001", body)
        .await
        .expect(201);
    assert_eq!(made["status"], "incomplete");
    world.rest().await;
    assert_eq!(
        read(&world.service, &made).await["action"]["type"],
        "authenticate"
    );
    let secret = made["action"]["client_secret"].as_str().unwrap();
    let intent = secret.split("_secret_").next().unwrap();
    let approve = format!("/bank/{intent}/approve");
    world
        .service
        .simulator(Method::POST, &approve, json!({}))
        .await;
    world.rest().await;
    let now = read(&world.service, &made).await;
    assert_eq!(
        (&now["status"], &now["action"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(now["access"]["decision"], "allow");
}

async fn what_is_never_paid_expires(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = payer(&world.service, "globex").await;
    let card = world.service.card("authenticationRequired").await;
    let body = with(order(&customer, "gold"), "payment_method", card);
    let made = subscribe(&world.service, "bank-0001", body)
        .await
        .expect(201);
    world.rest().await;
    advance(&world.service, 24 * 3_600).await;
    world.rest().await;
    let now = read(&world.service, &made).await;
    assert_eq!(
        (&now["status"], &now["action"]),
        (&json!("expired"), &Value::Null)
    );
}

/// Months of a subscription whose card stops working, with deliveries disturbed in every way that loses
/// none: at the end it is here as it is there.
async fn a_life_at_stripe_ends_here_as_it_ends_there(engine: Database) {
    for plan in [
        json!({"duplicates": 2}),
        json!({"shuffle": true, "concurrency": 4}),
        json!({"same_second": true, "shuffle": true, "duplicates": 1}),
    ] {
        let world = World::delivering(engine).await;
        world.plan(plan.clone()).await;
        let customer = payer(&world.service, "globex").await;
        let made = subscribe(&world.service, "subscribe-1", order(&customer, "gold"))
            .await
            .expect(201);
        world.rest().await;
        let id = made["stripe"]["subscription"].as_str().unwrap();
        let failing = world.service.card("chargeCustomerFail").await;
        let owner = at_stripe(&world.service, "customer").await[0]["id"].clone();
        let owner = owner.as_str().unwrap();
        world
            .service
            .stripe(
                &format!("/v1/payment_methods/{failing}/attach"),
                &[("customer", owner)],
            )
            .await;
        let form = [("default_payment_method", failing.as_str())];
        world
            .service
            .stripe(&format!("/v1/subscriptions/{id}"), &form)
            .await;
        for _ in 0..5 {
            advance(&world.service, 8 * 86_400).await;
            world.rest().await;
            let (here, there) = (read(&world.service, &made).await, world.there(id).await);
            assert_eq!(
                here["status"],
                there["status"],
                "{plan}: {:?}",
                world.inbox().await
            );
            let end = there["items"]["data"][0]["current_period_end"]
                .as_i64()
                .unwrap();
            let end = portal_billing::clock::Timestamp::from_seconds(end).to_rfc3339();
            assert_eq!(here["current_period"]["end"], json!(end), "{plan}");
        }
        let told = told_of(&world.service, &made["id"]).await;
        assert!(
            told.iter()
                .map(|(_, seq)| *seq)
                .eq(1..=i64::try_from(told.len()).unwrap()),
            "{told:?}"
        );
        let dead = world
            .service
            .get(&format!("{EVENTS}?status=dead"))
            .await
            .expect(200);
        assert_eq!(dead["data"], json!([]), "{plan}");
    }
}
