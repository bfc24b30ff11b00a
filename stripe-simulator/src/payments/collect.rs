//! Collecting the amount of an invoice: the one door from billing to payments.

use serde_json::json;

use super::attempt::Attempt;
use super::instrument::Presence;
use super::payment_intent::{CaptureMethod, Owner, PaymentIntent, PaymentStatus};
use crate::account::Account;
use crate::currency::Currency;
use crate::params::Metadata;

/// What to collect, from whom.
#[derive(Debug, Clone)]
pub(crate) struct CollectRequest<'a> {
    /// The invoice that waits for the money.
    pub(crate) invoice: &'a str,
    /// Its customer.
    pub(crate) customer: &'a str,
    /// A method attached to the customer; `None` makes or keeps an intent that waits for one.
    pub(crate) payment_method: Option<&'a str>,
    /// Minor units, above zero.
    pub(crate) amount: i64,
    /// The invoice's currency.
    pub(crate) currency: Currency,
    /// `false` makes the intent and leaves it to the customer to confirm
    /// (`payment_behavior=default_incomplete`).
    pub(crate) confirm: bool,
    /// Nobody is there to authenticate: a renewal, or a retry.
    pub(crate) off_session: bool,
    /// `description` of intent and charge.
    pub(crate) description: Option<String>,
    /// `setup_future_usage` of the intent: the subscription's
    /// `payment_settings.save_default_payment_method`.
    pub(crate) save_for_later: bool,
}

/// How a collection ended, or where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CollectOutcome {
    /// The money is there.
    Succeeded,
    /// Refused: the codes and the message of the failure.
    Declined {
        code: String,
        decline_code: Option<String>,
        message: String,
    },
    /// The customer has to authenticate.
    RequiresAction,
    /// A bank debit is on its way.
    Processing,
    /// There is no method to pay with, or nobody confirmed yet.
    Waiting,
}

/// The intent of a collection, and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Collected {
    pub(crate) payment_intent: String,
    /// The latest charge, if any was tried.
    pub(crate) charge: Option<String>,
    pub(crate) outcome: CollectOutcome,
}

impl Account {
    /// Collects the amount of an invoice. The invoice's open intent is used again, so that every
    /// retry is a charge of the same `PaymentIntent`, as on Stripe.
    pub(crate) fn collect(&mut self, request: &CollectRequest<'_>) -> Collected {
        let open = self
            .payments
            .payment_intents
            .by_key("invoice", request.invoice)
            .find(|intent| intent.status.is_cancelable())
            .map(|intent| intent.id.clone());
        let id = match open {
            Some(id) => id,
            None => self.new_invoice_intent(request),
        };
        let status = self
            .payments
            .payment_intents
            .get(&id)
            .map(|intent| intent.status);
        let confirmable = status.is_some_and(PaymentStatus::is_confirmable);
        if confirmable {
            let amount = request.amount;
            self.change_payment_intent(&id, |intent| {
                intent.amount = amount;
                if let Some(method) = request.payment_method {
                    intent.payment_method = Some(method.to_owned());
                    if intent.status == PaymentStatus::RequiresPaymentMethod {
                        intent.status = PaymentStatus::RequiresConfirmation;
                    }
                }
            });
            if request.confirm && request.payment_method.is_some() {
                let presence = if request.off_session {
                    Presence::Recurring
                } else {
                    Presence::OnSession
                };
                let attempt = Attempt {
                    presence,
                    ..Attempt::default()
                };
                self.attempt_payment(&id, &attempt);
            }
        }
        self.collected(&id)
    }

    /// Where a collection stands.
    pub(crate) fn collected(&self, id: &str) -> Collected {
        let intent = self.payments.payment_intents.get(id);
        let outcome = match intent {
            None => CollectOutcome::Waiting,
            Some(intent) => outcome_of(intent),
        };
        Collected {
            payment_intent: id.to_owned(),
            charge: intent.and_then(|intent| intent.latest_charge.clone()),
            outcome,
        }
    }

