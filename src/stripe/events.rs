//! The events of Stripe's that this service lives by.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stripe_core::event::{ListEvent, RetrieveEvent};

use super::request::{Created, FrozenRequest, Page, owned, paged};
use super::wire::{identified, null_as_default, seconds};
use super::{StripeError, path_id};
use crate::clock::Timestamp;

/// The event types that our webhook endpoints subscribe to: all of `setup_intent.*`,
/// `payment_method.*`, `customer.*` (subscriptions included), `invoice.*`, `charge.dispute.*`,
/// `refund.*`, `credit_note.*`, `checkout.session.*`, `price.*`, `product.*`, and two single ones.
/// Stripe takes no patterns, so that each stands here by name; a test holds the list against the
/// contract of the pinned version.
pub const EVENT_TYPES: &[&str] = &[
    "billing.alert.triggered",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "customer.created",
    "customer.deleted",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.source.created",
    "customer.source.deleted",
    "customer.source.expiring",
    "customer.source.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.tax_id.created",
    "customer.tax_id.deleted",
    "customer.tax_id.updated",
    "customer.updated",
    "invoice.created",
    "invoice.deleted",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_attempt_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.upcoming",
    "invoice.updated",
    "invoice.voided",
    "invoice.will_be_due",
    "invoice_payment.paid",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.created",
    "refund.failed",
    "refund.updated",
    "setup_intent.canceled",
    "setup_intent.created",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
];

/// Which events to list. Stripe keeps them for 30 days, and shows them a little late.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter<'a> {
    /// Of these types, at most 20; empty: of all.
    pub types: &'a [&'a str],
    /// When they happened.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists events, newest first.
pub fn list(filter: &EventFilter<'_>) -> FrozenRequest {
    let mut list = ListEvent::new();
    if !filter.types.is_empty() {
        list = list.types(owned(filter.types));
    }
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

/// Reads an event of the last 30 days.
pub fn retrieve(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&RetrieveEvent::new(path_id(id)?)))
}

/// What this service reads of Stripe's `Event`: of a list, and of the body of a webhook. `Debug`
/// does not show what it carries.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// What happened, such as `invoice.paid`.
    #[serde(default, rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    /// When it happened, in whole seconds: many events share one.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// The version that the object is rendered in.
    #[serde(default)]
    pub api_version: Option<String>,
    /// To what.
    #[serde(default, deserialize_with = "null_as_default")]
    pub data: EventData,
    /// Which request made it happen; `None`: none did.
    #[serde(default)]
    pub request: Option<EventRequest>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Event);

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Event")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("created", &self.created)
            .field("livemode", &self.livemode)
            .finish_non_exhaustive()
    }
}

impl Event {
    /// The object as one of ours; `None` when it cannot be read as that.
    pub fn object<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(&self.data.object).ok()
    }

    /// What the object is, such as `subscription`.
    pub fn object_kind(&self) -> Option<&str> {
        self.data.object.get("object")?.as_str()
    }

    /// The object's id; a few objects have none.
    pub fn object_id(&self) -> Option<&str> {
        self.data.object.get("id")?.as_str()
    }
}

/// What an event is about. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Deserialize)]
pub struct EventData {
    /// The object as it was when the event happened, which may be long ago.
    #[serde(default)]
    pub object: Value,
    /// The values that changed, as they were before.
    #[serde(default)]
    pub previous_attributes: Option<Value>,
}

/// The request that made an event happen.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct EventRequest {
    /// `req_…`.
    #[serde(default)]
    pub id: Option<String>,
    /// Its idempotency key: ours, when we made it.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::Subscription;

    #[test]
    fn events_are_listed_and_read() {
        let filter = EventFilter {
            types: &["invoice.paid", "invoice.voided"],
            created: Created::since(Timestamp::from_seconds(7)),
            page: Page::largest(Some("evt_9")),
        };
        assert_eq!(
            list(&filter).shown(),
            [
                "GET /v1/events",
                "created[gte]=7",
                "limit=100",
                "starting_after=evt_9",
                "types[0]=invoice.paid",
                "types[1]=invoice.voided",
            ]
        );
        assert_eq!(retrieve("evt_1").unwrap().shown(), ["GET /v1/events/evt_1"]);
    }

    #[test]
    fn an_event_is_read_without_knowing_its_object() {
        let event: Event = serde_json::from_str(
            r#"{"id":"evt_1","type":"customer.subscription.updated","created":9,
                "data":{"object":{"object":"subscription","id":"sub_1","status":"active","x":"Canary"},
                        "previous_attributes":{"status":"past_due"}},
                "request":{"id":"req_1","idempotency_key":"oper_1:subscription"}}"#,
        )
        .unwrap();
        assert_eq!(
            (event.object_kind(), event.object_id()),
            (Some("subscription"), Some("sub_1"))
        );
        assert_eq!(event.object::<Subscription>().unwrap().id, "sub_1");
        assert!(event.object::<Vec<u8>>().is_none());
        assert!(!format!("{event:?}").contains("Canary"));
        let key = event.request.unwrap().idempotency_key;
        assert_eq!(key.as_deref(), Some("oper_1:subscription"));
        let bare: Event = serde_json::from_str(r#"{"id":"evt_1","data":null}"#).unwrap();
        assert_eq!(bare.object_id(), None);
    }
}
