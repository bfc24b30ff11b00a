//! Meters, metered prices, billing credits and schedules over HTTP.

use serde_json::{Value, json};

use crate::billing::{DAY, Shop, text};
use crate::support::START;

fn meter(shop: &Shop) -> String {
    let form = [
        ("display_name", "API calls"),
        ("event_name", "api_call"),
        ("default_aggregation[formula]", "sum"),
    ];
    text(&shop.stripe.post("/v1/billing/meters", &form).ok()["id"])
}

fn report(shop: &Shop, value: &str, identifier: &str) -> crate::support::Reply {
    let form = [
        ("event_name", "api_call"),
        ("payload[stripe_customer_id]", shop.customer.as_str()),
        ("payload[value]", value),
        ("identifier", identifier),
    ];
    shop.stripe.post("/v1/billing/meter_events", &form)
}

fn metered_price(shop: &Shop, meter: &str, unit: &str) -> String {
    let form = [
        ("currency", "usd"),
        ("product", shop.product.as_str()),
        ("unit_amount_decimal", unit),
        ("recurring[interval]", "month"),
        ("recurring[usage_type]", "metered"),
        ("recurring[meter]", meter),
    ];
    shop.stripe.post("/v1/prices", &form).id()
}

#[test]
fn usage_is_billed_in_arrears_and_counted_once() {
    let shop = Shop::open("pm_card_visa");
    let meter = meter(&shop);
    let subscription = shop.subscribe(&metered_price(&shop, &meter, "0.3"), &[]);
    assert_eq!(subscription["status"], "active");
    assert!(subscription["items"]["data"][0]["quantity"].is_null());
    report(&shop, "1000", "a").ok();
    let error = report(&shop, "1000", "a").error(400);
    assert!(text(&error["message"]).contains("identifier a"));
    report(&shop, "500", "b").ok();
    let form = [
        ("event_name", "api_call"),
        ("type", "cancel"),
        ("cancel[identifier]", "b"),
    ];
    shop.stripe
        .post("/v1/billing/meter_event_adjustments", &form)
        .ok();
    shop.advance_to(DAY);
    report(&shop, "2000", "c").ok();
    let path = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={}&start_time={START}&end_time={}",
        shop.customer,
        START + 2 * DAY,
    );
    assert_eq!(
        shop.stripe.get(&path).ok()["data"][0]["aggregated_value"],
        3000
    );
    let daily = shop
        .stripe
        .get(&format!("{path}&value_grouping_window=day"))
        .ok();
    let values: Vec<&Value> = daily["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| &own["aggregated_value"])
        .collect();
    assert_eq!(values, [&json!(2000), &json!(1000)]);
    shop.advance_to(31 * DAY + 3600);
    let invoice = shop.invoices().remove(0);
    assert_eq!(invoice["total"], 900);
    assert_eq!(invoice["lines"]["data"][0]["quantity"], 3000);
    assert_eq!(
        invoice["lines"]["data"][0]["period"],
        json!({ "start": START, "end": START + 31 * DAY })
    );
}

#[test]
fn usage_reported_while_the_invoice_is_a_draft_still_counts() {
    let shop = Shop::open("pm_card_visa");
    let meter = meter(&shop);
    shop.subscribe(&metered_price(&shop, &meter, "1"), &[]);
    shop.advance_to(31 * DAY + 600);
    let late = (START + 31 * DAY - 60).to_string();
    let form = [
        ("event_name", "api_call"),
        ("payload[stripe_customer_id]", shop.customer.as_str()),
        ("payload[value]", "700"),
        ("timestamp", late.as_str()),
    ];
    shop.stripe.post("/v1/billing/meter_events", &form).ok();
    shop.advance_to(31 * DAY + 3600);
    assert_eq!(shop.invoices()[0]["total"], 700);
}

