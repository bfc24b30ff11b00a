//! Invoices.

mod body;

pub use body::{
    InvoiceActionBody, InvoiceActionType, InvoiceBody, InvoiceLineBody, InvoiceStatus,
    InvoiceStripe, UpcomingInvoiceBody,
};

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::customers::{CustomerPath, customer_of};
use super::operations::OperationBody;
use super::{
    CustomerName, MayRepeat, MayWait, MustRepeat, PortalPath, ReadConditions, WriteConditions,
};
use crate::app::invoices::{Filter, Settlement};
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::invoice::Status;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::Preconditions;
use crate::http::extract::{InPortal, Query, WithinPortal, context};
use crate::http::idempotency::{Accepted, PostedOptional, Required, Wait};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;
use crate::ids::{Id, Kind};

/// A page of invoices.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct InvoicePage {
    /// The invoices, newest first.
    data: Vec<InvoiceBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which invoices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvoiceListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only of this customer: `org_…` or `ext:…`.
    #[param(required = false, value_type = CustomerName, inline, example = "ext:globex")]
    customer: Option<String>,
    /// Only of this subscription.
    #[param(max_length = 64)]
    subscription: Option<String>,
    /// Only in this status.
    status: Option<InvoiceStatus>,
    /// Only those made at or after this time.
    #[serde(rename = "created[gte]")]
    #[param(rename = "created[gte]", format = DateTime)]
    from: Option<String>,
    /// Only those made before this time.
    #[serde(rename = "created[lt]")]
    #[param(rename = "created[lt]", format = DateTime)]
    before: Option<String>,
}

impl InvoiceListParams {
    /// The customer that is asked for, and the rest.
    fn filter(self) -> Result<(Option<CustomerRef>, Filter), Error> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: &str, detail: &str| {
            errors.push(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        };
        let mut time = |pointer: &str, value: Option<String>| {
            let text = value?;
            let read = Timestamp::parse_rfc3339(&text);
            if read.is_none() {
                refuse(pointer, "Must be a time as of RFC 3339.");
            }
            read
        };
        let from = time("?created[gte]", self.from);
        let before = time("?created[lt]", self.before);
        let customer = self.customer.map(|text| CustomerRef::parse(&text));
        if customer == Some(None) {
            refuse(
                "?customer",
                "Must be org_… or ext: and the organization's id.",
            );
        }
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        let filter = Filter {
            customer: None,
            subscription: paging::narrowed_by("?subscription", self.subscription, 64)?,
            status: self.status.map(Status::from),
            from,
            before,
        };
        Ok((customer.flatten(), filter))
    }
}

/// An invoice's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct InvoicePath {
    /// Its id.
    #[param(
        pattern = "^bill_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        example = "bill_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    invoice: String,
}

/// How an invoice is to be paid.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"payment_method": "meth_01kat5bmf0f3x8q2r7w1e4t6y9"}))]
pub struct InvoicePay {
    /// With what, of the customer's saved payment methods; left out: what the subscription is paid with,
    /// else the customer's default.
    #[serde(default)]
    #[schema(required = false, pattern = "^meth_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    payment_method: Option<String>,
}

impl InvoicePay {
    fn checked(self) -> Result<Settlement, Error> {
        let refuse = || {
            Error::field(
                "/payment_method",
                FieldCode::InvalidValue,
                "Must be the id of a payment method, meth_….",
            )
        };
        let method = self
            .payment_method
            .map(|text| Id::parse(Kind::PaymentMethod, &text).ok_or_else(refuse))
            .transpose()?;
        Ok(Settlement::Pay(method.map(String::from)))
    }
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct InvoiceVoid {}

/// Of which subscription.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UpcomingInvoiceParams {
    /// Of this subscription; left out: of the customer's whose period ends first.
    #[param(
        pattern = "^subn_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        nullable = false,
        example = "subn_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    subscription: Option<String>,
}

