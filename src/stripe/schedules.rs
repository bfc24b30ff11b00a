//! Subscription schedules: changes that a subscription will make by itself, such as at the end of a
//! period. With forms of our own; no builder for them is compiled in.

use serde::{Deserialize, Serialize, Serializer};

use super::request::FrozenRequest;
use super::subscriptions::ProrationBehavior;
use super::wire::{
    Bare, Expandable, identified, null_as_default, open_enum, seconds, sent_enum, to_seconds,
};
use super::{Metadata, StripeError, get, path_id, post};
use crate::clock::Timestamp;

/// A schedule to be, over a subscription that is there. Its first phase is the period now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewSchedule<'a> {
    /// `sub_…`. It must not have a schedule yet. Stripe takes nothing else together with it, not
    /// even metadata.
    pub from_subscription: &'a str,
}

/// Puts a subscription under a schedule.
pub fn create(new: &NewSchedule<'_>) -> FrozenRequest {
    post("/subscription_schedules").form(new).into()
}

/// Reads a schedule.
pub fn retrieve(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(get(format!("/subscription_schedules/{}", path_id(id)?)).into())
}

sent_enum! {
    /// What becomes of the subscription behind the last phase.
    EndBehavior {
        /// It ends.
        Cancel = "cancel",
        /// It goes on as in the last phase, without the schedule.
        Release = "release",
    }
}

/// What to change of a schedule.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ScheduleChange<'a> {
    /// What becomes of the subscription behind the last phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_behavior: Option<EndBehavior>,
    /// All phases from the present one on. Those that are not named are dropped; the present one
    /// must be there with its times.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub phases: &'a [Phase<'a>],
    /// What a change of the present phase costs. `None`: Stripe's default, `create_prorations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proration_behavior: Option<ProrationBehavior>,
    /// Added to what is there; an empty value removes its key.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// A phase of a schedule.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Phase<'a> {
    /// What the subscription is to in it.
    pub items: &'a [PhaseItem<'a>],
    /// When it begins; `None`: where the one before ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date: Option<PhaseDate>,
    /// When it ends; `None` for the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date: Option<PhaseDate>,
    /// What its begin costs. `None`: Stripe's default, `create_prorations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proration_behavior: Option<ProrationBehavior>,
    /// When the trial within it ends.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "to_seconds")]
    pub trial_end: Option<Timestamp>,
    /// What it is paid with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_payment_method: Option<&'a str>,
    /// `promo_…` or `di_…`. A phase that names none has none of the subscription's, only those of the
    /// customer.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub discounts: &'a [super::subscriptions::Discount<'a>],
    /// Becomes the subscription's when the phase begins.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// A begin or an end of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseDate {
    /// Now.
    Now,
    /// At this time.
    At(Timestamp),
}

impl Serialize for PhaseDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Now => serializer.serialize_str("now"),
            Self::At(time) => serializer.serialize_i64(time.as_seconds()),
        }
    }
}

/// An item of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseItem<'a> {
    /// The price's id.
    pub price: &'a str,
    /// How many; `None`: Stripe's default, one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
}

/// Changes a schedule.
pub fn update(id: &str, change: &ScheduleChange<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/subscription_schedules/{}", path_id(id)?);
    Ok(post(path).form(change).into())
}

/// Takes a schedule off its subscription, which goes on as it is.
pub fn release(id: &str) -> Result<FrozenRequest, StripeError> {
    let path = format!("/subscription_schedules/{}/release", path_id(id)?);
    Ok(post(path).into())
}

/// How a schedule and its subscription end at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScheduleCancellation {
    /// Whether what is still to be invoiced is invoiced now. `None`: Stripe's default, yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_now: Option<bool>,
    /// Whether unused time is credited. `None`: Stripe's default, yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prorate: Option<bool>,
}

/// Ends a schedule together with its subscription.
pub fn cancel(id: &str, how: ScheduleCancellation) -> Result<FrozenRequest, StripeError> {
    let path = format!("/subscription_schedules/{}/cancel", path_id(id)?);
    Ok(post(path).form(&how).into())
}

open_enum! {
    /// How a schedule stands.
    ScheduleStatus {
        /// Its subscription has not begun.
        NotStarted = "not_started",
        /// It is at work.
        Active = "active",
        /// All its phases are over.
        Completed = "completed",
        /// It was taken off.
        Released = "released",
        /// It was ended with its subscription.
        Canceled = "canceled",
    }
}

