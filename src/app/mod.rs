//! Use cases: the only place where the store and Stripe meet.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use crate::deliver::Courier;
use crate::domain::audit::{Actor, Draft};
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::ids::Ids;
use crate::secret::MasterKeys;
use crate::store::audit::Stamp;
use crate::store::{Conn, Store, StoreError};
use crate::stripe::StripeClient;
use access::{AccessSettings, Book};
use answer::Render;
use budget::Budget;
use deliveries::DeliverySettings;
use ingest::{Hooks, Intake};
use operations::{OperationSettings, Waiters};

pub mod access;
pub mod answer;
pub mod audit_log;
pub mod budget;
pub mod catalog;
pub mod credentials;
pub mod customers;
pub mod deliveries;
pub mod endpoints;
pub mod feed;
pub mod hosted;
pub mod idempotency;
pub mod ingest;
pub mod invoices;
pub mod key_rotation;
pub mod modules;
pub mod operations;
pub mod payment_methods;
mod places;
pub mod portals;
mod publish;
pub mod reconcile;
pub mod retention;
mod stripe_errors;
mod stripe_metadata;
pub mod subscriptions;
mod vault;
mod verification;
pub mod webhook_endpoint;

/// The product, headless even of HTTP. A clone shares everything.
#[derive(Clone)]
pub struct App {
    store: Store,
    stripe: StripeClient,
    keys: Arc<MasterKeys>,
    clock: Clock,
    ids: Ids,
    /// Where callers reach this service, without a slash at the end; `None` when Stripe cannot.
    public_url: Option<Arc<str>>,
    render: Arc<dyn Render>,
    spawn: Spawn,
    operation_settings: OperationSettings,
    access_settings: AccessSettings,
    book: Arc<Book>,
    budget: Arc<Budget>,
    waiters: Arc<Waiters>,
    courier: Courier,
    delivery_settings: DeliverySettings,
    hooks: Arc<Hooks>,
    intake: Arc<Intake>,
    /// By this name this process holds leases.
    worker: Arc<str>,
}

/// Starts a task on this thread that outlives the request it comes from.
pub type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>) + Send + Sync>;

/// What the product is put together from.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Stripe.
    pub stripe: StripeClient,
    /// What seals secrets at rest.
    pub keys: Arc<MasterKeys>,
    /// The time.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// Where callers reach this service, without a slash at the end; `None` when Stripe cannot.
    pub public_url: Option<String>,
    /// How things look outside.
    pub render: Arc<dyn Render>,
    /// How tasks are started.
    pub spawn: Spawn,
    /// How operations are run.
    pub operations: OperationSettings,
    /// What is told about access.
    pub access: AccessSettings,
    /// How often Stripe may be called.
    pub budget: budget::Limits,
    /// What posts events to receivers.
    pub courier: Courier,
    /// How deliveries are made.
    pub deliveries: DeliverySettings,
}

/// Who asks, and under which request.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who.
    pub actor: Actor,
    /// The request's id.
    pub request_id: String,
    /// The request's path.
    pub instance: String,
    /// The external id of the one consumer organization the caller is bound to.
    pub organization: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The things, newest first.
    pub items: Vec<T>,
    /// Whether there are older ones.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Cuts the one item too many that was read to learn whether there are more.
    fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

impl App {
    /// Puts the product together.
    pub fn new(parts: Parts) -> Self {
        Self {
            worker: parts.ids.unguessable().into(),
            store: parts.store,
            stripe: parts.stripe,
            keys: parts.keys,
            budget: Arc::new(Budget::new(parts.budget)),
            clock: parts.clock,
            ids: parts.ids,
            public_url: parts.public_url.map(Arc::from),
            render: parts.render,
            spawn: parts.spawn,
            operation_settings: parts.operations,
            book: Arc::new(Book::new(parts.access.stale_ms)),
            access_settings: parts.access,
            waiters: Arc::default(),
            courier: parts.courier,
            delivery_settings: parts.deliveries,
            hooks: Arc::default(),
            intake: Arc::new(Intake::new()),
        }
    }

    fn worker_name(&self) -> String {
        self.worker.to_string()
    }

    /// The same product with connections of its own, to the database and to Stripe, for one worker.
    ///
    /// # Errors
    /// When the database's settings cannot be used.
    pub fn for_worker(&self) -> Result<Self, Error> {
        Ok(Self {
            store: self.store.for_worker()?,
            stripe: self.stripe.for_worker(),
            ..self.clone()
        })
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.store.ping().await?)
    }

    /// The database engine's name.
    pub fn engine(&self) -> &'static str {
        self.store.settings().engine.name()
    }

    /// Writes what was done into the portal's audit log, in the transaction that does it.
    async fn record(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        draft: &Draft,
    ) -> Result<(), StoreError> {
        let stamp = Stamp {
            actor: &context.actor,
            request_id: &context.request_id,
            now: self.clock.now(),
            ids: &self.ids,
        };
        crate::store::audit::append(conn, portal.as_str(), &stamp, draft).await
    }
}
