//! The payment method object: its state and its JSON.

use serde_json::{Value, json};

use super::cards::Check;
use super::instrument::{Card, Instrument, SepaDebit, UsBankAccount};
use crate::params::Metadata;
use crate::resources::billing_details::BillingDetails;
use crate::store::{Key, Stored};

/// Where a payment method stands between its creation and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tenure {
    /// Never attached and never used.
    Fresh,
    /// Attached to its customer.
    Attached,
    /// Detached, or used once without a customer: it never works again.
    Spent,
}

/// A payment method.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about a method, independent of each other"
)]
pub(crate) struct PaymentMethod {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) instrument: Instrument,
    pub(crate) billing_details: BillingDetails,
    pub(crate) customer: Option<String>,
    pub(crate) tenure: Tenure,
    /// The bank has verified it: the checks have results.
    pub(crate) verified: bool,
    /// Set up for off-session use, with authentication where the bank wanted it.
    pub(crate) set_up: bool,
    /// The customer has authenticated the next payment with it in advance, on a Checkout page.
    pub(crate) authenticated_once: bool,
    /// The mandate for debits, once the customer has given it.
    pub(crate) mandate: Option<String>,
    pub(crate) allow_redisplay: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for PaymentMethod {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        self.customer
            .iter()
            .map(|customer| ("customer", customer.clone()))
            .collect()
    }
}

impl PaymentMethod {
    pub(crate) fn render(&self) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": "payment_method",
            "allow_redisplay": self.allow_redisplay.as_deref().unwrap_or("unspecified"),
            "billing_details": self.billing_details.render(),
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "type": self.instrument.type_name(),
        });
        let details = match &self.instrument {
            Instrument::Card(card) => self.render_card(card),
            Instrument::UsBankAccount(account) => render_us_bank_account(account),
            Instrument::SepaDebit(account) => json!({
                "bank_code": account.bank_code,
                "branch_code": "",
                "country": account.country,
                "fingerprint": account.fingerprint,
                "generated_from": { "charge": null, "setup_attempt": null },
                "last4": account.last4,
            }),
        };
        if let Some(map) = object.as_object_mut() {
            map.insert(self.instrument.type_name().to_owned(), details);
        }
        object
    }

    fn render_card(&self, card: &Card) -> Value {
        json!({
            "brand": card.test.brand.as_str(),
            "checks": self.checks(card),
            "country": card.test.country,
            "display_brand": card.test.brand.display_brand(),
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "fingerprint": card.fingerprint,
            "funding": card.test.funding.as_str(),
            "generated_from": null,
            "last4": card.test.last4(),
            "networks": { "available": [card.test.brand.as_str()], "preferred": null },
            "regulated_status": "unregulated",
            "three_d_secure_usage": { "supported": true },
            "wallet": null,
        })
    }

    /// `card.checks`: `unchecked` until the bank has been asked, null for what was not given.
    pub(super) fn checks(&self, card: &Card) -> Value {
        let result = |given: bool, check: Check| match (given, self.verified) {
            (false, _) => Value::Null,
            (true, false) => Value::from("unchecked"),
            (true, true) => Value::from(check.as_str()),
        };
        let behaviour = &card.test.behaviour;
        json!({
            "address_line1_check":
                result(self.billing_details.address.line1.is_some(), behaviour.line1_check),
            "address_postal_code_check":
                result(self.billing_details.address.postal_code.is_some(), behaviour.postal_check),
            "cvc_check": result(card.cvc_given, behaviour.cvc_check),
        })
    }

    /// `charge.payment_method_details`.
    pub(crate) fn render_for_charge(&self, amount: i64, authenticated: bool) -> Value {
        let kind = self.instrument.type_name();
        let details = match &self.instrument {
            Instrument::Card(card) => self.render_card_for_charge(card, amount, authenticated),
            Instrument::UsBankAccount(account) => json!({
                "account_holder_type": account.account_holder_type,
                "account_type": account.account_type,
                "bank_name": BANK_NAME,
                "expected_debit_date": null,
                "fingerprint": account.fingerprint,
                "last4": account.last4,
                "mandate": self.mandate,
                "payment_reference": null,
                "routing_number": account.routing_number,
            }),
            Instrument::SepaDebit(account) => self.render_sepa_for_charge(account),
        };
        json!({ "type": kind, kind: details })
    }

    fn render_card_for_charge(&self, card: &Card, amount: i64, authenticated: bool) -> Value {
        let three_d_secure = authenticated.then(|| {
            let mut passed = passed_challenge();
            if let Some(fields) = passed.as_object_mut() {
                fields.insert("exemption_indicator".to_owned(), Value::Null);
            }
            passed
        });
        json!({
            "amount_authorized": amount,
            "authorization_code": null,
            "brand": card.test.brand.as_str(),
            "checks": self.checks(card),
            "country": card.test.country,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
            "extended_authorization": { "status": "disabled" },
            "fingerprint": card.fingerprint,
            "funding": card.test.funding.as_str(),
            "incremental_authorization": { "status": "unavailable" },
            "installments": null,
            "last4": card.test.last4(),
            "mandate": null,
            "multicapture": { "status": "unavailable" },
            "network": card.test.brand.as_str(),
            "network_token": { "used": false },
            "network_transaction_id": null,
            "overcapture": { "maximum_amount_capturable": amount, "status": "unavailable" },
            "regulated_status": "unregulated",
            "three_d_secure": three_d_secure,
            "transaction_link_id": null,
            "wallet": null,
        })
    }

    fn render_sepa_for_charge(&self, account: &SepaDebit) -> Value {
        json!({
            "bank_code": account.bank_code,
            "branch_code": "",
            "country": account.country,
            "expected_debit_date": null,
            "fingerprint": account.fingerprint,
            "last4": account.last4,
            "mandate": self.mandate,
        })
    }
}

/// The bank of the United States test accounts.
const BANK_NAME: &str = "STRIPE TEST BANK";

fn render_us_bank_account(account: &UsBankAccount) -> Value {
    json!({
        "account_holder_type": account.account_holder_type,
        "account_type": account.account_type,
        "bank_name": BANK_NAME,
        "financial_connections_account": null,
        "fingerprint": account.fingerprint,
        "last4": account.last4,
        "networks": { "preferred": "ach", "supported": ["ach"] },
        "routing_number": account.routing_number,
        "status_details": {},
    })
}

/// `three_d_secure` of an attempt whose challenge the customer passed.
pub(super) fn passed_challenge() -> Value {
    json!({
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "result": "authenticated",
        "result_reason": null,
        "transaction_id": "00000000-0000-4000-8000-000000000000",
        "version": "2.2.0",
    })
}
