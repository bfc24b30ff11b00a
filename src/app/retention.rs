//! Wipes what has had its time.

use super::App;
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::store::{self, stripe_events};

/// How long Stripe's events are kept: as long as Stripe itself has them.
const EVENTS_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
const EVENTS_AT_ONCE: i64 = 1_000;
const PORTALS_AT_ONCE: i64 = 100;
/// Deliveries deleted in one transaction.
const DELIVERIES_AT_ONCE: i64 = 1_000;

/// What one sweep wiped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys of superseded credentials.
    pub credentials: usize,
    /// Signing secrets past their overlap.
    pub webhook_secrets: usize,
    /// Deliveries that were over for as long as they are kept.
    pub deliveries: usize,
    /// Callers' idempotency keys past their time.
    pub idempotency_keys: usize,
    /// Events of Stripe's, settled and older than Stripe itself keeps them.
    pub stripe_events: usize,
}

impl App {
    /// Wipes the keys of superseded credentials, expired signing secrets and callers' keys, old
    /// deliveries, and Stripe's events of which Stripe itself keeps nothing any more.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn sweep_retired(&self) -> Result<Swept, Error> {
        let kept = i64::try_from(self.delivery_settings.keep.as_millis()).unwrap_or(i64::MAX);
        let swept = self
            .store
            .write(async |conn| {
                let now = self.clock.now();
                let theirs = store::credentials::delete_expired_webhook_secrets(conn, now).await?;
                let ours = store::endpoints::delete_expired_keys(conn, now).await?;
                Ok(Swept {
                    credentials: store::credentials::wipe_retired(conn, now).await?,
                    webhook_secrets: theirs + ours,
                    idempotency_keys: store::idempotency::delete_expired(conn, now).await?,
                    deliveries: 0,
                    stripe_events: 0,
                })
            })
            .await?;
        Ok(Swept {
            deliveries: self.sweep_deliveries(kept).await?,
            stripe_events: self.sweep_events().await?,
            ..swept
        })
    }

    /// A little at a time, so that no transaction is long.
    async fn sweep_deliveries(&self, kept_ms: i64) -> Result<usize, Error> {
        let mut deleted = 0;
        loop {
            let before = self.clock.now().plus_millis(kept_ms.saturating_neg());
            let piece = self
                .store
                .write(async |conn| {
                    store::deliveries::delete_old(conn, before, DELIVERIES_AT_ONCE).await
                })
                .await?;
            deleted += piece;
            if i64::try_from(piece).unwrap_or(i64::MAX) < DELIVERIES_AT_ONCE {
                return Ok(deleted);
            }
        }
    }

    async fn sweep_events(&self) -> Result<usize, Error> {
        let before = self.clock.now().plus_millis(-EVENTS_KEPT_MS);
        let mut deleted = 0;
        let mut after: Option<(Timestamp, Slug)> = None;
        loop {
            let page = self
                .store
                .read(async |conn| {
                    let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
                    store::portals::list(conn, None, after, PORTALS_AT_ONCE).await
                })
                .await?;
            let Some(last) = page.last() else {
                return Ok(deleted);
            };
            after = Some((last.created_at, last.id.clone()));
            for portal in &page {
                deleted += self.sweep_events_of(&portal.id, before).await?;
            }
        }
    }

    /// In pieces, so that nobody waits long for the database.
    async fn sweep_events_of(&self, portal: &Slug, before: Timestamp) -> Result<usize, Error> {
        let mut deleted = 0;
        loop {
            let piece = self
                .store
                .write(async |conn| {
                    stripe_events::delete_settled(conn, portal, before, EVENTS_AT_ONCE).await
                })
                .await?;
            if piece == 0 {
                return Ok(deleted);
            }
            deleted += piece;
        }
    }
}
