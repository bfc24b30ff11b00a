//! Entity tags and the preconditions callers set with them (RFC 9110, section 13).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::problem::Problem;
use crate::domain::error::{Code, Error};
use crate::domain::precondition::{Condition, Precondition};

/// `If-Match` and `If-None-Match` of a request.
pub struct Preconditions(pub Precondition);

impl FromRequest for Preconditions {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.headers()).map(Self).map_err(Problem::from))
    }
}

fn read(headers: &HeaderMap) -> Result<Precondition, Error> {
    Ok(Precondition {
        if_match: condition(headers, &header::IF_MATCH)?,
        if_none_match: condition(headers, &header::IF_NONE_MATCH)?,
    })
}

fn condition(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Condition>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let unreadable = || {
            Error::new(
                Code::InvalidHeader,
                format!("{name} must be * or quoted entity tags."),
            )
        };
        let text = value.to_str().map_err(|_| unreadable())?;
        for part in text.split(',') {
            let part = part.trim();
            if part == "*" {
                return Ok(Some(Condition::Any));
            }
            let part = part.strip_prefix("W/").unwrap_or(part);
            let tag = part
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .filter(|tag| tag.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'~')))
                .ok_or_else(unreadable)?;
            tags.push(tag.to_owned());
        }
    }
    Ok((!tags.is_empty()).then_some(Condition::Tags(tags)))
}

impl Preconditions {
    /// 200 with the body and its entity tag, or 304 when the caller has it already.
    pub fn answer<T: Serialize>(&self, tag: &str, body: &T) -> HttpResponse {
        let has_it = match &self.0.if_none_match {
            Some(Condition::Any) => true,
            Some(Condition::Tags(tags)) => tags.iter().any(|known| known == tag),
            None => false,
        };
        let mut response = if has_it {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response.insert_header((header::ETAG, format!("\"{tag}\"")));
        if has_it {
            response.finish()
        } else {
            response.json(body)
        }
    }
}

/// 200 or 201 with the body and its entity tag.
pub fn stored<T: Serialize>(created: bool, tag: &str, body: &T) -> HttpResponse {
    let mut response = if created {
        HttpResponse::Created()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, format!("\"{tag}\"")))
        .json(body)
}

/// The tag of a representation in which facts stand that move by themselves: the version writers are
/// held to, a dot, and a digest of the whole.
pub fn tag_with_digest<T: Serialize>(version: &str, body: &T) -> String {
    format!("{version}.{}", digest_tag(body))
}

/// The tag of a representation that nobody writes: a digest of the whole.
pub fn digest_tag<T: Serialize>(body: &T) -> String {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let digest = HEXLOWER.encode(digest(&SHA256, &bytes).as_ref());
    digest.get(..16).unwrap_or_default().to_owned()
}
