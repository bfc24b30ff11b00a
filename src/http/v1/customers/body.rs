//! What a customer looks like, and what callers say of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::customers::{AddressChange, CustomerChange, CustomerInput, Field};
use crate::app::portals::MetadataChange;
use crate::domain::customer::{self, Address, Customer, NAME_MAX_CHARS, TaxId};
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::text;
use crate::http::extract::{object, present};
use crate::http::v1::{Metadata, MetadataPatch};
use crate::ids::{Id, Kind};

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

/// What a new customer is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "external_id": "globex",
    "name": "Globex GmbH",
    "email": "billing@globex.example",
    "address": {"line1": "Hauptstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
    "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}]
}))]
pub struct CustomerPost {
    /// The id by which the portal knows the organization; unique in the portal, never changed. It is
    /// addressed as `ext:<external_id>`, percent-encoded, so that `/` and `\\` cannot be in it.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\s/\\]([^\u0000-\u001f\u007f-\u009f/\\]*[^\u0000-\u001f\u007f-\u009f\s/\\])?$"
    )]
    external_id: String,
    /// Of the organization; one line.
    #[schema(
        min_length = 1,
        max_length = 256,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    name: String,
    /// Where invoices go.
    #[schema(
        min_length = 3,
        max_length = 512,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f\s@]+@[^\u0000-\u001f\u007f-\u009f\s@.]+(\.[^\u0000-\u001f\u007f-\u009f\s@.]+)*$"
    )]
    email: String,
    /// For invoices and taxes.
    #[serde(default, deserialize_with = "optional_object")]
    #[schema(required = false)]
    address: Option<AddressPost>,
    /// For invoices; at most 5, each once.
    #[serde(default)]
    #[schema(required = false, max_items = 5)]
    tax_ids: Vec<TaxIdPost>,
    /// The caller's own keys and values: at most 50, of 40 and 500 characters. Stripe does not get
    /// them.
    #[serde(default)]
    #[schema(required = false, value_type = Metadata)]
    metadata: BTreeMap<String, String>,
}

/// A postal address to be.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressPost {
    /// Street and number.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    line1: Option<String>,
    /// What else there is to say.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    line2: Option<String>,
    /// City or town.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    city: Option<String>,
    /// State, county or region.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    state: Option<String>,
    /// ZIP or postal code.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, of a country that exists.
    #[serde(default)]
    #[schema(required = false, pattern = "^[A-Z]{2}$")]
    country: Option<String>,
}

/// A tax id to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxIdPost {
    /// Stripe's word for its kind, such as `eu_vat`; Stripe adds to them.
    #[schema(pattern = "^[a-z][a-z0-9_]{0,49}$")]
    r#type: String,
    /// As its holder writes it.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    value: String,
}

/// What is to change about a customer: a JSON merge patch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
#[schema(example = json!({"name": "Globex AG", "address": {"line2": null}}))]
pub struct CustomerPatch {
    /// The new name.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, value_type = Option<String>, min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    name: Option<String>,
    /// The new e-mail address.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, value_type = Option<String>, min_length = 3, max_length = 512, pattern = r"^[^\u0000-\u001f\u007f-\u009f\s@]+@[^\u0000-\u001f\u007f-\u009f\s@.]+(\.[^\u0000-\u001f\u007f-\u009f\s@.]+)*$")]
    email: Option<String>,
    /// Parts of the address to set, or to remove with `null`; `null` for all of it removes it.
    #[serde(default, deserialize_with = "present_object")]
    #[schema(required = false, value_type = Option<AddressPatch>)]
    address: Option<Option<AddressPatch>>,
    /// All tax ids from now on; `null` or none removes them. Together with those they replace, at
    /// most 5 while Stripe knows the customer.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<Vec<TaxIdPost>>, max_items = 5)]
    tax_ids: Option<Option<Vec<TaxIdPost>>>,
    /// Keys to set, or to remove with `null`; `null` for all of it removes every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<MetadataPatch>)]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
    /// The payment method to be used unless another one is named; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, pattern = "^meth_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    default_payment_method: Option<Option<String>>,
}

/// What is to change about an address.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
pub struct AddressPatch {
    /// Street and number.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    line1: Option<Option<String>>,
    /// What else there is to say.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    line2: Option<Option<String>>,
    /// City or town.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    city: Option<Option<String>>,
    /// State, county or region.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    state: Option<Option<String>>,
    /// ZIP or postal code.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    postal_code: Option<Option<String>>,
    /// ISO 3166-1 alpha-2, of a country that exists.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<String>, pattern = "^[A-Z]{2}$")]
    country: Option<Option<String>>,
}

