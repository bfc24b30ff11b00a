//! Exact money: whole minor units, and unit prices with up to twelve decimals below them.
//!
//! Nothing here rounds. What cannot be held exactly is an error, and so is an overflow.

use std::fmt;

use super::currency::Currency;

/// Decimals below the minor unit that Stripe takes in `unit_amount_decimal`
/// (<https://docs.stripe.com/api/prices/create#create_price-unit_amount_decimal>).
pub const UNIT_AMOUNT_DECIMALS: u32 = 12;

/// Digits before the point that are read at all: more than any amount Stripe charges has, and few
/// enough that no product with a power of ten used here leaves an `i128`.
const MAX_WHOLE_DIGITS: usize = 18;

/// One minor unit as [`UnitAmount`] holds it.
const ONE_MINOR: i128 = 1_000_000_000_000;

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountError {
    /// Not digits with at most one point between them: a sign, an exponent, a group separator.
    Malformed,
    /// More decimals than can be held; it would have to be rounded.
    TooPrecise,
    /// Stripe cannot charge it exactly: see [`Currency::step`].
    NotChargeable,
    /// Beyond every limit.
    TooLarge,
}

impl AmountError {
    /// The reason for people, the value left out.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => {
                "Must be digits, with one point at most: no sign, exponent or separator."
            }
            Self::TooPrecise => "Has more decimals than can be held; it would be rounded.",
            Self::NotChargeable => {
                "Is finer than what can be charged in this currency; it would be rounded."
            }
            Self::TooLarge => "Is larger than any amount that can be charged.",
        }
    }
}

/// An amount in whole minor units.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units of the currency, as Stripe counts them.
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// So many minor units.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Reads major units, such as `9.99`, without rounding. Zeros at the end change nothing.
    pub fn from_major(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let minor = Digits::read(text)?.scaled(currency.decimals())?;
        let amount = i64::try_from(minor).map_err(|_| AmountError::TooLarge)?;
        if amount % currency.step() == 0 {
            Ok(Self { amount, currency })
        } else {
            Err(AmountError::NotChargeable)
        }
    }

    /// The amount in major units with all decimals of the currency, such as `9.90`.
    pub fn to_major(self) -> String {
        let sign = if self.amount < 0 { "-" } else { "" };
        let digits = self.amount.unsigned_abs().to_string();
        let places = usize::try_from(self.currency.decimals()).unwrap_or_default();
        let padded = format!("{digits:0>width$}", width = places.saturating_add(1));
        match padded.split_at_checked(padded.len().saturating_sub(places)) {
            Some((whole, fraction)) if places > 0 => format!("{sign}{whole}.{fraction}"),
            _ => format!("{sign}{digits}"),
        }
    }

    /// The sum; `None` when the currencies differ or it overflows.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| self.amount.checked_add(other.amount))
            .flatten()
            .map(|amount| Self { amount, ..self })
    }

    /// The difference; `None` when the currencies differ or it overflows.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| self.amount.checked_sub(other.amount))
            .flatten()
            .map(|amount| Self { amount, ..self })
    }

    /// So many times the amount; `None` when it overflows.
    pub fn checked_mul(self, factor: i64) -> Option<Self> {
        self.amount
            .checked_mul(factor)
            .map(|amount| Self { amount, ..self })
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.to_major(), self.currency)
    }
}

/// A unit price in minor units, exact to twelve decimals, never negative. Equal amounts are equal
/// however they were written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitAmount(i128);

