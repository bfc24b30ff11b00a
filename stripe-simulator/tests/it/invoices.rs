//! Invoices over HTTP: by hand, discounts, taxes, balance, credit notes.

use serde_json::Value;

use crate::billing::{DAY, Shop, text};
use crate::support::START;

fn add_item(shop: &Shop, amount: &str, invoice: Option<&str>) -> Value {
    let mut form = vec![
        ("customer", shop.customer.as_str()),
        ("amount", amount),
        ("currency", "usd"),
    ];
    form.extend(invoice.map(|id| ("invoice", id)));
    shop.stripe.post("/v1/invoiceitems", &form).ok()
}

fn act(shop: &Shop, invoice: &Value, action: &str) -> crate::support::Reply {
    shop.stripe.post(
        &format!("/v1/invoices/{}/{action}", text(&invoice["id"])),
        &[],
    )
}

#[test]
fn an_invoice_by_hand_is_drafted_finalized_and_paid() {
    let shop = Shop::open("pm_card_visa");
    let item = add_item(&shop, "1500", None);
    assert!(item["invoice"].is_null());
    let form = [
        ("customer", shop.customer.as_str()),
        ("pending_invoice_items_behavior", "include"),
    ];
    let draft = shop.stripe.post("/v1/invoices", &form).ok();
    assert_eq!(
        (&draft["status"], &draft["total"]),
        (&"draft".into(), &1500.into())
    );
    assert!(draft["number"].is_null() && draft["hosted_invoice_url"].is_null());
    let id = text(&draft["id"]);
    add_item(&shop, "-300", Some(&id));
    let open = act(&shop, &draft, "finalize").ok();
    assert_eq!(
        (&open["status"], &open["amount_due"]),
        (&"open".into(), &1200.into())
    );
    assert!(text(&open["number"]).ends_with("-0001"));
    assert!(text(&open["hosted_invoice_url"]).starts_with("http"));
    act(&shop, &draft, "finalize").error(400);
    let paid = act(&shop, &draft, "pay").ok();
    assert_eq!(
        (&paid["status"], &paid["amount_remaining"]),
        (&"paid".into(), &0.into())
    );
    let payments = shop
        .stripe
        .get(&format!("/v1/invoice_payments?invoice={id}"))
        .ok();
    assert_eq!(payments["data"][0]["status"], "paid");
    assert_eq!(payments["data"][0]["amount_paid"], 1200);
    for action in ["void", "mark_uncollectible", "pay"] {
        act(&shop, &draft, action).error(400);
    }
    shop.stripe.delete(&format!("/v1/invoices/{id}")).error(400);
}

