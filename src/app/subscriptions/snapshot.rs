//! What Stripe says of a subscription, in our words: its ids looked up.

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::operation::Operation;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::{
    Period, PlanAt, Snapshot, SnapshotMethod, StripeStatus, Subscription,
};
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::{Conn, StoreError};
use crate::stripe::Expandable;
use crate::stripe::subscriptions::{self as there, SubscriptionStatus};

impl From<&SubscriptionStatus> for StripeStatus {
    fn from(status: &SubscriptionStatus) -> Self {
        match status {
            SubscriptionStatus::Incomplete => Self::Incomplete,
            SubscriptionStatus::IncompleteExpired => Self::IncompleteExpired,
            SubscriptionStatus::Trialing => Self::Trialing,
            SubscriptionStatus::Active => Self::Active,
            SubscriptionStatus::PastDue => Self::PastDue,
            SubscriptionStatus::Canceled => Self::Canceled,
            SubscriptionStatus::Unpaid => Self::Unpaid,
            SubscriptionStatus::Paused => Self::Paused,
            SubscriptionStatus::Other(text) => Self::Other(text.clone()),
        }
    }
}

/// The latest time that the object itself speaks of as past: Stripe's own clock, and the same however
/// often and late the same answer is repeated.
pub(in crate::app) fn spoken_at(said: &there::Subscription) -> Timestamp {
    let created = said.created.unwrap_or(Timestamp::from_millis(0));
    [said.canceled_at, said.ended_at, said.current_period_start()]
        .into_iter()
        .flatten()
        .fold(created, Timestamp::max)
}

/// What it names by Stripe's ids, as far as that is known here.
pub(in crate::app) struct Named {
    price: Option<StripeObject>,
    method: Option<StripeObject>,
}

/// Looks up what Stripe's subscription names.
///
/// # Errors
/// What the database answers.
pub(in crate::app) async fn named_in(
    conn: &mut Conn,
    said: &there::Subscription,
    account: &str,
    mode: Mode,
) -> Result<Named, StoreError> {
    let known = async |conn: &mut Conn, id: Option<&str>| match id {
        None => Ok(None),
        Some(id) => stripe_objects::find(conn, account, mode, id).await,
    };
    let item = said.items.data.first();
    let price = item.and_then(|item| item.price.as_ref());
    let price = price.map(|price| price.id.as_str());
    let method = said.default_payment_method.as_ref().map(Expandable::id);
    let (price, method) = conn
        .both(
            async |conn| known(conn, price).await,
            async |conn| known(conn, method).await,
        )
        .await?;
    Ok(Named { price, method })
}

/// What Stripe said of `subscription` at `at`, with what it names by its own ids looked up.
///
/// # Errors
/// What the database answers.
pub(in crate::app) async fn snapshot(
    conn: &mut Conn,
    subscription: &Subscription,
    said: &there::Subscription,
    account: &str,
    mode: Mode,
    at: Timestamp,
) -> Result<Snapshot, StoreError> {
    let named = named_in(conn, said, account, mode).await?;
    Ok(snapshot_with(subscription, said, named, account, mode, at))
}

/// As [`snapshot`], with what was looked up.
pub(in crate::app) fn snapshot_with(
    subscription: &Subscription,
    said: &there::Subscription,
    named: Named,
    account: &str,
    mode: Mode,
    at: Timestamp,
) -> Snapshot {
    let item = said.items.data.first();
    let payment_method = match (&said.default_payment_method, named.method) {
        (None, _) => SnapshotMethod::CustomersDefault,
        (Some(_), Some(known)) if known.kind == stripe_objects::PAYMENT_METHOD => {
            SnapshotMethod::Ours(known.local_id)
        }
        (Some(_), _) => SnapshotMethod::Unknown,
    };
    let period = said.current_period_start().zip(said.current_period_end());
    Snapshot {
        link: StripeLink {
            account: account.to_owned(),
            mode,
            id: said.id.clone(),
        },
        status: said
            .status
            .as_ref()
            .map_or_else(|| StripeStatus::Other(String::new()), StripeStatus::from),
        item: item.map(|item| item.id.clone()),
        plan: named.price.and_then(|price| plan_at(subscription, &price)),
        quantity: item
            .and_then(|item| item.quantity)
            .and_then(|quantity| i64::try_from(quantity).ok()),
        period: period.map(|(start, end)| Period { start, end }),
        trial_end: said.trial_end,
        cancel_at: said.cancel_at,
        canceled_at: said.canceled_at,
        ended_at: said.ended_at,
        payment_method,
        latest_invoice: said
            .latest_invoice
            .as_ref()
            .map(|invoice| invoice.id().to_owned()),
        at,
    }
}

/// Which plan of the subscription's product has this price. A price that is not one of them says
/// nothing about the plan.
fn plan_at(subscription: &Subscription, price: &StripeObject) -> Option<PlanAt> {
    // `product/plan/revision`, as the catalog names its prices.
    let mut parts = price.local_id.split('/');
    let product = parts.next()?;
    let plan = Slug::parse(parts.next()?)?;
    let revision = parts.next()?.parse().ok()?;
    (product == subscription.product.as_str()).then_some(PlanAt { plan, revision })
}

impl App {
    /// Notes which object at Stripe the subscription is, if that is not noted yet.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) async fn note_at_stripe(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
        id: &str,
    ) -> Result<(), StoreError> {
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let object = StripeObject {
            account_id: account.to_owned(),
            mode,
            stripe_id: id.to_owned(),
            kind: stripe_objects::SUBSCRIPTION.to_owned(),
            local_id: subscription.id.clone(),
        };
        stripe_objects::note(conn, &subscription.portal, object, self.clock.now()).await
    }
}
