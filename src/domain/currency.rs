//! Currencies, by Stripe's tables: which there are, how many decimals, which amounts can be charged.
//!
//! Source of every fact here: <https://docs.stripe.com/currencies>. The tables differ from ISO 4217
//! where Stripe does: see [`Currency::decimals`] and [`Currency::step`].

use std::fmt;

/// The currencies that Stripe takes, sorted. Currencies that were withdrawn and are only read in old
/// objects are left out.
const CODES: &[&str] = &[
    "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt",
    "bgn", "bhd", "bif", "bmd", "bnd", "bob", "brl", "bsd", "btn", "bwp", "byn", "bzd", "cad",
    "cdf", "chf", "clp", "cny", "cop", "crc", "cve", "czk", "djf", "dkk", "dop", "dzd", "egp",
    "etb", "eur", "fjd", "fkp", "gbp", "gel", "ghs", "gip", "gmd", "gnf", "gtq", "gyd", "hkd",
    "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "jod", "jpy", "kes", "kgs", "khr",
    "kmf", "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mga",
    "mkd", "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio",
    "nok", "npr", "nzd", "omr", "pab", "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron",
    "rsd", "rub", "rwf", "sar", "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std",
    "szl", "thb", "tjs", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx", "usd", "uyu",
    "uzs", "vnd", "vuv", "wst", "xaf", "xcd", "xcg", "xof", "xpf", "yer", "zar", "zmw",
];

/// A currency that Stripe takes: its ISO 4217 code in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(&'static str);

impl Currency {
    /// Reads a code in lower case, as it stands in the API; `None` when it is not one of Stripe's.
    pub fn parse(code: &str) -> Option<Self> {
        let place = CODES.binary_search(&code).ok()?;
        CODES.get(place).copied().map(Self)
    }

    /// Every currency there is.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.iter().copied().map(Self)
    }

    /// The code in lower case.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// How many decimals the major unit has in Stripe's amounts: 0, 2 or 3.
    ///
    /// The Icelandic króna and the Ugandan shilling have none by ISO 4217, yet Stripe wants two, for
    /// backward compatibility: 5 ISK are `500`. The forint and the New Taiwan dollar have two in
    /// charges; that Stripe pays them out whole is no concern of prices.
    pub fn decimals(self) -> u32 {
        match self.0 {
            "bif" | "clp" | "djf" | "gnf" | "jpy" | "kmf" | "krw" | "mga" | "pyg" | "rwf"
            | "vnd" | "vuv" | "xaf" | "xof" | "xpf" => 0,
            "bhd" | "jod" | "kwd" | "omr" | "tnd" => 3,
            _ => 2,
        }
    }

    /// What every charged amount must be a multiple of, in minor units. Three-decimal currencies
    /// must end in 0, and of the króna and the shilling fractions cannot be charged.
    pub fn step(self) -> i64 {
        match self.0 {
            "isk" | "ugx" => 100,
            _ if self.decimals() == 3 => 10,
            _ => 1,
        }
    }

    /// The least Stripe charges, in minor units, when this is the currency it settles in. What is
    /// owed below it is carried over to the next invoice, so it is no limit on a price.
    pub fn minimum_charge(self) -> i64 {
        match self.0 {
            "usd" | "aud" | "brl" | "cad" | "chf" | "eur" | "inr" | "jpy" | "nzd" | "sgd" => 50,
            "gbp" => 30,
            "bgn" => 100,
            "aed" | "myr" | "pln" | "ron" => 200,
            "dkk" => 250,
            "nok" | "sek" => 300,
            "hkd" => 400,
            "mxn" | "thb" => 1_000,
            "czk" => 1_500,
            "huf" => 17_500,
            _ => self.step(),
        }
    }

    /// The most Stripe charges at once, in minor units: eight digits, more for a few currencies.
    /// Where Stripe's page gives two figures that disagree, this is the smaller.
    pub fn maximum_charge(self) -> i64 {
        match self.0 {
            "idr" => 999_999_999_999,
            "inr" => 999_999_999,
            "jpy" => 9_999_999_999,
            "cop" => 999_999_999_990,
            "huf" => 999_999_999_900,
            "lbp" => 99_999_999_999_900,
            // The largest multiple of the step below the limit of eight digits.
            _ => 99_999_999 - 99_999_999 % self.step(),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_each_code_is_found() {
        assert!(CODES.is_sorted_by(|a, b| a < b));
        for own in Currency::all() {
            assert_eq!(Currency::parse(own.as_str()), Some(own));
            assert!(own.as_str().bytes().all(|b| b.is_ascii_lowercase()));
            assert_eq!(own.as_str().len(), 3);
        }
        for foreign in ["", "us", "USD", "usd ", "xyz", "usdc", "hrk"] {
            assert_eq!(Currency::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn decimals_are_stripes_and_not_the_standards() {
        let cases = [
            ("usd", 2, 1),
            ("jpy", 0, 1),
            ("krw", 0, 1),
            ("xpf", 0, 1),
            ("bhd", 3, 10),
            ("jod", 3, 10),
            ("kwd", 3, 10),
            ("omr", 3, 10),
            ("tnd", 3, 10),
            ("isk", 2, 100),
            ("ugx", 2, 100),
            ("huf", 2, 1),
            ("twd", 2, 1),
        ];
        for (code, decimals, step) in cases {
            assert_eq!(currency(code).decimals(), decimals, "{code}");
            assert_eq!(currency(code).step(), step, "{code}");
        }
        let of = |wanted| {
            Currency::all()
                .filter(|own| own.decimals() == wanted)
                .count()
        };
        assert_eq!((of(0), of(3)), (15, 5));
    }

    #[test]
    fn limits_can_be_charged_themselves() {
        for own in Currency::all() {
            assert!(own.minimum_charge() > 0 && own.minimum_charge() < own.maximum_charge());
            assert_eq!(own.minimum_charge() % own.step(), 0, "{own}");
            assert_eq!(own.maximum_charge() % own.step(), 0, "{own}");
        }
        assert_eq!(currency("usd").maximum_charge(), 99_999_999);
        assert_eq!(currency("kwd").maximum_charge(), 99_999_990);
        assert_eq!(currency("isk").maximum_charge(), 99_999_900);
        assert_eq!(currency("idr").maximum_charge(), 999_999_999_999);
    }
}
