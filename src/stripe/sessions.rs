//! Pages of Stripe's for customers: Checkout, and the hosted portal.

use secrecy::SecretString;
use serde::Deserialize;
use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentMethodCollection, CreateCheckoutSessionSetupIntentData,
    CreateCheckoutSessionSubscriptionData, CreateCheckoutSessionSubscriptionDataTrialSettings,
    CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior, ExpireCheckoutSession,
    ListCheckoutSession, RetrieveCheckoutSession,
};
use stripe_types::Currency;

use super::customers::Customer;
use super::request::{Created, FrozenRequest, Page, hash_map, known, owned, paged, set};
use super::setup_intents::SetupIntent;
use super::subscriptions::{MissingPaymentMethod, NewItem, OneTimeCharge, Subscription, Trial};
use super::wire::{Expandable, identified, null_as_default, open_enum, seconds};
use super::{Metadata, StripeError, path_id};
use crate::clock::Timestamp;

/// What a Checkout page is for.
#[derive(Clone, Debug)]
pub enum CheckoutPurpose<'a> {
    /// To save a payment method.
    Setup {
        /// Lower-case ISO 4217, which decides the kinds of payment method on offer.
        currency: &'a str,
        /// Of the setup intent that the page makes.
        metadata: Metadata,
    },
    /// To subscribe.
    Subscription {
        /// To what.
        items: &'a [NewItem<'a>],
        /// `None`: it is paid from the start.
        trial: Option<Trial>,
        /// What happens at the trial's end without a payment method, where the page asks for one only
        /// if something is to be paid on it. `None`: it always asks.
        missing_payment_method: Option<MissingPaymentMethod>,
        /// What is paid once, on the page.
        one_time_charges: &'a [OneTimeCharge<'a>],
        /// Whether the page takes promotion codes.
        promotion_codes: bool,
        /// Of the subscription that the page makes.
        metadata: Metadata,
    },
}

/// A Checkout page to be.
#[derive(Clone, Debug)]
pub struct NewCheckoutSession<'a> {
    /// What it is for.
    pub purpose: CheckoutPurpose<'a>,
    /// Whose.
    pub customer: &'a str,
    /// Where the customer goes when it is done.
    pub success_url: &'a str,
    /// Where the customer goes when he turns back.
    pub cancel_url: &'a str,
    /// Ours, at most 200 characters.
    pub client_reference_id: Option<&'a str>,
    /// When it ends, 30 minutes to 24 hours from now. `None`: Stripe's default, 24 hours.
    pub expires_at: Option<Timestamp>,
    /// By which the session itself is recognized as ours.
    pub metadata: Metadata,
}

/// Creates a Checkout page.
pub fn create_checkout(new: &NewCheckoutSession<'_>) -> FrozenRequest {
    let mut create = CreateCheckoutSession::new()
        .customer(new.customer)
        .success_url(new.success_url)
        .cancel_url(new.cancel_url);
    set!(create, new, client_reference_id);
    if let Some(time) = new.expires_at {
        create = create.expires_at(time.as_seconds());
    }
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    create = match &new.purpose {
        CheckoutPurpose::Setup { currency, metadata } => {
            let mut intent = CreateCheckoutSessionSetupIntentData::new();
            intent.metadata = own(metadata);
            create
                .mode(stripe_checkout::CheckoutSessionMode::Setup)
                .currency(known::<Currency>(currency))
                .setup_intent_data(intent)
        }
        CheckoutPurpose::Subscription {
            items,
            missing_payment_method,
            one_time_charges,
            promotion_codes,
            ..
        } => {
            if *promotion_codes {
                create = create.allow_promotion_codes(true);
            }
            if missing_payment_method.is_some() {
                create = create.payment_method_collection(
                    CreateCheckoutSessionPaymentMethodCollection::IfRequired,
                );
            }
            let items = items.iter().map(|item| {
                let mut line = CreateCheckoutSessionLineItems::new();
                line.price = Some(item.price.to_owned());
                // Checkout wants one said where a subscription has one by itself.
                line.quantity = Some(item.quantity.unwrap_or(1));
                line
            });
            let once = one_time_charges.iter().map(one_time_line);
            create
                .mode(stripe_checkout::CheckoutSessionMode::Subscription)
                .line_items(items.chain(once).collect::<Vec<_>>())
                .subscription_data(subscription_data(&new.purpose))
        }
    };
    FrozenRequest::of(&create)
}

