//! One endpoint served, in one transaction.

use std::collections::HashSet;

use super::Ended;
use crate::app::App;
use crate::app::places::passes;
use crate::clock::Timestamp;
use crate::domain::delivery::{Delivery, Reason, Status, asked_ms, next_attempt};
use crate::domain::error::Error;
use crate::domain::webhook_endpoint::{Disabled, DisabledReason, WebhookEndpoint};
use crate::store::deliveries::{self, Lease};
use crate::store::endpoints::{self, Progress};
use crate::store::feed::{self, Stretch};
use crate::store::{Conn, StoreError};

/// Events that are turned into deliveries at a time, and deliveries due at which no more are: what
/// is written down is little more than what is sent next.
const WINDOW: i64 = 256;
/// Attempts at a time for an endpoint that took nothing the last time.
const AT_ONCE_FAILING: usize = 1;
const GONE: u16 = 410;
const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE: u16 = 503;

const DISABLED: &str = "webhook_endpoint.disabled";

/// What was taken.
pub(super) struct Round {
    /// Where it is to be sent; `None` when there is nothing.
    pub(super) url: Option<String>,
    /// Under this lease.
    pub(super) lease: Lease,
    /// What.
    pub(super) taken: Vec<Delivery>,
}

/// What became of an attempt, for the metrics.
#[derive(Clone, Copy)]
enum Verdict {
    Delivered,
    Retried,
    GivenUp,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GivenUp => "given_up",
        }
    }
}

/// An endpoint while it is served.
struct Served {
    endpoint: WebhookEndpoint,
    progress: Progress,
    /// Why it is to be disabled.
    disable: Option<DisabledReason>,
}

impl App {
    /// Stores what has ended, and takes at most `room` deliveries more; `busy` are under way here and
    /// are not taken once more, whatever the clock says of their leases.
    pub(super) async fn delivery_round(
        &self,
        endpoint: &str,
        ended: &[Ended],
        busy: &HashSet<String>,
        room: usize,
    ) -> Result<Round, Error> {
        let now = self.clock.now();
        let lease = self.delivery_lease(now);
        let (round, verdicts) = self
            .store
            .write(async |conn| {
                let nothing = Round {
                    url: None,
                    lease: lease.clone(),
                    taken: Vec::new(),
                };
                // It may have been deleted while attempts were under way.
                let Some((endpoint, progress)) = endpoints::lock(conn, endpoint).await? else {
                    return Ok((nothing, Vec::new()));
                };
                let mut served = Served {
                    endpoint: endpoint.clone(),
                    progress,
                    disable: None,
                };
                let mut verdicts = Vec::new();
                for ended in ended {
                    verdicts.extend(self.settle_delivery(conn, &mut served, ended, now).await?);
                    passes("delivery_settling", endpoint.portal.as_str());
                }
                if let Some(reason) = served.disable {
                    self.disable_endpoint(conn, &served, reason, now).await?;
                    return Ok((nothing, verdicts));
                }
                let open = endpoint.disabled.is_none() && served.progress.not_before <= now;
                let limit = self.delivery_room(&served.endpoint, busy.len(), room);
                let taken = if open && limit > 0 {
                    self.fan_out(conn, &mut served, now).await?;
                    deliveries::take(conn, &endpoint.id, busy, &lease, now, limit).await?
                } else {
                    Vec::new()
                };
                self.store_progress(conn, (&endpoint, progress), &served)
                    .await?;
                let round = Round {
                    url: (!taken.is_empty()).then_some(endpoint.url),
                    taken,
                    ..nothing
                };
                Ok((round, verdicts))
            })
            .await?;
        for verdict in verdicts {
            metrics::counter!("webhook_deliveries_total", "outcome" => verdict.as_str())
                .increment(1);
        }
        Ok(round)
    }

    fn delivery_room(&self, endpoint: &WebhookEndpoint, busy: usize, room: usize) -> i64 {
        let most = if endpoint.failing_since.is_some() {
            AT_ONCE_FAILING
        } else {
            self.delivery_settings.at_once_per_endpoint
        };
        i64::try_from(most.saturating_sub(busy).min(room)).unwrap_or(i64::MAX)
    }

    async fn store_progress(
        &self,
        conn: &mut Conn,
        (before, progress): (&WebhookEndpoint, Progress),
        served: &Served,
    ) -> Result<(), StoreError> {
        let failing_since = served.endpoint.failing_since;
        if served.progress == progress && failing_since == before.failing_since {
            return Ok(());
        }
        endpoints::set_progress(conn, &before.id, served.progress, failing_since).await
    }

