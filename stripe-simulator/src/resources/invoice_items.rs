//! Invoice items: <https://docs.stripe.com/api/invoiceitems>.

use super::shared::deleted;
use super::{customers, prices, products, subscriptions};
use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::billing::invoice_model::{InvoiceItem, InvoiceStatus};
use crate::billing::{lines, render, totals};
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "invoiceitem",
    prefixes: &["ii_"],
    routes: &[
        Route::post("/v1/invoiceitems", "invoice", create),
        Route::get("/v1/invoiceitems", "invoice", list_all),
        Route::get("/v1/invoiceitems/{invoiceitem}", "invoice", retrieve),
        Route::post("/v1/invoiceitems/{invoiceitem}", "invoice", update),
        Route::delete("/v1/invoiceitems/{invoiceitem}", "invoice", delete),
    ],
    find: |account, id| {
        let item = account
            .billing
            .invoice_items
            .get(id)
            .filter(|own| !own.deleted)?;
        Some(render::invoice_item(item, account))
    },
    all: |account| {
        let all = account.billing.invoice_items.oldest_first();
        all.map(|own| render::invoice_item(own, account)).collect()
    },
    includes: &[],
};

/// Reads an item out of its parameters: an amount, a unit amount, or a one-time price.
pub(crate) fn read(
    account: &mut Account,
    params: Params<'_>,
    customer: &str,
    fallback: Currency,
    prefix: &str,
) -> Result<InvoiceItem, StripeError> {
    let at = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}[{name}]")
        }
    };
    let quantity = params.integer("quantity").unwrap_or(1);
    if quantity < 0 {
        return Err(StripeError::invalid("Invalid non-negative integer")
            .code("parameter_invalid_integer")
            .param(at("quantity")));
    }
    let price = read_price(account, params, prefix)?;
    let currency = match (params.text("currency"), &price) {
        (Some(code), _) => Currency::parse(code, &at("currency"))?,
        (None, Some(id)) => account
            .prices
            .get(id)
            .map_or(fallback, |price| price.currency),
        (None, None) => fallback,
    };
    let mut item = InvoiceItem::blank(account, customer, currency);
    item.quantity = quantity;
    item.amount = params.integer("amount").unwrap_or(0);
    let unit = params
        .decimal("unit_amount_decimal")
        .or_else(|| params.integer("unit_amount").map(Decimal::from_int));
    if let Some(price) = price.as_deref().and_then(|id| account.prices.get(id)) {
        item.set_price(price, quantity);
        item.description = Some(lines::product_name(account, price));
    } else if let Some(unit) = unit {
        item.amount = unit.times(quantity).round();
    } else if params.integer("amount").is_none() {
        return Err(StripeError::missing_param(&at("amount")));
    }
    params.patch("description").apply(&mut item.description);
    item.discountable = params.boolean("discountable").unwrap_or(item.amount >= 0);
    item.tax_inclusive |= params.text("tax_behavior") == Some("inclusive");
    if let Some(period) = params.child("period") {
        item.period.start = period.integer("start").unwrap_or(item.period.start);
        item.period.end = period.integer("end").unwrap_or(item.period.end);
    }
    item.tax_rates = subscriptions::tax_rates(account, params, "tax_rates", &at("tax_rates"))?;
    item.metadata = params.metadata();
    Ok(item)
}

