//! Payment methods of customers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::customers::{CustomerPath, customer_of};
use super::operations::OperationBody;
use super::{MayWait, MustRepeat, PortalPath, ReadConditions, WriteConditions};
use crate::app::payment_methods::{MethodView, SaveInput, Source};
use crate::clock::Timestamp;
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::payment_method::{Card, Status};
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, tag_with_digest};
use crate::http::extract::{Query, WithinPortal, context};
use crate::http::idempotency::{Posted, Required, Wait};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;
use crate::ids::{Id, Kind};

/// What a customer pays with, as far as Stripe shows it. There is no card number in it, here or
/// anywhere.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentMethod, example = json!({
    "id": "meth_01kat5bmf0f3x8q2r7w1e4t6y9",
    "customer": "org_01kat5bmf0f3x8q2r7w1e4t6y9",
    "type": "card",
    "card": {
        "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030,
        "funding": "credit", "country": "US"
    },
    "status": "usable",
    "default": true,
    "stripe": {
        "account": "acct_1PgafTB1WZ2rYsUu", "livemode": false, "payment_method": "pm_1Qx7example"
    },
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.000Z"
}))]
pub struct PaymentMethodBody {
    /// Its id.
    #[schema(pattern = "^meth_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Whose it is.
    #[schema(pattern = "^org_[0-9a-hjkmnp-tv-z]{26}$")]
    customer: String,
    /// Stripe's word for its kind, such as `card` or `sepa_debit`.
    r#type: String,
    /// Of a card.
    #[schema(required = true)]
    card: Option<CardBody>,
    /// How it stands now.
    status: PaymentMethodStatus,
    /// Whether its customer pays with it unless another one is named.
    default: bool,
    /// Where it is at Stripe.
    stripe: PaymentMethodStripe,
    /// When it was saved.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// What may be shown of a card.
#[derive(Serialize, ToSchema)]
#[schema(as = Card)]
pub struct CardBody {
    /// `visa`, `mastercard`, …
    #[schema(required = true)]
    brand: Option<String>,
    /// The last four digits.
    #[schema(required = true)]
    last4: Option<String>,
    /// The month it is good for the last time.
    #[schema(required = true, minimum = 1, maximum = 12)]
    exp_month: Option<i32>,
    /// The year of that month.
    #[schema(required = true)]
    exp_year: Option<i32>,
    /// `credit`, `debit`, `prepaid` or `unknown`.
    #[schema(required = true)]
    funding: Option<String>,
    /// Of its issuer, ISO 3166-1 alpha-2.
    #[schema(required = true)]
    country: Option<String>,
}

/// How a payment method stands.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethodStatus {
    /// It can be paid with.
    Usable,
    /// It can be paid with; its card expires at the end of this month or of the next.
    Expiring,
    /// Its card has expired.
    Expired,
    /// The consumer has to finish something first, such as 3-D Secure.
    RequiresAction,
    /// It was taken from its customer, for good.
    Detached,
}

/// Where a payment method is at Stripe.
#[derive(Serialize, ToSchema)]
pub struct PaymentMethodStripe {
    /// The account.
    account: String,
    /// Whether in live mode.
    livemode: bool,
    /// Stripe's id of it.
    payment_method: String,
}

impl From<Status> for PaymentMethodStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Usable => Self::Usable,
            Status::Expiring => Self::Expiring,
            Status::Expired => Self::Expired,
            Status::RequiresAction => Self::RequiresAction,
            Status::Detached => Self::Detached,
        }
    }
}

impl From<Card> for CardBody {
    fn from(card: Card) -> Self {
        Self {
            brand: card.brand,
            last4: card.last4,
            exp_month: card.exp_month,
            exp_year: card.exp_year,
            funding: card.funding,
            country: card.country,
        }
    }
}

