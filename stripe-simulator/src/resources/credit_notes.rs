//! Credit notes: <https://docs.stripe.com/api/credit_notes>.

use serde_json::{Value, json};

use crate::account::Account;
use crate::billing::credit_notes::{self, CreditLine, CreditNote, Give};
use crate::billing::invoice_model::{Invoice, InvoiceStatus};
use crate::billing::render::line_tax;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "credit_note",
    prefixes: &["cn_"],
    routes: &[
        Route::post("/v1/credit_notes", "credit_note", create),
        Route::get("/v1/credit_notes", "credit_note", list_all),
        Route::get("/v1/credit_notes/preview", "credit_note", preview),
        Route::get("/v1/credit_notes/{id}", "credit_note", retrieve),
        Route::post("/v1/credit_notes/{id}", "credit_note", update),
        Route::post("/v1/credit_notes/{id}/void", "credit_note", void),
        Route::get("/v1/credit_notes/{credit_note}/lines", "credit_note", lines),
    ],
    find: |account, id| {
        account
            .billing
            .credit_notes
            .get(id)
            .map(|own| render(own, account))
    },
    all: |account| {
        let all = account.billing.credit_notes.oldest_first();
        all.map(|own| render(own, account)).collect()
    },
    includes: &[],
};

fn render_line(line: &CreditLine, livemode: bool) -> Value {
    let kind = if line.invoice_line.is_some() {
        "invoice_line_item"
    } else {
        "custom_line_item"
    };
    let whole = line
        .unit_amount
        .as_deref()
        .and_then(|unit| unit.parse::<i64>().ok());
    json!({
        "id": line.id,
        "object": "credit_note_line_item",
        "amount": line.amount,
        "description": line.description,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": line.invoice_line,
        "livemode": livemode,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": line.quantity,
        "tax_rates": [],
        "taxes": line.taxes.iter().map(line_tax).collect::<Vec<_>>(),
        "type": kind,
        "unit_amount": whole,
        "unit_amount_decimal": line.unit_amount,
    })
}

fn render_refund((id, amount): &(String, i64)) -> Value {
    json!({
        "amount_refunded": amount,
        "payment_record_refund": null,
        "refund": id,
        "type": "refund",
    })
}

fn render(own: &CreditNote, account: &Account) -> Value {
    let kind = match (own.pre_payment > 0, own.post_payment > 0) {
        (true, true) => "mixed",
        (false, true) => "post_payment",
        _ => "pre_payment",
    };
    let subtotal = own
        .lines
        .iter()
        .map(|line| line.amount)
        .fold(0, i64::saturating_add);
    let inside = |line: &CreditLine| -> i64 {
        line.taxes
            .iter()
            .filter(|tax| tax.inclusive)
            .map(|tax| tax.amount)
            .sum()
    };
    let net = subtotal - own.lines.iter().map(inside).sum::<i64>();
    let lines: Vec<Value> = own
        .lines
        .iter()
        .map(|line| render_line(line, own.livemode))
        .collect();
    let taxes: Vec<Value> = own
        .lines
        .iter()
        .flat_map(|line| &line.taxes)
        .map(line_tax)
        .collect();
    json!({
        "id": own.id,
        "object": "credit_note",
        "amount": own.total(),
        "amount_shipping": 0,
        "created": own.created,
        "currency": own.currency,
        "customer": own.customer,
        "customer_account": null,
        "customer_balance_transaction": own.balance_transaction,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": own.effective_at,
        "invoice": own.invoice,
        "lines": list::embedded(format!("/v1/credit_notes/{}/lines", own.id), lines, own.lines.len()),
        "livemode": own.livemode,
        "memo": own.memo,
        "metadata": own.metadata,
        "number": own.number,
        "out_of_band_amount": (own.out_of_band > 0).then_some(own.out_of_band),
        "pdf": format!("{}/credit_notes/{}/{}/pdf", account.base_url, account.id, own.id),
        "post_payment_amount": own.post_payment,
        "pre_payment_amount": own.pre_payment,
        "pretax_credit_amounts": [],
        "reason": own.reason,
        "refunds": own.refunds.iter().map(render_refund).collect::<Vec<_>>(),
        "shipping_cost": null,
        "status": if own.voided_at.is_none() { "issued" } else { "void" },
        "subtotal": subtotal,
        "subtotal_excluding_tax": net,
        "total": own.total(),
        "total_excluding_tax": net,
        "total_taxes": taxes,
        "type": kind,
        "voided_at": own.voided_at,
    })
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account.render(id).unwrap_or_default().into()
}

