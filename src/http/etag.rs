//! Entity tags and the preconditions callers set with them (RFC 9110, section 13).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest};

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
        let unreadable =
            || Error::new(Code::InvalidHeader, format!("{name} must be * or quoted entity tags."));
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
                .filter(|tag| !tag.contains('"'))
                .ok_or_else(unreadable)?;
            tags.push(tag.to_owned());
        }
    }
    Ok((!tags.is_empty()).then_some(Condition::Tags(tags)))
}
