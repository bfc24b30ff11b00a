//! Webhook delivery: what is to be sent where and when, and the disturbances asked for.

pub(crate) mod sender;
pub(crate) mod signature;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::account::Account;
use crate::clock::{HOUR, Job, Timestamp};
use crate::ids::Ids;
use crate::resources::webhook_endpoints::WebhookEndpoint;

/// Attempts that the log keeps.
const MAX_ATTEMPTS: usize = 10_000;

/// Seconds from a failed attempt to the next, about three days in all.
///
/// Stripe: "for up to three days with an exponential back off"
/// (<https://docs.stripe.com/webhooks#automatic-retries>); the steps are not published.
const RETRY_SECONDS: [i64; 12] = [
    60,
    300,
    1_800,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    6 * HOUR,
    8 * HOUR,
    10 * HOUR,
    12 * HOUR,
    12 * HOUR,
    12 * HOUR,
];

/// How deliveries are disturbed; all off by default.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Further copies of each delivery.
    pub(crate) duplicates: u64,
    /// Deliveries in a thousand that never happen.
    pub(crate) loss_permille: u64,
    /// Seconds of the account's clock before the first attempt.
    pub(crate) delay_seconds: i64,
    /// Keep deliveries until they are released.
    pub(crate) hold: bool,
    /// Each delivery is put at a random place of the queue.
    pub(crate) shuffle: bool,
    /// All events get this creation time.
    pub(crate) pin_created: Option<Timestamp>,
    pub(crate) retry_seconds: Vec<i64>,
    /// Attempts at one endpoint at a time; one keeps the order.
    pub(crate) concurrency: usize,
    /// Sign with the wall's time rather than the account's.
    pub(crate) sign_with_wall: bool,
    /// Milliseconds that a receiver has for its answer.
    pub(crate) timeout_ms: u64,
}

impl Plan {
    fn new(sign_with_wall: bool) -> Self {
        Self {
            duplicates: 0,
            loss_permille: 0,
            delay_seconds: 0,
            hold: false,
            shuffle: false,
            pin_created: None,
            retry_seconds: RETRY_SECONDS.to_vec(),
            concurrency: 1,
            sign_with_wall,
            timeout_ms: 20_000,
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) event: String,
    pub(crate) endpoint: String,
    /// Attempts made so far.
    pub(crate) attempts: usize,
    /// A copy sent on demand: its failure is not retried.
    pub(crate) once: bool,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) delivery: Delivery,
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) at: Timestamp,
    pub(crate) outcome: Result<u16, String>,
}

impl Attempt {
    fn succeeded(&self) -> bool {
        matches!(self.outcome, Ok(200..=299))
    }

    pub(crate) fn render(&self) -> Value {
        json!({
            "event": self.delivery.event,
            "type": self.kind,
            "endpoint": self.delivery.endpoint,
            "url": self.url,
            "attempt": self.delivery.attempts,
            "at": self.at,
            "status": self.outcome.as_ref().ok(),
            "error": self.outcome.as_ref().err(),
            "succeeded": self.succeeded(),
        })
    }
}

/// An account's deliveries.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) plan: Plan,
    /// By endpoint, each in order.
    ready: BTreeMap<String, VecDeque<Delivery>>,
    pub(crate) held: Vec<Delivery>,
    /// Waiting for their time on the account's clock.
    waiting: BTreeMap<u64, Delivery>,
    in_flight: HashMap<String, usize>,
    pub(crate) attempts: VecDeque<Attempt>,
    pub(crate) lost: u64,
    next: u64,
    chance: Ids,
    wake: Arc<Notify>,
}

impl Outbox {
    pub(crate) fn new(seed: u64, sign_with_wall: bool, wake: Arc<Notify>) -> Self {
        Self {
            plan: Plan::new(sign_with_wall),
            ready: BTreeMap::new(),
            held: Vec::new(),
            waiting: BTreeMap::new(),
            in_flight: HashMap::new(),
            attempts: VecDeque::new(),
            lost: 0,
            next: 0,
            // Disturbances must not change the ids that an undisturbed run would give.
            chance: Ids::new(seed ^ 0x5745_4248_4F4F_4B53),
            wake,
        }
    }

