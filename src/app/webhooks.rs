//! Stripe's deliveries: checked, stored, then acknowledged.

use serde::Deserialize;

use super::App;
use crate::clock::Timestamp;
use crate::domain::error::{Code, Error};
use crate::domain::stripe_key::WebhookSecret;
use crate::store;
use crate::store::stripe_events::StripeEvent;
use crate::stripe::signature;

/// What is read of an event before it is stored.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    created: i64,
    #[serde(default)]
    api_version: Option<String>,
}

/// How a delivery was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The first of its event.
    New,
    /// The event was stored before.
    Duplicate,
}

/// One answer for a hook that does not exist and for a bad signature, so that neither tells which
/// hooks exist.
fn rejected(cause: impl std::fmt::Display) -> Error {
    Error::new(
        Code::WebhookRejected,
        "The delivery is not signed by a secret of this hook.",
    )
    .with_log(cause)
}

impl App {
    /// Takes a delivery: signature against every valid secret, then stored with its event's id as
    /// the key, then acknowledged.
    ///
    /// # Errors
    /// `webhook_rejected`; what the store answers, and then Stripe delivers again.
    pub async fn receive_webhook(
        &self,
        hook: &str,
        signature_header: &str,
        body: &[u8],
    ) -> Result<Received, Error> {
        let now = self.clock.now();
        let found = self
            .store
            .read(async |conn| {
                let Some(portal) = store::stripe_modules::portal_of_hook(conn, hook).await? else {
                    return Ok(None);
                };
                let secrets = self.open_webhook_secrets(conn, &portal).await?;
                Ok(Some((portal, secrets)))
            })
            .await?;
        // A hook that does not exist is checked all the same, against a secret nobody has.
        let (portal, secrets) = match found {
            Some((portal, secrets)) if !secrets.is_empty() => (Some(portal), secrets),
            _ => (None, vec![self.nobodys_secret()?]),
        };
        signature::verify(signature_header, body, &secrets, now).map_err(rejected)?;
        let portal = portal.ok_or_else(|| rejected("no such hook"))?;
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|error| rejected(format!("signed, but not an event: {error}")))?;
        let event = StripeEvent {
            id: &envelope.id,
            event_type: &envelope.event_type,
            api_version: envelope.api_version.as_deref().unwrap_or_default(),
            created_at: Timestamp::from_seconds(envelope.created),
            payload: body,
        };
        let first = self
            .store
            .write(async |conn| {
                store::stripe_modules::note_webhook(conn, &portal, now).await?;
                store::stripe_events::insert(conn, &portal, &event, now).await
            })
            .await?;
        Ok(if first {
            Received::New
        } else {
            Received::Duplicate
        })
    }

    fn nobodys_secret(&self) -> Result<WebhookSecret, Error> {
        WebhookSecret::parse(&format!("whsec_{}", self.ids.unguessable()))
            .map_err(|error| Error::internal(error.to_string()))
    }
}
