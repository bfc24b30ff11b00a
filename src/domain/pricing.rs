//! What a plan costs: a closed set of models, checked against Stripe's limits before anything is
//! stored.

use super::currency::Currency;
use super::money::{Money, UnitAmount};

mod draft;
#[cfg(test)]
mod tests;

pub use draft::{IntervalDraft, PriceDraft, PricingDraft, TrialDraft};

/// Days of the longest trial, as at Stripe
/// (<https://docs.stripe.com/api/subscriptions/create#create_subscription-trial_period_days>).
pub const TRIAL_MAX_DAYS: i64 = 730;

/// What a plan costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Nothing; Stripe is never asked.
    Free,
    /// One amount per interval.
    Flat {
        /// More than nothing.
        price: Money,
        /// When, and what else.
        terms: Terms,
    },
    /// An amount per interval for each seat; the subscription has a quantity.
    PerSeat {
        /// Of one seat; more than nothing.
        price: UnitPrice,
        /// When, and what else.
        terms: Terms,
    },
}

/// The price of one unit, which may be finer than the minor unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPrice {
    /// In minor units of the currency.
    pub amount: UnitAmount,
    /// The currency.
    pub currency: Currency,
}

/// What all paid models have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How often it is paid.
    pub interval: Interval,
    /// Days at the start that cost nothing.
    pub trial: Option<Trial>,
    /// Paid once with the first invoice, in the price's currency.
    pub setup_fee: Option<Money>,
    /// Whether taxes are in the price.
    pub tax_behavior: TaxBehavior,
}

/// How often a price is paid: every `count` units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The unit.
    pub unit: IntervalUnit,
    /// How many; 1 up to [`IntervalUnit::max_count`].
    pub count: i64,
}

/// Defines an enum of words that stand in the API.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant,)+ }

        impl $name {
            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as it stands in the API and at Stripe.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|own| own.as_str() == text)
            }
        }
    };
}

words! {
    /// The unit of an interval.
    IntervalUnit {
        /// A day.
        Day = "day",
        /// Seven days.
        Week = "week",
        /// A calendar month.
        Month = "month",
        /// A calendar year.
        Year = "year",
    }
}

words! {
    /// What happens when a trial ends and there is no payment method.
    TrialEnd {
        /// The subscription ends.
        Cancel = "cancel",
        /// It pauses until there is one.
        Pause = "pause",
        /// An invoice is made all the same.
        CreateInvoice = "create_invoice",
    }
}

words! {
    /// Whether taxes are in a price.
    TaxBehavior {
        /// They come on top.
        Exclusive = "exclusive",
        /// They are inside.
        Inclusive = "inclusive",
        /// The Stripe account's default decides.
        Unspecified = "unspecified",
    }
}

impl IntervalUnit {
    /// The longest interval is three years, as at Stripe
    /// (<https://docs.stripe.com/api/prices/create#create_price-recurring-interval_count>).
    pub const fn max_count(self) -> i64 {
        match self {
            Self::Day => 1_095,
            Self::Week => 156,
            Self::Month => 36,
            Self::Year => 3,
        }
    }
}

/// Days at the start that cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// 1 to [`TRIAL_MAX_DAYS`].
    pub days: i64,
    /// Whether it starts only with a payment method at hand.
    pub requires_payment_method: bool,
    /// What happens at its end without one.
    pub end_behavior: TrialEnd,
}

impl Pricing {
    /// The model's name in the API.
    pub const fn model(&self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Flat { .. } => "flat",
            Self::PerSeat { .. } => "per_seat",
        }
    }

    /// The terms of a paid model.
    pub const fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Free => None,
            Self::Flat { terms, .. } | Self::PerSeat { terms, .. } => Some(terms),
        }
    }

    /// The price of one unit of a paid model; a flat price is that of the one unit there is.
    pub fn unit_price(&self) -> Option<UnitPrice> {
        match self {
            Self::Free => None,
            Self::Flat { price, .. } => UnitPrice::whole(*price),
            Self::PerSeat { price, .. } => Some(*price),
        }
    }

    /// Whether it ever costs anything, so that Stripe is needed.
    pub const fn is_paid(&self) -> bool {
        !matches!(self, Self::Free)
    }

    /// Whether a subscription can only start with a payment method at hand, as far as the plan goes.
    /// A customer that is given no trial any more needs one for every plan that [`is_paid`].
    ///
    /// [`is_paid`]: Pricing::is_paid
    pub fn needs_payment_method(&self) -> bool {
        self.terms().is_some_and(|terms| {
            terms
                .trial
                .is_none_or(|trial| trial.requires_payment_method)
        })
    }
}

impl UnitPrice {
    /// A price in whole minor units; `None` when negative.
    pub fn whole(price: Money) -> Option<Self> {
        Some(Self {
            amount: UnitAmount::from_minor(price.amount)?,
            currency: price.currency,
        })
    }

    /// The price as money; `None` when it is finer than the minor unit.
    pub fn as_money(self) -> Option<Money> {
        let amount = self.amount.as_minor()?;
        Some(Money::new(amount, self.currency))
    }
}
