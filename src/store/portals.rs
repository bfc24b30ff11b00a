//! Portals.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::portals;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::portal::Portal;
use crate::domain::slug::Slug;
use crate::domain::text::Metadata;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = portals, treat_none_as_default_value = false)]
struct PortalRow {
    id: String,
    title: String,
    metadata: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<PortalRow> for Portal {
    type Error = StoreError;

    fn try_from(row: PortalRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: Slug::parse(&row.id).ok_or_else(|| StoreError::corrupt("portals.id"))?,
            title: row.title,
            metadata: serde_json::from_str::<Metadata>(&row.metadata)
                .map_err(|_| StoreError::corrupt("portals.metadata"))?,
            version: row.version,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

impl From<&Portal> for PortalRow {
    fn from(portal: &Portal) -> Self {
        Self {
            id: portal.id.to_string(),
            title: portal.title.clone(),
            metadata: metadata_text(&portal.metadata),
            version: portal.version,
            created_at: portal.created_at.as_millis(),
            updated_at: portal.updated_at.as_millis(),
        }
    }
}

fn metadata_text(metadata: &Metadata) -> String {
    let pairs = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    pairs.collect::<serde_json::Value>().to_string()
}

/// The portal of that name.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, id: &Slug) -> Result<Option<Portal>, StoreError> {
    let row = db!(conn, c => portals::table
        .find(id.as_str())
        .select(PortalRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Portal::try_from).transpose()
}

/// Up to `limit` portals, newest first, after the one the list has reached. With `only`, that one
/// portal at most.
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    only: Option<&Slug>,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Portal>, StoreError> {
    let rows: Vec<PortalRow> = db!(conn, c => {
        let mut query = portals::table.select(PortalRow::as_select()).into_boxed();
        if let Some(id) = only {
            query = query.filter(portals::id.eq(id.as_str()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                portals::created_at.lt(at).or(portals::created_at.eq(at).and(portals::id.lt(id))),
            );
        }
        query
            .order((portals::created_at.desc(), portals::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Portal::try_from).collect()
}

/// Adds a portal.
///
/// # Errors
/// [`super::Unique::Portal`] when the name is taken.
pub async fn insert(conn: &mut Conn, portal: &Portal) -> Result<(), StoreError> {
    let row = PortalRow::from(portal);
    db!(conn, c => diesel::insert_into(portals::table).values(&row).execute(c).await)?;
    Ok(())
}

/// Stores title and metadata if the portal is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    portal: &Portal,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let row = PortalRow::from(portal);
    let changed = db!(conn, c => diesel::update(
            portals::table
                .find(&row.id)
                .filter(portals::version.eq(expected_version)),
        )
        .set((
            portals::title.eq(&row.title),
            portals::metadata.eq(&row.metadata),
            portals::version.eq(row.version),
            portals::updated_at.eq(row.updated_at),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Deletes a portal and everything that belongs to it, its data keys included; its audit log stays.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, id: &Slug, expected_version: i64) -> Result<bool, StoreError> {
    let deleted = db!(conn, c => diesel::delete(
            portals::table
                .find(id.as_str())
                .filter(portals::version.eq(expected_version)),
        )
        .execute(c)
        .await)?;
    Ok(deleted == 1)
}
