//! Durable operations: what is still on its way to Stripe, and what is stuck.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{MayRepeat, PortalPath, ReadConditions};
use crate::app::operations::Filter;
use crate::clock::Timestamp;
use crate::domain::error::{Error, FieldCode};
use crate::domain::operation::{Failure, Kind, Operation, Status};
use crate::domain::precondition::entity_tag;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::Preconditions;
use crate::http::extract::{Query, WithinPortal, context};
use crate::http::idempotency::{Accepted, PostedOptional};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// One durable unit of work that has to reach Stripe.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation, example = json!({
    "id": "oper_01kat5bmf0f3x8q2r7w1e4t6y9",
    "kind": "create_subscription",
    "subject": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "status": "running",
    "step": "create_subscription",
    "attempts": 2,
    "next_attempt_at": "2026-11-25T12:00:01.000Z",
    "error": null,
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.500Z",
    "finished_at": null
}))]
pub struct OperationBody {
    /// Its id.
    #[schema(pattern = "^oper_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// What it does; more kinds may come.
    #[schema(pattern = "^[a-z_]{1,64}$")]
    kind: &'static str,
    /// The id of the thing it is about.
    subject: String,
    /// Where it stands.
    status: OperationStatus,
    /// The step it is at; `queued` while it waits for others of the same customer.
    step: String,
    /// Attempts of this step that did not settle it.
    #[schema(minimum = 0)]
    attempts: i32,
    /// When it goes on, while it is running.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// Why it failed, needs attention, or had to be tried again.
    #[schema(required = true)]
    error: Option<OperationError>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it ended.
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// It goes on by itself.
    Running,
    /// Done.
    Succeeded,
    /// Stripe or a rule said no; nothing is left of it.
    Failed,
    /// Somebody has to look; `retry` goes on.
    Attention,
}

impl From<Status> for OperationStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::Attention => Self::Attention,
        }
    }
}

impl From<OperationStatus> for Status {
    fn from(status: OperationStatus) -> Self {
        match status {
            OperationStatus::Running => Self::Running,
            OperationStatus::Succeeded => Self::Succeeded,
            OperationStatus::Failed => Self::Failed,
            OperationStatus::Attention => Self::Attention,
        }
    }
}

/// Why an operation failed, needs attention, or had to be tried again.
#[derive(Serialize, ToSchema)]
pub struct OperationError {
    /// A problem's code: `/problems/<code>` explains it.
    code: String,
    /// For people.
    detail: String,
    /// What Stripe said.
    #[schema(required = true)]
    stripe: Option<OperationStripeError>,
}

/// What Stripe said of an operation.
#[derive(Serialize, ToSchema)]
pub struct OperationStripeError {
    /// Stripe's `Request-Id`.
    #[schema(required = true)]
    request_id: Option<String>,
    /// Stripe's error code.
    #[schema(required = true)]
    code: Option<String>,
    /// The issuer's decline code.
    #[schema(required = true)]
    decline_code: Option<String>,
}

impl From<Failure> for OperationError {
    fn from(failure: Failure) -> Self {
        let Failure {
            code,
            detail,
            stripe_request_id: request_id,
            stripe_code,
            decline_code,
        } = failure;
        let said = request_id.is_some() || stripe_code.is_some() || decline_code.is_some();
        Self {
            code,
            detail,
            stripe: said.then_some(OperationStripeError {
                request_id,
                code: stripe_code,
                decline_code,
            }),
        }
    }
}

impl From<Operation> for OperationBody {
    fn from(operation: Operation) -> Self {
        let running = operation.status == Status::Running;
        Self {
            id: operation.id,
            kind: operation.kind.as_str(),
            subject: operation.subject,
            status: operation.status.into(),
            step: operation.step,
            attempts: operation.attempts,
            next_attempt_at: running.then(|| operation.next_attempt_at.to_rfc3339()),
            error: operation.error.map(OperationError::from),
            created_at: operation.created_at.to_rfc3339(),
            updated_at: operation.updated_at.to_rfc3339(),
            finished_at: operation.finished_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A page of operations.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct OperationPage {
    /// The operations, newest first.
    data: Vec<OperationBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which operations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only in this status.
    status: Option<OperationStatus>,
    /// Only of this kind.
    #[param(pattern = "^[a-z_]{1,64}$")]
    kind: Option<String>,
    /// Only about this thing.
    #[param(max_length = 255)]
    subject: Option<String>,
}

/// An operation's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct OperationPath {
    /// Its id.
    #[param(
        pattern = "^oper_[0-9a-hjkmnp-tv-z]{26}$",
        example = "oper_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    operation: String,
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct OperationRetry {}

/// List operations
#[utoipa::path(
    operation_id = "operation_list",
    tag = "Operations",
    params(PortalPath, OperationListParams),
    responses((status = 200, description = "A page of operations, newest first", body = OperationPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["operations:read"])),
)]
#[get("/operations")]
pub(crate) async fn list(
    at: WithinPortal<required::OperationsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<OperationListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "operations";
    let params = params.0;
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, LIST)?;
    let unknown_kind = || Error::field("?kind", FieldCode::InvalidValue, "There is no such kind.");
    let kind = params
        .kind
        .map(|text| Kind::parse(&text).ok_or_else(unknown_kind))
        .transpose()?;
    let filter = Filter {
        organization: at.caller.org.clone(),
        status: params.status.map(Status::from),
        kind,
        subject: paging::narrowed_by("?subject", params.subject, 255)?,
    };
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let page = state
        .app
        .operations(&at.portal, &filter, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = OperationPage {
        data: page.items.into_iter().map(OperationBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Read an operation
#[utoipa::path(
    operation_id = "operation_get",
    tag = "Operations",
    params(PortalPath, OperationPath, ReadConditions),
    responses(
        (status = 200, description = "The operation", body = OperationBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["operations:read"])),
)]
#[get("/operations/{operation}")]
pub(crate) async fn get(
    at: WithinPortal<required::OperationsRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (_, id) = path.into_inner();
    let operation = state.app.operation(&context, &at.portal, &id).await?;
    let tag = entity_tag(operation.created_at, operation.version);
    Ok(conditions.answer(&tag, &OperationBody::from(operation)))
}

/// Let an operation go on
///
/// Only one in `attention`, after what stopped it was mended. Answers at once; the operation goes on
/// by itself.
#[utoipa::path(
    operation_id = "operation_retry",
    tag = "Operations",
    params(PortalPath, OperationPath, MayRepeat),
    request_body = Option<OperationRetry>,
    responses(
        (status = 202, description = "The operation goes on", body = OperationBody),
        (status = 409, description = "It is not in `attention`"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["operations:write"])),
)]
#[post("/operations/{operation}/retry")]
pub(crate) async fn retry(
    at: WithinPortal<required::OperationsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    posted: PostedOptional<OperationRetry, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (_, id) = path.into_inner();
    let answer = state
        .app
        .retry_operation(&context, &at.portal, &id, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}
