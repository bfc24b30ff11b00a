//! One attempt to set up a payment method for later, and what follows from it.

use serde_json::Value;

use super::instrument::{Answer, Circumstances, Presence};
use super::intent_error::IntentError;
use super::payment_intent::three_d_secure_requested;
use super::payment_method::{PaymentMethod, Tenure};
use super::setup_intent::{SetupIntent, SetupStatus};
use crate::account::Account;

impl Account {
    /// Tries to set up the intent's payment method and returns the new status.
    pub(crate) fn attempt_setup(
        &mut self,
        id: &str,
        presence: Presence,
        return_url: Option<String>,
    ) -> SetupStatus {
        let Some(intent) = self.payments.setup_intents.get(id).cloned() else {
            return SetupStatus::Canceled;
        };
        let method = intent.payment_method.as_deref();
        let method = method
            .and_then(|method| self.payments.payment_methods.get(method))
            .cloned();
        let Some(method) = method else {
            return intent.status;
        };
        let circumstances = Circumstances {
            presence,
            set_up: false,
            three_d_secure_requested: three_d_secure_requested(&intent.payment_method_options),
        };
        let authenticated = presence == Presence::Authenticated;
        match method.instrument.answer_to_setup(circumstances) {
            Answer::Declined(decline) => {
                let error = IntentError::declined(decline, method.render());
                let kept = Some(error.clone());
                let attempt =
                    self.record_setup_attempt(&intent, &method, authenticated, "failed", kept);
                self.fail_setup(id, attempt, error);
                SetupStatus::RequiresPaymentMethod
            }
            Answer::AuthenticationNeeded => {
                let attempt =
                    self.record_setup_attempt(&intent, &method, false, "requires_action", None);
                let rendered = self.change_setup_intent(id, |intent| {
                    intent.status = SetupStatus::RequiresAction;
                    intent.last_setup_error = None;
                    intent.latest_attempt = Some(attempt);
                    if return_url.is_some() {
                        intent.return_url = return_url;
                    }
                });
                self.emit("setup_intent.requires_action", &rendered);
                SetupStatus::RequiresAction
            }
            Answer::Approved | Answer::Pending(_) => {
                let attempt =
                    self.record_setup_attempt(&intent, &method, authenticated, "succeeded", None);
                self.complete_setup(&intent, &method, attempt);
                SetupStatus::Succeeded
            }
        }
    }

    fn complete_setup(&mut self, intent: &SetupIntent, method: &PaymentMethod, attempt: String) {
        if let Some(customer) = &intent.customer {
            self.attach_verified(&method.id, customer);
        }
        let mandate = self.ensure_mandate(method, None);
        if let Some(mut method) = self.payments.payment_methods.get_mut(&method.id) {
            method.verified = true;
            method.set_up |= !intent.on_session;
            if mandate.is_some() {
                method.mandate.clone_from(&mandate);
            }
        }
        let rendered = self.change_setup_intent(&intent.id, |intent| {
            intent.status = SetupStatus::Succeeded;
            intent.last_setup_error = None;
            intent.latest_attempt = Some(attempt);
            intent.mandate = mandate;
        });
        self.emit("setup_intent.succeeded", &rendered);
    }

    fn fail_setup(&mut self, id: &str, attempt: String, error: IntentError) {
        let rendered = self.change_setup_intent(id, |intent| {
            intent.status = SetupStatus::RequiresPaymentMethod;
            intent.payment_method = None;
            intent.latest_attempt = Some(attempt);
            intent.last_setup_error = Some(error);
        });
        self.emit("setup_intent.setup_failed", &rendered);
    }

    /// The customer failed 3-D Secure.
    pub(crate) fn refuse_setup_authentication(&mut self, id: &str) {
        let Some(intent) = self.payments.setup_intents.get(id).cloned() else {
            return;
        };
        let method = intent.payment_method.as_deref();
        let method = method
            .and_then(|method| self.payments.payment_methods.get(method))
            .cloned();
        let Some(method) = method else { return };
        let error = IntentError::authentication_failed(
            "setup_intent_authentication_failure",
            method.render(),
        );
        let kept = Some(error.clone());
        let attempt = self.record_setup_attempt(&intent, &method, false, "failed", kept);
        self.fail_setup(id, attempt, error);
    }

    /// Changes a setup intent and answers it rendered, after the change.
    pub(crate) fn change_setup_intent(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut SetupIntent),
    ) -> Value {
        match self.payments.setup_intents.get_mut(id) {
            Some(mut intent) => {
                change(&mut intent);
                intent.render()
            }
            None => Value::Null,
        }
    }

    /// Makes a method the customer's, the bank having verified it. Attaching it again to the same
    /// customer changes nothing.
    pub(crate) fn attach_verified(&mut self, id: &str, customer: &str) {
        let Some(mut method) = self.payments.payment_methods.get_mut(id) else {
            return;
        };
        if method.tenure != Tenure::Fresh {
            return;
        }
        method.tenure = Tenure::Attached;
        method.customer = Some(customer.to_owned());
        method.verified = true;
        let rendered = method.render();
        drop(method);
        self.emit("payment_method.attached", &rendered);
    }
}
