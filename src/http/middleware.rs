//! The outermost layer: request id, trace context, the token, time limit, panics, metrics, the
//! access log, and the one place where problems are rendered.
//!
//! Never logged: headers, bodies, query strings, raw paths (a hook's path is a secret of sorts), and
//! nothing out of a token but its subject.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use data_encoding::HEXLOWER_PERMISSIVE;
use futures_util::FutureExt;
use tracing::{Instrument, Span, field, info_span};

use super::State;
use super::auth::Authentication;
use super::extract::{RequestId, is_unwanted};
use super::problem::{Problem, describe, render};
use super::unread::Reader;
use crate::domain::error::{Code, Error};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest path that problems repeat.
const INSTANCE_MAX_BYTES: usize = 512;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Runs one request.
///
/// # Errors
/// None that is not already an answer.
pub async fn edge(
    state: web::Data<State>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let request_id = request_id(request.headers(), &state);
    let span = span(&request, &request_id);
    let method = request.method().clone();
    let path = request.path().to_owned();
    let instance = instance(&path);
    let reader = Reader::of(&mut request);
    request
        .extensions_mut()
        .insert(RequestId(request_id.clone()));
    let work = async {
        if needs_token(&path) {
            let outcome = state.authenticator.authenticate(request.headers()).await;
            if let Ok(caller) = &outcome {
                Span::current().record("subject", &caller.subject);
            }
            request.extensions_mut().insert(Authentication(outcome));
        }
        run(next, request, state.request_timeout).await
    };
    let outcome = work.instrument(span.clone()).await;
    let _entered = span.enter();
    let (route, mut answer) = match outcome {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let route = request
                .match_pattern()
                .unwrap_or_else(|| "unmatched".to_owned());
            let response = finish(response, &instance, &request_id);
            (
                route,
                ServiceResponse::new(request, response.map_body(|_, body| reader.kept_by(body))),
            )
        }
        Err(error) => {
            log_problem(&error);
            let status = describe(error.code()).status.as_u16();
            observe("unmatched", method.as_str(), status, started.elapsed());
            return Err(Problem::located(error, &instance, &request_id).into());
        }
    };
    complete(answer.headers_mut(), &request_id);
    let status = answer.status().as_u16();
    observe(&route, method.as_str(), status, started.elapsed());
    tracing::info!(
        route,
        status,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    Ok(answer)
}

/// Everything under `/v1` but Stripe's deliveries, which carry a signature instead.
fn needs_token(path: &str) -> bool {
    path.starts_with("/v1/") && !path.starts_with("/v1/hooks/")
}

/// The route within its time, its panics caught.
async fn run<B: MessageBody + 'static>(
    next: Next<B>,
    request: ServiceRequest,
    limit: Duration,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let guarded = AssertUnwindSafe(next.call(request)).catch_unwind();
    match tokio::time::timeout(limit, guarded).await {
        Ok(Ok(Ok(response))) => Ok(response.map_into_boxed_body()),
        Ok(Ok(Err(error))) => Err(as_error(&error)),
        Ok(Err(_panic)) => {
            metrics::counter!("http_panics_total").increment(1);
            // What a panic says may hold anything; its place is printed by the panic hook.
            Err(Error::internal("a handler panicked"))
        }
        Err(_elapsed) => Err(Error::unavailable("the request ran out of time")),
    }
}

/// Renders the problem inside a response, if there is one; keeps the headers others have set.
fn finish(response: HttpResponse<BoxBody>, path: &str, request_id: &str) -> HttpResponse<BoxBody> {
    let Some(failure) = response.error() else {
        return response;
    };
    let error = as_error(failure);
    log_problem(&error);
    let mut rendered = render(&error, path, request_id);
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && !rendered.headers().contains_key(name) {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    rendered
}

/// Our error inside actix's, or what an error of actix's own means.
fn as_error(error: &actix_web::Error) -> Error {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.error().clone();
    }
    let status = error.as_response_error().status_code();
    match status.as_u16() {
        404 => Error::not_found(),
        400..=499 => Error::new(Code::InvalidHeader, "The request cannot be read.").with_log(error),
        _ => Error::internal(error),
    }
}

