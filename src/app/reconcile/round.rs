//! A step under way: what it knows of its time, and what it notes.

use crate::app::Context;
use crate::app::stripe_metadata::{OPERATION, PORTAL};
use crate::clock::Timestamp;
use crate::domain::reconciliation::{DRIFT_KEPT_MAX, Drift, Kind, Reconciliation};
use crate::domain::stripe_link::StripeLink;
use crate::store::stripe_objects::StripeObject;
use crate::store::{Conn, StoreError, operations, reconciliations, stripe_objects};
use crate::stripe::{self, Identified, List};

/// What changed here within this time before a call may be later than Stripe's answer to it, whatever
/// the clocks of replicas say.
const QUIET_MS: i64 = 5_000;

/// A step under way.
#[derive(Clone)]
pub(super) struct Round {
    /// The reconciliation, with what this step adds to it.
    pub(super) it: Reconciliation,
    /// On whose behalf things are changed.
    pub(super) context: Context,
    /// When the call began, by Stripe's clock: what Stripe says is at least as new.
    pub(super) at: Timestamp,
    /// When the call began, by ours.
    pub(super) began: Timestamp,
}

impl Round {
    /// Stripe's time of what it says of a thing of ours. The thing itself may speak of a later time; and
    /// what last changed well before the call began was known to Stripe then, so that the answer is no
    /// older than it.
    pub(super) fn fence(
        &self,
        known: Option<Timestamp>,
        updated_at: Timestamp,
        spoken: Option<Timestamp>,
    ) -> Timestamp {
        let quiet = self.began.millis_since(updated_at) >= QUIET_MS;
        let known = known.filter(|_| quiet);
        [spoken, known]
            .into_iter()
            .flatten()
            .fold(self.at, Timestamp::max)
    }

    /// Where an object of this id is.
    pub(super) fn link(&self, stripe_id: &str) -> StripeLink {
        StripeLink {
            account: self.it.account.clone(),
            mode: self.it.mode,
            id: stripe_id.to_owned(),
        }
    }

    /// Notes a difference.
    pub(super) async fn found(&mut self, conn: &mut Conn, drift: &Drift) -> Result<(), StoreError> {
        metrics::counter!(
            "reconciliation_drift_total",
            "kind" => drift.kind.as_str(),
            "drift" => drift.drift.as_str(),
        )
        .increment(1);
        self.it.drift += 1;
        if self.it.drift > DRIFT_KEPT_MAX {
            return Ok(());
        }
        reconciliations::add_drift(conn, &self.it.id, self.it.drift, drift).await
    }

    /// Notes that an object at Stripe is the thing of ours.
    pub(super) async fn know(
        &self,
        conn: &mut Conn,
        kind: &str,
        stripe_id: &str,
        local_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let object = StripeObject {
            account_id: self.it.account.clone(),
            mode: self.it.mode,
            stripe_id: stripe_id.to_owned(),
            kind: kind.to_owned(),
            local_id: local_id.to_owned(),
        };
        stripe_objects::insert(conn, &self.it.portal, &object, now).await
    }

    /// Whose an object of Stripe's is, which is counted.
    pub(super) async fn whose(
        &mut self,
        conn: &mut Conn,
        kind: Kind,
        stripe_id: &str,
        metadata: &stripe::Metadata,
    ) -> Result<Whose, StoreError> {
        let (account, mode) = (&self.it.account, self.it.mode);
        let whose = match reconciliations::owner_of(conn, account, mode, stripe_id).await? {
            Some((portal, object)) if portal == self.it.portal => Whose::Ours(object.local_id),
            Some(_) => Whose::Foreign,
            None => {
                let portal = metadata.get(PORTAL);
                if portal.is_some_and(|portal| portal == self.it.portal.as_str()) {
                    Whose::Orphan
                } else {
                    Whose::Foreign
                }
            }
        };
        match whose {
            Whose::Foreign => self.it.compared.foreign += 1,
            Whose::Orphan => self.it.compared.count(kind),
            Whose::Ours(_) => {
                self.it.compared.count(kind);
                reconciliations::see(conn, &self.it.id, stripe_id).await?;
            }
        }
        Ok(whose)
    }

    /// Our id of an object at Stripe, if it is the portal's and of this kind.
    pub(super) async fn local(
        &self,
        conn: &mut Conn,
        kind: &str,
        stripe_id: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let Some(id) = stripe_id else {
            return Ok(None);
        };
        let (account, mode) = (&self.it.account, self.it.mode);
        let owner = reconciliations::owner_of(conn, account, mode, id).await?;
        Ok(owner
            .filter(|(portal, object)| *portal == self.it.portal && object.kind == kind)
            .map(|(_, object)| object.local_id))
    }

    pub(super) fn next_phase(&mut self) {
        self.it.phase = self.it.phase.next();
        self.it.place = String::new();
    }

    pub(super) fn next_page<T: Identified>(&mut self, page: &List<T>) {
        match page.data.last() {
            Some(last) if page.has_more => last.id().clone_into(&mut self.it.place),
            _ => self.next_phase(),
        }
    }
}

/// Whose an object at Stripe is.
pub(super) enum Whose {
    /// The portal's, with our id of it.
    Ours(String),
    /// The portal's by its metadata, and not known here.
    Orphan,
    /// Somebody else's.
    Foreign,
}

/// Whether the operation that made an object is still to store that itself.
pub(super) async fn is_unsettled(
    conn: &mut Conn,
    metadata: &stripe::Metadata,
) -> Result<bool, StoreError> {
    let Some(id) = metadata.get(OPERATION) else {
        return Ok(false);
    };
    let maker = operations::by_id(conn, id).await?;
    Ok(maker.is_some_and(|operation| !operation.is_over()))
}
