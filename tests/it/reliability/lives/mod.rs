//! R9: many lives, each a random row of calls, of what others do at Stripe, of faults and of crashes, in
//! events that come twice, in any order or not at all, while time passes; and each has to come to what a
//! small reference says ([`reference`]). A life is made by its seed and number alone: the same ones have
//! the same trace.
//!
//! The lives of a batch share a portal, its weather ([`weather`]) and its clocks.

mod actor;
mod lead;
mod reference;
mod weather;

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use self::actor::Life;
use self::reference::{PLANS, Plan, RETRY_DAYS};
use self::weather::{Events, Phase};
use super::cuts;
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Asked, Portal, World};
use super::{Dice, of_tier, only_case, seed, setting};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(lives_come_to_what_the_reference_says);

/// Lives that share a portal and its weather.
const BATCH: usize = 50;
/// Phases of a life.
const PHASES: usize = 5;

/// What has to be in the traces of even a few lives.
const MUST_HAPPEN: [&str; 12] = [
    "trialing allow",
    "past_due grace",
    "past_due deny",
    "unpaid deny",
    "ends=true",
    "402 payment_declined",
    "409 payment_method_in_use",
    "409 trial_used",
    "pay with Some(0): 200",
    "void with",
    "at Stripe: cancels",
    "at Stripe: pays",
];

/// A batch's own chance, and a life's.
fn dice(kind: u64, number: usize) -> Dice {
    let number = u64::try_from(number).unwrap();
    let mut dice = Dice(seed() ^ kind);
    Dice(dice.roll() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What a batch has come to: a trace for each life, and what is wrong.
#[derive(Default)]
struct Outcome {
    traces: BTreeMap<usize, Vec<String>>,
    wrong: Vec<String>,
}

/// A portal that sells every plan and hears Stripe's events.
async fn open(world: &World, name: &str, ends_unpaid: bool) -> Portal {
    let portal = world.open_portal(name).await;
    let end_state = if ends_unpaid { "unpaid" } else { "canceled" };
    let billing = json!({
        "account": portal.account, "retry_days": RETRY_DAYS, "end_state": end_state,
    });
    world
        .service
        .simulator(Method::POST, "/billing", billing)
        .await;
    world.hear_events(&portal).await;
    let plans = PLANS.map(|plan| {
        let pricing = match plan.price() {
            None => json!({"model": "free"}),
            Some(amount) => {
                let mut pricing = json!({
                    "model": "flat",
                    "price": {"amount": amount, "currency": "usd"},
                    "interval": {"unit": "week", "count": 4},
                });
                if let Some(days) = plan.trial_days() {
                    pricing["trial"] = json!({"days": days});
                }
                pricing
            }
        };
        json!({
            "id": plan.name(), "title": plan.name(), "approval_required": plan.needs_approval(),
            "pricing": pricing,
        })
    });
    let publishing = World::publishing_plans(&portal, "api", &json!(plans));
    let published = world.ask(&world.service.base_url, &publishing, 30).await;
    published.unwrap().expect(201);
    portal
}

/// Everything that was held back goes out; what was lost is found by a comparison; all of it is settled.
async fn catch_up(world: &World, portal: &Portal, events: Events) -> Result<(), String> {
    if let Some(order) = events.order() {
        let release = json!({"account": portal.account, "order": order});
        world
            .service
            .simulator(Method::POST, "/webhooks/release", release)
            .await;
    }
    world.settle_all(portal).await?;
    if events == Events::Lost {
        reconcile(world, portal, true).await?;
        world.settle_all(portal).await?;
    }
    Ok(())
}

/// Compares with Stripe; gives what was found.
async fn reconcile(world: &World, portal: &Portal, repair: bool) -> Result<Value, String> {
    let path = portal.path("/reconciliations");
    let asked = Asked::unkeyed(Method::POST, path, json!({"repair": repair}));
    let answer = world.ask(&world.service.base_url, &asked, 30).await;
    let done = answer.ok_or("no answer of a reconciliation")?.json();
    if done["status"] == "done" {
        Ok(done)
    } else {
        Err(format!("a reconciliation: {done}"))
    }
}

/// Every subscription of the portal, by its customer, oldest first.
async fn shown(world: &World, portal: &Portal) -> BTreeMap<String, Vec<Value>> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = portal.path(&format!("/subscriptions?limit=100{cursor}"));
        let page = world.service.get(&path).await.expect(200);
        for it in page["data"].as_array().unwrap() {
            let customer = it["customer"].as_str().unwrap().to_owned();
            all.entry(customer).or_default().insert(0, it.clone());
        }
        let Some(next) = page["next_cursor"].as_str() else {
            return all;
        };
        cursor = format!("&cursor={next}");
    }
}

/// Both clocks stand at this time.
async fn until(world: &World, portal: &Portal, at: i64) {
    let now = world.service.clock.now().as_seconds();
    assert!(now <= at, "settling took too long");
    world.pass(portal, at - now).await;
}

