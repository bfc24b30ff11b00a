//! What callers are answered: rendered in the transaction that decides it, so that it can be stored
//! and repeated byte for byte.

use secrecy::SecretString;

use super::Context;
use super::catalog::Imported;
use super::deliveries::Replayed;
use super::endpoints::EndpointView;
use super::hosted::{HostedPage, SetupIntentView};
use super::payment_methods::MethodView;
use super::reconcile::ReconciliationView;
use super::subscriptions::SubscriptionView;
use crate::domain::catalog::Product;
use crate::domain::customer::Customer;
use crate::domain::error::Error;
use crate::domain::inbox::InboxEvent;
use crate::domain::invoice::Invoice;
use crate::domain::operation::Operation;
use crate::domain::slug::Slug;

/// An answer as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// Headers that belong to the answer, such as `etag` and `location`.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: String,
}

impl Rendered {
    /// Whether the answer is kept under its idempotency key: what was done, and what was refused
    /// for good after work had begun. Anything else may end differently the next time.
    pub fn is_kept(&self) -> bool {
        matches!(self.status, 200..=299 | 402 | 409 | 422)
    }
}

/// What a use case came to.
#[expect(
    clippy::large_enum_variant,
    reason = "one value lives per request; the small variants are rare"
)]
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A durable operation that goes on by itself (202).
    Accepted(Operation),
    /// A customer, made now (201) or there already (200).
    Customer {
        /// As it is now.
        customer: Box<Customer>,
        /// Whether it was made now.
        created: bool,
    },
    /// A product, made now (201) or there already (200).
    Product {
        /// The portal it belongs to.
        portal: Slug,
        /// As it is now.
        product: Box<Product>,
        /// Whether it was made now.
        created: bool,
    },
    /// What became of a document whose product was stored, made now (201) or there already (200).
    Imported {
        /// The portal it belongs to.
        portal: Slug,
        /// The product and the report.
        imported: Box<Imported>,
        /// Whether the product was made now.
        created: bool,
    },
    /// A payment method, saved now (201) or there already (200).
    PaymentMethod {
        /// As it is now.
        view: Box<MethodView>,
        /// Whether it was saved now.
        created: bool,
    },
    /// A setup intent (201).
    SetupIntent(Box<SetupIntentView>),
    /// A page of Stripe's (201).
    HostedPage(Box<HostedPage>),
    /// A subscription, made now (201) or there already (200).
    Subscription {
        /// As it is now.
        view: Box<SubscriptionView>,
        /// Whether it was made now.
        created: bool,
    },
    /// An invoice (200).
    Invoice(Box<Invoice>),
    /// An event of Stripe's that is tried again (202).
    StripeEvent(Box<InboxEvent>),
    /// A reconciliation: under way (202) or over (200).
    Reconciliation(Box<ReconciliationView>),
    /// Done, and there is nothing to show (204).
    Nothing,
    /// A webhook endpoint of the portal's (200).
    WebhookEndpoint(Box<EndpointView>),
    /// A webhook endpoint with its new secret, told this once (201 when it was made).
    WebhookEndpointSecret {
        /// The endpoint.
        view: Box<EndpointView>,
        /// `whsec_…`.
        secret: SecretString,
        /// Whether the endpoint is new as well.
        created: bool,
    },
    /// Events that are on their way again (200).
    Replayed(Replayed),
}

/// Turns outcomes into answers; `http` brings it, since it knows how things look outside.
pub trait Render: Send + Sync {
    /// The answer to a use case that ended well.
    fn outcome(&self, outcome: &Outcome) -> Rendered;
    /// The answer to one that did not.
    fn problem(&self, error: &Error, context: &Context) -> Rendered;
}

/// An answer, and whether it was given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub rendered: Rendered,
    /// Whether it is the stored answer to an earlier request with the same key.
    pub replayed: bool,
}

impl Answer {
    pub(super) fn fresh(rendered: Rendered) -> Self {
        Self {
            rendered,
            replayed: false,
        }
    }
}
