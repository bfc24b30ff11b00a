//! Currencies: how many minor units make a major one, and how Stripe writes amounts in text.

use super::decimal::Decimal;

/// Currencies without a minor unit (docs.stripe.com/currencies#zero-decimal).
const ZERO_DECIMAL: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];

/// Currencies with a thousandth as minor unit (docs.stripe.com/currencies#three-decimal).
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// Other presentment currencies that Stripe takes (docs.stripe.com/currencies).
const TWO_DECIMAL: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob \
    brl bsd bwp byn bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip \
    gmd gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad \
    mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar \
    ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs \
    wst xcd xcg yer zar zmw usdc btn ghs eek lvl svc vef ltl";

/// Every currency that Stripe takes, in lower case.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    let two = TWO_DECIMAL.split_whitespace();
    two.chain(ZERO_DECIMAL).chain(THREE_DECIMAL)
}

/// How many decimal places the major unit has: 0, 2 or 3.
pub(crate) fn places(code: &str) -> usize {
    if ZERO_DECIMAL.contains(&code) {
        0
    } else if THREE_DECIMAL.contains(&code) {
        3
    } else {
        2
    }
}

/// The least that Stripe charges in a currency, in minor units
/// (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
pub(crate) fn minimum_charge(code: &str) -> i64 {
    match code {
        "gbp" => 30,
        "aed" | "myr" | "pln" | "ron" => 200,
        "bgn" => 100,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1000,
        "czk" => 1500,
        "huf" => 17_500,
        _ => 50,
    }
}

/// An amount in minor units as Stripe writes it in a line's description: `$20.00`, `¥500`.
pub(crate) fn format(minor: i64, code: &str) -> String {
    format_decimal(Decimal::from_int(minor), code)
}

/// The same for an amount finer than the minor unit: `$0.00003`.
pub(crate) fn format_decimal(minor: Decimal, code: &str) -> String {
    let places = places(code);
    let divisor = (0..places).fold(1, |power, _| power * 10);
    let major = minor.fraction(1, divisor).to_string();
    let sign = if major.starts_with('-') { "-" } else { "" };
    let digits = major.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = group_thousands(whole);
    let symbol = symbol(code);
    if places == 0 && fraction.is_empty() {
        return format!("{sign}{symbol}{whole}");
    }
    format!("{sign}{symbol}{whole}.{fraction:0<places$}")
}

fn symbol(code: &str) -> String {
    match code {
        "usd" => "$".to_owned(),
        "eur" => "€".to_owned(),
        "gbp" => "£".to_owned(),
        "jpy" => "¥".to_owned(),
        "inr" => "₹".to_owned(),
        "krw" => "₩".to_owned(),
        "cad" => "CA$".to_owned(),
        "aud" => "A$".to_owned(),
        other => format!("{} ", other.to_uppercase()),
    }
}

fn group_thousands(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_currencys_own_places() {
        for (minor, code, text) in [
            (2000, "usd", "$20.00"),
            (1, "usd", "$0.01"),
            (-123_456_789, "usd", "-$1,234,567.89"),
            (500, "jpy", "¥500"),
            (1500, "kwd", "KWD 1.500"),
            (99_999, "eur", "€999.99"),
        ] {
            assert_eq!(format(minor, code), text);
        }
        assert_eq!(
            format_decimal(Decimal::parse("0.003").unwrap(), "usd"),
            "$0.00003"
        );
    }

    #[test]
    fn every_cent_below_a_thousand_round_trips_through_its_text() {
        for minor in 1..=99_999_i64 {
            for (code, places) in [("usd", 2), ("jpy", 0), ("kwd", 3)] {
                let digits: String = format(minor, code)
                    .chars()
                    .filter(char::is_ascii_digit)
                    .collect();
                assert_eq!(
                    digits.parse::<i64>().unwrap(),
                    minor,
                    "{code} with {places} places"
                );
            }
        }
    }

    #[test]
    fn known_currencies() {
        let is_known = |code: &str| known().any(|own| own == code);
        assert!(is_known("usd") && is_known("jpy") && is_known("bhd"));
        assert!(!is_known("xyz") && !is_known("USD") && !is_known(""));
    }
}
