//! How a pricing is stored: as JSON, read back through no rule, since what is stored was checked.

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::currency::Currency;
use crate::domain::money::{Money, UnitAmount};
use crate::domain::pricing::{
    Interval, IntervalUnit, Pricing, TaxBehavior, Terms, Trial, TrialEnd, UnitPrice,
};

#[derive(Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
enum StoredPricing {
    Free,
    Flat(StoredPaid),
    PerSeat(StoredPaid),
}

#[derive(Serialize, Deserialize)]
struct StoredPaid {
    /// Minor units; a price per seat may have decimals.
    amount: String,
    currency: String,
    unit: String,
    count: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trial: Option<StoredTrial>,
    /// Whole minor units of the same currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    setup_fee: Option<i64>,
    tax_behavior: String,
}

#[derive(Serialize, Deserialize)]
struct StoredTrial {
    days: i64,
    requires_payment_method: bool,
    end_behavior: String,
}

/// A pricing as it is stored.
pub(super) fn write(pricing: &Pricing) -> Result<String, StoreError> {
    let stored = match pricing {
        Pricing::Free => StoredPricing::Free,
        Pricing::Flat { price, terms } => {
            StoredPricing::Flat(paid(price.amount.to_string(), price.currency, terms))
        }
        Pricing::PerSeat { price, terms } => {
            StoredPricing::PerSeat(paid(price.amount.to_string(), price.currency, terms))
        }
    };
    serde_json::to_string(&stored).map_err(|error| StoreError::Other(error.to_string()))
}

fn paid(amount: String, currency: Currency, terms: &Terms) -> StoredPaid {
    StoredPaid {
        amount,
        currency: currency.as_str().to_owned(),
        unit: terms.interval.unit.as_str().to_owned(),
        count: terms.interval.count,
        trial: terms.trial.map(|trial| StoredTrial {
            days: trial.days,
            requires_payment_method: trial.requires_payment_method,
            end_behavior: trial.end_behavior.as_str().to_owned(),
        }),
        setup_fee: terms.setup_fee.map(|fee| fee.amount),
        tax_behavior: terms.tax_behavior.as_str().to_owned(),
    }
}

/// Reads what [`write`] gives.
pub(super) fn read(text: &str) -> Result<Pricing, StoreError> {
    serde_json::from_str(text)
        .ok()
        .and_then(understood)
        .ok_or_else(|| StoreError::corrupt("plan_revisions.pricing"))
}

fn understood(stored: StoredPricing) -> Option<Pricing> {
    match stored {
        StoredPricing::Free => Some(Pricing::Free),
        StoredPricing::Flat(paid) => {
            let currency = Currency::parse(&paid.currency)?;
            let amount = paid.amount.parse().ok()?;
            let terms = terms(&paid, currency)?;
            Some(Pricing::Flat {
                price: Money::new(amount, currency),
                terms,
            })
        }
        StoredPricing::PerSeat(paid) => {
            let currency = Currency::parse(&paid.currency)?;
            let amount = UnitAmount::parse(&paid.amount).ok()?;
            let terms = terms(&paid, currency)?;
            Some(Pricing::PerSeat {
                price: UnitPrice { amount, currency },
                terms,
            })
        }
    }
}

fn terms(paid: &StoredPaid, currency: Currency) -> Option<Terms> {
    let trial = match &paid.trial {
        None => None,
        Some(trial) => Some(Trial {
            days: trial.days,
            requires_payment_method: trial.requires_payment_method,
            end_behavior: TrialEnd::parse(&trial.end_behavior)?,
        }),
    };
    Some(Terms {
        interval: Interval {
            unit: IntervalUnit::parse(&paid.unit)?,
            count: paid.count,
        },
        trial,
        setup_fee: paid.setup_fee.map(|fee| Money::new(fee, currency)),
        tax_behavior: TaxBehavior::parse(&paid.tax_behavior)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(setup_fee: Option<i64>, trial: bool) -> Terms {
        let usd = Currency::parse("usd").unwrap();
        Terms {
            interval: Interval {
                unit: IntervalUnit::Week,
                count: 2,
            },
            trial: trial.then_some(Trial {
                days: 14,
                requires_payment_method: false,
                end_behavior: TrialEnd::Pause,
            }),
            setup_fee: setup_fee.map(|fee| Money::new(fee, usd)),
            tax_behavior: TaxBehavior::Inclusive,
        }
    }

    #[test]
    fn every_model_is_read_as_it_was_written() {
        let usd = Currency::parse("usd").unwrap();
        let seat = |text| UnitPrice {
            amount: UnitAmount::parse(text).unwrap(),
            currency: usd,
        };
        for pricing in [
            Pricing::Free,
            Pricing::Flat {
                price: Money::new(1500, usd),
                terms: terms(Some(100), false),
            },
            Pricing::PerSeat {
                price: seat("0.003"),
                terms: terms(None, true),
            },
            Pricing::PerSeat {
                price: seat("700"),
                terms: terms(None, false),
            },
        ] {
            assert_eq!(read(&write(&pricing).unwrap()).unwrap(), pricing);
        }
    }

    #[test]
    fn a_damaged_pricing_is_an_error() {
        for text in [
            "",
            "{}",
            r#"{"model":"metered"}"#,
            r#"{"model":"flat","amount":"1.5","currency":"usd","unit":"month","count":1,"tax_behavior":"unspecified"}"#,
            r#"{"model":"flat","amount":"1","currency":"xxx","unit":"month","count":1,"tax_behavior":"unspecified"}"#,
            r#"{"model":"flat","amount":"1","currency":"usd","unit":"hour","count":1,"tax_behavior":"unspecified"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
