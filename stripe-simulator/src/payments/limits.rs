//! The smallest and the largest charge per currency.

use crate::currency::Currency;
use crate::front::errors::StripeError;

/// The smallest charge in minor units: <https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts>.
/// A currency without an entry takes any amount above zero.
const MINIMUM: &[(&str, i64)] = &[
    ("usd", 50),
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
];

/// Eight digits, whatever the currency.
const MAXIMUM: i64 = 99_999_999;

/// The smallest amount that can be charged, in minor units.
pub(crate) fn minimum_charge(currency: Currency) -> i64 {
    let found = MINIMUM.iter().find(|(code, _)| *code == currency.code());
    found.map_or(1, |(_, minimum)| *minimum)
}

/// Checks the amount of a payment.
///
/// # Errors
/// `parameter_invalid_integer`, `amount_too_small`, `amount_too_large`.
pub(crate) fn check_charge_amount(
    amount: i64,
    currency: Currency,
    param: &str,
) -> Result<(), StripeError> {
    if amount < 1 {
        return Err(
            StripeError::invalid("This value must be greater than or equal to 1.")
                .code("parameter_invalid_integer")
                .param(param)
                .not_stored(),
        );
    }
    let minimum = minimum_charge(currency);
    if amount < minimum {
        return Err(StripeError::invalid(format!(
            "Amount must be at least {} {}",
            currency.display(minimum),
            currency.code()
        ))
        .code("amount_too_small")
        .param(param));
    }
    if amount > MAXIMUM {
        return Err(StripeError::invalid(format!(
            "Amount must be no more than {}",
            currency.display(MAXIMUM)
        ))
        .code("amount_too_large")
        .param(param));
    }
    Ok(())
}
