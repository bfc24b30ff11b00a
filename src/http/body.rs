//! Bodies as they arrive: what their headers must say, how large they may be, how long they may take.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use futures_util::StreamExt;

use super::State;
use crate::domain::error::{Code, Error};

/// Largest JSON body, in bytes.
pub(super) const BODY_MAX_BYTES: usize = 256 * 1024;

pub(super) fn declared_length(request: &HttpRequest) -> Option<usize> {
    let text = request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?;
    text.parse().ok()
}

pub(super) fn unsupported(wanted: &[&str]) -> Error {
    let detail = format!("The body must be {} in UTF-8.", wanted.join(" or "));
    Error::new(Code::UnsupportedMediaType, detail)
}

pub(super) fn refuse_headers(request: &HttpRequest, wanted: &[&str]) -> Option<Error> {
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let charset_is_utf8 = parameters.split(';').all(|parameter| {
        let parameter = parameter.trim().to_ascii_lowercase();
        parameter
            .strip_prefix("charset=")
            .is_none_or(|charset| charset.trim_matches('"') == "utf-8")
    });
    if !wanted
        .iter()
        .any(|it| essence.trim().eq_ignore_ascii_case(it))
        || !charset_is_utf8
    {
        return Some(unsupported(wanted));
    }
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|value| value != "identity") {
        return Some(Error::new(
            Code::UnsupportedMediaType,
            "The body must not be compressed.",
        ));
    }
    declared_length(request)
        .is_some_and(|length| length > BODY_MAX_BYTES)
        .then(|| too_large(BODY_MAX_BYTES))
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::new(
        Code::BodyTooLarge,
        format!("The body must be at most {} KiB.", limit / 1024),
    )
}

/// A body on its way, and the time it has.
pub(super) struct Arriving {
    payload: Payload,
    timeout: Duration,
}

impl Arriving {
    pub(super) fn new(request: &HttpRequest, payload: &mut Payload) -> Self {
        let state = request.app_data::<Data<State>>();
        Self {
            payload: payload.take(),
            // Without a state, which no server lacks, there is no time at all.
            timeout: state.map(|state| state.read_timeout).unwrap_or_default(),
        }
    }

    pub(super) async fn read(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let deadline = tokio::time::Instant::now() + self.timeout;
        let late = |_| Error::new(Code::RequestTimeout, "The body took too long to arrive.");
        while let Some(chunk) = tokio::time::timeout_at(deadline, self.payload.next())
            .await
            .map_err(late)?
        {
            let chunk = chunk.map_err(|error| {
                Error::new(Code::MalformedJson, "The body did not arrive whole.").with_log(error)
            })?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}
