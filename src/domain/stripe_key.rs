//! Stripe's keys: what they look like, which mode they belong to, and how little of them is shown.
//!
//! The text of a key leaves these types through `expose()` alone, and is wiped from memory when
//! they are dropped. The forms are those of <https://docs.stripe.com/keys>.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The shortest body, after the prefix, that is taken for a key.
const BODY_MIN: usize = 8;
/// The longest key, prefix included.
const KEY_MAX: usize = 255;

/// Stripe's two worlds. Objects of one do not exist in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// No money moves (`…_test_…`, `livemode: false`).
    Test,
    /// Real money (`…_live_…`, `livemode: true`).
    Live,
}

impl Mode {
    /// `test` or `live`, as Stripe's keys and our API spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "test" => Some(Self::Test),
            "live" => Some(Self::Live),
            _ => None,
        }
    }

    /// The mode of an object that Stripe marks `livemode`.
    pub const fn from_livemode(livemode: bool) -> Self {
        if livemode { Self::Live } else { Self::Test }
    }

    /// Stripe's `livemode` of this mode.
    pub const fn livemode(self) -> bool {
        matches!(self, Self::Live)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the first characters of a text say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// `pk_test_…`, `pk_live_…`: meant for browsers.
    Publishable,
    /// `sk_test_…`, `sk_live_…`: may do everything.
    Secret,
    /// `rk_test_…`, `rk_live_…`: may do what it was given.
    Restricted,
    /// `whsec_…`: signs webhooks.
    WebhookSecret,
    /// `sk_org_…`: belongs to an organization of several accounts.
    Organization,
    /// `pk_`, `sk_` or `rk_` with neither `test_` nor `live_` after it.
    WithoutMode,
    /// None of Stripe's forms.
    Unknown,
}

impl KeyForm {
    fn of(text: &str) -> Self {
        const FORMS: [(&str, KeyForm); 8] = [
            ("pk_test_", KeyForm::Publishable),
            ("pk_live_", KeyForm::Publishable),
            ("sk_test_", KeyForm::Secret),
            ("sk_live_", KeyForm::Secret),
            ("rk_test_", KeyForm::Restricted),
            ("rk_live_", KeyForm::Restricted),
            ("whsec_", KeyForm::WebhookSecret),
            ("sk_org_", KeyForm::Organization),
        ];
        FORMS
            .iter()
            .find(|(prefix, _)| text.starts_with(prefix))
            .map_or_else(
                || {
                    if ["pk_", "sk_", "rk_"]
                        .iter()
                        .any(|prefix| text.starts_with(prefix))
                    {
                        Self::WithoutMode
                    } else {
                        Self::Unknown
                    }
                },
                |(_, form)| *form,
            )
    }

    /// What to call it in front of people.
    const fn name(self) -> &'static str {
        match self {
            Self::Publishable => "a publishable key",
            Self::Secret => "a secret key",
            Self::Restricted => "a restricted key",
            Self::WebhookSecret => "a webhook signing secret",
            Self::Organization => "an organization key, which names no single account",
            Self::WithoutMode => "a key that names neither test nor live mode",
            Self::Unknown => "none of Stripe's keys",
        }
    }
}

/// Why a text is not the key it was given as. Never holds the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// A blank, tab or line break anywhere in it, most often from copying.
    #[error("contains white space; copy the key alone")]
    Whitespace,
    /// Another kind of key, or no key.
    #[error("should start with {}, and this is {}", expected, found.name())]
    WrongForm {
        /// The prefixes that are accepted here.
        expected: &'static str,
        /// What it is instead.
        found: KeyForm,
    },
    /// Cut off: fewer than eight characters after the prefix.
    #[error("is too short to be a Stripe key; is it cut off?")]
    TooShort,
    /// More than 255 characters.
    #[error("is longer than 255 characters")]
    TooLong,
    /// A character that Stripe's keys do not have, such as the `*` of a masked key.
    #[error("has a character at position {position} that Stripe's keys never have")]
    BadCharacter {
        /// Counted in characters from one.
        position: usize,
    },
}

/// The text of a key, checked.
#[derive(Clone)]
struct Text(SecretString);

