//! Credentials of a portal's Stripe module. Written, verified, removed; never read back.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PortalPath, ReadConditions, WriteConditions};
use crate::app::credentials::{CredentialsInput, CredentialsView};
use crate::clock::Timestamp;
use crate::domain::credentials::{Credentials, WebhookSecretView};
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, stored, tag_with_digest};
use crate::http::extract::{InPortal, Json, context};
use crate::http::problem::Problem;

/// Keys of one Stripe account in one mode.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "publishable_key": "pk_test_51PgafTB1WZ2rYsUu",
    "secret_key": "rk_test_51PgafTB1WZ2rYsUu"
}))]
pub struct CredentialsPut {
    /// `pk_…`, for browsers.
    #[schema(max_length = 255, value_type = String, pattern = "^pk_(test|live)_[A-Za-z0-9_]{8,}$")]
    publishable_key: SecretString,
    /// `rk_…` (a restricted key, preferred) or `sk_…`. Write-only.
    #[schema(max_length = 255, value_type = String, write_only, pattern = "^(sk|rk)_(test|live)_[A-Za-z0-9_]{8,}$")]
    secret_key: SecretString,
    /// `whsec_…` of an endpoint made by hand; not needed when this service registers its own.
    #[serde(default)]
    #[schema(max_length = 255, value_type = Option<String>, write_only, required = false, pattern = "^whsec_[A-Za-z0-9_+/=-]{8,}$")]
    webhook_secret: Option<SecretString>,
    /// Whether another account or mode than before is meant.
    #[serde(default)]
    #[schema(required = false)]
    confirm_account_change: bool,
}

/// Stored credentials, masked.
#[derive(Serialize, ToSchema)]
#[schema(as = Credentials, example = json!({
    "id": "cred_01kat5bmf0f3x8q2r7w1e4t6y9",
    "version": 2,
    "mode": "test",
    "publishable_key": {"kind": "publishable", "last_four": "YsUu"},
    "secret_key": {"kind": "restricted", "last_four": "9XyZ", "fingerprint": "5d41402abc4b2a76b9719d911017c592"},
    "webhook_secrets": [],
    "verification": {
        "accepted": true,
        "missing_permissions": [],
        "charges_enabled": true,
        "verified_at": "2026-11-23T12:00:00.000Z"
    },
    "stripe": {"account": "acct_1PgafTB1WZ2rYsUu", "livemode": false},
    "versions": [{"version": 2, "created_at": "2026-11-23T12:00:00.000Z", "usable_until": null}],
    "created_at": "2026-11-23T12:00:00.000Z",
    "rotated_at": "2026-11-23T12:00:00.000Z"
}))]
pub struct CredentialsBody {
    /// The id of the version in use.
    id: String,
    /// Counts versions, from 1.
    version: i64,
    /// `test` or `live`.
    #[schema(value_type = super::stripe_module::ModeName)]
    mode: &'static str,
    /// The publishable key.
    publishable_key: KeyBody,
    /// The secret or restricted key.
    secret_key: KeyBody,
    /// The signing secrets that are accepted now.
    webhook_secrets: Vec<WebhookSecretBody>,
    /// Stripe's last word on the keys.
    verification: VerificationBody,
    /// Stripe's own names.
    stripe: CredentialsStripe,
    /// The newest versions.
    versions: Vec<CredentialsVersion>,
    /// When the first version was stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the version in use took the place of another; `null` for the first.
    #[schema(required = true, format = DateTime)]
    rotated_at: Option<String>,
}

/// What a key is for.
#[derive(ToSchema)]
#[schema(as = KeyKind, rename_all = "snake_case")]
pub enum KeyKindName {
    /// For browsers.
    Publishable,
    /// Calls with the permissions it was given.
    Restricted,
    /// Calls with every permission.
    Secret,
}

