//! An invoice's sums: discounts, billing credits and taxes per line, then the totals.

use super::invoice_model::{Invoice, Line, LineTax, Totals};
use super::{catalog, discounts};
use crate::account::Account;
use crate::engine::decimal::Decimal;
use crate::engine::discount::{self, Off};
use crate::engine::tax::{self, Rate};

/// Reckons a draft's discounts, taxes and totals anew from its lines.
///
/// Discounts on a line come before those on the invoice, each list in its order (Stripe docs,
/// "Stack coupons"). Tax is reckoned on what discounts and billing credits leave.
pub(crate) fn reckon(account: &mut Account, invoice: &mut Invoice) {
    apply_discounts(account, invoice);
    apply_taxes(account, invoice);
    sum_up(invoice);
}

fn apply_discounts(account: &Account, invoice: &mut Invoice) {
    let own = invoice.lines.iter().flat_map(|line| line.discounts.clone());
    let mut order: Vec<(String, bool)> = Vec::new();
    for id in own {
        if !order.iter().any(|(known, _)| *known == id) {
            order.push((id, false));
        }
    }
    order.extend(invoice.discounts.iter().map(|id| (id.clone(), true)));
    let mut offs: Vec<(Off, Vec<bool>)> = Vec::new();
    let mut ids = Vec::new();
    for (id, whole_invoice) in order {
        let Some(off) = discounts::off(account, &id, invoice.currency) else {
            continue;
        };
        let eligible = invoice
            .lines
            .iter()
            .map(|line| {
                line.discountable
                    && (whole_invoice || line.discounts.contains(&id))
                    && discounts::applies_to(account, &id, line)
            })
            .collect();
        offs.push((off, eligible));
        ids.push(id);
    }
    let amounts: Vec<i64> = invoice.lines.iter().map(|line| line.amount).collect();
    let taken = discount::apply_all(&offs, &amounts);
    for (index, line) in invoice.lines.iter_mut().enumerate() {
        let per_discount = ids.iter().zip(&offs).zip(&taken);
        line.discount_amounts = per_discount
            .filter(|((_, (_, eligible)), _)| eligible.get(index) == Some(&true))
            .filter_map(|((id, _), taken)| Some((id.clone(), *taken.get(index)?)))
            .collect();
    }
}

fn apply_taxes(account: &mut Account, invoice: &mut Invoice) {
    let exempt = account.customers.get(&invoice.customer).map_or_else(
        || "none".to_owned(),
        |customer| customer.tax_exempt.name().to_owned(),
    );
    let automatic = invoice
        .automatic_tax
        .then(|| automatic_rate(account, &invoice.customer));
    for line in &mut invoice.lines {
        let rates = match &automatic {
            Some(rate) => rate.iter().cloned().collect(),
            None if line.tax_rates.is_empty() => invoice.default_tax_rates.clone(),
            None => line.tax_rates.clone(),
        };
        line.taxes = line_taxes(account, line, &rates, &exempt, automatic.is_some());
    }
}

/// The tax rate that automatic tax uses for a customer's address; none where nothing is collected.
fn automatic_rate(account: &mut Account, customer: &str) -> Option<String> {
    let address = account.customers.get(customer)?.address.clone()?;
    let row = tax::automatic(address.country.as_deref()?, address.state.as_deref())?;
    catalog::automatic_rate(account, row)
}

fn line_taxes(
    account: &Account,
    line: &Line,
    rate_ids: &[String],
    exempt: &str,
    automatic: bool,
) -> Vec<LineTax> {
    let rates: Vec<(String, Rate)> = rate_ids
        .iter()
        .filter_map(|id| {
            let (percent, inclusive) = catalog::tax_rate(account, id)?;
            // Automatic tax is inside the price when the price says so.
            let inclusive = if automatic {
                line.tax_inclusive
            } else {
                inclusive
            };
            Some((id.clone(), Rate { percent, inclusive }))
        })
        .collect();
    let reason = match exempt {
        "exempt" => "customer_exempt",
        "reverse" => "reverse_charge",
        _ => "standard_rated",
    };
    let free = reason != "standard_rated";
    let figures: Vec<Rate> = rates
        .iter()
        .map(|(_, rate)| {
            if free {
                Rate {
                    percent: Decimal::ZERO,
                    ..*rate
                }
            } else {
                *rate
            }
        })
        .collect();
    let taxes = tax::on_line(line.taxable(), &figures);
    rates
        .into_iter()
        .zip(taxes)
        .map(|((rate, figures), tax)| LineTax {
            rate,
            amount: tax.amount,
            taxable: if free { 0 } else { tax.taxable },
            inclusive: figures.inclusive,
            reason,
        })
        .collect()
}

fn sum_up(invoice: &mut Invoice) {
    let sum = |amounts: &mut dyn Iterator<Item = i64>| amounts.fold(0_i64, i64::saturating_add);
    let lines = &invoice.lines;
    let taxes = |inclusive: bool| {
        sum(&mut lines
            .iter()
            .flat_map(|line| &line.taxes)
            .filter(|tax| tax.inclusive == inclusive)
            .map(|tax| tax.amount))
    };
    let subtotal = sum(&mut lines.iter().map(|line| line.amount));
    let net = sum(&mut lines.iter().map(Line::taxable));
    let (inside, on_top) = (taxes(true), taxes(false));
    invoice.totals = Totals {
        subtotal,
        subtotal_excluding_tax: subtotal.saturating_sub(inside),
        total: net.saturating_add(on_top),
        total_excluding_tax: net.saturating_sub(inside),
    };
    invoice.amount_due = invoice.totals.total.max(0);
}
