//! The inbox: Stripe's events, stored before they are acknowledged, and what became of each.

use diesel::dsl::{exists, select};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Text};
use diesel::sqlite::SqliteConnection;
use diesel_async::AsyncPgConnection;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl, column};
use super::schema::stripe_events;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::Sealed;
use crate::domain::inbox::{InboxEvent, Status};
use crate::domain::slug::Slug;

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = stripe_events, treat_none_as_default_value = false)]
struct EventRow {
    portal_id: String,
    event_id: String,
    event_type: String,
    api_version: String,
    object_id: String,
    status: String,
    attempts: i32,
    next_attempt_at: Option<i64>,
    error: Option<String>,
    stripe_created_at: i64,
    received_at: i64,
    sealed: Option<Vec<u8>>,
    data_key_version: Option<i64>,
}

/// An event with its payload.
#[derive(Clone)]
pub struct StoredEvent {
    /// The event.
    pub event: InboxEvent,
    /// The body as it was signed, while something is still to be done with it.
    pub payload: Option<Sealed>,
}

impl From<&InboxEvent> for EventRow {
    fn from(event: &InboxEvent) -> Self {
        let event = event.clone();
        Self {
            portal_id: event.portal.to_string(),
            event_id: event.id,
            event_type: event.event_type,
            api_version: event.api_version,
            object_id: event.object_id,
            status: event.status.as_str().to_owned(),
            attempts: event.attempts,
            next_attempt_at: event.next_attempt_at.map(Timestamp::as_millis),
            error: event.error,
            stripe_created_at: event.created_at.as_millis(),
            received_at: event.received_at.as_millis(),
            sealed: None,
            data_key_version: None,
        }
    }
}

impl TryFrom<EventRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        Ok(Self {
            event: InboxEvent {
                portal: Slug::parse(&row.portal_id)
                    .ok_or_else(|| corrupt("stripe_events.portal_id"))?,
                id: row.event_id,
                event_type: row.event_type,
                api_version: row.api_version,
                object_id: row.object_id,
                status: Status::parse(&row.status)
                    .ok_or_else(|| corrupt("stripe_events.status"))?,
                attempts: row.attempts,
                next_attempt_at: row.next_attempt_at.map(Timestamp::from_millis),
                error: row.error,
                created_at: Timestamp::from_millis(row.stripe_created_at),
                received_at: Timestamp::from_millis(row.received_at),
            },
            payload: row
                .sealed
                .zip(row.data_key_version)
                .map(|(blob, data_key_version)| Sealed {
                    data_key_version,
                    blob,
                }),
        })
    }
}

/// Stores events, without payloads, in as few statements as there can be; tells which of them (portal, event) are the
/// first of their id. Whoever else is just storing one of them is waited for.
///
/// # Errors
/// What the database answers.
pub async fn insert(
    conn: &mut Conn,
    events: &[&InboxEvent],
) -> Result<Vec<(String, String)>, StoreError> {
    let rows: Vec<EventRow> = events.iter().copied().map(EventRow::from).collect();
    Ok(match conn {
        Conn::Pg(pg) => insert_all(&mut pg.connection(), &rows).await?,
        Conn::Lite(lite, _) => lite.spawn_blocking(move |c| insert_each(c, &rows)).await?,
    })
}

/// What an insert has stored.
#[derive(QueryableByName)]
#[diesel(table_name = stripe_events)]
struct First {
    portal_id: String,
    event_id: String,
}

/// In one statement, whose text is the same for any number of them.
async fn insert_all(
    c: &mut &AsyncPgConnection,
    rows: &[EventRow],
) -> QueryResult<Vec<(String, String)>> {
    let query = sql_query(
        "INSERT INTO stripe_events (portal_id, event_id, event_type, api_version, object_id, status, \
         attempts, next_attempt_at, error, stripe_created_at, received_at) \
         SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING RETURNING portal_id, event_id",
    )
    .bind::<Array<Text>, _>(column(rows, |row| &row.portal_id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.event_id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.event_type))
    .bind::<Array<Text>, _>(column(rows, |row| &row.api_version))
    .bind::<Array<Text>, _>(column(rows, |row| &row.object_id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.status))
    .bind::<Array<Integer>, _>(column(rows, |row| row.attempts))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.next_attempt_at))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.error.as_ref()))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.stripe_created_at))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.received_at));
    let first: Vec<First> = query.kept().load(c).await?;
    Ok(first
        .into_iter()
        .map(|it| (it.portal_id, it.event_id))
        .collect())
}

