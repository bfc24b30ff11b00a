//! Strict extractors: what they hand to a handler has been checked for form and limits.

use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::auth::{Authorized, Caller, RequiredScope};
use super::body::{
    Arriving, BODY_MAX_BYTES, declared_length, refuse_headers, too_large, unsupported,
};
use super::middleware::instance;
use super::problem::Problem;
use crate::app::Context;
use crate::domain::audit::Actor;
use crate::domain::card_guard;
use crate::domain::error::{Code, Error, FieldCode, FieldError};
use crate::domain::secret_guard;
use crate::domain::slug::Slug;
use crate::domain::text::escape_pointer;

/// Deepest nesting of a JSON body.
pub const JSON_MAX_DEPTH: usize = 32;

/// A JSON body: `application/json`, UTF-8, at most 256 KiB and 32 levels, no unknown field, no card
/// number in any text.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refusal = refuse_headers(request, &["application/json"]);
        let body = Arriving::new(request, payload);
        Box::pin(async move { Ok(Self(parse_json(&json_bytes(refusal, body).await?)?)) })
    }
}

/// A JSON merge patch (RFC 7396): as [`Json`], and `application/merge-patch+json` as well.
pub struct MergePatch<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for MergePatch<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let wanted = ["application/json", "application/merge-patch+json"];
        let refusal = refuse_headers(request, &wanted);
        let body = Arriving::new(request, payload);
        Box::pin(async move { Ok(Self(parse_json(&json_bytes(refusal, body).await?)?)) })
    }
}

/// A JSON body that may be left out; then it is `T::default()`.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let typed = request.headers().contains_key(header::CONTENT_TYPE);
        let refusal = typed
            .then(|| refuse_headers(request, &["application/json"]))
            .flatten();
        let body = Arriving::new(request, payload);
        Box::pin(async move {
            let bytes = json_bytes(refusal, body).await?;
            match (bytes.is_empty(), typed) {
                (true, _) => Ok(Self(T::default())),
                (false, true) => Ok(Self(parse_json(&bytes)?)),
                (false, false) => Err(unsupported(&["application/json"]).into()),
            }
        })
    }
}

async fn json_bytes(refusal: Option<Error>, body: Arriving) -> Result<Vec<u8>, Error> {
    match refusal {
        Some(error) => Err(error),
        None => body.read(BODY_MAX_BYTES).await,
    }
}

/// The portal a request of its operators is about: `{portal}` of its path, for a caller with the
/// scope `S` whose token is for that portal and not bound to one organization. Any other portal is the
/// same 404 as one that does not exist.
pub struct InPortal<S> {
    /// The portal's name.
    pub portal: Slug,
    /// Who asks.
    pub caller: Arc<Caller>,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> FromRequest for InPortal<S> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authorized = Authorized::<S>::from_request(request, payload).into_inner();
        ready(authorized.and_then(|authorized| {
            let caller = authorized.into_caller();
            caller.require_unbound()?;
            let portal = portal_of(request, &caller)?;
            Ok(Self {
                portal,
                caller,
                scope: PhantomData,
            })
        }))
    }
}

/// The portal a request is about, for a caller with the scope `S`: an operator of the portal, or one
/// bound to a consumer organization, who sees nothing but what belongs to it. Whoever takes this hands
/// the organization on (it stands in [`Context`]).
pub struct WithinPortal<S> {
    /// The portal's name.
    pub portal: Slug,
    /// Who asks.
    pub caller: Arc<Caller>,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> FromRequest for WithinPortal<S> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authorized = Authorized::<S>::from_request(request, payload).into_inner();
        ready(authorized.and_then(|authorized| {
            let caller = authorized.into_caller();
            let portal = portal_of(request, &caller)?;
            Ok(Self {
                portal,
                caller,
                scope: PhantomData,
            })
        }))
    }
}

/// `{portal}` of the path, if the caller may enter it.
fn portal_of(request: &HttpRequest, caller: &Caller) -> Result<Slug, Error> {
    let name = request.match_info().get("portal").unwrap_or_default();
    let portal = Slug::parse(name).ok_or_else(Error::not_found)?;
    caller.require_portal(&portal)?;
    Ok(portal)
}

/// Who asks, for the audit log: the caller and the request's id.
pub fn context(request: &HttpRequest, caller: &Caller) -> Context {
    let extensions = request.extensions();
    Context {
        actor: Actor {
            subject: caller.subject.clone(),
            issuer: caller.issuer.clone(),
        },
        request_id: extensions
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default(),
        instance: instance(request.path()),
        organization: caller.org.clone(),
    }
}

/// The `X-Request-Id` of this request and its answer.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Tells an absent field from one that is `null`: with `#[serde(default)]`, absent is `None`.
///
/// # Errors
/// What `T` refuses.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A body as it arrived, at most `MAX` bytes; for what is signed byte for byte.
pub struct RawBody<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> FromRequest for RawBody<MAX> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = declared_length(request);
        let body = Arriving::new(request, payload);
        Box::pin(async move {
            if declared.is_some_and(|length| length > MAX) {
                return Err(too_large(MAX).into());
            }
            Ok(Self(body.read(MAX).await?))
        })
    }
}

/// Query parameters; unknown ones are refused.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let result = serde_urlencoded_from(request.query_string());
        ready(result.map(Self).map_err(Problem::from))
    }
}

