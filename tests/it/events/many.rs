//! R12: many deliveries to receivers that fail in every way; none is lost, and each thing's arrive in
//! their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::{endpoint, id_of, publish, service};
use crate::reliability::score::Score;
use crate::reliability::{Dice, of_tier, seed};
use crate::support::database::{Database, on_both_databases};
use crate::support::receiver::{Reaction, Received, Receiver};

on_both_databases!(nothing_is_lost_and_everything_is_in_order);

const SUBJECTS: usize = 40;
/// Deliveries out of a hundred that fail, each in another way.
const FAILING: u64 = 12;

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn nothing_is_lost_and_everything_is_in_order(engine: Database) {
    let wanted = of_tier(500, 10_000);
    let mut score = Score::new("R12", engine);
    let service = service(engine, &[("deliveries.timeout_ms", "1000")]).await;
    let dice = Mutex::new(Dice(seed()));
    // What the receiver has taken for good, by its own book.
    let taken: &'static Mutex<Vec<(String, i64, String)>> = Box::leak(Box::default());
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
            let entry = (it.subject(), it.sequence(), it.id().to_owned());
            taken.lock().unwrap().push(entry);
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
    // Time passes until everything has been taken.
    let all = |_: &[Received]| {
        let taken = taken.lock().unwrap();
        let ids: BTreeSet<&str> = taken.iter().map(|(_, _, id)| id.as_str()).collect();
        ids.len() == wanted
    };
    let turning = async {
        // Time passes while nothing arrives: the longer, the faster.
        let (mut seen, mut idle, mut step) = (0, 0, 1_000);
        loop {
            // Asking takes its time.
            service.get("/healthz").await.expect(200);
            let count = receiver.received_count();
            (idle, step) = match (count == seen, idle) {
                (false, _) => (0, 1_000),
                (true, 0..40) => (idle + 1, step),
                (true, _) => {
                    service.clock.advance_millis(step);
                    (0, (step * 2).min(3_600_000))
                }
            };
            seen = count;
        }
    };
    tokio::select! {
        _ = receiver.until(all) => {}
        never = turning => never,
    }
    let taken = taken.lock().unwrap().clone();
    let mut firsts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (subject, sequence, _) in &taken {
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
