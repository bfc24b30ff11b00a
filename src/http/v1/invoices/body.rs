//! How invoices are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::invoices::UpcomingView;
use crate::clock::Timestamp;
use crate::domain::invoice::{Invoice, Line, Status};
use crate::http::v1::pricing::MoneyBody;
use crate::http::v1::subscriptions::PeriodBody;

/// An invoice as Stripe has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Invoice, example = json!({
    "id": "bill_01kat5bmf0f3x8q2r7w1e4t6y9",
    "number": "GLOBEX-0007",
    "status": "open",
    "reason": "subscription_cycle",
    "customer": "org_01kat5bmf0f3x8q2r7w1e4t6y9",
    "subscription": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "subtotal": {"amount": 1500, "currency": "usd"},
    "total": {"amount": 1500, "currency": "usd"},
    "amount_due": {"amount": 1500, "currency": "usd"},
    "amount_paid": {"amount": 0, "currency": "usd"},
    "lines": [{
        "description": "1 × Weather Gold (at $15.00 / month)",
        "amount": {"amount": 1500, "currency": "usd"},
        "quantity": 1,
        "unit_amount_decimal": "1500",
        "period": {"start": "2026-11-25T12:00:00.000Z", "end": "2026-12-25T12:00:00.000Z"},
        "proration": false
    }],
    "period": {"start": "2026-11-25T12:00:00.000Z", "end": "2026-12-25T12:00:00.000Z"},
    "due_at": null,
    "next_attempt_at": "2026-11-28T12:00:00.000Z",
    "attempt_count": 1,
    "hosted_url": "https://invoice.stripe.com/i/acct_1PgafTB1WZ2rYsUu/test_example",
    "pdf_url": "https://pay.stripe.com/invoice/acct_1PgafTB1WZ2rYsUu/test_example/pdf",
    "action": {"type": "authenticate", "url": "https://invoice.stripe.com/i/acct_1PgafTB1WZ2rYsUu/test_example"},
    "stripe": {"account": "acct_1PgafTB1WZ2rYsUu", "livemode": false, "invoice": "in_1Qx7example"},
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T13:00:00.000Z"
}))]
pub struct InvoiceBody {
    /// Its id.
    #[schema(pattern = "^bill_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    id: String,
    /// What customers see; drafts have none.
    #[schema(required = true)]
    number: Option<String>,
    /// How it stands.
    status: InvoiceStatus,
    /// Stripe's word for why it was made, such as `subscription_create` or `subscription_cycle`.
    reason: String,
    /// The customer.
    customer: String,
    /// The subscription it is for, if for one.
    #[schema(required = true)]
    subscription: Option<String>,
    /// Before discounts and taxes.
    subtotal: MoneyBody,
    /// After discounts and taxes.
    total: MoneyBody,
    /// The total after the customer's balance.
    amount_due: MoneyBody,
    /// What was paid.
    amount_paid: MoneyBody,
    /// What for.
    lines: Vec<InvoiceLineBody>,
    /// The time it is for.
    #[schema(required = true)]
    period: Option<PeriodBody>,
    /// When it has to be paid, if the customer pays without being charged.
    #[schema(required = true, format = DateTime)]
    due_at: Option<String>,
    /// When Stripe tries to collect it next.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// How often Stripe has tried to collect it.
    #[schema(minimum = 0)]
    attempt_count: i64,
    /// Stripe's page where the customer can see and pay it.
    #[schema(required = true)]
    hosted_url: Option<String>,
    /// Where the customer can load it.
    #[schema(required = true)]
    pdf_url: Option<String>,
    /// What the consumer has to do, so that it can be paid.
    #[schema(required = true)]
    action: Option<InvoiceActionBody>,
    /// Where it is at Stripe.
    stripe: InvoiceStripe,
    /// When Stripe made it.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed here.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// How an invoice stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// It can still change.
    Draft,
    /// It waits to be paid.
    Open,
    /// It is paid.
    Paid,
    /// It was a mistake, or is not owed any more. A draft that was deleted is void as well.
    Void,
    /// Nobody expects it to be paid; it still can be.
    Uncollectible,
}

impl From<Status> for InvoiceStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Draft => Self::Draft,
            Status::Open => Self::Open,
            Status::Paid => Self::Paid,
            Status::Void => Self::Void,
            Status::Uncollectible => Self::Uncollectible,
        }
    }
}

impl From<InvoiceStatus> for Status {
    fn from(status: InvoiceStatus) -> Self {
        match status {
            InvoiceStatus::Draft => Self::Draft,
            InvoiceStatus::Open => Self::Open,
            InvoiceStatus::Paid => Self::Paid,
            InvoiceStatus::Void => Self::Void,
            InvoiceStatus::Uncollectible => Self::Uncollectible,
        }
    }
}

