//! Importing product documents of API Connect.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::products::{ProductBody, ProductStateName};
use super::{MayRepeat, MayWait, PortalPath};
use crate::app::catalog::Imported;
use crate::app::catalog::document::{FieldReport, FieldResult, PlanReport};
use crate::domain::catalog::ProductState;
use crate::http::State;
use crate::http::auth::required;
use crate::http::document::PostedDocument;
use crate::http::extract::{InPortal, Query, context};
use crate::http::idempotency::Wait;
use crate::http::problem::Problem;
use crate::http::render::respond;

/// What became of a document.
#[derive(Serialize, ToSchema)]
#[schema(as = ProductImport, example = json!({
    "imported": false,
    "product": null,
    "fields": [{"field": "info.name", "value": "weather", "result": "taken", "reason": null}],
    "plans": [{
        "name": "gold",
        "id": "gold",
        "model": "flat",
        "needs_payment_method": true,
        "fields": [{
            "field": "billing.price",
            "value": "15.00 usd",
            "result": "taken",
            "reason": null
        }]
    }]
}))]
pub struct ImportBody {
    /// Whether the product was stored; never in a dry run.
    imported: bool,
    /// The product, if it was stored.
    #[schema(required = true)]
    product: Option<ProductBody>,
    /// What was made of the document's own fields.
    fields: Vec<ImportedField>,
    /// What was made of each plan.
    plans: Vec<ImportedPlan>,
}

/// What was made of a plan.
#[derive(Serialize, ToSchema)]
pub struct ImportedPlan {
    /// Its name in the document.
    name: String,
    /// Its name here; `null` when it can have none.
    #[schema(required = true)]
    id: Option<String>,
    /// The pricing model it got; `null` when the plan was refused.
    #[schema(required = true, value_type = Option<PricingModelName>)]
    model: Option<String>,
    /// Whether a subscription needs a payment method from the start; `null` when the plan was
    /// refused.
    #[schema(required = true)]
    needs_payment_method: Option<bool>,
    /// What was made of each of its fields.
    fields: Vec<ImportedField>,
}

/// The name of a pricing model.
#[derive(ToSchema)]
#[schema(as = PricingModel, rename_all = "snake_case")]
pub enum PricingModelName {
    /// Nothing.
    Free,
    /// One amount per interval.
    Flat,
    /// An amount per interval for each seat.
    PerSeat,
}

/// What was made of a field.
#[derive(Serialize, ToSchema)]
pub struct ImportedField {
    /// Where it stands in the document or the plan, such as `billing.price`.
    field: String,
    /// What it became, if it was taken. A refused value is not repeated.
    #[schema(required = true)]
    value: Option<String>,
    /// What was done with it.
    #[schema(value_type = ImportResultName)]
    result: &'static str,
    /// Why, if there is more to say.
    #[schema(required = true)]
    reason: Option<String>,
}

/// What was done with a field.
#[derive(ToSchema)]
#[schema(as = ImportResult, rename_all = "snake_case")]
pub enum ImportResultName {
    /// It became part of the product.
    Taken,
    /// It is left out, and nothing about money changes by that.
    Ignored,
    /// It cannot be taken, and the product cannot do without it.
    Refused,
}

impl From<&Imported> for ImportBody {
    fn from(imported: &Imported) -> Self {
        Self {
            imported: imported.product.is_some(),
            product: imported.product.as_ref().map(ProductBody::from),
            fields: fields(&imported.report.fields),
            plans: imported
                .report
                .plans
                .iter()
                .map(ImportedPlan::from)
                .collect(),
        }
    }
}

impl From<&PlanReport> for ImportedPlan {
    fn from(plan: &PlanReport) -> Self {
        Self {
            name: plan.name.clone(),
            id: plan.id.clone(),
            model: plan.model.clone(),
            needs_payment_method: plan.needs_payment_method,
            fields: fields(&plan.fields),
        }
    }
}

fn fields(reports: &[FieldReport]) -> Vec<ImportedField> {
    let field = |report: &FieldReport| ImportedField {
        field: report.field.clone(),
        value: report.value.clone(),
        result: FieldResult::as_str(report.result),
        reason: report.reason.clone(),
    };
    reports.iter().map(field).collect()
}

/// A product document of API Connect, in YAML; at most 256 KiB of UTF-8.
// `binary`, because clients are generated that can send a file, and not all can send a text.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "documents a body that the handler reads as text")]
pub struct ProductDocument(String);

/// How a document is imported.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportParams {
    /// Only report; nothing is stored.
    #[param(default = false)]
    dry_run: Option<bool>,
    /// The product's state from then on. Left out, a product that exists keeps its own, and a new
    /// one is a draft.
    state: Option<ImportStateName>,
}

/// The state of an imported product.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStateName {
    /// Being prepared; nobody can subscribe.
    Draft,
    /// Can be subscribed to.
    Published,
}

impl From<ImportStateName> for ProductState {
    fn from(state: ImportStateName) -> Self {
        Self::from(match state {
            ImportStateName::Draft => ProductStateName::Draft,
            ImportStateName::Published => ProductStateName::Published,
        })
    }
}

/// Import a product document
///
/// Of API Connect, in both shapes: `plans.*.billing` with a price in major units, and the older
/// `plans.*.billing-model` with an amount in minor units. The product is stored whole or not at all:
/// if anything in it was refused, the answer is 422 with a pointer into the document for each such
/// field. A dry run stores nothing and answers 200 with the report, whatever stands in it. YAML's older
/// names, `application/x-yaml` and `text/yaml`, are taken as well.
#[utoipa::path(
    operation_id = "product_import",
    tag = "Catalog",
    params(PortalPath, ImportParams, MayRepeat, MayWait),
    request_body(content = ProductDocument, content_type = "application/yaml"),
    responses(
        (status = 200, description = "The report, and the product as set", body = ImportBody),
        (status = 201, description = "The report, and the product as made", body = ImportBody),
        (status = 202, description = "It is stored, and being published", body = super::operations::OperationBody),
        (status = 400, description = "The document is not YAML, or not a product"),
        (status = 409, description = "Stripe is needed and not ready, live subscriptions exist, or the state cannot follow the one before"),
        (status = 422, description = "Something in the document was refused; nothing is stored"),
        (status = 424, description = "It is stored; Stripe does not accept the credentials"),
    ),
    security(("bearer" = ["catalog:write"])),
)]
#[post("/products/import")]
pub(crate) async fn import(
    at: InPortal<required::CatalogWrite>,
    state: Data<State>,
    request: HttpRequest,
    params: Query<ImportParams>,
    wait: Wait,
    document: PostedDocument,
) -> Result<HttpResponse, Problem> {
    let PostedDocument { text, claim } = document;
    if params.0.dry_run == Some(true) {
        let tried = state.app.try_document(&at.portal, &text).await?;
        return Ok(HttpResponse::Ok().json(ImportBody::from(&tried)));
    }
    let context = context(&request, &at.caller);
    let wanted = params.0.state.map(ProductState::from);
    let answer = state
        .app
        .import_document(&context, &at.portal, &text, wanted, claim.as_ref(), wait.0)
        .await?;
    Ok(respond(answer))
}