fn one_time_line(charge: &OneTimeCharge<'_>) -> CreateCheckoutSessionLineItems {
    let mut price =
        CreateCheckoutSessionLineItemsPriceData::new(known::<Currency>(charge.currency));
    price.product = Some(charge.product.to_owned());
    price.unit_amount = Some(charge.unit_amount);
    price.tax_behavior = charge.tax_behavior.map(|behavior| known(behavior.as_str()));
    let mut line = CreateCheckoutSessionLineItems::new();
    line.price_data = Some(price);
    line.quantity = Some(1);
    line
}

fn subscription_data(purpose: &CheckoutPurpose<'_>) -> CreateCheckoutSessionSubscriptionData {
    let mut data = CreateCheckoutSessionSubscriptionData::new();
    if let CheckoutPurpose::Subscription {
        trial,
        missing_payment_method,
        metadata,
        ..
    } = purpose
    {
        data.metadata = own(metadata);
        match trial {
            None => {}
            Some(Trial::Days(days)) => data.trial_period_days = Some(*days),
            Some(Trial::Until(end)) => data.trial_end = Some(end.as_seconds()),
        }
        data.trial_settings = missing_payment_method.map(|behavior| {
            CreateCheckoutSessionSubscriptionDataTrialSettings::new(
                CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehavior::new(known::<
                    stripe_checkout::checkout_session::CreateCheckoutSessionSubscriptionDataTrialSettingsEndBehaviorMissingPaymentMethod,
                >(behavior.as_str())),
            )
        });
    }
    data
}

fn own(metadata: &Metadata) -> Option<std::collections::HashMap<String, String>> {
    (!metadata.is_empty()).then(|| hash_map(metadata))
}

/// Reads a Checkout page, with its setup intent in whole.
pub fn retrieve_checkout(id: &str) -> Result<FrozenRequest, StripeError> {
    let retrieve = RetrieveCheckoutSession::new(path_id(id)?).expand(owned(&["setup_intent"]));
    Ok(FrozenRequest::of(&retrieve))
}

/// Which Checkout pages to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckoutFilter<'a> {
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists Checkout pages, newest first.
pub fn list_checkouts(filter: &CheckoutFilter<'_>) -> FrozenRequest {
    let mut list = ListCheckoutSession::new();
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

/// Ends a Checkout page that is still open.
pub fn expire_checkout(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&ExpireCheckoutSession::new(path_id(id)?)))
}

/// Creates a page where a customer sees and changes what he has, as the account's settings in
/// Stripe's dashboard allow.
pub fn create_portal(customer: &str, return_url: &str) -> FrozenRequest {
    let create = CreateBillingPortalSession::new()
        .customer(customer)
        .return_url(return_url);
    FrozenRequest::of(&create)
}

open_enum! {
    /// How a Checkout page stands.
    CheckoutStatus {
        /// It waits for the customer.
        Open = "open",
        /// It is done; a payment may still be processing.
        Complete = "complete",
        /// It has ended unused.
        Expired = "expired",
    }
}

open_enum! {
    /// What a Checkout page is for.
    CheckoutMode {
        /// To pay once.
        Payment = "payment",
        /// To save a payment method.
        Setup = "setup",
        /// To subscribe.
        Subscription = "subscription",
    }
}

/// What this service reads of Stripe's `checkout.session`.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    /// `cs_…`.
    pub id: String,
    /// Where the page is; whoever has it may use the page. `None` once it is done.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// When it ends.
    #[serde(default, deserialize_with = "seconds")]
    pub expires_at: Option<Timestamp>,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<CheckoutStatus>,
    /// What it is for.
    #[serde(default)]
    pub mode: Option<CheckoutMode>,
    /// `paid`, `unpaid` or `no_payment_required`.
    #[serde(default)]
    pub payment_status: Option<String>,
    /// What it made.
    #[serde(default)]
    pub setup_intent: Option<Expandable<SetupIntent>>,
    /// What it made.
    #[serde(default)]
    pub subscription: Option<Expandable<Subscription>>,
    /// Whose.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Ours.
    #[serde(default)]
    pub client_reference_id: Option<String>,
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
identified!(CheckoutSession);

/// What this service reads of Stripe's `billing_portal.session`.
#[derive(Clone, Debug, Deserialize)]
pub struct PortalSession {
    /// `bps_…`.
    pub id: String,
    /// Where the page is, for a short time; whoever has it may use the page.
    #[serde(default)]
    pub url: Option<SecretString>,
    /// Whose.
    #[serde(default)]
    pub customer: Option<String>,
    /// Where the customer goes from it.
    #[serde(default)]
    pub return_url: Option<String>,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(PortalSession);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::catalog::TaxBehavior;

