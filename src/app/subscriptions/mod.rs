//! Subscriptions: made, approved, shown, ended.
//!
//! A free one lives here alone. A paid one lives at Stripe: `order` brings it there, `cancel` ends it
//! there, and `snapshot` says in our words what Stripe says of it, which the subscription then follows
//! ([`Subscription::follow`]).

mod action;
mod approve;
mod cancel;
mod change;
mod checkout;
mod create;
mod method;
mod offer;
mod order;
mod snapshot;

use secrecy::SecretString;

use super::answer::Outcome;
use super::portals::{concurrent, existing};
use super::publish::Fact;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::access::{self, Access, Facts};
use crate::domain::audit::Draft;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Code, Error};
use crate::domain::precondition::entity_tag;
use crate::domain::slug::Slug;
use crate::domain::subscription::{ActionType, Subscription};
use crate::store::subscriptions::Shown;
use crate::store::{self, Conn, StoreError};

pub use crate::store::subscriptions::Filter;
pub(super) use order::order_search;
pub(super) use snapshot::{snapshot, spoken_at};

pub use cancel::{CancelInput, CancelTime, OpenInvoice};
pub use checkout::CheckoutInput;
pub use create::{Method, SubscriptionInput};

/// A subscription as it is shown at one time.
#[derive(Clone, Debug)]
pub struct SubscriptionView {
    /// The subscription.
    pub subscription: Subscription,
    /// The customer's external id.
    pub organization: String,
    /// Whether it may use the API now.
    pub access: Access,
    /// What the consumer has to do to finish it.
    pub action: Option<ActionView>,
    /// Stripe's id of the customer, in the subscription's account and mode.
    pub stripe_customer: Option<String>,
    /// Our id of its last invoice, `bill_…`, once that is known here.
    pub latest_invoice: Option<String>,
}

/// What a consumer has to do to finish a subscription.
#[derive(Clone, Debug)]
pub struct ActionView {
    /// What.
    pub action_type: ActionType,
    /// With it and the publishable key, Stripe.js does it. Not in events.
    pub client_secret: Option<SecretString>,
    /// Where it can be done in a browser; that of a Checkout page is not in events.
    pub url: Option<String>,
}

impl Subscription {
    /// The part of its entity tag that writers are held to.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }

    /// Where the API has it.
    pub(super) fn address(&self) -> String {
        format!("/v1/portals/{}/subscriptions/{}", self.portal, self.id)
    }

    /// The refusal of what its status does not allow.
    fn conflict(&self) -> Error {
        Error::new(
            Code::SubscriptionStateConflict,
            format!("The subscription is {}.", self.status.as_str()),
        )
    }
}

/// Whether what belongs to this organization is for the caller.
fn is_for(context: &Context, organization: &str) -> bool {
    let bound_to = context.organization.as_deref();
    bound_to.is_none_or(|bound_to| bound_to == organization)
}

/// The subscription of that id with all that is shown of it, as far as the caller may see it.
///
/// # Errors
/// `not_found`.
async fn visible(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    id: &str,
) -> Result<Shown, StoreError> {
    let shown = store::subscriptions::shown(conn, id).await?;
    Ok(seen(context, portal, shown)?)
}

/// What was found, if the caller may see it.
///
/// # Errors
/// `not_found`.
fn seen(context: &Context, portal: &Slug, found: Option<Shown>) -> Result<Shown, Error> {
    found
        .filter(|shown| shown.subscription.portal == *portal)
        .filter(|shown| is_for(context, &shown.organization))
        .ok_or_else(Error::not_found)
}

/// As [`visible`]; until the transaction ends nobody else changes the subscriptions of its customer or
/// begins an operation about them.
///
/// # Errors
/// `not_found`.
async fn locked(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    id: &str,
) -> Result<Shown, StoreError> {
    let seen = visible(conn, context, portal, id).await?;
    store::customers::lock(conn, &seen.subscription.customer).await?;
    // What was seen before the lock may have changed.
    visible(conn, context, portal, id).await
}

