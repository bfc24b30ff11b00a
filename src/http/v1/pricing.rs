//! What a plan costs, as the API takes and shows it. The two differ in what may be left out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::money::Money;
use crate::domain::pricing::{
    Interval, IntervalDraft, PriceDraft, Pricing, PricingDraft, Terms, Trial, TrialDraft, UnitPrice,
};
use crate::http::extract::{Object, present};

/// An amount of money.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Money, example = json!({"amount": 1500, "currency": "usd"}))]
pub struct MoneyBody {
    /// Minor units of the currency.
    amount: i64,
    /// ISO 4217 in lower case.
    #[schema(pattern = "^[a-z]{3}$")]
    currency: String,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self {
            amount: money.amount,
            currency: money.currency.as_str().to_owned(),
        }
    }
}

impl MoneyBody {
    /// An amount in a currency as Stripe names it, which has its own list of them.
    pub(super) fn of(amount: i64, currency: &str) -> Self {
        Self {
            amount,
            currency: currency.to_owned(),
        }
    }
}

/// How often a price is paid.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BillingInterval, example = json!({"unit": "month", "count": 1}))]
pub struct IntervalBody {
    /// The unit.
    #[schema(value_type = IntervalUnitName)]
    unit: String,
    /// How many units; three years at most.
    #[schema(minimum = 1, maximum = 1095)]
    count: i64,
}

impl From<Interval> for IntervalBody {
    fn from(interval: Interval) -> Self {
        Self {
            unit: interval.unit.as_str().to_owned(),
            count: interval.count,
        }
    }
}

