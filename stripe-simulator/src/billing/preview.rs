//! Invoices that do not exist yet: what a renewal or a change would bill.

use super::change::Bill;
use super::discounts;
use super::invoice_model::Invoice;
use super::model::Subscription;
use super::{invoicing, lifecycle, lines, totals, usage};
use crate::account::Account;
use crate::engine::period::Period;

/// The invoice that the next renewal of a subscription will make, as things stand.
pub(crate) fn upcoming(account: &mut Account, own: &Subscription) -> Invoice {
    let invoice = upcoming_unreckoned(account, own);
    finish(account, invoice)
}

/// The same before its sums are reckoned.
pub(crate) fn upcoming_unreckoned(account: &mut Account, own: &Subscription) -> Invoice {
    let mut invoice = renewal(account, own);
    invoicing::take_pending_copy(account, &mut invoice);
    invoice
}

/// What a change bills: its own invoice if it makes one at once, otherwise the next renewal with
/// the proration items on it.
pub(crate) fn of_change(account: &mut Account, bill: Bill) -> Invoice {
    let mut invoice = if let Some(invoice) = bill.invoice {
        invoice
    } else {
        let mut renewal = renewal(account, &bill.wanted);
        for item in &bill.items {
            let line = item.line(account.ids.long("il_"));
            renewal.lines.insert(0, line);
        }
        renewal
    };
    invoicing::take_pending_copy(account, &mut invoice);
    invoice
}

fn renewal(account: &mut Account, own: &Subscription) -> Invoice {
    let at = own.next_period_end().unwrap_or_else(|| account.now());
    let mut invoice = invoicing::blank_for(account, own, "upcoming");
    invoice.created = at;
    invoice.period = Period {
        start: own.period().start,
        end: at,
    };
    invoice.discounts = discounts::of_subscription(account, own, at);
    if own.cancel_at_period_end {
        return invoice;
    }
    let trial_over = own.trial_end == Some(at);
    for item in own.items.iter().filter(|item| item.period.end == at) {
        let Some(price) = account.prices.get(&item.price) else {
            continue;
        };
        let grid = lines::interval(price).containing(own.billing_cycle_anchor, at);
        let mut next = item.clone();
        next.period = Period {
            start: at,
            end: grid.end,
        };
        let used = (!trial_over).then_some(item.period);
        let made = lifecycle::lines_of_period(account, own, &next, grid, used);
        invoice.lines.extend(made);
    }
    invoice
}

/// Reckons a preview's sums and gives it the id that previews have.
pub(crate) fn finish(account: &mut Account, mut invoice: Invoice) -> Invoice {
    let token = invoice.token().to_owned();
    invoice.id = format!("upcoming_in_{token}");
    usage::apply_credit_grants(account, &mut invoice, false);
    totals::reckon(account, &mut invoice);
    let (due, end) = invoicing::due_after_balance(account, &invoice);
    invoice.starting_balance = invoicing::customer_balance(account, &invoice.customer);
    invoice.amount_due = due;
    invoice.ending_balance = Some(end);
    invoice.next_payment_attempt = Some(invoice.created.saturating_add(3600));
    invoice
}
