//! Deliveries to webhook endpoints: taken under a lease, in order for each subject. Whoever takes or
//! settles deliveries of an endpoint holds its row (`endpoints::lock`).

use std::collections::HashSet;

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use super::conn::db;
use super::kept::{RunQueryDsl, condition};
use super::schema::webhook_deliveries;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::delivery::{Delivery, Reason, Status};
use crate::domain::slug::Slug;

/// Rows of one statement.
const AT_ONCE: usize = 500;

condition!(
    /// The delivery is still to be made.
    Pending,
    "webhook_deliveries.status = 'pending'"
);
condition!(
    /// One before it is.
    EarlierPending,
    "earlier.status = 'pending'"
);

#[derive(Queryable, Selectable)]
#[diesel(table_name = webhook_deliveries)]
struct DeliveryRow {
    id: String,
    portal_id: String,
    endpoint_id: String,
    position: i64,
    event_id: String,
    event_type: String,
    subject: String,
    status: String,
    attempts: i32,
    next_attempt_at: i64,
    response_status: Option<i32>,
    reason: Option<String>,
    created_at: i64,
    updated_at: i64,
    finished_at: Option<i64>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = StoreError;

    fn try_from(row: DeliveryRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let reason =
            |text: String| Reason::parse(&text).ok_or_else(|| corrupt("webhook_deliveries.reason"));
        Ok(Self {
            portal: Slug::parse(&row.portal_id)
                .ok_or_else(|| corrupt("webhook_deliveries.portal_id"))?,
            status: Status::parse(&row.status)
                .ok_or_else(|| corrupt("webhook_deliveries.status"))?,
            response_status: row
                .response_status
                .map(u16::try_from)
                .transpose()
                .map_err(|_| corrupt("webhook_deliveries.response_status"))?,
            reason: row.reason.map(reason).transpose()?,
            next_attempt_at: Timestamp::from_millis(row.next_attempt_at),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            finished_at: row.finished_at.map(Timestamp::from_millis),
            id: row.id,
            endpoint: row.endpoint_id,
            position: row.position,
            event: row.event_id,
            event_type: row.event_type,
            subject: row.subject,
            attempts: row.attempts,
        })
    }
}

/// The columns of a new delivery, and how many there are.
const NEW_COLUMNS: &str = "id, portal_id, endpoint_id, position, event_id, event_type, subject, \
                           status, attempts, next_attempt_at, created_at, updated_at";
const NEW_COLUMN_COUNT: usize = 12;

/// An insertion of `rows` rows. Diesel has none of many rows that both engines take; `$1` counts on
/// PostgreSQL, and on SQLite, where it is a name, places are given in the same order.
fn insertion(rows: usize) -> String {
    let tuples: Vec<String> = (0..rows)
        .map(|row| {
            let first = row * NEW_COLUMN_COUNT + 1;
            let places: Vec<String> = (first..first + NEW_COLUMN_COUNT)
                .map(|place| format!("${place}"))
                .collect();
            format!("({})", places.join(", "))
        })
        .collect();
    format!(
        "INSERT INTO webhook_deliveries ({NEW_COLUMNS}) VALUES {}",
        tuples.join(", ")
    )
}

/// Adds deliveries that have not been tried.
///
/// # Errors
/// [`super::Unique::Delivery`] when the event is on its way to the endpoint already.
pub async fn insert(conn: &mut Conn, deliveries: &[Delivery]) -> Result<(), StoreError> {
    for some in deliveries.chunks(AT_ONCE) {
        db!(conn, c => {
            let mut query = diesel::sql_query(insertion(some.len())).into_boxed();
            for it in some {
                query = query
                    .bind::<Text, _>(it.id.as_str())
                    .bind::<Text, _>(it.portal.as_str())
                    .bind::<Text, _>(it.endpoint.as_str())
                    .bind::<BigInt, _>(it.position)
                    .bind::<Text, _>(it.event.as_str())
                    .bind::<Text, _>(it.event_type.as_str())
                    .bind::<Text, _>(it.subject.as_str())
                    .bind::<Text, _>(it.status.as_str())
                    .bind::<Integer, _>(it.attempts)
                    .bind::<BigInt, _>(it.next_attempt_at.as_millis())
                    .bind::<BigInt, _>(it.created_at.as_millis())
                    .bind::<BigInt, _>(it.updated_at.as_millis());
            }
            query.execute(c).await
        })?;
    }
    Ok(())
}

