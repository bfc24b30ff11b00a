//! Subscriptions: how they stand, and how they follow Stripe.
//!
//! Until a subscription is at Stripe, this service decides about it ([`Status::may_become`]). From then
//! on Stripe does, and [`Subscription::follow`] is the one way in which what Stripe says gets in,
//! whoever heard it: the operation that asked, a webhook, reconciliation.

use super::operation::named;
use super::slug::Slug;
use super::stripe_link::StripeLink;
use super::text::Metadata;
use crate::clock::Timestamp;

mod dunning;
mod follow;
#[cfg(test)]
mod tests;

pub use dunning::{Dunning, UnpaidPeriod};
pub use follow::{PlanAt, Snapshot, SnapshotMethod, StripeStatus};

/// Most seats of one subscription.
pub const QUANTITY_MAX: i64 = 1_000_000;
/// Characters of an application's id.
pub const APPLICATION_MAX_CHARS: usize = 255;

named! {
    /// How a subscription stands.
    Status {
        /// The portal has to say yes; nothing was charged.
        PendingApproval = "pending_approval",
        /// It is on its way to Stripe.
        Provisioning = "provisioning",
        /// The first payment waits for the consumer.
        Incomplete = "incomplete",
        /// It has begun and is not paid for yet.
        Trialing = "trialing",
        /// It is paid, or free.
        Active = "active",
        /// A payment has failed and is tried again.
        PastDue = "past_due",
        /// Payments have failed to the last.
        Unpaid = "unpaid",
        /// No period begins until it is resumed.
        Paused = "paused",
        /// It has ended. Final.
        Canceled = "canceled",
        /// The first payment did not come in time. Final.
        Expired = "expired",
        /// The portal said no. Final.
        Rejected = "rejected",
    }
}

named! {
    /// What a consumer has to do to finish a subscription.
    ActionType {
        /// Show the bank who is paying (3-D Secure), or pay with something else.
        Authenticate = "authenticate",
        /// The same for what later invoices will be paid with.
        AuthenticateSetup = "authenticate_setup",
        /// Pay on the Checkout page that is open for it.
        Checkout = "checkout",
    }
}

impl Status {
    /// Whether nothing ever follows.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Canceled | Self::Expired | Self::Rejected => true,
            Self::PendingApproval
            | Self::Provisioning
            | Self::Incomplete
            | Self::Trialing
            | Self::Active
            | Self::PastDue
            | Self::Unpaid
            | Self::Paused => false,
        }
    }

    /// Whether a subscription in this status may come to be in that one: the whole table. What stays as
    /// it is, is allowed.
    ///
    /// Between the statuses of a running subscription everything is allowed, since what Stripe told in
    /// between may be lost. None of them leads back to the beginning, and none leads out of an end.
    pub const fn may_become(self, next: Self) -> bool {
        match self {
            Self::PendingApproval => matches!(
                next,
                Self::PendingApproval
                    | Self::Provisioning
                    | Self::Active
                    | Self::Rejected
                    | Self::Canceled
            ),
            // Back to the portal's decision when the bank said no.
            Self::Provisioning => !matches!(next, Self::Rejected),
            Self::Incomplete => !matches!(
                next,
                Self::PendingApproval | Self::Provisioning | Self::Rejected
            ),
            Self::Trialing | Self::Active | Self::PastDue | Self::Unpaid | Self::Paused => {
                !matches!(
                    next,
                    Self::PendingApproval | Self::Provisioning | Self::Incomplete | Self::Rejected
                )
            }
            Self::Canceled => matches!(next, Self::Canceled),
            Self::Expired => matches!(next, Self::Expired),
            Self::Rejected => matches!(next, Self::Rejected),
        }
    }
}

/// A billing period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its begin.
    pub start: Timestamp,
    /// Its end, which is the next one's begin.
    pub end: Timestamp,
}

/// What a caller asked for besides what stands in the subscription, kept until it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// What it is to be paid with, by Stripe's id: one that is not known here yet.
    pub payment_method: Option<String>,
    /// What the customer typed.
    pub promotion_code: Option<String>,
    /// Whether the plan's trial is wanted.
    pub trial: bool,
    /// Stripe's id of the Checkout page that is open for it.
    pub checkout: Option<String>,
}

