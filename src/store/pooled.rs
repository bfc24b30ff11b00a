//! A connection to PostgreSQL on loan from its pool, and what was sent over it that nobody has waited for.
//!
//! A statement whose answer decides nothing need not be waited for before the next one is sent: each wait
//! costs more than most statements do. It is sent all the same before what follows it, so that PostgreSQL works
//! through both in their order; and its answer is looked at before the transaction is committed.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Object;
use tokio::task::JoinHandle;

use super::error::StoreError;

/// A connection that goes back to its pool only when it was said that nothing is open on it: whatever still
/// uses it then, the last one decides.
pub(super) struct Held {
    object: Option<Object<AsyncPgConnection>>,
    clean: AtomicBool,
}

impl Held {
    /// Statements over a shared connection are sent in the order in which they are first polled.
    pub(super) fn connection(&self) -> &AsyncPgConnection {
        // It is there until it is dropped.
        match &self.object {
            Some(object) => object,
            None => unreachable!("a connection is used after it was given back"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && !self.clean.load(Ordering::Acquire)
        {
            drop(Object::take(object));
        }
    }
}

/// See the module.
pub struct Pooled {
    held: Arc<Held>,
    sent: Vec<JoinHandle<Result<(), StoreError>>>,
}

impl Pooled {
    pub(super) fn new(object: Object<AsyncPgConnection>) -> Self {
        let held = Held {
            object: Some(object),
            clean: AtomicBool::new(false),
        };
        Self {
            held: Arc::new(held),
            sent: Vec::new(),
        }
    }

    pub(super) fn connection(&self) -> &AsyncPgConnection {
        self.held.connection()
    }

    /// The connection for a statement of [`Pooled::send`].
    pub(super) fn share(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// The same connection once more, for what is done beside what this one does.
    pub(super) fn beside(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
            sent: Vec::new(),
        }
    }

    /// Waits for what was sent over the other one, too, when the time comes.
    pub(super) fn take_over(&mut self, other: Self) {
        self.sent.extend(other.sent);
    }

    /// Says that nothing is open on the connection any more.
    pub(super) fn give_back(self) {
        self.held.clean.store(true, Ordering::Release);
    }

    /// Sends a statement of the running transaction whose answer nobody waits for.
    ///
    /// # Errors
    /// What the database answers, if it has answered already.
    #[expect(
        clippy::disallowed_methods,
        reason = "the transaction does not end before the task; if it is dropped, the task ends with the answer"
    )]
    pub(super) async fn send(
        &mut self,
        statement: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) -> Result<(), StoreError> {
        let mut statement = Box::pin(statement);
        // Polled once it is on its way, or has the lock that lets it be prepared: what follows stands behind it.
        match poll_fn(|context| Poll::Ready(statement.as_mut().poll(context))).await {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                self.sent.push(tokio::spawn(statement));
                Ok(())
            }
        }
    }

    /// Waits for the answers to everything that was sent.
    ///
    /// # Errors
    /// The first that is one and does not follow from another.
    pub(super) async fn answered(&mut self) -> Result<(), StoreError> {
        let mut first = Ok(());
        for answer in self.sent.drain(..) {
            let answer = answer.await;
            let answer = answer.unwrap_or_else(|error| Err(StoreError::Other(error.to_string())));
            first = match (first, answer) {
                (Ok(()) | Err(StoreError::Moot), answer @ Err(_)) => answer,
                (first, _) => first,
            };
        }
        first
    }
}
