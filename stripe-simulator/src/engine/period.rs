//! Billing periods: calendar arithmetic in UTC, anchored as Stripe anchors it.
//!
//! A monthly subscription anchored on 31 January renews on 28 February, then on 31 March: each
//! boundary is counted from the anchor, never from the boundary before it
//! (Stripe docs, "Set the subscription billing renewal date").

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// The unit of a recurring price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    /// 24 hours.
    Day,
    /// Seven days.
    Week,
    /// A calendar month, clamped to its last day.
    Month,
    /// A calendar year; 29 February is clamped to the 28th.
    Year,
}

impl Unit {
    /// Stripe's word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Reads Stripe's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Year]
            .into_iter()
            .find(|unit| unit.as_str() == word)
    }
}

/// A unit so many times: `month × 3` is a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Interval {
    /// What is counted.
    pub(crate) unit: Unit,
    /// How many of them, at least one.
    pub(crate) count: u32,
}

/// From `start` (inclusive) to `end` (exclusive), in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    /// First second in it.
    pub(crate) start: i64,
    /// First second after it.
    pub(crate) end: i64,
}

impl Period {
    /// Its length in seconds, never below zero.
    pub(crate) const fn seconds(self) -> i64 {
        let length = self.end.saturating_sub(self.start);
        if length < 0 { 0 } else { length }
    }

    /// The seconds of it that lie at or after `from`.
    pub(crate) const fn seconds_after(self, from: i64) -> i64 {
        let from = if from < self.start { self.start } else { from };
        if from >= self.end { 0 } else { self.end - from }
    }
}

impl Interval {
    /// One of a unit.
    pub(crate) const fn one(unit: Unit) -> Self {
        Self { unit, count: 1 }
    }

    /// The `n`th boundary counted from the anchor, in seconds since the epoch.
    ///
    /// Beyond the calendar's range (the year 9999) it stays at the last second representable.
    pub(crate) fn boundary(self, anchor: i64, n: i64) -> i64 {
        let steps = n.saturating_mul(i64::from(self.count.max(1)));
        let span = match self.unit {
            Unit::Day => Span::new().try_days(steps),
            Unit::Week => Span::new().try_weeks(steps),
            Unit::Month => Span::new().try_months(steps),
            Unit::Year => Span::new().try_years(steps),
        };
        let moved = span.and_then(|span| civil(anchor).checked_add(span));
        moved.map_or_else(
            |_| {
                if n < 0 {
                    Timestamp::MIN
                } else {
                    Timestamp::MAX
                }
                .as_second()
            },
            seconds,
        )
    }

    /// The period, on the grid that the anchor spans, that holds `at`.
    pub(crate) fn containing(self, anchor: i64, at: i64) -> Period {
        let mut n = self.estimate(anchor, at);
        // The estimate is off by a few steps at most: months differ in length.
        while self.boundary(anchor, n) > at {
            n -= 1;
        }
        while self.boundary(anchor, n + 1) <= at && n < 4_000_000 {
            n += 1;
        }
        Period {
            start: self.boundary(anchor, n),
            end: self.boundary(anchor, n + 1),
        }
    }

    /// The first boundary strictly after `at`.
    pub(crate) fn next_boundary(self, anchor: i64, at: i64) -> i64 {
        self.containing(anchor, at).end
    }

    fn estimate(self, anchor: i64, at: i64) -> i64 {
        let seconds = match self.unit {
            Unit::Day => 86_400,
            Unit::Week => 604_800,
            Unit::Month => 2_629_746,
            Unit::Year => 31_556_952,
        };
        let step = i64::from(self.count.max(1)).saturating_mul(seconds);
        at.saturating_sub(anchor).div_euclid(step)
    }
}

/// `at` plus an interval, by the calendar.
pub(crate) fn add(at: i64, interval: Interval) -> i64 {
    interval.boundary(at, 1)
}

/// The first instant after `at` that falls on `day_of_month` (clamped) and, where given, on that
/// month and time of day: Stripe's `billing_cycle_anchor_config`.
pub(crate) fn next_on(at: i64, config: AnchorConfig) -> i64 {
    let now = civil(at);
    let mut first_of_month = now.date().first_of_month();
    // Two years hold every combination of month and day once.
    for _ in 0..26 {
        let month_fits = config
            .month
            .is_none_or(|month| month == first_of_month.month());
        let day = config.day_of_month.clamp(1, first_of_month.days_in_month());
        let date = first_of_month.with().day(day).build();
        if let (true, Ok(date)) = (month_fits, date) {
            let candidate = date.at(
                config.hour.unwrap_or(now.hour()).clamp(0, 23),
                config.minute.unwrap_or(now.minute()).clamp(0, 59),
                config.second.unwrap_or(now.second()).clamp(0, 59),
                0,
            );
            if candidate > now {
                return seconds(candidate);
            }
        }
        match first_of_month.checked_add(1.month()) {
            Ok(next) => first_of_month = next,
            Err(_) => break,
        }
    }
    at
}

