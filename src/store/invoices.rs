//! Invoices and their lines.

use std::collections::HashMap;

use diesel::prelude::*;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl};
use super::schema::{customers, invoice_lines, invoices};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::invoice::{Invoice, Latest, Line, Status};
use crate::domain::reconciliation::Reconciliation;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::Period;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = invoices, treat_none_as_null = true, treat_none_as_default_value = false)]
struct InvoiceRow {
    id: String,
    portal_id: String,
    customer_id: String,
    subscription_id: Option<String>,
    number: Option<String>,
    status: String,
    reason: String,
    currency: String,
    subtotal: i64,
    total: i64,
    amount_due: i64,
    amount_paid: i64,
    period_start: Option<i64>,
    period_end: Option<i64>,
    due_at: Option<i64>,
    next_attempt_at: Option<i64>,
    attempt_count: i64,
    hosted_url: Option<String>,
    pdf_url: Option<String>,
    action_attempt: Option<i64>,
    stripe_account: String,
    stripe_livemode: bool,
    stripe_id: String,
    stripe_at: i64,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = invoice_lines, treat_none_as_default_value = false)]
struct LineRow {
    invoice_id: String,
    place: i32,
    description: String,
    amount: i64,
    quantity: Option<i64>,
    unit_amount_decimal: Option<String>,
    period_start: Option<i64>,
    period_end: Option<i64>,
    proration: bool,
}

fn period(start: Option<i64>, end: Option<i64>) -> Option<Period> {
    start.zip(end).map(|(start, end)| Period {
        start: Timestamp::from_millis(start),
        end: Timestamp::from_millis(end),
    })
}

fn starts(period: Option<Period>) -> Option<i64> {
    period.map(|period| period.start.as_millis())
}

fn ends(period: Option<Period>) -> Option<i64> {
    period.map(|period| period.end.as_millis())
}

impl From<&Invoice> for InvoiceRow {
    fn from(invoice: &Invoice) -> Self {
        let it = invoice.clone();
        Self {
            id: it.id,
            portal_id: it.portal.to_string(),
            customer_id: it.customer,
            subscription_id: it.subscription,
            number: it.number,
            status: it.status.as_str().to_owned(),
            reason: it.reason,
            currency: it.currency,
            subtotal: it.subtotal,
            total: it.total,
            amount_due: it.amount_due,
            amount_paid: it.amount_paid,
            period_start: starts(it.period),
            period_end: ends(it.period),
            due_at: it.due_at.map(Timestamp::as_millis),
            next_attempt_at: it.next_attempt_at.map(Timestamp::as_millis),
            attempt_count: it.attempt_count,
            hosted_url: it.hosted_url,
            pdf_url: it.pdf_url,
            action_attempt: it.action_attempt,
            stripe_account: it.stripe.account,
            stripe_livemode: it.stripe.mode.livemode(),
            stripe_id: it.stripe.id,
            stripe_at: it.stripe_at.as_millis(),
            version: it.version,
            created_at: it.created_at.as_millis(),
            updated_at: it.updated_at.as_millis(),
        }
    }
}

impl InvoiceRow {
    fn with(self, lines: Vec<Line>) -> Result<Invoice, StoreError> {
        let corrupt = StoreError::corrupt;
        Ok(Invoice {
            portal: Slug::parse(&self.portal_id).ok_or_else(|| corrupt("invoices.portal_id"))?,
            status: Status::parse(&self.status).ok_or_else(|| corrupt("invoices.status"))?,
            id: self.id,
            customer: self.customer_id,
            subscription: self.subscription_id,
            number: self.number,
            reason: self.reason,
            currency: self.currency,
            subtotal: self.subtotal,
            total: self.total,
            amount_due: self.amount_due,
            amount_paid: self.amount_paid,
            period: period(self.period_start, self.period_end),
            due_at: self.due_at.map(Timestamp::from_millis),
            next_attempt_at: self.next_attempt_at.map(Timestamp::from_millis),
            attempt_count: self.attempt_count,
            hosted_url: self.hosted_url,
            pdf_url: self.pdf_url,
            action_attempt: self.action_attempt,
            lines,
            stripe: StripeLink {
                account: self.stripe_account,
                mode: Mode::from_livemode(self.stripe_livemode),
                id: self.stripe_id,
            },
            stripe_at: Timestamp::from_millis(self.stripe_at),
            version: self.version,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
        })
    }
}

impl From<LineRow> for Line {
    fn from(row: LineRow) -> Self {
        Self {
            description: row.description,
            amount: row.amount,
            quantity: row.quantity,
            unit_amount_decimal: row.unit_amount_decimal,
            period: period(row.period_start, row.period_end),
            proration: row.proration,
        }
    }
}

