//! One request of Stripe's API from its headers to its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Map, Value};

use super::errors::StripeError;
use super::form::Form;
use super::idempotency::{self, Bound};
use super::legacy::{self, Legacy};
use super::router::{self, Answer, Ctx, Method, Request, Route};
use super::{
    HttpRequest, HttpResponse, api_version, auth, contract, expand, expandable, rate_limit,
    read_form,
};
use crate::account::Account;
use crate::clock::Timestamp;
use crate::events::RequestStamp;
use crate::faults::{Fault, FaultKind};
use crate::params::Params;
use crate::request_log::LoggedRequest;
use crate::shapes;
use crate::world::{Key, KeyKind, World, lock};

/// Answers a request and logs it.
pub(crate) fn answer(world: &World, http: &HttpRequest) -> HttpResponse {
    let mut log = LoggedRequest {
        id: world.next_request_id(),
        method: http.method.clone(),
        path: http.path.clone(),
        api_version: crate::API_VERSION.to_owned(),
        idempotency_key: http.header("idempotency-key").map(str::to_owned),
        fault: http.fault.as_ref().map(|fault| fault.kind.name()),
        ..LoggedRequest::default()
    };
    let mut response = match serve(world, http, &mut log) {
        Ok(response) => response,
        Err(error) => refuse(&error, &mut log),
    };
    response.headers.push(("Request-Id", log.id.clone()));
    response
        .headers
        .push(("Stripe-Version", log.api_version.clone()));
    if let Some(key) = &log.idempotency_key {
        response.headers.push(("Idempotency-Key", key.clone()));
    }
    log.status = response.status;
    world.log(log);
    response
}

/// An error as an answer.
fn refuse(error: &StripeError, log: &mut LoggedRequest) -> HttpResponse {
    log.error = Some(
        error
            .code_name()
            .unwrap_or_else(|| error.message())
            .to_owned(),
    );
    let mode = if log.livemode { "" } else { "test/" };
    let url = format!(
        "https://dashboard.stripe.com/{mode}logs/{}?t={}",
        log.id, log.at
    );
    let mut response = HttpResponse::json(error.http_status(), &error.body(&url));
    response.headers.extend(error.headers().iter().cloned());
    response
}

fn serve(
    world: &World,
    http: &HttpRequest,
    log: &mut LoggedRequest,
) -> Result<HttpResponse, StripeError> {
    let (text, key) = auth::authenticate(world, http.header("authorization"))?;
    log.livemode = key.livemode;
    log.account.clone_from(&key.account_id);
    log.key.clone_from(&text);
    let method = Method::parse(&http.method);
    let (route, args) =
        method.and_then(|method| router::find(method, &http.path)).ok_or_else(|| {
            StripeError::not_found(format!(
                "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
                http.method, http.path
            ))
            .not_stored()
        })?;
    log.template = route.path;
    auth::check_account(http.header("stripe-account"), &text, &key)?;
    auth::authorize(&text, &key, route)?;
    // Stripe decides limits before the idempotency layer.
    lock(&key.account)
        .rate_limiter
        .admit(key.livemode, route.path)?;
    inject_before(http.fault.as_ref(), key.livemode)?;
    let version = http.header("stripe-version");
    log.api_version = api_version(version.unwrap_or(&world.settings.default_api_version))?;
    let mut form = read_form(http, route)?;
    let browser_secret = (key.kind == KeyKind::Publishable).then(|| take_browser_secret(&mut form));
    let legacy = if legacy::is_older(&log.api_version) {
        legacy::translate(&lock(&key.account), route, &log.api_version, &mut form)
    } else {
        legacy::refuse(route, &form)?;
        Legacy::default()
    };
    let stamp = RequestStamp {
        id: log.id.clone(),
        idempotency_key: log.idempotency_key.clone(),
    };
    let stale = stale_count(http.fault.as_ref(), route);
    let path = http.path.clone();
    let request = Request {
        stamp,
        path,
        args,
        browser_secret,
        legacy,
        stale,
    };
    let params = if request.browser_secret.is_some() {
        browser_params(form)
    } else {
        contract::check(route.method.name(), route.path, form)?
    };
    expandable::check(route, &Params::new(&params).texts("expand"))?;
    log.params = Value::Object(without_numbers(&params));
    let work = Work {
        world,
        key: &key,
        route,
        request: &request,
        params: &params,
    };
    let mut response = work.execute(http.fault.as_ref(), log)?;
    // What is read is not from a later second than the events that are still to tell of it.
    if let Some(second) = lock(&key.account).outbox.plan.pin_created {
        response.headers.push(("Date", http_date(second)));
    }
    Ok(response)
}

/// RFC 9110 §5.6.7.
fn http_date(second: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .unwrap_or_default()
}

/// Faults that strike before the idempotency layer.
fn inject_before(fault: Option<&Fault>, livemode: bool) -> Result<(), StripeError> {
    let Some(fault) = fault else { return Ok(()) };
    let mut error = match fault.kind {
        FaultKind::RateLimit => rate_limit::exceeded(livemode),
        FaultKind::LockTimeout => StripeError::rate_limit(
            "lock_timeout",
            "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request. If you see this error frequently and are making multiple concurrent requests to a single object, make your requests serially or at a lower rate. For more details, see https://stripe.com/docs/rate-limits#object-lock-timeouts.",
        ),
        FaultKind::Conflict => idempotency::in_flight("simulated"),
        _ => return Ok(()),
    };
    if let Some(seconds) = fault.retry_after
        && error.http_status() == 429
    {
        error = error.header("Retry-After", seconds.to_string());
    }
    Err(with_hint(error, fault))
}

