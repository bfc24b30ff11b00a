//! Every error on the wire: `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::error::{Code, Error};

/// How one code looks on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// HTTP status.
    pub status: StatusCode,
    /// Short text, the same for each occurrence.
    pub title: &'static str,
    /// Whether the same request may succeed later without a change.
    pub retryable: bool,
}

/// Status, title and retryability of a code.
pub fn describe(code: Code) -> Description {
    let (status, title, retryable) = match code {
        Code::MalformedJson => (400, "The body is not JSON", false),
        Code::JsonTooDeep => (400, "The JSON nests too deeply", false),
        Code::InvalidCursor => (400, "The cursor is not valid", false),
        Code::WebhookRejected => (400, "The delivery is not accepted", false),
        Code::InvalidHeader => (400, "A header cannot be read", false),
        Code::TokenMissing => (401, "A bearer token is needed", false),
        Code::TokenInvalid => (401, "The token is not valid", false),
        Code::TokenExpired => (401, "The token has expired", false),
        Code::ScopeMissing => (403, "The token lacks a scope", false),
        Code::OrganizationBound => (403, "The token is bound to one organization", false),
        Code::NotFound => (404, "Not found", false),
        Code::MethodNotAllowed => (405, "The method is not allowed here", false),
        Code::RequestTimeout => (408, "The request took too long to arrive", true),
        Code::PortalInUse => (409, "The portal is in use", false),
        Code::ModuleDisabled => (409, "The Stripe module is disabled", false),
        Code::StripeNotReady => (409, "The Stripe module is not ready", false),
        Code::StripeAccountMismatch => (409, "Another Stripe account", false),
        Code::StripeModeMismatch => (409, "Another Stripe mode", false),
        Code::CredentialsInUse => (409, "The credentials are in use", false),
        Code::ConcurrentChange => (409, "Changed by another request", true),
        Code::PreconditionFailed => (412, "A precondition does not hold", false),
        Code::BodyTooLarge => (413, "The body is too large", false),
        Code::UnsupportedMediaType => (415, "The content type is not supported", false),
        Code::UnknownField => (422, "A field is unknown", false),
        Code::ValidationFailed => (422, "A field is not valid", false),
        Code::PanDetected => (422, "A card number was found", false),
        Code::CredentialsMalformed => (422, "A key is malformed", false),
        Code::CredentialsModeMismatch => (422, "The keys are of different modes", false),
        Code::StripeCredentialsInvalid => (424, "Stripe does not accept the credentials", false),
        Code::StripePermissionsMissing => (424, "The key lacks permissions", false),
        Code::IdempotencyKeyMissing => (400, "An Idempotency-Key is needed", false),
        Code::PaymentDeclined => (402, "The payment was declined", false),
        Code::CustomerExists => (409, "The customer exists", false),
        Code::CustomerInUse => (409, "The customer is in use", false),
        Code::ProductInUse => (409, "The product is in use", false),
        Code::ProductStateConflict => (409, "The product's state does not allow it", false),
        Code::PlanUnavailable => (409, "The plan cannot be subscribed to", false),
        Code::PaymentMethodRequired => (409, "A payment method is needed", false),
        Code::PaymentMethodInUse => (409, "The payment method is in use", false),
        Code::PaymentMethodUnusable => (409, "The payment method cannot be used", false),
        Code::SubscriptionExists => (409, "A live subscription exists", false),
        Code::SubscriptionStateConflict => {
            (409, "The subscription's status does not allow it", false)
        }
        Code::InvoiceStateConflict => (409, "The invoice's status does not allow it", false),
        Code::TrialUsed => (409, "The trial was used before", false),
        Code::OperationNotRetryable => (409, "The operation cannot be retried", false),
        Code::EventNotRetryable => (409, "The event cannot be retried", false),
        Code::OperationPending => (409, "An operation is still running", true),
        Code::WebhookEndpointLimit => (409, "The portal has enough webhook endpoints", false),
        Code::IdempotencyInProgress => (409, "The same request is still running", true),
        Code::IdempotencyKeyReused => (422, "The key was used for another request", false),
        Code::ReturnOriginNotAllowed => (422, "The return address is not allowed", false),
        Code::PromotionCodeInvalid => (422, "The promotion code is not valid", false),
        Code::StripeRefused => (422, "Stripe refuses what was asked", false),
        Code::MalformedDocument => (400, "The document cannot be read", false),
        Code::RateLimited => (429, "Too many requests", true),
        Code::StripeRejected => (502, "Stripe refused the request", false),
        Code::StripeBadAnswer => (502, "Stripe's answer was not usable", true),
        Code::StripeUnavailable => (503, "Stripe is not available", true),
        Code::Unavailable => (503, "The service is not available", true),
        Code::Internal => (500, "The service failed", false),
    };
    Description {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        title,
        retryable,
    }
}