fn line_rows(invoice: &Invoice) -> Vec<LineRow> {
    (0..)
        .zip(&invoice.lines)
        .map(|(place, line)| LineRow {
            invoice_id: invoice.id.clone(),
            place,
            description: line.description.clone(),
            amount: line.amount,
            quantity: line.quantity,
            unit_amount_decimal: line.unit_amount_decimal.clone(),
            period_start: starts(line.period),
            period_end: ends(line.period),
            proration: line.proration,
        })
        .collect()
}

/// An invoice, as far as its subscription shows it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = invoices)]
pub(super) struct LatestRow {
    id: String,
    status: String,
    attempt_count: i64,
    action_attempt: Option<i64>,
    hosted_url: Option<String>,
}

impl TryFrom<LatestRow> for Latest {
    type Error = StoreError;

    fn try_from(row: LatestRow) -> Result<Self, StoreError> {
        let status = Status::parse(&row.status);
        let status = status.ok_or_else(|| StoreError::corrupt("invoices.status"))?;
        Ok(Self::of(
            row.id,
            status,
            row.attempt_count,
            row.action_attempt,
            row.hosted_url,
        ))
    }
}

/// An invoice with what is shown of it and stands elsewhere.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The invoice.
    pub invoice: Invoice,
    /// The customer's external id.
    pub organization: String,
}

/// The lines of these invoices, by the invoice's id.
async fn lines_of(conn: &mut Conn, ids: &[&str]) -> Result<HashMap<String, Vec<Line>>, StoreError> {
    let mut lines: HashMap<String, Vec<Line>> = HashMap::new();
    if ids.is_empty() {
        return Ok(lines);
    }
    let rows: Vec<LineRow> = db!(conn, c => invoice_lines::table
        .filter(invoice_lines::invoice_id.eq_any(ids))
        .order((invoice_lines::invoice_id, invoice_lines::place))
        .select(LineRow::as_select())
        .load(c)
        .await)?;
    for row in rows {
        let id = row.invoice_id.clone();
        lines.entry(id).or_default().push(row.into());
    }
    Ok(lines)
}

async fn with_lines(conn: &mut Conn, rows: Vec<InvoiceRow>) -> Result<Vec<Invoice>, StoreError> {
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut lines = lines_of(conn, &ids).await?;
    rows.into_iter()
        .map(|row| {
            let own = lines.remove(&row.id).unwrap_or_default();
            row.with(own)
        })
        .collect()
}

/// The invoice of that id, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn shown(conn: &mut Conn, id: &str) -> Result<Option<Shown>, StoreError> {
    let row: Option<(InvoiceRow, String)> = db!(conn, c => invoices::table
        .inner_join(customers::table.on(customers::id.eq(invoices::customer_id)))
        .filter(invoices::id.eq(id))
        .select((InvoiceRow::as_select(), customers::external_id))
        .first(c)
        .await
        .optional())?;
    let Some((row, organization)) = row else {
        return Ok(None);
    };
    let mut lines = lines_of(conn, &[id]).await?;
    let invoice = row.with(lines.remove(id).unwrap_or_default())?;
    Ok(Some(Shown {
        invoice,
        organization,
    }))
}

/// The invoices of these ids; nobody else changes them until the transaction ends. On SQLite a
/// transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock_many(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Invoice>, StoreError> {
    let rows: Vec<InvoiceRow> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            invoices::table
                .filter(invoices::id.eq_any(ids))
                .order(invoices::id)
                .select(InvoiceRow::as_select())
                .for_update()
                .load(c)
                .await?
        }
        Conn::Lite(c, _) => {
            invoices::table
                .filter(invoices::id.eq_any(ids))
                .order(invoices::id)
                .select(InvoiceRow::as_select())
                .load(c)
                .await?
        }
    };
    with_lines(conn, rows).await
}

/// The invoices that are these at Stripe, in whichever portal, as far as their subscriptions show them,
/// each with where it is there.
///
/// # Errors
/// What the database answers.
pub async fn latest_many(
    conn: &mut Conn,
    stripe_ids: &[&str],
) -> Result<Vec<(StripeLink, Latest)>, StoreError> {
    let rows: Vec<(String, bool, String, LatestRow)> = db!(conn, c => invoices::table
        .filter(invoices::stripe_id.eq_any(stripe_ids))
        .select((
            invoices::stripe_account,
            invoices::stripe_livemode,
            invoices::stripe_id,
            LatestRow::as_select(),
        ))
        .load(c)
        .await)?;
    rows.into_iter()
        .map(|(account, livemode, id, row)| {
            let mode = Mode::from_livemode(livemode);
            Ok((StripeLink { account, mode, id }, row.try_into()?))
        })
        .collect()
}

