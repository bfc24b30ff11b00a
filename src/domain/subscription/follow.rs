//! Taking over what Stripe says.

use super::{Dunning, Period, QUANTITY_MAX, Status, Subscription};
use crate::clock::Timestamp;
use crate::domain::inbox::{self, Age, verdict};
use crate::domain::slug::Slug;
use crate::domain::stripe_link::StripeLink;

/// Stripe's statuses
/// (<https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StripeStatus {
    /// The first payment has not succeeded yet.
    Incomplete,
    /// The first payment has not succeeded in time. Final.
    IncompleteExpired,
    /// It has begun and is not paid for yet.
    Trialing,
    /// It is paid.
    Active,
    /// A payment has failed and is tried again.
    PastDue,
    /// It has ended. Final.
    Canceled,
    /// Payments have failed to the last.
    Unpaid,
    /// No period begins until it is resumed.
    Paused,
    /// One that this build does not know.
    Other(String),
}

impl StripeStatus {
    /// The status in our words; `None` for one that is not known, which nothing follows from.
    pub const fn ours(&self) -> Option<Status> {
        Some(match self {
            Self::Incomplete => Status::Incomplete,
            Self::IncompleteExpired => Status::Expired,
            Self::Trialing => Status::Trialing,
            Self::Active => Status::Active,
            Self::PastDue => Status::PastDue,
            Self::Canceled => Status::Canceled,
            Self::Unpaid => Status::Unpaid,
            Self::Paused => Status::Paused,
            Self::Other(_) => return None,
        })
    }
}

/// A plan at one of its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanAt {
    /// The plan, of the subscription's own product.
    pub plan: Slug,
    /// Which of its prices.
    pub revision: i64,
}

/// What a subscription is paid with, as far as it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotMethod {
    /// The customer's default.
    CustomersDefault,
    /// This one of ours, `meth_…`.
    Ours(String),
    /// One that is not known here; what was known stays.
    Unknown,
}

/// What Stripe says of a subscription at one time, in our words. Whoever makes it looks up what Stripe
/// names by its own ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which one.
    pub link: StripeLink,
    /// How it stands.
    pub status: StripeStatus,
    /// Its first item, `si_…`.
    pub item: Option<String>,
    /// What that item's price is to us; `None`: a price that is not of the product's plans.
    pub plan: Option<PlanAt>,
    /// That item's quantity.
    pub quantity: Option<i64>,
    /// That item's period.
    pub period: Option<Period>,
    /// When the trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// When it will end.
    pub cancel_at: Option<Timestamp>,
    /// When somebody asked for its end.
    pub canceled_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it is paid with.
    pub payment_method: SnapshotMethod,
    /// Its last invoice, `in_…`.
    pub latest_invoice: Option<String>,
    /// When it was so, by Stripe's clock.
    pub at: Timestamp,
}

/// How far a life has come; Stripe never goes back from one to the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Before,
    Beginning,
    Running,
    Ended,
}

const fn stage(status: Status) -> Stage {
    match status {
        Status::PendingApproval | Status::Provisioning => Stage::Before,
        Status::Incomplete => Stage::Beginning,
        Status::Trialing | Status::Active | Status::PastDue | Status::Unpaid | Status::Paused => {
            Stage::Running
        }
        Status::Canceled | Status::Expired | Status::Rejected => Stage::Ended,
    }
}

impl Subscription {
    /// The subscription after hearing of `snapshot`. Where anything shown differs, it is the next
    /// version, changed at `now`.
    ///
    /// What is heard may come twice, late, and in any order:
    ///
    /// - What is older than what was last taken over ([`Subscription::stripe_at`]) is ignored, and what
    ///   is as old is taken, since Stripe's clock has whole seconds. Only whether it was paid is kept
    ///   of old news, for `unpaid_since`.
    /// - A life does not go back: not from running to the beginning, and not from its end, whatever
    ///   the clock says.
    /// - What is of another object, or of a status this build does not know, is ignored.
    #[must_use]
    pub fn follow(&self, snapshot: &Snapshot, now: Timestamp) -> Self {
        let Some(status) = snapshot.status.ours() else {
            return self.clone();
        };
        let is_other = |link: &StripeLink| *link != snapshot.link;
        let deaf = !self.paid
            || self.stripe.as_ref().is_some_and(is_other)
            || matches!(self.status, Status::PendingApproval | Status::Rejected)
            // One that ended before it was there has nothing to do with what is there.
            || (self.status.is_final() && self.stripe.is_none());
        if deaf {
            return self.clone();
        }
        let mut next = self.clone();
        next.dunning.see(
            &snapshot.status,
            snapshot.at,
            snapshot.period.map(|period| period.start),
        );
        if self.is_behind(status, snapshot.at) {
            next.take(status, snapshot);
        }
        next.settle();
        if !next.looks_like(self) {
            next.version = self.version + 1;
            next.updated_at = now;
        }
        next
    }

