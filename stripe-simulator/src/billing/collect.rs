//! Collecting an open invoice: attempts, by request or by the clock, and what they change.

use serde_json::Value;

use super::invoice_model::{Invoice, InvoiceStatus};
use super::invoicing;
use super::model::{CollectionMethod, Status};
use super::payer::{self, Attempt};
use super::{dunning, lifecycle};
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::resources::customers;

/// The open invoice of this id.
pub(crate) fn open_invoice(account: &Account, id: &str) -> Option<Invoice> {
    account
        .billing
        .invoices
        .get(id)
        .filter(|own| own.status == InvoiceStatus::Open)
        .cloned()
}

/// The attempt that the clock makes: charge if the invoice charges automatically, otherwise send.
pub(crate) fn automatic_attempt(account: &mut Account, id: &str) {
    let Some(invoice) = open_invoice(account, id) else {
        return;
    };
    if invoice.collection_method == CollectionMethod::SendInvoice {
        account.emit_invoice(id, "invoice.sent");
        return;
    }
    let outcome = attempt(account, &invoice, None, true);
    conclude(account, id, &outcome, true);
}

/// One attempt with the given method or the one that is due; nothing is concluded yet.
pub(crate) fn attempt(
    account: &mut Account,
    invoice: &Invoice,
    method: Option<&str>,
    off_session: bool,
) -> Attempt {
    let chosen = method
        .map(str::to_owned)
        .or_else(|| payer::method_for(account, invoice));
    match chosen {
        Some(method) => payer::attempt(account, invoice, &method, off_session),
        None => Attempt::NoMethod,
    }
}

/// Draws the consequences of an attempt: events, the next try, the subscription's status.
///
/// `automatic` tells an attempt of the clock from one that a request made; only the former is
/// counted towards dunning.
pub(crate) fn conclude(account: &mut Account, id: &str, outcome: &Attempt, automatic: bool) {
    let before = account.render_invoice(id).unwrap_or_default();
    account.change_invoice(id, |own| {
        own.attempted = true;
        if automatic || own.attempt_count == 0 {
            own.attempt_count = own.attempt_count.saturating_add(1);
        }
    });
    match outcome {
        Attempt::Succeeded => invoicing::settle(account, id, false),
        Attempt::Processing => account.change_invoice(id, |own| own.next_payment_attempt = None),
        Attempt::RequiresAction => {
            plan_next(account, id);
            emit_attempt(account, id, &before);
            account.emit_invoice(id, "invoice.payment_action_required");
            account.emit_invoice(id, "invoice.payment_failed");
            failed(account, id);
        }
        Attempt::Declined(_) | Attempt::NoMethod => {
            plan_next(account, id);
            emit_attempt(account, id, &before);
            account.emit_invoice(id, "invoice.payment_failed");
            failed(account, id);
        }
    }
}

/// Records that an attempt changed the invoice, and that the customer is behind with payments.
fn emit_attempt(account: &mut Account, id: &str, before: &Value) {
    if let Some(after) = account.render_invoice(id) {
        account.emit_updated("invoice.updated", before, &after);
    }
    set_delinquent(account, id, true);
}

/// `customer.delinquent`: whether the latest charge of an invoice failed.
pub(crate) fn set_delinquent(account: &mut Account, invoice: &str, delinquent: bool) {
    let customer = account
        .billing
        .invoices
        .get(invoice)
        .map(|own| own.customer.clone());
    let Some(customer) = customer else { return };
    let differs = account
        .customers
        .get(&customer)
        .is_some_and(|own| !own.deleted && own.delinquent != delinquent);
    if differs {
        // The change itself cannot be refused.
        let changed = customers::change(account, &customer, |own| {
            own.delinquent = delinquent;
            Ok(())
        });
        debug_assert!(changed.is_ok(), "the customer exists");
    }
}

