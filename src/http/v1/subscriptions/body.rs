//! How subscriptions look outside.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::subscriptions::{ActionView, SubscriptionView};
use crate::clock::Timestamp;
use crate::domain::access::{Access, Decision, Reason};
use crate::domain::subscription::{ActionType, Period, Status};
use crate::http::etag::tag_with_digest;
use crate::http::v1::Metadata;

/// A customer's subscription to a plan.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription, example = json!({
    "id": "subn_01kat5bmf0f3x8q2r7w1e4t6y9",
    "customer": "org_01kat5bmf0f3x8q2r7w1e4t6y9",
    "product": "weather",
    "plan": "gold",
    "plan_revision": 1,
    "application": "app-42",
    "status": "active",
    "access": {"decision": "allow", "reason": "active", "until": null},
    "current_period": {"start": "2026-11-25T12:00:00.000Z", "end": "2026-12-25T12:00:00.000Z"},
    "trial_end": null,
    "cancel_at": null,
    "canceled_at": null,
    "ended_at": null,
    "quantity": 1,
    "payment_method": null,
    "latest_invoice": null,
    "scheduled_change": null,
    "action": null,
    "metadata": {},
    "stripe": {
        "account": "acct_1PgafTB1WZ2rYsUu", "livemode": false,
        "subscription": "sub_1Qx7example", "customer": "cus_Qx7example"
    },
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.500Z"
}))]
pub struct SubscriptionBody {
    /// Its id.
    #[schema(pattern = "^subn_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Whose it is.
    #[schema(pattern = "^org_[0-9a-hjkmnp-tv-z]{26}$")]
    customer: String,
    /// The product.
    product: String,
    /// The plan of it.
    plan: String,
    /// Which of the plan's prices.
    #[schema(minimum = 1)]
    plan_revision: i64,
    /// The caller's id of the one application it is for.
    #[schema(required = true)]
    application: Option<String>,
    /// How it stands.
    status: SubscriptionStatus,
    /// Whether it may use the API now.
    access: AccessBody,
    /// The period now, of a paid one.
    #[schema(required = true)]
    current_period: Option<PeriodBody>,
    /// When its trial ends or ended.
    #[schema(required = true, format = DateTime)]
    trial_end: Option<String>,
    /// When it will end.
    #[schema(required = true, format = DateTime)]
    cancel_at: Option<String>,
    /// When somebody asked for its end.
    #[schema(required = true, format = DateTime)]
    canceled_at: Option<String>,
    /// When it ended.
    #[schema(required = true, format = DateTime)]
    ended_at: Option<String>,
    /// Seats, of a plan that has them; else 1.
    #[schema(minimum = 0, maximum = 1_000_000)]
    quantity: i64,
    /// What it is paid with; `null`: the customer's default.
    #[schema(required = true)]
    payment_method: Option<String>,
    /// Its last invoice.
    #[schema(required = true, pattern = "^bill_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    latest_invoice: Option<String>,
    /// The change that is planned.
    #[schema(required = true)]
    scheduled_change: Option<ScheduledChangeBody>,
    /// What the consumer has to do to finish it.
    #[schema(required = true)]
    action: Option<ActionBody>,
    /// The caller's own keys and values.
    #[schema(value_type = Metadata)]
    metadata: BTreeMap<String, String>,
    /// Where it is at Stripe; a free one never is.
    #[schema(required = true)]
    stripe: Option<SubscriptionStripe>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// How a subscription stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    /// The portal has to say yes; nothing was charged.
    PendingApproval,
    /// It is on its way to Stripe.
    Provisioning,
    /// The first payment waits for the consumer; see `action`.
    Incomplete,
    /// It has begun and is not paid for yet.
    Trialing,
    /// It is paid, or free.
    Active,
    /// A payment has failed and is tried again.
    PastDue,
    /// Payments have failed to the last.
    Unpaid,
    /// No period begins until it is resumed.
    Paused,
    /// It has ended. Final.
    Canceled,
    /// The first payment did not come in time. Final.
    Expired,
    /// The portal said no. Final.
    Rejected,
}

impl From<Status> for SubscriptionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::PendingApproval => Self::PendingApproval,
            Status::Provisioning => Self::Provisioning,
            Status::Incomplete => Self::Incomplete,
            Status::Trialing => Self::Trialing,
            Status::Active => Self::Active,
            Status::PastDue => Self::PastDue,
            Status::Unpaid => Self::Unpaid,
            Status::Paused => Self::Paused,
            Status::Canceled => Self::Canceled,
            Status::Expired => Self::Expired,
            Status::Rejected => Self::Rejected,
        }
    }
}

impl From<SubscriptionStatus> for Status {
    fn from(status: SubscriptionStatus) -> Self {
        match status {
            SubscriptionStatus::PendingApproval => Self::PendingApproval,
            SubscriptionStatus::Provisioning => Self::Provisioning,
            SubscriptionStatus::Incomplete => Self::Incomplete,
            SubscriptionStatus::Trialing => Self::Trialing,
            SubscriptionStatus::Active => Self::Active,
            SubscriptionStatus::PastDue => Self::PastDue,
            SubscriptionStatus::Unpaid => Self::Unpaid,
            SubscriptionStatus::Paused => Self::Paused,
            SubscriptionStatus::Canceled => Self::Canceled,
            SubscriptionStatus::Expired => Self::Expired,
            SubscriptionStatus::Rejected => Self::Rejected,
        }
    }
}

/// Whether a subscription may use the API now.
#[derive(Serialize, ToSchema)]
#[schema(as = Access)]
pub struct AccessBody {
    /// The answer.
    decision: AccessDecision,
    /// Why.
    reason: AccessReason,
    /// When the clock alone will change the answer; `null`: never.
    #[schema(required = true, format = DateTime)]
    until: Option<String>,
}

