//! Access: whether a subscription may use the API now, plainly and as a signed token.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::subscriptions::{AccessDecision, AccessReason, SubscriptionPath};
use super::{CustomerName, PortalPath, ReadConditions};
use crate::app::access::{AccessAnswer, AccessTo, KeySet, PublicKey};
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Error, FieldCode};
use crate::domain::slug::Slug;
use crate::domain::subscription::APPLICATION_MAX_CHARS;
use crate::domain::text;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, digest_tag};
use crate::http::extract::{Query, WithinPortal, context};
use crate::http::problem::Problem;

/// Whether it may use the API now.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessAnswer, example = json!({
    "decision": "grace",
    "reason": "past_due",
    "until": "2026-11-28T12:00:00.000Z",
    "subscription": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "plan": "gold"
}))]
pub struct AccessAnswerBody {
    /// Whether it may.
    decision: AccessDecision,
    /// Why.
    reason: AccessReason,
    /// When the clock alone will change the answer; `null`: never.
    #[schema(required = true, format = DateTime)]
    until: Option<String>,
    /// The subscription that the answer comes from; `null` without one.
    #[schema(required = true, pattern = "^subn_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    subscription: Option<String>,
    /// The plan it is to.
    #[schema(required = true, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    plan: Option<String>,
}

impl From<&AccessAnswer> for AccessAnswerBody {
    fn from(answer: &AccessAnswer) -> Self {
        Self {
            decision: answer.access.decision.into(),
            reason: answer.access.reason.into(),
            until: answer.access.until.map(Timestamp::to_rfc3339),
            subscription: answer.subscription.clone(),
            plan: answer.plan.clone(),
        }
    }
}

/// A signed answer.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessToken, example = json!({
    "token": "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6IuKApiJ9.eyJkZWNpc2lvbiI6ImFsbG93In0.c2lnbmF0dXJl",
    "expires_at": "2026-11-25T12:05:00.000Z"
}))]
pub struct AccessTokenBody {
    /// A JSON Web Token, signed with `EdDSA` by a key of `/.well-known/jwks.json`. Its claims: `iss`,
    /// `aud` (`portal-billing-access` and `portal-billing-access:<portal>`), `sub` (the subscription,
    /// else the customer), `iat`, `exp`, `jti`, `portal`, `customer` (its external id), `product`,
    /// `plan`, `application`, `decision`, `reason`, `until`.
    token: String,
    /// When it expires: in five minutes at the latest, and never after the answer changes by itself.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Whose access, and to what.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AccessParams {
    /// The customer: `org_…`, or `ext:` and the id by which the portal knows it.
    #[param(value_type = CustomerName, inline, example = "ext:globex")]
    customer: String,
    /// The product.
    #[param(
        pattern = "^[a-z0-9][a-z0-9-]{0,62}$",
        max_length = 63,
        example = "weather"
    )]
    product: String,
    /// The application the subscription was made for; left out: the subscription that was made for
    /// none.
    #[param(
        min_length = 1,
        max_length = 255,
        nullable = false,
        example = "mobile-app"
    )]
    application: Option<String>,
}

impl TryFrom<AccessParams> for AccessTo {
    type Error = Error;

    fn try_from(params: AccessParams) -> Result<Self, Error> {
        let refuse = |name: &str, detail: &str| Error::field(name, FieldCode::InvalidValue, detail);
        let customer = CustomerRef::parse(&params.customer)
            .ok_or_else(|| refuse("?customer", "Must be org_… or ext:<external id>."))?;
        let product = Slug::parse(&params.product)
            .ok_or_else(|| refuse("?product", "Must be the name of a product."))?;
        let mut errors = Vec::new();
        let application = params.application.map(|application| {
            text::line(
                "?application",
                &application,
                APPLICATION_MAX_CHARS,
                &mut errors,
            )
        });
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        Ok(Self::Product {
            customer,
            product,
            application,
        })
    }
}

/// Keys with which signed answers are verified (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(as = JsonWebKeySet, example = json!({"keys": [{
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "use": "sig",
    "alg": "EdDSA",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
}]}))]
pub struct JsonWebKeySetBody {
    /// The keys that have signed what is still good, that sign, and that will.
    keys: Vec<JsonWebKeyBody>,
}

