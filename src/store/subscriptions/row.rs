//! How a subscription is stored.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::StoreError;
use super::super::schema::subscriptions;
use crate::clock::Timestamp;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::domain::subscription::{Dunning, Period, Requested, Status, Subscription, UnpaidPeriod};
use crate::domain::text::Metadata;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct SubscriptionRow {
    pub(super) id: String,
    pub(super) portal_id: String,
    pub(super) customer_id: String,
    pub(super) product_id: String,
    pub(super) plan_id: String,
    pub(super) plan_revision: i64,
    pub(super) application: String,
    pub(super) status: String,
    pub(super) paid: bool,
    pub(super) quantity: i64,
    pub(super) payment_method_id: Option<String>,
    pub(super) period_start: Option<i64>,
    pub(super) period_end: Option<i64>,
    pub(super) trial_end: Option<i64>,
    pub(super) cancel_at: Option<i64>,
    pub(super) canceled_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) unpaid_since: Option<i64>,
    pub(super) dunning: String,
    pub(super) latest_invoice: Option<String>,
    pub(super) scheduled_change: Option<String>,
    pub(super) requested: Option<String>,
    pub(super) metadata: String,
    pub(super) stripe_account: Option<String>,
    pub(super) stripe_livemode: Option<bool>,
    pub(super) stripe_id: Option<String>,
    pub(super) stripe_item: Option<String>,
    pub(super) stripe_at: Option<i64>,
    pub(super) version: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

fn time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// When it was last seen paid, or `-`; then `<begin>:<seen>` of each unpaid period.
fn dunning_to_text(dunning: &Dunning) -> String {
    let paid_at = dunning.paid_at;
    let mut text = paid_at.map_or_else(|| "-".to_owned(), |at| at.as_millis().to_string());
    for UnpaidPeriod { start, seen } in &dunning.unpaid {
        for part in [
            " ",
            &start.as_millis().to_string(),
            ":",
            &seen.as_millis().to_string(),
        ] {
            text.push_str(part);
        }
    }
    text
}

fn dunning_from_text(text: &str) -> Option<Dunning> {
    let at = |text: &str| Some(Timestamp::from_millis(text.parse().ok()?));
    let (paid_at, periods) = text.split_once(' ').unwrap_or((text, ""));
    let period = |part: &str| {
        let (start, seen) = part.split_once(':')?;
        Some(UnpaidPeriod {
            start: at(start)?,
            seen: at(seen)?,
        })
    };
    Some(Dunning {
        paid_at: match paid_at {
            "-" => None,
            millis => Some(at(millis)?),
        },
        unpaid: periods
            .split_whitespace()
            .map(period)
            .collect::<Option<_>>()?,
    })
}

/// How what was asked for is stored.
#[derive(Serialize, Deserialize)]
struct StoredRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promotion_code: Option<String>,
    trial: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkout: Option<String>,
}

fn requested_to_text(requested: &Requested) -> Result<String, StoreError> {
    let stored = StoredRequest {
        payment_method: requested.payment_method.clone(),
        promotion_code: requested.promotion_code.clone(),
        trial: requested.trial,
        checkout: requested.checkout.clone(),
    };
    serde_json::to_string(&stored).map_err(|error| StoreError::Other(error.to_string()))
}

fn requested_from_text(text: &str) -> Result<Requested, StoreError> {
    let stored: StoredRequest =
        serde_json::from_str(text).map_err(|_| StoreError::corrupt("subscriptions.requested"))?;
    Ok(Requested {
        payment_method: stored.payment_method,
        promotion_code: stored.promotion_code,
        trial: stored.trial,
        checkout: stored.checkout,
    })
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
            dunning: dunning_to_text(&it.dunning),
            requested: it.requested.as_ref().map(requested_to_text).transpose()?,
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
            dunning: dunning_from_text(&row.dunning)
                .ok_or_else(|| corrupt("subscriptions.dunning"))?,
            requested: row
                .requested
                .as_deref()
                .map(requested_from_text)
                .transpose()?,
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
    fn what_was_seen_of_payments_comes_back_as_it_was() {
        let at = Timestamp::from_seconds;
        let period = |start, seen| UnpaidPeriod {
            start: at(start),
            seen: at(seen),
        };
        for paid_at in [None, Some(at(0)), Some(at(-7))] {
            for unpaid in [
                vec![],
                vec![period(1, 2)],
                vec![period(-5, 2), period(7, 9)],
            ] {
                let dunning = Dunning { paid_at, unpaid };
                let text = dunning_to_text(&dunning);
                assert_eq!(dunning_from_text(&text), Some(dunning), "{text}");
            }
        }
        for text in ["", "x", "- 1", "1 1:x"] {
            assert_eq!(dunning_from_text(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_asked_for_comes_back_as_it_was() {
        for payment_method in [None, Some("pm_1".to_owned())] {
            let requested = Requested {
                payment_method,
                promotion_code: Some("SPRING".to_owned()),
                trial: false,
                checkout: Some("cs_1".to_owned()),
            };
            let text = requested_to_text(&requested).unwrap();
            assert_eq!(requested_from_text(&text).unwrap(), requested);
        }
    }
}