#[test]
fn billing_credits_pay_metered_lines_first() {
    let shop = Shop::open("pm_card_visa");
    let meter = meter(&shop);
    let form = [
        ("customer", shop.customer.as_str()),
        ("amount[type]", "monetary"),
        ("amount[monetary][currency]", "usd"),
        ("amount[monetary][value]", "250"),
        ("applicability_config[scope][price_type]", "metered"),
        ("category", "promotional"),
    ];
    shop.stripe.post("/v1/billing/credit_grants", &form).ok();
    let seat = shop.price(1000);
    shop.subscribe(
        &metered_price(&shop, &meter, "1"),
        &[("items[1][price]", &seat)],
    );
    report(&shop, "400", "a").ok();
    shop.advance_to(31 * DAY + 3600);
    let invoice = shop.invoices().remove(0);
    assert_eq!(invoice["subtotal"], 1400);
    assert_eq!(invoice["total"], 1150);
    assert_eq!(
        invoice["total_pretax_credit_amounts"][0]["type"],
        "credit_balance_transaction"
    );
    shop.advance_to(59 * DAY + 3600);
    let path = format!(
        "/v1/billing/credit_balance_transactions?customer={}",
        shop.customer
    );
    let moved = shop.stripe.get(&path).ok();
    let moved = moved["data"].as_array().unwrap();
    let kinds: Vec<&Value> = moved.iter().map(|own| &own["type"]).collect();
    assert_eq!(kinds, [&json!("debit"), &json!("credit")]);
    let path = format!(
        "/v1/billing/credit_balance_summary?customer={}&filter[type]=applicability_scope&filter[applicability_scope][price_type]=metered",
        shop.customer
    );
    let summary = shop.stripe.get(&path).ok();
    let balance = &summary["balances"][0]["available_balance"];
    assert_eq!(balance["monetary"]["value"], 0);
    assert_eq!(
        shop.invoices()[0]["total"],
        1000,
        "the grant is used up, and there was no usage"
    );
}

#[test]
fn a_deactivated_meter_takes_nothing_in() {
    let shop = Shop::open("pm_card_visa");
    let meter = meter(&shop);
    let path = format!("/v1/billing/meters/{meter}/deactivate");
    assert_eq!(shop.stripe.post(&path, &[]).ok()["status"], "inactive");
    report(&shop, "1", "a").error(400);
}

#[test]
fn a_graduated_price_bills_each_tier() {
    let shop = Shop::open("pm_card_visa");
    let form = [
        ("currency", "usd"),
        ("product", shop.product.as_str()),
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("recurring[interval]", "month"),
        ("tiers[0][up_to]", "5"),
        ("tiers[0][unit_amount]", "700"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount]", "650"),
        ("tiers[1][flat_amount]", "100"),
    ];
    let price = shop.stripe.post("/v1/prices", &form).id();
    let subscription = shop.subscribe(&price, &[("items[0][quantity]", "7")]);
    let invoice = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(invoice["total"], 5 * 700 + 2 * 650 + 100);
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 3);
}

#[test]
fn a_schedule_goes_through_its_phases() {
    let shop = Shop::open("pm_card_visa");
    let (small, large) = (shop.price(1000), shop.price(3000));
    let start = (START + DAY).to_string();
    let form = [
        ("customer", shop.customer.as_str()),
        ("start_date", start.as_str()),
        ("end_behavior", "cancel"),
        ("phases[0][items][0][price]", small.as_str()),
        ("phases[0][duration][interval]", "month"),
        ("phases[0][duration][interval_count]", "2"),
        ("phases[1][items][0][price]", large.as_str()),
        ("phases[1][proration_behavior]", "none"),
        ("phases[1][duration][interval]", "month"),
    ];
    let schedule = shop.stripe.post("/v1/subscription_schedules", &form).ok();
    assert_eq!(schedule["status"], "not_started");
    let path = format!("/v1/subscription_schedules/{}", text(&schedule["id"]));
    shop.advance_to(DAY + 3600);
    let running = shop.stripe.get(&path).ok();
    assert_eq!(running["status"], "active");
    let subscription = running["subscription"].clone();
    assert_eq!(shop.subscription(&subscription)["schedule"], schedule["id"]);
    assert_eq!(shop.invoices()[0]["status"], "paid");
    shop.advance_to(61 * DAY);
    let now = shop.subscription(&subscription);
    assert_eq!(now["items"]["data"][0]["price"]["id"], large.as_str());
    let totals: Vec<Value> = shop
        .invoices()
        .iter()
        .map(|own| own["total"].clone())
        .collect();
    assert_eq!(totals, [json!(3000), json!(1000), json!(1000)]);
    shop.advance_to(95 * DAY);
    assert_eq!(shop.subscription(&subscription)["status"], "canceled");
    assert_eq!(shop.stripe.get(&path).ok()["status"], "completed");
}

