//! Pricing as a caller gives it, and the checks that make it [`Pricing`].

use super::{
    Interval, IntervalUnit, Pricing, TRIAL_MAX_DAYS, TaxBehavior, Terms, Trial, TrialEnd, UnitPrice,
};
use crate::domain::currency::Currency;
use crate::domain::error::{FieldCode, FieldError};
use crate::domain::money::{AmountError, Money, UnitAmount};

/// Models that have a name already and cannot be used yet.
const LATER_MODELS: &[&str] = &[
    "metered",
    "graduated",
    "volume",
    "package",
    "included_overage",
];

/// Pricing as a caller gives it: every field of every model, none checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PricingDraft {
    /// The model's name.
    pub model: String,
    /// What it costs.
    pub price: Option<PriceDraft>,
    /// How often; a paid model must say it.
    pub interval: Option<IntervalDraft>,
    /// Days at the start that cost nothing.
    pub trial: Option<TrialDraft>,
    /// Paid once.
    pub setup_fee: Option<PriceDraft>,
    /// Whether taxes are in the price.
    pub tax_behavior: Option<String>,
}

/// An amount as a caller gives it: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceDraft {
    /// Whole minor units.
    pub amount: Option<i64>,
    /// Minor units with decimals.
    pub unit_amount_decimal: Option<String>,
    /// The currency's code.
    pub currency: String,
}

/// An interval as a caller gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalDraft {
    /// The unit's name.
    pub unit: String,
    /// How many.
    pub count: i64,
}

/// A trial as a caller gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialDraft {
    /// How many days.
    pub days: i64,
    /// Whether it starts only with a payment method at hand; yes when absent.
    pub requires_payment_method: Option<bool>,
    /// What happens at its end without one; `cancel` when absent.
    pub end_behavior: Option<String>,
}

impl PricingDraft {
    /// Checks everything; refusals go to `errors` with pointers below `base`, and then there is no
    /// pricing.
    pub fn check(&self, base: &str, errors: &mut Vec<FieldError>) -> Option<Pricing> {
        let before = errors.len();
        let pricing = match self.model.as_str() {
            "free" => {
                self.refuse_what_is_paid(base, errors);
                Some(Pricing::Free)
            }
            "flat" => self.flat(base, errors),
            "per_seat" => self.per_seat(base, errors),
            other => {
                errors.push(unknown_model(base, other));
                None
            }
        };
        (errors.len() == before).then_some(pricing).flatten()
    }

    fn flat(&self, base: &str, errors: &mut Vec<FieldError>) -> Option<Pricing> {
        let pointer = format!("{base}/price");
        let price = required(&pointer, self.price.as_ref(), errors)
            .and_then(|price| price.money(&pointer, errors));
        if price.is_some_and(|price| price.amount == 0) {
            errors.push(costs_nothing(format!("{pointer}/amount")));
        }
        let terms = self.terms(base, price.map(|price| price.currency), errors);
        Some(Pricing::Flat {
            price: price?,
            terms: terms?,
        })
    }

    fn per_seat(&self, base: &str, errors: &mut Vec<FieldError>) -> Option<Pricing> {
        let pointer = format!("{base}/price");
        let price = required(&pointer, self.price.as_ref(), errors)
            .and_then(|price| price.unit_price(&pointer, errors));
        if price.is_some_and(|price| price.amount.is_zero()) {
            errors.push(costs_nothing(pointer));
        }
        let terms = self.terms(base, price.map(|price| price.currency), errors);
        Some(Pricing::PerSeat {
            price: price?,
            terms: terms?,
        })
    }

