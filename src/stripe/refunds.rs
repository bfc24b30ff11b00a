//! Giving money back: refunds and credit notes. Amounts are in the currency's minor unit.

use serde::Deserialize;
use stripe_billing::credit_note::{CreateCreditNote, ListCreditNote};
use stripe_core::refund::{CreateRefund, CreateRefundReason, ListRefund};

use super::request::{Created, FrozenRequest, Page, hash_map, known, paged, set};
use super::wire::{Bare, Expandable, identified, null_as_default, open_enum, seconds, sent_enum};
use super::{Metadata, StripeError, get, path_id};
use crate::clock::Timestamp;

/// What is refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refunded<'a> {
    /// `pi_…`.
    PaymentIntent(&'a str),
    /// `ch_…`.
    Charge(&'a str),
}

sent_enum! {
    /// Why money is refunded.
    RefundReason {
        /// It was charged twice.
        Duplicate = "duplicate",
        /// It was not the card's holder who paid.
        Fraudulent = "fraudulent",
        /// The customer asked for it.
        RequestedByCustomer = "requested_by_customer",
    }
}

/// A refund to be.
#[derive(Clone, Debug)]
pub struct NewRefund<'a> {
    /// Of what.
    pub of: Refunded<'a>,
    /// How much; `None`: what is left.
    pub amount: Option<i64>,
    /// `None`: not said.
    pub reason: Option<RefundReason>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
}

/// Refunds money.
pub fn create_refund(new: &NewRefund<'_>) -> FrozenRequest {
    let mut create = match new.of {
        Refunded::PaymentIntent(id) => CreateRefund::new().payment_intent(id),
        Refunded::Charge(id) => CreateRefund::new().charge(id),
    };
    set!(create, new, amount);
    if let Some(reason) = new.reason {
        create = create.reason(known::<CreateRefundReason>(reason.as_str()));
    }
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    FrozenRequest::of(&create)
}

/// Reads a refund.
pub fn retrieve_refund(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(get(format!("/refunds/{}", path_id(id)?)).into())
}

/// Which refunds to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundFilter<'a> {
    /// Of this payment intent.
    pub payment_intent: Option<&'a str>,
    /// Of this charge.
    pub charge: Option<&'a str>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists refunds, newest first.
pub fn list_refunds(filter: &RefundFilter<'_>) -> FrozenRequest {
    let mut list = ListRefund::new();
    set!(list, filter, payment_intent, charge);
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

sent_enum! {
    /// Why an invoice is credited.
    CreditNoteReason {
        /// It was invoiced twice.
        Duplicate = "duplicate",
        /// It was not the customer who ordered.
        Fraudulent = "fraudulent",
        /// The order changed.
        OrderChange = "order_change",
        /// The customer is not content.
        ProductUnsatisfactory = "product_unsatisfactory",
    }
}

/// A credit note to be, over a finalized invoice. On a paid one, `refund_amount` and
/// `credit_amount` say where the money goes and must make up `amount`.
#[derive(Clone, Debug, Default)]
pub struct NewCreditNote<'a> {
    /// The invoice's id.
    pub invoice: &'a str,
    /// How much, taxes included.
    pub amount: Option<i64>,
    /// How much goes back to the payment method.
    pub refund_amount: Option<i64>,
    /// How much goes to the customer's balance.
    pub credit_amount: Option<i64>,
    /// `None`: not said.
    pub reason: Option<CreditNoteReason>,
    /// What the customer reads on it.
    pub memo: Option<&'a str>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
}

/// Credits an invoice.
pub fn create_credit_note(new: &NewCreditNote<'_>) -> FrozenRequest {
    let mut create = CreateCreditNote::new(new.invoice);
    set!(create, new, amount, refund_amount, credit_amount, memo);
    if let Some(reason) = new.reason {
        create = create.reason(known::<stripe_billing::CreditNoteReason>(reason.as_str()));
    }
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    FrozenRequest::of(&create)
}

/// Which credit notes to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreditNoteFilter<'a> {
    /// Of this customer.
    pub customer: Option<&'a str>,
    /// Of this invoice.
    pub invoice: Option<&'a str>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists credit notes, newest first.
