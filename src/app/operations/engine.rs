//! One attempt of one step: the request that is frozen in the operation is sent under its key, with
//! no transaction open, and what came of it is stored in one.
//!
//! What makes this safe to be cut off anywhere: the key and the bytes are the same at every attempt,
//! so that Stripe answers a repetition with what the first one came to; and where Stripe may have
//! forgotten the key (after 24 hours) or has stored a failure of its own under it, the effect is
//! looked for in a list before anything is posted again.

use std::time::Duration;

use serde_json::Value;

use super::procedures::Next;
use super::{LEASE_MS, Search, point};
use crate::app::App;
use crate::app::answer::{Outcome, Rendered};
use crate::app::budget::Class;
use crate::app::customers::{CREATE_CUSTOMER, customer_at_stripe, customer_search};
use crate::app::stripe_errors::failure_of;
use crate::app::stripe_metadata::{CUSTOMER, OPERATION};
use crate::clock::Timestamp;
use crate::domain::credentials::Credentials;
use crate::domain::error::{Code, Error};
use crate::domain::operation::{self, Failure, Operation, QUEUED, Status};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::ApiKey;
use crate::ids::{Id, Kind};
use crate::store::idempotency::{KeyOfOperation, of_operation};
use crate::store::{self, StoreError, operations};
use crate::stripe::{self, FrozenRequest, IdempotencyKey, RawReply, StripeError};

/// Stripe may forget a key after 24 hours; a step that is older lists before it posts.
const KEY_AGE_MAX_MS: i64 = 23 * 60 * 60 * 1000;
/// One who waits for the budget renews the lease so often.
const LEASE_RENEWED: Duration = Duration::from_secs(5);
/// Pages of 100 that are read to find a lost effect.
const SEARCH_PAGES_MAX: usize = 50;

/// What an attempt came to.
pub(super) enum Progress {
    /// The next step, or the same one once more, at once.
    On(Operation),
    /// The operation is over, with this answer.
    Over(Operation, Rendered),
    /// The same step again, not before this time has passed.
    Again(Operation, Duration),
}

impl App {
    /// One attempt at an operation this process has the lease of; with `opened`, if its key was opened in the
    /// transaction that has stored it.
    pub(super) async fn try_step(
        &self,
        class: Class,
        operation: Operation,
        opened: Option<ApiKey>,
    ) -> Result<Progress, StoreError> {
        if operation.step == QUEUED {
            return self.first_step(operation).await;
        }
        let Some(request) = FrozenRequest::from_text(&operation.request) else {
            return Err(StoreError::corrupt("operations.request"));
        };
        let key = match opened {
            Some(key) => Some(key),
            None => self.key_of(&operation).await?,
        };
        let Some(key) = key else {
            let failure = failure_of(&Error::new(
                Code::StripeCredentialsInvalid,
                "The credentials this operation began with are gone.",
            ));
            return self.attention(operation, failure).await;
        };
        if !request.is_read() && self.key_is_of_no_use(&operation) {
            return self.look_first(class, operation, &key).await;
        }
        if operation.uncertain && operation.step == CREATE_CUSTOMER {
            // Meanwhile another operation may have found it, or made it.
            let known = self
                .store
                .read(async |conn| customer_at_stripe(conn, &operation).await)
                .await?;
            if let Some(known) = known {
                return self.settle(operation, &known).await;
            }
        }
        let idempotency_key = key_at_stripe(&operation)?;
        let operation = self.in_turn(class, operation, &request).await?;
        point("sending", &operation);
        let outcome = self
            .stripe
            .send_frozen(&key, Some(&idempotency_key), &request)
            .await;
        point("answered", &operation);
        match outcome {
            Ok(reply) => self.settle(operation, &reply).await,
            Err(error) => self.unsettled(operation, &error).await,
        }
    }

