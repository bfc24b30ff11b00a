//! What went wrong with an intent: `last_payment_error`, `last_setup_error`, and the 402 that
//! answers the request.

use serde_json::{Map, Value};

use super::bank::BankFailure;
use super::decline::Decline;
use crate::front::errors::StripeError;

/// The failure of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IntentError {
    pub(crate) card_error: bool,
    pub(crate) code: String,
    pub(crate) decline_code: Option<String>,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
    pub(crate) advice_code: Option<String>,
    pub(crate) network_decline_code: Option<String>,
    /// The failed charge's id.
    pub(crate) charge: Option<String>,
    /// The payment method as it was.
    pub(crate) payment_method: Value,
}

impl IntentError {
    pub(crate) fn declined(decline: Decline, payment_method: Value) -> Self {
        let words = decline.words();
        Self {
            card_error: true,
            code: words.code.to_owned(),
            decline_code: words.decline_code.map(str::to_owned),
            message: words.message.to_owned(),
            param: words.param.map(str::to_owned),
            advice_code: words.advice_code.map(str::to_owned),
            network_decline_code: decline.network_decline_code().map(str::to_owned),
            charge: None,
            payment_method,
        }
    }

    /// The caller asked for an error where the bank asks for authentication.
    pub(crate) fn authentication_not_handled(payment_method: Value) -> Self {
        let mut error = Self::declined(Decline::AuthenticationRequired, payment_method);
        error.decline_code = Some("authentication_not_handled".to_owned());
        "This payment required an authentication action to complete, but `error_on_requires_action` \
         was set. When you're ready, you can upgrade your integration to handle actions at \
         https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions."
            .clone_into(&mut error.message);
        error
    }

    /// The customer failed, or gave up, 3-D Secure. `code` is
    /// `payment_intent_authentication_failure` or `setup_intent_authentication_failure`.
    pub(crate) fn authentication_failed(code: &str, payment_method: Value) -> Self {
        Self {
            card_error: false,
            code: code.to_owned(),
            decline_code: None,
            message:
                "We are unable to authenticate your payment method. Please choose a different \
                      payment method and try again."
                    .to_owned(),
            param: None,
            advice_code: None,
            network_decline_code: None,
            charge: None,
            payment_method,
        }
    }

    /// A bank debit came back.
    pub(crate) fn debit_returned(failure: BankFailure, payment_method: Value) -> Self {
        Self {
            card_error: false,
            code: "payment_intent_payment_attempt_failed".to_owned(),
            message: failure.message.to_owned(),
            ..Self::authentication_failed("", payment_method)
        }
    }

    /// As in `last_payment_error`.
    pub(crate) fn render(&self) -> Value {
        let kind = if self.card_error {
            "card_error"
        } else {
            "invalid_request_error"
        };
        let mut map = Map::new();
        map.insert("type".to_owned(), kind.into());
        map.insert("code".to_owned(), self.code.as_str().into());
        let page = self.code.replace('_', "-");
        map.insert(
            "doc_url".to_owned(),
            format!("https://stripe.com/docs/error-codes/{page}").into(),
        );
        map.insert("message".to_owned(), self.message.as_str().into());
        for (name, value) in self.optional() {
            map.insert(name.to_owned(), value.into());
        }
        if !self.payment_method.is_null() {
            map.insert("payment_method".to_owned(), self.payment_method.clone());
        }
        Value::Object(map)
    }

    /// As the answer to the request that caused it. `intent` is the rendered intent, under its
    /// object's name.
    pub(crate) fn answer(&self, intent_name: &str, intent: Value) -> StripeError {
        self.answer_alone().with(intent_name, intent)
    }

    /// As the answer to a request that is about no intent.
    pub(crate) fn answer_alone(&self) -> StripeError {
        let mut error = if self.card_error {
            StripeError::card(self.code.clone(), self.message.clone())
        } else {
            StripeError::invalid(self.message.clone())
                .code(self.code.clone())
                .status(402)
        };
        for (name, value) in self.optional() {
            error = match name {
                "param" => error.param(value),
                _ => error.with(name, value),
            };
        }
        if !self.payment_method.is_null() {
            error = error.with("payment_method", self.payment_method.clone());
        }
        error
    }

    fn optional(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("decline_code", self.decline_code.as_deref()),
            ("param", self.param.as_deref()),
            ("advice_code", self.advice_code.as_deref()),
            ("network_decline_code", self.network_decline_code.as_deref()),
            ("charge", self.charge.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}
