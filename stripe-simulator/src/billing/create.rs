//! The beginning of a subscription: periods, first invoice, first payment.

use super::collect;
use super::discounts;
use super::invoice_model::{Invoice, InvoiceItem};
use super::invoicing;
use super::lifecycle;
use super::lines;
use super::model::{CollectionMethod, PaymentBehavior, ProrationBehavior, Status, Subscription};
use super::payer::{self, Attempt};
use crate::account::Account;
use crate::engine::period::Period;
use crate::front::errors::StripeError;

/// How a subscription is to be begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beginning {
    pub(crate) proration: ProrationBehavior,
    pub(crate) payment: PaymentBehavior,
    pub(crate) off_session: bool,
    /// A schedule begins the subscription: its first invoice stays a draft for an hour.
    pub(crate) draft_first: bool,
    /// `add_invoice_items`: one-time lines of the first invoice.
    pub(crate) extra: Vec<InvoiceItem>,
}

/// Begins a subscription whose fields are set but for periods and status.
///
/// # Errors
/// 402 when the first payment fails under `error_if_incomplete`, 400 when there is nothing to
/// charge; nothing is kept then.
pub(crate) fn create(
    account: &mut Account,
    mut own: Subscription,
    how: &Beginning,
) -> Result<String, StripeError> {
    let now = account.now();
    own.status = if own.in_trial(now) {
        Status::Trialing
    } else {
        Status::Active
    };
    let invoice = first_invoice(account, &mut own, how);
    let due = invoicing::amount_to_charge(account, &invoice);
    let charged = own.collection_method == CollectionMethod::ChargeAutomatically;
    let pays = due > 0 && charged && !how.draft_first;
    let method = payer::method_of(account, &own);
    if pays && method.is_none() && how.payment != PaymentBehavior::DefaultIncomplete {
        return Err(collect::no_method());
    }
    let mut invoice = invoice;
    if pays && how.payment == PaymentBehavior::ErrorIfIncomplete {
        pay_first(
            account,
            &mut invoice,
            due,
            method.as_deref(),
            how.off_session,
        )?;
    } else if pays {
        own.status = Status::Incomplete;
    }
    if !pays && charged && method.is_none() {
        own.pending_setup_intent = Some(payer::open_setup(account, &own));
    }
    let prepaid = invoice.payment_intent.is_some();
    let id = own.id.clone();
    let invoice = begin(account, own, invoice, how);
    finish(account, &invoice, charged, prepaid, how);
    lifecycle::plan(account, &id);
    Ok(id)
}

/// Stores subscription and draft, and records both.
fn begin(
    account: &mut Account,
    mut own: Subscription,
    invoice: Invoice,
    how: &Beginning,
) -> String {
    let now = account.now();
    let id = own.id.clone();
    let discounts = own.discounts.clone();
    lifecycle::spend_once_discounts(account, &mut own, now);
    if own.discounts != discounts && own.in_trial(now) {
        // A trial's invoice comes to nothing; the discount waits for the first real one.
        own.discounts = discounts;
    }
    account.billing.subscriptions.insert(own);
    for item in &how.extra {
        let mut item = item.clone();
        item.invoice = Some(invoice.id.clone());
        account.billing.invoice_items.insert(item);
    }
    let mut invoice = invoice;
    invoicing::take_pending(account, &mut invoice);
    let invoice = invoicing::store_draft(account, invoice);
    if let Some(object) = account.render_subscription(&id) {
        account.emit("customer.subscription.created", &object);
    }
    invoice
}

/// Finalizes the first invoice and tries to collect it, as far as the request asks for it.
fn finish(account: &mut Account, invoice: &str, charged: bool, prepaid: bool, how: &Beginning) {
    if !charged || how.draft_first {
        let at = account
            .now()
            .saturating_add(account.billing.settings.draft_seconds);
        invoicing::plan_finalization(account, invoice, at);
        return;
    }
    invoicing::finalize(account, invoice);
    let Some(open) = collect::open_invoice(account, invoice) else {
        return;
    };
    let prepaid = open.payment_intent.as_ref().filter(|_| prepaid);
    if let Some(intent) = prepaid {
        // A bank debit is only under way.
        let outcome = payer::outcome(account, &account.collected(intent));
        collect::conclude(account, invoice, &outcome, true);
    } else if how.payment != PaymentBehavior::DefaultIncomplete {
        let outcome = collect::attempt(account, &open, None, how.off_session);
        collect::conclude(account, invoice, &outcome, true);
    }
}

/// Pays the first invoice before anything is stored.
fn pay_first(
    account: &mut Account,
    invoice: &mut Invoice,
    due: i64,
    method: Option<&str>,
    off_session: bool,
) -> Result<(), StripeError> {
    invoice.amount_due = due;
    invoicing::open_intent(account, invoice);
    let outcome = collect::attempt(account, invoice, method, off_session);
    if matches!(outcome, Attempt::Succeeded | Attempt::Processing) {
        return Ok(());
    }
    invoicing::abandon_intent(account, invoice);
    Err(collect::refusal(outcome, "subscription").unwrap_or_else(collect::no_method))
}

/// Sets the periods of the items and makes the first invoice's draft, storing nothing.
pub(crate) fn first_invoice(
    account: &mut Account,
    own: &mut Subscription,
    how: &Beginning,
) -> Invoice {
    let now = account.now();
    let trial_end = own.trial_end.filter(|end| *end > now);
    let mut made = Vec::new();
    for index in 0..own.items.len() {
        let Some(mut item) = own.items.get(index).cloned() else {
            continue;
        };
        if let Some(end) = trial_end {
            item.period = Period { start: now, end };
            made.extend(lines::trial(account, own, &item, item.period));
        } else if let Some(price) = account.prices.get(&item.price) {
            let grid = lines::interval(price).containing(own.billing_cycle_anchor, now);
            item.period = Period {
                start: now,
                end: grid.end,
            };
            let whole = grid.start == now;
            if whole || how.proration != ProrationBehavior::None {
                made.extend(lifecycle::lines_of_period(account, own, &item, grid, None));
            }
        }
        if let Some(place) = own.items.get_mut(index) {
            *place = item;
        }
    }
    let mut invoice = invoicing::blank_for(account, own, "subscription_create");
    invoice.discounts = discounts::of_subscription(account, own, now);
    invoice.lines = made;
    for item in &how.extra {
        let line = item.line(account.ids.long("il_"));
        invoice.lines.push(line);
    }
    invoice
}