impl Text {
    fn parse(
        text: &str,
        expected: &'static str,
        accepted: &[KeyForm],
        is_body: fn(char) -> bool,
    ) -> Result<(Self, KeyForm), KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.chars().any(char::is_whitespace) {
            return Err(KeyError::Whitespace);
        }
        let form = KeyForm::of(text);
        if !accepted.contains(&form) {
            return Err(KeyError::WrongForm {
                expected,
                found: form,
            });
        }
        if text.len() > KEY_MAX {
            return Err(KeyError::TooLong);
        }
        if let Some(index) = text.chars().position(|character| !is_body(character)) {
            return Err(KeyError::BadCharacter {
                position: index.saturating_add(1),
            });
        }
        let prefix_len = match form {
            KeyForm::WebhookSecret => "whsec_".len(),
            _ => "sk_test_".len(),
        };
        if text.len() < prefix_len.saturating_add(BODY_MIN) {
            return Err(KeyError::TooShort);
        }
        Ok((Self(SecretString::from(text)), form))
    }

    fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn mode(&self) -> Mode {
        // All forms with a mode have it at the same place, and `parse` has seen it there.
        Mode::from_livemode(self.expose().get(3..7) == Some("live"))
    }

    fn last_four(&self) -> &str {
        let text = self.expose();
        text.len()
            .checked_sub(4)
            .and_then(|start| text.get(start..))
            .unwrap_or_default()
    }
}

fn is_key_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_webhook_secret_character(character: char) -> bool {
    // Stripe's are alphanumeric; other senders of the same scheme use base64.
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '+' | '/' | '=')
}

/// A publishable key, `pk_…`. Not a secret by Stripe's rules, but handled like one all the same.
#[derive(Clone)]
pub struct PublishableKey(Text);

impl PublishableKey {
    /// Reads a publishable key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Text::parse(
            text,
            "pk_test_ or pk_live_",
            &[KeyForm::Publishable],
            is_key_character,
        )
        .map(|(text, _)| Self(text))
    }

    /// The mode it belongs to.
    pub fn mode(&self) -> Mode {
        self.0.mode()
    }

    /// Its last four characters, the most of it that is shown.
    pub fn last_four(&self) -> &str {
        self.0.last_four()
    }

    /// The text itself: to send, to seal, or to hand to the browser that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What an [`ApiKey`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiKeyKind {
    /// `sk_…`: everything in the account.
    Secret,
    /// `rk_…`: only what it was given. Preferred.
    Restricted,
}

impl ApiKeyKind {
    /// `secret` or `restricted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Restricted => "restricted",
        }
    }
}

/// A key that calls Stripe's API: secret, `sk_…`, or restricted, `rk_…`.
#[derive(Clone)]
pub struct ApiKey {
    text: Text,
    kind: ApiKeyKind,
}

impl ApiKey {
    /// Reads a secret or restricted key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (text, form) = Text::parse(
            text,
            "sk_test_, sk_live_, rk_test_ or rk_live_",
            &[KeyForm::Secret, KeyForm::Restricted],
            is_key_character,
        )?;
        let kind = match form {
            KeyForm::Restricted => ApiKeyKind::Restricted,
            _ => ApiKeyKind::Secret,
        };
        Ok(Self { text, kind })
    }

    /// Secret or restricted.
    pub fn kind(&self) -> ApiKeyKind {
        self.kind
    }

    /// The mode it belongs to.
    pub fn mode(&self) -> Mode {
        self.text.mode()
    }

    /// Its last four characters, the most of it that is shown.
    pub fn last_four(&self) -> &str {
        self.text.last_four()
    }

    /// The text itself: to send or to seal, and for nothing else.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// A webhook endpoint's signing secret, `whsec_…`. It names no mode.
#[derive(Clone)]
pub struct WebhookSecret(Text);

