//! Requests as text. A durable operation stores what it is about to send before it sends it, so
//! that sending it again, after a crash and by another replica, sends the same bytes: Stripe refuses
//! an idempotency key that comes back with other parameters.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_rust::StripeRequest;

use super::Metadata;
use crate::clock::Timestamp;

/// What stands in a path where other paths have an id.
const LITERALS: [&str; 3] = ["create_preview", "preview", "search"];
/// First segments that only hold others together: `/v1/checkout/sessions`.
const NAMESPACES: [&str; 5] = [
    "billing",
    "billing_portal",
    "checkout",
    "tax",
    "test_helpers",
];
const PREFIX: &str = "/v1";

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates and changes.
    Post,
    /// Removes and cancels.
    Delete,
}

impl Method {
    const ALL: [Self; 3] = [Self::Get, Self::Post, Self::Delete];

    /// The name in HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request as it will be sent, frozen: sending it again sends the same bytes.
///
/// It has no `Display`, and its `Debug` does not show the form, which may hold names and addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct FrozenRequest {
    method: Method,
    /// With `/v1`, without a query.
    path: String,
    /// URL-encoded: the body of a POST, the query of everything else.
    form: String,
}

impl fmt::Debug for FrozenRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FrozenRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl FrozenRequest {
    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The path with `/v1`, ids included.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As JSON text for storage. It holds what the request holds: names, addresses, Stripe's ids.
    pub fn to_text(&self) -> String {
        json!({"method": self.method.as_str(), "path": self.path, "form": self.form}).to_string()
    }

    /// From [`FrozenRequest::to_text`]. `None` for anything that is not such a text, or that names
    /// anything but a path of Stripe's.
    pub fn from_text(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let part = |name: &str| value.get(name).and_then(Value::as_str);
        let method = part("method")?;
        let frozen = Self {
            method: Method::ALL.into_iter().find(|own| own.as_str() == method)?,
            path: part("path")?.to_owned(),
            form: part("form")?.to_owned(),
        };
        frozen.is_well_formed().then_some(frozen)
    }

    fn is_well_formed(&self) -> bool {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let segments = self.path.strip_prefix("/v1/");
        segments.is_some_and(|segments| {
            segments
                .split('/')
                .all(|segment| !segment.is_empty() && segment.bytes().all(word))
        }) && self
            .form
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    }

    /// Whether it cannot change anything, so that it goes without an idempotency key: a GET, or the
    /// preview of an invoice, which Stripe takes as a POST.
    pub fn is_read(&self) -> bool {
        self.method == Method::Get || self.path == "/v1/invoices/create_preview"
    }

    /// The endpoint, such as `POST /v1/customers/{id}/tax_ids`: for metrics and for budgets per
    /// endpoint. The same few names for all ids.
    pub fn operation(&self) -> String {
        let mut name = format!("{} {PREFIX}", self.method.as_str());
        let rest = self.path.strip_prefix(PREFIX).unwrap_or_default();
        let mut names_a_collection = true;
        for (position, segment) in rest.split('/').skip(1).enumerate() {
            let fixed = names_a_collection || LITERALS.contains(&segment);
            name.push('/');
            name.push_str(if fixed { segment } else { "{id}" });
            if position > 0 || !NAMESPACES.contains(&segment) {
                names_a_collection = !names_a_collection;
            }
        }
        name
    }

    /// What a builder of the library's has built.
    pub(super) fn of(request: &impl StripeRequest) -> Self {
        Self::from(request.build())
    }

    /// For the transport.
    pub(super) fn to_builder(&self) -> RequestBuilder {
        let path = self.path.strip_prefix(PREFIX).unwrap_or(&self.path);
        let (method, query, body) = match self.method {
            Method::Get => (StripeMethod::Get, Some(self.form.clone()), None),
            Method::Post => (StripeMethod::Post, None, Some(self.form.clone())),
            // Stripe reads the parameters of a DELETE from the query; its own SDKs put them there.
            Method::Delete => (StripeMethod::Delete, Some(self.form.clone()), None),
        };
        RequestBuilder {
            query,
            body,
            path: path.to_owned(),
            method,
        }
    }

    /// What it says, decoded: method and path, then the parameters in the order of their names.
    #[cfg(test)]
    pub(super) fn shown(&self) -> Vec<String> {
        let url = reqwest::Url::parse(&format!("https://x/?{}", self.form)).unwrap();
        let mut all: Vec<String> = url
            .query_pairs()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        all.sort();
        all.insert(0, format!("{} {}", self.method.as_str(), self.path));
        all
    }
}

