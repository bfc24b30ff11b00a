//! Checkout: over HTTP, by admin route and as a browser would.

use serde_json::{Value, json};

use crate::support::{Reply, START, Stripe};

fn price(stripe: &Stripe, recurring: bool) -> String {
    let mut form = vec![
        ("currency", "usd"),
        ("unit_amount", "1500"),
        ("product_data[name]", "Gold <plan>"),
    ];
    if recurring {
        form.push(("recurring[interval]", "month"));
    }
    stripe.post("/v1/prices", &form).id()
}

fn start(stripe: &Stripe, form: &[(&str, &str)]) -> Value {
    let mut form = form.to_vec();
    form.push((
        "success_url",
        "https://shop.example/done?id={CHECKOUT_SESSION_ID}",
    ));
    stripe.post("/v1/checkout/sessions", &form).ok()
}

fn pay_for(stripe: &Stripe, more: &[(&str, &str)]) -> Value {
    let price = price(stripe, false);
    let mut form = vec![
        ("mode", "payment"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "2"),
    ];
    form.extend(more);
    start(stripe, &form)
}

pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

pub(crate) fn retrieve(stripe: &Stripe, session: &Value) -> Value {
    stripe
        .get(&format!("/v1/checkout/sessions/{}", text(session, "id")))
        .ok()
}

fn last_event(stripe: &Stripe) -> String {
    text(&stripe.get("/v1/events?limit=1").ok()["data"][0], "type").to_owned()
}

/// A request of a browser: no key.
pub(crate) fn browse(stripe: &Stripe, method: &str, url: &str, form: &[(&str, &str)]) -> Reply {
    let path = url.strip_prefix(&stripe.url("")).unwrap_or(url);
    stripe.send(method, path, form, &[("authorization", "")])
}

#[test]
fn a_session_is_paid_on_its_page() {
    let stripe = Stripe::start();
    let session = pay_for(&stripe, &[("cancel_url", "https://shop.example/cart")]);
    assert_eq!(session["amount_total"], 3000);
    assert_eq!(session["status"], "open");
    assert_eq!(session["payment_status"], "unpaid");
    assert_eq!(session["expires_at"], START + 86_400);
    let url = text(&session, "url").to_owned();
    let page = browse(&stripe, "GET", &url, &[]);
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Gold &lt;plan&gt; × 2"), "{}", page.text);
    assert!(page.text.contains("$30.00"));

    // A declined card: the page says so, and the session stays open.
    let form = [
        ("payment_method", "pm_card_chargeDeclined"),
        ("email", "jenny@example.com"),
    ];
    let page = browse(&stripe, "POST", &url, &form);
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("Your card was declined."),
        "{}",
        page.text
    );
    let open = retrieve(&stripe, &session);
    assert_eq!(open["status"], "open");

    // A typed card pays the same payment intent.
    let form = [
        ("number", "4242 4242 4242 4242"),
        ("exp_month", "12"),
        ("exp_year", "2034"),
        ("cvc", "123"),
        ("email", "jenny@example.com"),
        ("name", "Jenny Rosen"),
    ];
    let done = browse(&stripe, "POST", &url, &form);
    assert_eq!(done.status, 303, "{}", done.text);
    let id = text(&session, "id");
    assert_eq!(
        done.header("location").unwrap(),
        format!("https://shop.example/done?id={id}")
    );
    let complete = retrieve(&stripe, &session);
    assert_eq!(complete["status"], "complete");
    assert_eq!(complete["payment_status"], "paid");
    assert_eq!(complete["payment_intent"], open["payment_intent"]);
    assert_eq!(complete["customer_details"]["email"], "jenny@example.com");
    assert!(complete["url"].is_null());
    assert_eq!(last_event(&stripe), "checkout.session.completed");
    // The page of a complete session leads back to the shop, again and again.
    assert_eq!(browse(&stripe, "GET", &url, &[]).status, 303);
    assert_eq!(
        browse(&stripe, "GET", "/c/pay/cs_test_none", &[]).status,
        404
    );
}