fn with_hint(error: StripeError, fault: &Fault) -> StripeError {
    match fault.should_retry {
        Some(retry) => error.header("Stripe-Should-Retry", retry.to_string()),
        None => error,
    }
}

fn stale_count(fault: Option<&Fault>, route: &Route) -> usize {
    let is_search = route.path.ends_with("/search");
    match fault {
        Some(fault) if fault.kind == FaultKind::StaleList && !is_search => fault.count,
        Some(fault) if fault.kind == FaultKind::StaleSearch && is_search => fault.count,
        _ => 0,
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

/// Stripe.js sends what server SDKs do not, such as typed card numbers in `payment_method_data`:
/// the contract does not describe its calls.
fn browser_params(form: Form) -> Map<String, Value> {
    match contract::untyped(form) {
        Value::Object(params) => params,
        _ => Map::new(),
    }
}

/// What the log keeps of parameters: no card number, no security code, no account number.
fn without_numbers(params: &Map<String, Value>) -> Map<String, Value> {
    let secret = |parent: &str, name: &str| {
        matches!(
            (parent, name),
            ("card", "number" | "cvc")
                | ("us_bank_account" | "bank_account", "account_number")
                | ("sepa_debit", "iban")
        )
    };
    let mut kept = params.clone();
    for (parent, value) in &mut kept {
        let Value::Object(fields) = value else {
            continue;
        };
        *fields = without_numbers(fields);
        for (name, field) in fields.iter_mut() {
            if secret(parent, name) {
                *field = Value::from("[not kept]");
            }
        }
    }
    kept
}

/// A request that has passed every check but those of its handler.
struct Work<'a> {
    world: &'a World,
    key: &'a Key,
    route: &'a Route,
    request: &'a Request,
    params: &'a Map<String, Value>,
}

impl Work<'_> {
    fn execute(
        &self,
        fault: Option<&Fault>,
        log: &mut LoggedRequest,
    ) -> Result<HttpResponse, StripeError> {
        let mut account = lock(&self.key.account);
        account.run_due();
        account.act_on(None);
        log.at = account.now();
        let now = account.clocks.account_now();
        let bound = match &self.request.stamp.idempotency_key {
            // Stripe ignores keys on GET and DELETE, which are idempotent by themselves.
            Some(key) if self.route.method == Method::Post => {
                Some(Bound::new(key, &self.request.path, self.params)?)
            }
            _ => None,
        };
        if let Some(bound) = &bound
            && let Some(response) = account.idempotency_keys.replay(bound, now)?
        {
            log.replayed = true;
            return Ok(response);
        }
        let outcome = match fault.filter(|fault| fault.kind == FaultKind::ErrorBefore) {
            Some(fault) => Err(broken(fault)),
            None => self.call(&mut account),
        };
        let outcome = match fault.filter(|fault| fault.kind == FaultKind::ErrorAfter) {
            Some(fault) => Err(broken(fault)),
            None => outcome,
        };
        let is_stored = outcome.as_ref().err().is_none_or(StripeError::is_stored);
        let response = match outcome {
            Ok(body) => self.respond(&body),
            Err(error) => refuse(&error, log),
        };
        if let Some(bound) = bound.filter(|_| is_stored) {
            account
                .idempotency_keys
                .keep(bound, &response, &log.id, now);
        }
        Ok(response)
    }

    fn call(&self, account: &mut Account) -> Result<Value, StripeError> {
        account.current_request = Some(self.request.stamp.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run(account)));
        account.current_request = None;
        account.act_on(None);
        outcome.unwrap_or_else(|_| {
            Err(StripeError::internal(
                "An unknown error occurred in the simulator; its standard error output says more.",
            ))
        })
    }

    fn run(&self, account: &mut Account) -> Result<Value, StripeError> {
        let params = Params::new(self.params);
        let mut ctx = Ctx {
            account,
            request: self.request,
        };
        let Answer(mut body) = (self.route.handler)(&mut ctx, params)?;
        let paths = params.texts("expand");
        if !paths.is_empty() {
            expand::expand(ctx.account, &mut body, &paths)?;
        }
        Ok(body)
    }

    fn respond(&self, body: &Value) -> HttpResponse {
        if self.world.checks_responses() {
            self.note_violations(body);
        }
        HttpResponse::json(200, body)
    }

    fn note_violations(&self, body: &Value) {
        for violation in shapes::check(self.route.method.name(), self.route.path, body) {
            let method = self.route.method.name().to_uppercase();
            self.world
                .note_violation(format!("{method} {}: {violation}", self.route.path));
        }
    }
}

/// The 500 of a fault.
fn broken(fault: &Fault) -> StripeError {
    let error = StripeError::internal(
        "An unknown error occurred. If you have any questions, we can help at https://support.stripe.com/.",
    )
    .status(fault.status.unwrap_or(500));
    with_hint(error, fault)
}
