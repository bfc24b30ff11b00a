//! Where billing and payments meet: invoices collected by card, by 3-D Secure and by debit.

use serde_json::Value;

use crate::checkout::text;
use crate::support::{Reply, Stripe};

/// 32 days, in seconds.
const MONTH: i64 = 2_764_800;

fn price(stripe: &Stripe) -> String {
    let form = [
        ("currency", "usd"),
        ("unit_amount", "1500"),
        ("recurring[interval]", "month"),
        ("product_data[name]", "Gold"),
    ];
    stripe.post("/v1/prices", &form).id()
}

/// A customer whose default method is this one.
fn customer(stripe: &Stripe, method: &str) -> String {
    let form = [
        ("payment_method", method),
        ("invoice_settings[default_payment_method]", method),
    ];
    stripe.post("/v1/customers", &form).id()
}

fn subscribe(stripe: &Stripe, customer: &str, more: &[(&str, &str)]) -> Reply {
    let price = price(stripe);
    let mut form = vec![
        ("customer", customer),
        ("items[0][price]", price.as_str()),
        ("expand[]", "latest_invoice.payments"),
    ];
    form.extend(more);
    stripe.post("/v1/subscriptions", &form)
}

/// The payment intent of an invoice with its payments expanded.
fn intent_of(invoice: &Value) -> String {
    text(&invoice["payments"]["data"][0]["payment"], "payment_intent").to_owned()
}

fn status(stripe: &Stripe, path: &str) -> String {
    text(&stripe.get(path).ok(), "status").to_owned()
}

fn event_types(stripe: &Stripe) -> Vec<String> {
    let events = stripe.get("/v1/events?limit=100").ok();
    events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(event, "type").to_owned())
        .collect()
}

#[test]
fn the_browser_confirms_the_first_payment() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let form = [("payment_behavior", "default_incomplete")];
    let subscription = subscribe(&stripe, &customer, &form).ok();
    assert_eq!(subscription["status"], "incomplete");
    let intent = intent_of(&subscription["latest_invoice"]);
    let path = format!("/v1/payment_intents/{intent}");
    let waiting = stripe.get(&path).ok();
    assert_eq!(waiting["status"], "requires_payment_method");
    let form = [
        ("client_secret", text(&waiting, "client_secret")),
        ("payment_method_data[type]", "card"),
        ("payment_method_data[card][number]", "4242424242424242"),
        ("payment_method_data[card][exp_month]", "12"),
        ("payment_method_data[card][exp_year]", "2030"),
    ];
    let key = [("authorization", "Bearer pk_test_simulator")];
    let paid = stripe
        .send("POST", &format!("{path}/confirm"), &form, &key)
        .ok();
    assert_eq!(paid["status"], "succeeded");
    let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));
    assert_eq!(status(&stripe, &path), "active");
    // The method is kept for the renewals.
    let methods = stripe
        .get(&format!("/v1/customers/{customer}/payment_methods"))
        .ok();
    assert_eq!(methods["data"][0]["id"], paid["payment_method"]);
}

#[test]
fn the_bank_decides_about_the_first_payment() {
    let stripe = Stripe::start();
    let customer = customer(&stripe, "pm_card_authenticationRequired");
    let subscription = subscribe(&stripe, &customer, &[]).ok();
    assert_eq!(subscription["status"], "incomplete");
    let intent = intent_of(&subscription["latest_invoice"]);
    assert_eq!(
        status(&stripe, &format!("/v1/payment_intents/{intent}")),
        "requires_action"
    );
    let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));

    stripe
        .post(&format!("/_simulator/bank/{intent}/deny"), &[])
        .ok();
    assert_eq!(status(&stripe, &path), "incomplete");
    assert!(event_types(&stripe).contains(&"invoice.payment_failed".to_owned()));
    // Another card, and the same payment intent.
    let form = [("payment_method", "pm_card_authenticationRequired")];
    let confirm = format!("/v1/payment_intents/{intent}/confirm");
    assert_eq!(
        stripe.post(&confirm, &form).ok()["status"],
        "requires_action"
    );
    stripe
        .post(&format!("/_simulator/bank/{intent}/approve"), &[])
        .ok();
    assert_eq!(status(&stripe, &path), "active");
}

