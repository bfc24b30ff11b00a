//! The same event more than once, at once, at two replicas; and what is not signed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{World, event, in_status, later};
use crate::reliability::{Dice, of_tier, seed};
use crate::subscriptions::{read, told_of};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Replica, Service};
use crate::webhooks::{BY_HAND, deliver, signature};

on_both_databases!(
    four_copies_at_once_are_applied_once,
    events_that_come_together_do_not_hinder_each_other,
    nothing_that_is_not_signed_is_taken,
);

async fn four_copies_at_once_are_applied_once(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let mut version = 1;
    for round in 0..10 {
        let at = later(&world.service, round);
        let status = ["past_due", "active"][usize::try_from(round % 2).unwrap()];
        let copy = event(
            &format!("evt_{round}"),
            "customer.subscription.updated",
            at,
            &in_status(&there, status),
        );
        let copies = [&copy, &copy, &copy, &copy];
        let duplicates = join_all(copies.map(|copy| world.deliver(copy))).await;
        assert_eq!(
            duplicates.iter().filter(|duplicate| !**duplicate).count(),
            1
        );
        assert!(world.deliver(&copy).await, "it is known for good");
        version += 1;
        let told = told_of(&world.service, &made["id"]).await;
        assert_eq!(told.last().unwrap().1, version);
    }
}

async fn events_that_come_together_do_not_hinder_each_other(engine: Database) {
    let world = World::new(engine).await;
    let (made, there) = world.subscription().await;
    let at = later(&world.service, 0);
    let mut broken = there.clone();
    broken["items"] = json!({"data": [{"id": 7}]});
    let mut events = vec![
        event("evt_broken", "customer.subscription.updated", at, &broken),
        event(
            "evt_good",
            "customer.subscription.updated",
            at,
            &in_status(&there, "past_due"),
        ),
        event(
            "evt_nothing",
            "billing.alert.triggered",
            at,
            &json!({"id": "alrt_1"}),
        ),
    ];
    for n in 0..30 {
        let id = format!("evt_foreign_{n}");
        events.push(event(
            &id,
            "customer.updated",
            at,
            &json!({"id": format!("cus_{n}"), "object": "customer"}),
        ));
    }
    join_all(events.iter().map(|event| world.deliver(event))).await;
    assert_eq!(read(&world.service, &made).await["status"], "past_due");
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), 33);
    assert_eq!(
        ["evt_broken", "evt_good", "evt_nothing", "evt_foreign_7"].map(|id| inbox[id].as_str()),
        ["dead", "applied", "applied", "foreign"]
    );
}

/// Two replicas on one database: every event has one effect.
#[tokio::test]
async fn two_replicas_apply_each_event_once() {
    const EVENTS: i64 = 40;
    let world = World::new(Database::Pg).await;
    let (made, there) = world.subscription().await;
    let other = Replica::start(world.service.config.clone(), world.service.clock.clone()).await;
    let at = later(&world.service, 0);
    let now = world.service.clock.now().as_seconds();
    let bodies: Vec<String> = (0..EVENTS)
        .map(|n| {
            let status = ["past_due", "active"][usize::try_from(n % 2).unwrap()];
            event(
                &format!("evt_{n}"),
                "customer.subscription.updated",
                at + n,
                &in_status(&there, status),
            )
            .to_string()
        })
        .collect();
    for group in bodies.chunks(8) {
        let mut sent = Vec::new();
        for (body, base) in group
            .iter()
            .flat_map(|body| [(body, &world.service.base_url), (body, &other.base_url)])
        {
            let request = world
                .service
                .client
                .post(format!("{base}/v1/hooks/stripe/{}", world.hook))
                .header("stripe-signature", signature(BY_HAND, now, body))
                .header("content-type", "application/json")
                .body(body.clone());
            sent.push(async move { Service::answer(request).await.expect(200) });
        }
        let answers = join_all(sent).await;
        let first = answers
            .iter()
            .filter(|answer| answer["duplicate"] == false)
            .count();
        assert_eq!(first, group.len(), "{answers:?}");
    }
    world.rest().await;
    assert_eq!(read(&world.service, &made).await["status"], "active");
    // Every change was told of once: no gap and nothing twice.
    let told = told_of(&world.service, &made["id"]).await;
    assert!(
        told.iter()
            .map(|(_, seq)| *seq)
            .eq(1..=i64::try_from(told.len()).unwrap()),
        "{told:?}"
    );
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), usize::try_from(EVENTS).unwrap());
    assert!(
        inbox
            .values()
            .all(|status| matches!(status.as_str(), "applied" | "stale")),
        "{inbox:?}"
    );
}

/// R7: nothing is believed that is not signed by a secret of the hook, and nothing of it is written.
async fn nothing_that_is_not_signed_is_taken(engine: Database) {
    let world = World::new(engine).await;
    let now = world.service.clock.now().as_seconds();
    let body = event(
        "evt_1",
        "customer.created",
        now,
        &json!({"id": "cus_1", "object": "customer"}),
    )
    .to_string();
    let good = signature(BY_HAND, now, &body);
    let mut dice = Dice(seed());
    let mut wrong = Vec::new();
    while wrong.len() < of_tier(300, 10_000) {
        let (mut header, mut sent) = (good.clone().into_bytes(), body.clone().into_bytes());
        for _ in 0..=dice.below(3) {
            let place = dice.below(header.len());
            match dice.below(6) {
                0 => header[place] = b"0123456789abcdefABCDEF,=tv1 "[dice.below(28)],
                1 if header.len() > 1 => drop(header.remove(place)),
                2 => header.insert(place, b"0af,=;v"[dice.below(7)]),
                3 => header.truncate(place.max(1)),
                4 => {
                    let place = dice.below(sent.len());
                    sent[place] ^= 1 << dice.below(7);
                }
                _ => header = signature(&format!("whsec_{}", dice.roll()), now, &body).into_bytes(),
            }
        }
        let header = String::from_utf8(header).unwrap();
        // What still says the same is the same: hexadecimal digits have no case, and other items are passed over.
        let means_the_same = sent == body.as_bytes()
            && header
                .to_lowercase()
                .contains(&good[good.find("v1=").unwrap()..])
            && header.contains(&format!("t={now}"));
        if let (false, Ok(sent)) = (means_the_same, String::from_utf8(sent)) {
            wrong.push((header, sent));
        }
    }
    for group in wrong.chunks(32) {
        let answers = group
            .iter()
            .map(|(header, sent)| deliver(&world.service, &world.hook, header, sent));
        for answer in join_all(answers).await {
            answer.problem(400, "webhook_rejected");
        }
    }
    assert!(world.inbox().await.is_empty(), "nothing was written");
    let module = world
        .service
        .get("/v1/portals/acme/modules/stripe")
        .await
        .expect(200);
    let checks = module["checks"].as_array().unwrap();
    let received = checks
        .iter()
        .find(|check| check["code"] == "webhook_received")
        .unwrap();
    assert_eq!(received["status"], "unknown");
    let first: Value = serde_json::from_str(&body).unwrap();
    assert!(!world.deliver(&first).await);
}
