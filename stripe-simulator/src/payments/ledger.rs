//! Balance transactions: what charges, refunds and disputes do to the account's balance.

use serde_json::{Value, json};

use super::charge::Charge;
use crate::account::Account;
use crate::clock::DAY;
use crate::currency::Currency;
use crate::store::{Key, Stored};

/// One balance transaction.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) available_on: i64,
    /// Minor units, negative for what leaves.
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) currency: Currency,
    pub(crate) kind: &'static str,
    pub(crate) reporting_category: &'static str,
    pub(crate) source: String,
    pub(crate) description: Option<String>,
}

impl Stored for Entry {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("source", self.source.clone())]
    }
}

impl Entry {
    /// What the account keeps, in minor units.
    pub(crate) const fn net(&self) -> i64 {
        self.amount.saturating_sub(self.fee)
    }

    pub(crate) fn render(&self) -> Value {
        let fees = if self.fee == 0 {
            json!([])
        } else {
            json!([{
                "amount": self.fee,
                "application": null,
                "currency": self.currency.code(),
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }])
        };
        json!({
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": self.available_on,
            "balance_type": "payments",
            "created": self.created,
            "currency": self.currency.code(),
            "description": self.description,
            "exchange_rate": null,
            "fee": self.fee,
            "fee_details": fees,
            "net": self.net(),
            "reporting_category": self.reporting_category,
            "source": self.source,
            "status": if self.available_on > self.created { "pending" } else { "available" },
            "type": self.kind,
        })
    }
}

/// Charges are paid out two days later by default.
const PENDING_DAYS: i64 = 2;

/// The fee of a dispute, in minor units.
const DISPUTE_FEE: i64 = 1_500;

/// 2.9 % and 30 minor units, rounded half up: the list price of a United States card payment.
const fn processing_fee(amount: i64) -> i64 {
    amount.saturating_mul(29).saturating_add(500) / 1_000 + 30
}

impl Account {
    /// Books a captured charge; the transaction's id.
    pub(crate) fn book_charge(&mut self, id: &str) -> Option<String> {
        let charge = self.payments.charges.get(id)?.clone();
        let method = self.payments.payment_methods.get(&charge.payment_method);
        let immediate = method
            .and_then(|method| method.instrument.card())
            .is_some_and(|card| card.test.behaviour.bypass_pending);
        let kind = if charge.id.starts_with("py_") {
            "payment"
        } else {
            "charge"
        };
        let entry = Entry {
            id: self.ids.long("txn_"),
            created: self.now(),
            available_on: self
                .now()
                .saturating_add(if immediate { 0 } else { PENDING_DAYS * DAY }),
            amount: charge.amount_captured,
            fee: processing_fee(charge.amount_captured),
            currency: charge.currency,
            kind,
            reporting_category: "charge",
            source: charge.id,
            description: charge.description,
        };
        Some(self.book(entry))
    }

    /// Books a refund, which takes its amount and no fee; the transaction's id.
    pub(crate) fn book_refund(&mut self, refund: &str, charge: &Charge, amount: i64) -> String {
        let entry = Entry {
            id: self.ids.long("txn_"),
            created: self.now(),
            available_on: self.now(),
            amount: amount.saturating_neg(),
            fee: 0,
            currency: charge.currency,
            kind: if charge.id.starts_with("py_") {
                "payment_refund"
            } else {
                "refund"
            },
            reporting_category: "refund",
            source: refund.to_owned(),
            description: None,
        };
        self.book(entry)
    }

    /// Books what a dispute takes (negative) or gives back.
    pub(crate) fn book_dispute(&mut self, dispute: &str, charge: &Charge, amount: i64) -> Entry {
        let entry = Entry {
            id: self.ids.long("txn_"),
            created: self.now(),
            available_on: self.now(),
            amount,
            fee: if amount < 0 {
                DISPUTE_FEE
            } else {
                -DISPUTE_FEE
            },
            currency: charge.currency,
            kind: "adjustment",
            reporting_category: if amount < 0 {
                "dispute"
            } else {
                "dispute_reversal"
            },
            source: dispute.to_owned(),
            description: Some(format!("Chargeback for {}", charge.id)),
        };
        self.book(entry.clone());
        entry
    }

    fn book(&mut self, entry: Entry) -> String {
        let id = entry.id.clone();
        self.payments.ledger.insert(entry);
        id
    }
}