impl From<MethodView> for PaymentMethodBody {
    fn from(view: MethodView) -> Self {
        let MethodView {
            method,
            is_default,
            at,
        } = view;
        Self {
            status: method.status(at).into(),
            id: method.id,
            customer: method.customer_id,
            r#type: method.method_type,
            card: method.card.map(CardBody::from),
            default: is_default,
            stripe: PaymentMethodStripe {
                account: method.stripe.account,
                livemode: method.stripe.mode.livemode(),
                payment_method: method.stripe.id,
            },
            created_at: method.created_at.to_rfc3339(),
            updated_at: method.updated_at.to_rfc3339(),
        }
    }
}

/// The body with its entity tag, in which stands what moves by itself: a card expires, and another
/// method may become the default.
pub(crate) fn tagged(view: MethodView) -> (String, PaymentMethodBody) {
    let version = view.method.tag();
    let body = PaymentMethodBody::from(view);
    (tag_with_digest(&version, &body), body)
}

/// What is to be saved: exactly one of `payment_method`, `setup_intent` and `checkout_session`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"setup_intent": "seti_1Qx7example", "default": true}))]
pub struct PaymentMethodPost {
    /// One that Stripe's scripts made in a browser.
    #[serde(default)]
    #[schema(required = false, pattern = "^pm_[A-Za-z0-9_]{1,250}$")]
    payment_method: Option<String>,
    /// The setup intent that has set it up.
    #[serde(default)]
    #[schema(required = false, pattern = "^seti_[A-Za-z0-9]{1,250}$")]
    setup_intent: Option<String>,
    /// The Checkout page, in mode `setup`, that has set it up.
    #[serde(default)]
    #[schema(required = false, pattern = "^cs_[A-Za-z0-9_]{1,250}$")]
    checkout_session: Option<String>,
    /// Whether the customer is to pay with it unless another one is named. Unless said, it is if the
    /// customer has nothing else, or if it replaces what was.
    #[serde(default)]
    #[schema(required = false)]
    default: Option<bool>,
    /// The payment method that is taken from the customer for it, once it can be used.
    #[serde(default)]
    #[schema(required = false, pattern = "^meth_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    replaces: Option<String>,
}

impl PaymentMethodPost {
    fn checked(self) -> Result<SaveInput, Error> {
        let mut errors = Vec::new();
        let mut id = |name: &str, prefix: &str, wide: bool, value: Option<String>| {
            let value = value?;
            let well_formed = value.strip_prefix(prefix).is_some_and(|rest| {
                (1..=250).contains(&rest.len())
                    && rest
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || (wide && byte == b'_'))
            });
            if !well_formed {
                errors.push(FieldError::new(
                    format!("/{name}"),
                    FieldCode::InvalidValue,
                    format!("Must be an id of Stripe's, {prefix}…."),
                ));
            }
            Some(value)
        };
        let payment_method = id("payment_method", "pm_", true, self.payment_method);
        let setup_intent = id("setup_intent", "seti_", false, self.setup_intent);
        let session = id("checkout_session", "cs_", true, self.checkout_session);
        let source = match (payment_method, setup_intent, session) {
            (Some(id), None, None) => Some(Source::PaymentMethod(id)),
            (None, Some(id), None) => Some(Source::SetupIntent(id)),
            (None, None, Some(id)) => Some(Source::CheckoutSession(id)),
            _ => {
                errors.push(FieldError::new(
                    "",
                    FieldCode::InvalidValue,
                    "Must have exactly one of payment_method, setup_intent and checkout_session.",
                ));
                None
            }
        };
        if let Some(replaced) = &self.replaces
            && Id::parse(Kind::PaymentMethod, replaced).is_none()
        {
            errors.push(FieldError::new(
                "/replaces",
                FieldCode::InvalidValue,
                "Must be the id of a payment method, meth_….",
            ));
        }
        match source {
            Some(source) if errors.is_empty() => Ok(SaveInput {
                source,
                default: self.default,
                replaces: self.replaces,
            }),
            _ => Err(Error::fields(errors)),
        }
    }
}

