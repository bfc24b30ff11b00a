//! Who runs which operation when: turns in a lane, leases, and those who wait.

use std::time::Duration;

use super::engine::Progress;
use super::{LEASE_MS, point};
use crate::app::App;
use crate::app::answer::{Outcome, Rendered};
use crate::app::budget::Class;
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::operation::{Operation, QUEUED, SCHEMA_VERSION};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::ApiKey;
use crate::store::{StoreError, Unique, operations};

/// Waits shorter than this are waited through; an operation with a longer one is put down.
const HELD_THROUGH: Duration = Duration::from_secs(3);
/// How often one who waits looks whether another process has ended the operation.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Operations taken up by one look of the background loop.
const DUE_AT_ONCE: i64 = 64;

impl App {
    /// Runs an operation that was just stored, in a task of its own, so that it goes on when the
    /// caller has gone; its first request is sent with `key`, if that has just been opened. Gives its answer if it is over in time, else 202.
    pub(in crate::app) async fn run_and_wait(
        &self,
        operation: Operation,
        key: Option<ApiKey>,
        wait: Duration,
    ) -> Result<Rendered, Error> {
        point("stored", &operation);
        let id = operation.id.clone();
        let mut told = self.waiters.wait_for(&id);
        if operation.lane_held {
            let app = self.clone();
            (self.spawn)(Box::pin(async move {
                app.run(Class::Interactive, operation, key).await;
            }));
        }
        let waiting = async {
            loop {
                tokio::select! {
                    answer = &mut told => if let Ok(answer) = answer {
                        return Some(answer);
                    },
                    // Asleep, because another process may be the one that ends it.
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                match self.seen(&id).await {
                    Ok(Some(answer)) => return Some(answer),
                    Ok(None) => {}
                    Err(_) => return None,
                }
            }
        };
        let answer = tokio::time::timeout(wait, waiting).await.ok().flatten();
        drop(told);
        self.waiters.forget(&id);
        match answer {
            Some(answer) => Ok(answer),
            None => self.accepted(&id).await,
        }
    }

    /// The answer of an operation that another process may have ended; takes the turn of one whose
    /// lane has become free.
    async fn seen(&self, id: &str) -> Result<Option<Rendered>, Error> {
        let (operation, answer) = self
            .store
            .read(async |conn| {
                let operation = operations::by_id(conn, id).await?;
                let operation = operation.ok_or_else(Error::not_found)?;
                let answer = if operation.is_over() {
                    self.answer_of(conn, &operation).await?
                } else {
                    None
                };
                Ok((operation, answer))
            })
            .await?;
        if answer.is_none() && operation.is_over() {
            return Ok(Some(self.render.outcome(&Outcome::Accepted(operation))));
        }
        if operation.step == QUEUED && !operation.lane_held {
            self.start_turn(&operation.portal, &operation.lane).await;
        }
        Ok(answer)
    }

    async fn accepted(&self, id: &str) -> Result<Rendered, Error> {
        let operation = self
            .store
            .read(async |conn| {
                Ok(operations::by_id(conn, id)
                    .await?
                    .ok_or_else(Error::not_found)?)
            })
            .await?;
        Ok(self.render.outcome(&Outcome::Accepted(operation)))
    }

    /// Takes an operation, if nobody has it and its turn has come, and runs it in a task.
    pub(super) async fn take_and_run(&self, id: &str) {
        let found = self
            .store
            .read(async |conn| operations::by_id(conn, id).await)
            .await;
        if let Ok(Some(operation)) = found {
            self.start_turn(&operation.portal, &operation.lane).await;
        }
    }

    async fn start_turn(&self, portal: &Slug, lane: &str) {
        if let Ok(Some(operation)) = self.next_turn(portal, lane).await {
            let app = self.clone();
            (self.spawn)(Box::pin(async move {
                app.run(Class::Interactive, operation, None).await;
            }));
        }
    }

    /// Takes up what nobody works on: operations whose worker is gone, whose time has come, or whose
    /// lane has become free. Tells how many.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn run_due_operations(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let due = self
            .store
            .read(async |conn| operations::due(conn, now, DUE_AT_ONCE).await)
            .await?;
        let mut taken = 0;
        for operation in due {
            if let Some(operation) = self.next_turn(&operation.portal, &operation.lane).await? {
                let app = self.clone();
                (self.spawn)(Box::pin(async move {
                    app.run(Class::Background, operation, None).await;
                }));
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// Runs an operation this process has the lease of to its end, and then whatever waits in its
    /// lane.
    async fn run(&self, class: Class, operation: Operation, key: Option<ApiKey>) {
        let (portal, lane) = (operation.portal.clone(), operation.lane.clone());
        let mut turn = Some((operation, key));
        while let Some((operation, key)) = turn {
            let id = operation.id.clone();
            if let Err(error) = self.drive(class, operation, key).await {
                // Its lease runs out, and whoever takes it next finds it as it is stored.
                tracing::warn!(operation = id, cause = %error, "an operation was put down");
                return;
            }
            turn = match self.next_turn(&portal, &lane).await {
                Ok(next) => next.map(|next| (next, None)),
                Err(_) => return,
            };
        }
    }

    async fn drive(
        &self,
        class: Class,
        operation: Operation,
        key: Option<ApiKey>,
    ) -> Result<(), StoreError> {
        let (mut operation, mut key) = (operation, key);
        loop {
            match self.try_step(class, operation, key.take()).await? {
                Progress::On(next) => operation = next,
                Progress::Over(over, rendered) => {
                    self.waiters.tell(&over.id, &rendered);
                    return Ok(());
                }
                Progress::Again(next, delay) if delay <= HELD_THROUGH => {
                    // Asleep, because only time makes Stripe answer differently.
                    tokio::time::sleep(delay).await;
                    operation = next;
                }
                Progress::Again(next, _) => return self.put_down(next).await,
            }
        }
    }

    /// Gives the lease up until the operation's next attempt is due; it keeps its lane.
    async fn put_down(&self, operation: Operation) -> Result<(), StoreError> {
        let after = Operation {
            lease_owner: None,
            lease_until: None,
            version: operation.version + 1,
            ..operation
        };
        self.store
            .write(async |conn| {
                operations::update(conn, &after, after.version - 1).await?;
                Ok(())
            })
            .await
    }

    /// Takes the operation whose turn in the lane it is, if nobody works on it and its time has come.
    async fn next_turn(&self, portal: &Slug, lane: &str) -> Result<Option<Operation>, StoreError> {
        let now = self.clock.now();
        // Looked at before anything is written: mostly nobody waits, and in a long line all but one look
        // in vain.
        let first = self
            .store
            .read(async |conn| operations::next_in_lane(conn, portal, lane).await)
            .await?;
        if !first.is_some_and(|first| may_be_taken(&first, now)) {
            return Ok(None);
        }
        let taken = self
            .store
            .write(async |conn| {
                let Some(found) = operations::next_in_lane(conn, portal, lane).await? else {
                    return Ok(None);
                };
                if !may_be_taken(&found, now) {
                    return Ok(None);
                }
                let taken = Operation {
                    // Whoever had it may have sent its step and not lived to store the answer.
                    uncertain: found.step != QUEUED,
                    lane_held: true,
                    lease_owner: Some(self.worker_name()),
                    lease_until: Some(now.plus_millis(LEASE_MS)),
                    version: found.version + 1,
                    updated_at: now,
                    ..found
                };
                let mine = operations::update(conn, &taken, taken.version - 1).await?;
                Ok(mine.then_some(taken))
            })
            .await;
        match taken {
            Err(StoreError::Unique(Unique::Lane)) => Ok(None),
            other => other,
        }
    }
}

/// Whether nobody works on the operation, its time has come, and this binary can read it.
fn may_be_taken(operation: &Operation, now: Timestamp) -> bool {
    operation.lease_until.is_none_or(|until| until <= now)
        && operation.next_attempt_at <= now
        && operation.schema_version <= SCHEMA_VERSION
}
