//! What a subscription's items put on an invoice.

use super::invoice_model::{Invoice, Line, LinePrice};
use super::model::{Item, Subscription};
use super::usage;
use crate::account::Account;
use crate::currency::Currency;
use crate::engine::currency;
use crate::engine::decimal::Decimal;
use crate::engine::period::{Interval, Period, Unit};
use crate::engine::pricing::{self, Package, PackageRound, Part, PartKind, Pricing};
use crate::resources::prices::{Interval as PriceInterval, Price, TaxBehavior, TiersMode};

/// A price's arithmetic in a currency (its own, or one of its `currency_options`).
pub(crate) fn pricing(price: &Price, currency: Currency) -> Pricing {
    let amount = price.amount_in(currency).unwrap_or(&price.amount);
    if let Some(mode) = price.tiers_mode {
        let tiers = amount.tiers.iter().map(|tier| pricing::Tier {
            up_to: tier.up_to,
            unit: tier.unit.unwrap_or(Decimal::ZERO),
            flat: tier.flat,
        });
        let mode = match mode {
            TiersMode::Graduated => pricing::TiersMode::Graduated,
            TiersMode::Volume => pricing::TiersMode::Volume,
        };
        return Pricing::Tiered {
            mode,
            tiers: tiers.collect(),
        };
    }
    let package = price.transform_quantity.map(|transform| Package {
        divide_by: transform.divide_by,
        round: if transform.round_up {
            PackageRound::Up
        } else {
            PackageRound::Down
        },
    });
    Pricing::PerUnit {
        unit: amount.unit.unwrap_or(Decimal::ZERO),
        package,
    }
}

/// What one unit costs, if that is one figure.
pub(crate) fn unit_amount(price: &Price, currency: Currency) -> Option<Decimal> {
    price.amount_in(currency).unwrap_or(&price.amount).unit
}

/// Whether the price already holds its tax.
pub(crate) fn is_tax_inclusive(price: &Price, currency: Currency) -> bool {
    let amount = price.amount_in(currency).unwrap_or(&price.amount);
    amount.tax_behavior == TaxBehavior::Inclusive
}

/// Whether a price is billed in arrears by a meter.
pub(crate) fn is_metered(price: &Price) -> bool {
    price
        .recurring
        .as_ref()
        .is_some_and(|recurring| recurring.metered)
}

/// Whether an item's price is metered.
pub(crate) fn item_is_metered(account: &Account, item: &Item) -> bool {
    account.prices.get(&item.price).is_some_and(is_metered)
}

/// The interval of a recurring price; a month for one that is not.
pub(crate) fn interval(price: &Price) -> Interval {
    let Some(recurring) = &price.recurring else {
        return Interval::one(Unit::Month);
    };
    let unit = match recurring.interval {
        PriceInterval::Day => Unit::Day,
        PriceInterval::Week => Unit::Week,
        PriceInterval::Month => Unit::Month,
        PriceInterval::Year => Unit::Year,
    };
    Interval {
        unit,
        count: u32::try_from(recurring.interval_count).unwrap_or(1),
    }
}

/// An item's lines: for the period ahead if it is licensed, for what was used in the period
/// behind if it is metered.
pub(crate) fn for_period(
    account: &mut Account,
    subscription: &Subscription,
    item: &Item,
    ahead: Period,
    behind: Option<Period>,
) -> Vec<Line> {
    let Some(price) = account.prices.get(&item.price).cloned() else {
        return Vec::new();
    };
    if is_metered(&price) {
        let Some(behind) = behind else {
            return Vec::new();
        };
        let used = usage::quantity(account, &price, &subscription.customer, behind);
        return priced(account, subscription, item, &price, used, behind);
    }
    priced(
        account,
        subscription,
        item,
        &price,
        item.quantity.unwrap_or(1),
        ahead,
    )
}

/// The lines that a quantity of a price makes.
fn priced(
    account: &mut Account,
    subscription: &Subscription,
    item: &Item,
    price: &Price,
    quantity: i64,
    period: Period,
) -> Vec<Line> {
    let product = product_name(account, price);
    let parts = pricing(price, subscription.currency).parts(quantity);
    let mut made = Vec::with_capacity(parts.len());
    for part in &parts {
        let mut line = blank(account, subscription, item, price, period);
        line.amount = part.amount();
        line.quantity = Some(part.quantity);
        line.description = Some(describe(price, part, &product, subscription.currency));
        if let Some(own) = &mut line.price {
            own.unit_amount_decimal = Some(part.unit.to_string());
        }
        made.push(line);
    }
    made
}

