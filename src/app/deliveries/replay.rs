//! Sending events again, and looking at what was sent.

use std::collections::HashSet;
use std::time::Duration;

use crate::app::answer::{Answer, Outcome};
use crate::app::endpoints::draft;
use crate::app::idempotency::{Begun, Claim};
use crate::app::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::delivery::{Delivery, Status};
use crate::domain::error::{Error, FieldCode};
use crate::domain::slug::Slug;
use crate::domain::webhook_endpoint::WebhookEndpoint;
use crate::ids::Kind;
use crate::store::feed::{Heading, Stretch};
use crate::store::{deliveries, endpoints, feed};

pub use crate::store::deliveries::Filter as DeliveryFilter;

/// Events that one replay takes; the answer says where the next one goes on.
const REPLAY_MAX: usize = 10_000;

/// Which events are to be sent again.
#[derive(Clone, Debug)]
pub struct ReplayInput {
    /// From where on.
    pub from: ReplayFrom,
    /// Only those older than this.
    pub until: Option<Timestamp>,
}

/// Where a replay begins.
#[derive(Clone, Debug)]
pub enum ReplayFrom {
    /// With the events of this time.
    Time(Timestamp),
    /// With this event.
    Event(String),
}

/// What a replay came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// How many events are on their way again.
    pub queued: usize,
    /// The event at which another replay would go on, when there are more than one takes.
    pub next_event: Option<String>,
}

impl App {
    /// Sends events again, in their order for each subject. What has not been sent for the first time
    /// comes anyway and is not counted.
    ///
    /// # Errors
    /// `not_found`; `validation_failed` for an event that the portal has not published.
    pub async fn replay_events(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        input: ReplayInput,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, Duration::ZERO, async |conn| {
            let (endpoint, progress) = self.held_endpoint(conn, portal, id).await?;
            let (after, since) = match &input.from {
                ReplayFrom::Time(since) => (0, Some(*since)),
                ReplayFrom::Event(event) => {
                    let found = feed::position_of(conn, portal, event).await?;
                    let unknown = "The portal has published no such event.";
                    let refusal = || Error::field("/from_event", FieldCode::InvalidValue, unknown);
                    (found.ok_or_else(refusal)? - 1, None)
                }
            };
            let stretch = Stretch {
                after,
                until: progress.position,
                since,
                before: input.until,
            };
            let limit = i64::try_from(REPLAY_MAX).unwrap_or(i64::MAX) + 1;
            let mut events = feed::wanted(conn, portal, &endpoint.wanted, stretch, limit).await?;
            let next_event = events.get(REPLAY_MAX).map(|event| event.id.clone());
            events.truncate(REPLAY_MAX);
            let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
            let there = deliveries::revive(conn, id, &positions, self.clock.now()).await?;
            let there: HashSet<i64> = there.into_iter().collect();
            let queued = events.len();
            events.retain(|event| !there.contains(&event.position));
            deliveries::insert(conn, &self.new_deliveries(&endpoint, events)).await?;
            let mut entry = draft("webhook_endpoint.replayed", &endpoint);
            entry.details.push(("queued", queued.to_string()));
            self.record(conn, context, portal, &entry).await?;
            Ok(Begun::Done(Outcome::Replayed(Replayed {
                queued,
                next_event,
            })))
        })
        .await
    }

    /// Deliveries to an endpoint, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn deliveries(
        &self,
        portal: &Slug,
        id: &str,
        filter: &DeliveryFilter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Delivery>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                endpoints::find(conn, portal, id)
                    .await?
                    .ok_or_else(Error::not_found)?;
                deliveries::list(conn, id, filter, after, i64::from(limit) + 1).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Deliveries of these events that have not been tried, due at once.
    pub(in crate::app) fn new_deliveries(
        &self,
        endpoint: &WebhookEndpoint,
        events: Vec<Heading>,
    ) -> Vec<Delivery> {
        let now = self.clock.now();
        let delivery = |event: Heading| Delivery {
            id: self.ids.new_id(Kind::Delivery).into(),
            portal: endpoint.portal.clone(),
            endpoint: endpoint.id.clone(),
            position: event.position,
            event: event.id,
            event_type: event.event_type,
            subject: event.subject,
            status: Status::Pending,
            attempts: 0,
            next_attempt_at: now,
            response_status: None,
            reason: None,
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        events.into_iter().map(delivery).collect()
    }
}
