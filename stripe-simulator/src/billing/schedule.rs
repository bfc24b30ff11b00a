//! Subscription schedules: phases that follow each other on the clock.

use serde_json::Value;

use super::create::{self, Beginning};
use super::invoice_model::InvoiceItem;
use super::model::{ProrationBehavior, Subscription};
use super::{cancel, change, discounts};
use crate::account::Account;
use crate::clock::DAY;
use crate::params::Metadata;
use crate::store::{Key, Stored};

/// A schedule's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScheduleStatus {
    NotStarted,
    Active,
    Completed,
    Released,
    Canceled,
}

impl ScheduleStatus {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Released => "released",
            Self::Canceled => "canceled",
        }
    }

    /// Whether phases can still follow.
    pub(crate) const fn is_live(self) -> bool {
        matches!(self, Self::NotStarted | Self::Active)
    }
}

/// An item of a phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PhaseItem {
    pub(crate) price: String,
    pub(crate) quantity: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) tax_rates: Vec<String>,
}

/// A phase.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) items: Vec<PhaseItem>,
    pub(crate) proration: ProrationBehavior,
    pub(crate) trial_end: Option<i64>,
    pub(crate) anchor_at_start: bool,
    pub(crate) collection_method: Option<&'static str>,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) default_tax_rates: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    /// Coupons and promotion codes: parameter name and id.
    pub(crate) discounts: Vec<(&'static str, String)>,
    pub(crate) automatic_tax: Option<bool>,
    /// `add_invoice_items`: one-time price and quantity of each.
    pub(crate) extra: Vec<(String, i64)>,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) status: ScheduleStatus,
    pub(crate) subscription: Option<String>,
    pub(crate) released_subscription: Option<String>,
    /// `release` or `cancel`.
    pub(crate) end_behavior: String,
    pub(crate) phases: Vec<Phase>,
    pub(crate) default_settings: Value,
    pub(crate) metadata: Metadata,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) completed_at: Option<i64>,
    pub(crate) released_at: Option<i64>,
    pub(crate) flexible: bool,
    pub(crate) test_clock: Option<String>,
    pub(crate) livemode: bool,
}

impl Schedule {
    /// The phase that runs at `now`.
    pub(crate) fn current(&self, now: i64) -> Option<&Phase> {
        self.phases
            .iter()
            .find(|phase| phase.start <= now && now < phase.end)
    }
}

impl Stored for Schedule {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("customer", self.customer.clone())]
    }
}

/// Plans every phase's start and the schedule's end.
pub(crate) fn plan(account: &mut Account, id: &str) {
    let Some(own) = account.billing.schedules.get(id).cloned() else {
        return;
    };
    let now = account.now();
    for phase in own.phases.iter().filter(|phase| phase.start > now) {
        account.schedule(phase.start, "schedule.phase", enter, id);
    }
    if let Some(last) = own.phases.last() {
        account.schedule(last.end, "schedule.end", enter, id);
        let notice = last.end.saturating_sub(EXPIRING_SECONDS);
        if notice > now {
            account.schedule(notice, "schedule.expiring", expiring, id);
        }
    }
}

/// Stripe: `subscription_schedule.expiring` "occurs 7 days before a subscription schedule will
/// expire".
const EXPIRING_SECONDS: i64 = 7 * DAY;

fn expiring(account: &mut Account, id: &str) {
    let now = account.now();
    let soon = account.billing.schedules.get(id).is_some_and(|own| {
        let end = own.phases.last().map(|last| last.end);
        own.status == ScheduleStatus::Active
            && end.is_some_and(|end| end > now && end - now <= EXPIRING_SECONDS)
    });
    if soon {
        emit(account, id, "subscription_schedule.expiring");
    }
}

/// Records an event about a schedule as it is now.
pub(crate) fn emit(account: &mut Account, id: &str, kind: &str) {
    if let Some(object) = account.render(id) {
        account.emit(kind, &object);
    }
}

/// Enters the phase that begins now, or ends the schedule.
pub(crate) fn enter(account: &mut Account, id: &str) {
    let Some(own) = account.billing.schedules.get(id).cloned() else {
        return;
    };
    if !own.status.is_live() {
        return;
    }
    let now = account.now();
    match own.current(now) {
        Some(phase) if phase.start == now || own.subscription.is_none() => {
            begin_phase(account, &own, phase);
        }
        None if own.phases.last().is_some_and(|last| last.end <= now) => complete(account, &own),
        // The phase runs already, or the first is yet to come.
        Some(_) | None => {}
    }
}

