//! Events: facts about objects, kept for `/v1/events` and handed to webhook delivery.

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::clock::Timestamp;
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

    fn record(&mut self, kind: &str, object: &Value, previous: Option<&Value>) {
        let event = Event {
            id: self.ids.long("evt_"),
            kind: kind.to_owned(),
            created: self.now(),
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
        self.events.insert(event);
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
