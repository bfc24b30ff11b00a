//! What payment intents and setup intents have in common.

use serde_json::Value;

use crate::account::Account;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::router::Request;
use crate::params::Params;
use crate::payments::collect::default_method_types;
use crate::payments::instrument::Presence;

/// For whom, and with what, an intent may be paid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntentRequest<'a> {
    pub(crate) customer: Option<&'a str>,
    pub(crate) types: &'a [String],
}

/// The methods that a new intent takes, and where they come from.
#[derive(Debug, Clone)]
pub(crate) struct MethodTypes {
    pub(crate) types: Vec<String>,
    /// `automatic_payment_methods[allow_redirects]`, when methods are automatic.
    pub(crate) automatic: Option<String>,
    /// The payment method configuration, when methods are automatic.
    pub(crate) configuration: Option<String>,
}

/// Methods are automatic unless the caller names types: the account's dashboard has cards and bank
/// debits switched on, and nothing that redirects, so that no `return_url` is ever demanded.
pub(crate) fn method_types(
    account: &Account,
    params: Params<'_>,
    currency: Currency,
) -> MethodTypes {
    let named: Vec<String> = params
        .texts("payment_method_types")
        .into_iter()
        .map(str::to_owned)
        .collect();
    if !named.is_empty() {
        return MethodTypes {
            types: named,
            automatic: None,
            configuration: None,
        };
    }
    let automatic = params.child("automatic_payment_methods");
    let redirects = automatic.and_then(|automatic| automatic.text("allow_redirects"));
    MethodTypes {
        types: default_method_types(currency),
        automatic: Some(redirects.unwrap_or("always").to_owned()),
        configuration: Some(account.method_configuration()),
    }
}

/// `off_session` is a flag, or says what kind of payment without the customer it is.
pub(crate) fn presence(params: Params<'_>) -> Presence {
    let off_session = matches!(params.text("off_session"), Some("one_off" | "recurring"))
        || params.boolean("off_session").unwrap_or(false);
    if off_session {
        Presence::OffSession
    } else {
        Presence::OnSession
    }
}

/// A publishable key opens an intent only together with its client secret.
pub(crate) fn check_client_secret(
    request: &Request,
    params: Params<'_>,
    expected: &str,
    what: &str,
) -> Result<(), StripeError> {
    let given = match request.browser_secret.as_deref() {
        Some("") => return Err(StripeError::missing_param("client_secret")),
        Some(secret) => Some(secret),
        None => params.text("client_secret"),
    };
    if given.is_none_or(|given| given == expected) {
        return Ok(());
    }
    Err(StripeError::invalid(format!(
        "The client_secret provided does not match the client_secret associated with the {what}."
    ))
    .param("client_secret"))
}

/// 400 with the intent inside, for a step that its status does not allow.
pub(crate) fn unexpected_state(
    code: &'static str,
    message: String,
    name: &str,
    intent: Value,
) -> StripeError {
    StripeError::invalid(message).code(code).with(name, intent)
}

impl Account {
    /// The payment method that the parameters of an intent give: `payment_method`, or
    /// `payment_method_data`, which makes a new one.
    ///
    /// # Errors
    /// An unknown method, another customer's, a spent one, one of a type the intent does not take.
    pub(crate) fn method_for_intent(
        &mut self,
        params: Params<'_>,
        request: IntentRequest<'_>,
    ) -> Result<Option<String>, StripeError> {
        let id = if let Some(named) = params.text("payment_method") {
            self.resolve_payment_method(named, "payment_method")?
        } else if let Some(data) = params.child("payment_method_data") {
            self.payment_method_from(data, "payment_method_data")?
        } else {
            return Ok(None);
        };
        self.check_usable_method(&id, request.customer)?;
        let method = self.payments.payment_methods.get(&id);
        let kind = method.map_or("", |method| method.instrument.type_name());
        if !request.types.iter().any(|allowed| allowed == kind) {
            return Err(StripeError::invalid(format!(
                "The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please \
                 attach a PaymentMethod of one of the following types: {}.",
                request.types.join(", ")
            ))
            .param("payment_method"));
        }
        Ok(Some(id))
    }
}
