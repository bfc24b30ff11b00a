//! What Stripe says of an invoice, in our words.

use crate::clock::Timestamp;
use crate::domain::invoice::{Line, Snapshot, Status};
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::Period;
use crate::stripe::invoices::{self as there, InvoiceStatus};

impl Status {
    /// Stripe's status in our words; `None` for one that this build does not know.
    fn of(status: &InvoiceStatus) -> Option<Self> {
        Some(match status {
            InvoiceStatus::Draft => Self::Draft,
            InvoiceStatus::Open => Self::Open,
            InvoiceStatus::Paid => Self::Paid,
            InvoiceStatus::Void => Self::Void,
            InvoiceStatus::Uncollectible => Self::Uncollectible,
            InvoiceStatus::Other(_) => return None,
        })
    }
}

impl From<&there::InvoiceLine> for Line {
    fn from(line: &there::InvoiceLine) -> Self {
        let pricing = line.pricing.as_ref();
        let period = line.period.and_then(|period| period.start.zip(period.end));
        Self {
            description: line.description.clone().unwrap_or_default(),
            amount: line.amount.unwrap_or_default(),
            quantity: line
                .quantity
                .and_then(|quantity| i64::try_from(quantity).ok()),
            unit_amount_decimal: pricing.and_then(|pricing| pricing.unit_amount_decimal.clone()),
            period: period.map(|(start, end)| Period { start, end }),
            proration: line.is_proration(),
        }
    }
}

/// The time an invoice is for: that of its first line which is not a proration. Stripe's own period of
/// an invoice is the one before, in which its items came together.
pub(super) fn period_of(said: &there::Invoice, lines: &[Line]) -> Option<Period> {
    let own = said.period_start.zip(said.period_end);
    lines
        .iter()
        .find(|line| !line.proration && line.period.is_some())
        .and_then(|line| line.period)
        .or(own.map(|(start, end)| Period { start, end }))
}

/// What Stripe said at `at` of the invoice of a subscription of ours (`subn_…`), if of one.
pub(in crate::app) fn snapshot(
    said: &there::Invoice,
    link: StripeLink,
    subscription: Option<String>,
    at: Timestamp,
) -> Snapshot {
    let lines: Vec<Line> = said.lines.data.iter().map(Line::from).collect();
    let count = |number: Option<u64>| i64::try_from(number.unwrap_or_default()).unwrap_or(i64::MAX);
    Snapshot {
        link,
        subscription,
        number: said.number.clone(),
        status: said.status.as_ref().and_then(Status::of),
        reason: said
            .billing_reason
            .as_ref()
            .map_or_else(String::new, |reason| reason.as_str().to_owned()),
        currency: said.currency.clone().unwrap_or_default(),
        subtotal: said.subtotal.unwrap_or_default(),
        total: said.total.unwrap_or_default(),
        amount_due: said.amount_due.unwrap_or_default(),
        amount_paid: said.amount_paid.unwrap_or_default(),
        period: period_of(said, &lines),
        due_at: said.due_date,
        next_attempt_at: said.next_payment_attempt,
        attempt_count: count(said.attempt_count),
        hosted_url: said.hosted_invoice_url.clone(),
        pdf_url: said.invoice_pdf.clone(),
        action_required: false,
        lines: (!said.lines.has_more).then_some(lines),
        created_at: said.created,
        at,
    }
}

/// The latest time that an invoice itself speaks of as past: Stripe's own clock, and the same however
/// often and late the same answer is repeated.
pub(in crate::app) fn spoken_at(said: &there::Invoice) -> Timestamp {
    let came = &said.status_transitions;
    [
        said.created,
        came.finalized_at,
        came.paid_at,
        came.voided_at,
        came.marked_uncollectible_at,
    ]
    .into_iter()
    .flatten()
    .fold(Timestamp::from_millis(0), Timestamp::max)
}
