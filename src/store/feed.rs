//! The event feed, read: by portals that poll, by the fan-out to webhook endpoints, by replays.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::{event_heads, events};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::webhook_endpoint::Wanted;

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
struct EventRow {
    position: i64,
    id: String,
    event_type: String,
    subject: String,
    seq: i64,
    data: String,
    created_at: i64,
}

/// A fact as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the portal's feed, from 1, without gaps.
    pub position: i64,
    /// `fact_…`.
    pub id: String,
    /// Such as `subscription.updated`.
    pub event_type: String,
    /// Our id of the thing it is about.
    pub subject: String,
    /// The thing's version after the change.
    pub seq: i64,
    /// The thing as the API shows it, as JSON.
    pub data: String,
    /// When.
    pub created_at: Timestamp,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            position: row.position,
            id: row.id,
            event_type: row.event_type,
            subject: row.subject,
            seq: row.seq,
            data: row.data,
            created_at: Timestamp::from_millis(row.created_at),
        }
    }
}

/// Which events a reader of the feed sees.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those that concern this organization (external id).
    pub organization: Option<String>,
    /// Only of this type.
    pub event_type: Option<String>,
    /// Only about this thing.
    pub subject: Option<String>,
}

/// The place of the newest event of a portal; 0 when there is none. Every event up to it is there to
/// be read.
///
/// # Errors
/// What the database answers.
pub async fn head(conn: &mut Conn, portal: &Slug) -> Result<i64, StoreError> {
    let position: Option<i64> = db!(conn, c => event_heads::table
        .find(portal.as_str())
        .select(event_heads::position)
        .first(c)
        .await
        .optional())?;
    Ok(position.unwrap_or(0))
}

/// Up to `limit` events behind the place `after` up to the place `until`, oldest first.
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: &Filter,
    (after, until): (i64, i64),
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<EventRow> = db!(conn, c => {
        let mut query = events::table
            .filter(events::portal_id.eq(portal.as_str()))
            .filter(events::position.gt(after))
            .filter(events::position.le(until))
            .select(EventRow::as_select())
            .into_boxed();
        if let Some(organization) = &filter.organization {
            query = query.filter(events::organization.eq(organization));
        }
        if let Some(event_type) = &filter.event_type {
            query = query.filter(events::event_type.eq(event_type));
        }
        if let Some(subject) = &filter.subject {
            query = query.filter(events::subject.eq(subject));
        }
        query.order(events::position).limit(limit).load(c).await?
    });
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The organizations (external ids) that the events behind the place `after` up to the place `until` concern;
/// `None` stands for those that concern none in particular.
///
/// # Errors
/// What the database answers.
pub async fn organizations(
    conn: &mut Conn,
    portal: &Slug,
    (after, until): (i64, i64),
) -> Result<Vec<Option<String>>, StoreError> {
    Ok(db!(conn, c => events::table
        .filter(events::portal_id.eq(portal.as_str()))
        .filter(events::position.gt(after))
        .filter(events::position.le(until))
        .select(events::organization)
        .distinct()
        .load(c)
        .await)?)
}

/// The events of these ids.
///
/// # Errors
/// What the database answers.
pub async fn by_ids(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<EventRow> = db!(conn, c => events::table
        .filter(events::id.eq_any(ids))
        .select(EventRow::as_select())
        .load(c)
        .await)?;
    Ok(rows.into_iter().map(Event::from).collect())
}

/// The place of an event of the portal.
///
/// # Errors
/// What the database answers.
pub async fn position_of(
    conn: &mut Conn,
    portal: &Slug,
    id: &str,
) -> Result<Option<i64>, StoreError> {
    Ok(db!(conn, c => events::table
        .filter(events::id.eq(id))
        .filter(events::portal_id.eq(portal.as_str()))
        .select(events::position)
        .first(c)
        .await
        .optional())?)
}

/// As much of an event as its delivery needs.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = events)]
pub struct Heading {
    /// Its place in the portal's feed.
    pub position: i64,
    /// `fact_…`.
    pub id: String,
    /// Such as `subscription.updated`.
    pub event_type: String,
    /// Our id of the thing it is about.
    pub subject: String,
}

/// A stretch of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Behind this place.
    pub after: i64,
    /// Up to this place.
    pub until: i64,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Older than this.
    pub before: Option<Timestamp>,
}

/// Up to `limit` events of a stretch that an endpoint wants, oldest first.
///
/// # Errors
/// What the database answers.
pub async fn wanted(
    conn: &mut Conn,
    portal: &Slug,
    wanted: &Wanted,
    stretch: Stretch,
    limit: i64,
) -> Result<Vec<Heading>, StoreError> {
    Ok(db!(conn, c => {
        let mut query = events::table
            .filter(events::portal_id.eq(portal.as_str()))
            .filter(events::position.gt(stretch.after))
            .filter(events::position.le(stretch.until))
            .select(Heading::as_select())
            .into_boxed();
        if let Wanted::Only(types) = wanted {
            query = query.filter(events::event_type.eq_any(types));
        }
        if let Some(since) = stretch.since {
            query = query.filter(events::created_at.ge(since.as_millis()));
        }
        if let Some(before) = stretch.before {
            query = query.filter(events::created_at.lt(before.as_millis()));
        }
        query.order(events::position).limit(limit).load(c).await?
    }))
}
