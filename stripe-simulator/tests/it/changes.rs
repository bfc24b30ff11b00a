//! Changing subscriptions over HTTP: prorations, previews, payment behaviors, items.

use serde_json::Value;

use crate::billing::{DAY, Shop, text};
use crate::support::START;

fn item(subscription: &Value) -> String {
    text(&subscription["items"]["data"][0]["id"])
}

fn path(subscription: &Value) -> String {
    format!("/v1/subscriptions/{}", text(&subscription["id"]))
}

#[test]
fn a_change_of_price_is_prorated_to_the_second() {
    let shop = Shop::open("pm_card_visa");
    let (small, large) = (shop.price(3100), shop.price(6200));
    let subscription = shop.subscribe(&small, &[]);
    shop.advance_to(15 * DAY);
    let form = [
        ("items[0][id]", &item(&subscription)),
        ("items[0][price]", &large),
    ];
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let changed = shop.stripe.post(&path(&subscription), &form).ok();
    assert_eq!(changed["items"]["data"][0]["price"]["id"], large.as_str());
    assert_eq!(changed["items"]["data"][0]["id"], item(&subscription));
    assert_eq!(
        shop.invoices().len(),
        1,
        "prorations wait for the next invoice"
    );
    let pending = format!("/v1/invoiceitems?pending=true&customer={}", shop.customer);
    let pending = shop.stripe.get(&pending).ok();
    let amounts: Vec<i64> = pending["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [3200, -1600]);
    assert_eq!(
        pending["data"][1]["description"],
        "Unused time on Gold after 16 Jan 2026"
    );
    shop.advance_to(31 * DAY + 3600);
    let renewal = shop.invoices().remove(0);
    assert_eq!(renewal["total"], 6200 + 3200 - 1600);
    assert_eq!(renewal["status"], "paid");
}

#[test]
fn there_and_back_sums_to_zero() {
    let shop = Shop::open("pm_card_visa");
    let (small, large) = (shop.price(999), shop.price(2503));
    let subscription = shop.subscribe(&small, &[]);
    shop.advance_to(10 * DAY + 12_345);
    let item = item(&subscription);
    for price in [&large, &small] {
        shop.stripe
            .post(
                &path(&subscription),
                &[("items[0][id]", &item), ("items[0][price]", price)],
            )
            .ok();
    }
    let pending = format!("/v1/invoiceitems?pending=true&customer={}", shop.customer);
    let pending = shop.stripe.get(&pending).ok();
    let sum: i64 = pending["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(sum, 0);
}

#[test]
fn always_invoice_bills_at_once_and_none_not_at_all() {
    let shop = Shop::open("pm_card_visa");
    let price = shop.price(3100);
    let subscription = shop.subscribe(&price, &[]);
    shop.advance_to(15 * DAY);
    let item = item(&subscription);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][quantity]", "3"),
        ("proration_behavior", "always_invoice"),
    ];
    let changed = shop.stripe.post(&path(&subscription), &form).ok();
    let invoice = shop.invoice(&changed["latest_invoice"]);
    assert_eq!(invoice["billing_reason"], "subscription_update");
    assert_eq!(
        (&invoice["total"], &invoice["status"]),
        (&3200.into(), &"paid".into())
    );
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][quantity]", "1"),
        ("proration_behavior", "none"),
    ];
    shop.stripe.post(&path(&subscription), &form).ok();
    assert_eq!(shop.invoices().len(), 2);
    let pending = format!("/v1/invoiceitems?pending=true&customer={}", shop.customer);
    assert_eq!(
        shop.stripe.get(&pending).ok()["data"],
        serde_json::json!([])
    );
}

#[test]
fn another_interval_moves_the_anchor_and_bills_at_once() {
    let shop = Shop::open("pm_card_visa");
    let month = shop.price(3100);
    let year = shop.price_with(36_500, &[("recurring[interval]", "year")]);
    let subscription = shop.subscribe(&month, &[]);
    shop.advance_to(15 * DAY);
    let item = item(&subscription);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", year.as_str()),
    ];
    let changed = shop.stripe.post(&path(&subscription), &form).ok();
    assert_eq!(changed["billing_cycle_anchor"], START + 15 * DAY);
    assert_eq!(
        changed["items"]["data"][0]["current_period_end"],
        START + (15 + 365) * DAY
    );
    let invoice = shop.invoice(&changed["latest_invoice"]);
    assert_eq!(invoice["total"], 36_500 - 1600);
    assert_eq!(invoice["status"], "paid");
}

