//! The outbox: facts this service publishes, written in the transaction of what they tell of.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::db;
use super::schema::{event_heads, events};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;

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
/// [`super::Unique::EventSubject`] when this version of the subject was published already: a bug.
pub async fn append(
    conn: &mut Conn,
    portal: &Slug,
    event: &NewEvent<'_>,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let position: i64 = db!(conn, c => diesel::insert_into(event_heads::table)
        .values((
            event_heads::portal_id.eq(portal.as_str()),
            event_heads::position.eq(1_i64),
        ))
        .on_conflict(event_heads::portal_id)
        .do_update()
        .set(event_heads::position.eq(event_heads::position + 1))
        .returning(event_heads::position)
        .get_result(c)
        .await)?;
    db!(conn, c => diesel::insert_into(events::table)
        .values((
            events::portal_id.eq(portal.as_str()),
            events::position.eq(position),
            events::id.eq(event.id),
            events::event_type.eq(event.event_type),
            events::subject.eq(event.subject),
            events::seq.eq(event.seq),
            events::organization.eq(event.organization),
            events::data.eq(event.data),
            events::created_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(position)
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
