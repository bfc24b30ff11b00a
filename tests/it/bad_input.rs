//! Malformed, oversized and hostile requests: every route of the document, and what comes back.

mod bodies;
mod heads;
mod slow;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::api::{Operation, operations};
use crate::support::service::{Answer, Service};

/// Operations that read a JSON body and demand a scope.
fn with_body() -> impl Iterator<Item = Operation> {
    operations()
        .into_iter()
        .filter(|operation| operation.body.is_some() && operation.scopes.is_some())
}

/// A request of the operator's, still without a body.
fn request(service: &Service, operation: &Operation) -> RequestBuilder {
    let address = operation.address("acme");
    service
        .client
        .request(
            operation.method.clone(),
            format!("{}{address}", service.base_url),
        )
        .header("authorization", service.bearer())
}

/// With a body that claims to be JSON.
async fn send(service: &Service, operation: &Operation, body: impl Into<reqwest::Body>) -> Answer {
    let request = request(service, operation)
        .header("content-type", "application/json")
        .body(body);
    Service::answer(request).await
}

/// Status, code, and each refused field, on one line; the whole form is checked on the way.
fn told(answer: Answer) -> String {
    let (status, code) = (answer.status.as_u16(), answer.code());
    let body = answer.problem(status, &code);
    let errors = body["errors"].as_array().into_iter().flatten();
    let fields = errors.map(|error| {
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        format!(" [{} {}]", text("pointer"), text("code"))
    });
    format!("{status} {code}{}", fields.collect::<String>())
}

async fn put(service: &Service, path: &str, body: &str) -> String {
    let request = service
        .client
        .request(Method::PUT, format!("{}{path}", service.base_url))
        .header("authorization", service.bearer())
        .header("content-type", "application/json")
        .body(body.to_owned());
    told(Service::answer(request).await)
}

/// What of the example can be left out or spoiled.
fn members(operation: &Operation) -> Vec<(String, Value)> {
    let example = operation.example();
    let members = example.as_object().cloned().unwrap_or_default();
    members.into_iter().collect()
}