    /// Nothing is ready and nothing is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.in_flight.is_empty()
    }

    /// How many deliveries are ready, in flight, held, and waiting for their time.
    pub(crate) fn counts(&self) -> Value {
        json!({
            "ready": self.ready.values().map(VecDeque::len).sum::<usize>(),
            "in_flight": self.in_flight.values().sum::<usize>(),
            "held": self.held.len(),
            "waiting": self.waiting.len(),
            "lost": self.lost,
        })
    }

    fn delivery(&mut self, event: &str, endpoint: &str, once: bool) -> Delivery {
        self.next += 1;
        let (event, endpoint) = (event.to_owned(), endpoint.to_owned());
        Delivery {
            id: self.next,
            event,
            endpoint,
            attempts: 0,
            once,
        }
    }

    fn push(&mut self, delivery: Delivery) {
        let queue = self.ready.entry(delivery.endpoint.clone()).or_default();
        if self.plan.shuffle {
            let bound = u64::try_from(queue.len()).unwrap_or(0) + 1;
            let place = usize::try_from(self.chance.below(bound)).unwrap_or(0);
            queue.insert(place.min(queue.len()), delivery);
        } else {
            queue.push_back(delivery);
        }
        self.wake.notify_one();
    }

    /// Lets held deliveries go in the order given; those not named follow in their own order.
    pub(crate) fn release(&mut self, order: &[&str]) -> usize {
        let mut held = std::mem::take(&mut self.held);
        let count = held.len();
        held.sort_by_key(|delivery| {
            order
                .iter()
                .position(|event| *event == delivery.event)
                .unwrap_or(usize::MAX)
        });
        for delivery in held {
            let queue = self.ready.entry(delivery.endpoint.clone()).or_default();
            queue.push_back(delivery);
        }
        self.wake.notify_one();
        count
    }

    /// Reverses or shuffles what is held.
    pub(crate) fn rearrange(&mut self, shuffle: bool) {
        if !shuffle {
            self.held.reverse();
            return;
        }
        for last in (1..self.held.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(0) + 1;
            self.held
                .swap(last, usize::try_from(self.chance.below(bound)).unwrap_or(0));
        }
    }

    /// The next delivery to an endpoint that has room for it.
    fn take(&mut self) -> Option<Delivery> {
        let in_flight = &self.in_flight;
        let concurrency = self.plan.concurrency;
        let has_room = |endpoint: &str| in_flight.get(endpoint).is_none_or(|n| *n < concurrency);
        let (_, queue) = self
            .ready
            .iter_mut()
            .find(|(endpoint, _)| has_room(endpoint))?;
        let delivery = queue.pop_front()?;
        if queue.is_empty() {
            self.ready.remove(&delivery.endpoint);
        }
        *self.in_flight.entry(delivery.endpoint.clone()).or_default() += 1;
        Some(delivery)
    }

    fn landed(&mut self, endpoint: &str) {
        if let Some(count) = self.in_flight.get_mut(endpoint) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(endpoint);
            }
        }
        self.wake.notify_one();
    }
}

impl Account {
    /// Hands a new event to every endpoint that wants it; the answer is how many do.
    pub(crate) fn dispatch(&mut self, event: &str, kind: &str) -> u32 {
        let wanting: Vec<String> = self
            .webhook_endpoints
            .oldest_first()
            .filter(|endpoint| endpoint.wants(kind))
            .map(|endpoint| endpoint.id.clone())
            .collect();
        for endpoint in &wanting {
            let plan = &self.outbox.plan;
            let (copies, loss, delay) = (plan.duplicates, plan.loss_permille, plan.delay_seconds);
            let hold = plan.hold;
            if self.outbox.chance.below(1_000) < loss {
                self.outbox.lost += 1;
                continue;
            }
            for copy in 0..=copies {
                let delivery = self.outbox.delivery(event, endpoint, copy > 0);
                if hold {
                    self.outbox.held.push(delivery);
                } else if delay > 0 {
                    self.deliver_later(delivery, delay);
                } else {
                    self.outbox.push(delivery);
                }
            }
        }
        u32::try_from(wanting.len()).unwrap_or(u32::MAX)
    }

