//! Customers and their tax ids.

use std::fmt;

use serde::{Deserialize, Serialize};
use stripe_core::customer::{
    CreateCustomer, CreateCustomerInvoiceSettings, CreateCustomerTaxIdData, DeleteCustomer,
    ListCustomer, OptionalFieldsCustomerAddress, RetrieveCustomer,
};

use super::payment_methods::PaymentMethod;
use super::request::{Created, FrozenRequest, Page, hash_map, known, owned, paged, set};
use super::wire::{Change, Expandable, identified, null_as_default, open_enum, seconds};
use super::{Metadata, StripeError, path_id, post};
use crate::clock::Timestamp;

/// A postal address. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    #[serde(default)]
    pub line1: Option<String>,
    /// What else there is to say.
    #[serde(default)]
    pub line2: Option<String>,
    /// City or town.
    #[serde(default)]
    pub city: Option<String>,
    /// State, county or region.
    #[serde(default)]
    pub state: Option<String>,
    /// ZIP or postal code.
    #[serde(default)]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Address").finish_non_exhaustive()
    }
}

impl From<&Address> for OptionalFieldsCustomerAddress {
    fn from(address: &Address) -> Self {
        Self {
            city: address.city.clone(),
            country: address.country.clone(),
            line1: address.line1.clone(),
            line2: address.line2.clone(),
            postal_code: address.postal_code.clone(),
            state: address.state.clone(),
        }
    }
}

/// A tax id to be.
#[derive(Clone, Copy)]
pub struct NewTaxId<'a> {
    /// Stripe's word for its kind, such as `eu_vat`.
    pub kind: &'a str,
    /// As its holder writes it.
    pub value: &'a str,
}

/// A customer to be. Not shown by `Debug`.
#[derive(Clone, Default)]
pub struct NewCustomer<'a> {
    /// Of the person or the company.
    pub name: Option<&'a str>,
    /// Where Stripe's mails go.
    pub email: Option<&'a str>,
    /// For invoices and taxes.
    pub address: Option<&'a Address>,
    /// For invoices.
    pub tax_ids: &'a [NewTaxId<'a>],
    /// By which the customer is recognized as ours.
    pub metadata: Metadata,
    /// A payment method to attach.
    pub payment_method: Option<&'a str>,
    /// The attached payment method that invoices are paid with.
    pub default_payment_method: Option<&'a str>,
}

/// Creates a customer.
pub fn create(new: &NewCustomer<'_>) -> FrozenRequest {
    let mut create = CreateCustomer::new();
    set!(create, new, name, email, payment_method);
    if let Some(address) = new.address {
        create = create.address(address);
    }
    if let Some(id) = new.default_payment_method {
        let mut settings = CreateCustomerInvoiceSettings::new();
        settings.default_payment_method = Some(id.to_owned());
        // What is shown of a payment method comes with the same answer.
        create = create
            .invoice_settings(settings)
            .expand(owned(&["invoice_settings.default_payment_method"]));
    }
    if !new.tax_ids.is_empty() {
        let all = new.tax_ids.iter();
        let all = all.map(|id| CreateCustomerTaxIdData {
            type_: known(id.kind),
            value: id.value.to_owned(),
        });
        create = create.tax_id_data(all.collect::<Vec<_>>());
    }
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    FrozenRequest::of(&create)
}

/// What to change of a customer. Not shown by `Debug`.
#[derive(Clone, Default)]
pub struct CustomerChange<'a> {
    /// Of the person or the company.
    pub name: Change<&'a str>,
    /// Where Stripe's mails go.
    pub email: Change<&'a str>,
    /// Replaces the whole address: what it does not have is emptied.
    pub address: Change<&'a Address>,
    /// The attached payment method that invoices are paid with.
    pub default_payment_method: Change<&'a str>,
    /// Added to what is there; an empty value removes its key.
    pub metadata: Metadata,
}

/// The builder's types cannot clear an address.
#[derive(Serialize)]
struct CustomerChangeForm<'a> {
    #[serde(skip_serializing_if = "Change::is_keep")]
    name: Change<&'a str>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    email: Change<&'a str>,
    #[serde(skip_serializing_if = "Change::is_keep")]
    address: Change<WholeAddress<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_settings: Option<InvoiceSettingsForm<'a>>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct InvoiceSettingsForm<'a> {
    default_payment_method: Change<&'a str>,
}

/// All six parts, the absent ones empty.
#[derive(Serialize)]
struct WholeAddress<'a> {
    line1: &'a str,
    line2: &'a str,
    city: &'a str,
    state: &'a str,
    postal_code: &'a str,
    country: &'a str,
}

