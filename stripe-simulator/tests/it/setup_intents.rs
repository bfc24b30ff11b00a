//! Setup intents over HTTP.

use crate::payments::{bank, customer, events};
use crate::support::Stripe;

#[test]
fn a_setup_intent_saves_fails_and_is_canceled() {
    let stripe = Stripe::start();
    let customer = customer(&stripe);
    let form = [
        ("customer", customer.as_str()),
        ("allowed_payment_method_types[]", "card"),
    ];
    let created = stripe.post("/v1/setup_intents", &form).ok();
    assert_eq!(created["status"], "requires_payment_method");
    assert_eq!(created["usage"], "off_session");
    let path = format!("/v1/setup_intents/{}", created["id"].as_str().unwrap());
    let confirm = format!("{path}/confirm");
    let error = stripe
        .post(&confirm, &[("payment_method", "pm_card_chargeDeclined")])
        .error(402);
    assert_eq!(error["code"], "card_declined");
    assert_eq!(error["setup_intent"]["status"], "requires_payment_method");
    assert_eq!(
        error["setup_intent"]["last_setup_error"]["decline_code"],
        "generic_decline"
    );
    let done = stripe
        .post(&confirm, &[("payment_method", "pm_card_visa")])
        .ok();
    assert_eq!(done["status"], "succeeded");
    let method = done["payment_method"].as_str().unwrap();
    let attached = stripe.get(&format!("/v1/payment_methods/{method}")).ok();
    assert_eq!(attached["customer"], customer.as_str());
    for verb in ["confirm", "cancel"] {
        let error = stripe.post(&format!("{path}/{verb}"), &[]).error(400);
        assert_eq!(error["code"], "setup_intent_unexpected_state", "{verb}");
        assert_eq!(error["setup_intent"]["id"], created["id"]);
    }
    let open = stripe.post("/v1/setup_intents", &form).id();
    let canceled = stripe
        .post(&format!("/v1/setup_intents/{open}/cancel"), &[])
        .ok();
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(
        events(&stripe),
        [
            "customer.created",
            "setup_intent.created",
            "setup_intent.setup_failed",
            "payment_method.attached",
            "setup_intent.succeeded",
            "setup_intent.created",
            "setup_intent.canceled",
        ]
    );
}

#[test]
fn a_browser_key_needs_the_client_secret() {
    let stripe = Stripe::start();
    let setup = stripe
        .post(
            "/v1/setup_intents",
            &[("allowed_payment_method_types[]", "card")],
        )
        .ok();
    let path = format!("/v1/setup_intents/{}", setup["id"].as_str().unwrap());
    let secret = setup["client_secret"].as_str().unwrap();
    let key = [("authorization", "Bearer pk_test_simulator")];
    let read = |path: &str| stripe.send("GET", path, &[], &key);
    assert_eq!(read(&path).error(400)["param"], "client_secret");
    assert_eq!(
        read(&format!("{path}?client_secret=wrong")).error(400)["param"],
        "client_secret"
    );
    assert_eq!(
        read(&format!("{path}?client_secret={secret}")).ok()["id"],
        setup["id"]
    );
    let form = [
        ("client_secret", secret),
        ("payment_method", "pm_card_visa"),
    ];
    let confirmed = stripe
        .send("POST", &format!("{path}/confirm"), &form, &key)
        .ok();
    assert_eq!(confirmed["status"], "succeeded");
}

#[test]
fn setups_leave_attempts_and_mandates() {
    let stripe = Stripe::start();
    let customer = customer(&stripe);
    let form = [
        ("customer", customer.as_str()),
        ("allowed_payment_method_types[]", "card"),
    ];
    let intent = stripe.post("/v1/setup_intents", &form).id();
    let confirm = format!("/v1/setup_intents/{intent}/confirm");
    stripe
        .post(&confirm, &[("payment_method", "pm_card_chargeDeclined")])
        .error(402);
    stripe
        .post(
            &confirm,
            &[("payment_method", "pm_card_authenticationRequired")],
        )
        .ok();
    bank(&stripe, &intent, "approve").ok();
    let attempts = stripe
        .get(&format!("/v1/setup_attempts?setup_intent={intent}"))
        .ok();
    let statuses: Vec<&str> = attempts["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["succeeded", "requires_action", "failed"]);
    assert_eq!(
        attempts["data"][2]["setup_error"]["decline_code"],
        "generic_decline"
    );
    let path = format!("/v1/setup_intents/{intent}?expand[]=latest_attempt");
    assert_eq!(
        stripe.get(&path).ok()["latest_attempt"]["status"],
        "succeeded"
    );

    let form = [
        ("customer", customer.as_str()),
        ("allowed_payment_method_types[]", "us_bank_account"),
        ("payment_method", "pm_usBankAccount_success"),
        ("mandate_data[customer_acceptance][type]", "offline"),
        ("confirm", "true"),
    ];
    let setup = stripe.post("/v1/setup_intents", &form).ok();
    let mandate = stripe
        .get(&format!(
            "/v1/mandates/{}",
            setup["mandate"].as_str().unwrap()
        ))
        .ok();
    assert_eq!(mandate["type"], "multi_use");
    assert_eq!(mandate["payment_method"], setup["payment_method"]);
    // The mandate serves later debits: none is asked for again.
    let form = [
        ("amount", "2000"),
        ("currency", "usd"),
        ("customer", customer.as_str()),
        ("payment_method", setup["payment_method"].as_str().unwrap()),
        ("off_session", "true"),
        ("confirm", "true"),
    ];
    assert_eq!(
        stripe.post("/v1/payment_intents", &form).ok()["status"],
        "processing"
    );
}
