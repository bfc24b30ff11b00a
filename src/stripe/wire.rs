//! Reading Stripe's objects so that nothing new in them can break us: unknown fields are ignored,
//! absent and null ones are `None` or empty, unknown enum values are kept as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

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

/// Defines an enum over what we say to Stripe, and no more than that.
macro_rules! sent_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The value as Stripe spells it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(super) use sent_enum;

/// Null reads like absent.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A point in time, which Stripe sends in whole seconds since the Unix epoch.
pub(super) fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let seconds = Option::<i64>::deserialize(deserializer)?;
    Ok(seconds.map(Timestamp::from_seconds))
}

/// The way back of [`seconds`].
#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn to_seconds<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(Timestamp::as_seconds).serialize(serializer)
}

/// What to do with a field that Stripe clears when it is sent empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Clear it.
    Clear,
    /// Set it.
    To(T),
}

impl<T> Change<T> {
    pub(super) const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep => serializer.serialize_none(),
            Self::Clear => serializer.serialize_str(""),
            Self::To(value) => value.serialize(serializer),
        }
    }
}

/// An object with an id of Stripe's.
pub trait Identified {
    /// The id.
    fn id(&self) -> &str;
}

/// Defines [`Identified`] for objects with a field `id`.
macro_rules! identified {
    ($($name:ident),+ $(,)?) => {
        $(impl crate::stripe::wire::Identified for $name {
            fn id(&self) -> &str {
                &self.id
            }
        })+
    };
}
pub(super) use identified;

/// Another object, by its id or, when the request asked for it to be expanded, in whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expandable<T> {
    /// Its id.
    Id(String),
    /// The object.
    Object(Box<T>),
}

impl<T> Expandable<T> {
    /// The object, when it is there.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

impl<T: Identified> Expandable<T> {
    /// Its id, either way.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Expandable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Expandable<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an id or an object")
            }

            fn visit_str<E>(self, id: &str) -> Result<Self::Value, E> {
                Ok(Expandable::Id(id.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let object = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Expandable::Object(Box::new(object)))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// An object of which only the id is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bare {
    /// Its id.
    pub id: String,
}
identified!(Bare);

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct List<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Whether older ones follow; ask for them `starting_after` the last id of `data`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub has_more: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            has_more: false,
        }
    }
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
    fn another_object_is_read_by_id_and_in_whole() {
        let read = |json: &str| serde_json::from_str::<Expandable<Bare>>(json).unwrap();
        let by_id = read(r#""cus_1""#);
        assert_eq!((by_id.id(), by_id.object()), ("cus_1", None));
        let whole = read(r#"{"object":"customer","id":"cus_1","new":[]}"#);
        assert_eq!((whole.id(), whole.object().is_some()), ("cus_1", true));
        assert!(serde_json::from_str::<Expandable<Bare>>("7").is_err());
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
