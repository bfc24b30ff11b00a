//! Portals' own webhook endpoints: where this service posts what happens.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{MayRepeat, Metadata, MetadataPatch, PortalPath, ReadConditions, WriteConditions};
use crate::app::App;
use crate::app::endpoints::{EndpointChange, EndpointInput, Target};
use crate::app::portals::MetadataChange;
use crate::clock::Timestamp;
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::secret_guard::holds_secret;
use crate::domain::text;
use crate::domain::webhook_endpoint::{DESCRIPTION_MAX_CHARS, Wanted};
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, stored, tag_with_digest};
use crate::http::extract::{InPortal, MergePatch, Query, context, present};
use crate::http::idempotency::{Accepted, Posted, PostedOptional};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

mod view;

pub use view::{EndpointBody, EndpointSecretBody};

/// What an endpoint is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointPost, example = json!({
    "url": "https://portal.acme.example/hooks/billing",
    "events": ["subscription.created", "subscription.updated"],
    "description": "The portal's back end"
}))]
pub struct EndpointPost {
    /// Where events are posted: https, port 443 or one from 1024, on the public internet.
    #[schema(max_length = 2000, pattern = r"^https?://[^\s\\]+$")]
    url: String,
    /// Which types of events; `*` alone for all, those to come included.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<String>,
    /// For people; one line.
    #[serde(default)]
    #[schema(
        required = false,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    description: Option<String>,
    /// The caller's own keys and values: at most 50, of 40 and 500 characters.
    #[serde(default)]
    #[schema(required = false, value_type = Metadata)]
    metadata: BTreeMap<String, String>,
    /// Whether anything is sent.
    #[serde(default = "yes")]
    #[schema(required = false, default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

/// What is to change about an endpoint: a JSON merge patch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointPatch, example = json!({"enabled": true, "events": ["*"]}))]
pub struct EndpointPatch {
    /// Where events are posted. What has waited is sent there at once.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        required = false,
        nullable = false,
        max_length = 2000,
        pattern = r"^https?://[^\s\\]+$"
    )]
    url: Option<String>,
    /// Which types of events, from now on.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false, min_items = 1, max_items = 100)]
    events: Option<Vec<String>>,
    /// For people; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        required = false, value_type = Option<String>, max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    description: Option<Option<String>>,
    /// Keys to set, or to remove with `null`; `null` for all of it removes every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<MetadataPatch>)]
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
    /// Whether anything is sent. When it is enabled again, what has waited is sent at once.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, nullable = false)]
    enabled: Option<bool>,
}

/// A page of webhook endpoints.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointPage, example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct EndpointPage {
    /// The endpoints, newest first.
    data: Vec<EndpointBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookSecretRotation, example = json!({}))]
pub struct SecretRotation {}

/// A webhook endpoint's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct EndpointPath {
    /// Its id.
    #[param(
        pattern = "^hook_[0-9a-hjkmnp-tv-z]{26}$",
        example = "hook_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    endpoint: String,
}

/// The tag of an endpoint as it is shown, in which `failing_since` moves by itself.
pub(in crate::http) fn tag_of(version: &str, body: &EndpointBody) -> String {
    tag_with_digest(version, body)
}

#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
struct Checked {
    url: Option<Target>,
    wanted: Option<Wanted>,
    description: Option<Option<String>>,
}

/// Checks what a POST and a PATCH have in common.
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three things"
)]
fn checked(
    app: &App,
    url: Option<&str>,
    events: Option<Vec<String>>,
    description: Option<Option<&str>>,
    errors: &mut Vec<FieldError>,
) -> Checked {
    let mut refuse = |code, detail: String| errors.push(FieldError::new("/url", code, detail));
    let url = url.and_then(|url| {
        if holds_secret(url) {
            let detail = "Looks like it holds a secret key or a token of Stripe's.";
            refuse(FieldCode::SecretDetected, detail.to_owned());
            return None;
        }
        app.webhook_target(url)
            .map_err(|refusal| refuse(FieldCode::InvalidValue, refusal.to_string()))
            .ok()
    });
    let wanted = events.map(|events| Wanted::take("/events", events, errors));
    let description = description.map(|text| {
        text.map(|text| text::line("/description", text, DESCRIPTION_MAX_CHARS, errors))
    });
    Checked {
        url,
        wanted,
        description,
    }
}

fn input(app: &App, body: EndpointPost) -> Result<EndpointInput, Error> {
    let mut errors = Vec::new();
    let description = Some(body.description.as_deref());
    let checked = checked(
        app,
        Some(&body.url),
        Some(body.events),
        description,
        &mut errors,
    );
    let metadata = text::metadata("/metadata", body.metadata, &mut errors);
    match (checked.url, checked.wanted) {
        (Some(url), Some(wanted)) if errors.is_empty() => Ok(EndpointInput {
            url,
            wanted,
            description: checked.description.flatten(),
            metadata,
            enabled: body.enabled,
        }),
        _ => Err(Error::fields(errors)),
    }
}