/// An object, or `null` or nothing for none.
fn optional_object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(value)| value))
}

/// As [`optional_object`]; absent and `null` are two things.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn present_object<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    optional_object(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>", transparent)]
struct Whole<T>(#[serde(deserialize_with = "object")] T);

impl From<AddressPost> for Address {
    fn from(posted: AddressPost) -> Self {
        Self {
            line1: posted.line1,
            line2: posted.line2,
            city: posted.city,
            state: posted.state,
            postal_code: posted.postal_code,
            country: posted.country,
        }
    }
}

impl From<TaxIdPost> for TaxId {
    fn from(posted: TaxIdPost) -> Self {
        Self {
            kind: posted.r#type,
            value: posted.value,
        }
    }
}

fn domain_tax_ids(posted: Vec<TaxIdPost>, errors: &mut Vec<FieldError>) -> Vec<TaxId> {
    let all = posted.into_iter().map(TaxId::from).collect();
    customer::tax_ids("/tax_ids", all, errors)
}

impl CustomerPost {
    /// What the caller says, if every field holds what it must.
    ///
    /// # Errors
    /// `validation_failed`.
    pub(super) fn checked(self) -> Result<CustomerInput, Error> {
        let mut errors = Vec::new();
        let input = CustomerInput {
            external_id: customer::external_id("/external_id", self.external_id, &mut errors),
            name: text::line("/name", &self.name, NAME_MAX_CHARS, &mut errors),
            email: customer::email("/email", &self.email, &mut errors),
            address: self
                .address
                .and_then(|address| Address::checked("/address", address.into(), &mut errors)),
            tax_ids: domain_tax_ids(self.tax_ids, &mut errors),
            metadata: text::metadata("/metadata", self.metadata, &mut errors),
        };
        if errors.is_empty() {
            Ok(input)
        } else {
            Err(Error::fields(errors))
        }
    }
}

/// A field of a merge patch that was there.
fn field<T>(value: Option<T>) -> Field<T> {
    value.map_or(Field::Clear, Field::To)
}

impl From<AddressPatch> for AddressChange {
    fn from(patch: AddressPatch) -> Self {
        Self {
            line1: patch.line1.map(field),
            line2: patch.line2.map(field),
            city: patch.city.map(field),
            state: patch.state.map(field),
            postal_code: patch.postal_code.map(field),
            country: patch.country.map(field),
        }
    }
}

impl CustomerPatch {
    /// What is to change, if every field holds what it must.
    ///
    /// # Errors
    /// `validation_failed`.
    pub(super) fn checked(self) -> Result<CustomerChange, Error> {
        let mut errors = Vec::new();
        let metadata = self.metadata.map(|pairs| match pairs {
            None => MetadataChange::Clear,
            Some(pairs) => MetadataChange::Merge(pairs.into_iter().collect()),
        });
        if let Some(MetadataChange::Merge(pairs)) = &metadata {
            let set = pairs
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            text::metadata("/metadata", set.collect(), &mut errors);
        }
        let is_id = |id: &String| Id::parse(Kind::PaymentMethod, id).is_some();
        if let Some(Some(id)) = &self.default_payment_method
            && !is_id(id)
        {
            errors.push(FieldError::new(
                "/default_payment_method",
                FieldCode::InvalidValue,
                "Must be the id of a payment method, meth_….",
            ));
        }
        let name = self.name.as_deref();
        let email = self.email.as_deref();
        let change = CustomerChange {
            name: name.map(|name| text::line("/name", name, NAME_MAX_CHARS, &mut errors)),
            email: email.map(|email| customer::email("/email", email, &mut errors)),
            address: self
                .address
                .map(|patch| field(patch.map(AddressChange::from))),
            tax_ids: self.tax_ids.map(|all| {
                domain_tax_ids(all.unwrap_or_default(), &mut errors)
                    .into_iter()
                    .map(|tax_id| (tax_id.kind, tax_id.value))
                    .collect()
            }),
            metadata,
            default_payment_method: self.default_payment_method.map(field),
        };
        if errors.is_empty() {
            Ok(change)
        } else {
            Err(Error::fields(errors))
        }
    }
}
