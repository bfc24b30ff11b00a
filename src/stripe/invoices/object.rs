//! What this service reads of invoices. Amounts are in the currency's minor unit.

use secrecy::SecretString;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::stripe::Metadata;
use crate::stripe::customers::Customer;
use crate::stripe::wire::{
    Bare, Expandable, List, identified, null_as_default, open_enum, seconds,
};

open_enum! {
    /// How an invoice stands (<https://docs.stripe.com/invoicing/overview#invoice-statuses>).
    InvoiceStatus {
        /// It can still change.
        Draft = "draft",
        /// It waits to be paid.
        Open = "open",
        /// It is paid.
        Paid = "paid",
        /// It is not expected to be paid.
        Uncollectible = "uncollectible",
        /// It was a mistake.
        Void = "void",
    }
}

open_enum! {
    /// Why an invoice was made.
    BillingReason {
        /// A subscription began.
        SubscriptionCreate = "subscription_create",
        /// A period began.
        SubscriptionCycle = "subscription_cycle",
        /// A subscription was changed.
        SubscriptionUpdate = "subscription_update",
        /// A threshold was reached.
        SubscriptionThreshold = "subscription_threshold",
        /// By hand.
        Manual = "manual",
        /// It is a preview.
        Upcoming = "upcoming",
    }
}

/// What this service reads of Stripe's `Invoice`.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// `in_…`; of a preview, `upcoming_in_…`.
    pub id: String,
    /// What customers see; `None` for drafts.
    #[serde(default)]
    pub number: Option<String>,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<InvoiceStatus>,
    /// Whose.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// Before discounts and taxes.
    #[serde(default)]
    pub subtotal: Option<i64>,
    /// After discounts and taxes.
    #[serde(default)]
    pub total: Option<i64>,
    /// The total after the customer's balance; never below zero.
    #[serde(default)]
    pub amount_due: Option<i64>,
    /// What has been paid.
    #[serde(default)]
    pub amount_paid: Option<i64>,
    /// What is left to be paid.
    #[serde(default)]
    pub amount_remaining: Option<i64>,
    /// The taxes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub total_taxes: Vec<TaxAmount>,
    /// What was taken off.
    #[serde(default, deserialize_with = "null_as_default")]
    pub total_discount_amounts: Vec<DiscountAmount>,
    /// What for; at most ten, see [`super::lines`].
    #[serde(default, deserialize_with = "null_as_default")]
    pub lines: List<InvoiceLine>,
    /// Why it was made.
    #[serde(default)]
    pub billing_reason: Option<BillingReason>,
    /// Where it comes from.
    #[serde(default)]
    pub parent: Option<InvoiceParent>,
    /// Begin of the time in which its pending items came.
    #[serde(default, deserialize_with = "seconds")]
    pub period_start: Option<Timestamp>,
    /// End of the time in which its pending items came.
    #[serde(default, deserialize_with = "seconds")]
    pub period_end: Option<Timestamp>,
    /// When it has to be paid, if the customer pays by himself.
    #[serde(default, deserialize_with = "seconds")]
    pub due_date: Option<Timestamp>,
    /// When Stripe tries to collect it next.
    #[serde(default, deserialize_with = "seconds")]
    pub next_payment_attempt: Option<Timestamp>,
    /// How often Stripe has tried by itself.
    #[serde(default)]
    pub attempt_count: Option<u64>,
    /// Whether anybody has tried to pay it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub attempted: bool,
    /// Whether Stripe takes it further by itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub auto_advance: bool,
    /// Where the customer can see and pay it.
    #[serde(default)]
    pub hosted_invoice_url: Option<String>,
    /// Where the customer can load it.
    #[serde(default)]
    pub invoice_pdf: Option<String>,
    /// With it and a publishable key, a browser can pay it; only when asked for.
    #[serde(default)]
    pub confirmation_secret: Option<ConfirmationSecret>,
    /// How it is paid; only when asked for.
    #[serde(default)]
    pub payments: Option<List<InvoicePayment>>,
    /// When it came to its statuses.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status_transitions: StatusTransitions,
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
identified!(Invoice);

impl Invoice {
    /// The id of the subscription it is for.
    pub fn subscription(&self) -> Option<&str> {
        let details = self.parent.as_ref()?.subscription_details.as_ref()?;
        details.subscription.as_ref().map(Expandable::id)
    }
}

impl Invoice {
    /// The metadata of the subscription it is for, when it was finalized.
    pub fn subscription_metadata(&self) -> Option<&Metadata> {
        let details = self.parent.as_ref()?.subscription_details.as_ref()?;
        Some(&details.metadata)
    }
}

/// A tax on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaxAmount {
    /// How much.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Of how much.
    #[serde(default)]
    pub taxable_amount: Option<i64>,
    /// `exclusive` or `inclusive`.
    #[serde(default)]
    pub tax_behavior: Option<String>,
}

/// A discount on an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DiscountAmount {
    /// How much.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Which.
    #[serde(default)]
    pub discount: Option<Expandable<Bare>>,
}

