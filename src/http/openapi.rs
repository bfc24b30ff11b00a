//! The API's description: what the handlers say of themselves, completed by what is true of all.

use std::collections::BTreeSet;

use actix_web::App;
use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder, Schema, ServerBuilder, Type,
    tag::TagBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_actix_web::AppExt;

use super::auth::Scope;
use super::describe;
use super::problem::{ProblemBody, ProblemField, ProblemStripe};
use super::v1::imports::ImportStateName;

mod unions;

const PROBLEM_JSON: &str = "application/problem+json";
const BEARER: &str = "bearer";

/// The document.
pub fn document() -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(base())
        .configure(describe)
        .split_for_parts();
    add_problem_schemas(&mut document);
    add_words_of_parameters(&mut document);
    if let Some(components) = &mut document.components {
        unions::say_by_discriminator(components);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
        }
    }
    document
}

/// The document as committed: pretty, with a newline at its end.
pub fn document_text() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Every path as a pattern with the methods some route answers there.
pub(super) fn route_table() -> Vec<(ResourceDef, Vec<Method>)> {
    let mut document = document();
    document
        .paths
        .paths
        .iter_mut()
        .map(|(path, item)| {
            let methods = [
                (item.get.is_some(), Method::GET),
                (item.put.is_some(), Method::PUT),
                (item.post.is_some(), Method::POST),
                (item.patch.is_some(), Method::PATCH),
                (item.delete.is_some(), Method::DELETE),
            ];
            let methods = methods
                .into_iter()
                .filter(|(there, _)| *there)
                .map(|(_, method)| method);
            (ResourceDef::new(path.as_str()), methods.collect())
        })
        .collect()
}

fn base() -> OpenApi {
    let scopes = Scope::ALL
        .iter()
        .map(|scope| format!("`{scope}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(format!(
            "A JSON Web Token with the claims `iss`, `aud`, `exp`, `sub`, `portal` (one portal, or `*`) \
             and `scope`. Scopes: {scopes}."
        )))
        .build();
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    let tag = |name: &str, description: &str| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    };
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("portal-billing")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Headless billing that gives any API developer portal paid plans over Stripe. \
                     Every error is `application/problem+json`; every answer has an `X-Request-Id`.",
                ))
                .license(Some(
                    LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url("/").description(Some("This service")).build()]))
        .tags(Some([
            tag("Portals", "Developer portals: the tenants."),
            tag("Stripe module", "A portal's Stripe integration, its credentials and its readiness."),
            tag("Invoices", "What was charged for, as Stripe makes it."),
            tag("Access", "Whether a subscription may use the API now."),
            tag("Customers", "Consumer organizations as a portal bills them."),
            tag("Payment methods", "What customers pay with, and where consumers enter it."),
            tag("Catalog", "Products and their plans: what a portal publishes."),
            tag("Subscriptions", "Who has subscribed to which plan, and may use the API now."),
            tag("Operations", "Durable units of work that reach Stripe."),
            tag("Events", "What happened, for those who poll."),
            tag("Webhooks", "Where this service posts what happened."),
            tag("Reconciliations", "What is stored here against what Stripe has."),
            tag("Audit", "Who did what."),
            tag("Hooks", "Where Stripe delivers."),
            tag("Service", "The service itself."),
        ]))
        .components(Some(components))
        .build()
}

fn add_problem_schemas(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert("Problem".to_owned(), ProblemBody::schema());
    let mut referenced = Vec::new();
    ProblemBody::schemas(&mut referenced);
    components.schemas.extend(referenced);
    components
        .schemas
        .insert(ProblemField::name().into_owned(), ProblemField::schema());
    components
        .schemas
        .insert(ProblemStripe::name().into_owned(), ProblemStripe::schema());
}

