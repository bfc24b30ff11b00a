//! Payment methods of one customer: compared, taken over, taken away.

use super::round::Round;
use crate::app::App;
use crate::app::stripe_metadata::PAYMENT_METHOD;
use crate::domain::customer::Customer;
use crate::domain::payment_method::{Card, PaymentMethod, State};
use crate::domain::reconciliation::{Drift, DriftKind, Kind, MethodSnapshot, method_after};
use crate::ids::{Id, Kind as IdKind};
use crate::store::{self, Conn, StoreError, operations, reconciliations, stripe_objects};
use crate::stripe::{customers, payment_methods as there};

fn drift(object: Option<&str>, stripe_id: &str, drift: DriftKind) -> Drift {
    Drift {
        kind: Kind::PaymentMethod,
        object: object.map(str::to_owned),
        stripe_id: Some(stripe_id.to_owned()),
        drift,
        fields: Vec::new(),
        repaired: false,
        detail: None,
    }
}

impl App {
    /// Compares what Stripe says is attached to a customer of ours with what is known of it.
    pub(super) async fn take_methods(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: &[there::PaymentMethod],
        customer: Option<&customers::Customer>,
    ) -> Result<(), StoreError> {
        let Some(owner) = store::customers::lock(conn, local).await? else {
            return Ok(());
        };
        // An operation of the customer's may have attached or detached one and not stored it yet.
        let busy = operations::lane_is_busy(conn, &owner.portal, local).await?;
        let known = store::payment_methods::of_customer(conn, local).await?;
        let mut adopted = false;
        for one in said {
            round.it.compared.count(Kind::PaymentMethod);
            match known.iter().find(|method| method.stripe.id == one.id) {
                Some(before) => {
                    self.method_compared(conn, round, &owner, before, one)
                        .await?;
                }
                None if busy => {}
                None => {
                    self.method_recognized(conn, round, &owner, one).await?;
                    adopted = true;
                }
            }
        }
        if let Some(customer) = customer.filter(|_| adopted && round.it.repair) {
            self.default_followed(conn, round, local, customer).await?;
        }
        if busy {
            return Ok(());
        }
        for method in known {
            let (account, mode) = (round.it.account.as_str(), round.it.mode);
            let there = method.stripe.id_in(account, mode).is_some();
            let listed = said.iter().any(|one| one.id == method.stripe.id);
            // One that was saved after the list was asked for is not in it.
            let later = method.updated_at > round.began;
            if there && !listed && !later && method.state == State::Usable {
                round.it.compared.count(Kind::PaymentMethod);
                self.method_gone(conn, round, local, method).await?;
            }
        }
        Ok(())
    }

    async fn method_compared(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        owner: &Customer,
        before: &PaymentMethod,
        said: &there::PaymentMethod,
    ) -> Result<(), StoreError> {
        let snapshot = MethodSnapshot {
            card: said.card.as_ref().map(Card::from),
            at: round.fence(before.stripe_at, before.updated_at, said.created),
        };
        let (after, fields) = method_after(before, &snapshot);
        if fields.is_empty() {
            return Ok(());
        }
        if round.it.repair {
            let change = "payment_method.updated";
            self.change_method(conn, &round.context, owner, after, change)
                .await?;
        }
        let drift = Drift {
            fields: fields.into_iter().map(str::to_owned).collect(),
            repaired: round.it.repair,
            ..drift(Some(&before.id), &said.id, DriftKind::Differs)
        };
        round.found(conn, &drift).await
    }

    /// A payment method of a customer of ours that is not known here: one whose row is lost, or that was
    /// attached at Stripe.
    async fn method_recognized(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        owner: &Customer,
        said: &there::PaymentMethod,
    ) -> Result<(), StoreError> {
        let (account, mode) = (round.it.account.clone(), round.it.mode);
        if stripe_objects::find(conn, &account, mode, &said.id)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let named = said.metadata.get(PAYMENT_METHOD);
        let named = named.and_then(|id| Id::parse(IdKind::PaymentMethod, id));
        let free = match named {
            Some(id)
                if store::payment_methods::find(conn, id.as_str())
                    .await?
                    .is_none() =>
            {
                Some(id)
            }
            _ => None,
        };
        if !round.it.repair {
            let named = free.as_ref().map(Id::as_str);
            let drift = drift(named, &said.id, DriftKind::MissingHere);
            return round.found(conn, &drift).await;
        }
        let now = self.clock.now();
        let id = String::from(free.unwrap_or_else(|| self.ids.new_id(IdKind::PaymentMethod)));
        let kind = said.kind.as_ref();
        let method = PaymentMethod {
            portal: owner.portal.clone(),
            customer_id: owner.id.clone(),
            method_type: kind
                .map_or("unknown", there::PaymentMethodKind::as_str)
                .to_owned(),
            state: State::Usable,
            card: said.card.as_ref().map(Card::from),
            stripe: round.link(&said.id),
            stripe_at: Some(round.at),
            version: reconciliations::last_version(conn, &owner.portal, &id).await? + 1,
            created_at: now,
            updated_at: now,
            id,
        };
        let kind = stripe_objects::PAYMENT_METHOD;
        round.know(conn, kind, &said.id, &method.id, now).await?;
        store::payment_methods::insert(conn, &method).await?;
        let drift = Drift {
            repaired: true,
            ..drift(Some(&method.id), &said.id, DriftKind::MissingHere)
        };
        let change = "payment_method.created";
        self.tell_of_method(conn, &round.context, owner, method, change)
            .await?;
        round.found(conn, &drift).await
    }

    /// A payment method that went with its customer.
    pub(super) async fn method_lost(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        owner: &Customer,
        method: PaymentMethod,
    ) -> Result<(), StoreError> {
        round.it.compared.count(Kind::PaymentMethod);
        let drift = Drift {
            repaired: round.it.repair,
            ..drift(
                Some(&method.id),
                &method.stripe.id,
                DriftKind::MissingAtStripe,
            )
        };
        if round.it.repair {
            let lost = PaymentMethod {
                state: State::Detached,
                ..method
            };
            let change = "payment_method.deleted";
            self.change_method(conn, &round.context, owner, lost, change)
                .await?;
        }
        round.found(conn, &drift).await
    }

    /// A payment method that Stripe has taken from its customer.
    async fn method_gone(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        owner: &str,
        method: PaymentMethod,
    ) -> Result<(), StoreError> {
        let drift = Drift {
            repaired: round.it.repair,
            ..drift(
                Some(&method.id),
                &method.stripe.id,
                DriftKind::MissingAtStripe,
            )
        };
        if round.it.repair
            // As it is now: a change before this one may have taken its default away.
            && let Some(owner) = store::customers::lock(conn, owner).await?
        {
            self.detached(conn, &round.context, owner, method).await?;
        }
        round.found(conn, &drift).await
    }
}
