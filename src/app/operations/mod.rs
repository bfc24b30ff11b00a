//! Durable operations: every write that reaches Stripe. An operation is stored in the transaction of
//! the request that asks for it, runs without one open, and ends in another; see `engine` for how.
//!
//! What each kind does is said in one place, [`procedures`]: how it starts, what follows from each
//! answer of Stripe's, what a refusal means, and how an effect is found whose answer was lost.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

mod engine;
mod procedures;
mod turns;
mod waiters;

pub(super) use procedures::{Next, Search, Send};
pub(super) use waiters::Waiters;

use super::answer::{Answer, Outcome};
use super::idempotency::{Begun, Claim};
use super::portals::existing;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::{Actor, Draft};
use crate::domain::credentials::Credentials;
use crate::domain::error::{Code, Error};
use crate::domain::operation::{Kind, Operation, QUEUED, SCHEMA_VERSION, Status};
use crate::domain::slug::Slug;
use crate::ids;
use crate::store::credentials::Hold;
use crate::store::{self, Conn, StoreError, operations};

pub use crate::store::operations::Filter;

/// How long a worker may be silent before another takes its operation over.
pub(super) const LEASE_MS: i64 = 15_000;

/// How operations are run.
#[derive(Clone, Copy, Debug)]
pub struct OperationSettings {
    /// The first wait after a failed attempt; each further one is twice as long.
    pub first_backoff: Duration,
    /// The longest wait between two attempts.
    pub longest_backoff: Duration,
    /// Attempts of one step after which a person has to look.
    pub max_attempts: u32,
}

impl Default for OperationSettings {
    fn default() -> Self {
        Self {
            first_backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(10),
            max_attempts: 100,
        }
    }
}

/// An operation to be.
pub(super) struct NewOperation {
    /// What it does.
    pub(super) kind: Kind,
    /// Our id of the thing it is about.
    pub(super) subject: String,
    /// The external id of the organization it belongs to, if to one.
    pub(super) organization: Option<String>,
    /// What it is serialized by: the customer's id for everything about a customer.
    pub(super) lane: String,
    /// Its parameters as JSON.
    pub(super) state: String,
}

/// Names a place where the work can be cut off; the tests cut it off there. `storing` is in the
/// transaction that stores the operation and `settling` in the one that stores what came of a step,
/// both before their end; `stored` and `settled` are behind it, `sending` and `answered` around the
/// call.
fn point(place: &'static str, operation: &Operation) {
    tracing::trace!(
        target: "portal_billing::operation",
        place,
        lane = operation.lane,
        step = operation.step,
        kind = operation.kind.as_str(),
        operation = operation.id,
    );
}

/// An operation's parameters, and what its steps have found out, in the type of its kind.
///
/// # Errors
/// When it is not of that type: a bug, or a damaged row.
pub(super) fn state_of<T: DeserializeOwned>(operation: &Operation) -> Result<T, StoreError> {
    serde_json::from_str(&operation.state).map_err(|_| StoreError::corrupt("operations.state"))
}

/// The way back of [`state_of`].
///
/// # Errors
/// When it cannot be written as JSON: a bug.
pub(super) fn state_text<T: Serialize>(state: &T) -> Result<String, StoreError> {
    serde_json::to_string(state).map_err(|error| StoreError::Other(error.to_string()))
}

fn not_ready() -> Error {
    Error::new(Code::StripeNotReady, "Store the credentials first.")
}

impl Operation {
    /// Under which request and by whom it was begun, for what it writes later.
    pub(super) fn context(&self) -> Context {
        Context {
            actor: Actor {
                subject: self.actor.clone(),
                issuer: self.issuer.clone(),
            },
            request_id: self.request_id.clone(),
            instance: self.instance.clone(),
            organization: self.organization.clone(),
        }
    }
}

impl App {
    /// The current credentials of a portal whose module is enabled, for a question to Stripe.
    ///
    /// # Errors
    /// `module_disabled`, `stripe_not_ready`.
    pub(super) async fn ready_credentials(
        &self,
        conn: &mut Conn,
        portal: &Slug,
    ) -> Result<Credentials, StoreError> {
        self.enabled(conn, portal).await?;
        let current = store::credentials::current(conn, portal).await?;
        current.ok_or_else(|| not_ready().into())
    }

    /// The same for an operation that begins in this transaction: until it ends, the portal does not move
    /// to another account, so that whoever moves it sees what is on its way there.
    ///
    /// # Errors
    /// As [`App::ready_credentials`].
    pub(super) async fn operation_credentials(
        &self,
        conn: &mut Conn,
        portal: &Slug,
    ) -> Result<Credentials, StoreError> {
        if let Some(held) = store::credentials::held(conn, portal, Hold::Shared).await? {
            return Ok(held);
        }
        self.enabled(conn, portal).await?;
        Err(not_ready().into())
    }

