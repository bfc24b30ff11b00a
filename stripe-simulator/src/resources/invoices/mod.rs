//! Invoices: <https://docs.stripe.com/api/invoices>.

mod edit;
mod lines;
mod preview;

use serde_json::{Value, json};

use super::customers;
use super::shared::deleted;
use crate::account::Account;
use crate::billing::invoice_model::{Invoice, InvoiceStatus};
use crate::billing::model::CollectionMethod;
use crate::billing::payer::Attempt;
use crate::billing::{collect, discounts, invoicing, render, totals};
use crate::clock::DAY;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list::{self, Range};
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "invoice",
    prefixes: &["in_"],
    routes: &[
        Route::post("/v1/invoices", "invoice", create),
        Route::get("/v1/invoices", "invoice", list_all),
        Route::get("/v1/invoices/{invoice}", "invoice", retrieve),
        Route::post("/v1/invoices/{invoice}", "invoice", update),
        Route::delete("/v1/invoices/{invoice}", "invoice", delete),
        Route::post("/v1/invoices/{invoice}/finalize", "invoice", finalize),
        Route::post("/v1/invoices/{invoice}/pay", "invoice", pay),
        Route::post("/v1/invoices/{invoice}/void", "invoice", void),
        Route::post("/v1/invoices/{invoice}/send", "invoice", send),
        Route::post(
            "/v1/invoices/{invoice}/mark_uncollectible",
            "invoice",
            mark_uncollectible,
        ),
        Route::post(
            "/v1/invoices/create_preview",
            "invoice",
            preview::create_preview,
        ),
        Route::get("/v1/invoices/{invoice}/lines", "invoice", lines::list_all),
        Route::post("/v1/invoices/{invoice}/add_lines", "invoice", lines::add),
        Route::post(
            "/v1/invoices/{invoice}/update_lines",
            "invoice",
            lines::update_all,
        ),
        Route::post(
            "/v1/invoices/{invoice}/remove_lines",
            "invoice",
            lines::remove,
        ),
        Route::post(
            "/v1/invoices/{invoice}/lines/{line_item_id}",
            "invoice",
            lines::update_one,
        ),
    ],
    find: |account, id| account.render_invoice(id),
    all: |account| {
        let all = account.billing.invoices.oldest_first();
        all.map(|own| render::invoice(own, account)).collect()
    },
    includes: &[
        ("payments", payments),
        ("confirmation_secret", confirmation_secret),
    ],
};

fn payments(account: &Account, id: &str) -> Value {
    let store = &account.billing.invoice_payments;
    let data = store
        .by_key("invoice", id)
        .map(render::invoice_payment)
        .collect();
    let mut list = list::embedded(format!("/v1/invoice_payments?invoice={id}"), data, 0);
    render::extend(&mut list, json!({ "has_more": false }));
    list
}

/// The secret with which a client confirms the invoice's intent.
fn confirmation_secret(account: &Account, id: &str) -> Value {
    let invoice = account.billing.invoices.get(id);
    let secret = invoice
        .filter(|own| own.status == InvoiceStatus::Open)
        .and_then(|own| own.payment_intent.as_deref())
        .and_then(|intent| account.payments.payment_intents.get(intent))
        .map(|intent| json!({ "client_secret": intent.client_secret, "type": "payment_intent" }));
    secret.unwrap_or_default()
}

