use super::*;
use crate::domain::pricing::{IntervalDraft, PriceDraft};

fn free() -> PricingDraft {
    PricingDraft {
        model: "free".to_owned(),
        ..PricingDraft::default()
    }
}

fn flat(amount: i64) -> PricingDraft {
    PricingDraft {
        model: "flat".to_owned(),
        price: Some(PriceDraft::whole(amount, "usd")),
        interval: Some(IntervalDraft {
            unit: "month".to_owned(),
            count: 1,
        }),
        ..PricingDraft::default()
    }
}

fn plan(id: &str, pricing: PricingDraft) -> PlanDraft {
    PlanDraft {
        id: id.to_owned(),
        title: format!("The {id} plan"),
        description: String::new(),
        approval_required: false,
        pricing,
    }
}

fn product(plans: Vec<PlanDraft>) -> ProductDraft {
    ProductDraft {
        title: "Weather".to_owned(),
        version: "1.0.0".to_owned(),
        description: "Two lines\nof text".to_owned(),
        state: "published".to_owned(),
        plans,
    }
}

fn contents(plans: Vec<PlanDraft>) -> Vec<PlanContent> {
    product(plans).check().unwrap().plans
}

fn refused(draft: &ProductDraft) -> Vec<(String, FieldCode)> {
    let errors = draft.check().unwrap_err();
    errors
        .into_iter()
        .map(|error| (error.pointer, error.code))
        .collect()
}

fn known(diff: PlanDiff) -> Vec<KnownPlan> {
    let known = |(plan, _)| KnownPlan {
        plan,
        withdrawn: false,
    };
    diff.plans.into_iter().map(known).collect()
}

fn changes(diff: &PlanDiff) -> Vec<(&str, i64, PlanChange)> {
    diff.plans
        .iter()
        .map(|(plan, change)| (plan.id.as_str(), plan.revision, *change))
        .collect()
}

#[test]
fn a_product_is_checked_as_a_whole() {
    let content = product(vec![plan("free", free()), plan("gold", flat(1500))]);
    let content = content.check().unwrap();
    assert_eq!(content.state, ProductState::Published);
    assert!(content.is_paid());
    assert!(
        !product(vec![plan("free", free())])
            .check()
            .unwrap()
            .is_paid()
    );
    assert!(product(Vec::new()).check().unwrap().plans.is_empty());

    let wrong = ProductDraft {
        title: " ".to_owned(),
        version: "v".repeat(64),
        description: "bell \u{7}".to_owned(),
        state: "staged".to_owned(),
        plans: vec![plan("Gold", flat(0)), plan("ok", flat(-1))],
    };
    assert_eq!(
        refused(&wrong),
        [
            ("/title".to_owned(), FieldCode::Empty),
            ("/version".to_owned(), FieldCode::TooLong),
            ("/description".to_owned(), FieldCode::InvalidValue),
            ("/state".to_owned(), FieldCode::InvalidValue),
            ("/plans/0/id".to_owned(), FieldCode::InvalidValue),
            (
                "/plans/0/pricing/price/amount".to_owned(),
                FieldCode::InvalidValue
            ),
            (
                "/plans/1/pricing/price/amount".to_owned(),
                FieldCode::InvalidValue
            ),
        ]
    );
}

#[test]
fn plans_are_bounded_and_their_ids_unique() {
    let many = |count: usize| {
        let plans = (0..count).map(|n| plan(&format!("p{n}"), free()));
        product(plans.collect())
    };
    assert!(many(PLANS_MAX).check().is_ok());
    assert_eq!(
        refused(&many(PLANS_MAX + 1)),
        [("/plans".to_owned(), FieldCode::TooMany)]
    );
    let twice = product(vec![
        plan("a", free()),
        plan("b", free()),
        plan("a", free()),
    ]);
    assert_eq!(
        refused(&twice),
        [("/plans/2/id".to_owned(), FieldCode::InvalidValue)]
    );
}

