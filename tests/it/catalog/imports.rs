//! Product documents of API Connect over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use super::{at_stripe, calls, flat, plan, product, selling};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Answer, Service};

on_both_databases!(
    both_shapes_become_products,
    a_dry_run_reports_and_stores_nothing,
    what_is_refused_is_pointed_at_and_nothing_is_stored,
    the_state_is_kept_or_given,
    the_same_key_imports_once,
    what_is_no_document_is_said_so,
    no_product_is_named_as_the_place_of_imports,
);

const IMPORT: &str = "/v1/portals/acme/products/import";
const TIDES: &str = "/v1/portals/acme/products/tide-tables";

const NEWER: &str = r"
product: 1.0.0
info:
  name: tide-tables
  title: Tide tables
  version: 2.1.0
gateways: [datapower-api-gateway]
plans:
  visitor:
    title: Visitor
    rate-limits: {default: {value: 100/1hour}}
  sailor:
    title: Sailor
    billing:
      billing: harbour-stripe
      currency: USD
      price: 9.99
      period: 1
      period-unit: month
      trial-period: 2
      trial-period-unit: week
  guest:
    title: Guest
    billing: {currency: USD, price: 0, period: 1, period-unit: month}
";

const OLDER: &str = r"
product: '1.0.0'
info: {name: Parcel_Tracking, title: Parcel tracking, version: 1.0.0}
plans:
  Bronze Plan:
    title: Bronze
    approval: true
    billing-model: {provider: stripe, model: fixed, currency: jpy, amount: 500, period: month}
";

async fn import(service: &Service, query: &str, document: &str) -> Answer {
    import_as(service, query, "application/yaml", None, document).await
}

async fn import_as(
    service: &Service,
    query: &str,
    media_type: &str,
    key: Option<&str>,
    document: &str,
) -> Answer {
    let mut request = service
        .client
        .post(format!("{}{IMPORT}{query}", service.base_url))
        .header("authorization", service.bearer())
        .header("content-type", media_type)
        .body(document.to_owned());
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    Service::answer(request).await
}

fn field<'a>(report: &'a Value, name: &str) -> &'a Value {
    let fields = report["fields"].as_array().unwrap();
    let found = fields.iter().find(|field| field["field"] == name);
    found.unwrap_or_else(|| panic!("nothing on {name} in {report}"))
}

async fn both_shapes_become_products(engine: Database) {
    let service = selling(engine).await;
    let made = import(&service, "?state=published", NEWER).await;
    assert_eq!(made.header("location"), Some(TIDES));
    let made = made.expect(201);
    assert_eq!(made["imported"], true);
    assert_eq!(field(&made, "gateways")["result"], "ignored");
    assert_eq!(field(&made, "info.name")["result"], "taken");
    let plans = made["plans"].as_array().unwrap();
    let summary: Vec<_> = plans
        .iter()
        .map(|plan| (&plan["id"], &plan["model"], &plan["needs_payment_method"]))
        .collect();
    assert_eq!(
        summary,
        [
            (&json!("visitor"), &json!("free"), &json!(false)),
            (&json!("sailor"), &json!("flat"), &json!(true)),
            // A price of nothing is free and needs no payment method.
            (&json!("guest"), &json!("free"), &json!(false)),
        ]
    );
    assert_eq!(
        field(&plans[1], "billing.price")["value"],
        "999 minor units"
    );

    let product = service.get(TIDES).await.expect(200);
    assert_eq!(product, made["product"]);
    assert_eq!(product["state"], "published");
    let sailor = &product["plans"][1];
    assert_eq!(
        sailor["pricing"]["price"],
        json!({"amount": 999, "currency": "usd"})
    );
    assert_eq!(sailor["pricing"]["trial"]["days"], 14);
    let prices = at_stripe(&service, "price").await;
    assert_eq!(prices.len(), 1);
    assert_eq!(prices[0]["id"], sailor["stripe"]["price"]);
    assert_eq!(prices[0]["unit_amount"], 999);

    // Again: nothing changes, and the report is the same.
    let again = import(&service, "", NEWER).await.expect(200);
    assert_eq!(again, made);
    assert_eq!(calls(&service).await, (2, 0));

    let older = import_as(&service, "", "text/yaml; charset=utf-8", None, OLDER).await;
    let older = older.expect(201);
    let product = &older["product"];
    assert_eq!(product["id"], "parcel-tracking");
    assert_eq!(product["state"], "draft");
    assert_eq!(product["plans"][0]["id"], "bronze-plan");
    assert_eq!(product["plans"][0]["approval_required"], true);
    assert_eq!(
        product["plans"][0]["pricing"]["price"],
        json!({"amount": 500, "currency": "jpy"})
    );
}

async fn a_dry_run_reports_and_stores_nothing(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let tried = import(&service, "?dry_run=true&state=published", NEWER)
        .await
        .expect(200);
    assert_eq!(tried["imported"], false);
    assert_eq!(tried["product"], Value::Null);
    assert_eq!(tried["plans"][1]["model"], "flat");
    let hourly = NEWER.replace(
        "period-unit: month\n      trial",
        "period-unit: hour\n      trial",
    );
    let tried = import(&service, "?dry_run=true", &hourly).await.expect(200);
    assert_eq!(tried["plans"][1]["model"], Value::Null);
    let refused = tried["plans"][1]["fields"].as_array().unwrap().iter();
    let refused: Vec<_> = refused
        .filter(|field| field["result"] == "refused")
        .collect();
    assert_eq!(refused.len(), 1, "{tried}");
    assert!(refused[0]["reason"].is_string());
    service.get(TIDES).await.problem(404, "not_found");
    let list = service.get("/v1/portals/acme/products").await.expect(200);
    assert_eq!(list["data"], json!([]));
}