fn change(app: &App, body: EndpointPatch) -> Result<EndpointChange, Error> {
    let mut errors = Vec::new();
    let description = body.description.as_ref().map(Option::as_deref);
    let checked = checked(
        app,
        body.url.as_deref(),
        body.events,
        description,
        &mut errors,
    );
    let metadata = body.metadata.map(|pairs| match pairs {
        None => MetadataChange::Clear,
        Some(pairs) => MetadataChange::Merge(pairs.into_iter().collect()),
    });
    if let Some(MetadataChange::Merge(pairs)) = &metadata {
        let set = pairs
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        text::metadata("/metadata", set.collect(), &mut errors);
    }
    if errors.is_empty() {
        Ok(EndpointChange {
            url: checked.url,
            wanted: checked.wanted,
            description: checked.description,
            metadata,
            enabled: body.enabled,
        })
    } else {
        Err(Error::fields(errors))
    }
}

/// Make a webhook endpoint
///
/// Events are posted to it from now on, signed as Standard Webhooks 1.0 has it. The answer has the
/// secret, which is not shown again.
#[utoipa::path(
    operation_id = "webhook_endpoint_create",
    tag = "Webhooks",
    params(PortalPath, MayRepeat),
    request_body = EndpointPost,
    responses(
        (status = 201, description = "The endpoint and its secret", body = EndpointSecretBody),
        (status = 409, description = "The portal has as many as it may have"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/webhook-endpoints")]
pub(crate) async fn create(
    at: InPortal<required::WebhooksWrite>,
    state: Data<State>,
    request: HttpRequest,
    posted: Posted<EndpointPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let input = input(&state.app, posted.body)?;
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .create_endpoint(&context, &at.portal, input, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}

/// List webhook endpoints
#[utoipa::path(
    operation_id = "webhook_endpoint_list",
    tag = "Webhooks",
    params(PortalPath, ListParams),
    responses((status = 200, description = "A page of endpoints, newest first", body = EndpointPage)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/webhook-endpoints")]
pub(crate) async fn list(
    at: InPortal<required::WebhooksRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "webhook endpoints";
    let limit = params.0.limit()?;
    let position: Option<(i64, String)> = params.0.position(&state.cursors, LIST)?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let page = state.app.endpoints(&at.portal, after, limit).await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.endpoint.created_at.as_millis(), &last.endpoint.id);
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = EndpointPage {
        data: page.items.into_iter().map(EndpointBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &params.0, next, &body))
}

/// Read a webhook endpoint
#[utoipa::path(
    operation_id = "webhook_endpoint_get",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, ReadConditions),
    responses(
        (status = 200, description = "The endpoint", body = EndpointBody),
        (status = 304, description = "The caller has it already"),
    ),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/webhook-endpoints/{endpoint}")]
pub(crate) async fn get(
    at: InPortal<required::WebhooksRead>,
    state: Data<State>,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let view = state.app.endpoint(&at.portal, &id).await?;
    let version = view.tag();
    let body = EndpointBody::from(view);
    Ok(conditions.answer(&tag_of(&version, &body), &body))
}

/// Change a webhook endpoint
///
/// A JSON merge patch (RFC 7396): absent fields stay, `null` removes.
#[utoipa::path(
    operation_id = "webhook_endpoint_patch",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, WriteConditions),
    request_body(content(
        (EndpointPatch = "application/json"),
        (EndpointPatch = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The endpoint as changed", body = EndpointBody),
        (status = 409, description = "Another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[patch("/webhook-endpoints/{endpoint}")]
pub(crate) async fn patch(
    at: InPortal<required::WebhooksWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    body: MergePatch<EndpointPatch>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let change = change(&state.app, body.0)?;
    let context = context(&request, &at.caller);
    let view = state
        .app
        .change_endpoint(&context, &at.portal, &id, change, &conditions.0)
        .await?;
    let version = view.tag();
    let body = EndpointBody::from(view);
    Ok(stored(false, &tag_of(&version, &body), &body))
}

/// Delete a webhook endpoint
///
/// With its deliveries; what was not sent to it is not sent.
#[utoipa::path(
    operation_id = "webhook_endpoint_delete",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, WriteConditions),
    responses(
        (status = 204, description = "The endpoint is gone"),
        (status = 409, description = "Another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["webhooks:write"])),
)]
#[delete("/webhook-endpoints/{endpoint}")]
pub(crate) async fn delete(
    at: InPortal<required::WebhooksWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let context = context(&request, &at.caller);
    state
        .app
        .delete_endpoint(&context, &at.portal, &id, &conditions.0)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Rotate a webhook endpoint's secret
///
/// A new secret and a new key pair. The ones so far go on signing beside them for 24 hours: each
/// delivery then has the signatures of both. At most four generations sign at a time.
#[utoipa::path(
    operation_id = "webhook_endpoint_rotate_secret",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, MayRepeat),
    request_body = Option<SecretRotation>,
    responses((status = 200, description = "The endpoint and its new secret", body = EndpointSecretBody)),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/webhook-endpoints/{endpoint}/rotate-secret")]
pub(crate) async fn rotate_secret(
    at: InPortal<required::WebhooksWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    posted: PostedOptional<SecretRotation, Accepted>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .rotate_endpoint_secret(&context, &at.portal, &id, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}
