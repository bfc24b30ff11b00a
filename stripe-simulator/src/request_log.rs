//! What was asked of the simulator, for tests to look at.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::clock::Timestamp;

/// Requests that the log keeps; the counts go on beyond.
const MAX_ENTRIES: usize = 10_000;

/// One request of Stripe's API.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedRequest {
    pub(crate) id: String,
    pub(crate) at: Timestamp,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Such as `/v1/customers/{customer}`; empty when no route fitted.
    pub(crate) template: &'static str,
    /// The API key, if one was found.
    pub(crate) key: String,
    pub(crate) account: String,
    pub(crate) livemode: bool,
    pub(crate) api_version: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) params: Value,
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) error: Option<String>,
    pub(crate) fault: Option<&'static str>,
}

impl LoggedRequest {
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "template": self.template,
            "key": self.key,
            "account": self.account,
            "livemode": self.livemode,
            "api_version": self.api_version,
            "idempotency_key": self.idempotency_key,
            "params": self.params,
            "status": self.status,
            "replayed": self.replayed,
            "error": self.error,
            "fault": self.fault,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    pub(crate) entries: VecDeque<LoggedRequest>,
    /// By `POST /v1/customers`.
    pub(crate) counts: BTreeMap<(String, &'static str), u64>,
    pub(crate) total: u64,
}

impl RequestLog {
    pub(crate) fn push(&mut self, entry: LoggedRequest) {
        self.total += 1;
        *self
            .counts
            .entry((entry.method.clone(), entry.template))
            .or_default() += 1;
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}
