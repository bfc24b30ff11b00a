//! Proration to the second, in integers.
//!
//! A change within a period credits the unused time of what was there and debits the same time of
//! what comes (Stripe docs, "Prorations": `price × quantity × seconds left ÷ seconds in period`,
//! each line rounded on its own).

use super::decimal::Decimal;
use super::period::Period;

/// The share of a full period's amount that falls on the time from `at` to the period's end, in
/// minor units, rounded half away from zero.
pub(crate) fn remaining(full: Decimal, period: Period, at: i64) -> i64 {
    share(full, period.seconds_after(at), period.seconds())
}

/// `full × seconds ÷ of_seconds`, rounded half away from zero; the whole when the period is empty.
pub(crate) fn share(full: Decimal, seconds: i64, of_seconds: i64) -> i64 {
    if of_seconds <= 0 {
        return full.round();
    }
    full.fraction(seconds.min(of_seconds), of_seconds).round()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The two lines of a change at one instant, in minor units.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Lines {
        /// Unused time of the old price: zero or below.
        credit: i64,
        /// Remaining time of the new price: zero or above.
        debit: i64,
    }

    impl Lines {
        /// What the change costs; below zero when it gives something back.
        const fn net(self) -> i64 {
            self.credit.saturating_add(self.debit)
        }
    }

    /// Credits the old and debits the new amount for the rest of a period.
    fn change(old_full: Decimal, new_full: Decimal, period: Period, at: i64) -> Lines {
        Lines {
            credit: -remaining(old_full, period, at),
            debit: remaining(new_full, period, at),
        }
    }

    const MONTH: Period = Period {
        start: 0,
        end: 30 * 86_400,
    };

    #[test]
    fn half_a_month_is_half_the_price() {
        let lines = change(
            Decimal::from_int(1000),
            Decimal::from_int(2000),
            MONTH,
            15 * 86_400,
        );
        assert_eq!(
            lines,
            Lines {
                credit: -500,
                debit: 1000
            }
        );
        assert_eq!(lines.net(), 500);
    }

    #[test]
    fn the_edges_are_all_and_nothing() {
        let full = Decimal::from_int(999);
        assert_eq!(remaining(full, MONTH, MONTH.start), 999);
        assert_eq!(remaining(full, MONTH, MONTH.start - 5), 999);
        assert_eq!(remaining(full, MONTH, MONTH.end), 0);
        assert_eq!(remaining(full, MONTH, MONTH.end - 1), 0);
    }

    proptest! {
        #[test]
        fn there_and_back_at_one_instant_is_nothing(old in 0_i64..100_000_000, new in 0_i64..100_000_000,
                                                    at in 0_i64..2_592_000) {
            let (old, new) = (Decimal::from_int(old), Decimal::from_int(new));
            let there = change(old, new, MONTH, at);
            let back = change(new, old, MONTH, at);
            prop_assert_eq!(there.net() + back.net(), 0);
        }

        #[test]
        fn there_and_back_later_costs_the_time_between_within_one_unit(
            old in 0_i64..1_000_000, new in 0_i64..1_000_000, at in 0_i64..2_592_000, later in 0_i64..2_592_000,
        ) {
            let (first, second) = (at.min(later), at.max(later));
            let (a, b) = (Decimal::from_int(old), Decimal::from_int(new));
            let paid = change(a, b, MONTH, first).net() + change(b, a, MONTH, second).net();
            let used = share(b.minus(a), second - first, MONTH.seconds());
            // Four lines are rounded on their own, half a unit each at most.
            prop_assert!((paid - used).abs() <= 2, "{paid} against {used}");
        }

        #[test]
        fn splitting_the_period_loses_nothing(full in 0_i64..1_000_000_000, at in 0_i64..2_592_000) {
            let full_amount = Decimal::from_int(full);
            let rest = remaining(full_amount, MONTH, at);
            let used = share(full_amount, at, MONTH.seconds());
            prop_assert!((rest + used - full).abs() <= 1);
        }

        #[test]
        fn a_proration_never_exceeds_the_full_price(full in 0_i64..i64::MAX / 2, at in any::<i32>()) {
            let amount = remaining(Decimal::from_int(full), MONTH, i64::from(at));
            prop_assert!((0..=full).contains(&amount));
        }
    }
}
