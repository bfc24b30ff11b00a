//! Lists: `limit`, an opaque signed `cursor`, and the `Link` header (RFC 8288).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::domain::error::{Code, Error, FieldCode};
use crate::secret::Signer;

const DEFAULT_LIMIT: u16 = 20;
const MAX_LIMIT: u16 = 100;

/// What every list takes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// How many at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u16>,
    /// `next_cursor` of the page before. Opaque.
    #[param(max_length = 1024)]
    cursor: Option<String>,
}

impl ListParams {
    /// From the query of a list that takes more than these.
    pub const fn of(limit: Option<u16>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// The limit.
    ///
    /// # Errors
    /// `validation_failed` outside 1 to 100.
    pub fn limit(&self) -> Result<u16, Error> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(Error::field(
                "?limit",
                FieldCode::InvalidValue,
                format!("Must be 1 to {MAX_LIMIT}."),
            )),
        }
    }

    /// Where the list goes on: the position that was signed for this list, and no other.
    ///
    /// # Errors
    /// `invalid_cursor`.
    pub fn position<P: for<'de> Deserialize<'de>>(
        &self,
        cursors: &Signer,
        list: &str,
    ) -> Result<Option<P>, Error> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let bytes = cursors.verify(cursor).ok_or_else(invalid_cursor)?;
        let signed: Signed<P> = serde_json::from_slice(&bytes).map_err(|_| invalid_cursor())?;
        if signed.list == list {
            Ok(Some(signed.position))
        } else {
            Err(invalid_cursor())
        }
    }
}

/// A text that a list is narrowed by, as it was given.
///
/// # Errors
/// `validation_failed` at the parameter when it has more than `max_chars` characters: nothing is called that.
pub fn narrowed_by(
    parameter: &str,
    text: Option<String>,
    max_chars: usize,
) -> Result<Option<String>, Error> {
    match text {
        Some(text) if text.chars().count() > max_chars => Err(Error::field(
            parameter,
            FieldCode::TooLong,
            format!("Must be at most {max_chars} characters."),
        )),
        other => Ok(other),
    }
}

fn invalid_cursor() -> Error {
    Error::new(
        Code::InvalidCursor,
        "The cursor was not issued for this list.",
    )
}

#[derive(Serialize, Deserialize)]
struct Signed<P> {
    #[serde(rename = "l")]
    list: String,
    #[serde(rename = "p")]
    position: P,
}

/// The cursor that goes on behind `position` in this list.
pub fn cursor<P: Serialize>(cursors: &Signer, list: &str, position: P) -> String {
    let signed = Signed {
        list: list.to_owned(),
        position,
    };
    cursors.sign(&serde_json::to_vec(&signed).unwrap_or_default())
}

/// 200 with a page; names the next one in `Link`, with the filters of this one.
pub fn answer<T: Serialize>(
    request: &HttpRequest,
    params: &ListParams,
    next_cursor: Option<&str>,
    body: &T,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next_cursor {
        let limit = params
            .limit
            .map(|limit| format!("limit={limit}&"))
            .unwrap_or_default();
        let kept = |pair: &&str| {
            !pair.is_empty() && !pair.starts_with("cursor=") && !pair.starts_with("limit=")
        };
        let mut filters = String::new();
        for pair in request.query_string().split('&').filter(kept) {
            filters.push_str(pair);
            filters.push('&');
        }
        let path = request.path();
        let link = format!("<{path}?{limit}{filters}cursor={next}>; rel=\"next\"");
        response.insert_header((header::LINK, link));
    }
    response.json(body)
}