/// A payment that was under way (3-D Secure, a bank debit) or that a customer confirmed
/// succeeded: called by payments when an invoice's intent succeeds outside an attempt.
pub(crate) fn payment_succeeded(account: &mut Account, invoice: &str) {
    account.change_invoice(invoice, |own| {
        own.attempted = true;
        own.attempt_count = own.attempt_count.max(1);
    });
    invoicing::settle(account, invoice, false);
}

/// A payment that was under way failed after all: called by payments.
pub(crate) fn payment_failed(account: &mut Account, invoice: &str) {
    if open_invoice(account, invoice).is_none() {
        return;
    }
    let before = account.render_invoice(invoice).unwrap_or_default();
    account.change_invoice(invoice, |own| {
        own.attempted = true;
        own.attempt_count = own.attempt_count.max(1);
    });
    plan_next(account, invoice);
    emit_attempt(account, invoice, &before);
    account.emit_invoice(invoice, "invoice.payment_failed");
    failed(account, invoice);
}

/// Plans the next automatic attempt of a failed invoice. The first invoice of a subscription is
/// not retried: the subscription stays `incomplete` until somebody pays.
fn plan_next(account: &mut Account, id: &str) {
    let Some(invoice) = open_invoice(account, id) else {
        return;
    };
    let retried = invoice.collection_method == CollectionMethod::ChargeAutomatically
        && invoice.auto_advance
        && !belongs_to_incomplete(account, &invoice);
    if !retried {
        return;
    }
    let planned = invoice
        .next_payment_attempt
        .filter(|at| *at > account.now());
    let next = planned.or_else(|| dunning::next_attempt(account, invoice.attempt_count));
    account.change_invoice(id, |own| own.next_payment_attempt = next);
    if let (Some(at), None) = (next, planned) {
        dunning::plan_retry(account, id, at);
    }
}

fn belongs_to_incomplete(account: &Account, invoice: &Invoice) -> bool {
    invoice.subscription.as_deref().is_some_and(|subscription| {
        let own = account.billing.subscriptions.get(subscription);
        own.is_some_and(|own| own.status == Status::Incomplete)
    })
}

fn failed(account: &mut Account, id: &str) {
    let Some(invoice) = open_invoice(account, id) else {
        return;
    };
    if lifecycle::waits_for(account, &invoice) {
        return;
    }
    fall_past_due(account, id);
    let last = invoice.next_payment_attempt.is_none()
        && invoice.auto_advance
        && invoice.collection_method == CollectionMethod::ChargeAutomatically
        && !belongs_to_incomplete(account, &invoice);
    if last {
        dunning::exhausted(account, id);
    }
}

/// An active subscription whose invoice is not paid becomes `past_due`.
pub(crate) fn fall_past_due(account: &mut Account, invoice: &str) {
    let subscription = account
        .billing
        .invoices
        .get(invoice)
        .and_then(|own| own.subscription.clone());
    let Some(subscription) = subscription else {
        return;
    };
    let falls = account
        .billing
        .subscriptions
        .get(&subscription)
        .is_some_and(|own| matches!(own.status, Status::Active | Status::Trialing));
    if falls {
        account.update_subscription(&subscription, |own| own.status = Status::PastDue);
    }
}

/// The error that a request answers whose payment did not go through.
pub(crate) fn refusal(outcome: Attempt, what: &str) -> Option<StripeError> {
    match outcome {
        Attempt::Succeeded | Attempt::Processing => None,
        Attempt::Declined(error) => Some(error),
        Attempt::RequiresAction => Some(StripeError::card(
            format!("{what}_payment_intent_requires_action"),
            format!(
                "Payment for this {what} requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with the `latest_invoice`. For more details see: https://stripe.com/docs/billing/subscriptions/overview#requires-action"
            ),
        )),
        Attempt::NoMethod => Some(no_method()),
    }
}

/// Stripe's answer when a customer has nothing that could be charged.
pub(crate) fn no_method() -> StripeError {
    StripeError::invalid(
        "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority.",
    )
    .code("resource_missing")
}
