//! Changing a subscription: new items, a new anchor, the end of a trial, a pause, a resumption.

use super::invoice_model::{Invoice, InvoiceItem, Line};
use super::invoicing;
use super::lifecycle::{self, INCOMPLETE_SECONDS};
use super::lines;
use super::model::{
    CollectionMethod, PaymentBehavior, PendingUpdate, ProrationBehavior, Status, Subscription,
};
use super::payer::Attempt;
use super::prorate;
use super::{collect, discounts};
use crate::account::Account;
use crate::engine::period::Period;
use crate::front::errors::StripeError;

/// How a change is to be made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    pub(crate) proration: ProrationBehavior,
    /// When the change counts from; now if absent.
    pub(crate) proration_date: Option<i64>,
    pub(crate) payment: PaymentBehavior,
    /// `billing_cycle_anchor: now`.
    pub(crate) anchor_now: bool,
    pub(crate) off_session: bool,
    /// Whether the request named items.
    pub(crate) changes_items: bool,
}

/// What a change bills, before anything is stored.
#[derive(Debug)]
pub(crate) struct Bill {
    /// The subscription as it will be, periods included.
    pub(crate) wanted: Subscription,
    pub(crate) items: Vec<InvoiceItem>,
    /// None when the items wait for the next invoice.
    pub(crate) invoice: Option<Invoice>,
}

/// Works out what a change from the stored subscription to `wanted` bills; stores nothing.
pub(crate) fn work_out(
    account: &mut Account,
    old: &Subscription,
    mut wanted: Subscription,
    how: How,
) -> Bill {
    let now = account.now();
    let at = how.proration_date.unwrap_or(now);
    let was_trial = old.status == Status::Trialing && old.trial_end.is_some_and(|end| end >= now);
    let trial_ends_now = was_trial && !wanted.in_trial(now);
    let trial_begins = wanted.in_trial(now) && wanted.trial_end != old.trial_end;
    let reset = how.anchor_now
        || trial_ends_now
        || (!wanted.in_trial(now)
            && (interval_changes(account, old, &wanted) || from_free(account, old, &wanted, now)));
    let prorates = how.proration != ProrationBehavior::None && !was_trial;
    let mut items = Vec::new();
    if trial_begins {
        if prorates {
            items = credit_all(account, old, at);
        }
        begin_trial(&mut wanted, now);
    } else if reset && !wanted.in_trial(now) {
        if prorates {
            items = credit_all(account, old, at);
        }
        restart(account, &mut wanted, now);
    } else {
        inherit_periods(account, old, &mut wanted, now);
        if prorates && !wanted.in_trial(now) {
            items = prorate::of_change(account, old, &wanted, at);
        }
    }
    let starts_period = trial_begins || (reset && !wanted.in_trial(now));
    let invoices_now = starts_period
        || (how.proration == ProrationBehavior::AlwaysInvoice
            && (!items.is_empty() || how.changes_items));
    let live = !matches!(old.status, Status::Incomplete | Status::Paused);
    let invoice = (invoices_now && live).then(|| {
        let mut invoice = invoicing::blank_for(account, &wanted, "subscription_update");
        invoice.proration_date = how.proration_date;
        invoice.period = Period {
            start: old.period().start.min(now),
            end: now,
        };
        invoice.discounts = discounts::of_subscription(account, &wanted, now);
        for waiting in &items {
            let made = waiting.line(account.ids.long("il_"));
            invoice.lines.push(made);
        }
        if starts_period {
            add_period(account, &wanted, &mut invoice, now);
        }
        invoice
    });
    Bill {
        wanted,
        items,
        invoice,
    }
}

/// The lines of the periods that begin now: a trial's, or full ones.
fn add_period(account: &mut Account, wanted: &Subscription, invoice: &mut Invoice, now: i64) {
    for item in &wanted.items {
        if wanted.in_trial(now) {
            invoice
                .lines
                .extend(lines::trial(account, wanted, item, item.period));
        } else {
            invoice
                .lines
                .extend(lines::for_period(account, wanted, item, item.period, None));
        }
    }
}