fn begin_phase(account: &mut Account, own: &Schedule, phase: &Phase) {
    let stored = own
        .subscription
        .as_deref()
        .and_then(|id| account.billing.subscriptions.get(id));
    match stored.cloned() {
        Some(old) if !old.status.is_ended() => {
            let extra = extra_items(account, &old, phase);
            change::store_items(account, &extra);
            change_to(account, &old, phase);
        }
        Some(_) => {}
        None => start(account, own, phase),
    }
    emit(account, &own.id, "subscription_schedule.updated");
}

/// The one-time items that a phase begins with.
fn extra_items(account: &mut Account, own: &Subscription, phase: &Phase) -> Vec<InvoiceItem> {
    let mut made = Vec::new();
    for (price, quantity) in &phase.extra {
        if let Some(price) = account.prices.get(price).cloned() {
            made.push(InvoiceItem::once(account, own, &price, *quantity));
        }
    }
    made
}

fn change_to(account: &mut Account, old: &Subscription, phase: &Phase) {
    let wanted = wanted(account, old, phase);
    let how = change::How {
        proration: phase.proration,
        anchor_now: phase.anchor_at_start,
        off_session: true,
        changes_items: true,
        ..change::How::default()
    };
    // An update without `error_if_incomplete` is never refused.
    let done = change::apply(account, old, wanted, how);
    debug_assert!(done.is_ok(), "a phase change is not refused");
}

/// The first phase makes the subscription; its first invoice stays a draft for an hour.
fn start(account: &mut Account, own: &Schedule, phase: &Phase) {
    let Some(blank) =
        crate::resources::subscriptions::blank(account, &own.customer, &own.default_settings)
    else {
        return;
    };
    let mut wanted = wanted(account, &blank, phase);
    wanted.schedule = Some(own.id.clone());
    wanted.flexible = own.flexible;
    wanted.billing_cycle_anchor = phase.trial_end.unwrap_or_else(|| account.now());
    let how = Beginning {
        draft_first: true,
        off_session: true,
        extra: extra_items(account, &wanted, phase),
        ..Beginning::default()
    };
    if let Ok(subscription) = create::create(account, wanted, &how)
        && let Some(mut stored) = account.billing.schedules.get_mut(&own.id)
    {
        stored.status = ScheduleStatus::Active;
        stored.subscription = Some(subscription);
    }
}

/// A subscription as a phase wants it.
fn wanted(account: &mut Account, old: &Subscription, phase: &Phase) -> Subscription {
    let mut own = old.clone();
    let now = account.now();
    let mut items = Vec::new();
    for wanted in &phase.items {
        let kept = old.items.iter().find(|item| item.price == wanted.price);
        // Stripe keeps the item when a phase replaces the only one.
        let kept = kept.or_else(|| {
            old.items
                .first()
                .filter(|_| old.items.len() == 1 && phase.items.len() == 1)
        });
        let mut item = kept.cloned().unwrap_or_else(|| {
            let id = account.ids.short("si_");
            crate::resources::subscriptions::blank_item(id, now)
        });
        item.price.clone_from(&wanted.price);
        item.quantity = wanted.quantity;
        item.metadata.clone_from(&wanted.metadata);
        item.tax_rates.clone_from(&wanted.tax_rates);
        items.push(item);
    }
    own.items = items;
    if let Some(currency) = own
        .items
        .first()
        .and_then(|item| account.prices.get(&item.price))
    {
        own.currency = currency.currency;
    }
    if phase.trial_end.is_some() {
        own.trial_end = phase.trial_end;
        own.trial_start = own.trial_start.or(Some(now));
    } else if own.in_trial(now) {
        own.trial_end = Some(now);
    }
    if let Some(method) = phase.collection_method {
        own.collection_method = super::model::CollectionMethod::parse(method);
        own.days_until_due = phase.days_until_due;
    }
    if phase.default_payment_method.is_some() {
        own.default_payment_method
            .clone_from(&phase.default_payment_method);
    }
    if !phase.default_tax_rates.is_empty() {
        own.default_tax_rates.clone_from(&phase.default_tax_rates);
    }
    own.automatic_tax = phase.automatic_tax.unwrap_or(own.automatic_tax);
    own.description = phase.description.clone().or(own.description);
    own.metadata.extend(phase.metadata.clone());
    own.discounts = redeem(account, &own, phase);
    own
}

