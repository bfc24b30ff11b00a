//! Changing and ending subscriptions. With forms of our own where something can be cleared, which
//! the library's builders cannot say.

use serde::{Serialize, Serializer};
use stripe_billing::subscription::{
    CancelSubscription, CancelSubscriptionCancellationDetails, PauseSubscription,
    PauseSubscriptionBillFor, PauseSubscriptionBillForOutstandingUsageThrough,
    PauseSubscriptionBillForUnusedTimeFrom, PauseSubscriptionInvoicingBehavior,
    PauseSubscriptionType, ResumeSubscription, ResumeSubscriptionBillingCycleAnchor,
    ResumeSubscriptionBillingCycleAnchorType, ResumeSubscriptionProrationBehavior,
};

use super::{PaymentBehavior, ProrationBehavior};
use crate::clock::Timestamp;
use crate::stripe::request::{FrozenRequest, known, owned, set};
use crate::stripe::wire::{Change, sent_enum, to_seconds};
use crate::stripe::{Metadata, StripeError, path_id, post};

/// What to change of a subscription.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SubscriptionChange<'a> {
    /// Items that change, come or go; those not named stay.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub items: &'a [ItemChange<'a>],
    /// `None`: Stripe's default, `create_prorations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proration_behavior: Option<ProrationBehavior>,
    /// The instant to prorate at; that of a preview gives the preview's amounts.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "to_seconds")]
    pub proration_date: Option<Timestamp>,
    /// `None`: Stripe's default, `allow_incomplete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_behavior: Option<PaymentBehavior>,
    /// Whether the customer is away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_session: Option<bool>,
    /// Whether it ends with the period. To change it, `cancel_at` must not be set as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_at_period_end: Option<bool>,
    /// When it ends.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub cancel_at: Change<CancelAt>,
    /// What it is paid with; cleared: the customer's default.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub default_payment_method: Change<&'a str>,
    /// When the trial ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial_end: Option<TrialEnd>,
    /// What becomes of invoices; cleared: they are collected.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub pause_collection: Change<PauseCollection>,
    /// When periods begin.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "cycle_form")]
    pub billing_cycle_anchor: Option<Cycle>,
    /// Replaces all discounts; by none, it clears them.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub discounts: Change<&'a [Discount<'a>]>,
    /// What customers read on invoices.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub description: Change<&'a str>,
    /// Added to what is there; an empty value removes its key.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// What the answer shall have in whole.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub expand: &'a [&'a str],
}

/// An item that changes, comes or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ItemChange<'a> {
    /// `si_…` of the item; `None`: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// The price's id; `None`: as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<&'a str>,
    /// How many; `None`: as it is, but one when the price changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// Whether it goes.
    #[serde(skip_serializing_if = "is_false")]
    pub deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Discount<'a> {
    /// `promo_…`.
    PromotionCode(&'a str),
    /// The id of one that is there and stays, `di_…`.
    Discount(&'a str),
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAt {
    /// At this time.
    At(Timestamp),
    /// With the period of its items that ends first.
    MinPeriodEnd,
    /// With the period of its items that ends last.
    MaxPeriodEnd,
}

impl Serialize for CancelAt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(time) => serializer.serialize_i64(time.as_seconds()),
            Self::MinPeriodEnd => serializer.serialize_str("min_period_end"),
            Self::MaxPeriodEnd => serializer.serialize_str("max_period_end"),
        }
    }
}

/// When a trial ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialEnd {
    /// At once: the first period begins and is invoiced.
    Now,
    /// At this time.
    At(Timestamp),
}

impl Serialize for TrialEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Now => serializer.serialize_str("now"),
            Self::At(time) => serializer.serialize_i64(time.as_seconds()),
        }
    }
}

sent_enum! {
    /// What becomes of the invoices of a subscription whose collection is paused.
    PauseBehavior {
        /// They wait as drafts.
        KeepAsDraft = "keep_as_draft",
        /// They are given up.
        MarkUncollectible = "mark_uncollectible",
        /// They are void.
        Void = "void",
    }
}

/// A pause of collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PauseCollection {
    /// What becomes of invoices.
    pub behavior: PauseBehavior,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "to_seconds")]
    pub resumes_at: Option<Timestamp>,
}

sent_enum! {
    /// When periods begin from now on.
    Cycle {
        /// Now.
        Now = "now",
        /// As before.
        Unchanged = "unchanged",
    }
}

