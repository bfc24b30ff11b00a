//! Versions of credentials, and the signing secrets of Stripe's deliveries. Secrets are here as
//! sealed bytes only.

use diesel::dsl::exists;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::conn::db;
use super::kept::RunQueryDsl;
use super::portal_keys::WrappedKey;
use super::schema::{portal_keys, stripe_credentials, stripe_modules, stripe_webhook_secrets};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::credentials::{Credentials, Sealed, WebhookSecretView};
use crate::domain::readiness::Verification;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::{ApiKeyKind, Mode};

#[derive(Queryable, Selectable)]
#[diesel(table_name = stripe_credentials)]
struct CredentialsRow {
    id: String,
    version: i64,
    account_id: String,
    livemode: bool,
    publishable_key: String,
    secret_kind: String,
    secret_last_four: String,
    secret_fingerprint: String,
    verification: String,
    verified_at: i64,
    created_at: i64,
    superseded_at: Option<i64>,
    retire_at: Option<i64>,
}

/// How a [`Verification`] is written down.
#[derive(Serialize, Deserialize)]
struct VerificationText {
    accepted: bool,
    missing_permissions: Vec<String>,
    charges_enabled: bool,
    country: Option<String>,
    default_currency: Option<String>,
    clock_skew_ms: Option<i64>,
}

fn verification_text(verification: &Verification) -> Result<String, StoreError> {
    let text = VerificationText {
        accepted: verification.accepted,
        missing_permissions: verification.missing_permissions.clone(),
        charges_enabled: verification.charges_enabled,
        country: verification.country.clone(),
        default_currency: verification.default_currency.clone(),
        clock_skew_ms: verification.clock_skew_ms,
    };
    serde_json::to_string(&text).map_err(|error| StoreError::Other(error.to_string()))
}

fn read_verification(text: &str) -> Result<Verification, StoreError> {
    let text: VerificationText = serde_json::from_str(text)
        .map_err(|_| StoreError::corrupt("stripe_credentials.verification"))?;
    Ok(Verification {
        accepted: text.accepted,
        missing_permissions: text.missing_permissions,
        charges_enabled: text.charges_enabled,
        country: text.country,
        default_currency: text.default_currency,
        clock_skew_ms: text.clock_skew_ms,
    })
}

impl TryFrom<CredentialsRow> for Credentials {
    type Error = StoreError;

    fn try_from(row: CredentialsRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            version: row.version,
            account_id: row.account_id,
            mode: Mode::from_livemode(row.livemode),
            publishable_key: row.publishable_key,
            secret_kind: [ApiKeyKind::Secret, ApiKeyKind::Restricted]
                .into_iter()
                .find(|kind| kind.as_str() == row.secret_kind)
                .ok_or_else(|| StoreError::corrupt("stripe_credentials.secret_kind"))?,
            secret_last_four: row.secret_last_four,
            secret_fingerprint: row.secret_fingerprint,
            verification: read_verification(&row.verification)?,
            verified_at: Timestamp::from_millis(row.verified_at),
            created_at: Timestamp::from_millis(row.created_at),
            superseded_at: row.superseded_at.map(Timestamp::from_millis),
            retire_at: row.retire_at.map(Timestamp::from_millis),
        })
    }
}

/// The current credentials of a portal.
///
/// # Errors
/// What the database answers.
pub async fn current(conn: &mut Conn, portal: &Slug) -> Result<Option<Credentials>, StoreError> {
    let row: Option<CredentialsRow> = db!(conn, c => stripe_credentials::table
        .filter(stripe_credentials::portal_id.eq(portal.as_str()))
        .filter(stripe_credentials::superseded_at.is_null())
        .select(CredentialsRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Credentials::try_from).transpose()
}

/// How the current credentials are kept as they are until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// For work that begins with them, which it does while the module is enabled: others may begin work,
    /// too, and nobody may replace them.
    Shared,
    /// To replace or remove them: nobody begins work with them.
    Alone,
}