/// A key, as far as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = MaskedKey)]
pub struct KeyBody {
    /// What it is for.
    #[schema(value_type = KeyKindName)]
    kind: &'static str,
    /// Its last four characters.
    last_four: String,
    /// A keyed hash: equal for equal keys of this portal, useless elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fingerprint: Option<String>,
}

/// A signing secret, as far as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = MaskedWebhookSecret)]
pub struct WebhookSecretBody {
    /// Its last four characters.
    last_four: String,
    /// A keyed hash.
    fingerprint: String,
    /// The endpoint at Stripe it belongs to; `null` when it was stored by hand.
    #[schema(required = true)]
    webhook_endpoint: Option<String>,
    /// When it was stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it is accepted; `null` while it is in use.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
}

/// What Stripe said when it was last asked.
#[derive(Serialize, ToSchema)]
#[schema(as = CredentialsVerification)]
pub struct VerificationBody {
    /// Whether it accepted the keys.
    accepted: bool,
    /// Permissions a restricted key lacks.
    missing_permissions: Vec<String>,
    /// Whether the account may charge.
    charges_enabled: bool,
    /// When it was asked.
    #[schema(format = DateTime)]
    verified_at: String,
}

/// Stripe's names of the account.
#[derive(Serialize, ToSchema)]
pub struct CredentialsStripe {
    /// The account.
    account: String,
    /// Whether the keys are of live mode.
    livemode: bool,
}

/// One version of credentials.
#[derive(Serialize, ToSchema)]
pub struct CredentialsVersion {
    /// Which.
    version: i64,
    /// When it was stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when work begun with it may end with it; `null` for the version in use.
    #[schema(required = true, format = DateTime)]
    usable_until: Option<String>,
}

impl From<&CredentialsView> for CredentialsBody {
    fn from(view: &CredentialsView) -> Self {
        let current = &view.current;
        let last_four: String = {
            let reversed = current.publishable_key.chars().rev().take(4);
            reversed.collect::<Vec<_>>().into_iter().rev().collect()
        };
        let verification = &current.verification;
        Self {
            id: current.id.clone(),
            version: current.version,
            mode: current.mode.as_str(),
            publishable_key: KeyBody {
                kind: "publishable",
                last_four,
                fingerprint: None,
            },
            secret_key: KeyBody {
                kind: current.secret_kind.as_str(),
                last_four: current.secret_last_four.clone(),
                fingerprint: Some(current.secret_fingerprint.clone()),
            },
            webhook_secrets: view
                .webhook_secrets
                .iter()
                .map(WebhookSecretBody::from)
                .collect(),
            verification: VerificationBody {
                accepted: verification.accepted,
                missing_permissions: verification.missing_permissions.clone(),
                charges_enabled: verification.charges_enabled,
                verified_at: current.verified_at.to_rfc3339(),
            },
            stripe: CredentialsStripe {
                account: current.account_id.clone(),
                livemode: current.mode.livemode(),
            },
            versions: view.versions.iter().map(CredentialsVersion::from).collect(),
            created_at: view.first_stored_at.to_rfc3339(),
            rotated_at: (current.version > 1).then(|| current.created_at.to_rfc3339()),
        }
    }
}

