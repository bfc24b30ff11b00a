//! What a database can answer besides rows, in one vocabulary for both engines.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::domain::error::{Code, Error};

/// A unique constraint that a caller can violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// A portal of that name exists.
    Portal,
    /// The portal already has credentials of that version, or a current one.
    CredentialsVersion,
    /// The event was stored before.
    StripeEvent,
    /// The portal already has a module row.
    StripeModule,
    /// The object at Stripe is known already, or the thing of ours has one there already.
    StripeObject,
    /// A product, or a plan of it, of that name exists.
    Product,
    /// A customer with that external id exists in the portal.
    CustomerExternalId,
    /// A live subscription of this customer, application and product exists.
    LiveSubscription,
    /// Another operation has the lane.
    Lane,
    /// This version of the subject was published already.
    EventSubject,
    /// The event is on its way to the endpoint already.
    Delivery,
}

impl Unique {
    /// By PostgreSQL's constraint name, or by the columns SQLite names instead.
    const TABLE: [(Self, &'static str, &'static str); 15] = [
        (Self::Portal, "portals_pkey", "portals.id"),
        (
            Self::CredentialsVersion,
            "stripe_credentials_version_key",
            "stripe_credentials.portal_id, stripe_credentials.version",
        ),
        (
            Self::CredentialsVersion,
            "stripe_credentials_current_key",
            "stripe_credentials.portal_id",
        ),
        (
            Self::StripeEvent,
            "stripe_events_pkey",
            "stripe_events.portal_id, stripe_events.event_id",
        ),
        (
            Self::StripeModule,
            "stripe_modules_pkey",
            "stripe_modules.portal_id",
        ),
        (
            Self::StripeObject,
            "stripe_objects_pkey",
            "stripe_objects.account_id, stripe_objects.livemode, stripe_objects.stripe_id",
        ),
        (
            Self::StripeObject,
            "stripe_objects_local_key",
            "stripe_objects.portal_id, stripe_objects.kind, stripe_objects.local_id, \
             stripe_objects.account_id, stripe_objects.livemode",
        ),
        (
            Self::Product,
            "products_pkey",
            "products.portal_id, products.id",
        ),
        (
            Self::Product,
            "plans_pkey",
            "plans.portal_id, plans.product_id, plans.id",
        ),
        (
            Self::CustomerExternalId,
            "customers_external_id_key",
            "customers.portal_id, customers.external_id",
        ),
        (
            Self::LiveSubscription,
            "subscriptions_live_key",
            "subscriptions.customer_id, subscriptions.product_id, subscriptions.application",
        ),
        (
            Self::Lane,
            "operations_lane_key",
            "operations.portal_id, operations.lane_held",
        ),
        (
            Self::EventSubject,
            "events_pkey",
            "events.portal_id, events.position",
        ),
        (
            Self::EventSubject,
            "events_subject_key",
            "events.portal_id, events.subject, events.seq",
        ),
        (
            Self::Delivery,
            "webhook_deliveries_event_key",
            "webhook_deliveries.endpoint_id, webhook_deliveries.position",
        ),
    ];

    fn find(constraint: Option<&str>, message: &str) -> Option<Self> {
        let columns = message.strip_prefix("UNIQUE constraint failed: ");
        Self::TABLE
            .iter()
            .find(|(_, name, sqlite)| constraint == Some(name) || columns == Some(sqlite))
            .map(|(unique, _, _)| *unique)
    }
}

/// What came of two things that were done side by side.
pub type Both<A, B> = (Result<A, StoreError>, Result<B, StoreError>);

/// A failed unit of work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A rule of the product ended the unit of work; nothing was stored.
    #[error("{0}")]
    Rule(#[from] Error),
    /// A unique constraint does not allow it.
    #[error("unique constraint {0:?}")]
    Unique(Unique),
    /// Another unit of work is in the way; the same one may succeed right away.
    #[error("contention: {0}")]
    Contention(String),
    /// The connection is gone.
    #[error("connection lost: {0}")]
    Disconnected(String),
    /// The database cannot take it now: full, out of connections, too slow.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// It was not looked at, because something before it in its transaction failed.
    #[error("not looked at: something before it failed")]
    Moot,
    /// Anything else: a bug of ours or a damaged database.
    #[error("database: {0}")]
    Other(String),
}

impl StoreError {
    /// A stored value that this version cannot read.
    pub fn corrupt(what: &str) -> Self {
        Self::Other(format!("stored value cannot be read: {what}"))
    }

    /// The cause first, of two answers of which one may be there for the other's sake alone.
    pub(super) fn cause_first<A, B>(answers: Both<A, B>) -> Both<A, B> {
        match answers {
            (Err(Self::Moot), Err(cause)) => (Err(cause), Err(Self::Moot)),
            other => other,
        }
    }

    /// Whether running the same unit of work again may help.
    pub(super) fn is_contention(&self) -> bool {
        matches!(self, Self::Contention(_))
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, information) => {
                classify(kind, information.constraint_name(), information.message())
            }
            DieselError::BrokenTransactionManager => Self::Disconnected(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

fn classify(kind: DatabaseErrorKind, constraint: Option<&str>, message: &str) -> StoreError {
    let text = || message.to_owned();
    match kind {
        DatabaseErrorKind::UniqueViolation => Unique::find(constraint, message).map_or_else(
            || StoreError::Other(format!("{constraint:?} {message}")),
            StoreError::Unique,
        ),
        DatabaseErrorKind::SerializationFailure => StoreError::Contention(text()),
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
            StoreError::Disconnected(text())
        }
        _ if has_any(message, &["current transaction is aborted"]) => StoreError::Moot,
        DatabaseErrorKind::ReadOnlyTransaction => StoreError::Unavailable(text()),
        // SQLite reports what it has no kind for as Unknown, and so does PostgreSQL's driver.
        _ if has_any(message, &["is locked", "deadlock detected", "lock timeout"]) => {
            StoreError::Contention(text())
        }
        _ if has_any(
            message,
            &[
                "terminating connection",
                "connection closed",
                "the database system is",
                "error communicating",
            ],
        ) =>
        {
            StoreError::Disconnected(text())
        }
        _ if has_any(
            message,
            &[
                "is full",
                "No space left",
                "disk I/O error",
                "statement timeout",
                "too many clients",
                "readonly database",
                "read-only transaction",
            ],
        ) =>
        {
            StoreError::Unavailable(text())
        }
        _ => StoreError::Other(text()),
    }
}

fn has_any(message: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| message.contains(needle))
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rule(rule) => rule,
            StoreError::Contention(_)
            | StoreError::Disconnected(_)
            | StoreError::Unavailable(_) => Self::unavailable(error),
            // A unique violation that the use case did not expect means two writers met.
            StoreError::Unique(_) => Self::new(
                Code::ConcurrentChange,
                "Another request changed the same thing in between. Read it again and repeat.",
            )
            .with_log(error),
            StoreError::Moot | StoreError::Other(_) => Self::internal(error),
        }
    }
}
