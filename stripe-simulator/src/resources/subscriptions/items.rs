//! Reading the items of a subscription out of parameters.

use super::blank_item;
use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::billing::invoice_model::InvoiceItem;
use crate::billing::lines;
use crate::billing::model::{Item, Subscription};
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::params::{Params, Patch};
use crate::resources::prices::{self, Price};
use crate::resources::products;
use crate::resources::tax_rates as rates_of;

/// The items of a create call.
pub(crate) fn read_items(
    account: &mut Account,
    wanted: &[Params<'_>],
    param: &str,
    subscription: Option<&str>,
) -> Result<Vec<Item>, StripeError> {
    if wanted.len() > 20 {
        return Err(StripeError::invalid("Subscriptions can have at most 20 items.").param(param));
    }
    let mut items = Vec::with_capacity(wanted.len());
    for (index, entry) in wanted.iter().enumerate() {
        let prefix = format!("{param}[{index}]");
        let now = account.now();
        let mut item = blank_item(account.ids.short("si_"), now);
        read_price(account, *entry, &prefix, &mut item)?
            .then_some(())
            .ok_or_else(|| StripeError::missing_param(&format!("{prefix}[price]")))?;
        read_item(account, *entry, &prefix, &mut item, subscription)?;
        items.push(item);
    }
    Ok(items)
}

/// Sets an item's price if one is given; whether one is.
pub(crate) fn read_price(
    account: &mut Account,
    entry: Params<'_>,
    prefix: &str,
    item: &mut Item,
) -> Result<bool, StripeError> {
    let at = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}[{name}]")
        }
    };
    let id = match (
        entry.text("price").or(entry.text("plan")),
        entry.child("price_data"),
    ) {
        (Some(id), _) => {
            let price = prices::named(account, id, &at("price"))?;
            check_price(price, &at("price"))?;
            price.id.clone()
        }
        (None, Some(data)) => {
            let place = at("price_data");
            let product = data.required("product")?;
            let product = products::named(account, product, &format!("{place}[product]"))?
                .id
                .clone();
            prices::check(data, &place)?;
            prices::make(account, data, &product, false, &place)?
        }
        (None, None) => return Ok(false),
    };
    item.price = id;
    Ok(true)
}

fn check_price(price: &Price, param: &str) -> Result<(), StripeError> {
    if !price.active {
        return Err(StripeError::invalid(
            "The price specified is inactive. This field only accepts active prices.",
        )
        .param(param));
    }
    if price.recurring.is_none() {
        return Err(StripeError::invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
        )
        .param(param));
    }
    Ok(())
}

/// Quantity, tax rates, metadata and thresholds of an item whose price is set.
pub(crate) fn read_item(
    account: &mut Account,
    entry: Params<'_>,
    prefix: &str,
    item: &mut Item,
    subscription: Option<&str>,
) -> Result<(), StripeError> {
    let at = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}[{name}]")
        }
    };
    let metered = lines::item_is_metered(account, item);
    let quantity = entry.integer("quantity");
    if quantity.is_some_and(|quantity| quantity < 0) {
        return Err(
            StripeError::invalid("This value must be greater than or equal to 0.")
                .code("parameter_invalid_integer")
                .param(at("quantity")),
        );
    }
    if metered && quantity.is_some() {
        return Err(StripeError::invalid(format!(
            "Quantity should not be specified where usage_type is `metered`. Remove quantity from `{prefix}`"
        ))
        .param(at("quantity")));
    }
    item.quantity = if metered {
        None
    } else {
        quantity.or(item.quantity).or(Some(1))
    };
    entry.merge_metadata(&mut item.metadata);
    if entry.is_given("tax_rates") {
        item.tax_rates = tax_rates(account, entry, "tax_rates", &at("tax_rates"))?;
    }
    if entry.is_given("discounts") {
        let customer = subscription
            .and_then(|id| account.billing.subscriptions.get(id))
            .map(|own| own.customer.clone());
        let currency = account
            .prices
            .get(&item.price)
            .map_or(Currency::USD, |price| price.currency);
        let owner = Owner::Item {
            subscription: subscription.unwrap_or_default().to_owned(),
            item: item.id.clone(),
        };
        let entries = entry.children("discounts");
        item.discounts =
            discounts::redeem_all(account, &entries, &owner, customer.as_deref(), currency)?;
    }
    if let Patch::Set(thresholds) = entry.patch_child("billing_thresholds") {
        item.billing_thresholds = thresholds.integer("usage_gte");
    }
    Ok(())
}

