//! Dunning: when a failed payment is tried again, and what follows when all tries have failed.

use super::cancel;
use super::invoice_model::InvoiceStatus;
use super::model::Status;
use crate::account::Account;
use crate::clock::DAY;

/// What a subscription ends in when its last retry has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EndState {
    #[default]
    Canceled,
    Unpaid,
    PastDue,
}

impl EndState {
    /// Stripe's word for the status.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Canceled => "canceled",
            Self::Unpaid => "unpaid",
            Self::PastDue => "past_due",
        }
    }

    /// Reads the status' word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Canceled, Self::Unpaid, Self::PastDue]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// What Stripe's dashboard sets about billing; here the admin routes do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BillingSettings {
    /// Days from each failure to the next try. The length is the number of retries.
    pub(crate) retry_days: Vec<i64>,
    /// What follows the last failure.
    pub(crate) end_state: EndState,
    /// Whether the last failure also makes the invoice uncollectible.
    pub(crate) mark_uncollectible: bool,
    /// How long before a renewal `invoice.upcoming` is sent, in days; 0 for never.
    pub(crate) upcoming_days: i64,
    /// How long a renewal's invoice stays a draft, in seconds.
    pub(crate) draft_seconds: i64,
    /// Days after the due date of a sent invoice until `end_state` follows.
    pub(crate) overdue_days: i64,
}

impl Default for BillingSettings {
    /// The retries of Stripe's default custom schedule; an hour as draft is Stripe's own rule.
    fn default() -> Self {
        Self {
            retry_days: vec![3, 5, 7],
            end_state: EndState::Canceled,
            mark_uncollectible: false,
            upcoming_days: 7,
            draft_seconds: 3600,
            overdue_days: 30,
        }
    }
}

/// After a failed automatic attempt: the time of the next one, if there is one.
pub(crate) fn next_attempt(account: &Account, attempt_count: i64) -> Option<i64> {
    let index = usize::try_from(attempt_count.saturating_sub(1)).ok()?;
    let days = account.billing.settings.retry_days.get(index)?;
    Some(account.now().saturating_add(days.saturating_mul(DAY)))
}

/// Plans the next attempt of an open invoice.
pub(crate) fn plan_retry(account: &mut Account, invoice: &str, at: i64) {
    account.schedule(at, "invoice.retry", retry, invoice);
}

/// Tries an open invoice again, if that is still wanted.
fn retry(account: &mut Account, id: &str) {
    let now = account.now();
    let due = account.billing.invoices.get(id).is_some_and(|invoice| {
        invoice.status == InvoiceStatus::Open
            && invoice.auto_advance
            && invoice.next_payment_attempt.is_some_and(|at| at <= now)
    });
    if due {
        super::collect::automatic_attempt(account, id);
    }
}

/// All retries have failed.
pub(crate) fn exhausted(account: &mut Account, invoice: &str) {
    let settings = account.billing.settings.clone();
    if settings.mark_uncollectible {
        super::invoicing::mark_uncollectible(account, invoice, "max_payment_attempts");
    }
    let subscription = account
        .billing
        .invoices
        .get(invoice)
        .and_then(|own| own.subscription.clone());
    if let Some(subscription) = subscription {
        end(account, &subscription, settings.end_state);
    }
}

fn end(account: &mut Account, subscription: &str, state: EndState) {
    let dunned = account
        .billing
        .subscriptions
        .get(subscription)
        .is_some_and(|own| {
            matches!(
                own.status,
                Status::PastDue | Status::Active | Status::Unpaid
            )
        });
    if !dunned {
        return;
    }
    match state {
        EndState::Canceled => cancel::for_failed_payment(account, subscription),
        EndState::Unpaid => {
            account.update_subscription(subscription, |own| own.status = Status::Unpaid);
        }
        EndState::PastDue => {
            account.update_subscription(subscription, |own| own.status = Status::PastDue);
        }
    }
}

/// Plans what follows when a sent invoice is not paid by its due date.
pub(crate) fn plan_due_date(account: &mut Account, invoice: &str, due: i64) {
    account.schedule(due, "invoice.due", due_date_passed, invoice);
}

fn is_open(account: &Account, id: &str) -> bool {
    account
        .billing
        .invoices
        .get(id)
        .is_some_and(|own| own.status == InvoiceStatus::Open)
}

fn due_date_passed(account: &mut Account, id: &str) {
    if !is_open(account, id) {
        return;
    }
    account.emit_invoice(id, "invoice.overdue");
    super::collect::fall_past_due(account, id);
    let days = account.billing.settings.overdue_days;
    let at = account.now().saturating_add(days.saturating_mul(DAY));
    account.schedule(at, "invoice.overdue_deadline", deadline_passed, id);
}

fn deadline_passed(account: &mut Account, id: &str) {
    if is_open(account, id) {
        exhausted(account, id);
    }
}
