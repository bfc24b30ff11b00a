//! Deliveries one by one: how they are signed, what each answer of a receiver's leads to.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{ENDPOINTS, endpoint, eventually, id_of, publish, service};
use crate::support::database::{Database, on_both_databases};
use crate::support::receiver::{Reaction, Received, Receiver};
use crate::support::service::Service;

on_both_databases!(
    a_delivery_is_signed_as_the_standard_has_it,
    a_rotated_secret_signs_beside_the_new_one_for_a_day,
    a_failed_event_holds_up_its_subject_and_no_other,
    an_event_is_given_up_after_ten_attempts,
    whatever_goes_wrong_is_tried_again,
    a_receiver_that_is_gone_gets_nothing_more,
    a_receiver_that_wants_to_be_left_alone_is,
    an_endpoint_that_takes_nothing_for_days_is_disabled,
    an_endpoint_gets_what_it_wants_and_from_its_making_on,
    what_waited_is_sent_when_the_endpoint_is_enabled_again,
    events_are_sent_again_by_time_and_from_an_event_on,
);

const SECOND: i64 = 1_000;
const HOUR: i64 = 60 * 60 * SECOND;
const DAY: i64 = 24 * HOUR;
const UPDATED: &str = "subscription.updated";

fn path_of(made: &Value) -> String {
    format!("{ENDPOINTS}/{}", id_of(made))
}

/// The deliveries in the log once they are as wanted, oldest event first.
async fn log(service: &Service, made: &Value, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let path = format!("{}/deliveries?limit=100", path_of(made));
    let sorted = |page: &Value| {
        let mut all = page["data"].as_array().unwrap().clone();
        all.sort_by_key(|it| it["event"].as_str().unwrap().to_owned());
        all
    };
    let ask = async || service.get(&path).await;
    let page = eventually(ask, |page| wanted(&sorted(page))).await;
    sorted(&page)
}

/// Two events of one subject, a moment apart, so that the log has them in their order.
async fn two_of_a_subject(service: &Service) {
    publish(service, "acme", &[(UPDATED, "subn_a", 1)]).await;
    service.clock.advance_millis(1);
    publish(service, "acme", &[(UPDATED, "subn_a", 2)]).await;
}

fn all_are(status: &str, count: usize) -> impl Fn(&[Value]) -> bool {
    move |all| all.len() == count && all.iter().all(|it| it["status"] == status)
}

fn places(received: &[Received]) -> Vec<String> {
    received
        .iter()
        .map(|it| format!("{}/{}", it.subject(), it.sequence()))
        .collect()
}

async fn a_delivery_is_signed_as_the_standard_has_it(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::start().await;
    let made = endpoint(&service, &receiver.url(), &["*"]).await;
    publish(&service, "acme", &[(UPDATED, "subn_a", 1)]).await;
    let received = receiver.count(1).await.remove(0);
    let feed = service
        .get("/v1/portals/acme/events?subject=subn_a")
        .await
        .json();
    let event = &feed["data"][0];
    assert_eq!(received.id(), event["id"]);
    assert_eq!(received.path, "/hooks");
    assert_eq!(received.headers["content-type"], "application/json");
    let now = service.clock.now();
    assert_eq!(
        received.headers["webhook-timestamp"],
        now.as_seconds().to_string()
    );
    assert_eq!(
        received.body,
        format!(
            r#"{{"type":"subscription.updated","timestamp":"{}","subject":"subn_a","sequence":1,"data":{{"id":"subn_a","version":1}}}}"#,
            now.to_rfc3339()
        )
    );
    let secret = made["secret"].as_str().unwrap();
    let key = made["endpoint"]["public_keys"][0]["key"].as_str().unwrap();
    assert!(received.is_signed_by(secret) && received.verifies_under(key));
    assert_eq!(received.headers["webhook-signature"].split(' ').count(), 2);
    let log = log(&service, &made, all_are("delivered", 1)).await;
    assert_eq!(log[0]["event"], event["id"]);
    assert_eq!(
        (
            &log[0]["attempts"],
            &log[0]["response_status"],
            &log[0]["reason"]
        ),
        (&json!(1), &json!(200), &Value::Null)
    );
    assert_eq!(log[0]["finished_at"], now.to_rfc3339());
    assert_eq!(log[0]["next_attempt_at"], Value::Null);
}

