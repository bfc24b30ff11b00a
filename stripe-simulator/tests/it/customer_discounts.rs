//! Discounts of customers, which only older versions can give.

use serde_json::Value;

use crate::support::{Reply, Stripe};

const OLD: (&str, &str) = ("stripe-version", "2025-02-24.acacia");

fn coupon(stripe: &Stripe, duration: &str) -> String {
    stripe
        .post(
            "/v1/coupons",
            &[("percent_off", "20"), ("duration", duration)],
        )
        .id()
}

fn with_coupon(stripe: &Stripe, path: &str, coupon: &str) -> Reply {
    stripe.send("POST", path, &[("coupon", coupon)], &[OLD])
}

fn subscribe(stripe: &Stripe, customer: &str) -> Value {
    let price = stripe.post(
        "/v1/prices",
        &[
            ("currency", "usd"),
            ("unit_amount", "1000"),
            ("recurring[interval]", "month"),
            ("product_data[name]", "Plan"),
        ],
    );
    let form = [
        ("customer", customer),
        ("items[0][price]", &price.id()),
        ("collection_method", "send_invoice"),
        ("days_until_due", "30"),
        ("expand[]", "latest_invoice"),
    ];
    stripe.post("/v1/subscriptions", &form).ok()
}

#[test]
fn an_older_request_gives_changes_and_takes_a_discount() {
    let stripe = Stripe::start();
    let (first, second) = (coupon(&stripe, "forever"), coupon(&stripe, "forever"));
    let customer = with_coupon(&stripe, "/v1/customers", &first).ok();
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    assert_eq!(customer["discount"]["source"]["coupon"], first);
    let changed = with_coupon(&stripe, &path, &second).ok();
    assert_eq!(changed["discount"]["source"]["coupon"], second);
    let gone = stripe.delete(&format!("{path}/discount")).ok();
    assert_eq!(gone["deleted"], true);
    assert_eq!(stripe.get(&path).ok()["discount"], Value::Null);
    stripe.delete(&format!("{path}/discount")).error(404);
    for kind in ["created", "updated", "deleted"] {
        let events = stripe
            .get(&format!("/v1/events?type=customer.discount.{kind}"))
            .ok();
        assert_eq!(events["data"].as_array().unwrap().len(), 1, "{kind}");
    }
}

#[test]
fn the_pinned_version_does_not_know_the_parameter() {
    let stripe = Stripe::start();
    let coupon = coupon(&stripe, "once");
    let error = stripe
        .post("/v1/customers", &[("coupon", &coupon)])
        .error(400);
    assert_eq!(error["code"], "parameter_unknown");
    let types = [
        ("amount", "100"),
        ("currency", "usd"),
        ("payment_method_types[]", "card"),
    ];
    let error = stripe.post("/v1/payment_intents", &types).error(400);
    assert_eq!(error["code"], "payment_method_types_no_longer_supported");
    let old = stripe
        .send("POST", "/v1/payment_intents", &types, &[OLD])
        .ok();
    assert_eq!(old["payment_method_types"][0], "card");
}

#[test]
fn a_customers_discount_reaches_its_subscriptions_invoices() {
    let stripe = Stripe::start();
    let forever = coupon(&stripe, "forever");
    let customer = with_coupon(&stripe, "/v1/customers", &forever).id();
    assert_eq!(
        subscribe(&stripe, &customer)["latest_invoice"]["total"],
        800
    );
    assert_eq!(
        subscribe(&stripe, &customer)["latest_invoice"]["total"],
        800
    );
}

#[test]
fn a_once_discount_is_spent_by_the_first_invoice() {
    let stripe = Stripe::start();
    let once = coupon(&stripe, "once");
    let customer = with_coupon(&stripe, "/v1/customers", &once).id();
    assert_eq!(
        subscribe(&stripe, &customer)["latest_invoice"]["total"],
        800
    );
    assert_eq!(
        subscribe(&stripe, &customer)["latest_invoice"]["total"],
        1000
    );
}

#[test]
fn unknown_and_used_up_coupons_leave_nothing_behind() {
    let stripe = Stripe::start();
    let error = with_coupon(&stripe, "/v1/customers", "nope").error(400);
    assert_eq!(error["code"], "resource_missing");
    assert_eq!(error["param"], "coupon");
    let form = [("percent_off", "20"), ("max_redemptions", "1")];
    let scarce = stripe.post("/v1/coupons", &form).id();
    with_coupon(&stripe, "/v1/customers", &scarce).ok();
    let error = with_coupon(&stripe, "/v1/customers", &scarce).error(400);
    assert_eq!(error["code"], "coupon_expired");
    assert_eq!(
        stripe.get("/v1/customers").ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
