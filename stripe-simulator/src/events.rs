//! Events: facts about objects, kept for `/v1/events` and handed to webhook delivery.

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::clock::Timestamp;
use crate::resources::shared::rfc3339;
use crate::store::{Key, Stored};

/// One event. The object is kept as text: events are by far the most numerous objects.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) created: Timestamp,
    pub(crate) livemode: bool,
    pub(crate) api_version: String,
    pub(crate) object: Box<str>,
    pub(crate) previous_attributes: Option<Box<str>>,
    pub(crate) request: Option<RequestStamp>,
    pub(crate) pending_webhooks: u32,
    /// The account's time when it happened; `created` is that of the object's clock.
    pub(crate) recorded: Timestamp,
    /// The id of the object it is about.
    pub(crate) about: String,
}

/// The request that caused an event.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestStamp {
    pub(crate) id: String,
    pub(crate) idempotency_key: Option<String>,
}

impl Stored for Event {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("type", self.kind.clone()), ("about", self.about.clone())]
    }
}

impl Event {
    /// The event as Stripe shows it.
    pub(crate) fn render(&self) -> Value {
        let mut data = Map::new();
        data.insert("object".to_owned(), parse(&self.object));
        if let Some(previous) = &self.previous_attributes {
            data.insert("previous_attributes".to_owned(), parse(previous));
        }
        let request = self.request.as_ref();
        json!({
            "id": self.id,
            "object": "event",
            "api_version": self.api_version,
            "created": self.created,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": self.pending_webhooks,
            "request": {
                "id": request.map(|stamp| &stamp.id),
                "idempotency_key": request.and_then(|stamp| stamp.idempotency_key.as_ref()),
            },
            "type": self.kind,
        })
    }
}

impl Event {
    /// Its type among the events of `/v2/core`, where v1's carry a prefix.
    pub(crate) fn thin_kind(&self) -> String {
        if self.kind.starts_with("v2.") {
            self.kind.clone()
        } else {
            format!("v1.{}", self.kind)
        }
    }

    /// The event as `/v2/core/events` and thin payloads show it: it names the object only.
    pub(crate) fn render_thin(&self) -> Value {
        let reason = self.request.as_ref().map(|stamp| {
            json!({
                "type": "request",
                "request": {
                    "id": stamp.id,
                    "idempotency_key": stamp.idempotency_key.as_deref().unwrap_or_default(),
                },
            })
        });
        json!({
            "id": self.id,
            "object": "v2.core.event",
            "context": null,
            "created": rfc3339(self.created),
            "livemode": self.livemode,
            "reason": reason,
            "snapshot_event": (!self.kind.starts_with("v2.")).then_some(&self.id),
            "type": self.thin_kind(),
        })
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

impl Account {
    /// Records that something happened to an object, as the object is now.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value) {
        self.record(kind, object, None);
    }

    /// Records an update with what the changed fields were before; nothing when nothing changed.
    pub(crate) fn emit_updated(&mut self, kind: &str, before: &Value, after: &Value) {
        let previous = previous_attributes(before, after);
        if !previous.is_empty() {
            self.record(kind, after, Some(&Value::Object(previous)));
        }
    }

    /// Keeps an event and hands it to the webhook endpoints that want it; the answer is its id.
    pub(crate) fn record(
        &mut self,
        kind: &str,
        object: &Value,
        previous: Option<&Value>,
    ) -> String {
        // Pinned or not, nothing is told of before it is made.
        let made = object.get("created").and_then(Value::as_i64);
        let pinned = self.outbox.plan.pin_created;
        let created = pinned.map(|pin| made.map_or(pin, |made| made.max(pin)));
        let event = Event {
            id: self.ids.long("evt_"),
            kind: kind.to_owned(),
            created: created.unwrap_or_else(|| self.now()),
            recorded: self.clocks.account_now(),
            livemode: self.livemode,
            api_version: crate::API_VERSION.to_owned(),
            object: object.to_string().into(),
            previous_attributes: previous.map(|value| value.to_string().into()),
            request: self.current_request.clone(),
            pending_webhooks: 0,
            about: object
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        let id = event.id.clone();
        self.events.insert(event);
        let pending = self.dispatch(&id, kind);
        if pending > 0
            && let Some(mut event) = self.events.get_mut(&id)
        {
            event.pending_webhooks = pending;
        }
        id
    }
}

/// The fields that differ, with their values before. Hashes are compared field by field, lists
/// whole, as Stripe does.
pub(crate) fn previous_attributes(before: &Value, after: &Value) -> Map<String, Value> {
    let mut previous = Map::new();
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return previous;
    };
    for (name, old) in before {
        match after.get(name) {
            Some(new) if new == old => {}
            Some(new) if old.is_object() && new.is_object() => {
                previous.insert(name.clone(), Value::Object(previous_attributes(old, new)));
            }
            _ => {
                previous.insert(name.clone(), old.clone());
            }
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        previous.insert(name.clone(), Value::Null);
    }
    previous
}