    /// Waits for the account's budget, and keeps the lease while it waits.
    async fn in_turn(
        &self,
        class: Class,
        operation: Operation,
        request: &FrozenRequest,
    ) -> Result<Operation, StoreError> {
        let (portal, account) = (operation.portal.clone(), operation.stripe_account.clone());
        let turn = self
            .budget
            .turn(class, &portal, &account, operation.mode, request);
        let mut turn = std::pin::pin!(turn);
        let mut operation = operation;
        while tokio::time::timeout(LEASE_RENEWED, &mut turn)
            .await
            .is_err()
        {
            operation = self.saved(operation).await?;
        }
        Ok(operation)
    }

    /// The turn of an operation that waited: its first request is frozen now.
    async fn first_step(&self, operation: Operation) -> Result<Progress, StoreError> {
        self.store
            .write(async |conn| {
                let next = async |conn: &mut store::Conn| self.start(conn, &operation).await;
                self.decided(conn, &operation, next).await
            })
            .await
    }

    /// Stores what Stripe's answer means.
    async fn settle(&self, operation: Operation, reply: &RawReply) -> Result<Progress, StoreError> {
        let settled = self
            .store
            .write(async |conn| {
                let next =
                    async |conn: &mut store::Conn| self.advance(conn, &operation, reply).await;
                let progress = self.decided(conn, &operation, next).await?;
                point("settling", &operation);
                Ok(progress)
            })
            .await;
        point("settled", &operation);
        match settled {
            // An answer that cannot be understood is no answer: the same request again.
            Err(StoreError::Rule(error)) if error.code() == Code::StripeBadAnswer => {
                self.later(operation, None, &failure_of(&error)).await
            }
            other => other,
        }
    }

    /// What a failed call means for the operation.
    async fn unsettled(
        &self,
        operation: Operation,
        error: &StripeError,
    ) -> Result<Progress, StoreError> {
        let outcome = error.outcome();
        metrics::counter!("stripe_failures_total", "outcome" => outcome.as_str()).increment(1);
        tracing::info!(
            operation = operation.id,
            step = operation.step,
            outcome = outcome.as_str(),
            stripe_request_id = error.request_id(),
            cause = error.log_text(),
            "a call to Stripe failed"
        );
        if outcome == stripe::Outcome::Throttled && error.code() != Some("lock_timeout") {
            self.budget.throttled(
                &operation.stripe_account,
                operation.mode,
                error.retry_after(),
            );
        }
        let failure = failure_of(&crate::app::stripe_errors::refusal(error));
        if error.is_stored_failure() {
            // The key will answer the same for a day: only a list can tell whether it was done.
            let unknown = Operation {
                sent_at: None,
                uncertain: true,
                ..operation
            };
            return self.later(unknown, error.retry_after(), &failure).await;
        }
        if error.is_retryable() {
            let uncertain = operation.uncertain || !outcome.surely_not_applied();
            let waiting = Operation {
                uncertain,
                ..operation
            };
            return self.later(waiting, error.retry_after(), &failure).await;
        }
        match outcome {
            stripe::Outcome::Credentials => {
                if let Some(renewed) = self.with_newer_credentials(&operation).await? {
                    return self.saved(renewed).await.map(Progress::On);
                }
                if operation.uncertain {
                    return self.attention(operation, failure).await;
                }
            }
            stripe::Outcome::Forbidden if operation.uncertain => {
                return self.attention(operation, failure).await;
            }
            // The same key with other bytes is a bug of ours; a new key could do it twice.
            stripe::Outcome::KeyReused => return self.attention(operation, failure).await,
            _ => {}
        }
        self.store
            .write(async |conn| {
                let next =
                    async |conn: &mut store::Conn| self.refused(conn, &operation, error).await;
                self.decided(conn, &operation, next).await
            })
            .await
    }

    /// Whether the current step's key can no longer tell what became of it.
    fn key_is_of_no_use(&self, operation: &Operation) -> bool {
        operation
            .sent_at
            .is_none_or(|sent| self.clock.now().millis_since(sent) >= KEY_AGE_MAX_MS)
    }