    fn terms(
        &self,
        base: &str,
        currency: Option<Currency>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Terms> {
        let pointer = format!("{base}/interval");
        let interval = required(&pointer, self.interval.as_ref(), errors)
            .and_then(|interval| interval.check(&pointer, errors));
        let trial = optional(self.trial.as_ref(), |trial| {
            trial.check(&format!("{base}/trial"), errors)
        });
        let setup_fee = optional(self.setup_fee.as_ref(), |fee| {
            fee.setup_fee(&format!("{base}/setup_fee"), currency, errors)
        });
        let tax_behavior =
            self.tax_behavior
                .as_deref()
                .map_or(Some(TaxBehavior::Unspecified), |text| {
                    let pointer = format!("{base}/tax_behavior");
                    word(&pointer, TaxBehavior::parse(text), TAX_BEHAVIORS, errors)
                });
        let trial_is_open =
            matches!(&self.trial, Some(trial) if trial.requires_payment_method == Some(false));
        if trial_is_open && self.setup_fee.is_some() {
            errors.push(FieldError::new(
                format!("{base}/setup_fee"),
                FieldCode::InvalidValue,
                "Is paid at the start, so the trial must require a payment method.",
            ));
        }
        Some(Terms {
            interval: interval?,
            trial: trial.ok()?,
            setup_fee: setup_fee.ok()?,
            tax_behavior: tax_behavior?,
        })
    }

    fn refuse_what_is_paid(&self, base: &str, errors: &mut Vec<FieldError>) {
        let fields = [
            ("price", self.price.is_some()),
            ("interval", self.interval.is_some()),
            ("trial", self.trial.is_some()),
            ("setup_fee", self.setup_fee.is_some()),
            ("tax_behavior", self.tax_behavior.is_some()),
        ];
        for (name, _) in fields.into_iter().filter(|(_, is_there)| *is_there) {
            errors.push(FieldError::new(
                format!("{base}/{name}"),
                FieldCode::InvalidValue,
                "Has no meaning for the model free.",
            ));
        }
    }
}

const TAX_BEHAVIORS: &str = "Must be exclusive, inclusive or unspecified.";

impl PriceDraft {
    /// So many whole minor units.
    pub fn whole(amount: i64, currency: impl Into<String>) -> Self {
        Self {
            amount: Some(amount),
            unit_amount_decimal: None,
            currency: currency.into(),
        }
    }

    fn currency(&self, pointer: &str, errors: &mut Vec<FieldError>) -> Option<Currency> {
        let found = Currency::parse(&self.currency);
        if found.is_none() {
            errors.push(FieldError::new(
                format!("{pointer}/currency"),
                FieldCode::InvalidValue,
                "Must be the three-letter code, in lower case, of a currency that Stripe supports.",
            ));
        }
        found
    }

    /// Whole minor units within Stripe's limits; nothing is a price here.
    fn money(&self, pointer: &str, errors: &mut Vec<FieldError>) -> Option<Money> {
        if self.unit_amount_decimal.is_some() {
            errors.push(FieldError::new(
                format!("{pointer}/unit_amount_decimal"),
                FieldCode::InvalidValue,
                "Only a price per seat may have decimals; give amount.",
            ));
            return None;
        }
        let currency = self.currency(pointer, errors);
        let pointer = format!("{pointer}/amount");
        let amount = required(&pointer, self.amount.as_ref(), errors);
        let money = Money::new(*amount?, currency?);
        check_amount(&pointer, money, errors).then_some(money)
    }

    fn unit_price(&self, pointer: &str, errors: &mut Vec<FieldError>) -> Option<UnitPrice> {
        let Some(text) = &self.unit_amount_decimal else {
            return UnitPrice::whole(self.money(pointer, errors)?);
        };
        if self.amount.is_some() {
            errors.push(FieldError::new(
                format!("{pointer}/unit_amount_decimal"),
                FieldCode::InvalidValue,
                "Give either amount or unit_amount_decimal.",
            ));
        }
        let currency = self.currency(pointer, errors);
        let pointer = format!("{pointer}/unit_amount_decimal");
        let amount = UnitAmount::parse(text);
        let reason = match (amount, currency) {
            (Err(error), _) => Some(error),
            (Ok(amount), Some(currency)) if !amount.is_at_most(currency.maximum_charge()) => {
                Some(AmountError::TooLarge)
            }
            (Ok(amount), Some(currency)) if !amount.fits_step(currency) => {
                Some(AmountError::NotChargeable)
            }
            (Ok(_), _) => None,
        };
        if let Some(reason) = reason {
            errors.push(amount_refused(pointer, reason));
        }
        Some(UnitPrice {
            amount: amount.ok()?,
            currency: currency?,
        })
    }