impl From<&WebhookSecretView> for WebhookSecretBody {
    fn from(view: &WebhookSecretView) -> Self {
        Self {
            last_four: view.last_four.clone(),
            fingerprint: view.fingerprint.clone(),
            webhook_endpoint: view.endpoint_id.clone(),
            created_at: view.created_at.to_rfc3339(),
            expires_at: view.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<&Credentials> for CredentialsVersion {
    fn from(credentials: &Credentials) -> Self {
        Self {
            version: credentials.version,
            created_at: credentials.created_at.to_rfc3339(),
            usable_until: credentials.retire_at.map(Timestamp::to_rfc3339),
        }
    }
}

fn tag(view: &CredentialsView, body: &CredentialsBody) -> String {
    tag_with_digest(&view.tag(), body)
}

/// Store credentials
///
/// The keys are verified with Stripe by calls that create nothing; nothing is stored unless Stripe
/// accepts them and a restricted key has every permission this service needs. Storing other keys
/// makes a new version; the former one stays usable for 24 hours for work already begun.
#[utoipa::path(
    operation_id = "credentials_put",
    tag = "Stripe module",
    params(PortalPath, WriteConditions),
    request_body = CredentialsPut,
    responses(
        (status = 200, description = "The credentials, masked", body = CredentialsBody),
        (status = 201, description = "The first credentials, masked", body = CredentialsBody),
        (status = 409, description = "Another Stripe account or mode, or another request was faster"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept a key, or the key lacks permissions"),
        (status = 502, description = "Stripe's answer was not usable"),
    ),
    security(("bearer" = ["credentials:write"])),
)]
#[put("/modules/stripe/credentials")]
pub(crate) async fn put(
    at: InPortal<required::CredentialsWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
    body: Json<CredentialsPut>,
) -> Result<HttpResponse, Problem> {
    let input = CredentialsInput::parse(
        body.0.publishable_key.expose_secret(),
        body.0.secret_key.expose_secret(),
        body.0
            .webhook_secret
            .as_ref()
            .map(ExposeSecret::expose_secret),
        body.0.confirm_account_change,
    )?;
    let context = context(&request, &at.caller);
    let (view, created) = state
        .app
        .put_credentials(&context, &at.portal, input, &conditions.0)
        .await?;
    let body = CredentialsBody::from(&view);
    Ok(stored(created, &tag(&view, &body), &body))
}

/// Read the credentials, masked
///
/// Kinds, last four characters, fingerprints, versions. Never a key.
#[utoipa::path(
    operation_id = "credentials_get",
    tag = "Stripe module",
    params(PortalPath, ReadConditions),
    responses(
        (status = 200, description = "The credentials, masked", body = CredentialsBody),
        (status = 304, description = "The caller has them already"),
    ),
    security(("bearer" = ["modules:read"])),
)]
#[get("/modules/stripe/credentials")]
pub(crate) async fn get(
    at: InPortal<required::ModulesRead>,
    state: Data<State>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let view = state.app.credentials(&at.portal).await?;
    let body = CredentialsBody::from(&view);
    Ok(conditions.answer(&tag(&view, &body), &body))
}

/// Verify the credentials now
///
/// Asks Stripe again and writes down what it says. A key that Stripe no longer accepts is an answer
/// (`verification.accepted` is false), not an error.
#[utoipa::path(
    operation_id = "credentials_verify",
    tag = "Stripe module",
    params(PortalPath),
    responses(
        (status = 200, description = "The credentials with Stripe's word of now", body = CredentialsBody),
        (status = 409, description = "The credentials were replaced in between"),
        (status = 502, description = "Stripe's answer was not usable"),
    ),
    security(("bearer" = ["credentials:write"])),
)]
#[post("/modules/stripe/credentials/verify")]
pub(crate) async fn verify(
    at: InPortal<required::CredentialsWrite>,
    state: Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let view = state.app.verify_credentials(&context, &at.portal).await?;
    let body = CredentialsBody::from(&view);
    Ok(stored(false, &tag(&view, &body), &body))
}

/// Remove the credentials
///
/// Wipes the keys and signing secrets and removes the webhook endpoint at Stripe.
#[utoipa::path(
    operation_id = "credentials_delete",
    tag = "Stripe module",
    params(PortalPath, WriteConditions),
    responses(
        (status = 204, description = "The credentials are gone"),
        (status = 409, description = "Live paid subscriptions need them"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["credentials:write"])),
)]
#[delete("/modules/stripe/credentials")]
pub(crate) async fn delete(
    at: InPortal<required::CredentialsWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    state
        .app
        .delete_credentials(&context, &at.portal, &conditions.0)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
