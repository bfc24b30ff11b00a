//! The HTTP face: routes, OpenAPI, authentication, problems.
//!
//! [`routes`] is the one table: what it mounts is what the document describes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_actix_web::service_config::ServiceConfig;

pub mod auth;
mod body;
mod document;
pub mod etag;
pub mod extract;
pub mod idempotency;
pub mod middleware;
pub mod openapi;
mod pages;
pub mod paging;
pub mod problem;
pub mod render;
mod service;
mod unread;
pub mod v1;

use crate::app::App;
use crate::domain::error::{Code, Error};
use crate::ids::Ids;
use crate::secret::Signer;
use auth::Authenticator;
use problem::Problem;

/// What handlers work with; one per worker.
pub struct State {
    /// The product.
    pub app: App,
    /// Turns tokens into callers.
    pub authenticator: Arc<Authenticator>,
    /// Signs list cursors.
    pub cursors: Arc<Signer>,
    /// For request ids.
    pub ids: Ids,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long a body may take to arrive.
    pub read_timeout: Duration,
    /// Renders the metrics.
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
}

/// Mounts every route, and with that describes it.
#[expect(clippy::too_many_lines, reason = "one line per route")]
pub fn routes(config: &mut ServiceConfig<'_>) {
    use v1::{
        access, audit_log, credentials, customers, events, hooks, hosted, imports, invoices,
        operations, payment_methods, portals, products, reconciliations, stripe_events,
        stripe_module, subscriptions, webhook_deliveries, webhook_endpoints,
    };
    config
        // Routes are tried one after the other: what is asked most comes first.
        .service(hooks::receive)
        .service(access::get)
        .service(access::of_subscription)
        .service(access::token)
        .service(subscriptions::create)
        .service(subscriptions::list)
        .service(subscriptions::get)
        .service(subscriptions::patch)
        .service(subscriptions::approve)
        .service(subscriptions::reject)
        .service(subscriptions::cancel)
        .service(subscriptions::undo_cancel)
        .service(customers::create)
        .service(customers::list)
        .service(customers::get)
        .service(customers::patch)
        .service(customers::delete)
        .service(portals::list)
        .service(portals::put)
        .service(portals::get)
        .service(portals::patch)
        .service(portals::delete)
        .service(stripe_module::get)
        .service(stripe_module::put)
        .service(stripe_module::register_webhook_endpoint)
        .service(credentials::put)
        .service(credentials::get)
        .service(credentials::verify)
        .service(credentials::delete)
        .service(hosted::create_setup_intent)
        .service(hosted::create_checkout_session)
        .service(hosted::create_portal_session)
        .service(payment_methods::create)
        .service(payment_methods::list)
        .service(payment_methods::get)
        .service(payment_methods::delete)
        .service(products::list)
        .service(imports::import)
        .service(products::put)
        .service(products::get)
        .service(products::delete)
        .service(products::get_plan)
        .service(stripe_events::list)
        .service(stripe_events::retry)
        .service(invoices::list)
        .service(invoices::get)
        .service(invoices::pay)
        .service(invoices::void)
        .service(invoices::upcoming)
        .service(access::key_set)
        .service(operations::list)
        .service(operations::get)
        .service(operations::retry)
        .service(events::list)
        .service(webhook_endpoints::create)
        .service(webhook_endpoints::list)
        .service(webhook_endpoints::get)
        .service(webhook_endpoints::patch)
        .service(webhook_endpoints::delete)
        .service(webhook_endpoints::rotate_secret)
        .service(webhook_deliveries::replay)
        .service(webhook_deliveries::list)
        .service(reconciliations::create)
        .service(reconciliations::list)
        .service(reconciliations::get)
        .service(audit_log::list)
        .service(service::healthz)
        .service(service::readyz)
        .service(service::metrics)
        .service(service::openapi)
        .service(service::docs)
        .service(service::docs_file)
        .service(service::problem_page);
}

/// What no route answers: 404, or 405 with `Allow` where another method would do.
///
/// # Errors
/// Always one of the two.
pub async fn unmatched(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let methods = allowed_methods(request.path());
    if methods.is_empty() {
        return Err(Error::not_found().into());
    }
    let allow = methods
        .iter()
        .map(Method::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let detail = format!("This address answers {allow}.");
    let problem = Problem::from(Error::new(Code::MethodNotAllowed, detail));
    // Returned as an answer with the problem inside, so that it can carry a header.
    let mut response = HttpResponse::from_error(problem);
    if let Ok(value) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    Ok(response)
}

/// The methods some route answers at this path. Where a name and a parameter both fit, the name counts,
/// as in the description; its path sorts before the parameter's.
fn allowed_methods(path: &str) -> Vec<Method> {
    static TABLE: OnceLock<Vec<(ResourceDef, Vec<Method>)>> = OnceLock::new();
    TABLE
        .get_or_init(openapi::route_table)
        .iter()
        .find(|(pattern, _)| pattern.is_match(path))
        .map(|(_, methods)| methods.clone())
        .unwrap_or_default()
}
