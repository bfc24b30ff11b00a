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
    let outcome = read(http).and_then(|body| answer(world, &http.method, path, body));
    match outcome {
        Ok(answer) => HttpResponse::json(200, &answer),
        Err(error) => {
            let body = json!({ "simulator_error": { "message": error.message } });
            HttpResponse::json(error.status, &body)
        }
    }
}

/// A call from within the process.
pub(crate) fn call(world: &World, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = body.as_object().cloned().unwrap_or_default();
    answer(world, method, path, body).map_err(|error| error.message)
}

fn answer(world: &World, method: &str, path: &str, body: Map<String, Value>) -> AdminReply {
    let path = if path == "/" { "" } else { path };
    if path.is_empty() && method == "GET" {
        return Ok(index());
    }
    let found = TABLES.iter().copied().flatten().find_map(|route| {
        let args = crate::front::router::capture(route.path, path)?;
        (route.method == method).then_some((route, args))
    });
    let (route, args) = found
        .ok_or_else(|| AdminError::not_found("No such admin route; GET /_simulator lists them."))?;
    (route.handler)(&AdminCall { world, args, body })
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

fn read(http: &HttpRequest) -> Result<Map<String, Value>, AdminError> {
    let mut body = Map::new();
    if let Some(query) = &http.query {
        let mut form = Form::empty();
        Form::decode(&mut form, query.as_bytes())
            .map_err(|error| AdminError::invalid(error.message()))?;
        if let Value::Object(map) = contract::untyped(form) {
            body.extend(map);
        }
    }
    if !http.body.is_empty() {
        match serde_json::from_slice(&http.body) {
            Ok(Value::Object(map)) => body.extend(map),
            Ok(_) => return Err(AdminError::invalid("The body must be a JSON object.")),
            Err(error) => {
                return Err(AdminError::invalid(format!(
                    "The body is not JSON: {error}"
                )));
            }
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, TABLES};

    #[test]
    fn the_readme_lists_every_admin_route() {
        let readme = include_str!("../../README.md");
        for route in TABLES.iter().copied().flatten() {
            let row = format!("| `{} {PREFIX}{}` |", route.method, route.path);
            assert!(readme.contains(&row), "README.md lacks {row}");
        }
    }

    #[test]
    fn the_readme_lists_every_fault() {
        let readme = include_str!("../../README.md");
        for name in crate::faults::FaultKind::names() {
            assert!(
                readme.contains(&format!("`{name}`")),
                "README.md lacks {name}"
            );
        }
    }
}
