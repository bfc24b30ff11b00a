//! Subscriptions.

use diesel::dsl::{exists, select, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::access::{RulesRow, read_rules, rules};
use super::conn::{db, send};
use super::invoices::LatestRow;
use super::kept::{Keep as _, RunQueryDsl, condition};
use super::schema::{customers, invoices, stripe_modules, subscription_actions, subscriptions};
use super::subscription_actions::{ActionRow, StoredAction};
use super::{Conn, StoreError};
use crate::clock::Timestamp;
use crate::domain::access::Rules;
use crate::domain::invoice::Latest;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::{Status, Subscription};

mod many;
mod row;

pub use many::{lock_many, update_locked};

use row::SubscriptionRow;

/// How many are given by one call of [`waiting`].
const WAITING_MAX: i64 = 100;

/// The subscription of that id, in whichever portal.
///
/// # Errors
/// What the database answers.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<Subscription>, StoreError> {
    let row: Option<SubscriptionRow> = db!(conn, c => subscriptions::table
        .find(id)
        .select(SubscriptionRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Subscription::try_from).transpose()
}

/// Adds a subscription.
///
/// # Errors
/// [`super::Unique::LiveSubscription`] when the customer has a live one to the product for the
/// application.
pub async fn insert(conn: &mut Conn, subscription: &Subscription) -> Result<(), StoreError> {
    let row = SubscriptionRow::try_from(subscription)?;
    db!(conn, c => diesel::insert_into(subscriptions::table)
        .values(&row)
        .execute(c)
        .await)?;
    Ok(())
}

/// Stores a subscription as it is now; if it is not at `expected_version` any more, the transaction ends
/// with the error `otherwise`. With the version unchanged only what nobody is shown may differ.
///
/// # Errors
/// `otherwise`, and what the database answers; told at the transaction's end at the latest.
pub async fn must_update(
    conn: &mut Conn,
    subscription: &Subscription,
    expected_version: i64,
    otherwise: StoreError,
) -> Result<(), StoreError> {
    let row = SubscriptionRow::try_from(subscription)?;
    send!(conn, c => {
        let replaced = diesel::update(
            subscriptions::table
                .filter(subscriptions::id.eq(&row.id))
                .filter(subscriptions::version.eq(expected_version)),
        )
        .set(&row)
        .kept();
        if replaced.execute(c).await? == 1 { Ok(()) } else { Err(otherwise) }
    })
}

/// Removes a subscription that never came to be, if it is still at `expected_version`; tells whether
/// it was.
///
/// # Errors
/// What the database answers.
pub async fn delete(conn: &mut Conn, id: &str, expected_version: i64) -> Result<bool, StoreError> {
    let deleted = db!(conn, c => diesel::delete(
            subscriptions::table
                .find(id)
                .filter(subscriptions::version.eq(expected_version)),
        )
        .execute(c)
        .await)?;
    Ok(deleted == 1)
}

/// The live subscription of a customer to a product for an application, of which there is one at most.
///
/// # Errors
/// What the database answers.
pub async fn live(
    conn: &mut Conn,
    customer: &str,
    product: &Slug,
    application: Option<&str>,
) -> Result<Option<Subscription>, StoreError> {
    let row: Option<SubscriptionRow> = db!(conn, c => subscriptions::table
        .filter(subscriptions::customer_id.eq(customer))
        .filter(subscriptions::product_id.eq(product.as_str()))
        .filter(subscriptions::application.eq(application.unwrap_or_default()))
        .filter(subscriptions::ended_at.is_null())
        .select(SubscriptionRow::as_select())
        .first(c)
        .await
        .optional())?;
    row.map(Subscription::try_from).transpose()
}

/// The live subscriptions of a customer, oldest first.
///
/// # Errors
/// What the database answers.
pub async fn live_of_customer(
    conn: &mut Conn,
    customer: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<SubscriptionRow> = db!(conn, c => subscriptions::table
        .filter(subscriptions::customer_id.eq(customer))
        .filter(subscriptions::ended_at.is_null())
        .order((subscriptions::created_at, subscriptions::id))
        .select(SubscriptionRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// Whether the portal has a live subscription.
///
/// # Errors
/// What the database answers.
pub async fn live_in_portal(conn: &mut Conn, portal: &Slug) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            subscriptions::table
                .filter(subscriptions::portal_id.eq(portal.as_str()))
                .filter(subscriptions::ended_at.is_null()),
        ))
        .get_result(c)
        .await)?)
}

