//! Lines of a draft: listed, added, changed and removed.

use serde_json::{Value, json};

use super::{answer, of_path};
use crate::account::Account;
use crate::billing::invoice_model::{Invoice, InvoiceStatus};
use crate::billing::render;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply};
use crate::params::Params;
use crate::resources::invoice_items;

pub(super) fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    let limit = list::limit(params)?;
    let start = match params.text("starting_after") {
        Some(cursor) => own
            .lines
            .iter()
            .position(|line| line.id == cursor)
            .map(|at| at + 1),
        None => Some(0),
    };
    let start = start.ok_or_else(|| {
        let cursor = params.text("starting_after").unwrap_or_default();
        StripeError::no_such_in("line item", cursor, "starting_after")
    })?;
    let rest = own.lines.iter().skip(start);
    let has_more = own.lines.len() > start + limit;
    let data: Vec<Value> = rest
        .take(limit)
        .map(|line| render::line(line, &own))
        .collect();
    Ok(json!({
        "object": "list",
        "data": data,
        "has_more": has_more,
        "url": ctx.request.path,
    })
    .into())
}

/// The draft that the path names.
fn draft(ctx: &mut Ctx<'_>) -> Result<Invoice, StripeError> {
    let own = of_path(ctx)?;
    if own.status == InvoiceStatus::Draft {
        return Ok(own);
    }
    Err(
        StripeError::invalid("You can only change the lines of a draft invoice.")
            .code("invoice_not_editable"),
    )
}

pub(super) fn add(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = draft(ctx)?;
    let account = &mut *ctx.account;
    let mut made = Vec::new();
    for (index, entry) in params.children("lines").into_iter().enumerate() {
        let prefix = format!("lines[{index}]");
        if let Some(id) = entry.text("invoice_item") {
            let item = account.billing.invoice_items.get(id);
            let item = item
                .filter(|item| item.invoice.is_none() && !item.deleted)
                .cloned();
            let param = format!("{prefix}[invoice_item]");
            made.push(item.ok_or_else(|| StripeError::no_such_in("invoiceitem", id, &param))?);
        } else {
            made.push(invoice_items::read(
                account,
                entry,
                &own.customer,
                own.currency,
                &prefix,
            )?);
        }
    }
    for mut item in made {
        item.invoice = Some(own.id.clone());
        account.billing.invoice_items.insert(item);
    }
    finish(ctx, &own, params)
}

/// Reckons the draft anew and answers it.
fn finish(ctx: &mut Ctx<'_>, own: &Invoice, params: Params<'_>) -> Reply {
    if let Some(metadata) = params.child("invoice_metadata") {
        ctx.account.change_invoice(&own.id, |own| {
            for (key, value) in metadata.map() {
                let text = value.as_str().unwrap_or_default().to_owned();
                own.metadata.insert(key.clone(), text);
            }
        });
    }
    invoice_items::relist(ctx.account, &own.id);
    Ok(answer(ctx, &own.id))
}

/// The invoice item behind a line; lines of a subscription have none and stay as they are.
fn item_of(own: &Invoice, line: &str, param: &str) -> Result<String, StripeError> {
    let line_of = own.lines.iter().find(|own| own.id == line);
    let found = line_of.ok_or_else(|| StripeError::no_such_in("line item", line, param))?;
    found.invoice_item.clone().ok_or_else(|| {
        StripeError::invalid("The lines of a subscription cannot be changed.").param(param)
    })
}

pub(super) fn remove(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = draft(ctx)?;
    let mut wanted = Vec::new();
    for (index, entry) in params.children("lines").into_iter().enumerate() {
        let param = format!("lines[{index}][id]");
        let item = item_of(&own, entry.required("id")?, &param)?;
        wanted.push((item, entry.text("behavior") == Some("delete")));
    }
    for (id, delete) in wanted {
        if let Some(mut item) = ctx.account.billing.invoice_items.get_mut(&id) {
            item.invoice = None;
            item.deleted = delete;
        }
    }
    finish(ctx, &own, params)
}

/// Changes an invoice item as the parameters of its line say.
fn change(
    account: &mut Account,
    own: &Invoice,
    line: &str,
    entry: Params<'_>,
    param: &str,
) -> Result<(), StripeError> {
    let id = item_of(own, line, param)?;
    invoice_items::apply(account, &id, entry)
}

pub(super) fn update_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = draft(ctx)?;
    for (index, entry) in params.children("lines").into_iter().enumerate() {
        let param = format!("lines[{index}][id]");
        change(ctx.account, &own, entry.required("id")?, entry, &param)?;
    }
    finish(ctx, &own, params)
}

pub(super) fn update_one(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = draft(ctx)?;
    let line = ctx.arg("line_item_id").to_owned();
    change(ctx.account, &own, &line, params, "line_item_id")?;
    invoice_items::relist(ctx.account, &own.id);
    let changed = ctx.account.billing.invoices.get(&own.id);
    let shown = changed.and_then(|own| {
        let found = own.lines.iter().find(|own| own.id == line)?;
        Some(render::line(found, own))
    });
    Ok(shown.unwrap_or_default().into())
}
