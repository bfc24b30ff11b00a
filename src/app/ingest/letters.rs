//! The inbox as operators see it, and another try for what is dead.

use std::time::Duration;

use crate::app::answer::{Answer, Outcome};
use crate::app::idempotency::{Begun, Claim};
use crate::app::portals::existing;
use crate::app::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::error::{Code, Error};
use crate::domain::inbox::{InboxEvent, Status};
use crate::domain::slug::Slug;
use crate::store::stripe_events;

impl App {
    /// Stripe's events of the portal, newest first.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn stripe_events(
        &self,
        portal: &Slug,
        status: Option<Status>,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<InboxEvent>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                stripe_events::list(conn, portal, status, after, i64::from(limit) + 1).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Lets a dead event be tried again.
    ///
    /// # Errors
    /// `not_found`, `event_not_retryable`.
    pub async fn retry_stripe_event(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        let answer = self
            .once(context, portal, claim, Duration::ZERO, async |conn| {
                let found = stripe_events::find(conn, portal, id).await?;
                let before = found.ok_or_else(Error::not_found)?.event;
                if !stripe_events::revive(conn, portal, id, self.clock.now()).await? {
                    let detail = format!("The event is {}.", before.status.as_str());
                    return Err(Error::new(Code::EventNotRetryable, detail).into());
                }
                let entry = Draft {
                    action: "stripe_event.retried",
                    subject: format!("/v1/portals/{portal}/modules/stripe/events/{id}"),
                    details: vec![("type", before.event_type)],
                };
                self.record(conn, context, portal, &entry).await?;
                let after = stripe_events::find(conn, portal, id).await?;
                let after = after.ok_or_else(Error::not_found)?.event;
                Ok(Begun::Done(Outcome::StripeEvent(Box::new(after))))
            })
            .await?;
        self.intake.left.notify_one();
        Ok(answer)
    }
}
