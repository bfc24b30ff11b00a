//! Credit notes: what is given back of a finalized invoice.

use super::invoice_model::{Invoice, InvoiceStatus, LineTax};
use super::invoicing;
use crate::account::Account;
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::params::Metadata;
use crate::payments::refund::RefundRequest;
use crate::resources::customer_balance_transactions::{Kind, adjust};
use crate::store::{Key, Stored};

/// A line of a credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreditLine {
    pub(crate) id: String,
    /// Before tax, in minor units.
    pub(crate) amount: i64,
    pub(crate) description: Option<String>,
    /// The invoice line it credits; none for a custom line.
    pub(crate) invoice_line: Option<String>,
    pub(crate) quantity: Option<i64>,
    pub(crate) unit_amount: Option<String>,
    pub(crate) taxes: Vec<LineTax>,
}

impl CreditLine {
    /// Tax included, in minor units.
    pub(crate) fn total(&self) -> i64 {
        let on_top = self
            .taxes
            .iter()
            .filter(|tax| !tax.inclusive)
            .map(|tax| tax.amount);
        on_top.fold(self.amount, i64::saturating_add)
    }
}

/// A credit note.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreditNote {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    pub(crate) customer: String,
    pub(crate) invoice: String,
    pub(crate) number: String,
    pub(crate) lines: Vec<CreditLine>,
    pub(crate) memo: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) effective_at: i64,
    /// What lessens the open invoice.
    pub(crate) pre_payment: i64,
    /// What is refunded, credited or settled elsewhere after payment.
    pub(crate) post_payment: i64,
    pub(crate) out_of_band: i64,
    /// Refund id and amount.
    pub(crate) refunds: Vec<(String, i64)>,
    pub(crate) balance_transaction: Option<String>,
    pub(crate) voided_at: Option<i64>,
    pub(crate) livemode: bool,
}

impl CreditNote {
    /// Tax included, in minor units.
    pub(crate) fn total(&self) -> i64 {
        self.lines
            .iter()
            .map(CreditLine::total)
            .fold(0, i64::saturating_add)
    }
}

impl Stored for CreditNote {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            ("customer", self.customer.clone()),
            ("invoice", self.invoice.clone()),
        ]
    }
}

/// Where a credit after payment goes, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Give {
    pub(crate) refund: i64,
    pub(crate) credit: i64,
    pub(crate) out_of_band: i64,
    /// Existing refunds that count: id and amount.
    pub(crate) refunds: Vec<(String, i64)>,
}

impl Give {
    fn total(&self) -> i64 {
        let linked = self.refunds.iter().map(|(_, amount)| *amount);
        linked.fold(
            self.refund + self.credit + self.out_of_band,
            i64::saturating_add,
        )
    }
}

/// The part of a line's taxes that falls on a part of its amount.
pub(crate) fn share_of_taxes(taxes: &[LineTax], part: i64, whole: i64) -> Vec<LineTax> {
    taxes
        .iter()
        .map(|tax| LineTax {
            amount: Decimal::from_int(tax.amount).fraction(part, whole).round(),
            taxable: Decimal::from_int(tax.taxable).fraction(part, whole).round(),
            ..tax.clone()
        })
        .collect()
}

/// What credit notes have given of an invoice so far.
pub(crate) fn credited(account: &Account, invoice: &str) -> i64 {
    let notes = account.billing.credit_notes.by_key("invoice", invoice);
    notes
        .filter(|own| own.voided_at.is_none())
        .map(CreditNote::total)
        .fold(0, i64::saturating_add)
}

