//! One attempt to pay a `PaymentIntent`, and everything that follows from the bank's answer.

use serde_json::Value;

use super::bank::{Pace, Settlement};
use super::cards::{DisputeKind, Risk};
use super::charge::{Charge, ChargeStatus, authorized, refused};
use super::decline::Decline;
use super::instrument::{Answer, Circumstances, Instrument, Presence};
use super::intent_error::IntentError;
use super::payment_intent::{CaptureMethod, NextAction, PaymentIntent, PaymentStatus};
use super::payment_method::{PaymentMethod, Tenure};
use crate::account::Account;
use crate::clock::DAY;

/// How an attempt is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempt {
    pub(crate) presence: Presence,
    /// `error_on_requires_action`.
    pub(crate) error_on_requires_action: bool,
    /// Where 3-D Secure sends the customer back to.
    pub(crate) return_url: Option<String>,
}

/// An authorization that is not captured lapses after seven days:
/// <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>.
const AUTHORIZATION_DAYS: i64 = 7;

/// Stripe: a delayed test debit settles after at least three minutes.
const DELAYED_SETTLEMENT_SECONDS: i64 = 180;

impl Account {
    /// Tries to pay the intent with its payment method and returns its new status. A refusal is
    /// found in `last_payment_error`. Does nothing but answer the status where the intent or its
    /// method is gone.
    pub(crate) fn attempt_payment(&mut self, id: &str, attempt: &Attempt) -> PaymentStatus {
        let Some(intent) = self.payments.payment_intents.get(id).cloned() else {
            return PaymentStatus::Canceled;
        };
        let method = intent
            .payment_method
            .as_deref()
            .and_then(|method| self.payments.payment_methods.get(method))
            .cloned();
        let Some(method) = method else {
            return intent.status;
        };
        let presence = self.presence_of(&method, attempt.presence);
        let circumstances = Circumstances {
            presence,
            set_up: method.set_up,
            three_d_secure_requested: intent.three_d_secure_requested(),
        };
        match method.instrument.answer_to_charge(circumstances) {
            Answer::Approved => self.pay(&intent, &method, presence),
            Answer::Declined(decline) => self.decline(&intent, &method, decline),
            Answer::AuthenticationNeeded => self.ask_to_authenticate(&intent, &method, attempt),
            Answer::Pending(behaviour) => {
                self.start_debit(&intent, &method, behaviour.pace, behaviour.settlement)
            }
        }
    }

    /// A payment that was authenticated in advance is authenticated once.
    fn presence_of(&mut self, method: &PaymentMethod, presence: Presence) -> Presence {
        if !method.authenticated_once {
            return presence;
        }
        if let Some(mut method) = self.payments.payment_methods.get_mut(&method.id) {
            method.authenticated_once = false;
        }
        Presence::Authenticated
    }