/// Reads a credit note out of its parameters, and where the money goes.
fn read(
    account: &mut Account,
    params: Params<'_>,
) -> Result<(CreditNote, Invoice, Give), StripeError> {
    let id = params.required("invoice")?;
    let invoice = account
        .billing
        .invoices
        .get(id)
        .filter(|own| !own.deleted)
        .cloned();
    let invoice = invoice.ok_or_else(|| StripeError::no_such_in("invoice", id, "invoice"))?;
    account.act_for(&invoice.customer);
    if !matches!(invoice.status, InvoiceStatus::Open | InvoiceStatus::Paid) {
        return Err(StripeError::invalid(
            "Credit notes can only be created for invoices that are open or paid.",
        )
        .code("invoice_not_open")
        .param("invoice"));
    }
    let lines = read_lines(account, &invoice, params)?;
    let mut give = Give {
        refund: params.integer("refund_amount").unwrap_or(0),
        credit: params.integer("credit_amount").unwrap_or(0),
        out_of_band: params.integer("out_of_band_amount").unwrap_or(0),
        refunds: Vec::new(),
    };
    for entry in params.children("refunds") {
        let refund = entry.required("refund")?;
        let own = account.payments.refunds.get(refund);
        let own = own.ok_or_else(|| StripeError::no_such_in("refund", refund, "refunds"))?;
        give.refunds.push((
            refund.to_owned(),
            entry.integer("amount_refunded").unwrap_or(own.amount),
        ));
    }
    let now = account.now();
    let count = account
        .billing
        .credit_notes
        .by_key("invoice", &invoice.id)
        .count()
        + 1;
    let mut note = CreditNote {
        id: account.ids.long("cn_"),
        created: now,
        currency: invoice.currency,
        customer: invoice.customer.clone(),
        invoice: invoice.id.clone(),
        number: format!(
            "{}-CN-{count:02}",
            invoice.number.as_deref().unwrap_or_default()
        ),
        lines,
        memo: params.owned("memo"),
        reason: params.owned("reason"),
        metadata: params.metadata(),
        effective_at: params.integer("effective_at").unwrap_or(now),
        pre_payment: 0,
        post_payment: 0,
        out_of_band: give.out_of_band,
        refunds: Vec::new(),
        balance_transaction: None,
        voided_at: None,
        livemode: account.livemode,
    };
    (note.pre_payment, note.post_payment) =
        credit_notes::split(account, &invoice, note.total(), &give)?;
    Ok((note, invoice, give))
}