    /// Looks for the effect of a step whose key is of no use; only if there is none, the step is
    /// sent again, under a new key.
    async fn look_first(
        &self,
        class: Class,
        operation: Operation,
        key: &ApiKey,
    ) -> Result<Progress, StoreError> {
        if let Some(search) = self.search_of(&operation).await? {
            match self.look(class, &operation, key, &search).await {
                Ok(Some(found)) => return self.settle(operation, &found).await,
                Ok(None) => {}
                Err(error) => {
                    let failure = failure_of(&Error::from(error.clone()));
                    return self.later(operation, error.retry_after(), &failure).await;
                }
            }
        }
        let again = Operation {
            key_generation: operation.key_generation + 1,
            sent_at: Some(self.clock.now()),
            uncertain: false,
            ..operation
        };
        self.saved(again).await.map(Progress::On)
    }

    /// Where the current step's effect is looked for. That of a customer may be the effect of an earlier
    /// operation, which was given up.
    async fn search_of(&self, operation: &Operation) -> Result<Option<Search>, StoreError> {
        if operation.step != CREATE_CUSTOMER {
            return Ok(self.search(operation)?);
        }
        let (portal, lane) = (&operation.portal, operation.lane.as_str());
        let doubt = self
            .store
            .read(async |conn| {
                operations::in_doubt_since(conn, portal, lane, CREATE_CUSTOMER).await
            })
            .await?;
        let made = operation.created_at;
        let since = doubt.map_or(made, |doubt| doubt.min(made));
        Ok(Some(customer_search(since)))
    }

