//! What a batch of events works on: everything it names is read first, changed in memory, and written
//! at the end, each in as few statements as there can be. One batch is one transaction.
//!
//! Customers are locked first, as operations do it, then methods, subscriptions, invoices, each by their
//! ids; the heads of the audit log and of the outbox come last, portal by portal. So nobody waits in a ring.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::event::{Incoming, Place};
use super::invoice::InvoiceRow;
use super::names::{LinkKey, Names};
use super::tell::{Change, Told};
use crate::app::App;
use crate::app::answer::Outcome;
use crate::app::customers::address_of;
use crate::app::subscriptions::ActionView;
use crate::clock::Timestamp;
use crate::domain::access::Rules;
use crate::domain::customer::Customer;
use crate::domain::invoice::Latest;
use crate::domain::payment_method::PaymentMethod;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::subscription::{ActionType, Status, Subscription};
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::subscriptions::Shown;
use crate::store::{self, Conn, StoreError};

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) enum Verdict {
    /// What it says is stored.
    Applied,
    /// Something newer was known.
    Stale,
    /// It is about nothing of this portal's.
    Foreign,
    /// An operation of ours is about to say the same.
    Parked,
    /// It names something of Stripe's that is not known here yet, or not as it is now.
    Missing(Named),
    /// Its place in the order cannot be known.
    Refetch,
    /// The method that a Checkout page has set up is to be saved for this customer, `org_…`.
    Save(String),
    /// It cannot be taken.
    Dead(String),
}

/// What an event names and may have to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) enum Named {
    /// A payment method, by Stripe's id.
    Method(String),
    /// An invoice, by Stripe's id.
    Invoice(String),
}

impl Named {
    /// Stripe's id of it.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Method(id) | Self::Invoice(id) => id,
        }
    }
}

/// A row, and what is to be done with it.
pub(super) struct Row<T> {
    /// As it is now.
    pub(super) it: T,
    /// The version that is stored; `None`: it is new.
    stored: Option<i64>,
    changed: bool,
}

impl<T> Row<T> {
    fn read(it: T, version: i64) -> Self {
        Self {
            it,
            stored: Some(version),
            changed: false,
        }
    }
}

/// Whose an object of Stripe's is.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) portal: Slug,
    pub(super) kind: String,
    pub(super) local_id: String,
}

/// See the module.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) now: Timestamp,
    links: HashMap<LinkKey, Link>,
    pub(super) customers: BTreeMap<String, Row<Customer>>,
    pub(super) methods: BTreeMap<String, Row<PaymentMethod>>,
    pub(super) subscriptions: BTreeMap<String, Row<Subscription>>,
    unsettled: HashSet<String>,
    rules: HashMap<Slug, Rules>,
    actions: HashMap<String, ActionView>,
    pub(super) invoices: BTreeMap<String, InvoiceRow>,
    /// Last invoices of subscriptions, by where they are at Stripe.
    pub(super) latest: HashMap<LinkKey, Latest>,
    new_links: Vec<(Slug, StripeObject)>,
    lost_links: Vec<LinkKey>,
    finished_actions: Vec<String>,
    pub(super) told: BTreeMap<Slug, Told>,
}

pub(super) fn texts(ids: &BTreeSet<String>) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

impl<'a> Work<'a> {
    /// Reads what the events name, and locks what they may change.
    pub(super) async fn load(
        app: &'a App,
        conn: &mut Conn,
        events: &[&Incoming],
    ) -> Result<Self, StoreError> {
        let mut work = Self {
            app,
            now: app.clock.now(),
            links: HashMap::new(),
            customers: BTreeMap::new(),
            methods: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            unsettled: HashSet::new(),
            rules: HashMap::new(),
            actions: HashMap::new(),
            invoices: BTreeMap::new(),
            latest: HashMap::new(),
            new_links: Vec::new(),
            lost_links: Vec::new(),
            finished_actions: Vec::new(),
            told: BTreeMap::new(),
        };
        let mut names = Names::of(events);
        work.load_links(conn, &mut names).await?;
        work.load_rows(conn, &mut names).await?;
        let makers: Vec<&str> = names
            .operations
            .iter()
            .filter(|(object, _)| !work.links.contains_key(object))
            .map(|(_, maker)| *maker)
            .collect();
        if !makers.is_empty() {
            let unsettled = store::operations::unsettled(conn, &makers).await?;
            work.unsettled.extend(unsettled);
        }
        work.load_views(conn).await?;
        work.load_invoices(conn, &names).await?;
        Ok(work)
    }