#[test]
fn a_renewal_is_retried_on_one_payment_intent() {
    let stripe = Stripe::start();
    let customer = customer(&stripe, "pm_card_visa");
    let subscription = subscribe(&stripe, &customer, &[]).ok();
    let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));
    let attach = "/v1/payment_methods/pm_card_chargeCustomerFail/attach";
    let failing = stripe.post(attach, &[("customer", &customer)]).id();
    let form = [("default_payment_method", failing.as_str())];
    stripe.post(&path, &form).ok();
    stripe.advance(MONTH);
    assert_eq!(status(&stripe, &path), "past_due");
    stripe.advance(604_800);
    let invoice = stripe
        .get(&format!("{path}?expand[]=latest_invoice.payments"))
        .ok();
    let invoice = &invoice["latest_invoice"];
    assert!(invoice["attempt_count"].as_i64().unwrap() > 1, "{invoice}");
    let intent = intent_of(invoice);
    let charges = stripe
        .get(&format!("/v1/charges?payment_intent={intent}"))
        .ok();
    let tried = i64::try_from(charges["data"].as_array().unwrap().len()).unwrap();
    assert_eq!(Some(tried), invoice["attempt_count"].as_i64());
    // A working card settles the invoice and brings the subscription back.
    let form = [("payment_method", "pm_card_visa")];
    stripe
        .post(&format!("/v1/payment_intents/{intent}/confirm"), &form)
        .ok();
    assert_eq!(status(&stripe, &path), "active");
    let path = format!("/v1/invoices/{}", text(invoice, "id"));
    assert_eq!(status(&stripe, &path), "paid");
}

#[test]
fn a_renewal_may_need_the_customer() {
    let stripe = Stripe::start();
    let customer = customer(&stripe, "pm_card_authenticationRequired");
    let subscription = subscribe(&stripe, &customer, &[]).ok();
    let intent = intent_of(&subscription["latest_invoice"]);
    stripe
        .post(&format!("/_simulator/bank/{intent}/approve"), &[])
        .ok();
    let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));
    assert_eq!(status(&stripe, &path), "active");
    stripe.advance(MONTH);
    assert_eq!(status(&stripe, &path), "past_due");
    assert!(event_types(&stripe).contains(&"invoice.payment_action_required".to_owned()));
    let renewed = stripe
        .get(&format!("{path}?expand[]=latest_invoice.payments"))
        .ok();
    let second = intent_of(&renewed["latest_invoice"]);
    assert_ne!(second, intent);
    assert_eq!(
        status(&stripe, &format!("/v1/payment_intents/{second}")),
        "requires_action"
    );
    stripe
        .post(&format!("/_simulator/bank/{second}/approve"), &[])
        .ok();
    assert_eq!(status(&stripe, &path), "active");
}

#[test]
fn a_debit_pays_an_invoice_later() {
    for (method, settled) in [
        ("pm_usBankAccount_success", "paid"),
        ("pm_usBankAccount_insufficientFunds", "open"),
    ] {
        let stripe = Stripe::start();
        let customer = customer(&stripe, method);
        let subscription = subscribe(&stripe, &customer, &[]).ok();
        let invoice = &subscription["latest_invoice"];
        let path = format!("/v1/payment_intents/{}", intent_of(invoice));
        assert_eq!(status(&stripe, &path), "processing");
        let path = format!("/v1/invoices/{}", text(invoice, "id"));
        assert_eq!(status(&stripe, &path), "open");
        stripe.advance(15);
        assert_eq!(status(&stripe, &path), settled, "{method}");
    }
}

#[test]
fn a_voided_invoice_gives_its_payment_up() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let form = [("payment_behavior", "default_incomplete")];
    let subscription = subscribe(&stripe, &customer, &form).ok();
    let invoice = &subscription["latest_invoice"];
    stripe
        .post(&format!("/v1/invoices/{}/void", text(invoice, "id")), &[])
        .ok();
    let path = format!("/v1/payment_intents/{}", intent_of(invoice));
    assert_eq!(
        stripe.get(&path).ok()["cancellation_reason"],
        "void_invoice"
    );
}

#[test]
fn a_detached_method_is_no_subscriptions_default() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let form = [("customer", customer.as_str())];
    let method = stripe
        .post("/v1/payment_methods/pm_card_visa/attach", &form)
        .id();
    let form = [("default_payment_method", method.as_str())];
    let subscription = subscribe(&stripe, &customer, &form).ok();
    assert_eq!(subscription["default_payment_method"], method.as_str());
    stripe
        .post(&format!("/v1/payment_methods/{method}/detach"), &[])
        .ok();
    let path = format!("/v1/subscriptions/{}", text(&subscription, "id"));
    assert!(stripe.get(&path).ok()["default_payment_method"].is_null());
}
