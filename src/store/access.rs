//! What decisions about access are made from: one indexed query per decision, of the columns it needs.

use diesel::prelude::*;

use super::conn::db;
use super::kept::RunQueryDsl;
use super::schema::{customers, event_heads, portals, stripe_modules, subscriptions};
use super::stripe_modules::read_on_unpaid;
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::access::{Facts, Rules};
use crate::domain::customer::CustomerRef;
use crate::domain::slug::Slug;
use crate::domain::subscription::Status;

/// What a decision is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// The customer, `org_…`.
    pub customer: String,
    /// The id by which the portal knows the customer.
    pub external_id: String,
    /// Its subscription, if there is one.
    pub subscription: Option<Held>,
    /// The portal's settings.
    pub rules: Rules,
}

/// A subscription, as far as access depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// `subn_…`.
    pub id: String,
    /// To which product.
    pub product: String,
    /// To which plan.
    pub plan: String,
    /// For which application, if for one.
    pub application: Option<String>,
    /// How it stands.
    pub facts: Facts,
}

#[derive(Queryable)]
struct HeldRow {
    id: String,
    product: String,
    plan: String,
    application: String,
    status: String,
    paid: bool,
    unpaid_since: Option<i64>,
    trial_end: Option<i64>,
    cancel_at: Option<i64>,
}

pub(super) type RulesRow = Option<(i32, String)>;

impl TryFrom<HeldRow> for Held {
    type Error = StoreError;

    fn try_from(row: HeldRow) -> Result<Self, StoreError> {
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        Ok(Self {
            facts: Facts {
                status: Status::parse(&row.status)
                    .ok_or_else(|| StoreError::corrupt("subscriptions.status"))?,
                paid: row.paid,
                unpaid_since: time(row.unpaid_since),
                trial_end: time(row.trial_end),
                cancel_at: time(row.cancel_at),
            },
            id: row.id,
            product: row.product,
            plan: row.plan,
            application: (!row.application.is_empty()).then_some(row.application),
        })
    }
}

fn grounds(
    (customer, external_id, held, rules): (String, String, Option<HeldRow>, RulesRow),
) -> Result<Grounds, StoreError> {
    Ok(Grounds {
        customer,
        external_id,
        subscription: held.map(Held::try_from).transpose()?,
        rules: read_rules(rules)?,
    })
}

pub(super) fn read_rules(row: RulesRow) -> Result<Rules, StoreError> {
    Ok(match row {
        Some((grace_period_days, on_unpaid)) => Rules {
            grace_period_days,
            on_unpaid: read_on_unpaid(&on_unpaid)?,
        },
        None => Rules::default(),
    })
}

/// The columns of [`HeldRow`], in its order.
macro_rules! held {
    () => {
        (
            subscriptions::id,
            subscriptions::product_id,
            subscriptions::plan_id,
            subscriptions::application,
            subscriptions::status,
            subscriptions::paid,
            subscriptions::unpaid_since,
            subscriptions::trial_end,
            subscriptions::cancel_at,
        )
    };
}

/// The columns of [`RulesRow`], in its order.
macro_rules! rules {
    () => {
        (stripe_modules::grace_period_days, stripe_modules::on_unpaid).nullable()
    };
}
pub(super) use rules;

/// The grounds of a subscription of the portal; `None`: it has none of that id.
///
/// # Errors
/// What the database answers.
pub async fn of_subscription(
    conn: &mut Conn,
    portal: &Slug,
    id: &str,
) -> Result<Option<Grounds>, StoreError> {
    let row: Option<(String, String, HeldRow, RulesRow)> = db!(conn, c => subscriptions::table
        .inner_join(customers::table.on(customers::id.eq(subscriptions::customer_id)))
        .left_join(
            stripe_modules::table.on(stripe_modules::portal_id.eq(subscriptions::portal_id)),
        )
        .filter(subscriptions::id.eq(id))
        .filter(subscriptions::portal_id.eq(portal.as_str()))
        .select((customers::id, customers::external_id, held!(), rules!()))
        .first(c)
        .await
        .optional())?;
    row.map(|(customer, external_id, held, rules)| {
        grounds((customer, external_id, Some(held), rules))
    })
    .transpose()
}

/// The grounds of a customer of the portal for a product and an application (`None`: for none); `None`:
/// the portal has no such customer. Of several subscriptions the live one counts, and where none is,
/// the newest that was not rejected.
///
/// # Errors
/// What the database answers.
pub async fn of_customer(
    conn: &mut Conn,
    portal: &Slug,
    customer: &CustomerRef,
    product: &Slug,
    application: Option<&str>,
) -> Result<Option<Grounds>, StoreError> {
    let application = application.unwrap_or_default();
    // Values in the condition of a join are owned: diesel asks that for what is cached.
    macro_rules! first {
        ($named:expr) => {
            db!(conn, c => customers::table
                .left_join(
                    subscriptions::table.on(subscriptions::customer_id
                        .eq(customers::id)
                        .and(subscriptions::product_id.eq(product.to_string()))
                        .and(subscriptions::application.eq(application.to_owned()))
                        .and(subscriptions::status.ne(Status::Rejected.as_str()))),
                )
                .left_join(
                    stripe_modules::table.on(stripe_modules::portal_id.eq(customers::portal_id)),
                )
                .filter(customers::portal_id.eq(portal.as_str()))
                .filter($named)
                .order((
                    subscriptions::ended_at.is_null().desc(),
                    subscriptions::created_at.desc(),
                    subscriptions::id.desc(),
                ))
                .select((
                    customers::id,
                    customers::external_id,
                    held!().nullable(),
                    rules!(),
                ))
                .first(c)
                .await
                .optional())?
        };
    }
    let row: Option<(String, String, Option<HeldRow>, RulesRow)> = match customer {
        CustomerRef::Id(id) => first!(customers::id.eq(id)),
        CustomerRef::External(external_id) => first!(customers::external_id.eq(external_id)),
    };
    row.map(grounds).transpose()
}

/// How far a portal's feed has come, and what else decides about access in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The portal's name.
    pub portal: String,
    /// The place of its newest event; 0: it has none.
    pub position: i64,
    /// Its settings.
    pub rules: Rules,
}

/// The feeds of those of the portals that exist.
///
/// # Errors
/// What the database answers.
pub async fn feeds(conn: &mut Conn, names: &[&str]) -> Result<Vec<Feed>, StoreError> {
    let rows: Vec<(String, Option<i64>, RulesRow)> = db!(conn, c => portals::table
        .left_join(event_heads::table.on(event_heads::portal_id.eq(portals::id)))
        .left_join(stripe_modules::table.on(stripe_modules::portal_id.eq(portals::id)))
        .filter(portals::id.eq_any(names))
        .select((portals::id, event_heads::position.nullable(), rules!()))
        .load(c)
        .await)?;
    rows.into_iter()
        .map(|(portal, position, rules)| {
            Ok(Feed {
                portal,
                position: position.unwrap_or(0),
                rules: read_rules(rules)?,
            })
        })
        .collect()
}
