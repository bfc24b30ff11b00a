//! Stripe's events as they arrived, and what became of each.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{MayRepeat, PortalPath};
use crate::clock::Timestamp;
use crate::domain::inbox::{InboxEvent, Status};
use crate::http::State;
use crate::http::auth::required;
use crate::http::extract::{InPortal, Query, context};
use crate::http::idempotency::{Accepted, PostedOptional};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// An event of Stripe's.
#[derive(Serialize, ToSchema)]
#[schema(as = StripeEvent, example = json!({
    "id": "evt_1Pgc6yB1WZ2rYsUuExample",
    "type": "customer.subscription.updated",
    "api_version": "2026-09-30.endive",
    "object": "sub_1Pgc6yB1WZ2rYsUuExample",
    "status": "applied",
    "attempts": 0,
    "next_attempt_at": null,
    "error": null,
    "stripe_created_at": "2026-11-25T12:00:00.000Z",
    "received_at": "2026-11-25T12:00:00.500Z"
}))]
pub struct StripeEventBody {
    /// Stripe's id of it.
    id: String,
    /// Stripe's type of it.
    r#type: String,
    /// The version of Stripe's API that its object is in; empty where Stripe does not say.
    api_version: String,
    /// Stripe's id of what it is about.
    #[schema(required = true)]
    object: Option<String>,
    /// What became of it.
    status: StripeEventStatus,
    /// Attempts after the first.
    #[schema(minimum = 0)]
    attempts: i32,
    /// When it is tried again.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// Why it was not taken. For people.
    #[schema(required = true)]
    error: Option<String>,
    /// Stripe's time of it, in whole seconds.
    #[schema(format = DateTime)]
    stripe_created_at: String,
    /// When it arrived here.
    #[schema(format = DateTime)]
    received_at: String,
}

/// What became of an event of Stripe's.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StripeEventStatus {
    /// What it says is stored, or says nothing that is stored here.
    Applied,
    /// Something newer was known already.
    Stale,
    /// It is about nothing of this portal's.
    Foreign,
    /// It waits for something of ours: an operation that is about to say the same, or a thing it names.
    Parked,
    /// Its place in the order cannot be known: what it is about is read from Stripe.
    Refetch,
    /// It could not be taken; somebody has to look, and `retry` goes on.
    Dead,
}

impl From<Status> for StripeEventStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Applied => Self::Applied,
            Status::Stale => Self::Stale,
            Status::Foreign => Self::Foreign,
            Status::Parked => Self::Parked,
            Status::Refetch => Self::Refetch,
            Status::Dead => Self::Dead,
        }
    }
}

impl From<StripeEventStatus> for Status {
    fn from(status: StripeEventStatus) -> Self {
        match status {
            StripeEventStatus::Applied => Self::Applied,
            StripeEventStatus::Stale => Self::Stale,
            StripeEventStatus::Foreign => Self::Foreign,
            StripeEventStatus::Parked => Self::Parked,
            StripeEventStatus::Refetch => Self::Refetch,
            StripeEventStatus::Dead => Self::Dead,
        }
    }
}

impl From<InboxEvent> for StripeEventBody {
    fn from(event: InboxEvent) -> Self {
        Self {
            id: event.id,
            r#type: event.event_type,
            api_version: event.api_version,
            object: Some(event.object_id).filter(|id| !id.is_empty()),
            status: event.status.into(),
            attempts: event.attempts,
            next_attempt_at: event.next_attempt_at.map(Timestamp::to_rfc3339),
            error: event.error,
            stripe_created_at: event.created_at.to_rfc3339(),
            received_at: event.received_at.to_rfc3339(),
        }
    }
}

/// A page of Stripe's events.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct StripeEventPage {
    /// The events, newest first.
    data: Vec<StripeEventBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StripeEventListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only what came to this.
    status: Option<StripeEventStatus>,
}

/// An event's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct StripeEventPath {
    /// Stripe's id of it.
    #[param(max_length = 255, example = "evt_1Pgc6yB1WZ2rYsUuExample")]
    event: String,
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct StripeEventRetry {}

/// List Stripe's events
///
/// What Stripe delivered in the last 30 days, and what became of it. What is `dead` waits for somebody to
/// look.
#[utoipa::path(
    operation_id = "stripe_event_list",
    tag = "Stripe module",
    params(PortalPath, StripeEventListParams),
    responses((status = 200, description = "A page of events, newest first", body = StripeEventPage)),
    security(("bearer" = ["operations:read"])),
)]
#[get("/modules/stripe/events")]
pub(crate) async fn list(
    at: InPortal<required::OperationsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<StripeEventListParams>,
) -> Result<HttpResponse, Problem> {
    let params = params.0;
    let status = params.status.map(Status::from);
    let list = format!("stripe-events/{}", status.map_or("", Status::as_str));
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, &list)?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let page = state
        .app
        .stripe_events(&at.portal, status, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.received_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, &list, position)
    });
    let body = StripeEventPage {
        data: page.items.into_iter().map(StripeEventBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Let one of Stripe's events be tried again
///
/// Only one that is `dead`, after what stopped it was mended. Answers at once; the event goes on by itself.
#[utoipa::path(
    operation_id = "stripe_event_retry",
    tag = "Stripe module",
    params(PortalPath, StripeEventPath, MayRepeat),
    request_body = Option<StripeEventRetry>,
    responses(
        (status = 202, description = "The event goes on", body = StripeEventBody),
        (status = 409, description = "It is not `dead`"),
    ),
    security(("bearer" = ["operations:write"])),
)]
#[post("/modules/stripe/events/{event}/retry")]
pub(crate) async fn retry(
    at: InPortal<required::OperationsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    posted: PostedOptional<StripeEventRetry, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (_, id) = path.into_inner();
    let answer = state
        .app
        .retry_stripe_event(&context, &at.portal, &id, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}