#[test]
fn descriptions_hold_neither_cards_nor_keys_nor_too_much() {
    let with = |description: String| ProductDraft {
        description,
        ..product(Vec::new())
    };
    for (text, code) in [
        (
            "pay to 4242 4242 4242 4242".to_owned(),
            FieldCode::PanDetected,
        ),
        (
            "key: sk_live_51PgafTB1W".to_owned(),
            FieldCode::SecretDetected,
        ),
        ("x".repeat(DESCRIPTION_MAX_CHARS + 1), FieldCode::TooLong),
    ] {
        assert_eq!(refused(&with(text)), [("/description".to_owned(), code)]);
    }
    assert!(with("ä".repeat(DESCRIPTION_MAX_CHARS)).check().is_ok());
}

#[test]
fn states_lead_where_subscribers_are_safe() {
    use ProductState::{Deprecated, Draft, Published, Retired};
    let table = [
        (Draft, [true, true, false, true]),
        (Published, [false, true, true, true]),
        (Deprecated, [false, true, true, true]),
        (Retired, [true, false, false, true]),
    ];
    for (from, expected) in table {
        for (to, allowed) in [Draft, Published, Deprecated, Retired]
            .into_iter()
            .zip(expected)
        {
            assert_eq!(from.may_become(to), allowed, "{from:?} to {to:?}");
            if from.keeps_subscribers() && to == Draft {
                assert!(!allowed);
            }
        }
    }
    let takes: Vec<_> = ProductState::ALL
        .iter()
        .filter(|state| state.takes_subscribers())
        .collect();
    assert_eq!(takes, [&Published]);
    assert!(Deprecated.keeps_subscribers() && !Retired.keeps_subscribers());
    for state in ProductState::ALL {
        assert_eq!(ProductState::parse(state.as_str()), Some(*state));
    }
}

#[test]
fn a_changed_price_is_a_new_revision_and_a_changed_text_is_not() {
    let first = diff(
        &[],
        contents(vec![
            plan("a", free()),
            plan("b", flat(1500)),
            plan("c", flat(5)),
        ]),
    );
    assert_eq!(
        changes(&first),
        [
            ("a", 1, PlanChange::Added),
            ("b", 1, PlanChange::Added),
            ("c", 1, PlanChange::Added)
        ]
    );
    let before = known(first);
    let same = contents(vec![
        plan("a", free()),
        plan("b", flat(1500)),
        plan("c", flat(5)),
    ]);
    assert!(diff(&before, same).is_empty());

    let mut edited = plan("a", free());
    edited.title = "Another title".to_owned();
    let second = diff(&before, contents(vec![edited, plan("b", flat(1600))]));
    assert_eq!(
        changes(&second),
        [("a", 1, PlanChange::Edited), ("b", 2, PlanChange::Repriced)]
    );
    assert_eq!(second.withdrawn, [Slug::parse("c").unwrap()]);
    assert!(!second.is_empty() && !second.reordered);
    assert!(PlanChange::Repriced.is_new_revision() && !PlanChange::Edited.is_new_revision());
}

#[test]
fn a_plan_that_comes_back_goes_on_counting() {
    let gone = |pricing: PricingDraft, revision| KnownPlan {
        plan: Plan {
            revision,
            ..known(diff(&[], contents(vec![plan("b", pricing)])))[0]
                .plan
                .clone()
        },
        withdrawn: true,
    };
    let known = [gone(flat(1500), 3)];
    let same = diff(&known, contents(vec![plan("b", flat(1500))]));
    assert_eq!(
        changes(&same),
        [("b", 3, PlanChange::Restored { repriced: false })]
    );
    assert!(!same.is_empty());
    let other = diff(&known, contents(vec![plan("b", flat(1600))]));
    assert_eq!(
        changes(&other),
        [("b", 4, PlanChange::Restored { repriced: true })]
    );
    let still_gone = diff(&known, Vec::new());
    assert!(still_gone.is_empty(), "what is gone is not withdrawn again");
}

#[test]
fn another_order_is_a_change() {
    let before = known(diff(
        &[],
        contents(vec![plan("a", free()), plan("b", free())]),
    ));
    let turned = diff(
        &before,
        contents(vec![plan("b", free()), plan("a", free())]),
    );
    assert!(turned.reordered && !turned.is_empty());
    let grown = diff(
        &before,
        contents(vec![
            plan("new", free()),
            plan("a", free()),
            plan("b", free()),
        ]),
    );
    assert!(!grown.reordered);
}
