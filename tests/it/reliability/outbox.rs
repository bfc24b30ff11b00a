//! C19: the service is cut off when a delivery to a portal's endpoint was taken and not sent, when it was
//! sent, and when what came of it is being stored. It is sent at least once, under one id, and nothing
//! newer of its subject before it.

use reqwest::Method;
use serde_json::json;

use super::cuts::{self, Cut};
use super::score::Score;
use super::world::{Asked, Portal, World, a_moment};
use crate::support::database::{Database, on_both_databases};
use crate::support::receiver::{Received, Receiver};

on_both_databases!(a_delivery_that_is_cut_off_is_sent_once_more_and_in_order);

/// Around the sending, and whether what is cut off there has been sent.
const PLACES: [(&str, bool); 3] = [
    ("delivery_sending", false),
    ("delivery_sent", true),
    ("delivery_settling", true),
];
/// Versions of the customer that is told of.
const VERSIONS: i64 = 5;
/// Longer than the lease of a delivery.
const LEASE_MS: i64 = 120_000;

/// What has arrived of one subject, in that order.
fn of(received: &[Received], subject: &str) -> Vec<Received> {
    let of = received.iter().filter(|it| it.subject() == subject);
    of.cloned().collect()
}

/// A portal that has changed a customer, and an endpoint that is to be told and is not called yet.
async fn changed(world: &World, receiver: &Receiver, name: &str) -> (Portal, String, Asked) {
    let portal = world.open_portal(name).await;
    let body = json!({
        "url": receiver.url(), "events": ["customer.created", "customer.updated"], "enabled": false,
    });
    let path = portal.path("/webhook-endpoints");
    let endpoint = world.service.post(&path, body).await.expect(201);
    let id = endpoint["endpoint"]["id"].as_str().unwrap();
    let enabling = Asked::unkeyed(
        Method::PATCH,
        format!("{path}/{id}"),
        json!({"enabled": true}),
    );
    let customer = world.customer(&portal, "globex").await;
    for version in 2..=VERSIONS {
        let name = json!({"name": format!("Version {version}")});
        let path = portal.path(&format!("/customers/{customer}"));
        let asked = Asked::unkeyed(Method::PATCH, path, name);
        let answer = world.ask(&world.service.base_url, &asked, 20).await;
        answer.unwrap().expect(200);
    }
    (portal, customer, enabling)
}

/// One case; gives what is wrong.
async fn case(
    world: &mut World,
    receiver: &Receiver,
    ((place, was_sent), nth): ((&'static str, bool), u32),
) -> Option<String> {
    let name = format!("{}-{nth}", place.replace('_', "-"));
    let (portal, customer, enabling) = changed(world, receiver, &name).await;
    cuts::arm(&portal.name, Cut { place, nth });
    // The answer may not come: the service may be cut off under it.
    world.ask(&world.service.base_url, &enabling, 1).await;
    while !cuts::are_done(&portal.name) {
        a_moment().await;
    }
    if place == "delivery_settling" {
        // The loop that stores it is the server's own.
        world.service.crashed().await;
    } else {
        // Only the attempt is gone: others go on, and of this subject nothing newer is sent.
        let other = world.customer(&portal, "initech").await;
        let told = |received: &[Received]| !of(received, &other).is_empty();
        receiver.until(told).await;
        world.service.stop();
    }
    let before = of(&receiver.received(), &customer).len();
    let wanted_before = usize::try_from(nth).unwrap() - usize::from(!was_sent);
    world.service.run().await;
    world.service.clock.advance_millis(LEASE_MS);
    let all = |received: &[Received]| {
        let last = of(received, &customer).pop();
        last.is_some_and(|last| last.sequence() == VERSIONS)
    };
    let received = of(&receiver.until(all).await, &customer);
    let mut wanted: Vec<i64> = (1..=VERSIONS).collect();
    if was_sent {
        wanted.insert(usize::try_from(nth).unwrap(), i64::from(nth));
    }
    let sequences: Vec<i64> = received.iter().map(Received::sequence).collect();
    if before != wanted_before || sequences != wanted {
        return Some(format!(
            "{place} {nth}: {before} of {wanted_before} arrived before the restart, in all {sequences:?}"
        ));
    }
    let copies = received.iter().filter(|it| it.sequence() == i64::from(nth));
    let copies: Vec<(&str, &str)> = copies.map(|it| (it.id(), it.body.as_str())).collect();
    if copies.iter().any(|copy| *copy != copies[0]) {
        return Some(format!("{place} {nth}: not the same: {copies:?}"));
    }
    // What was told is over, and stays over.
    let open = format!(
        "SELECT COUNT(*) AS count FROM webhook_deliveries WHERE portal_id = '{}' \
         AND status <> 'delivered'",
        portal.name
    );
    while world.service.database.count(&open).await > 0 {
        a_moment().await;
    }
    None
}

async fn a_delivery_that_is_cut_off_is_sent_once_more_and_in_order(engine: Database) {
    let receiver = Receiver::start().await;
    let settings = [
        ("deliveries.poll_ms", "10"),
        ("deliveries.allow_loopback", "true"),
    ];
    let mut world = World::start_with(engine, &settings).await;
    let mut score = Score::new("R12-cut", engine);
    for place in PLACES {
        for nth in [1, 3] {
            if let Some(wrong) = case(&mut world, &receiver, (place, nth)).await {
                score.violation(wrong);
            }
            score.count(1);
        }
    }
    score.close(2 * PLACES.len());
}