fn redeem(account: &mut Account, own: &Subscription, phase: &Phase) -> Vec<String> {
    let owner = discounts::Owner::Subscription(own.id.clone());
    let mut ids = Vec::new();
    for (kind, id) in &phase.discounts {
        let by_code = *kind == "promotion_code";
        let facts = if by_code {
            account.promotion_codes.get(id)
        } else {
            None
        };
        let coupon = facts.map_or_else(|| id.clone(), |code| code.coupon.clone());
        let code = by_code.then_some(id.as_str());
        // A coupon that has expired since the schedule was made simply does not apply.
        let made = discounts::redeem(
            account,
            &coupon,
            code,
            &owner,
            Some(&own.customer),
            own.currency,
            kind,
        );
        ids.extend(made);
    }
    ids
}

/// The last phase has ended.
fn complete(account: &mut Account, own: &Schedule) {
    let now = account.now();
    if own.end_behavior == "cancel" {
        if let Some(mut stored) = account.billing.schedules.get_mut(&own.id) {
            stored.status = ScheduleStatus::Completed;
            stored.completed_at = Some(now);
        }
        emit(account, &own.id, "subscription_schedule.completed");
        if let Some(subscription) = &own.subscription {
            cancel::by_schedule(account, subscription);
        }
        return;
    }
    release(account, &own.id, "subscription_schedule.released");
    emit(account, &own.id, "subscription_schedule.completed");
}

/// Lets the subscription go on without its schedule.
pub(crate) fn release(account: &mut Account, id: &str, kind: &str) {
    let now = account.now();
    let mut released = None;
    if let Some(mut stored) = account.billing.schedules.get_mut(id) {
        stored.status = ScheduleStatus::Released;
        stored.released_at = Some(now);
        released = stored.subscription.take();
        stored.released_subscription.clone_from(&released);
    }
    if let Some(subscription) = released {
        account.update_subscription(&subscription, |own| own.schedule = None);
    }
    emit(account, id, kind);
}

/// A subscription ended: its schedule ends with it.
pub(crate) fn subscription_ended(account: &mut Account, subscription: &str) {
    let schedule = account
        .billing
        .subscriptions
        .get(subscription)
        .and_then(|own| own.schedule.clone());
    let Some(schedule) = schedule else { return };
    let live = account
        .billing
        .schedules
        .get(&schedule)
        .is_some_and(|own| own.status.is_live());
    if live {
        let delinquent = account
            .billing
            .subscriptions
            .get(subscription)
            .is_some_and(|own| own.cancellation.reason == Some("payment_failed"));
        canceled(account, &schedule);
        if delinquent {
            emit(account, &schedule, "subscription_schedule.aborted");
        }
    }
}

/// Ends a schedule before its time.
pub(crate) fn canceled(account: &mut Account, id: &str) {
    let now = account.now();
    if let Some(mut stored) = account.billing.schedules.get_mut(id) {
        stored.status = ScheduleStatus::Canceled;
        stored.canceled_at = Some(now);
    }
    emit(account, id, "subscription_schedule.canceled");
}

/// The phases were changed: the running one takes effect at once.
pub(crate) fn reenter(account: &mut Account, id: &str, proration: ProrationBehavior) {
    let Some(own) = account.billing.schedules.get(id).cloned() else {
        return;
    };
    let now = account.now();
    let subscription = own.subscription.as_deref();
    let old = subscription
        .and_then(|id| account.billing.subscriptions.get(id))
        .cloned();
    let (Some(phase), Some(old)) = (own.current(now), old) else {
        return;
    };
    let prices = |items: &[super::model::Item]| -> Vec<(String, Option<i64>)> {
        items
            .iter()
            .map(|item| (item.price.clone(), item.quantity))
            .collect()
    };
    let asked: Vec<(String, Option<i64>)> = phase
        .items
        .iter()
        .map(|item| (item.price.clone(), item.quantity))
        .collect();
    if prices(&old.items) != asked && !old.status.is_ended() {
        let mut phase = phase.clone();
        phase.proration = proration;
        change_to(account, &old, &phase);
    }
}
