//! What this service reads of subscriptions.

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::stripe::Metadata;
use crate::stripe::catalog::Price;
use crate::stripe::customers::Customer;
use crate::stripe::invoices::Invoice;
use crate::stripe::payment_methods::PaymentMethod;
use crate::stripe::setup_intents::SetupIntent;
use crate::stripe::wire::{
    Bare, Expandable, List, identified, null_as_default, open_enum, seconds,
};

open_enum! {
    /// How a subscription stands
    /// (<https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>).
    SubscriptionStatus {
        /// The first payment has not succeeded yet.
        Incomplete = "incomplete",
        /// The first payment has not succeeded within 23 hours. Final.
        IncompleteExpired = "incomplete_expired",
        /// It has begun and is not paid for yet.
        Trialing = "trialing",
        /// It is paid.
        Active = "active",
        /// A payment has failed and is tried again.
        PastDue = "past_due",
        /// It has ended. Final.
        Canceled = "canceled",
        /// Payments have failed to the last, and invoices are left as drafts.
        Unpaid = "unpaid",
        /// No period begins until it is resumed.
        Paused = "paused",
    }
}

/// What this service reads of Stripe's `Subscription`.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<SubscriptionStatus>,
    /// Whose.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// To what. A list of more than ten goes on at `/v1/subscription_items`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub items: List<SubscriptionItem>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// When it will end, or would have.
    #[serde(default, deserialize_with = "seconds")]
    pub cancel_at: Option<Timestamp>,
    /// Whether it ends with the period.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cancel_at_period_end: bool,
    /// When somebody asked for its end.
    #[serde(default, deserialize_with = "seconds")]
    pub canceled_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "seconds")]
    pub ended_at: Option<Timestamp>,
    /// When the trial began.
    #[serde(default, deserialize_with = "seconds")]
    pub trial_start: Option<Timestamp>,
    /// When the trial ends or ended.
    #[serde(default, deserialize_with = "seconds")]
    pub trial_end: Option<Timestamp>,
    /// When it began.
    #[serde(default, deserialize_with = "seconds")]
    pub start_date: Option<Timestamp>,
    /// When periods begin.
    #[serde(default, deserialize_with = "seconds")]
    pub billing_cycle_anchor: Option<Timestamp>,
    /// What it is paid with; `None`: the customer's default.
    #[serde(default)]
    pub default_payment_method: Option<Expandable<PaymentMethod>>,
    /// Its last invoice.
    #[serde(default)]
    pub latest_invoice: Option<Expandable<Invoice>>,
    /// The setup intent of a subscription that began without a payment.
    #[serde(default)]
    pub pending_setup_intent: Option<Expandable<SetupIntent>>,
    /// What becomes of its invoices; `None`: they are collected.
    #[serde(default)]
    pub pause_collection: Option<CollectionPause>,
    /// The schedule that changes it.
    #[serde(default)]
    pub schedule: Option<Expandable<Bare>>,
    /// Its discounts.
    #[serde(default, deserialize_with = "null_as_default")]
    pub discounts: Vec<Expandable<Bare>>,
    /// Why it ends or ended.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cancellation_details: CancellationDetails,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Subscription);

impl Subscription {
    /// When the period now begins: that of its first item, for all items of one interval share it.
    pub fn current_period_start(&self) -> Option<Timestamp> {
        self.items.data.first()?.current_period_start
    }

    /// When the period now ends: that of its first item, for all items of one interval share it.
    pub fn current_period_end(&self) -> Option<Timestamp> {
        self.items.data.first()?.current_period_end
    }
}

/// An item of a subscription. In the pinned version periods stand here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionItem {
    /// `si_…`.
    pub id: String,
    /// What for one unit.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many; `None` for metered prices.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// When the period now began.
    #[serde(default, deserialize_with = "seconds")]
    pub current_period_start: Option<Timestamp>,
    /// When the period now ends.
    #[serde(default, deserialize_with = "seconds")]
    pub current_period_end: Option<Timestamp>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
}
identified!(SubscriptionItem);

/// What becomes of a subscription's invoices.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CollectionPause {
    /// `keep_as_draft`, `mark_uncollectible` or `void`.
    #[serde(default)]
    pub behavior: Option<String>,
    /// When it ends by itself.
    #[serde(default, deserialize_with = "seconds")]
    pub resumes_at: Option<Timestamp>,
}

/// Why a subscription ends or ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct CancellationDetails {
    /// Such as `cancellation_requested`, `payment_failed` or `payment_disputed`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Such as `too_expensive`.
    #[serde(default)]
    pub feedback: Option<String>,
}
