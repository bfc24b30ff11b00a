//! Keys of callers' requests, claimed in the transaction of the work; the answer is stored in the
//! transaction that ends it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::db;
use super::kept::Keep as _;
use super::schema::idempotency_keys;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::Sealed;
use crate::domain::slug::Slug;

/// What a key is unique within.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The portal.
    pub portal: &'a Slug,
    /// The organization the caller's token is bound to, or nothing.
    pub organization: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The caller's key.
    pub key: &'a str,
}

/// An answer as it was sent, its body sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: i32,
    /// The headers that belong to it, as JSON.
    pub headers: String,
    /// The body.
    pub body: Sealed,
}

/// A key that was claimed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// What was asked then.
    pub fingerprint: String,
    /// The operation that works on it.
    pub operation_id: Option<String>,
    /// What it came to, if it is over.
    pub answer: Option<StoredAnswer>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
struct ClaimedRow {
    fingerprint: String,
    operation_id: Option<String>,
    status: Option<i32>,
    headers: Option<String>,
    sealed: Option<Vec<u8>>,
    data_key_version: Option<i64>,
}

impl From<ClaimedRow> for Claimed {
    fn from(row: ClaimedRow) -> Self {
        let answer = row.status.zip(row.headers).zip(row.sealed);
        Self {
            fingerprint: row.fingerprint,
            operation_id: row.operation_id,
            answer: answer.map(|((status, headers), blob)| StoredAnswer {
                status,
                headers,
                body: Sealed {
                    data_key_version: row.data_key_version.unwrap_or_default(),
                    blob,
                },
            }),
        }
    }
}

/// Claims a key; `None` when it is now this caller's, else what it was claimed for before. Waits for
/// another transaction that is claiming it. A key past its time is claimed anew.
///
/// # Errors
/// What the database answers.
pub async fn claim(
    conn: &mut Conn,
    scope: &Scope<'_>,
    fingerprint: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Option<Claimed>, StoreError> {
    if insert(conn, scope, fingerprint, now, expires_at).await? {
        return Ok(None);
    }
    let expired = db!(conn, c => diesel::delete(
            idempotency_keys::table
                .find((scope.portal.as_str(), scope.organization, scope.route, scope.key))
                .filter(idempotency_keys::expires_at.le(now.as_millis())),
        )
        .execute(c)
        .await)?;
    if expired == 1 && insert(conn, scope, fingerprint, now, expires_at).await? {
        return Ok(None);
    }
    find(conn, scope)
        .await?
        .map(Some)
        .ok_or_else(|| StoreError::Contention("an idempotency key went away".to_owned()))
}

async fn insert(
    conn: &mut Conn,
    scope: &Scope<'_>,
    fingerprint: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let inserted = db!(conn, c => diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::portal_id.eq(scope.portal.as_str()),
            idempotency_keys::organization.eq(scope.organization),
            idempotency_keys::route.eq(scope.route),
            idempotency_keys::idempotency_key.eq(scope.key),
            idempotency_keys::fingerprint.eq(fingerprint),
            idempotency_keys::created_at.eq(now.as_millis()),
            idempotency_keys::expires_at.eq(expires_at.as_millis()),
        ))
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(inserted == 1)
}

/// The key as it was claimed.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, scope: &Scope<'_>) -> Result<Option<Claimed>, StoreError> {
    let row: Option<ClaimedRow> = db!(conn, c => idempotency_keys::table
        .find((scope.portal.as_str(), scope.organization, scope.route, scope.key))
        .select(ClaimedRow::as_select())
        .first(c)
        .await
        .optional())?;
    Ok(row.map(Claimed::from))
}

/// Says which operation works on a claimed key.
///
/// # Errors
/// What the database answers.
pub async fn attach(
    conn: &mut Conn,
    scope: &Scope<'_>,
    operation_id: &str,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(idempotency_keys::table.find((
            scope.portal.as_str(),
            scope.organization,
            scope.route,
            scope.key,
        )))
        .set(idempotency_keys::operation_id.eq(operation_id))
        .kept()
        .execute(c)
        .await)?;
    Ok(())
}

/// Stores the answer under a claimed key.
///
/// # Errors
/// What the database answers.
pub async fn finish(
    conn: &mut Conn,
    scope: &Scope<'_>,
    answer: &StoredAnswer,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(idempotency_keys::table.find((
            scope.portal.as_str(),
            scope.organization,
            scope.route,
            scope.key,
        )))
        .set((
            idempotency_keys::status.eq(answer.status),
            idempotency_keys::headers.eq(&answer.headers),
            idempotency_keys::sealed.eq(&answer.body.blob),
            idempotency_keys::data_key_version.eq(answer.body.data_key_version),
        ))
        .kept()
        .execute(c)
        .await)?;
    Ok(())
}

/// The key that an operation works on, as portal, organization, route and key.
///
/// # Errors
/// What the database answers.
pub async fn of_operation(
    conn: &mut Conn,
    operation_id: &str,
) -> Result<Option<(String, String, String)>, StoreError> {
    Ok(db!(conn, c => idempotency_keys::table
        .filter(idempotency_keys::operation_id.eq(operation_id))
        .select((
            idempotency_keys::organization,
            idempotency_keys::route,
            idempotency_keys::idempotency_key,
        ))
        .first(c)
        .await
        .optional())?)
}

/// Gives a key free again: what it was claimed for came to nothing that has to be repeated.
///
/// # Errors
/// What the database answers.
pub async fn release(conn: &mut Conn, scope: &Scope<'_>) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(idempotency_keys::table.find((
            scope.portal.as_str(),
            scope.organization,
            scope.route,
            scope.key,
        )))
        .execute(c)
        .await)?;
    Ok(())
}

/// Deletes keys past their time; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_expired(conn: &mut Conn, now: Timestamp) -> Result<usize, StoreError> {
    Ok(db!(conn, c => diesel::delete(
            idempotency_keys::table.filter(idempotency_keys::expires_at.le(now.as_millis())),
        )
        .execute(c)
        .await)?)
}