async fn what_is_refused_is_pointed_at_and_nothing_is_stored(engine: Database) {
    let service = selling(engine).await;
    let cases = [
        (
            "period-unit: month\n      trial",
            "period-unit: hour\n      trial",
        ),
        (
            "period-unit: month\n      trial",
            "period-unit: minute\n      trial",
        ),
        (
            "period-unit: month\n      trial",
            "period-unit: second\n      trial",
        ),
        ("price: 9.99", "price: 9.999"),
        ("price: 9.99", "price: nine"),
        (
            "currency: USD\n      price: 9.99",
            "currency: ISK\n      price: 5.50",
        ),
        ("trial-period-unit: week", "trial-period-unit: hour"),
        ("name: tide-tables", "name: '!!!'"),
    ];
    for (from, to) in cases {
        assert!(NEWER.contains(from), "{from}");
        let answer = import(&service, "?state=published", &NEWER.replace(from, to)).await;
        let problem = answer.problem(422, "validation_failed");
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
        let place = if to.starts_with("name") {
            "/info/name"
        } else {
            "/plans/sailor/billing"
        };
        assert!(pointer.starts_with(place), "{to}: {problem}");
    }
    let list = service.get("/v1/portals/acme/products").await.expect(200);
    assert_eq!(list["data"], json!([]));
    assert_eq!(calls(&service).await, (0, 0));
}

async fn the_state_is_kept_or_given(engine: Database) {
    let service = selling(engine).await;
    let state = async |query: &str| {
        let answer = import(&service, query, NEWER).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.json()["product"]["state"].clone()
    };
    assert_eq!(state("").await, "draft");
    assert_eq!(state("?state=published").await, "published");
    assert_eq!(state("").await, "published");
    import(&service, "?state=draft", NEWER)
        .await
        .problem(409, "product_state_conflict");
    import(&service, "?state=gone", NEWER)
        .await
        .problem(422, "validation_failed");
    // A document stands for the whole product: the plan it does not name can no longer be had.
    let body = product("published", &[plan("extra", flat(100))]);
    service.put(TIDES, body).await.expect(200);
    let back = import(&service, "", NEWER).await.expect(200);
    let ids: Vec<_> = back["product"]["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| plan["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["visitor", "sailor", "guest"]);
    assert_eq!(back["product"]["plans"][1]["revision"], 1);
}

async fn the_same_key_imports_once(engine: Database) {
    let service = selling(engine).await;
    let yaml = "application/x-yaml";
    let key = Some("import-of-tides");
    let first = import_as(&service, "?state=published", yaml, key, NEWER).await;
    let first = (first.status, first.text);
    assert_eq!(first.0.as_u16(), 201);
    // Even after something else was put there.
    let body = product("published", &[]);
    service.put(TIDES, body).await.expect(200);
    let again = import_as(&service, "?state=published", yaml, key, NEWER).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status, again.text), first);
    let shown = service.get(TIDES).await.expect(200);
    assert_eq!(shown["plans"], json!([]));
    import_as(&service, "", yaml, key, NEWER)
        .await
        .problem(422, "idempotency_key_reused");
    import_as(&service, "?state=published", yaml, key, OLDER)
        .await
        .problem(422, "idempotency_key_reused");
}

async fn what_is_no_document_is_said_so(engine: Database) {
    let service = selling(engine).await;
    for document in [
        "",
        "just words",
        "product: 2.0.0",
        "product: 1.0.0\nplans: []",
        "a: [",
        "product: 1.0.0\nplans: {a: {}, a: {}}",
    ] {
        for query in ["", "?dry_run=true"] {
            import(&service, query, document)
                .await
                .problem(400, "malformed_document");
        }
    }
    let large = format!("product: 1.0.0\nx: {}", "x".repeat(256 * 1024));
    import(&service, "", &large)
        .await
        .problem(413, "body_too_large");
    let card = NEWER.replace("title: Sailor", "title: 4242 4242 4242 4242");
    import(&service, "", &card)
        .await
        .problem(422, "pan_detected");
    import_as(&service, "", "application/json", None, "{}")
        .await
        .problem(415, "unsupported_media_type");
    import(&service, "?dry_run=perhaps", NEWER)
        .await
        .problem(422, "validation_failed");
    let latin = service
        .client
        .post(format!("{}{IMPORT}", service.base_url))
        .header("authorization", service.bearer())
        .header("content-type", "application/yaml")
        .body(b"product: \xff".to_vec());
    Service::answer(latin)
        .await
        .problem(400, "malformed_document");
    let bound = service.token(&[("portal", "acme"), ("org", "tidal"), ("scope", "all")]);
    let bearer = format!("Bearer {bound}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/yaml"),
    ];
    service
        .call_with(Method::POST, IMPORT, &headers, Value::Null)
        .await
        .problem(403, "organization_bound");
    let none = "/v1/portals/none/products/import?dry_run=true";
    let request = service
        .client
        .post(format!("{}{none}", service.base_url))
        .header("authorization", service.bearer())
        .header("content-type", "application/yaml")
        .body(NEWER);
    Service::answer(request).await.problem(404, "not_found");
}

async fn no_product_is_named_as_the_place_of_imports(engine: Database) {
    let service = selling(engine).await;
    let content = product("draft", &[plan("gold", flat(1500))]);
    service.put(IMPORT, content).await.problem(404, "not_found");
    service.get(IMPORT).await.problem(404, "not_found");
    let named = NEWER.replace("name: tide-tables", "name: import");
    let refused = import(&service, "", &named).await;
    let refused = refused.problem(422, "validation_failed");
    assert_eq!(
        refused["errors"][0]["detail"]
            .as_str()
            .map(|it| it.contains("import")),
        Some(true)
    );
}
