//! Customers: compared, linked again, unlinked when Stripe has them no more.

use super::round::{Round, Whose, is_unsettled};
use crate::app::App;
use crate::app::stripe_metadata::{CUSTOMER, EXTERNAL_ID, OPERATION};
use crate::domain::customer::{self, Address, Customer, NAME_MAX_CHARS};
use crate::domain::payment_method::State;
use crate::domain::reconciliation::{
    CustomerSnapshot, DefaultMethod, Drift, DriftKind, Kind, customer_after,
};
use crate::domain::text;
use crate::ids::{Id, Kind as IdKind};
use crate::store::{self, Conn, StoreError, operations, reconciliations, stripe_objects};
use crate::stripe::{Expandable, customers as there};

/// A finding about a customer.
pub(super) fn drift(object: Option<&str>, stripe_id: &str, drift: DriftKind) -> Drift {
    Drift {
        kind: Kind::Customer,
        object: object.map(str::to_owned),
        stripe_id: Some(stripe_id.to_owned()),
        drift,
        fields: Vec::new(),
        repaired: false,
        detail: None,
    }
}

/// Whether the customer of ours is linked to this one at Stripe.
pub(super) async fn is_there(
    conn: &mut Conn,
    id: &str,
    stripe_id: &str,
) -> Result<bool, StoreError> {
    let found = store::customers::find(conn, id).await?;
    Ok(found.is_some_and(|it| is_linked(&it, stripe_id)))
}

fn is_linked(customer: &Customer, stripe_id: &str) -> bool {
    customer
        .stripe
        .as_ref()
        .is_some_and(|link| link.id == stripe_id)
}

impl App {
    pub(super) async fn customer_listed(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        said: &there::Customer,
    ) -> Result<(), StoreError> {
        match round
            .whose(conn, Kind::Customer, &said.id, &said.metadata)
            .await?
        {
            Whose::Ours(local) => self.customer_compared(conn, round, &local, said).await,
            Whose::Orphan => self.customer_recognized(conn, round, said).await,
            Whose::Foreign => Ok(()),
        }
    }

    /// What Stripe said of a customer that its list did not show; `None`: that there is none.
    pub(super) async fn customer_asked_for(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: Option<&there::Customer>,
    ) -> Result<(), StoreError> {
        round.it.compared.count(Kind::Customer);
        match said.filter(|said| !said.deleted) {
            Some(said) => {
                reconciliations::see(conn, &round.it.id, &said.id).await?;
                self.customer_compared(conn, round, local, said).await
            }
            None => self.customer_gone(conn, round, local).await,
        }
    }

    async fn customer_compared(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: &there::Customer,
    ) -> Result<(), StoreError> {
        let Some(before) = store::customers::lock(conn, local).await? else {
            return Ok(());
        };
        if !is_linked(&before, &said.id) {
            return Ok(());
        }
        let snapshot = snapshot_of(conn, round, &before, said).await?;
        let (after, fields) = customer_after(&before, &snapshot);
        if fields.is_empty() {
            return Ok(());
        }
        if round.it.repair {
            self.change_customer(conn, &round.context, after).await?;
        }
        let drift = Drift {
            fields: fields.into_iter().map(str::to_owned).collect(),
            repaired: round.it.repair,
            ..drift(Some(local), &said.id, DriftKind::Differs)
        };
        round.found(conn, &drift).await
    }

    /// The default payment method of a customer whose methods were only now recognized.
    pub(super) async fn default_followed(
        &self,
        conn: &mut Conn,
        round: &Round,
        local: &str,
        said: &there::Customer,
    ) -> Result<(), StoreError> {
        let Some(before) = store::customers::lock(conn, local).await? else {
            return Ok(());
        };
        let snapshot = snapshot_of(conn, round, &before, said).await?;
        let (after, fields) = customer_after(&before, &snapshot);
        if !fields.is_empty() {
            self.change_customer(conn, &round.context, after).await?;
        }
        Ok(())
    }

    /// A customer that Stripe has no more. It is made anew there when it is needed again; what it paid
    /// with is gone, and its subscriptions end by their own comparison.
    async fn customer_gone(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
    ) -> Result<(), StoreError> {
        let Some(before) = store::customers::lock(conn, local).await? else {
            return Ok(());
        };
        let Some(link) = before.stripe.clone() else {
            return Ok(());
        };
        for method in store::payment_methods::of_customer(conn, local).await? {
            let (account, mode) = (round.it.account.as_str(), round.it.mode);
            let there = method.stripe.id_in(account, mode).is_some();
            if there && method.state != State::Detached {
                self.method_lost(conn, round, &before, method).await?;
            }
        }
        if round.it.repair {
            let portal = before.portal.clone();
            stripe_objects::forget(conn, &portal, stripe_objects::CUSTOMER, local).await?;
            let unlinked = Customer {
                stripe: None,
                default_payment_method: None,
                stripe_at: Some(round.at),
                ..before
            };
            self.change_customer(conn, &round.context, unlinked).await?;
        }
        let drift = Drift {
            repaired: round.it.repair,
            ..drift(Some(local), &link.id, DriftKind::MissingAtStripe)
        };
        round.found(conn, &drift).await
    }

