//! The rules against generated arrivals, and the waiting against real tasks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::Instant;

use super::account::{Account, Waiter};
use super::{Budget, Class, Limits, PAUSE_MAX};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::stripe::FrozenRequest;

const SECOND: Duration = Duration::from_secs(1);

fn portal(number: u8) -> Slug {
    Slug::parse(&format!("portal-{number}")).unwrap()
}

fn request(path: &str) -> FrozenRequest {
    let text = format!(r#"{{"method":"POST","path":"{path}","form":""}}"#);
    FrozenRequest::from_text(&text).unwrap()
}

/// One call that wants to be made.
#[derive(Clone, Debug)]
struct Arrival {
    at_ms: u64,
    portal: u8,
    endpoint: u8,
    class: Class,
}

/// One call that was made.
#[derive(Clone, Debug)]
struct Made {
    arrival: Arrival,
    number: usize,
    at: Instant,
}

/// An account in simulated time.
struct World {
    account: Account,
    waiting: Vec<(usize, Arrival, Arc<Waiter>)>,
    made: Vec<Made>,
}

impl World {
    fn new(limit: u32, endpoint: u32) -> Self {
        Self {
            account: Account::new(limit, endpoint, SECOND),
            waiting: Vec::new(),
            made: Vec::new(),
        }
    }

    fn arrive(&mut self, number: usize, arrival: &Arrival, now: Instant) {
        let endpoint = format!("POST /v1/{}", arrival.endpoint);
        if self.account.take_at_once(arrival.class, &endpoint, now) {
            self.note(number, arrival.clone(), now);
            return;
        }
        let waiter = self
            .account
            .wait(arrival.class, &portal(arrival.portal), endpoint);
        self.waiting.push((number, arrival.clone(), waiter));
    }

    fn note(&mut self, number: usize, arrival: Arrival, at: Instant) {
        self.made.push(Made {
            arrival,
            number,
            at,
        });
    }

    /// Gives turns until nothing is free; tells when something is.
    fn give_out(&mut self, now: Instant) -> Option<Instant> {
        let next = self.account.give_out(now);
        for (number, arrival, waiter) in std::mem::take(&mut self.waiting) {
            if self.account.look(&waiter, now).is_none() {
                self.account.leave(&waiter);
                self.note(number, arrival, now);
            } else {
                self.waiting.push((number, arrival, waiter));
            }
        }
        next
    }

    fn run(&mut self, arrivals: &[Arrival], start: Instant) {
        let mut now = start;
        let mut rest = arrivals.iter().enumerate().peekable();
        loop {
            while let Some((number, arrival)) =
                rest.next_if(|(_, it)| start + Duration::from_millis(it.at_ms) <= now)
            {
                self.arrive(number, arrival, now);
            }
            let free = self.give_out(now);
            let arrives = rest
                .peek()
                .map(|(_, it)| start + Duration::from_millis(it.at_ms));
            let Some(next) = free.into_iter().chain(arrives).min() else {
                break;
            };
            assert!(
                next > now,
                "time goes on, else the one who watches it spins"
            );
            now = next;
        }
    }
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0..4000_u64, 0..5_u8, 0..3_u8, any::<bool>());
    let arrival = arrival.prop_map(|(at_ms, portal, endpoint, caller)| Arrival {
        at_ms,
        portal,
        endpoint,
        class: if caller {
            Class::Interactive
        } else {
            Class::Background
        },
    });
    proptest::collection::vec(arrival, 1..80).prop_map(|mut all| {
        all.sort_by_key(|arrival| arrival.at_ms);
        all
    })
}

fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |first: &Instant| {
        let end = *first + SECOND;
        times.iter().filter(|at| *at >= first && **at < end).count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_second_has_more_calls_than_the_limits_and_every_call_is_made(
        arrivals in arrivals(), limit in 1..12_u32, endpoint in 1..8_u32,
    ) {
        let mut world = World::new(limit, endpoint);
        world.run(&arrivals, Instant::now());
        prop_assert_eq!(world.made.len(), arrivals.len());
        let times: Vec<Instant> = world.made.iter().map(|made| made.at).collect();
        prop_assert!(most_in_a_second(&times) <= usize::try_from(limit).unwrap());
        for name in 0..3 {
            let of_it = world.made.iter().filter(|made| made.arrival.endpoint == name);
            let times: Vec<Instant> = of_it.map(|made| made.at).collect();
            prop_assert!(most_in_a_second(&times) <= usize::try_from(endpoint).unwrap());
        }
    }

    #[test]
    fn within_a_portal_the_first_comes_first(arrivals in arrivals(), limit in 1..6_u32) {
        let mut world = World::new(limit, 1000);
        world.run(&arrivals, Instant::now());
        for name in 0..5 {
            for class in [Class::Interactive, Class::Background] {
                let of_it = |made: &&Made| made.arrival.portal == name && made.arrival.class == class;
                let order: Vec<(Instant, usize)> =
                    world.made.iter().filter(of_it).map(|made| (made.at, made.number)).collect();
                for pair in order.windows(2) {
                    prop_assert!(pair[0].0 < pair[1].0 || pair[0].1 < pair[1].1);
                }
            }
        }
    }
}

/// Waits in the name of a portal; the numbers of those who got their turn, in order.
fn turns(account: &mut Account, now: Instant, seconds: u32, waiting: &[Arc<Waiter>]) -> Vec<usize> {
    let mut order = Vec::new();
    for second in 0..seconds {
        account.give_out(now + SECOND * second);
        for (number, waiter) in waiting.iter().enumerate() {
            let new = !order.contains(&number);
            if new && account.look(waiter, now + SECOND * second).is_none() {
                order.push(number);
            }
        }
    }
    order
}