fn interval_changes(account: &Account, old: &Subscription, new: &Subscription) -> bool {
    let of = |own: &Subscription| {
        let price = own
            .items
            .first()
            .and_then(|item| account.prices.get(&item.price));
        price.map(lines::interval)
    };
    of(old) != of(new)
}

/// From a free price to a paid one: Stripe bills at once and moves the anchor.
fn from_free(account: &Account, old: &Subscription, new: &Subscription, now: i64) -> bool {
    let metered = |own: &Subscription| {
        own.items
            .iter()
            .any(|item| lines::item_is_metered(account, item))
    };
    !metered(old)
        && prorate::full_price(account, old, now).is_zero()
        && !prorate::full_price(account, new, now).is_zero()
        && old.items.iter().all(|item| item.quantity != Some(0))
}

fn credit_all(account: &mut Account, old: &Subscription, at: i64) -> Vec<InvoiceItem> {
    let mut made = Vec::new();
    for item in &old.items {
        made.extend(prorate::unused_time(account, old, item, at));
    }
    made
}

fn begin_trial(wanted: &mut Subscription, now: i64) {
    let end = wanted.trial_end.unwrap_or(now);
    wanted.trial_start = wanted
        .trial_start
        .filter(|_| wanted.status == Status::Trialing)
        .or(Some(now));
    wanted.billing_cycle_anchor = end;
    if !matches!(wanted.status, Status::Incomplete | Status::Paused) {
        wanted.status = Status::Trialing;
    }
    for item in &mut wanted.items {
        item.period = Period { start: now, end };
    }
}

/// Every item begins a full period now.
pub(crate) fn restart(account: &Account, wanted: &mut Subscription, now: i64) {
    wanted.billing_cycle_anchor = now;
    wanted.anchor_config = None;
    if wanted.status == Status::Trialing {
        wanted.status = Status::Active;
        wanted.trial_end = wanted.trial_end.map(|end| end.min(now));
    }
    for item in &mut wanted.items {
        if let Some(price) = account.prices.get(&item.price) {
            item.period = lines::interval(price).containing(now, now);
        }
    }
}

/// New items join the running periods of the subscription.
fn inherit_periods(account: &Account, old: &Subscription, wanted: &mut Subscription, now: i64) {
    let trial = wanted.in_trial(now);
    let (shared, anchor) = (old.period(), wanted.billing_cycle_anchor);
    for item in &mut wanted.items {
        if let Some(same) = old.item(&item.id) {
            item.period = same.period;
            continue;
        }
        item.period = shared;
        let grid = account
            .prices
            .get(&item.price)
            .map(|price| lines::interval(price).containing(anchor, now));
        if let (Some(grid), false) = (grid, trial)
            && grid.seconds() < shared.seconds()
        {
            item.period = grid;
        }
    }
}

/// Makes a change: bills it, collects as `payment_behavior` says, stores the result.
///
/// # Errors
/// 402 when the payment fails under `error_if_incomplete`, or the customer has nothing to charge
/// under `allow_incomplete`; nothing has changed then.
pub(crate) fn apply(
    account: &mut Account,
    old: &Subscription,
    wanted: Subscription,
    how: How,
) -> Result<(), StripeError> {
    let bill = work_out(account, old, wanted, how);
    let Some(invoice) = bill.invoice else {
        store_items(account, &bill.items);
        commit(account, bill.wanted);
        return Ok(());
    };
    let charged = invoice.collection_method == CollectionMethod::ChargeAutomatically;
    let first = charged
        && matches!(
            how.payment,
            PaymentBehavior::ErrorIfIncomplete | PaymentBehavior::PendingIfIncomplete
        );
    if first && invoicing::amount_to_charge(account, &invoice) > 0 {
        return pay_first(account, old, bill.wanted, invoice, &bill.items, how);
    }
    let id = invoice.id.clone();
    commit_billed(account, bill.wanted, invoice, &bill.items);
    collect_now(account, &id, how);
    Ok(())
}

