//! How far this machine's clock is from Stripe's. Signed webhooks are refused when it is far off.

use std::sync::{Mutex, PoisonError};

use jiff::fmt::rfc2822::DateTimeParser;

use crate::clock::{Clock, Timestamp};

static HTTP_DATE: DateTimeParser = DateTimeParser::new();

/// One reading of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// Stripe's clock, from the `Date` header; whole seconds.
    pub stripe: Timestamp,
    /// Our clock when that header arrived.
    pub ours: Timestamp,
}

impl ClockReading {
    /// How far our clock is ahead of Stripe's, in milliseconds; negative when behind. Good to about
    /// a second: the header has no fraction.
    pub const fn ahead_millis(self) -> i64 {
        self.ours.millis_since(self.stripe)
    }
}

/// Keeps the latest reading.
pub(super) struct Skew {
    clock: Clock,
    latest: Mutex<Option<ClockReading>>,
}

impl Skew {
    pub(super) const fn new(clock: Clock) -> Self {
        Self {
            clock,
            latest: Mutex::new(None),
        }
    }

    /// Takes the `Date` header of an answer (RFC 9110 §5.6.7); one that cannot be read is ignored.
    /// Gives it.
    pub(super) fn note(&self, date: &str) -> Option<Timestamp> {
        let time = HTTP_DATE.parse_timestamp(date).ok()?;
        let stripe = Timestamp::from_millis(time.as_millisecond());
        let reading = ClockReading {
            stripe,
            ours: self.clock.now(),
        };
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        Some(stripe)
    }

    pub(super) fn latest(&self) -> Option<ClockReading> {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_header_is_read_against_our_clock() {
        let clock = Clock::standing_at(Timestamp::parse_rfc3339("2026-11-23T14:00:05Z").unwrap());
        let skew = Skew::new(clock.clone());
        assert_eq!(skew.latest(), None);
        skew.note("Mon, 23 Nov 2026 14:00:00 GMT");
        assert_eq!(skew.latest().unwrap().ahead_millis(), 5_000);
        clock.advance_millis(-10_500);
        skew.note("Mon, 23 Nov 2026 14:00:00 GMT");
        assert_eq!(skew.latest().unwrap().ahead_millis(), -5_500);
        skew.note("yesterday");
        assert_eq!(skew.latest().unwrap().ahead_millis(), -5_500);
    }
}
