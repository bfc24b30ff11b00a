//! What Stripe says of payment methods, and of how they came to be: setup intents and Checkout pages.

use super::event::{Incoming, Place};
use super::names::ours_in;
use super::subscription::News;
use super::work::{Named, Verdict, Work};
use crate::app::stripe_metadata as ours;
use crate::domain::audit::Draft;
use crate::domain::customer::Customer;
use crate::domain::inbox::{Age, Status as Settled, verdict};
use crate::domain::payment_method::{Card, PaymentMethod, State};
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::Status;
use crate::ids::Kind;
use crate::store::stripe_objects::{CUSTOMER, PAYMENT_METHOD, PRICE, PRODUCT, StripeObject};
use crate::stripe::sessions::{CheckoutMode, CheckoutStatus};
use crate::stripe::{CheckoutSession, Expandable, SetupIntent, payment_methods as there};

impl Work<'_> {
    /// Takes over what Stripe says of a payment method. One of a customer of ours that is new here was
    /// saved by a page or a script whose end nobody has told.
    pub(super) fn method_said(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::PaymentMethod,
        detached: bool,
        news: News,
    ) -> Verdict {
        let owner = said.customer.as_ref().map(Expandable::id);
        let owner = owner.and_then(|id| self.local(event, CUSTOMER, id));
        if self.link(place, &said.id).is_none() {
            return self.new_method(event, place, said, owner, news);
        }
        let Some(before) = self.own_method(event, &said.id) else {
            return Verdict::Foreign;
        };
        if !event.is_pinned() && !news.surely_last {
            return Verdict::Refetch;
        }
        if before.state == State::Detached {
            return Verdict::Stale;
        }
        // What waits for its bank is nobody's yet.
        let left = said.customer.is_none() && before.state == State::Usable;
        if detached || (news.surely_last && left) {
            self.detach(event, before, news);
            return Verdict::Applied;
        }
        let age = news.age(before.stripe_at);
        let mut after = before.clone();
        if owner.as_ref() == Some(&before.customer_id) {
            // Attached is attached, whenever that was said.
            after.state = State::Usable;
        }
        if age != Age::Older {
            after.card = said.card.as_ref().map(Card::from);
        }
        match verdict(age, after != before) {
            Settled::Refetch => Verdict::Refetch,
            Settled::Stale => Verdict::Stale,
            _ => {
                after.stripe_at = Some(news.fence(before.stripe_at));
                self.put_method(event, after, "payment_method.updated");
                Verdict::Applied
            }
        }
    }

    fn own_method(&self, event: &Incoming, stripe_id: &str) -> Option<PaymentMethod> {
        let local = self.local(event, PAYMENT_METHOD, stripe_id)?;
        Some(self.methods.get(&local)?.it.clone())
    }

    fn new_method(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::PaymentMethod,
        owner: Option<String>,
        news: News,
    ) -> Verdict {
        if self.is_unsettled(event.operation.as_deref()) {
            return Verdict::Parked;
        }
        let Some(owner) = owner else {
            return Verdict::Foreign;
        };
        if !event.is_pinned() && !news.surely_last {
            return Verdict::Refetch;
        }
        let id = String::from(self.app.ids.new_id(Kind::PaymentMethod));
        let object = StripeObject {
            account_id: place.account.clone(),
            mode: place.mode,
            stripe_id: said.id.clone(),
            kind: PAYMENT_METHOD.to_owned(),
            local_id: id.clone(),
        };
        self.know(&event.portal, object);
        let kind = said.kind.as_ref();
        let method = PaymentMethod {
            id,
            portal: event.portal.clone(),
            customer_id: owner,
            method_type: kind
                .map_or("unknown", there::PaymentMethodKind::as_str)
                .to_owned(),
            state: State::Usable,
            card: said.card.as_ref().map(Card::from),
            stripe: StripeLink {
                account: place.account.clone(),
                mode: place.mode,
                id: said.id.clone(),
            },
            stripe_at: Some(news.at),
            version: 1,
            created_at: self.now,
            updated_at: self.now,
        };
        self.put_method(event, method, "payment_method.created");
        Verdict::Applied
    }

    /// A method that was taken from its customer, for good. A customer whose default it was has none then.
    fn detach(&mut self, event: &Incoming, method: PaymentMethod, news: News) {
        let owner = self.customer(&event.portal, &method.customer_id).cloned();
        if let Some(owner) = owner
            && owner.default_payment_method.as_ref() == Some(&method.id)
        {
            let without = Customer {
                default_payment_method: None,
                ..owner
            };
            self.put_customer(event, without);
        }
        let detached = PaymentMethod {
            state: State::Detached,
            stripe_at: Some(news.fence(method.stripe_at)),
            ..method
        };
        self.put_method(event, detached, "payment_method.deleted");
    }

    /// A setup intent has succeeded: what it has set up can be paid with.
    pub(super) fn set_up(&mut self, event: &Incoming, said: &SetupIntent, news: News) -> Verdict {
        let Some(id) = said.payment_method.as_ref().map(Expandable::id) else {
            return Verdict::Applied;
        };
        if let Some(before) = self.own_method(event, id) {
            if before.state == State::RequiresAction {
                let usable = PaymentMethod {
                    state: State::Usable,
                    ..before
                };
                self.put_method(event, usable, "payment_method.updated");
            }
            return Verdict::Applied;
        }
        let owner = said.customer.as_ref().map(Expandable::id);
        if owner
            .and_then(|id| self.local(event, CUSTOMER, id))
            .is_none()
        {
            return Verdict::Foreign;
        }
        let maker = said.metadata.get(ours::OPERATION).map(String::as_str);
        if self.is_unsettled(maker) || self.is_unsettled(event.operation.as_deref()) {
            Verdict::Parked
        } else if news.patient {
            Verdict::Missing(Named::Method(id.to_owned()))
        } else {
            Verdict::Applied
        }
    }

    /// A Checkout page was finished, or is over. The method it has saved for a customer without a default
    /// becomes the default, which Stripe has to be told; what was to be paid on one that is over has
    /// expired. What was paid Stripe tells by itself.
    pub(super) fn checkout(&mut self, event: &Incoming, said: &CheckoutSession) -> Verdict {
        if said.status == Some(CheckoutStatus::Expired) {
            return self.checkout_over(event, said);
        }
        let owner = said.customer.as_ref().map(Expandable::id);
        let owner = owner.and_then(|id| self.local(event, CUSTOMER, id));
        let Some(owner) = owner.and_then(|id| self.customer(&event.portal, &id)) else {
            return Verdict::Foreign;
        };
        if said.mode == Some(CheckoutMode::Setup) && owner.default_payment_method.is_none() {
            return Verdict::Save(owner.id.clone());
        }
        Verdict::Applied
    }

    fn checkout_over(&mut self, event: &Incoming, said: &CheckoutSession) -> Verdict {
        let Some(id) = ours_in(&said.metadata, event, ours::SUBSCRIPTION) else {
            return Verdict::Foreign;
        };
        let maker = said.metadata.get(ours::OPERATION).map(String::as_str);
        // Who closes it says why.
        if self.is_unsettled(maker) || self.is_unsettled(event.operation.as_deref()) {
            return Verdict::Parked;
        }
        let found = self.subscriptions.get(id).map(|row| &row.it);
        let waiting = found
            .filter(|it| it.portal == event.portal)
            .filter(|it| it.checkout() == Some(&said.id));
        if let Some(after) = waiting.and_then(|it| it.turned(Status::Expired, self.now)) {
            self.put_subscription(event, after);
        }
        Verdict::Applied
    }

    /// Somebody took what stands for a plan out of sale at Stripe. The catalog is ours, so that it stays
    /// as it is; the portal's audit log says why Stripe refuses new subscriptions to it.
    pub(super) fn catalog(&mut self, event: &Incoming, active: bool) -> Verdict {
        let local = [PRICE, PRODUCT]
            .iter()
            .find_map(|kind| Some((*kind, self.local(event, kind, &event.object_id)?)));
        let Some((kind, local)) = local else {
            return Verdict::Foreign;
        };
        if !active && event.operation.is_none() {
            let mut parts = local.split('/');
            let (product, plan) = (parts.next(), parts.next());
            let draft = Draft {
                action: "plan.withdrawn_at_stripe",
                subject: format!(
                    "/v1/portals/{}/products/{}/plans/{}",
                    event.portal,
                    product.unwrap_or_default(),
                    plan.unwrap_or_default()
                ),
                details: vec![
                    ("object", event.object_id.clone()),
                    ("kind", kind.to_owned()),
                ],
            };
            self.note(event, draft);
        }
        Verdict::Applied
    }
}
