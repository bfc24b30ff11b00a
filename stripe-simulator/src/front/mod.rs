//! The front: everything that happens to a request before and after its handler.

pub(crate) mod auth;
pub(crate) mod contract;
pub(crate) mod errors;
pub(crate) mod expand;
pub(crate) mod form;
mod inner;
pub(crate) mod legacy;
pub(crate) mod list;
pub(crate) mod router;

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use hyper::HeaderMap;
use serde_json::{Map, Value};

use crate::account::Account;
use crate::admin;
use crate::events::RequestStamp;
use crate::pages;
use crate::params::Params;
use crate::shapes;
use crate::world::{Key, KeyKind, World, lock};
use errors::StripeError;
use form::Form;
use legacy::Legacy;
use router::{Answer, Ctx, Method, Request, Route};

/// A whole request, its body read.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
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
    pages::answer(world, http).unwrap_or_else(|| stripe(world, http))
}

fn stripe(world: &World, http: &HttpRequest) -> HttpResponse {
    let id = world.next_request_id();
    let mut known = Known {
        livemode: false,
        at: 0,
        version: crate::API_VERSION.to_owned(),
    };
    let mut response = match serve(world, http, &id, &mut known) {
        Ok(Answer::Json(body)) => HttpResponse::json(200, &body),
        Ok(Answer::Bytes { content_type, body }) => HttpResponse {
            status: 200,
            content_type,
            headers: Vec::new(),
            body,
        },
        Err(error) => {
            let mode = if known.livemode { "" } else { "test/" };
            let url = format!(
                "https://dashboard.stripe.com/{mode}logs/{id}?t={}",
                known.at
            );
            let mut response = HttpResponse::json(error.http_status(), &error.body(&url));
            response.headers.extend(error.headers().iter().cloned());
            response
        }
    };
    response.headers.push(("Request-Id", id));
    response.headers.push(("Stripe-Version", known.version));
    if let Some(key) = http.header("idempotency-key") {
        response.headers.push(("Idempotency-Key", key.to_owned()));
    }
    response
}

/// What is learnt about a request on the way, for the headers of an error.
struct Known {
    livemode: bool,
    at: i64,
    version: String,
}

fn serve(
    world: &World,
    http: &HttpRequest,
    id: &str,
    known: &mut Known,
) -> Result<Answer, StripeError> {
    let (text, key) = auth::authenticate(world, http.header("authorization"))?;
    known.livemode = key.livemode;
    let method = Method::parse(&http.method);
    let (route, args) =
        method.and_then(|method| router::find(method, &http.path)).ok_or_else(|| {
            StripeError::not_found(format!(
                "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
                http.method, http.path
            ))
            .not_stored()
        })?;
    auth::authorize(&text, &key, route)?;
    let version = http.header("stripe-version");
    known.version = api_version(version.unwrap_or(&world.settings.default_api_version))?;
    let mut form = read_form(http, route)?;
    let browser_secret = (key.kind == KeyKind::Publishable).then(|| take_browser_secret(&mut form));
    let legacy = if legacy::is_older(&known.version) {
        legacy::translate(&lock(&key.account), route, &known.version, &mut form)
    } else {
        legacy::refuse(route, &form)?;
        Legacy::default()
    };
    let request = Request {
        stamp: RequestStamp {
            id: id.to_owned(),
            idempotency_key: http.header("idempotency-key").map(str::to_owned),
        },
        path: http.path.clone(),
        args,
        api_version: known.version.clone(),
        browser_secret,
        legacy,
    };
    let answer = in_account(&key, route, &request, form, known)?;
    if world.checks_responses()
        && let Answer::Json(body) = &answer
    {
        note_violations(world, route, body);
    }
    Ok(answer)
}

fn note_violations(world: &World, route: &Route, body: &Value) {
    for violation in shapes::check(route.method.name(), route.path, body) {
        let method = route.method.name().to_uppercase();
        world.note_violation(format!("{method} {}: {violation}", route.path));
    }
}

/// Stripe.js sends `client_secret` and `key` with every call; the contract, which is that of server
/// SDKs, does not know them.
fn take_browser_secret(form: &mut Form) -> String {
    let Form::Map(fields) = form else {
        return String::new();
    };
    fields.remove("key");
    match fields.remove("client_secret") {
        Some(Form::Text(secret)) => secret,
        _ => String::new(),
    }
}

fn in_account(
    key: &Key,
    route: &Route,
    request: &Request,
    form: Form,
    known: &mut Known,
) -> Result<Answer, StripeError> {
    let params = contract::check(route.method.name(), route.path, form)?;
    let mut account = lock(&key.account);
    account.run_due();
    account.act_on(None);
    known.at = account.now();
    account.current_request = Some(request.stamp.clone());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run(&mut account, route, request, &params)
    }));
    account.current_request = None;
    account.act_on(None);
    outcome.unwrap_or_else(|_| {
        Err(StripeError::internal(
            "An unknown error occurred in the simulator; its standard error output says more.",
        ))
    })
}

fn run(
    account: &mut Account,
    route: &Route,
    request: &Request,
    params: &Map<String, Value>,
) -> Result<Answer, StripeError> {
    let params = Params::new(params);
    let mut ctx = Ctx { account, request };
    let answer = (route.handler)(&mut ctx, params)?;
    match answer {
        Answer::Json(mut body) => {
            let paths = params.texts("expand");
            if !paths.is_empty() {
                expand::expand(ctx.account, &mut body, &paths)?;
            }
            Ok(Answer::Json(body))
        }
        bytes @ Answer::Bytes { .. } => Ok(bytes),
    }
}

/// `2026-09-30.endive` or an older `2020-08-27`. Any well-formed version is taken and echoed; the
/// shapes stay those of the pinned one.
fn api_version(text: &str) -> Result<String, StripeError> {
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

fn read_form(http: &HttpRequest, route: &Route) -> Result<Form, StripeError> {
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
