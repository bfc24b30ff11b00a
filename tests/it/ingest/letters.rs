//! What could not be applied: told, kept, tried again; and what is not acknowledged.

use serde_json::json;

use super::{EVENTS, World, event, in_status, later};
use crate::subscriptions::read;
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    what_cannot_be_read_is_a_dead_letter,
    a_dead_letter_is_tried_again_after_it_was_mended,
    what_the_database_does_not_take_is_not_acknowledged,
    old_events_are_forgotten,
);

async fn what_cannot_be_read_is_a_dead_letter(engine: Database) {
    let world = World::new(engine).await;
    let (_, there) = world.subscription().await;
    let mut broken = there.clone();
    broken["items"] = json!("Canary");
    world
        .deliver(&event(
            "evt_1",
            "customer.subscription.updated",
            later(&world.service, 0),
            &broken,
        ))
        .await;
    let page = world
        .service
        .get(&format!("{EVENTS}?status=dead"))
        .await
        .expect(200);
    let dead = &page["data"][0];
    assert_eq!(
        (&dead["id"], &dead["type"]),
        (&json!("evt_1"), &json!("customer.subscription.updated"))
    );
    assert_eq!(
        (&dead["object"], &dead["next_attempt_at"]),
        (&there["id"], &json!(null))
    );
    let why = dead["error"].as_str().unwrap();
    assert!(
        why.contains("cannot be read") && !why.contains("Canary"),
        "{why}"
    );
    // It is tried again when somebody says so, and not before; what is not dead cannot be.
    let retry = format!("{EVENTS}/evt_1/retry");
    let answer = world.service.post(&retry, json!({})).await.expect(202);
    assert_eq!(answer["status"], "parked");
    world.rest().await;
    assert_eq!(world.inbox().await["evt_1"], "dead");
    world
        .deliver(&event(
            "evt_2",
            "customer.subscription.updated",
            later(&world.service, 0),
            &there,
        ))
        .await;
    let retry = format!("{EVENTS}/evt_2/retry");
    world
        .service
        .post(&retry, json!({}))
        .await
        .problem(409, "event_not_retryable");
    let retry = format!("{EVENTS}/evt_3/retry");
    world
        .service
        .post(&retry, json!({}))
        .await
        .problem(404, "not_found");
    assert!(
        world
            .service
            .audited()
            .await
            .contains(&"stripe_event.retried".to_owned())
    );
}

/// C22, C23: an effect that fails is not swallowed, and what fails alone does not fail others.
async fn a_dead_letter_is_tried_again_after_it_was_mended(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    world
        .service
        .database
        .execute("UPDATE subscriptions SET dunning = 'damaged'")
        .await;
    let at = later(&world.service, 0);
    world
        .deliver(&event(
            "evt_1",
            "customer.subscription.updated",
            at,
            &in_status(&there, "past_due"),
        ))
        .await;
    assert_eq!(world.inbox().await["evt_1"], "dead");
    world
        .service
        .database
        .execute("UPDATE subscriptions SET dunning = '-'")
        .await;
    assert_eq!(read(&world.service, &made).await["status"], "active");
    world
        .service
        .post(&format!("{EVENTS}/evt_1/retry"), json!({}))
        .await
        .expect(202);
    world.rest().await;
    assert_eq!(world.inbox().await["evt_1"], "applied");
    assert_eq!(read(&world.service, &made).await["status"], "past_due");
}

/// C21: verified, and not stored: Stripe hears 503 and delivers again.
async fn what_the_database_does_not_take_is_not_acknowledged(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    world
        .service
        .database
        .execute("ALTER TABLE stripe_events RENAME TO hidden")
        .await;
    let at = later(&world.service, 0);
    let unpaid = event(
        "evt_1",
        "customer.subscription.updated",
        at,
        &in_status(&there, "past_due"),
    );
    let body = unpaid.to_string();
    let now = world.service.clock.now().as_seconds();
    let signature = crate::webhooks::signature(crate::webhooks::BY_HAND, now, &body);
    let answer = crate::webhooks::deliver(&world.service, &world.hook, &signature, &body).await;
    answer.problem(503, "unavailable");
    assert_eq!(read(&world.service, &made).await["status"], "active");
    world
        .service
        .database
        .execute("ALTER TABLE hidden RENAME TO stripe_events")
        .await;
    assert!(!world.deliver(&unpaid).await);
    assert_eq!(read(&world.service, &made).await["status"], "past_due");
}

async fn old_events_are_forgotten(engine: Database) {
    let mut world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let at = later(&world.service, 0);
    world
        .deliver(&event(
            "evt_1",
            "customer.subscription.updated",
            at,
            &in_status(&there, "past_due"),
        ))
        .await;
    // The sweep runs when the service starts, and every few minutes.
    world.service.clock.advance_millis(31 * 86_400_000);
    world.service.stop();
    world.service.run().await;
    for _ in 0..200 {
        if world.inbox().await.is_empty() {
            break;
        }
    }
    assert!(world.inbox().await.is_empty());
    assert_eq!(read(&world.service, &made).await["status"], "past_due");
}
