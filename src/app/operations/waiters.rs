//! Requests that wait for an operation of this process to end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::app::answer::Rendered;

/// Who waits for which operation.
#[derive(Default)]
pub(in crate::app) struct Waiters(Mutex<HashMap<String, Vec<oneshot::Sender<Rendered>>>>);

impl Waiters {
    /// Waits for an operation's answer.
    pub(super) fn wait_for(&self, operation: &str) -> oneshot::Receiver<Rendered> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(operation.to_owned()).or_default().push(tell);
        told
    }

    /// Tells everybody who waits.
    pub(super) fn tell(&self, operation: &str, answer: &Rendered) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for waiter in waiting.remove(operation).unwrap_or_default() {
            // Whoever has gone has a stored answer to come back to.
            let _gone = waiter.send(answer.clone());
        }
    }

    /// Forgets those who have gone.
    pub(super) fn forget(&self, operation: &str) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiters) = waiting.get_mut(operation) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                waiting.remove(operation);
            }
        }
    }
}
