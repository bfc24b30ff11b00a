//! The `PaymentIntent`: its state and its JSON.

use serde_json::{Value, json};

use super::intent_error::IntentError;
use crate::currency::Currency;
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// `payment_intent.status`: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaymentStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
}

impl PaymentStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }

    /// Whether the customer or the merchant can still bring it forward with a confirmation.
    pub(crate) const fn is_confirmable(self) -> bool {
        matches!(
            self,
            Self::RequiresPaymentMethod | Self::RequiresConfirmation | Self::RequiresAction
        )
    }

    /// Whether it can be canceled.
    pub(crate) const fn is_cancelable(self) -> bool {
        !matches!(self, Self::Canceled | Self::Succeeded)
    }
}

/// When the money of an authorized card is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaptureMethod {
    Automatic,
    AutomaticAsync,
    Manual,
}

impl CaptureMethod {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::AutomaticAsync => "automatic_async",
            Self::Manual => "manual",
        }
    }
}

/// What waits for the payment, and is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Nobody,
    /// An invoice's id.
    Invoice(String),
    /// A Checkout session's id.
    Checkout(String),
}

/// The customer has to pass 3-D Secure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextAction {
    /// By redirect, and back to here; without it, by Stripe.js.
    pub(crate) return_url: Option<String>,
}

/// A payment intent.
#[derive(Debug, Clone)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    /// Minor units.
    pub(crate) amount: i64,
    pub(crate) amount_received: i64,
    pub(crate) amount_capturable: i64,
    pub(crate) currency: Currency,
    pub(crate) status: PaymentStatus,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) manual_confirmation: bool,
    pub(crate) client_secret: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    /// `automatic_payment_methods`, with `allow_redirects`.
    pub(crate) automatic_payment_methods: Option<String>,
    /// The id of the payment method configuration, when methods are automatic.
    pub(crate) configuration: Option<String>,
    pub(crate) setup_future_usage: Option<String>,
    /// `payment_method_options` as they were given.
    pub(crate) payment_method_options: Value,
    pub(crate) next_action: Option<NextAction>,
    /// The page that plays the bank, for `next_action`.
    pub(crate) authentication_url: String,
    pub(crate) last_payment_error: Option<IntentError>,
    pub(crate) latest_charge: Option<String>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) shipping: Value,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
    pub(crate) transfer_group: Option<String>,
    pub(crate) metadata: Metadata,
    /// A mandate came with the confirmation.
    pub(crate) mandate_given: bool,
    pub(crate) owner: Owner,
}

impl Stored for PaymentIntent {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self
            .customer
            .iter()
            .map(|customer| ("customer", customer.clone()))
            .collect();
        if let Owner::Invoice(invoice) = &self.owner {
            keys.push(("invoice", invoice.clone()));
        }
        keys
    }
}

impl PaymentIntent {
    pub(crate) fn render(&self) -> Value {
        let payment_details = match &self.owner {
            Owner::Invoice(invoice) => {
                json!({ "customer_reference": null, "order_reference": invoice })
            }
            _ => Value::Null,
        };
        json!({
            "id": self.id,
            "object": "payment_intent",
            "allowed_payment_method_types": allowed_types(self.automatic_payment_methods.as_deref(), &self.payment_method_types),
            "amount": self.amount,
            "amount_capturable": self.amount_capturable,
            "amount_details": { "tip": {} },
            "amount_received": self.amount_received,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods":
                render_automatic(self.automatic_payment_methods.as_deref()),
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method.as_str(),
            "client_secret": self.client_secret,
            "confirmation_method": if self.manual_confirmation { "manual" } else { "automatic" },
            "created": self.created,
            "currency": self.currency.code(),
            "customer": self.customer,
            "customer_account": null,
            "description": self.description,
            "excluded_payment_method_types": null,
            "last_payment_error": self.last_payment_error.as_ref().map(IntentError::render),
            "latest_charge": self.latest_charge,
            "livemode": self.livemode,
            "managed_payments": { "enabled": false },
            "metadata": self.metadata,
            "next_action": self.render_next_action(),
            "on_behalf_of": null,
            "payment_details": payment_details,
            "payment_method": self.payment_method,
            "payment_method_configuration_details":
                render_configuration(self.configuration.as_deref()),
            "payment_method_options": render_method_options(
                &self.payment_method_types,
                &self.payment_method_options,
                &json!({
                    "installments": null,
                    "mandate_options": null,
                    "network": null,
                    "request_three_d_secure": "automatic",
                }),
            ),
            "payment_method_types": self.payment_method_types,
            "processing": null,
            "receipt_email": self.receipt_email,
            "review": null,
            "setup_future_usage": self.setup_future_usage,
            "shipping": self.shipping,
            "source": null,
            "statement_descriptor": self.statement_descriptor,
            "statement_descriptor_suffix": self.statement_descriptor_suffix,
            "status": self.status.as_str(),
            "transfer_data": null,
            "transfer_group": self.transfer_group,
        })
    }

    fn render_next_action(&self) -> Value {
        self.next_action.as_ref().map_or(Value::Null, |action| {
            let return_url = action.return_url.as_deref();
            render_authentication(&self.authentication_url, return_url, &self.id)
        })
    }

    /// `payment_method_options[card][request_three_d_secure]` asks for 3-D Secure.
    pub(crate) fn three_d_secure_requested(&self) -> bool {
        three_d_secure_requested(&self.payment_method_options)
    }
}

/// `allowed_payment_method_types`: what the caller allowed, null where all methods are.
pub(crate) fn allowed_types(automatic: Option<&str>, types: &[String]) -> Value {
    if automatic.is_some() {
        Value::Null
    } else {
        types.into()
    }
}

/// Whether the options ask for 3-D Secure where the card supports it.
pub(crate) fn three_d_secure_requested(options: &Value) -> bool {
    let asked = options
        .pointer("/card/request_three_d_secure")
        .and_then(Value::as_str);
    matches!(asked, Some("any" | "challenge"))
}

/// `next_action` for 3-D Secure.
pub(crate) fn render_authentication(url: &str, return_url: Option<&str>, id: &str) -> Value {
    match return_url {
        Some(return_url) => json!({
            "type": "redirect_to_url",
            "redirect_to_url": { "return_url": return_url, "url": url },
        }),
        None => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {
                "type": "three_d_secure_redirect",
                "source": id,
                "stripe_js": url,
            },
        }),
    }
}

/// `automatic_payment_methods`, by its `allow_redirects`.
pub(super) fn render_automatic(allow_redirects: Option<&str>) -> Value {
    allow_redirects.map_or(
        Value::Null,
        |allow_redirects| json!({ "allow_redirects": allow_redirects, "enabled": true }),
    )
}

/// `payment_method_configuration_details`.
pub(crate) fn render_configuration(id: Option<&str>) -> Value {
    id.map_or(Value::Null, |id| json!({ "id": id, "parent": null }))
}

/// `payment_method_options` per method type, with Stripe's defaults under what was given; those of
/// cards differ between the kinds of intents.
pub(super) fn render_method_options(types: &[String], given: &Value, cards: &Value) -> Value {
    let mut options = serde_json::Map::new();
    for kind in types {
        let mut fields = match kind.as_str() {
            "card" => cards.clone(),
            "us_bank_account" => json!({ "verification_method": "automatic" }),
            "sepa_debit" => json!({}),
            _ => continue,
        };
        if let (Some(fields), Some(given)) = (
            fields.as_object_mut(),
            given.get(kind).and_then(Value::as_object),
        ) {
            fields.extend(
                given
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        options.insert(kind.clone(), fields);
    }
    Value::Object(options)
}
