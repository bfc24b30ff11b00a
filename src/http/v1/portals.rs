//! Portals.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Metadata, MetadataPatch, PortalPath, ReadConditions, WriteConditions};
use crate::app::portals::{MetadataChange, PortalChange, PortalInput};
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::portal::{Portal, TITLE_MAX_CHARS};
use crate::domain::text;
use crate::http::State;
use crate::http::auth::{Authorized, PortalClaim, required};
use crate::http::etag::{Preconditions, stored};
use crate::http::extract::{InPortal, Json, MergePatch, Query, context, present};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;

/// A developer portal: the tenant everything else belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = Portal, example = json!({
    "id": "acme",
    "title": "Acme developer portal",
    "metadata": {"team": "apis"},
    "created_at": "2026-11-23T12:00:00.000Z",
    "updated_at": "2026-11-23T12:00:00.000Z"
}))]
pub struct PortalBody {
    /// Its name.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    id: String,
    /// For people.
    title: String,
    /// The caller's own keys and values.
    #[schema(value_type = Metadata)]
    metadata: BTreeMap<String, String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Portal> for PortalBody {
    fn from(portal: Portal) -> Self {
        Self {
            id: portal.id.to_string(),
            title: portal.title,
            metadata: portal.metadata,
            created_at: portal.created_at.to_rfc3339(),
            updated_at: portal.updated_at.to_rfc3339(),
        }
    }
}

/// What a portal is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"title": "Acme developer portal", "metadata": {"team": "apis"}}))]
pub struct PortalPut {
    /// For people; one line.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    title: String,
    /// The caller's own keys and values: at most 50, of 40 and 500 characters.
    #[serde(default)]
    #[schema(required = false, value_type = Metadata)]
    metadata: BTreeMap<String, String>,
}

/// What is to change about a portal: a JSON merge patch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"metadata": {"team": null, "region": "eu"}}))]
pub struct PortalPatch {
    /// The new title.
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 200, value_type = Option<String>, nullable = false, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$")]
    title: Option<String>,
    /// Keys to set, or to remove with `null`; `null` for all of it removes every key.
    #[serde(default, deserialize_with = "present")]
    #[schema(required = false, value_type = Option<MetadataPatch>)]
    #[expect(
        clippy::option_option,
        reason = "absent, null and a value are three things"
    )]
    metadata: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// A page of portals.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "data": [{
        "id": "acme",
        "title": "Acme developer portal",
        "metadata": {"team": "apis"},
        "created_at": "2026-11-23T12:00:00.000Z",
        "updated_at": "2026-11-23T12:00:00.000Z"
    }],
    "has_more": false,
    "next_cursor": null
}))]
pub struct PortalPage {
    /// The portals, newest first.
    data: Vec<PortalBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Create or set a portal
///
/// Repeating the call with the same body changes nothing. `If-None-Match: *` only creates.
#[utoipa::path(
    operation_id = "portal_put",
    tag = "Portals",
    params(PortalPath, WriteConditions),
    request_body = PortalPut,
    responses(
        (status = 200, description = "The portal as set", body = PortalBody),
        (status = 201, description = "The portal as made", body = PortalBody),
        (status = 409, description = "Another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["portals:write"])),
)]
#[put("")]
pub(crate) async fn put(
    at: InPortal<required::PortalsWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
    body: Json<PortalPut>,
) -> Result<HttpResponse, Problem> {
    let mut errors = Vec::new();
    let input = PortalInput {
        title: text::line("/title", &body.0.title, TITLE_MAX_CHARS, &mut errors),
        metadata: text::metadata("/metadata", body.0.metadata, &mut errors),
    };
    if !errors.is_empty() {
        return Err(Error::fields(errors).into());
    }
    let context = context(&request, &at.caller);
    let (portal, created) = state
        .app
        .put_portal(&context, &at.portal, input, &conditions.0)
        .await?;
    let tag = portal.tag();
    Ok(stored(created, &tag, &PortalBody::from(portal)))
}

/// Read a portal
#[utoipa::path(
    operation_id = "portal_get",
    tag = "Portals",
    params(PortalPath, ReadConditions),
    responses(
        (status = 200, description = "The portal", body = PortalBody),
        (status = 304, description = "The caller has it already"),
    ),
    security(("bearer" = ["portals:read"])),
)]
#[get("")]
pub(crate) async fn get(
    at: InPortal<required::PortalsRead>,
    state: Data<State>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let portal = state.app.portal(&at.portal).await?;
    let tag = portal.tag();
    Ok(conditions.answer(&tag, &PortalBody::from(portal)))
}

/// List portals
///
/// A token for one portal sees that one at most.
#[utoipa::path(
    operation_id = "portal_list",
    tag = "Portals",
    params(ListParams),
    responses((status = 200, description = "A page of portals, newest first", body = PortalPage)),
    security(("bearer" = ["portals:read"])),
)]
#[get("/v1/portals")]
pub(crate) async fn list(
    caller: Authorized<required::PortalsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "portals";
    caller.require_unbound()?;
    let limit = params.0.limit()?;
    let position: Option<(i64, String)> = params.0.position(&state.cursors, LIST)?;
    let only = match &caller.portal {
        PortalClaim::All => None,
        PortalClaim::One(portal) => Some(portal.clone()),
    };
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let page = state.app.portals(only.as_ref(), after, limit).await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        paging::cursor(
            &state.cursors,
            LIST,
            (last.created_at.as_millis(), last.id.as_str()),
        )
    });
    let body = PortalPage {
        data: page.items.into_iter().map(PortalBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    Ok(paging::answer(
        &request,
        &params.0,
        body.next_cursor.as_deref(),
        &body,
    ))
}

/// Change a portal
///
/// A JSON merge patch (RFC 7396): absent fields stay, `null` removes.
#[utoipa::path(
    operation_id = "portal_patch",
    tag = "Portals",
    params(PortalPath, WriteConditions),
    request_body(content(
        (PortalPatch = "application/json"),
        (PortalPatch = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The portal as changed", body = PortalBody),
        (status = 409, description = "Another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["portals:write"])),
)]
#[patch("")]
pub(crate) async fn patch(
    at: InPortal<required::PortalsWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
    body: MergePatch<PortalPatch>,
) -> Result<HttpResponse, Problem> {
    let change = change(body.0)?;
    let context = context(&request, &at.caller);
    let portal = state
        .app
        .patch_portal(&context, &at.portal, change, &conditions.0)
        .await?;
    let tag = portal.tag();
    Ok(stored(false, &tag, &PortalBody::from(portal)))
}

fn change(input: PortalPatch) -> Result<PortalChange, Error> {
    let mut errors = Vec::new();
    let title = input
        .title
        .map(|title| text::line("/title", &title, TITLE_MAX_CHARS, &mut errors));
    let metadata = input.metadata.map(|pairs| match pairs {
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
        Ok(PortalChange { title, metadata })
    } else {
        Err(Error::fields(errors))
    }
}

/// Delete a portal
///
/// Removes everything in it and its webhook endpoint at Stripe; its audit log stays.
#[utoipa::path(
    operation_id = "portal_delete",
    tag = "Portals",
    params(PortalPath, WriteConditions),
    responses(
        (status = 204, description = "The portal is gone"),
        (status = 409, description = "Live subscriptions exist, or another request changed it"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["portals:write"])),
)]
#[delete("")]
pub(crate) async fn delete(
    at: InPortal<required::PortalsWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    state
        .app
        .delete_portal(&context, &at.portal, &conditions.0)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
