//! Portals' own webhook endpoints, and the keys that sign what is sent to them. (Stripe's endpoint,
//! which delivers to this service, is in `webhook_endpoints`.)

use diesel::prelude::*;

use super::conn::db;
use super::deliveries::Pending;
use super::kept::RunQueryDsl;
use super::schema::{event_heads, webhook_deliveries, webhook_endpoint_secrets, webhook_endpoints};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::Sealed;
use crate::domain::slug::Slug;
use crate::domain::text::Metadata;
use crate::domain::webhook_endpoint::{
    Disabled, DisabledReason, PublicKey, Wanted, WebhookEndpoint,
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_endpoints, treat_none_as_default_value = false)]
struct EndpointRow {
    id: String,
    portal_id: String,
    url: String,
    events: String,
    description: Option<String>,
    metadata: String,
    enabled: bool,
    disabled_reason: Option<String>,
    disabled_at: Option<i64>,
    position: i64,
    not_before: i64,
    failing_since: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

/// How far the deliveries to an endpoint have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The place in the portal's feed up to which there are deliveries.
    pub position: i64,
    /// Nothing is sent before this.
    pub not_before: Timestamp,
}

fn text_of<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Other(error.to_string()))
}

fn row_of(endpoint: &WebhookEndpoint, progress: Progress) -> Result<EndpointRow, StoreError> {
    let it = endpoint.clone();
    Ok(EndpointRow {
        events: text_of(&it.wanted.names())?,
        metadata: text_of(&it.metadata)?,
        id: it.id,
        portal_id: it.portal.to_string(),
        url: it.url,
        description: it.description,
        enabled: it.disabled.is_none(),
        disabled_reason: it.disabled.map(|it| it.reason.as_str().to_owned()),
        disabled_at: it.disabled.map(|it| it.at.as_millis()),
        position: progress.position,
        not_before: progress.not_before.as_millis(),
        failing_since: it.failing_since.map(Timestamp::as_millis),
        version: it.version,
        created_at: it.created_at.as_millis(),
        updated_at: it.updated_at.as_millis(),
    })
}

fn read(row: EndpointRow) -> Result<(WebhookEndpoint, Progress), StoreError> {
    let corrupt = StoreError::corrupt;
    let names: Vec<String> =
        serde_json::from_str(&row.events).map_err(|_| corrupt("webhook_endpoints.events"))?;
    let disabled = match (row.enabled, row.disabled_reason, row.disabled_at) {
        (true, _, _) => None,
        (false, Some(reason), Some(at)) => Some(Disabled {
            reason: DisabledReason::parse(&reason)
                .ok_or_else(|| corrupt("webhook_endpoints.disabled_reason"))?,
            at: Timestamp::from_millis(at),
        }),
        (false, _, _) => return Err(corrupt("webhook_endpoints.enabled")),
    };
    let progress = Progress {
        position: row.position,
        not_before: Timestamp::from_millis(row.not_before),
    };
    let endpoint = WebhookEndpoint {
        id: row.id,
        portal: Slug::parse(&row.portal_id)
            .ok_or_else(|| corrupt("webhook_endpoints.portal_id"))?,
        url: row.url,
        wanted: Wanted::from_names(names),
        description: row.description,
        metadata: serde_json::from_str::<Metadata>(&row.metadata)
            .map_err(|_| corrupt("webhook_endpoints.metadata"))?,
        disabled,
        failing_since: row.failing_since.map(Timestamp::from_millis),
        version: row.version,
        created_at: Timestamp::from_millis(row.created_at),
        updated_at: Timestamp::from_millis(row.updated_at),
    };
    Ok((endpoint, progress))
}

/// Adds an endpoint.
///
/// # Errors
/// What the database answers.
pub async fn insert(
    conn: &mut Conn,
    endpoint: &WebhookEndpoint,
    progress: Progress,
) -> Result<(), StoreError> {
    let row = row_of(endpoint, progress)?;
    db!(conn, c => diesel::insert_into(webhook_endpoints::table).values(&row).execute(c).await)?;
    Ok(())
}

/// The endpoint of that id in the portal.
///
/// # Errors
/// What the database answers.
pub async fn find(
    conn: &mut Conn,
    portal: &Slug,
    id: &str,
) -> Result<Option<WebhookEndpoint>, StoreError> {
    let row: Option<EndpointRow> = db!(conn, c => webhook_endpoints::table
        .find(id)
        .filter(webhook_endpoints::portal_id.eq(portal.as_str()))
        .select(EndpointRow::as_select())
        .first(c)
        .await
        .optional())?;
    Ok(row.map(read).transpose()?.map(|(endpoint, _)| endpoint))
}

