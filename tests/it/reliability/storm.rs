//! R4: the same request from many callers at once, over two replicas on one database: one effect for
//! each key, and the same bytes for everybody. And two portals at once: no call with the key of the
//! other.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;

use super::invariants::{self, Wanted};
use super::of_tier;
use super::score::Score;
use super::world::{Asked, Portal, World};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(two_portals_at_once_never_use_each_others_key);

/// Callers that send the same request.
const CALLERS: usize = 16;
/// Keys that are stormed at the same time.
const AT_ONCE: usize = 5;
/// How often a caller comes back that was told to.
const COMES_BACK: usize = 500;

/// One caller: comes back until there is an answer that stays.
async fn caller(world: &World, base_url: &str, asked: &Asked) -> Result<(u16, String), String> {
    let mut heard = String::new();
    for _time in 0..COMES_BACK {
        let Some(answer) = world.ask(base_url, asked, 20).await else {
            return Err("no answer".to_owned());
        };
        match answer.status.as_u16() {
            201 => return Ok((201, answer.text)),
            // Still being worked on; or stored, and not finished within the time one waits.
            409 if answer.code() == "idempotency_in_progress" => {
                heard = answer.text;
                // Asleep, because the caller was told to come again.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            202 | 503 => heard = answer.text,
            status => return Err(format!("{status} {}", answer.text)),
        }
    }
    Err(format!("no end: {heard}"))
}

async fn storm(world: &World, replicas: &[&str], portal: &Portal, number: usize) -> Vec<String> {
    let customer = world.customer(portal, &format!("storm-{number}")).await;
    let key = format!("storm-key-{number}");
    let asked = world.saving(portal, &customer, &key).await;
    let callers = (0..CALLERS).map(|caller_number| {
        let base_url = replicas[caller_number % replicas.len()];
        caller(world, base_url, &asked)
    });
    let mut wrong = Vec::new();
    let mut answers = Vec::new();
    for answer in join_all(callers).await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(text) => wrong.push(format!("key {number}: {text}")),
        }
    }
    answers.dedup();
    if answers.len() > 1 {
        wrong.push(format!("I4: key {number} has {answers:?}"));
    }
    wrong
}

#[tokio::test]
async fn a_storm_with_one_key_has_one_effect_and_one_answer() {
    let keys = of_tier(100, 2_000);
    let world = World::start(Database::Pg).await;
    let second = world.service.one_more(&[]).await;
    let replicas = [world.service.base_url.as_str(), second.base_url.as_str()];
    let portal = world.open_portal("storm").await;
    let mut score = Score::new("R4", Database::Pg);
    let numbers: Vec<usize> = (0..keys).collect();
    for some in numbers.chunks(AT_ONCE) {
        let storms = some
            .iter()
            .map(|number| storm(&world, &replicas, &portal, *number));
        for wrong in world.in_time(join_all(storms)).await.into_iter().flatten() {
            score.violation(wrong);
        }
        score.count(some.len());
    }
    let wanted = Wanted::customers(keys);
    for wrong in invariants::check(&world, &portal, wanted).await {
        score.violation(wrong);
    }
    score.close(keys);
}

/// Every call that names its portal in what it makes, by whose key it came.
async fn calls(world: &World) -> Vec<Value> {
    let log = world
        .service
        .simulator(Method::GET, "/requests", Value::Null);
    let mut log = log.await;
    let data = log["data"].take();
    serde_json::from_value(data).unwrap()
}

async fn two_portals_at_once_never_use_each_others_key(engine: Database) {
    let wanted = of_tier(1_000, 10_000);
    let world = World::start(engine).await;
    let portals = [
        world.open_portal("ones").await,
        world.open_portal("twos").await,
    ];
    let ended = world
        .service
        .simulator(Method::DELETE, "/requests", Value::Null);
    ended.await;
    let mut score = Score::new("two-keys", engine);
    let mut calls_seen = 0;
    for round in 0.. {
        let runs = (0..40).map(|number| {
            let (world, portal) = (&world, &portals[number % 2]);
            async move {
                let customer = world.customer(portal, &format!("c-{round}-{number}")).await;
                let key = format!("two-keys-{round}-{number}");
                let asked = world.saving(portal, &customer, &key).await;
                caller(world, &world.service.base_url, &asked).await
            }
        });
        for wrong in world
            .in_time(join_all(runs))
            .await
            .into_iter()
            .filter_map(Result::err)
        {
            score.violation(wrong);
        }
        let calls = calls(&world).await;
        for call in &calls {
            let portal = portals
                .iter()
                .find(|it| it.secret_key == call["key"].as_str().unwrap());
            let Some(portal) = portal else {
                score.violation(format!("a key of nobody: {call}"));
                continue;
            };
            let named = &call["params"]["metadata"]["portal_billing_portal"];
            let own = named.is_null() || *named == portal.name.as_str();
            let found = call["status"].as_u64() == Some(200);
            if !own || !found || call["account"] != portal.account.as_str() {
                score.violation(format!("with the key of {}: {call}", portal.name));
            }
        }
        score.count(calls.len());
        calls_seen += calls.len();
        if calls_seen >= wanted {
            break;
        }
        let ended = world
            .service
            .simulator(Method::DELETE, "/requests", Value::Null);
        ended.await;
    }
    for portal in &portals {
        let customers = world.at_stripe(portal).await["customer"]
            .as_array()
            .unwrap()
            .len();
        let wanted = Wanted::customers(customers);
        for wrong in invariants::check(&world, portal, wanted).await {
            score.violation(wrong);
        }
    }
    score.close(wanted);
}
