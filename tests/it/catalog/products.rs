//! Products as resources: what is taken, refused, shown and kept.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WEATHER, audited, calls, flat, free, plan, product, selling};
use crate::subscriptions::{SUBSCRIPTIONS, order, subscribe};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    free_plans_and_drafts_need_no_stripe,
    every_model_is_stored_and_shown_as_it_was_given,
    what_is_refused_is_pointed_at,
    a_product_goes_its_way_through_its_states,
    a_product_with_subscribers_stays,
    conditions_and_tags_keep_writers_apart,
    lists_have_pages_and_filters,
    one_organization_sees_what_it_may_subscribe_to,
    a_product_made_anew_goes_on_counting,
);

/// A portal whose Stripe module was never enabled.
async fn bare(engine: Database) -> Service {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    service
}

async fn free_plans_and_drafts_need_no_stripe(engine: Database) {
    let service = bare(engine).await;
    let only_free = product("published", &[plan("free", free()), plan("open", free())]);
    let made = service.put(WEATHER, only_free.clone()).await;
    assert_eq!(made.header("location"), Some(WEATHER));
    let tag = made.header("etag").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(made["plans"][0]["stripe"], Value::Null);
    assert_eq!(made["plans"][0]["revision"], 1);

    // The same again changes nothing.
    let same = service.put(WEATHER, only_free).await;
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(same.expect(200), made);

    // A draft may have paid plans.
    let draft = product("draft", &[plan("gold", flat(1500))]);
    service
        .put("/v1/portals/acme/products/tides", draft)
        .await
        .expect(201);
    // Published, they need Stripe; and then nothing of it is stored.
    let paid = product("published", &[plan("gold", flat(1500))]);
    for path in [
        WEATHER,
        "/v1/portals/acme/products/tides",
        "/v1/portals/acme/products/new",
    ] {
        service
            .put(path, paid.clone())
            .await
            .problem(409, "module_disabled");
    }
    assert_eq!(service.get(WEATHER).await.expect(200), made);
    service
        .get("/v1/portals/acme/products/new")
        .await
        .problem(404, "not_found");
    service
        .put("/v1/portals/acme/modules/stripe", json!({"enabled": true}))
        .await
        .expect(201);
    service
        .put(WEATHER, paid)
        .await
        .problem(409, "stripe_not_ready");

    service.delete(WEATHER).await.expect(204);
    service.get(WEATHER).await.problem(404, "not_found");
    assert_eq!(calls(&service).await, (0, 0));
    assert_eq!(
        audited(&service).await,
        ["product.created", "product.created", "product.deleted"]
    );
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn every_model_is_stored_and_shown_as_it_was_given(engine: Database) {
    let service = bare(engine).await;
    let interval = |unit: &str, count: i64| json!({"unit": unit, "count": count});
    let pricings = [
        free(),
        json!({
            "model": "flat",
            "price": {"amount": 1500, "currency": "eur"},
            "interval": interval("month", 1),
            "trial": {"days": 14, "requires_payment_method": false, "end_behavior": "pause"},
            "setup_fee": null,
            "tax_behavior": "inclusive",
        }),
        json!({
            "model": "flat",
            "price": {"amount": 500, "currency": "jpy"},
            "interval": interval("year", 3),
            "trial": {"days": 730, "requires_payment_method": true, "end_behavior": "create_invoice"},
            "setup_fee": {"amount": 100, "currency": "jpy"},
            "tax_behavior": "exclusive",
        }),
        json!({
            "model": "flat",
            "price": {"amount": 1230, "currency": "kwd"},
            "interval": interval("day", 1095),
            "trial": null,
            "setup_fee": null,
            "tax_behavior": "unspecified",
        }),
        json!({
            "model": "per_seat",
            "price": {"unit_amount_decimal": "0.003", "currency": "usd"},
            "interval": interval("week", 2),
            "trial": null,
            "setup_fee": {"amount": 1, "currency": "usd"},
            "tax_behavior": "unspecified",
        }),
        json!({
            "model": "per_seat",
            "price": {"amount": 700, "currency": "gbp"},
            "interval": interval("month", 36),
            "trial": null,
            "setup_fee": null,
            "tax_behavior": "unspecified",
        }),
    ];
    let plans: Vec<Value> = pricings
        .iter()
        .enumerate()
        .map(|(place, pricing)| {
            json!({
                "id": format!("plan-{place}"),
                "title": format!("Plan {place}"),
                "description": "Two lines\nof text",
                "approval_required": place == 1,
                "pricing": pricing,
            })
        })
        .collect();
    service
        .put(WEATHER, product("draft", &plans))
        .await
        .expect(201);
    let shown = service.get(WEATHER).await.expect(200);
    for (place, plan) in plans.iter().enumerate() {
        let mut expected = plan.clone();
        expected["revision"] = json!(1);
        expected["stripe"] = Value::Null;
        assert_eq!(shown["plans"][place], expected);
        let alone = format!("{WEATHER}/plans/plan-{place}");
        assert_eq!(service.get(&alone).await.expect(200), expected);
    }
    // What is shown can be put back and is the same.
    let back: Vec<Value> = shown["plans"].as_array().unwrap().clone();
    let back: Vec<Value> = back
        .into_iter()
        .map(|mut plan| {
            let members = plan.as_object_mut().unwrap();
            members.remove("revision");
            members.remove("stripe");
            plan
        })
        .collect();
    let same = service.put(WEATHER, product("draft", &back)).await;
    assert_eq!(same.expect(200), shown);
    service
        .get(&format!("{WEATHER}/plans/none"))
        .await
        .problem(404, "not_found");
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn what_is_refused_is_pointed_at(engine: Database) {
    let service = bare(engine).await;
    let with = |pointer: &str, value: Value| {
        let mut body = product("draft", &[plan("free", free()), plan("gold", flat(1500))]);
        if let Some(place) = body.pointer_mut(pointer) {
            *place = value;
        } else {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
        }
        body
    };
    let per_seat = |text: &str, currency: &str| {
        json!({
            "model": "per_seat",
            "price": {"unit_amount_decimal": text, "currency": currency},
            "interval": {"unit": "month", "count": 1},
        })
    };
    let price = "/plans/1/pricing/price/amount";
    let cases = [
        ("/title", json!(" "), "/title"),
        ("/title", json!("t".repeat(201)), "/title"),
        ("/version", json!("v".repeat(64)), "/version"),
        ("/description", json!("bell \u{7}"), "/description"),
        ("/state", json!("staged"), "/state"),
        ("/colour", json!("red"), "/colour"),
        ("/plans", json!(vec![plan("free", free()); 51]), "/plans"),
        ("/plans/0/id", json!("gold"), "/plans/1/id"),
        ("/plans/0/id", json!("Gold"), "/plans/0/id"),
        (
            "/plans/0",
            json!(["free", "Free", "", false, {}]),
            "/plans/0",
        ),
        ("/plans/0/pricing", json!([]), "/plans/0/pricing"),
        (
            "/plans/0/pricing/model",
            json!("metered"),
            "/plans/0/pricing/model",
        ),
        (
            "/plans/0/pricing/price",
            json!({"amount": 1, "currency": "usd"}),
            "/plans/0/pricing/price",
        ),
        (price, json!(0), price),
        (price, json!(-1), price),
        (price, json!(1.5), price),
        (price, json!("15"), price),
        (price, json!(100_000_000_000_i64), price),
        (
            "/plans/1/pricing/price/currency",
            json!("xxx"),
            "/plans/1/pricing/price/currency",
        ),
        (
            "/plans/1/pricing/price/currency",
            json!("USD"),
            "/plans/1/pricing/price/currency",
        ),
        // Stripe charges Icelandic krónur only in whole ones, and dinars in tens of fils.
        (
            "/plans/1/pricing/price",
            json!({"amount": 1550, "currency": "isk"}),
            price,
        ),
        (
            "/plans/1/pricing/price",
            json!({"amount": 1234, "currency": "kwd"}),
            price,
        ),
        (
            "/plans/1/pricing/price",
            json!({"unit_amount_decimal": "1500", "currency": "usd"}),
            "/plans/1/pricing/price/unit_amount_decimal",
        ),
        (
            "/plans/1/pricing",
            per_seat("0.0000000000001", "usd"),
            "/plans/1/pricing/price/unit_amount_decimal",
        ),
        (
            "/plans/1/pricing",
            per_seat("1e3", "usd"),
            "/plans/1/pricing/price/unit_amount_decimal",
        ),
        (
            "/plans/1/pricing",
            per_seat("0.5", "kwd"),
            "/plans/1/pricing/price/unit_amount_decimal",
        ),
        (
            "/plans/1/pricing/interval/unit",
            json!("hour"),
            "/plans/1/pricing/interval/unit",
        ),
        (
            "/plans/1/pricing/interval/count",
            json!(37),
            "/plans/1/pricing/interval/count",
        ),
        (
            "/plans/1/pricing/trial",
            json!({"days": 731}),
            "/plans/1/pricing/trial/days",
        ),
        (
            "/plans/1/pricing/setup_fee",
            json!({"amount": 5, "currency": "eur"}),
            "/plans/1/pricing/setup_fee/currency",
        ),
        (
            "/plans/1/pricing/tax_behavior",
            json!("none"),
            "/plans/1/pricing/tax_behavior",
        ),
    ];
    for (place, value, pointer) in cases {
        let answer = service.put(WEATHER, with(place, value.clone())).await;
        let problem = answer.expect(422);
        let first = &problem["errors"][0];
        assert_eq!(first["pointer"], pointer, "{place} {value}: {problem}");
    }
    let card = with("/plans/0/title", json!("4242 4242 4242 4242"));
    service
        .put(WEATHER, card)
        .await
        .problem(422, "pan_detected");
    service.get(WEATHER).await.problem(404, "not_found");
    service
        .put("/v1/portals/acme/products/Weather", product("draft", &[]))
        .await
        .problem(404, "not_found");
    service
        .put("/v1/portals/none/products/weather", product("draft", &[]))
        .await
        .problem(404, "not_found");
}

async fn a_product_goes_its_way_through_its_states(engine: Database) {
    let service = bare(engine).await;
    let put = async |state: &str| {
        let body = product(state, &[plan("free", free())]);
        service.put(WEATHER, body).await
    };
    put("deprecated")
        .await
        .problem(409, "product_state_conflict");
    put("draft").await.expect(201);
    put("deprecated")
        .await
        .problem(409, "product_state_conflict");
    put("published").await.expect(200);
    put("draft").await.problem(409, "product_state_conflict");
    put("deprecated").await.expect(200);
    put("published").await.expect(200);
    put("retired").await.expect(200);
    put("published")
        .await
        .problem(409, "product_state_conflict");
    put("draft").await.expect(200);
    assert_eq!(put("draft").await.expect(200)["state"], "draft");
}

async fn a_product_with_subscribers_stays(engine: Database) {
    let service = bare(engine).await;
    let published = product("published", &[plan("free", free()), plan("open", free())]);
    service.put(WEATHER, published.clone()).await.expect(201);
    let customer = service.customer("tidal").await;
    let customer = customer["id"].as_str().unwrap();
    let subscription = subscribe(&service, "stays-0001", order(customer, "free"))
        .await
        .expect(201);

    service.delete(WEATHER).await.problem(409, "product_in_use");
    let retired = product("retired", &[plan("free", free())]);
    service
        .put(WEATHER, retired.clone())
        .await
        .problem(409, "product_in_use");
    // Its plans may go: their revisions stay for those who have them.
    let one = product("deprecated", &[plan("open", free())]);
    let shown = service.put(WEATHER, one).await.expect(200);
    assert_eq!(shown["plans"].as_array().unwrap().len(), 1);
    // A withdrawn plan comes back with its revision.
    let shown = service.put(WEATHER, published).await.expect(200);
    assert_eq!(shown["plans"][0]["id"], "free");
    assert_eq!(shown["plans"][0]["revision"], 1);

    let end = format!(
        "{SUBSCRIPTIONS}/{}/cancel",
        subscription["id"].as_str().unwrap()
    );
    service.post(&end, json!({"at": "now"})).await.expect(200);
    service.put(WEATHER, retired).await.expect(200);
    service.delete(WEATHER).await.expect(204);
}

async fn conditions_and_tags_keep_writers_apart(engine: Database) {
    let service = bare(engine).await;
    let bearer = service.bearer();
    let put = async |condition: (&str, &str), title: &str| {
        let mut body = product("draft", &[plan("free", free())]);
        body["title"] = json!(title);
        let headers = [("authorization", bearer.as_str()), condition];
        service
            .call_with(Method::PUT, WEATHER, &headers, body)
            .await
    };
    put(("if-match", "*"), "A")
        .await
        .problem(412, "precondition_failed");
    let made = put(("if-none-match", "*"), "A").await;
    let first = made.header("etag").unwrap().to_owned();
    made.expect(201);
    put(("if-none-match", "*"), "B")
        .await
        .problem(412, "precondition_failed");
    let changed = put(("if-match", &first), "B").await;
    let second = changed.header("etag").unwrap().to_owned();
    assert_ne!(first, second);
    changed.expect(200);
    put(("if-match", &first), "C")
        .await
        .problem(412, "precondition_failed");

    let read = async |path: &str, tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-none-match", tag)];
        let answer = service
            .call_with(Method::GET, path, &headers, Value::Null)
            .await;
        answer.status.as_u16()
    };
    let gold = format!("{WEATHER}/plans/free");
    assert_eq!(read(WEATHER, &second).await, 304);
    assert_eq!(read(WEATHER, &first).await, 200);
    assert_eq!(read(&gold, &second).await, 304);
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-match", first.as_str()),
    ];
    service
        .call_with(Method::DELETE, WEATHER, &headers, Value::Null)
        .await
        .problem(412, "precondition_failed");
    let headers = [
        ("authorization", bearer.as_str()),
        ("if-match", second.as_str()),
    ];
    service
        .call_with(Method::DELETE, WEATHER, &headers, Value::Null)
        .await
        .expect(204);
}

