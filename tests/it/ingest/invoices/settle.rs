//! Paying and voiding.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DAY, INVOICES, access, behind, invoice, payments, saved, tell};
use crate::subscriptions::{SUBSCRIPTIONS, advance, at_stripe, read};
use crate::support::database::{Database, on_both_databases};

on_both_databases!(
    a_decline_is_said_and_kept_and_a_repetition_charges_once,
    an_answer_that_is_lost_charges_once,
    who_is_faster_does_not_matter,
    an_invoice_is_voided_for_good,
    all_that_is_owed_for_what_ends_becomes_void,
    what_is_not_to_be_settled_is_refused,
    each_pays_its_own_and_only_operators_void,
);

async fn a_decline_is_said_and_kept_and_a_repetition_charges_once(engine: Database) {
    let (world, customer, _, open) = behind(engine, "chargeCustomerFail").await;
    let before = payments(&world).await;
    let declined = tell(&world, &open, "pay", "pay-00000001", Value::Null).await;
    let text = declined.text.clone();
    let problem = declined.problem(402, "payment_declined");
    assert!(problem["stripe"]["decline_code"].is_string(), "{problem}");
    let again = tell(&world, &open, "pay", "pay-00000001", Value::Null).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status.as_u16(), again.text), (402, text));
    assert_eq!(invoice(&world, &open["id"]).await["status"], "open");

    let works = saved(&world, &customer, "mastercard").await;
    let with = json!({"payment_method": works["id"]});
    let paid = tell(&world, &open, "pay", "pay-00000002", with.clone()).await;
    let text = paid.text.clone();
    assert_eq!(paid.expect(200)["status"], "paid");
    for _ in 0..3 {
        let again = tell(&world, &open, "pay", "pay-00000002", with.clone()).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.status.as_u16(), &again.text), (200, &text));
    }
    assert_eq!(payments(&world).await, before + 1);
    let other = tell(&world, &open, "pay", "pay-00000002", json!({})).await;
    other.problem(422, "idempotency_key_reused");
    let path = format!("{INVOICES}/{}/pay", open["id"].as_str().unwrap());
    let none = world.service.post(&path, with).await;
    none.problem(400, "idempotency_key_missing");
}

async fn an_answer_that_is_lost_charges_once(engine: Database) {
    for fault in [
        "reset_after",
        "error_after",
        "reset_before",
        "rate_limit",
        "lock_timeout",
    ] {
        let (world, customer, _, open) = behind(engine, "chargeCustomerFail").await;
        let works = saved(&world, &customer, "mastercard").await;
        let before = payments(&world).await;
        world
            .service
            .fault(fault, "POST", "/v1/invoices/{invoice}/pay")
            .await;
        let with = json!({"payment_method": works["id"]});
        let paid = tell(&world, &open, "pay", "pay-00000001", with).await;
        assert_eq!(paid.expect(200)["status"], "paid", "{fault}");
        assert_eq!(payments(&world).await, before + 1, "{fault}");
        assert_eq!(access(&world).await["decision"], "allow", "{fault}");
    }
}

async fn who_is_faster_does_not_matter(engine: Database) {
    let (world, customer, subscription, open) = behind(engine, "chargeCustomerFail").await;
    let works = saved(&world, &customer, "mastercard").await;
    world.plan(json!({"hold": true})).await;
    let id = open["stripe"]["invoice"].as_str().unwrap();
    let pay = format!("/v1/invoices/{id}/pay");
    world
        .service
        .stripe(&pay, &[("paid_out_of_band", "true")])
        .await;
    assert_eq!(
        invoice(&world, &open["id"]).await["status"],
        "open",
        "nobody has told"
    );
    let before = payments(&world).await;
    let with = json!({"payment_method": works["id"]});
    let paid = tell(&world, &open, "pay", "pay-00000001", with).await;
    assert_eq!(paid.expect(200)["status"], "paid");
    assert_eq!(payments(&world).await, before, "nothing was charged again");
    assert_eq!(
        read(&world.service, &subscription).await["status"],
        "active"
    );
    let void = tell(&world, &open, "void", "void-0000001", json!({})).await;
    void.problem(409, "invoice_state_conflict");
}

async fn an_invoice_is_voided_for_good(engine: Database) {
    let (world, _, subscription, open) = behind(engine, "chargeCustomerFail").await;
    world.plan(json!({"hold": true})).await;
    let void = tell(&world, &open, "void", "void-0000001", Value::Null).await;
    let void = void.expect(200);
    assert_eq!(void["status"], "void");
    let there = at_stripe(&world.service, "invoice").await;
    let id = &open["stripe"]["invoice"];
    let there = there.iter().find(|one| one["id"] == *id).unwrap();
    assert_eq!(there["status"], "void");
    for verb in ["void", "pay"] {
        let again = tell(&world, &open, verb, "again-000001", Value::Null).await;
        again.problem(409, "invoice_state_conflict");
    }
    world.let_go().await;
    assert_eq!(invoice(&world, &open["id"]).await, void);
    // What is not owed any more is not missing, as Stripe sees it.
    let there = world
        .there(subscription["stripe"]["subscription"].as_str().unwrap())
        .await;
    assert_eq!(
        read(&world.service, &subscription).await["status"],
        there["status"]
    );
}

