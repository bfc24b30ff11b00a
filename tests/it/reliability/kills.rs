//! R2: real processes under load, ended by SIGKILL at any instant, while Stripe delivers its events to
//! whichever lives: nothing is lost, nothing is there twice, and all is over within 30 seconds of the
//! last kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use portal_billing::clock::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::front::Front;
use super::invariants::{self, Wanted};
use super::score::Score;
use super::world::{Asked, Portal, World};
use super::{Dice, of_tier, seed};
use crate::support::database::Database;
use crate::support::process::Process;

/// Callers that never rest.
const CALLERS: usize = 6;
/// The promise: all work is over so long after the service is back.
const OVER_WITHIN: Duration = Duration::from_secs(30);
/// Longer than one who has taken up a stored event may work on it.
const CLAIM_MS: i64 = 61_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A read for each customer, 25 a second.
const COMPARED_WITHIN: Duration = Duration::from_mins(15);

/// The replicas' addresses, for the callers.
type Addresses = Mutex<[String; 2]>;

struct Load<'a> {
    world: &'a World,
    portal: &'a Portal,
    addresses: &'a Addresses,
    over: AtomicBool,
    number: AtomicUsize,
    subscriptions: AtomicUsize,
    ending: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

impl Load<'_> {
    async fn caller(&self) {
        while !self.over.load(Ordering::SeqCst) {
            let number = self.number.fetch_add(1, Ordering::SeqCst);
            let customer = self
                .world
                .customer(self.portal, &format!("kill-{number}"))
                .await;
            let key = format!("kill-key-{number}");
            let asked = self.world.saving(self.portal, &customer, &key).await;
            let saved = self.ask_one_of(number, asked).await;
            // Before the card is saved there is nothing to pay with, and that would be the answer for good.
            if !matches!(saved, Some((201, _))) {
                continue;
            }
            let body = json!({"customer": customer, "product": "api", "plan": "gold"});
            let path = self.portal.path("/subscriptions");
            let asked = Asked::post(path, format!("kill-order-{number}"), body);
            self.subscriptions.fetch_add(1, Ordering::SeqCst);
            let made = self.ask_one_of(number + 1, asked).await;
            if let Some((201, made)) = made
                && number.is_multiple_of(2)
            {
                self.end_at_stripe(&made).await;
            }
        }
    }

    /// Lets a subscription end with its period, which nobody but Stripe tells.
    async fn end_at_stripe(&self, made: &str) {
        let made: Value = serde_json::from_str(made).unwrap();
        let id = made["stripe"]["subscription"].as_str().unwrap();
        let (path, form) = (
            format!("/v1/subscriptions/{id}"),
            "cancel_at_period_end=true",
        );
        let at_stripe = self
            .world
            .at_dashboard(self.portal, Method::POST, &path, form.to_owned());
        at_stripe.await;
        self.ending.fetch_add(1, Ordering::SeqCst);
    }

    /// Asks a replica, and again at the end.
    async fn ask_one_of(&self, number: usize, asked: Asked) -> Option<(u16, String)> {
        let address = self.addresses.lock().unwrap()[number % 2].clone();
        let heard = self.ask(&address, &asked).await;
        self.asked.lock().unwrap().push(asked);
        heard
    }

    async fn ask(&self, address: &str, asked: &Asked) -> Option<(u16, String)> {
        let answer = self.world.ask(address, asked, 5).await?;
        Some((answer.status.as_u16(), answer.text))
    }
}

/// The processes take up lost work themselves.
fn settings(world: &World) -> Vec<String> {
    let mut settings = world.service.settings();
    settings.push("operations.poll_ms=100".to_owned());
    settings
}

/// Until the number of kills is enough; gives it, and who lives.
async fn kill_again_and_again(
    world: &World,
    (addresses, front): (&Addresses, &Front),
    enough: impl Fn(usize) -> bool,
) -> (usize, [Process; 2]) {
    let mut dice = Dice(seed());
    let mut replicas = [start(world).await, start(world).await];
    let mut kills = 0;
    while !enough(kills) {
        kills += 1;
        for (place, replica) in replicas.iter().enumerate() {
            addresses.lock().unwrap()[place].clone_from(&replica.base_url);
        }
        // To either of them, the one that is killed next or the other.
        front.leads_to(&replicas[dice.below(2)].base_url);
        // Asleep, so that work is under way at an instant that nobody chose.
        let pause = u64::try_from(dice.below(400)).unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let [first, second] = replicas;
        let (victim, other, victim_is_first) = if dice.below(2) == 0 {
            (first, second, true)
        } else {
            (second, first, false)
        };
        victim.kill();
        front.leads_to(&other.base_url);
        let fresh = start(world).await;
        replicas = if victim_is_first {
            [fresh, other]
        } else {
            [other, fresh]
        };
    }
    for (place, replica) in replicas.iter().enumerate() {
        addresses.lock().unwrap()[place].clone_from(&replica.base_url);
    }
    (kills, replicas)
}

