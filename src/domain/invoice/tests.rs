use proptest::prelude::*;

use super::*;
use crate::domain::stripe_key::Mode;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn at(seconds: i64) -> Timestamp {
    NOW.plus_millis(seconds * 1000)
}

fn said(status: Status, seconds: i64) -> Snapshot {
    let paid = status == Status::Paid;
    Snapshot {
        link: StripeLink {
            account: "acct_1".to_owned(),
            mode: Mode::Test,
            id: "in_1".to_owned(),
        },
        subscription: Some("subn_1".to_owned()),
        number: (status != Status::Draft).then(|| "A-0001".to_owned()),
        status: Some(status),
        reason: "subscription_cycle".to_owned(),
        currency: "usd".to_owned(),
        subtotal: 1500,
        total: 1500,
        amount_due: 1500,
        amount_paid: if paid { 1500 } else { 0 },
        period: None,
        due_at: None,
        next_attempt_at: None,
        attempt_count: i64::from(paid),
        hosted_url: Some("https://invoice.example/1".to_owned()),
        pdf_url: None,
        action_required: false,
        lines: Some(vec![Line {
            description: "Gold".to_owned(),
            amount: 1500,
            quantity: Some(1),
            unit_amount_decimal: Some("1500".to_owned()),
            period: None,
            proration: false,
        }]),
        created_at: Some(NOW),
        at: at(seconds),
    }
}

fn invoice(first: Snapshot) -> Invoice {
    first
        .first(
            "bill_1".to_owned(),
            Slug::parse("acme").unwrap(),
            "org_1".to_owned(),
            NOW,
        )
        .unwrap()
}

fn attempt(count: i64, seconds: i64) -> Snapshot {
    Snapshot {
        attempt_count: count,
        ..said(Status::Open, seconds)
    }
}

#[test]
fn a_life_is_followed_and_each_version_has_its_name() {
    let draft = invoice(said(Status::Draft, 0));
    assert_eq!(draft.change(None), Change::Created);
    let open = draft.follow(&said(Status::Open, 10), NOW);
    assert_eq!(
        (open.version, open.change(Some(&draft))),
        (2, Change::Updated)
    );
    let failed = open.follow(&attempt(1, 20), NOW);
    assert_eq!(failed.change(Some(&open)), Change::PaymentFailed);
    let again = failed.follow(&attempt(2, 30), NOW);
    assert_eq!(again.change(Some(&failed)), Change::PaymentFailed);
    let given_up = again.follow(&said(Status::Uncollectible, 40), NOW);
    assert_eq!(given_up.change(Some(&again)), Change::Updated);
    let paid = given_up.follow(&said(Status::Paid, 50), NOW);
    assert_eq!(paid.change(Some(&given_up)), Change::Paid);
    assert_eq!(paid.version, 6);
    let void = open.follow(&said(Status::Void, 20), NOW);
    assert_eq!(void.change(Some(&open)), Change::Voided);
}

#[test]
fn what_is_older_or_the_same_changes_nothing() {
    let open = invoice(attempt(1, 10));
    assert_eq!(open.follow(&attempt(1, 10), at(99)), open);
    assert_eq!(
        open.follow(&said(Status::Draft, 99), at(99)),
        open,
        "no way back"
    );
    assert_eq!(open.follow(&attempt(0, 9), at(99)), open);
    let paid = open.follow(&said(Status::Paid, 5), at(99));
    assert_eq!(
        paid.status,
        Status::Paid,
        "an end is true whenever it is heard"
    );
    assert_eq!(paid.stripe_at, open.stripe_at);
    assert_eq!(paid.follow(&attempt(7, 99), at(99)), paid);
}

#[test]
fn within_one_second_what_is_further_is_later() {
    let open = invoice(attempt(1, 10));
    assert_eq!(open.order(&attempt(2, 10)), Order::Later);
    assert_eq!(open.order(&attempt(0, 10)), Order::Earlier);
    assert_eq!(open.order(&said(Status::Paid, 10)), Order::Later);
    assert_eq!(open.order(&attempt(1, 10)), Order::Unknown);
}

#[test]
fn what_is_of_another_or_not_understood_is_left_alone() {
    let open = invoice(attempt(1, 10));
    let mut other = said(Status::Paid, 20);
    other.link.id = "in_2".to_owned();
    assert_eq!(open.follow(&other, NOW), open);
    let unknown = Snapshot {
        status: None,
        ..said(Status::Paid, 20)
    };
    assert_eq!(open.follow(&unknown, NOW), open);
    // Lines that were not all told do not take away those that were.
    let partly = Snapshot {
        lines: None,
        subscription: None,
        ..attempt(2, 20)
    };
    let after = open.follow(&partly, NOW);
    assert_eq!(
        (after.lines.len(), after.subscription),
        (1, open.subscription)
    );
}

#[test]
fn the_bank_is_answered_by_a_payment_or_overtaken_by_another_attempt() {
    let asks = Snapshot {
        action_required: true,
        ..attempt(1, 20)
    };
    let open = invoice(attempt(1, 20));
    assert!(!open.action_required());
    let asked = open.follow(&asks, NOW);
    assert!(asked.action_required());
    assert_eq!(asked.version, 2);
    assert_eq!(asked.follow(&asks, NOW), asked);
    let later = asked.follow(&attempt(2, 30), NOW);
    assert!(!later.action_required());
    // Heard after the attempt that followed it, it changes nothing.
    let late = invoice(attempt(2, 30)).follow(&asks, NOW);
    assert!(!late.action_required());
    assert_eq!(late.version, 1);
    let paid = asked.follow(&said(Status::Paid, 30), NOW);
    assert!(!paid.action_required());
}

/// A life as Stripe tells it, with a second in which three things happen.
fn life() -> Vec<Snapshot> {
    vec![
        said(Status::Draft, 0),
        said(Status::Open, 10),
        attempt(1, 10),
        Snapshot {
            action_required: true,
            ..attempt(1, 10)
        },
        attempt(2, 20),
        said(Status::Uncollectible, 30),
        said(Status::Paid, 30),
    ]
}

proptest! {
    /// In whatever order and however often it is told, the end is the same, and versions have no gap.
    #[test]
    fn the_order_does_not_matter(order in Just(life()).prop_shuffle(), twice in any::<prop::sample::Index>()) {
        let mut told = order.clone();
        told.push(order[twice.index(order.len())].clone());
        let mut known: Option<Invoice> = None;
        for snapshot in told {
            let after = match &known {
                None => invoice(snapshot),
                Some(before) => before.follow(&snapshot, NOW),
            };
            if let Some(before) = &known {
                prop_assert!((before.version..=before.version + 1).contains(&after.version));
                prop_assert_eq!(after.version == before.version, after.looks_like(before));
            }
            known = Some(after);
        }
        let end = known.unwrap();
        prop_assert_eq!(end.status, Status::Paid);
        prop_assert_eq!(end.amount_paid, 1500);
        prop_assert!(!end.action_required());
    }
}
