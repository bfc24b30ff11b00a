//! What Stripe says of invoices, and of what changes them: payments and credit notes.

use super::event::{Incoming, Place};
use super::names::{LinkKey, Names, ours_in};
use super::subscription::News;
use super::tell::Change;
use super::work::{Named, Verdict, Work, must, texts};
use crate::app::answer::Outcome;
use crate::app::invoices::snapshot;
use crate::app::stripe_metadata as ours;
use crate::domain::invoice::{Invoice, Latest, Order, Snapshot, Status};
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::Subscription;
use crate::ids::Kind;
use crate::store::stripe_objects::{CUSTOMER, INVOICE, SUBSCRIPTION, StripeObject};
use crate::store::{self, Conn, StoreError};
use crate::stripe::{self as there, Expandable};

/// An invoice, and what is to be done with it.
pub(super) struct InvoiceRow {
    /// As it is now.
    it: Invoice,
    /// The version that is stored; `None`: it is new.
    stored: Option<i64>,
    changed: bool,
    lines_changed: bool,
}

fn key_of(link: &StripeLink) -> LinkKey {
    (link.account.clone(), link.mode.livemode(), link.id.clone())
}

impl Work<'_> {
    /// Reads the invoices that a batch names, and those that subscriptions show as their last.
    pub(super) async fn load_invoices(
        &mut self,
        conn: &mut Conn,
        names: &Names<'_>,
    ) -> Result<(), StoreError> {
        if !names.invoices.is_empty() {
            for it in store::invoices::lock_many(conn, &texts(&names.invoices)).await? {
                let row = InvoiceRow {
                    stored: Some(it.version),
                    changed: false,
                    lines_changed: false,
                    it,
                };
                self.invoices.insert(row.it.id.clone(), row);
            }
        }
        let mut shown = names.latest.clone();
        shown.extend(
            self.subscriptions
                .values()
                .filter_map(|row| row.it.latest_invoice.as_deref()),
        );
        if !shown.is_empty() {
            let ids: Vec<&str> = shown.into_iter().collect();
            for (link, latest) in store::invoices::latest_many(conn, &ids).await? {
                self.latest.insert(key_of(&link), latest);
            }
        }
        Ok(())
    }

    /// The last invoice of a subscription, if it is known here.
    pub(super) fn latest_of(&self, subscription: &Subscription) -> Option<Latest> {
        let link = StripeLink {
            id: subscription.latest_invoice.clone()?,
            ..subscription.stripe.clone()?
        };
        self.latest.get(&key_of(&link)).cloned()
    }

    /// Takes over what Stripe says of an invoice; with `asks` that its bank wants to see who pays, with
    /// `deleted` that it was deleted as a draft, which leaves it void.
    pub(super) fn invoice_said(
        &mut self,
        event: &Incoming,
        place: &Place,
        said: &there::Invoice,
        (asks, deleted): (bool, bool),
        news: News,
    ) -> Verdict {
        let before = match self.link(place, &said.id) {
            None => None,
            Some(_) => match self.own_invoice(event, &said.id) {
                None => return Verdict::Foreign,
                found => found,
            },
        };
        let owner = said.customer.as_ref().map(Expandable::id);
        let owner = owner.and_then(|id| self.local(event, CUSTOMER, id));
        let subscription = self.subscription_of(event, said);
        if before.is_none() {
            let metadata = said.subscription_metadata();
            let maker = metadata.and_then(|it| it.get(ours::OPERATION));
            if subscription.is_none() && self.is_unsettled(maker.map(String::as_str)) {
                return Verdict::Parked;
            }
            if owner.is_none() {
                return Verdict::Foreign;
            }
        }
        let incomplete = said.lines.has_more && !deleted;
        if (!event.is_pinned() || incomplete) && !news.surely_last {
            return Verdict::Refetch;
        }
        let link = StripeLink {
            account: place.account.clone(),
            mode: place.mode,
            id: said.id.clone(),
        };
        let known = before.as_ref().map(|before| before.stripe_at);
        let at = if news.surely_last {
            news.fence(known)
        } else {
            news.at
        };
        let mut heard = snapshot(said, link, subscription, at);
        if deleted {
            heard.status = Some(Status::Void);
            heard.lines = None;
        }
        match (before, owner) {
            (Some(before), _) => self.followed(event, &before, heard, asks, news),
            (None, Some(_)) if deleted => Verdict::Stale,
            (None, Some(owner)) => self.new_invoice(event, heard, asks, owner),
            (None, None) => Verdict::Foreign,
        }
    }

    fn own_invoice(&self, event: &Incoming, stripe_id: &str) -> Option<Invoice> {
        let local = self.local(event, INVOICE, stripe_id)?;
        Some(self.invoices.get(&local)?.it.clone())
    }

    /// Our subscription that an invoice is for: the one that is noted, or that it names itself.
    fn subscription_of(&self, event: &Incoming, said: &there::Invoice) -> Option<String> {
        let noted = self.local(event, SUBSCRIPTION, said.subscription()?);
        let named = || ours_in(said.subscription_metadata()?, event, ours::SUBSCRIPTION);
        let id = noted.or_else(|| named().map(str::to_owned))?;
        let row = self.subscriptions.get(&id)?;
        (row.it.portal == event.portal).then_some(id)
    }

    fn new_invoice(
        &mut self,
        event: &Incoming,
        mut heard: Snapshot,
        asks: bool,
        owner: String,
    ) -> Verdict {
        heard.action_required = asks;
        let link = heard.link.clone();
        let id = String::from(self.app.ids.new_id(Kind::Invoice));
        let portal = event.portal.clone();
        let Some(invoice) = heard.first(id, portal, owner, self.now) else {
            return Verdict::Dead("an invoice of a status that is not known".to_owned());
        };
        let object = StripeObject {
            account_id: link.account,
            mode: link.mode,
            stripe_id: link.id,
            kind: INVOICE.to_owned(),
            local_id: invoice.id.clone(),
        };
        self.know(&event.portal, object);
        self.put_invoice(event, None, &invoice);
        Verdict::Applied
    }

    fn followed(
        &mut self,
        event: &Incoming,
        before: &Invoice,
        mut heard: Snapshot,
        asks: bool,
        news: News,
    ) -> Verdict {
        let order = before.order(&heard);
        let plain = before.follow(&heard, self.now);
        if order == Order::Unknown && !news.surely_last && !plain.looks_like(before) {
            return Verdict::Refetch;
        }
        heard.action_required = asks;
        let after = before.follow(&heard, self.now);
        let changes = after != *before;
        self.put_invoice(event, Some(before), &after);
        if order == Order::Earlier && !changes {
            Verdict::Stale
        } else {
            Verdict::Applied
        }
    }

    /// A payment or a credit note has changed an invoice, which Stripe tells by itself as well. Where it
    /// does not, the invoice is asked for.
    pub(super) fn part_of_invoice(
        &self,
        event: &Incoming,
        place: &Place,
        id: &str,
        news: News,
    ) -> Verdict {
        if self.link(place, id).is_none() {
            // One that is foreign, or one that is yet to be told of.
            return Verdict::Foreign;
        }
        let Some(invoice) = self.own_invoice(event, id) else {
            return Verdict::Foreign;
        };
        if invoice.stripe_at >= event.created_at || !news.patient {
            return Verdict::Applied;
        }
        Verdict::Missing(Named::Invoice(id.to_owned()))
    }

    /// Stores an invoice as it is now, and tells of it and of the subscription that shows it.
    fn put_invoice(&mut self, event: &Incoming, before: Option<&Invoice>, after: &Invoice) {
        let row = self
            .invoices
            .entry(after.id.clone())
            .or_insert_with(|| InvoiceRow {
                it: after.clone(),
                stored: None,
                changed: true,
                lines_changed: true,
            });
        row.changed |= *after != row.it;
        row.lines_changed |= after.lines != row.it.lines;
        row.it = after.clone();
        self.latest
            .insert(key_of(&after.stripe), Latest::from(after));
        if before.is_some_and(|before| before.version == after.version) {
            return;
        }
        let Some(owner) = self.customer(&after.portal, &after.customer) else {
            return;
        };
        let change = after.change(before);
        let draft = after.entry(change);
        let organization = owner.external_id.clone();
        let change = Change {
            name: change.event_type(),
            address: draft.subject,
            details: vec![("status", after.status.as_str().to_owned())],
            subject: after.id.clone(),
            version: after.version,
            organization,
        };
        let shown = Outcome::Invoice(Box::new(after.clone()));
        self.tell(event, change, &shown);
        let subscription = after
            .subscription
            .as_ref()
            .and_then(|id| self.subscriptions.get(id))
            .and_then(|row| after.shown_by(before, &row.it, self.now));
        if let Some(next) = subscription {
            self.put_subscription(event, next);
        }
    }

    /// Writes the invoices. Their objects at Stripe are noted before: of two that are told of a new one at
    /// once the second fails there, and finds it at its next attempt.
    pub(super) async fn flush_invoices(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for row in self.invoices.values().filter(|row| row.changed) {
            match row.stored {
                None => store::invoices::insert(conn, &row.it).await?,
                Some(expected) => {
                    let lines = row.lines_changed;
                    must(store::invoices::update(conn, &row.it, expected, lines).await?)?;
                }
            }
        }
        Ok(())
    }
}
