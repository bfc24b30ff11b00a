//! The rules of one account's budget; the time is told, never asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Class;
use crate::domain::slug::Slug;

/// When both wait, background work gets one turn after this many turns of callers.
const CALLERS_IN_A_ROW: u32 = 7;
/// The part of the budget that background work leaves to callers.
const KEPT_FOR_CALLERS: usize = 4;
/// Endpoints are few; more names than this are looked through for idle ones.
const ENDPOINTS_KEPT: usize = 64;

/// The times of the last calls: at most `limit` of them in any window.
struct Window {
    limit: usize,
    length: Duration,
    calls: VecDeque<Instant>,
}

impl Window {
    fn new(limit: u32, length: Duration) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1),
            length,
            calls: VecDeque::new(),
        }
    }

    /// When the next call may be made if `spare` are to stay free; `None` for now.
    fn free_at(&mut self, spare: usize, now: Instant) -> Option<Instant> {
        while self
            .calls
            .front()
            .is_some_and(|first| *first + self.length <= now)
        {
            self.calls.pop_front();
        }
        let usable = self.limit.saturating_sub(spare).max(1);
        let over = self.calls.len().checked_sub(usable)?;
        self.calls.get(over).map(|call| *call + self.length)
    }

    fn call(&mut self, now: Instant) {
        self.calls.push_back(now);
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.calls
            .back()
            .is_none_or(|last| *last + self.length <= now)
    }
}

/// One who waits.
pub(super) struct Waiter {
    class: Class,
    portal: Slug,
    endpoint: String,
    granted: AtomicBool,
    /// Rung when the turn has come, or when this one has to watch the time from now on.
    pub(super) told: Notify,
}

impl Waiter {
    fn is_granted(&self) -> bool {
        self.granted.load(Ordering::Acquire)
    }
}

/// Portals that wait, in the order of their turns, and what each waits for.
#[derive(Default)]
struct Turns {
    order: VecDeque<Slug>,
    queues: HashMap<Slug, VecDeque<Arc<Waiter>>>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn push(&mut self, waiter: Arc<Waiter>) {
        let portal = &waiter.portal;
        if !self.queues.contains_key(portal) {
            self.order.push_back(portal.clone());
        }
        self.queues
            .entry(portal.clone())
            .or_default()
            .push_back(waiter);
    }

    fn first(&self, place: usize) -> Option<&Arc<Waiter>> {
        self.queues.get(self.order.get(place)?)?.front()
    }

    /// Takes the first of the portal at that place, which goes behind all others.
    fn take(&mut self, place: usize) -> Option<Arc<Waiter>> {
        let portal = self.order.remove(place)?;
        let queue = self.queues.get_mut(&portal)?;
        let waiter = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&portal);
        } else {
            self.order.push_back(portal);
        }
        waiter
    }

    fn remove(&mut self, waiter: &Arc<Waiter>) {
        let Some(queue) = self.queues.get_mut(&waiter.portal) else {
            return;
        };
        queue.retain(|other| !Arc::ptr_eq(other, waiter));
        if queue.is_empty() {
            self.queues.remove(&waiter.portal);
            self.order.retain(|portal| *portal != waiter.portal);
        }
    }
}

/// One account in one mode.
pub(super) struct Account {
    calls: Window,
    endpoints: HashMap<String, Window>,
    endpoint_limit: u32,
    paused_until: Option<Instant>,
    callers: Turns,
    background: Turns,
    /// Turns of callers since the last one of background work.
    in_a_row: u32,
    /// The one that watches the time for all, and until when it sleeps.
    watch: Option<(Arc<Waiter>, Option<Instant>)>,
}

impl Account {
    pub(super) fn new(limit: u32, endpoint_limit: u32, window: Duration) -> Self {
        Self {
            calls: Window::new(limit, window),
            endpoints: HashMap::new(),
            endpoint_limit,
            paused_until: None,
            callers: Turns::default(),
            background: Turns::default(),
            in_a_row: 0,
            watch: None,
        }
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.callers.is_empty()
            && self.background.is_empty()
            && self.calls.is_idle(now)
            && self.paused_until.is_none_or(|until| until <= now)
    }

    /// No call before that time; never shortens a pause.
    pub(super) fn pause(&mut self, until: Instant) {
        self.paused_until = self.paused_until.max(Some(until));
    }

    /// Makes the call at once when there is room and nobody has waited longer.
    pub(super) fn take_at_once(&mut self, class: Class, endpoint: &str, now: Instant) -> bool {
        let others = match class {
            Class::Interactive => !self.callers.is_empty() || self.in_a_row >= CALLERS_IN_A_ROW,
            Class::Background => !self.callers.is_empty() || !self.background.is_empty(),
        };
        if others || self.free_at(class, endpoint, now).is_some() {
            return false;
        }
        self.count_turn(class);
        self.call(endpoint, now);
        true
    }

