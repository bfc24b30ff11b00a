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

/// What was found; or why the database answers nobody.
type Answer<T> = Result<Option<T>, String>;

/// An id, and who waits for what is under it.
type Waiting<T> = (String, oneshot::Sender<Answer<T>>);

/// The reads that wait.
pub(super) struct Together<T> {
    waiting: Mutex<Vec<Waiting<T>>>,
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
        if let Some(answer) = self.heard(id, &read).await? {
            return answer.map_err(StoreError::Unavailable);
        }
        // Each finds out for itself how it ends, then.
        let found = read(&[id]).await?;
        Ok(found.into_iter().next().map(|(_, found)| found))
    }

    /// What was heard of `id` from whoever read it; `None` when that one failed or went away.
    async fn heard(
        &self,
        id: &str,
        read: &impl AsyncFn(&[&str]) -> Result<Vec<(String, T)>, StoreError>,
    ) -> Result<Option<Answer<T>>, StoreError> {
        let mut answer = self.wait_for(id);
        let _turn = tokio::select! {
            biased;
            answered = &mut answer => return Ok(answered.ok()),
            turn = self.turn.lock() => turn,
        };
        behind_what_is_ready().await;
        loop {
            match answer.try_recv() {
                Ok(answer) => return Ok(Some(answer)),
                Err(TryRecvError::Closed) => return Ok(None),
                Err(TryRecvError::Empty) => self.read_next(read).await?,
            }
        }
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
        let found: Result<HashMap<String, T>, String> = match read(&ids).await {
            Ok(found) => Ok(found.into_iter().collect()),
            Err(StoreError::Unavailable(cause)) => Err(cause),
            // What is wrong with one of them is nothing to the others, who ask again.
            Err(error) => return Err(error),
        };
        for (id, waiting) in those {
            let answer = found.as_ref().map(|found| found.get(&id).cloned());
            // Who does not wait any more needs no answer.
            let _gone = waiting.send(answer.map_err(String::clone));
        }
        Ok(())
    }

    fn wait_for(&self, id: &str) -> oneshot::Receiver<Answer<T>> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((id.to_owned(), answer));
        answered
    }

    /// The oldest of those that wait.
    fn next(&self) -> Vec<Waiting<T>> {
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::pending;

    use futures_util::future::join_all;

    use super::*;

    /// What is stored under every id but `none`.
    fn found(ids: &[&str]) -> Vec<(String, String)> {
        let there = ids.iter().filter(|id| **id != "none");
        there
            .map(|id| ((*id).to_owned(), format!("of {id}")))
            .collect()
    }

    #[tokio::test]
    async fn a_database_that_answers_nobody_is_asked_once_for_all() {
        let together: Together<String> = Together::default();
        let statements = Cell::new(0);
        let read = async |_: &[&str]| {
            statements.set(statements.get() + 1);
            Err(StoreError::Unavailable("for a test".to_owned()))
        };
        let answers = join_all(["a", "b", "c"].map(|id| together.get(id, &read))).await;
        let same =
            |answer| matches!(answer, &Err(StoreError::Unavailable(ref it)) if it == "for a test");
        assert!(answers.iter().all(same));
        assert_eq!(statements.get(), 1);
    }

    #[tokio::test]
    async fn reads_that_wait_are_one_statement_and_each_has_its_own_answer() {
        let together = Together::default();
        let statements = RefCell::new(Vec::new());
        let read = async |ids: &[&str]| {
            statements.borrow_mut().push(ids.len());
            tokio::task::yield_now().await;
            Ok(found(ids))
        };
        let ids: Vec<String> = (0..100).map(|number| format!("{}", number % 90)).collect();
        let answers = join_all(ids.iter().map(|id| together.get(id, &read))).await;
        for (id, answer) in ids.iter().zip(answers) {
            assert_eq!(answer.unwrap(), Some(format!("of {id}")));
        }
        assert_eq!(*statements.borrow(), [64, 36]);
        assert_eq!(together.get("none", &read).await.unwrap(), None);
    }

    #[tokio::test]
    async fn when_one_cannot_be_read_each_finds_out_for_itself() {
        let together = Together::default();
        let statements = Cell::new(0);
        let read = async |ids: &[&str]| {
            statements.set(statements.get() + 1);
            if ids.len() > 1 || ids == ["bad"] {
                return Err(StoreError::corrupt("for a test"));
            }
            Ok(found(ids))
        };
        let ids = ["good", "bad", "better"];
        let answers = join_all(ids.map(|id| together.get(id, &read))).await;
        // Whoever made the statement hears of it, and so does who cannot be answered alone either.
        let good: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!((good, statements.get()), (vec![false, false, true], 3));
    }

    #[tokio::test]
    async fn who_goes_away_while_reading_holds_nobody_up() {
        let together = Together::default();
        let never = async |_: &[&str]| pending().await;
        let read = async |ids: &[&str]| Ok(found(ids));
        let mut second = Box::pin(together.get("second", &read));
        let taken = async {
            while together.turn.try_lock().is_ok() || !together.waiting.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = together.get("first", &never) => unreachable!("it never ends"),
            _ = &mut second => unreachable!("the first one reads for it"),
            () = taken => {}
        }
        // The first is gone, with what it was to read.
        assert_eq!(second.await.unwrap(), Some("of second".to_owned()));
        assert_eq!(
            together.get("third", &read).await.unwrap(),
            Some("of third".to_owned())
        );
    }
}