async fn lists_have_pages_and_filters(engine: Database) {
    let service = bare(engine).await;
    for number in 0..5 {
        let state = if number % 2 == 0 {
            "published"
        } else {
            "draft"
        };
        service
            .put(
                &format!("/v1/portals/acme/products/p{number}"),
                product(state, &[plan("free", free())]),
            )
            .await
            .expect(201);
    }
    let ids = |page: &Value| {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|product| product["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let list = "/v1/portals/acme/products";
    let answer = service
        .get(&format!("{list}?limit=2&state=published"))
        .await;
    let link = answer.header("link").unwrap().to_owned();
    let page = answer.expect(200);
    assert_eq!(ids(&page), ["p4", "p2"]);
    assert_eq!(page["data"][0]["plans"][0]["id"], "free");
    assert_eq!(page["has_more"], true);
    // The link goes on with the same filter.
    let next = link.split(['<', '>']).nth(1).unwrap();
    let page = service.get(next).await.expect(200);
    assert_eq!(ids(&page), ["p0"]);
    assert_eq!(page["has_more"], false);
    let all = service.get(list).await.expect(200);
    assert_eq!(ids(&all).len(), 5);
    service
        .get(&format!("{list}?state=none"))
        .await
        .problem(422, "validation_failed");
    service
        .get(&format!("{list}?cursor=forged"))
        .await
        .problem(400, "invalid_cursor");
    service
        .put("/v1/portals/theirs", json!({"title": "Theirs"}))
        .await
        .expect(201);
    let theirs = service.get("/v1/portals/theirs/products").await.expect(200);
    assert_eq!(ids(&theirs).len(), 0);
    service
        .get("/v1/portals/none/products")
        .await
        .problem(404, "not_found");
}

async fn one_organization_sees_what_it_may_subscribe_to(engine: Database) {
    let service = bare(engine).await;
    for (id, states) in [
        ("a-draft", &["draft"][..]),
        ("published", &["published"]),
        ("deprecated", &["published", "deprecated"]),
        ("retired", &["published", "retired"]),
    ] {
        for state in states {
            let body = product(state, &[plan("free", free())]);
            let answer = service
                .put(&format!("/v1/portals/acme/products/{id}"), body)
                .await;
            assert!(answer.status.is_success(), "{}", answer.text);
        }
    }
    let token = service.token(&[
        ("portal", "acme"),
        ("org", "tidal"),
        ("scope", "catalog:read catalog:write"),
    ]);
    let bearer = format!("Bearer {token}");
    let call = async |method: Method, path: &str, body: Value| {
        let headers = [("authorization", bearer.as_str())];
        service.call_with(method, path, &headers, body).await
    };
    let page = call(Method::GET, "/v1/portals/acme/products", Value::Null)
        .await
        .expect(200);
    let seen: Vec<&str> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|product| product["id"].as_str().unwrap())
        .collect();
    assert_eq!(seen, ["published", "deprecated"]);
    for (id, status) in [
        ("a-draft", 404),
        ("published", 200),
        ("deprecated", 200),
        ("retired", 404),
    ] {
        for path in [
            format!("/v1/portals/acme/products/{id}"),
            format!("/v1/portals/acme/products/{id}/plans/free"),
        ] {
            let answer = call(Method::GET, &path, Value::Null).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
        }
    }
    let drafts = call(
        Method::GET,
        "/v1/portals/acme/products?state=draft",
        Value::Null,
    )
    .await
    .expect(200);
    assert_eq!(drafts["data"], json!([]));
    let body = product("draft", &[]);
    call(Method::PUT, WEATHER, body)
        .await
        .problem(403, "organization_bound");
    call(
        Method::DELETE,
        "/v1/portals/acme/products/published",
        Value::Null,
    )
    .await
    .problem(403, "organization_bound");
}

async fn a_product_made_anew_goes_on_counting(engine: Database) {
    let service = selling(engine).await;
    let paid = product("published", &[plan("gold", flat(1500))]);
    let first = service.put(WEATHER, paid.clone()).await.expect(201);
    service.delete(WEATHER).await.expect(204);
    // Another price under the same names: nothing of the one before may be taken for it.
    let other = product("published", &[plan("gold", flat(900))]);
    let second = service.put(WEATHER, other).await.expect(201);
    assert_eq!(second["plans"][0]["revision"], 1);
    for name in ["product", "price"] {
        assert_ne!(
            first["plans"][0]["stripe"][name],
            second["plans"][0]["stripe"][name]
        );
    }
    let price = second["plans"][0]["stripe"]["price"].as_str().unwrap();
    let prices = super::at_stripe(&service, "price").await;
    let own = prices.iter().find(|own| own["id"] == price).unwrap();
    assert_eq!(own["unit_amount"], 900);
    assert_eq!(own["active"], true);
    assert_eq!(
        audited(&service).await,
        [
            "product.created",
            "product.updated",
            "product.updated",
            "product.deleted",
            "product.created",
            "product.updated",
        ]
    );
}
