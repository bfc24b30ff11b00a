//! Sending one request and reading one answer. Knows connections, headers and limits; knows no
//! Stripe object.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Proxy, Response};
use secrecy::ExposeSecret;
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::classify::{self, Effect, Meta};
use super::error::{Detail, StripeError};
use super::settings::{SettingsError, StripeSettings};
use super::skew::Skew;
use super::{API_VERSION, IdempotencyKey};
use crate::clock::Clock;
use crate::domain::stripe_key::{ApiKey, Mode, PublishableKey};

const USER_AGENT: &str = concat!("portal-billing/", env!("CARGO_PKG_VERSION"));
/// Below what Stripe's edge and common proxies keep, so that we close first.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const RETRY_AFTER_MAX_SECONDS: u64 = 3600;

/// Whose key a request carries.
#[derive(Clone, Copy)]
pub(super) enum Bearer<'a> {
    Api(&'a ApiKey),
    Publishable(&'a PublishableKey),
}

impl Bearer<'_> {
    fn header(self) -> Result<HeaderValue, StripeError> {
        let text = match self {
            Self::Api(key) => key.expose(),
            Self::Publishable(key) => key.expose(),
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {text}"))
            .map_err(|_| StripeError::refused_here("the key does not fit in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Api(key) => key.mode(),
            Self::Publishable(key) => key.mode(),
        }
    }
}

/// One request as the port builds it.
pub(super) struct Call<'a> {
    pub bearer: Bearer<'a>,
    pub request: RequestBuilder,
    /// Present on every write, absent on everything that cannot have an effect.
    pub idempotency_key: Option<&'a IdempotencyKey>,
}

impl Call<'_> {
    pub(super) fn effect(&self) -> Effect {
        match self.idempotency_key {
            Some(_) => Effect::Write,
            None => Effect::None,
        }
    }
}

/// A 2xx answer, read to its end.
pub(super) struct Answer {
    pub meta: Meta,
    pub body: Vec<u8>,
}

/// One worker's connections to Stripe.
pub(super) struct Transport {
    base: String,
    settings: StripeSettings,
    /// What the settings were checked by, and whose connections are used where no others can be made.
    first: Client,
    /// A connection is driven by the worker that has opened it: another one would wait for that to wake up,
    /// twice for each call.
    pooled: OnceLock<Client>,
    /// For the one repetition of a read: never takes an idle connection.
    unpooled: OnceLock<Option<Client>>,
    skew: Arc<Skew>,
}

impl Transport {
    pub(super) fn new(settings: &StripeSettings, clock: Clock) -> Result<Self, SettingsError> {
        let base = settings.check()?;
        let first = client(settings, usize::MAX)?;
        Ok(Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            settings: settings.clone(),
            pooled: OnceLock::from(first.clone()),
            first,
            unpooled: OnceLock::new(),
            skew: Arc::new(Skew::new(clock)),
        })
    }

    /// The same for another worker; makes nothing before it is needed.
    pub(super) fn for_worker(&self) -> Self {
        Self {
            base: self.base.clone(),
            settings: self.settings.clone(),
            first: self.first.clone(),
            pooled: OnceLock::new(),
            unpooled: OnceLock::new(),
            skew: Arc::clone(&self.skew),
        }
    }

    pub(super) fn skew(&self) -> &Skew {
        &self.skew
    }

    /// Sends and reads. An answer of any status but 2xx is an error.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, StripeError> {
        let result = match self.attempt(self.pooled(), call).await {
            Err(Failure::NoAnswer {
                error,
                worth_repeating: true,
            }) if call.effect() == Effect::None => match self.unpooled() {
                Some(client) => self.attempt(client, call).await,
                None => Err(Failure::Final(error)),
            },
            other => other,
        };
        let result = result.map_err(StripeError::from);
        report(call, &result);
        result
    }

    fn pooled(&self) -> &Client {
        self.pooled.get_or_init(|| {
            client(&self.settings, usize::MAX).unwrap_or_else(|_| self.first.clone())
        })
    }

    fn unpooled(&self) -> Option<&Client> {
        self.unpooled
            .get_or_init(|| client(&self.settings, 0).ok())
            .as_ref()
    }

    async fn attempt(&self, client: &Client, call: &Call<'_>) -> Result<Answer, Failure> {
        let request = self.request(client, call)?;
        let effect = call.effect();
        let response = client
            .execute(request)
            .await
            .map_err(|error| no_answer(effect, error))?;
        let mut meta = meta_of(&response);
        meta.date = header(response.headers(), "date").and_then(|date| self.skew.note(date));
        let body = match read_body(response, self.settings.max_response_bytes).await {
            Ok(body) => body,
            Err(why) => return Err(Failure::from(classify::nonsense(effect, &meta, &why))),
        };
        if meta.is_success() {
            Ok(Answer { meta, body })
        } else {
            Err(Failure::from(classify::failure(effect, &meta, &body)))
        }
    }

    fn request(&self, client: &Client, call: &Call<'_>) -> Result<reqwest::Request, StripeError> {
        let RequestBuilder {
            query,
            body,
            path,
            method,
        } = &call.request;
        let query = query
            .as_deref()
            .filter(|query| !query.is_empty())
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let url = format!("{}/v1{path}{query}", self.base);
        let mut request = client
            .request(method_of(*method), url)
            .header(AUTHORIZATION, call.bearer.header()?)
            .header("Stripe-Version", API_VERSION);
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key.as_str());
        }
        if matches!(method, StripeMethod::Post) {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.clone().unwrap_or_default());
        }
        request
            .build()
            .map_err(|error| StripeError::refused_here(chain(&error.without_url())))
    }
}

