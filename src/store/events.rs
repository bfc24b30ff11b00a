//! The outbox: facts this service publishes, written in the transaction of what they tell of.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::AsyncPgConnection;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl, column};
use super::schema::{event_heads, events};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::webhook_endpoint::EVENT_TYPES;

/// A fact to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// `fact_…`.
    pub id: &'a str,
    /// Such as `subscription.updated`.
    pub event_type: &'a str,
    /// Our id of the thing it is about.
    pub subject: &'a str,
    /// The thing's version after the change; each version is published once.
    pub seq: i64,
    /// The external id of the organization it concerns, if one.
    pub organization: Option<&'a str>,
    /// The thing as the API shows it, as JSON.
    pub data: &'a str,
}

/// Appends a fact to the portal's feed. The head's row is locked until the transaction ends, so that
/// positions have no gap and appear in order.
///
/// # Errors
/// [`super::Unique::EventSubject`] when this version of the subject was published already: a bug. It is told
/// at the transaction's end at the latest.
pub async fn append(
    conn: &mut Conn,
    portal: &Slug,
    event: &NewEvent<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    append_all(conn, portal, std::slice::from_ref(event), now).await
}

#[derive(Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct EventRow {
    portal_id: String,
    position: i64,
    id: String,
    event_type: String,
    subject: String,
    seq: i64,
    organization: Option<String>,
    data: String,
    created_at: i64,
}

/// Appends facts in their order, as [`append`] does one. Nothing for nothing.
///
/// # Errors
/// As [`append`].
pub async fn append_all(
    conn: &mut Conn,
    portal: &Slug,
    all: &[NewEvent<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    if all.is_empty() {
        return Ok(());
    }
    debug_assert!(
        all.iter()
            .all(|event| EVENT_TYPES.contains(&event.event_type)),
        "what is published can be subscribed to by its name"
    );
    // Behind the head they are counted from 1.
    let rows: Vec<EventRow> = (1..)
        .zip(all)
        .map(|(position, event)| EventRow {
            portal_id: portal.to_string(),
            position,
            id: event.id.to_owned(),
            event_type: event.event_type.to_owned(),
            subject: event.subject.to_owned(),
            seq: event.seq,
            organization: event.organization.map(str::to_owned),
            data: event.data.to_owned(),
            created_at: now.as_millis(),
        })
        .collect();
    let portal = portal.to_string();
    match conn {
        Conn::Pg(pg) => {
            let held = pg.share();
            let statement = async move {
                insert_all(&mut held.connection(), &portal, &rows).await?;
                Ok(())
            };
            pg.send(statement).await
        }
        Conn::Lite(lite, _) => {
            let insert = move |c: &mut _| insert_each(c, &portal, rows);
            Ok(lite.spawn_blocking(insert).await?)
        }
    }
}

/// The head and what is behind it, in one statement, whose text is the same for any number of them.
async fn insert_all(
    c: &mut &AsyncPgConnection,
    portal: &str,
    rows: &[EventRow],
) -> QueryResult<()> {
    let query = sql_query(
        "WITH head AS (INSERT INTO event_heads (portal_id, position) \
         VALUES ($1, CARDINALITY($2)) ON CONFLICT (portal_id) \
         DO UPDATE SET position = event_heads.position + EXCLUDED.position RETURNING position) \
         INSERT INTO events (portal_id, position, id, event_type, subject, seq, organization, data, \
         created_at) \
         SELECT $1, head.position - CARDINALITY($2) + new.position, new.id, new.event_type, \
         new.subject, new.seq, new.organization, new.data, new.created_at \
         FROM head, UNNEST($2, $3, $4, $5, $6, $7, $8, $9) \
         AS new (position, id, event_type, subject, seq, organization, data, created_at)",
    )
    .bind::<Text, _>(portal)
    .bind::<Array<BigInt>, _>(column(rows, |row| row.position))
    .bind::<Array<Text>, _>(column(rows, |row| &row.id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.event_type))
    .bind::<Array<Text>, _>(column(rows, |row| &row.subject))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.seq))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.organization.as_ref()))
    .bind::<Array<Text>, _>(column(rows, |row| &row.data))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.created_at));
    query.kept().execute(c).await?;
    Ok(())
}

fn insert_each(
    c: &mut diesel::SqliteConnection,
    portal: &str,
    rows: Vec<EventRow>,
) -> QueryResult<()> {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let head = diesel::insert_into(event_heads::table)
        .values((
            event_heads::portal_id.eq(portal),
            event_heads::position.eq(count),
        ))
        .on_conflict(event_heads::portal_id)
        .do_update()
        .set(event_heads::position.eq(event_heads::position + count))
        .returning(event_heads::position);
    let last: i64 = diesel::RunQueryDsl::get_result(head.kept(), c)?;
    for mut row in rows {
        row.position += last - count;
        diesel::RunQueryDsl::execute(diesel::insert_into(events::table).values(row), c)?;
    }
    Ok(())
}

/// The last version of a subject that was published; a thing that is made anew under the name of one
/// that is gone goes on from there.
///
/// # Errors
/// What the database answers.
pub async fn last_seq(
    conn: &mut Conn,
    portal: &Slug,
    subject: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(db!(conn, c => events::table
        .filter(events::portal_id.eq(portal.as_str()))
        .filter(events::subject.eq(subject))
        .select(events::seq)
        .order(events::seq.desc())
        .first(c)
        .await
        .optional())?)
}