/// Which invoices a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this customer, `org_…`.
    pub customer: Option<String>,
    /// Only of this subscription, `subn_…`.
    pub subscription: Option<String>,
    /// Only that stand so.
    pub status: Option<Status>,
    /// Only made at or after this time.
    pub from: Option<Timestamp>,
    /// Only made before this time.
    pub before: Option<Timestamp>,
}

/// Up to `limit` invoices of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: &Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Invoice>, StoreError> {
    let rows: Vec<InvoiceRow> = db!(conn, c => {
        let mut query = invoices::table
            .filter(invoices::portal_id.eq(portal.as_str()))
            .select(InvoiceRow::as_select())
            .into_boxed();
        if let Some(customer) = &filter.customer {
            query = query.filter(invoices::customer_id.eq(customer));
        }
        if let Some(subscription) = &filter.subscription {
            query = query.filter(invoices::subscription_id.eq(subscription));
        }
        if let Some(status) = filter.status {
            query = query.filter(invoices::status.eq(status.as_str()));
        }
        if let Some(from) = filter.from {
            query = query.filter(invoices::created_at.ge(from.as_millis()));
        }
        if let Some(before) = filter.before {
            query = query.filter(invoices::created_at.lt(before.as_millis()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                invoices::created_at
                    .lt(at)
                    .or(invoices::created_at.eq(at).and(invoices::id.lt(id))),
            );
        }
        query
            .order((invoices::created_at.desc(), invoices::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    with_lines(conn, rows).await
}

/// How many are given by one call of [`unsettled`].
const UNSETTLED_MAX: i64 = 100;

/// Invoices with which something may still happen (our id, Stripe's id), of the portal in the account and
/// mode of a reconciliation, behind our id `after`, in the order of our ids.
///
/// # Errors
/// What the database answers.
pub async fn unsettled(
    conn: &mut Conn,
    it: &Reconciliation,
    after: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let open = [Status::Draft, Status::Open, Status::Uncollectible].map(Status::as_str);
    Ok(db!(conn, c => invoices::table
        .filter(invoices::portal_id.eq(it.portal.as_str()))
        .filter(invoices::status.eq_any(open))
        .filter(invoices::stripe_account.eq(&it.account))
        .filter(invoices::stripe_livemode.eq(it.mode.livemode()))
        .filter(invoices::id.gt(after))
        .order(invoices::id)
        .limit(UNSETTLED_MAX)
        .select((invoices::id, invoices::stripe_id))
        .load(c)
        .await)?)
}

/// Stripe's ids of a subscription's open invoices in that account and mode, newest first.
///
/// # Errors
/// What the database answers.
pub async fn open_of(
    conn: &mut Conn,
    subscription: &str,
    account: &str,
    mode: Mode,
) -> Result<Vec<String>, StoreError> {
    Ok(db!(conn, c => invoices::table
        .filter(invoices::subscription_id.eq(subscription))
        .filter(invoices::status.eq(Status::Open.as_str()))
        .filter(invoices::stripe_account.eq(account))
        .filter(invoices::stripe_livemode.eq(mode.livemode()))
        .order((invoices::created_at.desc(), invoices::id.desc()))
        .select(invoices::stripe_id)
        .load(c)
        .await)?)
}

/// Adds an invoice with its lines.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, invoice: &Invoice) -> Result<(), StoreError> {
    let row = InvoiceRow::from(invoice);
    db!(conn, c => diesel::insert_into(invoices::table).values(&row).execute(c).await)?;
    insert_lines(conn, invoice).await
}

/// Stores an invoice as it is now, if it is still at `expected_version`; tells whether it was. Its lines
/// are stored anew when `with_lines` says that they have changed.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    invoice: &Invoice,
    expected_version: i64,
    with_lines: bool,
) -> Result<bool, StoreError> {
    let row = InvoiceRow::from(invoice);
    let changed = db!(conn, c => diesel::update(
            invoices::table
                .filter(invoices::id.eq(&row.id))
                .filter(invoices::version.eq(expected_version)),
        )
        .set(&row)
        .kept()
        .execute(c)
        .await)?;
    if changed == 1 && with_lines {
        db!(conn, c => diesel::delete(
                invoice_lines::table.filter(invoice_lines::invoice_id.eq(&row.id)),
            )
            .execute(c)
            .await)?;
        insert_lines(conn, invoice).await?;
    }
    Ok(changed == 1)
}

async fn insert_lines(conn: &mut Conn, invoice: &Invoice) -> Result<(), StoreError> {
    for row in line_rows(invoice) {
        db!(conn, c => diesel::insert_into(invoice_lines::table)
            .values(&row)
            .execute(c)
            .await)?;
    }
    Ok(())
}