    async fn enabled(&self, conn: &mut Conn, portal: &Slug) -> Result<(), StoreError> {
        let module = store::stripe_modules::find(conn, portal).await?;
        module
            .filter(|module| module.enabled)
            .ok_or_else(|| Error::new(Code::ModuleDisabled, "Enable the Stripe module first."))?;
        Ok(())
    }

    /// Stores an operation. When its lane is free it has the turn at once, and its first request is
    /// frozen in this same transaction; else it waits.
    pub(super) async fn begin_operation(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        credentials: &Credentials,
        new: NewOperation,
    ) -> Result<Operation, StoreError> {
        let busy = operations::lane_is_busy(conn, portal, &new.lane).await?;
        let first =
            async |conn: &mut Conn, operation: &Operation| self.start(conn, operation).await;
        self.begin_operation_with(conn, context, portal, credentials, (new, busy), first)
            .await
    }

    /// As [`App::begin_operation`], for a caller who knows whether the lane is busy, and what the operation's
    /// first step is when it has the turn at once.
    pub(super) async fn begin_operation_with(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        credentials: &Credentials,
        (new, busy): (NewOperation, bool),
        first: impl AsyncFnOnce(&mut Conn, &Operation) -> Result<Next, StoreError>,
    ) -> Result<Operation, StoreError> {
        let now = self.clock.now();
        let mut operation = Operation {
            id: self.ids.new_id(ids::Kind::Operation).into(),
            portal: portal.clone(),
            kind: new.kind,
            subject: new.subject,
            organization: new.organization,
            lane: new.lane,
            lane_held: !busy,
            status: Status::Running,
            step: QUEUED.to_owned(),
            steps_done: 0,
            schema_version: SCHEMA_VERSION,
            credentials_version: credentials.version,
            stripe_account: credentials.account_id.clone(),
            mode: credentials.mode,
            state: new.state,
            request: String::new(),
            key_generation: 0,
            sent_at: None,
            uncertain: false,
            attempts: 0,
            next_attempt_at: now,
            lease_owner: (!busy).then(|| self.worker_name()),
            lease_until: (!busy).then(|| now.plus_millis(LEASE_MS)),
            error: None,
            actor: context.actor.subject.clone(),
            issuer: context.actor.issuer.clone(),
            request_id: context.request_id.clone(),
            instance: context.instance.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        if !busy {
            let next = first(conn, &operation).await?;
            engine::freeze(conn, &mut operation, next, now).await?;
        }
        operations::insert(conn, &operation).await?;
        point("storing", &operation);
        Ok(operation)
    }

    /// An operation of the portal.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn operation(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
    ) -> Result<Operation, Error> {
        let found = self
            .store
            .read(async |conn| self.visible_operation(conn, context, portal, id).await)
            .await?;
        Ok(found)
    }

    async fn visible_operation(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        id: &str,
    ) -> Result<Operation, StoreError> {
        let visible = |operation: &Operation| {
            operation.portal == *portal
                && (context.organization.is_none()
                    || context.organization == operation.organization)
        };
        Ok(operations::by_id(conn, id)
            .await?
            .filter(visible)
            .ok_or_else(Error::not_found)?)
    }

    /// Operations of the portal, newest first.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn operations(
        &self,
        portal: &Slug,
        filter: &Filter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Operation>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                operations::list(conn, portal, filter, after, i64::from(limit) + 1).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Lets an operation in `attention` go on.
    ///
    /// # Errors
    /// `not_found`, `operation_not_retryable`.
    pub async fn retry_operation(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        let answer = self
            .once(context, portal, claim, Duration::ZERO, async |conn| {
                let operation = self.visible_operation(conn, context, portal, id).await?;
                if operation.status != Status::Attention {
                    return Err(Error::new(
                        Code::OperationNotRetryable,
                        format!("The operation is {}.", operation.status.as_str()),
                    )
                    .into());
                }
                let again = self.again(conn, operation).await?;
                let entry = Draft {
                    action: "operation.retried",
                    subject: format!("/v1/portals/{portal}/operations/{id}"),
                    details: vec![("kind", again.kind.as_str().to_owned())],
                };
                self.record(conn, context, portal, &entry).await?;
                Ok(Begun::Done(Outcome::Accepted(again)))
            })
            .await?;
        if !answer.replayed {
            self.take_and_run(id).await;
        }
        Ok(answer)
    }

    async fn again(&self, conn: &mut Conn, before: Operation) -> Result<Operation, StoreError> {
        let now = self.clock.now();
        let operation = Operation {
            status: Status::Running,
            attempts: 0,
            next_attempt_at: now,
            error: None,
            finished_at: None,
            updated_at: now,
            version: before.version + 1,
            ..before
        };
        let otherwise = super::portals::concurrent().into();
        operations::must_update(conn, &operation, before.version, otherwise).await?;
        Ok(operation)
    }
}
