//! How outcomes of use cases look outside; the one place where answers that are stored are made.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde::Serialize;

use super::problem;
use super::v1::customers::CustomerBody;
use super::v1::hosted::{HostedPageBody, SetupIntentBody};
use super::v1::imports::ImportBody;
use super::v1::invoices::InvoiceBody;
use super::v1::operations::OperationBody;
use super::v1::payment_methods::tagged;
use super::v1::products::ProductBody;
use super::v1::reconciliations::ReconciliationBody;
use super::v1::stripe_events::StripeEventBody;
use super::v1::subscriptions;
use super::v1::webhook_deliveries::ReplayBody;
use super::v1::webhook_endpoints::{EndpointBody, EndpointSecretBody, tag_of};
use crate::app::Context;
use crate::app::answer::{Answer, Outcome, Render, Rendered};
use crate::app::endpoints::EndpointView;
use crate::domain::error::Error;
use crate::domain::reconciliation::Status;

/// The answers of this API.
pub struct Views;

impl Render for Views {
    #[expect(clippy::too_many_lines, reason = "one arm per outcome")]
    fn outcome(&self, outcome: &Outcome) -> Rendered {
        match outcome {
            Outcome::Nothing => Rendered {
                status: 204,
                headers: Vec::new(),
                body: String::new(),
            },
            Outcome::Customer { customer, created } => {
                let (tag, location) = (
                    customer.tag(),
                    format!("/v1/portals/{}/customers/{}", customer.portal, customer.id),
                );
                made(
                    *created,
                    &CustomerBody::from((**customer).clone()),
                    location,
                )
                .with("etag", format!("\"{tag}\""))
            }
            Outcome::PaymentMethod { view, created } => {
                let method = &view.method;
                let location = format!(
                    "/v1/portals/{}/customers/{}/payment-methods/{}",
                    method.portal, method.customer_id, method.id
                );
                let (tag, body) = tagged((**view).clone());
                made(*created, &body, location).with("etag", format!("\"{tag}\""))
            }
            Outcome::SetupIntent(view) => json(201, &SetupIntentBody::from((**view).clone())),
            Outcome::HostedPage(page) => json(201, &HostedPageBody::from((**page).clone())),
            Outcome::Product {
                portal,
                product,
                created,
            } => {
                let location = format!("/v1/portals/{portal}/products/{}", product.id);
                made(*created, &ProductBody::from(&**product), location)
                    .with("etag", format!("\"{}\"", product.tag()))
            }
            Outcome::Imported {
                portal,
                imported,
                created,
            } => {
                let id = imported.product.as_ref().map(|product| &product.id);
                let id = id.map(ToString::to_string).unwrap_or_default();
                let location = format!("/v1/portals/{portal}/products/{id}");
                made(*created, &ImportBody::from(&**imported), location)
            }
            Outcome::Subscription { view, created } => {
                let (portal, id) = (&view.subscription.portal, &view.subscription.id);
                let location = format!("/v1/portals/{portal}/subscriptions/{id}");
                let (tag, body) = subscriptions::tagged((**view).clone());
                made(*created, &body, location).with("etag", format!("\"{tag}\""))
            }
            Outcome::Invoice(invoice) => {
                let tag = invoice.tag();
                json(200, &InvoiceBody::from((**invoice).clone()))
                    .with("etag", format!("\"{tag}\""))
            }
            Outcome::StripeEvent(event) => json(202, &StripeEventBody::from((**event).clone())),
            Outcome::Reconciliation(view) => {
                let (portal, id) = (&view.it.portal, &view.it.id);
                let location = format!("/v1/portals/{portal}/reconciliations/{id}");
                let running = view.it.status == Status::Running;
                let body = ReconciliationBody::from((**view).clone());
                json(if running { 202 } else { 200 }, &body).with("location", location)
            }
            Outcome::Accepted(operation) => {
                let location = format!(
                    "/v1/portals/{}/operations/{}",
                    operation.portal, operation.id
                );
                json(202, &OperationBody::from(operation.clone())).with("location", location)
            }
            Outcome::WebhookEndpoint(view) => json(200, &EndpointBody::from((**view).clone())),
            Outcome::WebhookEndpointSecret {
                view,
                secret,
                created,
            } => endpoint_with_secret(view, secret, *created),
            Outcome::Replayed(replayed) => json(200, &ReplayBody::from(replayed.clone())),
        }
    }

    fn problem(&self, error: &Error, context: &Context) -> Rendered {
        let body = problem::text(error, &context.instance, &context.request_id);
        Rendered {
            status: problem::describe(error.code()).status.as_u16(),
            headers: vec![("content-type".to_owned(), problem::MEDIA_TYPE.to_owned())],
            body,
        }
    }
}

impl Rendered {
    /// The same with a header more.
    fn with(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

/// 201 with the place of what was made, or 200.
fn made<T: Serialize>(created: bool, body: &T, location: String) -> Rendered {
    if created {
        json(201, body).with("location", location)
    } else {
        json(200, body)
    }
}

fn endpoint_with_secret(view: &EndpointView, secret: &SecretString, created: bool) -> Rendered {
    let tag = tag_of(&view.tag(), &EndpointBody::from(view.clone()));
    let body = EndpointSecretBody::new(view.clone(), secret);
    let rendered = json(if created { 201 } else { 200 }, &body).with("etag", format!("\"{tag}\""));
    if created {
        let endpoint = &view.endpoint;
        let location = format!(
            "/v1/portals/{}/webhook-endpoints/{}",
            endpoint.portal, endpoint.id
        );
        rendered.with("location", location)
    } else {
        rendered
    }
}

fn json<T: Serialize>(status: u16, body: &T) -> Rendered {
    Rendered {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: serde_json::to_string(body).unwrap_or_default(),
    }
}

/// The answer as it is sent.
pub(super) fn respond(answer: Answer) -> HttpResponse {
    let rendered = answer.rendered;
    let status = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in &rendered.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    if answer.replayed {
        response.insert_header((
            HeaderName::from_static("idempotency-replayed"),
            HeaderValue::from_static("true"),
        ));
    }
    if status == StatusCode::ACCEPTED {
        response.insert_header((header::RETRY_AFTER, "1"));
    }
    if rendered.body.is_empty() {
        response.finish()
    } else {
        response.body(rendered.body)
    }
}
