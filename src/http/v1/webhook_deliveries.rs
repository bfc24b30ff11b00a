//! What was sent to portals' webhook endpoints, and sending it again.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::webhook_endpoints::EndpointPath;
use super::{MayRepeat, PortalPath};
use crate::app::deliveries::{DeliveryFilter, ReplayFrom, ReplayInput, Replayed};
use crate::clock::Timestamp;
use crate::domain::delivery::{Delivery, Reason, Status};
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::http::State;
use crate::http::auth::required;
use crate::http::extract::{InPortal, Query, context};
use crate::http::idempotency::{Accepted, Posted};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery, example = json!({
    "id": "dlvr_01kat5bmf0f3x8q2r7w1e4t6y9",
    "event": "fact_01kat5bmf0f3x8q2r7w1e4t6y9",
    "type": "subscription.updated",
    "subject": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "status": "pending",
    "attempts": 1,
    "next_attempt_at": "2026-11-25T12:00:05.120Z",
    "response_status": 500,
    "reason": "status",
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.120Z",
    "finished_at": null
}))]
pub struct DeliveryBody {
    /// Its id.
    #[schema(pattern = "^dlvr_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// The event's id, which is the `webhook-id` of every attempt.
    #[schema(pattern = "^fact_[0-9a-hjkmnp-tv-z]{26}$")]
    event: String,
    /// The event's type.
    #[serde(rename = "type")]
    event_type: String,
    /// What the event is about. Events of one thing are sent one after the other.
    subject: String,
    /// Where it stands.
    status: DeliveryStatus,
    /// Attempts that are over.
    #[schema(minimum = 0)]
    attempts: i32,
    /// When the next one is due, as long as it is pending.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    /// The HTTP status of the last answer.
    #[schema(required = true, minimum = 100, maximum = 999)]
    response_status: Option<u16>,
    /// Why the last attempt failed.
    #[schema(required = true)]
    reason: Option<DeliveryReason>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it was taken or given up.
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryStatus)]
pub enum DeliveryStatus {
    /// It is to be sent, or sent again.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// Given up after the last attempt.
    Failed,
}

impl From<Status> for DeliveryStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Delivered => Self::Delivered,
            Status::Failed => Self::Failed,
        }
    }
}

impl From<DeliveryStatus> for Status {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Pending => Self::Pending,
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Failed => Self::Failed,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryReason)]
pub enum DeliveryReason {
    /// Another status than 2xx.
    Status,
    /// No answer in time.
    Timeout,
    /// The name does not resolve, nobody listens there, or TLS could not be agreed on.
    Unreachable,
    /// The connection broke before the answer.
    Interrupted,
    /// The address is not on the public internet.
    AddressRefused,
    /// The event is no longer stored.
    EventGone,
}

