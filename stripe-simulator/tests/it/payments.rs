//! Payment intents, charges, refunds and disputes over HTTP.

use serde_json::Value;

use crate::support::{Reply, Stripe};

pub(crate) fn customer(stripe: &Stripe) -> String {
    stripe
        .post("/v1/customers", &[("name", "Jenny Rosen")])
        .id()
}

/// A customer with this test method attached: (customer, method).
pub(crate) fn payer(stripe: &Stripe, method: &str) -> (String, String) {
    let customer = customer(stripe);
    let path = format!("/v1/payment_methods/{method}/attach");
    let attached = stripe.post(&path, &[("customer", &customer)]);
    let id = attached.id();
    assert_eq!(attached.ok()["customer"], customer.as_str());
    (customer, id)
}

pub(crate) fn pay(stripe: &Stripe, method: &str, more: &[(&str, &str)]) -> Reply {
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
pub(crate) fn events(stripe: &Stripe) -> Vec<String> {
    let mut types: Vec<String> = stripe.get("/v1/events?limit=100").ok()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    types.reverse();
    types
}

pub(crate) fn bank(stripe: &Stripe, intent: &str, verb: &str) -> Reply {
    stripe.post(&format!("/_simulator/bank/{intent}/{verb}"), &[])
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

    let id = hold();
    stripe.advance(7 * 86_400);
    let lapsed = stripe.get(&format!("/v1/payment_intents/{id}")).ok();
    assert_eq!(lapsed["status"], "canceled");
    assert_eq!(lapsed["cancellation_reason"], "automatic");
    assert!(events(&stripe).contains(&"charge.expired".to_owned()));
}

#[test]
fn refunds_may_be_pending_or_fail_later() {
    let stripe = Stripe::start();
    let refund = |method: &str| {
        let intent = pay(&stripe, method, &[]).id();
        let refund = stripe
            .post("/v1/refunds", &[("payment_intent", &intent)])
            .ok();
        let path = format!("/v1/refunds/{}", refund["id"].as_str().unwrap());
        stripe.advance(60);
        (refund, stripe.get(&path).ok())
    };
    let (first, later) = refund("pm_card_pendingRefund");
    assert_eq!(first["status"], "pending");
    assert_eq!(later["status"], "succeeded");
    let (first, later) = refund("pm_card_refundFail");
    assert_eq!(first["status"], "succeeded");
    assert_eq!(later["status"], "failed");
    // What came back can be refunded again.
    let charge = stripe
        .get(&format!(
            "/v1/charges/{}",
            later["charge"].as_str().unwrap()
        ))
        .ok();
    assert_eq!(charge["amount_refunded"], 0);
    assert_eq!(charge["refunded"], false);
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
