//! Keys, versions, forms, errors, lists, expansion.

use crate::support::Stripe;

#[test]
fn a_request_without_a_key_is_401() {
    let stripe = Stripe::start();
    let error = stripe
        .send("GET", "/v1/customers", &[], &[("authorization", "")])
        .error(401);
    assert_eq!(error["type"], "invalid_request_error");
    let error = stripe.send(
        "GET",
        "/v1/customers",
        &[],
        &[("authorization", "Bearer sk_test_wrong123456")],
    );
    let error = error.error(401);
    assert_eq!(
        error["message"],
        "Invalid API Key provided: sk_test_*******3456"
    );
}

#[test]
fn basic_authentication_takes_the_key_as_user() {
    let stripe = Stripe::start();
    // base64("sk_test_simulator:")
    let header = ("authorization", "Basic c2tfdGVzdF9zaW11bGF0b3I6");
    stripe.send("GET", "/v1/customers", &[], &[header]).ok();
}

#[test]
fn every_answer_is_labelled() {
    let stripe = Stripe::start();
    let reply = stripe.get("/v1/customers");
    assert_eq!(reply.header("server"), Some("stripe-simulator"));
    assert_eq!(
        reply.header("stripe-version"),
        Some(stripe_simulator::API_VERSION)
    );
    assert!(reply.header("request-id").unwrap().starts_with("req_"));
}

#[test]
fn unknown_urls_and_versions_are_refused() {
    let stripe = Stripe::start();
    let error = stripe.get("/v1/nothing").error(404);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("Unrecognized request URL (GET: /v1/nothing)")
    );
    let error = stripe
        .send("GET", "/v1/customers", &[], &[("stripe-version", "latest")])
        .error(400);
    assert_eq!(error["message"], "Invalid Stripe API version: latest");
    let reply = stripe.send(
        "GET",
        "/v1/customers",
        &[],
        &[("stripe-version", "2020-08-27")],
    );
    assert_eq!(reply.header("stripe-version"), Some("2020-08-27"));
    assert_eq!(reply.status, 200);
}

#[test]
fn parameters_are_checked_against_the_contract() {
    let stripe = Stripe::start();
    let error = stripe.post("/v1/customers", &[("nmae", "x")]).error(400);
    assert_eq!(error["code"], "parameter_unknown");
    assert_eq!(error["param"], "nmae");
    assert_eq!(error["message"], "Received unknown parameter: nmae");
    let error = stripe.post("/v1/products", &[]).error(400);
    assert_eq!(error["code"], "parameter_missing");
    assert_eq!(error["message"], "Missing required param: name.");
    let error = stripe
        .post("/v1/customers", &[("balance", "ten")])
        .error(400);
    assert_eq!(error["code"], "parameter_invalid_integer");
    let error = stripe
        .post("/v1/customers", &[("tax_exempt", "maybe")])
        .error(400);
    assert_eq!(
        error["message"],
        "Invalid tax_exempt: must be one of exempt, none, or reverse"
    );
    let error = stripe
        .post(
            "/v1/prices",
            &[
                ("currency", "usd"),
                ("product", "p"),
                ("recurring[foo]", "1"),
            ],
        )
        .error(400);
    assert_eq!(error["param"], "recurring[foo]");
    let error = stripe
        .post("/v1/customers", &[("preferred_locales", "de")])
        .error(400);
    assert_eq!(
        (&error["message"], &error["param"]),
        (&"Invalid array".into(), &"preferred_locales".into())
    );
    let error = stripe.post("/v1/customers", &[("tax", "x")]).error(400);
    assert_eq!(error["message"], "Invalid object");
    let long = format!("{}{}", "a".repeat(5_000), "b");
    let error = stripe
        .post("/v1/customers", &[("description", &long)])
        .error(400);
    assert_eq!(
        error["message"],
        "Invalid string: aaaaaaaaaa...aaaaaaaaab; must be at most 5000 characters"
    );
    let error = stripe.get("/v1/customers?limit=101").error(400);
    assert_eq!(error["param"], "limit");
}

#[test]
fn json_bodies_are_refused() {
    let stripe = Stripe::start();
    let header = ("content-type", "application/json");
    let error = stripe
        .send_raw("POST", "/v1/customers", b"{\"name\":\"x\"}", &[header])
        .error(400);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("application/x-www-form-urlencoded")
    );
}

#[test]
fn lists_page_in_both_directions() {
    let stripe = Stripe::start();
    let ids: Vec<String> = (0..5)
        .map(|_| stripe.post("/v1/customers", &[]).id())
        .collect();
    let page = stripe.get("/v1/customers?limit=2").ok();
    assert_eq!(page["has_more"], true);
    assert_eq!(page["url"], "/v1/customers");
    assert_eq!(page["data"][0]["id"], ids[4].as_str());
    let page = stripe
        .get(&format!("/v1/customers?limit=2&starting_after={}", ids[3]))
        .ok();
    assert_eq!(page["data"][0]["id"], ids[2].as_str());
    assert_eq!(page["data"][1]["id"], ids[1].as_str());
    let page = stripe
        .get(&format!("/v1/customers?limit=2&ending_before={}", ids[1]))
        .ok();
    assert_eq!(page["data"][0]["id"], ids[3].as_str());
    assert_eq!(page["data"][1]["id"], ids[2].as_str());
    assert_eq!(page["has_more"], true);
    let error = stripe
        .get("/v1/customers?starting_after=cus_none")
        .error(400);
    assert_eq!(error["code"], "resource_missing");
    assert_eq!(error["param"], "starting_after");
}

#[test]
fn fields_are_expanded() {
    let stripe = Stripe::start();
    let product = stripe
        .post(
            "/v1/products",
            &[
                ("name", "Gold"),
                ("default_price_data[currency]", "usd"),
                ("default_price_data[unit_amount]", "1500"),
                ("default_price_data[recurring][interval]", "month"),
                ("expand[]", "default_price.currency_options"),
            ],
        )
        .ok();
    assert_eq!(
        product["default_price"]["currency_options"]["usd"]["unit_amount"],
        1500
    );
    let list = stripe.get("/v1/prices?expand[]=data.product").ok();
    assert_eq!(list["data"][0]["product"]["name"], "Gold");
    let error = stripe.get("/v1/prices?expand[]=product").error(400);
    assert_eq!(
        error["message"],
        "This property cannot be expanded (product). You may want to try expanding 'data.product' instead."
    );
    // A refused path leaves no trace.
    stripe
        .post("/v1/customers", &[("expand[]", "nothing")])
        .error(400);
    assert_eq!(
        stripe.get("/v1/customers").ok()["data"],
        serde_json::json!([])
    );
    let error = stripe.get("/v1/prices?expand[]=data.nothing").error(400);
    assert_eq!(
        error["message"],
        "This property cannot be expanded (data.nothing)."
    );
}
