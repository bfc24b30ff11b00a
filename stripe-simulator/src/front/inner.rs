//! Calls of the API that the simulator makes itself, for its hosted pages.

use serde_json::{Map, Value};

use super::errors::StripeError;
use super::legacy::Legacy;
use super::router::{Answer, Ctx, Method, Request, find};
use crate::account::Account;
use crate::params::Params;

impl Account {
    /// Runs a handler as if a request had come, on behalf of the page that a customer uses.
    ///
    /// # Errors
    /// The handler's own; 404 for a path that is not served.
    pub(crate) fn call(
        &mut self,
        method: Method,
        path: &str,
        params: &Map<String, Value>,
    ) -> Result<Value, StripeError> {
        let Some((route, args)) = find(method, path) else {
            return Err(StripeError::not_found(format!(
                "Unrecognized request URL ({path})."
            )));
        };
        let request = Request {
            stamp: self.current_request.clone().unwrap_or_default(),
            path: path.to_owned(),
            args,
            browser_secret: None,
            legacy: Legacy::default(),
            stale: 0,
        };
        let mut ctx = Ctx {
            account: self,
            request: &request,
        };
        let Answer(body) = (route.handler)(&mut ctx, Params::new(params))?;
        Ok(body)
    }
}
