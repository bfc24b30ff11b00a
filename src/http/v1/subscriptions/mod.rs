//! Subscriptions.

mod body;
mod input;

pub use body::{
    AccessBody, AccessDecision, AccessReason, ActionBody, PeriodBody, ScheduledChangeBody,
    SubscriptionActionType, SubscriptionBody, SubscriptionStatus, SubscriptionStripe,
};
pub use input::{
    OpenInvoiceChoice, SubscriptionCancel, SubscriptionCancelTime, SubscriptionListParams,
    SubscriptionPatch, SubscriptionPost,
};

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use body::tagged;
pub(super) use input::Subscribing;

use super::operations::OperationBody;
use super::{MayRepeat, MayWait, MustRepeat, PortalPath, ReadConditions, WriteConditions};
use crate::app::subscriptions::CancelInput;
use crate::clock::Timestamp;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, stored};
use crate::http::extract::{InPortal, MergePatch, Query, WithinPortal, context};
use crate::http::idempotency::{Accepted, Posted, PostedOptional, Required, Wait};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// A page of subscriptions.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct SubscriptionPage {
    /// The subscriptions, newest first.
    data: Vec<SubscriptionBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct SubscriptionDecision {}

/// A subscription's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct SubscriptionPath {
    /// Its id.
    #[param(
        pattern = "^subn_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        example = "subn_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    subscription: String,
}

/// Subscribe a customer to a plan
///
/// A free plan is `active` at once and Stripe is never called. A plan that needs approval is
/// `pending_approval`, and nothing is charged. A paid plan is charged now, or begins with its trial;
/// where the bank wants to see who pays, it is `incomplete` and `action` says how to finish it. When
/// the payment is declined, nothing is left of it, here or at Stripe.
#[utoipa::path(
    operation_id = "subscription_create",
    tag = "Subscriptions",
    params(PortalPath, MustRepeat, MayWait),
    request_body = SubscriptionPost,
    responses(
        (status = 201, description = "The subscription", body = SubscriptionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 402, description = "The issuer declined the payment; `stripe.decline_code` says why"),
        (status = 409, description = "The customer has such a subscription, has no payment method, or has had its trial; or the plan or the module is not ready"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:write"])),
)]
#[post("/subscriptions")]
pub(crate) async fn create(
    at: WithinPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    wait: Wait,
    posted: Posted<SubscriptionPost, Required>,
) -> Result<HttpResponse, Problem> {
    let input = posted.body.checked()?;
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .create_subscription(&context, &at.portal, input, claim, wait.0)
        .await?;
    Ok(respond(answer))
}

/// List subscriptions
///
/// A token that is bound to an organization sees that one's.
#[utoipa::path(
    operation_id = "subscription_list",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionListParams),
    responses((status = 200, description = "A page of subscriptions, newest first", body = SubscriptionPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:read"])),
)]
#[get("/subscriptions")]
pub(crate) async fn list(
    at: WithinPortal<required::SubscriptionsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<SubscriptionListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "subscriptions";
    let mut params = params.0;
    let paging = ListParams::of(params.limit, params.cursor.take());
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, LIST)?;
    let (customer, filter) = params.filter()?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let context = context(&request, &at.caller);
    let page = state
        .app
        .subscriptions(
            &context,
            &at.portal,
            customer.as_ref(),
            &filter,
            after,
            limit,
        )
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let last = &last.subscription;
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = SubscriptionPage {
        data: page.items.into_iter().map(SubscriptionBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Read a subscription
#[utoipa::path(
    operation_id = "subscription_get",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, ReadConditions),
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:read"])),
)]
#[get("/subscriptions/{subscription}")]
pub(crate) async fn get(
    at: WithinPortal<required::SubscriptionsRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let view = state
        .app
        .subscription(&context, &at.portal, &path.1)
        .await?;
    let (tag, body) = tagged(view);
    Ok(conditions.answer(&tag, &body))
}