/// The current credentials of a portal, which stay that until the transaction ends; shared, those of one
/// whose module is enabled. On SQLite a transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn held(
    conn: &mut Conn,
    portal: &Slug,
    hold: Hold,
) -> Result<Option<Credentials>, StoreError> {
    let enabled = || {
        exists(
            stripe_modules::table
                .filter(stripe_modules::portal_id.eq(portal.as_str()))
                .filter(stripe_modules::enabled),
        )
    };
    // What is selected differs in type between the engines.
    macro_rules! current {
        () => {
            stripe_credentials::table
                .filter(stripe_credentials::portal_id.eq(portal.as_str()))
                .filter(stripe_credentials::superseded_at.is_null())
                .select(CredentialsRow::as_select())
        };
    }
    let mut connection = match conn {
        Conn::Pg(pg) => pg.connection(),
        Conn::Lite(c, _) => {
            let row: Option<CredentialsRow> = match hold {
                Hold::Shared => current!().filter(enabled()).first(c).await.optional()?,
                Hold::Alone => current!().first(c).await.optional()?,
            };
            return row.map(Credentials::try_from).transpose();
        }
    };
    let c = &mut connection;
    // Whoever has waited for a successor does not see it yet, and looks again.
    for _look in 0..2 {
        let row: Option<CredentialsRow> = match hold {
            Hold::Shared => {
                let query = current!().filter(enabled()).for_share();
                query.first(c).await.optional()?
            }
            Hold::Alone => current!().for_no_key_update().first(c).await.optional()?,
        };
        if let Some(row) = row {
            return row.try_into().map(Some);
        }
    }
    Ok(None)
}

