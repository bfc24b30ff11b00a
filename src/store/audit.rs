//! The audit log: one chain per portal, appended in the transaction of what it tells of.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::AsyncPgConnection;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl, column};
use super::schema::{audit_entries, audit_heads};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::audit::{Actor, Draft, Entry, GENESIS};
use crate::ids::{Ids, Kind};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_entries, treat_none_as_default_value = false)]
struct EntryRow {
    portal_id: String,
    seq: i64,
    id: String,
    at: i64,
    actor: String,
    issuer: String,
    action: String,
    subject: String,
    request_id: String,
    details: String,
    previous_hash: String,
    hash: String,
}

impl From<EntryRow> for (Entry, String) {
    fn from(row: EntryRow) -> Self {
        let entry = Entry {
            portal: row.portal_id,
            seq: row.seq,
            id: row.id,
            at: Timestamp::from_millis(row.at),
            actor: Actor {
                subject: row.actor,
                issuer: row.issuer,
            },
            action: row.action,
            subject: row.subject,
            request_id: row.request_id,
            details: row.details,
            previous_hash: row.previous_hash,
        };
        (entry, row.hash)
    }
}

impl EntryRow {
    fn new(entry: Entry) -> Self {
        let hash = entry.hash();
        Self {
            portal_id: entry.portal,
            seq: entry.seq,
            id: entry.id,
            at: entry.at.as_millis(),
            actor: entry.actor.subject,
            issuer: entry.actor.issuer,
            action: entry.action,
            subject: entry.subject,
            request_id: entry.request_id,
            details: entry.details,
            previous_hash: entry.previous_hash,
            hash,
        }
    }
}

/// Under which request, by whom and when something is done.
#[derive(Clone, Debug)]
pub struct Stamp<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// Under which request.
    pub request_id: &'a str,
    /// When.
    pub now: Timestamp,
    /// For the entry's id.
    pub ids: &'a Ids,
}

/// Appends an entry to the portal's chain. The head's row is locked until the transaction ends, so
/// that the chain has no fork.
///
/// # Errors
/// What the database answers.
pub async fn append(
    conn: &mut Conn,
    portal: &str,
    stamp: &Stamp<'_>,
    draft: &Draft,
) -> Result<(), StoreError> {
    append_all(conn, portal, &[(stamp.clone(), draft)]).await
}

/// Appends entries in their order, as [`append`] does one. Nothing for nothing.
///
/// # Errors
/// What the database answers.
pub async fn append_all(
    conn: &mut Conn,
    portal: &str,
    all: &[(Stamp<'_>, &Draft)],
) -> Result<(), StoreError> {
    let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
    if count == 0 {
        return Ok(());
    }
    let (last, mut hash): (i64, String) = db!(conn, c => diesel::insert_into(audit_heads::table)
        .values((
            audit_heads::portal_id.eq(portal),
            audit_heads::seq.eq(count),
            audit_heads::hash.eq(GENESIS),
        ))
        .on_conflict(audit_heads::portal_id)
        .do_update()
        .set(audit_heads::seq.eq(audit_heads::seq + count))
        .returning((audit_heads::seq, audit_heads::hash))
        .kept()
        .get_result(c)
        .await)?;
    let mut rows = Vec::with_capacity(all.len());
    for ((stamp, draft), seq) in all.iter().zip(last - count + 1..) {
        let row = EntryRow::new(entry(portal, seq, stamp, draft, std::mem::take(&mut hash)));
        hash.clone_from(&row.hash);
        rows.push(row);
    }
    match conn {
        Conn::Pg(pg) => {
            let (held, portal) = (pg.share(), portal.to_owned());
            let statement = async move {
                insert_all(&mut held.connection(), &portal, &rows, &hash).await?;
                Ok(())
            };
            pg.send(statement).await?;
        }
        Conn::Lite(lite, _) => {
            let portal = portal.to_owned();
            let insert = move |c: &mut _| insert_each(c, &portal, &rows, &hash);
            lite.spawn_blocking(insert).await?;
        }
    }
    Ok(())
}

/// The entries and the head's hash, in one statement, whose text is the same for any number of entries.
async fn insert_all(
    c: &mut &AsyncPgConnection,
    portal: &str,
    rows: &[EntryRow],
    hash: &str,
) -> QueryResult<()> {
    let query = sql_query(
        "WITH head AS (UPDATE audit_heads SET hash = $14 WHERE portal_id = $13) \
         INSERT INTO audit_entries (portal_id, seq, id, at, actor, issuer, action, subject, \
         request_id, details, previous_hash, hash) \
         SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind::<Array<Text>, _>(column(rows, |row| &row.portal_id))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.seq))
    .bind::<Array<Text>, _>(column(rows, |row| &row.id))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.at))
    .bind::<Array<Text>, _>(column(rows, |row| &row.actor))
    .bind::<Array<Text>, _>(column(rows, |row| &row.issuer))
    .bind::<Array<Text>, _>(column(rows, |row| &row.action))
    .bind::<Array<Text>, _>(column(rows, |row| &row.subject))
    .bind::<Array<Text>, _>(column(rows, |row| &row.request_id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.details))
    .bind::<Array<Text>, _>(column(rows, |row| &row.previous_hash))
    .bind::<Array<Text>, _>(column(rows, |row| &row.hash))
    .bind::<Text, _>(portal)
    .bind::<Text, _>(hash);
    query.kept().execute(c).await?;
    Ok(())
}

fn insert_each(
    c: &mut diesel::SqliteConnection,
    portal: &str,
    rows: &[EntryRow],
    hash: &str,
) -> QueryResult<()> {
    for row in rows {
        diesel::RunQueryDsl::execute(diesel::insert_into(audit_entries::table).values(row), c)?;
    }
    let head = diesel::update(audit_heads::table.find(portal)).set(audit_heads::hash.eq(hash));
    diesel::RunQueryDsl::execute(head.kept(), c)?;
    Ok(())
}

fn entry(portal: &str, seq: i64, stamp: &Stamp<'_>, draft: &Draft, previous_hash: String) -> Entry {
    let details = draft
        .details
        .iter()
        .map(|(key, value)| (*key, value.as_str()));
    Entry {
        portal: portal.to_owned(),
        seq,
        id: stamp.ids.new_id(Kind::AuditEntry).into(),
        at: stamp.now,
        actor: stamp.actor.clone(),
        action: draft.action.to_owned(),
        subject: draft.subject.clone(),
        request_id: stamp.request_id.to_owned(),
        details: details.collect::<serde_json::Value>().to_string(),
        previous_hash,
    }
}

/// Up to `limit` entries with their hashes, newest first, below `before`.
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &str,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<(Entry, String)>, StoreError> {
    let before = before.unwrap_or(i64::MAX);
    let rows: Vec<EntryRow> = db!(conn, c => audit_entries::table
        .filter(audit_entries::portal_id.eq(portal))
        .filter(audit_entries::seq.lt(before))
        .select(EntryRow::as_select())
        .order(audit_entries::seq.desc())
        .limit(limit)
        .load(c)
        .await)?;
    Ok(rows.into_iter().map(<(Entry, String)>::from).collect())
}

/// The head of a portal's chain: the newest entry's number and hash.
///
/// # Errors
/// What the database answers.
pub async fn head(conn: &mut Conn, portal: &str) -> Result<Option<(i64, String)>, StoreError> {
    Ok(db!(conn, c => audit_heads::table
        .find(portal)
        .select((audit_heads::seq, audit_heads::hash))
        .first(c)
        .await
        .optional())?)
}