/// What this service reads of Stripe's `SubscriptionSchedule`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Schedule {
    /// `sub_sched_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default)]
    pub status: Option<ScheduleStatus>,
    /// What it changes.
    #[serde(default)]
    pub subscription: Option<Expandable<Bare>>,
    /// What it changed, once released.
    #[serde(default)]
    pub released_subscription: Option<String>,
    /// The times of the phase now.
    #[serde(default)]
    pub current_phase: Option<PhaseTimes>,
    /// All phases, the past ones too.
    #[serde(default, deserialize_with = "null_as_default")]
    pub phases: Vec<SchedulePhase>,
    /// What becomes of the subscription behind the last phase.
    #[serde(default)]
    pub end_behavior: Option<String>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Schedule);

/// The times of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct PhaseTimes {
    /// Its begin.
    #[serde(default, deserialize_with = "seconds")]
    pub start_date: Option<Timestamp>,
    /// Its end.
    #[serde(default, deserialize_with = "seconds")]
    pub end_date: Option<Timestamp>,
}

/// A phase as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SchedulePhase {
    /// Its begin.
    #[serde(default, deserialize_with = "seconds")]
    pub start_date: Option<Timestamp>,
    /// Its end.
    #[serde(default, deserialize_with = "seconds")]
    pub end_date: Option<Timestamp>,
    /// When the trial within it ends.
    #[serde(default, deserialize_with = "seconds")]
    pub trial_end: Option<Timestamp>,
    /// What the subscription is to in it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub items: Vec<SchedulePhaseItem>,
}

/// An item of a phase as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SchedulePhaseItem {
    /// What for one unit.
    #[serde(default)]
    pub price: Option<Expandable<Bare>>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_changes_what_comes() {
        assert_eq!(
            create(&NewSchedule {
                from_subscription: "sub_1"
            })
            .shown(),
            ["POST /v1/subscription_schedules", "from_subscription=sub_1"]
        );
        let now = PhaseItem {
            price: "price_1",
            quantity: None,
        };
        let then = PhaseItem {
            price: "price_2",
            quantity: Some(2),
        };
        let end = Timestamp::from_seconds(2_000);
        let change = ScheduleChange {
            end_behavior: Some(EndBehavior::Release),
            phases: &[
                Phase {
                    items: &[now],
                    start_date: Some(PhaseDate::At(Timestamp::from_seconds(1_000))),
                    end_date: Some(PhaseDate::At(end)),
                    default_payment_method: Some("pm_1"),
                    discounts: &[super::super::subscriptions::Discount::PromotionCode(
                        "promo_1",
                    )],
                    ..Phase::default()
                },
                Phase {
                    items: &[then],
                    start_date: Some(PhaseDate::Now),
                    proration_behavior: Some(ProrationBehavior::None),
                    trial_end: Some(end),
                    metadata: Metadata::from([("operation".to_owned(), "oper_1".to_owned())]),
                    ..Phase::default()
                },
            ],
            proration_behavior: Some(ProrationBehavior::None),
            metadata: Metadata::from([("operation".to_owned(), "oper_1".to_owned())]),
        };
        assert_eq!(
            update("sub_sched_1", &change).unwrap().shown(),
            [
                "POST /v1/subscription_schedules/sub_sched_1",
                "end_behavior=release",
                "metadata[operation]=oper_1",
                "phases[0][default_payment_method]=pm_1",
                "phases[0][discounts][0][promotion_code]=promo_1",
                "phases[0][end_date]=2000",
                "phases[0][items][0][price]=price_1",
                "phases[0][start_date]=1000",
                "phases[1][items][0][price]=price_2",
                "phases[1][items][0][quantity]=2",
                "phases[1][metadata][operation]=oper_1",
                "phases[1][proration_behavior]=none",
                "phases[1][start_date]=now",
                "phases[1][trial_end]=2000",
                "proration_behavior=none",
            ]
        );
    }

    #[test]
    fn a_schedule_is_read_taken_off_and_ended() {
        assert_eq!(
            retrieve("sub_sched_1").unwrap().shown(),
            ["GET /v1/subscription_schedules/sub_sched_1"]
        );
        assert_eq!(
            release("sub_sched_1").unwrap().shown(),
            ["POST /v1/subscription_schedules/sub_sched_1/release"]
        );
        let how = ScheduleCancellation {
            invoice_now: Some(false),
            prorate: Some(true),
        };
        assert_eq!(
            cancel("sub_sched_1", how).unwrap().shown(),
            [
                "POST /v1/subscription_schedules/sub_sched_1/cancel",
                "invoice_now=false",
                "prorate=true",
            ]
        );
        assert!(release("").is_err());
    }
}
