//! The audit log of a portal.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

use super::PortalPath;
use crate::domain::audit::Entry;
use crate::http::State;
use crate::http::auth::{PortalClaim, required};
use crate::http::extract::{InPortal, Query};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;

/// Who did what. Each entry holds the hash of the one before, so that a changed, missing or moved
/// entry shows.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry, example = json!({
    "id": "audt_01kat5bmf0f3x8q2r7w1e4t6y9",
    "seq": 3,
    "at": "2026-11-23T12:00:00.000Z",
    "actor": {"subject": "ops@acme.example", "issuer": "https://id.acme.example"},
    "action": "credentials.stored",
    "subject": "/v1/portals/acme/modules/stripe/credentials",
    "request_id": "01kat5bmf0f3x8q2r7w1e4t6y9",
    "details": {"version": "1", "mode": "test"},
    "previous_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "hash": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
}))]
pub struct AuditEntryBody {
    /// Its id.
    id: String,
    /// Its place in the portal's chain, from 1, without gaps.
    seq: i64,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who.
    actor: ActorBody,
    /// What, as `<noun>.<verb>`.
    action: String,
    /// The address of what was acted upon.
    subject: String,
    /// Under which request.
    request_id: String,
    /// What else to know; never a secret.
    details: BTreeMap<String, String>,
    /// The hash of the entry before; 64 zeros for the first.
    previous_hash: String,
    /// SHA-256 over all of this, each field with its length before it; see the guide.
    hash: String,
}

/// Who acted, as the token said.
#[derive(Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorBody {
    /// The token's `sub`.
    subject: String,
    /// The token's `iss`.
    issuer: String,
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "data": [{
        "id": "audt_01kat5bmf0f3x8q2r7w1e4t6y9",
        "seq": 1,
        "at": "2026-11-23T12:00:00.000Z",
        "actor": {"subject": "ops@acme.example", "issuer": "https://id.acme.example"},
        "action": "portal.created",
        "subject": "/v1/portals/acme",
        "request_id": "01kat5bmf0f3x8q2r7w1e4t6y9",
        "details": {"version": "1"},
        "previous_hash": "0000000000000000000000000000000000000000000000000000000000000000",
        "hash": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    }],
    "has_more": false,
    "next_cursor": null
}))]
pub struct AuditPage {
    /// The entries, newest first.
    data: Vec<AuditEntryBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

impl From<(Entry, String)> for AuditEntryBody {
    fn from((entry, hash): (Entry, String)) -> Self {
        Self {
            id: entry.id,
            seq: entry.seq,
            at: entry.at.to_rfc3339(),
            actor: ActorBody {
                subject: entry.actor.subject,
                issuer: entry.actor.issuer,
            },
            action: entry.action,
            subject: entry.subject,
            request_id: entry.request_id,
            // Written by this service as an object of strings; anything else would break the hash.
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
            previous_hash: entry.previous_hash,
            hash,
        }
    }
}

/// Read the audit log
///
/// Append-only and hash-chained. It outlives its portal; that of a deleted portal is read with a
/// token for every portal.
#[utoipa::path(
    operation_id = "audit_log_list",
    tag = "Audit",
    params(PortalPath, ListParams),
    responses((status = 200, description = "A page of entries, newest first", body = AuditPage)),
    security(("bearer" = ["audit:read"])),
)]
#[get("/audit-log")]
pub(crate) async fn list(
    at: InPortal<required::AuditRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ListParams>,
) -> Result<HttpResponse, Problem> {
    let limit = params.0.limit()?;
    let list = format!("audit-log/{}", at.portal);
    let before: Option<i64> = params.0.position(&state.cursors, &list)?;
    let operator = at.caller.portal == PortalClaim::All;
    let page = state
        .app
        .audit_log(&at.portal, operator, before, limit)
        .await?;
    let next_cursor = page
        .items
        .last()
        .filter(|_| page.has_more)
        .map(|(last, _)| paging::cursor(&state.cursors, &list, last.seq));
    let body = AuditPage {
        data: page.items.into_iter().map(AuditEntryBody::from).collect(),
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
