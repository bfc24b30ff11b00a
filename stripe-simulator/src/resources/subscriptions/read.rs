//! Reading a subscription's parameters, of a create call, an update, or a preview.

use serde_json::{Value, json};

use super::{blank, blank_item};
use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::billing::invoice_model::InvoiceItem;
use crate::billing::lines;
use crate::billing::model::{
    CollectionMethod, Item, PauseBehavior, PauseCollection, Subscription, TrialEndBehavior,
};
use crate::clock::DAY;
use crate::currency::Currency;
use crate::engine::period::{AnchorConfig, next_on};
use crate::front::errors::StripeError;
use crate::params::{Params, Patch};
use crate::resources::prices::{self, Price};
use crate::resources::products;
use crate::resources::tax_rates;

/// What an update asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The subscription as it is to be, periods not yet worked out.
    pub(crate) wanted: Subscription,
    /// Whether billing has to work it out: items, trial or anchor change.
    pub(crate) bills: bool,
    pub(crate) changes_items: bool,
    pub(crate) anchor_now: bool,
}

/// A new subscription out of a create call's parameters.
pub(crate) fn new_subscription(
    account: &mut Account,
    params: Params<'_>,
    customer: &str,
) -> Result<Subscription, StripeError> {
    let Some(mut own) = blank(account, customer, &Value::Null) else {
        return Err(StripeError::no_such_in("customer", customer, "customer"));
    };
    let wanted = params.children("items");
    if wanted.is_empty() && params.children("add_invoice_items").is_empty() {
        return Err(StripeError::missing_param("items"));
    }
    own.items = read_items(account, &wanted, "items", None)?;
    own.currency = currency_of(account, &own, params)?;
    common(account, &mut own, params)?;
    own.metadata = params.metadata();
    read_trial(account, &mut own, params)?;
    read_anchor(account, &mut own, params)?;
    if let Some(start) = params.integer("backdate_start_date") {
        own.start_date = start;
    }
    if let Some(mode) = params.child("billing_mode") {
        own.flexible = mode.text("type") != Some("classic");
    }
    redeem(account, &mut own, params)?;
    read_end(account, &mut own, params)?;
    Ok(own)
}

/// The currency of the items' prices; all must be to be had in it.
fn currency_of(
    account: &Account,
    own: &Subscription,
    params: Params<'_>,
) -> Result<Currency, StripeError> {
    let first = own
        .items
        .first()
        .and_then(|item| account.prices.get(&item.price));
    let currency = match params.text("currency") {
        Some(code) => Currency::parse(code, "currency")?,
        None => first.map_or(Currency::USD, |price| price.currency),
    };
    check_currency(account, &own.items, currency)?;
    Ok(currency)
}

fn check_currency(
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
        let rate = tax_rates::named(account, id, &format!("{param}[{index}]"))?;
        rates.push(rate.id.clone());
    }
    Ok(rates)
}

/// What creation and update share.
fn common(
    account: &mut Account,
    own: &mut Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    if let Some(method) = params.text("collection_method") {
        own.collection_method = CollectionMethod::parse(method);
    }
    if let Some(days) = params.integer("days_until_due") {
        own.days_until_due = Some(days);
    }
    check_collection(own, params)?;
    if let Some(method) = params.text("default_payment_method") {
        account.check_owned_method(method, &own.customer, "default_payment_method")?;
    }
    params
        .patch("default_payment_method")
        .apply(&mut own.default_payment_method);
    params
        .patch("default_source")
        .apply(&mut own.default_source);
    params.patch("description").apply(&mut own.description);
    if params.is_given("default_tax_rates") {
        own.default_tax_rates =
            tax_rates(account, params, "default_tax_rates", "default_tax_rates")?;
    }
    if let Some(tax) = params.child("automatic_tax") {
        own.automatic_tax = tax.boolean("enabled").unwrap_or(false);
        check_tax_location(account, own)?;
    }
    if params.is_given("application_fee_percent") {
        own.application_fee_percent = params.raw("application_fee_percent").cloned();
    }
    if let Some(settings) = params.child("payment_settings") {
        merge(&mut own.payment_settings, settings);
    }
    if let Some(settings) = params.child("invoice_settings") {
        merge(&mut own.invoice_settings, settings);
    }
    if let Some(settings) = params.child("trial_settings") {
        let behavior = settings
            .child("end_behavior")
            .and_then(|own| own.text("missing_payment_method"));
        own.trial_end_behavior = behavior.map_or(own.trial_end_behavior, TrialEndBehavior::parse);
    }
    match params.patch_child("pending_invoice_item_interval") {
        Patch::Keep => {}
        Patch::Clear => own.pending_item_interval = None,
        Patch::Set(interval) => {
            own.pending_item_interval = Some(json!({
                "interval": interval.text("interval"),
                "interval_count": interval.integer("interval_count").unwrap_or(1),
            }));
        }
    }
    Ok(())
}

