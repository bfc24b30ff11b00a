//! What time and payments do to a subscription: trials end, periods renew, the unpaid expire.

use super::cancel;
use super::change;
use super::discounts;
use super::invoice_model::{Invoice, InvoiceStatus, Line};
use super::invoicing;
use super::lines;
use super::model::{CollectionMethod, Item, PauseBehavior, Status, Subscription, TrialEndBehavior};
use super::payer;
use crate::account::Account;
use crate::clock::{DAY, HOUR};
use crate::engine::period::Period;
use crate::engine::proration;

/// Stripe's time for the first payment (docs.stripe.com, "Subscription statuses").
pub(crate) const INCOMPLETE_SECONDS: i64 = 23 * HOUR;

/// Puts everything that is to happen to a subscription on its clock's agenda. Jobs look again
/// when they run, so planning anew after any change is enough.
pub(crate) fn plan(account: &mut Account, id: &str) {
    let Some(own) = account.billing.subscriptions.get(id).cloned() else {
        return;
    };
    let now = account.now();
    if own.status.is_ended() {
        return;
    }
    if own.status == Status::Incomplete {
        account.schedule(
            own.created + INCOMPLETE_SECONDS,
            "subscription.expire",
            expire,
            id,
        );
    }
    if let Some(end) = own.next_period_end() {
        account.schedule(end, "subscription.renew", renew, id);
        let days = account.billing.settings.upcoming_days;
        let notice = end.saturating_sub(days.saturating_mul(DAY));
        if days > 0 && notice > own.period().start && notice > now {
            account.schedule(notice, "invoice.upcoming", upcoming, id);
        }
    }
    if let Some(end) = own.trial_end.filter(|end| *end > now) {
        let notice = end.saturating_sub(3 * DAY).max(now);
        account.schedule(notice, "subscription.trial_will_end", trial_will_end, id);
    }
    if let Some(at) = own.cancel_at {
        account.schedule(at, "subscription.cancel_at", cancel_at, id);
    }
    if let Some(at) = own.pause_collection.and_then(|pause| pause.resumes_at) {
        account.schedule(at, "subscription.resume_collection", resume_collection, id);
    }
    if let Some(update) = &own.pending_update {
        account.schedule(
            update.expires_at,
            "subscription.pending_update",
            change::expire_pending,
            id,
        );
    }
}

fn get(account: &Account, id: &str) -> Option<Subscription> {
    account.billing.subscriptions.get(id).cloned()
}

/// The first payment did not come within 23 hours.
fn expire(account: &mut Account, id: &str) {
    let Some(own) = get(account, id) else { return };
    let now = account.now();
    if own.status != Status::Incomplete || own.created + INCOMPLETE_SECONDS > now {
        return;
    }
    account.update_subscription(id, |own| {
        own.status = Status::IncompleteExpired;
        own.ended_at = Some(now);
    });
    void_open_invoices(account, id);
}

/// Voids what a subscription that never began has open.
pub(crate) fn void_open_invoices(account: &mut Account, id: &str) {
    for invoice in account.billing.invoices.ids_by_key("subscription", id) {
        let open = account.billing.invoices.get(&invoice);
        if open.is_some_and(|own| own.status == InvoiceStatus::Open) {
            invoicing::void(account, &invoice);
        }
    }
}

fn trial_will_end(account: &mut Account, id: &str) {
    let Some(own) = get(account, id) else { return };
    let now = account.now();
    let soon = own
        .trial_end
        .is_some_and(|end| end > now && end - now <= 3 * DAY);
    if own.status == Status::Trialing
        && soon
        && let Some(object) = account.render_subscription(id)
    {
        account.emit("customer.subscription.trial_will_end", &object);
    }
}

fn upcoming(account: &mut Account, id: &str) {
    let Some(own) = get(account, id) else { return };
    let days = account.billing.settings.upcoming_days;
    let now = account.now();
    let in_time = own
        .next_period_end()
        .is_some_and(|end| end - days * DAY <= now && end > now);
    let billed = matches!(
        own.status,
        Status::Active | Status::Trialing | Status::PastDue
    ) && !own.cancel_at_period_end
        && own.pause_collection.is_none();
    if in_time && billed {
        let preview = super::preview::upcoming(account, &own);
        let object = super::render::invoice(&preview, account);
        account.emit("invoice.upcoming", &object);
    }
}

fn cancel_at(account: &mut Account, id: &str) {
    let Some(own) = get(account, id) else { return };
    if !own.status.is_ended() && own.cancel_at.is_some_and(|at| at <= account.now()) {
        cancel::by_schedule(account, id);
    }
}

fn resume_collection(account: &mut Account, id: &str) {
    let now = account.now();
    let Some(own) = get(account, id) else { return };
    let due = own
        .pause_collection
        .and_then(|pause| pause.resumes_at)
        .is_some_and(|at| at <= now);
    if due && !own.status.is_ended() {
        account.update_subscription(id, |own| own.pause_collection = None);
    }
}