#[test]
fn three_d_secure_stands_between_the_page_and_the_shop() {
    let stripe = Stripe::start();
    let session = pay_for(&stripe, &[]);
    let url = text(&session, "url").to_owned();
    let form = [("payment_method", "pm_card_authenticationRequired")];
    let bank = browse(&stripe, "POST", &url, &form);
    assert_eq!(bank.status, 303);
    let bank = bank.header("location").unwrap().to_owned();
    assert!(
        browse(&stripe, "GET", &bank, &[])
            .text
            .contains("Complete authentication")
    );
    let returned = browse(&stripe, "POST", &bank, &[("answer", "deny")]);
    let returned = returned.header("location").unwrap().to_owned();
    let page = browse(&stripe, "GET", &returned, &[]);
    assert!(
        page.text.contains("unable to authenticate"),
        "{}",
        page.text
    );

    let bank = browse(&stripe, "POST", &url, &form)
        .header("location")
        .unwrap()
        .to_owned();
    let returned = browse(&stripe, "POST", &bank, &[("answer", "approve")]);
    let shop = browse(&stripe, "GET", returned.header("location").unwrap(), &[]);
    assert!(
        shop.header("location")
            .unwrap()
            .starts_with("https://shop.example/done")
    );
    assert_eq!(retrieve(&stripe, &session)["payment_status"], "paid");
}

#[test]
fn a_setup_session_saves_a_card() {
    let stripe = Stripe::start();
    let customer = stripe
        .post("/v1/customers", &[("email", "jenny@example.com")])
        .id();
    let form = [
        ("mode", "setup"),
        ("customer", customer.as_str()),
        ("currency", "usd"),
        ("setup_intent_data[metadata][order]", "7"),
    ];
    let session = start(&stripe, &form);
    assert_eq!(session["payment_status"], "no_payment_required");
    assert!(session["amount_total"].is_null());
    let path = format!("/v1/setup_intents/{}", text(&session, "setup_intent"));
    assert_eq!(stripe.get(&path).ok()["metadata"]["order"], "7");
    let complete = format!("/_simulator/checkout/{}/complete", text(&session, "id"));
    let declined = stripe.post(
        &format!("{complete}?payment_method=pm_card_chargeDeclined"),
        &[],
    );
    assert_eq!(declined.ok()["step"], "refused");
    let step = stripe
        .post(
            &format!("{complete}?payment_method=pm_card_authenticationRequired"),
            &[],
        )
        .ok();
    assert_eq!(step["step"], "authenticate");
    let bank = format!("/_simulator/bank/{}/approve", text(&step, "authenticate"));
    stripe.post(&bank, &[]).ok();
    let done = retrieve(&stripe, &session);
    assert_eq!(done["status"], "complete");
    let intent = stripe.get(&path).ok();
    assert_eq!(intent["status"], "succeeded");
    let listed = stripe
        .get(&format!("/v1/customers/{customer}/payment_methods"))
        .ok();
    assert_eq!(listed["data"][0]["id"], intent["payment_method"]);
    assert_eq!(last_event(&stripe), "checkout.session.completed");
    stripe.post(&complete, &[]).error(409);
}

#[test]
fn sessions_expire_by_call_and_by_the_clock() {
    let stripe = Stripe::start();
    let session = pay_for(&stripe, &[]);
    let path = format!("/v1/checkout/sessions/{}/expire", text(&session, "id"));
    assert_eq!(stripe.post(&path, &[]).ok()["status"], "expired");
    assert!(
        stripe.post(&path, &[]).error(400)["message"]
            .as_str()
            .unwrap()
            .contains("`expired`")
    );

    let session = pay_for(&stripe, &[]);
    stripe.advance(86_399);
    assert_eq!(retrieve(&stripe, &session)["status"], "open");
    stripe.advance(1);
    assert_eq!(retrieve(&stripe, &session)["status"], "expired");
    assert_eq!(last_event(&stripe), "checkout.session.expired");
    let page = browse(
        &stripe,
        "GET",
        &format!("/c/pay/{}", text(&session, "id")),
        &[],
    );
    assert_eq!(page.status, 410);
}