impl WebhookSecret {
    /// Reads a signing secret.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Text::parse(
            text,
            "whsec_",
            &[KeyForm::WebhookSecret],
            is_webhook_secret_character,
        )
        .map(|(text, _)| Self(text))
    }

    /// Its last four characters, the most of it that is shown.
    pub fn last_four(&self) -> &str {
        self.0.last_four()
    }

    /// The text itself: to check signatures or to seal, and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_kind_mode_and_last_four() {
        for (text, kind, mode, last_four) in [
            (
                "sk_test_51AbCdEfGh0001",
                ApiKeyKind::Secret,
                Mode::Test,
                "0001",
            ),
            (
                "sk_live_51AbCdEfGh0002",
                ApiKeyKind::Secret,
                Mode::Live,
                "0002",
            ),
            (
                "rk_test_51AbCdEfGh0003",
                ApiKeyKind::Restricted,
                Mode::Test,
                "0003",
            ),
            (
                "rk_live_51AbCdEfGh0004",
                ApiKeyKind::Restricted,
                Mode::Live,
                "0004",
            ),
            (
                "sk_test_simulator_portal_a",
                ApiKeyKind::Secret,
                Mode::Test,
                "al_a",
            ),
        ] {
            let key = ApiKey::parse(text).unwrap();
            assert_eq!(
                (key.kind(), key.mode(), key.last_four(), key.expose()),
                (kind, mode, last_four, text)
            );
        }
        let publishable = PublishableKey::parse("pk_live_simulator").unwrap();
        assert_eq!(publishable.mode(), Mode::Live);
        assert_eq!(publishable.last_four(), "ator");
        let secret = WebhookSecret::parse("whsec_Zm9vYmFyYmF6+/==").unwrap();
        assert_eq!(secret.last_four(), "+/==");
    }

    #[test]
    fn what_is_no_api_key_is_named() {
        let refusal = |text: &str| ApiKey::parse(text).err().map(|error| error.to_string());
        let long = format!("sk_test_{}", "a".repeat(248));
        for (text, reason) in [
            ("", "is empty"),
            (
                " sk_test_abcdefgh",
                "contains white space; copy the key alone",
            ),
            (
                "sk_test_abcdefgh\n",
                "contains white space; copy the key alone",
            ),
            (
                "pk_test_abcdefgh",
                "should start with sk_test_, sk_live_, rk_test_ or rk_live_, and this is a publishable key",
            ),
            (
                "whsec_abcdefgh",
                "should start with sk_test_, sk_live_, rk_test_ or rk_live_, and this is a webhook signing secret",
            ),
            (
                "sk_org_live_abcdefgh",
                "should start with sk_test_, sk_live_, rk_test_ or rk_live_, and this is an organization key, which names no single account",
            ),
            (
                "sk_abcdefghijkl",
                "should start with sk_test_, sk_live_, rk_test_ or rk_live_, and this is a key that names neither test nor live mode",
            ),
            (
                "SK_TEST_abcdefgh",
                "should start with sk_test_, sk_live_, rk_test_ or rk_live_, and this is none of Stripe's keys",
            ),
            (
                "sk_test_",
                "is too short to be a Stripe key; is it cut off?",
            ),
            (
                "sk_test_abcdefg",
                "is too short to be a Stripe key; is it cut off?",
            ),
            (&long, "is longer than 255 characters"),
            (
                "sk_test_************abcd",
                "has a character at position 9 that Stripe's keys never have",
            ),
            (
                "sk_test_abcd\u{e9}fgh",
                "has a character at position 13 that Stripe's keys never have",
            ),
            (
                "sk_test_abcdefgh\u{0}",
                "has a character at position 17 that Stripe's keys never have",
            ),
        ] {
            assert_eq!(refusal(text).as_deref(), Some(reason), "{text:?}");
        }
        let longest = format!("sk_test_{}", "a".repeat(247));
        assert!(ApiKey::parse(&longest).is_ok());
        assert!(ApiKey::parse("sk_test_abcdefgh").is_ok());
    }

    static_assertions::assert_not_impl_any!(ApiKey: fmt::Debug, fmt::Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(WebhookSecret: fmt::Debug, fmt::Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PublishableKey: fmt::Debug, fmt::Display, serde::Serialize);

    #[test]
    fn each_type_takes_its_own_form_only() {
        assert!(PublishableKey::parse("sk_test_abcdefgh").is_err());
        assert!(WebhookSecret::parse("sk_test_abcdefgh").is_err());
        assert_eq!(
            WebhookSecret::parse("pk_test_abcdefgh").err(),
            Some(KeyError::WrongForm {
                expected: "whsec_",
                found: KeyForm::Publishable
            })
        );
        assert_eq!(
            WebhookSecret::parse("whsec_short").err(),
            Some(KeyError::TooShort)
        );
    }

    #[test]
    fn a_refusal_never_repeats_the_text() {
        let canary = "CanaryCanaryCanary";
        for text in [
            format!("zk_test_{canary}"),
            format!("sk_test_{canary}*"),
            format!("sk_test_{canary} "),
            format!("pk_test_{canary}"),
        ] {
            let error = ApiKey::parse(&text).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("Canary"));
        }
    }
}
