//! Stripe's events, read: what each is about, as far as this service follows it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::domain::inbox::{InboxEvent, Status};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::ids::{Id, Kind};
use crate::stripe::{
    API_VERSION, Bare, CheckoutSession, Customer, Expandable, Invoice, PaymentMethod, SetupIntent,
    Subscription,
};

/// Attempts for which an event waits until what it names comes by itself; then it is asked for.
const PATIENCE: i32 = 3;

/// Where a portal's objects live.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::app) struct Place {
    /// `acct_…`.
    pub(in crate::app) account: String,
    /// The mode.
    pub(in crate::app) mode: Mode,
}

/// What is read of every event.
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    created: i64,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    livemode: Option<bool>,
    #[serde(default)]
    request: Option<RequestOfEvent>,
    #[serde(default)]
    data: Option<DataOf<ObjectId>>,
}

#[derive(Deserialize)]
struct RequestOfEvent {
    #[serde(default)]
    idempotency_key: Option<String>,
}

#[derive(Default, Deserialize)]
struct ObjectId {
    #[serde(default)]
    id: Option<String>,
}

#[derive(Deserialize)]
struct DataOf<T> {
    object: T,
}

#[derive(Deserialize)]
struct Body<T> {
    data: DataOf<T>,
}

/// What an event is about.
pub(in crate::app) enum About {
    /// A subscription as it was.
    Subscription(Box<Subscription>),
    /// A customer as it was.
    Customer {
        /// The customer.
        said: Box<Customer>,
        /// Whether that was its end.
        deleted: bool,
    },
    /// A payment method as it was.
    Method {
        /// The method.
        said: Box<PaymentMethod>,
        /// Whether it was taken from its customer.
        detached: bool,
    },
    /// A payment method was set up for a customer.
    SetUp(Box<SetupIntent>),
    /// A Checkout page was finished, or is over.
    Checkout(Box<CheckoutSession>),
    /// A product or a price that stands for a plan of ours.
    Catalog {
        /// Whether it can be sold.
        active: bool,
    },
    /// An invoice as it was.
    Invoice {
        /// The invoice.
        said: Box<Invoice>,
        /// Whether it tells that the bank wants to see who pays.
        asks: bool,
        /// Whether that was its end, as a draft.
        deleted: bool,
    },
    /// Something that changes an invoice, by Stripe's id of that: a payment, a credit note.
    OfInvoice(String),
    /// Something that nothing here follows.
    Nothing,
}

#[derive(Deserialize)]
struct Sellable {
    #[serde(default)]
    active: Option<bool>,
}

/// What belongs to an invoice.
#[derive(Deserialize)]
struct PartOfInvoice {
    #[serde(default)]
    invoice: Option<Expandable<Bare>>,
}

/// An event on its way in.
pub(in crate::app) struct Incoming {
    /// To whom it was delivered.
    pub(in crate::app) portal: Slug,
    /// Where that portal's objects live; `None`: it has no credentials.
    pub(in crate::app) place: Option<Place>,
    /// `evt_…`.
    pub(in crate::app) id: String,
    /// Stripe's type of it.
    pub(in crate::app) event_type: String,
    /// The version that its object is in; empty where Stripe does not say.
    pub(in crate::app) api_version: String,
    /// Stripe's time of it, in whole seconds.
    pub(in crate::app) created_at: Timestamp,
    /// Whether it is in live mode, where it says so.
    pub(in crate::app) livemode: Option<bool>,
    /// The operation of ours whose call made it happen, by the call's idempotency key.
    pub(in crate::app) operation: Option<String>,
    /// Stripe's id of its object; empty where that has none.
    pub(in crate::app) object_id: String,
    /// What it is about, or why that cannot be read.
    pub(in crate::app) about: Result<About, String>,
    /// The body as it was signed.
    pub(in crate::app) payload: Vec<u8>,
    /// When it arrived.
    pub(in crate::app) received_at: Timestamp,
    /// Attempts after the first.
    pub(in crate::app) attempts: i32,
    /// Whether its payload is stored already.
    pub(super) is_kept: bool,
}

impl Incoming {
    /// An event as it arrived.
    pub(super) fn new(
        portal: Slug,
        place: Option<Place>,
        envelope: Envelope,
        payload: Vec<u8>,
        received_at: Timestamp,
    ) -> Self {
        let about = read(&envelope.event_type, &payload);
        let object = envelope.data.and_then(|data| data.object.id);
        let key = envelope.request.and_then(|it| it.idempotency_key);
        Self {
            portal,
            place,
            id: envelope.id,
            event_type: envelope.event_type,
            api_version: envelope.api_version.unwrap_or_default(),
            created_at: Timestamp::from_seconds(envelope.created),
            livemode: envelope.livemode,
            operation: key.as_deref().and_then(operation_of),
            object_id: object.unwrap_or_default(),
            about,
            payload,
            received_at,
            attempts: 0,
            is_kept: false,
        }
    }

