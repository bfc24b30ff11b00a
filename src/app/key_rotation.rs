//! Wraps every portal's data key, and seals the signing keys, anew under the current master key, while
//! the service runs.

use super::App;
use crate::domain::error::Error;
use crate::store;

/// Rows per transaction: small, so that nobody waits for it.
const BATCH: i64 = 50;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Data keys wrapped anew.
    pub rewrapped: usize,
    /// Signing keys sealed anew.
    pub resealed: usize,
    /// Keys that another run, or their removal, took away in between.
    pub skipped: usize,
}

impl App {
    /// Rewraps until nothing is left under another master key. Each row is its own compare-and-swap,
    /// so a run may stop anywhere and be started again, and two may run at once.
    ///
    /// # Errors
    /// `internal_error` when a row is wrapped by a master key that is not at hand: nothing of that
    /// row was changed.
    pub async fn rotate_master_key(&self) -> Result<Rotated, Error> {
        let current = self.keys.current_id().to_string();
        let (resealed, skipped) = self.reseal_signing_keys().await?;
        let mut total = Rotated {
            resealed,
            skipped,
            ..Rotated::default()
        };
        loop {
            let batch = self
                .store
                .read(async |conn| store::portal_keys::not_under(conn, &current, BATCH).await)
                .await?;
            if batch.is_empty() {
                return Ok(total);
            }
            for old in &batch {
                let wrapped = self
                    .keys
                    .unwrap(&old.wrapped, &old.portal_id)
                    .and_then(|key| self.keys.wrap(&key, &old.portal_id))
                    .map_err(|error| {
                        Error::internal(format!("data key of portal {}: {error}", old.portal_id))
                    })?;
                let changed = self
                    .store
                    .write(async |conn| {
                        let now = self.clock.now();
                        store::portal_keys::rewrap(conn, old, &current, &wrapped, now).await
                    })
                    .await?;
                if changed {
                    total.rewrapped += 1;
                } else {
                    total.skipped += 1;
                }
            }
        }
    }
}
