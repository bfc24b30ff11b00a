//! Which objects at Stripe belong to which portal; what binds a portal to its account and mode.

use diesel::prelude::*;

use super::conn::{db, send};
use super::kept::{Keep as _, RunQueryDsl};
use super::schema::stripe_objects;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;

/// Stripe's name for customers.
pub const CUSTOMER: &str = "customer";
/// Stripe's name for payment methods.
pub const PAYMENT_METHOD: &str = "payment_method";
/// Stripe's name for products; one of ours stands for a plan, by `product/plan`.
pub const PRODUCT: &str = "product";
/// Stripe's name for prices; one of ours stands for a revision, by `product/plan/revision`.
pub const PRICE: &str = "price";
/// Stripe's name for subscriptions.
pub const SUBSCRIPTION: &str = "subscription";
/// Stripe's name for invoices.
pub const INVOICE: &str = "invoice";

/// An object at Stripe that belongs to a portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeObject {
    /// The Stripe account it lives in.
    pub account_id: String,
    /// The mode it lives in.
    pub mode: Mode,
    /// Stripe's id of it.
    pub stripe_id: String,
    /// Stripe's name of its kind, such as `customer`.
    pub kind: String,
    /// Our id of it.
    pub local_id: String,
}

#[derive(Insertable)]
#[diesel(table_name = stripe_objects, treat_none_as_default_value = false)]
struct ObjectRow<'a> {
    account_id: &'a str,
    livemode: bool,
    stripe_id: &'a str,
    portal_id: &'a str,
    kind: &'a str,
    local_id: &'a str,
    created_at: i64,
}

impl<'a> ObjectRow<'a> {
    fn new(portal: &'a Slug, object: &'a StripeObject, now: Timestamp) -> Self {
        Self {
            account_id: &object.account_id,
            livemode: object.mode.livemode(),
            stripe_id: &object.stripe_id,
            portal_id: portal.as_str(),
            kind: &object.kind,
            local_id: &object.local_id,
            created_at: now.as_millis(),
        }
    }
}

/// Adds an object.
///
/// # Errors
/// [`super::Unique::StripeObject`] when it is known, or the thing of ours has another one there.
pub async fn insert(
    conn: &mut Conn,
    portal: &Slug,
    object: &StripeObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = ObjectRow::new(portal, object, now);
    db!(conn, c => diesel::insert_into(stripe_objects::table).values(&row).execute(c).await)?;
    Ok(())
}

/// Adds an object that is not known yet, and leaves a known one as it is.
///
/// # Errors
/// [`super::Unique::StripeObject`] when the thing of ours has another one there; told at the transaction's
/// end at the latest.
pub async fn note(
    conn: &mut Conn,
    portal: &Slug,
    object: StripeObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let portal = portal.clone();
    let key = (
        stripe_objects::account_id,
        stripe_objects::livemode,
        stripe_objects::stripe_id,
    );
    send!(conn, c => {
        diesel::insert_into(stripe_objects::table)
            .values(&ObjectRow::new(&portal, &object, now))
            .on_conflict(key)
            .do_nothing()
            .kept()
            .execute(c)
            .await?;
        Ok(())
    })
}

/// The object of that id in this account and mode, and whose it is.
///
/// # Errors
/// What the database answers.
pub async fn find(
    conn: &mut Conn,
    account_id: &str,
    mode: Mode,
    stripe_id: &str,
) -> Result<Option<StripeObject>, StoreError> {
    let found: Option<(String, String)> = db!(conn, c => stripe_objects::table
        .find((account_id, mode.livemode(), stripe_id))
        .select((stripe_objects::kind, stripe_objects::local_id))
        .first(c)
        .await
        .optional())?;
    Ok(found.map(|(kind, local_id)| StripeObject {
        account_id: account_id.to_owned(),
        mode,
        stripe_id: stripe_id.to_owned(),
        kind,
        local_id,
    }))
}

/// Forgets where a thing of ours was at Stripe, in every account and mode.
///
/// # Errors
/// What the database answers.
pub async fn forget(
    conn: &mut Conn,
    portal: &Slug,
    kind: &str,
    local_id: &str,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(
            stripe_objects::table
                .filter(stripe_objects::portal_id.eq(portal.as_str()))
                .filter(stripe_objects::kind.eq(kind))
                .filter(stripe_objects::local_id.eq(local_id)),
        )
        .execute(c)
        .await)?;
    Ok(())
}

