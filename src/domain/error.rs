//! What can go wrong, in words of the product and free of any transport.
//!
//! An [`Error`] holds two texts. The one for the caller is what `Display` and the API show; the one
//! for the log may name causes and is reachable only through [`Error::log_text`].

use std::fmt;

/// Defines [`Code`] together with its stable text.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// The stable name of a problem; part of the API, documented in `docs/problems.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it stands in answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    MalformedJson = "malformed_json",
    /// The body nests deeper than 32 levels.
    JsonTooDeep = "json_too_deep",
    /// A list cursor that this service did not issue for this list.
    InvalidCursor = "invalid_cursor",
    /// A delivery for a hook that does not exist, or not signed by a secret of it.
    WebhookRejected = "webhook_rejected",
    /// A header that cannot be read, such as `If-Match`.
    InvalidHeader = "invalid_header",
    /// No bearer token.
    TokenMissing = "token_missing",
    /// A token that is malformed, not for us, or not signed by a key we trust.
    TokenInvalid = "token_invalid",
    /// A token past its `exp`.
    TokenExpired = "token_expired",
    /// The token lacks the scope the route needs.
    ScopeMissing = "scope_missing",
    /// A token bound to one consumer organization on a route of the portal's operators.
    OrganizationBound = "organization_bound",
    /// Nothing of that name exists for this caller.
    NotFound = "not_found",
    /// The route exists, not with this method.
    MethodNotAllowed = "method_not_allowed",
    /// The request did not arrive in time.
    RequestTimeout = "request_timeout",
    /// The portal still has live objects.
    PortalInUse = "portal_in_use",
    /// The Stripe module is not enabled.
    ModuleDisabled = "module_disabled",
    /// The Stripe module lacks something it needs first.
    StripeNotReady = "stripe_not_ready",
    /// New credentials belong to another Stripe account than the stored objects.
    StripeAccountMismatch = "stripe_account_mismatch",
    /// New credentials are of another mode than the stored objects.
    StripeModeMismatch = "stripe_mode_mismatch",
    /// The credentials are needed by live objects.
    CredentialsInUse = "credentials_in_use",
    /// Another writer changed the same thing in between; nothing was stored.
    ConcurrentChange = "concurrent_change",
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed = "precondition_failed",
    /// The body is larger than the limit.
    BodyTooLarge = "body_too_large",
    /// The content type is not the one the route reads.
    UnsupportedMediaType = "unsupported_media_type",
    /// A field the route does not know.
    UnknownField = "unknown_field",
    /// One or more fields do not hold what they must.
    ValidationFailed = "validation_failed",
    /// A text field holds what looks like a card number.
    PanDetected = "pan_detected",
    /// A Stripe key that is not one by its form.
    CredentialsMalformed = "credentials_malformed",
    /// The two keys are of different modes.
    CredentialsModeMismatch = "credentials_mode_mismatch",
    /// Stripe does not accept the credentials.
    StripeCredentialsInvalid = "stripe_credentials_invalid",
    /// The key lacks permissions the product needs.
    StripePermissionsMissing = "stripe_permissions_missing",
    /// The route needs an `Idempotency-Key` and the request has none.
    IdempotencyKeyMissing = "idempotency_key_missing",
    /// The issuer or the bank said no.
    PaymentDeclined = "payment_declined",
    /// A customer with this external id exists in the portal.
    CustomerExists = "customer_exists",
    /// The customer still has live subscriptions.
    CustomerInUse = "customer_in_use",
    /// The product still has live subscriptions.
    ProductInUse = "product_in_use",
    /// The product cannot go from its state to the one asked for.
    ProductStateConflict = "product_state_conflict",
    /// The plan takes no new subscriptions.
    PlanUnavailable = "plan_unavailable",
    /// A paid plan needs a usable payment method.
    PaymentMethodRequired = "payment_method_required",
    /// A live paid subscription would be left without a payment method.
    PaymentMethodInUse = "payment_method_in_use",
    /// The payment method cannot be used for this customer now.
    PaymentMethodUnusable = "payment_method_unusable",
    /// The customer has a live subscription to this product for this application.
    SubscriptionExists = "subscription_exists",
    /// The subscription's status does not allow what was asked.
    SubscriptionStateConflict = "subscription_state_conflict",
    /// The invoice's status does not allow what was asked.
    InvoiceStateConflict = "invoice_state_conflict",
    /// The customer has had its one trial.
    TrialUsed = "trial_used",
    /// Only an operation in `attention` can be retried.
    OperationNotRetryable = "operation_not_retryable",
    /// Only an event that is dead can be tried again.
    EventNotRetryable = "event_not_retryable",
    /// The thing is being worked on by an operation that is not over.
    OperationPending = "operation_pending",
    /// The portal has as many webhook endpoints as it may have.
    WebhookEndpointLimit = "webhook_endpoint_limit",
    /// A request with the same key is still running.
    IdempotencyInProgress = "idempotency_in_progress",
    /// The `Idempotency-Key` was used with other content.
    IdempotencyKeyReused = "idempotency_key_reused",
    /// A return URL is not of an allowed origin.
    ReturnOriginNotAllowed = "return_origin_not_allowed",
    /// The promotion code does not exist or cannot be used.
    PromotionCodeInvalid = "promotion_code_invalid",
    /// Stripe refuses what the caller asked for.
    StripeRefused = "stripe_refused",
    /// The document is not YAML, or larger or deeper than allowed.
    MalformedDocument = "malformed_document",
    /// Too many requests from this caller.
    RateLimited = "rate_limited",
    /// Stripe refused a request this service believed right.
    StripeRejected = "stripe_rejected",
    /// Stripe answered with something that cannot be understood, or with a failure of its own.
    StripeBadAnswer = "stripe_bad_answer",
    /// Stripe cannot be reached or limits us.
    StripeUnavailable = "stripe_unavailable",
    /// This service cannot answer now.
    Unavailable = "unavailable",
    /// A bug of this service.
    Internal = "internal_error",
}