fn client(settings: &StripeSettings, idle_connections_max: usize) -> Result<Client, SettingsError> {
    let mut builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        // Whether a write is sent again is decided by the operation that owns it.
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.request_timeout)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_connections_max)
        .tcp_nodelay(true);
    if let Some(proxy) = &settings.proxy {
        let proxy = proxy.expose_secret();
        let usable = proxy.starts_with("http://") || proxy.starts_with("https://");
        let proxy = Proxy::all(proxy).ok().filter(|_| usable);
        builder = builder.proxy(proxy.ok_or(SettingsError::Proxy)?);
    }
    builder
        .build()
        .map_err(|error| SettingsError::Tls(chain(&error)))
}

/// Why an attempt failed, and whether a read may be tried once more.
enum Failure {
    Final(StripeError),
    NoAnswer {
        error: StripeError,
        worth_repeating: bool,
    },
}

impl From<Failure> for StripeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Final(error) | Failure::NoAnswer { error, .. } => error,
        }
    }
}

impl From<Detail> for Failure {
    fn from(detail: Detail) -> Self {
        Self::Final(detail.into())
    }
}

impl From<StripeError> for Failure {
    fn from(error: StripeError) -> Self {
        Self::Final(error)
    }
}

fn no_answer(effect: Effect, error: reqwest::Error) -> Failure {
    // `is_connect` covers name resolution, TCP and TLS: up to there nothing of ours was sent. An
    // overall timeout while connecting counts as sent, which errs to the safe side.
    let sent = !error.is_connect();
    // The peer may close an idle connection at the moment we use it; that shows as an error without
    // any byte of an answer. A timeout is no such thing, and asking again would double the wait.
    let worth_repeating = sent && !error.is_timeout();
    let detail = classify::no_answer(effect, sent, &chain(&error.without_url()));
    Failure::NoAnswer {
        error: detail.into(),
        worth_repeating,
    }
}

/// Reads at most `limit` bytes.
async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let announced = response
        .content_length()
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX))
        .unwrap_or_default();
    let too_large = || format!("the body is larger than {limit} bytes");
    if announced > limit {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > limit => {
                return Err(too_large());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => {
                return Err(format!(
                    "the body broke off: {}",
                    chain(&error.without_url())
                ));
            }
        }
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn meta_of(response: &Response) -> Meta {
    let headers = response.headers();
    Meta {
        status: response.status().as_u16(),
        request_id: header(headers, "request-id")
            .filter(|id| id.len() <= 255)
            .map(ToOwned::to_owned),
        retry_after: header(headers, "retry-after")
            .and_then(|seconds| seconds.trim().parse::<u64>().ok())
            .map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_MAX_SECONDS))),
        should_retry: header(headers, "stripe-should-retry").and_then(|text| text.parse().ok()),
        replayed: header(headers, "idempotent-replayed") == Some("true"),
        date: None,
    }
}

const fn method_of(method: StripeMethod) -> Method {
    match method {
        StripeMethod::Get => Method::GET,
        StripeMethod::Post => Method::POST,
        StripeMethod::Delete => Method::DELETE,
    }
}

const fn method_name(method: StripeMethod) -> &'static str {
    match method {
        StripeMethod::Get => "GET",
        StripeMethod::Post => "POST",
        StripeMethod::Delete => "DELETE",
    }
}

/// An error with all its causes on one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// One line per call. Never the query or the body: they may hold client secrets and addresses.
fn report(call: &Call<'_>, result: &Result<Answer, StripeError>) {
    let method = method_name(call.request.method);
    let path = call.request.path.as_str();
    match result {
        Ok(answer) => tracing::debug!(
            method,
            path,
            status = answer.meta.status,
            request_id = answer.meta.request_id,
            replayed = answer.meta.replayed,
            "Stripe answered"
        ),
        Err(error) => tracing::debug!(
            method,
            path,
            outcome = error.outcome().as_str(),
            status = error.status(),
            request_id = error.request_id(),
            code = error.code(),
            decline_code = error.decline_code(),
            cause = error.log_text(),
            "Stripe call failed"
        ),
    }
}
