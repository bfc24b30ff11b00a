//! Products and their plans.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pricing::{PricingBody, PricingInput, PricingPut};
use super::{MayWait, PortalPath, ReadConditions, WriteConditions};
use crate::app::catalog::Filter;
use crate::clock::Timestamp;
use crate::domain::catalog::{
    NOT_A_PRODUCT, PlanDraft, Product, ProductDraft, ProductState, StoredPlan,
};
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::Preconditions;
use crate::http::extract::{InPortal, Json, Object, Query, WithinPortal, context};
use crate::http::idempotency::Wait;
use crate::http::paging::{self, ListParams};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// A product with the plans that can be had.
#[derive(Serialize, ToSchema)]
#[schema(as = Product, example = json!({
    "id": "weather",
    "title": "Weather",
    "version": "1.0.0",
    "description": "Forecasts for every harbour.",
    "state": "published",
    "plans": [{
        "id": "gold",
        "title": "Gold",
        "description": "",
        "approval_required": false,
        "pricing": {
            "model": "flat",
            "price": {"amount": 1500, "currency": "usd"},
            "interval": {"unit": "month", "count": 1},
            "trial": null,
            "setup_fee": null,
            "tax_behavior": "unspecified"
        },
        "revision": 1,
        "stripe": {
            "account": "acct_1PgafTB1WZ2rYsUu",
            "livemode": false,
            "product": "pb_5d41402abc4b2a76b9719d911017c592",
            "price": "price_1MoBy5LkdIwHu7ixZhnattbh"
        }
    }],
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.000Z"
}))]
pub struct ProductBody {
    /// Its name.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    id: String,
    /// For people.
    title: String,
    /// In the caller's own scheme.
    version: String,
    /// For people; may be empty and may have several lines.
    description: String,
    /// Where it is in its life.
    #[schema(value_type = ProductStateName)]
    state: &'static str,
    /// The plans that can be had, in the caller's order.
    plans: Vec<PlanBody>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Where a product is in its life.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProductState)]
pub enum ProductStateName {
    /// Being prepared; nobody can subscribe.
    Draft,
    /// Can be subscribed to.
    Published,
    /// Goes on for those who have it; nobody new.
    Deprecated,
    /// Gone, for everybody.
    Retired,
}

impl From<ProductStateName> for ProductState {
    fn from(state: ProductStateName) -> Self {
        match state {
            ProductStateName::Draft => Self::Draft,
            ProductStateName::Published => Self::Published,
            ProductStateName::Deprecated => Self::Deprecated,
            ProductStateName::Retired => Self::Retired,
        }
    }
}

/// A plan of a product.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan, example = json!({
    "id": "free",
    "title": "Free",
    "description": "To look around.",
    "approval_required": false,
    "pricing": {"model": "free"},
    "revision": 1,
    "stripe": null
}))]
pub struct PlanBody {
    /// Its name in the product.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    id: String,
    /// For people.
    title: String,
    /// For people; may be empty and may have several lines.
    description: String,
    /// Whether a subscription waits for the portal's approval before anything is charged.
    approval_required: bool,
    /// What it costs.
    pricing: PricingBody,
    /// Counts its prices: a price never changes in place.
    #[schema(minimum = 1)]
    revision: i64,
    /// What stands for it at Stripe. A paid plan can be subscribed to once it is there.
    #[schema(required = true)]
    stripe: Option<PlanStripe>,
}

/// Stripe's names of a plan.
#[derive(Serialize, ToSchema)]
pub struct PlanStripe {
    /// The account it is published in.
    account: String,
    /// Whether it is of live mode.
    livemode: bool,
    /// The Product's id at Stripe.
    product: String,
    /// The Price's id at Stripe.
    price: String,
}

impl From<&Product> for ProductBody {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id.to_string(),
            title: product.title.clone(),
            version: product.version.clone(),
            description: product.description.clone(),
            state: product.state.as_str(),
            plans: product.offered().map(PlanBody::from).collect(),
            created_at: product.created_at.to_rfc3339(),
            updated_at: product.updated_at.to_rfc3339(),
        }
    }
}

impl From<&StoredPlan> for PlanBody {
    fn from(stored: &StoredPlan) -> Self {
        let plan = &stored.known.plan;
        let at_stripe = stored.product.as_ref().zip(stored.price.as_ref());
        Self {
            id: plan.id.to_string(),
            title: plan.title.clone(),
            description: plan.description.clone(),
            approval_required: plan.approval_required,
            pricing: PricingBody::from(&plan.pricing),
            revision: plan.revision,
            stripe: at_stripe.map(|(product, price)| PlanStripe {
                account: price.link.account.clone(),
                livemode: price.link.mode.livemode(),
                product: product.link.id.clone(),
                price: price.link.id.clone(),
            }),
        }
    }
}