/// A line of an invoice.
#[derive(Serialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct InvoiceLineBody {
    /// What customers read.
    description: String,
    /// What it costs; below zero for what is given back.
    amount: MoneyBody,
    /// How many, where it is counted.
    #[schema(required = true)]
    quantity: Option<i64>,
    /// What for one, in minor units.
    #[schema(required = true, pattern = "^-?[0-9]+([.][0-9]+)?$")]
    unit_amount_decimal: Option<String>,
    /// The time it is for.
    #[schema(required = true)]
    period: Option<PeriodBody>,
    /// Whether it settles a change within a period.
    proration: bool,
}

impl InvoiceLineBody {
    fn of(line: Line, currency: &str) -> Self {
        Self {
            description: line.description,
            amount: MoneyBody::of(line.amount, currency),
            quantity: line.quantity,
            unit_amount_decimal: line.unit_amount_decimal,
            period: line.period.map(PeriodBody::from),
            proration: line.proration,
        }
    }
}

/// What the consumer has to do, so that an invoice can be paid.
#[derive(Serialize, ToSchema)]
#[schema(as = InvoiceAction)]
pub struct InvoiceActionBody {
    /// What.
    r#type: InvoiceActionType,
    /// Stripe's page where it is done.
    #[schema(required = true)]
    url: Option<String>,
}

/// What is left to do for a consumer.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceActionType {
    /// Show the bank who is paying (3-D Secure).
    Authenticate,
}

/// Where an invoice is at Stripe.
#[derive(Serialize, ToSchema)]
pub struct InvoiceStripe {
    /// The account.
    account: String,
    /// Whether in live mode.
    livemode: bool,
    /// Stripe's id of the invoice.
    invoice: String,
}

impl From<Invoice> for InvoiceBody {
    fn from(invoice: Invoice) -> Self {
        let action = invoice.action_required().then(|| InvoiceActionBody {
            r#type: InvoiceActionType::Authenticate,
            url: invoice.hosted_url.clone(),
        });
        let money = |amount| MoneyBody::of(amount, &invoice.currency);
        let line = |line: &Line| InvoiceLineBody::of(line.clone(), &invoice.currency);
        Self {
            status: invoice.status.into(),
            subtotal: money(invoice.subtotal),
            total: money(invoice.total),
            amount_due: money(invoice.amount_due),
            amount_paid: money(invoice.amount_paid),
            lines: invoice.lines.iter().map(line).collect(),
            id: invoice.id,
            number: invoice.number,
            reason: invoice.reason,
            customer: invoice.customer,
            subscription: invoice.subscription,
            period: invoice.period.map(PeriodBody::from),
            due_at: invoice.due_at.map(Timestamp::to_rfc3339),
            next_attempt_at: invoice.next_attempt_at.map(Timestamp::to_rfc3339),
            attempt_count: invoice.attempt_count,
            hosted_url: invoice.hosted_url,
            pdf_url: invoice.pdf_url,
            action,
            stripe: InvoiceStripe {
                account: invoice.stripe.account,
                livemode: invoice.stripe.mode.livemode(),
                invoice: invoice.stripe.id,
            },
            created_at: invoice.created_at.to_rfc3339(),
            updated_at: invoice.updated_at.to_rfc3339(),
        }
    }
}

/// The next invoice as it would be if nothing changed.
#[derive(Serialize, ToSchema)]
#[schema(as = UpcomingInvoice, example = json!({
    "customer": "org_01kat5bmf0f3x8q2r7w1e4t6y9",
    "subscription": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "subtotal": {"amount": 1500, "currency": "usd"},
    "total": {"amount": 1500, "currency": "usd"},
    "amount_due": {"amount": 1500, "currency": "usd"},
    "lines": [],
    "has_more_lines": false,
    "period": {"start": "2026-12-25T12:00:00.000Z", "end": "2027-01-25T12:00:00.000Z"},
    "next_attempt_at": "2026-12-25T13:00:00.000Z"
}))]
pub struct UpcomingInvoiceBody {
    /// The customer.
    customer: String,
    /// The subscription it is for.
    subscription: String,
    /// Before discounts and taxes.
    subtotal: MoneyBody,
    /// After discounts and taxes.
    total: MoneyBody,
    /// The total after the customer's balance.
    amount_due: MoneyBody,
    /// What for; the first ten at least.
    lines: Vec<InvoiceLineBody>,
    /// Whether there are more lines.
    has_more_lines: bool,
    /// The time it is for.
    #[schema(required = true)]
    period: Option<PeriodBody>,
    /// When Stripe will try to collect it.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
}

impl From<UpcomingView> for UpcomingInvoiceBody {
    fn from(view: UpcomingView) -> Self {
        let money = |amount| MoneyBody::of(amount, &view.currency);
        Self {
            subtotal: money(view.subtotal),
            total: money(view.total),
            amount_due: money(view.amount_due),
            lines: view
                .lines
                .into_iter()
                .map(|line| InvoiceLineBody::of(line, &view.currency))
                .collect(),
            has_more_lines: view.has_more_lines,
            period: view.period.map(PeriodBody::from),
            next_attempt_at: view.next_attempt_at.map(Timestamp::to_rfc3339),
            customer: view.customer,
            subscription: view.subscription,
        }
    }
}
