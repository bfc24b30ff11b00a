//! What happens to payments later: debits settle, authorizations lapse, banks answer 3-D Secure.

use super::attempt::Attempt;
use super::bank::{BankBehaviour, Settlement};
use super::charge::ChargeStatus;
use super::instrument::{Instrument, Presence};
use super::intent_error::IntentError;
use super::payment_intent::PaymentStatus;
use super::setup_intent::SetupStatus;
use crate::account::Account;

/// The customer's answer to the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BankAnswer {
    /// Authenticated.
    Approve,
    /// Failed or given up.
    Deny,
}

/// Why the bank has nothing to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NothingToAuthenticate {
    /// No intent of this id.
    Unknown,
    /// The intent does not wait for authentication.
    NotWaiting,
}

impl Account {
    /// Due work: the bank pays a debit, or returns it.
    pub(crate) fn settle_debit(&mut self, id: &str) {
        let Some(intent) = self.payments.payment_intents.get(id).cloned() else {
            return;
        };
        if intent.status != PaymentStatus::Processing {
            return;
        }
        let Some(charge_id) = intent.latest_charge.clone() else {
            return;
        };
        let method = intent.payment_method.as_deref();
        let method = method.and_then(|method| self.payments.payment_methods.get(method));
        let Some(method) = method else { return };
        let behaviour: BankBehaviour = match &method.instrument {
            Instrument::UsBankAccount(account) => account.behaviour,
            Instrument::SepaDebit(account) => account.behaviour,
            Instrument::Card(_) => return,
        };
        let rendered_method = method.render();
        match behaviour.settlement {
            Settlement::Never => return,
            Settlement::Succeeds | Settlement::Disputed => {
                let (_, charge) = self.change_charge(&charge_id, |charge| {
                    charge.status = ChargeStatus::Succeeded;
                });
                self.emit("charge.succeeded", &charge);
                self.succeed(id, &charge_id, intent.amount);
            }
            Settlement::Fails(failure) => {
                let (_, charge) = self.change_charge(&charge_id, |charge| {
                    charge.status = ChargeStatus::Failed;
                    charge.captured = false;
                    charge.amount_captured = 0;
                    charge.failure_code = Some(failure.code.to_owned());
                    charge.failure_message = Some(failure.message.to_owned());
                });
                self.emit("charge.failed", &charge);
                let mut error = IntentError::debit_returned(failure, rendered_method);
                error.charge = Some(charge_id.clone());
                self.fail(id, Some(charge_id), error);
            }
        }
        self.tell_owner(id);
    }

    /// Due work: an authorization that nobody captured.
    pub(crate) fn lapse_authorization(&mut self, id: &str) {
        let Some(intent) = self.payments.payment_intents.get(id) else {
            return;
        };
        if intent.status != PaymentStatus::RequiresCapture {
            return;
        }
        if let Some(charge) = intent.latest_charge.clone() {
            let (_, charge) = self.change_charge(&charge, |charge| {
                charge.amount_refunded = charge.amount;
                charge.amount_captured = 0;
            });
            self.emit("charge.expired", &charge);
        }
        self.cancel_payment(id, Some("automatic"));
    }

    /// Cancels an intent in whatever open state, with the reason if one was given.
    pub(crate) fn cancel_payment(&mut self, id: &str, reason: Option<&str>) {
        let now = self.now();
        let rendered = self.change_payment_intent(id, |intent| {
            intent.clear_attempt();
            intent.status = PaymentStatus::Canceled;
            intent.canceled_at = Some(now);
            intent.cancellation_reason = reason.map(str::to_owned);
            intent.amount_capturable = 0;
        });
        self.emit("payment_intent.canceled", &rendered);
    }

    /// The bank's page, or the admin route that plays it: the customer authenticates a payment or
    /// a setup, or does not.
    ///
    /// # Errors
    /// When no intent of this id waits for authentication.
    pub(crate) fn answer_authentication(
        &mut self,
        id: &str,
        answer: BankAnswer,
    ) -> Result<(), NothingToAuthenticate> {
        if id.starts_with("seti_") {
            return self.answer_setup_authentication(id, answer);
        }
        if id.starts_with("cs_") {
            return self.answer_checkout_authentication(id, answer);
        }
        let intent = self
            .payments
            .payment_intents
            .get(id)
            .ok_or(NothingToAuthenticate::Unknown)?;
        let waits = intent.status == PaymentStatus::RequiresAction;
        if !waits {
            return Err(NothingToAuthenticate::NotWaiting);
        }
        match answer {
            BankAnswer::Approve => {
                let attempt = Attempt {
                    presence: Presence::Authenticated,
                    ..Attempt::default()
                };
                self.attempt_payment(id, &attempt);
            }
            BankAnswer::Deny => {
                let method = intent.payment_method.as_deref();
                let method = method.and_then(|method| self.payments.payment_methods.get(method));
                let rendered = method.map_or(
                    serde_json::Value::Null,
                    super::payment_method::PaymentMethod::render,
                );
                let error = IntentError::authentication_failed(
                    "payment_intent_authentication_failure",
                    rendered,
                );
                self.fail(id, None, error);
            }
        }
        self.tell_owner(id);
        Ok(())
    }

    fn answer_setup_authentication(
        &mut self,
        id: &str,
        answer: BankAnswer,
    ) -> Result<(), NothingToAuthenticate> {
        let intent = self
            .payments
            .setup_intents
            .get(id)
            .ok_or(NothingToAuthenticate::Unknown)?;
        if intent.status != SetupStatus::RequiresAction {
            return Err(NothingToAuthenticate::NotWaiting);
        }
        match answer {
            BankAnswer::Approve => {
                self.attempt_setup(id, Presence::Authenticated, None);
            }
            BankAnswer::Deny => self.refuse_setup_authentication(id),
        }
        self.tell_setup_owner(id);
        Ok(())
    }
}
