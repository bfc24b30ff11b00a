//! Payment methods over HTTP.

use serde_json::json;

use crate::payments::{customer, events, pay, payer};
use crate::support::{Reply, Stripe};

#[test]
fn a_card_is_attached_once_and_detached_for_ever() {
    let stripe = Stripe::start();
    let (customer, method) = payer(&stripe, "pm_card_visa");
    let path = format!("/v1/payment_methods/{method}");
    let card = &stripe.get(&path).ok()["card"];
    assert_eq!(card["brand"], "visa");
    assert_eq!(card["last4"], "4242");
    assert_eq!(card["checks"]["cvc_check"], "pass");
    let list = format!("/v1/customers/{customer}/payment_methods");
    assert_eq!(stripe.get(&list).ok()["data"][0]["id"], method.as_str());

    let again = stripe
        .post(&format!("{path}/attach"), &[("customer", &customer)])
        .error(400);
    assert_eq!(again["type"], "invalid_request_error");
    let detached = stripe.post(&format!("{path}/detach"), &[]).ok();
    assert!(detached["customer"].is_null());
    assert_eq!(stripe.get(&list).ok()["data"], json!([]));
    for (verb, form) in [
        ("attach", vec![("customer", customer.as_str())]),
        ("detach", vec![]),
    ] {
        let error = stripe.post(&format!("{path}/{verb}"), &form).error(400);
        assert!(error["code"].is_null(), "{verb}: {error}");
    }
    let error = pay(&stripe, &method, &[]).error(400);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("may not be used again"),
        "{error}"
    );
    assert_eq!(
        events(&stripe),
        [
            "customer.created",
            "payment_method.attached",
            "payment_method.detached"
        ]
    );
}

#[test]
fn a_detached_default_is_no_default_any_more() {
    let stripe = Stripe::start();
    let (customer, method) = payer(&stripe, "pm_card_visa");
    let path = format!("/v1/customers/{customer}");
    let name = "invoice_settings[default_payment_method]";
    let settings = &stripe.post(&path, &[(name, &method)]).ok()["invoice_settings"];
    assert_eq!(settings["default_payment_method"], method.as_str());
    stripe
        .post(&format!("/v1/payment_methods/{method}/detach"), &[])
        .ok();
    assert!(stripe.get(&path).ok()["invoice_settings"]["default_payment_method"].is_null());
    let error = stripe.post(&path, &[(name, &method)]).error(400);
    assert_eq!(error["code"], "resource_missing");
    assert_eq!(error["param"], name);
}

#[test]
fn cards_that_decline_cannot_be_attached() {
    let stripe = Stripe::start();
    let customer = customer(&stripe);
    let cases = [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
        (
            "pm_card_chargeDeclinedExpiredCard",
            "expired_card",
            "expired_card",
        ),
        (
            "pm_card_chargeDeclinedIncorrectCvc",
            "incorrect_cvc",
            "incorrect_cvc",
        ),
        (
            "pm_card_chargeDeclinedProcessingError",
            "processing_error",
            "processing_error",
        ),
    ];
    for (method, code, decline_code) in cases {
        let path = format!("/v1/payment_methods/{method}/attach");
        let error = stripe.post(&path, &[("customer", &customer)]).error(402);
        assert_eq!(error["type"], "card_error", "{method}");
        assert_eq!(error["code"], code);
        assert_eq!(error["decline_code"], decline_code);
        let error = pay(&stripe, method, &[]).error(402);
        assert_eq!(error["code"], code);
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        assert_eq!(
            error["payment_intent"]["last_payment_error"]["decline_code"],
            decline_code
        );
        let charge = stripe
            .get(&format!(
                "/v1/charges/{}",
                error["charge"].as_str().unwrap()
            ))
            .ok();
        assert_eq!(charge["status"], "failed");
        assert_eq!(charge["failure_code"], code);
    }
    let list = format!("/v1/customers/{customer}/payment_methods");
    assert_eq!(stripe.get(&list).ok()["data"], json!([]));
}