async fn a_rotated_secret_signs_beside_the_new_one_for_a_day(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::start().await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    let rotate = format!("{}/rotate-secret", path_of(&made));
    service.clock.advance_millis(1);
    let rotated = service.post(&rotate, Value::Null).await.expect(200);
    let (old, new) = (
        made["secret"].as_str().unwrap(),
        rotated["secret"].as_str().unwrap(),
    );
    assert_ne!(old, new);
    let keys = rotated["endpoint"]["public_keys"]
        .as_array()
        .unwrap()
        .clone();
    let key = |place: usize| keys[place]["key"].as_str().unwrap();
    let end = service.clock.now().plus_millis(DAY).to_rfc3339();
    assert_eq!(
        (&keys[0]["expires_at"], &keys[1]["expires_at"]),
        (&Value::Null, &json!(end))
    );
    publish(&service, "acme", &[(UPDATED, "subn_a", 1)]).await;
    let both = receiver.count(1).await.remove(0);
    assert!(both.is_signed_by(old) && both.is_signed_by(new));
    assert!(both.verifies_under(key(0)) && both.verifies_under(key(1)));
    assert_eq!(both.signatures("v1").len(), 2);
    service.clock.advance_millis(DAY);
    publish(&service, "acme", &[(UPDATED, "subn_a", 2)]).await;
    let one = receiver.count(2).await.remove(1);
    assert!(!one.is_signed_by(old) && one.is_signed_by(new));
    assert!(one.verifies_under(key(0)) && !one.verifies_under(key(1)));
    // However often it is rotated in a day, the header stays short.
    for _ in 0..6 {
        service.post(&rotate, Value::Null).await.expect(200);
        service.clock.advance_millis(1);
    }
    publish(&service, "acme", &[(UPDATED, "subn_a", 3)]).await;
    let many = receiver.count(3).await.remove(2);
    assert_eq!(many.signatures("v1").len(), 4);
}

async fn a_failed_event_holds_up_its_subject_and_no_other(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::deciding(|it| match it.subject().as_str() {
        "subn_bad" => Reaction::Status(500),
        _ => Reaction::Status(204),
    })
    .await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    publish(&service, "acme", &[(UPDATED, "subn_bad", 1)]).await;
    receiver.count(1).await;
    let facts = [
        (UPDATED, "subn_bad", 2),
        (UPDATED, "subn_good", 1),
        (UPDATED, "subn_good", 2),
    ];
    publish(&service, "acme", &facts).await;
    let received = receiver.count(3).await;
    assert_eq!(
        places(&received),
        ["subn_bad/1", "subn_good/1", "subn_good/2"]
    );
    let is_settled = |all: &[Value]| {
        let delivered = all.iter().filter(|it| it["status"] == "delivered");
        delivered.count() == 2
    };
    let waiting = log(&service, &made, is_settled).await;
    // In whichever order: they are of the same moment.
    let mut held: Vec<&Value> = waiting
        .iter()
        .filter(|it| it["status"] != "delivered")
        .collect();
    held.sort_by_key(|it| it["attempts"].as_u64());
    assert_eq!(held.len(), 2);
    assert_eq!(held[0]["attempts"], 0);
    assert_eq!(
        (
            &held[1]["attempts"],
            &held[1]["reason"],
            &held[1]["response_status"]
        ),
        (&json!(1), &json!("status"), &json!(500))
    );
    // Mended: the first one first, under the same id, then the one that waited for it.
    receiver.decide(|_| Reaction::Status(200));
    service.clock.advance_millis(6 * SECOND);
    let received = receiver.count(5).await;
    assert_eq!(places(&received[3..]), ["subn_bad/1", "subn_bad/2"]);
    assert_eq!(received[3].id(), received[0].id());
    assert_ne!(
        received[3].headers["webhook-timestamp"],
        received[0].headers["webhook-timestamp"]
    );
    log(&service, &made, all_are("delivered", 4)).await;
}

