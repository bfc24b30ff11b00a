//! The webhook endpoint registered at Stripe, one per portal.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::stripe_webhook_endpoints;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::WebhookEndpoint;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = stripe_webhook_endpoints, treat_none_as_null = true, treat_none_as_default_value = false)]
struct EndpointRow {
    portal_id: String,
    account_id: String,
    livemode: bool,
    url: String,
    api_version: String,
    endpoint_id: Option<String>,
    attempt_key: Option<String>,
    attempted_at: Option<i64>,
    registered_at: Option<i64>,
}

impl From<EndpointRow> for WebhookEndpoint {
    fn from(row: EndpointRow) -> Self {
        Self {
            account_id: row.account_id,
            mode: Mode::from_livemode(row.livemode),
            url: row.url,
            api_version: row.api_version,
            endpoint_id: row.endpoint_id,
            attempt_key: row.attempt_key,
            attempted_at: row.attempted_at.map(Timestamp::from_millis),
            registered_at: row.registered_at.map(Timestamp::from_millis),
        }
    }
}

/// The endpoint of a portal.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, portal: &Slug) -> Result<Option<WebhookEndpoint>, StoreError> {
    let row: Option<EndpointRow> = db!(conn, c => stripe_webhook_endpoints::table
        .find(portal.as_str())
        .select(EndpointRow::as_select())
        .first(c)
        .await
        .optional())?;
    Ok(row.map(WebhookEndpoint::from))
}

/// Stores the endpoint in place of what was known.
///
/// # Errors
/// What the database answers.
pub async fn put(
    conn: &mut Conn,
    portal: &Slug,
    endpoint: &WebhookEndpoint,
) -> Result<(), StoreError> {
    let row = EndpointRow {
        portal_id: portal.to_string(),
        account_id: endpoint.account_id.clone(),
        livemode: endpoint.mode.livemode(),
        url: endpoint.url.clone(),
        api_version: endpoint.api_version.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        attempt_key: endpoint.attempt_key.clone(),
        attempted_at: endpoint.attempted_at.map(Timestamp::as_millis),
        registered_at: endpoint.registered_at.map(Timestamp::as_millis),
    };
    db!(conn, c => diesel::insert_into(stripe_webhook_endpoints::table)
        .values(&row)
        .on_conflict(stripe_webhook_endpoints::portal_id)
        .do_update()
        .set(&row)
        .execute(c)
        .await)?;
    Ok(())
}

/// Forgets the endpoint.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, portal: &Slug) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(stripe_webhook_endpoints::table.find(portal.as_str()))
        .execute(c)
        .await)?;
    Ok(())
}
