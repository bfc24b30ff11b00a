//! `POST /v1/invoices/create_preview`.

use crate::account::Account;
use crate::billing::change::{self, How};
use crate::billing::create::{self, Beginning};
use crate::billing::discounts::{self, Owner};
use crate::billing::invoice_model::Invoice;
use crate::billing::model::{ProrationBehavior, Subscription};
use crate::billing::{invoicing, preview, prorate, render};
use crate::front::errors::StripeError;
use crate::front::router::{Ctx, Reply};
use crate::params::Params;
use crate::resources::{customers, invoice_items, subscriptions};

/// Shows what would be billed; keeps nothing.
pub(crate) fn create_preview(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let own = match params.text("subscription") {
        Some(id) => Some(subscriptions::named(account, id, "subscription")?),
        None => None,
    };
    let customer = match (&own, params.text("customer")) {
        (Some(own), _) => own.customer.clone(),
        (None, Some(customer)) => customers::named(account, customer, "customer")?.id.clone(),
        (None, None) => {
            return Err(StripeError::invalid(
                "You must provide one of `customer`, `customer_details`, `subscription` or `schedule`.",
            )
            .code("parameter_missing")
            .param("customer"));
        }
    };
    account.act_for(&customer);
    let details = params.child("subscription_details");
    let mut invoice = match (own, details) {
        (Some(own), details) => of_subscription(account, &own, details)?,
        (None, Some(details)) if !details.children("items").is_empty() => {
            of_new(account, &customer, details)?
        }
        (None, _) => of_pending(account, &customer, params)?,
    };
    for (index, item) in params.children("invoice_items").into_iter().enumerate() {
        let prefix = format!("invoice_items[{index}]");
        let item = invoice_items::read(account, item, &customer, invoice.currency, &prefix)?;
        let line = item.line(account.ids.long("il_"));
        invoice.lines.push(line);
    }
    if params.is_given("discounts") {
        let entries = params.children("discounts");
        invoice.discounts = discounts::redeem_all(
            account,
            &entries,
            &Owner::Nothing,
            Some(&customer),
            invoice.currency,
        )?;
    }
    if let Some(tax) = params.child("automatic_tax") {
        invoice.automatic_tax = tax.boolean("enabled").unwrap_or(false);
    }
    let invoice = preview::finish(account, invoice);
    Ok(render::invoice(&invoice, ctx.account).into())
}

fn of_subscription(
    account: &mut Account,
    own: &Subscription,
    details: Option<Params<'_>>,
) -> Result<Invoice, StripeError> {
    let Some(details) = details else {
        if own.status.is_ended() {
            return Err(none(&own.customer));
        }
        return Ok(preview::upcoming_unreckoned(account, own));
    };
    if details.boolean("cancel_now") == Some(true) {
        return Ok(of_cancellation(account, own, details));
    }
    let asked = subscriptions::apply_preview(account, own, details)?;
    let how = How {
        proration: ProrationBehavior::parse(details.text("proration_behavior")),
        proration_date: details.integer("proration_date"),
        anchor_now: asked.anchor_now,
        changes_items: asked.changes_items,
        ..How::default()
    };
    let bill = change::work_out(account, own, asked.wanted, how);
    Ok(preview::of_change(account, bill))
}

/// What canceling now would bill: the credit for unused time.
fn of_cancellation(account: &mut Account, own: &Subscription, details: Params<'_>) -> Invoice {
    let now = details
        .integer("proration_date")
        .unwrap_or_else(|| account.now());
    let mut invoice = invoicing::blank_for(account, own, "upcoming");
    if ProrationBehavior::parse(details.text("proration_behavior")) != ProrationBehavior::None {
        for item in &own.items {
            if let Some(credit) = prorate::unused_time(account, own, item, now) {
                let line = credit.line(account.ids.long("il_"));
                invoice.lines.push(line);
            }
        }
    }
    invoicing::take_pending_copy(account, &mut invoice);
    invoice
}

fn of_new(
    account: &mut Account,
    customer: &str,
    details: Params<'_>,
) -> Result<Invoice, StripeError> {
    let mut own = subscriptions::new_subscription(account, details, customer)?;
    let how = Beginning {
        proration: ProrationBehavior::parse(details.text("proration_behavior")),
        ..Beginning::default()
    };
    let mut invoice = create::first_invoice(account, &mut own, &how);
    invoicing::take_pending_copy(account, &mut invoice);
    // The subscription of a preview does not exist.
    invoice.subscription = None;
    for line in &mut invoice.lines {
        line.subscription = None;
    }
    Ok(invoice)
}

/// What the customer's pending items come to; the next renewal if there is a subscription.
fn of_pending(
    account: &mut Account,
    customer: &str,
    params: Params<'_>,
) -> Result<Invoice, StripeError> {
    let next = account
        .billing
        .subscriptions
        .by_key("customer", customer)
        .filter(|own| !own.status.is_ended())
        .min_by_key(|own| own.next_period_end())
        .cloned();
    if let Some(own) = next {
        return Ok(preview::upcoming_unreckoned(account, &own));
    }
    let bound = account.customers.get(customer).and_then(|own| own.currency);
    let currency = match params.text("currency") {
        Some(code) => crate::currency::Currency::parse(code, "currency")?,
        None => bound.unwrap_or_else(|| account.default_currency()),
    };
    let mut invoice = invoicing::blank(account, customer, currency, "manual");
    invoicing::take_pending_copy(account, &mut invoice);
    if invoice.lines.is_empty() && params.children("invoice_items").is_empty() {
        return Err(none(customer));
    }
    Ok(invoice)
}

fn none(customer: &str) -> StripeError {
    StripeError::invalid(format!("No upcoming invoices for customer: {customer}"))
        .status(404)
        .code("invoice_upcoming_none")
}