/// Whether the API may be used.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessDecision {
    /// It may.
    Allow,
    /// It may for a while; a payment is missing.
    Grace,
    /// It may not.
    Deny,
}

/// Why the API may or may not be used.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessReason {
    /// It is paid.
    Active,
    /// It is in its trial.
    Trialing,
    /// The plan costs nothing.
    Free,
    /// A payment has failed and is tried again.
    PastDue,
    /// It was never paid.
    Incomplete,
    /// Payments have failed to the last.
    Unpaid,
    /// It is paused.
    Paused,
    /// It has ended.
    Canceled,
    /// It was not paid in time to begin.
    Expired,
    /// The portal has not said yes yet.
    PendingApproval,
    /// There is none.
    NoSubscription,
}

impl From<Decision> for AccessDecision {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::Allow,
            Decision::Grace => Self::Grace,
            Decision::Deny => Self::Deny,
        }
    }
}

impl From<Reason> for AccessReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Active => Self::Active,
            Reason::Trialing => Self::Trialing,
            Reason::Free => Self::Free,
            Reason::PastDue => Self::PastDue,
            Reason::Incomplete => Self::Incomplete,
            Reason::Unpaid => Self::Unpaid,
            Reason::Paused => Self::Paused,
            Reason::Canceled => Self::Canceled,
            Reason::Expired => Self::Expired,
            Reason::PendingApproval => Self::PendingApproval,
            Reason::NoSubscription => Self::NoSubscription,
        }
    }
}

impl From<Access> for AccessBody {
    fn from(access: Access) -> Self {
        Self {
            decision: access.decision.into(),
            reason: access.reason.into(),
            until: access.until.map(Timestamp::to_rfc3339),
        }
    }
}

/// A billing period.
#[derive(Serialize, ToSchema)]
#[schema(as = BillingPeriod)]
pub struct PeriodBody {
    /// Its begin.
    #[schema(format = DateTime)]
    start: String,
    /// Its end, which is the next one's begin.
    #[schema(format = DateTime)]
    end: String,
}

impl From<Period> for PeriodBody {
    fn from(period: Period) -> Self {
        Self {
            start: period.start.to_rfc3339(),
            end: period.end.to_rfc3339(),
        }
    }
}

/// A change that is planned.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduledChange)]
pub struct ScheduledChangeBody {
    /// When it happens.
    #[schema(format = DateTime)]
    at: String,
    /// The plan from then on.
    plan: String,
    /// Seats from then on.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
}

/// What a consumer has to do to finish a subscription.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionAction)]
pub struct ActionBody {
    /// What.
    r#type: SubscriptionActionType,
    /// With it and the publishable key, Stripe.js does it in the portal. `null` in events.
    #[schema(required = true)]
    client_secret: Option<String>,
    /// A page of Stripe's where it can be done instead. That of a Checkout page is `null` in events.
    #[schema(required = true)]
    url: Option<String>,
}

/// What is left to do for a consumer.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionActionType {
    /// Show the bank who is paying (3-D Secure): `stripe.confirmPayment` or `handleNextAction`.
    Authenticate,
    /// The same for what later invoices will be paid with: `stripe.confirmSetup`.
    AuthenticateSetup,
    /// Pay on the Checkout page that is open for it, at `url`.
    Checkout,
}

impl From<ActionView> for ActionBody {
    fn from(action: ActionView) -> Self {
        Self {
            r#type: match action.action_type {
                ActionType::Authenticate => SubscriptionActionType::Authenticate,
                ActionType::AuthenticateSetup => SubscriptionActionType::AuthenticateSetup,
                ActionType::Checkout => SubscriptionActionType::Checkout,
            },
            client_secret: action
                .client_secret
                .map(|secret| secret.expose_secret().to_owned()),
            url: action.url,
        }
    }
}

/// Where a subscription is at Stripe.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionStripe {
    /// The account.
    account: String,
    /// Whether in live mode.
    livemode: bool,
    /// Stripe's id of the subscription.
    subscription: String,
    /// Stripe's id of the customer.
    #[schema(required = true)]
    customer: Option<String>,
}

impl From<SubscriptionView> for SubscriptionBody {
    fn from(view: SubscriptionView) -> Self {
        let SubscriptionView {
            subscription,
            access,
            action,
            stripe_customer,
            latest_invoice,
            ..
        } = view;
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
        Self {
            id: subscription.id,
            customer: subscription.customer,
            product: subscription.product.to_string(),
            plan: subscription.plan.to_string(),
            plan_revision: subscription.plan_revision,
            application: subscription.application,
            status: subscription.status.into(),
            access: access.into(),
            current_period: subscription.period.map(PeriodBody::from),
            trial_end: time(subscription.trial_end),
            cancel_at: time(subscription.cancel_at),
            canceled_at: time(subscription.canceled_at),
            ended_at: time(subscription.ended_at),
            quantity: subscription.quantity,
            payment_method: subscription.payment_method,
            latest_invoice,
            scheduled_change: None,
            action: action.map(ActionBody::from),
            metadata: subscription.metadata,
            stripe: subscription.stripe.map(|link| SubscriptionStripe {
                account: link.account,
                livemode: link.mode.livemode(),
                subscription: link.id,
                customer: stripe_customer,
            }),
            created_at: subscription.created_at.to_rfc3339(),
            updated_at: subscription.updated_at.to_rfc3339(),
        }
    }
}

/// The body with its entity tag, in which `access` stands: it moves by itself.
pub(crate) fn tagged(view: SubscriptionView) -> (String, SubscriptionBody) {
    let version = view.subscription.tag();
    let body = SubscriptionBody::from(view);
    (tag_with_digest(&version, &body), body)
}