fn serde_urlencoded_from<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    actix_web::web::Query::<T>::from_query(query)
        .map(actix_web::web::Query::into_inner)
        .map_err(|error| {
            let text = error.to_string();
            let (code, name) = classify_text(&text);
            let name = name.filter(|name| !is_unwanted(name));
            let pointer = format!("?{}", name.unwrap_or_default());
            Error::field(pointer, code, explain(code, &text))
        })
}

/// Whether the text is one that answers and logs must not repeat.
pub(super) fn is_unwanted(text: &str) -> bool {
    card_guard::holds_card_number(text) || secret_guard::holds_secret(text)
}

/// Reads a strict JSON value; see [`Json`].
///
/// # Errors
/// 400 for syntax and depth, 422 with pointers for meaning.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    check_depth(bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Error::new(
            Code::MalformedJson,
            format!(
                "Not JSON at line {}, column {}.",
                error.line(),
                error.column()
            ),
        )
    })?;
    let mut found = Vec::new();
    find_unwanted(&value, &mut String::new(), &mut found);
    if !found.is_empty() {
        return Err(Error::fields(found));
    }
    // Read from the bytes, not from the value: a value has already dropped duplicate fields.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader)
        .map(|Object(value)| value)
        .map_err(|error| data_error(&error))
}

/// A value that is written as an object. By itself serde takes an array of the fields' values for a
/// struct as well.
pub struct Object<T>(
    /// The value.
    pub T,
);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// Reads a field that holds an object, and nothing but an object.
///
/// # Errors
/// What `T` refuses, and any other JSON type.
pub fn object<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Counts brackets outside strings, before anything recursive sees the bytes.
fn check_depth(bytes: &[u8]) -> Result<(), Error> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (false, b'"') => in_string = true,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > JSON_MAX_DEPTH {
                    return Err(Error::new(
                        Code::JsonTooDeep,
                        format!("The JSON must not nest deeper than {JSON_MAX_DEPTH} levels."),
                    ));
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            (_, _) => {}
        }
    }
    Ok(())
}

/// Card numbers anywhere, and secrets in the names of fields, which refusals point at. Where a
/// secret's text may stand is for each field to say.
fn find_unwanted(value: &Value, pointer: &mut String, found: &mut Vec<FieldError>) {
    let detail = "Looks like a card number.";
    match value {
        Value::String(text) if card_guard::holds_card_number(text) => {
            found.push(FieldError::new(
                pointer.clone(),
                FieldCode::PanDetected,
                detail,
            ));
        }
        Value::Number(number) if card_guard::holds_card_number(&number.to_string()) => {
            found.push(FieldError::new(
                pointer.clone(),
                FieldCode::PanDetected,
                detail,
            ));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                descend(pointer, &index.to_string(), |pointer| {
                    find_unwanted(item, pointer, found);
                });
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                if card_guard::holds_card_number(key) {
                    // The pointer must not carry the number out again.
                    found.push(FieldError::new(
                        pointer.clone(),
                        FieldCode::PanDetected,
                        "A key looks like a card number.",
                    ));
                } else if secret_guard::holds_secret(key) {
                    found.push(FieldError::new(
                        pointer.clone(),
                        FieldCode::SecretDetected,
                        "A key looks like a secret.",
                    ));
                } else {
                    descend(pointer, &escape_pointer(key), |pointer| {
                        find_unwanted(member, pointer, found);
                    });
                }
            }
        }
        _ => {}
    }
}

fn descend(pointer: &mut String, segment: &str, visit: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(segment);
    visit(pointer);
    pointer.truncate(length);
}

fn data_error(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let text = error.inner().to_string();
    let (code, name) = classify_text(&text);
    let mut pointer = String::new();
    for segment in error.path() {
        use serde_path_to_error::Segment;
        match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&escape_pointer(key));
            }
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Unknown => {}
        }
    }
    if let Some(name) = name {
        let segment = format!("/{}", escape_pointer(&name));
        if !pointer.ends_with(&segment) {
            pointer.push_str(&segment);
        }
    }
    Error::field(pointer, code, explain(code, &text))
}

/// Tells serde's messages apart; their wording is pinned by tests.
fn classify_text(text: &str) -> (FieldCode, Option<String>) {
    let quoted = |prefix: &str| {
        let rest = text.split_once(prefix)?.1;
        Some(
            rest.split_once('`')?
                .0
                .chars()
                .take(100)
                .collect::<String>(),
        )
    };
    if let Some(name) = quoted("unknown field `") {
        (FieldCode::UnknownField, Some(name))
    } else if let Some(name) = quoted("missing field `") {
        (FieldCode::MissingField, Some(name))
    } else if let Some(name) = quoted("duplicate field `") {
        (FieldCode::DuplicateField, Some(name))
    // What serde_json says of one of several words where there is no word at all.
    } else if text.contains("invalid type") || text.starts_with("expected value") {
        (FieldCode::InvalidType, None)
    } else {
        (FieldCode::InvalidValue, None)
    }
}

/// Words for the caller that do not repeat the value, which serde's own may.
fn explain(code: FieldCode, text: &str) -> String {
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, rest)| rest.split(" at line ").next().unwrap_or(rest));
    match (code, expected) {
        (FieldCode::UnknownField, _) => "This field is not known here.".to_owned(),
        (FieldCode::MissingField, _) => "This field is required.".to_owned(),
        (FieldCode::DuplicateField, _) => "This field stands here twice.".to_owned(),
        (_, Some(expected)) => format!("Expected {expected}."),
        (_, None) => "This value cannot be read.".to_owned(),
    }
}

#[cfg(test)]
mod tests;
