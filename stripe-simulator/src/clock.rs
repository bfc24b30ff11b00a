//! Virtual time: one clock per account, one per test clock, each with its agenda of due work.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::account::Account;

/// Unix seconds.
pub(crate) type Timestamp = i64;

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;

/// The wall's time, in Unix seconds: only for clocks that run, and for signatures that a real
/// receiver compares with its own clock.
pub(crate) fn wall_seconds() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the wall"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Work that becomes due: a function on an object's id.
///
/// The function looks at the object first: work is never taken off an agenda, it finds that it is
/// no longer wanted.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Shown in the state dump, such as `subscription.renew`.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Account, &str),
    pub(crate) id: String,
}

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    jobs: BTreeMap<(Timestamp, u64), Job>,
    next: u64,
}

impl Agenda {
    fn put(&mut self, at: Timestamp, job: Job) {
        self.jobs.insert((at, self.next), job);
        self.next += 1;
    }

    fn take_due(&mut self, until: Timestamp) -> Option<(Timestamp, Job)> {
        let entry = self.jobs.first_entry()?;
        let at = entry.key().0;
        (at <= until).then(|| (at, entry.remove()))
    }

    /// Due times and jobs in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Timestamp, &Job)> {
        self.jobs.iter().map(|((at, _), job)| (*at, job))
    }
}

/// How an account's own time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    /// Follows the wall, plus an offset in seconds that admin calls can add to.
    Running {
        /// Seconds ahead of the wall.
        offset: i64,
    },
    /// Stands at an instant (Unix seconds) until it is advanced.
    Frozen {
        /// The instant, in Unix seconds.
        at: i64,
    },
}

impl ClockMode {
    fn now(self) -> Timestamp {
        match self {
            Self::Running { offset } => wall_seconds().saturating_add(offset),
            Self::Frozen { at } => at,
        }
    }

    fn moved_to(self, to: Timestamp) -> Self {
        match self {
            Self::Running { .. } => Self::Running {
                offset: to.saturating_sub(wall_seconds()),
            },
            Self::Frozen { .. } => Self::Frozen { at: to },
        }
    }
}

#[derive(Debug)]
struct TestTime {
    now: Timestamp,
    agenda: Agenda,
}

/// All the clocks of an account.
#[derive(Debug)]
pub(crate) struct Clocks {
    mode: ClockMode,
    agenda: Agenda,
    tests: HashMap<String, TestTime>,
    /// The test clock that the running request or job acts on.
    acting: Option<String>,
    /// The due time of the running job.
    instant: Option<Timestamp>,
}

impl Clocks {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self {
            mode,
            agenda: Agenda::default(),
            tests: HashMap::new(),
            acting: None,
            instant: None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        if let Some(instant) = self.instant {
            return instant;
        }
        let test = self.acting.as_ref().and_then(|clock| self.tests.get(clock));
        test.map_or_else(|| self.mode.now(), |test| test.now)
    }

    /// The account's own time, whatever clock is acted on.
    pub(crate) fn account_now(&self) -> Timestamp {
        self.mode.now()
    }

    pub(crate) fn set_mode(&mut self, mode: ClockMode) {
        self.mode = mode;
    }

    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self.mode, ClockMode::Frozen { .. })
    }

    pub(crate) fn add_test_clock(&mut self, id: &str, frozen_time: Timestamp) {
        let time = TestTime {
            now: frozen_time,
            agenda: Agenda::default(),
        };
        self.tests.insert(id.to_owned(), time);
    }

    pub(crate) fn remove_test_clock(&mut self, id: &str) {
        self.tests.remove(id);
        if self.acting.as_deref() == Some(id) {
            self.acting = None;
        }
    }

    pub(crate) fn test_clock_now(&self, id: &str) -> Option<Timestamp> {
        self.tests.get(id).map(|test| test.now)
    }

    /// The agenda of the account (`None`) or of a test clock.
    pub(crate) fn agenda(&self, clock: Option<&str>) -> Option<&Agenda> {
        match clock {
            None => Some(&self.agenda),
            Some(id) => self.tests.get(id).map(|test| &test.agenda),
        }
    }

    fn agenda_mut(&mut self, clock: Option<&str>) -> Option<&mut Agenda> {
        match clock {
            None => Some(&mut self.agenda),
            Some(id) => self.tests.get_mut(id).map(|test| &mut test.agenda),
        }
    }

    fn set(&mut self, clock: Option<&str>, to: Timestamp) {
        match clock {
            None => self.mode = self.mode.moved_to(to),
            Some(id) => {
                if let Some(test) = self.tests.get_mut(id) {
                    test.now = to;
                }
            }
        }
    }
}

impl Account {
    /// Now, on the clock that the running request or job acts on.
    pub(crate) fn now(&self) -> Timestamp {
        self.clocks.now()
    }

    /// From here on `now`, `schedule` and new events use this test clock, or the account's clock.
    pub(crate) fn act_on(&mut self, test_clock: Option<&str>) {
        // A running job stays on the clock that ran it.
        if self.clocks.instant.is_none() {
            self.clocks.acting = test_clock.map(str::to_owned);
        }
    }

    /// Acts on the clock of a customer; call it first in every handler about a customer's objects.
    pub(crate) fn act_for(&mut self, customer: &str) {
        let clock = self
            .customers
            .get(customer)
            .and_then(|customer| customer.test_clock.clone());
        self.act_on(clock.as_deref());
    }

    /// Puts work on the agenda of the acting clock. What is already due runs with the next
    /// advance or, on a running clock, within a second.
    pub(crate) fn schedule(
        &mut self,
        at: Timestamp,
        name: &'static str,
        run: fn(&mut Account, &str),
        id: &str,
    ) {
        let clock = self.clocks.acting.clone();
        self.schedule_on(
            clock.as_deref(),
            at,
            Job {
                name,
                run,
                id: id.to_owned(),
            },
        );
    }

    pub(crate) fn schedule_on(&mut self, clock: Option<&str>, at: Timestamp, job: Job) {
        if let Some(agenda) = self.clocks.agenda_mut(clock) {
            agenda.put(at, job);
        }
    }

    /// Moves a clock forward, running everything that becomes due on the way, in order, each at
    /// its own instant.
    pub(crate) fn advance(&mut self, clock: Option<&str>, to: Timestamp) {
        let acting = self.clocks.acting.take();
        let instant = self.clocks.instant.take();
        self.clocks.acting = clock.map(str::to_owned);
        let start = self.clocks.now();
        while let Some((at, job)) = self
            .clocks
            .agenda_mut(clock)
            .and_then(|agenda| agenda.take_due(to))
        {
            let at = at.max(start);
            // A frozen clock shows each job its own instant; so does one that stands still
            // because the jobs of a running clock are run late.
            self.clocks.instant = Some(at);
            if clock.is_some() || self.clocks.is_frozen() {
                self.clocks.set(clock, at);
            }
            (job.run)(self, &job.id);
        }
        self.clocks.instant = instant;
        let moves = clock.is_some() || self.clocks.is_frozen() || to > self.clocks.mode.now();
        if moves {
            self.clocks.set(clock, to);
        }
        self.clocks.acting = acting;
    }

    /// Runs what the account's own clock has made due.
    pub(crate) fn run_due(&mut self) {
        let now = self.clocks.account_now();
        if self
            .clocks
            .agenda
            .jobs
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= now)
        {
            self.advance(None, now);
        }
    }
}