#[test]
fn a_preview_shows_what_the_change_then_bills() {
    let shop = Shop::open("pm_card_visa");
    let (small, large) = (shop.price(3100), shop.price(6200));
    let subscription = shop.subscribe(&small, &[]);
    shop.advance_to(20 * DAY);
    let (id, item) = (text(&subscription["id"]), item(&subscription));
    let form = [
        ("subscription", id.as_str()),
        ("subscription_details[items][0][id]", item.as_str()),
        ("subscription_details[items][0][price]", large.as_str()),
        ("subscription_details[proration_behavior]", "always_invoice"),
    ];
    let preview = shop.stripe.post("/v1/invoices/create_preview", &form).ok();
    assert!(text(&preview["id"]).starts_with("upcoming_in_"));
    let now = shop.subscription(&subscription["id"]);
    assert_eq!(now["items"]["data"][0]["price"]["id"], small.as_str());
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", large.as_str()),
        ("proration_behavior", "always_invoice"),
    ];
    let changed = shop.stripe.post(&path(&subscription), &form).ok();
    let billed = shop.invoice(&changed["latest_invoice"]);
    assert_eq!(preview["total"], billed["total"]);
    assert_eq!(billed["total"], 1100);
}

#[test]
fn a_preview_of_nothing_but_the_subscription_is_the_next_renewal() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    let preview = shop
        .stripe
        .post(
            "/v1/invoices/create_preview",
            &[("subscription", &text(&subscription["id"]))],
        )
        .ok();
    assert_eq!(preview["amount_due"], 2000);
    assert_eq!(
        preview["lines"]["data"][0]["period"]["start"],
        START + 31 * DAY
    );
    let other = shop.stripe.post("/v1/customers", &[]).id();
    let error = shop
        .stripe
        .post("/v1/invoices/create_preview", &[("customer", &other)])
        .error(404);
    assert_eq!(error["code"], "invoice_upcoming_none");
    let price = shop.price(700);
    let form = [
        ("customer", other.as_str()),
        ("subscription_details[items][0][price]", price.as_str()),
    ];
    assert_eq!(
        shop.stripe.post("/v1/invoices/create_preview", &form).ok()["total"],
        700
    );
    assert_eq!(
        shop.stripe
            .get(&format!("/v1/subscriptions?customer={other}"))
            .ok()["data"],
        serde_json::json!([])
    );
}

#[test]
fn a_failing_update_does_what_its_payment_behavior_says() {
    for behavior in [
        "allow_incomplete",
        "error_if_incomplete",
        "pending_if_incomplete",
        "default_incomplete",
    ] {
        let shop = Shop::open("pm_card_visa");
        let (small, large) = (shop.price(3100), shop.price(9300));
        let subscription = shop.subscribe(&small, &[]);
        shop.give_method("pm_card_chargeCustomerFail");
        shop.advance_to(10 * DAY);
        let item = item(&subscription);
        let form = [
            ("items[0][id]", item.as_str()),
            ("items[0][price]", large.as_str()),
            ("proration_behavior", "always_invoice"),
            ("payment_behavior", behavior),
        ];
        let reply = shop.stripe.post(&path(&subscription), &form);
        let now = shop.subscription(&subscription["id"]);
        let price = text(&now["items"]["data"][0]["price"]["id"]);
        match behavior {
            "error_if_incomplete" => {
                assert_eq!(reply.error(402)["code"], "card_declined");
                assert_eq!((price, &now["status"]), (small, &"active".into()));
                assert_eq!(shop.invoices().len(), 1);
            }
            "pending_if_incomplete" => {
                let changed = reply.ok();
                let pending = &changed["pending_update"];
                assert_eq!(pending["expires_at"], START + 10 * DAY + 23 * 3600);
                assert_eq!(
                    pending["subscription_items"][0]["price"]["id"],
                    large.as_str()
                );
                assert_eq!((&price, &now["status"]), (&small, &"active".into()));
                let good = shop.give_method("pm_card_visa");
                let pay = format!("/v1/invoices/{}/pay", text(&now["latest_invoice"]));
                shop.stripe.post(&pay, &[("payment_method", &good)]).ok();
                let applied = shop.subscription(&subscription["id"]);
                assert_eq!(applied["items"]["data"][0]["price"]["id"], large.as_str());
                assert!(applied["pending_update"].is_null());
            }
            _ => {
                reply.ok();
                assert_eq!((price, &now["status"]), (large, &"past_due".into()));
            }
        }
    }
}

#[test]
fn a_pending_update_expires_after_23_hours() {
    let shop = Shop::open("pm_card_visa");
    let (small, large) = (shop.price(3100), shop.price(9300));
    let subscription = shop.subscribe(&small, &[]);
    shop.give_method("pm_card_chargeCustomerFail");
    let item = item(&subscription);
    let form = [
        ("items[0][id]", item.as_str()),
        ("items[0][price]", large.as_str()),
        ("proration_behavior", "always_invoice"),
        ("payment_behavior", "pending_if_incomplete"),
    ];
    shop.stripe.post(&path(&subscription), &form).ok();
    shop.advance_to(23 * 3600);
    let now = shop.subscription(&subscription["id"]);
    assert!(now["pending_update"].is_null());
    assert_eq!(now["items"]["data"][0]["price"]["id"], small.as_str());
    assert_eq!(shop.invoices()[0]["status"], "void");
}

