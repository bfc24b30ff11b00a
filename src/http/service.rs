//! The service itself: health, metrics, its own description.

use std::sync::OnceLock;

use actix_web::http::header::{AcceptEncoding, ContentEncoding, Encoding, Header as _};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::document_text;
use super::problem::Problem;
use super::{State, pages};
use crate::domain::error::Error;

/// The process runs.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "version": "0.1.0"}))]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The version of the service.
    version: &'static str,
}

/// What the service needs is there.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "database": "sqlite"}))]
pub(super) struct Readiness {
    /// Always `ready`; otherwise the answer is 503.
    status: &'static str,
    /// The engine in use: `sqlite` or `postgres`.
    database: &'static str,
}

/// A file, byte for byte.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "documents a body that is not JSON")]
pub(super) struct DocsFile(Vec<u8>);

/// Is the process alive
#[utoipa::path(
    operation_id = "service_health",
    tag = "Service",
    responses((status = 200, description = "It is", body = Health)),
)]
#[get("/healthz")]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Can the service do its work
///
/// The database answers, its schema is this version's, the keys are at hand: without the last two
/// the service does not start.
#[utoipa::path(
    operation_id = "service_readiness",
    tag = "Service",
    responses(
        (status = 200, description = "It can", body = Readiness),
        (status = 503, description = "The database does not answer"),
    ),
)]
#[get("/readyz")]
pub(super) async fn readyz(state: Data<State>) -> Result<HttpResponse, Problem> {
    state.app.ping().await?;
    Ok(HttpResponse::Ok().json(Readiness {
        status: "ready",
        database: state.app.engine(),
    }))
}

/// Metrics
///
/// In Prometheus' text format. No label grows with what callers send.
#[utoipa::path(
    operation_id = "service_metrics",
    tag = "Service",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
)]
#[get("/metrics")]
pub(super) async fn metrics(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(state.metrics.render())
}

/// This API's description
///
/// OpenAPI 3.1, generated from the types the service runs with.
#[utoipa::path(
    operation_id = "service_openapi",
    tag = "Service",
    responses((status = 200, description = "The document", body = serde_json::Value)),
)]
#[get("/openapi.json")]
pub(super) async fn openapi() -> HttpResponse {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let text = DOCUMENT.get_or_init(document_text);
    HttpResponse::Ok()
        .content_type("application/json")
        .body(text.as_str())
}

/// The API reference
#[utoipa::path(
    operation_id = "service_docs",
    tag = "Service",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")),
)]
#[get("/docs")]
pub(super) async fn docs() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(pages::DOCS)
}

/// A file of the API reference
#[utoipa::path(
    operation_id = "service_docs_file",
    tag = "Service",
    params(("file" = String, Path, description = "The file's name", max_length = 64)),
    responses(
        (status = 200, description = "The file", body = inline(DocsFile), content_type = "application/octet-stream"),
        (status = 404, description = "There is no such file"),
    ),
)]
#[get("/docs/{file}")]
pub(super) async fn docs_file(
    request: HttpRequest,
    file: Path<String>,
) -> Result<HttpResponse, Problem> {
    let file = pages::docs_file(&file).ok_or_else(Error::not_found)?;
    let known = [Encoding::gzip(), Encoding::identity()];
    // Who does not say is a person with curl more often than a browser.
    let takes_gzip = AcceptEncoding::parse(&request)
        .is_ok_and(|accepted| accepted.negotiate(known.iter()) == Some(Encoding::gzip()));
    let file = if takes_gzip {
        file
    } else {
        file.unpacked().map_err(Error::internal)?
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header(("cache-control", "public, max-age=3600"))
        .insert_header(("vary", "accept-encoding"));
    if file.packed {
        response.insert_header(ContentEncoding::Gzip);
    }
    Ok(response.body(file.bytes.into_owned()))
}

/// What a problem means and what to do
#[utoipa::path(
    operation_id = "service_problem_page",
    tag = "Service",
    params(("code" = String, Path, description = "The problem's code", max_length = 64, example = "not_found")),
    responses(
        (status = 200, description = "A page", body = String, content_type = "text/html"),
        (status = 404, description = "There is no such code"),
    ),
)]
#[get("/problems/{code}")]
pub(super) async fn problem_page(code: Path<String>) -> Result<HttpResponse, Problem> {
    let page = pages::problem(&code).ok_or_else(Error::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page))
}
