//! Quotes, from draft to what they become.

use serde_json::Value;

use crate::support::{START, Stripe};

fn price(stripe: &Stripe, amount: &str, recurring: bool) -> String {
    let mut form = vec![
        ("currency", "usd"),
        ("unit_amount", amount),
        ("product_data[name]", "Plan"),
    ];
    if recurring {
        form.push(("recurring[interval]", "month"));
    }
    stripe.post("/v1/prices", &form).id()
}

fn customer(stripe: &Stripe) -> String {
    let form = [
        ("payment_method", "pm_card_visa"),
        ("invoice_settings[default_payment_method]", "pm_card_visa"),
    ];
    stripe.post("/v1/customers", &form).id()
}

fn quote(stripe: &Stripe, more: &[(&str, &str)]) -> Value {
    let (customer, price) = (customer(stripe), price(stripe, "500", true));
    let own = [
        ("customer", customer.as_str()),
        ("line_items[0][price]", &price),
        ("line_items[0][quantity]", "10"),
    ];
    stripe.post("/v1/quotes", &[&own[..], more].concat()).ok()
}

fn path(quote: &Value, step: &str) -> String {
    format!("/v1/quotes/{}{step}", quote["id"].as_str().unwrap())
}

#[test]
fn an_accepted_quote_is_a_subscription() {
    let stripe = Stripe::start();
    let draft = quote(&stripe, &[("subscription_data[description]", "Gold")]);
    assert_eq!(draft["status"], "draft");
    assert_eq!(draft["amount_total"], 5000);
    assert_eq!(draft["computed"]["recurring"]["amount_total"], 5000);
    assert_eq!(draft["computed"]["recurring"]["interval"], "month");
    stripe.post(&path(&draft, "/accept"), &[]).error(400);
    let open = stripe.post(&path(&draft, "/finalize"), &[]).ok();
    assert_eq!(open["status"], "open");
    assert!(open["number"].as_str().unwrap().starts_with("QT-"));
    let accepted = stripe.post(&path(&draft, "/accept"), &[]).ok();
    assert_eq!(accepted["status"], "accepted");
    let id = accepted["subscription"].as_str().unwrap();
    let subscription = stripe.get(&format!("/v1/subscriptions/{id}")).ok();
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["description"], "Gold");
    assert_eq!(subscription["items"]["data"][0]["quantity"], 10);
    stripe.post(&path(&draft, "/accept"), &[]).error(400);
    stripe.post(&path(&draft, "/cancel"), &[]).error(400);
    let kinds = ["quote.created", "quote.finalized", "quote.accepted"];
    for kind in kinds {
        let events = stripe.get(&format!("/v1/events?type={kind}")).ok();
        assert_eq!(events["data"].as_array().unwrap().len(), 1, "{kind}");
    }
}