/// What a product is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "Weather",
    "version": "1.0.0",
    "description": "Forecasts for every harbour.",
    "state": "draft",
    "plans": [
        {"id": "free", "title": "Free", "pricing": {"model": "free"}},
        {
            "id": "gold",
            "title": "Gold",
            "pricing": {
                "model": "flat",
                "price": {"amount": 1500, "currency": "usd"},
                "interval": {"unit": "month", "count": 1}
            }
        }
    ]
}))]
pub struct ProductPut {
    /// For people; one line.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    title: String,
    /// In the caller's own scheme.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    version: String,
    /// For people; may have several lines.
    #[serde(default)]
    #[schema(
        required = false,
        max_length = 4000,
        pattern = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
    )]
    description: String,
    /// Where it is to be in its life.
    #[schema(value_type = ProductStateName)]
    state: String,
    /// All its plans, in the order in which they are shown. One that is left out can no longer be
    /// had and stays for its subscribers.
    #[schema(max_items = 50, value_type = Vec<PlanPut>)]
    plans: Vec<Object<PlanPut>>,
}

/// What a plan is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanPut {
    /// Its name in the product.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    id: String,
    /// For people; one line.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    title: String,
    /// For people; may have several lines.
    #[serde(default)]
    #[schema(
        required = false,
        max_length = 4000,
        pattern = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
    )]
    description: String,
    /// Whether a subscription waits for the portal's approval before anything is charged.
    #[serde(default)]
    #[schema(required = false)]
    approval_required: bool,
    /// What it costs.
    #[schema(value_type = PricingPut)]
    pricing: Object<PricingInput>,
}

impl From<ProductPut> for ProductDraft {
    fn from(wanted: ProductPut) -> Self {
        let plan = |Object(plan): Object<PlanPut>| PlanDraft {
            id: plan.id,
            title: plan.title,
            description: plan.description,
            approval_required: plan.approval_required,
            pricing: plan.pricing.0.into(),
        };
        Self {
            title: wanted.title,
            version: wanted.version,
            description: wanted.description,
            state: wanted.state,
            plans: wanted.plans.into_iter().map(plan).collect(),
        }
    }
}

/// A page of products.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"data": [], "has_more": false, "next_cursor": null}))]
pub struct ProductPage {
    /// The products, newest first.
    data: Vec<ProductBody>,
    /// Whether there are older ones.
    has_more: bool,
    /// The `cursor` of the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which products.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProductListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Only in this state.
    state: Option<ProductStateName>,
}

/// A product's place.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct ProductPath {
    /// The product's name.
    #[param(
        pattern = "^[a-z0-9][a-z0-9-]{0,62}$",
        max_length = 63,
        example = "weather"
    )]
    product: String,
}

/// A plan's place in its product.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the handler reads from the path"
)]
pub struct PlanPath {
    /// The plan's name.
    #[param(
        pattern = "^[a-z0-9][a-z0-9-]{0,62}$",
        max_length = 63,
        example = "gold"
    )]
    plan: String,
}

fn named(text: &str) -> Result<Slug, Error> {
    Slug::parse(text)
        .filter(|name| name.as_str() != NOT_A_PRODUCT)
        .ok_or_else(Error::not_found)
}

/// Create or set a product
///
/// With all its plans. Free plans need no Stripe, and neither does a draft. A paid plan of a
/// published or deprecated product is brought to Stripe, and the answer waits for that: it can be
/// subscribed to once its `stripe` is there. A changed `pricing` makes a new revision with a Price of
/// its own; those who have the one before keep it. Repeating the call with the same body changes
/// nothing, and publishes what could not be published before.
#[utoipa::path(
    operation_id = "product_put",
    tag = "Catalog",
    params(PortalPath, ProductPath, WriteConditions, MayWait),
    request_body = ProductPut,
    responses(
        (status = 200, description = "The product as set", body = ProductBody),
        (status = 201, description = "The product as made", body = ProductBody),
        (status = 202, description = "It is stored, and being published", body = super::operations::OperationBody),
        (status = 409, description = "Stripe is needed and not ready, live subscriptions exist, or the state cannot follow the one before"),
        (status = 412, description = "A precondition does not hold"),
        (status = 424, description = "It is stored; Stripe does not accept the credentials"),
    ),
    security(("bearer" = ["catalog:write"])),
)]
#[put("/products/{product}")]
pub(crate) async fn put(
    at: InPortal<required::CatalogWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
    body: Json<ProductPut>,
) -> Result<HttpResponse, Problem> {
    let id = named(&path.1)?;
    let content = ProductDraft::from(body.0).check().map_err(Error::fields)?;
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .put_product(&context, &at.portal, &id, &content, &conditions.0, wait.0)
        .await?;
    Ok(respond(answer))
}

