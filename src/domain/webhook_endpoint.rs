//! A portal's own webhook endpoints: where the facts this service publishes are sent.

use super::error::{FieldCode, FieldError};
use super::operation::named;
use super::slug::Slug;
use super::text::Metadata;
use crate::clock::Timestamp;

/// Endpoints of one portal.
pub const ENDPOINTS_MAX: i64 = 16;
/// Bytes of an endpoint's URL.
pub const URL_MAX_BYTES: usize = 2_000;
/// Characters of an endpoint's description.
pub const DESCRIPTION_MAX_CHARS: usize = 200;
/// How long a rotated secret goes on signing beside the new one.
pub const SECRET_OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;
/// Stands for every type of event, those to come included.
pub const EVERY_EVENT: &str = "*";

/// Every type of event that this service publishes.
pub const EVENT_TYPES: [&str; 20] = [
    "customer.created",
    "customer.deleted",
    "customer.updated",
    "invoice.created",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.updated",
    "invoice.voided",
    "payment_method.created",
    "payment_method.deleted",
    "payment_method.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "subscription.created",
    "subscription.updated",
    "webhook_endpoint.created",
    "webhook_endpoint.deleted",
    "webhook_endpoint.disabled",
    "webhook_endpoint.updated",
];

/// Which events an endpoint gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All, those of types to come included.
    All,
    /// Those of these types; at least one, sorted, none twice.
    Only(Vec<String>),
}

impl Wanted {
    /// Takes a list of types, or `*` alone. Refusals go to `errors`.
    pub fn take(pointer: &str, types: Vec<String>, errors: &mut Vec<FieldError>) -> Self {
        if types.is_empty() {
            errors.push(FieldError::new(
                pointer,
                FieldCode::Empty,
                "Name at least one type of event, or * for all.",
            ));
        }
        if types.len() > EVENT_TYPES.len() {
            errors.push(FieldError::new(
                pointer,
                FieldCode::TooMany,
                "Names more types of events than there are.",
            ));
            return Self::All;
        }
        if let [only] = types.as_slice()
            && only == EVERY_EVENT
        {
            return Self::All;
        }
        for (place, name) in types.iter().enumerate() {
            let detail = if name == EVERY_EVENT {
                "* stands alone."
            } else if !EVENT_TYPES.contains(&name.as_str()) {
                "There is no such type of event."
            } else if types.iter().take(place).any(|before| before == name) {
                "Stands in the list twice."
            } else {
                continue;
            };
            let pointer = format!("{pointer}/{place}");
            errors.push(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        }
        let mut types = types;
        types.sort_unstable();
        Self::Only(types)
    }

    /// The types as they are shown and stored.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec![EVERY_EVENT.to_owned()],
            Self::Only(types) => types.clone(),
        }
    }

    /// Reads what [`Self::names`] gives, without judging it: a newer version may know more types.
    pub fn from_names(names: Vec<String>) -> Self {
        if names.iter().any(|name| name == EVERY_EVENT) {
            Self::All
        } else {
            Self::Only(names)
        }
    }
}

named! {
    /// Why nothing is sent to an endpoint.
    DisabledReason {
        /// The portal wanted it so.
        Requested = "requested",
        /// The receiver answered 410: it wants no more.
        Gone = "gone",
        /// Nothing was taken for days.
        Failing = "failing",
    }
}

/// That nothing is sent, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Why.
    pub reason: DisabledReason,
    /// Since when.
    pub at: Timestamp,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// `hook_…`.
    pub id: String,
    /// Whose.
    pub portal: Slug,
    /// Where events are posted. May hold a token of the receiver's, so it is never logged.
    pub url: String,
    /// Which events it gets.
    pub wanted: Wanted,
    /// For people.
    pub description: Option<String>,
    /// The portal's own keys and values.
    pub metadata: Metadata,
    /// Whether nothing is sent; what there would be to send waits.
    pub disabled: Option<Disabled>,
    /// When the first attempt failed since the last that was taken; `None` when none has.
    pub failing_since: Option<Timestamp>,
    /// Raised by one by every change but those of `failing_since`.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The public half of a signing key, for receivers that verify `v1a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// `whpk_…`.
    pub key: String,
    /// When it began to sign.
    pub created_at: Timestamp,
    /// Until when it signs, once rotated.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(types: &[&str]) -> Result<Wanted, Vec<String>> {
        let mut errors = Vec::new();
        let types = types.iter().map(|&name| name.to_owned()).collect();
        let wanted = Wanted::take("/events", types, &mut errors);
        if errors.is_empty() {
            Ok(wanted)
        } else {
            Err(errors.into_iter().map(|error| error.pointer).collect())
        }
    }

    #[test]
    fn types_are_known_ones_or_the_star_alone() {
        assert_eq!(take(&["*"]), Ok(Wanted::All));
        let two = take(&["subscription.updated", "customer.created"]).unwrap();
        assert_eq!(two.names(), ["customer.created", "subscription.updated"]);
        assert_eq!(Wanted::from_names(two.names()), two);
        assert_eq!(Wanted::from_names(Wanted::All.names()), Wanted::All);
        for (types, pointer) in [
            (&[][..], "/events"),
            (&["*", "customer.created"], "/events/0"),
            (&["customer.created", "customer.create"], "/events/1"),
            (&["customer.created", "customer.created"], "/events/1"),
            (&["*"; EVENT_TYPES.len() + 1], "/events"),
        ] {
            assert_eq!(take(types), Err(vec![pointer.to_owned()]), "{types:?}");
        }
    }

    #[test]
    fn the_types_are_sorted_and_written_as_the_standard_wants_them() {
        assert!(EVENT_TYPES.is_sorted());
        for name in EVENT_TYPES {
            let parts: Vec<&str> = name.split('.').collect();
            let word = |part: &&str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            };
            assert!(parts.len() == 2 && parts.iter().all(word), "{name}");
        }
    }
}
