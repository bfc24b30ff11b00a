//! Reconciliations as they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::reconcile::ReconciliationView;
use crate::clock::Timestamp;
use crate::domain::reconciliation::{Drift, DriftKind, Kind, Reconciliation, Status};

/// A comparison with Stripe, and what it has found.
#[derive(Serialize, ToSchema)]
#[schema(as = Reconciliation, example = json!({
    "id": "recn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "repair": false,
    "sweep": false,
    "status": "done",
    "error": null,
    "compared": {"customers": 120, "payment_methods": 131, "subscriptions": 140, "invoices": 210, "foreign": 3},
    "drift_count": 1,
    "drift": [{
        "kind": "subscription",
        "object": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
        "stripe": "sub_1QyZ3aAbCdEfGhIj",
        "drift": "differs",
        "fields": ["status", "ended_at"],
        "repaired": false,
        "detail": null
    }],
    "requests": 125,
    "started_at": "2026-11-25T12:00:00.000Z",
    "finished_at": "2026-11-25T12:00:09.000Z"
}))]
pub struct ReconciliationBody {
    /// Its id.
    #[schema(pattern = "^recn_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Whether what is stored here is brought into line.
    repair: bool,
    /// Whether it is a regular one that nobody asked for.
    sweep: bool,
    /// Where it stands.
    status: ReconciliationStatus,
    /// The code of the problem that it was given up for, or that the last call to Stripe met.
    #[schema(required = true)]
    error: Option<String>,
    /// How much was compared so far.
    compared: ReconciliationCompared,
    /// How many differences were found so far.
    #[schema(minimum = 0)]
    drift_count: i64,
    /// The first thousand of them, in the order they were found.
    drift: Vec<ReconciliationDrift>,
    /// Calls made to Stripe so far.
    #[schema(minimum = 0)]
    requests: i64,
    /// When it was begun.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended.
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

/// A comparison with Stripe without what it has found.
#[derive(Serialize, ToSchema)]
pub struct ReconciliationSummary {
    /// Its id.
    #[schema(pattern = "^recn_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Whether what is stored here is brought into line.
    repair: bool,
    /// Whether it is a regular one that nobody asked for.
    sweep: bool,
    /// Where it stands.
    status: ReconciliationStatus,
    /// The code of the problem that it was given up for, or that the last call to Stripe met.
    #[schema(required = true)]
    error: Option<String>,
    /// How much was compared so far.
    compared: ReconciliationCompared,
    /// How many differences were found so far.
    #[schema(minimum = 0)]
    drift_count: i64,
    /// Calls made to Stripe so far.
    #[schema(minimum = 0)]
    requests: i64,
    /// When it was begun.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended.
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

/// How much was compared.
#[derive(Serialize, ToSchema)]
pub struct ReconciliationCompared {
    /// Customers of this portal.
    #[schema(minimum = 0)]
    customers: i64,
    /// Payment methods of its customers.
    #[schema(minimum = 0)]
    payment_methods: i64,
    /// Its subscriptions.
    #[schema(minimum = 0)]
    subscriptions: i64,
    /// Invoices of its customers.
    #[schema(minimum = 0)]
    invoices: i64,
    /// Objects of the account that are not this portal's; they are left alone.
    #[schema(minimum = 0)]
    foreign: i64,
}

/// One difference.
#[derive(Serialize, ToSchema)]
pub struct ReconciliationDrift {
    /// Of what.
    kind: ReconciliationKind,
    /// Our id of it, if it has one.
    #[schema(required = true)]
    object: Option<String>,
    /// Stripe's id of it.
    #[schema(required = true)]
    stripe: Option<String>,
    /// How they differ.
    drift: ReconciliationDriftKind,
    /// The fields that differ.
    fields: Vec<String>,
    /// Whether what is stored here was brought into line.
    repaired: bool,
    /// Why not, where it was to be.
    #[schema(required = true)]
    detail: Option<String>,
}

/// Where a reconciliation stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationStatus {
    /// It goes on by itself.
    Running,
    /// All was compared.
    Done,
    /// It was given up; `error` says why.
    Failed,
}

/// What is compared.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationKind {
    /// A customer.
    Customer,
    /// A payment method.
    PaymentMethod,
    /// A subscription.
    Subscription,
    /// An invoice.
    Invoice,
}

/// How ours and Stripe's differ.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReconciliationDriftKind {
    /// Stripe has it, and here it is not known.
    MissingHere,
    /// It is known here, and Stripe has it no more.
    MissingAtStripe,
    /// Both have it, and they say different things.
    Differs,
}

impl From<Status> for ReconciliationStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Done => Self::Done,
            Status::Failed => Self::Failed,
        }
    }
}

impl From<ReconciliationStatus> for Status {
    fn from(status: ReconciliationStatus) -> Self {
        match status {
            ReconciliationStatus::Running => Self::Running,
            ReconciliationStatus::Done => Self::Done,
            ReconciliationStatus::Failed => Self::Failed,
        }
    }
}

impl From<Drift> for ReconciliationDrift {
    fn from(drift: Drift) -> Self {
        Self {
            kind: match drift.kind {
                Kind::Customer => ReconciliationKind::Customer,
                Kind::PaymentMethod => ReconciliationKind::PaymentMethod,
                Kind::Subscription => ReconciliationKind::Subscription,
                Kind::Invoice => ReconciliationKind::Invoice,
            },
            object: drift.object,
            stripe: drift.stripe_id,
            drift: match drift.drift {
                DriftKind::MissingHere => ReconciliationDriftKind::MissingHere,
                DriftKind::MissingAtStripe => ReconciliationDriftKind::MissingAtStripe,
                DriftKind::Differs => ReconciliationDriftKind::Differs,
            },
            fields: drift.fields,
            repaired: drift.repaired,
            detail: drift.detail,
        }
    }
}

impl From<Reconciliation> for ReconciliationSummary {
    fn from(it: Reconciliation) -> Self {
        Self {
            id: it.id,
            repair: it.repair,
            sweep: it.sweep_slot.is_some(),
            status: it.status.into(),
            error: it.error,
            compared: ReconciliationCompared {
                customers: it.compared.customers,
                payment_methods: it.compared.payment_methods,
                subscriptions: it.compared.subscriptions,
                invoices: it.compared.invoices,
                foreign: it.compared.foreign,
            },
            drift_count: it.drift,
            requests: it.requests,
            started_at: it.created_at.to_rfc3339(),
            finished_at: it.finished_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<ReconciliationView> for ReconciliationBody {
    fn from(view: ReconciliationView) -> Self {
        let summary = ReconciliationSummary::from(view.it);
        Self {
            id: summary.id,
            repair: summary.repair,
            sweep: summary.sweep,
            status: summary.status,
            error: summary.error,
            compared: summary.compared,
            drift_count: summary.drift_count,
            drift: view
                .drift
                .into_iter()
                .map(ReconciliationDrift::from)
                .collect(),
            requests: summary.requests,
            started_at: summary.started_at,
            finished_at: summary.finished_at,
        }
    }
}