/// The lease of a delivery: by whom and until when, which together are nobody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The worker's name.
    pub owner: String,
    /// Until when nobody else takes it.
    pub until: Timestamp,
}

/// Takes up to `limit` deliveries of an endpoint that are due and that nobody works on, each the
/// oldest of its subject that is pending; none of `busy`.
///
/// # Errors
/// What the database answers.
#[expect(
    clippy::implicit_hasher,
    reason = "called from one place, with this set"
)]
pub async fn take(
    conn: &mut Conn,
    endpoint: &str,
    busy: &HashSet<String>,
    lease: &Lease,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let now_ms = now.as_millis();
    let earlier = diesel::alias!(webhook_deliveries as earlier);
    let blocked = earlier
        .filter(
            earlier
                .field(webhook_deliveries::endpoint_id)
                .eq(webhook_deliveries::endpoint_id),
        )
        .filter(
            earlier
                .field(webhook_deliveries::subject)
                .eq(webhook_deliveries::subject),
        )
        .filter(EarlierPending)
        .filter(
            earlier
                .field(webhook_deliveries::position)
                .lt(webhook_deliveries::position),
        );
    let query = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(Pending)
        .filter(webhook_deliveries::next_attempt_at.le(now_ms))
        .filter(
            webhook_deliveries::lease_until
                .is_null()
                .or(webhook_deliveries::lease_until.le(now_ms)),
        )
        .filter(webhook_deliveries::id.ne_all(busy))
        .filter(not(exists(blocked)))
        .order((
            webhook_deliveries::next_attempt_at,
            webhook_deliveries::position,
        ))
        .limit(limit);
    let rows: Vec<DeliveryRow> = db!(conn, c => query
        .select(DeliveryRow::as_select())
        .load(c)
        .await)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    db!(conn, c => diesel::update(
            webhook_deliveries::table.filter(webhook_deliveries::id.eq_any(&ids)),
        )
        .set((
            webhook_deliveries::lease_owner.eq(&lease.owner),
            webhook_deliveries::lease_until.eq(lease.until.as_millis()),
        ))
        .execute(c)
        .await)?;
    rows.into_iter().map(Delivery::try_from).collect()
}

/// Stores what became of a delivery and gives its lease up, if it is still held; tells whether.
///
/// # Errors
/// What the database answers.
pub async fn settle(
    conn: &mut Conn,
    delivery: &Delivery,
    lease: &Lease,
) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            webhook_deliveries::table
                .filter(webhook_deliveries::id.eq(&delivery.id))
                .filter(Pending)
                .filter(webhook_deliveries::lease_owner.eq(&lease.owner))
                .filter(webhook_deliveries::lease_until.eq(lease.until.as_millis())),
        )
        .set((
            webhook_deliveries::status.eq(delivery.status.as_str()),
            webhook_deliveries::attempts.eq(delivery.attempts),
            webhook_deliveries::next_attempt_at.eq(delivery.next_attempt_at.as_millis()),
            webhook_deliveries::response_status.eq(delivery.response_status.map(i32::from)),
            webhook_deliveries::reason.eq(delivery.reason.map(Reason::as_str)),
            webhook_deliveries::lease_owner.eq(None::<String>),
            webhook_deliveries::lease_until.eq(None::<i64>),
            webhook_deliveries::updated_at.eq(delivery.updated_at.as_millis()),
            webhook_deliveries::finished_at.eq(delivery.finished_at.map(Timestamp::as_millis)),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Lets later deliveries of a subject be due no sooner than the one they wait for, so that they are
/// not looked at before.
///
/// # Errors
/// What the database answers.
pub async fn hold_back(conn: &mut Conn, behind: &Delivery) -> Result<(), StoreError> {
    let until = behind.next_attempt_at.as_millis();
    db!(conn, c => diesel::update(
            webhook_deliveries::table
                .filter(webhook_deliveries::endpoint_id.eq(&behind.endpoint))
                .filter(webhook_deliveries::subject.eq(&behind.subject))
                .filter(Pending)
                .filter(webhook_deliveries::position.gt(behind.position))
                .filter(webhook_deliveries::next_attempt_at.lt(until)),
        )
        .set(webhook_deliveries::next_attempt_at.eq(until))
        .execute(c)
        .await)?;
    Ok(())
}

/// How many deliveries of an endpoint are due, up to `limit`.
///
/// # Errors
/// What the database answers.
pub async fn due(
    conn: &mut Conn,
    endpoint: &str,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let ids: Vec<String> = db!(conn, c => webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(endpoint))
        .filter(Pending)
        .filter(webhook_deliveries::next_attempt_at.le(now.as_millis()))
        .select(webhook_deliveries::id)
        .limit(limit)
        .load(c)
        .await)?;
    Ok(ids.len())
}

/// Makes everything pending of an endpoint due.
///
/// # Errors
/// What the database answers.
pub async fn hasten(conn: &mut Conn, endpoint: &str, now: Timestamp) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(
            webhook_deliveries::table
                .filter(webhook_deliveries::endpoint_id.eq(endpoint))
                .filter(Pending)
                .filter(webhook_deliveries::next_attempt_at.gt(now.as_millis())),
        )
        .set(webhook_deliveries::next_attempt_at.eq(now.as_millis()))
        .execute(c)
        .await)?;
    Ok(())
}

