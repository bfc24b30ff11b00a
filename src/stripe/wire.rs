//! Reading Stripe's objects so that nothing new in them can break us: unknown fields are ignored,
//! absent and null ones are `None` or empty, unknown enum values are kept as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Stripe's `metadata`.
pub type Metadata = BTreeMap<String, String>;

/// Defines an enum over a string of Stripe's that keeps the values this build does not know. New
/// values arrive in minor releases of Stripe's API.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// A value this build does not know, as Stripe sent it.
            Other(String),
        }

        impl $name {
            /// The value as Stripe spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::from)
            }
        }
    };
}
pub(super) use open_enum;

/// Null reads like absent.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// One page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct List<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Whether older ones follow; ask for them `starting_after` the last id of `data`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub has_more: bool,
}

/// The answer to a deletion.
#[derive(Clone, Debug, Deserialize)]
pub struct Deleted {
    /// What was deleted.
    pub id: String,
    /// Always true when Stripe says it.
    pub deleted: bool,
}

/// The `livemode` of an answer, where it has one: of the object, or of a list's first element.
#[derive(Deserialize)]
pub(super) struct LivemodePeek {
    #[serde(default)]
    livemode: Option<bool>,
    #[serde(default)]
    data: Option<LivemodeOfData>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LivemodeOfData {
    List(Vec<LivemodeOfElement>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct LivemodeOfElement {
    #[serde(default)]
    livemode: Option<bool>,
}

impl LivemodePeek {
    pub(super) fn livemode(&self) -> Option<bool> {
        self.livemode.or_else(|| match &self.data {
            Some(LivemodeOfData::List(elements)) => {
                elements.first().and_then(|element| element.livemode)
            }
            Some(LivemodeOfData::Other(_)) | None => None,
        })
    }
}

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the macro makes public enums, and this one stays here"
)]
mod tests {
    use super::*;

    open_enum! {
        /// For the test.
        Colour {
            /// Red.
            Red = "red",
        }
    }

    #[test]
    fn unknown_values_are_kept() {
        let read = |json: &str| serde_json::from_str::<Colour>(json).unwrap();
        assert_eq!(read(r#""red""#), Colour::Red);
        assert_eq!(read(r#""ultraviolet""#).as_str(), "ultraviolet");
    }

    #[test]
    fn livemode_is_found_where_stripe_puts_it() {
        for (json, livemode) in [
            (r#"{"id":"cus_1","livemode":true}"#, Some(true)),
            (
                r#"{"object":"list","data":[{"livemode":false},{"livemode":true}]}"#,
                Some(false),
            ),
            (r#"{"object":"list","data":[]}"#, None),
            (r#"{"object":"event","data":{"object":{}}}"#, None),
            (r#"{"id":"acct_1"}"#, None),
            (r#"{"livemode":null,"data":null}"#, None),
        ] {
            let peek: LivemodePeek = serde_json::from_str(json).unwrap();
            assert_eq!(peek.livemode(), livemode, "{json}");
        }
    }
}
