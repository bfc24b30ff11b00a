//! The HTTP face: routes, OpenAPI, authentication, problems.
//!
//! `routes!` is the one table: what is mounted is what the document describes.

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
use v1::{
    access, audit_log, credentials, customers, events, hooks, hosted, imports, invoices,
    operations, payment_methods, portals, products, reconciliations, stripe_events, stripe_module,
    subscriptions, webhook_deliveries, webhook_endpoints,
};

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

/// Each route once: what is mounted is what is described. Routes are tried one after the other: what is
/// asked most comes first. Those within a portal are tried behind the portal's part of the path, so that the
/// pattern of each is short: every worker has a table of its own.
macro_rules! routes {
    ($portal:literal: [$($inside:path,)+], $($outside:path,)+) => {
        /// Mounts every route.
        pub fn mount(config: &mut actix_web::web::ServiceConfig) {
            let portal = actix_web::web::scope($portal)$(.service($inside))+;
            config.service(portal)$(.service($outside))+;
        }

        /// Mounts every route and describes it, which takes time and memory that a server need not spend
        /// when it starts.
        pub fn describe(config: &mut ServiceConfig<'_>) {
            let portal = utoipa_actix_web::scope::scope($portal)$(.service($inside))+;
            config.service(portal)$(.service($outside))+;
        }
    };
}

routes! {
    "/v1/portals/{portal}": [
        access::get,
        access::of_subscription,
        access::token,
        subscriptions::create,
        subscriptions::list,
        subscriptions::get,
        subscriptions::patch,
        subscriptions::approve,
        subscriptions::reject,
        subscriptions::cancel,
        subscriptions::undo_cancel,
        customers::create,
        customers::list,
        customers::get,
        customers::patch,
        customers::delete,
        portals::put,
        portals::get,
        portals::patch,
        portals::delete,
        stripe_module::get,
        stripe_module::put,
        stripe_module::register_webhook_endpoint,
        credentials::put,
        credentials::get,
        credentials::verify,
        credentials::delete,
        hosted::create_setup_intent,
        hosted::create_checkout_session,
        hosted::create_portal_session,
        payment_methods::create,
        payment_methods::list,
        payment_methods::get,
        payment_methods::delete,
        products::list,
        imports::import,
        products::put,
        products::get,
        products::delete,
        products::get_plan,
        stripe_events::list,
        stripe_events::retry,
        invoices::list,
        invoices::get,
        invoices::pay,
        invoices::void,
        invoices::upcoming,
        operations::list,
        operations::get,
        operations::retry,
        events::list,
        webhook_endpoints::create,
        webhook_endpoints::list,
        webhook_endpoints::get,
        webhook_endpoints::patch,
        webhook_endpoints::delete,
        webhook_endpoints::rotate_secret,
        webhook_deliveries::replay,
        webhook_deliveries::list,
        reconciliations::create,
        reconciliations::list,
        reconciliations::get,
        audit_log::list,
    ],
    hooks::receive,
    portals::list,
    access::key_set,
    service::healthz,
    service::readyz,
    service::metrics,
    service::openapi,
    service::docs,
    service::docs_file,
    service::problem_page,
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