/// A list of tax rate ids, each of which must exist.
pub(crate) fn tax_rates(
    account: &Account,
    params: Params<'_>,
    name: &str,
    param: &str,
) -> Result<Vec<String>, StripeError> {
    let mut rates = Vec::new();
    for (index, id) in params.texts(name).into_iter().enumerate() {
        let rate = rates_of::named(account, id, &format!("{param}[{index}]"))?;
        rates.push(rate.id.clone());
    }
    Ok(rates)
}

/// Changes the items of a subscription as an update's `items` say; whether anything is asked.
pub(crate) fn change_items(
    account: &mut Account,
    own: &mut Subscription,
    wanted: &[Params<'_>],
) -> Result<bool, StripeError> {
    let id = own.id.clone();
    for (index, entry) in wanted.iter().enumerate() {
        let prefix = format!("items[{index}]");
        let Some(item_id) = entry.text("id") else {
            let made = read_items(account, std::slice::from_ref(entry), "items", Some(&id))?;
            own.items.extend(made);
            continue;
        };
        let Some(place) = own.items.iter().position(|item| item.id == item_id) else {
            return Err(StripeError::no_such_in(
                "subscription_item",
                item_id,
                &format!("{prefix}[id]"),
            ));
        };
        if entry.boolean("deleted") == Some(true) {
            own.items.remove(place);
            continue;
        }
        let Some(mut item) = own.items.get(place).cloned() else {
            continue;
        };
        read_price(account, *entry, &prefix, &mut item)?;
        read_item(account, *entry, &prefix, &mut item, Some(&id))?;
        if let Some(own) = own.items.get_mut(place) {
            *own = item;
        }
    }
    if own.items.is_empty() && !wanted.is_empty() {
        return Err(
            StripeError::invalid("A subscription must have at least one active plan.")
                .param("items"),
        );
    }
    Ok(!wanted.is_empty())
}

/// The items of `add_invoice_items`.
pub(crate) fn extra_items(
    account: &mut Account,
    own: &Subscription,
    wanted: &[Params<'_>],
) -> Result<Vec<InvoiceItem>, StripeError> {
    let mut made = Vec::new();
    for (index, entry) in wanted.iter().enumerate() {
        let prefix = format!("add_invoice_items[{index}]");
        let id = one_time_price(account, *entry, &prefix)?;
        let Some(price) = account.prices.get(&id).cloned() else {
            continue;
        };
        let quantity = entry.integer("quantity").unwrap_or(1);
        let mut item = InvoiceItem::once(account, own, &price, quantity);
        item.discountable = entry.boolean("discountable").unwrap_or(true);
        item.tax_rates = tax_rates(
            account,
            *entry,
            "tax_rates",
            &format!("{prefix}[tax_rates]"),
        )?;
        item.metadata = entry.metadata();
        made.push(item);
    }
    Ok(made)
}

/// The one-time price of an entry of `add_invoice_items`.
pub(crate) fn one_time_price(
    account: &mut Account,
    entry: Params<'_>,
    prefix: &str,
) -> Result<String, StripeError> {
    let id = match (entry.text("price"), entry.child("price_data")) {
        (Some(id), _) => prices::named(account, id, &format!("{prefix}[price]"))?
            .id
            .clone(),
        (None, Some(data)) => {
            let place = format!("{prefix}[price_data]");
            let product = data.required("product")?;
            let product = products::named(account, product, &format!("{place}[product]"))?
                .id
                .clone();
            prices::make(account, data, &product, false, &place)?
        }
        (None, None) => return Err(StripeError::missing_param(&format!("{prefix}[price]"))),
    };
    let recurs = account
        .prices
        .get(&id)
        .is_some_and(|price| price.recurring.is_some());
    if recurs {
        return Err(StripeError::invalid(
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
        )
        .param(format!("{prefix}[price]")));
    }
    Ok(id)
}

pub(super) fn check_currency(
    account: &Account,
    items: &[Item],
    currency: Currency,
) -> Result<(), StripeError> {
    for price in items
        .iter()
        .filter_map(|item| account.prices.get(&item.price))
    {
        if price.amount_in(currency).is_none() {
            return Err(StripeError::invalid(format!(
                "The price specified supports currencies of `{}`. This doesn't match the expected currency: `{currency}`.",
                price.currency
            ))
            .param("items"));
        }
    }
    Ok(())
}
