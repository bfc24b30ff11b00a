//! Invoices: Stripe makes them, and they are followed here; what a caller can do with one is to pay it
//! or to void it.

mod settle;
mod snapshot;
mod upcoming;

pub use settle::Settlement;
pub(super) use snapshot::{snapshot, spoken_at};
pub use upcoming::UpcomingView;

use super::answer::Outcome;
use super::portals::{concurrent, existing};
use super::publish::Fact;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Code, Error};
use crate::domain::invoice::{Change, Invoice};
use crate::domain::precondition::entity_tag;
use crate::domain::slug::Slug;
use crate::domain::subscription::Subscription;
use crate::store::{self, Conn, StoreError};

pub use crate::store::invoices::{Filter, Shown as InvoiceView};

impl Invoice {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }

    /// Where the API has it.
    pub(super) fn address(&self) -> String {
        format!("/v1/portals/{}/invoices/{}", self.portal, self.id)
    }

    /// The audit entry of a change to this version.
    pub(super) fn entry(&self, change: Change) -> Draft {
        Draft {
            action: change.event_type(),
            subject: self.address(),
            details: vec![
                ("status", self.status.as_str().to_owned()),
                ("version", self.version.to_string()),
            ],
        }
    }

    /// The refusal of what its status does not allow.
    fn conflict(&self) -> Error {
        Error::new(
            Code::InvoiceStateConflict,
            format!("The invoice is {}.", self.status.as_str()),
        )
    }

    /// The subscription's next version, if it shows this invoice and its change: a subscription shows
    /// its last invoice, and that its bank wants to see who pays.
    pub(super) fn shown_by(
        &self,
        before: Option<&Self>,
        subscription: &Subscription,
        now: Timestamp,
    ) -> Option<Subscription> {
        let is_its = subscription.stripe.as_ref().is_some_and(|link| {
            link.account == self.stripe.account && link.mode == self.stripe.mode
        });
        let is_last = subscription.latest_invoice.as_ref() == Some(&self.stripe.id);
        let seen = before.map(Self::action_required);
        (is_its && is_last && seen != Some(self.action_required())).then(|| Subscription {
            version: subscription.version + 1,
            updated_at: now,
            ..subscription.clone()
        })
    }
}

/// The invoice of that id, as far as the caller may see it.
///
/// # Errors
/// `not_found`.
async fn visible(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    id: &str,
) -> Result<InvoiceView, StoreError> {
    let bound_to = context.organization.as_deref();
    Ok(store::invoices::shown(conn, id)
        .await?
        .filter(|shown| shown.invoice.portal == *portal)
        .filter(|shown| bound_to.is_none_or(|bound_to| bound_to == shown.organization))
        .ok_or_else(Error::not_found)?)
}

/// As [`visible`]; until the transaction ends nobody else begins an operation about its customer.
///
/// # Errors
/// `not_found`.
async fn locked(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    id: &str,
) -> Result<InvoiceView, StoreError> {
    let seen = visible(conn, context, portal, id).await?;
    store::customers::lock(conn, &seen.invoice.customer).await?;
    // What was seen before the lock may have changed.
    visible(conn, context, portal, id).await
}

impl App {
    /// The invoice.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn invoice(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
    ) -> Result<InvoiceView, Error> {
        let found = self
            .store
            .read(async |conn| visible(conn, context, portal, id).await)
            .await?;
        Ok(found)
    }

    /// Invoices of the portal, newest first; for a caller that is bound to an organization its own
    /// alone. A `customer` that does not exist has none.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn invoices(
        &self,
        context: &Context,
        portal: &Slug,
        customer: Option<&CustomerRef>,
        filter: &Filter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Invoice>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                let Some(filter) = narrowed(conn, context, portal, customer, filter).await? else {
                    return Ok(Vec::new());
                };
                let limit = i64::from(limit) + 1;
                store::invoices::list(conn, portal, &filter, after, limit).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Stores what has become of an invoice, if anything has, with its audit entry and its event; and
    /// the subscription that shows it.
    ///
    /// # Errors
    /// `concurrent_change`.
    pub(super) async fn store_invoice(
        &self,
        conn: &mut Conn,
        context: &Context,
        organization: &str,
        before: &Invoice,
        after: &Invoice,
    ) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let with_lines = before.lines != after.lines;
        if !store::invoices::update(conn, after, before.version, with_lines).await? {
            return Err(concurrent().into());
        }
        if after.version == before.version {
            return Ok(());
        }
        self.tell_of_invoice(conn, context, organization, Some(before), after)
            .await
    }

    /// Tells of a version of an invoice, and stores the subscription that shows it.
    pub(super) async fn tell_of_invoice(
        &self,
        conn: &mut Conn,
        context: &Context,
        organization: &str,
        before: Option<&Invoice>,
        after: &Invoice,
    ) -> Result<(), StoreError> {
        let change = after.change(before);
        self.record(conn, context, &after.portal, &after.entry(change))
            .await?;
        let fact = Fact {
            event_type: change.event_type(),
            subject: &after.id,
            version: after.version,
            organization: Some(organization),
            shown: &Outcome::Invoice(Box::new(after.clone())),
        };
        self.publish(conn, &after.portal, &fact).await?;
        let Some(id) = &after.subscription else {
            return Ok(());
        };
        let Some(subscription) = store::subscriptions::find(conn, id).await? else {
            return Ok(());
        };
        let shows = after.shown_by(before, &subscription, self.clock.now());
        match shows {
            None => Ok(()),
            Some(next) => {
                self.store_subscription(conn, context, &subscription, &next)
                    .await
            }
        }
    }
}

/// The filter for this caller, with the customer looked up; `None` when nothing can be found by it.
async fn narrowed(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    customer: Option<&CustomerRef>,
    filter: &Filter,
) -> Result<Option<Filter>, StoreError> {
    let own = context.organization.clone().map(CustomerRef::External);
    let Some(name) = customer.or(own.as_ref()) else {
        return Ok(Some(filter.clone()));
    };
    let bound_to = context.organization.as_deref();
    let found = store::customers::resolve(conn, portal, name).await?;
    Ok(found
        .filter(|customer| bound_to.is_none_or(|bound_to| bound_to == customer.external_id))
        .map(|customer| Filter {
            customer: Some(customer.id),
            ..filter.clone()
        }))
}