fn read_price(
    account: &mut Account,
    params: Params<'_>,
    prefix: &str,
) -> Result<Option<String>, StripeError> {
    let at = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}[{name}]")
        }
    };
    let named = params.child("pricing").and_then(|own| own.text("price"));
    let id = match (named.or(params.text("price")), params.child("price_data")) {
        (Some(id), _) => prices::named(account, id, &at("pricing[price]"))?
            .id
            .clone(),
        (None, Some(data)) => {
            let place = at("price_data");
            let product = data.required("product")?;
            let product = products::named(account, product, &format!("{place}[product]"))?
                .id
                .clone();
            prices::make(account, data, &product, false, &place)?
        }
        (None, None) => return Ok(None),
    };
    let recurring = account
        .prices
        .get(&id)
        .is_some_and(|price| price.recurring.is_some());
    if recurring {
        return Err(StripeError::invalid(
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.",
        )
        .param(at("pricing[price]")));
    }
    Ok(Some(id))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?.to_owned();
    let bound = customers::named(ctx.account, &customer, "customer")?.currency;
    ctx.account.act_for(&customer);
    let account = &mut *ctx.account;
    let invoice = params.text("invoice").map(str::to_owned);
    if let Some(id) = &invoice {
        check_draft(account, id, &customer)?;
    }
    let subscription = params.text("subscription");
    let subscription = subscription
        .map(|id| subscriptions::named(account, id, "subscription"))
        .transpose()?;
    let fallback = match (&subscription, bound) {
        (Some(own), _) => own.currency,
        (None, Some(bound)) => bound,
        (None, None) => account.default_currency(),
    };
    let mut item = read(account, params, &customer, fallback, "")?;
    customers::check_currency(account, &customer, item.currency)?;
    item.subscription = subscription.map(|own| own.id);
    if params.is_given("discounts") {
        let owner = Owner::InvoiceItem(item.id.clone());
        let entries = params.children("discounts");
        item.discounts =
            discounts::redeem_all(account, &entries, &owner, Some(&customer), item.currency)?;
    }
    item.invoice.clone_from(&invoice);
    let id = item.id.clone();
    account.billing.invoice_items.insert(item);
    if let Some(invoice) = &invoice {
        relist(account, invoice);
    }
    let body = account.render(&id).unwrap_or_default();
    account.emit("invoiceitem.created", &body);
    Ok(body.into())
}

fn check_draft(account: &Account, id: &str, customer: &str) -> Result<(), StripeError> {
    let own = account.billing.invoices.get(id).filter(|own| !own.deleted);
    let own = own.ok_or_else(|| StripeError::no_such_in("invoice", id, "invoice"))?;
    if own.customer != customer {
        return Err(
            StripeError::invalid("The invoice belongs to another customer.").param("invoice"),
        );
    }
    if own.status != InvoiceStatus::Draft {
        return Err(StripeError::invalid(
            "This invoice is no longer editable, so items cannot be added to it.",
        )
        .code("invoice_not_editable")
        .param("invoice"));
    }
    Ok(())
}

/// Puts the items of a draft on it anew and reckons its sums.
pub(crate) fn relist(account: &mut Account, id: &str) {
    let Some(mut invoice) = account.billing.invoices.get(id).cloned() else {
        return;
    };
    let before = account.render_invoice(id).unwrap_or_default();
    let kept = invoice
        .lines
        .iter()
        .filter_map(|line| Some((line.invoice_item.clone()?, line.id.clone())));
    let known: Vec<(String, String)> = kept.collect();
    invoice.lines.retain(|line| line.invoice_item.is_none());
    for item in account.billing.invoice_items.ids_by_key("invoice", id) {
        let line_id = known
            .iter()
            .find(|(own, _)| *own == item)
            .map(|(_, line)| line.clone());
        let line_id = line_id.unwrap_or_else(|| account.ids.long("il_"));
        let line = account
            .billing
            .invoice_items
            .get(&item)
            .map(|item| item.line(line_id));
        invoice.lines.extend(line);
    }
    totals::reckon(account, &mut invoice);
    account.billing.invoices.insert(invoice);
    if let Some(after) = account.render_invoice(id) {
        account.emit_updated("invoice.updated", &before, &after);
    }
}

