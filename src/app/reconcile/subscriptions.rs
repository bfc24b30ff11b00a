//! Subscriptions: compared, recognized by their metadata, ended when Stripe has them no more.

use super::round::{Round, Whose, is_unsettled};
use crate::app::App;
use crate::app::stripe_metadata as ours;
use crate::app::subscriptions::{snapshot, spoken_at};
use crate::domain::reconciliation::{Drift, DriftKind, Kind, subscription_fields};
use crate::domain::slug::Slug;
use crate::domain::subscription::{
    APPLICATION_MAX_CHARS, Snapshot, Status, StripeStatus, Subscription,
};
use crate::ids::{Id, Kind as IdKind};
use crate::store::{self, Conn, StoreError, reconciliations, stripe_objects, subscription_actions};
use crate::stripe::{Expandable, Metadata, subscriptions as there};

/// A finding about a subscription.
pub(super) fn drift(object: Option<&str>, stripe_id: &str, drift: DriftKind) -> Drift {
    Drift {
        kind: Kind::Subscription,
        object: object.map(str::to_owned),
        stripe_id: Some(stripe_id.to_owned()),
        drift,
        fields: Vec::new(),
        repaired: false,
        detail: None,
    }
}

/// Whether the subscription of ours lives and is this one at Stripe.
pub(super) async fn is_live(
    conn: &mut Conn,
    id: &str,
    stripe_id: &str,
) -> Result<bool, StoreError> {
    let found = store::subscriptions::find(conn, id).await?;
    Ok(found.is_some_and(|it| {
        it.ended_at.is_none() && it.stripe.is_some_and(|link| link.id == stripe_id)
    }))
}

/// What a new row of ours is for.
pub(super) struct Terms {
    /// The customer, `org_…`.
    pub(super) customer: String,
    /// The product.
    pub(super) product: Slug,
    /// The plan.
    pub(super) plan: Slug,
    /// Which of its prices.
    pub(super) revision: i64,
    /// The application.
    pub(super) application: Option<String>,
}

/// Whether it has ended at Stripe.
pub(super) fn has_ended(said: &there::Subscription) -> bool {
    let status = said.status.as_ref().map(StripeStatus::from);
    status
        .and_then(|status| status.ours())
        .is_some_and(Status::is_final)
}

impl App {
    pub(super) async fn subscription_listed(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        said: &there::Subscription,
    ) -> Result<(), StoreError> {
        match round
            .whose(conn, Kind::Subscription, &said.id, &said.metadata)
            .await?
        {
            Whose::Ours(local) => self.subscription_compared(conn, round, &local, said).await,
            Whose::Orphan => self.subscription_recognized(conn, round, said).await,
            Whose::Foreign => Ok(()),
        }
    }

    /// What Stripe said of a subscription that its list did not show; `None`: that there is none.
    pub(super) async fn subscription_asked_for(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: Option<&there::Subscription>,
    ) -> Result<(), StoreError> {
        round.it.compared.count(Kind::Subscription);
        if let Some(said) = said {
            return self.subscription_compared(conn, round, local, said).await;
        }
        let Some(before) = store::subscriptions::find(conn, local).await? else {
            return Ok(());
        };
        let now = self.clock.now();
        let Some(after) = before.turned(Status::Canceled, now) else {
            return Ok(());
        };
        if round.it.repair {
            self.subscription_mended(conn, round, &before, &after)
                .await?;
        }
        let stripe_id = before.stripe.map(|link| link.id).unwrap_or_default();
        let drift = Drift {
            repaired: round.it.repair,
            ..drift(Some(local), &stripe_id, DriftKind::MissingAtStripe)
        };
        round.found(conn, &drift).await
    }

    async fn subscription_compared(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: &there::Subscription,
    ) -> Result<(), StoreError> {
        let Some(before) = store::subscriptions::find(conn, local).await? else {
            return Ok(());
        };
        // What has ended stays so, and most of a long list has.
        if before.ended_at.is_some() {
            return Ok(());
        }
        let snapshot = snapshot_of(conn, round, &before, said).await?;
        let after = before.follow(&snapshot, self.clock.now());
        if after.looks_like(&before) {
            return Ok(());
        }
        if round.it.repair {
            self.subscription_mended(conn, round, &before, &after)
                .await?;
        }
        let fields = subscription_fields(&before, &after);
        let drift = Drift {
            fields: fields.into_iter().map(str::to_owned).collect(),
            repaired: round.it.repair,
            ..drift(Some(local), &said.id, DriftKind::Differs)
        };
        round.found(conn, &drift).await
    }

    async fn subscription_mended(
        &self,
        conn: &mut Conn,
        round: &Round,
        before: &Subscription,
        after: &Subscription,
    ) -> Result<(), StoreError> {
        if after.status != Status::Incomplete {
            // Whatever the consumer had to do for its begin is done, or too late.
            subscription_actions::delete(conn, &after.id).await?;
        }
        self.store_subscription(conn, &round.context, before, after)
            .await
    }

