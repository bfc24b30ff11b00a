//! What is left to do with stored events: those that wait for something of ours are judged again, and
//! where the order cannot be known the object is read from Stripe, once for all events that wait for it.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::event::{About, Envelope, Incoming};
use super::mark::{Mark, mark};
use super::subscription::News;
use super::tell::context_of;
use super::work::{Named, Verdict, Work};
use crate::app::App;
use crate::app::budget::Class;
use crate::app::payment_methods::{SaveInput, Source};
use crate::app::places::passes;
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Code, Error};
use crate::domain::inbox::Status;
use crate::domain::slug::Slug;
use crate::store::stripe_events::{self, Settled, StoredEvent};
use crate::store::{self, Conn, StoreError};
use crate::stripe::{
    self, FrozenRequest, Invoice, RawReply, StripeError, customers, invoices, payment_methods,
    subscriptions,
};

/// Events taken up at once.
const DUE_AT_ONCE: i64 = 256;
/// How long whoever has taken an event may work on it before another may take it.
const CLAIM_MS: i64 = 60_000;
/// Objects that are read from Stripe at the same time; the account's budget says how often.
const READS_AT_ONCE: usize = 8;
/// The first wait after an attempt that failed; each further one is twice as long, ten minutes at most.
const RETRY_MS: i64 = 1_000;
const RETRY_MAX_MS: i64 = 600_000;
/// Attempts after which an event is a dead letter: days.
const ATTEMPTS_MAX: i32 = 500;

/// Events about one object of Stripe's, in the order of their times.
type Group = Vec<Incoming>;

impl App {
    /// Waits until an event was stored in this process with which something is still to be done.
    pub async fn events_left(&self) {
        self.intake.left.notified().await;
    }

