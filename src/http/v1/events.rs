//! The event feed: every change of a portal's things, oldest first, for those who poll.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::PortalPath;
use crate::app::feed::{Event, Filter};
use crate::domain::error::{Error, FieldCode};
use crate::http::State;
use crate::http::auth::required;
use crate::http::extract::{Query, WithinPortal, context, is_unwanted};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;

/// The thing an event is about, as this API shows it; which resource it is follows from the type.
pub struct EventData;

impl PartialSchema for EventData {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some(
                "The thing as this API showed it after the change; which resource it is follows from \
                 the event's `type`.",
            ))
            .into()
    }
}

impl ToSchema for EventData {}

/// One change of one thing.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, example = json!({
    "id": "fact_01kat5bmf0f3x8q2r7w1e4t6y9",
    "type": "subscription.updated",
    "subject": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "sequence": 3,
    "created_at": "2026-11-25T12:00:00.000Z",
    "data": {"id": "subn_01kat5bmf0f3x8q2r7w1e4t6y9", "status": "active"}
}))]
pub struct EventBody {
    /// Its id; the `webhook-id` of its deliveries.
    #[schema(pattern = "^fact_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// What happened; more types may come.
    #[serde(rename = "type")]
    event_type: String,
    /// The id of the thing it is about.
    subject: String,
    /// Its place among the events of the thing: 1, 2, 3 and so on, without gaps.
    #[schema(minimum = 1)]
    sequence: i64,
    /// When it happened.
    #[schema(format = DateTime)]
    created_at: String,
    /// The thing as this API showed it after the change.
    #[schema(required = true, value_type = Option<EventData>)]
    data: Value,
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            event_type: event.event_type,
            subject: event.subject,
            sequence: event.seq,
            created_at: event.created_at.to_rfc3339(),
            // What was stored is what this API rendered.
            data: serde_json::from_str(&event.data).unwrap_or_default(),
        }
    }
}

/// A page of the feed.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": "eyJsIjoiZXZlbnRzIiwicCI6NDJ9"}))]
pub struct EventPage {
    /// The events, oldest first.
    data: Vec<EventBody>,
    /// Whether there are more by now.
    has_more: bool,
    /// The `cursor` to go on with, now or later. There always is one.
    next_cursor: String,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before; without one, the feed from its beginning. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only of this type.
    #[serde(rename = "type")]
    #[param(
        pattern = "^[a-z_]{1,64}\\.[a-z_]{1,64}$",
        example = "subscription.updated"
    )]
    event_type: Option<String>,
    /// Only about this thing.
    #[param(pattern = "^[A-Za-z0-9_./-]{1,255}$")]
    subject: Option<String>,
}

fn checked(name: &str, value: Option<&str>, max: usize, also: &[u8]) -> Result<(), Error> {
    let Some(text) = value else {
        return Ok(());
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
    if text.is_empty() || text.len() > max || !text.bytes().all(fits) || is_unwanted(text) {
        let detail = "This is no name of what is asked for.";
        return Err(Error::field(name, FieldCode::InvalidValue, detail));
    }
    Ok(())
}

/// Read the event feed
///
/// Every change of the portal's things, oldest first. Keep `next_cursor` and come back with it: it is
/// there also when there is nothing more yet. A token bound to an organization sees what concerns that
/// organization.
#[utoipa::path(
    operation_id = "event_list",
    tag = "Events",
    params(PortalPath, EventListParams),
    responses((status = 200, description = "A page of events, oldest first", body = EventPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["events:read"])),
)]
#[get("/events")]
pub(crate) async fn list(
    at: WithinPortal<required::EventsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<EventListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "events";
    let params = params.0;
    checked("?type", params.event_type.as_deref(), 129, b"._")?;
    checked("?subject", params.subject.as_deref(), 255, b"_./-")?;
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let after: Option<i64> = paging.position(&state.cursors, LIST)?;
    let context = context(&request, &at.caller);
    let filter = Filter {
        organization: None,
        event_type: params.event_type,
        subject: params.subject,
    };
    let page = state
        .app
        .events(&context, &at.portal, filter, after.unwrap_or(0), limit)
        .await?;
    let body = EventPage {
        data: page.events.into_iter().map(EventBody::from).collect(),
        has_more: page.has_more,
        next_cursor: paging::cursor(&state.cursors, LIST, page.position),
    };
    Ok(paging::answer(
        &request,
        &paging,
        Some(&body.next_cursor),
        &body,
    ))
}