/// Automatic tax needs to know where the customer is.
fn check_tax_location(account: &Account, own: &Subscription) -> Result<(), StripeError> {
    let customer = account.customers.get(&own.customer);
    let placed = customer
        .and_then(|customer| customer.address.as_ref())
        .is_some_and(|address| address.country.is_some());
    if own.automatic_tax && !placed {
        return Err(StripeError::invalid(
            "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax.",
        )
        .code("customer_tax_location_invalid")
        .param("automatic_tax"));
    }
    Ok(())
}

fn check_collection(own: &Subscription, params: Params<'_>) -> Result<(), StripeError> {
    let sends = own.collection_method == CollectionMethod::SendInvoice;
    if sends && own.days_until_due.is_none() {
        return Err(StripeError::invalid(
            "If you set `collection_method` to `send_invoice`, you must also set `days_until_due` on the subscription.",
        )
        .code("parameter_missing")
        .param("days_until_due"));
    }
    if !sends && params.integer("days_until_due").is_some() {
        return Err(StripeError::invalid(
            "You can only set `days_until_due` if `collection_method` is `send_invoice`.",
        )
        .param("days_until_due"));
    }
    Ok(())
}

/// Merges a settings hash: given members replace, empty ones become null.
fn merge(settings: &mut Value, params: Params<'_>) {
    let Value::Object(map) = settings else { return };
    for (name, value) in params.map() {
        let value = if value.as_str() == Some("") {
            Value::Null
        } else {
            value.clone()
        };
        if name == "issuer" {
            continue;
        }
        map.insert(name.clone(), value);
    }
}

fn read_trial(
    account: &Account,
    own: &mut Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    let now = account.now();
    let days = params.integer("trial_period_days").or_else(|| {
        let from_plan = params.boolean("trial_from_plan") == Some(true);
        let price = own
            .items
            .first()
            .and_then(|item| account.prices.get(&item.price));
        price
            .filter(|_| from_plan)?
            .recurring
            .as_ref()?
            .trial_period_days
    });
    if params.is_given("trial_end") && params.integer("trial_period_days").is_some() {
        return Err(StripeError::invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
        )
        .param("trial_end"));
    }
    if let Some(end) = params.integer("trial_end") {
        own.trial_end = Some(future(end, now, "trial_end")?);
    } else if let Some(days) = days.filter(|days| *days > 0) {
        own.trial_end = Some(now.saturating_add(days.saturating_mul(DAY)));
    }
    if own.trial_end.is_some_and(|end| end - now > 730 * DAY) {
        return Err(StripeError::invalid(
            "The maximum number of trial period days is 730 (2 years).",
        )
        .param("trial_end"));
    }
    if let Some(end) = own.trial_end {
        own.trial_start = Some(now);
        own.billing_cycle_anchor = end;
    }
    Ok(())
}

fn future(at: i64, now: i64, param: &str) -> Result<i64, StripeError> {
    if at > now {
        return Ok(at);
    }
    Err(
        StripeError::invalid("Invalid timestamp: must be an integer Unix timestamp in the future.")
            .param(param),
    )
}

fn read_anchor(
    account: &Account,
    own: &mut Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    let now = account.now();
    if let Some(at) = params.integer("billing_cycle_anchor") {
        own.billing_cycle_anchor = future(at, now, "billing_cycle_anchor")?;
        let first = own
            .items
            .first()
            .and_then(|item| account.prices.get(&item.price));
        let start = own.trial_end.unwrap_or(now);
        let natural = first.map(|price| lines::interval(price).boundary(start, 1));
        if natural.is_some_and(|natural| at > natural) {
            return Err(StripeError::invalid(
                "`billing_cycle_anchor` cannot be later than next natural billing date for the plan.",
            )
            .param("billing_cycle_anchor"));
        }
    }
    if let Some(config) = params.child("billing_cycle_anchor_config") {
        let small = |name: &str| {
            config
                .integer(name)
                .and_then(|value| i8::try_from(value).ok())
        };
        let anchor = AnchorConfig {
            day_of_month: small("day_of_month").unwrap_or(1),
            month: small("month"),
            hour: small("hour"),
            minute: small("minute"),
            second: small("second"),
        };
        own.billing_cycle_anchor = next_on(own.trial_end.unwrap_or(now), anchor);
        own.anchor_config = Some(json!({
            "day_of_month": anchor.day_of_month,
            "hour": anchor.hour,
            "minute": anchor.minute,
            "month": anchor.month,
            "second": anchor.second,
        }));
    }
    Ok(())
}

fn redeem(
    account: &mut Account,
    own: &mut Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    if params.is_given("discounts") {
        let owner = Owner::Subscription(own.id.clone());
        let entries = params.children("discounts");
        own.discounts =
            discounts::redeem_all(account, &entries, &owner, Some(&own.customer), own.currency)?;
    }
    Ok(())
}

