//! Laws of payments that hold whatever is done in whatever order.

use proptest::prelude::*;
use serde_json::Value;

use crate::checkout::text;
use crate::support::Stripe;

/// Few cases with many steps each: every step is a request.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const METHODS: [&str; 8] = [
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "pm_usBankAccount_success",
    "pm_usBankAccount_noAccount",
    "pm_card_createDispute",
];

#[derive(Debug, Clone)]
enum Step {
    Confirm(usize),
    Cancel,
    Capture(i64),
    Bank(bool),
    Refund(i64),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..METHODS.len()).prop_map(Step::Confirm),
        1 => Just(Step::Cancel),
        2 => (1..2_500_i64).prop_map(Step::Capture),
        3 => any::<bool>().prop_map(Step::Bank),
        3 => (1..1_500_i64).prop_map(Step::Refund),
        1 => Just(Step::Settle),
    ]
}

fn take(stripe: &Stripe, id: &str, step: &Step) {
    let path = format!("/v1/payment_intents/{id}");
    match step {
        Step::Confirm(method) => {
            let form = [
                ("payment_method", METHODS[*method]),
                ("mandate_data[customer_acceptance][type]", "offline"),
            ];
            stripe.post(&format!("{path}/confirm"), &form);
        }
        Step::Cancel => {
            stripe.post(&format!("{path}/cancel"), &[]);
        }
        Step::Capture(amount) => {
            let amount = amount.to_string();
            stripe.post(
                &format!("{path}/capture"),
                &[("amount_to_capture", &amount)],
            );
        }
        Step::Bank(approve) => {
            let verb = if *approve { "approve" } else { "deny" };
            stripe.post(&format!("/_simulator/bank/{id}/{verb}"), &[]);
        }
        Step::Refund(amount) => {
            let amount = amount.to_string();
            stripe.post(
                "/v1/refunds",
                &[("payment_intent", id), ("amount", &amount)],
            );
        }
        Step::Settle => stripe.advance(60),
    }
}

/// What must be true of an intent and its charges at any time.
fn check(stripe: &Stripe, intent: &Value) {
    let status = text(intent, "status");
    let number = |object: &Value, name: &str| object[name].as_i64().unwrap();
    assert_eq!(
        number(intent, "amount_received") > 0,
        status == "succeeded",
        "{intent}"
    );
    assert_eq!(
        number(intent, "amount_capturable") > 0,
        status == "requires_capture",
        "{intent}"
    );
    assert_eq!(
        intent["next_action"].is_null(),
        status != "requires_action",
        "{intent}"
    );
    assert_eq!(
        intent["canceled_at"].is_null(),
        status != "canceled",
        "{intent}"
    );
    let path = format!(
        "/v1/charges?limit=100&payment_intent={}",
        text(intent, "id")
    );
    let charges = stripe.get(&path).ok();
    let charges = charges["data"].as_array().unwrap();
    let paid: Vec<&Value> = charges
        .iter()
        .filter(|charge| charge["captured"] == true)
        .collect();
    assert!(paid.len() <= 1, "charged twice: {charges:?}");
    for charge in charges {
        let refunds = format!("/v1/refunds?limit=100&charge={}", text(charge, "id"));
        let refunds = stripe.get(&refunds).ok();
        let refunds = refunds["data"].as_array().unwrap();
        let sum: i64 = refunds.iter().map(|refund| number(refund, "amount")).sum();
        assert!(
            sum <= number(charge, "amount_captured"),
            "refunded too much: {charge}"
        );
        if charge["captured"] == true {
            assert_eq!(number(charge, "amount_refunded"), sum, "{charge}");
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_intent_never_pays_twice_nor_comes_back(
        manual in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..14),
    ) {
        let stripe = Stripe::start();
        let form = [
            ("amount", "2000"),
            ("currency", "usd"),
            ("capture_method", if manual { "manual" } else { "automatic" }),
        ];
        let id = stripe.post("/v1/payment_intents", &form).id();
        let path = format!("/v1/payment_intents/{id}");
        let mut last = String::new();
        for step in &steps {
            take(&stripe, &id, step);
            let intent = stripe.get(&path).ok();
            let status = text(&intent, "status");
            if matches!(last.as_str(), "succeeded" | "canceled") {
                prop_assert_eq!(&last, status, "left a final state by {:?}", step);
            }
            check(&stripe, &intent);
            status.clone_into(&mut last);
        }
    }

    #[test]
    fn a_detached_method_cannot_come_back(steps in proptest::collection::vec(0_u8..4, 1..16)) {
        let stripe = Stripe::start();
        let customers: Vec<String> =
            (0..2).map(|_| stripe.post("/v1/customers", &[]).id()).collect();
        let card = [("type", "card"), ("card[token]", "tok_visa")];
        let method = stripe.post("/v1/payment_methods", &card).id();
        let path = format!("/v1/payment_methods/{method}");
        let (mut owner, mut spent): (Option<&String>, bool) = (None, false);
        for (index, step) in steps.iter().enumerate() {
            let customer = &customers[index % 2];
            let status = match step {
                0 | 1 => stripe.post(&format!("{path}/attach"), &[("customer", customer)]).status,
                2 => stripe.post(&format!("{path}/detach"), &[]).status,
                _ => {
                    let form = [
                        ("amount", "500"),
                        ("currency", "usd"),
                        ("payment_method", &method),
                        ("customer", customer),
                        ("confirm", "true"),
                    ];
                    stripe.post("/v1/payment_intents", &form).status
                }
            };
            let expected = match step {
                0 | 1 => !spent && owner.is_none(),
                2 => owner.is_some(),
                _ => !spent && owner.is_none_or(|owner| owner == customer),
            };
            prop_assert_eq!(status == 200, expected, "step {} of {:?}", index, steps);
            match (step, expected) {
                (0 | 1, true) => owner = Some(customer),
                (2, true) => (owner, spent) = (None, true),
                (3, true) if owner.is_none() => spent = true,
                _ => {}
            }
            let seen = stripe.get(&path).ok();
            prop_assert_eq!(seen["customer"].as_str(), owner.map(String::as_str));
        }
    }
}
