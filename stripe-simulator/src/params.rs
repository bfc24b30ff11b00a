//! Typed access to parameters that the contract has checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;

/// Free key-value pairs on an object.
pub(crate) type Metadata = BTreeMap<String, String>;

/// A borrowed view of checked parameters, or of a hash inside them.
///
/// Getters answer `None` for what is absent or empty; use [`Params::patch`] where an empty string
/// means "unset".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a>(&'a Map<String, Value>);

/// The three things an update can say about a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patch<T> {
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    /// Applies the change to an optional field.
    pub(crate) fn apply<U: From<T>>(self, field: &mut Option<U>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value.into()),
        }
    }
}

impl<'a> Params<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    /// The hash itself.
    pub(crate) fn map(self) -> &'a Map<String, Value> {
        self.0
    }

    /// The value as it was checked, empty strings included.
    pub(crate) fn raw(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// Whether the parameter came at all, empty or not.
    pub(crate) fn is_given(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn owned(self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// The text, or Stripe's `parameter_missing`.
    pub(crate) fn required(self, name: &str) -> Result<&'a str, StripeError> {
        self.text(name)
            .ok_or_else(|| StripeError::missing_param(name))
    }

    pub(crate) fn integer(self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn boolean(self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A decimal string or number.
    pub(crate) fn decimal(self, name: &str) -> Option<Decimal> {
        match self.0.get(name)? {
            Value::String(text) => Decimal::parse(text).ok(),
            Value::Number(number) => Decimal::parse(&number.to_string()).ok(),
            _ => None,
        }
    }

    /// A hash.
    pub(crate) fn child(self, name: &str) -> Option<Params<'a>> {
        self.0.get(name)?.as_object().map(Params)
    }

    /// A list of hashes; empty when absent.
    pub(crate) fn children(self, name: &str) -> Vec<Params<'a>> {
        let items = self.0.get(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .map(Params)
            .collect()
    }

    /// A list of strings; empty when absent.
    pub(crate) fn texts(self, name: &str) -> Vec<&'a str> {
        let items = self.0.get(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// What the parameter says about an optional text field.
    pub(crate) fn patch(self, name: &str) -> Patch<&'a str> {
        match self.0.get(name) {
            None => Patch::Keep,
            Some(value) => match value.as_str() {
                None | Some("") => Patch::Clear,
                Some(text) => Patch::Set(text),
            },
        }
    }

    /// What the parameter says about an optional hash.
    pub(crate) fn patch_child(self, name: &str) -> Patch<Params<'a>> {
        match self.0.get(name) {
            None => Patch::Keep,
            Some(value) => match value.as_object() {
                None => Patch::Clear,
                Some(map) => Patch::Set(Params(map)),
            },
        }
    }

    /// Merges the `metadata` parameter into an object's metadata, as Stripe does: an empty value
    /// removes its key, an empty `metadata` removes all.
    pub(crate) fn merge_metadata(self, metadata: &mut Metadata) {
        match self.0.get("metadata") {
            None => {}
            Some(Value::Object(changes)) => {
                for (key, value) in changes {
                    match value.as_str() {
                        None | Some("") => metadata.remove(key),
                        Some(text) => metadata.insert(key.clone(), text.to_owned()),
                    };
                }
            }
            Some(_) => metadata.clear(),
        }
    }

    /// The `metadata` of a new object.
    pub(crate) fn metadata(self) -> Metadata {
        let mut metadata = Metadata::new();
        self.merge_metadata(&mut metadata);
        metadata
    }
}
