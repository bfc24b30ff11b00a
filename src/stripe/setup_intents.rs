//! Setup intents: saving a payment method for later, with the customer's consent.

use secrecy::SecretString;
use serde::Deserialize;
use stripe_core::setup_intent::{
    CancelSetupIntent, CreateSetupIntent, CreateSetupIntentUsage, ListSetupIntent,
    RetrieveSetupIntent,
};

use super::customers::Customer;
use super::payment_methods::PaymentMethod;
use super::request::{Created, FrozenRequest, Page, hash_map, owned, paged, set};
use super::wire::{Expandable, identified, null_as_default, open_enum, seconds};
use super::{Metadata, StripeError, path_id};
use crate::clock::Timestamp;

/// A setup intent to be, for payments without the customer present.
#[derive(Clone, Debug, Default)]
pub struct NewSetupIntent<'a> {
    /// Whose payment method it will be.
    pub customer: &'a str,
    /// A payment method that is there already.
    pub payment_method: Option<&'a str>,
    /// Whether to begin at once; needs a payment method.
    pub confirm: Option<bool>,
    /// Where a bank's page sends the customer back to; only with `confirm`.
    pub return_url: Option<&'a str>,
    /// For people, in Stripe's dashboard.
    pub description: Option<&'a str>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
}

/// Creates a setup intent.
pub fn create(new: &NewSetupIntent<'_>) -> FrozenRequest {
    let mut create = CreateSetupIntent::new()
        .customer(new.customer)
        .usage(CreateSetupIntentUsage::OffSession);
    set!(
        create,
        new,
        payment_method,
        confirm,
        return_url,
        description
    );
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    FrozenRequest::of(&create)
}

/// Reads a setup intent with its payment method in whole.
pub fn retrieve(id: &str) -> Result<FrozenRequest, StripeError> {
    let retrieve = RetrieveSetupIntent::new(path_id(id)?).expand(owned(&["payment_method"]));
    Ok(FrozenRequest::of(&retrieve))
}

/// Gives a setup intent up, so that its client secret is worth nothing any more.
pub fn cancel(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&CancelSetupIntent::new(path_id(id)?)))
}

/// Which setup intents to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetupIntentFilter<'a> {
    /// Of this customer.
    pub customer: Option<&'a str>,
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists setup intents, newest first.
pub fn list(filter: &SetupIntentFilter<'_>) -> FrozenRequest {
    let mut list = ListSetupIntent::new();
    set!(list, filter, customer);
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

open_enum! {
    /// How far a setup intent is
    /// (<https://docs.stripe.com/payments/paymentintents/lifecycle>).
    SetupIntentStatus {
        /// It waits for a payment method, the first or another one.
        RequiresPaymentMethod = "requires_payment_method",
        /// It waits to be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// It waits for the customer, such as for 3-D Secure.
        RequiresAction = "requires_action",
        /// A bank is at it.
        Processing = "processing",
        /// It was given up.
        Canceled = "canceled",
        /// The payment method can be used.
        Succeeded = "succeeded",
    }
}

/// What this service reads of Stripe's `SetupIntent`.
#[derive(Clone, Debug, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<SetupIntentStatus>,
    /// With it and a publishable key, a browser can finish the intent.
    #[serde(default)]
    pub client_secret: Option<SecretString>,
    /// What is set up.
    #[serde(default)]
    pub payment_method: Option<Expandable<PaymentMethod>>,
    /// Whose it is.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Why the last attempt failed.
    #[serde(default)]
    pub last_setup_error: Option<SetupError>,
    /// What the customer has to do.
    #[serde(default)]
    pub next_action: Option<NextAction>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(SetupIntent);

/// Why an attempt failed. Stripe's prose is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SetupError {
    /// Such as `card_declined` (<https://docs.stripe.com/error-codes>).
    #[serde(default)]
    pub code: Option<String>,
    /// Such as `insufficient_funds` (<https://docs.stripe.com/declines/codes>).
    #[serde(default)]
    pub decline_code: Option<String>,
    /// Such as `card_error`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// What the customer has to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NextAction {
    /// Such as `redirect_to_url` or `use_stripe_sdk`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setup_intent_is_for_payments_without_the_customer() {
        let request = create(&NewSetupIntent {
            customer: "cus_1",
            payment_method: Some("pm_1"),
            confirm: Some(true),
            return_url: Some("https://portal.example/back"),
            description: Some("portal demo"),
            metadata: Metadata::from([("operation".to_owned(), "oper_1".to_owned())]),
        });
        assert_eq!(
            request.shown(),
            [
                "POST /v1/setup_intents",
                "confirm=true",
                "customer=cus_1",
                "description=portal demo",
                "metadata[operation]=oper_1",
                "payment_method=pm_1",
                "return_url=https://portal.example/back",
                "usage=off_session",
            ]
        );
    }

    #[test]
    fn setup_intents_are_read_listed_and_given_up() {
        assert_eq!(
            retrieve("seti_1").unwrap().shown(),
            ["GET /v1/setup_intents/seti_1", "expand[0]=payment_method"]
        );
        assert_eq!(
            cancel("seti_1").unwrap().shown(),
            ["POST /v1/setup_intents/seti_1/cancel"]
        );
        let filter = SetupIntentFilter {
            customer: Some("cus_1"),
            created: Created {
                from: None,
                before: Some(Timestamp::from_millis(1_999)),
            },
            page: Page::default(),
        };
        assert_eq!(
            list(&filter).shown(),
            ["GET /v1/setup_intents", "created[lt]=1", "customer=cus_1"]
        );
    }

    #[test]
    fn neither_the_secret_nor_stripes_prose_is_shown() {
        let read: SetupIntent = serde_json::from_str(
            r#"{"id":"seti_1","status":"requires_action","client_secret":"seti_1_secret_Canary",
                "last_setup_error":{"code":"card_declined","message":"Canary"},
                "next_action":{"type":"use_stripe_sdk","use_stripe_sdk":{"x":"Canary"}}}"#,
        )
        .unwrap();
        assert!(!format!("{read:?}").contains("Canary"));
        assert_eq!(
            read.next_action.unwrap().kind.as_deref(),
            Some("use_stripe_sdk")
        );
    }
}