async fn phase(
    world: &World,
    portal: &Portal,
    lives: &mut [Life<'_>],
    (weather, began): (Phase, i64),
) -> Result<(), String> {
    world.plan_events(portal, weather.events.plan()).await;
    join_all(lives.iter_mut().map(Life::phase)).await;
    world.settle_all(portal).await?;
    let no_faults = world
        .service
        .simulator(Method::DELETE, "/faults", Value::Null);
    no_faults.await;
    join_all(lives.iter_mut().map(Life::finish)).await;
    // What is told within one second is told now; what comes by the clock has times of its own.
    world
        .plan_events(portal, json!({"same_second": false}))
        .await;
    let at = began + weather.until;
    until(world, portal, at).await;
    for life in lives.iter_mut() {
        life.own.advance(at);
    }
    catch_up(world, portal, weather.events).await?;
    let shown = shown(world, portal).await;
    let compared = lives.iter_mut().map(|life| {
        let own: Vec<&Value> = shown.get(&life.id).into_iter().flatten().collect();
        async move { life.compare(&own).await }
    });
    join_all(compared).await;
    Ok(())
}

/// What the portal as a whole must have come to.
fn wanted(lives: &[Life<'_>]) -> Wanted {
    let mut wanted = Wanted::default();
    for life in lives {
        wanted.customers += usize::from(life.own.at_stripe);
        let at_stripe = life.own.subscriptions.iter().filter(|it| it.at_stripe);
        wanted.subscriptions += at_stripe.count();
        wanted.charged += life.own.charged;
    }
    let paid = |plan: &&Plan| plan.price().is_some();
    wanted.plans(PLANS.iter().filter(paid).count())
}

/// Lives of these numbers, from their beginning to a comparison of everything.
async fn batch(world: &World, (name, number): (&str, usize), numbers: Range<usize>) -> Outcome {
    let mut chance = dice(u64::MAX, number);
    let ends_unpaid = number % 2 == 1;
    let portal = open(world, name, ends_unpaid).await;
    let mut lives = join_all(numbers.clone().map(|number| {
        let dice = dice(1, number);
        Life::begin(world, &portal, (number, dice), ends_unpaid)
    }))
    .await;
    let began = world.service.clock.now().as_seconds();
    let mut outcome = Outcome::default();
    for weather in weather::phases(&mut chance, PHASES) {
        if let Err(wrong) = phase(world, &portal, &mut lives, (weather, began)).await {
            outcome.wrong.push(format!("batch {number}: {wrong}"));
            break;
        }
    }
    let stripe = world.at_stripe(&portal).await;
    for (number, life) in numbers.zip(&mut lives) {
        if let Some(wrong) = life.wrong.take().or_else(|| life.accounts(&stripe)) {
            let trace = life.trace.join("\n    ");
            outcome
                .wrong
                .push(format!("life {number}: {wrong}\n    {trace}"));
        }
        outcome
            .traces
            .insert(number, std::mem::take(&mut life.trace));
    }
    // A life that went wrong is not like its reference any more.
    if outcome.wrong.is_empty() {
        outcome
            .wrong
            .extend(invariants::check(world, &portal, wanted(&lives)).await);
        match reconcile(world, &portal, false).await {
            Ok(found) if found["drift_count"] == 0 => {}
            Ok(found) => outcome.wrong.push(format!("I3: drift: {found}")),
            Err(wrong) => outcome.wrong.push(wrong),
        }
    }
    outcome
}

async fn lives_come_to_what_the_reference_says(engine: Database) {
    let count = of_tier(100, 3_000);
    let mut score = Score::new("R9", engine);
    let batches = match only_case() {
        None => (0..count / BATCH).map(|number| (number, number * BATCH..(number + 1) * BATCH)),
        Some(case) => return one_life(engine, case, score).await,
    };
    let mut traces = BTreeMap::new();
    for (number, numbers) in batches {
        // The clock of a service does not go back; what it has signed and keeps has its time.
        let world = World::start(engine).await;
        score.count(numbers.len());
        let outcome = batch(&world, ("lives", number), numbers.clone()).await;
        for wrong in &outcome.wrong {
            score.violation(wrong.clone());
        }
        if number == 0 {
            let again = batch(&world, ("again", number), numbers).await;
            for (number, trace) in &again.traces {
                let before = &outcome.traces[number];
                if trace != before {
                    score.violation(format!("life {number}: once {before:#?}, then {trace:#?}"));
                }
            }
        }
        traces.extend(outcome.traces);
    }
    // The proof is worth what happens in it; with a seed of somebody's own that is left to chance.
    let musts = if setting("SEED").is_none() {
        &MUST_HAPPEN[..]
    } else {
        &[]
    };
    let happens = |wanted: &str| {
        let mut lines = traces.values().flatten();
        lines.any(|line| line.contains(wanted))
    };
    let never: Vec<_> = musts.iter().filter(|wanted| !happens(wanted)).collect();
    assert!(never.is_empty(), "never: {never:?}");
    assert!(cuts::happened() > count / 4, "{} cuts", cuts::happened());
    score.close(count);
}

/// One life alone, in the weather of its batch.
async fn one_life(engine: Database, case: usize, mut score: Score) {
    let world = World::start(engine).await;
    let outcome = batch(&world, ("lives", case / BATCH), case..case + 1).await;
    for wrong in outcome.wrong {
        score.violation(wrong);
    }
    score.count(1);
    score.close(1);
}