/// While the callers go on.
async fn start(world: &World) -> Process {
    let settings = settings(world);
    let starting = tokio::task::spawn_blocking(move || Process::start(&BTreeMap::new(), &settings));
    starting.await.unwrap()
}

/// A service that only prepares, since its poller does not help the killed, and the address at which
/// Stripe finds whoever lives.
async fn started() -> (World, Front) {
    let front = Front::start();
    let url = front.url();
    let settings = [
        ("operations.poll_ms", "60000"),
        ("server.public_url", url.as_str()),
    ];
    let world = World::start_with(Database::Pg, &settings).await;
    front.leads_to(&world.service.base_url);
    (world, front)
}

/// A portal that sells a plan and hears Stripe's events, in the wall's time, as the processes live.
async fn open(world: &World) -> Portal {
    let portal = world.open_portal("killed").await;
    let publishing = World::publishing(&portal, "api");
    let published = world.ask(&world.service.base_url, &publishing, 30).await;
    published.unwrap().expect(201);
    let service = &world.service;
    let running = json!({"mode": "running", "account": portal.account});
    service.simulator(Method::POST, "/clock", running).await;
    world.hear_events(&portal).await;
    let plan = json!({
        "signature_clock": "wall", "retry_seconds": vec![1; 100], "concurrency": 4, "timeout_ms": 5_000,
    });
    world.plan_events(&portal, plan).await;
    portal
}

/// What Stripe has still to tell, and what of it is stored and not settled.
async fn untold(world: &World, portal: &Portal) -> Option<String> {
    let path = format!("/webhooks?event=none&account={}", portal.account);
    let told = world
        .service
        .simulator(Method::GET, &path, Value::Null)
        .await;
    let counts = &told["counts"];
    let open = format!(
        "SELECT COUNT(*) AS count FROM stripe_events WHERE portal_id = '{}' \
         AND status IN ('parked', 'refetch')",
        portal.name
    );
    let open = world.service.database.count(&open).await;
    let all = ["ready", "in_flight", "waiting"]
        .iter()
        .all(|name| counts[name] == 0);
    (!all || open > 0).then(|| format!("{counts} at Stripe, {open} here"))
}