/// An object with a `type`, in the pinned version.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    clippy::ref_option,
    reason = "serde's signature"
)]
fn cycle_form<S: Serializer>(cycle: &Option<Cycle>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct CycleForm {
        r#type: Cycle,
    }
    cycle
        .map(|r#type| CycleForm { r#type })
        .serialize(serializer)
}

/// Changes a subscription.
pub fn update(id: &str, change: &SubscriptionChange<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/subscriptions/{}", path_id(id)?);
    Ok(post(path).form(change).into())
}

/// How a subscription ends at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancellation<'a> {
    /// Whether what is still to be invoiced is invoiced now. `None`: Stripe's default, no.
    pub invoice_now: Option<bool>,
    /// Whether unused time is credited. `None`: Stripe's default, no.
    pub prorate: Option<bool>,
    /// Why, in the customer's words; for people, in Stripe's dashboard.
    pub comment: Option<&'a str>,
    /// What the answer shall have in whole.
    pub expand: &'a [&'a str],
}

/// Ends a subscription at once.
pub fn cancel(id: &str, cancellation: &Cancellation<'_>) -> Result<FrozenRequest, StripeError> {
    let mut cancel = CancelSubscription::new(path_id(id)?);
    set!(cancel, cancellation, invoice_now, prorate);
    if let Some(comment) = cancellation.comment {
        let mut details = CancelSubscriptionCancellationDetails::new();
        details.comment = Some(comment.to_owned());
        cancel = cancel.cancellation_details(details);
    }
    if !cancellation.expand.is_empty() {
        cancel = cancel.expand(owned(cancellation.expand));
    }
    Ok(FrozenRequest::of(&cancel))
}

/// How a paused subscription goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeOptions<'a> {
    /// When periods begin; `None`: Stripe's default, now.
    pub billing_cycle_anchor: Option<Cycle>,
    /// `None`: Stripe's default, `create_prorations`.
    pub proration_behavior: Option<ProrationBehavior>,
    /// The instant to prorate at.
    pub proration_date: Option<Timestamp>,
    /// What the answer shall have in whole.
    pub expand: &'a [&'a str],
}

/// Resumes a subscription whose status is `paused`. Where an invoice is made, it goes on once that
/// is paid.
pub fn resume(id: &str, options: &ResumeOptions<'_>) -> Result<FrozenRequest, StripeError> {
    let mut resume = ResumeSubscription::new(path_id(id)?);
    if let Some(cycle) = options.billing_cycle_anchor {
        let kind = known::<ResumeSubscriptionBillingCycleAnchorType>(cycle.as_str());
        resume = resume.billing_cycle_anchor(ResumeSubscriptionBillingCycleAnchor::new(kind));
    }
    if let Some(behavior) = options.proration_behavior {
        resume = resume.proration_behavior(known::<ResumeSubscriptionProrationBehavior>(
            behavior.as_str(),
        ));
    }
    if let Some(date) = options.proration_date {
        resume = resume.proration_date(date.as_seconds());
    }
    if !options.expand.is_empty() {
        resume = resume.expand(owned(options.expand));
    }
    Ok(FrozenRequest::of(&resume))
}

sent_enum! {
    /// From when on a paused subscription's time is credited.
    BillFor {
        /// From the beginning of each item's period.
        ItemCurrentPeriodStart = "item_current_period_start",
        /// From now.
        Now = "now",
        /// Nothing is credited.
        None = "none",
    }
}

/// How a subscription is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseOptions {
    /// What is credited. `None`: Stripe's default.
    pub unused_time_from: Option<BillFor>,
    /// Whether usage until now is invoiced. `None`: Stripe's default.
    pub invoice_outstanding_usage: Option<bool>,
    /// Whether an invoice is made at once; else the amounts wait for the next. `None`: Stripe's
    /// default.
    pub invoice_now: Option<bool>,
}

/// Pauses a subscription: its status becomes `paused`, and no period begins until it is resumed.
pub fn pause(id: &str, options: &PauseOptions) -> Result<FrozenRequest, StripeError> {
    let mut pause = PauseSubscription::new(path_id(id)?).type_(PauseSubscriptionType::Subscription);
    let mut bill_for = PauseSubscriptionBillFor::new();
    if let Some(from) = options.unused_time_from {
        bill_for.unused_time_from = Some(PauseSubscriptionBillForUnusedTimeFrom::new(known::<
            stripe_billing::subscription::PauseSubscriptionBillForUnusedTimeFromType,
        >(
            from.as_str(),
        )));
    }
    if let Some(invoice) = options.invoice_outstanding_usage {
        let kind = if invoice { "now" } else { "none" };
        bill_for.outstanding_usage_through = Some(
            PauseSubscriptionBillForOutstandingUsageThrough::new(known::<
                stripe_billing::subscription::PauseSubscriptionBillForOutstandingUsageThroughType,
            >(kind)),
        );
    }
    if options.unused_time_from.is_some() || options.invoice_outstanding_usage.is_some() {
        pause = pause.bill_for(bill_for);
    }
    if let Some(now) = options.invoice_now {
        pause = pause.invoicing_behavior(if now {
            PauseSubscriptionInvoicingBehavior::Invoice
        } else {
            PauseSubscriptionInvoicingBehavior::PendingInvoiceItem
        });
    }
    Ok(FrozenRequest::of(&pause))
}
