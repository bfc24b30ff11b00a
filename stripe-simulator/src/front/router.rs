//! One table: method and path → handler and the permission a restricted key needs.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::errors::StripeError;
use super::legacy::Legacy;
use super::list::Page;
use crate::account::Account;
use crate::events::RequestStamp;
use crate::params::Params;
use crate::registry::RESOURCES;

/// What a handler answers: 200 with this JSON.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Value);

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        Self(page.into_json())
    }
}

pub(crate) type Reply = Result<Answer, StripeError>;

/// Handlers run under the account's lock, to their end.
pub(crate) type Handler = fn(&mut Ctx<'_>, Params<'_>) -> Reply;

/// What a handler sees besides its parameters.
pub(crate) struct Ctx<'a> {
    pub(crate) account: &'a mut Account,
    pub(crate) request: &'a Request,
}

impl Ctx<'_> {
    /// A path parameter: `arg("customer")` of `/v1/customers/{customer}`.
    pub(crate) fn arg(&self, name: &str) -> &str {
        self.request.arg(name)
    }

    pub(crate) fn now(&self) -> i64 {
        self.account.now()
    }
}

/// The request a handler serves.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) stamp: RequestStamp,
    /// The path as it came, such as `/v1/customers/cus_1`: the `url` of lists.
    pub(crate) path: String,
    pub(crate) args: Vec<(&'static str, String)>,
    /// The client secret that a browser sends along with a publishable key; empty when it sends
    /// none. `None` for requests with a secret key.
    pub(crate) browser_secret: Option<String>,
    /// What a request of an older version says that has no parameter today.
    pub(crate) legacy: Legacy,
    /// How many of the newest objects a list or search is to leave out.
    pub(crate) stale: usize,
}

impl Request {
    pub(crate) fn arg(&self, name: &str) -> &str {
        let found = self.args.iter().find(|(arg, _)| *arg == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The methods Stripe uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "GET" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The name in lower case, as the contract writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The contract's template, such as `/v1/customers/{customer}`.
    pub(crate) path: &'static str,
    /// The middle of the permission's name: `customer` of `rak_customer_read`.
    pub(crate) permission: &'static str,
    pub(crate) handler: Handler,
}

impl Route {
    pub(crate) const fn get(
        path: &'static str,
        permission: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method: Method::Get,
            path,
            permission,
            handler,
        }
    }

    pub(crate) const fn post(
        path: &'static str,
        permission: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method: Method::Post,
            path,
            permission,
            handler,
        }
    }

    pub(crate) const fn delete(
        path: &'static str,
        permission: &'static str,
        handler: Handler,
    ) -> Self {
        Self {
            method: Method::Delete,
            path,
            permission,
            handler,
        }
    }

    /// The whole permission name.
    pub(crate) fn permission_name(&self) -> String {
        let access = if self.method == Method::Get {
            "read"
        } else {
            "write"
        };
        format!("rak_{}_{access}", self.permission)
    }
}

/// Routes by method and number of path segments.
static TABLE: LazyLock<HashMap<(Method, usize), Vec<&'static Route>>> = LazyLock::new(|| {
    let mut table: HashMap<(Method, usize), Vec<&'static Route>> = HashMap::new();
    for route in RESOURCES.iter().flat_map(|resource| resource.routes) {
        let segments = route.path.split('/').count();
        table
            .entry((route.method, segments))
            .or_default()
            .push(route);
    }
    // `/v1/customers/search` comes before `/v1/customers/{customer}`.
    for routes in table.values_mut() {
        routes.sort_by_key(|route| route.path.matches('{').count());
    }
    table
});

/// The values of a path's parameters, by name.
pub(crate) type Args = Vec<(&'static str, String)>;

/// Finds the route of a path and the values of its parameters.
pub(crate) fn find(method: Method, path: &str) -> Option<(&'static Route, Args)> {
    let path = path
        .strip_suffix('/')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(path);
    let segments = path.split('/').count();
    let candidates = TABLE.get(&(method, segments))?;
    candidates
        .iter()
        .find_map(|route| capture(route.path, path).map(|args| (*route, args)))
}

/// Matches a path with a template; the values of its arguments.
pub(crate) fn capture(template: &'static str, path: &str) -> Option<Args> {
    if template.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut args = Vec::new();
    for (expected, actual) in template.split('/').zip(path.split('/')) {
        match expected
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) if !actual.is_empty() => args.push((name, unescape(actual))),
            None if expected == actual => {}
            _ => return None,
        }
    }
    Some(args)
}

/// Ids of the caller's choice (products, coupons) may need escapes in a path.
fn unescape(segment: &str) -> String {
    let mut form = super::form::Form::empty();
    let text = format!("v={}", segment.replace('+', "%2B").replace('&', "%26"));
    if super::form::Form::decode(&mut form, text.as_bytes()).is_ok()
        && let super::form::Form::Map(mut map) = form
        && let Some(super::form::Form::Text(value)) = map.remove("v")
    {
        return value;
    }
    segment.to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{RESOURCES, find};
    use crate::front::contract;

    #[test]
    fn every_route_is_in_the_contract_and_found() {
        let mut seen = HashSet::new();
        for route in RESOURCES.iter().flat_map(|resource| resource.routes) {
            let method = route.method.name();
            // What a browser calls on a Checkout page is in no SDK.
            let is_known = contract::knows(method, route.path);
            let is_browsers = route.path.starts_with("/v1/payment_pages/");
            assert!(is_known || is_browsers, "{method} {}", route.path);
            assert!(
                seen.insert((method, route.path)),
                "twice: {method} {}",
                route.path
            );
            let (found, _) =
                find(route.method, &route.path.replace('{', "x").replace('}', "")).unwrap();
            assert_eq!(found.path, route.path);
        }
    }
}
