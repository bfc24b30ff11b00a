//! Names chosen by the caller: portals, products, plans.

use std::fmt;

use super::card_guard;
use super::error::{FieldCode, FieldError};

const MAX_LEN: usize = 63;

/// `[a-z0-9][a-z0-9-]{0,62}`, and not what looks like a card number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

impl Slug {
    /// Reads a slug; `None` when the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut bytes = text.bytes();
        let well_formed = text.len() <= MAX_LEN
            && bytes.next().is_some_and(allowed)
            && bytes.all(|byte| allowed(byte) || byte == b'-');
        (well_formed && !card_guard::holds_card_number(text)).then(|| Self(text.to_owned()))
    }

    /// As [`Slug::parse`], with the refusal in words.
    ///
    /// # Errors
    /// A [`FieldError`] at `pointer`.
    pub fn parse_field(pointer: &str, text: &str) -> Result<Self, FieldError> {
        Self::parse(text).ok_or_else(|| {
            FieldError::new(
                pointer,
                FieldCode::InvalidValue,
                "Must be 1 to 63 characters of a-z, 0-9 and -, starting with a letter or a digit.",
            )
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_kept_exactly() {
        for good in ["a", "0", "acme-dev", "a-", &"x".repeat(63)] {
            assert!(Slug::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "A",
            "a_b",
            "a.b",
            "ä",
            "a b",
            "a\n",
            "4242424242424242",
            "4242-4242-4242-4242",
            &"x".repeat(64),
        ] {
            assert!(Slug::parse(bad).is_none(), "{bad}");
        }
    }
}
