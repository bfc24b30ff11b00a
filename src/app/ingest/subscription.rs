//! What Stripe says of subscriptions.

use super::event::{Incoming, Place};
use super::names::ours_in;
use super::work::{Named, Verdict, Work};
use crate::app::stripe_metadata as ours;
use crate::clock::Timestamp;
use crate::domain::inbox::{Age, Status as Settled};
use crate::domain::slug::Slug;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::{
    Period, PlanAt, Snapshot, SnapshotMethod, Status, StripeStatus, Subscription,
};
use crate::store::stripe_objects::{PAYMENT_METHOD, PRICE, SUBSCRIPTION, StripeObject};
use crate::stripe::{Expandable, subscriptions as there};

/// News, and how well its time is known.
#[derive(Clone, Copy)]
pub(super) struct News {
    /// When it was so, by Stripe's clock.
    pub(super) at: Timestamp,
    /// Whether nothing that is known can be later: it was asked for after that was heard.
    pub(super) surely_last: bool,
    /// Whether to wait for what it names and is not known here.
    pub(super) patient: bool,
}

impl News {
    /// How it stands to what was last taken over.
    pub(super) fn age(&self, known: Option<Timestamp>) -> Age {
        if self.surely_last {
            Age::Newer
        } else {
            Age::of(self.at, known)
        }
    }

    /// The fence after it.
    pub(super) fn fence(&self, known: Option<Timestamp>) -> Timestamp {
        known.map_or(self.at, |known| known.max(self.at))
    }
}

impl Work<'_> {
    /// Takes over what Stripe says of a subscription.
    pub(super) fn subscription(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::Subscription,
        news: News,
    ) -> Verdict {
        let linked = self.link(place, &said.id).is_some();
        let before = match self.own_subscription(event, place, said) {
            Ok(before) => before,
            Err(other) => return other,
        };
        if !event.is_pinned() && !news.surely_last {
            return Verdict::Refetch;
        }
        let (snapshot, missing) = self.snapshot(event, place, &before, said, news.at);
        let (settled, after) = before.hear(&snapshot, news.surely_last, self.now);
        let adopted = !linked && after.stripe.as_ref() == Some(&snapshot.link);
        if !linked && !adopted {
            // It follows nothing any more: it ended before it was there.
            return Verdict::Foreign;
        }
        if adopted {
            let object = StripeObject {
                account_id: place.account.clone(),
                mode: place.mode,
                stripe_id: said.id.clone(),
                kind: SUBSCRIPTION.to_owned(),
                local_id: before.id.clone(),
            };
            self.know(&event.portal, object);
        }
        self.put_subscription(event, after);
        match (settled, missing.filter(|_| news.patient)) {
            (Settled::Applied, Some(method)) => Verdict::Missing(Named::Method(method)),
            (Settled::Stale, _) => Verdict::Stale,
            (Settled::Refetch, _) => Verdict::Refetch,
            _ => Verdict::Applied,
        }
    }

    /// The row that a subscription of Stripe's is, or what becomes of the event without one.
    fn own_subscription(
        &self,
        event: &Incoming,
        place: &Place,
        said: &there::Subscription,
    ) -> Result<Subscription, Verdict> {
        let row = |id: &str| {
            let found = self.subscriptions.get(id).map(|row| row.it.clone());
            found.filter(|it| it.portal == event.portal)
        };
        if let Some(link) = self.link(place, &said.id) {
            let ours = link.portal == event.portal && link.kind == SUBSCRIPTION;
            let found = row(&link.local_id).filter(|_| ours);
            return found.ok_or(Verdict::Foreign);
        }
        let Some(id) = ours_in(&said.metadata, event, ours::SUBSCRIPTION) else {
            return Err(Verdict::Foreign);
        };
        let maker = said.metadata.get(ours::OPERATION).map(String::as_str);
        if self.is_unsettled(maker) {
            return Err(Verdict::Parked);
        }
        let Some(found) = row(id) else {
            let status = said.status.as_ref().map(StripeStatus::from);
            let lives = status.and_then(|it| it.ours()).is_some_and(is_running);
            return Err(if lives {
                Verdict::Dead(
                    "a live subscription at Stripe is this portal's and has no row".into(),
                )
            } else {
                Verdict::Foreign
            });
        };
        // One of another life: an earlier try of the same row, or one that was moved.
        if found.stripe.is_some() {
            return Err(Verdict::Foreign);
        }
        Ok(found)
    }

    /// What Stripe says, in our words, and the payment method of it that is not known here.
    fn snapshot(
        &self,
        event: &Incoming,
        place: &Place,
        subscription: &Subscription,
        said: &there::Subscription,
        at: Timestamp,
    ) -> (Snapshot, Option<String>) {
        let item = said.items.data.first();
        let price = item.and_then(|item| item.price.as_ref());
        let plan = price
            .and_then(|price| self.local(event, PRICE, &price.id))
            .and_then(|local| plan_at(&local, subscription));
        let method = said.default_payment_method.as_ref().map(Expandable::id);
        let known = method.map(|id| (id, self.local(event, PAYMENT_METHOD, id)));
        let (payment_method, missing) = match known {
            None => (SnapshotMethod::CustomersDefault, None),
            Some((_, Some(local))) => (SnapshotMethod::Ours(local), None),
            Some((id, None)) => (SnapshotMethod::Unknown, Some(id.to_owned())),
        };
        let period = said.current_period_start().zip(said.current_period_end());
        let snapshot = Snapshot {
            link: StripeLink {
                account: place.account.clone(),
                mode: place.mode,
                id: said.id.clone(),
            },
            status: said
                .status
                .as_ref()
                .map_or_else(|| StripeStatus::Other(String::new()), StripeStatus::from),
            item: item.map(|item| item.id.clone()),
            plan,
            quantity: item
                .and_then(|item| item.quantity)
                .and_then(|quantity| i64::try_from(quantity).ok()),
            period: period.map(|(start, end)| Period { start, end }),
            trial_end: said.trial_end,
            cancel_at: said.cancel_at,
            canceled_at: said.canceled_at,
            ended_at: said.ended_at,
            payment_method,
            latest_invoice: said.latest_invoice.as_ref().map(|it| it.id().to_owned()),
            at,
        };
        (snapshot, missing)
    }
}

/// Which plan of the subscription's product a price is, by its local id, `product/plan/revision`.
fn plan_at(local: &str, subscription: &Subscription) -> Option<PlanAt> {
    let mut parts = local.split('/');
    let product = parts.next()?;
    let plan = Slug::parse(parts.next()?)?;
    let revision = parts.next()?.parse().ok()?;
    (product == subscription.product.as_str()).then_some(PlanAt { plan, revision })
}

const fn is_running(status: Status) -> bool {
    matches!(
        status,
        Status::Trialing | Status::Active | Status::PastDue | Status::Unpaid | Status::Paused
    )
}