    /// Changes an intent and answers it rendered, after the change.
    pub(crate) fn change_payment_intent(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut PaymentIntent),
    ) -> Value {
        match self.payments.payment_intents.get_mut(id) {
            Some(mut intent) => {
                change(&mut intent);
                intent.render()
            }
            None => Value::Null,
        }
    }

    /// Changes a charge and answers it rendered, before and after the change.
    pub(crate) fn change_charge(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Charge),
    ) -> (Value, Value) {
        match self.payments.charges.get_mut(id) {
            Some(mut found) => {
                let before = found.render();
                change(&mut found);
                (before, found.render())
            }
            None => (Value::Null, Value::Null),
        }
    }

    fn pay(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        presence: Presence,
    ) -> PaymentStatus {
        self.accept_method(intent, method);
        let manual = intent.capture_method == CaptureMethod::Manual;
        let authenticated = presence == Presence::Authenticated;
        let mut charge = self.new_charge(intent, method, authenticated);
        charge.status = ChargeStatus::Succeeded;
        charge.captured = !manual;
        charge.amount_captured = if manual { 0 } else { intent.amount };
        charge.outcome = authorized(risk(method));
        let charge_id = charge.id.clone();
        let rendered = charge.render();
        self.payments.charges.insert(charge);
        self.emit("charge.succeeded", &rendered);
        if manual {
            let rendered = self.change_payment_intent(&intent.id, |intent| {
                intent.status = PaymentStatus::RequiresCapture;
                intent.amount_capturable = intent.amount;
                intent.latest_charge = Some(charge_id);
                intent.clear_attempt();
            });
            self.emit("payment_intent.amount_capturable_updated", &rendered);
            let lapse = self.now().saturating_add(AUTHORIZATION_DAYS * DAY);
            self.schedule(
                lapse,
                "payment_intent.lapse",
                Self::lapse_authorization,
                &intent.id,
            );
            return PaymentStatus::RequiresCapture;
        }
        self.succeed(&intent.id, &charge_id, intent.amount);
        PaymentStatus::Succeeded
    }

    /// The money of a charge has come: the intent succeeds, the balance transaction is booked, and
    /// a disputing card disputes.
    pub(crate) fn succeed(&mut self, intent: &str, charge: &str, amount: i64) {
        let rendered = self.change_payment_intent(intent, |intent| {
            intent.status = PaymentStatus::Succeeded;
            intent.amount_received = amount;
            intent.amount_capturable = 0;
            intent.latest_charge = Some(charge.to_owned());
            intent.clear_attempt();
        });
        self.emit("payment_intent.succeeded", &rendered);
        // Stripe books the charge a moment later (`automatic_async`), and says so.
        let transaction = self.book_charge(charge);
        let (before, after) =
            self.change_charge(charge, |charge| charge.balance_transaction = transaction);
        self.emit_updated("charge.updated", &before, &after);
        let method = after
            .get("payment_method")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(kind) = self
            .payments
            .payment_methods
            .get(method)
            .and_then(dispute_kind)
        {
            self.open_dispute(charge, kind);
        }
    }

    fn decline(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        decline: Decline,
    ) -> PaymentStatus {
        let words = decline.words();
        let mut charge = self.new_charge(intent, method, false);
        charge.status = ChargeStatus::Failed;
        charge.failure_code = Some(words.code.to_owned());
        charge.failure_message = Some(words.message.to_owned());
        charge.outcome = refused(decline, risk(method));
        let mut error = IntentError::declined(decline, method.render());
        error.charge = Some(charge.id.clone());
        let charge_id = charge.id.clone();
        let rendered = charge.render();
        self.payments.charges.insert(charge);
        self.emit("charge.failed", &rendered);
        self.fail(&intent.id, Some(charge_id), error)
    }

    /// Back to `requires_payment_method`, with the reason.
    pub(crate) fn fail(
        &mut self,
        intent: &str,
        charge: Option<String>,
        error: IntentError,
    ) -> PaymentStatus {
        let rendered = self.change_payment_intent(intent, |intent| {
            intent.clear_attempt();
            intent.status = PaymentStatus::RequiresPaymentMethod;
            intent.payment_method = None;
            if charge.is_some() {
                intent.latest_charge = charge;
            }
            intent.last_payment_error = Some(error);
        });
        self.emit("payment_intent.payment_failed", &rendered);
        PaymentStatus::RequiresPaymentMethod
    }

    fn ask_to_authenticate(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        attempt: &Attempt,
    ) -> PaymentStatus {
        if attempt.presence == Presence::OffSession {
            return self.decline(intent, method, Decline::AuthenticationRequired);
        }
        if attempt.error_on_requires_action {
            let error = IntentError::authentication_not_handled(method.render());
            return self.fail(&intent.id, None, error);
        }
        let return_url = attempt.return_url.clone();
        let rendered = self.change_payment_intent(&intent.id, |intent| {
            intent.status = PaymentStatus::RequiresAction;
            intent.last_payment_error = None;
            intent.next_action = Some(NextAction { return_url });
        });
        self.emit("payment_intent.requires_action", &rendered);
        PaymentStatus::RequiresAction
    }

    fn start_debit(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        pace: Pace,
        settlement: Settlement,
    ) -> PaymentStatus {
        self.accept_method(intent, method);
        let method = self.payments.payment_methods.get(&method.id).cloned();
        let Some(method) = method else {
            return intent.status;
        };
        let mut charge = self.new_charge(intent, &method, false);
        charge.outcome = authorized(Risk::Normal);
        charge.captured = true;
        charge.amount_captured = intent.amount;
        let charge_id = charge.id.clone();
        let rendered_charge = charge.render();
        self.payments.charges.insert(charge);
        let rendered = self.change_payment_intent(&intent.id, |intent| {
            intent.clear_attempt();
            intent.status = PaymentStatus::Processing;
            intent.latest_charge = Some(charge_id);
        });
        self.emit("payment_intent.processing", &rendered);
        self.emit("charge.pending", &rendered_charge);
        if settlement != Settlement::Never {
            let delay = match pace {
                Pace::Normal => self.payments.settings.debit_settlement_seconds,
                Pace::Delayed => self
                    .payments
                    .settings
                    .debit_settlement_seconds
                    .max(DELAYED_SETTLEMENT_SECONDS),
            };
            let at = self.now().saturating_add(delay);
            self.schedule(at, "payment_intent.settle", Self::settle_debit, &intent.id);
        }
        PaymentStatus::Processing
    }

    /// The bank knows the method now; it is saved with the customer when that was asked for, and
    /// spent when it is nobody's.
    fn accept_method(&mut self, intent: &PaymentIntent, method: &PaymentMethod) {
        let keeps = intent.setup_future_usage.is_some();
        if keeps && let Some(customer) = &intent.customer {
            self.attach_verified(&method.id, customer);
        }
        let single = (!keeps && method.tenure == Tenure::Fresh)
            .then(|| (intent.amount, intent.currency.code()));
        let mandate = self.ensure_mandate(method, single);
        if let Some(mut method) = self.payments.payment_methods.get_mut(&method.id) {
            method.verified = true;
            method.set_up |= intent.setup_future_usage.as_deref() == Some("off_session");
            if method.tenure == Tenure::Fresh {
                method.tenure = Tenure::Spent;
            }
            if mandate.is_some() {
                method.mandate = mandate;
            }
        }
    }

    fn new_charge(
        &mut self,
        intent: &PaymentIntent,
        method: &PaymentMethod,
        authenticated: bool,
    ) -> Charge {
        let prefix = if matches!(method.instrument, Instrument::Card(_)) {
            "ch_"
        } else {
            "py_"
        };
        let id = self.ids.long(prefix);
        // The checks have results once the bank has been asked.
        let asked = PaymentMethod {
            verified: true,
            ..method.clone()
        };
        Charge {
            created: self.now(),
            livemode: self.livemode,
            amount: intent.amount,
            amount_captured: 0,
            amount_refunded: 0,
            currency: intent.currency,
            status: ChargeStatus::Pending,
            captured: false,
            disputed: false,
            customer: intent.customer.clone(),
            description: intent.description.clone(),
            payment_intent: intent.id.clone(),
            payment_method: method.id.clone(),
            payment_method_details: asked.render_for_charge(intent.amount, authenticated),
            billing_details: method.billing_details.clone(),
            balance_transaction: None,
            failure_code: None,
            failure_message: None,
            outcome: Value::Null,
            receipt_email: intent.receipt_email.clone(),
            receipt_url: format!("{}/receipts/{id}", self.base_url),
            shipping: intent.shipping.clone(),
            statement_descriptor: intent.statement_descriptor.clone(),
            statement_descriptor_suffix: intent.statement_descriptor_suffix.clone(),
            calculated_statement_descriptor: self.statement_descriptor(intent),
            transfer_group: intent.transfer_group.clone(),
            metadata: intent.metadata.clone(),
            id,
        }
    }

    /// At most 22 characters, in capitals.
    fn statement_descriptor(&self, intent: &PaymentIntent) -> String {
        let business = self.settings.business_name.to_uppercase();
        let whole = match (
            &intent.statement_descriptor,
            &intent.statement_descriptor_suffix,
        ) {
            (Some(descriptor), _) => descriptor.clone(),
            (None, Some(suffix)) => format!("{business}* {suffix}"),
            (None, None) => business,
        };
        whole.chars().take(22).collect()
    }
}

impl PaymentIntent {
    /// Forgets what the last attempt left.
    pub(crate) fn clear_attempt(&mut self) {
        self.next_action = None;
        self.last_payment_error = None;
    }
}

/// Radar's opinion of a payment with this method.
fn risk(method: &PaymentMethod) -> Risk {
    method
        .instrument
        .card()
        .map_or(Risk::Normal, |card| card.test.behaviour.risk)
}

/// The dispute that follows a payment with this method.
fn dispute_kind(method: &PaymentMethod) -> Option<DisputeKind> {
    match method.instrument.card() {
        Some(card) => card.test.behaviour.dispute,
        None => method
            .instrument
            .is_disputed_bank()
            .then_some(DisputeKind::Fraudulent),
    }
}
