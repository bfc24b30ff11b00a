//! Text that people write: limits, and `metadata`.

use std::collections::BTreeMap;

use super::error::{FieldCode, FieldError};
use super::secret_guard::holds_secret;

/// Keys of one `metadata` object, as at Stripe.
pub const METADATA_MAX_KEYS: usize = 50;
/// Characters of a `metadata` key, as at Stripe.
pub const METADATA_MAX_KEY_CHARS: usize = 40;
/// Characters of a `metadata` value, as at Stripe.
pub const METADATA_MAX_VALUE_CHARS: usize = 500;

/// `metadata` as stored: sorted by key.
pub type Metadata = BTreeMap<String, String>;

/// Takes one line of text: not empty, at most `max_chars` characters, no control characters.
/// The text is judged as sent, as the API's description says; then white space at both ends is cut
/// off. Refusals go to `errors`.
pub fn line(pointer: &str, value: &str, max_chars: usize, errors: &mut Vec<FieldError>) -> String {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        errors.push(FieldError::new(
            pointer,
            FieldCode::Empty,
            "Must not be empty.",
        ));
    } else if value.chars().count() > max_chars {
        errors.push(FieldError::new(
            pointer,
            FieldCode::TooLong,
            format!("Must be at most {max_chars} characters."),
        ));
    } else if value.chars().any(char::is_control) {
        errors.push(FieldError::new(
            pointer,
            FieldCode::InvalidValue,
            "Must not hold control characters.",
        ));
    } else if holds_secret(trimmed) {
        errors.push(secret_in(pointer));
    }
    trimmed.to_owned()
}

/// Takes `metadata` within Stripe's limits. Refusals go to `errors`.
pub fn metadata(pointer: &str, value: Metadata, errors: &mut Vec<FieldError>) -> Metadata {
    if value.len() > METADATA_MAX_KEYS {
        errors.push(FieldError::new(
            pointer,
            FieldCode::TooMany,
            format!("Must have at most {METADATA_MAX_KEYS} keys."),
        ));
    }
    for (key, text) in &value {
        let place = || format!("{pointer}/{}", escape_pointer(key));
        if key.is_empty() {
            errors.push(FieldError::new(
                place(),
                FieldCode::Empty,
                "A key must not be empty.",
            ));
        }
        if key.chars().count() > METADATA_MAX_KEY_CHARS {
            errors.push(FieldError::new(
                // The key itself is too long to repeat.
                pointer,
                FieldCode::TooLong,
                format!("A key must be at most {METADATA_MAX_KEY_CHARS} characters."),
            ));
        }
        if text.chars().count() > METADATA_MAX_VALUE_CHARS {
            errors.push(FieldError::new(
                place(),
                FieldCode::TooLong,
                format!("A value must be at most {METADATA_MAX_VALUE_CHARS} characters."),
            ));
        }
        if holds_secret(text) {
            errors.push(secret_in(place()));
        }
        if key
            .chars()
            .chain(text.chars())
            .any(|c| c.is_control() && c != '\n' && c != '\t')
        {
            errors.push(FieldError::new(
                pointer,
                FieldCode::InvalidValue,
                "Must not hold control characters.",
            ));
        }
    }
    value
}

/// A refusal of text in which a secret stands; it is stored readable, so it must not be there.
fn secret_in(pointer: impl Into<String>) -> FieldError {
    FieldError::new(
        pointer,
        FieldCode::SecretDetected,
        "Looks like a secret key or a token, which must not stand here.",
    )
}

/// Escapes one segment of a JSON pointer (RFC 6901, section 3).
pub fn escape_pointer(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(run: impl FnOnce(&mut Vec<FieldError>)) -> Vec<FieldCode> {
        let mut errors = Vec::new();
        run(&mut errors);
        errors.into_iter().map(|error| error.code).collect()
    }

    #[test]
    fn a_line_is_trimmed_and_bounded_in_characters_not_bytes() {
        let mut errors = Vec::new();
        assert_eq!(line("/t", "  ä  ", 5, &mut errors), "ä");
        assert!(errors.is_empty());
        assert_eq!(
            codes(|e| drop(line("/t", " \t ", 5, e))),
            [FieldCode::Empty]
        );
        assert_eq!(
            codes(|e| drop(line("/t", "ääää", 3, e))),
            [FieldCode::TooLong]
        );
        assert_eq!(
            codes(|e| drop(line("/t", " ä ", 2, e))),
            [FieldCode::TooLong]
        );
        assert_eq!(
            codes(|e| drop(line("/t", "a\u{0}b", 9, e))),
            [FieldCode::InvalidValue]
        );
        assert_eq!(
            codes(|e| drop(line("/t", "my sk_live_51PgafTB1W", 99, e))),
            [FieldCode::SecretDetected]
        );
    }

    #[test]
    fn metadata_keeps_stripes_limits() {
        let many = (0..51).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(
            codes(|e| drop(metadata("/m", many, e))),
            [FieldCode::TooMany]
        );
        let long_key = Metadata::from([("k".repeat(41), String::new())]);
        assert_eq!(
            codes(|e| drop(metadata("/m", long_key, e))),
            [FieldCode::TooLong]
        );
        let long_value = Metadata::from([("a/b".to_owned(), "v".repeat(501))]);
        let mut errors = Vec::new();
        metadata("/m", long_value, &mut errors);
        assert_eq!(errors.first().map(|e| e.pointer.as_str()), Some("/m/a~1b"));
        let secret = Metadata::from([("k".to_owned(), "whsec_0123456789".to_owned())]);
        assert_eq!(
            codes(|e| drop(metadata("/m", secret, e))),
            [FieldCode::SecretDetected]
        );
        let most = (0..50)
            .map(|n| (format!("{n:040}"), "v".repeat(500)))
            .collect();
        assert!(codes(|e| drop(metadata("/m", most, e))).is_empty());
    }
}