/// Stripe's `billing_cycle_anchor_config`, already validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnchorConfig {
    /// 1 to 31; later than the month's last day means its last day.
    pub(crate) day_of_month: i8,
    /// 1 to 12.
    pub(crate) month: Option<i8>,
    /// 0 to 23.
    pub(crate) hour: Option<i8>,
    /// 0 to 59.
    pub(crate) minute: Option<i8>,
    /// 0 to 59.
    pub(crate) second: Option<i8>,
}

/// `day Mon year` in UTC, as Stripe writes dates into line descriptions.
pub(crate) fn short_date(at: i64) -> String {
    civil(at).strftime("%d %b %Y").to_string()
}

fn civil(at: i64) -> DateTime {
    let timestamp = Timestamp::from_second(at).unwrap_or(if at < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    TimeZone::UTC.to_datetime(timestamp)
}

fn seconds(at: DateTime) -> i64 {
    TimeZone::UTC
        .to_timestamp(at)
        .map_or(Timestamp::MAX.as_second(), Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn months_are_counted_from_the_anchor_not_from_each_other() {
        let anchor = at("2026-01-31T10:20:30Z");
        let month = Interval::one(Unit::Month);
        for (n, expected) in [
            (1, "2026-02-28T10:20:30Z"),
            (2, "2026-03-31T10:20:30Z"),
            (3, "2026-04-30T10:20:30Z"),
            (25, "2028-02-29T10:20:30Z"),
            (-2, "2025-11-30T10:20:30Z"),
        ] {
            assert_eq!(month.boundary(anchor, n), at(expected));
        }
        let renewal = month.containing(anchor, at("2026-02-28T10:20:30Z"));
        assert_eq!(renewal.end, at("2026-03-31T10:20:30Z"));
    }

    #[test]
    fn a_leap_day_is_clamped_each_common_year() {
        let year = Interval::one(Unit::Year);
        let anchor = at("2028-02-29T00:00:00Z");
        assert_eq!(year.boundary(anchor, 1), at("2029-02-28T00:00:00Z"));
        assert_eq!(year.boundary(anchor, 4), at("2032-02-29T00:00:00Z"));
    }

    #[test]
    fn a_future_anchor_gives_a_shorter_first_period() {
        let anchor = at("2026-12-01T00:00:00Z");
        let first = Interval::one(Unit::Month).containing(anchor, at("2026-11-23T12:00:00Z"));
        assert_eq!(first.end, anchor);
        assert_eq!(first.start, at("2026-11-01T00:00:00Z"));
    }

    #[test]
    fn the_anchor_config_finds_the_next_matching_day() {
        let config = AnchorConfig {
            day_of_month: 31,
            month: None,
            hour: None,
            minute: None,
            second: None,
        };
        assert_eq!(
            next_on(at("2026-11-23T12:00:00Z"), config),
            at("2026-11-30T12:00:00Z")
        );
        let config = AnchorConfig {
            day_of_month: 1,
            month: Some(2),
            hour: Some(0),
            minute: Some(0),
            second: Some(0),
        };
        assert_eq!(
            next_on(at("2026-11-23T12:00:00Z"), config),
            at("2027-02-01T00:00:00Z")
        );
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        assert_eq!(
            Interval::one(Unit::Year).boundary(0, i64::MAX),
            Timestamp::MAX.as_second()
        );
        assert!(short_date(i64::MAX).ends_with("9999"));
    }

    proptest! {
        #[test]
        fn periods_tile_time(anchor in 0_i64..4_000_000_000, offset in -200_000_000_i64..400_000_000,
                             unit in 0_usize..4, count in 1_u32..13) {
            let unit = [Unit::Day, Unit::Week, Unit::Month, Unit::Year][unit];
            let interval = Interval { unit, count };
            let now = anchor + offset;
            let period = interval.containing(anchor, now);
            prop_assert!(period.start <= now && now < period.end);
            let next = interval.containing(anchor, period.end);
            prop_assert_eq!(next.start, period.end);
            prop_assert_eq!(interval.containing(anchor, period.end - 1), period);
        }
    }
}