#[test]
fn a_draft_can_be_deleted_and_gives_its_items_back() {
    let shop = Shop::open("pm_card_visa");
    add_item(&shop, "1500", None);
    let form = [
        ("customer", shop.customer.as_str()),
        ("pending_invoice_items_behavior", "include"),
    ];
    let draft = shop.stripe.post("/v1/invoices", &form).ok();
    let path = format!("/v1/invoices/{}", text(&draft["id"]));
    assert_eq!(shop.stripe.delete(&path).ok()["deleted"], true);
    shop.stripe.get(&path).error(404);
    let pending = format!("/v1/invoiceitems?pending=true&customer={}", shop.customer);
    assert_eq!(
        shop.stripe.get(&pending).ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn voiding_cancels_the_intent_and_gives_the_balance_back() {
    let shop = Shop::open("pm_card_visa");
    let path = format!("/v1/customers/{}/balance_transactions", shop.customer);
    shop.stripe
        .post(&path, &[("amount", "-400"), ("currency", "usd")])
        .ok();
    let draft = shop
        .stripe
        .post("/v1/invoices", &[("customer", &shop.customer)])
        .ok();
    add_item(&shop, "1500", Some(&text(&draft["id"])));
    let open = act(&shop, &draft, "finalize").ok();
    assert_eq!(open["amount_due"], 1100);
    assert_eq!(
        (&open["starting_balance"], &open["ending_balance"]),
        (&(-400).into(), &0.into())
    );
    let voided = act(&shop, &draft, "void").ok();
    assert_eq!(voided["status"], "void");
    let customer = shop
        .stripe
        .get(&format!("/v1/customers/{}", shop.customer))
        .ok();
    assert_eq!(customer["balance"], -400);
    let payments = shop
        .stripe
        .get(&format!(
            "/v1/invoice_payments?invoice={}",
            text(&draft["id"])
        ))
        .ok();
    assert_eq!(payments["data"][0]["status"], "canceled");
    let intent = text(&payments["data"][0]["payment"]["payment_intent"]);
    assert_eq!(
        shop.stripe
            .get(&format!("/v1/payment_intents/{intent}"))
            .ok()["status"],
        "canceled"
    );
    act(&shop, &draft, "pay").error(400);
}

#[test]
fn what_is_too_little_to_charge_waits_on_the_balance() {
    let shop = Shop::open("pm_card_visa");
    let draft = shop
        .stripe
        .post("/v1/invoices", &[("customer", &shop.customer)])
        .ok();
    add_item(&shop, "30", Some(&text(&draft["id"])));
    let paid = act(&shop, &draft, "finalize").ok();
    assert_eq!(
        (
            &paid["status"],
            &paid["amount_due"],
            &paid["ending_balance"]
        ),
        (&"paid".into(), &0.into(), &30.into())
    );
}

#[test]
fn discounts_run_as_long_as_their_coupons_say() {
    let shop = Shop::open("pm_card_visa");
    let coupon = |form: &[(&str, &str)]| shop.stripe.post("/v1/coupons", form).id();
    let once = coupon(&[("percent_off", "50"), ("duration", "once")]);
    let months = coupon(&[
        ("amount_off", "300"),
        ("currency", "usd"),
        ("duration", "repeating"),
        ("duration_in_months", "2"),
    ]);
    let more = [
        ("discounts[0][coupon]", once.as_str()),
        ("discounts[1][coupon]", months.as_str()),
        ("expand[]", "discounts"),
    ];
    let subscription = shop.subscribe(&shop.price(2000), &more);
    assert_eq!(
        subscription["discounts"].as_array().unwrap().len(),
        1,
        "the one-time discount is spent"
    );
    assert_eq!(
        subscription["discounts"][0]["source"]["coupon"],
        months.as_str()
    );
    let first = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(first["total"], 700);
    assert_eq!(first["subtotal"], 2000);
    let taken: Vec<i64> = first["total_discount_amounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(taken, [1000, 300]);
    shop.advance_to(31 * DAY + 3600);
    assert_eq!(shop.invoices()[0]["total"], 1700);
    shop.advance_to(59 * DAY + 3600);
    assert_eq!(shop.invoices()[0]["total"], 2000);
}

#[test]
fn taxes_are_on_top_or_inside() {
    let shop = Shop::open("pm_card_visa");
    for (inclusive, total, excluding) in [("false", 2400, 2000), ("true", 2000, 1667)] {
        let form = [
            ("display_name", "VAT"),
            ("percentage", "20"),
            ("inclusive", inclusive),
        ];
        let rate = shop.stripe.post("/v1/tax_rates", &form).id();
        let subscription = shop.subscribe(&shop.price(2000), &[("default_tax_rates[0]", &rate)]);
        let invoice = shop.invoice(&subscription["latest_invoice"]);
        assert_eq!(invoice["total"], total);
        assert_eq!(invoice["total_excluding_tax"], excluding);
        assert_eq!(
            invoice["total_taxes"][0]["tax_rate_details"]["tax_rate"],
            rate.as_str()
        );
    }
}

#[test]
fn automatic_tax_goes_by_the_customers_place() {
    let shop = Shop::open("pm_card_visa");
    let price = shop.price(2000);
    let error = shop
        .try_subscribe(&price, &[("automatic_tax[enabled]", "true")])
        .error(400);
    assert_eq!(error["code"], "customer_tax_location_invalid");
    let path = format!("/v1/customers/{}", shop.customer);
    shop.stripe.post(&path, &[("address[country]", "DE")]).ok();
    let subscription = shop.subscribe(&price, &[("automatic_tax[enabled]", "true")]);
    let invoice = shop.invoice(&subscription["latest_invoice"]);
    assert_eq!(invoice["total"], 2380);
    assert_eq!(invoice["automatic_tax"]["status"], "complete");
}

#[test]
fn a_yen_and_a_dinar_have_their_own_places() {
    for (currency, amount, description) in [
        ("jpy", "500", "1 × Gold (at ¥500 / month)"),
        ("kwd", "1500", "1 × Gold (at KWD 1.500 / month)"),
    ] {
        let shop = Shop::open("pm_card_visa");
        let price = shop.price_with(0, &[("currency", currency), ("unit_amount", amount)]);
        let subscription = shop.subscribe(&price, &[]);
        let invoice = shop.invoice(&subscription["latest_invoice"]);
        assert_eq!(invoice["amount_paid"].to_string(), amount);
        assert_eq!(invoice["lines"]["data"][0]["description"], description);
    }
}

#[test]
fn credit_notes_lessen_open_and_refund_paid_invoices() {
    let shop = Shop::open("pm_card_visa");
    let draft = shop
        .stripe
        .post("/v1/invoices", &[("customer", &shop.customer)])
        .ok();
    let id = text(&draft["id"]);
    add_item(&shop, "1500", Some(&id));
    act(&shop, &draft, "finalize").ok();
    let note = shop
        .stripe
        .post("/v1/credit_notes", &[("invoice", &id), ("amount", "500")])
        .ok();
    assert_eq!(
        (&note["type"], &note["pre_payment_amount"]),
        (&"pre_payment".into(), &500.into())
    );
    let paid = act(&shop, &draft, "pay").ok();
    assert_eq!(paid["amount_paid"], 1000);
    assert_eq!(paid["pre_payment_credit_notes_amount"], 500);
    let form = [
        ("invoice", id.as_str()),
        ("amount", "400"),
        ("refund_amount", "300"),
        ("credit_amount", "100"),
    ];
    let note = shop.stripe.post("/v1/credit_notes", &form).ok();
    assert_eq!(
        (&note["type"], &note["post_payment_amount"]),
        (&"post_payment".into(), &400.into())
    );
    let refund = text(&note["refunds"][0]["refund"]);
    assert_eq!(
        shop.stripe.get(&format!("/v1/refunds/{refund}")).ok()["amount"],
        300
    );
    let customer = shop
        .stripe
        .get(&format!("/v1/customers/{}", shop.customer))
        .ok();
    assert_eq!(customer["balance"], -100);
    let form = [
        ("invoice", id.as_str()),
        ("amount", "700"),
        ("refund_amount", "700"),
    ];
    assert_eq!(
        shop.stripe.post("/v1/credit_notes", &form).error(400)["code"],
        "amount_too_large"
    );
}

#[test]
fn sums_of_lines_equal_totals() {
    let shop = Shop::open("pm_card_visa");
    let rate = shop
        .stripe
        .post(
            "/v1/tax_rates",
            &[
                ("display_name", "VAT"),
                ("percentage", "7.7"),
                ("inclusive", "false"),
            ],
        )
        .id();
    let coupon = shop
        .stripe
        .post(
            "/v1/coupons",
            &[("percent_off", "33.3"), ("duration", "forever")],
        )
        .id();
    let (base, addon) = (shop.price(1999), shop.price(333));
    let more = [
        ("items[1][price]", addon.as_str()),
        ("items[1][quantity]", "7"),
        ("default_tax_rates[0]", rate.as_str()),
        ("discounts[0][coupon]", coupon.as_str()),
    ];
    shop.subscribe(&base, &more);
    shop.advance_to(100 * DAY);
    for invoice in shop.invoices() {
        let lines = invoice["lines"]["data"].as_array().unwrap();
        let sum = |of: &dyn Fn(&Value) -> i64| lines.iter().map(of).sum::<i64>();
        let list = |line: &Value, name: &str| {
            line[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|own| own["amount"].as_i64().unwrap())
                .sum::<i64>()
        };
        let subtotal = sum(&|line| line["amount"].as_i64().unwrap());
        let off = sum(&|line| list(line, "discount_amounts"));
        let tax = sum(&|line| list(line, "taxes"));
        assert_eq!(invoice["subtotal"], subtotal);
        assert_eq!(invoice["total"], subtotal - off + tax);
        assert_eq!(invoice["total_excluding_tax"], subtotal - off);
    }
}

#[test]
fn lists_filter_by_status_and_subscription() {
    let shop = Shop::open("pm_card_visa");
    let subscription = shop.subscribe(&shop.price(2000), &[]);
    shop.advance_to(31 * DAY);
    let id = text(&subscription["id"]);
    let count = |query: &str| {
        shop.stripe.get(&format!("/v1/invoices?{query}")).ok()["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(&format!("subscription={id}")), 2);
    assert_eq!(count(&format!("subscription={id}&status=draft")), 1);
    assert_eq!(
        count(&format!("customer={}&created[gt]={START}", shop.customer)),
        1
    );
    let lines = shop
        .stripe
        .get(&format!(
            "/v1/invoices/{}/lines",
            text(&subscription["latest_invoice"])
        ))
        .ok();
    assert_eq!(lines["data"][0]["subtotal"], 2000);
}

#[test]
fn the_lines_of_a_draft_are_added_changed_and_removed() {
    let shop = Shop::open("pm_card_visa");
    let pending = add_item(&shop, "700", None);
    let draft = shop
        .stripe
        .post("/v1/invoices", &[("customer", &shop.customer)])
        .ok();
    let path = format!("/v1/invoices/{}", text(&draft["id"]));
    let form = [
        ("lines[0][invoice_item]", text(&pending["id"])),
        ("lines[1][amount]", "300".to_owned()),
        ("lines[1][description]", "Set-up".to_owned()),
    ];
    let form: Vec<(&str, &str)> = form
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let added = shop.stripe.post(&format!("{path}/add_lines"), &form).ok();
    assert_eq!(added["total"], 1000);
    let line = |at: usize| text(&added["lines"]["data"][at]["id"]);
    let (first, second) = (line(0), line(1));
    let form = [
        ("lines[0][id]", second.as_str()),
        ("lines[0][amount]", "500"),
    ];
    let changed = shop
        .stripe
        .post(&format!("{path}/update_lines"), &form)
        .ok();
    assert_eq!(changed["total"], 1200);
    let one = format!("{path}/lines/{second}");
    assert_eq!(
        shop.stripe.post(&one, &[("amount", "400")]).ok()["amount"],
        400
    );
    let form = [
        ("lines[0][id]", first.as_str()),
        ("lines[0][behavior]", "unassign"),
    ];
    let removed = shop
        .stripe
        .post(&format!("{path}/remove_lines"), &form)
        .ok();
    assert_eq!(removed["total"], 400);
    let item = format!("/v1/invoiceitems/{}", text(&pending["id"]));
    assert!(shop.stripe.get(&item).ok()["invoice"].is_null());
    act(&shop, &draft, "finalize").ok();
    shop.stripe.post(&one, &[("amount", "1")]).error(400);
}
