//! Plans are prices by their older name.

use crate::support::Stripe;

const PLAN: [(&str, &str); 4] = [
    ("currency", "usd"),
    ("interval", "month"),
    ("amount", "2000"),
    ("product[name]", "Gold"),
];

#[test]
fn a_plan_and_its_price_are_one_object() {
    let stripe = Stripe::start();
    let plan = stripe.post("/v1/plans", &PLAN).ok();
    assert_eq!(plan["amount"], 2000);
    assert_eq!(plan["amount_decimal"], "2000");
    let id = plan["id"].as_str().unwrap();
    let price = stripe.get(&format!("/v1/prices/{id}")).ok();
    assert_eq!(price["unit_amount"], 2000);
    assert_eq!(price["recurring"]["interval"], "month");
    assert_eq!(price["product"], plan["product"]);
    assert_eq!(stripe.get("/v1/plans").ok()["data"][0], plan);
}

#[test]
fn a_recurring_price_is_a_plan_and_a_one_time_price_is_not() {
    let stripe = Stripe::start();
    let price = [
        ("currency", "usd"),
        ("unit_amount", "5"),
        ("product_data[name]", "x"),
    ];
    let monthly = [&price[..], &[("recurring[interval]", "month")]].concat();
    let recurring = stripe.post("/v1/prices", &monthly).id();
    let plan = stripe.get(&format!("/v1/plans/{recurring}")).ok();
    assert_eq!(plan["interval"], "month");
    let once = stripe.post("/v1/prices", &price).id();
    let error = stripe.get(&format!("/v1/plans/{once}")).error(404);
    assert_eq!(error["message"], format!("No such plan: '{once}'"));
}

#[test]
fn a_plan_is_renamed_and_deleted_with_its_price() {
    let stripe = Stripe::start();
    let id = stripe
        .post("/v1/plans", &[&PLAN[..], &[("id", "gold")]].concat())
        .id();
    assert_eq!(id, "gold");
    let again = stripe.post("/v1/plans", &[&PLAN[..], &[("id", "gold")]].concat());
    assert_eq!(again.error(400)["code"], "resource_already_exists");
    let changed = stripe
        .post(
            "/v1/plans/gold",
            &[("nickname", "Gold"), ("metadata[a]", "b")],
        )
        .ok();
    assert_eq!(changed["nickname"], "Gold");
    assert_eq!(stripe.get("/v1/prices/gold").ok()["metadata"]["a"], "b");
    assert_eq!(stripe.delete("/v1/plans/gold").ok()["deleted"], true);
    stripe.get("/v1/plans/gold").error(404);
    stripe.get("/v1/prices/gold").error(404);
}