#[test]
fn one_call_of_a_portal_does_not_wait_for_the_queue_of_another() {
    let now = Instant::now();
    let mut account = Account::new(1, 1, SECOND);
    let wait = |account: &mut Account, number| {
        account.wait(Class::Interactive, &portal(number), "POST /v1/x".to_owned())
    };
    let mut waiting: Vec<_> = (0..500).map(|_| wait(&mut account, 1)).collect();
    waiting.extend((0..500).map(|_| wait(&mut account, 2)));
    waiting.push(wait(&mut account, 3));
    assert_eq!(turns(&mut account, now, 3, &waiting), [0, 500, 1000]);
}

#[test]
fn callers_go_first_and_background_work_never_stands_still() {
    let now = Instant::now();
    let mut account = Account::new(1, 1, SECOND);
    let mut waiting = Vec::new();
    for class in [Class::Background, Class::Interactive] {
        let one = || account.wait(class, &portal(1), "POST /v1/x".to_owned());
        waiting.extend(std::iter::repeat_with(one).take(20));
    }
    let order = turns(&mut account, now, 16, &waiting);
    let background: Vec<usize> = order
        .iter()
        .copied()
        .filter(|number| *number < 20)
        .collect();
    assert_eq!(background, [0, 1]);
    assert_eq!([order[7], order[15]], [0, 1]);
}

#[test]
fn a_caller_finds_room_even_when_background_work_fills_the_budget() {
    let now = Instant::now();
    let mut account = Account::new(8, 100, SECOND);
    let taken = (0..20).filter(|_| account.take_at_once(Class::Background, "POST /v1/x", now));
    assert_eq!(taken.count(), 6);
    assert!(account.take_at_once(Class::Interactive, "POST /v1/y", now));
    assert!(account.take_at_once(Class::Interactive, "POST /v1/y", now));
    assert!(!account.take_at_once(Class::Interactive, "POST /v1/y", now));
}

#[test]
fn nobody_calls_while_stripe_asks_to_slow_down() {
    let now = Instant::now();
    let mut account = Account::new(8, 8, SECOND);
    account.pause(now + SECOND * 3);
    account.pause(now + SECOND);
    assert!(!account.take_at_once(Class::Interactive, "POST /v1/x", now));
    let waiter = account.wait(Class::Interactive, &portal(1), "POST /v1/x".to_owned());
    assert_eq!(account.look(&waiter, now), Some(Some(now + SECOND * 3)));
    assert_eq!(account.look(&waiter, now + SECOND * 3), None);
}

#[test]
fn a_pause_is_bounded_and_is_of_one_account_and_mode() {
    let budget = Budget::new(Limits::default());
    budget.throttled("acct_1", Mode::Test, Some(Duration::from_hours(24)));
    let free_at = |account: &str, mode| {
        budget.with(account, mode, |account, now| {
            let taken = account.take_at_once(Class::Interactive, "POST /v1/x", now);
            let later = now + PAUSE_MAX;
            (
                taken,
                account.take_at_once(Class::Interactive, "POST /v1/x", later),
            )
        })
    };
    assert_eq!(free_at("acct_1", Mode::Test), (false, true));
    assert_eq!(free_at("acct_1", Mode::Live), (true, true));
    assert_eq!(free_at("acct_2", Mode::Test), (true, true));
}

#[tokio::test]
async fn accounts_at_rest_are_forgotten() {
    let budget = Budget::per(Limits::default(), Duration::ZERO);
    for number in 0..10_000 {
        let account = format!("acct_{number}");
        budget
            .turn(
                Class::Interactive,
                &portal(1),
                &account,
                Mode::Live,
                &request("/v1/customers"),
            )
            .await;
    }
    let accounts = budget.lock();
    assert!(
        accounts.live.len() <= super::KEPT_MIN,
        "{}",
        accounts.live.len()
    );
}

/// Threads like the server's workers, with tasks of several portals, some of which give up: the
/// others still get their turns.
#[test]
fn whoever_waits_gets_a_turn_although_others_give_up() {
    let limits = Limits {
        live: 10,
        test: 5,
        endpoint: 3,
    };
    let budget = Budget::per(limits, Duration::from_millis(10));
    let call = async |number: u8| {
        let class = if number.is_multiple_of(2) {
            Class::Interactive
        } else {
            Class::Background
        };
        let path = format!("/v1/e{}", number % 4);
        let (portal, request) = (portal(number % 3), request(&path));
        let turn = budget.turn(class, &portal, "acct_1", Mode::Test, &request);
        if number.is_multiple_of(5) {
            // Gone before its turn can have come, for most of them.
            let given_up = tokio::time::timeout(Duration::from_millis(1), turn);
            return given_up.await.is_ok();
        }
        turn.await;
        true
    };
    std::thread::scope(|threads| {
        for _worker in 0..4 {
            threads.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let all = async {
                    let calls = join_all((0..100).map(call));
                    tokio::time::timeout(Duration::from_secs(30), calls).await
                };
                let made = runtime.block_on(all).expect("nobody is forgotten");
                assert!(made.iter().filter(|made| **made).count() >= 80);
            });
        }
    });
    let accounts = budget.lock();
    assert!(
        accounts.test["acct_1"].is_idle(Instant::now() + SECOND),
        "no place is left in a queue"
    );
}
