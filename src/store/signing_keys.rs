//! The keys that sign what this service says, sealed under the master key.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::signing_keys;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::signing_key::{State, Turn};

/// A key.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys, treat_none_as_default_value = false)]
pub struct StoredKey {
    /// The thumbprint of its public half (RFC 7638); its `kid`.
    pub id: String,
    /// See [`State`].
    pub state: String,
    /// Its public half as a JSON Web Key.
    pub public_jwk: String,
    /// Its private half.
    pub sealed: Vec<u8>,
    /// The master key it is sealed under.
    pub master_key_id: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it began to sign.
    pub activated_at: Option<i64>,
    /// When it ceased to.
    pub retired_at: Option<i64>,
}

/// All keys, the next one first, then by when they were made.
///
/// # Errors
/// What the database answers.
pub async fn all(conn: &mut Conn) -> Result<Vec<StoredKey>, StoreError> {
    Ok(db!(conn, c => signing_keys::table
        .select(StoredKey::as_select())
        .order((signing_keys::created_at.desc(), signing_keys::id))
        .load(c)
        .await)?)
}

/// The keys as their schedule sees them.
///
/// # Errors
/// What the database answers.
pub async fn turns(conn: &mut Conn) -> Result<Vec<Turn>, StoreError> {
    let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
    all(conn)
        .await?
        .into_iter()
        .map(|key| {
            Ok(Turn {
                state: State::parse(&key.state)
                    .ok_or_else(|| StoreError::corrupt("signing_keys.state"))?,
                id: key.id,
                created_at: Timestamp::from_millis(key.created_at),
                activated_at: time(key.activated_at),
                retired_at: time(key.retired_at),
            })
        })
        .collect()
}

/// The key that signs; `None`: none was made yet.
///
/// # Errors
/// What the database answers.
pub async fn active(conn: &mut Conn) -> Result<Option<StoredKey>, StoreError> {
    Ok(db!(conn, c => signing_keys::table
        .filter(signing_keys::state.eq(State::Active.as_str()))
        .select(StoredKey::as_select())
        .first(c)
        .await
        .optional())?)
}

/// Adds a key, unless there is one of its state already; tells whether it did.
///
/// # Errors
/// What the database answers.
pub async fn insert(conn: &mut Conn, key: &StoredKey) -> Result<bool, StoreError> {
    let inserted = db!(conn, c => diesel::insert_into(signing_keys::table)
        .values(key)
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(inserted == 1)
}

/// Lets the next key of that id sign, if it still is the next; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn activate(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            signing_keys::table
                .find(id)
                .filter(signing_keys::state.eq(State::Next.as_str())),
        )
        .set((
            signing_keys::state.eq(State::Active.as_str()),
            signing_keys::activated_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Lets the key of that id sign no longer, if it still does; tells whether it did.
///
/// # Errors
/// What the database answers.
pub async fn retire(conn: &mut Conn, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            signing_keys::table
                .find(id)
                .filter(signing_keys::state.eq(State::Active.as_str())),
        )
        .set((
            signing_keys::state.eq(State::Retired.as_str()),
            signing_keys::retired_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Removes a retired key.
///
/// # Errors
/// What the database answers.
pub async fn remove(conn: &mut Conn, id: &str) -> Result<bool, StoreError> {
    let removed = db!(conn, c => diesel::delete(
            signing_keys::table
                .find(id)
                .filter(signing_keys::state.eq(State::Retired.as_str())),
        )
        .execute(c)
        .await)?;
    Ok(removed == 1)
}

/// The keys that are not sealed under `master_key_id`.
///
/// # Errors
/// What the database answers.
pub async fn not_under(conn: &mut Conn, master_key_id: &str) -> Result<Vec<StoredKey>, StoreError> {
    Ok(db!(conn, c => signing_keys::table
        .filter(signing_keys::master_key_id.ne(master_key_id))
        .select(StoredKey::as_select())
        .order(signing_keys::id)
        .load(c)
        .await)?)
}

/// Replaces how a key is sealed if it still is as it was read; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn reseal(
    conn: &mut Conn,
    old: &StoredKey,
    master_key_id: &str,
    sealed: &[u8],
) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            signing_keys::table
                .find(&old.id)
                .filter(signing_keys::master_key_id.eq(&old.master_key_id)),
        )
        .set((
            signing_keys::master_key_id.eq(master_key_id),
            signing_keys::sealed.eq(sealed),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}
