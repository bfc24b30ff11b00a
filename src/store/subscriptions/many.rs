//! Many subscriptions at once, as a batch of events changes them.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel_async::AsyncPgConnection;

use super::super::kept::{Keep as _, RunQueryDsl, column};
use super::super::schema::subscriptions;
use super::super::{Conn, StoreError};
use super::row::SubscriptionRow;
use crate::domain::subscription::Subscription;

/// The subscriptions of these ids, in the order of their ids. Nobody else changes them until the transaction
/// ends; on SQLite a transaction that writes is alone anyway.
///
/// # Errors
/// What the database answers.
pub async fn lock_many(conn: &mut Conn, ids: &[&str]) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<SubscriptionRow> = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            subscriptions::table
                .filter(subscriptions::id.eq_any(ids))
                .order(subscriptions::id)
                .select(SubscriptionRow::as_select())
                .for_update()
                .load(c)
                .await?
        }
        Conn::Lite(c, _) => {
            subscriptions::table
                .filter(subscriptions::id.eq_any(ids))
                .order(subscriptions::id)
                .select(SubscriptionRow::as_select())
                .load(c)
                .await?
        }
    };
    rows.into_iter().map(Subscription::try_from).collect()
}

/// Stores subscriptions that this transaction has locked, in as few statements as there can be.
///
/// # Errors
/// [`StoreError::Contention`] when one of them is gone, which a lock does not let happen.
pub async fn update_locked(conn: &mut Conn, all: &[&Subscription]) -> Result<(), StoreError> {
    let rows: Vec<SubscriptionRow> = all
        .iter()
        .map(|subscription| SubscriptionRow::try_from(*subscription))
        .collect::<Result<_, _>>()?;
    let wanted = rows.len();
    let changed = match conn {
        Conn::Pg(pg) => {
            let c = &mut pg.connection();
            update_all(c, &rows).await?
        }
        Conn::Lite(lite, _) => lite.spawn_blocking(move |c| update_each(c, &rows)).await?,
    };
    if changed == wanted {
        Ok(())
    } else {
        Err(StoreError::Contention(
            "a locked subscription is gone".to_owned(),
        ))
    }
}

/// In one statement, whose text is the same for any number of them.
async fn update_all(c: &mut &AsyncPgConnection, rows: &[SubscriptionRow]) -> QueryResult<usize> {
    let query = sql_query(
        "UPDATE subscriptions AS s SET plan_id = new.plan_id, plan_revision = \
         new.plan_revision, status = new.status, quantity = new.quantity, payment_method_id = \
         new.payment_method_id, period_start = new.period_start, period_end = new.period_end, \
         trial_end = new.trial_end, cancel_at = new.cancel_at, canceled_at = new.canceled_at, \
         ended_at = new.ended_at, unpaid_since = new.unpaid_since, dunning = new.dunning, \
         latest_invoice = new.latest_invoice, scheduled_change = new.scheduled_change, \
         requested = new.requested, metadata = new.metadata, stripe_account = \
         new.stripe_account, stripe_livemode = new.stripe_livemode, stripe_id = new.stripe_id, \
         stripe_item = new.stripe_item, stripe_at = new.stripe_at, version = new.version, \
         updated_at = new.updated_at FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
         $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25) AS new (id, \
         plan_id, plan_revision, status, quantity, payment_method_id, period_start, period_end, \
         trial_end, cancel_at, canceled_at, ended_at, unpaid_since, dunning, latest_invoice, \
         scheduled_change, requested, metadata, stripe_account, stripe_livemode, stripe_id, \
         stripe_item, stripe_at, version, updated_at) WHERE s.id = new.id",
    )
    .bind::<Array<Text>, _>(column(rows, |row| &row.id))
    .bind::<Array<Text>, _>(column(rows, |row| &row.plan_id))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.plan_revision))
    .bind::<Array<Text>, _>(column(rows, |row| &row.status))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.quantity))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.payment_method_id.as_ref()))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.period_start))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.period_end))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.trial_end))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.cancel_at))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.canceled_at))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.ended_at))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.unpaid_since))
    .bind::<Array<Text>, _>(column(rows, |row| &row.dunning))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.latest_invoice.as_ref()))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.scheduled_change.as_ref()))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.requested.as_ref()))
    .bind::<Array<Text>, _>(column(rows, |row| &row.metadata))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.stripe_account.as_ref()))
    .bind::<Array<Nullable<Bool>>, _>(column(rows, |row| row.stripe_livemode))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.stripe_id.as_ref()))
    .bind::<Array<Nullable<Text>>, _>(column(rows, |row| row.stripe_item.as_ref()))
    .bind::<Array<Nullable<BigInt>>, _>(column(rows, |row| row.stripe_at))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.version))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.updated_at));
    query.kept().execute(c).await
}

fn update_each(c: &mut diesel::SqliteConnection, rows: &[SubscriptionRow]) -> QueryResult<usize> {
    let mut changed = 0;
    for row in rows {
        let one = diesel::update(subscriptions::table.find(&row.id))
            .set(row)
            .kept();
        changed += diesel::RunQueryDsl::execute(one, c)?;
    }
    Ok(changed)
}