#[test]
fn typed_cards_are_checked_and_leave_no_number_behind() {
    let stripe = Stripe::start();
    let create = |number: &str, month: &str, year: &str, cvc: &str| {
        let form = [
            ("type", "card"),
            ("card[number]", number),
            ("card[exp_month]", month),
            ("card[exp_year]", year),
            ("card[cvc]", cvc),
        ];
        stripe.post("/v1/payment_methods", &form)
    };
    let good = create("4000056655665556", "8", "2030", "123").ok();
    assert_eq!(good["card"]["funding"], "debit");
    assert_eq!(good["card"]["checks"]["cvc_check"], "unchecked");
    assert!(!good.to_string().contains("4000056655665556"));
    let code = |reply: Reply| reply.error(402)["code"].as_str().unwrap().to_owned();
    assert_eq!(
        code(create("4242424242424241", "8", "2030", "123")),
        "incorrect_number"
    );
    assert_eq!(
        code(create("4242424242424242", "13", "2030", "123")),
        "invalid_expiry_month"
    );
    assert_eq!(
        code(create("4242424242424242", "8", "2020", "123")),
        "invalid_expiry_year"
    );
    assert_eq!(
        code(create("4242424242424242", "8", "2030", "99")),
        "invalid_cvc"
    );
    let error = create("4539578763621486", "8", "2030", "123").error(402);
    assert_eq!(error["decline_code"], "test_mode_live_card");
}

#[test]
fn a_method_works_for_its_own_customer_only() {
    let stripe = Stripe::start();
    let (_, method) = payer(&stripe, "pm_card_visa");
    let stranger = customer(&stripe);
    let error = pay(&stripe, &method, &[("customer", &stranger)]).error(400);
    assert_eq!(error["param"], "payment_method");
    assert_eq!(
        pay(&stripe, &method, &[]).error(400)["param"],
        "payment_method"
    );
    let created = stripe.post(
        "/v1/customers",
        &[
            ("payment_method", "pm_card_visa"),
            ("invoice_settings[default_payment_method]", "pm_card_visa"),
        ],
    );
    let id = created.id();
    let default = &created.ok()["invoice_settings"]["default_payment_method"];
    let listed = stripe
        .get(&format!("/v1/customers/{id}/payment_methods"))
        .ok();
    assert_eq!(&listed["data"][0]["id"], default);
}

#[test]
fn no_card_number_is_kept_anywhere() {
    let stripe = Stripe::start();
    let form = [
        ("type", "card"),
        ("card[number]", "4000056655665556"),
        ("card[exp_month]", "8"),
        ("card[exp_year]", "2030"),
        ("card[cvc]", "987"),
    ];
    stripe.post("/v1/payment_methods", &form).ok();
    let key = [("idempotency-key", "a-key-of-mine")];
    stripe.send("POST", "/v1/payment_methods", &form, &key).ok();
    let mut form = vec![("amount", "2000"), ("currency", "usd"), ("confirm", "true")];
    form.push(("payment_method_data[type]", "card"));
    form.push(("payment_method_data[card][number]", "4000056655665556"));
    stripe.post("/v1/payment_intents", &form).error(400);
    for path in [
        "/_simulator/state",
        "/_simulator/requests",
        "/_simulator/log",
    ] {
        let seen = stripe.get(path).text;
        assert!(
            !seen.contains("4000056655665556") && !seen.contains("987\""),
            "{path}: {seen}"
        );
    }
}

#[test]
fn a_customers_method_is_found_under_its_customer_only() {
    let stripe = Stripe::start();
    let (owner, method) = payer(&stripe, "pm_card_visa");
    let path = |customer: &str| format!("/v1/customers/{customer}/payment_methods/{method}");
    assert_eq!(stripe.get(&path(&owner)).ok()["id"], method.as_str());
    assert_eq!(
        stripe.get(&path(&customer(&stripe))).error(404)["param"],
        "customer"
    );
}
