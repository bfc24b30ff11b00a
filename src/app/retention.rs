//! Wipes what has had its time.

use super::App;
use crate::domain::error::Error;
use crate::store;

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
}

impl App {
    /// Wipes the keys of superseded credentials and expired signing secrets, and old deliveries.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn sweep_retired(&self) -> Result<Swept, Error> {
        let kept = i64::try_from(self.delivery_settings.keep.as_millis()).unwrap_or(i64::MAX);
        let mut swept = self
            .store
            .write(async |conn| {
                let now = self.clock.now();
                let theirs = store::credentials::delete_expired_webhook_secrets(conn, now).await?;
                let ours = store::endpoints::delete_expired_keys(conn, now).await?;
                Ok(Swept {
                    credentials: store::credentials::wipe_retired(conn, now).await?,
                    webhook_secrets: theirs + ours,
                    deliveries: 0,
                })
            })
            .await?;
        // A little at a time, so that no transaction is long.
        loop {
            let before = self.clock.now().plus_millis(kept.saturating_neg());
            let deleted = self
                .store
                .write(async |conn| {
                    store::deliveries::delete_old(conn, before, DELIVERIES_AT_ONCE).await
                })
                .await?;
            swept.deliveries += deleted;
            if i64::try_from(deleted).unwrap_or(i64::MAX) < DELIVERIES_AT_ONCE {
                return Ok(swept);
            }
        }
    }
}
