//! What consumers have to do to finish a subscription.

use diesel::prelude::*;

use super::conn::db;
use super::kept::{Keep as _, RunQueryDsl};
use super::schema::subscription_actions;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::Sealed;
use crate::domain::slug::Slug;

/// An action, its client secret still sealed.
#[derive(Clone)]
pub struct StoredAction {
    /// What kind of action.
    pub action_type: String,
    /// Where the consumer can do it in a browser.
    pub url: Option<String>,
    /// The client secret.
    pub sealed: Option<Sealed>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = subscription_actions)]
pub(super) struct ActionRow {
    action_type: String,
    url: Option<String>,
    sealed: Option<Vec<u8>>,
    data_key_version: Option<i64>,
}

impl From<ActionRow> for StoredAction {
    fn from(row: ActionRow) -> Self {
        let sealed = row.sealed.zip(row.data_key_version);
        Self {
            action_type: row.action_type,
            url: row.url,
            sealed: sealed.map(|(blob, data_key_version)| Sealed {
                data_key_version,
                blob,
            }),
        }
    }
}

/// Sets the action of a subscription.
///
/// # Errors
/// What the database answers.
pub async fn put(
    conn: &mut Conn,
    portal: &Slug,
    subscription: &str,
    action: &StoredAction,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sealed = action.sealed.as_ref();
    let blob = sealed.map(|sealed| sealed.blob.as_slice());
    let key_version = sealed.map(|sealed| sealed.data_key_version);
    db!(conn, c => diesel::insert_into(subscription_actions::table)
        .values((
            subscription_actions::subscription_id.eq(subscription),
            subscription_actions::portal_id.eq(portal.as_str()),
            subscription_actions::action_type.eq(&action.action_type),
            subscription_actions::url.eq(action.url.as_deref()),
            subscription_actions::sealed.eq(blob),
            subscription_actions::data_key_version.eq(key_version),
            subscription_actions::created_at.eq(now.as_millis()),
        ))
        .on_conflict(subscription_actions::subscription_id)
        .do_update()
        .set((
            subscription_actions::action_type.eq(&action.action_type),
            subscription_actions::url.eq(action.url.as_deref()),
            subscription_actions::sealed.eq(blob),
            subscription_actions::data_key_version.eq(key_version),
            subscription_actions::created_at.eq(now.as_millis()),
        ))
        .kept()
        .execute(c)
        .await)?;
    Ok(())
}

/// Removes the action of a subscription, if it has one.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, subscription: &str) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(subscription_actions::table.find(subscription))
        .execute(c)
        .await)?;
    Ok(())
}

/// Removes the actions of these subscriptions, where they have one.
///
/// # Errors
/// What the database answers.
pub async fn delete_many(conn: &mut Conn, subscriptions: &[&str]) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(
            subscription_actions::table
                .filter(subscription_actions::subscription_id.eq_any(subscriptions)),
        )
        .execute(c)
        .await)?;
    Ok(())
}

/// The action of a subscription.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, subscription: &str) -> Result<Option<StoredAction>, StoreError> {
    let row: Option<ActionRow> = db!(conn, c => subscription_actions::table
        .find(subscription)
        .select(ActionRow::as_select())
        .first(c)
        .await
        .optional())?;
    Ok(row.map(StoredAction::from))
}
