//! `billing_details` of payment methods and charges.

use serde_json::{Value, json};

use super::shared::Address;
use crate::params::{Params, Patch};

/// Who pays, as given with the payment method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BillingDetails {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) tax_id: Option<String>,
    pub(crate) address: Address,
}

impl BillingDetails {
    /// The details in the `billing_details` parameter of a new object.
    pub(crate) fn read(params: Option<Params<'_>>) -> Self {
        let mut details = Self::default();
        if let Some(params) = params {
            details.merge(params);
        }
        details
    }

    /// Changes what the `billing_details` parameter gives.
    pub(crate) fn merge(&mut self, params: Params<'_>) {
        params.patch("name").apply(&mut self.name);
        params.patch("email").apply(&mut self.email);
        params.patch("phone").apply(&mut self.phone);
        params.patch("tax_id").apply(&mut self.tax_id);
        match params.patch_child("address") {
            Patch::Keep => {}
            Patch::Clear => self.address = Address::default(),
            Patch::Set(address) => self.address.update(address),
        }
    }

    pub(crate) fn render(&self) -> Value {
        json!({
            "address": self.address.render(),
            "email": self.email,
            "name": self.name,
            "phone": self.phone,
            "tax_id": self.tax_id,
        })
    }
}
