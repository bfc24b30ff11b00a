//! Customers.

mod body;

pub use body::{
    AddressBody, AddressPatch, AddressPost, CustomerBody, CustomerPatch, CustomerPost,
    CustomerStripe, TaxIdBody, TaxIdPost,
};

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::operations::OperationBody;
use super::{CustomerName, MayRepeat, MayWait, PortalPath, ReadConditions, WriteConditions};
use crate::app::customers::Filter;
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Error, FieldCode};
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::Preconditions;
use crate::http::extract::{InPortal, MergePatch, Query, WithinPortal, context};
use crate::http::idempotency::{Accepted, Posted, Wait};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// A page of customers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct CustomerPage {
    /// The customers, newest first.
    data: Vec<CustomerBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which customers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CustomerListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only the one that the portal knows by this id.
    #[param(max_length = 255)]
    external_id: Option<String>,
    /// Only those made at or after this time.
    #[serde(rename = "created[gte]")]
    #[param(rename = "created[gte]", format = DateTime)]
    from: Option<String>,
    /// Only those made before this time.
    #[serde(rename = "created[lt]")]
    #[param(rename = "created[lt]", format = DateTime)]
    before: Option<String>,
}

/// A customer's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct CustomerPath {
    /// Its id, or `ext:` and the id by which the portal knows it, percent-encoded.
    #[param(value_type = CustomerName, inline, example = "ext:globex")]
    customer: String,
}

/// The customer a path names; what can be no customer's name is no customer.
pub(super) fn customer_of(name: &str) -> Result<CustomerRef, Error> {
    CustomerRef::parse(name).ok_or_else(Error::not_found)
}

/// Make a customer
///
/// Stripe is not asked: the customer is made there when something first needs it. A token that is
/// bound to an organization makes that organization's customer only.
#[utoipa::path(
    operation_id = "customer_create",
    tag = "Customers",
    params(PortalPath, MayRepeat),
    request_body = CustomerPost,
    responses(
        (status = 201, description = "The customer", body = CustomerBody),
        (status = 409, description = "A customer of this external id exists, or another request changed it"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["customers:write"])),
)]
#[post("/customers")]
pub(crate) async fn create(
    at: WithinPortal<required::CustomersWrite>,
    state: Data<State>,
    request: HttpRequest,
    posted: Posted<CustomerPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let input = posted.body.checked()?;
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .create_customer(&context, &at.portal, input, posted.claim.as_ref())
        .await?;
    Ok(respond(answer))
}

/// List customers
///
/// A token that is bound to an organization sees that organization's customer at most.
#[utoipa::path(
    operation_id = "customer_list",
    tag = "Customers",
    params(PortalPath, CustomerListParams),
    responses((status = 200, description = "A page of customers, newest first", body = CustomerPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["customers:read"])),
)]
#[get("/customers")]
pub(crate) async fn list(
    at: WithinPortal<required::CustomersRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<CustomerListParams>,
) -> Result<HttpResponse, Problem> {
    let params = params.0;
    let list = format!("customers/{}", at.portal);
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, &list)?;
    let filter = Filter {
        external_id: paging::narrowed_by("?external_id", params.external_id, 255)?,
        from: time("?created[gte]", params.from)?,
        before: time("?created[lt]", params.before)?,
    };
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let context = context(&request, &at.caller);
    let page = state
        .app
        .customers(&context, &at.portal, filter, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, &list, position)
    });
    let body = CustomerPage {
        data: page.items.into_iter().map(CustomerBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

fn time(pointer: &str, text: Option<String>) -> Result<Option<Timestamp>, Error> {
    let refused = || {
        Error::field(
            pointer,
            FieldCode::InvalidValue,
            "Must be an RFC 3339 time.",
        )
    };
    text.map(|text| Timestamp::parse_rfc3339(&text).ok_or_else(refused))
        .transpose()
}

/// Read a customer
#[utoipa::path(
    operation_id = "customer_get",
    tag = "Customers",
    params(PortalPath, CustomerPath, ReadConditions),
    responses(
        (status = 200, description = "The customer", body = CustomerBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["customers:read"])),
)]
#[get("/customers/{customer}")]
pub(crate) async fn get(
    at: WithinPortal<required::CustomersRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let customer = state.app.customer(&context, &at.portal, &name).await?;
    let tag = customer.tag();
    Ok(conditions.answer(&tag, &CustomerBody::from(customer)))
}

/// Change a customer
///
/// A JSON merge patch (RFC 7396): absent fields stay, `null` removes. If Stripe knows the customer, it
/// is told first, and the change is stored when it has agreed.
#[utoipa::path(
    operation_id = "customer_patch",
    tag = "Customers",
    params(PortalPath, CustomerPath, WriteConditions, MayWait),
    request_body(content(
        (CustomerPatch = "application/json"),
        (CustomerPatch = "application/merge-patch+json"),
    )),
    responses(
        (status = 200, description = "The customer as changed", body = CustomerBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "The payment method cannot be used or is still needed, the module is not ready, or another request changed the customer"),
        (status = 412, description = "A precondition does not hold"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["customers:write"])),
)]
#[patch("/customers/{customer}")]
pub(crate) async fn patch(
    at: WithinPortal<required::CustomersWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    body: MergePatch<CustomerPatch>,
) -> Result<HttpResponse, Problem> {
    let change = body.0.checked()?;
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let answer = state
        .app
        .patch_customer(&context, &at.portal, &name, change, &conditions.0, wait.0)
        .await?;
    Ok(respond(answer))
}

/// Delete a customer
///
/// Removes it with its payment methods and its ended subscriptions, at Stripe first if Stripe knows
/// it. Its invoices stay at Stripe, and what it did stays in the audit log.
#[utoipa::path(
    operation_id = "customer_delete",
    tag = "Customers",
    params(PortalPath, CustomerPath, WriteConditions, MayWait),
    responses(
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 204, description = "The customer is gone"),
        (status = 409, description = "Live subscriptions exist, the module is not ready, or another request changed the customer"),
        (status = 412, description = "A precondition does not hold"),
        (status = 422, description = "Stripe refuses it"),
    ),
    security(("bearer" = ["customers:write"])),
)]
#[delete("/customers/{customer}")]
pub(crate) async fn delete(
    at: InPortal<required::CustomersWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let answer = state
        .app
        .delete_customer(&context, &at.portal, &name, &conditions.0, wait.0)
        .await?;
    Ok(respond(answer))
}