/// An error on its way out of a handler. The outermost middleware renders it, because only there
/// the request id and the path are known.
#[derive(Debug)]
pub struct Problem {
    error: Error,
    instance: String,
    request_id: String,
}

impl Problem {
    /// The error inside.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// A problem that knows its request; only the outermost middleware does.
    pub(super) fn located(error: Error, instance: &str, request_id: &str) -> Self {
        Self {
            error,
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
        }
    }
}

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::located(error.into(), "", "")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(formatter)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        describe(self.error.code()).status
    }

    fn error_response(&self) -> HttpResponse {
        render(&self.error, &self.instance, &self.request_id)
    }
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/not_found",
    "title": "Not found",
    "status": 404,
    "detail": "There is nothing at this address for this caller.",
    "instance": "/v1/portals/nowhere",
    "code": "not_found",
    "request_id": "01kat5bmf0f3x8q2r7w1e4t6y9",
    "retryable": false
}))]
pub struct ProblemBody {
    /// Address of a page that explains this code: `/problems/<code>`.
    #[serde(rename = "type")]
    problem_type: String,
    /// Short text, the same for each occurrence of the code.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The stable name of the problem.
    code: &'static str,
    /// The `X-Request-Id` of this answer.
    request_id: String,
    /// Whether the same request may succeed later without a change.
    retryable: bool,
    /// The refused fields, where that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ProblemField>,
    /// What Stripe said, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stripe: Option<ProblemStripe>,
}

/// One refused field.
#[derive(Serialize, ToSchema)]
pub struct ProblemField {
    /// JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pointer: String,
    /// Why it was refused.
    code: &'static str,
    /// For people; never repeats the refused value.
    detail: String,
}

/// What Stripe said.
#[derive(Serialize, ToSchema)]
pub struct ProblemStripe {
    /// Stripe's `Request-Id`; Stripe's support and dashboard find the call by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
    /// Stripe's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
    /// The issuer's decline code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decline_code: Option<String>,
}

/// The media type of problems (RFC 9457).
pub const MEDIA_TYPE: &str = "application/problem+json";

fn body_of(error: &Error, instance: &str, request_id: &str) -> ProblemBody {
    let code = error.code();
    let description = describe(code);
    ProblemBody {
        problem_type: format!("/problems/{}", code.as_str()),
        title: description.title,
        status: description.status.as_u16(),
        detail: error.detail().to_owned(),
        instance: instance.to_owned(),
        code: code.as_str(),
        request_id: request_id.to_owned(),
        retryable: description.retryable,
        errors: error
            .field_errors()
            .iter()
            .map(|field| ProblemField {
                pointer: field.pointer.clone(),
                code: field.code.as_str(),
                detail: field.detail.clone(),
            })
            .collect(),
        stripe: error.stripe().map(|stripe| ProblemStripe {
            request_id: stripe.request_id.clone(),
            code: stripe.code.clone(),
            decline_code: stripe.decline_code.clone(),
        }),
    }
}

/// The body of a problem, to be stored.
pub(super) fn text(error: &Error, instance: &str, request_id: &str) -> String {
    serde_json::to_string(&body_of(error, instance, request_id)).unwrap_or_default()
}

/// The answer for an error.
pub fn render(error: &Error, instance: &str, request_id: &str) -> HttpResponse {
    let code = error.code();
    let body = body_of(error, instance, request_id);
    let mut response = HttpResponse::build(describe(code).status).json(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), request_id);
    }
    if let Some(seconds) = error.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = challenge(code) {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    response
}

/// `WWW-Authenticate` (RFC 6750, section 3).
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenMissing => Some(r#"Bearer realm="portal-billing""#),
        Code::TokenInvalid => Some(r#"Bearer realm="portal-billing", error="invalid_token""#),
        Code::TokenExpired => Some(
            r#"Bearer realm="portal-billing", error="invalid_token", error_description="The token has expired""#,
        ),
        Code::ScopeMissing => Some(r#"Bearer realm="portal-billing", error="insufficient_scope""#),
        _ => None,
    }
}