impl App {
    /// The subscription.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
    ) -> Result<SubscriptionView, Error> {
        let shown = self.store.shown_subscription(id).await?;
        let shown = seen(context, portal, shown)?;
        if shown.action.is_none() {
            return Ok(self.viewed(shown, None));
        }
        let opened = self
            .store
            .read(async |conn| self.view_of(conn, shown.clone(), true).await);
        Ok(opened.await?)
    }

    /// Subscriptions of the portal, newest first; for a caller that is bound to an organization its
    /// own alone. A `customer` that does not exist has none.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn subscriptions(
        &self,
        context: &Context,
        portal: &Slug,
        customer: Option<&CustomerRef>,
        filter: &Filter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<SubscriptionView>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                let Some(filter) = narrowed(conn, context, portal, customer, filter).await? else {
                    return Ok(Vec::new());
                };
                let limit = i64::from(limit) + 1;
                let rows = store::subscriptions::list(conn, portal, &filter, after, limit).await?;
                let mut views = Vec::with_capacity(rows.len());
                for shown in rows {
                    views.push(self.view_of(conn, shown, true).await?);
                }
                Ok(views)
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    async fn view_of(
        &self,
        conn: &mut Conn,
        mut shown: Shown,
        with_secret: bool,
    ) -> Result<SubscriptionView, StoreError> {
        let action = match shown.action.take() {
            None => None,
            Some(stored) => Some(
                self.open_action(conn, &shown.subscription, stored, with_secret)
                    .await?,
            ),
        };
        Ok(self.viewed(shown, action))
    }

    /// A subscription with what is shown of it, as it is now; `action` is its own, opened.
    pub(super) fn viewed(&self, shown: Shown, action: Option<ActionView>) -> SubscriptionView {
        let Shown {
            subscription,
            organization,
            stripe_customer,
            rules,
            latest_invoice: latest,
            ..
        } = shown;
        let link = subscription.stripe.as_ref();
        let stripe_customer = link
            .zip(stripe_customer.as_ref())
            .and_then(|(link, customer)| customer.id_in(&link.account, link.mode))
            .map(str::to_owned);
        // What its last invoice asks for, while nothing of its own is left to do.
        let asked = latest
            .as_ref()
            .filter(|latest| latest.action_required && !subscription.status.is_final());
        let action = action.or_else(|| {
            asked.map(|latest| ActionView {
                action_type: ActionType::Authenticate,
                client_secret: None,
                url: latest.hosted_url.clone(),
            })
        });
        SubscriptionView {
            latest_invoice: latest.map(|latest| latest.id),
            access: access::decide(&Facts::from(&subscription), rules, self.clock.now()),
            subscription,
            organization,
            action,
            stripe_customer,
        }
    }

    /// A subscription as an outcome, read as it is stored now.
    async fn shown_subscription(
        &self,
        conn: &mut Conn,
        id: &str,
        created: bool,
    ) -> Result<Outcome, StoreError> {
        let shown = store::subscriptions::shown(conn, id).await?;
        let shown = shown.ok_or_else(|| StoreError::Other(format!("{id} is gone")))?;
        self.outcome_of(conn, shown, created).await
    }

    async fn outcome_of(
        &self,
        conn: &mut Conn,
        shown: Shown,
        created: bool,
    ) -> Result<Outcome, StoreError> {
        Ok(Outcome::Subscription {
            view: Box::new(self.view_of(conn, shown, true).await?),
            created,
        })
    }

    /// Stores what has become of a subscription, if anything has. A new version is audited and
    /// published; without one only what nobody is shown differs.
    ///
    /// # Errors
    /// `concurrent_change`.
    pub(super) async fn store_subscription(
        &self,
        conn: &mut Conn,
        context: &Context,
        before: &Subscription,
        after: &Subscription,
    ) -> Result<(), StoreError> {
        let stored = self.stored(conn, context, before, after).await;
        stored.map(drop)
    }

    /// As [`App::store_subscription`]; gives the subscription as an outcome.
    async fn store_and_show(
        &self,
        conn: &mut Conn,
        context: &Context,
        (before, after): (&Subscription, &Subscription),
        created: bool,
    ) -> Result<Outcome, StoreError> {
        match self.stored(conn, context, before, after).await? {
            Some(shown) => self.outcome_of(conn, shown, created).await,
            None => self.shown_subscription(conn, &after.id, created).await,
        }
    }

    /// Stores what has become of a subscription; gives what was told of it.
    async fn stored(
        &self,
        conn: &mut Conn,
        context: &Context,
        before: &Subscription,
        after: &Subscription,
    ) -> Result<Option<Shown>, StoreError> {
        if before == after {
            return Ok(None);
        }
        let otherwise = concurrent().into();
        store::subscriptions::must_update(conn, after, before.version, otherwise).await?;
        if after.version == before.version {
            return Ok(None);
        }
        let told = self.tell_of_subscription(conn, context, after).await?;
        Ok(Some(told))
    }

    /// Writes the audit entry and the event of a subscription's version; gives what was told.
    pub(super) async fn tell_of_subscription(
        &self,
        conn: &mut Conn,
        context: &Context,
        subscription: &Subscription,
    ) -> Result<Shown, StoreError> {
        let change = if subscription.version == 1 {
            "subscription.created"
        } else {
            "subscription.updated"
        };
        let ((), shown) = conn
            .both(
                async |conn| {
                    self.record_subscription(conn, context, subscription, change)
                        .await
                },
                async |conn| store::subscriptions::shown(conn, &subscription.id).await,
            )
            .await?;
        let shown = shown.ok_or_else(concurrent)?;
        let view = self.view_of(conn, shown.clone(), false).await?;
        let organization = view.organization.clone();
        let fact = Fact {
            event_type: change,
            subject: &subscription.id,
            version: subscription.version,
            organization: Some(&organization),
            shown: &Outcome::Subscription {
                view: Box::new(view),
                created: false,
            },
        };
        self.publish(conn, &subscription.portal, &fact).await?;
        Ok(shown)
    }

    async fn record_subscription(
        &self,
        conn: &mut Conn,
        context: &Context,
        subscription: &Subscription,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let entry = Draft {
            action,
            subject: subscription.address(),
            details: vec![
                ("status", subscription.status.as_str().to_owned()),
                ("version", subscription.version.to_string()),
            ],
        };
        self.record(conn, context, &subscription.portal, &entry)
            .await
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
    let found = store::customers::resolve(conn, portal, name).await?;
    Ok(found
        .filter(|customer| is_for(context, &customer.external_id))
        .map(|customer| Filter {
            customer: Some(customer.id),
            ..filter.clone()
        }))
}