fn insert_each(c: &mut SqliteConnection, rows: &[EventRow]) -> QueryResult<Vec<(String, String)>> {
    let mut first = Vec::new();
    for row in rows {
        let inserted = diesel::RunQueryDsl::execute(
            diesel::insert_into(stripe_events::table)
                .values(row)
                .on_conflict_do_nothing(),
            c,
        )?;
        if inserted == 1 {
            first.push((row.portal_id.clone(), row.event_id.clone()));
        }
    }
    Ok(first)
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What.
    pub status: Status,
    /// When it is tried again, if it is.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// What stands of it. A macro, because the columns' types are the values'.
macro_rules! became {
    ($settled:expr) => {
        (
            stripe_events::status.eq($settled.status.as_str()),
            stripe_events::next_attempt_at.eq($settled.next_attempt_at.map(Timestamp::as_millis)),
            stripe_events::error.eq($settled.error.as_deref()),
        )
    };
}

/// Writes down what became of some events of a portal, with which nothing is to be done any more: their
/// payloads go.
///
/// # Errors
/// What the database answers.
pub async fn settle(
    conn: &mut Conn,
    portal: &Slug,
    events: &[&str],
    status: Status,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(
            stripe_events::table
                .filter(stripe_events::portal_id.eq(portal.as_str()))
                .filter(stripe_events::event_id.eq_any(events)),
        )
        .set((
            stripe_events::status.eq(status.as_str()),
            stripe_events::next_attempt_at.eq(None::<i64>),
            stripe_events::error.eq(None::<String>),
            stripe_events::sealed.eq(None::<Vec<u8>>),
            stripe_events::data_key_version.eq(None::<i64>),
        ))
        .kept()
        .execute(c)
        .await)?;
    Ok(())
}

/// Keeps an event that has just arrived, with which something is still to be done, and its payload for that.
///
/// # Errors
/// What the database answers.
pub async fn keep(
    conn: &mut Conn,
    portal: &Slug,
    event: &str,
    settled: &Settled,
    payload: &Sealed,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(stripe_events::table.find((portal.as_str(), event)))
        .set((
            became!(settled),
            stripe_events::sealed.eq(&payload.blob),
            stripe_events::data_key_version.eq(payload.data_key_version),
        ))
        .kept()
        .execute(c)
        .await)?;
    Ok(())
}

/// Writes down what became of an event that was claimed for the attempt of that number. When the claim had run
/// out, and another has claimed or settled it since, nothing changes.
///
/// # Errors
/// What the database answers.
pub async fn put_back(
    conn: &mut Conn,
    portal: &Slug,
    event: &str,
    attempt: i32,
    settled: &Settled,
) -> Result<(), StoreError> {
    let claimed = stripe_events::table
        .find((portal.as_str(), event))
        .filter(stripe_events::attempts.eq(attempt))
        .filter(stripe_events::next_attempt_at.is_not_null());
    db!(conn, c => diesel::update(claimed).set(became!(settled)).kept().execute(c).await)?;
    Ok(())
}

/// Whether the time of any event has come.
///
/// # Errors
/// What the database answers.
pub async fn any_due(conn: &mut Conn, now: Timestamp) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            stripe_events::table.filter(stripe_events::next_attempt_at.le(now.as_millis())),
        ))
        .get_result(c)
        .await)?)
}

