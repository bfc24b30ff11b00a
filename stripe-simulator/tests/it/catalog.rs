//! Products and prices over HTTP.

use crate::support::Stripe;

fn product(stripe: &Stripe) -> String {
    stripe.post("/v1/products", &[("name", "Gold")]).id()
}

#[test]
fn a_price_never_changes_its_amount() {
    let stripe = Stripe::start();
    let product = product(&stripe);
    let form = [
        ("currency", "usd"),
        ("product", product.as_str()),
        ("unit_amount", "1500"),
        ("recurring[interval]", "month"),
        ("lookup_key", "gold"),
    ];
    let price = stripe.post("/v1/prices", &form).ok();
    assert_eq!(price["unit_amount"], 1500);
    assert_eq!(price["unit_amount_decimal"], "1500");
    assert_eq!(price["type"], "recurring");
    let path = format!("/v1/prices/{}", price["id"].as_str().unwrap());
    for form in [
        ("unit_amount", "1"),
        ("currency", "eur"),
        ("recurring[interval]", "year"),
    ] {
        assert_eq!(
            stripe.post(&path, &[form]).error(400)["code"],
            "parameter_unknown"
        );
    }
    assert_eq!(stripe.get(&path).ok(), price);
    let error = stripe.post("/v1/prices", &form).error(400);
    assert_eq!(error["param"], "lookup_key");
    let again: Vec<_> = form
        .into_iter()
        .chain([("transfer_lookup_key", "true")])
        .collect();
    let second = stripe.post("/v1/prices", &again).ok();
    assert_eq!(second["lookup_key"], "gold");
    assert!(stripe.get(&path).ok()["lookup_key"].is_null());
}

#[test]
fn sub_cent_and_tiered_amounts_are_exact() {
    let stripe = Stripe::start();
    let product = product(&stripe);
    let form = [
        ("currency", "usd"),
        ("product", product.as_str()),
        ("unit_amount_decimal", "0.003"),
    ];
    let price = stripe.post("/v1/prices", &form).ok();
    assert!(price["unit_amount"].is_null());
    assert_eq!(price["unit_amount_decimal"], "0.003");
    let form = [
        ("currency", "usd"),
        ("product", product.as_str()),
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("recurring[interval]", "month"),
        ("tiers[0][up_to]", "10"),
        ("tiers[0][unit_amount]", "500"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount_decimal]", "0.5"),
        ("expand[]", "tiers"),
    ];
    let price = stripe.post("/v1/prices", &form).ok();
    assert_eq!(price["tiers"][0]["up_to"], 10);
    assert!(price["tiers"][1]["up_to"].is_null());
    assert_eq!(price["tiers"][1]["unit_amount_decimal"], "0.5");
}

#[test]
fn a_product_with_prices_cannot_be_deleted() {
    let stripe = Stripe::start();
    let product = product(&stripe);
    let path = format!("/v1/products/{product}");
    let form = [
        ("currency", "jpy"),
        ("product", product.as_str()),
        ("unit_amount", "500"),
    ];
    stripe.post("/v1/prices", &form).ok();
    stripe.delete(&path).error(400);
    let free = self::product(&stripe);
    assert_eq!(
        stripe.delete(&format!("/v1/products/{free}")).ok()["deleted"],
        true
    );
}
