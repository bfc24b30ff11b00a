//! Deliveries to webhook endpoints: when the next attempt is made, and when it is the last.

use std::time::Duration;

use super::operation::named;
use super::slug::Slug;
use crate::clock::Timestamp;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The waits before each attempt but the first, in milliseconds, as Standard Webhooks 1.0 suggests
/// them: 75 h 35 min in all.
pub const RETRY_AFTER_MS: [i64; 9] = [
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];
/// The longest wait a receiver can ask for.
pub const LONGEST_ASKED_WAIT_MS: i64 = 24 * HOUR;

named! {
    /// Where a delivery stands.
    Status {
        /// It is to be sent, or sent again.
        Pending = "pending",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// Given up after the last attempt.
        Failed = "failed",
    }
}

named! {
    /// Why an attempt was none that counts.
    Reason {
        /// The receiver answered with another status than 2xx.
        Status = "status",
        /// The receiver did not answer in time.
        Timeout = "timeout",
        /// The name does not resolve, or nobody listens there, or TLS could not be agreed on.
        Unreachable = "unreachable",
        /// The connection broke before the answer.
        Interrupted = "interrupted",
        /// The address is one that this service does not call.
        AddressRefused = "address_refused",
        /// The event is no longer stored.
        EventGone = "event_gone",
    }
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `dlvr_…`.
    pub id: String,
    /// Whose.
    pub portal: Slug,
    /// To which endpoint, `hook_…`.
    pub endpoint: String,
    /// The event's place in the portal's feed.
    pub position: i64,
    /// The event, `fact_…`; the `webhook-id` of every attempt.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// What the event is about; events of one subject are delivered one after the other.
    pub subject: String,
    /// Where it stands.
    pub status: Status,
    /// Attempts that are over.
    pub attempts: i32,
    /// When the next one is due, as long as it is pending.
    pub next_attempt_at: Timestamp,
    /// What the receiver last answered.
    pub response_status: Option<u16>,
    /// Why the last attempt failed.
    pub reason: Option<Reason>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
}

/// When to try again after `attempts` that failed: the plan's wait, a tenth more or less by `chance`,
/// so that those that failed together do not come back together; not before `asked` is over. `None`
/// when that was the last attempt.
pub fn next_attempt(
    now: Timestamp,
    attempts: i32,
    asked: Option<Duration>,
    chance: u8,
) -> Option<Timestamp> {
    let place = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let planned = *RETRY_AFTER_MS.get(place)?;
    let spread = planned / 5 * i64::from(chance) / 255;
    let wait = planned - planned / 10 + spread;
    Some(now.plus_millis(wait.max(asked_ms(asked))))
}

/// How long a receiver wants to be left alone, in milliseconds; at most a day.
pub fn asked_ms(asked: Option<Duration>) -> i64 {
    let asked = asked.unwrap_or_default().as_millis();
    i64::try_from(asked).map_or(LONGEST_ASKED_WAIT_MS, |ms| ms.min(LONGEST_ASKED_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn ten_attempts_over_about_seventy_five_hours() {
        for (chance, hours) in [(0, 68), (128, 75), (255, 83)] {
            let (mut at, mut attempts) = (START, 1);
            while let Some(next) = next_attempt(at, attempts, None, chance) {
                assert!(next > at);
                (at, attempts) = (next, attempts + 1);
            }
            assert_eq!(attempts, 10);
            assert_eq!(at.millis_since(START) / HOUR, hours);
        }
        assert_eq!(next_attempt(START, 0, None, 0), None);
        assert_eq!(next_attempt(START, i32::MAX, None, 0), None);
    }

    #[test]
    fn the_first_wait_is_about_five_seconds() {
        let wait = |chance| {
            let next = next_attempt(START, 1, None, chance).unwrap();
            next.millis_since(START)
        };
        assert_eq!((wait(0), wait(255)), (4_500, 5_500));
    }

    #[test]
    fn a_receiver_is_left_alone_as_long_as_it_asks_but_not_for_ever() {
        let wait = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            next_attempt(START, 1, asked, 0)
                .unwrap()
                .millis_since(START)
        };
        assert_eq!(wait(1), 4_500);
        assert_eq!(wait(60), 60_000);
        assert_eq!(wait(u64::MAX), LONGEST_ASKED_WAIT_MS);
    }
}
