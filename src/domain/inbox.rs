//! Stripe's events: what became of each, and in which order they are believed.

use super::operation::named;
use super::slug::Slug;
use crate::clock::Timestamp;

named! {
    /// What became of an event.
    Status {
        /// What it says is stored, or says nothing that is stored here.
        Applied = "applied",
        /// Something newer was known already.
        Stale = "stale",
        /// It is about nothing of this portal's.
        Foreign = "foreign",
        /// It waits for something of ours: an operation that is about to say the same, or a thing it
        /// names.
        Parked = "parked",
        /// Its place in the order cannot be known: what it is about is read from Stripe.
        Refetch = "refetch",
        /// It could not be taken; somebody has to look.
        Dead = "dead",
    }
}

/// An event in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    /// To whom it was delivered.
    pub portal: Slug,
    /// Stripe's id, `evt_…`.
    pub id: String,
    /// Stripe's type of it.
    pub event_type: String,
    /// The version its object is in.
    pub api_version: String,
    /// Stripe's id of what it is about; empty where that has none.
    pub object_id: String,
    /// What became of it.
    pub status: Status,
    /// Attempts after the first.
    pub attempts: i32,
    /// When it is tried again; set exactly while it is parked or to be refetched.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// Stripe's time of it, in whole seconds.
    pub created_at: Timestamp,
    /// When it arrived here.
    pub received_at: Timestamp,
}

/// How news stands to what is known. Stripe's clock has whole seconds, so that two different things may
/// be of one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Later than what is known.
    Newer,
    /// Of the same second.
    Same,
    /// Earlier than what is known.
    Older,
}

impl Age {
    /// News of `at` against what was last taken over, of `known`.
    pub fn of(at: Timestamp, known: Option<Timestamp>) -> Self {
        let Some(known) = known else {
            return Self::Newer;
        };
        match at.as_seconds().cmp(&known.as_seconds()) {
            std::cmp::Ordering::Greater => Self::Newer,
            std::cmp::Ordering::Equal => Self::Same,
            std::cmp::Ordering::Less => Self::Older,
        }
    }
}

/// What follows for an event whose object is known, from its age and from whether taking it would change
/// anything that is shown.
///
/// | age | changes nothing | changes something |
/// |---|---|---|
/// | newer | applied | applied |
/// | same second | applied | refetch: which of the two was later cannot be known |
/// | older | stale | applied: what is true at any time, such as an end |
pub const fn verdict(age: Age, changes: bool) -> Status {
    match (age, changes) {
        (Age::Newer, _) | (Age::Same, false) | (Age::Older, true) => Status::Applied,
        (Age::Same, true) => Status::Refetch,
        (Age::Older, false) => Status::Stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_by_the_second() {
        let at = |millis| Timestamp::from_millis(millis);
        assert_eq!(Age::of(at(5_000), None), Age::Newer);
        assert_eq!(Age::of(at(5_000), Some(at(5_999))), Age::Same);
        assert_eq!(Age::of(at(5_000), Some(at(6_000))), Age::Older);
        assert_eq!(Age::of(at(5_000), Some(at(4_999))), Age::Newer);
    }
}