    /// A customer that is the portal's by its metadata and is not known here.
    async fn customer_recognized(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        said: &there::Customer,
    ) -> Result<(), StoreError> {
        if is_unsettled(conn, &said.metadata).await? {
            return Ok(());
        }
        let named = said.metadata.get(CUSTOMER).map(String::as_str);
        let local = match named {
            Some(id) => store::customers::lock(conn, id).await?,
            None => None,
        };
        let external_id = match &local {
            Some(local) => Some(local.external_id.clone()),
            None => external_id_of(conn, said).await?,
        };
        let mut drift = drift(named, &said.id, DriftKind::MissingHere);
        let taken = match external_id {
            Some(external_id) if round.it.repair => {
                self.customer_adopted(conn, round, said, named, &external_id)
                    .await?
            }
            Some(_) => Err(None),
            None => Err(Some("Nothing says which organization it is: adopt it.")),
        };
        match taken {
            Ok(id) => {
                drift.object = Some(id);
                drift.repaired = true;
            }
            Err(why) => drift.detail = why.map(str::to_owned),
        }
        round.found(conn, &drift).await
    }

    /// Makes a customer at Stripe the one of that external id here: links the row, or makes it, under
    /// the id it is `named` where that is one. Tells our id of it, or why not.
    pub(super) async fn customer_adopted(
        &self,
        conn: &mut Conn,
        round: &Round,
        said: &there::Customer,
        named: Option<&str>,
        external_id: &str,
    ) -> Result<Result<String, Option<&'static str>>, StoreError> {
        let name = customer::CustomerRef::External(external_id.to_owned());
        let known = store::customers::resolve(conn, &round.it.portal, &name).await?;
        let now = self.clock.now();
        let local = if let Some(known) = known {
            let kind = stripe_objects::CUSTOMER;
            let place = reconciliations::place_of(conn, &round.it, kind, &known.id).await?;
            if place.is_some() || known.stripe.is_some() {
                return Ok(Err(Some("The organization has another Customer already.")));
            }
            known
        } else {
            let free = match named.and_then(|id| Id::parse(IdKind::Customer, id)) {
                Some(id) if store::customers::find(conn, id.as_str()).await?.is_none() => Some(id),
                _ => None,
            };
            let id = String::from(free.unwrap_or_else(|| self.ids.new_id(IdKind::Customer)));
            let Some(email) = email_of(said) else {
                return Ok(Err(Some("It has no e-mail address.")));
            };
            let made = Customer {
                portal: round.it.portal.clone(),
                external_id: external_id.to_owned(),
                name: name_of(said).unwrap_or_else(|| external_id.to_owned()),
                email,
                address: None,
                tax_ids: Vec::new(),
                metadata: std::collections::BTreeMap::default(),
                default_payment_method: None,
                stripe: None,
                stripe_at: None,
                version: reconciliations::last_version(conn, &round.it.portal, &id).await? + 1,
                created_at: now,
                updated_at: now,
                id,
            };
            if !store::customers::insert(conn, &made).await? {
                return Ok(Err(Some("Another customer was just made.")));
            }
            self.tell_of_customer(conn, &round.context, &made, "customer.created")
                .await?;
            made
        };
        let kind = stripe_objects::CUSTOMER;
        round.know(conn, kind, &said.id, &local.id, now).await?;
        reconciliations::see(conn, &round.it.id, &said.id).await?;
        let linked = Customer {
            stripe: Some(round.link(&said.id)),
            stripe_at: None,
            ..local
        };
        let snapshot = snapshot_of(conn, round, &linked, said).await?;
        let (linked, _) = customer_after(&linked, &snapshot);
        let linked = self.change_customer(conn, &round.context, linked).await?;
        Ok(Ok(linked.id))
    }
}

/// The external id of a customer whose row is lost: what it was made with, or the organization of the
/// operation that made it.
async fn external_id_of(
    conn: &mut Conn,
    said: &there::Customer,
) -> Result<Option<String>, StoreError> {
    let mut errors = Vec::new();
    if let Some(text) = said.metadata.get(EXTERNAL_ID) {
        let text = customer::external_id("", text.clone(), &mut errors);
        return Ok(errors.is_empty().then_some(text));
    }
    let Some(id) = said.metadata.get(OPERATION) else {
        return Ok(None);
    };
    let maker = operations::by_id(conn, id).await?;
    Ok(maker.and_then(|operation| operation.organization))
}

/// What Stripe says of the customer, in our words. What could not stand here is as good as not said.
async fn snapshot_of(
    conn: &mut Conn,
    round: &Round,
    before: &Customer,
    said: &there::Customer,
) -> Result<CustomerSnapshot, StoreError> {
    let default = said.invoice_settings.default_payment_method.as_ref();
    let default_payment_method = match default.map(Expandable::id) {
        None => DefaultMethod::Nothing,
        Some(id) => {
            let (account, mode) = (&round.it.account, round.it.mode);
            let known = stripe_objects::find(conn, account, mode, id).await?;
            let known = known.filter(|object| object.kind == stripe_objects::PAYMENT_METHOD);
            let method = match known {
                Some(object) => store::payment_methods::find(conn, &object.local_id).await?,
                None => None,
            };
            match method {
                Some(it) if it.customer_id == before.id => {
                    if it.state == State::Detached {
                        DefaultMethod::Nothing
                    } else {
                        DefaultMethod::Ours(it.id)
                    }
                }
                _ => DefaultMethod::Unknown,
            }
        }
    };
    Ok(CustomerSnapshot {
        name: name_of(said),
        email: email_of(said),
        address: address_of(said).unwrap_or_else(|| before.address.clone()),
        default_payment_method,
        at: round.fence(before.stripe_at, before.updated_at, said.created),
    })
}

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

/// `None` where it could not stand here.
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
