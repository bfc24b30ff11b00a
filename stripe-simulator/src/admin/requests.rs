//! The log of requests.

use serde_json::{Map, Value, json};

use super::{AdminCall, AdminReply, AdminRoute};
use crate::request_log::{LoggedRequest, RequestLog};
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/requests",
        does: "the requests so far with counts by operation; {method?, path?, template?, idempotency_key?} filter them",
        handler: show,
    },
    AdminRoute {
        method: "DELETE",
        path: "/requests",
        does: "empties the log",
        handler: clear,
    },
];

fn show(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let is = |name: &str, value: &str| params.text(name).is_none_or(|wanted| wanted == value);
    let log = lock(&call.world.requests);
    let data: Vec<Value> = log
        .entries
        .iter()
        .filter(|entry| {
            is("method", &entry.method)
                && is("path", &entry.path)
                && is("template", entry.template)
                && is(
                    "idempotency_key",
                    entry.idempotency_key.as_deref().unwrap_or_default(),
                )
        })
        .map(LoggedRequest::render)
        .collect();
    let counts: Map<String, Value> = log
        .counts
        .iter()
        .map(|((method, template), count)| (format!("{method} {template}"), (*count).into()))
        .collect();
    Ok(json!({ "total": log.total, "counts": counts, "data": data }))
}

fn clear(call: &AdminCall<'_>) -> AdminReply {
    *lock(&call.world.requests) = RequestLog::default();
    Ok(json!({ "total": 0 }))
}