/// A period has run out: the trial ends, the subscription ends, or the next period begins.
fn renew(account: &mut Account, id: &str) {
    let Some(own) = get(account, id) else { return };
    let now = account.now();
    let due = own.next_period_end().is_some_and(|end| end <= now);
    let lives = matches!(
        own.status,
        Status::Active | Status::Trialing | Status::PastDue | Status::Unpaid
    );
    if !due || !lives {
        return;
    }
    if own.cancel_at_period_end || own.cancel_at.is_some_and(|at| at <= now) {
        cancel::by_schedule(account, id);
        return;
    }
    let trial_over = own.status == Status::Trialing && own.trial_end.is_some_and(|end| end <= now);
    if trial_over && !may_continue_after_trial(account, &own) {
        return;
    }
    next_period(account, &own, trial_over);
    plan(account, id);
}

/// Whether a subscription without its trial goes on into a paid period.
pub(crate) fn goes_on_after_trial(account: &Account, own: &Subscription) -> bool {
    own.collection_method != CollectionMethod::ChargeAutomatically
        || own.trial_end_behavior == TrialEndBehavior::CreateInvoice
        || payer::method_of(account, own).is_some()
}

/// Whether a trial that has run out goes on into a paid period; if not, it is ended or paused.
pub(crate) fn may_continue_after_trial(account: &mut Account, own: &Subscription) -> bool {
    if goes_on_after_trial(account, own) {
        return true;
    }
    let now = account.now();
    match own.trial_end_behavior {
        TrialEndBehavior::CreateInvoice => true,
        TrialEndBehavior::Cancel => {
            cancel::without_method(account, &own.id);
            false
        }
        TrialEndBehavior::Pause => {
            account.update_subscription(&own.id, |own| {
                own.status = Status::Paused;
                own.paused = Some(("trial_end_without_payment_method", now));
            });
            account.change_subscription(&own.id, "customer.subscription.paused", |_| {});
            false
        }
    }
}

/// Moves every item whose period has run out into its next one and bills for it.
fn next_period(account: &mut Account, own: &Subscription, trial_over: bool) {
    let now = account.now();
    let Some(before) = account.render_subscription(&own.id) else {
        return;
    };
    let mut moved = own.clone();
    let mut all_lines: Vec<Line> = Vec::new();
    for item in &mut moved.items {
        if item.period.end > now {
            continue;
        }
        let behind = item.period;
        let Some(price) = account.prices.get(&item.price) else {
            continue;
        };
        let grid = lines::interval(price).containing(own.billing_cycle_anchor, behind.end);
        item.period = Period {
            start: behind.end,
            end: grid.end,
        };
        let item = item.clone();
        let usage = (!trial_over).then_some(behind);
        all_lines.extend(lines_of_period(account, own, &item, grid, usage));
    }
    if trial_over {
        moved.status = Status::Active;
    }
    let at = own.next_period_end().unwrap_or(now);
    let mut invoice = invoicing::blank_for(account, own, "subscription_cycle");
    invoice.period = Period {
        start: own.period().start,
        end: at,
    };
    invoice.discounts = discounts::of_subscription(account, own, at);
    invoice.lines = all_lines;
    invoicing::take_pending(account, &mut invoice);
    spend_once_discounts(account, &mut moved, at);
    account.billing.subscriptions.insert(moved);
    let invoice = bill_cycle(account, own, invoice);
    if let Some(after) = account.render_subscription(&own.id) {
        account.emit_updated("customer.subscription.updated", &before, &after);
    }
    follow_pause(account, own, &invoice);
}

/// The lines of a period that starts somewhere on the grid: whole, or prorated when the grid's
/// period began earlier (a trial or a start before the anchor).
pub(crate) fn lines_of_period(
    account: &mut Account,
    own: &Subscription,
    item: &Item,
    grid: Period,
    usage: Option<Period>,
) -> Vec<Line> {
    let mut made = lines::for_period(account, own, item, item.period, usage);
    if item.period.start != grid.start && item.period.seconds() < grid.seconds() {
        for line in made.iter_mut().filter(|line| !line.metered) {
            let full = crate::engine::decimal::Decimal::from_int(line.amount);
            line.amount = proration::share(full, item.period.seconds(), grid.seconds());
            line.proration = true;
        }
    }
    made
}

/// Drops discounts that have run out and those that stand on one invoice only.
pub(crate) fn spend_once_discounts(account: &Account, own: &mut Subscription, at: i64) {
    let keep = |ids: &[String]| -> Vec<String> {
        let running = discounts::running(account, ids, at);
        running
            .into_iter()
            .filter(|id| !discounts::is_once(account, id))
            .collect()
    };
    own.discounts = keep(&own.discounts);
    for item in &mut own.items {
        item.discounts = keep(&item.discounts);
    }
}

/// Stores a renewal's draft and plans what becomes of it.
fn bill_cycle(account: &mut Account, own: &Subscription, mut invoice: Invoice) -> String {
    let collects = own.status != Status::Unpaid && own.pause_collection.is_none();
    invoice.auto_advance = collects;
    let id = invoicing::store_draft(account, invoice);
    if collects {
        let at = account
            .now()
            .saturating_add(account.billing.settings.draft_seconds);
        invoicing::plan_finalization(account, &id, at);
    }
    id
}