/// A line without amount for an item.
fn blank(
    account: &mut Account,
    subscription: &Subscription,
    item: &Item,
    price: &Price,
    period: Period,
) -> Line {
    let unit = unit_amount(price, subscription.currency);
    Line {
        id: account.ids.long("il_"),
        amount: 0,
        description: None,
        discountable: true,
        discounts: item.discounts.clone(),
        discount_amounts: Vec::new(),
        credit_amounts: Vec::new(),
        period,
        quantity: item.quantity,
        price: Some(LinePrice {
            price: price.id.clone(),
            product: price.product.clone(),
            unit_amount_decimal: unit.map(|unit| unit.to_string()),
        }),
        proration: false,
        credited: None,
        subscription: Some(subscription.id.clone()),
        subscription_item: Some(item.id.clone()),
        invoice_item: None,
        metadata: item.metadata.clone(),
        tax_rates: item.tax_rates.clone(),
        taxes: Vec::new(),
        metered: is_metered(price),
        tax_inclusive: is_tax_inclusive(price, subscription.currency),
    }
}

/// The line that stands for an item during a trial: nothing, for the trial's time.
pub(crate) fn trial(
    account: &mut Account,
    subscription: &Subscription,
    item: &Item,
    period: Period,
) -> Option<Line> {
    let price = account.prices.get(&item.price).cloned()?;
    if is_metered(&price) {
        return None;
    }
    let product = product_name(account, &price);
    let mut line = blank(account, subscription, item, &price, period);
    line.description = Some(format!("Trial period for {product}"));
    if let Some(own) = &mut line.price {
        own.unit_amount_decimal = Some("0".to_owned());
    }
    Some(line)
}

/// Reckons the metered lines of a draft anew: usage reported while it was a draft counts.
pub(crate) fn refresh_metered(account: &mut Account, invoice: &mut Invoice) {
    let Some(own) = invoice.subscription.as_deref() else {
        return;
    };
    let Some(own) = account.billing.subscriptions.get(own).cloned() else {
        return;
    };
    for item in &own.items {
        let belongs =
            |line: &Line| line.metered && line.subscription_item.as_ref() == Some(&item.id);
        let Some(place) = invoice.lines.iter().position(belongs) else {
            continue;
        };
        let Some(period) = invoice.lines.get(place).map(|line| line.period) else {
            continue;
        };
        let made = for_period(account, &own, item, period, Some(period));
        invoice.lines.retain(|line| !belongs(line));
        let place = place.min(invoice.lines.len());
        invoice.lines.splice(place..place, made);
    }
}

/// The name of a price's product.
pub(crate) fn product_name(account: &Account, price: &Price) -> String {
    account
        .products
        .get(&price.product)
        .map_or_else(|| price.product.clone(), |product| product.name.clone())
}

/// A line's description, as Stripe words it: `2 × Gold (at $10.00 / month)`.
fn describe(price: &Price, part: &Part, product: &str, code: Currency) -> String {
    let each = currency::format_decimal(part.unit, code.code());
    let period = every(interval(price));
    match part.kind {
        PartKind::Units => {
            let per = price
                .transform_quantity
                .map_or_else(String::new, |transform| {
                    format!(" per {}", transform.divide_by)
                });
            format!("{} × {product} (at {each}{per} / {period})", part.quantity)
        }
        PartKind::TierUnits(index) => {
            format!(
                "{} × {product} (Tier {} at {each} / {period})",
                part.quantity,
                index + 1
            )
        }
        PartKind::TierFlat(index) => {
            format!(
                "{product} (Tier {} flat fee at {each} / {period})",
                index + 1
            )
        }
    }
}

fn every(interval: Interval) -> String {
    if interval.count <= 1 {
        interval.unit.as_str().to_owned()
    } else {
        format!("every {} {}s", interval.count, interval.unit.as_str())
    }
}

/// What an item costs for a whole period, exactly, for proration; percent discounts are taken off.
pub(crate) fn full_amount(
    account: &Account,
    subscription: &Subscription,
    item: &Item,
    at: i64,
) -> Decimal {
    let Some(price) = account.prices.get(&item.price) else {
        return Decimal::ZERO;
    };
    if is_metered(price) {
        return Decimal::ZERO;
    }
    let exact = pricing(price, subscription.currency).exact(item.quantity.unwrap_or(1));
    let discounts: Vec<String> = item
        .discounts
        .iter()
        .chain(&subscription.discounts)
        .cloned()
        .collect();
    let left = super::discounts::percent_left(account, &discounts, &price.product, at);
    exact.times_decimal(left)
}
