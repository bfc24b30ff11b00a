//! Reading a subscription's parameters, of a create call, an update, or a preview.

use serde_json::{Value, json};

use super::blank;
use super::items::{change_items, check_currency, extra_items, read_items, tax_rates};
use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::billing::lines;
use crate::billing::model::{
    CollectionMethod, PauseBehavior, PauseCollection, Subscription, TrialEndBehavior,
};
use crate::clock::DAY;
use crate::currency::Currency;
use crate::engine::period::{AnchorConfig, next_on};
use crate::front::errors::StripeError;
use crate::params::{Params, Patch};
use crate::resources::customers;

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
    customers::check_currency(account, customer, own.currency)?;
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
