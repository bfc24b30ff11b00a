//! R2: real processes under load, ended by SIGKILL at any instant: nothing is lost, nothing is there
//! twice, and all is over within 30 seconds of the last kill.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::time::Instant;

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
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The replicas' addresses, for the callers.
type Addresses = Mutex<[String; 2]>;

struct Load<'a> {
    world: &'a World,
    portal: &'a Portal,
    addresses: &'a Addresses,
    over: AtomicBool,
    number: AtomicUsize,
    subscriptions: AtomicUsize,
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
            self.ask_one_of(number + 1, asked).await;
        }
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

async fn kill_again_and_again(world: &World, addresses: &Addresses, kills: usize) -> [Process; 2] {
    let mut dice = Dice(seed());
    let mut replicas = [start(world).await, start(world).await];
    for _kill in 0..kills {
        for (place, replica) in replicas.iter().enumerate() {
            addresses.lock().unwrap()[place].clone_from(&replica.base_url);
        }
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
    replicas
}

/// While the callers go on.
async fn start(world: &World) -> Process {
    let settings = settings(world);
    let starting = tokio::task::spawn_blocking(move || Process::start(&BTreeMap::new(), &settings));
    starting.await.unwrap()
}

#[tokio::test]
async fn replicas_that_are_killed_under_load_lose_nothing_and_double_nothing() {
    let kills = of_tier(50, 500);
    // The service of the test only prepares; its poller does not help the killed.
    let world = World::start_with(Database::Pg, &[("operations.poll_ms", "60000")]).await;
    let portal = world.open_portal("killed").await;
    let publishing = World::publishing(&portal, "api");
    let published = world.ask(&world.service.base_url, &publishing, 30).await;
    published.unwrap().expect(201);
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
        asked: Mutex::default(),
    };
    let callers = join_all((0..CALLERS).map(|_| load.caller()));
    let killing = async {
        let replicas = kill_again_and_again(&world, &addresses, kills).await;
        load.over.store(true, Ordering::SeqCst);
        replicas
    };
    let (_, replicas) = join(callers, killing).await;
    let back = Instant::now();
    let mut score = Score::new("R2", Database::Pg);
    while !world.is_at_rest(&portal).await {
        if back.elapsed() > OVER_WITHIN {
            score.violation("I12: still running after 30 s".to_owned());
            break;
        }
        // Asleep, because the work is done elsewhere.
        tokio::time::sleep(LOOK_EVERY).await;
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
    score.count(kills);
    assert!(asked.len() > 4 * kills, "there was load: {}", asked.len());
    assert!(subscriptions > kills, "of orders, too: {subscriptions}");
    score.close(kills);
}
