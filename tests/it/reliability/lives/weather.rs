//! What happens to all lives of a batch alike: how Stripe's events arrive, and how time passes.

use serde_json::{Value, json};

use super::super::Dice;
use super::reference::DAY;

/// How Stripe's events arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Events {
    AsTheyCome,
    /// Each three times, the next before the one before is through.
    Copied,
    /// Held back, and then the last first.
    Reversed,
    /// Held back, and then in any order, each twice.
    Shuffled,
    /// All within one second, by Stripe's clock.
    OneSecond,
    /// Not at all.
    Lost,
}

const EVENTS: [Events; 6] = [
    Events::AsTheyCome,
    Events::Copied,
    Events::Reversed,
    Events::Shuffled,
    Events::OneSecond,
    Events::Lost,
];

const HOUR: i64 = 3_600;
/// How long nothing is done between two phases, in turn: until periods have begun, into the middle of
/// what comes of a failed payment, and until that is over.
const PAUSES: [[i64; 4]; 3] = [
    [28 * DAY, 29 * DAY, 29 * DAY, 29 * DAY],
    [6 * HOUR, 3 * DAY, 3 * DAY, 4 * DAY],
    [6 * DAY, 7 * DAY, 14 * DAY, 33 * DAY],
];
/// What each phase begins later, so that nothing becomes due in the very minutes in which the work of a
/// later phase is done.
const LATER: i64 = 25 * 60;

/// One phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) events: Events,
    /// When the next one begins, in seconds since the batch began.
    pub(super) until: i64,
}

/// The phases of a batch.
pub(super) fn phases(dice: &mut Dice, count: usize) -> Vec<Phase> {
    let mut until = 0;
    let phase = |number: usize| {
        let pauses = PAUSES[number % PAUSES.len()];
        until += pauses[dice.below(pauses.len())] + LATER;
        Phase {
            events: EVENTS[dice.below(EVENTS.len())],
            until,
        }
    };
    (0..count).map(phase).collect()
}

impl Events {
    /// The simulator's plan.
    pub(super) fn plan(self) -> Value {
        let held = matches!(self, Self::Reversed | Self::Shuffled);
        json!({
            "hold": held,
            "duplicates": match self { Self::Copied => 2, Self::Shuffled => 1, _ => 0 },
            "concurrency": if self == Self::Copied { 8 } else { 1 },
            "loss_permille": if self == Self::Lost { 1_000 } else { 0 },
            "same_second": self == Self::OneSecond,
        })
    }

    /// In which order those are let go that were held back.
    pub(super) const fn order(self) -> Option<&'static str> {
        match self {
            Self::Reversed => Some("reverse"),
            Self::Shuffled => Some("shuffle"),
            _ => None,
        }
    }
}
