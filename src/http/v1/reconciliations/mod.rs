//! Reconciliation: what is stored here against what Stripe has.

mod body;

pub use body::{
    ReconciliationBody, ReconciliationCompared, ReconciliationDrift, ReconciliationDriftKind,
    ReconciliationKind, ReconciliationStatus, ReconciliationSummary,
};

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{MayRepeat, MayWait, PortalPath, ReadConditions};
use crate::app::reconcile::{Adopt, AdoptCustomer, AdoptSubscription, ReconcileInput};
use crate::clock::Timestamp;
use crate::domain::customer::{self, CustomerRef};
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::reconciliation::Status;
use crate::domain::slug::Slug;
use crate::domain::subscription::APPLICATION_MAX_CHARS;
use crate::domain::text;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::Preconditions;
use crate::http::extract::{InPortal, Query, context};
use crate::http::idempotency::{Accepted, PostedOptional, Wait};
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// Most things that one reconciliation takes over.
const ADOPT_MAX: usize = 1_000;

/// A page of reconciliations.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct ReconciliationPage {
    /// The reconciliations, newest first.
    data: Vec<ReconciliationSummary>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which reconciliations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReconciliationListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only in this status.
    status: Option<ReconciliationStatus>,
}

/// A reconciliation's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct ReconciliationPath {
    /// Its id.
    #[param(
        pattern = "^recn_[0-9a-hjkmnp-tv-z]{26}$",
        example = "recn_01kat5bmf0f3x8q2r7w1e4t6y9"
    )]
    reconciliation: String,
}

/// What to compare and what to do about it.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"repair": false}))]
pub struct ReconciliationPost {
    /// Whether what is stored here is brought into line; `false` unless said.
    #[serde(default)]
    #[schema(required = false)]
    repair: Option<bool>,
    /// What was at Stripe before this service and is to be taken over: at most 1,000 things. Done with
    /// `repair` only.
    #[serde(default)]
    #[schema(required = false)]
    adopt: Option<ReconciliationAdopt>,
}

/// What is to be taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconciliationAdopt {
    /// Customers; they come first.
    #[serde(default)]
    #[schema(required = false, max_items = 1000)]
    customers: Option<Vec<CustomerToAdopt>>,
    /// Subscriptions.
    #[serde(default)]
    #[schema(required = false, max_items = 1000)]
    subscriptions: Option<Vec<SubscriptionToAdopt>>,
}

/// A customer to be taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomerToAdopt {
    /// Stripe's id of it.
    #[schema(pattern = "^cus_[A-Za-z0-9]{1,200}$")]
    stripe_customer: String,
    /// The id by which the portal knows the organization. One that has no Customer at Stripe yet is
    /// linked to this one; an unknown one is made.
    #[schema(min_length = 1, max_length = 255)]
    external_id: String,
}

/// A subscription to be taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionToAdopt {
    /// Stripe's id of it.
    #[schema(pattern = "^sub_[A-Za-z0-9]{1,200}$")]
    stripe_subscription: String,
    /// Whose it is: `org_…`, or `ext:` and the organization's id.
    #[schema(max_length = 300)]
    customer: String,
    /// The product.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    product: String,
    /// The plan.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    plan: String,
    /// The application it is for.
    #[serde(default)]
    #[schema(required = false, max_length = 255)]
    application: Option<String>,
}

impl ReconciliationPost {
    fn checked(self) -> Result<ReconcileInput, Error> {
        let mut errors = Vec::new();
        let (customers, subscriptions) = self.adopt.map_or_else(Default::default, |adopt| {
            (
                adopt.customers.unwrap_or_default(),
                adopt.subscriptions.unwrap_or_default(),
            )
        });
        if customers.len() + subscriptions.len() > ADOPT_MAX {
            errors.push(FieldError::new(
                "/adopt",
                FieldCode::TooLong,
                format!("At most {ADOPT_MAX} entries at once."),
            ));
            return Err(Error::fields(errors));
        }
        let customers = customers
            .into_iter()
            .enumerate()
            .map(|(place, entry)| entry.checked(place, &mut errors))
            .collect();
        let subscriptions = subscriptions
            .into_iter()
            .enumerate()
            .map(|(place, entry)| entry.checked(place, &mut errors))
            .collect();
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        Ok(ReconcileInput {
            repair: self.repair.unwrap_or(false),
            adopt: Adopt {
                customers,
                subscriptions,
            },
        })
    }
}