fn log_problem(error: &Error) {
    let code = error.code();
    if code == Code::Internal {
        tracing::error!(code = code.as_str(), cause = error.log_text(), "problem");
    } else {
        tracing::info!(code = code.as_str(), cause = error.log_text(), "problem");
    }
}

/// Headers that every answer has.
fn complete(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The method, or `other`: a method is any word the caller likes.
fn folded(method: &str) -> &str {
    match method {
        known @ ("GET" | "PUT" | "POST" | "PATCH" | "DELETE" | "OPTIONS" | "HEAD") => known,
        _ => "other",
    }
}

fn observe(route: &str, method: &str, status: u16, elapsed: Duration) {
    // Routes are a fixed set and methods are folded, so that the labels are bounded.
    let method = folded(method);
    let labels = [("route", route.to_owned()), ("method", method.to_owned())];
    metrics::histogram!("http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
    let labels = [
        ("route", route.to_owned()),
        ("method", method.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
}

/// The path as problems show it. It is the caller's own; still, a key or a card number that was put
/// there by mistake is not spread any further.
pub(super) fn instance(path: &str) -> String {
    let unwanted = |text: &str| text.split('/').any(is_unwanted);
    if unwanted(path) || (path.contains('%') && unwanted(&decoded(path))) {
        return "/redacted".to_owned();
    }
    let mut end = INSTANCE_MAX_BYTES.min(path.len());
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    path.get(..end).unwrap_or_default().to_owned()
}

/// With `%41` as `A`; what is not UTF-8 then is replaced.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| behind.split_at_checked(2))
            .flatten();
        let escaped = hex.and_then(|(digits, behind)| {
            let byte = HEXLOWER_PERMISSIVE.decode(digits).ok()?;
            Some((*byte.first()?, behind))
        });
        let (byte, behind) = escaped.unwrap_or((*first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The caller's `X-Request-Id` if it is 1 to 128 of `[A-Za-z0-9._-]` and neither a secret nor a card
/// number, else a new one.
fn request_id(headers: &HeaderMap, state: &State) -> String {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(allowed) && !is_unwanted(id))
        .map_or_else(|| state.ids.unguessable(), str::to_owned)
}

fn span(request: &ServiceRequest, request_id: &str) -> Span {
    let span = info_span!(
        "http",
        request_id,
        method = folded(request.method().as_str()),
        trace_id = field::Empty,
        parent_span_id = field::Empty,
        subject = field::Empty,
    );
    if let Some((trace_id, parent)) = trace_context(request.headers()) {
        span.record("trace_id", trace_id);
        span.record("parent_span_id", parent);
    }
    span
}

/// Trace and parent id of a `traceparent` header (W3C Trace Context, version 00 and later ones that
/// begin alike).
fn trace_context(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace_id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace_id, 32)
        && hex(parent, 16)
        && set(trace_id)
        && set(parent)
        && parts.next().is_some_and(|flags| hex(flags, 2));
    valid.then_some((trace_id, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(text: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(text).unwrap());
        trace_context(&headers).map(|(trace, parent)| (trace.to_owned(), parent.to_owned()))
    }

    #[test]
    fn the_instance_is_the_path_unless_it_holds_what_must_not_spread() {
        assert_eq!(instance("/v1/portals/acme"), "/v1/portals/acme");
        assert_eq!(instance("/v1/%zz%4"), "/v1/%zz%4");
        for path in [
            "/v1/portals/sk_live_51PgafTB1WZ2rYsUu",
            "/v1/portals/s%6b_live_51PgafTB1WZ2rYsUu",
            "/v1/portals/4242424242424242/modules",
            "/v1/portals/4242%204242%204242%204242",
        ] {
            assert_eq!(instance(path), "/redacted", "{path}");
        }
        assert_eq!(instance(&"/ä".repeat(1000)).len(), 510 + 1);
    }

    #[test]
    fn trace_context_is_read_as_the_standard_says() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(context(good).is_some());
        assert!(context(&format!("{good}-later").replacen("00", "01", 1)).is_some());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(context(bad), None, "{bad}");
        }
    }
}
