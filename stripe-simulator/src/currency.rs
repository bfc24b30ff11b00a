//! A currency as objects hold it.

use std::fmt;

use serde_json::Value;

use crate::engine::currency;
use crate::front::errors::StripeError;

/// A lower-case ISO 4217 code that Stripe supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Currency(&'static str);

impl Currency {
    pub(crate) const USD: Self = Self("usd");

    /// Reads a code in either case.
    ///
    /// # Errors
    /// Stripe's 400 for a code it does not know; `param` is the parameter's full path.
    pub(crate) fn parse(code: &str, param: &str) -> Result<Self, StripeError> {
        let lower = code.to_ascii_lowercase();
        currency::known()
            .find(|known| *known == lower)
            .map(Self)
            .ok_or_else(|| {
                let all: Vec<&str> = currency::known().collect();
                StripeError::invalid(format!(
                    "Invalid currency: {lower}. Stripe currently supports these currencies: {}",
                    all.join(", ")
                ))
                .param(param)
            })
    }

    pub(crate) fn code(self) -> &'static str {
        self.0
    }

    /// An amount of minor units as Stripe's descriptions write it: `$15.00`, `¥500`.
    pub(crate) fn display(self, amount: i64) -> String {
        currency::format(amount, self.0)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<Currency> for Value {
    fn from(currency: Currency) -> Self {
        Self::from(currency.0)
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}