impl From<RequestBuilder> for FrozenRequest {
    fn from(request: RequestBuilder) -> Self {
        let RequestBuilder {
            query,
            body,
            path,
            method,
        } = request;
        Self {
            method: match method {
                StripeMethod::Get => Method::Get,
                StripeMethod::Post => Method::Post,
                StripeMethod::Delete => Method::Delete,
            },
            path: format!("{PREFIX}{path}"),
            form: in_order(&body.or(query).unwrap_or_default()),
        }
    }
}

/// The library keeps metadata in a hash map, whose order is another one each time. Sorted, equal
/// requests are equal texts. Nothing else is moved: the order of lists has a meaning.
fn in_order(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').collect();
    pairs
        .chunk_by_mut(|a, b| {
            metadata_of(a).is_some_and(|own| metadata_of(b).is_some_and(|other| own == other))
        })
        .for_each(<[&str]>::sort_unstable);
    pairs.join("&")
}

/// The name up to `metadata`, of a pair that is an entry of it.
fn metadata_of(pair: &str) -> Option<&str> {
    let (name, _) = pair.split_once('=')?;
    let (before, after) = name.split_once("metadata")?;
    ["[", "]", "%5B", "%5D"]
        .iter()
        .any(|bracket| after.starts_with(bracket))
        .then_some(before)
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// How many, 1 to 100; `None`: Stripe's default, ten.
    pub limit: Option<u8>,
    /// Begin behind the object with this id, the last of the page before.
    pub starting_after: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// A page as large as Stripe makes them, behind the last id of the page before.
    pub const fn largest(starting_after: Option<&'a str>) -> Self {
        Self {
            limit: Some(100),
            starting_after,
        }
    }

    pub(super) fn form(self) -> PageForm<'a> {
        PageForm {
            limit: self.limit.map(|limit| limit.clamp(1, 100)),
            starting_after: self.starting_after,
        }
    }
}

/// A page as a query, for lists that no builder is compiled in for.
#[derive(Serialize)]
pub(super) struct PageForm<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
}

/// When the objects of a list were created, in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub before: Option<Timestamp>,
}

impl Created {
    /// At or after this time.
    pub const fn since(from: Timestamp) -> Self {
        Self {
            from: Some(from),
            before: None,
        }
    }

    pub(super) fn range(self) -> Option<stripe_types::RangeQueryTs> {
        let bounds = stripe_types::RangeBoundsTs {
            gte: self.from.map(Timestamp::as_seconds),
            lt: self.before.map(Timestamp::as_seconds),
            ..Default::default()
        };
        (bounds.gte.is_some() || bounds.lt.is_some())
            .then_some(stripe_types::RangeQueryTs::Bounds(bounds))
    }
}

/// Puts the fields that are there into a builder's parameters of the same names.
macro_rules! set {
    ($builder:ident, $input:expr, $($field:ident),+ $(,)?) => {
        $(if let Some(value) = $input.$field {
            $builder = $builder.$field(value);
        })+
    };
}
pub(super) use set;

/// Chooses the page of a list's builder.
macro_rules! paged {
    ($list:ident, $page:expr) => {
        if let Some(limit) = $page.limit {
            $list = $list.limit(i64::from(limit.clamp(1, 100)));
        }
        if let Some(id) = $page.starting_after {
            $list = $list.starting_after(id);
        }
    };
}
pub(super) use paged;

/// A value of one of the library's enums, which keep what they do not know.
pub(super) fn known<T: FromStr<Err = Infallible>>(text: &str) -> T {
    let Ok(value) = text.parse();
    value
}