/// A public key (RFC 8037).
#[derive(Serialize, ToSchema)]
#[schema(as = JsonWebKey)]
pub struct JsonWebKeyBody {
    /// Always `OKP`.
    kty: &'static str,
    /// Always `Ed25519`.
    crv: &'static str,
    /// The key, in base64url.
    x: String,
    /// Always `sig`.
    r#use: &'static str,
    /// Always `EdDSA`.
    alg: &'static str,
    /// Its thumbprint (RFC 7638).
    kid: String,
}

impl From<PublicKey> for JsonWebKeyBody {
    fn from(key: PublicKey) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            x: key.x,
            r#use: "sig",
            alg: "EdDSA",
            kid: key.kid,
        }
    }
}

/// The answer, to be kept as long as it says and no longer.
fn answer(conditions: &Preconditions, answer: &AccessAnswer) -> HttpResponse {
    let body = AccessAnswerBody::from(answer);
    let mut response = conditions.answer(&digest_tag(&body), &body);
    let max_age = format!("private, max-age={}", answer.max_age_seconds);
    keep(&mut response, &max_age);
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("authorization"));
    response
}

fn keep(response: &mut HttpResponse, cache_control: &str) {
    if let Ok(value) = HeaderValue::from_str(cache_control) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
}

/// May a subscription use the API now
///
/// Right within a second of whatever changes it. `Cache-Control` says for how long a gateway may keep
/// the answer: never beyond the moment at which it changes by itself.
#[utoipa::path(
    operation_id = "access_get_of_subscription",
    tag = "Access",
    params(PortalPath, SubscriptionPath, ReadConditions),
    responses(
        (status = 200, description = "The decision", body = AccessAnswerBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["access:read"])),
)]
#[get("/subscriptions/{subscription}/access")]
pub(crate) async fn of_subscription(
    at: WithinPortal<required::AccessRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (_, id) = path.into_inner();
    let asked = AccessTo::Subscription(id);
    let found = state.app.access(&context, &at.portal, &asked).await?;
    Ok(answer(&conditions, &found))
}

/// May a customer use a product now
///
/// The live subscription counts; where none is live, the one that was last. A customer without a
/// subscription is denied for `no_subscription`.
#[utoipa::path(
    operation_id = "access_get",
    tag = "Access",
    params(PortalPath, AccessParams, ReadConditions),
    responses(
        (status = 200, description = "The decision", body = AccessAnswerBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["access:read"])),
)]
#[get("/access")]
pub(crate) async fn get(
    at: WithinPortal<required::AccessRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<AccessParams>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let asked = AccessTo::try_from(params.0)?;
    let found = state.app.access(&context, &at.portal, &asked).await?;
    Ok(answer(&conditions, &found))
}

/// May a customer use a product now, as a signed token
///
/// For gateways that decide offline: they verify the token with `/.well-known/jwks.json`. A token
/// tells how things were when it was made, for five minutes at the most; who has to know of a change
/// at once asks instead.
#[utoipa::path(
    operation_id = "access_token_get",
    tag = "Access",
    params(PortalPath, AccessParams),
    responses((status = 200, description = "The decision, signed", body = AccessTokenBody)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["access:read"])),
)]
#[get("/access/token")]
pub(crate) async fn token(
    at: WithinPortal<required::AccessRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<AccessParams>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let asked = AccessTo::try_from(params.0)?;
    let made = state.app.access_token(&context, &at.portal, &asked).await?;
    Ok(HttpResponse::Ok().json(AccessTokenBody {
        token: made.token,
        expires_at: made.expires_at.to_rfc3339(),
    }))
}

/// The keys that verify signed answers
///
/// Public. A key is in the set an hour before it signs, and an hour after it has signed last; a
/// verifier that meets a `kid` it does not know reads the set again.
#[utoipa::path(
    operation_id = "access_key_set",
    tag = "Access",
    params(ReadConditions),
    responses(
        (status = 200, description = "The keys", body = JsonWebKeySetBody),
        (status = 304, description = "The caller has them already"),
        (status = 503, description = "The database does not answer"),
    ),
)]
#[get("/.well-known/jwks.json")]
pub(crate) async fn key_set(
    state: Data<State>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let KeySet {
        keys,
        max_age_seconds,
    } = state.app.signing_key_set().await?;
    let body = JsonWebKeySetBody {
        keys: keys.into_iter().map(JsonWebKeyBody::from).collect(),
    };
    let mut response = conditions.answer(&digest_tag(&body), &body);
    let max_age = format!("public, max-age={max_age_seconds}");
    keep(&mut response, &max_age);
    Ok(response)
}