impl UnitAmount {
    /// Reads minor units, such as `0.003`.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        Digits::read(text)?.scaled(UNIT_AMOUNT_DECIMALS).map(Self)
    }

    /// Reads major units, such as `0.00003`, without rounding.
    pub fn from_major(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let places = UNIT_AMOUNT_DECIMALS.saturating_add(currency.decimals());
        Digits::read(text)?.scaled(places).map(Self)
    }

    /// Whole minor units; `None` when negative.
    pub fn from_minor(amount: i64) -> Option<Self> {
        (amount >= 0)
            .then(|| i128::from(amount).checked_mul(ONE_MINOR))
            .flatten()
            .map(Self)
    }

    /// The amount in whole minor units; `None` when it is finer than that.
    pub fn as_minor(self) -> Option<i64> {
        (self.0 % ONE_MINOR == 0)
            .then(|| i64::try_from(self.0 / ONE_MINOR).ok())
            .flatten()
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is at most so many minor units.
    pub fn is_at_most(self, minor: i64) -> bool {
        Self::from_minor(minor).is_some_and(|limit| self <= limit)
    }

    /// Whether Stripe charges any number of it without rounding below [`Currency::step`].
    pub fn fits_step(self, currency: Currency) -> bool {
        currency.step() == 1
            || self
                .as_minor()
                .is_some_and(|minor| minor % currency.step() == 0)
    }

    /// So many times the amount, exact; `None` when it overflows or the factor is negative.
    pub fn checked_mul(self, factor: i64) -> Option<Self> {
        (factor >= 0)
            .then(|| self.0.checked_mul(i128::from(factor)))
            .flatten()
            .map(Self)
    }

    /// The amount in major units, in the shortest form, such as `0.00003`.
    pub fn to_major(self, currency: Currency) -> String {
        self.write(UNIT_AMOUNT_DECIMALS.saturating_add(currency.decimals()))
    }

    fn write(self, places: u32) -> String {
        let places = usize::try_from(places).unwrap_or_default();
        let digits = format!("{:0>width$}", self.0, width = places.saturating_add(1));
        let (whole, fraction) = digits
            .split_at_checked(digits.len().saturating_sub(places))
            .unwrap_or((&digits, ""));
        match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

/// Minor units in the shortest form, such as `0.003`: what Stripe takes as `unit_amount_decimal`.
impl fmt::Display for UnitAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.write(UNIT_AMOUNT_DECIMALS))
    }
}

