//! Data keys of portals, wrapped by a master key.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::portal_keys;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;

/// A wrapped data key.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = portal_keys, treat_none_as_default_value = false)]
pub struct WrappedKey {
    /// The portal whose secrets it seals.
    pub portal_id: String,
    /// Which of the portal's data keys, from 1.
    pub version: i64,
    /// The master key it is wrapped by.
    pub master_key_id: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it was last wrapped anew.
    pub rewrapped_at: Option<i64>,
}

/// The data key of that version, or the newest.
///
/// # Errors
/// What the database answers.
pub async fn find(
    conn: &mut Conn,
    portal: &Slug,
    version: Option<i64>,
) -> Result<Option<WrappedKey>, StoreError> {
    Ok(db!(conn, c => {
        let mut query = portal_keys::table
            .filter(portal_keys::portal_id.eq(portal.as_str()))
            .select(WrappedKey::as_select())
            .into_boxed();
        if let Some(version) = version {
            query = query.filter(portal_keys::version.eq(version));
        }
        query.order(portal_keys::version.desc()).first(c).await.optional()
    })?)
}

/// Adds a data key.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, key: &WrappedKey) -> Result<(), StoreError> {
    db!(conn, c => diesel::insert_into(portal_keys::table).values(key).execute(c).await)?;
    Ok(())
}

/// Up to `limit` data keys that are not wrapped by `master_key_id`.
///
/// # Errors
/// What the database answers.
pub async fn not_under(
    conn: &mut Conn,
    master_key_id: &str,
    limit: i64,
) -> Result<Vec<WrappedKey>, StoreError> {
    Ok(db!(conn, c => portal_keys::table
        .filter(portal_keys::master_key_id.ne(master_key_id))
        .select(WrappedKey::as_select())
        .order((portal_keys::portal_id, portal_keys::version))
        .limit(limit)
        .load(c)
        .await)?)
}

/// Replaces a wrapping if it is still the one that was read; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn rewrap(
    conn: &mut Conn,
    old: &WrappedKey,
    master_key_id: &str,
    wrapped: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            portal_keys::table
                .find((&old.portal_id, old.version))
                .filter(portal_keys::master_key_id.eq(&old.master_key_id)),
        )
        .set((
            portal_keys::master_key_id.eq(master_key_id),
            portal_keys::wrapped.eq(wrapped),
            portal_keys::rewrapped_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}