/// Why one field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    /// Not a field of this object.
    UnknownField,
    /// Required and absent.
    MissingField,
    /// The same field twice.
    DuplicateField,
    /// Another JSON type than the field's.
    InvalidType,
    /// The right type, not an acceptable value.
    InvalidValue,
    /// Empty where text is needed.
    Empty,
    /// Longer than the limit.
    TooLong,
    /// More entries than the limit.
    TooMany,
    /// Looks like a card number.
    PanDetected,
    /// Looks like a secret key or a token, where none belongs.
    SecretDetected,
    /// A permission the Stripe key lacks; the pointer names it.
    PermissionMissing,
}

impl FieldCode {
    /// The code as it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::MissingField => "missing_field",
            Self::DuplicateField => "duplicate_field",
            Self::InvalidType => "invalid_type",
            Self::InvalidValue => "invalid_value",
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::PanDetected => "pan_detected",
            Self::SecretDetected => "secret_detected",
            Self::PermissionMissing => "permission_missing",
        }
    }
}

/// One refused field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// Why.
    pub code: FieldCode,
    /// For people. Never repeats the refused value.
    pub detail: String,
}

impl FieldError {
    /// A refused field.
    pub fn new(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// What Stripe said, as far as the caller may know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StripeContext {
    /// Stripe's `Request-Id`.
    pub request_id: Option<String>,
    /// Stripe's error code.
    pub code: Option<String>,
    /// The issuer's decline code.
    pub decline_code: Option<String>,
}

/// A problem; see the module's documentation.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    detail: String,
    log: Option<String>,
    fields: Vec<FieldError>,
    retry_after_seconds: Option<u32>,
    stripe: Option<StripeContext>,
}

impl Error {
    /// A problem with its text for the caller.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            log: None,
            fields: Vec::new(),
            retry_after_seconds: None,
            stripe: None,
        }))
    }

    /// The one answer for everything that does not exist, or not for this caller.
    pub fn not_found() -> Self {
        Self::new(
            Code::NotFound,
            "There is nothing at this address for this caller.",
        )
    }

    /// A bug of ours: the caller learns only that, the log learns `cause`.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            Code::Internal,
            "The service failed on its side. The request id finds the cause in its log.",
        )
        .with_log(cause)
    }

    /// The service cannot answer now; the log learns `cause`.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        Self::new(
            Code::Unavailable,
            "The service cannot answer now; nothing was changed.",
        )
        .with_log(cause)
        .with_retry_after(1)
    }

    /// Refused fields. The code is the gravest among them.
    pub fn fields(fields: Vec<FieldError>) -> Self {
        let has = |code| fields.iter().any(|field| field.code == code);
        let (code, detail) = if has(FieldCode::PanDetected) {
            (
                Code::PanDetected,
                "A text field holds what looks like a card number. Card numbers never go through \
                 this service.",
            )
        } else if has(FieldCode::UnknownField) {
            (
                Code::UnknownField,
                "The request has a field that this route does not know.",
            )
        } else {
            (
                Code::ValidationFailed,
                "One or more fields do not hold what they must.",
            )
        };
        let mut error = Self::new(code, detail);
        error.0.fields = fields;
        error
    }

    /// One refused field.
    pub fn field(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self::fields(vec![FieldError::new(pointer, code, detail)])
    }

    /// Adds the refused fields to an error of another code.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        self.0.fields = fields;
        self
    }

    /// Adds the text for the log.
    #[must_use]
    pub fn with_log(mut self, cause: impl fmt::Display) -> Self {
        self.0.log = Some(cause.to_string());
        self
    }

    /// Adds after how many seconds another try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds what Stripe said.
    #[must_use]
    pub fn with_stripe(mut self, stripe: StripeContext) -> Self {
        self.0.stripe = Some(stripe);
        self
    }

    /// The stable name.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The text for the caller.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The text for the log, if there is more to say than to the caller.
    pub fn log_text(&self) -> Option<&str> {
        self.0.log.as_deref()
    }

    /// The refused fields.
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// After how many seconds another try makes sense.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.0.retry_after_seconds
    }

    /// What Stripe said.
    pub fn stripe(&self) -> Option<&StripeContext> {
        self.0.stripe.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Error {}