/// Looks until it is so; not for longer than all may take to be over.
async fn until(so: impl AsyncFn() -> bool) -> bool {
    let began = Instant::now();
    while !so().await {
        if began.elapsed() > OVER_WITHIN {
            return false;
        }
        // Asleep, because the work is done elsewhere.
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

/// What Stripe has, compared with what is here, or how far that has come in time.
async fn reconciled(world: &World, portal: &Portal, base_url: &str) -> Option<Value> {
    let began = Instant::now();
    let all = "/reconciliations";
    let asked = Asked::unkeyed(Method::POST, portal.path(all), json!({"repair": false}));
    let mut found = world.ask(base_url, &asked, 30).await?.json();
    while found["status"] == "running" && began.elapsed() < COMPARED_WITHIN {
        // Asleep, because the work is done elsewhere.
        tokio::time::sleep(LOOK_EVERY).await;
        let path = portal.path(&format!("{all}/{}", found["id"].as_str()?));
        let asked = Asked::unkeyed(Method::GET, path, Value::Null);
        found = world.ask(base_url, &asked, 0).await?.json();
    }
    Some(found)
}

/// I7: each event that Stripe has told is stored once and settled; and what it changed is here as it is
/// there.
async fn as_at_stripe(load: &Load<'_>, base_url: &str) -> Vec<String> {
    let (world, portal) = (load.world, load.portal);
    let mut wrong = Vec::new();
    let database = &world.service.database;
    let stored = invariants::rows(database, "stripe_events", &["event_id", "status"], portal).await;
    let dead = stored.iter().filter(|event| event["status"] == "dead");
    wrong.extend(dead.map(|event| format!("I7: {event}")));
    let path = format!("/webhooks?account={}", portal.account);
    let log = world
        .service
        .simulator(Method::GET, &path, Value::Null)
        .await;
    let attempts = log["attempts"].as_array().unwrap().iter();
    let acknowledged = attempts.filter(|attempt| attempt["succeeded"] == true);
    let acknowledged: BTreeSet<&str> = acknowledged
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    let here = stored
        .iter()
        .map(|event| event["event_id"].as_str().unwrap());
    let here: BTreeSet<&str> = here.collect();
    let lost = acknowledged.difference(&here).count();
    if lost > 0 || here.len() < load.subscriptions.load(Ordering::SeqCst) {
        wrong.push(format!("C21: {lost} events are lost of {}", here.len()));
    }
    match reconciled(world, portal, base_url).await {
        Some(found) if found["status"] == "done" && found["drift_count"] == 0 => {}
        other => wrong.push(format!("I3: {other:?}")),
    }
    let columns = ["customer_id", "cancel_at"];
    let subscriptions = invariants::rows(database, "subscriptions", &columns, portal).await;
    let ending = subscriptions
        .iter()
        .filter(|it| it["cancel_at"].is_i64())
        .count();
    let wanted = load.ending.load(Ordering::SeqCst);
    if ending != wanted {
        wrong.push(format!("{ending} of {wanted} end with their period"));
    }
    for subscription in &subscriptions {
        let customer = subscription["customer_id"].as_str().unwrap();
        let path = portal.path(&format!("/access?customer={customer}&product=api"));
        let asked = Asked::unkeyed(Method::GET, path, Value::Null);
        let access = world.ask(base_url, &asked, 0).await.map(|it| it.json());
        if access.as_ref().is_none_or(|it| it["decision"] != "allow") {
            wrong.push(format!("of {customer}: {access:?}"));
        }
    }
    wrong
}

#[tokio::test]
async fn replicas_that_are_killed_under_load_lose_nothing_and_double_nothing() {
    let (floor, operations) = (of_tier(50, 500), of_tier(200, 20_000));
    let (world, front) = started().await;
    let portal = open(&world).await;
    let addresses = Addresses::default();
    *addresses.lock().unwrap() = [
        world.service.base_url.clone(),
        world.service.base_url.clone(),
    ];
    let load = Load {
        world: &world,
        portal: &portal,
        addresses: &addresses,
        over: AtomicBool::new(false),
        number: AtomicUsize::new(0),
        subscriptions: AtomicUsize::new(0),
        ending: AtomicUsize::new(0),
        asked: Mutex::default(),
    };
    let callers = join_all((0..CALLERS).map(|_| load.caller()));
    let killing = async {
        let enough = |killed| killed >= floor && load.asked.lock().unwrap().len() >= operations;
        let killed = kill_again_and_again(&world, (&addresses, &front), enough).await;
        load.over.store(true, Ordering::SeqCst);
        killed
    };
    let (_, (kills, replicas)) = join(callers, killing).await;
    let mut score = Score::new("R2", Database::Pg);
    let is_over = until(async || world.is_at_rest(&portal).await);
    if !is_over.await {
        score.violation("I12: still running after 30 s".to_owned());
    }
    // Events that a killed process had taken up are another's after a minute, which is over for this one.
    let behind = Clock::machine()
        .now()
        .millis_since(world.service.clock.now());
    world.service.clock.advance_millis(behind + CLAIM_MS);
    let _helper = world
        .service
        .one_more(&[("operations.poll_ms", "100")])
        .await;
    let is_told = until(async || untold(&world, &portal).await.is_none());
    if !is_told.await {
        score.violation(format!("I7: {:?}", untold(&world, &portal).await));
    }
    let asked = std::mem::take(&mut *load.asked.lock().unwrap());
    for asked in &asked {
        let heard = load.ask(&replicas[0].base_url, asked).await;
        if !matches!(heard, Some((201, _))) {
            score.violation(format!("{:?}: {heard:?}", asked.key));
        }
    }
    let subscriptions = load.subscriptions.load(Ordering::SeqCst);
    let wanted = Wanted::customers(asked.len() - subscriptions)
        .paid(subscriptions)
        .plans(1);
    for wrong in invariants::check(&world, &portal, wanted).await {
        score.violation(wrong);
    }
    for wrong in as_at_stripe(&load, &replicas[0].base_url).await {
        score.violation(wrong);
    }
    score.count(kills);
    assert!(subscriptions > kills, "of orders, too: {subscriptions}");
    score.close(floor);
}