/// List invoices
///
/// A token that is bound to an organization sees that one's.
#[utoipa::path(
    operation_id = "invoice_list",
    tag = "Invoices",
    params(PortalPath, InvoiceListParams),
    responses((status = 200, description = "A page of invoices, newest first", body = InvoicePage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["invoices:read"])),
)]
#[get("/invoices")]
pub(crate) async fn list(
    at: WithinPortal<required::InvoicesRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<InvoiceListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "invoices";
    let mut params = params.0;
    let paging = ListParams::of(params.limit, params.cursor.take());
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, LIST)?;
    let (customer, filter) = params.filter()?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let context = context(&request, &at.caller);
    let page = state
        .app
        .invoices(
            &context,
            &at.portal,
            customer.as_ref(),
            &filter,
            after,
            limit,
        )
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = InvoicePage {
        data: page.items.into_iter().map(InvoiceBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Read an invoice
#[utoipa::path(
    operation_id = "invoice_get",
    tag = "Invoices",
    params(PortalPath, InvoicePath, ReadConditions),
    responses(
        (status = 200, description = "The invoice", body = InvoiceBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["invoices:read"])),
)]
#[get("/invoices/{invoice}")]
pub(crate) async fn get(
    at: WithinPortal<required::InvoicesRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let found = state.app.invoice(&context, &at.portal, &path.1).await?;
    let invoice = found.invoice;
    Ok(conditions.answer(&invoice.tag(), &InvoiceBody::from(invoice)))
}

/// Pay an invoice now
///
/// One that is `open` or `uncollectible`. A decline is 402 and leaves it as it was; where the bank wants
/// to see who pays, it is 402 too, and `hosted_url` is the page where that is done. When the subscription
/// was behind, access is back with the answer.
#[utoipa::path(
    operation_id = "invoice_pay",
    tag = "Invoices",
    params(PortalPath, InvoicePath, WriteConditions, MustRepeat, MayWait),
    request_body = Option<InvoicePay>,
    responses(
        (status = 200, description = "The invoice", body = InvoiceBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 402, description = "The issuer declined the payment; `stripe.decline_code` says why"),
        (status = 409, description = "It is not to be paid, the customer has no payment method, or the module is not ready"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["invoices:write"])),
)]
#[post("/invoices/{invoice}/pay")]
pub(crate) async fn pay(
    at: WithinPortal<required::InvoicesWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    posted: PostedOptional<InvoicePay, Required>,
) -> Result<HttpResponse, Problem> {
    let settlement = posted.body.checked()?;
    let context = context(&request, &at.caller);
    let (portal, claim) = (&at.portal, posted.claim.as_ref());
    let answer = state
        .app
        .settle_invoice(
            &context,
            portal,
            &path.1,
            &settlement,
            &conditions.0,
            claim,
            wait.0,
        )
        .await?;
    Ok(respond(answer))
}

/// Void an invoice
///
/// One that is `open` or `uncollectible`, for good: nothing is owed any more.
#[utoipa::path(
    operation_id = "invoice_void",
    tag = "Invoices",
    params(PortalPath, InvoicePath, WriteConditions, MayRepeat, MayWait),
    request_body = Option<InvoiceVoid>,
    responses(
        (status = 200, description = "The invoice", body = InvoiceBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "It is not open, or the module is not ready"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
    ),
    security(("bearer" = ["invoices:write"])),
)]
#[post("/invoices/{invoice}/void")]
pub(crate) async fn void(
    at: InPortal<required::InvoicesWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    posted: PostedOptional<InvoiceVoid, Accepted>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (portal, claim) = (&at.portal, posted.claim.as_ref());
    let answer = state
        .app
        .settle_invoice(
            &context,
            portal,
            &path.1,
            &Settlement::Void,
            &conditions.0,
            claim,
            wait.0,
        )
        .await?;
    Ok(respond(answer))
}

/// Preview the next invoice
///
/// Asked for at Stripe; nothing is changed by it. 404 when nothing is to be invoiced.
#[utoipa::path(
    operation_id = "invoice_get_upcoming",
    tag = "Invoices",
    params(PortalPath, CustomerPath, UpcomingInvoiceParams),
    responses(
        (status = 200, description = "The next invoice if nothing changes", body = UpcomingInvoiceBody),
        (status = 409, description = "The module is disabled or has no credentials"),
        (status = 424, description = "Stripe does not accept the portal's credentials"),
        (status = 502, description = "Stripe's answer was not usable"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["invoices:read"])),
)]
#[get("/customers/{customer}/upcoming-invoice")]
pub(crate) async fn upcoming(
    at: WithinPortal<required::InvoicesRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    params: Query<UpcomingInvoiceParams>,
) -> Result<HttpResponse, Problem> {
    let customer = customer_of(&path.1)?;
    let context = context(&request, &at.caller);
    let subscription = params.0.subscription.as_deref();
    let view = state
        .app
        .upcoming_invoice(&context, &at.portal, &customer, subscription)
        .await?;
    Ok(HttpResponse::Ok().json(UpcomingInvoiceBody::from(view)))
}