/// Sends again what of these places in the feed was on its way to the endpoint before: what is
/// pending stays so, what is over is pending anew. Gives the places for which there is a delivery.
///
/// # Errors
/// What the database answers.
pub async fn revive(
    conn: &mut Conn,
    endpoint: &str,
    positions: &[i64],
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let mut there = Vec::new();
    for some in positions.chunks(AT_ONCE) {
        let found: Vec<i64> = db!(conn, c => webhook_deliveries::table
            .filter(webhook_deliveries::endpoint_id.eq(endpoint))
            .filter(webhook_deliveries::position.eq_any(some))
            .select(webhook_deliveries::position)
            .load(c)
            .await)?;
        if found.is_empty() {
            continue;
        }
        db!(conn, c => diesel::update(
                webhook_deliveries::table
                    .filter(webhook_deliveries::endpoint_id.eq(endpoint))
                    .filter(webhook_deliveries::position.eq_any(&found))
                    .filter(webhook_deliveries::status.ne(Status::Pending.as_str())),
            )
            .set((
                webhook_deliveries::status.eq(Status::Pending.as_str()),
                webhook_deliveries::attempts.eq(0),
                webhook_deliveries::next_attempt_at.eq(now.as_millis()),
                webhook_deliveries::response_status.eq(None::<i32>),
                webhook_deliveries::reason.eq(None::<String>),
                webhook_deliveries::updated_at.eq(now.as_millis()),
                webhook_deliveries::finished_at.eq(None::<i64>),
            ))
            .execute(c)
            .await)?;
        there.extend(found);
    }
    Ok(there)
}

/// Which deliveries a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this status.
    pub status: Option<Status>,
    /// Only of this event.
    pub event: Option<String>,
}

/// Up to `limit` deliveries of an endpoint, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    endpoint: &str,
    filter: &Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows: Vec<DeliveryRow> = db!(conn, c => {
        let mut query = webhook_deliveries::table
            .filter(webhook_deliveries::endpoint_id.eq(endpoint))
            .select(DeliveryRow::as_select())
            .into_boxed();
        if let Some(status) = filter.status {
            query = query.filter(webhook_deliveries::status.eq(status.as_str()));
        }
        if let Some(event) = &filter.event {
            query = query.filter(webhook_deliveries::event_id.eq(event));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                webhook_deliveries::created_at.lt(at).or(webhook_deliveries::created_at
                    .eq(at)
                    .and(webhook_deliveries::id.lt(id))),
            );
        }
        query
            .order((webhook_deliveries::created_at.desc(), webhook_deliveries::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Delivery::try_from).collect()
}

/// Deletes up to `limit` deliveries that were over before `before`; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_old(
    conn: &mut Conn,
    before: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let ids: Vec<String> = db!(conn, c => webhook_deliveries::table
        .filter(webhook_deliveries::finished_at.lt(before.as_millis()))
        .select(webhook_deliveries::id)
        .limit(limit)
        .load(c)
        .await)?;
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(db!(conn, c => diesel::delete(
            webhook_deliveries::table
                .filter(webhook_deliveries::id.eq_any(&ids))
                // One that was sent again in between is no longer over.
                .filter(webhook_deliveries::finished_at.lt(before.as_millis())),
        )
        .execute(c)
        .await)?)
}
