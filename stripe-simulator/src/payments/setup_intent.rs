//! The `SetupIntent`: its state and its JSON.

use serde_json::{Value, json};

use super::intent_error::IntentError;
use super::payment_intent::{
    allowed_types, render_authentication, render_automatic, render_configuration,
    render_method_options,
};
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// `setup_intent.status`: <https://docs.stripe.com/payments/setup-intents#lifecycle>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetupStatus {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Canceled,
    Succeeded,
}

impl SetupStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }

    /// Neither succeeded nor canceled.
    pub(crate) const fn is_open(self) -> bool {
        !matches!(self, Self::Canceled | Self::Succeeded)
    }
}

/// A setup intent.
#[derive(Debug, Clone)]
pub(crate) struct SetupIntent {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) status: SetupStatus,
    pub(crate) client_secret: String,
    pub(crate) customer: Option<String>,
    pub(crate) payment_method: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    /// `automatic_payment_methods`, with `allow_redirects`.
    pub(crate) automatic_payment_methods: Option<String>,
    /// The id of the payment method configuration, when methods are automatic.
    pub(crate) configuration: Option<String>,
    pub(crate) payment_method_options: Value,
    /// `on_session` instead of `off_session`.
    pub(crate) on_session: bool,
    /// The customer has to authenticate; with the URL to come back to.
    pub(crate) return_url: Option<String>,
    /// The page that plays the bank, for `next_action`.
    pub(crate) authentication_url: String,
    pub(crate) last_setup_error: Option<IntentError>,
    pub(crate) latest_attempt: Option<String>,
    pub(crate) cancellation_reason: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) mandate: Option<String>,
    pub(crate) mandate_given: bool,
    pub(crate) metadata: Metadata,
    /// The Checkout session that waits for it.
    pub(crate) checkout: Option<String>,
}

impl Stored for SetupIntent {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let customer = self
            .customer
            .iter()
            .map(|customer| ("customer", customer.clone()));
        let method = self
            .payment_method
            .iter()
            .map(|id| ("payment_method", id.clone()));
        customer.chain(method).collect()
    }
}

impl SetupIntent {
    pub(crate) fn render(&self) -> Value {
        let next_action = (self.status == SetupStatus::RequiresAction).then(|| {
            render_authentication(
                &self.authentication_url,
                self.return_url.as_deref(),
                &self.id,
            )
        });
        json!({
            "id": self.id,
            "object": "setup_intent",
            "allowed_payment_method_types":
                allowed_types(self.automatic_payment_methods.as_deref(), &self.payment_method_types),
            "application": null,
            "automatic_payment_methods":
                render_automatic(self.automatic_payment_methods.as_deref()),
            "cancellation_reason": self.cancellation_reason,
            "client_secret": self.client_secret,
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "description": self.description,
            "excluded_payment_method_types": null,
            "flow_directions": null,
            "last_setup_error": self.last_setup_error.as_ref().map(IntentError::render),
            "latest_attempt": self.latest_attempt,
            "livemode": self.livemode,
            "mandate": self.mandate,
            "metadata": self.metadata,
            "next_action": next_action,
            "on_behalf_of": null,
            "payment_method": self.payment_method,
            "payment_method_configuration_details":
                render_configuration(self.configuration.as_deref()),
            "payment_method_options": render_method_options(
                &self.payment_method_types,
                &self.payment_method_options,
                &json!({
                    "mandate_options": null,
                    "network": null,
                    "request_three_d_secure": "automatic",
                }),
            ),
            "payment_method_types": self.payment_method_types,
            "single_use_mandate": null,
            "status": self.status.as_str(),
            "usage": if self.on_session { "on_session" } else { "off_session" },
        })
    }
}
