//! Refunds: state, JSON and course.

use serde_json::{Value, json};

use super::cards::RefundAnswer;
use super::charge::{Charge, ChargeStatus};
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// `refund.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
    Canceled,
}

impl RefundStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

/// A refund.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) charge: String,
    pub(crate) payment_intent: String,
    pub(crate) customer: Option<String>,
    pub(crate) method_type: &'static str,
    pub(crate) status: RefundStatus,
    pub(crate) reason: Option<String>,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) failure_reason: Option<&'static str>,
    pub(crate) metadata: Metadata,
}

impl Stored for Refund {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            ("charge", self.charge.clone()),
            ("payment_intent", self.payment_intent.clone()),
        ]
    }
}

impl Refund {
    pub(crate) fn render(&self) -> Value {
        let destination = if self.method_type == "card" {
            json!({
                "card": {
                    "reference_status": "pending",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
                "type": "card",
            })
        } else {
            json!({ "type": self.method_type })
        };
        let mut refund = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency.code(),
            "customer": self.customer,
            "customer_account": null,
            "destination_details": destination,
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "payment_method": null,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": self.status.as_str(),
            "transfer_reversal": null,
        });
        if let (Some(reason), Some(map)) = (self.failure_reason, refund.as_object_mut()) {
            map.insert("failure_reason".to_owned(), reason.into());
            map.insert("failure_balance_transaction".to_owned(), Value::Null);
        }
        refund
    }
}

/// What a refund is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct RefundRequest {
    /// Minor units; all that is left without it.
    pub(crate) amount: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
}

/// How long a pending refund stays so, and how long a failing one looks good, in seconds.
const REFUND_TURN_SECONDS: i64 = 60;

impl Account {
    /// Refunds a charge, whole or in part; the refund's id.
    ///
    /// # Errors
    /// `charge_already_refunded`; an amount above what is left (400 on `amount`); a charge that
    /// was not captured, failed, or is disputed.
    pub(crate) fn refund(
        &mut self,
        charge_id: &str,
        request: RefundRequest,
    ) -> Result<String, StripeError> {
        let charge = self
            .payments
            .charges
            .get(charge_id)
            .cloned()
            .ok_or_else(|| StripeError::no_such_in("charge", charge_id, "charge"))?;
        let charged_back = self
            .payments
            .disputes
            .by_key("charge", charge_id)
            .any(|dispute| !dispute.is_inquiry());
        if charged_back {
            return Err(StripeError::invalid(format!(
                "Charge {charge_id} has been charged back; cannot issue a refund."
            ))
            .code("charge_disputed"));
        }
        let amount = refundable_amount(&charge, request.amount)?;
        let method = self.payments.payment_methods.get(&charge.payment_method);
        let (answer, method_type) = method.map_or((RefundAnswer::Succeeds, "card"), |method| {
            let card = method.instrument.card();
            let answer = card.map_or(RefundAnswer::Succeeds, |card| card.test.behaviour.refund);
            (answer, method.instrument.type_name())
        });
        let prefix = if charge.id.starts_with("py_") {
            "pyr_"
        } else {
            "re_"
        };
        let id = self.ids.long(prefix);
        let transaction = self.book_refund(&id, &charge, amount);
        let pending = answer == RefundAnswer::Pending;
        let refund = Refund {
            id: id.clone(),
            created: self.now(),
            amount,
            currency: charge.currency,
            charge: charge.id.clone(),
            payment_intent: charge.payment_intent.clone(),
            customer: charge.customer.clone(),
            method_type,
            status: if pending {
                RefundStatus::Pending
            } else {
                RefundStatus::Succeeded
            },
            reason: request.reason,
            balance_transaction: Some(transaction),
            failure_reason: None,
            metadata: request.metadata,
        };
        let rendered = refund.render();
        self.payments.refunds.insert(refund);
        self.emit("refund.created", &rendered);
        let (before, after) = self.change_charge(charge_id, |charge| {
            charge.amount_refunded = charge.amount_refunded.saturating_add(amount);
        });
        self.emit_updated("charge.refunded", &before, &after);
        if answer != RefundAnswer::Succeeds {
            let at = self.now().saturating_add(REFUND_TURN_SECONDS);
            self.schedule(at, "refund.turn", Self::turn_refund, &id);
        }
        Ok(id)
    }

    /// Due work: the bank's second answer to a refund.
    fn turn_refund(&mut self, id: &str) {
        let Some(refund) = self.payments.refunds.get(id) else {
            return;
        };
        match refund.status {
            RefundStatus::Pending => {
                self.change_refund(id, |refund| refund.status = RefundStatus::Succeeded);
            }
            RefundStatus::Succeeded => {
                let (charge, amount) = (refund.charge.clone(), refund.amount);
                let rendered = self.change_refund(id, |refund| {
                    refund.status = RefundStatus::Failed;
                    refund.failure_reason = Some("expired_or_canceled_card");
                });
                self.emit("refund.failed", &rendered);
                // The money came back: it can be refunded again.
                let (before, after) = self.change_charge(&charge, |charge| {
                    charge.amount_refunded = charge.amount_refunded.saturating_sub(amount);
                });
                self.emit_updated("charge.updated", &before, &after);
            }
            RefundStatus::Failed | RefundStatus::Canceled => {}
        }
    }

    /// Changes a refund and tells of it.
    pub(crate) fn change_refund(&mut self, id: &str, change: impl FnOnce(&mut Refund)) -> Value {
        let Some(mut refund) = self.payments.refunds.get_mut(id) else {
            return Value::Null;
        };
        let before = refund.render();
        change(&mut refund);
        let after = refund.render();
        drop(refund);
        self.emit_updated("refund.updated", &before, &after);
        self.emit_updated("charge.refund.updated", &before, &after);
        after
    }
}

fn refundable_amount(charge: &Charge, wanted: Option<i64>) -> Result<i64, StripeError> {
    if charge.status != ChargeStatus::Succeeded {
        return Err(StripeError::invalid(format!(
            "Charge {} is not refundable: its status is {}.",
            charge.id,
            charge.status.as_str()
        )));
    }
    if !charge.captured {
        return Err(StripeError::invalid(format!(
            "This PaymentIntent ({}) could not be refunded because it has not been captured. To \
             release the authorization, cancel the PaymentIntent instead.",
            charge.payment_intent
        )));
    }
    if charge.is_refunded() {
        return Err(StripeError::invalid(format!(
            "Charge {} has already been refunded.",
            charge.id
        ))
        .code("charge_already_refunded"));
    }
    let left = charge.refundable();
    let amount = wanted.unwrap_or(left);
    if amount < 1 {
        return Err(
            StripeError::invalid("This value must be greater than or equal to 1.")
                .code("parameter_invalid_integer")
                .param("amount"),
        );
    }
    if amount > left {
        let which = if charge.amount_refunded == 0 {
            "charge amount"
        } else {
            "unrefunded amount on charge"
        };
        return Err(StripeError::invalid(format!(
            "Refund amount ({}) is greater than {which} ({})",
            charge.currency.display(amount),
            charge.currency.display(left)
        ))
        .param("amount"));
    }
    Ok(amount)
}
