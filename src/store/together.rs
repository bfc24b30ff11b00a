//! Reads of one kind that wait for one another, as one statement.
//!
//! A read by id costs a database less than being asked does: the statement is started, its answer is sent and
//! waited for, whatever is in it. Reads that come while one is under way are therefore made as one after it.
//! One that comes alone is made at once.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::StoreError;

/// As many reads as one statement makes: enough that more would save nothing.
const TOGETHER_MAX: usize = 64;

/// Who waits for what.
pub(super) struct Together<T> {
    waiting: Mutex<Vec<(String, oneshot::Sender<Option<T>>)>>,
    /// Held by whoever reads.
    turn: tokio::sync::Mutex<()>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl<T: Clone> Together<T> {
    /// What is stored under `id` now: the statement that reads it begins after this was called. `read` is given
    /// ids, and gives those it finds with what is under each.
    ///
    /// # Errors
    /// What `read` answers.
    pub(super) async fn get(
        &self,
        id: &str,
        read: impl AsyncFn(&[&str]) -> Result<Vec<(String, T)>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut answer = self.wait_for(id);
        let turn = tokio::select! {
            biased;
            answered = &mut answer => match answered {
                Ok(found) => return Ok(found),
                Err(_) => return alone(id, read).await,
            },
            turn = self.turn.lock() => turn,
        };
        behind_what_is_ready().await;
        loop {
            match answer.try_recv() {
                Ok(found) => return Ok(found),
                Err(TryRecvError::Closed) => break,
                Err(TryRecvError::Empty) => self.read_next(&read).await?,
            }
        }
        drop(turn);
        alone(id, read).await
    }

    /// Makes the oldest reads that wait, and answers them.
    async fn read_next(
        &self,
        read: &impl AsyncFn(&[&str]) -> Result<Vec<(String, T)>, StoreError>,
    ) -> Result<(), StoreError> {
        let those = self.next();
        let mut ids: Vec<&str> = those.iter().map(|(id, _)| id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let found: HashMap<String, T> = read(&ids).await?.into_iter().collect();
        for (id, waiting) in those {
            // Who does not wait any more needs no answer.
            let _gone = waiting.send(found.get(&id).cloned());
        }
        Ok(())
    }

    fn wait_for(&self, id: &str) -> oneshot::Receiver<Option<T>> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((id.to_owned(), answer));
        answered
    }

    /// The oldest of those that wait.
    fn next(&self) -> Vec<(String, oneshot::Sender<Option<T>>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(TOGETHER_MAX);
        let rest = waiting.split_off(most);
        mem::replace(&mut waiting, rest)
    }
}

/// Lets those come along that are as far as this one: all that is ready is polled before an empty task is. The
/// worker's server polls a request twice at once, which is why yielding would not do.
#[expect(clippy::disallowed_methods, reason = "it ends at once")]
async fn behind_what_is_ready() {
    let _ended = tokio::spawn(async {}).await;
}

/// A read that nobody else's has to do with: when whoever made it along failed or went away, each finds out for
/// itself how it ends.
async fn alone<T>(
    id: &str,
    read: impl AsyncFn(&[&str]) -> Result<Vec<(String, T)>, StoreError>,
) -> Result<Option<T>, StoreError> {
    let found = read(&[id]).await?;
    Ok(found.into_iter().next().map(|(_, found)| found))
}
