//! Coupons, promotion codes, tax rates, tax ids and customer balances over HTTP.

use crate::support::{START, Stripe};

#[test]
fn a_coupon_takes_a_percentage_or_an_amount() {
    let stripe = Stripe::start();
    let coupon = stripe
        .post("/v1/coupons", &[("id", "SAVE"), ("percent_off", "25.5")])
        .ok();
    assert_eq!(coupon["percent_off"], 25.5);
    assert_eq!(coupon["duration"], "once");
    assert_eq!(coupon["valid"], true);
    stripe
        .post("/v1/coupons", &[("amount_off", "500")])
        .error(400);
    stripe.post("/v1/coupons", &[]).error(400);
    let form = [("percent_off", "10"), ("duration", "repeating")];
    assert_eq!(
        stripe.post("/v1/coupons", &form).error(400)["param"],
        "duration_in_months"
    );
    let error = stripe
        .post("/v1/coupons", &[("id", "SAVE"), ("percent_off", "1")])
        .error(400);
    assert_eq!(error["code"], "resource_already_exists");
    assert_eq!(stripe.delete("/v1/coupons/SAVE").ok()["deleted"], true);
    assert_eq!(
        stripe.get("/v1/coupons/SAVE").error(404)["code"],
        "resource_missing"
    );
}

#[test]
fn a_promotion_code_follows_its_coupon() {
    let stripe = Stripe::start();
    let by = (START + 60).to_string();
    let form = [
        ("id", "SAVE"),
        ("percent_off", "10"),
        ("redeem_by", by.as_str()),
    ];
    stripe.post("/v1/coupons", &form).ok();
    let form = [
        ("promotion[type]", "coupon"),
        ("promotion[coupon]", "SAVE"),
        ("code", "Fall20"),
        ("expand[]", "promotion.coupon"),
    ];
    let code = stripe.post("/v1/promotion_codes", &form).ok();
    assert_eq!(code["promotion"]["coupon"]["percent_off"], 10);
    assert_eq!(code["active"], true);
    stripe.post("/v1/promotion_codes", &form).error(400);
    let list = stripe.get("/v1/promotion_codes?code=FALL20").ok();
    assert_eq!(list["data"][0]["id"], code["id"]);
    stripe
        .admin(
            "POST",
            "/clock",
            serde_json::json!({ "advance_seconds": 61 }),
        )
        .ok();
    let path = format!("/v1/promotion_codes/{}", code["id"].as_str().unwrap());
    assert_eq!(stripe.get(&path).ok()["active"], false);
}

#[test]
fn a_tax_rate_keeps_its_percentage() {
    let stripe = Stripe::start();
    let form = [
        ("display_name", "VAT"),
        ("percentage", "19.25"),
        ("inclusive", "false"),
    ];
    let rate = stripe.post("/v1/tax_rates", &form).ok();
    assert_eq!(rate["percentage"], 19.25);
    let path = format!("/v1/tax_rates/{}", rate["id"].as_str().unwrap());
    assert_eq!(
        stripe.post(&path, &[("percentage", "7")]).error(400)["code"],
        "parameter_unknown"
    );
    assert_eq!(
        stripe.post(&path, &[("active", "false")]).ok()["active"],
        false
    );
    assert_eq!(
        stripe.get("/v1/tax_rates?active=true").ok()["data"],
        serde_json::json!([])
    );
}

#[test]
fn tax_ids_belong_to_their_customer() {
    let stripe = Stripe::start();
    let form = [
        ("tax_id_data[0][type]", "eu_vat"),
        ("tax_id_data[0][value]", "DE123456789"),
    ];
    let customer = stripe.post("/v1/customers", &form).id();
    let other = stripe.post("/v1/customers", &[]).id();
    let list = stripe
        .get(&format!("/v1/customers/{customer}/tax_ids"))
        .ok();
    assert_eq!(list["data"][0]["country"], "DE");
    assert_eq!(list["data"][0]["verification"]["status"], "pending");
    let id = list["data"][0]["id"].as_str().unwrap();
    stripe
        .get(&format!("/v1/customers/{other}/tax_ids/{id}"))
        .error(404);
    let expanded = stripe
        .get(&format!("/v1/customers/{customer}?expand[]=tax_ids"))
        .ok();
    assert_eq!(expanded["tax_ids"]["data"][0]["id"], id);
    let form = [("type", "eu_vat"), ("value", "1")];
    let error = stripe
        .post(&format!("/v1/customers/{customer}/tax_ids"), &form)
        .error(400);
    assert_eq!(error["code"], "tax_id_invalid");
    stripe
        .delete(&format!("/v1/customers/{customer}/tax_ids/{id}"))
        .ok();
}

#[test]
fn a_balance_is_the_sum_of_its_transactions() {
    let stripe = Stripe::start();
    let customer = stripe.post("/v1/customers", &[("balance", "-300")]).ok();
    assert_eq!(customer["balance"], -300);
    assert_eq!(customer["currency"], "usd");
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let transactions = format!("{path}/balance_transactions");
    let form = [("amount", "-200"), ("currency", "usd")];
    assert_eq!(
        stripe.post(&transactions, &form).ok()["ending_balance"],
        -500
    );
    stripe
        .post(&transactions, &[("amount", "1"), ("currency", "eur")])
        .error(400);
    assert_eq!(stripe.post(&path, &[("balance", "0")]).ok()["balance"], 0);
    let list = stripe.get(&transactions).ok();
    let amounts: Vec<i64> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [500, -200, -300]);
}