#[test]
fn discounts_and_one_time_lines_are_reckoned_and_shown() {
    let stripe = Stripe::start();
    let coupon = stripe
        .post(
            "/v1/coupons",
            &[("percent_off", "10"), ("duration", "once")],
        )
        .id();
    let once = price(&stripe, "1000", false);
    let draft = quote(
        &stripe,
        &[
            ("line_items[1][price]", &once),
            ("discounts[0][coupon]", &coupon),
        ],
    );
    assert_eq!(draft["amount_subtotal"], 6000);
    assert_eq!(draft["total_details"]["amount_discount"], 600);
    assert_eq!(draft["amount_total"], 5400);
    let lines = stripe.get(&path(&draft, "/line_items")).ok();
    let totals: Vec<i64> = lines["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["amount_total"].as_i64().unwrap())
        .collect();
    assert_eq!(totals, [4500, 900]);
    stripe.post(&path(&draft, "/finalize"), &[]).ok();
    let accepted = stripe.post(&path(&draft, "/accept"), &[]).ok();
    let invoice = accepted["invoice"].as_str().unwrap();
    assert_eq!(
        stripe.get(&format!("/v1/invoices/{invoice}")).ok()["total"],
        5400
    );
}

#[test]
fn one_time_quotes_become_a_draft_invoice() {
    let stripe = Stripe::start();
    let (customer, once) = (customer(&stripe), price(&stripe, "700", false));
    let form = [
        ("customer", customer.as_str()),
        ("line_items[0][price]", &once),
    ];
    let draft = stripe.post("/v1/quotes", &form).ok();
    assert_eq!(draft["computed"]["recurring"], Value::Null);
    stripe.post(&path(&draft, "/finalize"), &[]).ok();
    let accepted = stripe.post(&path(&draft, "/accept"), &[]).ok();
    assert_eq!(accepted["subscription"], Value::Null);
    let id = accepted["invoice"].as_str().unwrap();
    let invoice = stripe.get(&format!("/v1/invoices/{id}")).ok();
    assert_eq!(
        (&invoice["status"], &invoice["total"]),
        (&"draft".into(), &700.into())
    );
}

#[test]
fn drafts_change_and_open_quotes_do_not() {
    let stripe = Stripe::start();
    let draft = quote(&stripe, &[]);
    let changed = stripe
        .post(
            &path(&draft, ""),
            &[("header", "Offer"), ("metadata[a]", "b")],
        )
        .ok();
    assert_eq!(changed["header"], "Offer");
    stripe.post(&path(&draft, "/finalize"), &[]).ok();
    stripe
        .post(&path(&draft, ""), &[("header", "Late")])
        .error(400);
    assert_eq!(
        stripe.post(&path(&draft, "/cancel"), &[]).ok()["status"],
        "canceled"
    );
}

#[test]
fn an_open_quote_is_canceled_when_it_expires() {
    let stripe = Stripe::start();
    let end = (START + 86_400).to_string();
    let draft = quote(&stripe, &[("expires_at", &end)]);
    stripe.post(&path(&draft, "/finalize"), &[]).ok();
    let body = br#"{"advance_seconds": 86401}"#;
    stripe.send_raw("POST", "/_simulator/clock", body, &[]).ok();
    assert_eq!(stripe.get(&path(&draft, "")).ok()["status"], "canceled");
}

#[test]
fn what_is_not_simulated_is_said() {
    let stripe = Stripe::start();
    let error = stripe
        .post("/v1/quotes", &[("on_behalf_of", "acct_1")])
        .error(400);
    assert_eq!(error["param"], "on_behalf_of");
    assert_eq!(
        stripe.get("/v1/quotes").ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_customer_without_a_card_may_accept() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let price = price(&stripe, "500", true);
    let form = [
        ("customer", customer.as_str()),
        ("line_items[0][price]", &price),
    ];
    let draft = stripe.post("/v1/quotes", &form).ok();
    stripe.post(&path(&draft, "/finalize"), &[]).ok();
    let accepted = stripe.post(&path(&draft, "/accept"), &[]).ok();
    let id = accepted["subscription"].as_str().unwrap();
    let subscription = stripe
        .get(&format!("/v1/subscriptions/{id}?expand[]=latest_invoice"))
        .ok();
    assert_eq!(subscription["latest_invoice"]["status"], "draft");
}

#[test]
fn ending_a_trial_now_without_a_card_pauses_as_set() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[]).id();
    let price = price(&stripe, "500", true);
    let form = [
        ("customer", customer.as_str()),
        ("items[0][price]", &price),
        ("trial_period_days", "7"),
        (
            "trial_settings[end_behavior][missing_payment_method]",
            "pause",
        ),
    ];
    let id = stripe.post("/v1/subscriptions", &form).id();
    let ended = stripe
        .post(&format!("/v1/subscriptions/{id}"), &[("trial_end", "now")])
        .ok();
    assert_eq!(ended["status"], "paused");
    let events = stripe
        .get("/v1/events?type=customer.subscription.paused")
        .ok();
    assert_eq!(events["data"].as_array().unwrap().len(), 1);
}
