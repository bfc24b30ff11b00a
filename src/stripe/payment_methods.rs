//! Payment methods: what customers pay with.

use serde::Deserialize;
use stripe_core::customer::ListPaymentMethodsCustomer;
use stripe_payment::payment_method::{
    AttachPaymentMethod, DetachPaymentMethod, ListPaymentMethod, RetrievePaymentMethod,
};

use super::customers::Customer;
use super::request::{FrozenRequest, Page, known, paged};
use super::wire::{Expandable, identified, null_as_default, open_enum, seconds};
use super::{Metadata, StripeError, path_id};
use crate::clock::Timestamp;

/// Attaches a payment method to a customer. The issuer may decline it.
pub fn attach(id: &str, customer: &str) -> Result<FrozenRequest, StripeError> {
    let attach = AttachPaymentMethod::new(path_id(id)?).customer(customer);
    Ok(FrozenRequest::of(&attach))
}

/// Detaches a payment method from its customer, for good: it can never be attached again.
pub fn detach(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&DetachPaymentMethod::new(path_id(id)?)))
}

/// Reads a payment method.
pub fn retrieve(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&RetrievePaymentMethod::new(path_id(id)?)))
}

/// Lists the payment methods of a customer, of this kind (such as `card`) or of all; newest first.
pub fn list(
    customer: &str,
    kind: Option<&str>,
    page: Page<'_>,
) -> Result<FrozenRequest, StripeError> {
    let mut list = ListPaymentMethodsCustomer::new(path_id(customer)?);
    if let Some(kind) = kind {
        list = list.type_(known::<stripe_core::customer::ListPaymentMethodsCustomerType>(kind));
    }
    paged!(list, page);
    Ok(FrozenRequest::of(&list))
}

/// The same by the account's list of payment methods, which names the customer as a parameter.
pub fn list_in_account(customer: &str, kind: Option<&str>, page: Page<'_>) -> FrozenRequest {
    let mut list = ListPaymentMethod::new().customer(customer);
    if let Some(kind) = kind {
        list = list.type_(known::<stripe_payment::payment_method::ListPaymentMethodType>(kind));
    }
    paged!(list, page);
    FrozenRequest::of(&list)
}

open_enum! {
    /// What kind of payment method it is. Stripe has more than fifty.
    PaymentMethodKind {
        /// A card.
        Card = "card",
        /// Stripe's wallet.
        Link = "link",
        /// SEPA direct debit.
        SepaDebit = "sepa_debit",
        /// ACH direct debit.
        UsBankAccount = "us_bank_account",
    }
}

open_enum! {
    /// Where a card's money comes from.
    CardFunding {
        /// Credit.
        Credit = "credit",
        /// An account.
        Debit = "debit",
        /// It was paid in before.
        Prepaid = "prepaid",
    }
}

/// What this service reads of Stripe's `PaymentMethod`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PaymentMethod {
    /// `pm_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default, rename = "type")]
    pub kind: Option<PaymentMethodKind>,
    /// Whom it is attached to; `None`: nobody, not yet or no more.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Of a card.
    #[serde(default)]
    pub card: Option<Card>,
    /// Of an ACH direct debit.
    #[serde(default)]
    pub us_bank_account: Option<BankAccount>,
    /// Of a SEPA direct debit.
    #[serde(default)]
    pub sepa_debit: Option<BankAccount>,
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
identified!(PaymentMethod);

/// What may be shown of a card.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Card {
    /// `visa`, `mastercard`, ….
    #[serde(default)]
    pub brand: Option<String>,
    /// The last four digits.
    #[serde(default)]
    pub last4: Option<String>,
    /// 1 to 12.
    #[serde(default)]
    pub exp_month: Option<u8>,
    /// Four digits.
    #[serde(default)]
    pub exp_year: Option<u16>,
    /// `None`: not said.
    #[serde(default)]
    pub funding: Option<CardFunding>,
    /// Of its issuer, ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// The same for the same card number within an account. Not a card number.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

/// What may be shown of a bank account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BankAccount {
    /// Its bank.
    #[serde(default)]
    pub bank_name: Option<String>,
    /// The last four digits.
    #[serde(default)]
    pub last4: Option<String>,
    /// Of the bank, ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// The same for the same account number within an account of Stripe's.
    #[serde(default)]
    pub fingerprint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payment_methods_come_and_go() {
        assert_eq!(
            attach("pm_1", "cus_1").unwrap().shown(),
            ["POST /v1/payment_methods/pm_1/attach", "customer=cus_1"]
        );
        assert_eq!(
            detach("pm_1").unwrap().shown(),
            ["POST /v1/payment_methods/pm_1/detach"]
        );
        assert_eq!(
            retrieve("pm_1").unwrap().shown(),
            ["GET /v1/payment_methods/pm_1"]
        );
    }

    #[test]
    fn payment_methods_are_listed_on_both_paths() {
        let page = Page::largest(Some("pm_9"));
        assert_eq!(
            list("cus_1", Some("card"), page).unwrap().shown(),
            [
                "GET /v1/customers/cus_1/payment_methods",
                "limit=100",
                "starting_after=pm_9",
                "type=card",
            ]
        );
        assert_eq!(
            list_in_account("cus_1", None, Page::default()).shown(),
            ["GET /v1/payment_methods", "customer=cus_1"]
        );
        assert_eq!(
            list_in_account("cus_1", Some("sepa_debit"), Page::default()).shown(),
            [
                "GET /v1/payment_methods",
                "customer=cus_1",
                "type=sepa_debit"
            ]
        );
    }

    #[test]
    fn kinds_of_tomorrow_are_kept() {
        let read: PaymentMethod = serde_json::from_str(
            r#"{"id":"pm_1","type":"telepathy","telepathy":{},"card":null,"customer":null}"#,
        )
        .unwrap();
        assert_eq!(read.kind.unwrap().as_str(), "telepathy");
    }
}