    /// Stores what came of one attempt; nothing when another has taken the delivery over.
    async fn settle_delivery(
        &self,
        conn: &mut Conn,
        served: &mut Served,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<Option<Verdict>, StoreError> {
        let Some(outcome) = ended.outcome else {
            // As it was, for whoever comes next.
            deliveries::settle(conn, &ended.delivery, &ended.lease).await?;
            return Ok(None);
        };
        let (status, asked) = match outcome {
            Ok(reply) => (Some(reply.status), reply.retry_after),
            Err(_) => (None, None),
        };
        let taken = matches!(status, Some(200..=299));
        let attempts = ended.delivery.attempts.saturating_add(1);
        let reason = match outcome {
            Ok(_) if taken => None,
            Ok(_) => Some(Reason::Status),
            Err(reason) => Some(reason),
        };
        let next = match reason {
            None | Some(Reason::EventGone) => None,
            Some(_) => next_attempt(now, attempts, asked, self.ids.byte()),
        };
        let after = Delivery {
            status: match (taken, next) {
                (true, _) => Status::Delivered,
                (false, Some(_)) => Status::Pending,
                (false, None) => Status::Failed,
            },
            attempts,
            next_attempt_at: next.unwrap_or(now),
            response_status: status,
            reason,
            updated_at: now,
            finished_at: next.is_none().then_some(now),
            ..ended.delivery.clone()
        };
        if !deliveries::settle(conn, &after, &ended.lease).await? {
            return Ok(None);
        }
        let endpoint = &mut served.endpoint;
        if taken {
            endpoint.failing_since = None;
            return Ok(Some(Verdict::Delivered));
        }
        let failing_since = *endpoint.failing_since.get_or_insert(now);
        if next.is_some() {
            deliveries::hold_back(conn, &after).await?;
        }
        if matches!(status, Some(TOO_MANY_REQUESTS | UNAVAILABLE)) {
            let quiet = now.plus_millis(asked_ms(asked));
            served.progress.not_before = served.progress.not_before.max(quiet);
        }
        let patience = self.delivery_settings.disable_after.as_millis();
        let patience = i64::try_from(patience).unwrap_or(i64::MAX);
        if status == Some(GONE) {
            served.disable = Some(DisabledReason::Gone);
        } else if next.is_none() && now.millis_since(failing_since) >= patience {
            served.disable.get_or_insert(DisabledReason::Failing);
        }
        Ok(Some(if next.is_some() {
            Verdict::Retried
        } else {
            Verdict::GivenUp
        }))
    }

    /// Disables an endpoint. What is pending waits until it is enabled again.
    async fn disable_endpoint(
        &self,
        conn: &mut Conn,
        served: &Served,
        reason: DisabledReason,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, failing_since) = (&served.endpoint.id, served.endpoint.failing_since);
        endpoints::set_progress(conn, id, served.progress, failing_since).await?;
        if served.endpoint.disabled.is_some() {
            return Ok(());
        }
        tracing::warn!(
            endpoint = id,
            reason = reason.as_str(),
            "a webhook endpoint was disabled"
        );
        metrics::counter!("webhook_endpoints_disabled_total", "reason" => reason.as_str())
            .increment(1);
        let disabled = WebhookEndpoint {
            disabled: Some(Disabled { reason, at: now }),
            ..served.endpoint.clone()
        };
        let context = Self::own_context();
        self.store_endpoint(conn, &context, disabled, (DISABLED, DISABLED))
            .await?;
        Ok(())
    }

    /// Turns the feed into deliveries from where that had come to, unless enough of them are due.
    async fn fan_out(
        &self,
        conn: &mut Conn,
        served: &mut Served,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let endpoint = &served.endpoint;
        let head = feed::head(conn, &endpoint.portal).await?;
        if head <= served.progress.position {
            return Ok(());
        }
        let due = deliveries::due(conn, &endpoint.id, now, WINDOW).await?;
        if i64::try_from(due).unwrap_or(i64::MAX) >= WINDOW {
            return Ok(());
        }
        let stretch = Stretch {
            after: served.progress.position,
            until: head,
            since: None,
            before: None,
        };
        let events =
            feed::wanted(conn, &endpoint.portal, &endpoint.wanted, stretch, WINDOW).await?;
        let whole = i64::try_from(events.len()).unwrap_or(i64::MAX) < WINDOW;
        let last = events.last().map(|event| event.position);
        served.progress.position = match last {
            Some(last) if !whole => last,
            _ => head,
        };
        let new = self.new_deliveries(endpoint, events);
        deliveries::insert(conn, &new).await
    }
}