/// Whether the portal has a live subscription that needs Stripe.
///
/// # Errors
/// What the database answers.
pub async fn live_paid_in_portal(conn: &mut Conn, portal: &Slug) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            subscriptions::table
                .filter(subscriptions::portal_id.eq(portal.as_str()))
                .filter(subscriptions::ended_at.is_null())
                .filter(subscriptions::paid.eq(true)),
        ))
        .get_result(c)
        .await)?)
}

/// Whether a product of the portal has a live subscription.
///
/// # Errors
/// What the database answers.
pub async fn live_of_product(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            subscriptions::table
                .filter(subscriptions::portal_id.eq(portal.as_str()))
                .filter(subscriptions::product_id.eq(product.as_str()))
                .filter(subscriptions::ended_at.is_null()),
        ))
        .get_result(c)
        .await)?)
}

/// The portal's subscriptions that wait for their begin and are not at Stripe yet, and have not changed
/// since `before`; behind our id `after`, in the order of our ids.
///
/// # Errors
/// What the database answers.
pub async fn waiting(
    conn: &mut Conn,
    portal: &Slug,
    before: Timestamp,
    after: &str,
) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<SubscriptionRow> = db!(conn, c => subscriptions::table
        .filter(subscriptions::portal_id.eq(portal.as_str()))
        .filter(subscriptions::status.eq(Status::Incomplete.as_str()))
        .filter(subscriptions::stripe_id.is_null())
        .filter(subscriptions::updated_at.lt(before.as_millis()))
        .filter(subscriptions::id.gt(after))
        .order(subscriptions::id)
        .limit(WAITING_MAX)
        .select(SubscriptionRow::as_select())
        .load(c)
        .await)?;
    rows.into_iter().map(Subscription::try_from).collect()
}

/// Whether the customer ever had a subscription with a trial.
///
/// # Errors
/// What the database answers.
pub async fn had_trial(conn: &mut Conn, customer: &str) -> Result<bool, StoreError> {
    Ok(db!(conn, c => select(exists(
            subscriptions::table
                .filter(subscriptions::customer_id.eq(customer))
                .filter(subscriptions::trial_end.is_not_null()),
        ))
        .get_result(c)
        .await)?)
}

/// A subscription with what is shown of it and stands elsewhere.
#[derive(Clone)]
pub struct Shown {
    /// The subscription.
    pub subscription: Subscription,
    /// The customer's external id.
    pub organization: String,
    /// Where the customer lives at Stripe.
    pub stripe_customer: Option<StripeLink>,
    /// The portal's settings, as far as access depends on them.
    pub rules: Rules,
    /// What the consumer has to do to finish it.
    pub action: Option<StoredAction>,
    /// Its last invoice, if that is known here.
    pub latest_invoice: Option<Latest>,
}

type ShownRow = (
    SubscriptionRow,
    (String, Option<String>, Option<bool>, Option<String>),
    RulesRow,
    Option<ActionRow>,
    Option<LatestRow>,
);

impl TryFrom<ShownRow> for Shown {
    type Error = StoreError;

    fn try_from((row, customer, rules, action, latest): ShownRow) -> Result<Self, StoreError> {
        let (organization, account, livemode, id) = customer;
        let link = account.zip(livemode).zip(id);
        Ok(Self {
            subscription: row.try_into()?,
            organization,
            stripe_customer: link.map(|((account, livemode), id)| StripeLink {
                account,
                mode: Mode::from_livemode(livemode),
                id,
            }),
            rules: read_rules(rules)?,
            action: action.map(StoredAction::from),
            latest_invoice: latest.map(Latest::try_from).transpose()?,
        })
    }
}

