//! Deliveries to portals' own webhook endpoints.
//!
//! An endpoint is served in one transaction that holds its row: what came of the attempts that have
//! ended is stored, the feed is turned into deliveries from where that had come to, and what is due is
//! taken under a lease. The attempts themselves are made with no transaction open. So any number of
//! processes share the work; of one subject one delivery at a time is under way, in the feed's order;
//! and what a process had taken when it died is taken by another when the lease is over, and sent
//! again under the same id.

mod replay;
mod round;

pub use replay::{DeliveryFilter, ReplayFrom, ReplayInput, Replayed};

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::endpoints::keys_place;
use super::places::passes;
use super::{App, Context};
use crate::clock::Timestamp;
use crate::deliver::{Parcel, Reply, SigningKeys};
use crate::domain::audit::Actor;
use crate::domain::delivery::{Delivery, Reason};
use crate::domain::error::{Code, Error};
use crate::store::deliveries::Lease;
use crate::store::endpoints::SealedKeys;
use crate::store::feed::Event;
use crate::store::{Conn, StoreError, endpoints, feed};

/// How deliveries are made.
#[derive(Clone, Copy, Debug)]
pub struct DeliverySettings {
    /// Attempts this process makes at a time.
    pub at_once: usize,
    /// Attempts it makes at a time for one endpoint.
    pub at_once_per_endpoint: usize,
    /// How long an endpoint may take nothing before it is disabled.
    pub disable_after: Duration,
    /// How long deliveries that are over are kept.
    pub keep: Duration,
}

/// An attempt that has ended.
struct Ended {
    delivery: Delivery,
    lease: Lease,
    /// `None` when none was made.
    outcome: Option<Result<Reply, Reason>>,
}

/// A delivery that was taken, with all it takes to send it.
struct Taken {
    delivery: Delivery,
    lease: Lease,
    parcel: Result<Parcel, Reason>,
}

/// What one process has under way.
pub struct Rounds {
    app: App,
    tell: UnboundedSender<Ended>,
    told: UnboundedReceiver<Ended>,
    /// Deliveries under way, and those that have ended and are not stored yet, by endpoint.
    busy: HashMap<String, HashSet<String>>,
    ended: HashMap<String, Vec<Ended>>,
    /// How many rounds there have been; whoever is served first changes with it.
    turn: usize,
}

impl App {
    /// The rounds of this process; one for each.
    pub fn rounds(&self) -> Rounds {
        let (tell, told) = unbounded_channel();
        Rounds {
            app: self.clone(),
            tell,
            told,
            busy: HashMap::new(),
            ended: HashMap::new(),
            turn: 0,
        }
    }

    /// In whose name the service itself changes an endpoint.
    fn own_context() -> Context {
        Context {
            actor: Actor {
                subject: "worker".to_owned(),
                issuer: "portal-billing".to_owned(),
            },
            request_id: String::new(),
            instance: String::new(),
            organization: None,
        }
    }

    /// What is needed to send these deliveries of one endpoint.
    async fn parcels(
        &self,
        url: &str,
        lease: &Lease,
        taken: Vec<Delivery>,
    ) -> Result<Vec<Taken>, StoreError> {
        let Some(endpoint) = taken.first().map(|delivery| delivery.endpoint.as_str()) else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let (events, keys) = self
            .store
            .read(async |conn| {
                let ids: Vec<&str> = taken.iter().map(|it| it.event.as_str()).collect();
                let events = feed::by_ids(conn, &ids).await?;
                let sealed = endpoints::keys_of(conn, &[endpoint], now).await?;
                Ok((events, self.open_signing_keys(conn, &sealed).await?))
            })
            .await?;
        let events: HashMap<&str, &Event> = events.iter().map(|it| (it.id.as_str(), it)).collect();
        let target = self.courier.target(url);
        let parcel = |delivery: &Delivery| {
            let event = events
                .get(delivery.event.as_str())
                .ok_or(Reason::EventGone)?;
            let keys = keys.iter().filter_map(SigningKeys::from_text).collect();
            Ok(Parcel {
                target: target.clone().map_err(|_| Reason::AddressRefused)?,
                id: event.id.clone(),
                now,
                body: body_of(event),
                keys,
            })
        };
        let taken = taken.into_iter().map(|delivery| Taken {
            parcel: parcel(&delivery),
            delivery,
            lease: lease.clone(),
        });
        Ok(taken.collect())
    }

    async fn open_signing_keys(
        &self,
        conn: &mut Conn,
        sealed: &[SealedKeys],
    ) -> Result<Vec<secrecy::SecretString>, StoreError> {
        let mut keys = Vec::new();
        for it in sealed {
            let version = Some(it.sealed.data_key_version);
            let vault = self.vault(conn, &it.portal, version).await?;
            keys.push(vault.open(&it.portal, &keys_place(&it.id), &it.sealed)?);
        }
        Ok(keys)
    }