    /// Whether to wait a little longer for what it names and is not known here.
    pub(super) const fn is_patient(&self) -> bool {
        self.attempts < PATIENCE
    }

    /// Whether its object is in the version that this service reads.
    pub(in crate::app) fn is_pinned(&self) -> bool {
        self.api_version == API_VERSION
    }

    /// As it is stored.
    pub(super) fn row(&self) -> InboxEvent {
        InboxEvent {
            portal: self.portal.clone(),
            id: self.id.clone(),
            event_type: self.event_type.clone(),
            api_version: self.api_version.clone(),
            object_id: self.object_id.clone(),
            status: Status::Applied,
            attempts: self.attempts,
            next_attempt_at: None,
            error: None,
            created_at: self.created_at,
            received_at: self.received_at,
        }
    }
}

/// The operation in an idempotency key of ours, `<operation>:<step>`.
fn operation_of(key: &str) -> Option<String> {
    let (operation, _step) = key.split_once(':')?;
    Id::parse(Kind::Operation, operation).map(String::from)
}

/// The place and the kind of what is wrong, not the value: an object may hold addresses.
fn object<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice::<Body<T>>(payload)
        .map(|body| body.data.object)
        .map_err(|error| {
            format!(
                "the object cannot be read ({:?} error at line {} column {})",
                error.classify(),
                error.line(),
                error.column()
            )
        })
}

/// What an event of this type is about.
fn read(event_type: &str, payload: &[u8]) -> Result<About, String> {
    if event_type.starts_with("customer.subscription.") {
        return object(payload).map(About::Subscription);
    }
    if event_type.starts_with("payment_method.") {
        let detached = event_type == "payment_method.detached";
        return object(payload).map(|said| About::Method { said, detached });
    }
    if event_type == "invoice.upcoming" {
        // It is not there yet.
        return Ok(About::Nothing);
    }
    if event_type.starts_with("invoice.") {
        return object(payload).map(|said| About::Invoice {
            said,
            asks: event_type == "invoice.payment_action_required",
            deleted: event_type == "invoice.deleted",
        });
    }
    if event_type.starts_with("invoice_payment.") || event_type.starts_with("credit_note.") {
        let said: PartOfInvoice = object(payload)?;
        let invoice = said.invoice.map(|invoice| invoice.id().to_owned());
        return Ok(invoice.map_or(About::Nothing, About::OfInvoice));
    }
    match event_type {
        "customer.created" | "customer.updated" | "customer.deleted" => {
            let deleted = event_type == "customer.deleted";
            object(payload).map(|said| About::Customer { said, deleted })
        }
        "setup_intent.succeeded" => object(payload).map(About::SetUp),
        "checkout.session.completed" | "checkout.session.expired" => {
            object(payload).map(About::Checkout)
        }
        "price.updated" | "product.updated" => {
            let said: Sellable = object(payload)?;
            Ok(About::Catalog {
                active: said.active != Some(false),
            })
        }
        "price.deleted" | "product.deleted" => Ok(About::Catalog { active: false }),
        _ => Ok(About::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(event_type: &str, object: &str) -> Result<About, String> {
        let body = format!(r#"{{"id":"evt_1","data":{{"object":{object}}}}}"#);
        read(event_type, body.as_bytes())
    }

    #[test]
    fn every_subscribed_type_is_read_or_knowingly_not() {
        for event_type in crate::stripe::EVENT_TYPES {
            let read = about(event_type, r#"{"id":"x_1","object":"x"}"#);
            assert!(read.is_ok(), "{event_type}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_values() {
        let told = about("customer.updated", r#"{"id":"cus_1","name":["Canary"]}"#);
        let told = told.err().unwrap();
        assert!(
            told.contains("line 1") && !told.contains("Canary"),
            "{told}"
        );
    }

    #[test]
    fn an_operation_is_known_by_its_key() {
        let id = "oper_01kat5bmf0f3x8q2r7w1e4t6y9";
        assert_eq!(
            operation_of(&format!("{id}:customer:1")),
            Some(id.to_owned())
        );
        for other in [
            "",
            id,
            "6ecf0d4e",
            "subn_01kat5bmf0f3x8q2r7w1e4t6y9:x",
            "oper_:x",
        ] {
            assert_eq!(operation_of(other), None, "{other}");
        }
    }
}