pub(super) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub(super) fn hash_map(metadata: &Metadata) -> HashMap<String, String> {
    metadata
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stripe::{post, subscriptions};

    fn frozen(method: Method, path: &str, form: &str) -> FrozenRequest {
        FrozenRequest {
            method,
            path: path.to_owned(),
            form: form.to_owned(),
        }
    }

    #[test]
    fn only_what_was_frozen_comes_back() {
        let good = frozen(Method::Post, "/v1/customers", "name=a+b%26").to_text();
        assert!(FrozenRequest::from_text(&good).is_some());
        for text in [
            "",
            "{}",
            "7",
            r#"{"method":"PUT","path":"/v1/customers","form":""}"#,
            r#"{"method":"POST","path":"/v1/customers"}"#,
            r#"{"method":"POST","path":"/v2/customers","form":""}"#,
            r#"{"method":"POST","path":"/v1/","form":""}"#,
            r#"{"method":"POST","path":"/v1/../x","form":""}"#,
            r#"{"method":"GET","path":"/v1/customers?limit=1","form":""}"#,
            r#"{"method":"GET","path":"/v1/customers","form":"limit=1#x"}"#,
            r#"{"method":"GET","path":"/v1/customers","form":"limit=1\r\nX: y"}"#,
        ] {
            assert_eq!(FrozenRequest::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn endpoints_are_named_without_ids() {
        for (method, path, name) in [
            (Method::Post, "/v1/customers", "POST /v1/customers"),
            (Method::Get, "/v1/customers/cus_1", "GET /v1/customers/{id}"),
            (
                Method::Delete,
                "/v1/customers/cus_1/tax_ids/txi_1",
                "DELETE /v1/customers/{id}/tax_ids/{id}",
            ),
            (
                Method::Post,
                "/v1/invoices/create_preview",
                "POST /v1/invoices/create_preview",
            ),
            (
                Method::Post,
                "/v1/checkout/sessions/cs_1/expire",
                "POST /v1/checkout/sessions/{id}/expire",
            ),
            (
                Method::Get,
                "/v1/credit_notes/preview/lines",
                "GET /v1/credit_notes/preview/lines",
            ),
        ] {
            assert_eq!(frozen(method, path, "").operation(), name);
        }
    }

    #[test]
    fn reads_are_what_cannot_change_anything() {
        assert!(frozen(Method::Get, "/v1/customers", "").is_read());
        assert!(frozen(Method::Post, "/v1/invoices/create_preview", "").is_read());
        assert!(!frozen(Method::Post, "/v1/customers", "").is_read());
        assert!(!frozen(Method::Delete, "/v1/customers/cus_1", "").is_read());
    }

    #[test]
    fn a_form_is_not_shown() {
        let request = frozen(Method::Post, "/v1/customers", "name=Canary");
        assert!(!format!("{request:?}").contains("Canary"));
        assert!(request.to_text().contains("Canary"));
    }

    #[test]
    fn equal_requests_are_equal_texts_whatever_the_order_of_a_hash_map() {
        let metadata: Metadata = (0..20)
            .map(|number| (format!("key_{number}"), "value".to_owned()))
            .collect();
        let build = || {
            subscriptions::create(&subscriptions::NewSubscription {
                customer: "cus_1",
                metadata: metadata.clone(),
                ..Default::default()
            })
            .to_text()
        };
        assert!((0..20).map(|_| build()).all(|text| text == build()));
    }

    #[test]
    fn lists_keep_their_order() {
        let items: Vec<String> = (0..12).map(|number| format!("b{}", 20 - number)).collect();
        let form = HashMap::from([("list", items)]);
        let request = FrozenRequest::from(post("/customers").form(&form));
        let order: Vec<&str> = request.form.split('&').collect();
        assert!(
            order[2].ends_with("=b18") && order[10].ends_with("=b10"),
            "{order:?}"
        );
    }

    proptest! {
        #[test]
        fn what_is_frozen_thaws_to_the_same(
            method in prop::sample::select(Method::ALL.to_vec()),
            id in "[A-Za-z0-9_-]{1,30}",
            values in prop::collection::btree_map("[a-z]{1,10}", ".{0,40}", 1..6),
        ) {
            let builder = RequestBuilder::new(StripeMethod::Post, format!("/customers/{id}"));
            let request = FrozenRequest { method, ..FrozenRequest::from(builder.form(&values)) };
            let thawed = FrozenRequest::from_text(&request.to_text());
            prop_assert_eq!(thawed.as_ref(), Some(&request));
            let shown = request.shown();
            let expected: Vec<String> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let mut expected_sorted = expected;
            expected_sorted.sort();
            prop_assert_eq!(&shown[1..], &expected_sorted[..]);
            let sent = request.to_builder();
            prop_assert_eq!(sent.body.is_some(), method == Method::Post);
            prop_assert_eq!(sent.body.or(sent.query), Some(request.form.clone()));
        }
    }
}
