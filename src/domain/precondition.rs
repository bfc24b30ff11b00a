//! What a caller requires a thing to be before it is changed.

use super::error::{Code, Error};
use crate::clock::Timestamp;

/// One condition on an entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Any existing representation.
    Any,
    /// One of these.
    Tags(Vec<String>),
}

impl Condition {
    fn covers(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Tags(tags), Some(current)) => {
                // What follows a dot names facts that move by themselves; a writer is only held to
                // the version it read.
                tags.iter()
                    .any(|tag| tag.split('.').next() == Some(current))
            }
        }
    }
}

/// `If-Match` and `If-None-Match`, in the words of RFC 9110.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The thing must exist and be one of these.
    pub if_match: Option<Condition>,
    /// The thing must not exist, or not be one of these.
    pub if_none_match: Option<Condition>,
}

impl Precondition {
    /// Checks the conditions against the tag of the thing as it is, `None` if it does not exist.
    ///
    /// # Errors
    /// [`Code::PreconditionFailed`].
    pub fn check(&self, current: Option<&str>) -> Result<(), Error> {
        let matches = self
            .if_match
            .as_ref()
            .is_none_or(|condition| condition.covers(current));
        let differs = !self
            .if_none_match
            .as_ref()
            .is_some_and(|c| c.covers(current));
        if matches && differs {
            Ok(())
        } else {
            Err(failed())
        }
    }
}

/// A condition does not hold.
pub fn failed() -> Error {
    Error::new(
        Code::PreconditionFailed,
        "The resource is not in the state the request requires. Read it again.",
    )
}

/// The entity tag of a versioned thing. The time it was made stands in it, so that a thing made anew
/// under the same name has other tags.
pub fn entity_tag(created_at: Timestamp, version: i64) -> String {
    format!("{:x}-{version}", created_at.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_follow_the_standard() {
        let tags = |text: &str| Some(Condition::Tags(vec![text.to_owned()]));
        let any = || Some(Condition::Any);
        let cases = [
            (None, None, None, true),
            (any(), None, None, false),
            (any(), None, Some("a"), true),
            (tags("a"), None, Some("a"), true),
            (tags("a.123"), None, Some("a"), true),
            (tags("b"), None, Some("a"), false),
            (tags("a"), None, None, false),
            (None, any(), None, true),
            (None, any(), Some("a"), false),
            (None, tags("a"), Some("a"), false),
            (None, tags("b"), Some("a"), true),
        ];
        for (if_match, if_none_match, current, holds) in cases {
            let precondition = Precondition {
                if_match,
                if_none_match,
            };
            assert_eq!(
                precondition.check(current).is_ok(),
                holds,
                "{precondition:?} {current:?}"
            );
        }
    }
}
