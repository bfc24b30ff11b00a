//! The queue of verified events, and the one task that empties it: everything that waits is stored and
//! applied in one transaction.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::Received;
use super::event::{About, Incoming};
use super::subscription::News;
use super::work::{Verdict, Work};
use crate::app::App;
use crate::app::places::passes;
use crate::app::vault::Place;
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::inbox::Status;
use crate::domain::slug::Slug;
use crate::store::stripe_events::{self, Settled};
use crate::store::{self, Conn, StoreError};

/// Events that may wait.
const QUEUE_MAX: usize = 4_096;
/// Kibibytes of bodies that may wait.
const QUEUE_MAX_KIB: usize = 64 * 1024;
/// Events of one transaction.
const BATCH_MAX: usize = 256;
/// Stored events that are remembered, so that their copies do not reach the database.
const REMEMBERED_MAX: usize = 65_536;
/// How often an event may find that another writer was first.
const RACES_MAX: u32 = 4;
/// How often a portal's last delivery is written down.
const NOTED_EVERY_MS: i64 = 60_000;
/// How soon an event that waits for something of ours is looked at again.
pub(super) const PARKED_MS: i64 = 500;

type Key = (Slug, String);
type Answer = Result<Received, StoreError>;

/// An event that waits, and who waits for it.
struct Waiting {
    event: Incoming,
    answer: oneshot::Sender<Result<Received, Error>>,
    _room: OwnedSemaphorePermit,
}

/// A stored event as it is remembered: as much of a SHA-256 as no two events share.
type Fingerprint = [u8; 16];

fn fingerprint(portal: &Slug, id: &str) -> Fingerprint {
    // No name of a portal's has a space in it.
    let whole = digest(&SHA256, format!("{portal} {id}").as_bytes());
    let first = whole.as_ref().first_chunk();
    first.copied().unwrap_or_default()
}

/// Which events were stored of late.
#[derive(Default)]
struct Remembered {
    order: VecDeque<Fingerprint>,
    all: HashSet<Fingerprint>,
}

impl Remembered {
    fn add(&mut self, key: Fingerprint) {
        if self.all.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

/// The queue of one process.
pub(in crate::app) struct Intake {
    waiting: Sender<Waiting>,
    /// Taken by the task that empties the queue.
    queue: Mutex<Option<Receiver<Waiting>>>,
    room: Arc<Semaphore>,
    remembered: Mutex<Remembered>,
    noted: Mutex<HashMap<Slug, Timestamp>>,
    /// Rung when an event was stored with which something is still to be done.
    pub(super) left: Notify,
}

impl Intake {
    /// An empty queue.
    pub(in crate::app) fn new() -> Self {
        let (waiting, queue) = mpsc::channel(QUEUE_MAX);
        Self {
            waiting,
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(QUEUE_MAX_KIB)),
            remembered: Mutex::default(),
            noted: Mutex::default(),
            left: Notify::new(),
        }
    }

    /// Whether the event was stored a short while ago.
    pub(super) fn knows(&self, portal: &Slug, id: &str) -> bool {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        remembered.all.contains(&fingerprint(portal, id))
    }

    /// Queues an event and waits until it is stored.
    ///
    /// # Errors
    /// `unavailable`, and what the store answers.
    pub(super) async fn put(&self, event: Incoming) -> Result<Received, Error> {
        let full = || Error::unavailable("too many deliveries wait");
        let kib = u32::try_from(event.payload.len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(kib)
            .map_err(|_| full())?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            event,
            answer,
            _room: room,
        };
        match self.waiting.try_send(waiting) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(full()),
            Err(TrySendError::Closed(_)) => {
                return Err(Error::unavailable("nobody takes deliveries"));
            }
        }
        answered
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the delivery was dropped")))
    }

    fn remember(&self, keys: impl Iterator<Item = Fingerprint>) {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            remembered.add(key);
        }
    }

    /// Whether it is time to write down that a delivery for the portal has arrived.
    fn is_to_be_noted(&self, portal: &Slug, now: Timestamp) -> bool {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted
            .get(portal)
            .is_none_or(|at| !(0..NOTED_EVERY_MS).contains(&now.millis_since(*at)))
    }

    fn note(&self, portals: Vec<Slug>, now: Timestamp) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.extend(portals.into_iter().map(|portal| (portal, now)));
    }
}

/// What a batch has come to.
#[derive(Default)]
struct Taken {
    /// The events that were the first of their ids.
    first: HashSet<Key>,
    /// How many of them came to what.
    counts: HashMap<Status, u64>,
    noted: Vec<Slug>,
}