pub fn list_credit_notes(filter: &CreditNoteFilter<'_>) -> FrozenRequest {
    let mut list = ListCreditNote::new();
    set!(list, filter, customer, invoice);
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

open_enum! {
    /// How a refund stands.
    RefundStatus {
        /// The bank has it.
        Pending = "pending",
        /// The customer has to do something.
        RequiresAction = "requires_action",
        /// It is on its way to the customer.
        Succeeded = "succeeded",
        /// The money came back.
        Failed = "failed",
        /// It was given up.
        Canceled = "canceled",
    }
}

/// What this service reads of Stripe's `Refund`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// How much.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// Of which charge.
    #[serde(default)]
    pub charge: Option<Expandable<Bare>>,
    /// Of which payment intent.
    #[serde(default)]
    pub payment_intent: Option<Expandable<Bare>>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why it failed, such as `lost_or_stolen_card`.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
}
identified!(Refund);

open_enum! {
    /// How a credit note stands.
    CreditNoteStatus {
        /// It holds.
        Issued = "issued",
        /// It was a mistake.
        Void = "void",
    }
}

/// What this service reads of Stripe's `CreditNote`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: String,
    /// What customers see.
    #[serde(default)]
    pub number: Option<String>,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<CreditNoteStatus>,
    /// The invoice.
    #[serde(default)]
    pub invoice: Option<Expandable<Bare>>,
    /// Whose.
    #[serde(default)]
    pub customer: Option<Expandable<Bare>>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// How much, taxes included.
    #[serde(default)]
    pub total: Option<i64>,
    /// Before taxes.
    #[serde(default)]
    pub subtotal: Option<i64>,
    /// Its refunds.
    #[serde(default, deserialize_with = "null_as_default")]
    pub refunds: Vec<CreditNoteRefund>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the customer reads on it.
    #[serde(default)]
    pub memo: Option<String>,
    /// Where the customer can load it.
    #[serde(default)]
    pub pdf: Option<String>,
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
identified!(CreditNote);

/// A refund of a credit note.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CreditNoteRefund {
    /// The refund.
    #[serde(default)]
    pub refund: Option<Expandable<Refund>>,
    /// How much of it is the credit note's.
    #[serde(default)]
    pub amount_refunded: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata::from([("operation".to_owned(), "oper_1".to_owned())])
    }

    #[test]
    fn money_is_refunded_by_intent_or_charge() {
        let of_intent = NewRefund {
            of: Refunded::PaymentIntent("pi_1"),
            amount: Some(500),
            reason: Some(RefundReason::RequestedByCustomer),
            metadata: metadata(),
        };
        assert_eq!(
            create_refund(&of_intent).shown(),
            [
                "POST /v1/refunds",
                "amount=500",
                "metadata[operation]=oper_1",
                "payment_intent=pi_1",
                "reason=requested_by_customer",
            ]
        );
        let of_charge = NewRefund {
            of: Refunded::Charge("ch_1"),
            amount: None,
            reason: None,
            metadata: Metadata::new(),
        };
        assert_eq!(
            create_refund(&of_charge).shown(),
            ["POST /v1/refunds", "charge=ch_1"]
        );
        assert_eq!(
            retrieve_refund("re_1").unwrap().shown(),
            ["GET /v1/refunds/re_1"]
        );
        let filter = RefundFilter {
            payment_intent: Some("pi_1"),
            charge: Some("ch_1"),
            created: Created::since(Timestamp::from_seconds(7)),
            page: Page::largest(Some("re_9")),
        };
        assert_eq!(
            list_refunds(&filter).shown(),
            [
                "GET /v1/refunds",
                "charge=ch_1",
                "created[gte]=7",
                "limit=100",
                "payment_intent=pi_1",
                "starting_after=re_9",
            ]
        );
    }

    #[test]
    fn an_invoice_is_credited() {
        let new = NewCreditNote {
            invoice: "in_1",
            amount: Some(500),
            refund_amount: Some(300),
            credit_amount: Some(200),
            reason: Some(CreditNoteReason::OrderChange),
            memo: Some("sorry"),
            metadata: metadata(),
        };
        assert_eq!(
            create_credit_note(&new).shown(),
            [
                "POST /v1/credit_notes",
                "amount=500",
                "credit_amount=200",
                "invoice=in_1",
                "memo=sorry",
                "metadata[operation]=oper_1",
                "reason=order_change",
                "refund_amount=300",
            ]
        );
        let filter = CreditNoteFilter {
            customer: Some("cus_1"),
            invoice: Some("in_1"),
            created: Created::since(Timestamp::from_seconds(7)),
            page: Page::default(),
        };
        assert_eq!(
            list_credit_notes(&filter).shown(),
            [
                "GET /v1/credit_notes",
                "created[gte]=7",
                "customer=cus_1",
                "invoice=in_1"
            ]
        );
    }
}