    async fn load_links(
        &mut self,
        conn: &mut Conn,
        names: &mut Names<'_>,
    ) -> Result<(), StoreError> {
        for ((account, mode), ids) in &names.at_stripe {
            if ids.is_empty() {
                continue;
            }
            let ids: Vec<&str> = ids.iter().copied().collect();
            for (portal, found) in stripe_objects::find_many(conn, account, *mode, &ids).await? {
                match found.kind.as_str() {
                    stripe_objects::CUSTOMER => names.customers.insert(found.local_id.clone()),
                    stripe_objects::PAYMENT_METHOD => names.methods.insert(found.local_id.clone()),
                    stripe_objects::SUBSCRIPTION => {
                        names.subscriptions.insert(found.local_id.clone())
                    }
                    stripe_objects::INVOICE => names.invoices.insert(found.local_id.clone()),
                    _ => false,
                };
                let key = (found.account_id, found.mode.livemode(), found.stripe_id);
                let link = Link {
                    portal,
                    kind: found.kind,
                    local_id: found.local_id,
                };
                self.links.insert(key, link);
            }
        }
        Ok(())
    }

    async fn load_rows(
        &mut self,
        conn: &mut Conn,
        names: &mut Names<'_>,
    ) -> Result<(), StoreError> {
        if !names.customers.is_empty() {
            for it in store::customers::lock_many(conn, &texts(&names.customers)).await? {
                let version = it.version;
                self.customers.insert(it.id.clone(), Row::read(it, version));
            }
        }
        for key in &names.gone {
            if let Some(link) = self.links.get(key) {
                let methods = store::payment_methods::of_customer(conn, &link.local_id).await?;
                names.methods.extend(methods.into_iter().map(|it| it.id));
            }
        }
        if !names.methods.is_empty() {
            for it in store::payment_methods::lock_many(conn, &texts(&names.methods)).await? {
                let version = it.version;
                self.methods.insert(it.id.clone(), Row::read(it, version));
            }
        }
        if !names.subscriptions.is_empty() {
            for it in store::subscriptions::lock_many(conn, &texts(&names.subscriptions)).await? {
                let version = it.version;
                self.subscriptions
                    .insert(it.id.clone(), Row::read(it, version));
            }
        }
        // Whose a subscription or a method is has to be known to tell of it; that is not changed here.
        let known = &self.customers;
        let owners: BTreeSet<String> = self
            .subscriptions
            .values()
            .map(|row| &row.it.customer)
            .chain(self.methods.values().map(|row| &row.it.customer_id))
            .filter(|id| !known.contains_key(*id))
            .cloned()
            .collect();
        if !owners.is_empty() {
            for it in store::customers::find_many(conn, &texts(&owners)).await? {
                let version = it.version;
                self.customers.insert(it.id.clone(), Row::read(it, version));
            }
        }
        Ok(())
    }

