use proptest::prelude::*;

use super::*;
use crate::domain::stripe_key::Mode;

const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    BEGIN.plus_millis(seconds * 1000)
}

fn link() -> StripeLink {
    StripeLink {
        account: "acct_1".to_owned(),
        mode: Mode::Test,
        id: "sub_1".to_owned(),
    }
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn subscription(status: Status) -> Subscription {
    Subscription {
        id: "subn_1".to_owned(),
        portal: slug("acme"),
        customer: "org_1".to_owned(),
        product: slug("weather"),
        plan: slug("gold"),
        plan_revision: 1,
        application: None,
        status,
        paid: true,
        quantity: 1,
        payment_method: None,
        period: None,
        trial_end: None,
        cancel_at: None,
        canceled_at: None,
        ended_at: None,
        unpaid_since: None,
        dunning: Dunning::default(),
        latest_invoice: None,
        scheduled_change: None,
        requested: None,
        metadata: Metadata::new(),
        stripe: None,
        stripe_item: None,
        stripe_at: None,
        version: 1,
        created_at: BEGIN,
        updated_at: BEGIN,
    }
}

fn snapshot(status: StripeStatus, seconds: i64, period: i64) -> Snapshot {
    let ended = matches!(
        status,
        StripeStatus::Canceled | StripeStatus::IncompleteExpired
    );
    Snapshot {
        link: link(),
        status,
        item: Some("si_1".to_owned()),
        plan: None,
        quantity: Some(1),
        period: Some(Period {
            start: at(period * DAY),
            end: at((period + 1) * DAY),
        }),
        trial_end: None,
        cancel_at: None,
        canceled_at: ended.then(|| at(seconds)),
        ended_at: ended.then(|| at(seconds)),
        payment_method: SnapshotMethod::CustomersDefault,
        latest_invoice: Some(format!("in_{period}")),
        at: at(seconds),
    }
}

fn all(subscription: &Subscription, heard: &[Snapshot]) -> Subscription {
    heard.iter().fold(subscription.clone(), |known, said| {
        known.follow(said, BEGIN)
    })
}

/// But for how many changes it took.
fn outcome(subscription: &Subscription) -> Subscription {
    Subscription {
        version: 0,
        ..subscription.clone()
    }
}

#[test]
fn the_table_of_statuses_is_this_one() {
    use Status::{
        Active, Canceled, Expired, Incomplete, PastDue, Paused, PendingApproval, Provisioning,
        Rejected, Trialing, Unpaid,
    };
    let running: &[Status] = &[Trialing, Active, PastDue, Unpaid, Paused, Canceled, Expired];
    let table: [(Status, Vec<Status>); 11] = [
        (
            PendingApproval,
            vec![Provisioning, Active, Rejected, Canceled],
        ),
        (
            Provisioning,
            [running, &[Incomplete, PendingApproval]].concat(),
        ),
        (Incomplete, running.to_vec()),
        (Trialing, running.to_vec()),
        (Active, running.to_vec()),
        (PastDue, running.to_vec()),
        (Unpaid, running.to_vec()),
        (Paused, running.to_vec()),
        (Canceled, vec![]),
        (Expired, vec![]),
        (Rejected, vec![]),
    ];
    assert_eq!(table.len(), Status::ALL.len());
    for (from, to) in table {
        for next in Status::ALL.iter().copied() {
            let allowed = from == next || to.contains(&next);
            assert_eq!(from.may_become(next), allowed, "{from:?} -> {next:?}");
            assert!(!from.is_final() || from == next || !from.may_become(next));
        }
    }
}

#[test]
fn turning_sets_what_belongs_to_the_new_status_and_nothing_leaves_an_end() {
    let waiting = subscription(Status::PendingApproval);
    let rejected = waiting.turned(Status::Rejected, at(5)).unwrap();
    assert_eq!(
        (rejected.ended_at, rejected.canceled_at, rejected.version),
        (Some(at(5)), None, 2)
    );
    let canceled = waiting.turned(Status::Canceled, at(5)).unwrap();
    assert_eq!(
        (canceled.ended_at, canceled.canceled_at),
        (Some(at(5)), Some(at(5)))
    );
    assert_eq!(waiting.turned(Status::PendingApproval, at(5)), None);
    assert_eq!(canceled.turned(Status::Active, at(6)), None);
    assert_eq!(rejected.turned(Status::Provisioning, at(6)), None);
}

#[test]
fn grace_counts_from_the_first_unpaid_period_until_it_is_paid() {
    let mut known = all(
        &subscription(Status::Provisioning),
        &[
            snapshot(StripeStatus::Active, 0, 0),
            snapshot(StripeStatus::Active, DAY, 1),
            snapshot(StripeStatus::PastDue, DAY + 3_600, 1),
        ],
    );
    assert_eq!(known.unpaid_since, Some(at(DAY)));
    // Repeated failures, the next period's too, and the last one do not restart it.
    for (status, seconds, period) in [
        (StripeStatus::PastDue, DAY + 7_200, 1),
        (StripeStatus::PastDue, 2 * DAY + 3_600, 2),
        (StripeStatus::Unpaid, 3 * DAY + 3_600, 3),
    ] {
        known = known.follow(&snapshot(status, seconds, period), BEGIN);
        assert_eq!(known.unpaid_since, Some(at(DAY)), "{seconds}");
    }
    let paid = known.follow(&snapshot(StripeStatus::Active, 4 * DAY - 1, 3), BEGIN);
    assert_eq!((paid.status, paid.unpaid_since), (Status::Active, None));
    let again = paid.follow(&snapshot(StripeStatus::PastDue, 5 * DAY, 5), BEGIN);
    assert_eq!(again.unpaid_since, Some(at(5 * DAY)));
}

#[test]
fn a_failure_within_a_period_that_was_paid_does_not_reach_back_to_its_begin() {
    let known = all(
        &subscription(Status::Provisioning),
        &[
            snapshot(StripeStatus::Active, 0, 0),
            snapshot(StripeStatus::Active, 50_000, 0),
            snapshot(StripeStatus::PastDue, 50_001, 0),
        ],
    );
    assert_eq!(known.unpaid_since, Some(at(50_000)));
}

#[test]
fn what_is_not_of_this_subscription_or_not_known_changes_nothing() {
    let known = all(
        &subscription(Status::Provisioning),
        &[snapshot(StripeStatus::Active, 10, 0)],
    );
    let unknown = snapshot(StripeStatus::Other("thawing".to_owned()), 20, 0);
    assert_eq!(known.follow(&unknown, BEGIN), known);
    let mut other = snapshot(StripeStatus::Canceled, 20, 0);
    other.link.id = "sub_2".to_owned();
    assert_eq!(known.follow(&other, BEGIN), known);
    let mut live = snapshot(StripeStatus::Canceled, 20, 0);
    live.link.mode = Mode::Live;
    assert_eq!(known.follow(&live, BEGIN), known);
    let canceled = snapshot(StripeStatus::Canceled, 20, 0);
    let free = Subscription {
        paid: false,
        ..subscription(Status::Active)
    };
    assert_eq!(free.follow(&canceled, BEGIN), free);
    for status in [Status::PendingApproval, Status::Rejected] {
        let early = subscription(status);
        assert_eq!(early.follow(&canceled, BEGIN), early);
    }
}

#[test]
fn an_update_in_the_same_second_is_not_dropped_and_an_older_one_is() {
    let known = all(
        &subscription(Status::Provisioning),
        &[snapshot(StripeStatus::Active, 10, 0)],
    );
    let mut same_second = snapshot(StripeStatus::Active, 10, 0);
    same_second.quantity = Some(7);
    assert_eq!(known.follow(&same_second, BEGIN).quantity, 7);
    let mut older = same_second.clone();
    older.at = at(9);
    assert_eq!(known.follow(&older, BEGIN).quantity, 1);
    // The beginning does not come back, even within the same second.
    let incomplete = snapshot(StripeStatus::Incomplete, 10, 0);
    assert_eq!(known.follow(&incomplete, BEGIN).status, Status::Active);
}

#[test]
fn names_of_ours_are_taken_over_where_they_are_known() {
    let mut said = snapshot(StripeStatus::Active, 1, 0);
    said.plan = Some(PlanAt {
        plan: slug("silver"),
        revision: 4,
    });
    said.payment_method = SnapshotMethod::Ours("meth_2".to_owned());
    let known = subscription(Status::Provisioning).follow(&said, at(99));
    assert_eq!((known.plan.as_str(), known.plan_revision), ("silver", 4));
    assert_eq!(known.payment_method.as_deref(), Some("meth_2"));
    assert_eq!((known.version, known.updated_at), (2, at(99)));
    said.at = at(2);
    said.plan = None;
    said.payment_method = SnapshotMethod::Unknown;
    let later = known.follow(&said, at(100));
    assert_eq!(later.plan.as_str(), "silver");
    assert_eq!(later.payment_method.as_deref(), Some("meth_2"));
    // Only the fence has moved, which nobody is shown.
    assert_eq!((later.version, later.updated_at), (2, at(99)));
    assert_eq!(later.stripe_at, Some(at(2)));
}

fn running() -> impl Strategy<Value = StripeStatus> {
    prop::sample::select(vec![
        StripeStatus::Trialing,
        StripeStatus::Active,
        StripeStatus::PastDue,
        StripeStatus::Unpaid,
        StripeStatus::Paused,
    ])
}

/// A life as Stripe tells it, in order: times go up, periods do not go down.
fn life() -> impl Strategy<Value = Vec<Snapshot>> {
    let step = (running(), 1..DAY, 0..3_i64, 1..5_i64);
    let end = prop::option::of(prop::sample::select(vec![
        StripeStatus::Canceled,
        StripeStatus::IncompleteExpired,
    ]));
    (any::<bool>(), prop::collection::vec(step, 0..9), end).prop_map(|(begins, steps, end)| {
        let (mut seconds, mut period) = (0, 0);
        let mut told = Vec::new();
        if begins || steps.is_empty() {
            told.push(snapshot(StripeStatus::Incomplete, 0, 0));
        }
        for (status, later, periods, quantity) in steps {
            seconds += later + periods * DAY;
            period += periods;
            let mut said = snapshot(status, seconds, period);
            said.quantity = Some(quantity);
            told.push(said);
        }
        if let Some(end) = end {
            told.push(snapshot(end, seconds + 1, period));
        }
        told
    })
}

/// A life, and the same news in any order, any of it more than once.
fn disordered() -> impl Strategy<Value = (Vec<Snapshot>, Vec<Snapshot>)> {
    life().prop_flat_map(|told| {
        let twice = prop::sample::subsequence(told.clone(), 0..=told.len());
        let heard = twice.prop_flat_map({
            let told = told.clone();
            move |twice| Just([told.clone(), twice].concat()).prop_shuffle()
        });
        (Just(told), heard)
    })
}

proptest! {
    #[test]
    fn the_order_of_news_does_not_matter((told, heard) in disordered()) {
        let begun = subscription(Status::Provisioning);
        prop_assert_eq!(outcome(&all(&begun, &told)), outcome(&all(&begun, &heard)));
    }

    #[test]
    fn hearing_it_again_changes_nothing((told, heard) in disordered()) {
        let known = all(&subscription(Status::Provisioning), &heard);
        prop_assert_eq!(&all(&known, &told), &known);
        prop_assert_eq!(&all(&known, &heard), &known);
    }

    #[test]
    fn each_step_is_one_of_the_table_and_keeps_what_belongs_together((_, heard) in disordered()) {
        let mut known = subscription(Status::Provisioning);
        for said in heard {
            let next = known.follow(&said, at(1));
            prop_assert!(known.status.may_become(next.status));
            prop_assert_eq!(next.ended_at.is_some(), next.status.is_final());
            let owes = matches!(next.status, Status::PastDue | Status::Unpaid);
            prop_assert_eq!(next.unpaid_since.is_some(), owes);
            prop_assert!(next.stripe_at >= known.stripe_at);
            let changed = i64::from(!next.looks_like(&known));
            prop_assert_eq!(next.version, known.version + changed);
            known = next;
        }
    }

    /// The newest news decides, and an end is an end.
    #[test]
    fn in_the_end_it_is_as_stripe_says((told, heard) in disordered()) {
        let known = all(&subscription(Status::Provisioning), &heard);
        let last = told.last().unwrap();
        prop_assert_eq!(Some(known.status), last.status.ours());
        prop_assert_eq!(known.quantity, last.quantity.unwrap());
        prop_assert_eq!(known.latest_invoice.as_ref(), last.latest_invoice.as_ref());
    }

    /// Grace is never restarted by a failure, and never counts time that was paid.
    #[test]
    fn a_missing_payment_is_missing_since_it_was_due((told, _) in disordered()) {
        let mut known = subscription(Status::Provisioning);
        for said in told {
            let next = known.follow(&said, BEGIN);
            if let (Some(before), Some(after)) = (known.unpaid_since, next.unpaid_since) {
                prop_assert_eq!(before, after);
            }
            if let Some(since) = next.unpaid_since {
                prop_assert!(since <= said.at.max(said.period.unwrap().start));
                prop_assert!(next.dunning.paid_at.is_none_or(|paid| paid <= since));
            }
            known = next;
        }
    }
}