/// While collection is paused a renewal's invoice stays a draft, or is closed at once.
fn follow_pause(account: &mut Account, own: &Subscription, invoice: &str) {
    let Some(pause) = own.pause_collection else {
        return;
    };
    match pause.behavior {
        PauseBehavior::KeepAsDraft => {}
        PauseBehavior::MarkUncollectible => {
            invoicing::finalize(account, invoice);
            if is_open(account, invoice) {
                invoicing::mark_uncollectible(account, invoice, "subscription_paused");
            }
        }
        PauseBehavior::Void => {
            invoicing::finalize(account, invoice);
            if is_open(account, invoice) {
                invoicing::void(account, invoice);
            }
        }
    }
}

fn is_open(account: &Account, invoice: &str) -> bool {
    let own = account.billing.invoices.get(invoice);
    own.is_some_and(|own| own.status == InvoiceStatus::Open)
}

/// Whether an invoice belongs to an update that waits for it: its failure changes nothing yet.
pub(crate) fn waits_for(account: &Account, invoice: &Invoice) -> bool {
    let subscription = invoice.subscription.as_deref();
    let own = subscription.and_then(|id| account.billing.subscriptions.get(id));
    own.is_some_and(|own| {
        own.status == Status::Paused
            || own
                .pending_update
                .as_ref()
                .is_some_and(|update| update.invoice == invoice.id)
    })
}

/// An invoice was paid: the subscription it belongs to may become active.
pub(crate) fn invoice_paid(account: &mut Account, invoice: &str) {
    let Some(invoice) = account.billing.invoices.get(invoice).cloned() else {
        return;
    };
    let Some(own) = invoice
        .subscription
        .as_deref()
        .and_then(|id| get(account, id))
    else {
        return;
    };
    save_method(account, &own, &invoice);
    if own
        .pending_update
        .as_ref()
        .is_some_and(|update| update.invoice == invoice.id)
    {
        change::apply_pending(account, &own.id);
        return;
    }
    let now = account.now();
    match own.status {
        Status::Incomplete if own.latest_invoice.as_deref() == Some(&invoice.id) => {
            let status = if own.in_trial(now) {
                Status::Trialing
            } else {
                Status::Active
            };
            account.update_subscription(&own.id, |own| own.status = status);
        }
        Status::PastDue | Status::Unpaid if !has_newer_unpaid(account, &invoice) => {
            account.update_subscription(&own.id, |own| own.status = Status::Active);
        }
        Status::Paused if own.resume_invoice.as_deref() == Some(&invoice.id) => {
            change::resumed(account, &own.id);
        }
        _ => {}
    }
}

/// Whether a later finalized invoice of the subscription is still open.
fn has_newer_unpaid(account: &Account, invoice: &Invoice) -> bool {
    let Some(subscription) = &invoice.subscription else {
        return false;
    };
    account
        .billing
        .invoices
        .by_key("subscription", subscription)
        .take_while(|other| other.id != invoice.id)
        .any(|other| other.status == InvoiceStatus::Open)
}

/// `payment_settings.save_default_payment_method: on_subscription` keeps what paid.
fn save_method(account: &mut Account, own: &Subscription, invoice: &Invoice) {
    let intent = invoice.payment_intent.as_deref();
    let used = intent.and_then(|intent| payer::method_of_intent(account, intent));
    if let (true, Some(method)) = (own.saves_method(), used) {
        account.update_subscription(&own.id, |own| own.default_payment_method = Some(method));
    }
}

/// An invoice was voided or given up.
pub(crate) fn invoice_closed_unpaid(account: &mut Account, invoice: &str) {
    let Some(invoice) = account.billing.invoices.get(invoice).cloned() else {
        return;
    };
    let Some(own) = invoice
        .subscription
        .as_deref()
        .and_then(|id| get(account, id))
    else {
        return;
    };
    if own
        .pending_update
        .as_ref()
        .is_some_and(|update| update.invoice == invoice.id)
    {
        change::drop_pending(account, &own.id);
        return;
    }
    let now = account.now();
    let voided = invoice.status == InvoiceStatus::Void;
    match own.status {
        Status::Incomplete if voided && own.latest_invoice.as_deref() == Some(&invoice.id) => {
            account.update_subscription(&own.id, |own| {
                own.status = Status::IncompleteExpired;
                own.ended_at = Some(now);
            });
        }
        Status::PastDue | Status::Unpaid if !has_open(account, &own.id) => {
            account.update_subscription(&own.id, |own| own.status = Status::Active);
        }
        _ => {}
    }
}

fn has_open(account: &Account, subscription: &str) -> bool {
    let mut invoices = account
        .billing
        .invoices
        .by_key("subscription", subscription);
    invoices.any(|own| own.status == InvoiceStatus::Open)
}
