//! Stripe's errors: the envelope, the statuses and the sentences.
//!
//! <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// The `type` of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Api,
    Card,
    Idempotency,
    InvalidRequest,
    RateLimit,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            Self::Api => "api_error",
            Self::Card => "card_error",
            Self::Idempotency => "idempotency_error",
            // Stripe sends rate limits under this type too; only the status tells them apart.
            Self::InvalidRequest | Self::RateLimit => "invalid_request_error",
        }
    }
}

/// An error as Stripe answers it.
///
/// Boxed so that a `Result` of a handler stays small.
#[derive(Clone, Debug)]
pub(crate) struct StripeError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: u16,
    kind: ErrorKind,
    message: String,
    code: Option<Cow<'static, str>>,
    param: Option<String>,
    /// Further members of the `error` object: `decline_code`, `payment_intent`, `charge`, …
    more: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
    stored: bool,
}

impl StripeError {
    fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            kind,
            message: message.into(),
            code: None,
            param: None,
            more: Map::new(),
            headers: Vec::new(),
            stored: true,
        }))
    }

    /// 400 `invalid_request_error`.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, ErrorKind::InvalidRequest, message)
    }

    /// 404 `resource_missing` for the object a path names; `param` is the path's parameter.
    ///
    /// For an id inside the parameters use [`Self::no_such_in`].
    pub(crate) fn no_such(what: &str, id: &str, param: &str) -> Self {
        Self::new(
            404,
            ErrorKind::InvalidRequest,
            format!("No such {what}: '{id}'"),
        )
        .code("resource_missing")
        .param(param)
    }

    /// 400 `resource_missing` for an id that a parameter names.
    pub(crate) fn no_such_in(what: &str, id: &str, param: &str) -> Self {
        Self::no_such(what, id, param).status(400)
    }

    /// 402 `card_error` with a code such as `card_declined`.
    pub(crate) fn card(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(402, ErrorKind::Card, message).code(code)
    }

    /// 401: no key, an unknown one, a revoked one.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, ErrorKind::InvalidRequest, message)
    }

    /// 403: the key may not do this.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, ErrorKind::InvalidRequest, message)
    }

    /// 404 without an object: an unknown URL.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, ErrorKind::InvalidRequest, message)
    }

    /// 400 `idempotency_error`: a key came back with other parameters.
    pub(crate) fn idempotency(message: impl Into<String>) -> Self {
        Self::new(400, ErrorKind::Idempotency, message).not_stored()
    }

    /// 409 with a code: a key in flight, an object in use.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(409, ErrorKind::InvalidRequest, message)
            .code(code)
            .not_stored()
    }

    /// 429 `rate_limit` or `lock_timeout`.
    pub(crate) fn rate_limit(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(429, ErrorKind::RateLimit, message)
            .code(code)
            .not_stored()
    }

    /// 500 `api_error`.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, ErrorKind::Api, message)
    }

    /// 400 `parameter_missing`.
    pub(crate) fn missing_param(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}."))
            .code("parameter_missing")
            .param(param)
            .not_stored()
    }

    /// 400 `parameter_unknown`; the parameters are full paths (`recurring[foo]`).
    pub(crate) fn unknown_params(params: &[String]) -> Self {
        let plural = if params.len() > 1 { "s" } else { "" };
        Self::invalid(format!(
            "Received unknown parameter{plural}: {}",
            params.join(", ")
        ))
        .code("parameter_unknown")
        .param(params.first().map_or("", String::as_str))
        .not_stored()
    }

    /// 400 `parameter_invalid_empty`.
    pub(crate) fn empty_param(param: &str) -> Self {
        Self::invalid(format!(
            "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty value."
        ))
        .code("parameter_invalid_empty")
        .param(param)
        .not_stored()
    }

    #[must_use]
    pub(crate) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    #[must_use]
    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    #[must_use]
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.0.status = status;
        self
    }

    /// A further member of the `error` object, such as `decline_code` or `payment_intent`.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// The idempotency layer forgets this outcome: the request never began to execute.
    #[must_use]
    pub(crate) fn not_stored(mut self) -> Self {
        self.0.stored = false;
        self
    }

    pub(crate) fn http_status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn code_name(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn headers(&self) -> &[(&'static str, String)] {
        &self.0.headers
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.0.stored
    }

    /// The body. `log_url` is the request's page in the dashboard.
    pub(crate) fn body(&self, log_url: &str) -> Value {
        let mut error = self.0.more.clone();
        error.insert("type".to_owned(), self.0.kind.name().into());
        error.insert("message".to_owned(), self.0.message.as_str().into());
        if let Some(code) = &self.0.code {
            error.insert("code".to_owned(), code.as_ref().into());
            if has_page(code) {
                let page = code.replace('_', "-");
                let url = format!("https://stripe.com/docs/error-codes/{page}");
                error.insert("doc_url".to_owned(), url.into());
            }
        }
        if let Some(param) = &self.0.param {
            error.insert("param".to_owned(), param.as_str().into());
        }
        if !log_url.is_empty() {
            error.insert("request_log_url".to_owned(), log_url.into());
        }
        json!({ "error": error })
    }
}

/// Codes that appear in answers but have no page under `/docs/error-codes`.
fn has_page(code: &str) -> bool {
    !matches!(
        code,
        "idempotency_key_in_use" | "invoice_payment_intent_requires_action" | "none"
    )
}
