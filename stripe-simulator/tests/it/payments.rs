//! Payment methods, intents, charges, refunds and disputes over HTTP.

use serde_json::{Value, json};

use crate::support::{Reply, Stripe};

fn customer(stripe: &Stripe) -> String {
    stripe
        .post("/v1/customers", &[("name", "Jenny Rosen")])
        .id()
}

/// A customer with this test method attached: (customer, method).
fn payer(stripe: &Stripe, method: &str) -> (String, String) {
    let customer = customer(stripe);
    let path = format!("/v1/payment_methods/{method}/attach");
    let attached = stripe.post(&path, &[("customer", &customer)]);
    let id = attached.id();
    assert_eq!(attached.ok()["customer"], customer.as_str());
    (customer, id)
}

fn pay(stripe: &Stripe, method: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = vec![
        ("amount", "2000"),
        ("currency", "usd"),
        ("allowed_payment_method_types[]", "card"),
        ("payment_method", method),
        ("confirm", "true"),
    ];
    form.extend(more);
    stripe.post("/v1/payment_intents", &form)
}

/// The types of all events, oldest first.
fn events(stripe: &Stripe) -> Vec<String> {
    let mut types: Vec<String> = stripe.get("/v1/events?limit=100").ok()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    types.reverse();
    types
}