impl From<Reason> for DeliveryReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Status => Self::Status,
            Reason::Timeout => Self::Timeout,
            Reason::Unreachable => Self::Unreachable,
            Reason::Interrupted => Self::Interrupted,
            Reason::AddressRefused => Self::AddressRefused,
            Reason::EventGone => Self::EventGone,
        }
    }
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        let pending = delivery.status == Status::Pending;
        Self {
            id: delivery.id,
            event: delivery.event,
            event_type: delivery.event_type,
            subject: delivery.subject,
            status: delivery.status.into(),
            attempts: delivery.attempts,
            next_attempt_at: pending.then(|| delivery.next_attempt_at.to_rfc3339()),
            response_status: delivery.response_status,
            reason: delivery.reason.map(DeliveryReason::from),
            created_at: delivery.created_at.to_rfc3339(),
            updated_at: delivery.updated_at.to_rfc3339(),
            finished_at: delivery.finished_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryPage, example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct DeliveryPage {
    /// The deliveries, newest first.
    data: Vec<DeliveryBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only in this status.
    status: Option<DeliveryStatus>,
    /// Only of this event.
    #[param(pattern = "^fact_[0-9a-hjkmnp-tv-z]{26}$")]
    event: Option<String>,
}

/// Which events are to be sent again: those since a time, or from an event on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookReplayPost, example = json!({"since": "2026-11-25T12:00:00Z", "until": "2026-11-25T18:00:00Z"}))]
pub struct ReplayPost {
    /// The events of this time and later ones.
    #[serde(default)]
    #[schema(required = false, format = DateTime)]
    since: Option<String>,
    /// This event and later ones.
    #[serde(default)]
    #[schema(required = false, pattern = "^fact_[0-9a-hjkmnp-tv-z]{26}$")]
    from_event: Option<String>,
    /// Only those before this time.
    #[serde(default)]
    #[schema(required = false, format = DateTime)]
    until: Option<String>,
}

/// What a replay came to.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookReplay, example = json!({"queued": 42, "next_event": null}))]
pub struct ReplayBody {
    /// How many events are on their way again.
    #[schema(minimum = 0)]
    queued: usize,
    /// Where to go on (`from_event`), when there are more than one replay takes.
    #[schema(required = true, pattern = "^fact_[0-9a-hjkmnp-tv-z]{26}$")]
    next_event: Option<String>,
}

impl From<Replayed> for ReplayBody {
    fn from(replayed: Replayed) -> Self {
        Self {
            queued: replayed.queued,
            next_event: replayed.next_event,
        }
    }
}

fn replay_input(body: ReplayPost) -> Result<ReplayInput, Error> {
    let mut errors = Vec::new();
    let mut time = |pointer: &str, text: Option<String>| {
        let time = Timestamp::parse_rfc3339(&text?);
        if time.is_none() {
            let detail = "Must be a time as RFC 3339 has it.";
            errors.push(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        }
        time
    };
    let both = body.since.is_some() == body.from_event.is_some();
    let (since, until) = (time("/since", body.since), time("/until", body.until));
    if both {
        let detail = "Give one of since and from_event.";
        errors.push(FieldError::new("/since", FieldCode::InvalidValue, detail));
    }
    let from = match (since, body.from_event) {
        (Some(since), _) => ReplayFrom::Time(since),
        (None, event) => ReplayFrom::Event(event.unwrap_or_default()),
    };
    if errors.is_empty() {
        Ok(ReplayInput { from, until })
    } else {
        Err(Error::fields(errors))
    }
}

/// List deliveries
///
/// What was sent to the endpoint and what is about to be. Deliveries that are over are kept for 30 days
/// unless the operator has set another time.
#[utoipa::path(
    operation_id = "webhook_delivery_list",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, DeliveryListParams),
    responses((status = 200, description = "A page of deliveries, newest first", body = DeliveryPage)),
    security(("bearer" = ["webhooks:read"])),
)]
#[get("/webhook-endpoints/{endpoint}/deliveries")]
pub(crate) async fn list(
    at: InPortal<required::WebhooksRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    params: Query<DeliveryListParams>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let list = format!("deliveries {id}");
    let params = params.0;
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, &list)?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let filter = DeliveryFilter {
        status: params.status.map(Status::from),
        event: params.event,
    };
    let page = state
        .app
        .deliveries(&at.portal, &id, &filter, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, &list, position)
    });
    let body = DeliveryPage {
        data: page.items.into_iter().map(DeliveryBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Send events again
///
/// Up to 10,000 events that the endpoint wants, in their order for each thing, under the ids they have
/// always had. Events that have not been sent for the first time come anyway and are not counted.
#[utoipa::path(
    operation_id = "webhook_endpoint_replay",
    tag = "Webhooks",
    params(PortalPath, EndpointPath, MayRepeat),
    request_body = ReplayPost,
    responses((status = 200, description = "How many events are on their way again", body = ReplayBody)),
    security(("bearer" = ["webhooks:write"])),
)]
#[post("/webhook-endpoints/{endpoint}/replay")]
pub(crate) async fn replay(
    at: InPortal<required::WebhooksWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    posted: Posted<ReplayPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let input = replay_input(posted.body)?;
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .replay_events(&context, &at.portal, &id, input, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}