#[test]
fn bank_debits_pay_later() {
    let stripe = Stripe::start();
    for (method, event, paid) in [
        (
            "pm_usBankAccount_success",
            "checkout.session.async_payment_succeeded",
            "paid",
        ),
        (
            "pm_usBankAccount_accountClosed",
            "checkout.session.async_payment_failed",
            "unpaid",
        ),
    ] {
        let session = pay_for(&stripe, &[]);
        let path = format!(
            "/_simulator/checkout/{}/complete?payment_method={method}",
            text(&session, "id")
        );
        assert_eq!(stripe.post(&path, &[]).ok()["step"], "complete");
        let complete = retrieve(&stripe, &session);
        assert_eq!(complete["status"], "complete");
        assert_eq!(complete["payment_status"], "unpaid");
        stripe.advance(15);
        assert_eq!(retrieve(&stripe, &session)["payment_status"], paid);
        assert_eq!(last_event(&stripe), event);
    }
}

#[test]
fn sessions_are_checked() {
    let stripe = Stripe::start();
    let (once, monthly) = (price(&stripe, false), price(&stripe, true));
    let refuse = |form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        if !form.iter().any(|(name, _)| *name == "success_url") {
            form.push(("success_url", "https://shop.example/done"));
        }
        stripe.post("/v1/checkout/sessions", &form).error(400)
    };
    let single = |price: &'static str| [("line_items[0][quantity]", "1"), ("mode", price)];
    assert_eq!(refuse(&[])["param"], "mode");
    assert_eq!(refuse(&[("mode", "payment")])["param"], "line_items");
    assert_eq!(refuse(&[("mode", "setup")])["param"], "currency");
    let error = refuse(&[("mode", "setup"), ("success_url", "nonsense")]);
    assert_eq!(error["code"], "url_invalid");
    let mut form = single("payment").to_vec();
    form.push(("line_items[0][price]", &monthly));
    assert_eq!(refuse(&form)["param"], "mode");
    let mut form = single("subscription").to_vec();
    form.push(("line_items[0][price]", &once));
    assert_eq!(refuse(&form)["param"], "line_items");
    let mut form = single("payment").to_vec();
    form.push(("line_items[0][price]", "price_none"));
    assert_eq!(refuse(&form)["code"], "resource_missing");
    let late = (START + 90_000).to_string();
    let mut form = single("payment").to_vec();
    form.extend([
        ("line_items[0][price]", once.as_str()),
        ("expires_at", &late),
    ]);
    assert_eq!(refuse(&form)["param"], "expires_at");
    assert_eq!(stripe.get("/v1/checkout/sessions").ok()["data"], json!([]));
}

#[test]
fn the_line_items_come_on_demand() {
    let stripe = Stripe::start();
    let session = pay_for(&stripe, &[]);
    assert!(session.get("line_items").is_none());
    let path = format!("/v1/checkout/sessions/{}", text(&session, "id"));
    let expanded = stripe.get(&format!("{path}?expand[]=line_items")).ok();
    let line = &expanded["line_items"]["data"][0];
    assert_eq!(line["amount_total"], 3000);
    assert_eq!(line["price"]["unit_amount"], 1500);
    assert_eq!(
        stripe.get(&format!("{path}/line_items")).ok()["data"][0]["id"],
        line["id"]
    );
}

pub(crate) fn subscribe(stripe: &Stripe, more: &[(&str, &str)]) -> Value {
    let price = price(stripe, true);
    let mut form = vec![
        ("mode", "subscription"),
        ("line_items[0][price]", price.as_str()),
        ("line_items[0][quantity]", "1"),
    ];
    form.extend(more);
    start(stripe, &form)
}

#[test]
fn a_session_subscribes_and_makes_the_customer() {
    let stripe = Stripe::start();
    let session = subscribe(&stripe, &[("subscription_data[metadata][seat]", "9")]);
    let url = text(&session, "url").to_owned();
    let page = browse(
        &stripe,
        "POST",
        &url,
        &[("payment_method", "pm_card_chargeCustomerFail")],
    );
    assert!(
        page.text.contains("Your card was declined."),
        "{}",
        page.text
    );
    // A refusal leaves no subscription behind.
    assert_eq!(
        stripe.get("/v1/subscriptions?status=all").ok()["data"],
        json!([])
    );
    let form = [
        ("payment_method", "pm_card_visa"),
        ("email", "jenny@example.com"),
    ];
    assert_eq!(browse(&stripe, "POST", &url, &form).status, 303);
    let done = retrieve(&stripe, &session);
    assert_eq!(done["payment_status"], "paid");
    let subscription = stripe
        .get(&format!(
            "/v1/subscriptions/{}",
            text(&done, "subscription")
        ))
        .ok();
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["metadata"]["seat"], "9");
    assert_eq!(subscription["customer"], done["customer"]);
    assert_eq!(subscription["latest_invoice"], done["invoice"]);
    let customer = stripe
        .get(&format!("/v1/customers/{}", text(&done, "customer")))
        .ok();
    assert_eq!(customer["email"], "jenny@example.com");
    let invoice = stripe
        .get(&format!("/v1/invoices/{}", text(&done, "invoice")))
        .ok();
    assert_eq!(invoice["status"], "paid");
    assert_eq!(invoice["amount_paid"], 1500);
}

