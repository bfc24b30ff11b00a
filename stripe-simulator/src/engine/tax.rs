//! Taxes: rates inside or on top of a line's amount, and the fixed table of automatic tax.

use super::decimal::Decimal;

/// A tax rate as far as arithmetic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Percent, at most four places.
    pub(crate) percent: Decimal,
    /// Whether the line's amount already holds the tax.
    pub(crate) inclusive: bool,
}

/// One rate's tax on one line, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tax {
    /// The tax.
    pub(crate) amount: i64,
    /// What it was reckoned on: the amount without any inclusive tax.
    pub(crate) taxable: i64,
}

/// The taxes on a line's amount (after discounts), one per rate in the same order.
///
/// Several inclusive rates share what they are inside of; exclusive rates are reckoned on the
/// amount without the inclusive tax (Stripe docs, "Tax rates", on inclusive and exclusive tax).
pub(crate) fn on_line(amount: i64, rates: &[Rate]) -> Vec<Tax> {
    let inside = rates
        .iter()
        .filter(|rate| rate.inclusive)
        .fold(Decimal::ZERO, |sum, rate| sum.plus(rate.percent));
    let divisor = Decimal::from_int(100).plus(inside);
    let exact = Decimal::from_int(amount);
    let inclusive_tax = |rate: &Rate| exact.times_decimal(rate.percent).over(divisor).round();
    let held: i64 = rates
        .iter()
        .filter(|rate| rate.inclusive)
        .map(inclusive_tax)
        .fold(0, i64::saturating_add);
    let taxable = amount.saturating_sub(held);
    rates
        .iter()
        .map(|rate| {
            let tax = if rate.inclusive {
                inclusive_tax(rate)
            } else {
                rate.percent.percent_of(Decimal::from_int(taxable)).round()
            };
            Tax {
                amount: tax,
                taxable,
            }
        })
        .collect()
}

/// A row of the automatic tax table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jurisdiction {
    /// ISO country code.
    pub(crate) country: &'static str,
    /// State or province, where the tax is theirs.
    pub(crate) state: Option<&'static str>,
    /// Percent.
    pub(crate) percent: &'static str,
    /// What the tax is called.
    pub(crate) display_name: &'static str,
    /// Stripe's `tax_type`.
    pub(crate) tax_type: &'static str,
}

const fn row(
    country: &'static str,
    state: Option<&'static str>,
    percent: &'static str,
    display_name: &'static str,
    tax_type: &'static str,
) -> Jurisdiction {
    Jurisdiction {
        country,
        state,
        percent,
        display_name,
        tax_type,
    }
}

/// The simulator's fixed rates of automatic tax. They are stable, not a source of tax law.
const TABLE: [Jurisdiction; 20] = [
    row("US", Some("CA"), "8.625", "Sales Tax", "sales_tax"),
    row("US", Some("NY"), "8.875", "Sales Tax", "sales_tax"),
    row("US", Some("TX"), "8.25", "Sales Tax", "sales_tax"),
    row("US", Some("WA"), "10.25", "Sales Tax", "sales_tax"),
    row("GB", None, "20", "VAT", "vat"),
    row("DE", None, "19", "VAT", "vat"),
    row("FR", None, "20", "VAT", "vat"),
    row("NL", None, "21", "VAT", "vat"),
    row("IE", None, "23", "VAT", "vat"),
    row("ES", None, "21", "VAT", "vat"),
    row("IT", None, "22", "VAT", "vat"),
    row("AT", None, "20", "VAT", "vat"),
    row("BE", None, "21", "VAT", "vat"),
    row("PL", None, "23", "VAT", "vat"),
    row("SE", None, "25", "VAT", "vat"),
    row("CH", None, "8.1", "VAT", "vat"),
    row("AU", None, "10", "GST", "gst"),
    row("CA", None, "5", "GST", "gst"),
    row("JP", None, "10", "JCT", "jct"),
    row("IN", None, "18", "GST", "gst"),
];

/// The row of the automatic tax table for an address; none where no tax is collected.
pub(crate) fn automatic(country: &str, state: Option<&str>) -> Option<&'static Jurisdiction> {
    TABLE.iter().find(|row| {
        row.country.eq_ignore_ascii_case(country)
            && row
                .state
                .is_none_or(|own| state.is_some_and(|state| own.eq_ignore_ascii_case(state)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(percent: &str, inclusive: bool) -> Rate {
        Rate {
            percent: Decimal::parse(percent).unwrap(),
            inclusive,
        }
    }

    #[test]
    fn exclusive_comes_on_top_and_inclusive_is_inside() {
        assert_eq!(
            on_line(1000, &[rate("20", false)]),
            vec![Tax {
                amount: 200,
                taxable: 1000
            }]
        );
        assert_eq!(
            on_line(1200, &[rate("20", true)]),
            vec![Tax {
                amount: 200,
                taxable: 1000
            }]
        );
        assert_eq!(
            on_line(1000, &[rate("8.875", false)]),
            vec![Tax {
                amount: 89,
                taxable: 1000
            }]
        );
        assert_eq!(
            on_line(-1000, &[rate("20", false)]),
            vec![Tax {
                amount: -200,
                taxable: -1000
            }]
        );
    }

    #[test]
    fn the_table_knows_states_where_the_tax_is_theirs() {
        assert_eq!(automatic("US", Some("ny")).unwrap().percent, "8.875");
        assert_eq!(automatic("US", Some("OR")), None);
        assert_eq!(automatic("US", None), None);
        assert_eq!(automatic("de", Some("Bavaria")).unwrap().percent, "19");
        assert!(TABLE.iter().all(|row| Decimal::parse(row.percent).is_ok()));
    }

    proptest! {
        #[test]
        fn inclusive_tax_and_net_make_the_price(amount in 0_i64..1_000_000_000, basis_points in 0_i64..5000) {
            let percent = Decimal::from_int(basis_points).fraction(1, 100);
            for tax in on_line(amount, &[Rate { percent, inclusive: true }]) {
                prop_assert_eq!(tax.amount + tax.taxable, amount);
                let back = percent.percent_of(Decimal::from_int(tax.taxable)).round();
                prop_assert!((back - tax.amount).abs() <= 1);
            }
        }
    }
}
