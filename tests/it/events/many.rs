//! R12: many deliveries to receivers that fail in every way; none is lost, and each thing's arrive in
//! their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::{endpoint, id_of, publish, service};
use crate::reliability::score::Score;
use crate::reliability::{Dice, of_tier, seed};
use crate::support::database::{Database, on_both_databases};
use crate::support::receiver::{Reaction, Received, Receiver};
use crate::support::service::Service;

on_both_databases!(nothing_is_lost_and_everything_is_in_order);

const SUBJECTS: usize = 40;
/// Deliveries out of a hundred that fail, each in another way.
const FAILING: u64 = 12;

/// Looks at the database, one after the other, in which nothing is done: more than any machine needs.
const LOOKS_MAX: usize = 20_000;
/// Until when nothing is to be done: the time for which the next attempt at the oldest delivery of a subject, or at
/// the endpoint at all, is planned.
const NOTHING_UNTIL: &str = "SELECT CASE WHEN planned > not_before THEN planned ELSE not_before END AS count \
     FROM webhook_endpoints, (SELECT CAST(COALESCE(MIN(next_attempt_at), 0) AS BIGINT) AS planned \
     FROM webhook_deliveries AS it WHERE status = 'pending' AND NOT EXISTS (\
     SELECT 1 FROM webhook_deliveries AS older WHERE older.status = 'pending' \
     AND older.endpoint_id = it.endpoint_id AND older.subject = it.subject \
     AND older.position < it.position)) AS pending";

/// What the receiver has taken.
#[derive(Default)]
struct Book {
    /// Subject and sequence, as they came.
    entries: Vec<(String, i64)>,
    ids: BTreeSet<String>,
}

impl Book {
    fn take(&mut self, it: &Received) {
        self.entries.push((it.subject(), it.sequence()));
        self.ids.insert(it.id().to_owned());
    }
}

/// Lets time pass until it is over: to the next attempt, and only when there is none to be made now. A clock that
/// turns faster than the service works would tell it that whatever it has taken was held up for too long.
async fn pass_time(service: &Service, receiver: &Receiver, over: impl Fn() -> bool) {
    let (mut looks, mut arrived) = (0, 0);
    while !over() {
        // The receiver runs on this thread, too, and looking into a file waits for nothing.
        service.get("/healthz").await.expect(200);
        let until = service.database.count(NOTHING_UNTIL).await;
        let wait = until - service.clock.now().as_millis();
        service.clock.advance_millis(wait.max(0));
        let count = receiver.received_count();
        looks = if wait > 0 || count > arrived {
            0
        } else {
            looks + 1
        };
        arrived = count;
        assert!(looks < LOOKS_MAX, "nothing is sent any more");
    }
}

async fn nothing_is_lost_and_everything_is_in_order(engine: Database) {
    let wanted = of_tier(500, 10_000);
    let mut score = Score::new("R12", engine);
    let service = service(engine, &[("deliveries.timeout_ms", "1000")]).await;
    let dice = Mutex::new(Dice(seed()));
    // What the receiver has taken for good, by its own book.
    let book: Arc<Mutex<Book>> = Arc::default();
    let taken = Arc::clone(&book);
    let receiver = Receiver::deciding(move |it| {
        let number = dice.lock().unwrap().roll();
        let reaction = match number % 100 {
            0..=3 => Reaction::Status(500),
            // At the last of these it is taken, and the answer is lost: it will come again.
            4 | 5 | 11 => Reaction::Reset,
            6 => Reaction::Header(429, "retry-after", "1"),
            7 => Reaction::Header(503, "retry-after", "1"),
            8 => Reaction::Status(302),
            9 => Reaction::Status(404),
            10 if number % 1000 < 100 => Reaction::Hang,
            10 => Reaction::Status(502),
            _ => Reaction::Status(200),
        };
        if number % 100 >= FAILING - 1 {
            taken.lock().unwrap().take(it);
        }
        reaction
    })
    .await;
    let made = endpoint(&service, &receiver.url(), &["subscription.updated"]).await;
    let subjects: Vec<String> = (0..SUBJECTS).map(|n| format!("subn_{n:02}")).collect();
    let mut versions = vec![0_i64; SUBJECTS];
    let mut published = 0;
    while published < wanted {
        let facts: Vec<(&str, &str, i64)> = (0..100.min(wanted - published))
            .map(|n| {
                let subject = (n * 7 + published) % SUBJECTS;
                versions[subject] += 1;
                (
                    "subscription.updated",
                    subjects[subject].as_str(),
                    versions[subject],
                )
            })
            .collect();
        publish(&service, "acme", &facts).await;
        published += facts.len();
    }
    pass_time(&service, &receiver, || {
        book.lock().unwrap().ids.len() == wanted
    })
    .await;
    let taken = book.lock().unwrap().entries.clone();
    let mut firsts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (subject, sequence) in &taken {
        let seen = firsts.entry(subject).or_default();
        // Once more is allowed, as long as it is the newest that has been seen.
        if seen.last() != Some(sequence) {
            seen.push(*sequence);
        }
    }
    for (subject, last) in subjects.iter().zip(versions) {
        let expected: Vec<i64> = (1..=last).collect();
        let arrived = &firsts[subject.as_str()];
        if *arrived != expected {
            score.violation(format!("{subject}: {arrived:?}"));
        }
    }
    score.count(wanted);
    score.close(wanted);
    let path = format!("/v1/portals/acme/webhook-endpoints/{}", id_of(&made));
    let shown = service.get(&path).await.expect(200);
    assert_eq!(shown["enabled"], true);
}
