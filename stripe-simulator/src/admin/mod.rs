//! The admin routes, under a prefix that Stripe does not have: `/_simulator`.
//!
//! They take JSON bodies or query parameters, need no key, and act on the default account in test
//! mode unless `account` and `livemode` say otherwise.

mod billing;
mod clock;
mod faults;
mod keys;
mod payments;
mod requests;
mod settings;
mod state;
mod violations;
mod webhooks;

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::front::form::Form;
use crate::front::{HttpRequest, HttpResponse, contract};
use crate::params::Params;
use crate::world::{DEFAULT_ACCOUNT, World};

pub(crate) const PREFIX: &str = "/_simulator";

/// One admin operation.
pub(crate) struct AdminRoute {
    /// In upper case.
    pub(crate) method: &'static str,
    /// Below the prefix, `{name}` for arguments, such as `/keys/{key}`.
    pub(crate) path: &'static str,
    /// One line for the list of routes.
    pub(crate) does: &'static str,
    pub(crate) handler: fn(&AdminCall<'_>) -> AdminReply,
}

pub(crate) type AdminReply = Result<Value, AdminError>;

/// Why an admin call failed.
#[derive(Debug)]
pub(crate) struct AdminError {
    status: u16,
    message: String,
}

impl AdminError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: message.into(),
        }
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self {
            status: 409,
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: 404,
            message: message.into(),
        }
    }
}

/// What an admin handler sees.
pub(crate) struct AdminCall<'a> {
    pub(crate) world: &'a World,
    args: Vec<(&'static str, String)>,
    body: Map<String, Value>,
}

impl AdminCall<'_> {
    /// A path argument.
    pub(crate) fn arg(&self, name: &str) -> &str {
        let found = self.args.iter().find(|(arg, _)| *arg == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The body's members and the query's parameters.
    pub(crate) fn params(&self) -> Params<'_> {
        Params::new(&self.body)
    }

    pub(crate) fn account_id(&self) -> &str {
        self.params().text("account").unwrap_or(DEFAULT_ACCOUNT)
    }

    /// The account that the call is about.
    pub(crate) fn account(&self) -> Arc<Mutex<Account>> {
        let livemode = self.params().boolean("livemode").unwrap_or(false);
        self.world.account(self.account_id(), livemode)
    }
}

static TABLES: &[&[AdminRoute]] = &[
    billing::ROUTES,
    keys::ROUTES,
    clock::ROUTES,
    faults::ROUTES,
    requests::ROUTES,
    settings::ROUTES,
    payments::ROUTES,
    state::ROUTES,
    violations::ROUTES,
    webhooks::ROUTES,
];

/// Answers a request under the prefix.
pub(crate) fn handle(world: &World, http: &HttpRequest) -> HttpResponse {
    let path = http.path.strip_prefix(PREFIX).unwrap_or_default();
    let path = if path == "/" { "" } else { path };
    if path.is_empty() && http.method == "GET" {
        return HttpResponse::json(200, &index());
    }
    let found = TABLES.iter().copied().flatten().find_map(|route| {
        let args = crate::front::router::capture(route.path, path)?;
        (route.method == http.method).then_some((route, args))
    });
    let Some((route, args)) = found else {
        return fail(404, "No such admin route; GET /_simulator lists them.");
    };
    let body = match read(http) {
        Ok(body) => body,
        Err(message) => return fail(400, &message),
    };
    match (route.handler)(&AdminCall { world, args, body }) {
        Ok(answer) => HttpResponse::json(200, &answer),
        Err(error) => fail(error.status, &error.message),
    }
}

fn fail(status: u16, message: &str) -> HttpResponse {
    HttpResponse::json(
        status,
        &json!({ "simulator_error": { "message": message } }),
    )
}

fn index() -> Value {
    let routes: Vec<Value> = TABLES
        .iter()
        .copied()
        .flatten()
        .map(|route| {
            json!({
                "method": route.method,
                "path": format!("{PREFIX}{}", route.path),
                "does": route.does,
            })
        })
        .collect();
    json!({
        "name": crate::SERVER_NAME,
        "version": env!("CARGO_PKG_VERSION"),
        "api_version": crate::API_VERSION,
        "operations": contract::operations().count(),
        "routes": routes,
    })
}

fn read(http: &HttpRequest) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    if let Some(query) = &http.query {
        let mut form = Form::empty();
        Form::decode(&mut form, query.as_bytes()).map_err(|error| error.message().to_owned())?;
        if let Value::Object(map) = contract::untyped(form) {
            body.extend(map);
        }
    }
    if !http.body.is_empty() {
        match serde_json::from_slice(&http.body) {
            Ok(Value::Object(map)) => body.extend(map),
            Ok(_) => return Err("The body must be a JSON object.".to_owned()),
            Err(error) => return Err(format!("The body is not JSON: {error}")),
        }
    }
    Ok(body)
}
