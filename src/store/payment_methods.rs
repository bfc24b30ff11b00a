//! Payment methods.

use diesel::prelude::*;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl};
use super::schema::payment_methods;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::payment_method::{Card, PaymentMethod, State};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = payment_methods, treat_none_as_null = true, treat_none_as_default_value = false)]
struct MethodRow {
    id: String,
    portal_id: String,
    customer_id: String,
    method_type: String,
    state: String,
    card_brand: Option<String>,
    card_last4: Option<String>,
    card_exp_month: Option<i32>,
    card_exp_year: Option<i32>,
    card_funding: Option<String>,
    card_country: Option<String>,
    stripe_account: String,
    stripe_livemode: bool,
    stripe_id: String,
    stripe_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl From<&PaymentMethod> for MethodRow {
    fn from(method: &PaymentMethod) -> Self {
        let card = method.card.clone().unwrap_or_default();
        Self {
            id: method.id.clone(),
            portal_id: method.portal.to_string(),
            customer_id: method.customer_id.clone(),
            method_type: method.method_type.clone(),
            state: method.state.as_str().to_owned(),
            card_brand: card.brand,
            card_last4: card.last4,
            card_exp_month: card.exp_month,
            card_exp_year: card.exp_year,
            card_funding: card.funding,
            card_country: card.country,
            stripe_account: method.stripe.account.clone(),
            stripe_livemode: method.stripe.mode.livemode(),
            stripe_id: method.stripe.id.clone(),
            stripe_at: method.stripe_at.map(Timestamp::as_millis),
            version: method.version,
            created_at: method.created_at.as_millis(),
            updated_at: method.updated_at.as_millis(),
        }
    }
}

impl TryFrom<MethodRow> for PaymentMethod {
    type Error = StoreError;

    fn try_from(row: MethodRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let card = Card {
            brand: row.card_brand,
            last4: row.card_last4,
            exp_month: row.card_exp_month,
            exp_year: row.card_exp_year,
            funding: row.card_funding,
            country: row.card_country,
        };
        Ok(Self {
            id: row.id,
            portal: Slug::parse(&row.portal_id)
                .ok_or_else(|| corrupt("payment_methods.portal_id"))?,
            customer_id: row.customer_id,
            method_type: row.method_type,
            state: State::parse(&row.state).ok_or_else(|| corrupt("payment_methods.state"))?,
            card: (card != Card::default()).then_some(card),
            stripe: StripeLink {
                account: row.stripe_account,
                mode: Mode::from_livemode(row.stripe_livemode),
                id: row.stripe_id,
            },
            stripe_at: row.stripe_at.map(Timestamp::from_millis),
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

/// The payment method of that id, whosever it is.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<PaymentMethod>, StoreError> {
    let row: Option<MethodRow> = db!(conn, c => payment_methods::table
        .find(id)
        .select(MethodRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(PaymentMethod::try_from).transpose()
}

/// Every payment method of a customer, oldest first, detached ones included.
///
/// # Errors
/// What the database answers.
pub async fn of_customer(
    conn: &mut Conn,
    customer: &str,
) -> Result<Vec<PaymentMethod>, StoreError> {
    let rows: Vec<MethodRow> = db!(conn, c => payment_methods::table
        .filter(payment_methods::customer_id.eq(customer))
        .order((payment_methods::created_at, payment_methods::id))
        .select(MethodRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(PaymentMethod::try_from).collect()
}

/// Up to `limit` payment methods of a customer that are not detached, newest first, behind `after`
/// (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    customer: &str,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<PaymentMethod>, StoreError> {
    let rows: Vec<MethodRow> = db!(conn, c => {
        let mut query = payment_methods::table
            .filter(payment_methods::customer_id.eq(customer))
            .filter(payment_methods::state.ne(State::Detached.as_str()))
            .select(MethodRow::as_select())
            .into_boxed();
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                payment_methods::created_at
                    .lt(at)
                    .or(payment_methods::created_at.eq(at).and(payment_methods::id.lt(id))),
            );
        }
        query
            .order((payment_methods::created_at.desc(), payment_methods::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(PaymentMethod::try_from).collect()
}

/// Adds a payment method.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, method: &PaymentMethod) -> Result<(), StoreError> {
    let row = MethodRow::from(method);
    db!(conn, c => diesel::insert_into(payment_methods::table).values(&row).execute(c).await)?;
    Ok(())
}

/// Stores a payment method as it is now, if it is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    method: &PaymentMethod,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = MethodRow::from(method);
    let changed = db!(conn, c => diesel::update(
            payment_methods::table
                .filter(payment_methods::id.eq(&row.id))
                .filter(payment_methods::version.eq(expected_version)),
        )
        .set(&row)
        .kept()
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// The payment methods of these ids, in the order of their ids. Nobody else changes them until the transaction
/// ends; on SQLite a transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock_many(conn: &mut Conn, ids: &[&str]) -> Result<Vec<PaymentMethod>, StoreError> {
    let rows: Vec<MethodRow> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            payment_methods::table
                .filter(payment_methods::id.eq_any(ids))
                .order(payment_methods::id)
                .select(MethodRow::as_select())
                .for_update()
                .load(c)
                .await?
        }
        Conn::Lite(c, _) => {
            payment_methods::table
                .filter(payment_methods::id.eq_any(ids))
                .order(payment_methods::id)
                .select(MethodRow::as_select())
                .load(c)
                .await?
        }
    };
    rows.into_iter().map(PaymentMethod::try_from).collect()
}