    /// Takes up the events whose time has come; tells how many.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn work_on_inbox(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let until = now.plus_millis(CLAIM_MS);
        // Most looks find nothing, and a look alone locks nobody out.
        if !self
            .store
            .read(async |conn| stripe_events::any_due(conn, now).await)
            .await?
        {
            return Ok(0);
        }
        let due = self
            .store
            .write(async |conn| stripe_events::claim_due(conn, now, until, DUE_AT_ONCE).await)
            .await?;
        let count = due.len();
        let mut groups: BTreeMap<(Slug, String), Group> = BTreeMap::new();
        for stored in due {
            let object = stored.event.object_id.clone();
            // What has no id is about nothing else.
            let name = if object.is_empty() {
                stored.event.id.clone()
            } else {
                object
            };
            let key = (stored.event.portal.clone(), name);
            if let Some(event) = self.read_again(stored).await? {
                groups.entry(key).or_default().push(event);
            }
        }
        let mut working = stream::iter(groups.into_values().map(|group| self.work_on(group)))
            .buffer_unordered(READS_AT_ONCE);
        while working.next().await.is_some() {}
        Ok(count)
    }

    /// Counts the dead letters, for the metrics.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn count_dead_events(&self) -> Result<u32, Error> {
        let dead = self
            .store
            .read(async |conn| stripe_events::count(conn, Status::Dead).await)
            .await?;
        Ok(u32::try_from(dead).unwrap_or(u32::MAX))
    }

    /// A stored event as it came; one that cannot be read any more is a dead letter.
    async fn read_again(&self, stored: StoredEvent) -> Result<Option<Incoming>, StoreError> {
        let StoredEvent { event, payload } = stored;
        let portal = &event.portal;
        let (place, payload) = self
            .store
            .read(async |conn| {
                let place = super::hooks::place_of(conn, portal).await?;
                let Some(sealed) = &payload else {
                    return Ok((place, Vec::new()));
                };
                let version = Some(sealed.data_key_version);
                let vault = self.vault(conn, portal, version).await?;
                let text = vault.open(portal, &super::intake::place(&event.id), sealed)?;
                Ok((place, text.expose_secret().as_bytes().to_vec()))
            })
            .await?;
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&payload) else {
            let settled = Settled {
                status: Status::Dead,
                next_attempt_at: None,
                error: Some("its payload cannot be read".to_owned()),
            };
            self.store
                .write(async |conn| {
                    stripe_events::put_back(conn, portal, &event.id, event.attempts, &settled).await
                })
                .await?;
            return Ok(None);
        };
        let mut incoming = Incoming::new(event.portal, place, envelope, payload, event.received_at);
        incoming.attempts = event.attempts;
        incoming.is_kept = true;
        Ok(Some(incoming))
    }

    async fn work_on(&self, group: Group) {
        let mut group = group;
        group.sort_by_key(|event| event.created_at);
        if let Some(event) = group.first() {
            passes("event_claimed", event.portal.as_str());
        }
        if let Err(error) = self.settle_group(&group).await {
            // Whoever takes them up when the claim has run out finds them as they are stored.
            tracing::warn!(cause = %error, "stored events could not be worked on");
        }
    }

    async fn settle_group(&self, group: &Group) -> Result<(), StoreError> {
        let events: Vec<&Incoming> = group.iter().collect();
        let judged = self
            .store
            .write(async |conn| {
                let verdicts = self.apply_events(conn, &events).await?;
                for (event, verdict) in events.iter().zip(&verdicts) {
                    let waits = matches!(
                        verdict,
                        Verdict::Refetch | Verdict::Missing(_) | Verdict::Save(_)
                    );
                    if !(waits && can_go_on(event, verdict)) {
                        self.settle_one(conn, event, verdict).await?;
                    }
                }
                Ok(verdicts)
            })
            .await;
        let verdicts = match judged {
            Ok(verdicts) => verdicts,
            Err(error) => return self.put_off(&events, &error.to_string()).await,
        };
        let mut open = Vec::new();
        for (event, verdict) in events.iter().copied().zip(verdicts) {
            if !can_go_on(event, &verdict) {
                continue;
            }
            match verdict {
                Verdict::Save(customer) => self.save(event, customer).await?,
                Verdict::Refetch => open.push((event, None)),
                Verdict::Missing(named) => open.push((event, Some(named))),
                _ => {}
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let (waiting, named): (Vec<&Incoming>, Vec<Option<Named>>) = open.into_iter().unzip();
        match self.read_and_apply(&waiting, named).await {
            Ok(()) => Ok(()),
            Err(Failed::Store(error)) => self.put_off(&waiting, &error.to_string()).await,
            Err(Failed::Stripe(error)) => self.not_read(&waiting, &error).await,
        }
    }

    /// Reads what the events are about, and what they name and is not known here, and takes it over.
    async fn read_and_apply(
        &self,
        events: &[&Incoming],
        named: Vec<Option<Named>>,
    ) -> Result<(), Failed> {
        let Some(last) = events.last() else {
            return Ok(());
        };
        let mut named: Vec<Named> = named.into_iter().flatten().collect();
        named.sort_unstable();
        named.dedup();
        for named in named {
            let before = self.mark_of(last, named.id()).await?;
            let (about, id, at) = self.read_named(last, named).await?;
            let asked = Asked { at, before };
            self.take_over(events, about, &id, asked, false).await?;
        }
        let Some(request) = request_for(last)? else {
            // What it is about is told by the event alone, now that what it names is known.
            return Ok(self.judge_at_last(events).await?);
        };
        let before = self.mark_of(last, &last.object_id).await?;
        let (reply, at) = self.read_from_stripe(last, &request).await?;
        passes("event_read", last.portal.as_str());
        let about = self.about_of(events, last, &reply).await?;
        let asked = Asked { at, before };
        self.take_over(events, about, &last.object_id, asked, true)
            .await?;
        Ok(())
    }

    /// Reads what an event names: what it is, Stripe's id of it, and when it was so.
    async fn read_named(
        &self,
        event: &Incoming,
        named: Named,
    ) -> Result<(About, String, Option<Timestamp>), Failed> {
        Ok(match named {
            Named::Method(id) => {
                let request = payment_methods::retrieve(&id)?;
                let (reply, at) = self.read_from_stripe(event, &request).await?;
                let about = About::Method {
                    said: Box::new(reply.read()?),
                    detached: false,
                };
                (about, id, at)
            }
            Named::Invoice(id) => {
                let request = invoices::retrieve(&id, &[])?;
                let (reply, at) = self.read_from_stripe(event, &request).await?;
                let about = About::Invoice {
                    said: Box::new(self.whole_invoice(event, &reply).await?),
                    asks: false,
                    deleted: false,
                };
                (about, id, at)
            }
        })
    }

    /// An invoice with all its lines: it comes with ten.
    async fn whole_invoice(&self, event: &Incoming, reply: &RawReply) -> Result<Invoice, Failed> {
        let mut said: Invoice = reply.read()?;
        said.read_lines::<Failed>(async |request| {
            let (reply, _) = self.read_from_stripe(event, request).await?;
            Ok(reply)
        })
        .await?;
        Ok(said)
    }

    /// What was read for these events.
    async fn about_of(
        &self,
        events: &[&Incoming],
        last: &Incoming,
        reply: &RawReply,
    ) -> Result<About, Failed> {
        Ok(match &last.about {
            Ok(About::Subscription(_)) => About::Subscription(Box::new(reply.read()?)),
            Ok(About::Customer { .. }) => About::Customer {
                said: Box::new(reply.read()?),
                deleted: false,
            },
            Ok(About::Method { .. }) => About::Method {
                said: Box::new(reply.read()?),
                detached: false,
            },
            Ok(About::Invoice { .. }) => {
                let said = self.whole_invoice(last, reply).await?;
                About::Invoice {
                    asks: events.iter().any(|event| asks_at(event, &said)),
                    said: Box::new(said),
                    deleted: false,
                }
            }
            _ => About::Nothing,
        })
    }

    /// One read within the account's budget, and the time, by Stripe's clock, before which it was asked.
    async fn read_from_stripe(
        &self,
        event: &Incoming,
        request: &FrozenRequest,
    ) -> Result<(RawReply, Option<Timestamp>), Failed> {
        let (credentials, key) = self
            .store
            .read(async |conn| {
                let found = store::credentials::current(conn, &event.portal).await?;
                let found = found.ok_or_else(|| {
                    StoreError::Unavailable("the portal has no credentials now".to_owned())
                })?;
                let key = self.open_api_key(conn, &event.portal, &found).await?;
                Ok((found, key))
            })
            .await?;
        self.budget
            .turn(
                Class::Background,
                &event.portal,
                &credentials.account_id,
                credentials.mode,
                request,
            )
            .await;
        let asked = Instant::now();
        metrics::counter!("stripe_refetches_total").increment(1);
        match self.stripe.send_frozen(&key, None, request).await {
            Ok(reply) => {
                let took = i64::try_from(asked.elapsed().as_millis()).unwrap_or(i64::MAX);
                let at = reply.date.map(|date| date.plus_millis(-took));
                Ok((reply, at))
            }
            Err(error) => {
                if error.outcome() == stripe::Outcome::Throttled {
                    self.budget.throttled(
                        &credentials.account_id,
                        credentials.mode,
                        error.retry_after(),
                    );
                }
                Err(error.into())
            }
        }
    }

    /// Takes over what was read for these events. It is later than all that was heard before it was asked
    /// for, and may be earlier than what was heard since: then it says nothing, and is asked for anew. With
    /// `settles` the events are done with.
    async fn take_over(
        &self,
        events: &[&Incoming],
        about: About,
        object_id: &str,
        asked: Asked,
        settles: bool,
    ) -> Result<(), StoreError> {
        let Some(last) = events.last() else {
            return Ok(());
        };
        let heard = events.iter().map(|event| event.created_at).max();
        let at = asked.at.max(heard).unwrap_or(last.created_at);
        let news = News {
            at: Timestamp::from_seconds(at.as_seconds()),
            surely_last: true,
            patient: false,
        };
        let read = Incoming {
            portal: last.portal.clone(),
            place: last.place.clone(),
            id: last.id.clone(),
            event_type: last.event_type.clone(),
            api_version: last.api_version.clone(),
            created_at: last.created_at,
            livemode: None,
            operation: last.operation.clone(),
            object_id: object_id.to_owned(),
            about: Ok(about),
            payload: Vec::new(),
            received_at: last.received_at,
            attempts: last.attempts,
            is_kept: true,
        };
        self.store
            .write(async |conn| {
                let mut work = Work::load(self, conn, &[&read]).await?;
                let verdict = if mark(conn, &read, object_id).await? == asked.before {
                    let verdict = work.judge(&read, news);
                    work.flush(conn).await?;
                    verdict
                } else {
                    Verdict::Refetch
                };
                if settles {
                    for event in events {
                        self.settle_one(conn, event, &verdict).await?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Judges events for the last time: what they name is known now, or never will be.
    async fn judge_at_last(&self, events: &[&Incoming]) -> Result<(), StoreError> {
        self.store
            .write(async |conn| {
                let mut work = Work::load(self, conn, events).await?;
                let mut verdicts = Vec::with_capacity(events.len());
                for event in events {
                    let news = News {
                        at: event.created_at,
                        surely_last: false,
                        patient: false,
                    };
                    verdicts.push(work.judge(event, news));
                }
                work.flush(conn).await?;
                for (event, verdict) in events.iter().zip(&verdicts) {
                    self.settle_one(conn, event, verdict).await?;
                }
                Ok(())
            })
            .await
    }

    /// Saves what a finished Checkout page has set up, by an operation of its own.
    async fn save(&self, event: &Incoming, customer: String) -> Result<(), StoreError> {
        let input = SaveInput {
            source: Source::CheckoutSession(event.object_id.clone()),
            default: None,
            replaces: None,
        };
        let context = context_of(event);
        let begun = self
            .save_payment_method(
                &context,
                &event.portal,
                &CustomerRef::Id(customer),
                input,
                None,
                std::time::Duration::ZERO,
            )
            .await;
        let verdict = match begun {
            Ok(_) => Verdict::Applied,
            Err(error) if is_transient(error.code()) => {
                return self.put_off(&[event], error.detail()).await;
            }
            Err(error) => Verdict::Dead(error.detail().to_owned()),
        };
        self.store
            .write(async |conn| self.settle_one(conn, event, &verdict).await)
            .await
    }

    async fn settle_one(
        &self,
        conn: &mut Conn,
        event: &Incoming,
        verdict: &Verdict,
    ) -> Result<(), StoreError> {
        let status = verdict.status();
        metrics::counter!("stripe_events_total", "outcome" => status.as_str()).increment(1);
        match status {
            Status::Applied | Status::Stale | Status::Foreign => {
                stripe_events::settle(conn, &event.portal, &[&event.id], status).await
            }
            Status::Parked | Status::Refetch | Status::Dead => {
                self.keep_open(conn, event, verdict).await
            }
        }
    }

    /// The events again later; as dead letters after too many attempts.
    async fn put_off(&self, events: &[&Incoming], why: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store
            .write(async |conn| {
                for event in events {
                    let dead = event.attempts >= ATTEMPTS_MAX;
                    let wait = (RETRY_MS << event.attempts.clamp(0, 10)).min(RETRY_MAX_MS);
                    let settled = Settled {
                        status: if dead { Status::Dead } else { Status::Refetch },
                        next_attempt_at: (!dead).then(|| now.plus_millis(wait)),
                        error: Some(why.to_owned()),
                    };
                    let (portal, attempt) = (&event.portal, event.attempts);
                    stripe_events::put_back(conn, portal, &event.id, attempt, &settled).await?;
                }
                Ok(())
            })
            .await
    }

    /// What a failed read means for the events that wait for it.
    async fn not_read(&self, events: &[&Incoming], error: &StripeError) -> Result<(), StoreError> {
        let why = error.log_text();
        tracing::info!(
            outcome = error.outcome().as_str(),
            cause = why,
            "an object could not be read from Stripe"
        );
        if error.outcome() != stripe::Outcome::Missing {
            return self.put_off(events, error.outcome().as_str()).await;
        }
        let gone = Verdict::Dead("Stripe knows no such object".to_owned());
        self.store
            .write(async |conn| {
                for event in events {
                    self.settle_one(conn, event, &gone).await?;
                }
                Ok(())
            })
            .await
    }
}

/// A question to Stripe.
struct Asked {
    /// When it was asked, by Stripe's clock.
    at: Option<Timestamp>,
    /// What was known before it was asked.
    before: Mark,
}

/// Why something could not be read and taken over.
enum Failed {
    Store(StoreError),
    Stripe(StripeError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StripeError> for Failed {
    fn from(error: StripeError) -> Self {
        Self::Stripe(error)
    }
}

/// Whether the same may end differently later.
const fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::StripeUnavailable
            | Code::StripeBadAnswer
            | Code::ConcurrentChange
            | Code::ModuleDisabled
            | Code::StripeNotReady
    )
}

/// Whether what the event waits for is asked for now.
fn can_go_on(event: &Incoming, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Missing(_) => !event.is_patient(),
        Verdict::Refetch | Verdict::Save(_) => true,
        _ => false,
    }
}

/// What reads the object of an event; `None` for objects that are not read again.
fn request_for(event: &Incoming) -> Result<Option<FrozenRequest>, StripeError> {
    let id = event.object_id.as_str();
    Ok(match &event.about {
        Ok(About::Subscription(_)) => Some(subscriptions::retrieve(id, &[])?),
        Ok(About::Customer { .. }) => Some(customers::retrieve(id)?),
        Ok(About::Method { .. }) => Some(payment_methods::retrieve(id)?),
        Ok(About::Invoice { .. }) => Some(invoices::retrieve(id, &[])?),
        _ => None,
    })
}

/// Whether an event told that the bank wants to see who pays, at the attempt that is still the last.
fn asks_at(event: &Incoming, said: &Invoice) -> bool {
    match &event.about {
        Ok(About::Invoice {
            said: told, asks, ..
        }) => *asks && told.attempt_count == said.attempt_count,
        _ => false,
    }
}
