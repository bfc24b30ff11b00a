//! What billing needs of coupons, promotion codes, tax rates and the customer's balance.

use serde_json::{Value, json};

use super::invoice_model::Invoice;
use crate::account::Account;
use crate::engine::decimal::Decimal;
use crate::engine::tax::Jurisdiction;
use crate::resources::coupons::{self, Duration, Off};
use crate::resources::customer_balance_transactions::{Kind, adjust};
use crate::resources::promotion_codes;
use crate::resources::tax_rates::TaxRate;

/// A coupon as far as redeeming it goes.
#[derive(Clone, Debug)]
pub(crate) struct CouponFacts {
    pub(crate) valid: bool,
    pub(crate) percent_off: Option<Decimal>,
    /// By currency code, in minor units.
    pub(crate) amounts_off: Vec<(String, i64)>,
    pub(crate) months: Option<i64>,
    pub(crate) once: bool,
    pub(crate) products: Vec<String>,
}

/// The coupon of this id.
pub(crate) fn coupon(account: &Account, id: &str) -> Option<CouponFacts> {
    let coupon = account.coupons.get(id).filter(|coupon| !coupon.deleted)?;
    let (percent_off, amounts_off) = match &coupon.off {
        Off::Percent(percent) => (Some(*percent), Vec::new()),
        Off::Amount {
            amount,
            currency,
            others,
        } => {
            let own = [(currency, amount)];
            let all = own.into_iter().chain(others);
            (
                None,
                all.map(|(code, amount)| (code.code().to_owned(), *amount))
                    .collect(),
            )
        }
    };
    Some(CouponFacts {
        valid: coupon.is_valid(account.now()),
        percent_off,
        amounts_off,
        months: match coupon.duration {
            Duration::Repeating(months) => Some(months),
            Duration::Once | Duration::Forever => None,
        },
        once: coupon.duration == Duration::Once,
        products: coupon.products.clone(),
    })
}

/// Counts a redemption.
pub(crate) fn redeemed(account: &mut Account, coupon: &str, code: Option<&str>) {
    match code {
        Some(code) => promotion_codes::redeem(account, code),
        None => coupons::redeem(account, coupon),
    }
}

/// Percentage and inclusiveness of a tax rate.
pub(crate) fn tax_rate(account: &Account, id: &str) -> Option<(Decimal, bool)> {
    account
        .tax_rates
        .get(id)
        .map(|rate| (rate.percentage, rate.inclusive))
}

/// Tax rates as Stripe shows them inside other objects.
pub(crate) fn render_tax_rates(account: &Account, ids: &[String]) -> Vec<Value> {
    let rates = ids.iter().filter_map(|id| account.tax_rates.get(id));
    rates.map(|rate| rate.render(account)).collect()
}

/// The tax rate that stands for a row of the automatic tax table; made when first needed.
pub(crate) fn automatic_rate(account: &mut Account, row: &Jurisdiction) -> Option<String> {
    let jurisdiction = row.state.unwrap_or(row.country);
    let id = format!("txr_automatic{}{jurisdiction}", row.country);
    if account.tax_rates.get(&id).is_none() {
        let rate = TaxRate {
            id: id.clone(),
            created: account.now(),
            active: false,
            country: Some(row.country.to_owned()),
            display_name: row.display_name.to_owned(),
            jurisdiction: Some(jurisdiction.to_owned()),
            percentage: Decimal::parse(row.percent).ok()?,
            state: row.state.map(str::to_owned),
            tax_type: Some(row.tax_type.to_owned()),
            ..TaxRate::default()
        };
        account.tax_rates.insert(rate);
    }
    Some(id)
}

/// The customer's tax ids as an invoice shows them.
pub(crate) fn tax_ids(account: &Account, customer: &str) -> Value {
    let own = account
        .tax_ids
        .by_key("customer", customer)
        .collect::<Vec<_>>();
    own.iter()
        .rev()
        .map(|own| json!({ "type": own.kind, "value": own.value }))
        .collect()
}

/// Changes the balance of an invoice's customer and records the transaction.
pub(crate) fn adjust_balance(
    account: &mut Account,
    invoice: &Invoice,
    change: i64,
    kind: BalanceKind,
) {
    let id = invoice.id.clone();
    let kind = match kind {
        BalanceKind::Applied => Kind::AppliedToInvoice(id),
        BalanceKind::Unapplied => Kind::UnappliedFromInvoice(id),
        BalanceKind::TooSmall => Kind::InvoiceTooSmall(id),
    };
    adjust(account, &invoice.customer, change, invoice.currency, kind);
}

/// Why an invoice changes its customer's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BalanceKind {
    Applied,
    Unapplied,
    TooSmall,
}
