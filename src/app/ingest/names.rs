//! What a batch of events names, to be read at once.

use std::collections::{BTreeSet, HashMap};

use super::event::{About, Incoming};
use crate::app::stripe_metadata as ours;
use crate::domain::stripe_key::Mode;
use crate::stripe::{Expandable, Metadata};

/// An object at Stripe: account, whether in live mode, id.
pub(super) type LinkKey = (String, bool, String);

/// The ids that a batch names.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) at_stripe: HashMap<(&'a str, Mode), BTreeSet<&'a str>>,
    pub(super) customers: BTreeSet<String>,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) methods: BTreeSet<String>,
    pub(super) invoices: BTreeSet<String>,
    /// Stripe's ids of invoices that subscriptions are about to show as their last.
    pub(super) latest: BTreeSet<&'a str>,
    /// Operations that may still be about to link an object of Stripe's, each with that object.
    pub(super) operations: Vec<(LinkKey, &'a str)>,
    /// Customers that are gone at Stripe, by their ids there.
    pub(super) gone: Vec<LinkKey>,
}

impl<'a> Names<'a> {
    /// What these events name.
    pub(super) fn of(events: &[&'a Incoming]) -> Self {
        let mut names = Self::default();
        for event in events {
            names.add(event);
        }
        names
    }

    #[expect(clippy::too_many_lines, reason = "one arm per kind of event")]
    fn add(&mut self, event: &'a Incoming) {
        let (Some(place), Ok(about)) = (&event.place, &event.about) else {
            return;
        };
        let key = |id: &str| (place.account.clone(), place.mode.livemode(), id.to_owned());
        let there = self
            .at_stripe
            .entry((place.account.as_str(), place.mode))
            .or_default();
        match about {
            About::Subscription(said) => {
                there.insert(&said.id);
                there.extend(said.customer.as_ref().map(Expandable::id));
                there.extend(said.default_payment_method.as_ref().map(Expandable::id));
                let item = said.items.data.first();
                there.extend(item.and_then(|item| Some(item.price.as_ref()?.id.as_str())));
                self.latest
                    .extend(said.latest_invoice.as_ref().map(Expandable::id));
                let local = ours_in(&said.metadata, event, ours::SUBSCRIPTION);
                self.subscriptions.extend(local.map(str::to_owned));
                let maker = said.metadata.get(ours::OPERATION);
                self.operations
                    .extend(maker.map(|maker| (key(&said.id), maker.as_str())));
            }
            About::Customer { said, deleted } => {
                there.insert(&said.id);
                let default = said.invoice_settings.default_payment_method.as_ref();
                there.extend(default.map(Expandable::id));
                let local = ours_in(&said.metadata, event, ours::CUSTOMER);
                self.customers.extend(local.map(str::to_owned));
                let maker = said.metadata.get(ours::OPERATION);
                self.operations
                    .extend(maker.map(|maker| (key(&said.id), maker.as_str())));
                if *deleted || said.deleted {
                    self.gone.push(key(&said.id));
                }
            }
            About::Method { said, .. } => {
                there.insert(&said.id);
                there.extend(said.customer.as_ref().map(Expandable::id));
                let maker = event.operation.as_deref();
                self.operations
                    .extend(maker.map(|maker| (key(&said.id), maker)));
            }
            About::SetUp(said) => {
                there.extend(said.customer.as_ref().map(Expandable::id));
                if let Some(method) = said.payment_method.as_ref().map(Expandable::id) {
                    there.insert(method);
                    let made = said.metadata.get(ours::OPERATION).map(String::as_str);
                    let makers = made.into_iter().chain(event.operation.as_deref());
                    self.operations
                        .extend(makers.map(|maker| (key(method), maker)));
                }
            }
            About::Checkout(said) => {
                there.extend(said.customer.as_ref().map(Expandable::id));
                let local = ours_in(&said.metadata, event, ours::SUBSCRIPTION);
                self.subscriptions.extend(local.map(str::to_owned));
                let made = said.metadata.get(ours::OPERATION).map(String::as_str);
                let makers = made.into_iter().chain(event.operation.as_deref());
                self.operations
                    .extend(makers.map(|maker| (key(&said.id), maker)));
            }
            About::Catalog { .. } => {
                there.insert(&event.object_id);
            }
            About::Invoice { said, .. } => {
                there.insert(&said.id);
                there.extend(said.customer.as_ref().map(Expandable::id));
                if let Some(subscription) = said.subscription() {
                    there.insert(subscription);
                    let metadata = said.subscription_metadata();
                    let local =
                        metadata.and_then(|metadata| ours_in(metadata, event, ours::SUBSCRIPTION));
                    self.subscriptions.extend(local.map(str::to_owned));
                    let maker = metadata.and_then(|metadata| metadata.get(ours::OPERATION));
                    self.operations
                        .extend(maker.map(|maker| (key(subscription), maker.as_str())));
                }
            }
            About::OfInvoice(id) => {
                there.insert(id);
            }
            About::Nothing => {}
        }
    }
}

/// Our id of that kind in an object's metadata, if the object says that it is this portal's.
pub(super) fn ours_in<'a>(metadata: &'a Metadata, event: &Incoming, kind: &str) -> Option<&'a str> {
    let portal = metadata.get(ours::PORTAL)?;
    (*portal == event.portal.as_str())
        .then(|| metadata.get(kind))
        .flatten()
        .map(String::as_str)
}
