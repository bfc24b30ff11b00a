//! Discounts: percent and amount off, applied in the order they are listed.

use super::decimal::Decimal;

/// What a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// So many percent, 0 to 100.
    Percent(Decimal),
    /// An amount in minor units of the invoice's currency.
    Amount(i64),
}

/// A line as far as discounts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Amount in minor units before any discount.
    pub(crate) amount: i64,
    /// Whether this discount may touch it: the line is discountable and the coupon's
    /// `applies_to` names its product, or names none.
    pub(crate) eligible: bool,
}

/// What one discount takes off each line, in minor units: zero or above, except that a percentage
/// also lessens a credit line.
///
/// `left` is what each line still amounts to after the discounts before this one. An amount off
/// is spread over the eligible lines in proportion; what rounding leaves over goes to the lines
/// with the largest remainders, the first of equals first, so that the parts sum to the whole.
pub(crate) fn apply(off: Off, left: &[Line]) -> Vec<i64> {
    match off {
        Off::Percent(percent) => left
            .iter()
            .map(|line| {
                let eligible = if line.eligible { line.amount } else { 0 };
                percent.percent_of(Decimal::from_int(eligible)).round()
            })
            .collect(),
        Off::Amount(amount) => spread(amount, left),
    }
}

/// Splits `amount` over the positive eligible lines in proportion to what they amount to, never
/// more than they hold.
fn spread(amount: i64, lines: &[Line]) -> Vec<i64> {
    let weight = |line: &Line| if line.eligible { line.amount.max(0) } else { 0 };
    let total: i64 = lines.iter().map(weight).fold(0, i64::saturating_add);
    let amount = amount.clamp(0, total);
    if total == 0 {
        return vec![0; lines.len()];
    }
    let exact = |line: &Line| Decimal::from_int(amount).fraction(weight(line), total);
    let mut shares: Vec<i64> = lines.iter().map(|line| exact(line).floor()).collect();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let remainder = |index: &usize| {
        lines.get(*index).map_or(Decimal::ZERO, |line| {
            let exact = exact(line);
            exact.minus(Decimal::from_int(exact.floor()))
        })
    };
    order.sort_by_key(|index| std::cmp::Reverse(remainder(index)));
    let mut missing = amount
        - shares
            .iter()
            .fold(0, |sum: i64, share| sum.saturating_add(*share));
    for index in order.into_iter().cycle() {
        if missing == 0 {
            break;
        }
        let room = lines.get(index).map_or(0, weight);
        if let Some(share) = shares.get_mut(index).filter(|share| **share < room) {
            *share += 1;
            missing -= 1;
        }
    }
    shares
}

/// What several discounts take off, each on what the ones before it left.
///
/// The outer vector is one entry per discount, the inner one per line.
pub(crate) fn apply_all(discounts: &[(Off, Vec<bool>)], amounts: &[i64]) -> Vec<Vec<i64>> {
    let mut left = amounts.to_vec();
    let mut taken = Vec::with_capacity(discounts.len());
    for (off, eligible) in discounts {
        let lines: Vec<Line> = left
            .iter()
            .zip(eligible)
            .map(|(amount, eligible)| Line {
                amount: *amount,
                eligible: *eligible,
            })
            .collect();
        let off_lines = apply(*off, &lines);
        for (amount, off) in left.iter_mut().zip(&off_lines) {
            *amount = amount.saturating_sub(*off);
        }
        taken.push(off_lines);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent(text: &str) -> Off {
        Off::Percent(Decimal::parse(text).unwrap())
    }

    #[test]
    fn discounts_stack_in_their_order() {
        let all = vec![true];
        let first_percent = apply_all(
            &[
                (percent("50"), all.clone()),
                (Off::Amount(300), all.clone()),
            ],
            &[1000],
        );
        assert_eq!(first_percent, vec![vec![500], vec![300]]);
        let first_amount = apply_all(
            &[(Off::Amount(300), all.clone()), (percent("50"), all)],
            &[1000],
        );
        assert_eq!(first_amount, vec![vec![300], vec![350]]);
    }

    #[test]
    fn an_amount_off_never_takes_more_than_there_is() {
        assert_eq!(
            apply_all(&[(Off::Amount(5000), vec![true, true])], &[1000, 500]),
            vec![vec![1000, 500]]
        );
        assert_eq!(
            apply_all(&[(Off::Amount(5000), vec![false, true])], &[1000, 500]),
            vec![vec![0, 500]]
        );
    }

    #[test]
    fn fractions_of_a_percent_count() {
        assert_eq!(
            apply_all(&[(percent("12.5"), vec![true])], &[1000]),
            vec![vec![125]]
        );
    }

    proptest! {
        #[test]
        fn an_amount_off_is_spread_without_loss(off in 0_i64..100_000, amounts in proptest::collection::vec(0_i64..50_000, 1..8)) {
            let lines: Vec<Line> = amounts.iter().map(|amount| Line { amount: *amount, eligible: true }).collect();
            let taken = apply(Off::Amount(off), &lines);
            let total: i64 = amounts.iter().sum();
            prop_assert_eq!(taken.iter().sum::<i64>(), off.min(total));
            prop_assert!(taken.iter().zip(&amounts).all(|(taken, amount)| (0..=*amount).contains(taken)));
        }

        #[test]
        fn a_discounted_total_is_never_below_zero(
            offs in proptest::collection::vec((any::<bool>(), 0_i64..101, 0_i64..5000), 0..4),
            amounts in proptest::collection::vec(0_i64..10_000, 1..5),
        ) {
            let discounts: Vec<(Off, Vec<bool>)> = offs.iter().map(|(is_percent, percent, amount)| {
                let off = if *is_percent { Off::Percent(Decimal::from_int(*percent)) } else { Off::Amount(*amount) };
                (off, vec![true; amounts.len()])
            }).collect();
            let taken: i64 = apply_all(&discounts, &amounts).iter().flatten().sum();
            prop_assert!(taken <= amounts.iter().sum::<i64>());
        }
    }
}
