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
    let input: PricingInput =
        parse_json(json.to_string().as_bytes()).map_err(|error| problem(error.field_errors()))?;
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
