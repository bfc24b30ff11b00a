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

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
    }

    fn address() -> Address {
        Address {
            line1: Some("Straße 1 & Co".to_owned()),
            city: Some("Berlin".to_owned()),
            country: Some("DE".to_owned()),
            ..Address::default()
        }
    }

    #[test]
    fn a_customer_is_created_with_all_it_may_have() {
        let vat = NewTaxId {
            kind: "eu_vat",
            value: "DE123456789",
        };
        let request = create(&NewCustomer {
            name: Some("Ada"),
            email: Some("ada+x@example.com"),
            address: Some(&address()),
            tax_ids: &[vat],
            metadata: metadata(),
            payment_method: Some("pm_1"),
            default_payment_method: Some("pm_1"),
        });
        assert_eq!(
            request.shown(),
            [
                "POST /v1/customers",
                "address[city]=Berlin",
                "address[country]=DE",
                "address[line1]=Straße 1 & Co",
                "email=ada+x@example.com",
                "expand[0]=invoice_settings.default_payment_method",
                "invoice_settings[default_payment_method]=pm_1",
                "metadata[operation]=oper_1",
                "name=Ada",
                "payment_method=pm_1",
                "tax_id_data[0][type]=eu_vat",
                "tax_id_data[0][value]=DE123456789",
            ]
        );
        assert_eq!(
            create(&NewCustomer::default()).shown(),
            ["POST /v1/customers"]
        );
    }

    #[test]
    fn a_change_says_what_changes_and_what_is_cleared() {
        let none = CustomerChange::default();
        assert_eq!(
            update("cus_1", &none).unwrap().shown(),
            ["POST /v1/customers/cus_1"]
        );
        let address = address();
        let all = CustomerChange {
            name: Change::To("Ada"),
            email: Change::Clear,
            address: Change::To(&address),
            default_payment_method: Change::Clear,
            metadata: metadata(),
        };
        assert_eq!(
            update("cus_1", &all).unwrap().shown(),
            [
                "POST /v1/customers/cus_1",
                "address[city]=Berlin",
                "address[country]=DE",
                "address[line1]=Straße 1 & Co",
                "address[line2]=",
                "address[postal_code]=",
                "address[state]=",
                "email=",
                "invoice_settings[default_payment_method]=",
                "metadata[operation]=oper_1",
                "name=Ada",
            ]
        );
        let cleared = CustomerChange {
            address: Change::Clear,
            default_payment_method: Change::To("pm_1"),
            ..CustomerChange::default()
        };
        assert_eq!(
            update("cus_1", &cleared).unwrap().shown(),
            [
                "POST /v1/customers/cus_1",
                "address=",
                "invoice_settings[default_payment_method]=pm_1",
            ]
        );
    }

    #[test]
    fn customers_are_found_read_and_deleted() {
        let filter = CustomerFilter {
            email: Some("ada@example.com"),
            created: Created::since(Timestamp::from_seconds(1_800_000_000)),
            page: Page::largest(Some("cus_9")),
        };
        assert_eq!(
            list(&filter).shown(),
            [
                "GET /v1/customers",
                "created[gte]=1800000000",
                "email=ada@example.com",
                "limit=100",
                "starting_after=cus_9",
            ]
        );
        assert_eq!(
            list(&CustomerFilter::default()).shown(),
            ["GET /v1/customers"]
        );
        assert_eq!(
            retrieve("cus_1").unwrap().shown(),
            ["GET /v1/customers/cus_1"]
        );
        assert_eq!(
            delete("cus_1").unwrap().shown(),
            ["DELETE /v1/customers/cus_1"]
        );
        assert!(delete("cus_1/sources").is_err());
    }

    #[test]
    fn tax_ids_come_and_go() {
        let vat = NewTaxId {
            kind: "eu_vat",
            value: "DE123456789",
        };
        assert_eq!(
            create_tax_id("cus_1", vat).unwrap().shown(),
            [
                "POST /v1/customers/cus_1/tax_ids",
                "type=eu_vat",
                "value=DE123456789"
            ]
        );
        assert_eq!(
            delete_tax_id("cus_1", "txi_1").unwrap().shown(),
            ["DELETE /v1/customers/cus_1/tax_ids/txi_1"]
        );
        let page = Page {
            limit: Some(0),
            starting_after: None,
        };
        assert_eq!(
            list_tax_ids("cus_1", page).unwrap().shown(),
            ["GET /v1/customers/cus_1/tax_ids", "limit=1"]
        );
    }

    #[test]
    fn neither_name_nor_address_is_shown() {
        let customer: Customer = serde_json::from_str(
            r#"{"id":"cus_1","name":"Canary","email":"Canary","address":{"line1":"Canary"},
                "invoice_settings":null,"metadata":null,"created":1800000000}"#,
        )
        .unwrap();
        assert_eq!(
            customer.created,
            Some(Timestamp::from_seconds(1_800_000_000))
        );
        assert!(!format!("{customer:?} {:?}", customer.address).contains("Canary"));
    }

    #[test]
    fn a_deleted_customer_is_read_wherever_it_stands() {
        let read: Expandable<Customer> =
            serde_json::from_str(r#"{"id":"cus_1","object":"customer","deleted":true}"#).unwrap();
        assert!(read.object().unwrap().deleted);
        assert_eq!(read.id(), "cus_1");
    }
}
