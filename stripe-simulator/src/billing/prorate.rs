//! The items a change within a period makes: unused time back, remaining time due.

use super::invoice_model::{CreditedLines, InvoiceItem};
use super::lines;
use super::model::{Item, Subscription};
use crate::account::Account;
use crate::engine::decimal::Decimal;
use crate::engine::period::{Period, short_date};
use crate::engine::proration;

/// Credits what an item has not used of its period at `at`; none when there is nothing to credit.
pub(crate) fn unused_time(
    account: &mut Account,
    own: &Subscription,
    item: &Item,
    at: i64,
) -> Option<InvoiceItem> {
    let full = lines::full_amount(account, own, item, at);
    let amount = -proration::remaining(full, item.period, at);
    let mut made = proration_item(account, own, item, amount, at, "Unused time on")?;
    made.credited = credited_line(account, own, item);
    (amount != 0).then_some(made)
}

/// Debits what an item costs from `at` to the end of its period; none for a metered item.
pub(crate) fn remaining_time(
    account: &mut Account,
    own: &Subscription,
    item: &Item,
    at: i64,
) -> Option<InvoiceItem> {
    let full = lines::full_amount(account, own, item, at);
    let amount = proration::remaining(full, item.period, at);
    proration_item(account, own, item, amount, at, "Remaining time on")
}

fn proration_item(
    account: &mut Account,
    own: &Subscription,
    item: &Item,
    amount: i64,
    at: i64,
    words: &str,
) -> Option<InvoiceItem> {
    let price = account.prices.get(&item.price)?.clone();
    if lines::is_metered(&price) {
        return None;
    }
    let product = lines::product_name(account, &price);
    let quantity = item.quantity.unwrap_or(1);
    let counted = if quantity == 1 {
        product
    } else {
        format!("{quantity} × {product}")
    };
    let description = format!("{words} {counted} after {}", short_date(at));
    let period = Period {
        start: at.max(item.period.start),
        end: item.period.end,
    };
    let mut made = InvoiceItem::blank(account, &own.customer, own.currency);
    made.set_price(&price, quantity);
    made.amount = amount;
    made.period = period;
    made.description = Some(description);
    made.subscription = Some(own.id.clone());
    // Percent discounts are in the amount already.
    made.discountable = false;
    made.proration = true;
    made.subscription_item = Some(item.id.clone());
    made.tax_rates.clone_from(&item.tax_rates);
    Some(made)
}

/// The invoice line that billed the period an item is credited for.
fn credited_line(account: &Account, own: &Subscription, item: &Item) -> Option<CreditedLines> {
    account
        .billing
        .invoices
        .by_key("subscription", &own.id)
        .find_map(|invoice| {
            let billed = invoice.lines.iter().filter(|line| {
                line.subscription_item.as_ref() == Some(&item.id)
                    && line.amount > 0
                    && line.period.end == item.period.end
            });
            let lines: Vec<String> = billed.map(|line| line.id.clone()).collect();
            (!lines.is_empty()).then(|| CreditedLines {
                invoice: invoice.id.clone(),
                lines,
            })
        })
}

/// The proration items of a change from one state of a subscription to another, at `at`.
///
/// Items that stay as they are make none.
pub(crate) fn of_change(
    account: &mut Account,
    old: &Subscription,
    new: &Subscription,
    at: i64,
) -> Vec<InvoiceItem> {
    let mut made = Vec::new();
    let same = |a: &Item, b: &Item| a.price == b.price && a.quantity == b.quantity;
    for item in &old.items {
        let stays = new.item(&item.id).is_some_and(|other| same(item, other));
        if !stays {
            made.extend(unused_time(account, old, item, at));
        }
    }
    for item in &new.items {
        let stays = old.item(&item.id).is_some_and(|other| same(item, other));
        if !stays {
            made.extend(remaining_time(account, new, item, at));
        }
    }
    made
}

/// What a subscription's licensed items cost for whole periods together.
pub(crate) fn full_price(account: &Account, own: &Subscription, at: i64) -> Decimal {
    let amounts = own
        .items
        .iter()
        .map(|item| lines::full_amount(account, own, item, at));
    amounts.fold(Decimal::ZERO, Decimal::plus)
}