/// Words that only a parameter has: what parameters refer to is not collected by itself.
fn add_words_of_parameters(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(
        ImportStateName::name().into_owned(),
        ImportStateName::schema(),
    );
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// The answers that follow from what kind of operation it is.
fn common_answers(path: &str, operation: &Operation) -> Vec<(&'static str, &'static str)> {
    const UNAVAILABLE: (&str, &str) = (
        "503",
        "The service or Stripe is not available now; nothing was changed",
    );
    let has_body = operation.request_body.is_some();
    let authenticated = operation.security.is_some();
    let has_parameter = |place: &ParameterIn| {
        operation
            .parameters
            .iter()
            .flatten()
            .any(|parameter| match parameter {
                RefOr::T(parameter) => parameter.parameter_in == *place,
                RefOr::Ref(_) => false,
            })
    };
    let has_query = has_parameter(&ParameterIn::Query);
    let has_conditions = has_parameter(&ParameterIn::Header);
    let rules = [
        (
            has_body || has_query || has_conditions,
            ("400", "The request cannot be read"),
        ),
        (authenticated, ("401", "No token, or none that is valid")),
        (
            authenticated,
            (
                "403",
                "The token lacks the scope, or is bound to one organization",
            ),
        ),
        (
            path.contains("{portal}"),
            ("404", "Nothing of that name exists for this caller"),
        ),
        (has_body, ("408", "The body took too long to arrive")),
        (has_body, ("413", "The body is too large")),
        (
            has_body && authenticated,
            ("415", "The content type is not supported"),
        ),
        (
            (has_body && authenticated) || has_query,
            ("422", "A field is unknown or does not hold what it must"),
        ),
        (true, ("500", "A bug of this service")),
        (authenticated || has_body, UNAVAILABLE),
    ];
    rules
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, answer)| answer)
        .collect()
}

/// Drops parameters that are there already: extractors of one handler may name the same one.
fn once_each(operation: &mut Operation) {
    let mut seen: Vec<(String, ParameterIn)> = Vec::new();
    if let Some(parameters) = &mut operation.parameters {
        parameters.retain(|parameter| match parameter {
            RefOr::T(it) => {
                let new = (it.name.clone(), it.parameter_in.clone());
                let is_new = !seen.contains(&new);
                seen.extend(is_new.then_some(new));
                is_new
            }
            RefOr::Ref(_) => true,
        });
    }
}

/// Adds the common answers, gives every error its body, and every answer its request id.
fn complete(path: &str, operation: &mut Operation) {
    once_each(operation);
    let common = common_answers(path, operation);
    // Said, not left out: nobody has to wonder whether it was forgotten.
    operation.security.get_or_insert_default();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                refuse_null(&mut content.schema);
            }
        }
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in common {
        responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    let retryable: BTreeSet<&str> = BTreeSet::from(["429", "503"]);
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        describe_headers(status, &retryable, response);
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            response
                .content
                .insert(PROBLEM_JSON.to_owned(), content.into());
        }
    }
}

/// A body that may be left out is not one that may be `null`, which is how an `Option` is described.
fn refuse_null(schema: &mut Option<RefOr<Schema>>) {
    let Some(RefOr::T(Schema::OneOf(choice))) = schema else {
        return;
    };
    let is_null = |item: &RefOr<Schema>| {
        matches!(item, RefOr::T(Schema::Object(object))
            if matches!(object.schema_type, SchemaType::Type(Type::Null)))
    };
    choice.items.retain(|item| !is_null(item));
    if choice.items.len() == 1 {
        *schema = choice.items.pop();
    }
}

fn describe_headers(status: &str, retryable: &BTreeSet<&str>, response: &mut Response) {
    let text = |description: &str| {
        HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
            .description(Some(description))
            .build()
    };
    response.headers.insert(
        "X-Request-Id".to_owned(),
        text("The caller's, if it sent a valid one; finds this request in the log.").into(),
    );
    if retryable.contains(status) {
        let seconds = HeaderBuilder::new()
            .schema(Some(
                ObjectBuilder::new().schema_type(Type::Integer).build(),
            ))
            .description(Some("Seconds to wait."))
            .build();
        response
            .headers
            .insert("Retry-After".to_owned(), seconds.into());
    }
    if status == "401" {
        response.headers.insert(
            "WWW-Authenticate".to_owned(),
            text("How to authenticate (RFC 6750).").into(),
        );
    }
}