/// List products
///
/// A token of one organization sees what is published or deprecated.
#[utoipa::path(
    operation_id = "product_list",
    tag = "Catalog",
    params(PortalPath, ProductListParams),
    responses((status = 200, description = "A page of products, newest first", body = ProductPage)),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["catalog:read"])),
)]
#[get("/products")]
pub(crate) async fn list(
    at: WithinPortal<required::CatalogRead>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ProductListParams>,
) -> Result<HttpResponse, Problem> {
    const LIST: &str = "products";
    let params = params.0;
    let paging = ListParams::of(params.limit, params.cursor);
    let limit = paging.limit()?;
    let position: Option<(i64, String)> = paging.position(&state.cursors, LIST)?;
    let filter = Filter {
        state: params.state.map(ProductState::from),
        for_subscribers: at.caller.org.is_some(),
    };
    let after = position.map(|(at, id)| (Timestamp::from_millis(at), id));
    let page = state.app.products(&at.portal, filter, after, limit).await?;
    let next_cursor = page.items.last().filter(|_| page.has_more).map(|last| {
        let position = (last.created_at.as_millis(), last.id.as_str());
        paging::cursor(&state.cursors, LIST, position)
    });
    let body = ProductPage {
        data: page.items.iter().map(ProductBody::from).collect(),
        has_more: page.has_more,
        next_cursor,
    };
    let next = body.next_cursor.as_deref();
    Ok(paging::answer(&request, &paging, next, &body))
}

/// Read a product
///
/// A token of one organization sees what is published or deprecated.
#[utoipa::path(
    operation_id = "product_get",
    tag = "Catalog",
    params(PortalPath, ProductPath, ReadConditions),
    responses(
        (status = 200, description = "The product", body = ProductBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["catalog:read"])),
)]
#[get("/products/{product}")]
pub(crate) async fn get(
    at: WithinPortal<required::CatalogRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let id = named(&path.1)?;
    let product = state.app.product(&context, &at.portal, &id).await?;
    Ok(conditions.answer(&product.tag(), &ProductBody::from(&product)))
}

/// Read a plan
///
/// Its entity tag is that of its product.
#[utoipa::path(
    operation_id = "plan_get",
    tag = "Catalog",
    params(PortalPath, ProductPath, PlanPath, ReadConditions),
    responses(
        (status = 200, description = "The plan", body = PlanBody),
        (status = 304, description = "The caller has it already"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["catalog:read"])),
)]
#[get("/products/{product}/plans/{plan}")]
pub(crate) async fn get_plan(
    at: WithinPortal<required::CatalogRead>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (id, plan) = (named(&path.1)?, named(&path.2)?);
    let product = state.app.product(&context, &at.portal, &id).await?;
    let plan = product.plan(&plan).ok_or_else(Error::not_found)?;
    Ok(conditions.answer(&product.tag(), &PlanBody::from(plan)))
}

/// Delete a product
///
/// With its plans. Nobody can subscribe any more from the moment the request is taken; what stands
/// for it at Stripe is taken out of use first. While the module is disabled that is left undone, and
/// the audit log says what is left.
#[utoipa::path(
    operation_id = "product_delete",
    tag = "Catalog",
    params(PortalPath, ProductPath, WriteConditions, MayWait),
    responses(
        (status = 202, description = "It is being taken out of use at Stripe", body = super::operations::OperationBody),
        (status = 204, description = "The product is gone"),
        (status = 409, description = "Live subscriptions exist, or an operation about it is running"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["catalog:write"])),
)]
#[delete("/products/{product}")]
pub(crate) async fn delete(
    at: InPortal<required::CatalogWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    conditions: Preconditions,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let id = named(&path.1)?;
    let context = context(&request, &at.caller);
    let answer = state
        .app
        .delete_product(&context, &at.portal, &id, &conditions.0, wait.0)
        .await?;
    Ok(respond(answer))
}
