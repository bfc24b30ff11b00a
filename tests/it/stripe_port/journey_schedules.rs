//! Changes at the end of a period, at the simulator.

use portal_billing::stripe::schedules::{
    self, EndBehavior, NewSchedule, Phase, PhaseDate, PhaseItem, ScheduleCancellation,
    ScheduleChange, ScheduleStatus,
};
use portal_billing::stripe::subscriptions::{self, NewItem, NewSubscription, ProrationBehavior};
use portal_billing::stripe::{Metadata, Outcome, Schedule, Subscription, SubscriptionStatus};

use super::sender::Sender;

async fn subscribed(stripe: &mut Sender) -> Subscription {
    let (customer, _) = stripe.customer_with("pm_card_visa").await;
    let price = stripe.monthly("pb_gold", 1_000).await;
    let new = NewSubscription {
        customer: &customer,
        items: &[NewItem {
            price: &price,
            quantity: Some(1),
        }],
        ..NewSubscription::default()
    };
    stripe.send(subscriptions::create(&new)).await
}

async fn read(stripe: &mut Sender, id: &str) -> Subscription {
    stripe.send(subscriptions::retrieve(id, &[]).unwrap()).await
}

#[tokio::test]
async fn a_subscription_changes_with_its_next_period() {
    let mut stripe = Sender::start();
    let made = subscribed(&mut stripe).await;
    let cheaper = stripe.monthly("pb_silver", 500).await;
    let new = NewSchedule {
        from_subscription: &made.id,
    };
    let schedule: Schedule = stripe.send(schedules::create(&new)).await;
    assert_eq!(schedule.status, Some(ScheduleStatus::Active));
    assert_eq!(schedule.subscription.as_ref().unwrap().id(), made.id);
    let now = &schedule.phases[0];
    assert_eq!(now.end_date, made.current_period_end());
    let error = stripe.refused(schedules::create(&new)).await;
    assert_eq!(error.outcome(), Outcome::Rejected);

    let price = now.items[0].price.as_ref().unwrap().id().to_owned();
    let change = ScheduleChange {
        end_behavior: Some(EndBehavior::Release),
        phases: &[
            Phase {
                items: &[PhaseItem {
                    price: &price,
                    quantity: Some(1),
                }],
                start_date: now.start_date.map(PhaseDate::At),
                end_date: now.end_date.map(PhaseDate::At),
                ..Phase::default()
            },
            Phase {
                items: &[PhaseItem {
                    price: &cheaper,
                    quantity: Some(4),
                }],
                start_date: now.end_date.map(PhaseDate::At),
                proration_behavior: Some(ProrationBehavior::None),
                metadata: Metadata::from([("operation".to_owned(), "oper_2".to_owned())]),
                ..Phase::default()
            },
        ],
        proration_behavior: Some(ProrationBehavior::None),
        metadata: Metadata::from([("operation".to_owned(), "oper_1".to_owned())]),
    };
    let changed: Schedule = stripe
        .send(schedules::update(&schedule.id, &change).unwrap())
        .await;
    assert_eq!(changed.phases.len(), 2);
    assert_eq!(changed.metadata.len(), 1);
    let again: Schedule = stripe
        .send(schedules::retrieve(&schedule.id).unwrap())
        .await;
    assert_eq!(again, changed);
    let before = read(&mut stripe, &made.id).await;
    assert_eq!(before.schedule.as_ref().unwrap().id(), schedule.id);
    assert_eq!(before.items.data[0].price.as_ref().unwrap().id, price);

    stripe.advance_days(32).await;
    let after = read(&mut stripe, &made.id).await;
    assert_eq!(after.status, Some(SubscriptionStatus::Active));
    let own = &after.items.data[0];
    assert_eq!(own.price.as_ref().unwrap().id, cheaper);
    assert_eq!(own.quantity, Some(4));
    assert_eq!(after.current_period_start(), made.current_period_end());
    assert_eq!(after.metadata["operation"], "oper_2");
    stripe.finish();
}

#[tokio::test]
async fn a_schedule_is_taken_off_or_ends_with_its_subscription() {
    let mut stripe = Sender::start();
    let made = subscribed(&mut stripe).await;
    let new = NewSchedule {
        from_subscription: &made.id,
    };
    let schedule: Schedule = stripe.send(schedules::create(&new)).await;
    let released: Schedule = stripe.send(schedules::release(&schedule.id).unwrap()).await;
    assert_eq!(released.status, Some(ScheduleStatus::Released));
    assert_eq!(
        released.released_subscription.as_deref(),
        Some(made.id.as_str())
    );
    let alone = read(&mut stripe, &made.id).await;
    assert_eq!(
        (alone.schedule, alone.status),
        (None, Some(SubscriptionStatus::Active))
    );

    let schedule: Schedule = stripe.send(schedules::create(&new)).await;
    let how = ScheduleCancellation {
        invoice_now: Some(false),
        prorate: Some(false),
    };
    let ended: Schedule = stripe
        .send(schedules::cancel(&schedule.id, how).unwrap())
        .await;
    assert_eq!(ended.status, Some(ScheduleStatus::Canceled));
    let ended = read(&mut stripe, &made.id).await;
    assert_eq!(ended.status, Some(SubscriptionStatus::Canceled));
    stripe.finish();
}
