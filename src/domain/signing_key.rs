//! The keys that sign what this service says: how one takes over from another.
//!
//! There is always one that signs (`active`) and one that will (`next`). Both are published, so that
//! whoever keeps a copy of the set knows the next one before anything is signed with it; and one that
//! has signed stays published until what it signed has expired.

use super::operation::named;
use crate::clock::Timestamp;

named! {
    /// What a key is for now.
    State {
        /// Published, and not used yet.
        Next = "next",
        /// It signs.
        Active = "active",
        /// It no longer signs; what it signed is still good.
        Retired = "retired",
    }
}

/// A key, as far as its turn depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its id.
    pub id: String,
    /// What it is for now.
    pub state: State,
    /// When it was made, and with that published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it ceased to.
    pub retired_at: Option<Timestamp>,
}

/// How long each state lasts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long a key signs.
    pub signs_ms: i64,
    /// How long a key is published at the least before it signs.
    pub announced_ms: i64,
    /// How long a key stays published after it signed last.
    pub kept_ms: i64,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a key of this state: [`State::Active`] or [`State::Next`].
    Make(State),
    /// Let the next key sign; nothing signs now.
    Activate(String),
    /// Let the second key sign instead of the first.
    Replace(String, String),
    /// Remove a retired key.
    Remove(String),
}

/// The first thing that is to be done, if any.
pub fn step(keys: &[Turn], schedule: Schedule, now: Timestamp) -> Option<Step> {
    let of = |state| keys.iter().find(|key| key.state == state);
    let past = |since: Timestamp, millis| now.millis_since(since) >= millis;
    let id = |key: &Turn| key.id.clone();
    match (of(State::Active), of(State::Next)) {
        // Nobody could verify anything anyway: no reason to wait.
        (None, Some(next)) => return Some(Step::Activate(id(next))),
        (None, None) => return Some(Step::Make(State::Active)),
        (Some(_), None) => return Some(Step::Make(State::Next)),
        (Some(active), Some(next)) => {
            let begun = active.activated_at.unwrap_or(active.created_at);
            if past(begun, schedule.signs_ms) && past(next.created_at, schedule.announced_ms) {
                return Some(Step::Replace(id(active), id(next)));
            }
        }
    }
    let over = |key: &&Turn| {
        let since = key.retired_at.unwrap_or(key.created_at);
        key.state == State::Retired && past(since, schedule.kept_ms)
    };
    keys.iter().find(over).map(|key| Step::Remove(id(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SCHEDULE: Schedule = Schedule {
        signs_ms: 1_000,
        announced_ms: 100,
        kept_ms: 10,
    };

    fn key(id: &str, state: State, created: i64) -> Turn {
        Turn {
            id: id.to_owned(),
            state,
            created_at: START.plus_millis(created),
            activated_at: (state == State::Active).then(|| START.plus_millis(created)),
            retired_at: (state == State::Retired).then(|| START.plus_millis(created)),
        }
    }

    fn at(keys: &[Turn], millis: i64) -> Option<Step> {
        step(keys, SCHEDULE, START.plus_millis(millis))
    }

    #[test]
    fn there_is_always_one_that_signs_and_one_that_will() {
        assert_eq!(at(&[], 0), Some(Step::Make(State::Active)));
        let active = key("a", State::Active, 0);
        assert_eq!(
            at(std::slice::from_ref(&active), 0),
            Some(Step::Make(State::Next))
        );
        let next = key("b", State::Next, 0);
        assert_eq!(
            at(std::slice::from_ref(&next), 0),
            Some(Step::Activate("b".to_owned()))
        );
        assert_eq!(at(&[active, next], 999), None);
    }

    #[test]
    fn a_key_signs_for_its_time_and_never_before_it_was_announced() {
        let active = key("a", State::Active, 0);
        let old = [active.clone(), key("b", State::Next, 0)];
        let replaced = Some(Step::Replace("a".to_owned(), "b".to_owned()));
        assert_eq!(at(&old, 1_000), replaced);
        let new = [active, key("b", State::Next, 950)];
        assert_eq!(at(&new, 1_049), None);
        assert_eq!(at(&new, 1_050), replaced);
    }

    #[test]
    fn a_retired_key_stays_until_what_it_signed_has_expired() {
        let keys = [
            key("old", State::Retired, 500),
            key("a", State::Active, 500),
            key("b", State::Next, 500),
        ];
        assert_eq!(at(&keys, 509), None);
        assert_eq!(at(&keys, 510), Some(Step::Remove("old".to_owned())));
    }
}
