//! Invoices: compared, taken over, void when Stripe has them no more.
//!
//! An invoice is the portal's when its customer is: Stripe makes invoices, and gives them no metadata of
//! ours. What is paid or void has its end behind it, so a regular sweep reads the list of the last weeks
//! alone, and asks by its id for what is older and not settled here.

use super::round::Round;
use super::step::{has_enough, visited};
use crate::app::App;
use crate::app::invoices::{snapshot, spoken_at};
use crate::app::stripe_metadata as ours;
use crate::clock::Timestamp;
use crate::domain::invoice::{Invoice, Snapshot, Status};
use crate::domain::reconciliation::{Drift, DriftKind, Kind, Reconciliation, invoice_fields};
use crate::domain::stripe_link::StripeLink;
use crate::ids::Kind as IdKind;
use crate::store::invoices::Shown;
use crate::store::stripe_objects::{CUSTOMER, INVOICE, SUBSCRIPTION};
use crate::store::{self, Conn, StoreError, reconciliations};
use crate::stripe::Created;
use crate::stripe::invoices as there;
use crate::stripe::{Expandable, FrozenRequest, Page};

/// How far back a regular sweep reads the list: longer than Stripe tries to collect, and than it keeps
/// the events that may have been lost.
const SWEPT_DAYS: i64 = 40;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn drift(object: Option<&str>, stripe_id: &str, drift: DriftKind) -> Drift {
    Drift {
        kind: Kind::Invoice,
        object: object.map(str::to_owned),
        stripe_id: Some(stripe_id.to_owned()),
        drift,
        fields: Vec::new(),
        repaired: false,
        detail: None,
    }
}

/// The next page of Stripe's list.
pub(super) fn page(it: &Reconciliation, page: Page<'_>) -> FrozenRequest {
    let since = it.created_at.plus_millis(-SWEPT_DAYS * DAY_MS);
    there::list(&there::InvoiceFilter {
        created: match it.sweep_slot {
            Some(_) => Created::since(since),
            None => Created::default(),
        },
        page,
        ..Default::default()
    })
}

/// The next invoice that is not settled here and that the list has not shown: ours and Stripe's id.
pub(super) async fn next_unsettled(
    conn: &mut Conn,
    it: &Reconciliation,
) -> Result<Option<(String, String)>, StoreError> {
    if has_enough(it) {
        return Ok(None);
    }
    let mut after = visited(&it.place)
        .1
        .unwrap_or(&it.invoices_place)
        .to_owned();
    loop {
        let batch = store::invoices::unsettled(conn, it, &after).await?;
        let Some((last, _)) = batch.last() else {
            return Ok(None);
        };
        last.clone_into(&mut after);
        for (local, stripe_id) in batch {
            if !reconciliations::has_seen(conn, &it.id, &stripe_id).await? {
                return Ok(Some((local, stripe_id)));
            }
        }
    }
}

impl App {
    pub(super) async fn invoice_listed(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        said: &there::Invoice,
    ) -> Result<(), StoreError> {
        let (account, mode) = (round.it.account.clone(), round.it.mode);
        match reconciliations::owner_of(conn, &account, mode, &said.id).await? {
            Some((portal, object)) if portal == round.it.portal && object.kind == INVOICE => {
                round.it.compared.count(Kind::Invoice);
                reconciliations::see(conn, &round.it.id, &said.id).await?;
                self.invoice_compared(conn, round, &object.local_id, said)
                    .await
            }
            Some(_) => {
                round.it.compared.foreign += 1;
                Ok(())
            }
            None => {
                let owner = said.customer.as_ref().map(Expandable::id);
                let Some(owner) = round.local(conn, CUSTOMER, owner).await? else {
                    round.it.compared.foreign += 1;
                    return Ok(());
                };
                round.it.compared.count(Kind::Invoice);
                self.invoice_missing_here(conn, round, &owner, said).await
            }
        }
    }

    /// What Stripe said of an invoice that its list did not show; `None`: that there is none.
    pub(super) async fn invoice_asked_for(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: Option<&there::Invoice>,
    ) -> Result<(), StoreError> {
        round.it.compared.count(Kind::Invoice);
        if let Some(said) = said {
            return self.invoice_compared(conn, round, local, said).await;
        }
        let Some(shown) = store::invoices::shown(conn, local).await? else {
            return Ok(());
        };
        let before = &shown.invoice;
        // A draft that is deleted is gone, and Stripe tells of it once. What is gone cannot be paid.
        let after = Invoice {
            status: Status::Void,
            next_attempt_at: None,
            version: before.version + 1,
            updated_at: self.clock.now(),
            ..before.clone()
        };
        let found = drift(Some(local), &before.stripe.id, DriftKind::MissingAtStripe);
        self.invoice_mended(conn, round, &shown, &after, found)
            .await
    }

