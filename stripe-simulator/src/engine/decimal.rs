//! Exact decimal amounts with twelve places, as Stripe's `unit_amount_decimal` allows.

use std::fmt;

/// How many places after the point a [`Decimal`] keeps.
pub(crate) const PLACES: usize = 12;
const SCALE: i128 = 1_000_000_000_000;

/// A fixed-point number: twelve decimal places over a 128-bit integer.
///
/// Used for unit prices in minor units (`"0.003"` is three thousandths of a cent), for percentages
/// and for quantities that need not be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Decimal(i128);

/// Why a text is no [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseDecimalError {
    /// Empty, or holds something other than digits, one point and a leading sign.
    Malformed,
    /// More than twelve places after the point.
    TooPrecise,
    /// More digits before the point than an amount may have.
    TooLarge,
}

impl fmt::Display for ParseDecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a decimal number",
            Self::TooPrecise => "more than 12 decimal places",
            Self::TooLarge => "too many digits",
        })
    }
}

impl std::error::Error for ParseDecimalError {}

impl Decimal {
    /// Nothing at all.
    pub(crate) const ZERO: Self = Self(0);
    /// One whole unit.
    pub(crate) const ONE: Self = Self(SCALE);

    /// A whole number of units.
    pub(crate) const fn from_int(value: i64) -> Self {
        // A 64-bit integer times 10^12 stays below 2^103.
        #[expect(clippy::as_conversions, reason = "i128::from is not const")]
        Self(value as i128 * SCALE)
    }

    /// Whether this is exactly zero.
    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether this is below zero.
    pub(crate) const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Reads `[-]digits[.digits]`.
    ///
    /// # Errors
    /// [`ParseDecimalError`] names what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, ParseDecimalError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let only_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let empty = whole.is_empty() && fraction.is_empty();
        if empty || digits.ends_with('.') || !only_digits(whole) || !only_digits(fraction) {
            return Err(ParseDecimalError::Malformed);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > PLACES {
            return Err(ParseDecimalError::TooPrecise);
        }
        if whole.len() > 18 {
            return Err(ParseDecimalError::TooLarge);
        }
        let value = whole
            .bytes()
            .chain(format!("{fraction:0<PLACES$}").bytes())
            .fold(0_i128, |sum, digit| {
                sum * 10 + i128::from(digit.saturating_sub(b'0'))
            });
        Ok(Self(if negative { -value } else { value }))
    }

    /// The sum, or the largest representable value.
    #[must_use]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or the smallest representable value.
    #[must_use]
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This many times a whole number.
    #[must_use]
    pub(crate) fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(i128::from(factor)))
    }

    /// `self × numerator ÷ denominator`, half a last place away from zero; zero for a zero
    /// denominator.
    #[must_use]
    pub(crate) fn fraction(self, numerator: i64, denominator: i64) -> Self {
        Self(mul_div(
            self.0,
            i128::from(numerator),
            i128::from(denominator),
        ))
    }

    /// The product of two decimals, half a last place away from zero.
    #[must_use]
    pub(crate) fn times_decimal(self, other: Self) -> Self {
        Self(mul_div(self.0, other.0, SCALE))
    }

    /// `self ÷ other`, half a last place away from zero; zero when `other` is zero.
    #[must_use]
    pub(crate) fn over(self, other: Self) -> Self {
        Self(mul_div(self.0, SCALE, other.0))
    }

    /// This many percent of `of`.
    #[must_use]
    pub(crate) fn percent_of(self, of: Self) -> Self {
        Self(mul_div(of.0, self.0, SCALE.saturating_mul(100)))
    }

    /// The nearest whole number, halves away from zero: Stripe's rounding of an invoice line.
    pub(crate) fn round(self) -> i64 {
        clamp(div_round(self.0, SCALE))
    }

    /// The whole number at or below.
    pub(crate) fn floor(self) -> i64 {
        clamp(self.0.div_euclid(SCALE))
    }

    /// The whole number, if there is nothing after the point.
    pub(crate) fn to_int(self) -> Option<i64> {
        (self.0 % SCALE == 0).then(|| clamp(self.0 / SCALE))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        let scale = SCALE.unsigned_abs();
        let (whole, fraction) = (size / scale, size % scale);
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let places = format!("{fraction:0PLACES$}");
        write!(f, "{sign}{whole}.{}", places.trim_end_matches('0'))
    }
}

/// `value × numerator ÷ denominator` rounded half away from zero.
fn mul_div(value: i128, numerator: i128, denominator: i128) -> i128 {
    if denominator == 0 {
        return 0;
    }
    if let Some(product) = value.checked_mul(numerator) {
        return div_round(product, denominator);
    }
    // Too wide for one product: split off the whole part first, its remainder is smaller than the
    // denominator.
    let whole = (value / denominator).saturating_mul(numerator);
    let rest = (value % denominator).saturating_mul(numerator);
    whole.saturating_add(div_round(rest, denominator))
}

/// Division rounded half away from zero; `denominator` is not zero.
fn div_round(value: i128, denominator: i128) -> i128 {
    let quotient = value / denominator;
    let rest = (value % denominator).unsigned_abs();
    if rest.saturating_mul(2) >= denominator.unsigned_abs() {
        quotient
            + if (value < 0) == (denominator < 0) {
                1
            } else {
                -1
            }
    } else {
        quotient
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_what_stripe_accepts_and_names_what_is_wrong() {
        for (text, shown) in [
            ("0", "0"),
            ("1500", "1500"),
            ("0.003", "0.003"),
            ("0.000000000001", "0.000000000001"),
            ("12.500", "12.5"),
            ("-3.25", "-3.25"),
            (".5", "0.5"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), shown);
        }
        for (text, error) in [
            ("", ParseDecimalError::Malformed),
            ("1.", ParseDecimalError::Malformed),
            ("1e3", ParseDecimalError::Malformed),
            ("--1", ParseDecimalError::Malformed),
            ("1.2.3", ParseDecimalError::Malformed),
            ("0.0000000000001", ParseDecimalError::TooPrecise),
            ("1234567890123456789", ParseDecimalError::TooLarge),
        ] {
            assert_eq!(Decimal::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn rounds_halves_away_from_zero() {
        for (text, rounded) in [
            ("0.5", 1),
            ("-0.5", -1),
            ("0.49", 0),
            ("2.5", 3),
            ("-2.4", -2),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().round(), rounded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(raw in -1_000_000_000_000_000_000_000_i128..1_000_000_000_000_000_000_000) {
            let value = Decimal(raw);
            prop_assert_eq!(Decimal::parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn sub_cent_prices_times_quantity_are_exact(thousandths in 1_i64..1_000_000, quantity in 1_i64..1_000_000) {
            let unit = Decimal::parse(&format!("{}.{:03}", thousandths / 1000, thousandths % 1000)).unwrap();
            prop_assert_eq!(unit.times(quantity).times(1000), Decimal::from_int(thousandths * quantity));
        }

        #[test]
        fn rounding_is_symmetric(raw in -1_000_000_000_000_i64..1_000_000_000_000, num in 0_i64..10_000, den in 1_i64..10_000) {
            let value = Decimal::from_int(raw).fraction(1, 7);
            prop_assert_eq!(value.fraction(num, den).round(), -Decimal::ZERO.minus(value).fraction(num, den).round());
        }
    }
}