impl fmt::Debug for UnitAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The digits of a plain decimal, before and after the point.
struct Digits<'a> {
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Digits<'a> {
    /// Splits `12.50`. A zero in front of other digits is refused as well, since some readers take
    /// `010` for eight.
    fn read(text: &'a str) -> Result<Self, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(AmountError::Malformed),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let padded = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || padded || !digits(whole) || !digits(fraction) {
            return Err(AmountError::Malformed);
        }
        if whole.len() > MAX_WHOLE_DIGITS {
            return Err(AmountError::TooLarge);
        }
        Ok(Self {
            whole,
            fraction: fraction.trim_end_matches('0'),
        })
    }

    /// The number times ten to the power of `places`, which must be whole.
    fn scaled(&self, places: u32) -> Result<i128, AmountError> {
        let written = u32::try_from(self.fraction.len()).map_err(|_| AmountError::TooPrecise)?;
        let missing = places.checked_sub(written).ok_or(AmountError::TooPrecise)?;
        let mut value: i128 = 0;
        for byte in self.whole.bytes().chain(self.fraction.bytes()) {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(i128::from(byte.saturating_sub(b'0'))))
                .ok_or(AmountError::TooLarge)?;
        }
        10_i128
            .checked_pow(missing)
            .and_then(|power| value.checked_mul(power))
            .ok_or(AmountError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn every_cent_below_a_thousand_round_trips_in_every_kind_of_currency() {
        for cents in 1..=99_999_i64 {
            let text = format!("{}.{:02}", cents / 100, cents % 100);
            let usd = Money::from_major(&text, currency("usd")).unwrap();
            assert_eq!((usd.amount, usd.to_major()), (cents, text.clone()));
            let kwd = Money::from_major(&text, currency("kwd")).unwrap();
            assert_eq!((kwd.amount, kwd.to_major()), (cents * 10, text + "0"));
            let jpy = Money::from_major(&cents.to_string(), currency("jpy")).unwrap();
            assert_eq!((jpy.amount, jpy.to_major()), (cents, cents.to_string()));
        }
    }

    #[test]
    fn what_would_be_rounded_is_refused() {
        use AmountError::{Malformed, NotChargeable, TooLarge, TooPrecise};
        let cases = [
            ("usd", "9.999", TooPrecise),
            ("usd", "0.001", TooPrecise),
            ("jpy", "1.5", TooPrecise),
            ("kwd", "1.2345", TooPrecise),
            ("kwd", "1.234", NotChargeable),
            ("isk", "5.50", NotChargeable),
            ("ugx", "0.01", NotChargeable),
            ("usd", "99999999999999999999", TooLarge),
            ("usd", "999999999999999999", TooLarge),
        ];
        for (code, text, error) in cases {
            assert_eq!(
                Money::from_major(text, currency(code)),
                Err(error),
                "{text} {code}"
            );
        }
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "1_000", "010", "0x10", " 1", "1.2.3",
            "٣", "NaN", "inf",
        ] {
            assert_eq!(
                Money::from_major(text, currency("usd")),
                Err(Malformed),
                "{text}"
            );
            assert_eq!(UnitAmount::parse(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_not_precision() {
        for (code, text, amount) in [
            ("usd", "10.0000", 1000),
            ("usd", "0", 0),
            ("jpy", "500.00", 500),
            ("isk", "5", 500),
            ("kwd", "1.230", 1230),
        ] {
            let read = Money::from_major(text, currency(code)).unwrap();
            assert_eq!(read.amount, amount, "{text} {code}");
        }
        assert_eq!(Money::new(-5, currency("usd")).to_major(), "-0.05");
        assert_eq!(Money::new(-5, currency("jpy")).to_major(), "-5");
    }

    #[test]
    fn unit_prices_below_a_cent_survive() {
        let usd = currency("usd");
        for (major, minor) in [
            ("0.001", "0.1"),
            ("0.00003", "0.003"),
            ("0.00000000000001", "0.000000000001"),
            ("12.5", "1250"),
        ] {
            let read = UnitAmount::from_major(major, usd).unwrap();
            assert_eq!(read.to_string(), minor);
            assert_eq!(read.to_major(usd), major);
            assert_eq!(UnitAmount::parse(minor), Ok(read));
        }
        assert_eq!(UnitAmount::parse("0.50000").unwrap().to_string(), "0.5");
        assert_eq!(
            UnitAmount::parse("0.0000000000001"),
            Err(AmountError::TooPrecise)
        );
        assert_eq!(
            UnitAmount::parse("5"),
            Ok(UnitAmount::from_minor(5).unwrap())
        );
        assert_eq!(UnitAmount::parse("5.0").unwrap().as_minor(), Some(5));
        assert_eq!(UnitAmount::parse("0.5").unwrap().as_minor(), None);
        assert_eq!(UnitAmount::from_minor(-1), None);
    }

    #[test]
    fn arithmetic_is_checked() {
        let usd = |amount| Money::new(amount, currency("usd"));
        let eur = Money::new(1, currency("eur"));
        assert_eq!(usd(1).checked_add(usd(2)), Some(usd(3)));
        assert_eq!(usd(1).checked_sub(usd(2)), Some(usd(-1)));
        assert_eq!(usd(3).checked_mul(4), Some(usd(12)));
        assert_eq!(usd(1).checked_add(eur), None);
        assert_eq!(usd(1).checked_sub(eur), None);
        assert_eq!(usd(i64::MAX).checked_add(usd(1)), None);
        assert_eq!(usd(i64::MIN).checked_sub(usd(1)), None);
        assert_eq!(usd(i64::MAX).checked_mul(2), None);
        let half = UnitAmount::parse("0.5").unwrap();
        assert_eq!(half.checked_mul(3).unwrap().to_string(), "1.5");
        assert_eq!(half.checked_mul(-1), None);
        let huge = UnitAmount::parse("999999999999999999").unwrap();
        assert_eq!(huge.checked_mul(i64::MAX), None);
    }

    proptest! {
        #[test]
        fn money_round_trips(amount in 0_i64..=99_999_999, place in 0_usize..1000) {
            let all: Vec<_> = Currency::all().collect();
            let own = all[place % all.len()];
            let money = Money::new(amount - amount % own.step(), own);
            prop_assert_eq!(Money::from_major(&money.to_major(), own), Ok(money));
        }

        #[test]
        fn unit_amounts_round_trip(whole in 0_u64..=99_999_999, fraction in 0_u64..1_000_000_000_000) {
            let text = format!("{whole}.{fraction:012}");
            let read = UnitAmount::parse(&text).unwrap();
            let printed = read.to_string();
            prop_assert_eq!(UnitAmount::parse(&printed), Ok(read));
            prop_assert!(!printed.contains('.') || !printed.ends_with(['.', '0']));
            for code in ["usd", "jpy", "kwd"] {
                let own = currency(code);
                prop_assert_eq!(UnitAmount::from_major(&read.to_major(own), own), Ok(read));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = UnitAmount::parse(&text);
            let _ = Money::from_major(&text, currency("usd"));
        }
    }
}