fn bank(stripe: &Stripe, intent: &str, verb: &str) -> Reply {
    stripe.post(&format!("/_simulator/bank/{intent}/{verb}"), &[])
}

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
fn the_card_that_declines_later_attaches_and_a_working_card_pays_the_same_intent() {
    let stripe = Stripe::start();
    let (customer, method) = payer(&stripe, "pm_card_chargeCustomerFail");
    let error = pay(&stripe, &method, &[("customer", &customer)]).error(402);
    assert_eq!(error["decline_code"], "generic_decline");
    let intent = error["payment_intent"]["id"].as_str().unwrap();
    let path = format!("/v1/payment_intents/{intent}/confirm");
    let paid = stripe
        .post(&path, &[("payment_method", "pm_card_visa")])
        .ok();
    assert_eq!(paid["status"], "succeeded");
    assert!(paid["last_payment_error"].is_null());
    assert_eq!(paid["amount_received"], 2000);
    let charges = stripe
        .get(&format!("/v1/charges?payment_intent={intent}"))
        .ok();
    assert_eq!(charges["data"].as_array().unwrap().len(), 2);
    let error = stripe.post(&path, &[]).error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");
    assert_eq!(error["payment_intent"]["id"], intent);
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
fn a_payment_succeeds_with_its_charge_and_events() {
    let stripe = Stripe::start();
    let paid = pay(&stripe, "pm_card_visa", &[("metadata[order]", "1")]).ok();
    assert_eq!(paid["status"], "succeeded");
    let charge = stripe
        .get(&format!(
            "/v1/charges/{}",
            paid["latest_charge"].as_str().unwrap()
        ))
        .ok();
    assert_eq!(charge["paid"], true);
    assert_eq!(charge["amount_captured"], 2000);
    assert_eq!(charge["outcome"]["type"], "authorized");
    assert_eq!(charge["metadata"]["order"], "1");
    let path = format!(
        "/v1/payment_intents/{}?expand[]=latest_charge",
        paid["id"].as_str().unwrap()
    );
    assert_eq!(stripe.get(&path).ok()["latest_charge"]["id"], charge["id"]);
    assert_eq!(
        events(&stripe),
        [
            "payment_intent.created",
            "charge.succeeded",
            "payment_intent.succeeded",
            "charge.updated"
        ]
    );
    // A method that was used without a customer is spent.
    let method = paid["payment_method"].as_str().unwrap();
    let customer = customer(&stripe);
    let path = format!("/v1/payment_methods/{method}/attach");
    stripe.post(&path, &[("customer", &customer)]).error(400);
}

#[test]
fn amounts_have_limits() {
    let stripe = Stripe::start();
    let code = |amount: &str, currency: &str| {
        let form = [("amount", amount), ("currency", currency)];
        stripe.post("/v1/payment_intents", &form).error(400)["code"].clone()
    };
    assert_eq!(code("49", "usd"), "amount_too_small");
    assert_eq!(code("29", "gbp"), "amount_too_small");
    assert_eq!(code("0", "jpy"), "parameter_invalid_integer");
    assert_eq!(code("100000000", "usd"), "amount_too_large");
}

#[test]
fn an_authorization_is_captured_in_part_canceled_or_lapses() {
    let stripe = Stripe::start();
    let hold = || {
        let held = pay(&stripe, "pm_card_visa", &[("capture_method", "manual")]).ok();
        assert_eq!(held["status"], "requires_capture");
        assert_eq!(held["amount_capturable"], 2000);
        held["id"].as_str().unwrap().to_owned()
    };
    let id = hold();
    let error = stripe
        .post("/v1/refunds", &[("payment_intent", &id)])
        .error(400);
    assert!(
        error["code"].is_null() && error["param"].is_null(),
        "{error}"
    );
    let capture = format!("/v1/payment_intents/{id}/capture");
    stripe
        .post(&capture, &[("amount_to_capture", "2001")])
        .error(400);
    let captured = stripe.post(&capture, &[("amount_to_capture", "1500")]).ok();
    assert_eq!(captured["status"], "succeeded");
    assert_eq!(captured["amount_received"], 1500);
    assert_eq!(captured["amount_capturable"], 0);
    let error = stripe.post(&capture, &[]).error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");

    let id = hold();
    let form = [("cancellation_reason", "requested_by_customer")];
    let canceled = stripe
        .post(&format!("/v1/payment_intents/{id}/cancel"), &form)
        .ok();
    assert_eq!(canceled["status"], "canceled");
    assert_eq!(canceled["cancellation_reason"], "requested_by_customer");
    let error = stripe
        .post(&format!("/v1/payment_intents/{id}/cancel"), &[])
        .error(400);
    assert_eq!(error["code"], "payment_intent_unexpected_state");
}

#[test]
fn three_d_secure_is_completed_out_of_band() {
    let stripe = Stripe::start();
    let waiting = pay(&stripe, "pm_card_authenticationRequired", &[]).ok();
    assert_eq!(waiting["status"], "requires_action");
    assert_eq!(waiting["next_action"]["type"], "use_stripe_sdk");
    let id = waiting["id"].as_str().unwrap();
    let done = bank(&stripe, id, "approve").ok();
    assert_eq!(done["status"], "succeeded");
    assert!(done["next_action"].is_null());
    let path = format!("/v1/payment_intents/{id}?expand[]=latest_charge");
    let details = &stripe.get(&path).ok()["latest_charge"]["payment_method_details"];
    assert_eq!(details["card"]["three_d_secure"]["result"], "authenticated");
    bank(&stripe, id, "approve").error(409);
    bank(&stripe, "pi_nonsense", "approve").error(404);

    let waiting = pay(&stripe, "pm_card_authenticationRequired", &[]).ok();
    let denied = bank(&stripe, waiting["id"].as_str().unwrap(), "deny").ok();
    assert_eq!(denied["status"], "requires_payment_method");
    let error = &denied["last_payment_error"];
    assert_eq!(error["code"], "payment_intent_authentication_failure");
    // Authenticated, and then declined all the same.
    let method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds";
    let waiting = pay(&stripe, method, &[]).ok();
    let declined = bank(&stripe, waiting["id"].as_str().unwrap(), "approve").ok();
    assert_eq!(
        declined["last_payment_error"]["decline_code"],
        "insufficient_funds"
    );
}

#[test]
fn three_d_secure_works_in_a_browser() {
    let stripe = Stripe::start();
    let form = [("return_url", "https://shop.example/back?order=1")];
    let waiting = pay(&stripe, "pm_card_authenticationRequired", &form).ok();
    let action = &waiting["next_action"]["redirect_to_url"];
    assert_eq!(action["return_url"], "https://shop.example/back?order=1");
    let url = action["url"].as_str().unwrap();
    let path = url.strip_prefix(&stripe.url("")).unwrap();
    let page = stripe.get(path);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text.contains("$20.00"), "{}", page.text);
    let posted = stripe.send(
        "POST",
        path,
        &[("answer", "approve")],
        &[("authorization", "")],
    );
    assert_eq!(posted.status, 303);
    let location = posted.header("location").unwrap();
    let id = waiting["id"].as_str().unwrap();
    assert!(location.starts_with(&format!(
        "https://shop.example/back?order=1&payment_intent={id}"
    )));
    assert!(
        location.ends_with("&redirect_status=succeeded"),
        "{location}"
    );
    assert_eq!(
        stripe.get(&format!("/v1/payment_intents/{id}")).ok()["status"],
        "succeeded"
    );
    assert_eq!(stripe.get("/authenticate/pi_nonsense").status, 404);
}