    fn metadata(value: &str) -> Metadata {
        Metadata::from([("operation".to_owned(), value.to_owned())])
    }

    fn session(purpose: CheckoutPurpose<'_>) -> NewCheckoutSession<'_> {
        NewCheckoutSession {
            purpose,
            customer: "cus_1",
            success_url: "https://portal.example/ok?s={CHECKOUT_SESSION_ID}",
            cancel_url: "https://portal.example/back",
            client_reference_id: Some("org_1"),
            expires_at: Some(Timestamp::from_seconds(9)),
            metadata: metadata("oper_1"),
        }
    }

    #[test]
    fn a_page_saves_a_payment_method() {
        let request = create_checkout(&session(CheckoutPurpose::Setup {
            currency: "eur",
            metadata: metadata("oper_2"),
        }));
        assert_eq!(
            request.shown(),
            [
                "POST /v1/checkout/sessions",
                "cancel_url=https://portal.example/back",
                "client_reference_id=org_1",
                "currency=eur",
                "customer=cus_1",
                "expires_at=9",
                "metadata[operation]=oper_1",
                "mode=setup",
                "setup_intent_data[metadata][operation]=oper_2",
                "success_url=https://portal.example/ok?s={CHECKOUT_SESSION_ID}",
            ]
        );
    }

    #[test]
    fn a_page_subscribes() {
        let item = NewItem {
            price: "price_1",
            quantity: Some(3),
        };
        let fee = OneTimeCharge {
            product: "prod_1",
            currency: "eur",
            unit_amount: 500,
            tax_behavior: Some(TaxBehavior::Exclusive),
        };
        let of = |trial, missing_payment_method| {
            create_checkout(&session(CheckoutPurpose::Subscription {
                items: &[item],
                trial,
                missing_payment_method,
                one_time_charges: &[fee],
                promotion_codes: true,
                metadata: metadata("oper_2"),
            }))
            .shown()
        };
        let days = of(Some(Trial::Days(14)), Some(MissingPaymentMethod::Cancel));
        assert_eq!(
            days,
            [
                "POST /v1/checkout/sessions",
                "allow_promotion_codes=true",
                "cancel_url=https://portal.example/back",
                "client_reference_id=org_1",
                "customer=cus_1",
                "expires_at=9",
                "line_items[0][price]=price_1",
                "line_items[0][quantity]=3",
                "line_items[1][price_data][currency]=eur",
                "line_items[1][price_data][product]=prod_1",
                "line_items[1][price_data][tax_behavior]=exclusive",
                "line_items[1][price_data][unit_amount]=500",
                "line_items[1][quantity]=1",
                "metadata[operation]=oper_1",
                "mode=subscription",
                "payment_method_collection=if_required",
                "subscription_data[metadata][operation]=oper_2",
                "subscription_data[trial_period_days]=14",
                "subscription_data[trial_settings][end_behavior][missing_payment_method]=cancel",
                "success_url=https://portal.example/ok?s={CHECKOUT_SESSION_ID}",
            ]
        );
        let until = of(Some(Trial::Until(Timestamp::from_seconds(99))), None);
        assert!(until.contains(&"subscription_data[trial_end]=99".to_owned()));
    }

    #[test]
    fn pages_are_read_ended_and_made_for_customers() {
        assert_eq!(
            retrieve_checkout("cs_1").unwrap().shown(),
            ["GET /v1/checkout/sessions/cs_1", "expand[0]=setup_intent"]
        );
        assert_eq!(
            expire_checkout("cs_1").unwrap().shown(),
            ["POST /v1/checkout/sessions/cs_1/expire"]
        );
        assert_eq!(
            create_portal("cus_1", "https://portal.example").shown(),
            [
                "POST /v1/billing_portal/sessions",
                "customer=cus_1",
                "return_url=https://portal.example",
            ]
        );
    }

    #[test]
    fn the_address_of_a_page_is_not_shown() {
        let json = r#"{"id":"x_1","url":"https://stripe.example/Canary","status":"open"}"#;
        let checkout: CheckoutSession = serde_json::from_str(json).unwrap();
        let portal: PortalSession = serde_json::from_str(json).unwrap();
        assert!(!format!("{checkout:?} {portal:?}").contains("Canary"));
    }
}