/// The invoice that the path names, its customer's clock being acted on.
pub(crate) fn of_path(ctx: &mut Ctx<'_>) -> Result<Invoice, StripeError> {
    let id = ctx.arg("invoice").to_owned();
    let own = ctx
        .account
        .billing
        .invoices
        .get(&id)
        .filter(|own| !own.deleted)
        .cloned();
    let own = own.ok_or_else(|| StripeError::no_such("invoice", &id, "invoice"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account.render_invoice(id).unwrap_or_default().into()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    if let Some(from) = params.child("from_invoice") {
        let revised = edit::revision(ctx.account, from.required("invoice")?)?;
        return Ok(answer(ctx, &revised));
    }
    let customer = params.required("customer")?.to_owned();
    let known = customers::named(ctx.account, &customer, "customer")?;
    let bound = known.currency;
    ctx.account.act_for(&customer);
    let currency = match params.text("currency") {
        Some(code) => Currency::parse(code, "currency")?,
        None => bound.unwrap_or_else(|| ctx.account.default_currency()),
    };
    let account = &mut *ctx.account;
    let mut invoice = match params.text("subscription") {
        Some(id) => {
            let own = super::subscriptions::named(account, id, "subscription")?;
            let mut invoice = invoicing::blank_for(account, &own, "manual");
            invoice.billing_reason = "subscription";
            invoice
        }
        None => invoicing::blank(account, &customer, currency, "manual"),
    };
    if invoice.subscription.is_none() {
        let at = account.now();
        invoice.discounts = discounts::of_customer(account, &customer, at);
    }
    invoice.auto_advance = false;
    edit::apply(account, &mut invoice, params)?;
    let includes = params.text("pending_invoice_items_behavior") == Some("include");
    if includes
        || (invoice.subscription.is_some()
            && params.text("pending_invoice_items_behavior") != Some("exclude"))
    {
        invoicing::take_pending(account, &mut invoice);
        if invoice.lines.is_empty() && invoice.subscription.is_some() {
            return Err(StripeError::invalid("Nothing to invoice for subscription")
                .code("invoice_no_subscription_line_items"));
        }
    }
    let advances = invoice.auto_advance;
    let at = invoice.automatically_finalizes_at;
    let id = invoicing::store_draft(account, invoice);
    if advances {
        let at = at.unwrap_or_else(|| account.now() + account.billing.settings.draft_seconds);
        invoicing::plan_finalization(account, &id, at);
    }
    Ok(answer(ctx, &id))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    Ok(answer(ctx, &own.id))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let old = of_path(ctx)?;
    let free = [
        "metadata",
        "auto_advance",
        "expand",
        "days_until_due",
        "due_date",
        "description",
        "default_payment_method",
        "payment_settings",
        "footer",
        "automatically_finalizes_at",
    ];
    let only_free = params
        .map()
        .keys()
        .all(|name| free.contains(&name.as_str()));
    if old.status != InvoiceStatus::Draft && !only_free {
        let code = "invoice_not_editable";
        return Err(
            StripeError::invalid("Finalized invoices can't be updated in this way").code(code),
        );
    }
    let mut invoice = old.clone();
    edit::apply(ctx.account, &mut invoice, params)?;
    let account = &mut *ctx.account;
    if invoice.status == InvoiceStatus::Draft {
        totals::reckon(account, &mut invoice);
    }
    let before = account.render_invoice(&old.id).unwrap_or_default();
    let advances = invoice.auto_advance && !old.auto_advance;
    let (status, at) = (invoice.status, invoice.automatically_finalizes_at);
    account.billing.invoices.insert(invoice);
    if let Some(after) = account.render_invoice(&old.id) {
        account.emit_updated("invoice.updated", &before, &after);
    }
    if status == InvoiceStatus::Draft && (advances || at != old.automatically_finalizes_at) {
        let at = at.unwrap_or_else(|| account.now() + account.billing.settings.draft_seconds);
        invoicing::plan_finalization(account, &old.id, at);
    }
    Ok(answer(ctx, &old.id))
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if own.status != InvoiceStatus::Draft {
        return Err(StripeError::invalid("You can only delete draft invoices.")
            .code("invoice_not_editable"));
    }
    if own.subscription.is_some() && own.billing_reason != "manual" {
        return Err(StripeError::invalid(
            "You can't delete invoices created by subscriptions.",
        ));
    }
    let last = ctx.account.render_invoice(&own.id).unwrap_or_default();
    for item in ctx
        .account
        .billing
        .invoice_items
        .ids_by_key("invoice", &own.id)
    {
        if let Some(mut item) = ctx.account.billing.invoice_items.get_mut(&item) {
            item.invoice = None;
        }
    }
    ctx.account
        .change_invoice(&own.id, |own| own.deleted = true);
    ctx.account.emit("invoice.deleted", &last);
    Ok(deleted("invoice", &own.id).into())
}

fn finalize(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if own.status != InvoiceStatus::Draft {
        return Err(StripeError::invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
        )
        .code("invoice_not_editable"));
    }
    if let Some(advance) = params.boolean("auto_advance") {
        ctx.account
            .change_invoice(&own.id, |own| own.auto_advance = advance);
    }
    invoicing::finalize(ctx.account, &own.id);
    let advances = ctx
        .account
        .billing
        .invoices
        .get(&own.id)
        .is_some_and(|own| own.auto_advance);
    if advances {
        // Stripe makes its first attempt about an hour after the invoice is finalized by hand.
        let at = ctx.now().saturating_add(3600);
        ctx.account.change_invoice(&own.id, |own| {
            if own.status == InvoiceStatus::Open
                && own.collection_method == CollectionMethod::ChargeAutomatically
            {
                own.next_payment_attempt = Some(at);
            }
        });
        crate::billing::dunning::plan_retry(ctx.account, &own.id, at);
    }
    Ok(answer(ctx, &own.id))
}

/// What Stripe answers to an action that needs an open invoice.
fn not_open(own: &Invoice, action: &str) -> StripeError {
    match own.status {
        InvoiceStatus::Paid if action == "pay" => {
            StripeError::invalid("Invoice is already paid").code("invoice_already_paid")
        }
        InvoiceStatus::Void if action == "pay" => {
            StripeError::invalid("Invoice is void").code("invoice_void")
        }
        status => StripeError::invalid(format!(
            "You can only pass in open invoices. This invoice isn't open. (status: {}, action: {action})",
            status.as_str()
        ))
        .code("invoice_not_open"),
    }
}

fn pay(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut own = of_path(ctx)?;
    if own.status == InvoiceStatus::Draft {
        invoicing::finalize(ctx.account, &own.id);
        own = of_path(ctx)?;
        if own.status == InvoiceStatus::Paid {
            return Ok(answer(ctx, &own.id));
        }
    }
    if !matches!(
        own.status,
        InvoiceStatus::Open | InvoiceStatus::Uncollectible
    ) {
        return Err(not_open(&own, "pay"));
    }
    if params.boolean("paid_out_of_band") == Some(true) {
        invoicing::settle(ctx.account, &own.id, true);
        return Ok(answer(ctx, &own.id));
    }
    let method = params.text("payment_method").or(params.text("source"));
    if let Some(method) = method {
        ctx.account
            .check_owned_method(method, &own.customer, "payment_method")?;
    }
    let off_session = params.boolean("off_session").unwrap_or(true);
    let outcome = collect::attempt(ctx.account, &own, method, off_session);
    if matches!(outcome, Attempt::NoMethod) {
        return Err(collect::no_method());
    }
    collect::conclude(ctx.account, &own.id, &outcome, false);
    match collect::refusal(outcome, "invoice") {
        Some(error) => Err(error),
        None => Ok(answer(ctx, &own.id)),
    }
}

fn void(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if !matches!(
        own.status,
        InvoiceStatus::Open | InvoiceStatus::Uncollectible
    ) {
        return Err(not_open(&own, "void"));
    }
    invoicing::void(ctx.account, &own.id);
    Ok(answer(ctx, &own.id))
}

fn mark_uncollectible(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if own.status != InvoiceStatus::Open {
        return Err(not_open(&own, "mark_uncollectible"));
    }
    invoicing::mark_uncollectible(ctx.account, &own.id, "user_forgiven");
    Ok(answer(ctx, &own.id))
}

fn send(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    if own.collection_method != CollectionMethod::SendInvoice {
        return Err(StripeError::invalid(
            "You can only manually send an invoice if its collection method is 'send_invoice'.",
        ));
    }
    match own.status {
        InvoiceStatus::Draft => invoicing::finalize(ctx.account, &own.id),
        InvoiceStatus::Open | InvoiceStatus::Paid => {}
        InvoiceStatus::Uncollectible | InvoiceStatus::Void => return Err(not_open(&own, "send")),
    }
    ctx.account.emit_invoice(&own.id, "invoice.sent");
    Ok(answer(ctx, &own.id))
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.text("customer");
    let subscription = params.text("subscription");
    let status = params.text("status");
    let method = params.text("collection_method");
    let due = Range::of(params, "due_date");
    let has_due = params.is_given("due_date");
    let key = match (subscription, customer, status) {
        (Some(id), _, _) => Some(("subscription", id)),
        (None, Some(id), _) => Some(("customer", id)),
        (None, None, Some(word)) => Some(("status", word)),
        (None, None, None) => None,
    };
    let keep = |own: &Invoice| {
        customer.is_none_or(|customer| own.customer == customer)
            && status.is_none_or(|status| own.status.as_str() == status)
            && method.is_none_or(|method| own.collection_method.as_str() == method)
            && (!has_due || own.due_date.is_some_and(|at| due.contains(at)))
    };
    let render = |own: &Invoice| render::invoice(own, ctx.account);
    let store = &ctx.account.billing.invoices;
    let page = list::list(ctx, params, store, "invoice", key, keep, render)?;
    Ok(page.into())
}

/// When an invoice sent today is due.
pub(crate) fn due_in(account: &Account, days: i64) -> i64 {
    account.now().saturating_add(days.saturating_mul(DAY))
}