/// The unit of an interval.
#[derive(ToSchema)]
#[schema(as = BillingIntervalUnit, rename_all = "snake_case")]
pub enum IntervalUnitName {
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

/// What happens when a trial ends and there is no payment method.
#[derive(ToSchema)]
#[schema(as = TrialEndBehavior, rename_all = "snake_case")]
pub enum TrialEndName {
    /// The subscription ends.
    Cancel,
    /// It pauses until there is one.
    Pause,
    /// An invoice is made all the same.
    CreateInvoice,
}

/// Whether taxes are in a price.
#[derive(ToSchema)]
#[schema(as = TaxBehavior, rename_all = "snake_case")]
pub enum TaxBehaviorName {
    /// They come on top.
    Exclusive,
    /// They are inside.
    Inclusive,
    /// The Stripe account's default decides.
    Unspecified,
}

/// What a plan costs.
#[derive(Serialize, ToSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
#[schema(as = Pricing)]
pub enum PricingBody {
    /// Nothing; Stripe is never asked.
    Free(FreePricing),
    /// One amount per interval.
    Flat(FlatPricing),
    /// An amount per interval for each seat.
    PerSeat(PerSeatPricing),
}

/// Nothing; Stripe is never asked.
#[derive(Serialize, ToSchema)]
pub struct FreePricing {}

/// One amount per interval.
#[derive(Serialize, ToSchema)]
pub struct FlatPricing {
    /// What it costs.
    price: MoneyBody,
    /// How often.
    interval: IntervalBody,
    /// Days at the start that cost nothing.
    #[schema(required = true)]
    trial: Option<TrialBody>,
    /// Paid once with the first invoice.
    #[schema(required = true)]
    setup_fee: Option<MoneyBody>,
    /// Whether taxes are in the price.
    #[schema(value_type = TaxBehaviorName)]
    tax_behavior: &'static str,
}

/// An amount per interval for each seat; a subscription has a quantity.
#[derive(Serialize, ToSchema)]
pub struct PerSeatPricing {
    /// What one seat costs.
    price: UnitPriceBody,
    /// How often.
    interval: IntervalBody,
    /// Days at the start that cost nothing.
    #[schema(required = true)]
    trial: Option<TrialBody>,
    /// Paid once with the first invoice, whatever the quantity.
    #[schema(required = true)]
    setup_fee: Option<MoneyBody>,
    /// Whether taxes are in the price.
    #[schema(value_type = TaxBehaviorName)]
    tax_behavior: &'static str,
}

/// The price of one unit: one of the two amounts.
#[derive(Serialize, ToSchema)]
#[schema(as = UnitPrice, example = json!({"unit_amount_decimal": "0.003", "currency": "usd"}))]
pub struct UnitPriceBody {
    /// Whole minor units of the currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    amount: Option<i64>,
    /// Minor units with decimals, when it is finer than whole ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit_amount_decimal: Option<String>,
    /// ISO 4217 in lower case.
    #[schema(pattern = "^[a-z]{3}$")]
    currency: String,
}

/// Days at the start that cost nothing.
#[derive(Serialize, ToSchema)]
#[schema(as = Trial)]
pub struct TrialBody {
    /// How many days.
    #[schema(minimum = 1, maximum = 730)]
    days: i64,
    /// Whether it starts only with a payment method at hand.
    requires_payment_method: bool,
    /// What happens at its end without one.
    #[schema(value_type = TrialEndName)]
    end_behavior: &'static str,
}

impl From<&Pricing> for PricingBody {
    fn from(pricing: &Pricing) -> Self {
        match pricing {
            Pricing::Free => Self::Free(FreePricing {}),
            Pricing::Flat { price, terms } => Self::Flat(FlatPricing {
                price: (*price).into(),
                interval: terms.interval.into(),
                trial: terms.trial.map(TrialBody::from),
                setup_fee: setup_fee(terms),
                tax_behavior: terms.tax_behavior.as_str(),
            }),
            Pricing::PerSeat { price, terms } => Self::PerSeat(PerSeatPricing {
                price: (*price).into(),
                interval: terms.interval.into(),
                trial: terms.trial.map(TrialBody::from),
                setup_fee: setup_fee(terms),
                tax_behavior: terms.tax_behavior.as_str(),
            }),
        }
    }
}

fn setup_fee(terms: &Terms) -> Option<MoneyBody> {
    terms.setup_fee.map(MoneyBody::from)
}

impl From<UnitPrice> for UnitPriceBody {
    fn from(price: UnitPrice) -> Self {
        let whole = price.amount.as_minor();
        Self {
            amount: whole,
            unit_amount_decimal: whole.is_none().then(|| price.amount.to_string()),
            currency: price.currency.as_str().to_owned(),
        }
    }
}

impl From<Trial> for TrialBody {
    fn from(trial: Trial) -> Self {
        Self {
            days: trial.days,
            requires_payment_method: trial.requires_payment_method,
            end_behavior: trial.end_behavior.as_str(),
        }
    }
}

/// What a plan is to cost. It is read by [`PricingInput`], whose refusals point at the very field;
/// these types say what it takes.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "model", rename_all = "snake_case")]
#[schema(as = PricingPut)]
pub enum PricingPut {
    /// Nothing; Stripe is never asked.
    Free(FreePricingPut),
    /// One amount per interval.
    Flat(FlatPricingPut),
    /// An amount per interval for each seat.
    PerSeat(PerSeatPricingPut),
}

/// Nothing; Stripe is never asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreePricingPut {}

/// One amount per interval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `PricingInput` reads")]
pub struct FlatPricingPut {
    /// What it costs; more than nothing.
    price: MoneyBody,
    /// How often.
    interval: IntervalBody,
    /// Days at the start that cost nothing.
    #[serde(default)]
    #[schema(required = false)]
    trial: Option<TrialPut>,
    /// Paid once with the first invoice, in the currency of the price.
    #[serde(default)]
    #[schema(required = false)]
    setup_fee: Option<MoneyBody>,
    /// Whether taxes are in the price; `unspecified` when left out.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, value_type = Option<TaxBehaviorName>)]
    tax_behavior: Option<String>,
}

/// An amount per interval for each seat; a subscription has a quantity.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `PricingInput` reads")]
pub struct PerSeatPricingPut {
    /// What one seat costs; more than nothing.
    price: UnitPricePut,
    /// How often.
    interval: IntervalBody,
    /// Days at the start that cost nothing.
    #[serde(default)]
    #[schema(required = false)]
    trial: Option<TrialPut>,
    /// Paid once with the first invoice, in the currency of the price, whatever the quantity.
    #[serde(default)]
    #[schema(required = false)]
    setup_fee: Option<MoneyBody>,
    /// Whether taxes are in the price; `unspecified` when left out.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, value_type = Option<TaxBehaviorName>)]
    tax_behavior: Option<String>,
}

/// The price of one unit: exactly one of the two amounts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UnitPricePut, example = json!({"unit_amount_decimal": "0.003", "currency": "usd"}))]
pub struct UnitPricePut {
    /// Whole minor units of the currency.
    #[serde(default)]
    #[schema(required = false)]
    amount: Option<i64>,
    /// Minor units with at most twelve decimals.
    #[serde(default)]
    #[schema(required = false, pattern = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$")]
    unit_amount_decimal: Option<String>,
    /// ISO 4217 in lower case.
    #[schema(pattern = "^[a-z]{3}$")]
    currency: String,
}

/// Days at the start that cost nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrialPut)]
pub struct TrialPut {
    /// How many days.
    #[schema(minimum = 1, maximum = 730)]
    days: i64,
    /// Whether it starts only with a payment method at hand.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, default = true, value_type = Option<bool>)]
    requires_payment_method: Option<bool>,
    /// What happens at its end without one; `cancel` when left out.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, value_type = Option<TrialEndName>)]
    end_behavior: Option<String>,
}

/// Reads what [`PricingPut`] describes: the fields of all models at once, so that a refusal points at
/// the field and not at the whole.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
pub struct PricingInput {
    model: String,
    #[serde(default, deserialize_with = "present")]
    price: Option<Option<Object<UnitPricePut>>>,
    #[serde(default, deserialize_with = "present")]
    interval: Option<Option<Object<IntervalBody>>>,
    #[serde(default, deserialize_with = "present")]
    trial: Option<Option<Object<TrialPut>>>,
    #[serde(default, deserialize_with = "present")]
    setup_fee: Option<Option<Object<MoneyBody>>>,
    #[serde(default, deserialize_with = "present")]
    tax_behavior: Option<String>,
}

impl From<UnitPricePut> for PriceDraft {
    fn from(price: UnitPricePut) -> Self {
        Self {
            amount: price.amount,
            unit_amount_decimal: price.unit_amount_decimal,
            currency: price.currency,
        }
    }
}

impl From<MoneyBody> for PriceDraft {
    fn from(money: MoneyBody) -> Self {
        Self::whole(money.amount, money.currency)
    }
}

impl From<IntervalBody> for IntervalDraft {
    fn from(interval: IntervalBody) -> Self {
        Self {
            unit: interval.unit,
            count: interval.count,
        }
    }
}

impl From<TrialPut> for TrialDraft {
    fn from(trial: TrialPut) -> Self {
        Self {
            days: trial.days,
            requires_payment_method: trial.requires_payment_method,
            end_behavior: trial.end_behavior,
        }
    }
}

impl From<PricingInput> for PricingDraft {
    fn from(input: PricingInput) -> Self {
        let free = input.model == "free";
        Self {
            price: draft(input.price, free),
            interval: draft(input.interval, free),
            trial: draft(input.trial, free),
            setup_fee: draft(input.setup_fee, free),
            tax_behavior: input.tax_behavior,
            model: input.model,
        }
    }
}

/// What stands in a field. A `null` is nothing, but where the field has no meaning it is one all the
/// same, so that it is refused.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn draft<T, D: From<T> + Default>(field: Option<Option<Object<T>>>, free: bool) -> Option<D> {
    match field {
        Some(Some(Object(value))) => Some(value.into()),
        Some(None) if free => Some(D::default()),
        Some(None) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::currency::Currency;
    use crate::domain::money::UnitAmount;
    use crate::domain::pricing::{IntervalUnit, TaxBehavior, TrialEnd};
    use crate::http::extract::parse_json;

    fn read(json: &Value) -> Result<Pricing, Vec<(String, &'static str)>> {
        let problem = |errors: &[crate::domain::error::FieldError]| {
            let errors = errors.iter();
            errors
                .map(|error| (error.pointer.clone(), error.code.as_str()))
                .collect::<Vec<_>>()
        };
        let input: PricingInput = parse_json(json.to_string().as_bytes())
            .map_err(|error| problem(error.field_errors()))?;
        let mut errors = Vec::new();
        let pricing = PricingDraft::from(input).check("", &mut errors);
        pricing.ok_or_else(|| problem(&errors))
    }

    fn written(pricing: &Pricing) -> Value {
        serde_json::to_value(PricingBody::from(pricing)).unwrap()
    }

    /// Every interval and trial there is, and prices within every currency's limits.
    fn pricings() -> impl Strategy<Value = Pricing> {
        let currencies: Vec<Currency> = Currency::all().collect();
        let interval = (0..IntervalUnit::ALL.len(), 0_i64..10_000).prop_map(|(unit, count)| {
            let unit = IntervalUnit::ALL[unit];
            Interval {
                unit,
                count: 1 + count % unit.max_count(),
            }
        });
        let trial = proptest::option::of((1_i64..=730, any::<bool>(), 0..3_usize).prop_map(
            |(days, requires_payment_method, end)| Trial {
                days,
                requires_payment_method,
                end_behavior: TrialEnd::ALL[end],
            },
        ));
        let parts = (
            0..currencies.len(),
            0..3_usize,
            1_i64..90_000,
            0_u64..1_000_000_000_000,
            interval,
            trial,
            proptest::option::of(1_i64..90_000),
            0..TaxBehavior::ALL.len(),
        );
        parts.prop_map(
            move |(place, model, amount, fraction, interval, trial, fee, tax)| {
                let currency = currencies[place];
                let open = trial.is_some_and(|trial| !trial.requires_payment_method);
                let terms = Terms {
                    interval,
                    trial,
                    setup_fee: fee
                        .filter(|_| !open)
                        .map(|fee| Money::new(fee * currency.step(), currency)),
                    tax_behavior: TaxBehavior::ALL[tax],
                };
                let whole = Money::new(amount * currency.step(), currency);
                match model {
                    0 => Pricing::Free,
                    1 => Pricing::Flat {
                        price: whole,
                        terms,
                    },
                    _ => Pricing::PerSeat {
                        price: if currency.step() == 1 {
                            let text = format!("{amount}.{fraction:012}");
                            UnitPrice {
                                amount: UnitAmount::parse(&text).unwrap(),
                                currency,
                            }
                        } else {
                            UnitPrice::whole(whole).unwrap()
                        },
                        terms,
                    },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_put_back(pricing in pricings()) {
            let shown = written(&pricing);
            prop_assert_eq!(read(&shown), Ok(pricing), "{}", shown);
            // What describes the reading takes it as well.
            prop_assert!(serde_json::from_value::<PricingPut>(shown).is_ok());
        }
    }

    #[test]
    fn amounts_are_shown_as_fine_as_they_are() {
        let price = |text: &str| {
            let price = UnitPrice {
                amount: UnitAmount::parse(text).unwrap(),
                currency: Currency::parse("usd").unwrap(),
            };
            serde_json::to_value(UnitPriceBody::from(price)).unwrap()
        };
        assert_eq!(
            price("0.003"),
            json!({"unit_amount_decimal": "0.003", "currency": "usd"})
        );
        assert_eq!(price("500.0"), json!({"amount": 500, "currency": "usd"}));
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line per refusal")]
    fn refusals_point_at_the_field() {
        let month = json!({"unit": "month", "count": 1});
        let usd = |amount: i64| json!({"amount": amount, "currency": "usd"});
        let cases = [
            (json!({}), "/model", "missing_field"),
            (json!({"model": "metered"}), "/model", "invalid_value"),
            (
                json!({"model": "free", "price": usd(1)}),
                "/price",
                "invalid_value",
            ),
            (
                json!({"model": "free", "trial": null}),
                "/trial",
                "invalid_value",
            ),
            (
                json!({"model": "free", "colour": 1}),
                "/colour",
                "unknown_field",
            ),
            (
                json!({"model": "flat", "interval": month}),
                "/price",
                "missing_field",
            ),
            (
                json!({"model": "flat", "price": null, "interval": month}),
                "/price",
                "missing_field",
            ),
            (
                json!({"model": "flat", "price": usd(1)}),
                "/interval",
                "missing_field",
            ),
            (
                json!({"model": "flat", "price": [5, "usd"], "interval": month}),
                "/price",
                "invalid_type",
            ),
            (
                json!({"model": "flat", "price": usd(0), "interval": month}),
                "/price/amount",
                "invalid_value",
            ),
            (
                json!({"model": "flat", "price": {"amount": "1", "currency": "usd"}, "interval": month}),
                "/price/amount",
                "invalid_type",
            ),
            (
                json!({"model": "flat", "price": {"amount": 1.5, "currency": "usd"}, "interval": month}),
                "/price/amount",
                "invalid_type",
            ),
            (
                json!({"model": "flat", "price": usd(5), "interval": {"unit": "hour", "count": 1}}),
                "/interval/unit",
                "invalid_value",
            ),
            (
                json!({"model": "flat", "price": usd(5), "interval": month, "trial": {"days": 0}}),
                "/trial/days",
                "invalid_value",
            ),
            (
                json!({"model": "flat", "price": usd(5), "interval": month, "tax_behavior": null}),
                "/tax_behavior",
                "invalid_type",
            ),
            (
                json!({
                    "model": "per_seat",
                    "price": {"amount": 5, "unit_amount_decimal": "5", "currency": "usd"},
                    "interval": month,
                }),
                "/price/unit_amount_decimal",
                "invalid_value",
            ),
            (
                json!({
                    "model": "per_seat",
                    "price": {"unit_amount_decimal": "0.0000000000001", "currency": "usd"},
                    "interval": month,
                }),
                "/price/unit_amount_decimal",
                "invalid_value",
            ),
            (
                json!({
                    "model": "per_seat",
                    "price": {"unit_amount_decimal": 0.003, "currency": "usd"},
                    "interval": month,
                }),
                "/price/unit_amount_decimal",
                "invalid_type",
            ),
        ];
        for (json, pointer, code) in cases {
            assert_eq!(read(&json), Err(vec![(pointer.to_owned(), code)]), "{json}");
        }
    }
}
