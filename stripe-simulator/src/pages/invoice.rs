//! The hosted invoice page, and the invoice as a PDF.

use serde_json::{Map, Value, json};

use super::card_form::inputs;
use super::html::{error_line, escape, not_found, page};
use super::pdf::{PAGE_HEIGHT, Text, document};
use super::{Fields, account_with, redirect};
use crate::account::Account;
use crate::currency::Currency;
use crate::front::HttpResponse;
use crate::front::router::Method;
use crate::world::{World, lock};

/// An invoice as the pages show it.
struct Sheet {
    id: String,
    title: String,
    status: String,
    /// Label and amount of each line.
    lines: Vec<(String, String)>,
    /// Label and amount of each sum.
    sums: Vec<(&'static str, String)>,
    payable: bool,
    intent: Option<String>,
    from: String,
    to: String,
    page: String,
    pdf: String,
}

pub(super) fn show(world: &World, owner: &str, token: &str) -> HttpResponse {
    with_sheet(world, owner, token, |_, sheet| render(sheet, None))
}

pub(super) fn submit(world: &World, owner: &str, token: &str, fields: &Fields) -> HttpResponse {
    with_sheet(world, owner, token, |account, sheet| {
        if !sheet.payable {
            return redirect(&sheet.page);
        }
        match account.pay_sheet(sheet, fields) {
            Ok(next) => redirect(&next),
            Err(message) => render(sheet, Some(&message)),
        }
    })
}

pub(super) fn pdf(world: &World, owner: &str, token: &str) -> HttpResponse {
    with_sheet(world, owner, token, |_, sheet| {
        let name = format!("inline; filename=\"{}.pdf\"", sheet.id);
        HttpResponse {
            status: 200,
            content_type: "application/pdf",
            headers: vec![("Content-Disposition", name)],
            body: document(&sheet.title, &layout(sheet)),
        }
    })
}

fn with_sheet(
    world: &World,
    owner: &str,
    token: &str,
    run: impl FnOnce(&mut Account, &Sheet) -> HttpResponse,
) -> HttpResponse {
    let id = format!("in_{token}");
    let known = |account: &Account| account.id == owner && account.billing.invoices.contains(&id);
    let Some(account) = account_with(world, known) else {
        return not_found();
    };
    let mut account = lock(&account);
    account.run_due();
    account.act_on(None);
    let customer = account
        .billing
        .invoices
        .get(&id)
        .map(|invoice| invoice.customer.clone());
    if let Some(customer) = customer {
        account.act_for(&customer);
    }
    let sheet = account
        .render(&id)
        .and_then(|invoice| Sheet::of(&account, &invoice));
    let response = sheet.map_or_else(not_found, |sheet| run(&mut account, &sheet));
    account.act_on(None);
    response
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn integer(object: &Value, name: &str) -> i64 {
    object.get(name).and_then(Value::as_i64).unwrap_or_default()
}

impl Sheet {
    /// None for a draft: it has no page yet.
    fn of(account: &Account, invoice: &Value) -> Option<Self> {
        let page = invoice.get("hosted_invoice_url")?.as_str()?.to_owned();
        let currency = Currency::parse(text(invoice, "currency"), "currency").ok()?;
        let show = |amount: i64| currency.display(amount);
        let id = text(invoice, "id").to_owned();
        let intent = account.billing.invoices.get(&id)?.payment_intent.clone();
        let lines = account.billing.invoices.get(&id)?.lines.iter().map(|line| {
            let rendered = crate::billing::render::line(line, account.billing.invoices.get(&id)?);
            Some((
                text(&rendered, "description").to_owned(),
                show(integer(&rendered, "amount")),
            ))
        });
        let status = text(invoice, "status").to_owned();
        let remaining = integer(invoice, "amount_remaining");
        Some(Self {
            title: format!("Invoice {}", text(invoice, "number")),
            lines: lines.collect::<Option<Vec<_>>>()?,
            sums: vec![
                ("Subtotal", show(integer(invoice, "subtotal"))),
                ("Total", show(integer(invoice, "total"))),
                ("Amount paid", show(integer(invoice, "amount_paid"))),
                ("Amount due", show(remaining)),
            ],
            payable: status == "open" && remaining > 0,
            intent,
            from: account.settings.business_name.clone(),
            to: [
                text(invoice, "customer_name"),
                text(invoice, "customer_email"),
            ]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", "),
            pdf: text(invoice, "invoice_pdf").to_owned(),
            page,
            status,
            id,
        })
    }
}

impl Account {
    /// Pays with what the form names. Answers where the browser goes next.
    fn pay_sheet(&mut self, sheet: &Sheet, fields: &Fields) -> Result<String, String> {
        let words = |error: crate::front::errors::StripeError| error.message().to_owned();
        let method = self.method_of_form(fields).map_err(words)?;
        let Some(intent) = &sheet.intent else {
            let mut params = Map::new();
            params.insert("payment_method".to_owned(), method.into());
            self.call(
                Method::Post,
                &format!("/v1/invoices/{}/pay", sheet.id),
                &params,
            )
            .map_err(words)?;
            return Ok(sheet.page.clone());
        };
        let params = json!({
            "payment_method": method,
            "return_url": sheet.page,
            "mandate_data": { "customer_acceptance": { "type": "online" } },
        });
        let path = format!("/v1/payment_intents/{intent}/confirm");
        let params = params.as_object().cloned().unwrap_or_default();
        let confirmed = self.call(Method::Post, &path, &params).map_err(words)?;
        if text(&confirmed, "status") == "requires_action" {
            return Ok(self.authentication_url(intent));
        }
        Ok(sheet.page.clone())
    }
}

fn render(sheet: &Sheet, message: Option<&str>) -> HttpResponse {
    let mut rows = String::new();
    let amounts = sheet
        .lines
        .iter()
        .map(|(label, amount)| (label.as_str(), amount));
    for (label, amount) in amounts.chain(sheet.sums.iter().map(|(label, amount)| (*label, amount)))
    {
        rows.push_str("<tr><td>");
        rows.push_str(&escape(label));
        rows.push_str("</td><td class=\"amount\">");
        rows.push_str(&escape(amount));
        rows.push_str("</td></tr>");
    }
    let form = if sheet.payable {
        let types = ["card", "us_bank_account", "sepa_debit"].map(str::to_owned);
        format!(
            "<form method=\"post\">{}<button>Pay</button></form>",
            inputs(&types)
        )
    } else {
        String::new()
    };
    let body = format!(
        "{}<p>From {} to {}: {}</p><table>{rows}</table>{form}<p><a href=\"{}\">PDF</a></p>",
        error_line(message),
        escape(&sheet.from),
        escape(&sheet.to),
        escape(&sheet.status),
        escape(&sheet.pdf),
    );
    page(200, &sheet.title, &body)
}

/// The top margin's lower edge, the first line's height, and how many rows fit on a page.
const TOP: u32 = PAGE_HEIGHT - 60;
const ROW: u32 = 18;
const ROWS: usize = 34;

fn layout(sheet: &Sheet) -> Vec<Vec<Text>> {
    let rows: Vec<(&str, &str, bool)> = sheet
        .lines
        .iter()
        .map(|(label, amount)| (label.as_str(), amount.as_str(), false))
        .chain(
            sheet
                .sums
                .iter()
                .map(|(label, amount)| (*label, amount.as_str(), true)),
        )
        .collect();
    let head = [
        (sheet.title.clone(), 20, true),
        (format!("From: {}", sheet.from), 11, false),
        (format!("To: {}", sheet.to), 11, false),
        (format!("Status: {}", sheet.status), 11, false),
    ];
    let mut pages = Vec::new();
    for chunk in rows.chunks(ROWS) {
        let mut page = Vec::new();
        let mut y = TOP;
        if pages.is_empty() {
            for (text, size, bold) in head.clone() {
                page.push(Text {
                    x: 50,
                    y,
                    size,
                    bold,
                    words: text,
                });
                y = y.saturating_sub(ROW + 4);
            }
            y = y.saturating_sub(ROW);
        }
        for (label, amount, bold) in chunk {
            let label: String = label.chars().take(75).collect();
            page.push(Text {
                x: 50,
                y,
                size: 10,
                bold: *bold,
                words: label,
            });
            let amount = (*amount).to_owned();
            page.push(Text {
                x: 470,
                y,
                size: 10,
                bold: *bold,
                words: amount,
            });
            y = y.saturating_sub(ROW);
        }
        pages.push(page);
    }
    pages
}