async fn an_event_is_given_up_after_ten_attempts(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::deciding(|it| match it.sequence() {
        1 => Reaction::Status(400),
        _ => Reaction::Status(200),
    })
    .await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    let began = service.clock.now();
    two_of_a_subject(&service).await;
    for attempt in 1..=10_i64 {
        receiver.count(usize::try_from(attempt).unwrap()).await;
        let is_counted = |all: &[Value]| all[0]["attempts"] == attempt;
        let first = log(&service, &made, |all| !all.is_empty() && is_counted(all))
            .await
            .remove(0);
        let Some(next) = first["next_attempt_at"].as_str() else {
            assert_eq!(attempt, 10);
            break;
        };
        let next = portal_billing::clock::Timestamp::parse_rfc3339(next).unwrap();
        let wait = next.millis_since(service.clock.now());
        service.clock.advance_millis(wait - 1);
        // Not a moment too soon: the next look of the loop finds nothing due.
        let active = async || service.get(&path_of(&made)).await;
        eventually(active, |it| it["enabled"] == true).await;
        assert_eq!(receiver.received().len(), usize::try_from(attempt).unwrap());
        service.clock.advance_millis(1);
    }
    let hours = service.clock.now().millis_since(began) / HOUR;
    assert!((66..85).contains(&hours), "{hours}");
    let received = receiver.count(11).await;
    assert_eq!(received[10].sequence(), 2);
    let ids: BTreeSet<_> = received[..10].iter().map(|it| it.id().to_owned()).collect();
    assert_eq!(ids.len(), 1);
    let over = |all: &[Value]| all[1]["status"] == "delivered";
    let log = log(&service, &made, over).await;
    assert_eq!(log[0]["status"], "failed");
    assert_eq!(log[0]["attempts"], 10);
    let shown = service.get(&path_of(&made)).await.expect(200);
    assert_eq!(
        (&shown["enabled"], &shown["failing_since"]),
        (&json!(true), &Value::Null),
        "three days are not five, and the next event was taken"
    );
}

async fn whatever_goes_wrong_is_tried_again(engine: Database) {
    let service = service(engine, &[("deliveries.timeout_ms", "400")]).await;
    let elsewhere = Receiver::start().await;
    let location: &'static str = elsewhere.url().leak();
    let receiver = Receiver::start().await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    let cases = [
        (Reaction::Status(500), "status", json!(500)),
        (Reaction::Status(404), "status", json!(404)),
        (
            Reaction::Header(301, "location", location),
            "status",
            json!(301),
        ),
        (
            Reaction::Header(307, "location", location),
            "status",
            json!(307),
        ),
        (Reaction::Reset, "interrupted", Value::Null),
        (Reaction::Hang, "timeout", Value::Null),
    ];
    for (place, (reaction, reason, status)) in cases.into_iter().enumerate() {
        let version = i64::try_from(place).unwrap() + 1;
        receiver.decide(move |_| reaction);
        publish(&service, "acme", &[(UPDATED, "subn_a", version)]).await;
        let failed = |all: &[Value]| all.last().is_some_and(|it| it["attempts"] == 1);
        let log = log(&service, &made, |all| all.len() == place + 1 && failed(all)).await;
        let last = log.last().unwrap();
        assert_eq!(
            (&last["reason"], &last["response_status"], &last["status"]),
            (&json!(reason), &status, &json!("pending")),
            "{reaction:?}"
        );
        let shown = service.get(&path_of(&made)).await.expect(200);
        assert_eq!(shown["failing_since"], service.clock.now().to_rfc3339());
        receiver.decide(|_| Reaction::Status(200));
        service.clock.advance_millis(6 * SECOND);
        super::deliveries::log(&service, &made, all_are("delivered", place + 1)).await;
    }
    // A body that does not end is not waited for, and takes nothing back.
    receiver.decide(|_| Reaction::Flood);
    publish(&service, "acme", &[(UPDATED, "subn_a", 7)]).await;
    log(&service, &made, all_are("delivered", 7)).await;
    assert_eq!(elsewhere.connections(), 0, "no redirect was followed");
    // Nobody there at all.
    drop(receiver);
    // Another moment, so that the log has an order.
    service.clock.advance_millis(1_000);
    publish(&service, "acme", &[(UPDATED, "subn_a", 8)]).await;
    let failed = |all: &[Value]| all.last().is_some_and(|it| it["attempts"] == 1);
    let log = log(&service, &made, |all| all.len() == 8 && failed(all)).await;
    assert_eq!(log[7]["reason"], "unreachable");
}