fn commit(account: &mut Account, wanted: Subscription) {
    let id = wanted.id.clone();
    account.update_subscription(&id, |own| *own = wanted);
    lifecycle::plan(account, &id);
}

/// Stores proration items that wait for the next invoice.
pub(crate) fn store_items(account: &mut Account, items: &[InvoiceItem]) {
    for item in items {
        account.billing.invoice_items.insert(item.clone());
        let object = super::render::invoice_item(item, account);
        account.emit("invoiceitem.created", &object);
    }
}

/// Stores the changed subscription together with its invoice, which takes the items along.
fn commit_billed(
    account: &mut Account,
    wanted: Subscription,
    mut invoice: Invoice,
    items: &[InvoiceItem],
) {
    store_items(account, items);
    for item in items {
        if let Some(mut own) = account.billing.invoice_items.get_mut(&item.id) {
            own.invoice = Some(invoice.id.clone());
        }
    }
    invoicing::take_pending(account, &mut invoice);
    let Some(before) = account.render_subscription(&wanted.id) else {
        return;
    };
    let id = wanted.id.clone();
    let mut wanted = wanted;
    lifecycle::spend_once_discounts(account, &mut wanted, account.now());
    account.billing.subscriptions.insert(wanted);
    let invoice = invoicing::store_draft(account, invoice);
    if let Some(after) = account.render_subscription(&id) {
        account.emit_updated("customer.subscription.updated", &before, &after);
    }
    lifecycle::plan(account, &id);
    let subscription = account.billing.subscriptions.get(&id);
    let paused = subscription.is_some_and(|own| own.pause_collection.is_some());
    if paused {
        account.change_invoice(&invoice, |own| own.auto_advance = false);
        return;
    }
    invoicing::finalize(account, &invoice);
}

/// Tries to collect an update's invoice within the request.
fn collect_now(account: &mut Account, id: &str, how: How) {
    let Some(invoice) = collect::open_invoice(account, id) else {
        return;
    };
    if invoice.collection_method == CollectionMethod::SendInvoice {
        account.emit_invoice(id, "invoice.sent");
        return;
    }
    if how.payment == PaymentBehavior::DefaultIncomplete {
        collect::fall_past_due(account, id);
        return;
    }
    let outcome = collect::attempt(account, &invoice, None, how.off_session);
    collect::conclude(account, id, &outcome, true);
}

/// Pays before anything is stored; a failure leaves no change, or a pending one.
fn pay_first(
    account: &mut Account,
    old: &Subscription,
    wanted: Subscription,
    mut invoice: Invoice,
    items: &[InvoiceItem],
    how: How,
) -> Result<(), StripeError> {
    invoice.amount_due = invoicing::amount_to_charge(account, &invoice);
    invoicing::open_intent(account, &mut invoice);
    // The method is the one the subscription will have.
    let method = wanted.default_payment_method.clone();
    let outcome = collect::attempt(account, &invoice, method.as_deref(), how.off_session);
    let id = invoice.id.clone();
    match outcome {
        Attempt::Succeeded | Attempt::Processing => {
            commit_billed(account, wanted, invoice, items);
            collect::conclude(account, &id, &outcome, true);
            Ok(())
        }
        _ if how.payment == PaymentBehavior::ErrorIfIncomplete => {
            invoicing::abandon_intent(account, &invoice);
            Err(collect::refusal(outcome, "subscription").unwrap_or_else(collect::no_method))
        }
        _ => {
            leave_pending(account, old, wanted, invoice, items, how);
            collect::conclude(account, &id, &outcome, true);
            Ok(())
        }
    }
}