/// The endpoint of that id, for this unit of work alone until it ends: what is decided about its
/// deliveries is decided by one at a time.
///
/// # Errors
/// What the database answers.
pub async fn lock(
    conn: &mut Conn,
    id: &str,
) -> Result<Option<(WebhookEndpoint, Progress)>, StoreError> {
    let found = webhook_endpoints::table.find(id);
    let row: Option<EndpointRow> = match conn {
        Conn::Pg(pg) => found
            .select(EndpointRow::as_select())
            .for_no_key_update()
            .first(&mut pg.connection())
            .await
            .optional()?,
        // A transaction that writes is alone on SQLite.
        Conn::Lite(c, _) => found
            .select(EndpointRow::as_select())
            .first(c)
            .await
            .optional()?,
    };
    row.map(read).transpose()
}

/// Endpoints of a portal.
///
/// # Errors
/// What the database answers.
pub async fn count(conn: &mut Conn, portal: &Slug) -> Result<i64, StoreError> {
    Ok(db!(conn, c => webhook_endpoints::table
        .filter(webhook_endpoints::portal_id.eq(portal.as_str()))
        .count()
        .get_result(c)
        .await)?)
}

/// Up to `limit` endpoints of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<WebhookEndpoint>, StoreError> {
    let rows: Vec<EndpointRow> = db!(conn, c => {
        let mut query = webhook_endpoints::table
            .filter(webhook_endpoints::portal_id.eq(portal.as_str()))
            .select(EndpointRow::as_select())
            .into_boxed();
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                webhook_endpoints::created_at.lt(at).or(webhook_endpoints::created_at
                    .eq(at)
                    .and(webhook_endpoints::id.lt(id))),
            );
        }
        query
            .order((webhook_endpoints::created_at.desc(), webhook_endpoints::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    let endpoints = rows.into_iter().map(|row| Ok(read(row)?.0));
    endpoints.collect()
}

/// Stores an endpoint as it is now, if it is still at `expected_version`; tells whether it was.
///
/// # Errors
/// What the database answers.
pub async fn update(
    conn: &mut Conn,
    endpoint: &WebhookEndpoint,
    expected_version: i64,
) -> Result<bool, StoreError> {
    let nowhere = Progress {
        position: 0,
        not_before: endpoint.created_at,
    };
    let row = row_of(endpoint, nowhere)?;
    let changed = db!(conn, c => diesel::update(
            webhook_endpoints::table
                .filter(webhook_endpoints::id.eq(&row.id))
                .filter(webhook_endpoints::version.eq(expected_version)),
        )
        .set((
            webhook_endpoints::url.eq(&row.url),
            webhook_endpoints::events.eq(&row.events),
            webhook_endpoints::description.eq(&row.description),
            webhook_endpoints::metadata.eq(&row.metadata),
            webhook_endpoints::enabled.eq(row.enabled),
            webhook_endpoints::disabled_reason.eq(&row.disabled_reason),
            webhook_endpoints::disabled_at.eq(row.disabled_at),
            webhook_endpoints::failing_since.eq(row.failing_since),
            webhook_endpoints::version.eq(row.version),
            webhook_endpoints::updated_at.eq(row.updated_at),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Stores how far the deliveries have come; only for whoever holds the [`lock`].
///
/// # Errors
/// What the database answers.
pub async fn set_progress(
    conn: &mut Conn,
    id: &str,
    progress: Progress,
    failing_since: Option<Timestamp>,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(webhook_endpoints::table.find(id))
        .set((
            webhook_endpoints::position.eq(progress.position),
            webhook_endpoints::not_before.eq(progress.not_before.as_millis()),
            webhook_endpoints::failing_since.eq(failing_since.map(Timestamp::as_millis)),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Deletes an endpoint with its keys and its deliveries.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, id: &str, expected_version: i64) -> Result<bool, StoreError> {
    let deleted = db!(conn, c => diesel::delete(
            webhook_endpoints::table
                .filter(webhook_endpoints::id.eq(id))
                .filter(webhook_endpoints::version.eq(expected_version)),
        )
        .execute(c)
        .await)?;
    Ok(deleted == 1)
}

/// Endpoints to which something may have to be sent now: their portal's feed has gone on, or a
/// delivery is due and nobody works on it.
///
/// # Errors
/// What the database answers.
pub async fn with_work(conn: &mut Conn, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let now = now.as_millis();
    let behind = event_heads::table
        .filter(event_heads::portal_id.eq(webhook_endpoints::portal_id))
        .filter(event_heads::position.gt(webhook_endpoints::position));
    let due = webhook_deliveries::table
        .filter(webhook_deliveries::endpoint_id.eq(webhook_endpoints::id))
        .filter(Pending)
        .filter(webhook_deliveries::next_attempt_at.le(now))
        .filter(
            webhook_deliveries::lease_until
                .is_null()
                .or(webhook_deliveries::lease_until.le(now)),
        );
    let query = webhook_endpoints::table
        .filter(webhook_endpoints::enabled.eq(true))
        .filter(webhook_endpoints::not_before.le(now))
        .filter(diesel::dsl::exists(behind).or(diesel::dsl::exists(due)))
        .order(webhook_endpoints::id)
        .select(webhook_endpoints::id);
    Ok(db!(conn, c => query.load(c).await)?)
}

/// A generation of an endpoint's signing keys, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKeys {
    /// `wsec_…`; the row the keys are sealed for.
    pub id: String,
    /// Whose.
    pub portal: Slug,
    /// Which endpoint's.
    pub endpoint: String,
    /// The public half.
    pub public: PublicKey,
    /// Both, sealed.
    pub sealed: Sealed,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = webhook_endpoint_secrets, treat_none_as_default_value = false)]
struct SecretRow {
    id: String,
    portal_id: String,
    endpoint_id: String,
    public_key: String,
    sealed: Vec<u8>,
    data_key_version: i64,
    created_at: i64,
    expires_at: Option<i64>,
}

impl TryFrom<SecretRow> for SealedKeys {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            portal: Slug::parse(&row.portal_id)
                .ok_or_else(|| StoreError::corrupt("webhook_endpoint_secrets.portal_id"))?,
            id: row.id,
            endpoint: row.endpoint_id,
            public: PublicKey {
                key: row.public_key,
                created_at: Timestamp::from_millis(row.created_at),
                expires_at: row.expires_at.map(Timestamp::from_millis),
            },
            sealed: Sealed {
                data_key_version: row.data_key_version,
                blob: row.sealed,
            },
        })
    }
}

/// Adds a generation of keys.
///
/// # Errors
/// What the database answers.
pub async fn insert_keys(conn: &mut Conn, keys: &SealedKeys) -> Result<(), StoreError> {
    let it = keys.clone();
    let row = SecretRow {
        id: it.id,
        portal_id: it.portal.to_string(),
        endpoint_id: it.endpoint,
        public_key: it.public.key,
        sealed: it.sealed.blob,
        data_key_version: it.sealed.data_key_version,
        created_at: it.public.created_at.as_millis(),
        expires_at: it.public.expires_at.map(Timestamp::as_millis),
    };
    db!(conn, c => diesel::insert_into(webhook_endpoint_secrets::table)
        .values(&row)
        .execute(c)
        .await)?;
    Ok(())
}

/// The keys of these endpoints that sign now, newest first.
///
/// # Errors
/// What the database answers.
pub async fn keys_of(
    conn: &mut Conn,
    endpoints: &[&str],
    now: Timestamp,
) -> Result<Vec<SealedKeys>, StoreError> {
    let rows: Vec<SecretRow> = db!(conn, c => webhook_endpoint_secrets::table
        .filter(webhook_endpoint_secrets::endpoint_id.eq_any(endpoints))
        .filter(
            webhook_endpoint_secrets::expires_at
                .is_null()
                .or(webhook_endpoint_secrets::expires_at.gt(now.as_millis())),
        )
        .order((
            webhook_endpoint_secrets::expires_at.is_null().desc(),
            webhook_endpoint_secrets::created_at.desc(),
            webhook_endpoint_secrets::id.desc(),
        ))
        .select(SecretRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(SealedKeys::try_from).collect()
}

/// Lets the keys of an endpoint that have no end end at `expires_at`.
///
/// # Errors
/// What the database answers.
pub async fn expire_keys(
    conn: &mut Conn,
    endpoint: &str,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(
            webhook_endpoint_secrets::table
                .filter(webhook_endpoint_secrets::endpoint_id.eq(endpoint))
                .filter(webhook_endpoint_secrets::expires_at.is_null()),
        )
        .set(webhook_endpoint_secrets::expires_at.eq(expires_at.as_millis()))
        .execute(c)
        .await)?;
    Ok(())
}

/// Deletes a generation of keys.
///
/// # Errors
/// What the database answers.
pub async fn delete_keys(conn: &mut Conn, id: &str) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(webhook_endpoint_secrets::table.find(id)).execute(c).await)?;
    Ok(())
}

/// Deletes keys past their end; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_expired_keys(conn: &mut Conn, now: Timestamp) -> Result<usize, StoreError> {
    Ok(db!(conn, c => diesel::delete(
            webhook_endpoint_secrets::table
                .filter(webhook_endpoint_secrets::expires_at.le(now.as_millis())),
        )
        .execute(c)
        .await)?)
}