/// `cancel_at` and `cancel_at_period_end`.
fn read_end(
    account: &Account,
    own: &mut Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    let now = account.now();
    let at_end = params.boolean("cancel_at_period_end");
    if at_end == Some(true)
        && params.patch("cancel_at") != Patch::Keep
        && params.integer("cancel_at").is_some()
    {
        return Err(StripeError::invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
        )
        .param("cancel_at"));
    }
    if let Some(at_end) = at_end {
        own.cancel_at_period_end = at_end;
        own.cancel_at = if at_end {
            first_end(account, own)
        } else {
            None
        };
    } else if let Some(at) = params.integer("cancel_at") {
        own.cancel_at = Some(future(at, now, "cancel_at")?);
        own.cancel_at_period_end = false;
    } else if params.is_given("cancel_at") {
        own.cancel_at_period_end = false;
        own.cancel_at = match params.text("cancel_at") {
            Some("min_period_end") => first_end(account, own),
            Some("max_period_end" | "max_billed_until") => own
                .last_period_end()
                .filter(|end| *end > now)
                .or_else(|| first_end(account, own)),
            _ => None,
        };
    } else {
        return Ok(());
    }
    let ends = own.cancel_at.is_some();
    own.canceled_at = ends.then_some(now);
    own.cancellation.reason = ends.then_some("cancellation_requested");
    Ok(())
}

/// The end of the running period, or of the first one when none runs yet.
fn first_end(account: &Account, own: &Subscription) -> Option<i64> {
    let now = account.now();
    if let Some(end) = own.next_period_end().filter(|end| *end > now) {
        return Some(end);
    }
    if let Some(end) = own.trial_end.filter(|end| *end > now) {
        return Some(end);
    }
    let price = own
        .items
        .first()
        .and_then(|item| account.prices.get(&item.price))?;
    Some(lines::interval(price).next_boundary(own.billing_cycle_anchor, now))
}

/// What an update asks for; stores nothing but redeemed discounts.
pub(crate) fn apply_update(
    account: &mut Account,
    old: &Subscription,
    params: Params<'_>,
) -> Result<Asked, StripeError> {
    let mut own = old.clone();
    let now = account.now();
    let changes_items = change_items(account, &mut own, &params.children("items"))?;
    check_currency(account, &own.items, own.currency)?;
    common(account, &mut own, params)?;
    params.merge_metadata(&mut own.metadata);
    let mut bills = changes_items;
    match params.text("trial_end") {
        Some("now") => {
            bills |= own.in_trial(now);
            own.trial_end = own.trial_end.map(|end| end.min(now));
        }
        _ => {
            if let Some(end) = params.integer("trial_end") {
                own.trial_end = Some(future(end, now, "trial_end")?);
                bills |= own.trial_end != old.trial_end;
            }
        }
    }
    let anchor = params
        .child("billing_cycle_anchor")
        .and_then(|own| own.text("type"));
    let anchor = anchor.or(params.text("billing_cycle_anchor"));
    let anchor_now = anchor == Some("now");
    bills |= anchor_now;
    if let Some(details) = params.child("cancellation_details") {
        details
            .patch("comment")
            .apply(&mut own.cancellation.comment);
        details
            .patch("feedback")
            .apply(&mut own.cancellation.feedback);
    }
    match params.patch_child("pause_collection") {
        Patch::Keep => {}
        Patch::Clear => own.pause_collection = None,
        Patch::Set(pause) => {
            own.pause_collection = Some(PauseCollection {
                behavior: PauseBehavior::parse(pause.text("behavior").unwrap_or_default()),
                resumes_at: pause.integer("resumes_at"),
            });
        }
    }
    let extra = extra_items(account, &own, &params.children("add_invoice_items"))?;
    redeem(account, &mut own, params)?;
    read_end(account, &mut own, params)?;
    for item in extra {
        let object = crate::billing::render::invoice_item(&item, account);
        account.billing.invoice_items.insert(item);
        account.emit("invoiceitem.created", &object);
    }
    Ok(Asked {
        wanted: own,
        bills,
        changes_items,
        anchor_now,
    })
}

/// What a preview's `subscription_details` ask for.
pub(crate) fn apply_preview(
    account: &mut Account,
    old: &Subscription,
    details: Params<'_>,
) -> Result<Asked, StripeError> {
    let mut own = old.clone();
    let now = account.now();
    let changes_items = change_items(account, &mut own, &details.children("items"))?;
    check_currency(account, &own.items, own.currency)?;
    if details.text("trial_end") == Some("now") {
        own.trial_end = own.trial_end.map(|end| end.min(now));
    } else if let Some(end) = details.integer("trial_end") {
        own.trial_end = Some(future(end, now, "subscription_details[trial_end]")?);
    }
    read_end(account, &mut own, details)?;
    let anchor = details
        .child("billing_cycle_anchor")
        .and_then(|own| own.text("type"));
    let anchor_now = anchor.or(details.text("billing_cycle_anchor")) == Some("now");
    Ok(Asked {
        wanted: own,
        bills: true,
        changes_items,
        anchor_now,
    })
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
        let Some(price) = account.prices.get(&id).cloned() else {
            continue;
        };
        if price.recurring.is_some() {
            return Err(StripeError::invalid(
                "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
            )
            .param(format!("{prefix}[price]")));
        }
        let quantity = entry.integer("quantity").unwrap_or(1);
        let mut item = InvoiceItem::blank(account, &own.customer, own.currency);
        item.set_price(&price, quantity);
        item.subscription = Some(own.id.clone());
        item.description = Some(lines::product_name(account, &price));
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