/// Where an invoice comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InvoiceParent {
    /// `subscription_details` or `quote_details`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Of a subscription.
    #[serde(default)]
    pub subscription_details: Option<SubscriptionDetails>,
}

/// The subscription that an invoice is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubscriptionDetails {
    /// Its id.
    #[serde(default)]
    pub subscription: Option<Expandable<Bare>>,
    /// Its metadata when the invoice was finalized.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InvoiceLine {
    /// `il_…`.
    pub id: String,
    /// What customers read.
    #[serde(default)]
    pub description: Option<String>,
    /// Before discounts and exclusive taxes; below zero for credits.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// The time it is for.
    #[serde(default)]
    pub period: Option<LinePeriod>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<u64>,
    /// What for one.
    #[serde(default)]
    pub pricing: Option<LinePricing>,
    /// Where it comes from.
    #[serde(default)]
    pub parent: Option<LineParent>,
    /// The taxes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub taxes: Vec<TaxAmount>,
    /// What was taken off.
    #[serde(default, deserialize_with = "null_as_default")]
    pub discount_amounts: Vec<DiscountAmount>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
}
identified!(InvoiceLine);

impl InvoiceLine {
    /// Whether it settles a change within a period.
    pub fn is_proration(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| {
            let details = [
                &parent.subscription_item_details,
                &parent.invoice_item_details,
            ];
            details.into_iter().flatten().any(|item| item.proration)
        })
    }

    /// The price's id.
    pub fn price(&self) -> Option<&str> {
        let details = self.pricing.as_ref()?.price_details.as_ref()?;
        details.price.as_ref().map(Expandable::id)
    }
}

/// The time that a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct LinePeriod {
    /// Its begin.
    #[serde(default, deserialize_with = "seconds")]
    pub start: Option<Timestamp>,
    /// Its end.
    #[serde(default, deserialize_with = "seconds")]
    pub end: Option<Timestamp>,
}

/// What a line is for one unit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LinePricing {
    /// By a price.
    #[serde(default)]
    pub price_details: Option<PriceDetails>,
    /// In minor units, as a decimal.
    #[serde(default)]
    pub unit_amount_decimal: Option<String>,
}

/// The price of a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PriceDetails {
    /// Its id.
    #[serde(default)]
    pub price: Option<Expandable<Bare>>,
    /// Its product's id.
    #[serde(default)]
    pub product: Option<String>,
}

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LineParent {
    /// `subscription_item_details` or `invoice_item_details`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Of an item of a subscription.
    #[serde(default)]
    pub subscription_item_details: Option<LineItemDetails>,
    /// Of something put on the invoice by itself.
    #[serde(default)]
    pub invoice_item_details: Option<LineItemDetails>,
}

/// The item that a line comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LineItemDetails {
    /// Whether it settles a change within a period.
    #[serde(default, deserialize_with = "null_as_default")]
    pub proration: bool,
    /// The subscription's id.
    #[serde(default)]
    pub subscription: Option<String>,
    /// The item's id.
    #[serde(default)]
    pub subscription_item: Option<String>,
}

/// With what a browser pays an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct ConfirmationSecret {
    /// With a publishable key it can finish the payment.
    #[serde(default)]
    pub client_secret: Option<SecretString>,
    /// `payment_intent`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// When an invoice came to its statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StatusTransitions {
    /// Open.
    #[serde(default, deserialize_with = "seconds")]
    pub finalized_at: Option<Timestamp>,
    /// Uncollectible.
    #[serde(default, deserialize_with = "seconds")]
    pub marked_uncollectible_at: Option<Timestamp>,
    /// Paid.
    #[serde(default, deserialize_with = "seconds")]
    pub paid_at: Option<Timestamp>,
    /// Void.
    #[serde(default, deserialize_with = "seconds")]
    pub voided_at: Option<Timestamp>,
}

/// What this service reads of Stripe's `InvoicePayment`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InvoicePayment {
    /// `inpay_…`.
    pub id: String,
    /// `open`, `paid` or `canceled`.
    #[serde(default)]
    pub status: Option<String>,
    /// The invoice.
    #[serde(default)]
    pub invoice: Option<Expandable<Bare>>,
    /// What was paid.
    #[serde(default)]
    pub amount_paid: Option<i64>,
    /// What was asked for.
    #[serde(default)]
    pub amount_requested: Option<i64>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whether it is the one that Stripe makes by itself.
    #[serde(default, deserialize_with = "null_as_default")]
    pub is_default: bool,
    /// By what.
    #[serde(default)]
    pub payment: Option<Payment>,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
}
identified!(InvoicePayment);

/// What an invoice is paid by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// `payment_intent`, `charge` or `payment_record`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// A payment intent.
    #[serde(default)]
    pub payment_intent: Option<Expandable<Bare>>,
    /// A charge.
    #[serde(default)]
    pub charge: Option<Expandable<Bare>>,
}