/// A page of payment methods.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct PaymentMethodPage {
    /// The payment methods, newest first.
    data: Vec<PaymentMethodBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A payment method's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct PaymentMethodPath {
    /// Its id.
    #[param(
        pattern = "^meth_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        example = "meth_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    payment_method: String,
}

/// Save a payment method
///
/// Takes what a setup intent, a Checkout page or Stripe's scripts have made; a customer that Stripe
/// does not know yet is made there. The same one again is answered with what was saved.
#[utoipa::path(
    operation_id = "payment_method_create",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, MustRepeat, MayWait),
    request_body = PaymentMethodPost,
    responses(
        (status = 200, description = "It was saved before", body = PaymentMethodBody),
        (status = 201, description = "The payment method", body = PaymentMethodBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 402, description = "The issuer declined it; `stripe.decline_code` says why"),
        (status = 409, description = "It cannot be used for this customer, the one it replaces is still needed, or the module is not ready"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[post("/customers/{customer}/payment-methods")]
pub(crate) async fn create(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    wait: Wait,
    posted: Posted<PaymentMethodPost, Required>,
) -> Result<HttpResponse, Problem> {
    let input = posted.body.checked()?;
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .save_payment_method(&context, &at.portal, &name, input, claim, wait.0)
        .await?;
    Ok(respond(answer))
}

/// List payment methods
///
/// Those that the customer has now; detached ones can be read by their ids.
#[utoipa::path(
    operation_id = "payment_method_list",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, ListParams),
    responses((status = 200, description = "A page of payment methods, newest first", body = PaymentMethodPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:read"])),
)]
#[get("/customers/{customer}/payment-methods")]
pub(crate) async fn list(
    at: WithinPortal<required::PaymentMethodsRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    params: Query<ListParams>,
) -> Result<HttpResponse, Problem> {
    let list = format!("payment_methods/{}/{}", at.portal, path.1);
    let limit = params.0.limit()?;
    let position: Option<(i64, String)> = params.0.position(&state.cursors, &list)?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let page = state
        .app
        .payment_methods(&context, &at.portal, &name, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.method.created_at.as_millis(), last.method.id.as_str());
        paging::cursor(&state.cursors, &list, position)
    });
    let items = page.items.into_iter();
    let body = PaymentMethodPage {
        data: items.map(PaymentMethodBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &params.0, next, &body))
}

/// Read a payment method
///
/// A detached one can still be read, since subscriptions and invoices may name it.
#[utoipa::path(
    operation_id = "payment_method_get",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, PaymentMethodPath, ReadConditions),
    responses(
        (status = 200, description = "The payment method", body = PaymentMethodBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:read"])),
)]
#[get("/customers/{customer}/payment-methods/{payment_method}")]
pub(crate) async fn get(
    at: WithinPortal<required::PaymentMethodsRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let view = state
        .app
        .payment_method(&context, &at.portal, &name, &path.2)
        .await?;
    let (tag, body) = tagged(view);
    Ok(conditions.answer(&tag, &body))
}

/// Take a payment method from its customer
///
/// For good: Stripe never attaches it again. If it was the default, the customer has none then.
#[utoipa::path(
    operation_id = "payment_method_delete",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, PaymentMethodPath, WriteConditions, MayWait),
    responses(
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 204, description = "It is detached"),
        (status = 409, description = "A live paid subscription needs it, the module is not ready, or another request changed it"),
        (status = 412, description = "A precondition does not hold"),
        (status = 422, description = "Stripe refuses it"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[delete("/customers/{customer}/payment-methods/{payment_method}")]
pub(crate) async fn delete(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    conditions: Preconditions,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let name = customer_of(&path.1)?;
    let (portal, id) = (&at.portal, path.2.as_str());
    let answer = state
        .app
        .delete_payment_method(&context, portal, &name, id, &conditions.0, wait.0)
        .await?;
    Ok(respond(answer))
}