/// How many objects of the portal live in another account or mode than this one. Products and Prices
/// do not count: they are published anew where the portal goes.
///
/// # Errors
/// What the database answers.
pub async fn count_elsewhere(
    conn: &mut Conn,
    portal: &Slug,
    account_id: &str,
    mode: Mode,
) -> Result<i64, StoreError> {
    Ok(db!(conn, c => stripe_objects::table
        .filter(stripe_objects::portal_id.eq(portal.as_str()))
        .filter(stripe_objects::kind.ne_all([PRODUCT, PRICE]))
        .filter(
            stripe_objects::account_id
                .ne(account_id)
                .or(stripe_objects::livemode.ne(mode.livemode())),
        )
        .count()
        .get_result(c)
        .await)?)
}

/// How many objects of that kind at Stripe belong to the portal.
///
/// # Errors
/// What the database answers.
pub async fn count(conn: &mut Conn, portal: &Slug, kind: &str) -> Result<i64, StoreError> {
    Ok(db!(conn, c => stripe_objects::table
        .filter(stripe_objects::portal_id.eq(portal.as_str()))
        .filter(stripe_objects::kind.eq(kind))
        .count()
        .get_result(c)
        .await)?)
}

/// Which of these objects of an account and mode are known, in whichever portal: each with its portal.
///
/// # Errors
/// What the database answers.
pub async fn find_many(
    conn: &mut Conn,
    account_id: &str,
    mode: Mode,
    stripe_ids: &[&str],
) -> Result<Vec<(Slug, StripeObject)>, StoreError> {
    let rows: Vec<(String, String, String, String)> = db!(conn, c => stripe_objects::table
        .filter(stripe_objects::account_id.eq(account_id))
        .filter(stripe_objects::livemode.eq(mode.livemode()))
        .filter(stripe_objects::stripe_id.eq_any(stripe_ids))
        .select((
            stripe_objects::portal_id,
            stripe_objects::stripe_id,
            stripe_objects::kind,
            stripe_objects::local_id,
        ))
        .load(c)
        .await)?;
    rows.into_iter()
        .map(|(portal, stripe_id, kind, local_id)| {
            let portal = Slug::parse(&portal)
                .ok_or_else(|| StoreError::corrupt("stripe_objects.portal_id"))?;
            let object = StripeObject {
                account_id: account_id.to_owned(),
                mode,
                stripe_id,
                kind,
                local_id,
            };
            Ok((portal, object))
        })
        .collect()
}

/// Forgets an object, if it is known.
///
/// # Errors
/// What the database answers.
pub async fn delete(
    conn: &mut Conn,
    account_id: &str,
    mode: Mode,
    stripe_id: &str,
) -> Result<(), StoreError> {
    db!(conn, c => diesel::delete(
            stripe_objects::table.find((account_id, mode.livemode(), stripe_id)),
        )
        .execute(c)
        .await)?;
    Ok(())
}

/// Stripe's id of a thing of ours in this account and mode.
///
/// # Errors
/// What the database answers.
pub async fn id_of(
    conn: &mut Conn,
    portal: &Slug,
    kind: &str,
    local_id: &str,
    account_id: &str,
    mode: Mode,
) -> Result<Option<String>, StoreError> {
    Ok(db!(conn, c => stripe_objects::table
        .filter(stripe_objects::portal_id.eq(portal.as_str()))
        .filter(stripe_objects::kind.eq(kind))
        .filter(stripe_objects::local_id.eq(local_id))
        .filter(stripe_objects::account_id.eq(account_id))
        .filter(stripe_objects::livemode.eq(mode.livemode()))
        .select(stripe_objects::stripe_id)
        .first(c)
        .await
        .optional())?)
}

/// Forgets what stands for a product's plans and their revisions, in whichever account and mode.
///
/// # Errors
/// What the database answers.
pub async fn forget_product(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
) -> Result<(), StoreError> {
    // A slug has no `%` and no `_`, so that the pattern means itself.
    db!(conn, c => diesel::delete(
            stripe_objects::table
                .filter(stripe_objects::portal_id.eq(portal.as_str()))
                .filter(stripe_objects::kind.eq_any([PRODUCT, PRICE]))
                .filter(stripe_objects::local_id.like(format!("{product}/%"))),
        )
        .execute(c)
        .await)?;
    Ok(())
}