async fn a_receiver_that_is_gone_gets_nothing_more(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::deciding(|_| Reaction::Status(410)).await;
    let made = endpoint(&service, &receiver.url(), &["*"]).await;
    publish(&service, "acme", &[(UPDATED, "subn_a", 1)]).await;
    let shown = async || service.get(&path_of(&made)).await;
    let disabled = eventually(shown, |it| it["enabled"] == false).await;
    let at = service.clock.now().to_rfc3339();
    assert_eq!(disabled["disabled"], json!({"reason": "gone", "at": at}));
    let feed = service
        .get("/v1/portals/acme/events?type=webhook_endpoint.disabled")
        .await;
    let event = feed.json()["data"][0].clone();
    assert_eq!(
        (&event["subject"], &event["sequence"]),
        (&made["endpoint"]["id"], &json!(2))
    );
    assert_eq!(event["data"]["disabled"]["reason"], "gone");
    let audit = service
        .get("/v1/portals/acme/audit-log?limit=1")
        .await
        .json();
    assert_eq!(audit["data"][0]["action"], "webhook_endpoint.disabled");
    assert_eq!(audit["data"][0]["actor"]["subject"], "worker");
    // Another endpoint shows that the loop has been around, and that this one got nothing of it.
    let other = Receiver::start().await;
    endpoint(&service, &other.url(), &[UPDATED]).await;
    service.clock.advance_millis(DAY);
    publish(&service, "acme", &[(UPDATED, "subn_b", 1)]).await;
    other.count(1).await;
    assert_eq!(receiver.received().len(), 1);
    let metrics = service.get("/metrics").await.text;
    assert!(metrics.contains("webhook_endpoints_disabled_total{reason=\"gone\"}"));
    assert!(metrics.contains("webhook_deliveries_total{outcome=\"retried\"}"));
}

async fn a_receiver_that_wants_to_be_left_alone_is(engine: Database) {
    let service = service(engine, &[]).await;
    for (round, status) in [429, 503].into_iter().enumerate() {
        let receiver =
            Receiver::deciding(move |_| Reaction::Header(status, "retry-after", "120")).await;
        let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
        let witness = Receiver::start().await;
        let other = endpoint(&service, &witness.url(), &[UPDATED]).await;
        let subject = format!("subn_{round}");
        publish(&service, "acme", &[(UPDATED, &subject, 1)]).await;
        receiver.count(1).await;
        log(&service, &made, |all| {
            all.len() == 1 && all[0]["attempts"] == 1
        })
        .await;
        // Nothing of any other thing either, long after the plan's five seconds.
        receiver.decide(|_| Reaction::Status(200));
        service.clock.advance_millis(119 * SECOND);
        let another = format!("subn_other_{round}");
        publish(&service, "acme", &[(UPDATED, &another, 1)]).await;
        witness.count(2).await;
        assert_eq!(receiver.received().len(), 1);
        service.clock.advance_millis(2 * SECOND);
        receiver.count(3).await;
        log(&service, &made, all_are("delivered", 2)).await;
        for made in [made, other] {
            service.delete(&path_of(&made)).await.expect(204);
        }
    }
}

async fn an_endpoint_that_takes_nothing_for_days_is_disabled(engine: Database) {
    let service = service(engine, &[("deliveries.disable_after_days", "2")]).await;
    let receiver = Receiver::deciding(|_| Reaction::Status(500)).await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    two_of_a_subject(&service).await;
    for attempt in 1..=10 {
        receiver.count(attempt).await;
        log(&service, &made, |all| {
            all.len() == 2 && all[0]["attempts"] == attempt
        })
        .await;
        service.clock.advance_millis(27 * HOUR);
    }
    let shown = async || service.get(&path_of(&made)).await;
    let disabled = eventually(shown, |it| it["enabled"] == false).await;
    assert_eq!(disabled["disabled"]["reason"], "failing");
    let states = log(&service, &made, |_| true).await;
    assert_eq!(
        (&states[0]["status"], &states[1]["status"]),
        (&json!("failed"), &json!("pending")),
        "what was not tried to the end waits"
    );
    assert_eq!(receiver.received().len(), 10);
}