    /// The subscription after news that may come out of order, and what becomes of the news.
    ///
    /// What is of the same second as what was last taken over, and says otherwise, is not taken: Stripe's
    /// clock does not tell which was later, and Stripe has to be asked. What is further in a life is
    /// later, whatever the clock says. With `surely_last` the news was asked for after all that is known
    /// was heard, so that it is the last word for now.
    #[must_use]
    pub fn hear(
        &self,
        snapshot: &Snapshot,
        surely_last: bool,
        now: Timestamp,
    ) -> (inbox::Status, Self) {
        if surely_last {
            let at = self.stripe_at.max(Some(snapshot.at));
            let last = Snapshot {
                at: at.unwrap_or(snapshot.at),
                ..snapshot.clone()
            };
            return (inbox::Status::Applied, self.follow(&last, now));
        }
        let after = self.follow(snapshot, now);
        let age = Age::of(snapshot.at, self.stripe_at);
        match verdict(age, !after.looks_like(self)) {
            inbox::Status::Refetch if stage(after.status) <= stage(self.status) => {
                (inbox::Status::Refetch, self.learned(snapshot, now))
            }
            inbox::Status::Refetch => (inbox::Status::Applied, after),
            settled => (settled, after),
        }
    }

    /// The subscription with only that taken from news which is true in any order: whether a payment was
    /// missing.
    fn learned(&self, snapshot: &Snapshot, now: Timestamp) -> Self {
        let mut next = self.clone();
        let begin = snapshot.period.map(|period| period.start);
        next.dunning.see(&snapshot.status, snapshot.at, begin);
        next.settle();
        if !next.looks_like(self) {
            next.version = self.version + 1;
            next.updated_at = now;
        }
        next
    }

    /// Whether news of this status and time is to be taken over.
    fn is_behind(&self, status: Status, at: Timestamp) -> bool {
        self.status.may_become(status)
            && (stage(status), Some(at)) >= (stage(self.status), self.stripe_at)
    }

    fn take(&mut self, status: Status, snapshot: &Snapshot) {
        self.status = status;
        self.requested = None;
        self.stripe = Some(snapshot.link.clone());
        self.stripe_at = Some(snapshot.at);
        self.stripe_item.clone_from(&snapshot.item);
        if let Some(PlanAt { plan, revision }) = &snapshot.plan {
            self.plan = plan.clone();
            self.plan_revision = *revision;
        }
        if let Some(quantity) = snapshot.quantity {
            self.quantity = quantity.clamp(0, QUANTITY_MAX);
        }
        self.period = snapshot.period;
        self.trial_end = snapshot.trial_end;
        self.cancel_at = snapshot.cancel_at;
        self.canceled_at = snapshot.canceled_at;
        self.ended_at = status
            .is_final()
            .then(|| snapshot.ended_at.unwrap_or(snapshot.at));
        match &snapshot.payment_method {
            SnapshotMethod::CustomersDefault => self.payment_method = None,
            SnapshotMethod::Ours(id) => self.payment_method = Some(id.clone()),
            SnapshotMethod::Unknown => {}
        }
        self.latest_invoice.clone_from(&snapshot.latest_invoice);
    }

    /// Brings what is derived into line with the status.
    fn settle(&mut self) {
        if self.status.is_final() {
            self.dunning = Dunning::default();
        }
        let owes = matches!(self.status, Status::PastDue | Status::Unpaid);
        self.unpaid_since = self.dunning.unpaid_since().filter(|_| owes);
    }
}
