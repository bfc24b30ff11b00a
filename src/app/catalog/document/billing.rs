//! What a plan of a document costs.

use super::report::{FieldReport, shown};
use super::yaml::Node;
use crate::domain::currency::Currency;
use crate::domain::error::FieldError;
use crate::domain::money::{AmountError, Money, UnitAmount};
use crate::domain::pricing::{IntervalDraft, PriceDraft, Pricing, PricingDraft, TrialDraft};

/// The shape a plan's billing is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `billing`, with `price` in major units.
    Newer,
    /// `billing-model`, with `amount` in minor units.
    Older,
}

impl Shape {
    const fn key(self) -> &'static str {
        match self {
            Self::Newer => "billing",
            Self::Older => "billing-model",
        }
    }

    const fn price_key(self) -> &'static str {
        match self {
            Self::Newer => "price",
            Self::Older => "amount",
        }
    }

    /// Fields that say what is charged.
    fn reads(self, key: &str) -> bool {
        let both = matches!(
            key,
            "currency" | "period" | "period-unit" | "trial-period" | "trial-period-unit"
        );
        both || key == self.price_key()
            || (self == Self::Older && matches!(key, "model" | "trial-period-days"))
    }
}

/// A field was refused; the report says why.
struct Refused;

/// The billing of one plan while it is read.
struct Billing<'a> {
    shape: Shape,
    node: &'a Node,
    fields: &'a mut Vec<FieldReport>,
}

/// Reads the billing of one plan; `None` when it is refused.
pub(super) fn read(shape: Shape, node: &Node, fields: &mut Vec<FieldReport>) -> Option<Pricing> {
    let Some(entries) = node.entries() else {
        fields.push(FieldReport::refused(shape.key(), "Must be a mapping."));
        return None;
    };
    let refusals = refusals(fields);
    let mut billing = Billing {
        shape,
        node,
        fields,
    };
    for (key, _) in entries.iter().filter(|(key, _)| !shape.reads(key)) {
        billing.other(key);
    }
    if shape == Shape::Older {
        billing.model();
    }
    let pricing = billing.pricing();
    (self::refusals(fields) == refusals)
        .then_some(pricing)
        .flatten()
}

fn refusals(fields: &[FieldReport]) -> usize {
    let refused = |field: &&FieldReport| field.result == super::FieldResult::Refused;
    fields.iter().filter(refused).count()
}

