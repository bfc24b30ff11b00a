//! `Idempotency-Key` and `Prefer: wait`: a POST that is the same however often it is sent, and how
//! long its caller waits.

use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::State;
use super::body::{Arriving, BODY_MAX_BYTES, refuse_headers, unsupported};
use super::extract::{is_unwanted, parse_json};
use super::problem::Problem;
use crate::app::idempotency::Claim;
use crate::domain::error::{Code, Error};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const KEY_MIN_BYTES: usize = 8;
const KEY_MAX_BYTES: usize = 255;
/// How long a caller waits who does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// The longest wait that can be asked for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Left of a request's time to answer in after waiting.
const WAIT_MARGIN: Duration = Duration::from_secs(2);

/// Whether a route needs the key.
pub trait KeyRule: 'static {
    /// Whether a request without it is refused.
    const REQUIRED: bool;
}

/// For what can move money or bind a payment method.
pub struct Required;

/// For every other POST.
pub struct Accepted;

impl KeyRule for Required {
    const REQUIRED: bool = true;
}

impl KeyRule for Accepted {
    const REQUIRED: bool = false;
}

/// The strict JSON body of a POST with its claim to be done once.
pub struct Posted<T, K> {
    /// The body.
    pub body: T,
    /// The claim, if the request has a key.
    pub claim: Option<Claim>,
    rule: PhantomData<K>,
}

impl<T: DeserializeOwned + 'static, K: KeyRule> FromRequest for Posted<T, K> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refusal = refuse_headers(request, &["application/json"]);
        let key = key_of(request.headers(), K::REQUIRED);
        let body = Arriving::new(request, payload);
        let request = request.clone();
        Box::pin(async move {
            if let Some(refusal) = refusal {
                return Err(refusal.into());
            }
            let bytes = body.read(BODY_MAX_BYTES).await?;
            let body = parse_json(&bytes)?;
            let claim = key?.map(|key| claim(&request, key, &bytes));
            Ok(Self {
                body,
                claim,
                rule: PhantomData,
            })
        })
    }
}

/// As [`Posted`], for a body that may be left out; then it is `T::default()`.
pub struct PostedOptional<T, K> {
    /// The body.
    pub body: T,
    /// The claim, if the request has a key.
    pub claim: Option<Claim>,
    rule: PhantomData<K>,
}

impl<T: DeserializeOwned + Default + 'static, K: KeyRule> FromRequest for PostedOptional<T, K> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let typed = request
            .headers()
            .contains_key(actix_web::http::header::CONTENT_TYPE);
        let refusal = typed
            .then(|| refuse_headers(request, &["application/json"]))
            .flatten();
        let key = key_of(request.headers(), K::REQUIRED);
        let body = Arriving::new(request, payload);
        let request = request.clone();
        Box::pin(async move {
            if let Some(refusal) = refusal {
                return Err(refusal.into());
            }
            let bytes = body.read(BODY_MAX_BYTES).await?;
            let body = match (bytes.is_empty(), typed) {
                (true, _) => T::default(),
                (false, true) => parse_json(&bytes)?,
                (false, false) => return Err(unsupported(&["application/json"]).into()),
            };
            let claim = key?.map(|key| claim(&request, key, &bytes));
            Ok(Self {
                body,
                claim,
                rule: PhantomData,
            })
        })
    }
}

/// The claim of a request whose body is not JSON.
///
/// # Errors
/// As the extractors.
pub(super) fn claim_of_bytes<K: KeyRule>(
    request: &HttpRequest,
    bytes: &[u8],
) -> Result<Option<Claim>, Error> {
    Ok(key_of(request.headers(), K::REQUIRED)?.map(|key| claim(request, key, bytes)))
}

/// The caller's key: 8 to 255 of `[A-Za-z0-9._:-]`, quoted or bare, once.
fn key_of(headers: &HeaderMap, required: bool) -> Result<Option<String>, Error> {
    let mut values = headers.get_all(KEY);
    let Some(value) = values.next() else {
        return if required {
            Err(Error::new(
                Code::IdempotencyKeyMissing,
                "This request needs an Idempotency-Key, so that it is done once however often it \
                 is sent.",
            ))
        } else {
            Ok(None)
        };
    };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    let fits = (KEY_MIN_BYTES..=KEY_MAX_BYTES).contains(&bare.len()) && bare.bytes().all(allowed);
    if values.next().is_some() || !fits || is_unwanted(bare) {
        return Err(Error::new(
            Code::InvalidHeader,
            "Idempotency-Key must be 8 to 255 of A-Z, a-z, 0-9 and . _ : -, quoted or bare, once.",
        ));
    }
    Ok(Some(bare.to_owned()))
}

