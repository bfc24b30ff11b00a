//! How often Stripe may be called: a budget per account and mode, and per endpoint of it, shared
//! fairly by the portals.
//!
//! It is ours, because what the limiters of the ecosystem (`governor` and its like) lack is the half
//! that matters here: turns between portals that share an account, callers before background work,
//! and a pause when Stripe says 429. What is left of a limiter without these, a window of times, is
//! shorter than its adapter would be. `account` has the rules, without a clock; this file has the
//! waiting.
//!
//! Nobody is woken in vain: of those who wait for one account one sleeps until the next call may be
//! made, gives out what is free then, and goes on sleeping if it was not its own turn; the others
//! are asleep until they are told. Each replica has budgets of its own, so that many replicas on one
//! account are held by the pause after Stripe's first 429, not by these numbers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::stripe::FrozenRequest;
use account::{Account, Waiter};

mod account;
#[cfg(test)]
mod tests;

/// The time that the limits are about.
const WINDOW: Duration = Duration::from_secs(1);
/// How long an account rests after a 429 that does not say how long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest rest that Stripe can order: what it says is trusted, but not for hours.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Idle accounts are forgotten at the latest when there are this many.
const KEPT_MIN: usize = 64;

/// Calls per second that one account may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In live mode.
    pub live: u32,
    /// In test mode.
    pub test: u32,
    /// To one endpoint, in either mode.
    pub endpoint: u32,
}

impl Default for Limits {
    /// Stripe's own limits (<https://docs.stripe.com/rate-limits>).
    fn default() -> Self {
        Self {
            live: 100,
            test: 25,
            endpoint: 25,
        }
    }
}

/// Who waits for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody who has just asked.
    Interactive,
    /// Nobody: work that was taken up later. It leaves a quarter of the budget to callers, and gets
    /// every eighth turn when both wait, so that it never stands still.
    Background,
}

/// The budgets of all accounts.
pub struct Budget {
    limits: Limits,
    window: Duration,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    live: HashMap<String, Account>,
    test: HashMap<String, Account>,
    /// How many accounts there may be before the idle ones are looked for.
    sweep_at: usize,
}

impl Accounts {
    fn of(&mut self, mode: Mode) -> &mut HashMap<String, Account> {
        match mode {
            Mode::Live => &mut self.live,
            Mode::Test => &mut self.test,
        }
    }

    /// Forgets accounts that are as good as new; each sweep is paid for by as many newcomers.
    fn sweep(&mut self, now: Instant) {
        if self.live.len() + self.test.len() < self.sweep_at {
            return;
        }
        self.live.retain(|_, account| !account.is_idle(now));
        self.test.retain(|_, account| !account.is_idle(now));
        self.sweep_at = (2 * (self.live.len() + self.test.len())).max(KEPT_MIN);
    }
}

impl Budget {
    /// Budgets within these limits.
    pub fn new(limits: Limits) -> Self {
        Self::per(limits, WINDOW)
    }

    fn per(limits: Limits, window: Duration) -> Self {
        Self {
            limits,
            window,
            accounts: Mutex::default(),
        }
    }

    /// The limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits until a call may be made: never more than the limits in any second. Portals that wait
    /// take turns, whatever the length of their queues; within a portal the first comes first.
    pub async fn turn(
        &self,
        class: Class,
        portal: &Slug,
        account: &str,
        mode: Mode,
        request: &FrozenRequest,
    ) {
        let endpoint = request.operation();
        let begun = self.with(account, mode, |account, now| {
            if account.take_at_once(class, &endpoint, now) {
                return None;
            }
            Some(account.wait(class, portal, endpoint))
        });
        let Some(waiter) = begun else {
            return;
        };
        let place = Place {
            budget: self,
            account,
            mode,
            waiter,
        };
        while let Some(until) = place.look() {
            match until {
                Some(until) => tokio::select! {
                    () = place.waiter.told.notified() => {}
                    // Asleep, because only time makes room.
                    () = tokio::time::sleep_until(until) => {}
                },
                None => place.waiter.told.notified().await,
            }
        }
    }

    /// Stripe has turned a call away because there were too many: nobody calls for a while.
    pub fn throttled(&self, account: &str, mode: Mode, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(PAUSE).min(PAUSE_MAX);
        self.with(account, mode, |account, now| account.pause(now + pause));
    }

    fn with<T>(
        &self,
        account: &str,
        mode: Mode,
        act: impl FnOnce(&mut Account, Instant) -> T,
    ) -> T {
        let now = Instant::now();
        let mut accounts = self.lock();
        if let Some(known) = accounts.of(mode).get_mut(account) {
            return act(known, now);
        }
        accounts.sweep(now);
        let limit = match mode {
            Mode::Live => self.limits.live,
            Mode::Test => self.limits.test,
        };
        let mut fresh = Account::new(limit, self.limits.endpoint, self.window);
        let result = act(&mut fresh, now);
        accounts.of(mode).insert(account.to_owned(), fresh);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; leaves it when dropped, whether its turn has come or its owner is gone.
struct Place<'a> {
    budget: &'a Budget,
    account: &'a str,
    mode: Mode,
    waiter: Arc<Waiter>,
}

impl Place<'_> {
    /// Gives out what is free. `None` when this place's turn has come; else until when to sleep, if
    /// this is the one that has to watch the time.
    #[expect(
        clippy::option_option,
        reason = "whose turn it is, and until when to sleep, are two things"
    )]
    fn look(&self) -> Option<Option<Instant>> {
        let mut accounts = self.budget.lock();
        let account = accounts.of(self.mode).get_mut(self.account)?;
        account.look(&self.waiter, Instant::now())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut accounts = self.budget.lock();
        if let Some(account) = accounts.of(self.mode).get_mut(self.account) {
            account.leave(&self.waiter);
        }
    }
}