#[test]
fn a_subscription_waits_for_the_bank() {
    let stripe = Stripe::start();
    let session = subscribe(&stripe, &[]);
    let url = text(&session, "url").to_owned();
    let form = [("payment_method", "pm_card_authenticationRequired")];
    let bank = browse(&stripe, "POST", &url, &form)
        .header("location")
        .unwrap()
        .to_owned();
    assert_eq!(
        stripe.get("/v1/subscriptions?status=all").ok()["data"],
        json!([])
    );
    let returned = browse(&stripe, "POST", &bank, &[("answer", "approve")]);
    let shop = browse(&stripe, "GET", returned.header("location").unwrap(), &[]);
    assert_eq!(shop.status, 303, "{}", shop.text);
    let done = retrieve(&stripe, &session);
    assert_eq!(done["payment_status"], "paid");
    let path = format!("/v1/subscriptions/{}", text(&done, "subscription"));
    assert_eq!(stripe.get(&path).ok()["status"], "active");
}

#[test]
fn a_trial_is_due_nothing_today() {
    let stripe = Stripe::start();
    let session = subscribe(&stripe, &[("subscription_data[trial_period_days]", "14")]);
    assert_eq!(session["amount_total"], 0);
    let path = format!("/_simulator/checkout/{}/complete", text(&session, "id"));
    stripe.post(&path, &[]).ok();
    let done = retrieve(&stripe, &session);
    assert_eq!(done["payment_status"], "no_payment_required");
    let path = format!("/v1/subscriptions/{}", text(&done, "subscription"));
    assert_eq!(stripe.get(&path).ok()["status"], "trialing");
}

#[test]
fn a_debit_pays_for_a_subscription_later() {
    let stripe = Stripe::start();
    let session = subscribe(&stripe, &[]);
    let path = format!(
        "/_simulator/checkout/{}/complete?payment_method=pm_usBankAccount_success",
        text(&session, "id")
    );
    assert_eq!(stripe.post(&path, &[]).ok()["step"], "complete");
    assert_eq!(retrieve(&stripe, &session)["payment_status"], "unpaid");
    stripe.advance(15);
    let done = retrieve(&stripe, &session);
    assert_eq!(done["payment_status"], "paid");
    assert_eq!(
        last_event(&stripe),
        "checkout.session.async_payment_succeeded"
    );
    let path = format!("/v1/subscriptions/{}", text(&done, "subscription"));
    assert_eq!(stripe.get(&path).ok()["status"], "active");
}

#[test]
fn a_trial_may_start_without_a_method() {
    let stripe = Stripe::start();
    let trial = ("subscription_data[trial_period_days]", "14");
    let strict = subscribe(&stripe, &[trial]);
    assert_eq!(strict["payment_method_collection"], "always");
    let form = [("payment_method", "none"), ("email", "jenny@example.com")];
    let refused = browse(&stripe, "POST", text(&strict, "url"), &form);
    assert!(refused.text.contains("payment_method"), "{}", refused.text);

    let session = subscribe(
        &stripe,
        &[trial, ("payment_method_collection", "if_required")],
    );
    let page = browse(&stripe, "GET", text(&session, "url"), &[]);
    assert!(
        page.text.contains("Start without a payment method"),
        "{}",
        page.text
    );
    assert_eq!(
        browse(&stripe, "POST", text(&session, "url"), &form).status,
        303
    );
    let done = retrieve(&stripe, &session);
    let path = format!("/v1/subscriptions/{}", text(&done, "subscription"));
    let subscription = stripe.get(&path).ok();
    assert_eq!(subscription["status"], "trialing");
    assert!(subscription["default_payment_method"].is_null());
}
