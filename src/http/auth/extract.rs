//! How a handler demands a scope.
//!
//! The token is checked by the outermost middleware, before the route is looked up and long before
//! a body is read; the extractor only reads what came of it.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::scope::RequiredScope;
use super::{Authenticator, Caller, Refusal};
use crate::domain::error::Error;
use crate::http::problem::Problem;

/// What came of checking a request's token; stands in the request's extensions.
pub struct Authentication(pub Result<Arc<Caller>, Error>);

/// A caller whose token has the scope `S`, as in `caller: Authorized<required::PortalsRead>`.
pub struct Authorized<S> {
    caller: Arc<Caller>,
    scope: PhantomData<S>,
}

impl<S> Authorized<S> {
    /// The caller.
    pub fn into_caller(self) -> Arc<Caller> {
        self.caller
    }
}

impl<S> Deref for Authorized<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: RequiredScope> Authorized<S> {
    fn of(request: &HttpRequest) -> Result<Self, Error> {
        let extensions = request.extensions();
        let Some(Authentication(outcome)) = extensions.get::<Authentication>() else {
            return Err(Error::internal("the token of this request was not checked"));
        };
        let caller = outcome.clone()?;
        caller.require_scope(S::SCOPE)?;
        Ok(Self {
            caller,
            scope: PhantomData,
        })
    }
}

impl<S: RequiredScope> FromRequest for Authorized<S> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request).map_err(Problem::from))
    }
}

impl Authenticator {
    /// The caller whose token stands in `headers`, for [`Authentication`].
    ///
    /// # Errors
    /// 401 without a valid token, 503 when its issuer's keys cannot be had.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Error> {
        Ok(self.authenticate_token(bearer(headers)?).await?)
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 §2.1), which stands there exactly once.
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    const MALFORMED: Refusal = Refusal::Invalid("the Authorization header cannot be read");
    let mut values = headers.get_all(AUTHORIZATION);
    let Some(value) = values.next() else {
        return Err(Refusal::Missing);
    };
    if values.next().is_some() {
        return Err(MALFORMED);
    }
    let value = value.to_str().map_err(|_| MALFORMED)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Refusal::Missing);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() {
        Err(MALFORMED)
    } else {
        Ok(token)
    }
}
