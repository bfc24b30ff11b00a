//! Wipes what has had its time.

use super::App;
use crate::domain::error::Error;
use crate::store;

/// What one sweep wiped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys of superseded credentials.
    pub credentials: usize,
    /// Signing secrets past their overlap.
    pub webhook_secrets: usize,
}

impl App {
    /// Wipes the keys of superseded credentials and expired signing secrets.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn sweep_retired(&self) -> Result<Swept, Error> {
        let swept = self
            .store
            .write(async |conn| {
                let now = self.clock.now();
                Ok(Swept {
                    credentials: store::credentials::wipe_retired(conn, now).await?,
                    webhook_secrets: store::credentials::delete_expired_webhook_secrets(conn, now)
                        .await?,
                })
            })
            .await?;
        Ok(swept)
    }
}
