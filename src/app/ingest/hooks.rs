//! What is known of each hook, kept for a few seconds: a delivery's signature is then checked without
//! the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::event::Place;
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::WebhookSecret;
use crate::store::{self, Conn, StoreError};
use crate::stripe::signature::{self, SignatureError};

/// How long what was read is believed. A secret that is new is known at once all the same: a signature
/// that fits none has the hook read anew.
const LIFE_MS: i64 = 3_000;
/// Hooks that are kept.
const KEPT_MAX: usize = 1_024;

/// A hook as it was read.
pub(super) struct Hook {
    /// Whose.
    pub(super) portal: Slug,
    /// Where that portal's objects live.
    pub(super) place: Option<Place>,
    /// Its signing secrets, each with its end.
    secrets: Vec<(WebhookSecret, Option<Timestamp>)>,
    read_at: Timestamp,
}

impl Hook {
    /// Checks a signature against the secrets that are valid at `now`.
    pub(super) fn verify(
        &self,
        header: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let valid = self
            .secrets
            .iter()
            .filter(|(_, end)| end.is_none_or(|end| end > now))
            .map(|(secret, _)| secret);
        signature::verify(header, body, valid, now).map(|_| ())
    }
}

/// The hooks of late.
#[derive(Default)]
pub(in crate::app) struct Hooks(Mutex<HashMap<String, Arc<Hook>>>);

impl Hooks {
    fn get(&self, hook: &str, now: Timestamp) -> Option<Arc<Hook>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(hook)
            .filter(|it| (0..LIFE_MS).contains(&now.millis_since(it.read_at)))
            .map(Arc::clone)
    }

    fn put(&self, hook: &str, read: Arc<Hook>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(hook.to_owned(), read);
    }

    /// Forgets everything: what it was read from has changed.
    pub(in crate::app) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl App {
    /// The hook whose secret has signed this body; `None` when no hook's has.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) async fn signed_hook(
        &self,
        name: &str,
        header: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Result<Arc<Hook>, SignatureError>, StoreError> {
        if let Some(kept) = self.hooks.get(name, now)
            && kept.verify(header, body, now).is_ok()
        {
            return Ok(Ok(kept));
        }
        let read = self
            .store
            .read(async |conn| self.read_hook(conn, name, now).await)
            .await?;
        let Some(read) = read else {
            // Checked all the same, against a secret nobody has, so that it takes its time.
            let nobodys = [self.nobodys_secret()?];
            let refused = signature::verify(header, body, &nobodys, now);
            return Ok(Err(refused.err().unwrap_or(SignatureError::NoMatch)));
        };
        let read = Arc::new(read);
        self.hooks.put(name, Arc::clone(&read));
        Ok(read.verify(header, body, now).map(|()| read))
    }

    async fn read_hook(
        &self,
        conn: &mut Conn,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Hook>, StoreError> {
        let Some(portal) = store::stripe_modules::portal_of_hook(conn, name).await? else {
            return Ok(None);
        };
        Ok(Some(Hook {
            place: place_of(conn, &portal).await?,
            secrets: self.open_webhook_secrets(conn, &portal).await?,
            portal,
            read_at: now,
        }))
    }

    fn nobodys_secret(&self) -> Result<WebhookSecret, StoreError> {
        WebhookSecret::parse(&format!("whsec_{}", self.ids.unguessable()))
            .map_err(|error| StoreError::Other(error.to_string()))
    }
}

/// Where a portal's objects live: in the account and mode of its newest credentials, removed or not.
pub(super) async fn place_of(conn: &mut Conn, portal: &Slug) -> Result<Option<Place>, StoreError> {
    let newest = store::credentials::versions(conn, portal, 1).await?;
    Ok(newest.into_iter().next().map(|it| Place {
        account: it.account_id,
        mode: it.mode,
    }))
}