#[test]
fn a_trial_can_be_ended_now_and_begun_later() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(3100), &[("trial_period_days", "14")]);
    shop.advance_to(5 * DAY);
    let ended = shop
        .stripe
        .post(&path(&subscription), &[("trial_end", "now")])
        .ok();
    assert_eq!(ended["status"], "active");
    assert_eq!(ended["billing_cycle_anchor"], START + 5 * DAY);
    assert_eq!(shop.invoice(&ended["latest_invoice"])["amount_paid"], 3100);
    let until = (START + 50 * DAY).to_string();
    let again = shop
        .stripe
        .post(
            &path(&subscription),
            &[("trial_end", &until), ("proration_behavior", "none")],
        )
        .ok();
    assert_eq!(again["status"], "trialing");
    assert_eq!(
        again["items"]["data"][0]["current_period_end"],
        START + 50 * DAY
    );
}

#[test]
fn items_come_and_go() {
    let shop = Shop::open("pm_card_visa");
    let (base, addon) = (shop.price(3100), shop.price(310));
    let subscription = shop.subscribe(&base, &[]);
    let id = text(&subscription["id"]);
    let form = [
        ("subscription", id.as_str()),
        ("price", addon.as_str()),
        ("quantity", "10"),
    ];
    let added = shop.stripe.post("/v1/subscription_items", &form).ok();
    assert_eq!(added["current_period_end"], START + 31 * DAY);
    let list = shop
        .stripe
        .get(&format!("/v1/subscription_items?subscription={id}"))
        .ok();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    let own = format!("/v1/subscription_items/{}", text(&added["id"]));
    assert_eq!(
        shop.stripe.post(&own, &[("quantity", "5")]).ok()["quantity"],
        5
    );
    assert_eq!(shop.stripe.delete(&own).ok()["deleted"], true);
    shop.stripe.get(&own).error(404);
    shop.advance_to(31 * DAY);
    let renewal = shop.invoices().remove(0);
    assert_eq!(
        renewal["total"], 3100,
        "what came and went at one instant cancels out"
    );
}

#[test]
fn a_future_anchor_prorates_the_first_period() {
    let shop = Shop::open("pm_card_visa");
    let anchor = (START + 10 * DAY).to_string();
    let subscription = shop.subscribe(&shop.price(3100), &[("billing_cycle_anchor", &anchor)]);
    assert_eq!(
        subscription["items"]["data"][0]["current_period_end"],
        START + 10 * DAY
    );
    assert_eq!(shop.invoice(&subscription["latest_invoice"])["total"], 1000);
    shop.advance_to(10 * DAY + 3600);
    assert_eq!(shop.invoices()[0]["total"], 3100);
}

#[test]
fn bad_items_are_refused_by_name() {
    let shop = Shop::open("pm_card_visa");
    let price = shop.price(2000);
    let once = shop
        .stripe
        .post(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("product", &shop.product),
                ("unit_amount", "5"),
            ],
        )
        .id();
    let error = shop.try_subscribe("price_none", &[]).error(400);
    assert_eq!(
        (&error["code"], &error["param"]),
        (&"resource_missing".into(), &"items[0][price]".into())
    );
    assert_eq!(
        shop.try_subscribe(&once, &[]).error(400)["param"],
        "items[0][price]"
    );
    let error = shop
        .try_subscribe(&price, &[("default_payment_method", "pm_none")])
        .error(400);
    assert_eq!(error["param"], "default_payment_method");
    let error = shop
        .try_subscribe(&price, &[("collection_method", "send_invoice")])
        .error(400);
    assert_eq!(error["param"], "days_until_due");
    let error = shop.try_subscribe(&price, &[("trial_end", "5")]).error(400);
    assert_eq!(error["param"], "trial_end");
    let error = shop
        .try_subscribe(&price, &[("discounts[0][coupon]", "none")])
        .error(400);
    assert_eq!(
        (&error["code"], &error["param"]),
        (&"resource_missing".into(), &"discounts[0][coupon]".into())
    );
    let none = shop
        .stripe
        .post(
            "/v1/subscriptions",
            &[("customer", "cus_none"), ("items[0][price]", &price)],
        )
        .error(400);
    assert_eq!(none["param"], "customer");
    assert!(shop.invoices().is_empty());
}
