//! What the billing engine keeps of subscriptions: state with its invariants, no JSON.

use serde_json::Value;

use crate::currency::Currency;
use crate::engine::period::Period;
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// A subscription's status (`status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Canceled,
    Unpaid,
    Paused,
}

impl Status {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Canceled => "canceled",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
        }
    }

    /// Whether nothing can happen to the subscription any more.
    pub(crate) const fn is_ended(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

/// How invoices are collected (`collection_method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CollectionMethod {
    #[default]
    ChargeAutomatically,
    SendInvoice,
}

impl CollectionMethod {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ChargeAutomatically => "charge_automatically",
            Self::SendInvoice => "send_invoice",
        }
    }

    /// Reads Stripe's word; the contract admits only the two.
    pub(crate) fn parse(word: &str) -> Self {
        if word == "send_invoice" {
            Self::SendInvoice
        } else {
            Self::ChargeAutomatically
        }
    }
}

/// What a trial without a payment method ends in (`trial_settings.end_behavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TrialEndBehavior {
    Cancel,
    #[default]
    CreateInvoice,
    Pause,
}

impl TrialEndBehavior {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::CreateInvoice => "create_invoice",
            Self::Pause => "pause",
        }
    }

    /// Reads Stripe's word.
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "cancel" => Self::Cancel,
            "pause" => Self::Pause,
            _ => Self::CreateInvoice,
        }
    }
}

/// What becomes of invoices while collection is paused (`pause_collection.behavior`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseBehavior {
    KeepAsDraft,
    MarkUncollectible,
    Void,
}

impl PauseBehavior {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::KeepAsDraft => "keep_as_draft",
            Self::MarkUncollectible => "mark_uncollectible",
            Self::Void => "void",
        }
    }

    /// Reads Stripe's word.
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "keep_as_draft" => Self::KeepAsDraft,
            "mark_uncollectible" => Self::MarkUncollectible,
            _ => Self::Void,
        }
    }
}

/// `pause_collection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PauseCollection {
    pub(crate) behavior: PauseBehavior,
    pub(crate) resumes_at: Option<i64>,
}

/// What to do about a payment that fails within the request (`payment_behavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "the names are Stripe's")]
pub(crate) enum PaymentBehavior {
    #[default]
    AllowIncomplete,
    DefaultIncomplete,
    ErrorIfIncomplete,
    PendingIfIncomplete,
}

impl PaymentBehavior {
    /// Reads Stripe's word; absent means `allow_incomplete`.
    pub(crate) fn parse(word: Option<&str>) -> Self {
        match word {
            Some("default_incomplete") => Self::DefaultIncomplete,
            Some("error_if_incomplete") => Self::ErrorIfIncomplete,
            Some("pending_if_incomplete") => Self::PendingIfIncomplete,
            _ => Self::AllowIncomplete,
        }
    }
}

/// What a change within a period does (`proration_behavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProrationBehavior {
    AlwaysInvoice,
    #[default]
    CreateProrations,
    None,
}

impl ProrationBehavior {
    /// Reads Stripe's word; absent means `create_prorations`.
    pub(crate) fn parse(word: Option<&str>) -> Self {
        match word {
            Some("always_invoice") => Self::AlwaysInvoice,
            Some("none") => Self::None,
            _ => Self::CreateProrations,
        }
    }

    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AlwaysInvoice => "always_invoice",
            Self::CreateProrations => "create_prorations",
            Self::None => "none",
        }
    }
}

/// One item of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) price: String,
    /// None for a metered price.
    pub(crate) quantity: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) discounts: Vec<String>,
    pub(crate) tax_rates: Vec<String>,
    /// The period billed for (licensed) or being measured (metered).
    pub(crate) period: Period,
    pub(crate) billing_thresholds: Option<i64>,
}

/// A change that waits for its invoice to be paid (`pending_update`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingUpdate {
    /// The subscription as it will be.
    pub(crate) wanted: Box<Subscription>,
    /// The invoice that has to be paid.
    pub(crate) invoice: String,
    pub(crate) expires_at: i64,
    /// What the request asked for, for display.
    pub(crate) trial_end: Option<i64>,
    pub(crate) changes_items: bool,
}

/// Why and how a subscription was canceled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CancellationDetails {
    pub(crate) comment: Option<String>,
    pub(crate) feedback: Option<String>,
    pub(crate) reason: Option<&'static str>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Stripe's object, independent of the others"
)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) created: i64,
    pub(crate) start_date: i64,
    pub(crate) currency: Currency,
    pub(crate) status: Status,
    pub(crate) items: Vec<Item>,
    pub(crate) billing_cycle_anchor: i64,
    pub(crate) anchor_config: Option<Value>,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) cancellation: CancellationDetails,
    pub(crate) collection_method: CollectionMethod,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) default_source: Option<String>,
    pub(crate) default_tax_rates: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) discounts: Vec<String>,
    pub(crate) invoice_settings: Value,
    pub(crate) latest_invoice: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) pause_collection: Option<PauseCollection>,
    pub(crate) payment_settings: Value,
    pub(crate) pending_setup_intent: Option<String>,
    pub(crate) pending_update: Option<PendingUpdate>,
    pub(crate) pending_item_interval: Option<Value>,
    pub(crate) schedule: Option<String>,
    pub(crate) trial_start: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    pub(crate) trial_end_behavior: TrialEndBehavior,
    pub(crate) automatic_tax: bool,
    pub(crate) application_fee_percent: Option<Value>,
    pub(crate) flexible: bool,
    /// Why and since when the status is `paused`.
    pub(crate) paused: Option<(&'static str, i64)>,
    /// The invoice whose payment ends a pause.
    pub(crate) resume_invoice: Option<String>,
    pub(crate) test_clock: Option<String>,
    pub(crate) livemode: bool,
}

impl Subscription {
    /// The end of the earliest period that runs out: when the next invoice is due.
    pub(crate) fn next_period_end(&self) -> Option<i64> {
        self.items.iter().map(|item| item.period.end).min()
    }

    /// The end of the latest period.
    pub(crate) fn last_period_end(&self) -> Option<i64> {
        self.items.iter().map(|item| item.period.end).max()
    }

    /// The current period of the first item: what a one-interval subscription calls its own.
    pub(crate) fn period(&self) -> Period {
        self.items.first().map_or(
            Period {
                start: self.start_date,
                end: self.start_date,
            },
            |item| item.period,
        )
    }

    /// The item of this id.
    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    /// `payment_settings.save_default_payment_method` is `on_subscription`.
    pub(crate) fn saves_method(&self) -> bool {
        let setting = self.payment_settings.get("save_default_payment_method");
        setting.and_then(Value::as_str) == Some("on_subscription")
    }

    /// Whether it is in its trial at `now`.
    pub(crate) fn in_trial(&self, now: i64) -> bool {
        self.trial_end.is_some_and(|end| end > now)
    }
}

impl Stored for Subscription {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            ("customer", self.customer.clone()),
            ("status", self.status.as_str().to_owned()),
        ];
        keys.extend(self.items.iter().map(|item| ("item", item.id.clone())));
        if let Some(intent) = &self.pending_setup_intent {
            keys.push(("setup_intent", intent.clone()));
        }
        if let Some(clock) = &self.test_clock {
            keys.push(("test_clock", clock.clone()));
        }
        keys
    }
}