/// `pending_if_incomplete`: the change waits up to 23 hours for its invoice to be paid.
fn leave_pending(
    account: &mut Account,
    old: &Subscription,
    wanted: Subscription,
    mut invoice: Invoice,
    items: &[InvoiceItem],
    how: How,
) {
    let now = account.now();
    invoice.auto_advance = false;
    let update = PendingUpdate {
        trial_end: wanted
            .trial_end
            .filter(|_| wanted.trial_end != old.trial_end),
        wanted: Box::new(wanted),
        invoice: invoice.id.clone(),
        expires_at: now.saturating_add(INCOMPLETE_SECONDS),
        changes_items: how.changes_items,
    };
    for item in items {
        let mut item = item.clone();
        item.invoice = Some(invoice.id.clone());
        account.billing.invoice_items.insert(item);
    }
    let Some(before) = account.render_subscription(&old.id) else {
        return;
    };
    let id = invoicing::store_draft(account, invoice);
    if let Some(mut own) = account.billing.subscriptions.get_mut(&old.id) {
        own.pending_update = Some(update);
    }
    if let Some(after) = account.render_subscription(&old.id) {
        account.emit_updated("customer.subscription.updated", &before, &after);
    }
    lifecycle::plan(account, &old.id);
    invoicing::finalize(account, &id);
}

/// The invoice of a pending update was paid: the change is made.
pub(crate) fn apply_pending(account: &mut Account, id: &str) {
    let own = account.billing.subscriptions.get(id).cloned();
    let Some((own, update)) =
        own.and_then(|own| own.pending_update.clone().map(|update| (own, update)))
    else {
        return;
    };
    let mut wanted = *update.wanted;
    wanted.pending_update = None;
    wanted.latest_invoice = own.latest_invoice;
    wanted.metadata = own.metadata;
    account.update_subscription(id, |own| *own = wanted);
    account.change_subscription(id, "customer.subscription.pending_update_applied", |_| {});
    lifecycle::plan(account, id);
}

/// The pending update is given up.
pub(crate) fn drop_pending(account: &mut Account, id: &str) {
    account.update_subscription(id, |own| own.pending_update = None);
    account.change_subscription(id, "customer.subscription.pending_update_expired", |_| {});
}

/// A pending update was not paid in time: its invoice is voided, the change is dropped.
pub(crate) fn expire_pending(account: &mut Account, id: &str) {
    let now = account.now();
    let due = account.billing.subscriptions.get(id).and_then(|own| {
        own.pending_update
            .as_ref()
            .filter(|update| update.expires_at <= now)
    });
    if let Some(invoice) = due.map(|update| update.invoice.clone()) {
        // Voiding drops the update.
        invoicing::void(account, &invoice);
    }
}

/// A paused subscription goes on.
pub(crate) fn resumed(account: &mut Account, id: &str) {
    account.update_subscription(id, |own| {
        own.status = Status::Active;
        own.paused = None;
        own.resume_invoice = None;
    });
    account.change_subscription(id, "customer.subscription.resumed", |_| {});
    lifecycle::plan(account, id);
}