#[test]
fn a_schedule_from_a_subscription_can_be_released() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(1000), &[]);
    let form = [("from_subscription", text(&subscription["id"]))];
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let schedule = shop.stripe.post("/v1/subscription_schedules", &form).ok();
    assert_eq!(schedule["current_phase"]["end_date"], START + 31 * DAY);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let item = text(&subscription["items"]["data"][0]["id"]);
    shop.stripe
        .post(
            &path,
            &[("items[0][id]", &item), ("items[0][quantity]", "2")],
        )
        .error(400);
    let path = format!(
        "/v1/subscription_schedules/{}/release",
        text(&schedule["id"])
    );
    let released = shop.stripe.post(&path, &[]).ok();
    assert_eq!(released["status"], "released");
    assert_eq!(released["released_subscription"], subscription["id"]);
    assert!(shop.subscription(&subscription["id"])["schedule"].is_null());
    shop.stripe.post(&path, &[]).error(400);
}

#[test]
fn a_phase_can_begin_with_one_time_items() {
    let shop = Shop::open("pm_card_visa");
    let once = [
        ("currency", "usd"),
        ("product", shop.product.as_str()),
        ("unit_amount", "500"),
    ];
    let once = shop.stripe.post("/v1/prices", &once).id();
    let monthly = shop.price(1000);
    let form = [
        ("customer", shop.customer.as_str()),
        ("start_date", "now"),
        ("phases[0][items][0][price]", monthly.as_str()),
        ("phases[0][add_invoice_items][0][price]", once.as_str()),
        ("phases[0][duration][interval]", "month"),
        ("phases[1][items][0][price]", monthly.as_str()),
        ("phases[1][add_invoice_items][0][price]", once.as_str()),
        ("phases[1][add_invoice_items][0][quantity]", "2"),
        ("phases[1][duration][interval]", "month"),
    ];
    let schedule = shop.stripe.post("/v1/subscription_schedules", &form).ok();
    assert_eq!(schedule["status"], "active");
    shop.advance_to(35 * DAY);
    let invoices = shop.invoices();
    let total: i64 = invoices
        .iter()
        .map(|own| own["total"].as_i64().unwrap())
        .sum();
    let pending = format!("/v1/invoiceitems?pending=true&customer={}", shop.customer);
    let pending = shop.stripe.get(&pending).ok();
    let waiting: i64 = pending["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(total + waiting, 1000 + 500 + 1000 + 2 * 500);
}

#[test]
fn pausing_bills_what_was_used_and_credits_what_was_not() {
    let shop = Shop::open("pm_card_visa");
    let meter = meter(&shop);
    let seat = shop.price(3100);
    let subscription = shop.subscribe(
        &metered_price(&shop, &meter, "1"),
        &[("items[1][price]", &seat)],
    );
    report(&shop, "5000", "a").ok();
    shop.advance_to(15 * DAY);
    let path = format!("/v1/subscriptions/{}", text(&subscription["id"]));
    let form = [
        ("type", "subscription"),
        ("bill_for[outstanding_usage_through][type]", "now"),
        ("bill_for[unused_time_from][type]", "now"),
        ("invoicing_behavior", "invoice"),
    ];
    let paused = shop.stripe.post(&format!("{path}/pause"), &form).ok();
    assert_eq!(paused["status"], "paused");
    assert_eq!(
        paused["status_details"]["paused"]["subscription"]["type"],
        "pause_requested"
    );
    assert_eq!(shop.invoices()[0]["total"], 5000 - 1600);
    shop.advance_to(90 * DAY);
    assert_eq!(
        shop.invoices().len(),
        2,
        "a paused subscription bills nothing"
    );
    let resumed = shop.stripe.post(&format!("{path}/resume"), &[]).ok();
    assert_eq!(resumed["status"], "active");
    assert_eq!(shop.invoices()[0]["total"], 3100);
    let late = (START + 200 * DAY).to_string();
    let item = text(&resumed["items"]["data"][1]["id"]);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][quantity]", "2"),
        ("proration_date", late.as_str()),
    ];
    assert_eq!(
        shop.stripe.post(&path, &form).error(400)["param"],
        "proration_date"
    );
}