fn read_lines(
    account: &mut Account,
    invoice: &Invoice,
    params: Params<'_>,
) -> Result<Vec<CreditLine>, StripeError> {
    let given = params.children("lines");
    if given.is_empty() {
        let spread = ["refund_amount", "credit_amount", "out_of_band_amount"];
        let sum: i64 = spread.iter().filter_map(|name| params.integer(name)).sum();
        let amount = params.integer("amount").or((sum > 0).then_some(sum));
        let amount = amount.ok_or_else(|| StripeError::missing_param("amount"))?;
        return Ok(vec![custom(account, amount, None)]);
    }
    let mut lines = Vec::new();
    for (index, entry) in given.into_iter().enumerate() {
        let quantity = entry.integer("quantity");
        let unit = entry.decimal("unit_amount_decimal");
        let unit = unit.or_else(|| entry.integer("unit_amount").map(Decimal::from_int));
        let priced = unit.map(|unit| unit.times(quantity.unwrap_or(1)).round());
        let asked = entry.integer("amount").or(priced);
        if entry.text("type") == Some("custom_line_item") {
            let amount = asked.ok_or_else(|| {
                StripeError::missing_param(&format!("lines[{index}][unit_amount]"))
            })?;
            let mut line = custom(account, amount, entry.owned("description"));
            line.quantity = quantity;
            line.unit_amount = unit.map(|unit| unit.to_string());
            lines.push(line);
            continue;
        }
        let param = format!("lines[{index}][invoice_line_item]");
        let id = entry
            .text("invoice_line_item")
            .ok_or_else(|| StripeError::missing_param(&param))?;
        let billed = invoice.lines.iter().find(|line| line.id == id);
        let billed =
            billed.ok_or_else(|| StripeError::no_such_in("invoice line item", id, &param))?;
        let of_quantity = quantity.map(|quantity| {
            let all = billed.quantity.unwrap_or(1).max(1);
            Decimal::from_int(billed.discounted())
                .fraction(quantity, all)
                .round()
        });
        let amount = asked.or(of_quantity).unwrap_or_else(|| billed.discounted());
        lines.push(CreditLine {
            id: account.ids.long("cnli_"),
            amount,
            description: billed.description.clone(),
            invoice_line: Some(billed.id.clone()),
            quantity,
            unit_amount: unit.map(|unit| unit.to_string()),
            taxes: credit_notes::share_of_taxes(&billed.taxes, amount, billed.discounted().max(1)),
        });
    }
    Ok(lines)
}

fn custom(account: &mut Account, amount: i64, description: Option<String>) -> CreditLine {
    CreditLine {
        id: account.ids.long("cnli_"),
        amount,
        description,
        invoice_line: None,
        quantity: None,
        unit_amount: None,
        taxes: Vec::new(),
    }
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (note, invoice, give) = read(ctx.account, params)?;
    let id = credit_notes::issue(ctx.account, note, &invoice, &give)?;
    Ok(answer(ctx, &id))
}

fn preview(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (note, _, _) = read(ctx.account, params)?;
    Ok(render(&note, ctx.account).into())
}

fn of_path(ctx: &mut Ctx<'_>, arg: &str) -> Result<CreditNote, StripeError> {
    let id = ctx.arg(arg).to_owned();
    let own = ctx.account.billing.credit_notes.get(&id).cloned();
    let own = own.ok_or_else(|| StripeError::no_such("credit note", &id, "id"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx, "id")?;
    Ok(answer(ctx, &own.id))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx, "id")?;
    let before = render(&own, ctx.account);
    if let Some(mut note) = ctx.account.billing.credit_notes.get_mut(&own.id) {
        params.patch("memo").apply(&mut note.memo);
        params.merge_metadata(&mut note.metadata);
    }
    let after = ctx.account.render(&own.id).unwrap_or_default();
    ctx.account
        .emit_updated("credit_note.updated", &before, &after);
    Ok(after.into())
}

fn void(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx, "id")?;
    if own.voided_at.is_some() || own.post_payment > 0 {
        return Err(StripeError::invalid(
            "You can only void issued credit notes of open invoices.",
        ));
    }
    credit_notes::void(ctx.account, &own.id);
    Ok(answer(ctx, &own.id))
}

fn lines(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx, "credit_note")?;
    let limit = list::limit(params)?;
    let data: Vec<Value> = own
        .lines
        .iter()
        .take(limit)
        .map(|line| render_line(line, own.livemode))
        .collect();
    let has_more = own.lines.len() > data.len();
    Ok(
        json!({ "object": "list", "data": data, "has_more": has_more, "url": ctx.request.path })
            .into(),
    )
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (invoice, customer) = (params.text("invoice"), params.text("customer"));
    let key = match (invoice, customer) {
        (Some(id), _) => Some(("invoice", id)),
        (None, Some(id)) => Some(("customer", id)),
        (None, None) => None,
    };
    let keep = |own: &CreditNote| customer.is_none_or(|customer| own.customer == customer);
    let render = |own: &CreditNote| render(own, ctx.account);
    let store = &ctx.account.billing.credit_notes;
    let page = list::list(ctx, params, store, "credit note", key, keep, render)?;
    Ok(page.into())
}
