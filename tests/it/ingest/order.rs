//! One life of a subscription, delivered in every order, with copies and with events of one second: it
//! always ends as it ended at Stripe.
//!
//! The rules are pure ([`Subscription::hear`]), so that all 5,040 orders of seven events cost no more than
//! seconds; a few of them go over HTTP in `lives`.

use portal_billing::clock::Timestamp;
use portal_billing::domain::inbox::Status as Settled;
use portal_billing::domain::slug::Slug;
use portal_billing::domain::stripe_key::Mode;
use portal_billing::domain::stripe_link::StripeLink;
use portal_billing::domain::subscription::{
    Dunning, Period, Snapshot, SnapshotMethod, Status, StripeStatus, Subscription,
};
use portal_billing::domain::text::Metadata;

use crate::reliability::{Dice, of_tier, seed};

const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    BEGIN.plus_millis(seconds * 1000)
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// On its way to Stripe.
fn provisioning() -> Subscription {
    Subscription {
        id: "subn_1".to_owned(),
        portal: slug("acme"),
        customer: "org_1".to_owned(),
        product: slug("weather"),
        plan: slug("gold"),
        plan_revision: 1,
        application: None,
        status: Status::Provisioning,
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

/// The states of one life at Stripe, one after the other.
#[derive(Clone)]
struct Life(Vec<Snapshot>);

impl Life {
    /// From statuses with their periods. In `ties`, bit `n` says that event `n + 1` is of the same second
    /// as event `n`.
    fn new(states: &[(StripeStatus, i64, Option<i64>)], ties: u64) -> Self {
        let mut seconds = 0;
        let snapshots = states
            .iter()
            .enumerate()
            .map(|(n, (status, period, cancel))| {
                let tied = n > 0 && ties >> (n - 1) & 1 == 1;
                if n > 0 && !tied {
                    seconds += 3_600;
                }
                let ended = matches!(
                    status,
                    StripeStatus::Canceled | StripeStatus::IncompleteExpired
                );
                Snapshot {
                    link: StripeLink {
                        account: "acct_1".to_owned(),
                        mode: Mode::Test,
                        id: "sub_1".to_owned(),
                    },
                    status: status.clone(),
                    item: Some("si_1".to_owned()),
                    plan: None,
                    quantity: Some(1 + i64::try_from(n).unwrap() / 3),
                    period: Some(Period {
                        start: at(period * DAY),
                        end: at((period + 1) * DAY),
                    }),
                    trial_end: None,
                    cancel_at: cancel.map(|day| at(day * DAY)),
                    canceled_at: ended.then(|| at(seconds)),
                    ended_at: ended.then(|| at(seconds)),
                    payment_method: SnapshotMethod::CustomersDefault,
                    latest_invoice: Some(format!("in_{period}")),
                    at: at(seconds),
                }
            });
        Self(snapshots.collect())
    }

    /// Delivers the events of these numbers in this order. Whenever Stripe has to be asked, it answers
    /// with a state no earlier than anything heard: the earliest of them, or the last.
    fn deliver(&self, order: &[usize], earliest: bool) -> (Subscription, usize) {
        let mut known = provisioning();
        let (mut newest, mut asked) = (0, 0);
        for &event in order {
            newest = newest.max(event);
            let (settled, after) = known.hear(&self.0[event], false, BEGIN);
            known = after;
            if settled == Settled::Refetch {
                asked += 1;
                let shown = if earliest { newest } else { self.0.len() - 1 };
                let (settled, after) = known.hear(&self.0[shown], true, BEGIN);
                assert_eq!(settled, Settled::Applied);
                known = after;
            }
        }
        (known, asked)
    }

    fn in_order(&self) -> Vec<usize> {
        (0..self.0.len()).collect()
    }
}

fn lives(ties: u64) -> [Life; 3] {
    use StripeStatus::{Active, Canceled, Incomplete, PastDue, Trialing, Unpaid};
    let renewed = [
        (Incomplete, 0, None),
        (Active, 0, None),
        (Active, 1, None),
        (PastDue, 2, None),
        (PastDue, 2, Some(9)),
        (Active, 2, Some(9)),
        (Active, 3, None),
    ];
    let lost = [
        (Trialing, 0, None),
        (Active, 1, None),
        (PastDue, 2, None),
        (Unpaid, 2, None),
        (Unpaid, 3, None),
        (Unpaid, 3, Some(4)),
        (Canceled, 3, Some(4)),
    ];
    let owing = [
        (Active, 0, None),
        (PastDue, 1, None),
        (Active, 1, None),
        (PastDue, 2, None),
        (PastDue, 3, None),
        (PastDue, 3, Some(8)),
        (PastDue, 3, None),
    ];
    [
        Life::new(&renewed, ties),
        Life::new(&lost, ties),
        Life::new(&owing, ties),
    ]
}

/// The orders of `n` things, by their numbers below `n!`.
fn order(mut number: usize, n: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..n).collect();
    let mut order = Vec::with_capacity(n);
    for rest in (1..=n).rev() {
        order.push(left.remove(number % rest));
        number /= rest;
    }
    order
}

/// What anybody is shown of it.
fn shown(subscription: &Subscription) -> String {
    let Subscription {
        status,
        quantity,
        period,
        cancel_at,
        canceled_at,
        ended_at,
        unpaid_since,
        latest_invoice,
        ..
    } = subscription;
    format!(
        "{status:?} {quantity} {period:?} {cancel_at:?} {canceled_at:?} {ended_at:?} {unpaid_since:?} \
         {latest_invoice:?}"
    )
}

/// As Stripe has it at the end.
fn expected(life: &Life) -> String {
    let (known, _) = life.deliver(&life.in_order(), false);
    let last = life.0.last().unwrap();
    let status = last.status.ours().unwrap();
    assert_eq!((known.status, known.period), (status, last.period));
    shown(&known)
}

fn check(life: &Life, order: &[usize], earliest: bool) {
    let (known, _) = life.deliver(order, earliest);
    assert_eq!(
        shown(&known),
        expected(life),
        "{order:?} earliest: {earliest}"
    );
}

/// R5: every order of seven events, each with another pattern of events in one second.
#[test]
fn every_order_of_a_life_ends_in_one_state() {
    for number in 0..5_040 {
        let order = order(number, 7);
        let ties = u64::try_from(number).unwrap().wrapping_mul(0x9e37_79b9) >> 7 & 63;
        // Each event once more, somewhere behind.
        let copies: Vec<usize> = order.iter().chain(order.iter().rev()).copied().collect();
        for life in lives(ties) {
            check(&life, &copies, number % 2 == 0);
        }
        for life in lives(0) {
            check(&life, &order, true);
        }
    }
}

/// R5: any number of copies in any order.
#[test]
fn random_deliveries_end_in_one_state() {
    let mut dice = Dice(seed());
    for _ in 0..of_tier(1_000, 50_000) {
        let ties = dice.roll() & 63;
        let mut order: Vec<usize> = (0..7).collect();
        for _ in 0..dice.roll() % 8 {
            order.push(usize::try_from(dice.roll() % 7).unwrap());
        }
        for last in (1..order.len()).rev() {
            let other = usize::try_from(dice.roll()).unwrap_or(0) % (last + 1);
            order.swap(last, other);
        }
        let earliest = dice.roll().is_multiple_of(2);
        for life in lives(ties) {
            check(&life, &order, earliest);
        }
    }
}

/// Stripe is not asked about events that are in order, nor about old ones, nor about copies.
#[test]
fn stripe_is_asked_only_about_events_of_one_second() {
    for life in lives(0) {
        let mut order = life.in_order();
        order.extend(life.in_order());
        assert_eq!(life.deliver(&order, true).1, 0);
        order.reverse();
        assert_eq!(life.deliver(&order, true).1, 0);
    }
    let tied = lives(0b11_1111);
    assert!(
        tied.iter()
            .all(|life| life.deliver(&life.in_order(), false).1 > 0)
    );
}

/// What comes back from Stripe is not undone by what was on its way before.
#[test]
fn nothing_older_passes_a_fresher_read() {
    for life in lives(0) {
        let last = life.0.last().unwrap();
        let (_, read) = provisioning().hear(last, true, BEGIN);
        for old in &life.0 {
            let (settled, after) = read.hear(old, false, BEGIN);
            assert_eq!(after.status, read.status);
            assert_eq!(after.stripe_at, read.stripe_at);
            assert_ne!(settled, Settled::Refetch);
        }
    }
}