    fn new_invoice_intent(&mut self, request: &CollectRequest<'_>) -> String {
        let id = self.ids.long("pi_");
        let client_secret = format!("{id}_secret_{}", self.ids.base62(25));
        let intent = PaymentIntent {
            created: self.now(),
            livemode: self.livemode,
            capture_method: CaptureMethod::Automatic,
            customer: Some(request.customer.to_owned()),
            payment_method_types: default_method_types(request.currency),
            setup_future_usage: request.save_for_later.then(|| "off_session".to_owned()),
            authentication_url: self.authentication_url(&id),
            description: request.description.clone(),
            owner: Owner::Invoice(request.invoice.to_owned()),
            ..PaymentIntent::new(id.clone(), client_secret, request.amount, request.currency)
        };
        let rendered = intent.render();
        self.payments.payment_intents.insert(intent);
        self.emit("payment_intent.created", &rendered);
        id
    }

    /// Cancels the open intent of an invoice that is voided or given up.
    pub(crate) fn abandon_collection(&mut self, invoice: &str, reason: &str) {
        for id in self.payments.payment_intents.ids_by_key("invoice", invoice) {
            let status = self
                .payments
                .payment_intents
                .get(&id)
                .map(|intent| intent.status);
            if status.is_some_and(PaymentStatus::is_cancelable) {
                self.cancel_payment(&id, Some(reason));
            }
        }
    }

    /// The page that plays the bank.
    pub(crate) fn authentication_url(&self, intent: &str) -> String {
        format!("{}/authenticate/{intent}", self.base_url)
    }

    /// The account's one payment method configuration.
    pub(crate) fn method_configuration(&self) -> String {
        format!(
            "pmc_1{}",
            super::cards::fingerprint(&self.id, "payment_method_configuration")
        )
    }
}

/// The methods that a currency can be paid with when the caller names none.
pub(crate) fn default_method_types(currency: Currency) -> Vec<String> {
    let mut types = vec!["card".to_owned()];
    match currency.code() {
        "usd" => types.push("us_bank_account".to_owned()),
        "eur" => types.push("sepa_debit".to_owned()),
        _ => {}
    }
    types
}

fn outcome_of(intent: &PaymentIntent) -> CollectOutcome {
    match intent.status {
        PaymentStatus::Succeeded => CollectOutcome::Succeeded,
        PaymentStatus::RequiresAction => CollectOutcome::RequiresAction,
        PaymentStatus::Processing => CollectOutcome::Processing,
        PaymentStatus::RequiresPaymentMethod => match &intent.last_payment_error {
            Some(error) => CollectOutcome::Declined {
                code: error.code.clone(),
                decline_code: error.decline_code.clone(),
                message: error.message.clone(),
            },
            None => CollectOutcome::Waiting,
        },
        PaymentStatus::RequiresConfirmation
        | PaymentStatus::RequiresCapture
        | PaymentStatus::Canceled => CollectOutcome::Waiting,
    }
}

impl PaymentIntent {
    /// An intent with nothing in it yet.
    pub(crate) fn new(id: String, client_secret: String, amount: i64, currency: Currency) -> Self {
        Self {
            id,
            created: 0,
            livemode: false,
            amount,
            amount_received: 0,
            amount_capturable: 0,
            currency,
            status: PaymentStatus::RequiresPaymentMethod,
            capture_method: CaptureMethod::AutomaticAsync,
            manual_confirmation: false,
            client_secret,
            customer: None,
            payment_method: None,
            payment_method_types: Vec::new(),
            automatic_payment_methods: None,
            configuration: None,
            setup_future_usage: None,
            payment_method_options: json!({}),
            next_action: None,
            authentication_url: String::new(),
            last_payment_error: None,
            latest_charge: None,
            canceled_at: None,
            cancellation_reason: None,
            description: None,
            receipt_email: None,
            shipping: serde_json::Value::Null,
            statement_descriptor: None,
            statement_descriptor_suffix: None,
            transfer_group: None,
            metadata: Metadata::new(),
            mandate_given: false,
            owner: Owner::Nobody,
        }
    }
}
