//! The body of a POST that is a YAML document.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::body::{Arriving, BODY_MAX_BYTES, refuse_headers};
use super::idempotency::{Accepted, claim_of_bytes};
use super::problem::Problem;
use crate::app::idempotency::Claim;
use crate::domain::error::{Code, Error};

/// What YAML is called; RFC 9512 is younger than the other names.
const TYPES: [&str; 3] = ["application/yaml", "application/x-yaml", "text/yaml"];

/// A YAML document of at most 256 KiB in UTF-8, with its claim to be read once.
pub(super) struct PostedDocument {
    /// The document.
    pub text: String,
    /// The claim, if the request has a key.
    pub claim: Option<Claim>,
}

impl FromRequest for PostedDocument {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refusal = refuse_headers(request, &TYPES);
        let body = Arriving::new(request, payload);
        let request = request.clone();
        Box::pin(async move {
            if let Some(refusal) = refusal {
                return Err(refusal.into());
            }
            let bytes = body.read(BODY_MAX_BYTES).await?;
            let claim = claim_of_bytes::<Accepted>(&request, &bytes)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(Code::MalformedDocument, "The document is not UTF-8."))?;
            Ok(Self { text, claim })
        })
    }
}
