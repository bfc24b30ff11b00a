//! The end of a subscription.

use super::invoice_model::{InvoiceItem, InvoiceStatus};
use super::model::{CancellationDetails, Status, Subscription};
use super::{change, collect, invoicing, lifecycle, prorate};
use crate::account::Account;
use crate::engine::period::Period;

/// How to cancel at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct CancelNow {
    /// Bill metered usage and pending items at once.
    pub(crate) invoice_now: bool,
    /// Credit the unused time.
    pub(crate) prorate: bool,
    pub(crate) details: CancellationDetails,
}

/// Cancels at once, by request.
pub(crate) fn immediately(account: &mut Account, id: &str, how: &CancelNow) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let bills = !matches!(own.status, Status::Incomplete | Status::Paused);
    if how.prorate && bills {
        credit_unused(account, &own);
    }
    if how.invoice_now && bills {
        final_invoice(account, &own, account.now());
    }
    end(account, &own, how.details.clone());
}

/// Cancels at the end of the period or at `cancel_at`: usage and pending items are billed.
pub(crate) fn by_schedule(account: &mut Account, id: &str) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let now = account.now();
    let was_trial = own.status == Status::Trialing;
    if !was_trial && !matches!(own.status, Status::Incomplete | Status::Paused) {
        final_invoice(account, &own, now);
    }
    let mut details = own.cancellation.clone();
    details.reason = details.reason.or(Some("cancellation_requested"));
    end(account, &own, details);
}

/// Cancels because all retries of a payment have failed.
pub(crate) fn for_failed_payment(account: &mut Account, id: &str) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let details = CancellationDetails {
        reason: Some("payment_failed"),
        ..own.cancellation.clone()
    };
    end(account, &own, details);
}

/// Cancels because a trial ended without a payment method.
pub(crate) fn without_method(account: &mut Account, id: &str) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let details = own.cancellation.clone();
    end(account, &own, details);
}

/// Cancels everything a customer has: it is being deleted.
pub(crate) fn all_of_customer(account: &mut Account, customer: &str) {
    for id in account
        .billing
        .subscriptions
        .ids_by_key("customer", customer)
    {
        let live = account
            .billing
            .subscriptions
            .get(&id)
            .is_some_and(|own| !own.status.is_ended());
        if live {
            let details = CancellationDetails {
                reason: Some("cancellation_requested"),
                ..CancellationDetails::default()
            };
            immediately(
                account,
                &id,
                &CancelNow {
                    details,
                    ..CancelNow::default()
                },
            );
        }
    }
}

fn end(account: &mut Account, own: &Subscription, details: CancellationDetails) {
    let now = account.now();
    let never_began = own.status == Status::Incomplete;
    let status = if never_began {
        Status::IncompleteExpired
    } else {
        Status::Canceled
    };
    account.change_subscription(&own.id, "customer.subscription.deleted", |own| {
        own.status = status;
        own.ended_at = Some(now);
        own.canceled_at = own.canceled_at.or(Some(now));
        own.cancellation = details;
        own.pause_collection = None;
        own.pending_update = None;
    });
    if never_began {
        lifecycle::void_open_invoices(account, &own.id);
    } else {
        stop_collection(account, &own.id);
    }
    super::schedule::subscription_ended(account, &own.id);
}

/// Invoices of a canceled subscription stay as they are, but nothing is collected by itself any
/// more (Stripe docs, "Cancel subscriptions").
fn stop_collection(account: &mut Account, id: &str) {
    for invoice in account.billing.invoices.ids_by_key("subscription", id) {
        let status = account.billing.invoices.get(&invoice).map(|own| own.status);
        if !matches!(status, Some(InvoiceStatus::Draft | InvoiceStatus::Open)) {
            continue;
        }
        let Some(before) = account.render_invoice(&invoice) else {
            continue;
        };
        account.change_invoice(&invoice, |own| {
            own.auto_advance = false;
            own.next_payment_attempt = None;
            own.automatically_finalizes_at = None;
        });
        if let Some(after) = account.render_invoice(&invoice) {
            account.emit_updated("invoice.updated", &before, &after);
        }
    }
}

/// Credits the unused time of every licensed item as a pending item.
fn credit_unused(account: &mut Account, own: &Subscription) {
    let now = account.now();
    if own.in_trial(now) {
        return;
    }
    for item in &own.items {
        if let Some(credit) = prorate::unused_time(account, own, item, now) {
            let object = super::render::invoice_item(&credit, account);
            account.billing.invoice_items.insert(credit);
            account.emit("invoiceitem.created", &object);
        }
    }
}

/// Bills metered usage so far and the pending items of the subscription, if there are any.
fn final_invoice(account: &mut Account, own: &Subscription, at: i64) {
    let made = change::usage_so_far(account, own, at);
    let pending = has_pending(account, own);
    if made.is_empty() && !pending {
        return;
    }
    let mut invoice = invoicing::blank_for(account, own, "subscription_cycle");
    invoice.period = Period {
        start: own.period().start,
        end: at,
    };
    invoice.discounts = super::discounts::of_subscription(account, own, at);
    invoice.lines = made;
    invoicing::take_pending(account, &mut invoice);
    let id = invoicing::store_draft(account, invoice);
    invoicing::finalize(account, &id);
    collect::automatic_attempt(account, &id);
}

fn has_pending(account: &Account, own: &Subscription) -> bool {
    let belongs = |item: &InvoiceItem| {
        item.currency == own.currency && item.subscription.as_ref() == Some(&own.id)
    };
    account
        .billing
        .invoice_items
        .by_key("pending", &own.customer)
        .any(belongs)
}
