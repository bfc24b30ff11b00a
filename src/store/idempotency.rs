//! Keys of callers' requests, claimed in the transaction of the work; the answer is stored in the
//! transaction that ends it.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::conn::{db, send};
use super::kept::{Keep as _, RunQueryDsl};
use super::portal_keys::WrappedKey;
use super::schema::{idempotency_keys, portal_keys};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::Sealed;
use crate::domain::error::Error;
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

impl Scope<'_> {
    fn owned(&self) -> (String, String, String, String) {
        (
            self.portal.to_string(),
            self.organization.to_owned(),
            self.route.to_owned(),
            self.key.to_owned(),
        )
    }
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
/// `not_found` when there is no such portal.
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
        .await);
    match inserted {
        Ok(count) => Ok(count == 1),
        // The one thing that a key refers to is its portal.
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
            Err(Error::not_found().into())
        }
        Err(error) => Err(error.into()),
    }
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
    let (key, operation_id) = (scope.owned(), operation_id.to_owned());
    send!(conn, c => {
        diesel::update(idempotency_keys::table.find(key))
            .set(idempotency_keys::operation_id.eq(operation_id))
            .kept()
            .execute(c)
            .await?;
        Ok(())
    })
}

/// Stores the answer under a claimed key.
///
/// # Errors
/// What the database answers.
pub async fn finish(
    conn: &mut Conn,
    scope: &Scope<'_>,
    answer: StoredAnswer,
) -> Result<(), StoreError> {
    let key = scope.owned();
    send!(conn, c => {
        diesel::update(idempotency_keys::table.find(key))
            .set((
                idempotency_keys::status.eq(answer.status),
                idempotency_keys::headers.eq(answer.headers),
                idempotency_keys::sealed.eq(answer.body.blob),
                idempotency_keys::data_key_version.eq(answer.body.data_key_version),
            ))
            .kept()
            .execute(c)
            .await?;
        Ok(())
    })
}

/// The key that an operation works on, with the portal's newest data key to seal the answer with.
#[derive(Queryable)]
pub struct KeyOfOperation {
    /// The organization the caller's token is bound to, or nothing.
    pub organization: String,
    /// The route's name.
    pub route: String,
    /// The caller's key.
    pub key: String,
    /// The data key.
    pub data_key: WrappedKey,
}

/// The key that an operation works on.
///
/// # Errors
/// What the database answers.
pub async fn of_operation(
    conn: &mut Conn,
    operation_id: &str,
) -> Result<Option<KeyOfOperation>, StoreError> {
    Ok(db!(conn, c => idempotency_keys::table
        .inner_join(
            portal_keys::table.on(portal_keys::portal_id.eq(idempotency_keys::portal_id)),
        )
        .filter(idempotency_keys::operation_id.eq(operation_id))
        .order(portal_keys::version.desc())
        .select((
            idempotency_keys::organization,
            idempotency_keys::route,
            idempotency_keys::idempotency_key,
            WrappedKey::as_select(),
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