    /// Queues up.
    pub(super) fn wait(&mut self, class: Class, portal: &Slug, endpoint: String) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            class,
            portal: portal.clone(),
            endpoint,
            granted: AtomicBool::new(false),
            told: Notify::new(),
        });
        self.turns(class).push(Arc::clone(&waiter));
        waiter
    }

    /// Gives out what is free now. `None` when the turn of `waiter` has come; else until when it
    /// sleeps, if it is the one that watches the time.
    #[expect(
        clippy::option_option,
        reason = "whose turn it is, and until when to sleep, are two things"
    )]
    pub(super) fn look(&mut self, waiter: &Arc<Waiter>, now: Instant) -> Option<Option<Instant>> {
        let next = self.give_out(now);
        if waiter.is_granted() {
            return None;
        }
        match &mut self.watch {
            Some((watching, until)) if !Arc::ptr_eq(watching, waiter) => {
                // Something is free earlier than when it went to sleep.
                if until.is_none_or(|until| next.is_some_and(|next| next < until)) {
                    watching.told.notify_one();
                }
                Some(None)
            }
            watch => {
                *watch = Some((Arc::clone(waiter), next));
                Some(next)
            }
        }
    }

    /// Leaves the queue, and leaves the watch to another.
    pub(super) fn leave(&mut self, waiter: &Arc<Waiter>) {
        if !waiter.is_granted() {
            self.turns(waiter.class).remove(waiter);
        }
        let unwatched = |watch: &(Arc<Waiter>, _)| Arc::ptr_eq(&watch.0, waiter);
        if self.watch.as_ref().is_none_or(unwatched) {
            self.watch = None;
            if let Some(next) = self.callers.first(0).or_else(|| self.background.first(0)) {
                next.told.notify_one();
            }
        }
    }

    fn turns(&mut self, class: Class) -> &mut Turns {
        match class {
            Class::Interactive => &mut self.callers,
            Class::Background => &mut self.background,
        }
    }

    /// Gives turns to all that may call now; tells when the next one may.
    pub(super) fn give_out(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let (first, second) = if self.in_a_row >= CALLERS_IN_A_ROW {
                (Class::Background, Class::Interactive)
            } else {
                (Class::Interactive, Class::Background)
            };
            // Whose turn it is may use what is kept for callers.
            let waiter = match self.next_of(first, Class::Interactive, now) {
                Ok(waiter) => waiter,
                Err(at) => match self.next_of(second, second, now) {
                    Ok(waiter) => waiter,
                    Err(other) => return sooner(at, other),
                },
            };
            self.count_turn(waiter.class);
            self.call(&waiter.endpoint, now);
            waiter.granted.store(true, Ordering::Release);
            waiter.told.notify_one();
        }
    }

    fn count_turn(&mut self, class: Class) {
        self.in_a_row = match class {
            Class::Interactive if !self.background.is_empty() => self.in_a_row.saturating_add(1),
            _ => 0,
        };
    }

    /// Takes the next of a class that may call, or tells when one may. A portal whose first call is
    /// to an endpoint without room lets the others pass.
    fn next_of(
        &mut self,
        class: Class,
        kept: Class,
        now: Instant,
    ) -> Result<Arc<Waiter>, Option<Instant>> {
        let mut earliest = None;
        let mut place = 0;
        while let Some(first) = self.turns(class).first(place).map(Arc::clone) {
            match self.free_at(kept, &first.endpoint, now) {
                None => return self.turns(class).take(place).ok_or(None),
                Some(at) => earliest = sooner(earliest, Some(at)),
            }
            place += 1;
        }
        Err(earliest)
    }

    /// When a call may be made; `None` for now.
    fn free_at(&mut self, class: Class, endpoint: &str, now: Instant) -> Option<Instant> {
        let paused = self.paused_until.filter(|until| *until > now);
        let spare = match class {
            Class::Interactive => 0,
            Class::Background => self.calls.limit / KEPT_FOR_CALLERS,
        };
        let account = self.calls.free_at(spare, now);
        let endpoint = self.endpoints.get_mut(endpoint);
        let endpoint = endpoint.and_then(|window| window.free_at(0, now));
        // The latest of the three; `None` is the least.
        paused.max(account).max(endpoint)
    }

    fn call(&mut self, endpoint: &str, now: Instant) {
        self.calls.call(now);
        if let Some(window) = self.endpoints.get_mut(endpoint) {
            window.call(now);
            return;
        }
        if self.endpoints.len() >= ENDPOINTS_KEPT {
            self.endpoints.retain(|_, window| !window.is_idle(now));
        }
        let mut window = Window::new(self.endpoint_limit, self.calls.length);
        window.call(now);
        self.endpoints.insert(endpoint.to_owned(), window);
    }
}

fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