    async fn invoice_compared(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: &there::Invoice,
    ) -> Result<(), StoreError> {
        let Some(shown) = store::invoices::shown(conn, local).await? else {
            return Ok(());
        };
        let before = &shown.invoice;
        let spoken = Some(spoken_at(said));
        let at = round.fence(Some(before.stripe_at), before.updated_at, spoken);
        let heard = heard(conn, round, said, at).await?;
        let after = before.follow(&heard, self.clock.now());
        if after.looks_like(before) {
            return Ok(());
        }
        let fields = invoice_fields(before, &after);
        let found = Drift {
            fields: fields.into_iter().map(str::to_owned).collect(),
            ..drift(Some(local), &said.id, DriftKind::Differs)
        };
        self.invoice_mended(conn, round, &shown, &after, found)
            .await
    }

    async fn invoice_mended(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        shown: &Shown,
        after: &Invoice,
        found: Drift,
    ) -> Result<(), StoreError> {
        let (before, organization) = (&shown.invoice, shown.organization.as_str());
        if round.it.repair {
            self.store_invoice(conn, &round.context, organization, before, after)
                .await?;
        }
        let found = Drift {
            repaired: round.it.repair,
            ..found
        };
        round.found(conn, &found).await
    }

    /// An invoice of a customer of ours that is not known here.
    async fn invoice_missing_here(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        owner: &str,
        said: &there::Invoice,
    ) -> Result<(), StoreError> {
        let at = round.fence(None, self.clock.now(), Some(spoken_at(said)));
        let heard = heard(conn, round, said, at).await?;
        if heard.subscription.is_none()
            && let Some(metadata) = said.subscription_metadata()
            && super::round::is_unsettled(conn, metadata).await?
        {
            return Ok(());
        }
        let mut found = drift(None, &said.id, DriftKind::MissingHere);
        if round.it.repair {
            match self.invoice_taken_over(conn, round, owner, heard).await? {
                Some(id) => {
                    found.object = Some(id);
                    found.repaired = true;
                }
                None => found.detail = Some("Its status is not known to this version.".to_owned()),
            }
        }
        round.found(conn, &found).await
    }

    /// Makes a row for an invoice of this customer of ours (`org_…`); tells our id of it.
    async fn invoice_taken_over(
        &self,
        conn: &mut Conn,
        round: &Round,
        owner: &str,
        heard: Snapshot,
    ) -> Result<Option<String>, StoreError> {
        let Some(customer) = store::customers::find(conn, owner).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let id = String::from(self.ids.new_id(IdKind::Invoice));
        let stripe_id = heard.link.id.clone();
        let Some(made) = heard.first(id, round.it.portal.clone(), owner.to_owned(), now) else {
            return Ok(None);
        };
        round.know(conn, INVOICE, &stripe_id, &made.id, now).await?;
        store::invoices::insert(conn, &made).await?;
        reconciliations::see(conn, &round.it.id, &stripe_id).await?;
        let organization = customer.external_id.as_str();
        self.tell_of_invoice(conn, &round.context, organization, None, &made)
            .await?;
        Ok(Some(made.id))
    }
}

/// What Stripe says of an invoice, in our words.
async fn heard(
    conn: &mut Conn,
    round: &Round,
    said: &there::Invoice,
    at: Timestamp,
) -> Result<Snapshot, StoreError> {
    let link: StripeLink = round.link(&said.id);
    let linked = round.local(conn, SUBSCRIPTION, said.subscription()).await?;
    let subscription = match linked {
        Some(id) => Some(id),
        None => named(conn, round, said).await?,
    };
    Ok(snapshot(said, link, subscription, at))
}

/// The subscription of ours that an invoice names in its subscription's metadata.
async fn named(
    conn: &mut Conn,
    round: &Round,
    said: &there::Invoice,
) -> Result<Option<String>, StoreError> {
    let metadata = said.subscription_metadata();
    let Some(id) = metadata.and_then(|metadata| metadata.get(ours::SUBSCRIPTION)) else {
        return Ok(None);
    };
    let found = store::subscriptions::find(conn, id).await?;
    Ok(found
        .filter(|it| it.portal == round.it.portal)
        .map(|it| it.id))
}
