//! Taking over customers and subscriptions that were at Stripe before this service: rows here for what
//! is there. Nothing is changed at Stripe, its metadata included: what was taken over is known by its id.

use serde::{Deserialize, Serialize};

use super::customers::drift as customer_drift;
use super::round::Round;
use super::step::read;
use super::subscriptions::{Terms, customer_of, drift as subscription_drift, has_ended};
use crate::app::App;
use crate::domain::customer::CustomerRef;
use crate::domain::error::Error;
use crate::domain::reconciliation::{DriftKind, Reconciliation};
use crate::domain::slug::Slug;
use crate::store::{self, Conn, StoreError, reconciliations};
use crate::stripe::{FrozenRequest, RawReply, customers, subscriptions};

/// What is to be taken over. Customers come first, so that subscriptions find them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// Customers.
    pub customers: Vec<AdoptCustomer>,
    /// Subscriptions.
    pub subscriptions: Vec<AdoptSubscription>,
}

/// A customer to be taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptCustomer {
    /// `cus_…`.
    pub stripe_customer: String,
    /// By which the portal knows the organization.
    pub external_id: String,
}

/// A subscription to be taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptSubscription {
    /// `sub_…`.
    pub stripe_subscription: String,
    /// Whose: `org_…` or `ext:…`.
    pub customer: String,
    /// To which product.
    pub product: String,
    /// To which plan of it.
    pub plan: String,
    /// For which application.
    pub application: Option<String>,
}

enum Entry<'a> {
    Customer(&'a AdoptCustomer),
    Subscription(&'a AdoptSubscription),
}

impl Adopt {
    /// As it is stored; nothing is an empty text.
    pub(super) fn to_text(&self) -> Result<String, Error> {
        if self.customers.is_empty() && self.subscriptions.is_empty() {
            return Ok(String::new());
        }
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }

    fn of(it: &Reconciliation) -> Result<Self, StoreError> {
        if it.adopt.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(&it.adopt).map_err(|_| StoreError::corrupt("reconciliations.adopt"))
    }

    fn entry(&self, place: usize) -> Option<Entry<'_>> {
        let count = self.customers.len();
        match self.customers.get(place) {
            Some(customer) => Some(Entry::Customer(customer)),
            None => self
                .subscriptions
                .get(place.checked_sub(count)?)
                .map(Entry::Subscription),
        }
    }
}

/// How many entries are done.
fn done(it: &Reconciliation) -> usize {
    it.place.parse().unwrap_or(0)
}

