//! Since when a payment is missing, found from what Stripe has said in whatever order.

use super::follow::StripeStatus;
use crate::clock::Timestamp;

/// Most unpaid periods that are remembered; only news that is later than so many periods could tell
/// the difference.
const PERIODS_MAX: usize = 16;

/// An unpaid period, and when it was last seen unpaid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpaidPeriod {
    /// Its begin: when the payment was due.
    pub start: Timestamp,
    /// Stripe's time of the last news of it.
    pub seen: Timestamp,
}

/// What was seen of payments: when it was last paid, and which periods were unpaid after that.
///
/// Seeing more only ever adds, so that the order in which news comes in does not matter, and seeing
/// the same twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dunning {
    /// Stripe's time at which it was last seen paid.
    pub paid_at: Option<Timestamp>,
    /// By their begin.
    pub unpaid: Vec<UnpaidPeriod>,
}

impl Dunning {
    /// Takes in what Stripe said at `at`, when the period that began at `period_start` was running.
    pub(super) fn see(
        &mut self,
        status: &StripeStatus,
        at: Timestamp,
        period_start: Option<Timestamp>,
    ) {
        match status {
            StripeStatus::Active | StripeStatus::Trialing => {
                self.paid_at = self.paid_at.max(Some(at));
            }
            StripeStatus::PastDue | StripeStatus::Unpaid => {
                // A period that is not named began no later than the news of it.
                self.see_unpaid(period_start.unwrap_or(at), at);
            }
            StripeStatus::Incomplete
            | StripeStatus::IncompleteExpired
            | StripeStatus::Canceled
            | StripeStatus::Paused
            | StripeStatus::Other(_) => {}
        }
        let paid_at = self.paid_at;
        self.unpaid
            .retain(|period| paid_at.is_none_or(|paid| period.seen >= paid));
    }

    fn see_unpaid(&mut self, start: Timestamp, at: Timestamp) {
        match self
            .unpaid
            .binary_search_by_key(&start, |known| known.start)
        {
            Ok(place) => {
                if let Some(known) = self.unpaid.get_mut(place) {
                    known.seen = known.seen.max(at);
                }
            }
            Err(place) => {
                self.unpaid.insert(place, UnpaidPeriod { start, seen: at });
                if self.unpaid.len() > PERIODS_MAX {
                    // The first decides, the last is what the next news will most likely be of.
                    self.unpaid.remove(PERIODS_MAX - 1);
                }
            }
        }
    }

    /// When the oldest payment that is missing was due: never before it was last seen paid. Later
    /// failures do not move it.
    pub(super) fn unpaid_since(&self) -> Option<Timestamp> {
        // What was seen in the very second it was paid says something only if nothing else does.
        let later = |period: &&UnpaidPeriod| self.paid_at.is_none_or(|paid| period.seen > paid);
        let first = self.unpaid.iter().find(later).or(self.unpaid.first())?;
        Some(
            self.paid_at
                .map_or(first.start, |paid| paid.max(first.start)),
        )
    }
}