fn of_path(ctx: &mut Ctx<'_>) -> Result<InvoiceItem, StripeError> {
    let id = ctx.arg("invoiceitem").to_owned();
    let own = ctx
        .account
        .billing
        .invoice_items
        .get(&id)
        .filter(|own| !own.deleted)
        .cloned();
    let own = own.ok_or_else(|| StripeError::no_such("invoiceitem", &id, "invoiceitem"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    Ok(render::invoice_item(&own, ctx.account).into())
}

/// Refuses to touch an item whose invoice is final.
fn check_editable(account: &Account, own: &InvoiceItem) -> Result<(), StripeError> {
    let invoice = own
        .invoice
        .as_deref()
        .and_then(|id| account.billing.invoices.get(id));
    if invoice.is_some_and(|own| own.status != InvoiceStatus::Draft) {
        return Err(StripeError::invalid(
            "This invoice item is attached to an invoice that is no longer editable.",
        )
        .code("invoice_not_editable"));
    }
    Ok(())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    check_editable(ctx.account, &own)?;
    let account = &mut *ctx.account;
    apply(account, &own.id, params)?;
    if let Some(invoice) = own.invoice {
        relist(account, &invoice);
    }
    // Stripe has no event for the update of an item; that of its invoice tells of it.
    Ok(account.render(&own.id).unwrap_or_default().into())
}

/// Changes an item as the parameters of an update say.
///
/// # Errors
/// Those of an unknown price or tax rate; nothing has changed then.
pub(crate) fn apply(
    account: &mut Account,
    id: &str,
    params: Params<'_>,
) -> Result<(), StripeError> {
    let Some(mut own) = account.billing.invoice_items.get(id).cloned() else {
        return Ok(());
    };
    let priced = params.is_given("pricing") || params.is_given("price_data");
    if priced || params.is_given("unit_amount_decimal") || params.is_given("quantity") {
        let same = own.price.as_ref().map(|price| price.price.clone());
        let quantity = params.integer("quantity").unwrap_or(own.quantity);
        let given = read_price(account, params, "")?.or(same);
        let price = given.and_then(|id| account.prices.get(&id)).cloned();
        let unit = params.decimal("unit_amount_decimal");
        match (&price, unit) {
            (_, Some(unit)) => own.amount = unit.times(quantity).round(),
            (Some(price), None) => own.set_price(price, quantity),
            (None, None) => {
                own.amount = Decimal::from_int(own.amount)
                    .fraction(quantity, own.quantity.max(1))
                    .round();
            }
        }
        own.quantity = quantity;
    }
    own.amount = params.integer("amount").unwrap_or(own.amount);
    params.patch("description").apply(&mut own.description);
    own.discountable = params.boolean("discountable").unwrap_or(own.discountable);
    params.merge_metadata(&mut own.metadata);
    if params.is_given("tax_rates") {
        own.tax_rates = subscriptions::tax_rates(account, params, "tax_rates", "tax_rates")?;
    }
    if let Some(period) = params.child("period") {
        own.period.start = period.integer("start").unwrap_or(own.period.start);
        own.period.end = period.integer("end").unwrap_or(own.period.end);
    }
    account.billing.invoice_items.insert(own);
    Ok(())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    check_editable(ctx.account, &own)?;
    let last = render::invoice_item(&own, ctx.account);
    let invoice = own.invoice.clone();
    if let Some(mut item) = ctx.account.billing.invoice_items.get_mut(&own.id) {
        item.deleted = true;
        item.invoice = None;
    }
    if let Some(invoice) = invoice {
        relist(ctx.account, &invoice);
    }
    ctx.account.emit("invoiceitem.deleted", &last);
    Ok(deleted("invoiceitem", &own.id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (customer, invoice) = (params.text("customer"), params.text("invoice"));
    let pending = params.boolean("pending");
    let key = match (invoice, customer) {
        (Some(id), _) => Some(("invoice", id)),
        (None, Some(id)) => Some(("customer", id)),
        (None, None) => None,
    };
    let keep = |own: &InvoiceItem| {
        customer.is_none_or(|customer| own.customer == customer)
            && pending.is_none_or(|pending| own.invoice.is_none() == pending)
    };
    let render = |own: &InvoiceItem| render::invoice_item(own, ctx.account);
    let store = &ctx.account.billing.invoice_items;
    let page = list::list(ctx, params, store, "invoiceitem", key, keep, render)?;
    Ok(page.into())
}