/// Resumes a paused subscription: a new period begins, and its invoice decides.
///
/// With `on_attempt` the subscription goes on whatever becomes of the payment; without, it stays
/// paused until the invoice is paid.
pub(crate) fn resume(
    account: &mut Account,
    id: &str,
    anchor_now: bool,
    on_attempt: bool,
    how: How,
) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let now = account.now();
    let mut wanted = own.clone();
    if anchor_now {
        restart(account, &mut wanted, now);
    } else {
        for item in &mut wanted.items {
            if let Some(price) = account.prices.get(&item.price) {
                let grid = lines::interval(price).containing(own.billing_cycle_anchor, now);
                item.period = grid;
            }
        }
    }
    wanted.trial_end = wanted.trial_end.map(|end| end.min(now));
    let mut invoice = invoicing::blank_for(account, &wanted, "subscription_update");
    invoice.period = Period {
        start: now,
        end: now,
    };
    invoice.discounts = discounts::of_subscription(account, &wanted, now);
    if anchor_now {
        add_period(account, &wanted, &mut invoice, now);
    } else if how.proration != ProrationBehavior::None {
        for item in &wanted.items {
            if let Some(rest) = prorate::remaining_time(account, &wanted, item, now) {
                invoice.lines.push(rest.line(account.ids.long("il_")));
            }
        }
    }
    let invoice_id = invoice.id.clone();
    wanted.resume_invoice = Some(invoice_id.clone());
    commit_billed(account, wanted, invoice, &[]);
    if on_attempt {
        resumed(account, id);
    }
    collect_now(account, &invoice_id, how);
    let unbilled = account
        .billing
        .subscriptions
        .get(id)
        .is_some_and(|own| own.status == Status::Paused)
        && collect::open_invoice(account, &invoice_id).is_none();
    if unbilled {
        resumed(account, id);
    }
    let deadline = now.saturating_add(INCOMPLETE_SECONDS);
    account.schedule(
        deadline,
        "subscription.resume_deadline",
        give_up_resuming,
        id,
    );
}

/// The invoice of a resumption was not paid in time: it is voided, the pause goes on.
fn give_up_resuming(account: &mut Account, id: &str) {
    let now = account.now();
    let waiting = account
        .billing
        .subscriptions
        .get(id)
        .filter(|own| own.status == Status::Paused)
        .and_then(|own| own.resume_invoice.clone());
    let Some(invoice) = waiting else { return };
    let late = collect::open_invoice(account, &invoice)
        .is_some_and(|own| own.created.saturating_add(INCOMPLETE_SECONDS) <= now);
    if late {
        invoicing::void(account, &invoice);
        if let Some(mut own) = account.billing.subscriptions.get_mut(id) {
            own.resume_invoice = None;
        }
    }
}

/// What a pause bills.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PauseNow {
    /// `bill_for.unused_time_from`: the unused time is credited.
    pub(crate) credit_unused: bool,
    /// `bill_for.outstanding_usage_through`: metered usage is billed.
    pub(crate) bill_usage: bool,
    /// `invoicing_behavior: invoice`; otherwise the items wait.
    pub(crate) invoice_now: bool,
}

/// The lines of what metered items measured in their running periods.
pub(crate) fn usage_so_far(account: &mut Account, own: &Subscription, at: i64) -> Vec<Line> {
    let mut made = Vec::new();
    for item in &own.items {
        if lines::item_is_metered(account, item) {
            let used = Period {
                start: item.period.start,
                end: at.min(item.period.end),
            };
            made.extend(lines::for_period(account, own, item, used, Some(used)));
        }
    }
    made
}

/// Pauses a subscription by request.
pub(crate) fn pause(account: &mut Account, id: &str, how: PauseNow) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let now = account.now();
    let items = if how.credit_unused && !own.in_trial(now) {
        credit_all(account, &own, now)
    } else {
        Vec::new()
    };
    store_items(account, &items);
    account.update_subscription(id, |own| {
        own.status = Status::Paused;
        own.paused = Some(("pause_requested", now));
    });
    account.change_subscription(id, "customer.subscription.paused", |_| {});
    let used = if how.bill_usage {
        usage_so_far(account, &own, now)
    } else {
        Vec::new()
    };
    if (how.invoice_now && !items.is_empty()) || !used.is_empty() {
        let mut invoice = invoicing::blank_for(account, &own, "subscription_update");
        invoice.period = Period {
            start: own.period().start,
            end: now,
        };
        invoice.lines = used;
        invoicing::take_pending(account, &mut invoice);
        let invoice = invoicing::store_draft(account, invoice);
        invoicing::finalize(account, &invoice);
        collect::automatic_attempt(account, &invoice);
    }
}