impl App {
    /// Stores and applies what is delivered, for as long as the process runs. One task of a process does
    /// this; a second call ends at once.
    pub async fn take_deliveries(&self) {
        let queue = self
            .intake
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut queue) = queue else {
            return;
        };
        let mut waiting = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut waiting, BATCH_MAX).await > 0 {
            let (events, answers): (Vec<_>, Vec<_>) = waiting
                .drain(..)
                .map(|waiting| (waiting.event, waiting.answer))
                .unzip();
            let results = self.take(&events).await;
            for (answer, result) in answers.into_iter().zip(results) {
                // Whoever has gone has been delivered to all the same.
                let _gone = answer.send(result.map_err(Error::from));
            }
        }
    }

    /// Stores and applies events: together, and if that fails for a reason that may lie in one of them,
    /// one by one.
    async fn take(&self, events: &[Incoming]) -> Vec<Answer> {
        let all: Vec<&Incoming> = events.iter().collect();
        match self.take_together(&all).await {
            Ok(answers) => answers,
            Err(error) if is_outage(&error) => {
                all.iter().map(|_| Err(unavailable(&error))).collect()
            }
            Err(_) => {
                let mut answers = Vec::with_capacity(events.len());
                for event in all {
                    answers.push(self.take_alone(event).await);
                }
                answers
            }
        }
    }

    /// One event. If it cannot be taken, for whatever reason but an outage, it is stored as a dead letter.
    async fn take_alone(&self, event: &Incoming) -> Answer {
        let mut attempts = 0;
        let error = loop {
            attempts += 1;
            match self.take_together(&[event]).await {
                Ok(mut answers) => return answers.pop().unwrap_or(Ok(Received::New)),
                // Another writer was first; the next attempt sees what it wrote.
                Err(StoreError::Unique(_)) if attempts < RACES_MAX => {}
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) => break error,
            }
        };
        tracing::error!(
            portal = %event.portal,
            event = event.id,
            event_type = event.event_type,
            cause = %error,
            "an event of Stripe's cannot be applied"
        );
        pass("hook_failed", &[event]);
        let dead = Verdict::Dead(error.to_string());
        let first = self
            .store
            .write(async |conn| {
                let first = stripe_events::insert(conn, &[&event.row()]).await?;
                if !first.is_empty() {
                    self.keep_open(conn, event, &dead).await?;
                }
                Ok(!first.is_empty())
            })
            .await
            // Its portal may just be gone; then its hook is unknown the next time.
            .map_err(|error| unavailable(&error))?;
        Ok(if first {
            Received::New
        } else {
            Received::Duplicate
        })
    }

    async fn take_together(&self, events: &[&Incoming]) -> Result<Vec<Answer>, StoreError> {
        let now = self.clock.now();
        // Of copies that came together one is taken.
        let mut seen = HashSet::new();
        let unique: Vec<&Incoming> = events
            .iter()
            .copied()
            .filter(|event| seen.insert((&event.portal, &event.id)))
            .collect();
        pass("hook_verified", &unique);
        let taken = self
            .store
            .write(async |conn| self.store_and_apply(conn, &unique, now).await)
            .await?;
        pass("hook_taken", &unique);
        for (status, count) in &taken.counts {
            metrics::counter!("stripe_events_total", "outcome" => status.as_str())
                .increment(*count);
        }
        if [Status::Parked, Status::Refetch]
            .iter()
            .any(|open| taken.counts.contains_key(open))
        {
            self.intake.left.notify_one();
        }
        self.intake.note(taken.noted, now);
        self.intake.remember(
            unique
                .iter()
                .map(|event| fingerprint(&event.portal, &event.id)),
        );
        let mut first = taken.first;
        Ok(events
            .iter()
            .map(|event| {
                let is_first = first.remove(&(event.portal.clone(), event.id.clone()));
                Ok(if is_first {
                    Received::New
                } else {
                    Received::Duplicate
                })
            })
            .collect())
    }

    async fn store_and_apply(
        &self,
        conn: &mut Conn,
        events: &[&Incoming],
        now: Timestamp,
    ) -> Result<Taken, StoreError> {
        let mut rows: Vec<_> = events.iter().map(|event| event.row()).collect();
        // In one order everywhere: two that store the same events wait for each other, never in a ring.
        rows.sort_unstable_by(|a, b| (&a.portal, &a.id).cmp(&(&b.portal, &b.id)));
        let rows: Vec<_> = rows.iter().collect();
        let first: HashSet<(String, String)> = stripe_events::insert(conn, &rows)
            .await?
            .into_iter()
            .collect();
        let new: Vec<&Incoming> = events
            .iter()
            .copied()
            .filter(|event| first.contains(&(event.portal.to_string(), event.id.clone())))
            .collect();
        pass("hook_stored", &new);
        let mut taken = Taken::default();
        if !new.is_empty() {
            let verdicts = self.apply_events(conn, &new).await?;
            taken.counts = self.settle_events(conn, &new, &verdicts).await?;
        }
        for event in events {
            let portal = &event.portal;
            if !taken.noted.contains(portal) && self.intake.is_to_be_noted(portal, now) {
                store::stripe_modules::note_webhook(conn, portal, now).await?;
                taken.noted.push(portal.clone());
            }
        }
        pass("hook_applied", &new);
        taken.first = new
            .iter()
            .map(|event| (event.portal.clone(), event.id.clone()))
            .collect();
        Ok(taken)
    }

    /// Applies events in the order given; what they change is written.
    pub(super) async fn apply_events(
        &self,
        conn: &mut Conn,
        events: &[&Incoming],
    ) -> Result<Vec<Verdict>, StoreError> {
        let mut work = Work::load(self, conn, events).await?;
        let mut verdicts = Vec::with_capacity(events.len());
        for event in events {
            let news = News {
                at: event.created_at,
                surely_last: false,
                // What is not known here is either waited for or, after a while, asked for.
                patient: true,
            };
            verdicts.push(work.judge(event, news));
        }
        work.flush(conn).await?;
        Ok(verdicts)
    }

    /// Writes down what has become of events that were stored as applied.
    async fn settle_events(
        &self,
        conn: &mut Conn,
        events: &[&Incoming],
        verdicts: &[Verdict],
    ) -> Result<HashMap<Status, u64>, StoreError> {
        let mut counts: HashMap<Status, u64> = HashMap::new();
        let mut over: HashMap<(&Slug, Status), Vec<&str>> = HashMap::new();
        for (event, verdict) in events.iter().zip(verdicts) {
            let status = verdict.status();
            *counts.entry(status).or_default() += 1;
            match status {
                Status::Applied => {}
                Status::Stale | Status::Foreign => {
                    let ids = over.entry((&event.portal, status)).or_default();
                    ids.push(&event.id);
                }
                Status::Parked | Status::Refetch | Status::Dead => {
                    self.keep_open(conn, event, verdict).await?;
                }
            }
        }
        for ((portal, status), ids) in over {
            stripe_events::settle(conn, portal, &ids, status).await?;
        }
        Ok(counts)
    }

    /// Keeps an event with its payload, since something is still to be done with it.
    pub(super) async fn keep_open(
        &self,
        conn: &mut Conn,
        event: &Incoming,
        verdict: &Verdict,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let settled = Settled {
            status: verdict.status(),
            next_attempt_at: match verdict {
                Verdict::Parked | Verdict::Missing(_) => {
                    Some(now.plus_millis(parked_for(event.attempts)))
                }
                Verdict::Refetch | Verdict::Save(_) => Some(now),
                _ => None,
            },
            error: match verdict {
                Verdict::Dead(why) => Some(why.clone()),
                _ => None,
            },
        };
        let portal = &event.portal;
        if event.is_kept {
            let attempt = event.attempts;
            return stripe_events::put_back(conn, portal, &event.id, attempt, &settled).await;
        }
        // A body may hold client secrets and addresses.
        let vault = self.vault(conn, portal, None).await?;
        let text = std::str::from_utf8(&event.payload)
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let payload = vault.seal(portal, &place(&event.id), text)?;
        stripe_events::keep(conn, portal, &event.id, &settled, &payload).await
    }
}