/// Takes up to `limit` events whose time has come, oldest first; nobody else is given them before
/// `until`.
///
/// # Errors
/// What the database answers.
pub async fn claim_due(
    conn: &mut Conn,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<StoredEvent>, StoreError> {
    let due: Vec<EventRow> = db!(conn, c => stripe_events::table
        .filter(stripe_events::next_attempt_at.le(now.as_millis()))
        .order((stripe_events::next_attempt_at, stripe_events::stripe_created_at, stripe_events::event_id))
        .limit(limit)
        .select(EventRow::as_select())
        .load(c)
        .await)?;
    let mut claimed = Vec::new();
    for row in due {
        let mine = db!(conn, c => diesel::update(
                stripe_events::table
                    .find((&row.portal_id, &row.event_id))
                    .filter(stripe_events::next_attempt_at.eq(row.next_attempt_at)),
            )
            .set((
                stripe_events::next_attempt_at.eq(until.as_millis()),
                stripe_events::attempts.eq(row.attempts.saturating_add(1)),
            ))
            .kept()
            .execute(c)
            .await)?;
        if mine == 1 {
            let mut stored = StoredEvent::try_from(row)?;
            stored.event.attempts = stored.event.attempts.saturating_add(1);
            stored.event.next_attempt_at = Some(until);
            claimed.push(stored);
        }
    }
    Ok(claimed)
}

/// The event of that id, with its payload.
///
/// # Errors
/// What the database answers.
pub async fn find(
    conn: &mut Conn,
    portal: &Slug,
    id: &str,
) -> Result<Option<StoredEvent>, StoreError> {
    let row: Option<EventRow> = db!(conn, c => stripe_events::table
        .find((portal.as_str(), id))
        .select(EventRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(StoredEvent::try_from).transpose()
}

/// Lets a dead event be tried again at `at`; tells whether it was dead and can be.
///
/// # Errors
/// What the database answers.
pub async fn revive(
    conn: &mut Conn,
    portal: &Slug,
    id: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            stripe_events::table
                .find((portal.as_str(), id))
                .filter(stripe_events::status.eq(Status::Dead.as_str()))
                .filter(stripe_events::sealed.is_not_null()),
        )
        .set((
            stripe_events::status.eq(Status::Parked.as_str()),
            stripe_events::attempts.eq(0),
            stripe_events::next_attempt_at.eq(at.as_millis()),
            stripe_events::error.eq(None::<String>),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Up to `limit` events of a portal without their payloads, newest first, behind `after` (when it
/// arrived, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    status: Option<Status>,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<InboxEvent>, StoreError> {
    let rows: Vec<EventRow> = db!(conn, c => {
        let mut query = stripe_events::table
            .filter(stripe_events::portal_id.eq(portal.as_str()))
            .select((
                stripe_events::portal_id,
                stripe_events::event_id,
                stripe_events::event_type,
                stripe_events::api_version,
                stripe_events::object_id,
                stripe_events::status,
                stripe_events::attempts,
                stripe_events::next_attempt_at,
                stripe_events::error,
                stripe_events::stripe_created_at,
                stripe_events::received_at,
                None::<Vec<u8>>.into_sql::<Nullable<Binary>>(),
                stripe_events::data_key_version,
            ))
            .into_boxed();
        if let Some(status) = status {
            query = query.filter(stripe_events::status.eq(status.as_str()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                stripe_events::received_at
                    .lt(at)
                    .or(stripe_events::received_at.eq(at).and(stripe_events::event_id.lt(id))),
            );
        }
        query
            .order((stripe_events::received_at.desc(), stripe_events::event_id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter()
        .map(|row| Ok(StoredEvent::try_from(row)?.event))
        .collect()
}

/// How many events are in that status, in all portals.
///
/// # Errors
/// What the database answers.
pub async fn count(conn: &mut Conn, status: Status) -> Result<i64, StoreError> {
    Ok(db!(conn, c => stripe_events::table
        .filter(stripe_events::status.eq(status.as_str()))
        .count()
        .get_result(c)
        .await)?)
}

/// Deletes up to `limit` events that arrived in a portal before `before` and with which nothing is to be
/// done; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_settled(
    conn: &mut Conn,
    portal: &Slug,
    before: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let ids: Vec<String> = db!(conn, c => stripe_events::table
        .filter(stripe_events::portal_id.eq(portal.as_str()))
        .filter(stripe_events::received_at.lt(before.as_millis()))
        .filter(stripe_events::next_attempt_at.is_null())
        .order((stripe_events::received_at, stripe_events::event_id))
        .limit(limit)
        .select(stripe_events::event_id)
        .load(c)
        .await)?;
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(db!(conn, c => diesel::delete(
            stripe_events::table
                .filter(stripe_events::portal_id.eq(portal.as_str()))
                .filter(stripe_events::event_id.eq_any(&ids)),
        )
        .execute(c)
        .await)?)
}