/// Everything that is shown, as one query. A macro, because the engines' types differ.
macro_rules! shown {
    () => {
        subscriptions::table
            .inner_join(customers::table.on(customers::id.eq(subscriptions::customer_id)))
            .left_join(
                stripe_modules::table.on(stripe_modules::portal_id.eq(subscriptions::portal_id)),
            )
            .left_join(
                subscription_actions::table
                    .on(subscription_actions::subscription_id.eq(subscriptions::id)),
            )
            .left_join(
                invoices::table.on(invoices::stripe_id
                    .nullable()
                    .eq(subscriptions::latest_invoice)
                    .and(
                        invoices::stripe_account
                            .nullable()
                            .eq(subscriptions::stripe_account),
                    )
                    .and(
                        invoices::stripe_livemode
                            .nullable()
                            .eq(subscriptions::stripe_livemode),
                    )),
            )
            .select((
                SubscriptionRow::as_select(),
                (
                    customers::external_id,
                    customers::stripe_account,
                    customers::stripe_livemode,
                    customers::stripe_id,
                ),
                rules!(),
                Option::<ActionRow>::as_select(),
                Option::<LatestRow>::as_select(),
            ))
    };
}

/// The subscription of that id, in whichever portal, with all that is shown of it.
///
/// # Errors
/// What the database answers.
pub async fn shown(conn: &mut Conn, id: &str) -> Result<Option<Shown>, StoreError> {
    let row: Option<ShownRow> = db!(conn, c => shown!()
        .filter(subscriptions::id.eq(id))
        .first(c)
        .await
        .optional())?;
    row.map(Shown::try_from).transpose()
}

/// As [`shown`], of several subscriptions, by id; those that are not there are left out.
pub(super) async fn shown_of(
    conn: &mut Conn,
    ids: &[&str],
) -> Result<Vec<(String, Shown)>, StoreError> {
    let rows: Vec<ShownRow> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            shown!()
                .filter(subscriptions::id.eq_any(ids))
                .load(c)
                .await?
        }
        Conn::Lite(c, _) => {
            let ids = serde_json::Value::from(ids).to_string();
            let among = sql::<Bool>("subscriptions.id IN (SELECT value FROM json_each(");
            shown!()
                .filter(among.bind::<Text, _>(ids).sql("))"))
                .kept()
                .load(c)
                .await?
        }
    };
    let shown = rows.into_iter().map(Shown::try_from);
    shown
        .map(|shown| shown.map(|shown| (shown.subscription.id.clone(), shown)))
        .collect()
}

condition!(
    /// The subscription is for one application.
    WithApplication,
    "subscriptions.application <> ''"
);

/// Which subscriptions a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this customer, `org_…`.
    pub customer: Option<String>,
    /// Only to this product.
    pub product: Option<String>,
    /// Only to a plan of this name.
    pub plan: Option<String>,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only for this application.
    pub application: Option<String>,
    /// Only made at or after this time.
    pub from: Option<Timestamp>,
    /// Only made before this time.
    pub before: Option<Timestamp>,
}

/// Up to `limit` subscriptions of a portal, newest first, behind `after` (when it was made, its id).
///
/// # Errors
/// What the database answers.
pub async fn list(
    conn: &mut Conn,
    portal: &Slug,
    filter: &Filter,
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<Shown>, StoreError> {
    let rows: Vec<ShownRow> = db!(conn, c => {
        let mut query = shown!()
            .filter(subscriptions::portal_id.eq(portal.as_str()))
            .into_boxed();
        if let Some(customer) = &filter.customer {
            query = query.filter(subscriptions::customer_id.eq(customer));
        }
        if let Some(product) = &filter.product {
            query = query.filter(subscriptions::product_id.eq(product));
        }
        if let Some(plan) = &filter.plan {
            query = query.filter(subscriptions::plan_id.eq(plan));
        }
        if let Some(status) = filter.status {
            query = query.filter(subscriptions::status.eq(status.as_str()));
        }
        if let Some(application) = &filter.application {
            // The second says what the first does, so that the partial index is used.
            query = query
                .filter(subscriptions::application.eq(application))
                .filter(WithApplication);
        }
        if let Some(from) = filter.from {
            query = query.filter(subscriptions::created_at.ge(from.as_millis()));
        }
        if let Some(before) = filter.before {
            query = query.filter(subscriptions::created_at.lt(before.as_millis()));
        }
        if let Some((at, id)) = after {
            let at = at.as_millis();
            query = query.filter(
                subscriptions::created_at
                    .lt(at)
                    .or(subscriptions::created_at.eq(at).and(subscriptions::id.lt(id))),
            );
        }
        query
            .order((subscriptions::created_at.desc(), subscriptions::id.desc()))
            .limit(limit)
            .load(c)
            .await?
    });
    rows.into_iter().map(Shown::try_from).collect()
}
