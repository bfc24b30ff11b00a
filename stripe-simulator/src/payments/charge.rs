//! The charge: its state and its JSON.

use serde_json::{Value, json};

use super::cards::Risk;
use super::decline::Decline;
use crate::account::Account;
use crate::currency::Currency;
use crate::front::list::embedded;
use crate::params::Metadata;
use crate::resources::billing_details::BillingDetails;
use crate::store::{Key, Stored};

/// `charge.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

impl ChargeStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// A charge.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) amount_captured: i64,
    pub(crate) amount_refunded: i64,
    pub(crate) currency: Currency,
    pub(crate) status: ChargeStatus,
    pub(crate) captured: bool,
    pub(crate) disputed: bool,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) payment_intent: String,
    pub(crate) payment_method: String,
    /// `payment_method_details`, as it was at the attempt.
    pub(crate) payment_method_details: Value,
    pub(crate) billing_details: BillingDetails,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_message: Option<String>,
    pub(crate) outcome: Value,
    pub(crate) receipt_email: Option<String>,
    pub(crate) receipt_url: String,
    pub(crate) shipping: Value,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    /// What the customer reads on the statement.
    pub(crate) calculated_statement_descriptor: String,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Stored for Charge {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![("payment_intent", self.payment_intent.clone())];
        keys.extend(
            self.customer
                .iter()
                .map(|customer| ("customer", customer.clone())),
        );
        keys
    }
}

impl Charge {
    /// What can still be refunded, in minor units.
    pub(crate) const fn refundable(&self) -> i64 {
        self.amount_captured.saturating_sub(self.amount_refunded)
    }

    /// Whether all of it went back.
    pub(crate) const fn is_refunded(&self) -> bool {
        self.amount_refunded > 0 && self.amount_refunded >= self.amount_captured
    }

    pub(crate) fn render(&self) -> Value {
        let paid = self.status == ChargeStatus::Succeeded;
        json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.amount_captured,
            "amount_refunded": self.amount_refunded,
            "application": null,
            "application_fee": null,
            "application_fee_amount": null,
            "balance_transaction": self.balance_transaction,
            "billing_details": self.billing_details.render(),
            "calculated_statement_descriptor": paid.then_some(&self.calculated_statement_descriptor),
            "captured": self.captured,
            "created": self.created,
            "currency": self.currency.code(),
            "customer": self.customer,
            "description": self.description,
            "disputed": self.disputed,
            "failure_balance_transaction": null,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "fraud_details": {},
            "livemode": self.livemode,
            "metadata": self.metadata,
            "on_behalf_of": null,
            "outcome": self.outcome,
            "paid": paid,
            "payment_intent": self.payment_intent,
            "payment_method": self.payment_method,
            "payment_method_details": self.payment_method_details,
            "presentment_details": null,
            "radar_options": {},
            "receipt_email": self.receipt_email,
            "receipt_number": null,
            "receipt_url": paid.then_some(&self.receipt_url),
            "refunded": self.is_refunded(),
            "review": null,
            "shipping": self.shipping,
            "source": null,
            "source_transfer": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": self.status.as_str(),
            "transfer_data": null,
            "transfer_group": self.transfer_group,
        })
    }

    /// `refunds`, which only `expand` puts in.
    pub(crate) fn render_refunds(&self, refunds: Vec<Value>) -> Value {
        let total = refunds.len();
        let data = refunds.into_iter().take(10).collect();
        embedded(format!("/v1/charges/{}/refunds", self.id), data, total)
    }
}

/// `charge.outcome` of a payment that went through.
pub(crate) fn authorized(risk: Risk) -> Value {
    outcome(
        "approved_by_network",
        None,
        risk,
        "Payment complete.",
        "authorized",
        None,
    )
}

/// `charge.outcome` of a card payment that was refused.
pub(crate) fn refused(decline: Decline, risk: Risk) -> Value {
    let words = decline.words();
    let reason = words.decline_code.unwrap_or(words.code);
    if risk == Risk::Highest {
        return outcome(
            "not_sent_to_network",
            Some("highest_risk_level"),
            risk,
            "Stripe blocked this payment as too risky.",
            "blocked",
            None,
        );
    }
    let seller_message = match decline {
        Decline::Generic => "The bank did not return any further details with this decline.".into(),
        _ => format!("The bank returned the decline code `{reason}`."),
    };
    outcome(
        "declined_by_network",
        Some(reason),
        risk,
        &seller_message,
        "issuer_declined",
        Some(decline),
    )
}

fn outcome(
    network_status: &str,
    reason: Option<&str>,
    risk: Risk,
    seller_message: &str,
    kind: &str,
    decline: Option<Decline>,
) -> Value {
    json!({
        "advice_code": decline.and_then(|decline| decline.words().advice_code),
        "network_advice_code": null,
        "network_decline_code": decline.and_then(Decline::network_decline_code),
        "network_status": network_status,
        "reason": reason,
        "risk_level": risk.as_str(),
        "risk_score": risk.score(),
        "seller_message": seller_message,
        "type": kind,
    })
}

impl Account {
    /// Takes the money of an authorized charge; what is not taken is released.
    pub(crate) fn capture_charge(&mut self, id: &str, amount: i64) {
        let (_, charge) = self.change_charge(id, |charge| {
            charge.captured = true;
            charge.amount_captured = amount;
        });
        self.emit("charge.captured", &charge);
    }

    /// Calls a debit back that has not settled.
    pub(crate) fn stop_debit(&mut self, id: &str) {
        let (_, charge) = self.change_charge(id, |charge| {
            charge.status = ChargeStatus::Failed;
            charge.captured = false;
            charge.amount_captured = 0;
        });
        self.emit("charge.failed", &charge);
    }

    /// Gives up an authorization that was not captured: Stripe shows it as refunded.
    pub(crate) fn release_authorization(&mut self, id: &str) {
        let (before, after) = self.change_charge(id, |charge| {
            charge.amount_refunded = charge.amount;
        });
        self.emit_updated("charge.refunded", &before, &after);
    }
}
