//! Stripe's deliveries: checked, stored and applied in one transaction, then acknowledged.
//!
//! A delivery's signature is checked against what is known of its hook (`hooks`), its event is read
//! (`event`) and goes into a queue. One task takes everything that waits there and stores it in one
//! transaction (`intake`): the events, of which only the first of each id counts, and what they change
//! (`work`, with one module for each kind of object). So the cost of a commit is shared by all that arrive
//! meanwhile, and nothing is acknowledged that is not stored.
//!
//! Nothing is asked of Stripe for an event whose place in the order is known: each row has the time, by
//! Stripe's clock, of what was last taken over, and what is later is taken, what is earlier is not
//! ([`crate::domain::inbox`]). Where the order cannot be known the object is read from Stripe, once for
//! all events that wait for it, by the loop that also looks after events which wait for something of ours
//! (`inbox`).

mod customer;
mod event;
mod hooks;
mod inbox;
mod intake;
mod invoice;
mod letters;
mod mark;
mod method;
mod names;
mod subscription;
mod tell;
mod work;

pub(super) use hooks::Hooks;
pub(super) use intake::Intake;

use super::App;
use crate::domain::error::{Code, Error};
use event::{Envelope, Incoming};

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
    /// Takes a delivery: signature against every valid secret, then stored and applied, then
    /// acknowledged.
    ///
    /// # Errors
    /// `webhook_rejected`; `unavailable` when too many wait or the database does not take it, and then
    /// Stripe delivers again.
    pub async fn receive_webhook(
        &self,
        hook: &str,
        signature_header: &str,
        body: Vec<u8>,
    ) -> Result<Received, Error> {
        let now = self.clock.now();
        let hook = self
            .signed_hook(hook, signature_header, &body, now)
            .await?
            .map_err(rejected)?;
        let envelope: Envelope = serde_json::from_slice(&body)
            .map_err(|error| rejected(format!("signed, but not an event: {error}")))?;
        if self.intake.knows(&hook.portal, &envelope.id) {
            return Ok(Received::Duplicate);
        }
        let portal = hook.portal.clone();
        let event = Incoming::new(portal, hook.place.clone(), envelope, body, now);
        self.intake.put(event).await
    }
}