impl CustomerToAdopt {
    fn checked(self, place: usize, errors: &mut Vec<FieldError>) -> AdoptCustomer {
        let at = format!("/adopt/customers/{place}");
        stripe_id(
            &format!("{at}/stripe_customer"),
            "cus_",
            &self.stripe_customer,
            errors,
        );
        let pointer = format!("{at}/external_id");
        AdoptCustomer {
            external_id: customer::external_id(&pointer, self.external_id, errors),
            stripe_customer: self.stripe_customer,
        }
    }
}

impl SubscriptionToAdopt {
    fn checked(self, place: usize, errors: &mut Vec<FieldError>) -> AdoptSubscription {
        let at = format!("/adopt/subscriptions/{place}");
        let pointer = format!("{at}/stripe_subscription");
        stripe_id(&pointer, "sub_", &self.stripe_subscription, errors);
        let mut refuse = |field: &str, detail: &str| {
            let pointer = format!("{at}/{field}");
            errors.push(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        };
        if CustomerRef::parse(&self.customer).is_none() {
            refuse(
                "customer",
                "Must be org_… or ext: and the organization's id.",
            );
        }
        for (field, name) in [("product", &self.product), ("plan", &self.plan)] {
            if Slug::parse(name).is_none() {
                refuse(field, "Must be a name such as `gold`.");
            }
        }
        let pointer = format!("{at}/application");
        let application = self
            .application
            .map(|text| text::line(&pointer, &text, APPLICATION_MAX_CHARS, errors));
        AdoptSubscription {
            stripe_subscription: self.stripe_subscription,
            customer: self.customer,
            product: self.product,
            plan: self.plan,
            application,
        }
    }
}

fn stripe_id(pointer: &str, prefix: &str, id: &str, errors: &mut Vec<FieldError>) {
    let fits = id.strip_prefix(prefix).is_some_and(|rest| {
        (1..=200).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if !fits {
        errors.push(FieldError::new(
            pointer,
            FieldCode::InvalidValue,
            format!("Must be an id of Stripe's, {prefix}…"),
        ));
    }
}

/// Compare with Stripe
///
/// Pages through Stripe's customers, their payment methods and subscriptions, within the account's
/// budget and behind callers, and compares both ways. With `repair`, what is stored here is brought into
/// line as a webhook would have done it. Nothing is created, changed or charged at Stripe. It goes on by
/// itself; with an `Idempotency-Key` the answer is always 202.
#[utoipa::path(
    operation_id = "reconciliation_create",
    tag = "Reconciliations",
    params(PortalPath, MayRepeat, MayWait),
    request_body = Option<ReconciliationPost>,
    responses(
        (status = 200, description = "All was compared", body = ReconciliationBody),
        (status = 202, description = "It goes on", body = ReconciliationBody),
        (status = 409, description = "The Stripe module is disabled or has no credentials"),
    ),
    security(("bearer" = ["operations:write"])),
)]
#[post("/reconciliations")]
pub(crate) async fn create(
    at: InPortal<required::OperationsWrite>,
    state: Data<State>,
    request: HttpRequest,
    posted: PostedOptional<ReconciliationPost, Accepted>,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let input = posted.body.checked()?;
    let answer = state
        .app
        .reconcile(&context, &at.portal, input, posted.claim.as_ref(), wait.0)
        .await?;
    Ok(respond(answer))
}

/// List reconciliations
///
/// Regular sweeps are among them.
#[utoipa::path(
    operation_id = "reconciliation_list",
    tag = "Reconciliations",
    params(PortalPath, ReconciliationListParams),
    responses((
        status = 200,
        description = "A page of reconciliations, newest first",
        body = ReconciliationPage
    )),
    security(("bearer" = ["operations:read"])),
)]
#[get("/reconciliations")]
pub(crate) async fn list(
    at: InPortal<required::OperationsRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ReconciliationListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "reconciliations";
    let params = params.0;
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, LIST)?;
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let status = params.status.map(Status::from);
    let page = state
        .app
        .reconciliations(&at.portal, status, after, limit)
        .await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = ReconciliationPage {
        data: page
            .items
            .into_iter()
            .map(ReconciliationSummary::from)
            .collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Read a reconciliation
#[utoipa::path(
    operation_id = "reconciliation_get",
    tag = "Reconciliations",
    params(PortalPath, ReconciliationPath, ReadConditions),
    responses(
        (status = 200, description = "How far it has come and what it found", body = ReconciliationBody),
        (status = 304, description = "The caller has it already"),
    ),
    security(("bearer" = ["operations:read"])),
)]
#[get("/reconciliations/{reconciliation}")]
pub(crate) async fn get(
    at: InPortal<required::OperationsRead>,
    state: Data<State>,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let (_, id) = path.into_inner();
    let view = state.app.reconciliation(&at.portal, &id).await?;
    let tag = view.it.tag();
    Ok(conditions.answer(&tag, &ReconciliationBody::from(view)))
}
