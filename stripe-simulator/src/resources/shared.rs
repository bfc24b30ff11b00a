//! Pieces that many resources share.

use serde_json::{Number, Value, json};

use crate::engine::decimal::Decimal;
use crate::params::{Params, Patch};

/// A postal address; every field optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) city: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) state: Option<String>,
}

impl Address {
    pub(crate) fn of(params: Params<'_>) -> Self {
        let mut address = Self::default();
        address.update(params);
        address
    }

    /// Changes the fields that are given, as Stripe merges nested hashes.
    pub(crate) fn update(&mut self, params: Params<'_>) {
        params.patch("city").apply(&mut self.city);
        params.patch("country").apply(&mut self.country);
        params.patch("line1").apply(&mut self.line1);
        params.patch("line2").apply(&mut self.line2);
        params.patch("postal_code").apply(&mut self.postal_code);
        params.patch("state").apply(&mut self.state);
    }

    pub(crate) fn render(&self) -> Value {
        json!({
            "city": self.city,
            "country": self.country,
            "line1": self.line1,
            "line2": self.line2,
            "postal_code": self.postal_code,
            "state": self.state,
        })
    }
}

/// Applies an address parameter to an optional address.
pub(crate) fn patch_address(address: &mut Option<Address>, patch: Patch<Params<'_>>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *address = None,
        Patch::Set(params) => address.get_or_insert_default().update(params),
    }
}

/// A time as `/v2` writes it: `2026-01-01T00:00:00.000Z`.
pub(crate) fn rfc3339(at: crate::clock::Timestamp) -> String {
    let time = jiff::Timestamp::from_second(at).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// A decimal as a JSON number (percentages).
pub(crate) fn number(decimal: Decimal) -> Value {
    decimal
        .to_string()
        .parse::<Number>()
        .map_or(Value::Null, Value::Number)
}

/// `{"id": …, "object": …, "deleted": true}`.
pub(crate) fn deleted(object: &str, id: &str) -> Value {
    json!({ "id": id, "object": object, "deleted": true })
}