#[test]
fn off_session_payments_need_a_card_that_was_set_up() {
    let stripe = Stripe::start();
    let off = |customer: &str, method: &str| {
        pay(
            &stripe,
            method,
            &[("customer", customer), ("off_session", "true")],
        )
    };
    let (customer, method) = payer(&stripe, "pm_card_authenticationRequiredOnSetup");
    let error = off(&customer, &method).error(402);
    assert_eq!(error["code"], "authentication_required");
    assert_eq!(error["decline_code"], "authentication_required");
    // The same card, set up with authentication.
    let form = [
        ("customer", customer.as_str()),
        ("payment_method", "pm_card_authenticationRequiredOnSetup"),
        ("allowed_payment_method_types[]", "card"),
        ("confirm", "true"),
    ];
    let setup = stripe.post("/v1/setup_intents", &form).ok();
    assert_eq!(setup["status"], "requires_action");
    let setup = bank(&stripe, setup["id"].as_str().unwrap(), "approve").ok();
    assert_eq!(setup["status"], "succeeded");
    let paid = off(&customer, setup["payment_method"].as_str().unwrap()).ok();
    assert_eq!(paid["status"], "succeeded");
    // A card that wants it every time declines off session, set up or not.
    let (customer, method) = payer(&stripe, "pm_card_authenticationRequired");
    assert_eq!(
        off(&customer, &method).error(402)["code"],
        "authentication_required"
    );
    let (customer, method) = payer(&stripe, "pm_card_authenticationRequiredSetupForOffSession");
    assert_eq!(off(&customer, &method).ok()["status"], "succeeded");
    let error = pay(
        &stripe,
        "pm_card_authenticationRequired",
        &[("error_on_requires_action", "true")],
    )
    .error(402);
    assert_eq!(error["decline_code"], "authentication_not_handled");
}

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
fn refunds_stop_at_what_was_paid() {
    let stripe = Stripe::start();
    let intent = pay(&stripe, "pm_card_visa", &[]).id();
    let refund = |form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.push(("payment_intent", &intent));
        stripe.post("/v1/refunds", &form)
    };
    assert_eq!(refund(&[("amount", "2001")]).error(400)["param"], "amount");
    let first = refund(&[("amount", "500"), ("reason", "requested_by_customer")]).ok();
    assert_eq!(first["status"], "succeeded");
    assert_eq!(refund(&[("amount", "1501")]).error(400)["param"], "amount");
    assert_eq!(refund(&[]).ok()["amount"], 1500);
    assert_eq!(refund(&[]).error(400)["code"], "charge_already_refunded");
    let path = format!("/v1/payment_intents/{intent}?expand[]=latest_charge.refunds");
    let charge = &stripe.get(&path).ok()["latest_charge"];
    assert_eq!(charge["refunded"], true);
    assert_eq!(charge["amount_refunded"], 2000);
    assert_eq!(charge["refunds"]["data"].as_array().unwrap().len(), 2);
    let listed = stripe
        .get(&format!("/v1/refunds?payment_intent={intent}"))
        .ok();
    assert_eq!(listed["data"][1]["id"], first["id"]);
}

#[test]
fn disputing_cards_dispute() {
    let stripe = Stripe::start();
    let paid = pay(&stripe, "pm_card_createDispute", &[]).ok();
    let types = events(&stripe);
    assert!(
        types.ends_with(&[
            "charge.updated".to_owned(),
            "charge.dispute.created".to_owned(),
            "charge.dispute.funds_withdrawn".to_owned(),
        ]),
        "{types:?}"
    );
    let form = [("payment_intent", paid["id"].as_str().unwrap())];
    assert_eq!(
        stripe.post("/v1/refunds", &form).error(400)["code"],
        "charge_disputed"
    );
    pay(&stripe, "pm_card_createDisputeInquiry", &[]).ok();
    assert_eq!(events(&stripe).last().unwrap(), "charge.dispute.created");
}

fn sepa(stripe: &Stripe, iban: &str) -> Value {
    let form = [
        ("type", "sepa_debit"),
        ("sepa_debit[iban]", iban),
        ("billing_details[name]", "Bob"),
        ("billing_details[email]", "bob@example.com"),
    ];
    let method = stripe.post("/v1/payment_methods", &form).id();
    let form = [
        ("amount", "1000"),
        ("currency", "eur"),
        ("allowed_payment_method_types[]", "sepa_debit"),
        ("payment_method", method.as_str()),
        ("confirm", "true"),
    ];
    // Without a mandate nothing is debited, but the intent exists.
    let error = stripe.post("/v1/payment_intents", &form).error(400);
    assert_eq!(error["payment_intent"]["status"], "requires_confirmation");
    let mut form = form.to_vec();
    form.push(("mandate_data[customer_acceptance][type]", "offline"));
    stripe.post("/v1/payment_intents", &form).ok()
}

#[test]
fn bank_debits_are_processing_first() {
    let stripe = Stripe::start();
    let waiting = sepa(&stripe, "AT611904300234573201");
    assert_eq!(waiting["status"], "processing");
    let charge = waiting["latest_charge"].as_str().unwrap();
    assert!(charge.starts_with("py_"), "{charge}");
    assert_eq!(
        stripe.get(&format!("/v1/charges/{charge}")).ok()["status"],
        "pending"
    );
    let form = [
        ("type", "sepa_debit"),
        ("sepa_debit[iban]", "AT621904300234573201"),
        ("billing_details[name]", "Bob"),
        ("billing_details[email]", "bob@example.com"),
    ];
    let error = stripe.post("/v1/payment_methods", &form).error(400);
    assert_eq!(error["code"], "invalid_bank_account_iban");
    assert_eq!(error["param"], "sepa_debit[iban]");
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