impl Billing<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{}", self.shape.key(), shown(key))
    }

    fn take(&mut self, key: &str, value: impl AsRef<str>) {
        self.fields.push(FieldReport::taken(self.name(key), value));
    }

    fn refuse<T>(&mut self, key: &str, reason: impl Into<String>) -> Option<T> {
        self.fields
            .push(FieldReport::refused(self.name(key), reason));
        None
    }

    fn ignore(&mut self, key: &str, reason: &str) {
        self.fields
            .push(FieldReport::ignored(self.name(key), reason));
    }

    /// A scalar's text; a list or mapping in its place is refused.
    fn text(&mut self, key: &str) -> Option<String> {
        let found = self.node.get(key)?;
        match found.text() {
            Some(text) => Some(text.to_owned()),
            None => self.refuse(key, "Must be text or a number."),
        }
    }

    /// A field that says nothing of the price, or one that nobody here knows.
    fn other(&mut self, key: &str) {
        match key {
            "billing" | "provider" => {
                self.ignore(key, "The portal's own Stripe credentials are used.");
            }
            _ if key.starts_with("x-") => self.ignore(key, "Is an extension."),
            _ => {
                self.refuse::<()>(
                    key,
                    "Is not known; without it another price could be charged.",
                );
            }
        }
    }

    /// The older shape names its model. Only one amount per period was ever sold by it.
    fn model(&mut self) {
        let Some(model) = self.text("model") else {
            return;
        };
        match model.to_ascii_lowercase().as_str() {
            "flat" | "fixed" | "subscription" | "recurring" | "free" => {
                self.take("model", "one amount per period");
            }
            _ => {
                self.refuse::<()>("model", "Only one amount per period can be billed.");
            }
        }
    }

    fn pricing(&mut self) -> Option<Pricing> {
        let key = self.shape.price_key();
        let Some(written) = self.text(key) else {
            if self.node.get(key).is_none() {
                self.refuse::<()>(key, "Is required.");
            }
            return None;
        };
        if is_nothing(&written) {
            self.take(key, "0");
            self.free();
            return Some(Pricing::Free);
        }
        let currency = self.currency();
        let price = match (self.shape, currency) {
            (Shape::Newer, Some(currency)) => Money::from_major(&written, currency),
            (Shape::Older, Some(currency)) => minor(&written, currency),
            (_, None) => Err(AmountError::Malformed),
        };
        let price = match price {
            Ok(price) => Some(price),
            Err(_) if currency.is_none() => None,
            Err(error) => self.refuse(key, error.reason()),
        };
        let interval = self.interval();
        let trial = self.trial();
        self.paid(price?, &interval?, trial.ok()?)
    }

    /// What else stands in a plan that costs nothing.
    fn free(&mut self) {
        if let Some(price) = self.fields.last_mut() {
            price.reason = Some("The plan is free and needs no payment method.".to_owned());
        }
        for key in [
            "currency",
            "period",
            "period-unit",
            "trial-period",
            "trial-period-unit",
            "trial-period-days",
        ] {
            if self.shape.reads(key) && self.node.get(key).is_some() {
                self.ignore(key, "The plan is free.");
            }
        }
    }

    fn currency(&mut self) -> Option<Currency> {
        let Some(code) = self.text("currency") else {
            if self.node.get("currency").is_none() {
                self.refuse::<()>("currency", "Is required.");
            }
            return None;
        };
        match Currency::parse(&code.to_ascii_lowercase()) {
            Some(currency) => {
                self.take("currency", currency.as_str());
                Some(currency)
            }
            None => self.refuse(
                "currency",
                "Must be the three-letter code of a currency that Stripe supports.",
            ),
        }
    }

    fn interval(&mut self) -> Option<IntervalDraft> {
        let period = self.text("period");
        let unit = self.text("period-unit");
        let (count, unit) = match (period, unit) {
            // The older shape could write `period: month`.
            (Some(period), None) if unit_of(&period).is_some() => (Some(1), Some(period)),
            (period, unit) => {
                let count = match period {
                    Some(period) => self.count("period", &period),
                    None if self.node.get("period").is_none() => Some(1),
                    None => None,
                };
                (count, unit)
            }
        };
        let Some(unit) = unit else {
            if self.node.get("period-unit").is_none() {
                self.refuse::<()>("period-unit", "Is required.");
            }
            return None;
        };
        let unit_key = if self.node.get("period-unit").is_some() {
            "period-unit"
        } else {
            "period"
        };
        match unit_of(&unit) {
            Some(Unit::Billable(unit)) => Some(IntervalDraft {
                unit: unit.to_owned(),
                count: count?,
            }),
            Some(Unit::TooShort) => {
                self.refuse(unit_key, "An interval shorter than a day cannot be billed.")
            }
            None => self.refuse(unit_key, "Must be day, week, month or year."),
        }
    }

    /// The trial, if there is one.
    ///
    /// # Errors
    /// When it is refused; the report says why.
    fn trial(&mut self) -> Result<Option<TrialDraft>, Refused> {
        let days = self.shape == Shape::Older && self.node.get("trial-period-days").is_some();
        let key = if days {
            "trial-period-days"
        } else {
            "trial-period"
        };
        if days && self.node.get("trial-period").is_some() {
            return self
                .refuse("trial-period", "Stands beside trial-period-days.")
                .ok_or(Refused);
        }
        let unit = self.text("trial-period-unit");
        let Some(written) = self.text(key) else {
            if self.node.get(key).is_some() {
                return Err(Refused);
            }
            if unit.is_some() {
                self.ignore("trial-period-unit", "There is no trial period.");
            }
            return Ok(None);
        };
        let count = self.count(key, &written).ok_or(Refused)?;
        if count == 0 {
            self.take(key, "no trial");
            if unit.is_some() {
                self.ignore("trial-period-unit", "There is no trial period.");
            }
            return Ok(None);
        }
        let factor = match unit.as_deref() {
            None if days => 1,
            unit => self.trial_factor(unit).ok_or(Refused)?,
        };
        if days && factor != 1 {
            let reason = "Contradicts trial-period-days.";
            return self.refuse("trial-period-unit", reason).ok_or(Refused);
        }
        Ok(Some(TrialDraft {
            days: count.saturating_mul(factor),
            requires_payment_method: Some(true),
            end_behavior: None,
        }))
    }

    /// Days in the unit of a trial; months and years have no exact number.
    fn trial_factor(&mut self, unit: Option<&str>) -> Option<i64> {
        match unit.map(unit_of) {
            Some(Some(Unit::Billable("day"))) => Some(1),
            Some(Some(Unit::Billable("week"))) => Some(7),
            Some(_) => self.refuse(
                "trial-period-unit",
                "A trial is counted in days; only day and week are exact.",
            ),
            None => self.refuse("trial-period-unit", "Is required."),
        }
    }

    fn count(&mut self, key: &str, written: &str) -> Option<i64> {
        let plain = written.bytes().all(|byte| byte.is_ascii_digit());
        let padded = written.len() > 1 && written.starts_with('0');
        match written.parse() {
            Ok(count) if plain && !padded => Some(count),
            _ => self.refuse(key, "Must be a whole number, written with digits only."),
        }
    }

    /// Lets the domain judge the whole, and reports it on the document's fields.
    fn paid(
        &mut self,
        price: Money,
        interval: &IntervalDraft,
        trial: Option<TrialDraft>,
    ) -> Option<Pricing> {
        let trial_days = trial.as_ref().map(|trial| trial.days);
        let draft = PricingDraft {
            model: "flat".to_owned(),
            price: Some(PriceDraft::whole(price.amount, price.currency.as_str())),
            interval: Some(interval.clone()),
            trial,
            ..PricingDraft::default()
        };
        let mut errors = Vec::new();
        let pricing = draft.check("", &mut errors);
        let wrong = |part: &str| {
            let found = errors.iter().find(|error| error.pointer.starts_with(part));
            found.map(|error: &FieldError| error.detail.clone())
        };
        let of_price = (
            self.shape.price_key(),
            format!("{} minor units", price.amount),
            wrong("/price"),
        );
        let period = if self.node.get("period").is_some() {
            "period"
        } else {
            "period-unit"
        };
        let of_interval = (
            period,
            format!("every {} {}", interval.count, interval.unit),
            wrong("/interval"),
        );
        let trial_key = if self.node.get("trial-period").is_some() {
            "trial-period"
        } else {
            "trial-period-days"
        };
        let of_trial = trial_days.map(|days| (trial_key, format!("{days} days"), wrong("/trial")));
        for (key, value, wrong) in [of_price, of_interval].into_iter().chain(of_trial) {
            match wrong {
                None => self.take(key, value),
                Some(reason) => {
                    self.refuse::<()>(key, reason);
                }
            }
        }
        // The units are in the values above; they are named so that no field is missing.
        if period == "period" && self.node.get("period-unit").is_some() {
            self.take("period-unit", &interval.unit);
        }
        if trial_days.is_some() && self.node.get("trial-period-unit").is_some() {
            self.take("trial-period-unit", "as days");
        }
        pricing
    }
}

/// A unit of time as documents write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// One that Stripe bills by.
    Billable(&'static str),
    /// Less than a day.
    TooShort,
}

fn unit_of(written: &str) -> Option<Unit> {
    match written.to_ascii_lowercase().as_str() {
        "day" | "days" => Some(Unit::Billable("day")),
        "week" | "weeks" => Some(Unit::Billable("week")),
        "month" | "months" => Some(Unit::Billable("month")),
        "year" | "years" => Some(Unit::Billable("year")),
        "hour" | "hours" | "minute" | "minutes" | "second" | "seconds" => Some(Unit::TooShort),
        _ => None,
    }
}

/// Whether an amount is nothing in every currency.
fn is_nothing(written: &str) -> bool {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, "0"));
    let zeros = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'0');
    whole == "0" && zeros(fraction)
}

/// Minor units, which have no decimals of their own.
fn minor(written: &str, currency: Currency) -> Result<Money, AmountError> {
    let exact = UnitAmount::parse(written)?;
    let amount = exact.as_minor().ok_or(AmountError::TooPrecise)?;
    Ok(Money::new(amount, currency))
}