fn claim(request: &HttpRequest, key: String, body: &[u8]) -> Claim {
    let route = request.match_pattern().unwrap_or_default();
    let parameters: Vec<(&str, &str)> = request.match_info().iter().collect();
    let mut query: Vec<&str> = request.query_string().split('&').collect();
    query.sort_unstable();
    let body = serde_json::from_slice::<Value>(body)
        .unwrap_or_else(|_| json!(HEXLOWER.encode(digest(&SHA256, body).as_ref())));
    let mut text = String::new();
    canonical(&json!([parameters, query, body]), &mut text);
    Claim {
        route: format!("{} {route}", request.method()),
        key,
        fingerprint: HEXLOWER.encode(digest(&SHA256, text.as_bytes()).as_ref()),
    }
}

/// The same text for the same JSON, whatever the order of its members.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, member) in sorted {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                canonical(member, text);
                text.push(',');
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// How long the caller waits for what takes long (`Prefer: wait=<seconds>`, RFC 7240): 10 seconds
/// unless it says otherwise, 30 at most. `respond-async` does not wait.
pub struct Wait(pub Duration);

impl FromRequest for Wait {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let limit = request
            .app_data::<Data<State>>()
            .map_or(WAIT_MAX, |state| state.request_timeout)
            .saturating_sub(WAIT_MARGIN)
            .min(WAIT_MAX);
        let wait = preferred(request.headers()).unwrap_or(WAIT_DEFAULT);
        std::future::ready(Ok(Self(wait.min(limit))))
    }
}

/// Preferences that cannot be read are ignored, as the standard wants it.
fn preferred(headers: &HeaderMap) -> Option<Duration> {
    let texts = headers
        .get_all(PREFER)
        .filter_map(|value| value.to_str().ok());
    for preference in texts.flat_map(|text| text.split([',', ';'])) {
        let preference = preference.trim();
        if preference.eq_ignore_ascii_case("respond-async") {
            return Some(Duration::ZERO);
        }
        if let Some((name, value)) = preference.split_once('=')
            && name.trim().eq_ignore_ascii_case("wait")
            && let Ok(seconds) = value.trim().trim_matches('"').parse()
        {
            return Some(Duration::from_secs(seconds));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    #[test]
    fn keys_are_quoted_or_bare_and_bounded() {
        let key = |value| key_of(&headers(&[("idempotency-key", value)]), true);
        assert_eq!(key("12345678").unwrap().as_deref(), Some("12345678"));
        assert_eq!(key("\"a.b_c:d-e\"").unwrap().as_deref(), Some("a.b_c:d-e"));
        for bad in [
            "1234567",
            "",
            "with space",
            "\"unclosed",
            "4242424242424242",
        ] {
            assert_eq!(key(bad).unwrap_err().code(), Code::InvalidHeader, "{bad}");
        }
        let none = key_of(&headers(&[]), true).unwrap_err();
        assert_eq!(none.code(), Code::IdempotencyKeyMissing);
        assert_eq!(key_of(&headers(&[]), false), Ok(None));
        let twice = headers(&[
            ("idempotency-key", "12345678"),
            ("idempotency-key", "12345678"),
        ]);
        assert_eq!(
            key_of(&twice, true).unwrap_err().code(),
            Code::InvalidHeader
        );
    }

    #[test]
    fn the_order_of_members_does_not_matter_and_the_order_of_items_does() {
        let text = |json: &str| {
            let mut text = String::new();
            canonical(&serde_json::from_str(json).unwrap(), &mut text);
            text
        };
        assert_eq!(
            text(r#"{"a":1,"b":[1,2]}"#),
            text(r#"{ "b": [1, 2], "a": 1 }"#)
        );
        assert_ne!(text("[1,2]"), text("[2,1]"));
        assert_ne!(text(r#"{"a":"1"}"#), text(r#"{"a":1}"#));
        assert_ne!(text(r#"{"a,b":1}"#), text(r#"{"a":"b:1"}"#));
    }

    #[test]
    fn preferences_are_read_leniently() {
        let wait = |value| preferred(&headers(&[("prefer", value)]));
        assert_eq!(wait("wait=5"), Some(Duration::from_secs(5)));
        assert_eq!(
            wait("handling=lenient, wait=\"7\""),
            Some(Duration::from_secs(7))
        );
        assert_eq!(wait("respond-async"), Some(Duration::ZERO));
        assert_eq!(wait("wait=soon"), None);
        assert_eq!(wait("return=minimal"), None);
    }
}