    async fn look(
        &self,
        class: Class,
        operation: &Operation,
        key: &ApiKey,
        search: &Search,
    ) -> Result<Option<RawReply>, StripeError> {
        let mut after: Option<String> = None;
        for _ in 0..SEARCH_PAGES_MAX {
            let request = search(after.as_deref())?;
            self.budget
                .turn(
                    class,
                    &operation.portal,
                    &operation.stripe_account,
                    operation.mode,
                    &request,
                )
                .await;
            let reply = self.stripe.send_frozen(key, None, &request).await?;
            let page: Value = reply.read()?;
            let items = page.get("data").and_then(Value::as_array);
            // A customer is made once, by whichever operation.
            let (key, wanted) = match operation.step.as_str() {
                CREATE_CUSTOMER => (CUSTOMER, operation.lane.as_str()),
                _ => (OPERATION, operation.id.as_str()),
            };
            let mine = |item: &&Value| {
                let metadata = item.get("metadata");
                metadata.and_then(|it| it.get(key)?.as_str()) == Some(wanted)
            };
            if let Some(found) = items.into_iter().flatten().find(mine) {
                return Ok(Some(RawReply::found(found.to_string())));
            }
            let more = page.get("has_more").and_then(Value::as_bool) == Some(true);
            after = items
                .and_then(|items| items.last()?.get("id")?.as_str())
                .filter(|_| more)
                .map(str::to_owned);
            if after.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// The key of the credentials the operation is pinned to; `None` when it was wiped. Never a key
    /// of another account or mode.
    async fn key_of(&self, operation: &Operation) -> Result<Option<ApiKey>, StoreError> {
        let portal = &operation.portal;
        let version = operation.credentials_version;
        let kept = self
            .store
            .read(async |conn| self.kept_api_key(conn, portal, version).await)
            .await?;
        let pinned = |it: &Credentials| {
            it.account_id == operation.stripe_account && it.mode == operation.mode
        };
        Ok(kept.and_then(|(credentials, key)| pinned(&credentials).then_some(key)))
    }

    /// The operation on the portal's current credentials, if they are others of the same account
    /// and mode.
    async fn with_newer_credentials(
        &self,
        operation: &Operation,
    ) -> Result<Option<Operation>, StoreError> {
        let current = self
            .store
            .read(async |conn| store::credentials::current(conn, &operation.portal).await)
            .await?;
        Ok(current
            .filter(|it| {
                it.version != operation.credentials_version
                    && it.account_id == operation.stripe_account
                    && it.mode == operation.mode
            })
            .map(|it| Operation {
                credentials_version: it.version,
                ..operation.clone()
            }))
    }

    /// Decides what comes next and writes it into the operation, in this transaction.
    async fn decided(
        &self,
        conn: &mut store::Conn,
        operation: &Operation,
        next: impl AsyncFnOnce(&mut store::Conn) -> Result<Next, StoreError>,
    ) -> Result<Progress, StoreError> {
        let key = async |conn: &mut store::Conn| of_operation(conn, &operation.id).await;
        let (next, key) = conn.both(next, key).await?;
        self.apply(conn, operation.clone(), next, key).await
    }

    async fn apply(
        &self,
        conn: &mut store::Conn,
        operation: Operation,
        next: Next,
        key: Option<KeyOfOperation>,
    ) -> Result<Progress, StoreError> {
        let now = self.clock.now();
        let context = operation.context();
        match next {
            Next::Send(_) | Next::SendNumbered(_) => {
                let mut after = self.renewed(operation, now);
                if after.step != QUEUED {
                    after.steps_done += 1;
                }
                freeze(conn, &mut after, next, now).await?;
                self.store_operation(conn, &after).await?;
                Ok(Progress::On(after))
            }
            Next::Done(outcome) => {
                let after = over(operation, Status::Succeeded, None, now);
                let rendered = self.render.outcome(&outcome);
                self.end(conn, after, key, rendered).await
            }
            Next::Failed(error) => {
                let failure = failure_of(&error);
                let after = over(operation, Status::Failed, Some(failure), now);
                let rendered = self.render.problem(&error, &context);
                self.end(conn, after, key, rendered).await
            }
        }
    }

    async fn end(
        &self,
        conn: &mut store::Conn,
        after: Operation,
        key: Option<KeyOfOperation>,
        rendered: Rendered,
    ) -> Result<Progress, StoreError> {
        self.store_operation(conn, &after).await?;
        if let Some(key) = key {
            self.keep_answer_of(conn, &after.portal, &key, &rendered)
                .await?;
        }
        metrics::counter!(
            "operations_total",
            "kind" => after.kind.as_str(),
            "status" => after.status.as_str(),
        )
        .increment(1);
        Ok(Progress::Over(after, rendered))
    }

    /// Ends with this refusal what has not come to an end of the operations of this kind about a thing:
    /// whoever calls this has seen that nothing of them is at Stripe, and nothing of them may come there
    /// any more. The caller has their lane, so that none of them is at work.
    pub(in crate::app) async fn close_operations(
        &self,
        conn: &mut store::Conn,
        portal: &Slug,
        (kind, subject): (operation::Kind, &str),
        error: &Error,
    ) -> Result<(), StoreError> {
        for open in operations::open_about(conn, portal, kind, subject).await? {
            let rendered = self.render.problem(error, &open.context());
            let failure = failure_of(error);
            let after = over(open, Status::Failed, Some(failure), self.clock.now());
            let key = of_operation(conn, &after.id).await?;
            // Somebody may just have said `retry`: then this one looks again.
            self.end(conn, after, key, rendered).await?;
        }
        Ok(())
    }

    async fn store_operation(
        &self,
        conn: &mut store::Conn,
        operation: &Operation,
    ) -> Result<(), StoreError> {
        operations::must_update(conn, operation, operation.version - 1, lease_lost()).await
    }

    /// The same step later, or a person, after too many attempts.
    async fn later(
        &self,
        operation: Operation,
        retry_after: Option<Duration>,
        failure: &Failure,
    ) -> Result<Progress, StoreError> {
        let attempts = operation.attempts.saturating_add(1);
        if u32::try_from(attempts).unwrap_or(u32::MAX) >= self.operation_settings.max_attempts {
            return self.attention(operation, failure.clone()).await;
        }
        let delay = self.backoff(attempts).max(retry_after.unwrap_or_default());
        let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let waiting = Operation {
            attempts,
            next_attempt_at: self.clock.now().plus_millis(millis),
            error: Some(failure.clone()),
            ..operation
        };
        let waiting = self.saved(waiting).await?;
        Ok(Progress::Again(waiting, delay))
    }

    /// Stops an operation until a person has looked; its lane is free for others.
    async fn attention(
        &self,
        operation: Operation,
        failure: Failure,
    ) -> Result<Progress, StoreError> {
        let operation = Operation {
            // Even if the last attempt was surely for nothing: an earlier one may not have been, and have
            // died before it could say so.
            uncertain: operation.uncertain || operation.step == CREATE_CUSTOMER,
            ..operation
        };
        let after = over(
            operation,
            Status::Attention,
            Some(failure),
            self.clock.now(),
        );
        tracing::error!(
            operation = after.id,
            kind = after.kind.as_str(),
            step = after.step,
            code = after.error.as_ref().map(|error| error.code.as_str()),
            "an operation needs attention"
        );
        metrics::counter!("operations_attention_total", "kind" => after.kind.as_str()).increment(1);
        self.store
            .write(async |conn| self.store_operation(conn, &after).await)
            .await?;
        let rendered = self.render.outcome(&Outcome::Accepted(after.clone()));
        Ok(Progress::Over(after, rendered))
    }

    async fn saved(&self, operation: Operation) -> Result<Operation, StoreError> {
        let after = self.renewed(operation, self.clock.now());
        self.store
            .write(async |conn| self.store_operation(conn, &after).await)
            .await?;
        Ok(after)
    }

    /// The next version of the operation, the lease renewed.
    fn renewed(&self, operation: Operation, now: Timestamp) -> Operation {
        Operation {
            lease_owner: Some(self.worker_name()),
            lease_until: Some(now.plus_millis(LEASE_MS)),
            version: operation.version + 1,
            updated_at: now,
            ..operation
        }
    }

    fn backoff(&self, attempts: i32) -> Duration {
        let settings = &self.operation_settings;
        let doublings = u32::try_from(attempts.saturating_sub(1))
            .unwrap_or(0)
            .min(20);
        let longest = settings
            .first_backoff
            .saturating_mul(1 << doublings)
            .min(settings.longest_backoff);
        // Half of it by chance, so that those who failed together do not come back together.
        let chance = u32::from(self.ids.byte());
        longest / 2 + longest.saturating_mul(chance) / 512
    }
}

/// Makes what comes next the operation's current step.
pub(super) async fn freeze(
    conn: &mut store::Conn,
    operation: &mut Operation,
    next: Next,
    now: Timestamp,
) -> Result<(), StoreError> {
    next.freeze_into(operation, now);
    if operation.step == CREATE_CUSTOMER {
        let (portal, lane) = (&operation.portal, operation.lane.as_str());
        let doubt = operations::in_doubt_since(conn, portal, lane, CREATE_CUSTOMER).await?;
        if doubt.is_some() {
            // It may be there already, so that it is looked for before it is made.
            operation.sent_at = None;
        }
    }
    Ok(())
}

fn over(operation: Operation, status: Status, error: Option<Failure>, now: Timestamp) -> Operation {
    Operation {
        status,
        error,
        lane_held: false,
        lease_owner: None,
        lease_until: None,
        finished_at: Some(now),
        updated_at: now,
        version: operation.version + 1,
        ..operation
    }
}

fn key_at_stripe(operation: &Operation) -> Result<IdempotencyKey, StoreError> {
    let id = Id::parse(Kind::Operation, &operation.id)
        .ok_or_else(|| StoreError::corrupt("operations.id"))?;
    let generation = u32::try_from(operation.key_generation)
        .map_err(|_| StoreError::corrupt("operations.key_generation"))?;
    Ok(IdempotencyKey::for_operation(
        &id,
        &operation.step,
        generation,
    ))
}

/// Another worker has taken the operation over; what this one found out is found out again there.
fn lease_lost() -> StoreError {
    StoreError::Rule(Error::new(
        Code::ConcurrentChange,
        "Another worker has taken the operation over.",
    ))
}