impl<'a> From<&'a Address> for WholeAddress<'a> {
    fn from(address: &'a Address) -> Self {
        Self {
            line1: address.line1.as_deref().unwrap_or_default(),
            line2: address.line2.as_deref().unwrap_or_default(),
            city: address.city.as_deref().unwrap_or_default(),
            state: address.state.as_deref().unwrap_or_default(),
            postal_code: address.postal_code.as_deref().unwrap_or_default(),
            country: address.country.as_deref().unwrap_or_default(),
        }
    }
}

/// Changes a customer.
pub fn update(id: &str, change: &CustomerChange<'_>) -> Result<FrozenRequest, StripeError> {
    let form = CustomerChangeForm {
        name: change.name,
        email: change.email,
        address: match change.address {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::To(address) => Change::To(address.into()),
        },
        invoice_settings: match change.default_payment_method {
            Change::Keep => None,
            default_payment_method => Some(InvoiceSettingsForm {
                default_payment_method,
            }),
        },
        metadata: &change.metadata,
    };
    let path = format!("/customers/{}", path_id(id)?);
    Ok(post(path).form(&form).into())
}

/// Deletes a customer, and at once cancels its subscriptions. Its invoices stay.
pub fn delete(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&DeleteCustomer::new(path_id(id)?)))
}

/// Reads a customer. A deleted one is found too, and says so.
pub fn retrieve(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&RetrieveCustomer::new(path_id(id)?)))
}

/// Which customers to list.
#[derive(Clone, Copy, Default)]
pub struct CustomerFilter<'a> {
    /// With exactly this address, case included.
    pub email: Option<&'a str>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists customers, newest first.
pub fn list(filter: &CustomerFilter<'_>) -> FrozenRequest {
    let mut list = ListCustomer::new();
    set!(list, filter, email);
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

#[derive(Serialize)]
struct TaxIdForm<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    value: &'a str,
}

/// Gives a customer a tax id.
pub fn create_tax_id(customer: &str, new: NewTaxId<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/customers/{}/tax_ids", path_id(customer)?);
    let form = TaxIdForm {
        kind: new.kind,
        value: new.value,
    };
    Ok(post(path).form(&form).into())
}

/// Takes a tax id from a customer.
pub fn delete_tax_id(customer: &str, id: &str) -> Result<FrozenRequest, StripeError> {
    let path = format!("/customers/{}/tax_ids/{}", path_id(customer)?, path_id(id)?);
    Ok(super::delete(path).into())
}

/// Lists a customer's tax ids.
pub fn list_tax_ids(customer: &str, page: Page<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/customers/{}/tax_ids", path_id(customer)?);
    Ok(super::get(path).query(&page.form()).into())
}

/// What this service reads of Stripe's `Customer`. `Debug` shows neither name nor address.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Whether it was deleted; then nothing else but the id is there.
    #[serde(default, deserialize_with = "null_as_default")]
    pub deleted: bool,
    /// Of the person or the company.
    #[serde(default)]
    pub name: Option<String>,
    /// Where Stripe's mails go.
    #[serde(default)]
    pub email: Option<String>,
    /// For invoices and taxes.
    #[serde(default)]
    pub address: Option<Address>,
    /// Lower-case ISO 4217, once it has been charged or has a subscription.
    #[serde(default)]
    pub currency: Option<String>,
    /// What its invoices begin with.
    #[serde(default, deserialize_with = "null_as_default")]
    pub invoice_settings: InvoiceSettings,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Customer);

impl fmt::Debug for Customer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Customer")
            .field("id", &self.id)
            .field("deleted", &self.deleted)
            .field("livemode", &self.livemode)
            .finish_non_exhaustive()
    }
}

/// What a customer's invoices begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InvoiceSettings {
    /// What they are paid with.
    #[serde(default)]
    pub default_payment_method: Option<Expandable<PaymentMethod>>,
}

open_enum! {
    /// What became of the check of a tax id.
    TaxIdVerificationStatus {
        /// It has not been checked yet.
        Pending = "pending",
        /// A register knows it.
        Verified = "verified",
        /// No register knows it.
        Unverified = "unverified",
        /// There is no register to ask.
        Unavailable = "unavailable",
    }
}

/// What this service reads of Stripe's `TaxId`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaxId {
    /// `txi_…`.
    pub id: String,
    /// Stripe's word for its kind, such as `eu_vat`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// As its holder writes it.
    #[serde(default)]
    pub value: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// What became of its check.
    #[serde(default)]
    pub verification: Option<TaxIdVerification>,
}
identified!(TaxId);

/// What became of the check of a tax id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaxIdVerification {
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<TaxIdVerificationStatus>,
}
