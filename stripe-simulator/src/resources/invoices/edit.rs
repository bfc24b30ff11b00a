//! What a create or update call sets on an invoice.

use serde_json::Value;

use crate::account::Account;
use crate::billing::discounts::{self, Owner};
use crate::billing::invoice_model::{Invoice, InvoiceStatus};
use crate::billing::invoicing;
use crate::billing::model::CollectionMethod;
use crate::front::errors::StripeError;
use crate::params::{Params, Patch};
use crate::resources::subscriptions;

/// Applies the parameters that creation and update share.
pub(crate) fn apply(
    account: &mut Account,
    invoice: &mut Invoice,
    params: Params<'_>,
) -> Result<(), StripeError> {
    invoice.auto_advance = params
        .boolean("auto_advance")
        .unwrap_or(invoice.auto_advance);
    if let Some(at) = params.integer("automatically_finalizes_at") {
        invoice.automatically_finalizes_at = Some(at);
        invoice.auto_advance = true;
    }
    if let Some(tax) = params.child("automatic_tax") {
        invoice.automatic_tax = tax.boolean("enabled").unwrap_or(false);
    }
    if let Some(method) = params.text("default_payment_method") {
        account.check_owned_method(method, &invoice.customer, "default_payment_method")?;
    }
    params
        .patch("default_payment_method")
        .apply(&mut invoice.default_payment_method);
    params
        .patch("default_source")
        .apply(&mut invoice.default_source);
    params.patch("description").apply(&mut invoice.description);
    params.patch("footer").apply(&mut invoice.footer);
    params
        .patch("statement_descriptor")
        .apply(&mut invoice.statement_descriptor);
    params.patch("number").apply(&mut invoice.number);
    params.merge_metadata(&mut invoice.metadata);
    if params.is_given("default_tax_rates") {
        invoice.default_tax_rates =
            subscriptions::tax_rates(account, params, "default_tax_rates", "default_tax_rates")?;
    }
    if let Some(at) = params.integer("effective_at") {
        invoice.effective_at = Some(at);
    }
    for (name, place) in [
        ("custom_fields", &mut invoice.custom_fields),
        ("account_tax_ids", &mut invoice.account_tax_ids),
    ] {
        match params.raw(name) {
            None => {}
            Some(Value::Array(list)) => *place = Value::Array(list.clone()),
            Some(_) => *place = Value::Null,
        }
    }
    settings(invoice, params);
    collection(account, invoice, params)?;
    if params.is_given("discounts") {
        let owner = Owner::Invoice(invoice.id.clone());
        let entries = params.children("discounts");
        let customer = invoice.customer.clone();
        invoice.discounts =
            discounts::redeem_all(account, &entries, &owner, Some(&customer), invoice.currency)?;
    }
    Ok(())
}

fn settings(invoice: &mut Invoice, params: Params<'_>) {
    if let (Some(given), Value::Object(own)) = (
        params.child("payment_settings"),
        &mut invoice.payment_settings,
    ) {
        for (name, value) in given.map() {
            let value = if value.as_str() == Some("") {
                Value::Null
            } else {
                value.clone()
            };
            own.insert(name.clone(), value);
        }
    }
    if let Patch::Set(rendering) = params.patch_child("rendering") {
        let page = rendering.child("pdf").and_then(|pdf| pdf.text("page_size"));
        invoice.rendering = serde_json::json!({
            "amount_tax_display": rendering.text("amount_tax_display"),
            "pdf": { "page_size": page.unwrap_or("auto") },
            "template": rendering.text("template"),
            "template_version": rendering.integer("template_version"),
        });
    }
}

fn collection(
    account: &Account,
    invoice: &mut Invoice,
    params: Params<'_>,
) -> Result<(), StripeError> {
    if let Some(method) = params.text("collection_method") {
        invoice.collection_method = CollectionMethod::parse(method);
    }
    let sends = invoice.collection_method == CollectionMethod::SendInvoice;
    let (days, date) = (params.integer("days_until_due"), params.integer("due_date"));
    if !sends && (days.is_some() || date.is_some()) {
        return Err(StripeError::invalid(
            "You can only set `days_until_due` or `due_date` if `collection_method` is `send_invoice`.",
        )
        .param(if days.is_some() { "days_until_due" } else { "due_date" }));
    }
    if sends
        && days.is_none()
        && date.is_none()
        && invoice.days_until_due.is_none()
        && invoice.due_date.is_none()
    {
        return Err(StripeError::invalid(
            "If you set `collection_method` to `send_invoice`, you must also set one of the following parameters: `days_until_due`, `due_date`.",
        )
        .code("parameter_missing")
        .param("days_until_due"));
    }
    if let Some(days) = days {
        invoice.days_until_due = Some(days);
        invoice.due_date = Some(super::due_in(account, days));
    }
    if let Some(date) = date {
        invoice.due_date = Some(date);
    }
    Ok(())
}

/// A draft that replaces a finalized invoice (`from_invoice`).
pub(crate) fn revision(account: &mut Account, id: &str) -> Result<String, StripeError> {
    let old = account.billing.invoices.get(id).cloned();
    let old = old.ok_or_else(|| StripeError::no_such_in("invoice", id, "from_invoice[invoice]"))?;
    if !matches!(
        old.status,
        InvoiceStatus::Open | InvoiceStatus::Uncollectible
    ) {
        return Err(
            StripeError::invalid("Only open or uncollectible invoices can be revised.")
                .code("invoice_not_open")
                .param("from_invoice[invoice]"),
        );
    }
    account.act_for(&old.customer);
    let blank = invoicing::blank(account, &old.customer, old.currency, "manual");
    let mut lines = old.lines.clone();
    for line in &mut lines {
        line.id = account.ids.long("il_");
    }
    let revised = Invoice {
        lines,
        subscription: old.subscription.clone(),
        subscription_metadata: old.subscription_metadata.clone(),
        collection_method: old.collection_method,
        days_until_due: old.days_until_due,
        default_tax_rates: old.default_tax_rates.clone(),
        discounts: old.discounts.clone(),
        description: old.description.clone(),
        footer: old.footer.clone(),
        metadata: old.metadata.clone(),
        revises: Some(old.id.clone()),
        auto_advance: false,
        ..blank
    };
    let revised = invoicing::store_draft(account, revised);
    account.change_invoice(id, |own| own.latest_revision = Some(revised.clone()));
    Ok(revised)
}
