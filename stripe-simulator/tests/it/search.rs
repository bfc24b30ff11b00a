//! Search over HTTP.

use serde_json::json;

use crate::support::{START, Stripe, escape};

fn found(stripe: &Stripe, query: &str) -> Vec<String> {
    let body = stripe
        .get(&format!("/v1/customers/search?query={}", escape(query)))
        .ok();
    assert_eq!(body["object"], "search_result");
    let name = |customer: &serde_json::Value| customer["name"].as_str().unwrap_or("").to_owned();
    body["data"].as_array().unwrap().iter().map(name).collect()
}

fn three(stripe: &Stripe) {
    stripe
        .post(
            "/v1/customers",
            &[("name", "Ann"), ("email", "ann@example.com")],
        )
        .ok();
    stripe
        .post(
            "/v1/customers",
            &[("name", "Bob"), ("metadata[team]", "Red \"1\"")],
        )
        .ok();
    stripe
        .post(
            "/v1/customers",
            &[("name", "Anna"), ("metadata[team]", "blue")],
        )
        .ok();
}

#[test]
fn clauses_are_compared_as_stripe_does() {
    let stripe = Stripe::start();
    three(&stripe);
    assert_eq!(found(&stripe, "name:\"ann\""), ["Ann"]);
    assert_eq!(found(&stripe, "name~\"ann\""), ["Anna", "Ann"]);
    assert_eq!(found(&stripe, "-name~\"ann\""), ["Bob"]);
    assert_eq!(
        found(&stripe, "metadata[\"team\"]:\"red \\\"1\\\"\""),
        ["Bob"]
    );
    assert_eq!(
        found(&stripe, "name~\"ann\" AND metadata[\"team\"]:\"blue\""),
        ["Anna"]
    );
    assert_eq!(
        found(&stripe, "name:\"bob\" OR email:\"ann@example.com\""),
        ["Bob", "Ann"]
    );
    assert_eq!(found(&stripe, "email:null"), ["Anna", "Bob"]);
    assert_eq!(found(&stripe, &format!("created>{START}")), [""; 0]);
    assert_eq!(found(&stripe, &format!("created>={START}")).len(), 3);
    for query in [
        "nonsense",
        "balance:1",
        "name>1",
        "name~\"an\"",
        "metadata:\"x\"",
    ] {
        let error = stripe.get(&format!(
            "/v1/customers/search?query={}",
            query.replace('"', "%22").replace('>', "%3E")
        ));
        assert_eq!(error.error(400)["param"], "query", "{query}");
    }
}

#[test]
fn pages_go_on_where_they_ended() {
    let stripe = Stripe::start();
    three(&stripe);
    let path = "/v1/customers/search?limit=2&query=created%3E0&expand[]=total_count";
    let first = stripe.get(path).ok();
    assert_eq!(
        (&first["has_more"], &first["total_count"]),
        (&json!(true), &json!(3))
    );
    let page = first["next_page"].as_str().unwrap();
    let second = stripe.get(&format!("{path}&page={page}")).ok();
    assert_eq!(second["data"][0]["name"], "Ann");
    assert_eq!(
        (&second["has_more"], &second["next_page"]),
        (&json!(false), &json!(null))
    );
}

#[test]
fn search_lags_behind_when_told_to() {
    let stripe = Stripe::start();
    stripe
        .admin("POST", "/settings", json!({ "search_lag_seconds": 60 }))
        .ok();
    let customer = stripe.post("/v1/customers", &[("name", "Ann")]).id();
    assert_eq!(found(&stripe, "name:\"Ann\""), [""; 0]);
    assert_eq!(
        stripe.get("/v1/customers").ok()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    stripe
        .admin("POST", "/clock", json!({ "advance_seconds": 60 }))
        .ok();
    assert_eq!(found(&stripe, "name:\"Ann\""), ["Ann"]);
    // A change is found late as well: the index still holds the old name.
    stripe
        .post(&format!("/v1/customers/{customer}"), &[("name", "Eve")])
        .ok();
    assert_eq!(found(&stripe, "name:\"Eve\""), [""; 0]);
    assert_eq!(found(&stripe, "name:\"Ann\""), ["Eve"]);
    let fault = json!({ "kind": "stale_search", "count": 1 });
    stripe.admin("POST", "/faults", fault).ok();
    assert_eq!(found(&stripe, "name:\"Ann\""), [""; 0]);
}

#[test]
fn the_account_shows_what_it_is_set_to() {
    let stripe = Stripe::start();
    let account = stripe.get("/v1/account").ok();
    assert_eq!(
        (&account["country"], &account["charges_enabled"]),
        (&json!("US"), &json!(true))
    );
    let settings = json!({ "country": "DE", "default_currency": "eur", "charges_enabled": false });
    stripe.admin("POST", "/settings", settings).ok();
    let account = stripe.get("/v1/account").ok();
    assert_eq!(account["country"], "DE");
    assert_eq!(account["charges_enabled"], false);
    let balance = stripe.get("/v1/balance").ok();
    assert_eq!(
        balance["available"][0],
        json!({ "amount": 0, "currency": "eur", "source_types": { "card": 0 } })
    );
}
