//! What Stripe says of customers. Name, e-mail, address and default payment method are followed; tax ids
//! and metadata are ours.

use super::event::{Incoming, Place};
use super::names::ours_in;
use super::subscription::News;
use super::work::{Named, Verdict, Work};
use crate::app::stripe_metadata as ours;
use crate::domain::customer::{self, Address, Customer, NAME_MAX_CHARS};
use crate::domain::inbox::{Age, Status as Settled, verdict};
use crate::domain::payment_method::{PaymentMethod, State};
use crate::domain::stripe_link::StripeLink;
use crate::domain::text;
use crate::store::stripe_objects::{CUSTOMER, PAYMENT_METHOD, StripeObject};
use crate::stripe::{Expandable, customers as there};

impl Work<'_> {
    /// Takes over what Stripe says of a customer.
    pub(super) fn customer_said(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::Customer,
        deleted: bool,
        news: News,
    ) -> Verdict {
        let linked = self.link(place, &said.id).is_some();
        let before = match self.own_customer(event, place, said) {
            Ok(before) => before,
            Err(other) => return other,
        };
        if deleted || said.deleted {
            return self.customer_is_gone(event, place, said, &before, news);
        }
        if !event.is_pinned() && !news.surely_last {
            return Verdict::Refetch;
        }
        let age = news.age(before.stripe_at);
        if age == Age::Older {
            return Verdict::Stale;
        }
        let (default, missing) = self.default_method(event, said, &before);
        let after = Customer {
            name: name_of(said).unwrap_or_else(|| before.name.clone()),
            email: email_of(said).unwrap_or_else(|| before.email.clone()),
            address: address_of(said).unwrap_or_else(|| before.address.clone()),
            default_payment_method: default,
            stripe: Some(StripeLink {
                account: place.account.clone(),
                mode: place.mode,
                id: said.id.clone(),
            }),
            ..before.clone()
        };
        if verdict(age, after != before) == Settled::Refetch {
            return Verdict::Refetch;
        }
        if !linked {
            let object = StripeObject {
                account_id: place.account.clone(),
                mode: place.mode,
                stripe_id: said.id.clone(),
                kind: CUSTOMER.to_owned(),
                local_id: before.id.clone(),
            };
            self.know(&event.portal, object);
        }
        let after = Customer {
            stripe_at: Some(news.fence(before.stripe_at)),
            ..after
        };
        self.put_customer(event, after);
        match missing.filter(|_| news.patient) {
            Some(method) => Verdict::Missing(Named::Method(method)),
            None => Verdict::Applied,
        }
    }

    /// The row that a customer of Stripe's is, or what becomes of the event without one.
    fn own_customer(
        &self,
        event: &Incoming,
        place: &Place,
        said: &there::Customer,
    ) -> Result<Customer, Verdict> {
        if let Some(link) = self.link(place, &said.id) {
            let ours = link.portal == event.portal && link.kind == CUSTOMER;
            let found = self.customer(&event.portal, &link.local_id);
            return found.filter(|_| ours).cloned().ok_or(Verdict::Foreign);
        }
        let Some(id) = ours_in(&said.metadata, event, ours::CUSTOMER) else {
            return Err(Verdict::Foreign);
        };
        let maker = said.metadata.get(ours::OPERATION).map(String::as_str);
        if self.is_unsettled(maker) {
            return Err(Verdict::Parked);
        }
        // One that was deleted there is not taken for a new one by what was on its way before.
        let found = self.customer(&event.portal, id).filter(|it| {
            it.stripe.is_none() && Age::of(event.created_at, it.stripe_at) == Age::Newer
        });
        found.cloned().ok_or(Verdict::Foreign)
    }

    /// Our id of the default payment method, and Stripe's of one that is not known here.
    fn default_method(
        &self,
        event: &Incoming,
        said: &there::Customer,
        before: &Customer,
    ) -> (Option<String>, Option<String>) {
        let default = said.invoice_settings.default_payment_method.as_ref();
        let Some(id) = default.map(Expandable::id) else {
            return (None, None);
        };
        let Some(local) = self.local(event, PAYMENT_METHOD, id) else {
            return (before.default_payment_method.clone(), Some(id.to_owned()));
        };
        let usable = self
            .methods
            .get(&local)
            .is_some_and(|row| row.it.customer_id == before.id && row.it.state != State::Detached);
        (usable.then_some(local), None)
    }

    /// A customer that was deleted at Stripe: it is made anew there when it is needed again. What it paid
    /// with is gone; its subscriptions end by their own events.
    fn customer_is_gone(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::Customer,
        before: &Customer,
        news: News,
    ) -> Verdict {
        self.forget(place, &said.id);
        let after = Customer {
            stripe: before.stripe.clone().filter(|link| link.id != said.id),
            default_payment_method: None,
            stripe_at: Some(news.fence(before.stripe_at)),
            ..before.clone()
        };
        self.put_customer(event, after);
        let lost: Vec<PaymentMethod> = self
            .methods
            .values()
            .map(|row| &row.it)
            .filter(|it| {
                it.customer_id == before.id
                    && it.state != State::Detached
                    && it.stripe.id_in(&place.account, place.mode).is_some()
            })
            .cloned()
            .collect();
        for method in lost {
            let detached = PaymentMethod {
                state: State::Detached,
                ..method
            };
            self.put_method(event, detached, "payment_method.deleted");
        }
        Verdict::Applied
    }
}

/// What Stripe has is taken where it is what could stand here; anything else leaves what is there.
fn name_of(said: &there::Customer) -> Option<String> {
    let mut errors = Vec::new();
    let name = text::line("", said.name.as_deref()?, NAME_MAX_CHARS, &mut errors);
    errors.is_empty().then_some(name)
}

fn email_of(said: &there::Customer) -> Option<String> {
    let mut errors = Vec::new();
    let email = customer::email("", said.email.as_deref()?, &mut errors);
    errors.is_empty().then_some(email)
}

#[expect(
    clippy::option_option,
    reason = "unreadable, none, and an address are three things"
)]
fn address_of(said: &there::Customer) -> Option<Option<Address>> {
    let part = |part: &Option<String>| part.clone().filter(|text| !text.is_empty());
    let parts = said.address.as_ref().map(|it| Address {
        line1: part(&it.line1),
        line2: part(&it.line2),
        city: part(&it.city),
        state: part(&it.state),
        postal_code: part(&it.postal_code),
        country: part(&it.country),
    });
    let mut errors = Vec::new();
    let address = Address::checked("", parts.unwrap_or_default(), &mut errors);
    errors.is_empty().then_some(address)
}
