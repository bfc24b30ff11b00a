//! The front: everything that happens to a request before and after its handler.

pub(crate) mod auth;
pub(crate) mod contract;
pub(crate) mod errors;
pub(crate) mod expand;
pub(crate) mod expandable;
pub(crate) mod form;
pub(crate) mod idempotency;
mod inner;
pub(crate) mod legacy;
pub(crate) mod list;
pub(crate) mod pipeline;
pub(crate) mod rate_limit;
pub(crate) mod router;
pub(crate) mod search;

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::Value;

use crate::admin;
use crate::faults::Fault;
use crate::pages;
use crate::world::World;
use errors::StripeError;
use form::Form;
use router::{Method, Route};

/// A whole request, its body read.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is to go wrong with it.
    pub(crate) fault: Option<Fault>,
}

impl HttpRequest {
    /// A header's text; `None` when absent or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An answer, ready to be sent.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let body = pretty(body);
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body,
        }
    }
}

/// Stripe indents its JSON by two spaces.
fn pretty(body: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(body).unwrap_or_default()
}

/// Answers one request: an admin call, a hosted page, or a call of Stripe's API.
pub(crate) fn handle(world: &World, http: &HttpRequest) -> HttpResponse {
    let below = http.path.strip_prefix(admin::PREFIX);
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return admin::handle(world, http);
    }
    pages::answer(world, http).unwrap_or_else(|| pipeline::answer(world, http))
}

/// `2026-09-30.endive` or an older `2020-08-27`. Any well-formed version is taken and echoed; the
/// shapes stay those of the pinned one.
pub(crate) fn api_version(text: &str) -> Result<String, StripeError> {
    let (date, name) = text.split_once('.').unwrap_or((text, "a"));
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    if is_date && is_name {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(StripeError::invalid(format!("Invalid Stripe API version: {shown}")).not_stored())
}

pub(crate) fn read_form(http: &HttpRequest, route: &Route) -> Result<Form, StripeError> {
    let mut form = Form::empty();
    if let Some(query) = &http.query {
        Form::decode(&mut form, query.as_bytes())?;
    }
    if http.body.is_empty() {
        return Ok(form);
    }
    let content_type = http.header("content-type").unwrap_or_default();
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if route.path.starts_with("/v2/") {
        let body: Value = serde_json::from_slice(&http.body).map_err(|_| not_a_form())?;
        return Ok(Form::from_json(body));
    }
    if kind == "application/json" {
        return Err(not_a_form());
    }
    if route.method != Method::Get {
        Form::decode(&mut form, &http.body)?;
    }
    Ok(form)
}

fn not_a_form() -> StripeError {
    StripeError::invalid(
        "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any questions, we can help at https://support.stripe.com/.",
    )
    .not_stored()
}
