//! How a subscription is stored.

use diesel::prelude::*;

use super::super::StoreError;
use super::super::schema::subscriptions;
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::{Dunning, Period, Status, Subscription, UnpaidPeriod};
use crate::domain::text::Metadata;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true)]
pub(super) struct SubscriptionRow {
    pub(super) id: String,
    portal_id: String,
    customer_id: String,
    product_id: String,
    plan_id: String,
    plan_revision: i64,
    application: String,
    status: String,
    paid: bool,
    quantity: i64,
    payment_method_id: Option<String>,
    period_start: Option<i64>,
    period_end: Option<i64>,
    trial_end: Option<i64>,
    cancel_at: Option<i64>,
    canceled_at: Option<i64>,
    ended_at: Option<i64>,
    unpaid_since: Option<i64>,
    paid_at: Option<i64>,
    unpaid_periods: String,
    latest_invoice: Option<String>,
    scheduled_change: Option<String>,
    metadata: String,
    stripe_account: Option<String>,
    stripe_livemode: Option<bool>,
    stripe_id: Option<String>,
    stripe_item: Option<String>,
    stripe_at: Option<i64>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

fn time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// `<begin>:<seen>` of each period, with spaces between them.
fn periods_to_text(periods: &[UnpaidPeriod]) -> String {
    periods
        .iter()
        .map(|period| format!("{}:{}", period.start.as_millis(), period.seen.as_millis()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn periods_from_text(text: &str) -> Option<Vec<UnpaidPeriod>> {
    let period = |part: &str| {
        let (start, seen) = part.split_once(':')?;
        Some(UnpaidPeriod {
            start: Timestamp::from_millis(start.parse().ok()?),
            seen: Timestamp::from_millis(seen.parse().ok()?),
        })
    };
    text.split_whitespace().map(period).collect()
}

impl TryFrom<&Subscription> for SubscriptionRow {
    type Error = StoreError;

    fn try_from(subscription: &Subscription) -> Result<Self, StoreError> {
        let it = subscription.clone();
        let link = it.stripe.as_ref();
        Ok(Self {
            stripe_account: link.map(|link| link.account.clone()),
            stripe_livemode: link.map(|link| link.mode.livemode()),
            stripe_id: link.map(|link| link.id.clone()),
            metadata: serde_json::to_string(&it.metadata)
                .map_err(|error| StoreError::Other(error.to_string()))?,
            unpaid_periods: periods_to_text(&it.dunning.unpaid),
            paid_at: millis(it.dunning.paid_at),
            id: it.id,
            portal_id: it.portal.to_string(),
            customer_id: it.customer,
            product_id: it.product.to_string(),
            plan_id: it.plan.to_string(),
            plan_revision: it.plan_revision,
            application: it.application.unwrap_or_default(),
            status: it.status.as_str().to_owned(),
            paid: it.paid,
            quantity: it.quantity,
            payment_method_id: it.payment_method,
            period_start: millis(it.period.map(|period| period.start)),
            period_end: millis(it.period.map(|period| period.end)),
            trial_end: millis(it.trial_end),
            cancel_at: millis(it.cancel_at),
            canceled_at: millis(it.canceled_at),
            ended_at: millis(it.ended_at),
            unpaid_since: millis(it.unpaid_since),
            latest_invoice: it.latest_invoice,
            scheduled_change: it.scheduled_change,
            stripe_item: it.stripe_item,
            stripe_at: millis(it.stripe_at),
            version: it.version,
            created_at: it.created_at.as_millis(),
            updated_at: it.updated_at.as_millis(),
        })
    }
}

impl TryFrom<SubscriptionRow> for Subscription {
    type Error = StoreError;

    fn try_from(row: SubscriptionRow) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt;
        let slug = |text: &str, column| Slug::parse(text).ok_or_else(|| corrupt(column));
        let link = row.stripe_account.zip(row.stripe_livemode);
        let period = row.period_start.zip(row.period_end);
        Ok(Self {
            portal: slug(&row.portal_id, "subscriptions.portal_id")?,
            product: slug(&row.product_id, "subscriptions.product_id")?,
            plan: slug(&row.plan_id, "subscriptions.plan_id")?,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("subscriptions.status"))?,
            dunning: Dunning {
                paid_at: time(row.paid_at),
                unpaid: periods_from_text(&row.unpaid_periods)
                    .ok_or_else(|| corrupt("subscriptions.unpaid_periods"))?,
            },
            metadata: serde_json::from_str::<Metadata>(&row.metadata)
                .map_err(|_| corrupt("subscriptions.metadata"))?,
            application: (!row.application.is_empty()).then_some(row.application),
            period: period.map(|(start, end)| Period {
                start: Timestamp::from_millis(start),
                end: Timestamp::from_millis(end),
            }),
            stripe: link
                .zip(row.stripe_id)
                .map(|((account, livemode), id)| StripeLink {
                    account,
                    mode: Mode::from_livemode(livemode),
                    id,
                }),
            trial_end: time(row.trial_end),
            cancel_at: time(row.cancel_at),
            canceled_at: time(row.canceled_at),
            ended_at: time(row.ended_at),
            unpaid_since: time(row.unpaid_since),
            stripe_at: time(row.stripe_at),
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
            id: row.id,
            customer: row.customer_id,
            plan_revision: row.plan_revision,
            paid: row.paid,
            quantity: row.quantity,
            payment_method: row.payment_method_id,
            latest_invoice: row.latest_invoice,
            scheduled_change: row.scheduled_change,
            stripe_item: row.stripe_item,
            version: row.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaid_periods_come_back_as_they_were() {
        let period = |start, seen| UnpaidPeriod {
            start: Timestamp::from_seconds(start),
            seen: Timestamp::from_seconds(seen),
        };
        for periods in [
            vec![],
            vec![period(1, 2)],
            vec![period(-5, 2), period(7, 9)],
        ] {
            let text = periods_to_text(&periods);
            assert_eq!(periods_from_text(&text), Some(periods), "{text}");
        }
        assert_eq!(periods_from_text("1:x"), None);
        assert_eq!(periods_from_text("1"), None);
    }
}