/// Change a subscription
///
/// A JSON merge patch (RFC 7396): absent fields stay, `null` removes.
#[utoipa::path(
    operation_id = "subscription_patch",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, WriteConditions),
    request_body(content(
        (SubscriptionPatch = "application/json"),
        (SubscriptionPatch = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The subscription as changed", body = SubscriptionBody),
        (status = 409, description = "It is on its way to Stripe, or another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:write"])),
)]
#[patch("/subscriptions/{subscription}")]
pub(crate) async fn patch(
    at: WithinPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    body: MergePatch<SubscriptionPatch>,
) -> Result<HttpResponse, Problem> {
    let metadata = body.0.checked()?;
    let context = context(&request, &at.caller);
    let view = state
        .app
        .patch_subscription(
            &context,
            &at.portal,
            &path.1,
            metadata.as_ref(),
            &conditions.0,
        )
        .await?;
    let (tag, body) = tagged(view);
    Ok(stored(false, &tag, &body))
}

/// Approve a subscription
///
/// One that is `pending_approval`. A paid one is charged now; when the payment is declined, it waits
/// for approval again.
#[utoipa::path(
    operation_id = "subscription_approve",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, WriteConditions, MayRepeat, MayWait),
    request_body = Option<SubscriptionDecision>,
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 402, description = "The issuer declined the payment; `stripe.decline_code` says why"),
        (status = 409, description = "It does not wait for approval; or the customer has no payment method or has had its trial; or the plan or the module is not ready"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    security(("bearer" = ["subscriptions:write"])),
)]
#[post("/subscriptions/{subscription}/approve")]
pub(crate) async fn approve(
    at: InPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    posted: PostedOptional<SubscriptionDecision, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .approve_subscription(&context, &at.portal, &path.1, &conditions.0, claim, wait.0)
        .await?;
    Ok(respond(answer))
}

/// Reject a subscription
///
/// One that is `pending_approval`, for good.
#[utoipa::path(
    operation_id = "subscription_reject",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, WriteConditions, MayRepeat),
    request_body = Option<SubscriptionDecision>,
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 409, description = "It does not wait for approval"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["subscriptions:write"])),
)]
#[post("/subscriptions/{subscription}/reject")]
pub(crate) async fn reject(
    at: InPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    posted: PostedOptional<SubscriptionDecision, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .reject_subscription(&context, &at.portal, &path.1, &conditions.0, claim)
        .await?;
    Ok(respond(answer))
}

/// Cancel a subscription
///
/// At once, or with the period that is paid. Ending a paid one at once also settles an invoice that is
/// open: it is void, unless told otherwise. One that is on its way to Stripe is ended there as soon as
/// it has arrived.
#[utoipa::path(
    operation_id = "subscription_cancel",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, WriteConditions, MayRepeat, MayWait),
    request_body = SubscriptionCancel,
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "It has ended, has no period to end with, or the module is not ready"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:write"])),
)]
#[post("/subscriptions/{subscription}/cancel")]
pub(crate) async fn cancel(
    at: WithinPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    posted: Posted<SubscriptionCancel, Accepted>,
) -> Result<HttpResponse, Problem> {
    let input = CancelInput::from(posted.body);
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .cancel_subscription(
            &context,
            &at.portal,
            &path.1,
            &input,
            &conditions.0,
            claim,
            wait.0,
        )
        .await?;
    Ok(respond(answer))
}

/// Take back a planned end
///
/// Of a subscription that was cancelled with its period.
#[utoipa::path(
    operation_id = "subscription_undo_cancel",
    tag = "Subscriptions",
    params(PortalPath, SubscriptionPath, WriteConditions, MayRepeat, MayWait),
    request_body = Option<SubscriptionDecision>,
    responses(
        (status = 200, description = "The subscription", body = SubscriptionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "It has ended, no end is planned, or the module is not ready"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["subscriptions:write"])),
)]
#[post("/subscriptions/{subscription}/undo-cancel")]
pub(crate) async fn undo_cancel(
    at: WithinPortal<required::SubscriptionsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    posted: PostedOptional<SubscriptionDecision, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .undo_cancel_subscription(&context, &at.portal, &path.1, &conditions.0, claim, wait.0)
        .await?;
    Ok(respond(answer))
}