    /// What is shown of subscriptions besides themselves.
    async fn load_views(&mut self, conn: &mut Conn) -> Result<(), StoreError> {
        for row in self.subscriptions.values() {
            let subscription = &row.it;
            if !self.rules.contains_key(&subscription.portal) {
                let module = store::stripe_modules::find(conn, &subscription.portal).await?;
                let rules = module.map_or_else(Rules::default, |it| Rules::from(&it.settings));
                self.rules.insert(subscription.portal.clone(), rules);
            }
            if subscription.status == Status::Incomplete {
                let stored = store::subscription_actions::find(conn, &subscription.id).await?;
                let action = stored.and_then(|stored| {
                    Some(ActionView {
                        action_type: ActionType::parse(&stored.action_type)?,
                        client_secret: None,
                        url: stored.url,
                    })
                });
                let id = subscription.id.clone();
                self.actions.extend(action.map(|action| (id, action)));
            }
        }
        Ok(())
    }

    /// Whose an object of Stripe's is.
    pub(super) fn link(&self, place: &Place, stripe_id: &str) -> Option<&Link> {
        let key = (
            place.account.clone(),
            place.mode.livemode(),
            stripe_id.to_owned(),
        );
        self.links.get(&key)
    }

    /// Our id of an object of Stripe's, if it is of this kind and this portal's.
    pub(super) fn local(&self, event: &Incoming, kind: &str, stripe_id: &str) -> Option<String> {
        let link = self.link(event.place.as_ref()?, stripe_id)?;
        (link.kind == kind && link.portal == event.portal).then(|| link.local_id.clone())
    }

    /// Whether an operation has not come to its end.
    pub(super) fn is_unsettled(&self, operation: Option<&str>) -> bool {
        operation.is_some_and(|id| self.unsettled.contains(id))
    }

    /// The customer of that id, if it is of this portal.
    pub(super) fn customer(&self, portal: &Slug, id: &str) -> Option<&Customer> {
        let found = self.customers.get(id).map(|row| &row.it);
        found.filter(|customer| customer.portal == *portal)
    }

    /// Makes an object of Stripe's known.
    pub(super) fn know(&mut self, portal: &Slug, object: StripeObject) {
        let key = (
            object.account_id.clone(),
            object.mode.livemode(),
            object.stripe_id.clone(),
        );
        let link = Link {
            portal: portal.clone(),
            kind: object.kind.clone(),
            local_id: object.local_id.clone(),
        };
        self.links.insert(key, link);
        self.new_links.push((portal.clone(), object));
    }

    /// Forgets an object of Stripe's.
    pub(super) fn forget(&mut self, place: &Place, stripe_id: &str) {
        let key = (
            place.account.clone(),
            place.mode.livemode(),
            stripe_id.to_owned(),
        );
        self.links.remove(&key);
        self.lost_links.push(key);
    }

    /// Stores a customer as it is now, as its next version if anything shown has changed.
    pub(super) fn put_customer(&mut self, event: &Incoming, mut after: Customer) {
        let Some(row) = self.customers.get_mut(&after.id) else {
            return;
        };
        let shown = Customer {
            stripe_at: row.it.stripe_at,
            ..after.clone()
        };
        row.changed |= after != row.it;
        let tells = shown != row.it;
        if tells {
            after.version += 1;
            after.updated_at = self.now;
        }
        row.it = after.clone();
        if tells {
            let change = Change {
                name: "customer.updated",
                address: address_of(&after),
                details: Vec::new(),
                subject: after.id.clone(),
                version: after.version,
                organization: after.external_id.clone(),
            };
            let shown = Outcome::Customer {
                customer: Box::new(after),
                created: false,
            };
            self.tell(event, change, &shown);
        }
    }

