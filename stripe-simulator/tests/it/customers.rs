//! Customers over HTTP.

use crate::support::Stripe;

#[test]
fn a_customer_lives_and_is_deleted() {
    let stripe = Stripe::start();
    let customer = stripe
        .post(
            "/v1/customers",
            &[
                ("email", "jenny@example.com"),
                ("name", "Jenny Rosen"),
                ("address[country]", "DE"),
                ("metadata[order]", "6735"),
                ("invoice_settings[custom_fields][0][name]", "VAT"),
                ("invoice_settings[custom_fields][0][value]", "DE1"),
            ],
        )
        .ok();
    let id = customer["id"].as_str().unwrap();
    assert!(id.starts_with("cus_") && id.len() == 18, "{id}");
    assert_eq!(customer["metadata"]["order"], "6735");
    assert_eq!(
        customer["invoice_settings"]["custom_fields"][0]["value"],
        "DE1"
    );
    let path = format!("/v1/customers/{id}");
    let form = [
        ("name", ""),
        ("metadata[order]", ""),
        ("address[city]", "Berlin"),
    ];
    let changed = stripe.post(&path, &form).ok();
    assert!(changed["name"].is_null());
    assert_eq!(changed["metadata"], serde_json::json!({}));
    assert_eq!(changed["address"]["country"], "DE");
    assert_eq!(
        stripe.get("/v1/customers?email=jenny@example.com").ok()["data"][0]["id"],
        id
    );
    assert_eq!(stripe.delete(&path).ok()["deleted"], true);
    assert_eq!(stripe.get(&path).ok()["deleted"], true);
    let error = stripe.post(&path, &[("name", "x")]).error(404);
    assert_eq!(error["code"], "resource_missing");
    assert_eq!(
        stripe.get("/v1/customers").ok()["data"],
        serde_json::json!([])
    );
}

#[test]
fn an_unknown_customer_is_404() {
    let stripe = Stripe::start();
    let error = stripe.get("/v1/customers/cus_none").error(404);
    assert_eq!(error["message"], "No such customer: 'cus_none'");
    assert_eq!(error["param"], "id");
    assert_eq!(
        error["doc_url"],
        "https://stripe.com/docs/error-codes/resource-missing"
    );
}