impl App {
    /// What is asked for the next entry, and the place behind it.
    #[expect(
        clippy::unused_self,
        reason = "what is asked next looks the same for every phase"
    )]
    pub(super) fn next_to_adopt(
        &self,
        it: &Reconciliation,
    ) -> Result<Option<(String, FrozenRequest)>, StoreError> {
        let place = done(it);
        let adopt = Adopt::of(it)?;
        let request = match adopt.entry(place) {
            None => return Ok(None),
            Some(Entry::Customer(entry)) => customers::retrieve(&entry.stripe_customer),
            Some(Entry::Subscription(entry)) => {
                subscriptions::retrieve(&entry.stripe_subscription, &[])
            }
        };
        let request = request.map_err(Error::from)?;
        Ok(Some(((place + 1).to_string(), request)))
    }

    /// Takes over what the current entry names, from Stripe's answer; `None`: there is no such object.
    pub(super) async fn adopt_next(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        reply: Option<&RawReply>,
    ) -> Result<(), StoreError> {
        let adopt = Adopt::of(&round.it)?;
        match adopt.entry(done(&round.it)) {
            None => Ok(()),
            Some(Entry::Customer(entry)) => {
                let said = reply.map(read::<customers::Customer>).transpose()?;
                self.adopt_customer(conn, round, entry, said.as_ref()).await
            }
            Some(Entry::Subscription(entry)) => {
                let said = reply.map(read::<subscriptions::Subscription>).transpose()?;
                self.adopt_subscription(conn, round, entry, said.as_ref())
                    .await
            }
        }
    }

    async fn adopt_customer(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        entry: &AdoptCustomer,
        said: Option<&customers::Customer>,
    ) -> Result<(), StoreError> {
        let id = entry.stripe_customer.as_str();
        let (account, mode) = (&round.it.account, round.it.mode);
        let owner = reconciliations::owner_of(conn, account, mode, id).await?;
        if owner
            .as_ref()
            .is_some_and(|(portal, _)| *portal == round.it.portal)
        {
            return Ok(());
        }
        let taken = match said.filter(|said| !said.deleted) {
            None => Err(Some("Stripe has no such Customer.")),
            Some(_) if owner.is_some() => Err(Some("It is another portal's.")),
            Some(_) if !round.it.repair => Err(None),
            Some(said) => {
                let external_id = &entry.external_id;
                self.customer_adopted(conn, round, said, None, external_id)
                    .await?
            }
        };
        let mut drift = customer_drift(None, id, DriftKind::MissingHere);
        match taken {
            Ok(local) => {
                drift.object = Some(local);
                drift.repaired = true;
            }
            Err(why) => drift.detail = why.map(str::to_owned),
        }
        round.found(conn, &drift).await
    }

    async fn adopt_subscription(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        entry: &AdoptSubscription,
        said: Option<&subscriptions::Subscription>,
    ) -> Result<(), StoreError> {
        let id = entry.stripe_subscription.as_str();
        let (account, mode) = (&round.it.account, round.it.mode);
        let owner = reconciliations::owner_of(conn, account, mode, id).await?;
        if owner
            .as_ref()
            .is_some_and(|(portal, _)| *portal == round.it.portal)
        {
            return Ok(());
        }
        let taken = match said.filter(|said| !has_ended(said)) {
            None => Err(Some("Stripe has no such live subscription.")),
            Some(_) if owner.is_some() => Err(Some("It is another portal's.")),
            Some(said) => match entry_terms(conn, round, entry, said).await? {
                Err(why) => Err(Some(why)),
                Ok(_) if !round.it.repair => Err(None),
                Ok(terms) => {
                    self.subscription_adopted(conn, round, said, None, terms)
                        .await?
                }
            },
        };
        let mut drift = subscription_drift(None, id, DriftKind::MissingHere);
        match taken {
            Ok(local) => {
                drift.object = Some(local);
                drift.repaired = true;
            }
            Err(why) => drift.detail = why.map(str::to_owned),
        }
        round.found(conn, &drift).await
    }
}

/// What the row of a subscription to be taken over is for.
async fn entry_terms(
    conn: &mut Conn,
    round: &Round,
    entry: &AdoptSubscription,
    said: &subscriptions::Subscription,
) -> Result<Result<Terms, &'static str>, StoreError> {
    let portal = &round.it.portal;
    let customer = match CustomerRef::parse(&entry.customer) {
        Some(name) => store::customers::resolve(conn, portal, &name).await?,
        None => None,
    };
    let Some(customer) = customer else {
        return Ok(Err("The portal has no such customer."));
    };
    if customer_of(conn, round, said).await?.as_ref() != Some(&customer.id) {
        return Ok(Err("It is of another Customer at Stripe."));
    }
    let (Some(product), Some(plan)) = (Slug::parse(&entry.product), Slug::parse(&entry.plan))
    else {
        return Ok(Err("The portal has no such plan."));
    };
    let offer = store::catalog::plan_for_subscribing(conn, portal, &product, &plan).await?;
    let Some(offer) = offer else {
        return Ok(Err("The portal has no such plan."));
    };
    Ok(Ok(Terms {
        customer: customer.id,
        product,
        plan,
        revision: offer.plan.revision,
        application: entry.application.clone(),
    }))
}