    /// Stores a payment method as it is now, as its next version if anything shown has changed.
    pub(super) fn put_method(
        &mut self,
        event: &Incoming,
        mut after: PaymentMethod,
        change: &'static str,
    ) {
        let Some(customer) = self
            .customers
            .get(&after.customer_id)
            .map(|row| row.it.clone())
        else {
            return;
        };
        let tells = match self.methods.get_mut(&after.id) {
            None => {
                let row = Row {
                    it: after.clone(),
                    stored: None,
                    changed: true,
                };
                self.methods.insert(after.id.clone(), row);
                true
            }
            Some(row) => {
                let shown = PaymentMethod {
                    stripe_at: row.it.stripe_at,
                    ..after.clone()
                };
                row.changed |= after != row.it;
                let tells = shown != row.it;
                if tells {
                    after.version += 1;
                    after.updated_at = self.now;
                }
                row.it = after.clone();
                tells
            }
        };
        if tells {
            let change = Change {
                name: change,
                address: format!("{}/payment-methods/{}", address_of(&customer), after.id),
                details: Vec::new(),
                subject: after.id.clone(),
                version: after.version,
                organization: customer.external_id.clone(),
            };
            let shown = self.app.shown_method(&customer, after, false);
            self.tell(event, change, &shown);
        }
    }

    /// Stores a subscription as it is now; its version says whether anything shown has changed.
    pub(super) fn put_subscription(&mut self, event: &Incoming, after: Subscription) {
        let Some(row) = self.subscriptions.get_mut(&after.id) else {
            return;
        };
        let tells = after.version != row.it.version;
        let finished = row.it.status == Status::Incomplete && after.status != Status::Incomplete;
        row.changed |= after != row.it;
        row.it = after.clone();
        if !tells {
            return;
        }
        if finished {
            self.actions.remove(&after.id);
            self.finished_actions.push(after.id.clone());
        }
        let customer = self.customers.get(&after.customer).map(|row| &row.it);
        let organization = customer.map(|it| it.external_id.clone());
        let rules = self.rules.get(&after.portal).copied().unwrap_or_default();
        let action = self.actions.get(&after.id).cloned();
        let link = customer.and_then(|it| it.stripe.clone());
        let organization = organization.unwrap_or_default();
        let change = Change {
            name: "subscription.updated",
            address: after.address(),
            details: vec![("status", after.status.as_str().to_owned())],
            subject: after.id.clone(),
            version: after.version,
            organization: organization.clone(),
        };
        let shown = Shown {
            latest_invoice: self.latest_of(&after),
            subscription: after,
            organization,
            stripe_customer: link,
            rules,
            action: None,
        };
        let shown = Outcome::Subscription {
            view: Box::new(self.app.viewed(shown, action)),
            created: false,
        };
        self.tell(event, change, &shown);
    }

    /// Writes everything.
    pub(super) async fn flush(self, conn: &mut Conn) -> Result<(), StoreError> {
        for row in self.customers.values().filter(|row| row.changed) {
            let expected = row.stored.unwrap_or_default();
            must(store::customers::update(conn, &row.it, expected).await?)?;
        }
        for (account, livemode, id) in &self.lost_links {
            let mode = Mode::from_livemode(*livemode);
            stripe_objects::delete(conn, account, mode, id).await?;
        }
        for row in self.methods.values().filter(|row| row.changed) {
            match row.stored {
                None => store::payment_methods::insert(conn, &row.it).await?,
                Some(expected) => {
                    must(store::payment_methods::update(conn, &row.it, expected).await?)?;
                }
            }
        }
        let changed: Vec<&Subscription> = self
            .subscriptions
            .values()
            .filter(|row| row.changed)
            .map(|row| &row.it)
            .collect();
        if !changed.is_empty() {
            store::subscriptions::update_locked(conn, &changed).await?;
        }
        for (portal, object) in &self.new_links {
            stripe_objects::insert(conn, portal, object, self.now).await?;
        }
        self.flush_invoices(conn).await?;
        if !self.finished_actions.is_empty() {
            let ids: Vec<&str> = self.finished_actions.iter().map(String::as_str).collect();
            store::subscription_actions::delete_many(conn, &ids).await?;
        }
        self.publish_all(conn).await
    }
}

/// A locked row is there; if not, the whole batch runs again.
pub(super) fn must(stored: bool) -> Result<(), StoreError> {
    if stored {
        Ok(())
    } else {
        Err(StoreError::Contention(
            "a locked row has changed".to_owned(),
        ))
    }
}
