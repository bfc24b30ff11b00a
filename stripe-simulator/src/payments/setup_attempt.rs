//! Setup attempts and mandates: the traces that setting a method up leaves.

use serde_json::{Value, json};

use super::instrument::Instrument;
use super::intent_error::IntentError;
use super::payment_method::PaymentMethod;
use super::setup_intent::SetupIntent;
use crate::account::Account;
use crate::store::{Key, Stored};

/// One confirmation of a setup intent.
#[derive(Debug, Clone)]
pub(crate) struct SetupAttempt {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) setup_intent: String,
    pub(crate) payment_method: String,
    pub(crate) customer: Option<String>,
    pub(crate) on_session: bool,
    /// `succeeded`, `requires_action` or `failed`.
    pub(crate) status: &'static str,
    pub(crate) error: Option<IntentError>,
    /// `payment_method_details`, as it was at the attempt.
    pub(crate) details: Value,
}

impl Stored for SetupAttempt {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("setup_intent", self.setup_intent.clone())]
    }
}

impl SetupAttempt {
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "object": "setup_attempt",
            "application": null,
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "flow_directions": null,
            "livemode": self.livemode,
            "on_behalf_of": null,
            "payment_method": self.payment_method,
            "payment_method_details": self.details,
            "setup_error": self.error.as_ref().map(IntentError::render),
            "setup_intent": self.setup_intent,
            "status": self.status,
            "usage": if self.on_session { "on_session" } else { "off_session" },
        })
    }
}

/// The customer's permission to debit.
#[derive(Debug, Clone)]
pub(crate) struct Mandate {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) payment_method: String,
    /// For one payment only, and its amount and currency.
    pub(crate) single_use: Option<(i64, &'static str)>,
    pub(crate) method_type: &'static str,
}

impl Stored for Mandate {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Mandate {
    pub(crate) fn render(&self) -> Value {
        let details = match self.method_type {
            "sepa_debit" => json!({ "reference": self.reference(), "url": "" }),
            _ => json!({}),
        };
        let single = self
            .single_use
            .map(|(amount, currency)| json!({ "amount": amount, "currency": currency }));
        let mut mandate = json!({
            "id": self.id,
            "object": "mandate",
            "customer_acceptance": {
                "accepted_at": self.created,
                "offline": {},
                "type": "offline",
            },
            "livemode": self.livemode,
            "payment_method": self.payment_method,
            "payment_method_details": { "type": self.method_type, self.method_type: details },
            "status": "active",
            "type": if single.is_some() { "single_use" } else { "multi_use" },
        });
        if let Some(map) = mandate.as_object_mut() {
            match single {
                Some(single) => map.insert("single_use".to_owned(), single),
                None => map.insert("multi_use".to_owned(), json!({})),
            };
        }
        mandate
    }

    /// What the debit shows on the customer's statement.
    fn reference(&self) -> String {
        let tail = self.id.trim_start_matches("mandate_1");
        tail.chars()
            .take(16)
            .collect::<String>()
            .to_ascii_uppercase()
    }
}

impl Account {
    /// Records a confirmation of a setup intent; the attempt's id.
    pub(super) fn record_setup_attempt(
        &mut self,
        intent: &SetupIntent,
        method: &PaymentMethod,
        authenticated: bool,
        status: &'static str,
        error: Option<IntentError>,
    ) -> String {
        let attempt = SetupAttempt {
            id: self.ids.long("setatt_"),
            created: self.now(),
            livemode: self.livemode,
            setup_intent: intent.id.clone(),
            payment_method: method.id.clone(),
            customer: intent.customer.clone(),
            on_session: intent.on_session,
            status,
            error,
            details: method.render_for_setup_attempt(authenticated),
        };
        let id = attempt.id.clone();
        self.payments.setup_attempts.insert(attempt);
        id
    }

    /// The mandate of a method that needs one, given now if there is none yet.
    pub(super) fn ensure_mandate(
        &mut self,
        method: &PaymentMethod,
        single_use: Option<(i64, &'static str)>,
    ) -> Option<String> {
        if !method.instrument.needs_mandate() || method.mandate.is_some() {
            return method.mandate.clone();
        }
        let mandate = Mandate {
            id: self.ids.long("mandate_"),
            created: self.now(),
            livemode: self.livemode,
            payment_method: method.id.clone(),
            single_use,
            method_type: method.instrument.type_name(),
        };
        let id = mandate.id.clone();
        self.payments.mandates.insert(mandate);
        Some(id)
    }
}

impl PaymentMethod {
    fn render_for_setup_attempt(&self, authenticated: bool) -> Value {
        let kind = self.instrument.type_name();
        let Instrument::Card(card) = &self.instrument else {
            return json!({ "type": kind, kind: {} });
        };
        json!({
            "type": kind,
            kind: {
                "brand": card.test.brand.as_str(),
                "checks": self.checks(card),
                "country": card.test.country,
                "exp_month": card.exp_month,
                "exp_year": card.exp_year,
                "fingerprint": card.fingerprint,
                "funding": card.test.funding.as_str(),
                "last4": card.test.last4(),
                "network": card.test.brand.as_str(),
                "three_d_secure": authenticated.then(super::payment_method::passed_challenge),
                "wallet": null,
            },
        })
    }
}