    /// When a lease taken now is over: later than any attempt of it can end.
    fn delivery_lease(&self, now: Timestamp) -> Lease {
        let attempt = i64::try_from(self.courier.timeout().as_millis()).unwrap_or(i64::MAX);
        Lease {
            owner: self.worker_name(),
            until: now.plus_millis(attempt.saturating_mul(2)),
        }
    }
}

/// What is posted: the same bytes at every attempt. The standard's three members, and two more by
/// which a receiver can tell an older fact of a thing from a newer one.
fn body_of(event: &Event) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    format!(
        r#"{{"type":{},"timestamp":{},"subject":{},"sequence":{},"data":{}}}"#,
        text(&event.event_type),
        text(&event.created_at.to_rfc3339()),
        text(&event.subject),
        event.seq,
        event.data,
    )
}

impl Rounds {
    /// Waits for an attempt to end.
    pub async fn ended(&mut self) {
        // This half of the channel lives as long as the other one.
        if let Some(ended) = self.told.recv().await {
            self.note(ended);
        }
        while let Ok(ended) = self.told.try_recv() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Ended) {
        let endpoint = ended.delivery.endpoint.clone();
        self.ended.entry(endpoint).or_default().push(ended);
    }

    /// Serves every endpoint to which something may have to be sent.
    ///
    /// # Errors
    /// What the store answers; what has ended and could not be stored is stored the next time.
    pub async fn look(&mut self) -> Result<(), Error> {
        let now = self.app.clock.now();
        let mut endpoints = self
            .app
            .store
            .read(async |conn| endpoints::with_work(conn, now).await)
            .await?;
        if !endpoints.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % endpoints.len();
            endpoints.rotate_left(first);
        }
        self.serve_each(endpoints).await?;
        self.settle().await
    }

    /// Serves the endpoints whose attempts have ended.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn settle(&mut self) -> Result<(), Error> {
        let endpoints: Vec<String> = self.ended.keys().cloned().collect();
        self.serve_each(endpoints).await
    }

    /// An endpoint that cannot be served is no reason not to serve the others, a database that does
    /// not answer is.
    async fn serve_each(&mut self, endpoints: Vec<String>) -> Result<(), Error> {
        for endpoint in endpoints {
            match self.serve(&endpoint).await {
                Err(error) if error.code() == Code::Unavailable => return Err(error),
                Err(error) => tracing::warn!(
                    endpoint,
                    cause = error.log_text(),
                    "a webhook endpoint cannot be served"
                ),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn serve(&mut self, endpoint: &str) -> Result<(), Error> {
        let ended = self.ended.get(endpoint).map_or(&[][..], Vec::as_slice);
        let mut busy = self.busy.get(endpoint).cloned().unwrap_or_default();
        for ended in ended {
            busy.remove(&ended.delivery.id);
        }
        let settings = &self.app.delivery_settings;
        let all: usize = self.busy.values().map(HashSet::len).sum();
        let room = settings.at_once.saturating_sub(all - ended.len().min(all));
        if ended.is_empty() && (room == 0 || busy.len() >= settings.at_once_per_endpoint) {
            return Ok(());
        }
        let round = self
            .app
            .delivery_round(endpoint, ended, &busy, room)
            .await?;
        self.ended.remove(endpoint);
        let taken = match round.url {
            Some(url) => self.app.parcels(&url, &round.lease, round.taken).await,
            None => Ok(Vec::new()),
        };
        // What was taken and cannot be sent now is taken again when its lease is over.
        let sent = taken.as_deref().unwrap_or_default();
        busy.extend(sent.iter().map(|taken| taken.delivery.id.clone()));
        if busy.is_empty() {
            self.busy.remove(endpoint);
        } else {
            self.busy.insert(endpoint.to_owned(), busy);
        }
        for taken in taken? {
            self.send(taken);
        }
        Ok(())
    }

    /// Makes an attempt in a task of its own.
    fn send(&self, taken: Taken) {
        let (courier, tell) = (self.app.courier.clone(), self.tell.clone());
        let (clock, timeout) = (self.app.clock.clone(), courier.timeout());
        (self.app.spawn)(Box::pin(async move {
            let Taken {
                delivery,
                lease,
                parcel,
            } = taken;
            let latest = lease
                .until
                .plus_millis(-i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
            let outcome = match parcel {
                // Held up for so long that another could take it before this attempt ends.
                Ok(_) if clock.now() > latest => None,
                Ok(parcel) => {
                    passes("delivery_sending", delivery.portal.as_str());
                    let outcome = courier.send(parcel).await;
                    passes("delivery_sent", delivery.portal.as_str());
                    Some(outcome)
                }
                Err(reason) => Some(Err(reason)),
            };
            // Whoever would store it is gone: another sends it again.
            let _gone = tell.send(Ended {
                delivery,
                lease,
                outcome,
            });
        }));
    }
}