/// Where a payload is sealed for.
pub(super) const fn place(event: &str) -> Place<'_> {
    Place {
        row: event,
        field: "stripe_events.sealed",
        version: 1,
    }
}

/// How long an event waits for something of ours, in milliseconds: longer each time, a minute at most.
fn parked_for(attempts: i32) -> i64 {
    PARKED_MS << attempts.clamp(0, 7)
}

impl Verdict {
    /// As it is stored.
    pub(super) const fn status(&self) -> Status {
        match self {
            Self::Applied => Status::Applied,
            Self::Stale => Status::Stale,
            Self::Foreign => Status::Foreign,
            Self::Parked | Self::Missing(_) | Self::Save(_) => Status::Parked,
            Self::Refetch => Status::Refetch,
            Self::Dead(_) => Status::Dead,
        }
    }
}

impl Work<'_> {
    /// Applies one event in memory.
    pub(super) fn judge(&mut self, event: &Incoming, news: News) -> Verdict {
        let about = match &event.about {
            Ok(about) => about,
            Err(why) => return Verdict::Dead(why.clone()),
        };
        let Some(place) = &event.place else {
            return Verdict::Foreign;
        };
        if event
            .livemode
            .is_some_and(|livemode| livemode != place.mode.livemode())
        {
            return Verdict::Foreign;
        }
        match about {
            About::Subscription(said) => self.subscription(event, place, said, news),
            About::Customer { said, deleted } => {
                self.customer_said(event, place, said, *deleted, news)
            }
            About::Method { said, detached } => {
                self.method_said(event, place, said, *detached, news)
            }
            About::SetUp(said) => self.set_up(event, said, news),
            About::Checkout(said) => self.checkout(event, said),
            About::Catalog { active } => self.catalog(event, *active),
            About::Invoice {
                said,
                asks,
                deleted,
            } => self.invoice_said(event, place, said, (*asks, *deleted), news),
            About::OfInvoice(id) => self.part_of_invoice(event, place, id, news),
            About::Nothing => Verdict::Applied,
        }
    }
}

/// Names a place for the portal of each event.
fn pass(place: &'static str, events: &[&Incoming]) {
    for event in events {
        passes(place, event.portal.as_str());
    }
}

/// Whether the database is the reason, and not what it was given.
fn is_outage(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Contention(_) | StoreError::Disconnected(_) | StoreError::Unavailable(_)
    )
}

/// The same error for everybody who waited.
fn unavailable(error: &StoreError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