async fn all_that_is_owed_for_what_ends_becomes_void(engine: Database) {
    let (world, _, subscription, _) = behind(engine, "chargeCustomerFail").await;
    let patient = json!({"end_state": "past_due"});
    world
        .service
        .simulator(Method::POST, "/billing", patient)
        .await;
    // Stripe goes on to ask for each further period.
    for _ in 0..8 {
        advance(&world.service, 8 * DAY).await;
        world.rest().await;
    }
    let statuses = async || {
        let there = at_stripe(&world.service, "invoice").await;
        let path = format!(
            "{INVOICES}?subscription={}",
            subscription["id"].as_str().unwrap()
        );
        let here = world.service.get(&path).await.expect(200);
        let here = here["data"].as_array().unwrap().clone();
        let open = |all: &[Value]| all.iter().filter(|it| it["status"] == "open").count();
        (open(&there), open(&here))
    };
    assert_eq!(statuses().await, (3, 3));
    // Of one of them nobody has told that it was paid.
    world.plan(json!({"loss_permille": 1_000})).await;
    let there = at_stripe(&world.service, "invoice").await;
    let paid = there.iter().find(|it| it["status"] == "open").unwrap();
    let pay = format!("/v1/invoices/{}/pay", paid["id"].as_str().unwrap());
    world
        .service
        .stripe(&pay, &[("paid_out_of_band", "true")])
        .await;
    world.plan(json!({"loss_permille": 0})).await;
    world.service.forget_calls().await;
    let path = format!(
        "{SUBSCRIPTIONS}/{}/cancel",
        subscription["id"].as_str().unwrap()
    );
    let ended = world
        .service
        .post(&path, json!({"at": "now"}))
        .await
        .expect(200);
    assert_eq!(ended["status"], "canceled");
    let void = "POST /v1/invoices/{invoice}/void";
    assert_eq!(
        world.service.calls().await,
        [
            "DELETE /v1/subscriptions/{subscription_exposed_id}",
            void,
            void,
            void
        ]
    );
    world.rest().await;
    assert_eq!(statuses().await, (0, 1));
}

async fn what_is_not_to_be_settled_is_refused(engine: Database) {
    let (world, customer, _, open) = behind(engine, "chargeCustomerFail").await;
    world.service.forget_calls().await;
    let refuse = async |key: &str, body: Value, status: u16, code: &str| {
        tell(&world, &open, "pay", key, body)
            .await
            .problem(status, code);
    };
    let other = world.service.customer("initech").await;
    let other = other["id"].as_str().unwrap();
    let foreign = saved(&world, other, "amex").await;
    let foreign = json!({"payment_method": foreign["id"]});
    refuse("pay-00000001", foreign, 409, "payment_method_unusable").await;
    let malformed = json!({"payment_method": "pm_1"});
    refuse("pay-00000002", malformed, 422, "validation_failed").await;
    let unknown = json!({"payment_method": null, "amount": 5});
    refuse("pay-00000003", unknown, 422, "unknown_field").await;

    let path = format!("{INVOICES}/{}/pay", open["id"].as_str().unwrap());
    let bearer = world.service.bearer();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "pay-00000004"),
        ("if-match", "\"1-1\""),
    ];
    world
        .service
        .call_with(Method::POST, &path, &headers, Value::Null)
        .await
        .problem(412, "precondition_failed");
    let nothing = format!("{INVOICES}/bill_00000000000000000000000000/pay");
    world
        .service
        .post_once(&nothing, "pay-00000005", Value::Null)
        .await
        .problem(404, "not_found");

    let module = "/v1/portals/acme/modules/stripe";
    world
        .service
        .put(module, json!({"enabled": false}))
        .await
        .expect(200);
    refuse("pay-00000006", Value::Null, 409, "module_disabled").await;
    world
        .service
        .put(module, json!({"enabled": true}))
        .await
        .expect(200);
    let pays = world.service.calls().await;
    assert!(pays.iter().all(|call| !call.ends_with("/pay")), "{pays:?}");

    // None of its own, and no default: somebody has to name one.
    let subscription = &open["subscription"];
    assert!(subscription.is_string());
    let patch = json!({"default_payment_method": null});
    let customer = format!("/v1/portals/acme/customers/{customer}");
    let answer = world.service.call(Method::PATCH, &customer, patch).await;
    // A live subscription relies on it, or on its own: either way nothing was charged.
    assert!(
        matches!(answer.status.as_u16(), 200 | 409),
        "{}",
        answer.text
    );
}

async fn each_pays_its_own_and_only_operators_void(engine: Database) {
    let (world, _, _, open) = behind(engine, "chargeCustomerFail").await;
    let path = |verb: &str| format!("{INVOICES}/{}/{verb}", open["id"].as_str().unwrap());
    world.service.customer("initech").await;
    let service = &world.service;
    let other = service
        .call_bound("initech", Method::POST, &path("pay"), Value::Null)
        .await;
    other.problem(404, "not_found");
    let own = service
        .call_bound("globex", Method::POST, &path("pay"), Value::Null)
        .await;
    own.problem(402, "payment_declined");
    let void = service
        .call_bound("globex", Method::POST, &path("void"), Value::Null)
        .await;
    void.problem(403, "organization_bound");
    // The consumer's own attempt counts as none of Stripe's, and does not prolong grace.
    advance(service, 4 * DAY).await;
    world.rest().await;
    assert_eq!(access(&world).await["decision"], "deny");
}