/// One version of a portal's credentials.
///
/// # Errors
/// What the database answers.
pub async fn version(
    conn: &mut Conn,
    portal: &Slug,
    version: i64,
) -> Result<Option<Credentials>, StoreError> {
    let row: Option<CredentialsRow> = db!(conn, c => stripe_credentials::table
        .filter(stripe_credentials::portal_id.eq(portal.as_str()))
        .filter(stripe_credentials::version.eq(version))
        .select(CredentialsRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Credentials::try_from).transpose()
}

/// Up to `limit` versions of a portal's credentials, newest first.
///
/// # Errors
/// What the database answers.
pub async fn versions(
    conn: &mut Conn,
    portal: &Slug,
    limit: i64,
) -> Result<Vec<Credentials>, StoreError> {
    let rows: Vec<CredentialsRow> = db!(conn, c => stripe_credentials::table
        .filter(stripe_credentials::portal_id.eq(portal.as_str()))
        .select(CredentialsRow::as_select())
        .order(stripe_credentials::version.desc())
        .limit(limit)
        .load(c)
        .await)?;
    rows.into_iter().map(Credentials::try_from).collect()
}

/// When a portal's first credentials were stored.
///
/// # Errors
/// What the database answers.
pub async fn first_stored_at(
    conn: &mut Conn,
    portal: &Slug,
) -> Result<Option<Timestamp>, StoreError> {
    let first: Option<i64> = db!(conn, c => stripe_credentials::table
        .filter(stripe_credentials::portal_id.eq(portal.as_str()))
        .order(stripe_credentials::version.asc())
        .select(stripe_credentials::created_at)
        .first(c)
        .await
        .optional())?;
    Ok(first.map(Timestamp::from_millis))
}

/// A version of the credentials with its sealed secret key and the data key it is sealed with; without them
/// when it was wiped.
pub type Kept = (Credentials, Option<(Sealed, WrappedKey)>);

type KeptRow = (CredentialsRow, Option<Vec<u8>>, WrappedKey);

/// The credentials of a portal with what their secret keys are sealed with. A macro, because what is selected
/// differs in type between the engines.
macro_rules! kept_of {
    ($portal:expr) => {
        stripe_credentials::table
            .inner_join(
                portal_keys::table.on(portal_keys::portal_id
                    .eq(stripe_credentials::portal_id)
                    .and(portal_keys::version.eq(stripe_credentials::data_key_version))),
            )
            .filter(stripe_credentials::portal_id.eq($portal.as_str()))
            .select((
                CredentialsRow::as_select(),
                stripe_credentials::secret_sealed,
                WrappedKey::as_select(),
            ))
    };
}

fn read_kept((row, blob, key): KeptRow) -> Result<Kept, StoreError> {
    let sealed = blob.map(|blob| Sealed {
        data_key_version: key.version,
        blob,
    });
    Ok((row.try_into()?, sealed.map(|sealed| (sealed, key))))
}

/// One version of a portal's credentials, and its secret key, sealed, with the data key that opens it; the
/// secret key is `None` when it was wiped.
///
/// # Errors
/// What the database answers.
pub async fn kept(
    conn: &mut Conn,
    portal: &Slug,
    version: i64,
) -> Result<Option<Kept>, StoreError> {
    let row: Option<KeptRow> = db!(conn, c => kept_of!(portal)
        .filter(stripe_credentials::version.eq(version))
        .first(c)
        .await
        .optional())?;
    row.map(read_kept).transpose()
}

/// As [`kept`], of the current version.
///
/// # Errors
/// What the database answers.
pub async fn kept_now(conn: &mut Conn, portal: &Slug) -> Result<Option<Kept>, StoreError> {
    let row: Option<KeptRow> = db!(conn, c => kept_of!(portal)
        .filter(stripe_credentials::superseded_at.is_null())
        .first(c)
        .await
        .optional())?;
    row.map(read_kept).transpose()
}

/// Adds a version; the caller has superseded the one before.
///
/// # Errors
/// [`super::Unique::CredentialsVersion`] when another writer was first.
pub async fn insert(
    conn: &mut Conn,
    portal: &Slug,
    credentials: &Credentials,
    secret: &Sealed,
) -> Result<(), StoreError> {
    let verification = verification_text(&credentials.verification)?;
    db!(conn, c => diesel::insert_into(stripe_credentials::table)
        .values((
            stripe_credentials::id.eq(&credentials.id),
            stripe_credentials::portal_id.eq(portal.as_str()),
            stripe_credentials::version.eq(credentials.version),
            stripe_credentials::account_id.eq(&credentials.account_id),
            stripe_credentials::livemode.eq(credentials.mode.livemode()),
            stripe_credentials::publishable_key.eq(&credentials.publishable_key),
            stripe_credentials::secret_kind.eq(credentials.secret_kind.as_str()),
            stripe_credentials::secret_last_four.eq(&credentials.secret_last_four),
            stripe_credentials::secret_fingerprint.eq(&credentials.secret_fingerprint),
            stripe_credentials::secret_sealed.eq(&secret.blob),
            stripe_credentials::data_key_version.eq(secret.data_key_version),
            stripe_credentials::verification.eq(&verification),
            stripe_credentials::verified_at.eq(credentials.verified_at.as_millis()),
            stripe_credentials::created_at.eq(credentials.created_at.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Ends the current version: its key may be used until `retire_at`. Tells whether `version` was
/// the current one.
///
/// # Errors
/// What the database answers.
pub async fn supersede(
    conn: &mut Conn,
    portal: &Slug,
    version: i64,
    now: Timestamp,
    retire_at: Timestamp,
) -> Result<bool, StoreError> {
    let changed = db!(conn, c => diesel::update(
            stripe_credentials::table
                .filter(stripe_credentials::portal_id.eq(portal.as_str()))
                .filter(stripe_credentials::version.eq(version))
                .filter(stripe_credentials::superseded_at.is_null()),
        )
        .set((
            stripe_credentials::superseded_at.eq(now.as_millis()),
            stripe_credentials::retire_at.eq(retire_at.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Writes down Stripe's newest word on the current version, if `version` still is.
///
/// # Errors
/// What the database answers.
pub async fn set_verification(
    conn: &mut Conn,
    portal: &Slug,
    version: i64,
    verification: &Verification,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let text = verification_text(verification)?;
    let changed = db!(conn, c => diesel::update(
            stripe_credentials::table
                .filter(stripe_credentials::portal_id.eq(portal.as_str()))
                .filter(stripe_credentials::version.eq(version))
                .filter(stripe_credentials::superseded_at.is_null()),
        )
        .set((
            stripe_credentials::verification.eq(&text),
            stripe_credentials::verified_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(changed == 1)
}

/// Wipes the keys of every version whose time is over; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn wipe_retired(conn: &mut Conn, now: Timestamp) -> Result<usize, StoreError> {
    Ok(db!(conn, c => diesel::update(
            stripe_credentials::table
                .filter(stripe_credentials::secret_sealed.is_not_null())
                .filter(stripe_credentials::retire_at.le(now.as_millis())),
        )
        .set(stripe_credentials::secret_sealed.eq(None::<Vec<u8>>))
        .execute(c)
        .await)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = stripe_webhook_secrets)]
struct WebhookSecretRow {
    id: String,
    endpoint_id: Option<String>,
    last_four: String,
    fingerprint: String,
    sealed: Vec<u8>,
    data_key_version: i64,
    created_at: i64,
    expires_at: Option<i64>,
}

impl From<WebhookSecretRow> for (WebhookSecretView, Sealed) {
    fn from(row: WebhookSecretRow) -> Self {
        let view = WebhookSecretView {
            id: row.id,
            endpoint_id: row.endpoint_id,
            last_four: row.last_four,
            fingerprint: row.fingerprint,
            created_at: Timestamp::from_millis(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_millis),
        };
        (
            view,
            Sealed {
                data_key_version: row.data_key_version,
                blob: row.sealed,
            },
        )
    }
}

/// The signing secrets accepted at `now`, newest first.
///
/// # Errors
/// What the database answers.
pub async fn webhook_secrets(
    conn: &mut Conn,
    portal: &Slug,
    now: Timestamp,
) -> Result<Vec<(WebhookSecretView, Sealed)>, StoreError> {
    let rows: Vec<WebhookSecretRow> = db!(conn, c => stripe_webhook_secrets::table
        .filter(stripe_webhook_secrets::portal_id.eq(portal.as_str()))
        .filter(
            stripe_webhook_secrets::expires_at
                .is_null()
                .or(stripe_webhook_secrets::expires_at.gt(now.as_millis())),
        )
        .select(WebhookSecretRow::as_select())
        .order((stripe_webhook_secrets::created_at.desc(), stripe_webhook_secrets::id.desc()))
        .load(c)
        .await)?;
    Ok(rows
        .into_iter()
        .map(<(WebhookSecretView, Sealed)>::from)
        .collect())
}

/// Adds a signing secret.
///
/// # Errors
/// What the database answers.
pub async fn insert_webhook_secret(
    conn: &mut Conn,
    portal: &Slug,
    view: &WebhookSecretView,
    secret: &Sealed,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::insert_into(stripe_webhook_secrets::table)
        .values((
            stripe_webhook_secrets::id.eq(&view.id),
            stripe_webhook_secrets::portal_id.eq(portal.as_str()),
            stripe_webhook_secrets::endpoint_id.eq(&view.endpoint_id),
            stripe_webhook_secrets::last_four.eq(&view.last_four),
            stripe_webhook_secrets::fingerprint.eq(&view.fingerprint),
            stripe_webhook_secrets::sealed.eq(&secret.blob),
            stripe_webhook_secrets::data_key_version.eq(secret.data_key_version),
            stripe_webhook_secrets::created_at.eq(view.created_at.as_millis()),
            stripe_webhook_secrets::expires_at.eq(view.expires_at.map(Timestamp::as_millis)),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Where a signing secret came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// Stored by hand, with the credentials.
    ByHand,
    /// Returned by Stripe for an endpoint this service registered.
    Registered,
}

/// Gives the signing secrets of one origin that have no end this one.
///
/// # Errors
/// What the database answers.
pub async fn expire_webhook_secrets(
    conn: &mut Conn,
    portal: &Slug,
    origin: SecretOrigin,
    expires_at: Timestamp,
) -> Result<usize, StoreError> {
    let registered = origin == SecretOrigin::Registered;
    Ok(db!(conn, c => diesel::update(
            stripe_webhook_secrets::table
                .filter(stripe_webhook_secrets::portal_id.eq(portal.as_str()))
                .filter(stripe_webhook_secrets::expires_at.is_null())
                .filter(stripe_webhook_secrets::endpoint_id.is_not_null().eq(registered)),
        )
        .set(stripe_webhook_secrets::expires_at.eq(expires_at.as_millis()))
        .execute(c)
        .await)?)
}

/// Deletes the signing secrets whose time is over; tells how many.
///
/// # Errors
/// What the database answers.
pub async fn delete_expired_webhook_secrets(
    conn: &mut Conn,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(db!(conn, c => diesel::delete(
            stripe_webhook_secrets::table
                .filter(stripe_webhook_secrets::expires_at.le(now.as_millis())),
        )
        .execute(c)
        .await)?)
}