/// A customer's subscription to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `subn_…`.
    pub id: String,
    /// Whose portal.
    pub portal: Slug,
    /// The customer's id, `org_…`.
    pub customer: String,
    /// The product.
    pub product: Slug,
    /// The plan of it.
    pub plan: Slug,
    /// Which of the plan's prices.
    pub plan_revision: i64,
    /// The caller's id of the one application it is for, if for one.
    pub application: Option<String>,
    /// How it stands.
    pub status: Status,
    /// Whether its plan costs anything, so that it lives at Stripe.
    pub paid: bool,
    /// Seats; one where the plan has none. 1 to [`QUANTITY_MAX`].
    pub quantity: i64,
    /// Our id of what it is paid with; `None`: the customer's default.
    pub payment_method: Option<String>,
    /// The period now.
    pub period: Option<Period>,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// When it will end.
    pub cancel_at: Option<Timestamp>,
    /// When somebody asked for its end.
    pub canceled_at: Option<Timestamp>,
    /// When it ended; set exactly in the final statuses.
    pub ended_at: Option<Timestamp>,
    /// Since when a payment is missing; set exactly while it is `past_due` or `unpaid`. Grace counts
    /// from here.
    pub unpaid_since: Option<Timestamp>,
    /// What `unpaid_since` is found from.
    pub dunning: Dunning,
    /// Stripe's id of its last invoice.
    pub latest_invoice: Option<String>,
    /// The change that is planned, as JSON.
    pub scheduled_change: Option<String>,
    /// What was asked for and has not been sent yet.
    pub requested: Option<Requested>,
    /// The caller's own keys and values.
    pub metadata: Metadata,
    /// Where it lives at Stripe.
    pub stripe: Option<StripeLink>,
    /// Stripe's id of its one item, `si_…`.
    pub stripe_item: Option<String>,
    /// Stripe's time of what was last taken over: the fence that nothing older passes.
    pub stripe_at: Option<Timestamp>,
    /// Counts its changes, from 1; 0 while it is provisioning for the first time and may still come to
    /// nothing, so that nobody was told of it.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Subscription {
    /// A paid subscription to a plan at one of its prices, on its way to Stripe, of which nobody was told.
    pub fn provisioning(
        id: String,
        portal: Slug,
        customer: String,
        (product, plan, plan_revision): (Slug, Slug, i64),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            portal,
            customer,
            product,
            plan,
            plan_revision,
            application: None,
            status: Status::Provisioning,
            paid: true,
            quantity: 1,
            payment_method: None,
            period: None,
            trial_end: None,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            unpaid_since: None,
            dunning: Dunning::default(),
            latest_invoice: None,
            scheduled_change: None,
            requested: None,
            metadata: Metadata::default(),
            stripe: None,
            stripe_item: None,
            stripe_at: None,
            version: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// This subscription in another status of ours, as its next version. `None` where the table of
    /// [`Status::may_become`] does not allow it, or where it is in that status already.
    pub fn turned(&self, status: Status, now: Timestamp) -> Option<Self> {
        if self.status == status || !self.status.may_become(status) {
            return None;
        }
        let ended_at = status.is_final().then_some(now);
        let canceled_at = matches!(status, Status::Canceled).then_some(now);
        Some(Self {
            status,
            ended_at,
            canceled_at: self.canceled_at.or(canceled_at),
            unpaid_since: self.unpaid_since.filter(|_| !status.is_final()),
            dunning: if status.is_final() {
                Dunning::default()
            } else {
                self.dunning.clone()
            },
            requested: self.requested.clone().filter(|_| !status.is_final()),
            version: self.version + 1,
            updated_at: now,
            ..self.clone()
        })
    }

    /// Whether this and the other are the same but for what nobody is shown: the fence, what
    /// `unpaid_since` is found from, what was asked for, and the version itself.
    pub fn looks_like(&self, other: &Self) -> bool {
        let shown = Self {
            dunning: other.dunning.clone(),
            requested: other.requested.clone(),
            stripe_at: other.stripe_at,
            version: other.version,
            updated_at: other.updated_at,
            ..self.clone()
        };
        shown == *other
    }

    /// Stripe's id of the Checkout page on which it is to be paid, while nothing has come of that page.
    pub fn checkout(&self) -> Option<&str> {
        let waits = self.status == Status::Incomplete && self.stripe.is_none();
        let requested = self.requested.as_ref().filter(|_| waits)?;
        requested.checkout.as_deref()
    }

    /// Whether its end is planned, or has come.
    pub fn is_ending(&self) -> bool {
        self.cancel_at.is_some() || self.ended_at.is_some()
    }
}
