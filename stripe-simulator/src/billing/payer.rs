//! The billing engine's one door to payments: which method pays, and what came of it.

use super::invoice_model::Invoice;
use super::model::Subscription;
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::payments::collect::{CollectOutcome, CollectRequest, Collected, default_method_types};
use crate::payments::setup_intent::SetupStatus;

/// What came of one attempt to pay.
#[derive(Debug)]
pub(crate) enum Attempt {
    Succeeded,
    /// Refused; the error is what a request that waits for it answers.
    Declined(StripeError),
    /// The cardholder has to authenticate.
    RequiresAction,
    /// A bank debit under way.
    Processing,
    /// Nothing to charge.
    NoMethod,
}

/// The method that pays an invoice, by Stripe's order: the invoice's own, the subscription's, the
/// customer's (docs.stripe.com, "Payment method priority").
pub(crate) fn method_for(account: &Account, invoice: &Invoice) -> Option<String> {
    let own = invoice
        .default_payment_method
        .clone()
        .or_else(|| invoice.default_source.clone());
    own.or_else(|| {
        let subscription = account
            .billing
            .subscriptions
            .get(invoice.subscription.as_deref()?)?;
        method_of_subscription(subscription)
    })
    .or_else(|| method_of_customer(account, &invoice.customer))
}

/// The subscription's own method.
pub(crate) fn method_of_subscription(own: &Subscription) -> Option<String> {
    own.default_payment_method
        .clone()
        .or_else(|| own.default_source.clone())
}

/// The customer's default for invoices.
pub(crate) fn method_of_customer(account: &Account, customer: &str) -> Option<String> {
    account
        .customers
        .get(customer)?
        .invoice_settings
        .default_payment_method
        .clone()
}

/// The method a subscription would be charged with.
pub(crate) fn method_of(account: &Account, own: &Subscription) -> Option<String> {
    method_of_subscription(own).or_else(|| method_of_customer(account, &own.customer))
}

/// Makes the `PaymentIntent` of a finalized invoice, not yet confirmed.
///
/// With a method at hand the intent waits for its confirmation, without one for a method.
pub(crate) fn open(account: &mut Account, invoice: &Invoice, method: Option<&str>) -> String {
    let request = request(account, invoice, method, false, true);
    account.collect(&request).payment_intent
}

/// Tries to pay an invoice's intent with a method.
pub(crate) fn attempt(
    account: &mut Account,
    invoice: &Invoice,
    method: &str,
    off_session: bool,
) -> Attempt {
    let request = request(account, invoice, Some(method), true, off_session);
    let collected = account.collect(&request);
    outcome(account, &collected)
}

/// What a collection's state means to billing.
pub(crate) fn outcome(account: &Account, collected: &Collected) -> Attempt {
    match &collected.outcome {
        CollectOutcome::Succeeded => Attempt::Succeeded,
        CollectOutcome::RequiresAction => Attempt::RequiresAction,
        CollectOutcome::Processing => Attempt::Processing,
        CollectOutcome::Waiting => Attempt::NoMethod,
        CollectOutcome::Declined {
            code,
            decline_code,
            message,
        } => {
            let mut error = StripeError::card(code.clone(), message.clone());
            if let Some(decline_code) = decline_code {
                error = error.with("decline_code", decline_code.as_str());
            }
            if let Some(charge) = &collected.charge {
                error = error.with("charge", charge.as_str());
            }
            if let Some(intent) = account.render(&collected.payment_intent) {
                error = error.with("payment_intent", intent);
            }
            Attempt::Declined(error)
        }
    }
}

fn request<'a>(
    account: &Account,
    invoice: &'a Invoice,
    method: Option<&'a str>,
    confirm: bool,
    off_session: bool,
) -> CollectRequest<'a> {
    CollectRequest {
        invoice: &invoice.id,
        customer: &invoice.customer,
        payment_method: method,
        amount: invoice.amount_remaining(),
        currency: invoice.currency,
        confirm,
        off_session,
        description: describe(invoice),
        save_for_later: saves_method(account, invoice),
    }
}

/// Whether the subscription keeps the method that pays
/// (`payment_settings.save_default_payment_method`), or will need it again.
fn saves_method(account: &Account, invoice: &Invoice) -> bool {
    let own = invoice
        .subscription
        .as_deref()
        .and_then(|id| account.billing.subscriptions.get(id));
    own.is_some_and(Subscription::saves_method) || invoice.billing_reason == "subscription_create"
}

/// The intent's description, as Stripe words it by the invoice's reason.
fn describe(invoice: &Invoice) -> Option<String> {
    match invoice.billing_reason {
        "subscription_create" => Some("Subscription creation".to_owned()),
        "subscription_cycle" | "subscription_update" => Some("Subscription update".to_owned()),
        _ => invoice
            .number
            .as_ref()
            .map(|number| format!("Payment for Invoice {number}")),
    }
}

/// The method that paid an intent.
pub(crate) fn method_of_intent(account: &Account, intent: &str) -> Option<String> {
    account
        .payments
        .payment_intents
        .get(intent)?
        .payment_method
        .clone()
}

/// Payments tells that an invoice's intent moved outside of an attempt: the customer confirmed or
/// authenticated it, or a debit settled.
pub(crate) fn moved(account: &mut Account, invoice: &str, collected: &Collected) {
    account.change_invoice(invoice, |own| {
        own.payment_intent = Some(collected.payment_intent.clone());
    });
    match outcome(account, collected) {
        Attempt::Succeeded => super::collect::payment_succeeded(account, invoice),
        Attempt::Declined(_) => super::collect::payment_failed(account, invoice),
        Attempt::RequiresAction => account.emit_invoice(invoice, "invoice.payment_action_required"),
        Attempt::Processing | Attempt::NoMethod => {}
    }
}

/// Payments tells that a setup moved: the subscription that waited for it has its method now.
pub(crate) fn setup_moved(account: &mut Account, intent: &str) {
    let setup = account.payments.setup_intents.get(intent);
    let method = setup
        .filter(|setup| setup.status == SetupStatus::Succeeded)
        .and_then(|setup| setup.payment_method.clone());
    let store = &account.billing.subscriptions;
    let waiting = store.ids_by_key("setup_intent", intent).pop();
    if let (Some(method), Some(id)) = (method, waiting) {
        account.update_subscription(&id, |own| {
            own.pending_setup_intent = None;
            own.default_payment_method = Some(method);
        });
    }
}

/// The `SetupIntent` of a subscription that begins without a payment and without a method.
pub(crate) fn open_setup(account: &mut Account, own: &Subscription) -> String {
    let mut intent = account.blank_setup_intent();
    intent.customer = Some(own.customer.clone());
    intent.payment_method_types = default_method_types(own.currency);
    let id = intent.id.clone();
    let object = intent.render();
    account.payments.setup_intents.insert(intent);
    account.emit("setup_intent.created", &object);
    id
}
