//! The portal's word on what was asked for.

use std::time::Duration;

use super::locked;
use super::offer::find_offer;
use super::order::Order;
use crate::app::answer::{Answer, Outcome};
use crate::app::idempotency::{Begun, Claim};
use crate::app::portals::concurrent;
use crate::app::{App, Context};
use crate::domain::error::{Code, Error};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::domain::subscription::{Status, Subscription};
use crate::store::{self, Conn, StoreError};

impl App {
    /// Approves a subscription that waits for it: a free one is active at once, a paid one goes to
    /// Stripe. When the bank says no, it waits for approval again.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `subscription_state_conflict`, `plan_unavailable`, and
    /// those of making a paid subscription.
    pub async fn approve_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        precondition: &Precondition,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let before = self
                .waiting(conn, context, portal, id, precondition)
                .await?;
            let offer = find_offer(conn, portal, &before.product, &before.plan).await?;
            if offer.plan.revision != before.plan_revision {
                return Err(price_has_changed().into());
            }
            let next = if before.paid {
                Status::Provisioning
            } else {
                Status::Active
            };
            let after = self.turned(&before, next)?;
            if !before.paid {
                let outcome = self.turn(conn, context, &before, &after).await?;
                return Ok(Begun::Done(outcome));
            }
            let customer = store::customers::find(conn, &before.customer).await?;
            let customer = customer.ok_or_else(concurrent)?;
            let footing = self.footing(conn, &customer, &before).await?;
            let order = self
                .order(conn, &customer, &before, &offer, &footing)
                .await?;
            let order = Order {
                approved: true,
                ..order
            };
            self.store_subscription(conn, context, &before, &after)
                .await?;
            let begun = self.begin_order(conn, context, (&customer, &after), footing, order);
            Box::pin(begun).await
        })
        .await
    }

    /// Rejects a subscription that waits for approval, for good.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `subscription_state_conflict`.
    pub async fn reject_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        precondition: &Precondition,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, Duration::ZERO, async |conn| {
            let before = self
                .waiting(conn, context, portal, id, precondition)
                .await?;
            let after = self.turned(&before, Status::Rejected)?;
            let outcome = self.turn(conn, context, &before, &after).await?;
            Ok(Begun::Done(outcome))
        })
        .await
    }

    /// A subscription that waits for approval, locked.
    async fn waiting(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        id: &str,
        precondition: &Precondition,
    ) -> Result<Subscription, StoreError> {
        let found = locked(conn, context, portal, id).await?.subscription;
        precondition.check(Some(&found.tag()))?;
        if found.status == Status::PendingApproval {
            Ok(found)
        } else {
            Err(found.conflict().into())
        }
    }

    pub(super) fn turned(
        &self,
        before: &Subscription,
        status: Status,
    ) -> Result<Subscription, Error> {
        let after = before.turned(status, self.clock.now());
        after.ok_or_else(|| before.conflict())
    }

    /// Stores a change that Stripe has nothing to do with.
    pub(super) async fn turn(
        &self,
        conn: &mut Conn,
        context: &Context,
        before: &Subscription,
        after: &Subscription,
    ) -> Result<Outcome, StoreError> {
        self.store_and_show(conn, context, (before, after), false)
            .await
    }
}

fn price_has_changed() -> Error {
    Error::new(
        Code::PlanUnavailable,
        "The plan's price has changed since it was asked for. Reject this and let the customer ask \
         again.",
    )
}
