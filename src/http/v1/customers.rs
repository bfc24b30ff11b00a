//! Customers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Metadata;
use crate::domain::customer::{Address, Customer, TaxId};

/// A consumer organization as its portal bills it.
#[derive(Serialize, ToSchema)]
#[schema(as = Customer, example = json!({
    "id": "org_01kat5bmf0f3x8q2r7w1e4t6y9",
    "external_id": "globex",
    "name": "Globex GmbH",
    "email": "billing@globex.example",
    "address": {
        "line1": "Hauptstr. 1", "line2": null, "city": "Berlin",
        "state": null, "postal_code": "10115", "country": "DE"
    },
    "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}],
    "metadata": {},
    "default_payment_method": "meth_01kat5bmf0f3x8q2r7w1e4t6y9",
    "stripe": {"account": "acct_1PgafTB1WZ2rYsUu", "livemode": false, "customer": "cus_Qx7example"},
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.000Z"
}))]
pub struct CustomerBody {
    /// Its id.
    #[schema(pattern = "^org_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// The id by which the portal knows it.
    external_id: String,
    /// Of the organization.
    name: String,
    /// Where invoices go.
    email: String,
    /// For invoices and taxes.
    #[schema(required = true)]
    address: Option<AddressBody>,
    /// For invoices.
    tax_ids: Vec<TaxIdBody>,
    /// The caller's own keys and values.
    #[schema(value_type = Metadata)]
    metadata: BTreeMap<String, String>,
    /// The payment method that is used unless another one is named.
    #[schema(required = true, pattern = "^meth_[0-9a-hjkmnp-tv-z]{26}$")]
    default_payment_method: Option<String>,
    /// Where it is at Stripe, in the account and mode last used; it is made there when first needed.
    #[schema(required = true)]
    stripe: Option<CustomerStripe>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A postal address.
#[derive(Serialize, ToSchema)]
#[schema(as = Address)]
pub struct AddressBody {
    /// Street and number.
    #[schema(required = true)]
    line1: Option<String>,
    /// What else there is to say.
    #[schema(required = true)]
    line2: Option<String>,
    /// City or town.
    #[schema(required = true)]
    city: Option<String>,
    /// State, county or region.
    #[schema(required = true)]
    state: Option<String>,
    /// ZIP or postal code.
    #[schema(required = true)]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(required = true)]
    country: Option<String>,
}

/// A tax id.
#[derive(Serialize, ToSchema)]
#[schema(as = TaxId)]
pub struct TaxIdBody {
    /// Stripe's word for its kind, such as `eu_vat`.
    r#type: String,
    /// As its holder writes it.
    value: String,
}

/// Where a customer is at Stripe.
#[derive(Serialize, ToSchema)]
pub struct CustomerStripe {
    /// The account.
    account: String,
    /// Whether in live mode.
    livemode: bool,
    /// Stripe's id of the customer.
    customer: String,
}

impl From<Address> for AddressBody {
    fn from(address: Address) -> Self {
        Self {
            line1: address.line1,
            line2: address.line2,
            city: address.city,
            state: address.state,
            postal_code: address.postal_code,
            country: address.country,
        }
    }
}

impl From<Customer> for CustomerBody {
    fn from(customer: Customer) -> Self {
        let tax_id = |TaxId { kind, value }| TaxIdBody {
            r#type: kind,
            value,
        };
        Self {
            id: customer.id,
            external_id: customer.external_id,
            name: customer.name,
            email: customer.email,
            address: customer.address.map(AddressBody::from),
            tax_ids: customer.tax_ids.into_iter().map(tax_id).collect(),
            metadata: customer.metadata,
            default_payment_method: customer.default_payment_method,
            stripe: customer.stripe.map(|link| CustomerStripe {
                account: link.account,
                livemode: link.mode.livemode(),
                customer: link.id,
            }),
            created_at: customer.created_at.to_rfc3339(),
            updated_at: customer.updated_at.to_rfc3339(),
        }
    }
}