    /// Sends an event again, to one endpoint or to all that want it; the answer is to how many.
    pub(crate) fn resend(&mut self, event: &str, endpoint: Option<&str>) -> usize {
        let Some(kind) = self.events.get(event).map(|event| event.kind.clone()) else {
            return 0;
        };
        let chosen: Vec<String> = self
            .webhook_endpoints
            .oldest_first()
            .filter(|e| endpoint.map_or_else(|| e.wants(&kind), |id| e.id == id))
            .map(|e| e.id.clone())
            .collect();
        for endpoint in &chosen {
            let delivery = self.outbox.delivery(event, endpoint, true);
            self.outbox.push(delivery);
        }
        chosen.len()
    }

    fn deliver_later(&mut self, delivery: Delivery, seconds: i64) {
        let id = delivery.id.to_string();
        let at = self.clocks.account_now().saturating_add(seconds);
        self.outbox.waiting.insert(delivery.id, delivery);
        self.schedule_on(
            None,
            at,
            Job {
                name: "webhook.deliver",
                run: deliver_now,
                id,
            },
        );
    }

    /// Records an attempt: a success lowers `pending_webhooks`, a failure is tried again.
    pub(crate) fn record_attempt(&mut self, mut delivery: Delivery, outcome: Result<u16, String>) {
        self.outbox.landed(&delivery.endpoint);
        delivery.attempts += 1;
        let attempt = Attempt {
            kind: self
                .events
                .get(&delivery.event)
                .map(|e| e.kind.clone())
                .unwrap_or_default(),
            url: self
                .webhook_endpoints
                .get(&delivery.endpoint)
                .map(|endpoint| endpoint.url.clone())
                .unwrap_or_default(),
            at: self.clocks.account_now(),
            delivery: delivery.clone(),
            outcome,
        };
        let succeeded = attempt.succeeded();
        if self.outbox.attempts.len() >= MAX_ATTEMPTS {
            self.outbox.attempts.pop_front();
        }
        self.outbox.attempts.push_back(attempt);
        let retry = self
            .outbox
            .plan
            .retry_seconds
            .get(delivery.attempts - 1)
            .copied();
        match retry {
            Some(seconds) if !succeeded && !delivery.once => self.deliver_later(delivery, seconds),
            _ if succeeded && !delivery.once => {
                if let Some(mut event) = self.events.get_mut(&delivery.event) {
                    event.pending_webhooks = event.pending_webhooks.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    /// What the sender needs for one attempt; deliveries that nobody wants any more are dropped.
    fn next_attempt(&mut self) -> Option<sender::Outgoing> {
        while let Some(delivery) = self.outbox.take() {
            let endpoint = self.webhook_endpoints.get(&delivery.endpoint);
            match endpoint.filter(|endpoint| endpoint.enabled) {
                Some(endpoint) => {
                    if let Some(outgoing) = self.outgoing(delivery.clone(), endpoint) {
                        return Some(outgoing);
                    }
                    self.outbox.landed(&delivery.endpoint);
                }
                None => self.outbox.landed(&delivery.endpoint),
            }
        }
        None
    }

    fn outgoing(&self, delivery: Delivery, endpoint: &WebhookEndpoint) -> Option<sender::Outgoing> {
        let event = self.events.get(&delivery.event)?;
        let account_now = self.clocks.account_now();
        let at = if self.outbox.plan.sign_with_wall {
            crate::clock::wall_seconds()
        } else {
            account_now
        };
        let body = serde_json::to_string_pretty(&endpoint.payload(event)).unwrap_or_default();
        let secrets: Vec<&str> = endpoint.live_secrets(account_now).collect();
        Some(sender::Outgoing {
            url: endpoint.url.clone(),
            signature: signature::header(&secrets, at, &body),
            timeout_ms: self.outbox.plan.timeout_ms,
            body,
            delivery,
        })
    }
}

fn deliver_now(account: &mut Account, id: &str) {
    let delivery = id
        .parse()
        .ok()
        .and_then(|id: u64| account.outbox.waiting.remove(&id));
    if let Some(delivery) = delivery {
        account.outbox.push(delivery);
    }
}
