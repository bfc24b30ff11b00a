//! Time, injected: production asks the machine, tests turn the hands themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

/// A point in time, in milliseconds since the Unix epoch (UTC), as it is stored and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// From whole seconds since the Unix epoch; values beyond the calendar saturate.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// This time, `millis` later (earlier when negative).
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339 in UTC with a `Z`, to the millisecond.
    pub fn to_rfc3339(self) -> String {
        let instant = Instant::from_millisecond(self.0).unwrap_or(Instant::UNIX_EPOCH);
        format!("{instant:.3}")
    }

    /// The year and the month (1 to 12) it lies in, in UTC.
    pub fn year_and_month(self) -> (i32, i32) {
        let instant = Instant::from_millisecond(self.0).unwrap_or(Instant::UNIX_EPOCH);
        let date = TimeZone::UTC.to_datetime(instant);
        (date.year().into(), date.month().into())
    }

    /// Reads RFC 3339 with any offset; finer than milliseconds is cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<Instant>()
            .ok()
            .map(|instant| Self(instant.as_millisecond()))
    }
}

/// Where the time comes from. Cheap to clone; clones share a test clock's hands.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine,
    /// The machine's, so many milliseconds ahead.
    Ahead(Arc<AtomicI64>),
    Hands(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's own clock.
    pub const fn machine() -> Self {
        Self(Source::Machine)
    }

    /// A clock that runs as the machine's does and can be moved ahead, for demonstrations.
    pub fn movable() -> Self {
        Self(Source::Ahead(Arc::default()))
    }

    /// A clock that stands at `start` until it is moved.
    pub fn standing_at(start: Timestamp) -> Self {
        Self(Source::Hands(Arc::new(AtomicI64::new(start.as_millis()))))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Machine => machine_now(),
            Source::Ahead(ahead) => machine_now().plus_millis(ahead.load(Ordering::SeqCst)),
            Source::Hands(hands) => Timestamp(hands.load(Ordering::SeqCst)),
        }
    }

    /// Moves a standing or movable clock by `millis`; the machine's own clock does not listen.
    pub fn advance_millis(&self, millis: i64) {
        match &self.0 {
            Source::Machine => {}
            Source::Ahead(hands) | Source::Hands(hands) => {
                hands.fetch_add(millis, Ordering::SeqCst);
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one home of the machine's clock"
)]
fn machine_now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_in_utc_with_milliseconds() {
        let time = Timestamp::parse_rfc3339("2026-11-23T14:00:00.123+01:00").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-11-23T13:00:00.123Z");
        assert_eq!(Timestamp::parse_rfc3339(&time.to_rfc3339()), Some(time));
    }

    #[test]
    fn a_standing_clock_moves_only_when_told_and_clones_move_with_it() {
        let clock = Clock::standing_at(Timestamp::from_seconds(1_000));
        let twin = clock.clone();
        clock.advance_millis(250);
        assert_eq!(twin.now().as_millis(), 1_000_250);
    }

    #[test]
    fn a_movable_clock_is_the_machines_clock_and_ahead_of_it_when_told() {
        let clock = Clock::movable();
        let before = Clock::machine().now();
        clock.advance_millis(86_400_000);
        assert!(clock.now().millis_since(before) >= 86_400_000);
        assert!(clock.now() <= Clock::machine().now().plus_millis(86_400_000));
    }
}