    fn setup_fee(
        &self,
        pointer: &str,
        of_price: Option<Currency>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Money> {
        let fee = self.money(pointer, errors)?;
        if fee.amount == 0 {
            errors.push(FieldError::new(
                format!("{pointer}/amount"),
                FieldCode::InvalidValue,
                "Must be more than 0; leave the setup fee out instead.",
            ));
        }
        if of_price.is_some_and(|currency| currency != fee.currency) {
            errors.push(FieldError::new(
                format!("{pointer}/currency"),
                FieldCode::InvalidValue,
                "Must be the currency of the price.",
            ));
        }
        Some(fee)
    }
}

impl IntervalDraft {
    fn check(&self, pointer: &str, errors: &mut Vec<FieldError>) -> Option<Interval> {
        let unit = IntervalUnit::parse(&self.unit);
        let unit = word(
            &format!("{pointer}/unit"),
            unit,
            "Must be day, week, month or year.",
            errors,
        )?;
        let max = unit.max_count();
        if (1..=max).contains(&self.count) {
            return Some(Interval {
                unit,
                count: self.count,
            });
        }
        errors.push(FieldError::new(
            format!("{pointer}/count"),
            FieldCode::InvalidValue,
            format!(
                "Must be 1 to {max} for the unit {}: three years at most.",
                unit.as_str()
            ),
        ));
        None
    }
}

impl TrialDraft {
    fn check(&self, pointer: &str, errors: &mut Vec<FieldError>) -> Option<Trial> {
        let in_range = (1..=TRIAL_MAX_DAYS).contains(&self.days);
        if !in_range {
            errors.push(FieldError::new(
                format!("{pointer}/days"),
                FieldCode::InvalidValue,
                format!("Must be 1 to {TRIAL_MAX_DAYS}."),
            ));
        }
        let end_behavior = self
            .end_behavior
            .as_deref()
            .map_or(Some(TrialEnd::Cancel), |text| {
                word(
                    &format!("{pointer}/end_behavior"),
                    TrialEnd::parse(text),
                    "Must be cancel, pause or create_invoice.",
                    errors,
                )
            });
        in_range.then_some(Trial {
            days: self.days,
            requires_payment_method: self.requires_payment_method.unwrap_or(true),
            end_behavior: end_behavior?,
        })
    }
}

/// Something that was given was refused; the errors say why.
struct Refused;

/// Checks what may be left out.
fn optional<D, T>(
    draft: Option<&D>,
    check: impl FnOnce(&D) -> Option<T>,
) -> Result<Option<T>, Refused> {
    draft.map(|draft| check(draft).ok_or(Refused)).transpose()
}

fn required<'a, T>(
    pointer: &str,
    value: Option<&'a T>,
    errors: &mut Vec<FieldError>,
) -> Option<&'a T> {
    if value.is_none() {
        errors.push(FieldError::new(
            pointer,
            FieldCode::MissingField,
            "Is required by this model.",
        ));
    }
    value
}

fn word<T>(
    pointer: &str,
    found: Option<T>,
    allowed: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    if found.is_none() {
        errors.push(FieldError::new(pointer, FieldCode::InvalidValue, allowed));
    }
    found
}

/// Whether the amount is one that Stripe can charge, or nothing.
fn check_amount(pointer: &str, money: Money, errors: &mut Vec<FieldError>) -> bool {
    let before = errors.len();
    if money.amount < 0 {
        errors.push(FieldError::new(
            pointer,
            FieldCode::InvalidValue,
            "Must not be negative.",
        ));
    } else if money.amount > money.currency.maximum_charge() {
        errors.push(amount_refused(pointer, AmountError::TooLarge));
    } else if money.amount % money.currency.step() != 0 {
        errors.push(amount_refused(pointer, AmountError::NotChargeable));
    }
    errors.len() == before
}

fn amount_refused(pointer: impl Into<String>, reason: AmountError) -> FieldError {
    FieldError::new(pointer, FieldCode::InvalidValue, reason.reason())
}

fn costs_nothing(pointer: impl Into<String>) -> FieldError {
    FieldError::new(
        pointer,
        FieldCode::InvalidValue,
        "Must be more than 0; a plan that costs nothing has the model free.",
    )
}

fn unknown_model(base: &str, model: &str) -> FieldError {
    let detail = match LATER_MODELS.iter().find(|later| **later == model) {
        Some(later) => {
            format!("The model {later} cannot be used yet. Must be free, flat or per_seat.")
        }
        None => "Must be free, flat or per_seat.".to_owned(),
    };
    FieldError::new(format!("{base}/model"), FieldCode::InvalidValue, detail)
}