async fn an_endpoint_gets_what_it_wants_and_from_its_making_on(engine: Database) {
    let service = service(engine, &[]).await;
    publish(&service, "acme", &[(UPDATED, "subn_old", 1)]).await;
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    let made = endpoint(&service, &all.url(), &["*"]).await;
    endpoint(
        &service,
        &some.url(),
        &["customer.created", "product.created"],
    )
    .await;
    let facts = [
        ("customer.created", "org_a", 1),
        (UPDATED, "subn_a", 1),
        ("product.created", "weather", 1),
    ];
    publish(&service, "acme", &facts).await;
    let received = some.count(2).await;
    let subjects: BTreeSet<_> = received.iter().map(Received::subject).collect();
    assert_eq!(subjects, ["org_a".to_owned(), "weather".to_owned()].into());
    // The second endpoint's making is an event too; the first one's own is not sent to itself.
    let received = all.count(4).await;
    assert!(!received.iter().any(|it| it.subject() == id_of(&made)));
    assert!(!received.iter().any(|it| it.subject() == "subn_old"));
    let filtered = format!("{}/deliveries?status=delivered&limit=1", path_of(&made));
    let first = eventually(
        async || service.get(&filtered).await,
        |it| it["has_more"] == true,
    )
    .await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = service
        .get(&format!("{filtered}&cursor={cursor}"))
        .await
        .expect(200);
    assert_ne!(first["data"][0]["id"], second["data"][0]["id"]);
    let event = first["data"][0]["event"].as_str().unwrap();
    let one = format!("{}/deliveries?event={event}", path_of(&made));
    assert_eq!(service.get(&one).await.json()["data"], first["data"]);
}

async fn what_waited_is_sent_when_the_endpoint_is_enabled_again(engine: Database) {
    let service = service(engine, &[]).await;
    let receiver = Receiver::deciding(|_| Reaction::Status(500)).await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    publish(&service, "acme", &[(UPDATED, "subn_a", 1)]).await;
    log(&service, &made, |all| {
        all.len() == 1 && all[0]["attempts"] == 1
    })
    .await;
    let patch = async |body: Value| {
        service
            .call(Method::PATCH, &path_of(&made), body)
            .await
            .expect(200)
    };
    patch(json!({"enabled": false})).await;
    publish(
        &service,
        "acme",
        &[(UPDATED, "subn_a", 2), (UPDATED, "subn_b", 1)],
    )
    .await;
    service.clock.advance_millis(30 * DAY);
    let moved = Receiver::start().await;
    let enabled = patch(json!({"enabled": true, "url": moved.url()})).await;
    assert_eq!(enabled["failing_since"], Value::Null);
    let received = moved.count(3).await;
    let of_a: Vec<_> = received
        .iter()
        .filter(|it| it.subject() == "subn_a")
        .map(Received::sequence)
        .collect();
    assert_eq!(of_a, [1, 2]);
    assert_eq!(receiver.received().len(), 1);
}

async fn events_are_sent_again_by_time_and_from_an_event_on(engine: Database) {
    let service = service(engine, &[]).await;
    publish(
        &service,
        "acme",
        &[(UPDATED, "subn_a", 1), ("customer.created", "org_a", 1)],
    )
    .await;
    let receiver = Receiver::start().await;
    let made = endpoint(&service, &receiver.url(), &[UPDATED]).await;
    service.clock.advance_millis(HOUR);
    let since = service.clock.now().to_rfc3339();
    publish(
        &service,
        "acme",
        &[(UPDATED, "subn_a", 2), (UPDATED, "subn_b", 1)],
    )
    .await;
    service.clock.advance_millis(HOUR);
    let until = service.clock.now().to_rfc3339();
    publish(&service, "acme", &[(UPDATED, "subn_a", 3)]).await;
    let first = receiver.count(3).await;
    log(&service, &made, all_are("delivered", 3)).await;
    let replay = async |body: Value| {
        let path = format!("{}/replay", path_of(&made));
        service.post(&path, body).await.expect(200)
    };
    let answer = replay(json!({"since": since, "until": until})).await;
    assert_eq!(answer, json!({"queued": 2, "next_event": null}));
    let received = receiver.count(5).await;
    let again: BTreeSet<_> = received[3..].iter().map(|it| it.id().to_owned()).collect();
    let expected: BTreeSet<_> = first
        .iter()
        .filter(|it| it.sequence() != 3)
        .map(|it| it.id().to_owned())
        .collect();
    assert_eq!(again, expected);
    log(&service, &made, all_are("delivered", 3)).await;
    // From an event on, those before the endpoint's making as well, each thing's in order.
    let feed = service.get("/v1/portals/acme/events").await.json();
    let answer = replay(json!({"from_event": feed["data"][0]["id"]})).await;
    assert_eq!(answer["queued"], 4);
    let received = receiver.count(9).await;
    let of_a: Vec<_> = received[5..]
        .iter()
        .filter(|it| it.subject() == "subn_a")
        .map(Received::sequence)
        .collect();
    assert_eq!(of_a, [1, 2, 3]);
    let log = log(&service, &made, all_are("delivered", 4)).await;
    assert_eq!(log[0]["attempts"], 1);
}