/// Splits a credit note's total into what lessens the open invoice and what is given back.
///
/// # Errors
/// 400 when it exceeds the invoice, or the parts given do not sum up to what was paid.
pub(crate) fn split(
    account: &Account,
    invoice: &Invoice,
    total: i64,
    give: &Give,
) -> Result<(i64, i64), StripeError> {
    if total <= 0 {
        return Err(
            StripeError::invalid("The credit note amount must be greater than 0.").param("amount"),
        );
    }
    let room = invoice
        .totals
        .total
        .saturating_sub(credited(account, &invoice.id));
    if total > room {
        return Err(StripeError::invalid(format!(
            "The sum of credit amount, refund amount and out of band amount ({total}) must not exceed the remaining amount that can be credited ({room})."
        ))
        .code("amount_too_large")
        .param("amount"));
    }
    let pre = if invoice.status == InvoiceStatus::Open {
        total.min(invoice.amount_remaining())
    } else {
        0
    };
    let post = total - pre;
    if post != give.total() {
        return Err(StripeError::invalid(format!(
            "The sum of credit amount, refund amount and out of band amount must equal the post-payment amount of the credit note ({post})."
        ))
        .param("amount"));
    }
    Ok((pre, post))
}

/// Issues a credit note that [`split`] has admitted.
///
/// # Errors
/// Those of the refund, if one is asked for; nothing has changed then.
pub(crate) fn issue(
    account: &mut Account,
    mut note: CreditNote,
    invoice: &Invoice,
    give: &Give,
) -> Result<String, StripeError> {
    note.refunds.clone_from(&give.refunds);
    if give.refund > 0 {
        let charge = charge_of(account, invoice)?;
        let request = RefundRequest {
            amount: Some(give.refund),
            reason: None,
            metadata: Metadata::new(),
        };
        let refund = account.refund(&charge, request)?;
        note.refunds.push((refund, give.refund));
    }
    if give.credit > 0 {
        let kind = Kind::CreditNote {
            credit_note: note.id.clone(),
            invoice: invoice.id.clone(),
        };
        let transaction = adjust(account, &note.customer, -give.credit, note.currency, kind);
        note.balance_transaction = Some(transaction);
    }
    note.out_of_band = give.out_of_band;
    let (id, pre, post) = (note.id.clone(), note.pre_payment, note.post_payment);
    account.billing.credit_notes.insert(note);
    if let Some(object) = account.render(&id) {
        account.emit("credit_note.created", &object);
    }
    let before = account.render_invoice(&invoice.id).unwrap_or_default();
    account.change_invoice(&invoice.id, |own| {
        own.pre_payment_credit_notes = own.pre_payment_credit_notes.saturating_add(pre);
        // Stripe: "For a status=open invoice, a credit note reduces its amount_due."
        own.amount_due = own.amount_due.saturating_sub(pre);
        own.post_payment_credit_notes = own.post_payment_credit_notes.saturating_add(post);
    });
    if let Some(after) = account.render_invoice(&invoice.id) {
        account.emit_updated("invoice.updated", &before, &after);
    }
    let settled = account
        .billing
        .invoices
        .get(&invoice.id)
        .is_some_and(|own| own.status == InvoiceStatus::Open && own.amount_remaining() == 0);
    if settled {
        invoicing::settle(account, &invoice.id, true);
    }
    Ok(id)
}

fn charge_of(account: &Account, invoice: &Invoice) -> Result<String, StripeError> {
    let intent = invoice.payment_intent.as_deref();
    let intent = intent.and_then(|intent| account.payments.payment_intents.get(intent));
    intent
        .and_then(|intent| intent.latest_charge.clone())
        .ok_or_else(|| {
            StripeError::invalid("This invoice was not paid by a charge, so it cannot be refunded.")
                .param("refund_amount")
        })
}

/// Voids a credit note: an open invoice is asked for in full again.
pub(crate) fn void(account: &mut Account, id: &str) {
    let now = account.now();
    let Some(note) = account.billing.credit_notes.get(id).cloned() else {
        return;
    };
    if let Some(mut own) = account.billing.credit_notes.get_mut(id) {
        own.voided_at = Some(now);
    }
    account.change_invoice(&note.invoice, |own| {
        own.pre_payment_credit_notes = own
            .pre_payment_credit_notes
            .saturating_sub(note.pre_payment);
        own.amount_due = own.amount_due.saturating_add(note.pre_payment);
    });
    if let Some(object) = account.render(id) {
        account.emit("credit_note.voided", &object);
    }
}
