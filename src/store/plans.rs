//! Writing the plans of a product, their revisions, and what stands for them at Stripe. Whoever
//! calls these has the product locked.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::{plan_revisions, plans};
use super::{Conn, StoreError, pricing};
use crate::clock::Timestamp;
use crate::domain::catalog::{OpenPrice, Plan, PriceAtStripe, ProductAtStripe};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

/// A plan's name within its portal.
#[derive(Clone, Copy, Debug)]
pub struct PlanName<'a> {
    /// The portal.
    pub portal: &'a Slug,
    /// The product.
    pub product: &'a Slug,
    /// The plan.
    pub plan: &'a Slug,
}

/// Stores a plan that can be had, at its place among those of its product. A plan that was withdrawn
/// can be had again. Its revision is not stored here.
///
/// # Errors
/// What the database answers.
pub async fn put(
    conn: &mut Conn,
    name: PlanName<'_>,
    plan: &Plan,
    place: i32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now = now.as_millis();
    let values = (
        plans::place.eq(place),
        plans::title.eq(&plan.title),
        plans::description.eq(&plan.description),
        plans::approval_required.eq(plan.approval_required),
        plans::revision.eq(plan.revision),
        plans::withdrawn_at.eq(None::<i64>),
        plans::updated_at.eq(now),
    );
    db!(conn, c => diesel::insert_into(plans::table)
        .values((
            plans::portal_id.eq(name.portal.as_str()),
            plans::product_id.eq(name.product.as_str()),
            plans::id.eq(name.plan.as_str()),
            plans::stripe_archived.eq(false),
            plans::created_at.eq(now),
            values,
        ))
        .on_conflict((plans::portal_id, plans::product_id, plans::id))
        .do_update()
        .set(values)
        .execute(c)
        .await)?;
    Ok(())
}

/// Stores the plan's current revision, which did not exist before.
///
/// # Errors
/// What the database answers.
pub async fn insert_revision(
    conn: &mut Conn,
    name: PlanName<'_>,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), StoreError> {
    let pricing = pricing::write(&plan.pricing)?;
    db!(conn, c => diesel::insert_into(plan_revisions::table)
        .values((
            plan_revisions::portal_id.eq(name.portal.as_str()),
            plan_revisions::product_id.eq(name.product.as_str()),
            plan_revisions::plan_id.eq(name.plan.as_str()),
            plan_revisions::revision.eq(plan.revision),
            plan_revisions::pricing.eq(&pricing),
            plan_revisions::stripe_archived.eq(false),
            plan_revisions::created_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Withdraws a plan: it can no longer be had and stays for its subscribers.
///
/// # Errors
/// What the database answers.
pub async fn withdraw(
    conn: &mut Conn,
    name: PlanName<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(
            plans::table.find((name.portal.as_str(), name.product.as_str(), name.plan.as_str())),
        )
        .set((
            plans::withdrawn_at.eq(now.as_millis()),
            plans::updated_at.eq(now.as_millis()),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Stores the Product that stands for a plan.
///
/// # Errors
/// What the database answers.
pub async fn set_product(
    conn: &mut Conn,
    name: PlanName<'_>,
    at_stripe: &ProductAtStripe,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::update(
            plans::table.find((name.portal.as_str(), name.product.as_str(), name.plan.as_str())),
        )
        .set((
            plans::stripe_account.eq(&at_stripe.link.account),
            plans::stripe_livemode.eq(at_stripe.link.mode.livemode()),
            plans::stripe_product.eq(&at_stripe.link.id),
            plans::stripe_name.eq(&at_stripe.name),
            plans::stripe_archived.eq(at_stripe.archived),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// Stores the Price that stands for a revision.
///
/// # Errors
/// What the database answers.
pub async fn set_price(
    conn: &mut Conn,
    name: PlanName<'_>,
    revision: i64,
    at_stripe: &PriceAtStripe,
) -> Result<(), StoreError> {
    let key = (
        name.portal.as_str(),
        name.product.as_str(),
        name.plan.as_str(),
        revision,
    );
    db!(conn, c => diesel::update(plan_revisions::table.find(key))
        .set((
            plan_revisions::stripe_account.eq(&at_stripe.link.account),
            plan_revisions::stripe_livemode.eq(at_stripe.link.mode.livemode()),
            plan_revisions::stripe_price.eq(&at_stripe.link.id),
            plan_revisions::stripe_archived.eq(at_stripe.archived),
        ))
        .execute(c)
        .await)?;
    Ok(())
}

/// The Prices of a product in this account and mode that were not taken out of use, by plan and
/// revision.
///
/// # Errors
/// What the database answers.
pub async fn open_prices(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
    account: &str,
    mode: Mode,
) -> Result<Vec<OpenPrice>, StoreError> {
    let rows: Vec<(String, i64, String)> = db!(conn, c => plan_revisions::table
        .filter(plan_revisions::portal_id.eq(portal.as_str()))
        .filter(plan_revisions::product_id.eq(product.as_str()))
        .filter(plan_revisions::stripe_account.eq(account))
        .filter(plan_revisions::stripe_livemode.eq(mode.livemode()))
        .filter(plan_revisions::stripe_price.is_not_null())
        .filter(plan_revisions::stripe_archived.eq(false))
        .order((plan_revisions::plan_id, plan_revisions::revision))
        .select((
            plan_revisions::plan_id,
            plan_revisions::revision,
            plan_revisions::stripe_price.assume_not_null(),
        ))
        .load(c)
        .await)?;
    rows.into_iter()
        .map(|(plan, revision, price)| {
            Ok(OpenPrice {
                plan: Slug::parse(&plan)
                    .ok_or_else(|| StoreError::corrupt("plan_revisions.plan_id"))?,
                revision,
                price,
            })
        })
        .collect()
}
