//! Stripe's deliveries, stored before they are acknowledged.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::conn::db;
use super::schema::stripe_events;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;

/// A delivery as it arrived.
#[derive(Clone, Debug)]
pub struct StripeEvent<'a> {
    /// Stripe's id of the event.
    pub id: &'a str,
    /// Stripe's type of it.
    pub event_type: &'a str,
    /// The version its object is in.
    pub api_version: &'a str,
    /// Stripe's time of it.
    pub created_at: Timestamp,
    /// The body, byte for byte.
    pub payload: &'a [u8],
}

/// Stores a delivery; tells whether it is the first of that event.
///
/// # Errors
/// What the database answers.
pub async fn insert(
    conn: &mut Conn,
    portal: &Slug,
    event: &StripeEvent<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let inserted = db!(conn, c => diesel::insert_into(stripe_events::table)
        .values((
            stripe_events::portal_id.eq(portal.as_str()),
            stripe_events::event_id.eq(event.id),
            stripe_events::event_type.eq(event.event_type),
            stripe_events::api_version.eq(event.api_version),
            stripe_events::stripe_created_at.eq(event.created_at.as_millis()),
            stripe_events::received_at.eq(now.as_millis()),
            stripe_events::payload.eq(event.payload),
        ))
        .on_conflict_do_nothing()
        .execute(c)
        .await)?;
    Ok(inserted == 1)
}