    /// A subscription that is the portal's by its metadata and is not known here.
    async fn subscription_recognized(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        said: &there::Subscription,
    ) -> Result<(), StoreError> {
        // What has ended is no more than history.
        if has_ended(said) || is_unsettled(conn, &said.metadata).await? {
            return Ok(());
        }
        let named = said.metadata.get(ours::SUBSCRIPTION).map(String::as_str);
        let local = match named {
            Some(id) => store::subscriptions::find(conn, id).await?,
            None => None,
        };
        let mut drift = drift(named, &said.id, DriftKind::MissingHere);
        let taken = if !round.it.repair {
            Err(None)
        } else if let Some(local) = local {
            self.subscription_linked(conn, round, &local, said).await?
        } else {
            match terms_of(conn, round, said).await? {
                Ok(terms) => {
                    self.subscription_adopted(conn, round, said, named, terms)
                        .await?
                }
                Err(why) => Err(Some(why)),
            }
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

    /// Makes a subscription at Stripe the one of a row that has none there.
    async fn subscription_linked(
        &self,
        conn: &mut Conn,
        round: &Round,
        before: &Subscription,
        said: &there::Subscription,
    ) -> Result<Result<String, Option<&'static str>>, StoreError> {
        let snapshot = snapshot_of(conn, round, before, said).await?;
        let after = before.follow(&snapshot, self.clock.now());
        if before.stripe.is_some() || after.stripe.as_ref() != Some(&snapshot.link) {
            return Ok(Err(Some("Ours has ended, or is another one at Stripe.")));
        }
        let kind = stripe_objects::SUBSCRIPTION;
        round
            .know(conn, kind, &said.id, &before.id, self.clock.now())
            .await?;
        self.subscription_mended(conn, round, before, &after)
            .await?;
        Ok(Ok(before.id.clone()))
    }

    /// Makes a row for a subscription that lives at Stripe, under the id it is `named` where that is one.
    /// Tells our id of it, or why not.
    pub(super) async fn subscription_adopted(
        &self,
        conn: &mut Conn,
        round: &Round,
        said: &there::Subscription,
        named: Option<&str>,
        terms: Terms,
    ) -> Result<Result<String, Option<&'static str>>, StoreError> {
        let application = terms.application.as_deref();
        let live =
            store::subscriptions::live(conn, &terms.customer, &terms.product, application).await?;
        if live.is_some() {
            return Ok(Err(Some(
                "The customer has another live subscription to the product.",
            )));
        }
        let free = match named.and_then(|id| Id::parse(IdKind::Subscription, id)) {
            Some(id)
                if store::subscriptions::find(conn, id.as_str())
                    .await?
                    .is_none() =>
            {
                Some(id)
            }
            _ => None,
        };
        let id = String::from(free.unwrap_or_else(|| self.ids.new_id(IdKind::Subscription)));
        let now = self.clock.now();
        let version = reconciliations::last_version(conn, &round.it.portal, &id).await?;
        let nothing = blank(id, round, terms, version, now);
        let snapshot = snapshot_of(conn, round, &nothing, said).await?;
        let made = nothing.follow(&snapshot, now);
        if made.stripe.is_none() {
            return Ok(Err(Some("Its status is not known to this version.")));
        }
        store::subscriptions::insert(conn, &made).await?;
        let kind = stripe_objects::SUBSCRIPTION;
        round.know(conn, kind, &said.id, &made.id, now).await?;
        reconciliations::see(conn, &round.it.id, &said.id).await?;
        self.tell_of_subscription(conn, &round.context, &made)
            .await?;
        Ok(Ok(made.id))
    }
}

/// A row of which nothing is known from Stripe yet.
fn blank(
    id: String,
    round: &Round,
    terms: Terms,
    version: i64,
    now: crate::clock::Timestamp,
) -> Subscription {
    let bare = Subscription::provisioning(
        id,
        round.it.portal.clone(),
        terms.customer,
        (terms.product, terms.plan, terms.revision),
        now,
    );
    Subscription {
        application: terms.application,
        version,
        ..bare
    }
}

/// What Stripe says of the subscription, in our words.
async fn snapshot_of(
    conn: &mut Conn,
    round: &Round,
    before: &Subscription,
    said: &there::Subscription,
) -> Result<Snapshot, StoreError> {
    let at = round.fence(before.stripe_at, before.updated_at, Some(spoken_at(said)));
    snapshot(conn, before, said, &round.it.account, round.it.mode, at).await
}

/// What a lost row was for, from the metadata that its subscription was made with.
async fn terms_of(
    conn: &mut Conn,
    round: &Round,
    said: &there::Subscription,
) -> Result<Result<Terms, &'static str>, StoreError> {
    let Some(customer) = customer_of(conn, round, said).await? else {
        return Ok(Err("Its Customer is not known here."));
    };
    let slug = |key: &str| said.metadata.get(key).and_then(|text| Slug::parse(text));
    let revision = said.metadata.get(ours::REVISION);
    let (Some(product), Some(plan), Some(revision)) = (
        slug(ours::PRODUCT),
        slug(ours::PLAN),
        revision.and_then(|text| text.parse().ok()),
    ) else {
        return Ok(Err("Its metadata does not say which plan it is to."));
    };
    Ok(Ok(Terms {
        customer,
        product,
        plan,
        revision,
        application: application_of(&said.metadata),
    }))
}

fn application_of(metadata: &Metadata) -> Option<String> {
    let text = metadata.get(ours::APPLICATION)?;
    let fits = !text.is_empty() && text.chars().count() <= APPLICATION_MAX_CHARS;
    fits.then(|| text.clone())
}

/// Our id of whose the subscription is, if the portal's.
pub(super) async fn customer_of(
    conn: &mut Conn,
    round: &Round,
    said: &there::Subscription,
) -> Result<Option<String>, StoreError> {
    let owner = said.customer.as_ref().map(Expandable::id);
    round.local(conn, stripe_objects::CUSTOMER, owner).await
}
