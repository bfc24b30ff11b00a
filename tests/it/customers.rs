//! Customers over HTTP, and what of them Stripe is told.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::{CUSTOMERS, customer};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

mod at_stripe;
mod doubt;

on_both_databases!(
    a_customer_lives_its_life_without_stripe,
    an_external_id_is_used_once_in_a_portal,
    a_customer_is_found_by_either_name,
    what_is_wrong_is_pointed_at,
    card_numbers_are_refused_in_every_field,
    a_merge_patch_changes_parts,
    lists_page_and_filter,
    an_organization_sees_itself_alone,
    a_key_makes_one_customer,
);

async fn portal(engine: Database) -> Service {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    service
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn a_customer_lives_its_life_without_stripe(engine: Database) {
    let service = portal(engine).await;
    let body = json!({
        "external_id": "globex",
        "name": "  Globex GmbH ",
        "email": "billing@globex.example",
        "address": {"line1": "Hauptstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"},
        "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}],
        "metadata": {"team": "apis"},
    });
    let made = service.post(CUSTOMERS, body).await;
    let (tag, location) = (
        made.header("etag").unwrap().to_owned(),
        made.header("location").unwrap().to_owned(),
    );
    let made = made.expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("org_"), "{id}");
    let now = service.clock.now().to_rfc3339();
    assert_eq!(
        made,
        json!({
            "id": id,
            "external_id": "globex",
            "name": "Globex GmbH",
            "email": "billing@globex.example",
            "address": {
                "line1": "Hauptstr. 1", "line2": null, "city": "Berlin", "state": null,
                "postal_code": "10115", "country": "DE",
            },
            "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}],
            "metadata": {"team": "apis"},
            "default_payment_method": null,
            "stripe": null,
            "created_at": now,
            "updated_at": now,
        })
    );
    assert_eq!(location, format!("{CUSTOMERS}/{id}"));
    let read = service.get(&location).await;
    assert_eq!(read.header("etag"), Some(tag.as_str()));
    assert_eq!(read.expect(200), made);

    let bearer = service.bearer();
    let with = |name: &'static str, value: String| {
        let bearer = bearer.clone();
        let (service, location) = (&service, &location);
        async move |method: Method, body: Value| {
            let headers = [("authorization", bearer.as_str()), (name, value.as_str())];
            service.call_with(method, location, &headers, body).await
        }
    };
    let known = with("if-none-match", tag.clone())(Method::GET, Value::Null).await;
    assert_eq!(known.status.as_u16(), 304);
    service.clock.advance_millis(1000);
    let changed = with("if-match", tag.clone())(Method::PATCH, json!({"name": "Globex AG"})).await;
    let second = changed.header("etag").unwrap().to_owned();
    assert_ne!(second, tag);
    assert_eq!(changed.expect(200)["name"], "Globex AG");
    let same = service
        .call(Method::PATCH, &location, json!({"name": "Globex AG"}))
        .await;
    assert_eq!(
        same.header("etag"),
        Some(second.as_str()),
        "what changes nothing leaves no trace"
    );
    for method in [Method::PATCH, Method::DELETE] {
        let body = match method {
            Method::PATCH => json!({"name": "X"}),
            _ => Value::Null,
        };
        with("if-match", tag.clone())(method, body)
            .await
            .problem(412, "precondition_failed");
    }
    let gone = with("if-match", second)(Method::DELETE, Value::Null).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    service.get(&location).await.problem(404, "not_found");
    service.delete(&location).await.problem(404, "not_found");
    assert_eq!(
        service.audited().await,
        [
            "portal.created",
            "customer.created",
            "customer.updated",
            "customer.deleted"
        ]
    );
    assert_eq!(service.calls().await, Vec::<String>::new());
}

async fn an_external_id_is_used_once_in_a_portal(engine: Database) {
    let service = portal(engine).await;
    let id = service.customer("globex").await["id"].clone();
    let refused = service.post(CUSTOMERS, customer("globex")).await;
    let refused = refused.problem(409, "customer_exists");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains(id.as_str().unwrap()), "{detail}");
    service
        .put("/v1/portals/other", json!({"title": "Other"}))
        .await
        .expect(201);
    let elsewhere = "/v1/portals/other/customers";
    let other = service
        .post(elsewhere, customer("globex"))
        .await
        .expect(201);
    assert_ne!(other["id"], id);

    // However many ask at once, one is made and the others learn of it.
    let asked = (0..20).map(|_| service.post(CUSTOMERS, customer("initech")));
    let answers = futures_util::future::join_all(asked).await;
    let mut made = Vec::new();
    let mut others = 0;
    for answer in answers {
        if answer.status.as_u16() == 201 {
            made.push(answer.json()["id"].as_str().unwrap().to_owned());
        } else {
            answer.problem(409, "customer_exists");
            others += 1;
        }
    }
    assert_eq!((made.len(), others), (1, 19));
    let found = service
        .get(&format!("{CUSTOMERS}/ext:initech"))
        .await
        .expect(200);
    assert_eq!(found["id"], made[0]);
}

async fn a_customer_is_found_by_either_name(engine: Database) {
    let service = portal(engine).await;
    for (external_id, encoded) in [
        ("plain", "plain"),
        ("with space", "with%20space"),
        ("100%", "100%25"),
        ("a+b", "a+b"),
        ("ext:x?y#z", "ext:x%3Fy%23z"),
        ("Ünïcode", "%C3%9Cn%C3%AFcode"),
        ("..", ".."),
    ] {
        let made = service.customer(external_id).await;
        let path = format!("{CUSTOMERS}/ext:{encoded}");
        assert_eq!(service.get(&path).await.expect(200), made, "{external_id}");
        let by_id = format!("{CUSTOMERS}/{}", made["id"].as_str().unwrap());
        assert_eq!(service.get(&by_id).await.expect(200), made);
        let patched = service
            .call(Method::PATCH, &path, json!({"name": "By its own name"}))
            .await
            .expect(200);
        assert_eq!(patched["id"], made["id"]);
    }
    for nobody in [
        "nobody",
        "ext:nobody",
        "ext:",
        "ext:a%2Fb",
        "org_01kat5bmf0f3x8q2r7w1e4t6y9",
        "meth_01kat5bmf0f3x8q2r7w1e4t6y9",
    ] {
        for path in ["", "/payment-methods"] {
            service
                .get(&format!("{CUSTOMERS}/{nobody}{path}"))
                .await
                .problem(404, "not_found");
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn what_is_wrong_is_pointed_at(engine: Database) {
    let service = portal(engine).await;
    let with = |field: &str, value: Value| {
        let mut body = customer("globex");
        body[field] = value;
        body
    };
    let long = "x".repeat(257);
    let cases = [
        (with("external_id", json!("")), "/external_id"),
        (with("external_id", json!("a/b")), "/external_id"),
        (with("external_id", json!(" a")), "/external_id"),
        (with("external_id", json!("x".repeat(256))), "/external_id"),
        (with("external_id", json!(null)), "/external_id"),
        (with("name", json!(" ")), "/name"),
        (with("name", json!(long)), "/name"),
        (with("name", json!("a\nb")), "/name"),
        (with("email", json!("nobody")), "/email"),
        (
            with("email", json!(format!("{}@b", "a".repeat(511)))),
            "/email",
        ),
        (
            with("address", json!({"country": "XX"})),
            "/address/country",
        ),
        (
            with("address", json!({"country": "de"})),
            "/address/country",
        ),
        (with("address", json!({"line1": ""})), "/address/line1"),
        (with("address", json!([])), "/address"),
        (
            with("tax_ids", json!([{"type": "EU", "value": "x"}])),
            "/tax_ids/0/type",
        ),
        (
            with("tax_ids", json!([{"type": "eu_vat"}])),
            "/tax_ids/0/value",
        ),
        (
            with("metadata", json!({"k": "sk_live_51PgafTB1WZ2rYsUu"})),
            "/metadata/k",
        ),
        (with("name", json!("sk_live_51PgafTB1WZ2rYsUu")), "/name"),
    ];
    for (body, pointer) in cases {
        let refused = service.post(CUSTOMERS, body.clone()).await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    let unknown = with("card", json!("x"));
    let unknown = service.post(CUSTOMERS, unknown).await;
    assert_eq!(
        unknown.problem(422, "unknown_field")["errors"][0]["pointer"],
        "/card"
    );
    service.customer("globex").await;
    let path = format!("{CUSTOMERS}/ext:globex");
    for (body, pointer) in [
        (json!({"name": null}), "/name"),
        (json!({"email": "x"}), "/email"),
        (json!({"address": {"country": "EU"}}), "/address/country"),
        (
            json!({"default_payment_method": "pm_1"}),
            "/default_payment_method",
        ),
        (
            json!({"tax_ids": [{"type": "eu_vat", "value": "1"}, {"type": "eu_vat", "value": "1"}]}),
            "/tax_ids/1/value",
        ),
    ] {
        let refused = service.call(Method::PATCH, &path, body.clone()).await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    let external = service
        .call(Method::PATCH, &path, json!({"external_id": "other"}))
        .await;
    external.problem(422, "unknown_field");
    for bad in ["limit=0", "created[gte]=yesterday", "email=x"] {
        let answer = service.get(&format!("{CUSTOMERS}?{bad}")).await;
        assert_eq!(answer.status.as_u16(), 422, "{bad}: {}", answer.text);
    }
    let nobodys = json!({"default_payment_method": "meth_01kat5bmf0f3x8q2r7w1e4t6y9"});
    service
        .call(Method::PATCH, &path, nobodys)
        .await
        .problem(409, "payment_method_unusable");
}

async fn card_numbers_are_refused_in_every_field(engine: Database) {
    const CARD: &str = "4242 4242 4242 4242";
    let service = portal(engine).await;
    service.customer("globex").await;
    let one = format!("{CUSTOMERS}/ext:globex");
    let text = || json!(format!("my card {CARD}"));
    let mut asked = 0;
    for (field, value) in [
        ("external_id", text()),
        ("name", text()),
        ("email", text()),
        ("address", json!({"line1": text()})),
        ("address", json!({"postal_code": text()})),
        ("tax_ids", json!([{"type": "eu_vat", "value": text()}])),
        ("metadata", json!({"k": text()})),
        ("metadata", json!({CARD: "v"})),
        ("number", json!(4_242_424_242_424_242_i64)),
    ] {
        let mut body = customer("initech");
        body[field] = value.clone();
        let posted = service.post(CUSTOMERS, body).await;
        let patched = service
            .call(Method::PATCH, &one, json!({field: value}))
            .await;
        for answer in [posted, patched] {
            assert!(!answer.text.contains("4242"), "{}", answer.text);
            answer.problem(422, "pan_detected");
            asked += 1;
        }
    }
    let routes = [
        "payment-methods",
        "setup-intents",
        "checkout-sessions",
        "portal-sessions",
    ];
    for route in routes {
        for body in [
            json!({"payment_method": CARD}),
            json!({"card": {"number": "4242424242424242", "cvc": "123"}}),
            json!({"success_url": format!("https://portal.example/?{CARD}")}),
        ] {
            let answer = service
                .post_once(&format!("{one}/{route}"), "card-number-1", body)
                .await;
            assert!(!answer.text.contains("4242"), "{}", answer.text);
            answer.problem(422, "pan_detected");
            asked += 1;
        }
    }
    assert_eq!(asked, 30);
    assert_eq!(service.calls().await, Vec::<String>::new());
    assert_eq!(service.audited().await.len(), 2, "nothing was done");
}

async fn a_merge_patch_changes_parts(engine: Database) {
    let service = portal(engine).await;
    let mut body = customer("globex");
    body["address"] = json!({"line1": "Hauptstr. 1", "line2": "Hof", "country": "DE"});
    body["metadata"] = json!({"a": "1", "b": "2"});
    service.post(CUSTOMERS, body).await.expect(201);
    let path = format!("{CUSTOMERS}/ext:globex");
    let patch = async |body: Value| service.call(Method::PATCH, &path, body).await.expect(200);
    let changed = patch(json!({
        "address": {"line2": null, "city": "Berlin"},
        "metadata": {"a": null, "c": "3"},
        "tax_ids": [{"type": "eu_vat", "value": "DE123456789"}],
    }))
    .await;
    assert_eq!(
        changed["address"],
        json!({
            "line1": "Hauptstr. 1", "line2": null, "city": "Berlin", "state": null,
            "postal_code": null, "country": "DE",
        })
    );
    assert_eq!(changed["metadata"], json!({"b": "2", "c": "3"}));
    assert_eq!(changed["tax_ids"][0]["value"], "DE123456789");
    let cleared = patch(json!({"address": null, "metadata": null, "tax_ids": null})).await;
    assert_eq!(
        (
            &cleared["address"],
            &cleared["metadata"],
            &cleared["tax_ids"]
        ),
        (&Value::Null, &json!({}), &json!([]))
    );
    let again = patch(json!({"address": {"country": "FR"}})).await;
    assert_eq!(again["address"]["country"], "FR");
    let emptied = patch(json!({"address": {"country": null}})).await;
    assert_eq!(emptied["address"], Value::Null);

    let fifty: Value = (0..50).map(|n| (format!("k{n}"), json!("v"))).collect();
    patch(json!({"metadata": fifty})).await;
    let over = service
        .call(Method::PATCH, &path, json!({"metadata": {"one_more": "v"}}))
        .await;
    assert_eq!(
        over.problem(422, "validation_failed")["errors"][0]["code"],
        "too_many"
    );
}

async fn lists_page_and_filter(engine: Database) {
    let service = portal(engine).await;
    for n in 0..7 {
        // Three made in the same millisecond: the id decides.
        if n != 3 && n != 4 {
            service.clock.advance_millis(10);
        }
        service.customer(&format!("c{n}")).await;
    }
    let names = |page: &Value| {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|item| item["external_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    let mut path = format!("{CUSTOMERS}?limit=3");
    loop {
        let page = service.get(&path).await.expect(200);
        seen.extend(names(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{CUSTOMERS}?limit=3&cursor={cursor}");
    }
    assert_eq!(seen.len(), 7);
    assert_eq!((seen[0].as_str(), seen[6].as_str()), ("c6", "c0"));
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), 7);

    let found = service
        .get(&format!("{CUSTOMERS}?external_id=c2"))
        .await
        .expect(200);
    assert_eq!(names(&found), ["c2"]);
    let last = service
        .get(&format!("{CUSTOMERS}/ext:c6"))
        .await
        .expect(200);
    let since = last["created_at"].as_str().unwrap();
    let newest = service
        .get(&format!("{CUSTOMERS}?created[gte]={since}"))
        .await
        .expect(200);
    assert_eq!(names(&newest), ["c6"]);
    let older = service
        .get(&format!("{CUSTOMERS}?created[lt]={since}&limit=1"))
        .await
        .expect(200);
    assert_eq!(names(&older), ["c5"]);
    let cursor = older["next_cursor"].as_str().unwrap();
    service
        .put("/v1/portals/other", json!({"title": "Other"}))
        .await
        .expect(201);
    service
        .get(&format!("/v1/portals/other/customers?cursor={cursor}"))
        .await
        .problem(400, "invalid_cursor");
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn an_organization_sees_itself_alone(engine: Database) {
    let service = portal(engine).await;
    let theirs = service.customer("initech").await;
    let their_path = format!("{CUSTOMERS}/{}", theirs["id"].as_str().unwrap());
    let as_globex = async |method: Method, path: &str, body: Value| {
        service.call_bound("globex", method, path, body).await
    };
    let made = as_globex(Method::POST, CUSTOMERS, customer("globex"))
        .await
        .expect(201);
    let own = format!("{CUSTOMERS}/{}", made["id"].as_str().unwrap());
    assert_eq!(
        as_globex(Method::GET, &own, Value::Null).await.expect(200),
        made
    );
    let patched = as_globex(Method::PATCH, &own, json!({"name": "Us"})).await;
    assert_eq!(patched.expect(200)["name"], "Us");
    let list = as_globex(Method::GET, CUSTOMERS, Value::Null)
        .await
        .expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], made["id"]);
    let hidden = as_globex(
        Method::GET,
        &format!("{CUSTOMERS}?external_id=initech"),
        Value::Null,
    )
    .await;
    assert_eq!(hidden.expect(200)["data"], json!([]));

    let nothing = |answer: crate::support::service::Answer, path: &str| {
        let mut body = answer.problem(404, "not_found");
        assert_eq!(body["instance"], path);
        body["instance"] = Value::Null;
        body["request_id"] = Value::Null;
        body
    };
    let nowhere = format!("{CUSTOMERS}/org_01kat5bmf0f3x8q2r7w1e4t6y9");
    let absent = nothing(
        as_globex(Method::GET, &nowhere, Value::Null).await,
        &nowhere,
    );
    let of_initech = format!("{CUSTOMERS}/ext:initech");
    for (method, path, body) in [
        (Method::GET, their_path.clone(), Value::Null),
        (Method::GET, of_initech.clone(), Value::Null),
        (Method::PATCH, their_path.clone(), json!({"name": "Ours"})),
        (
            Method::GET,
            format!("{their_path}/payment-methods"),
            Value::Null,
        ),
        (
            Method::POST,
            format!("{their_path}/payment-methods"),
            json!({"payment_method": "pm_1"}),
        ),
        (
            Method::POST,
            format!("{their_path}/setup-intents"),
            json!({}),
        ),
        (
            Method::POST,
            format!("{their_path}/portal-sessions"),
            json!({"return_url": "https://x.example"}),
        ),
        (Method::POST, CUSTOMERS.to_owned(), customer("initech")),
        (
            Method::POST,
            CUSTOMERS.to_owned(),
            customer("somebody-else"),
        ),
    ] {
        let answer = as_globex(method, &path, body).await;
        assert_eq!(nothing(answer, &path), absent, "{path}");
    }
    as_globex(Method::DELETE, &own, Value::Null)
        .await
        .problem(403, "organization_bound");
    let untouched = service.get(&their_path).await.expect(200);
    assert_eq!(untouched, theirs);
}

async fn a_key_makes_one_customer(engine: Database) {
    let service = portal(engine).await;
    let first = service
        .post_once(CUSTOMERS, "make-globex", customer("globex"))
        .await;
    let first_text = first.text.clone();
    first.expect(201);
    let again = service
        .post_once(CUSTOMERS, "make-globex", customer("globex"))
        .await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status.as_u16(), again.text), (201, first_text));
    service
        .post_once(CUSTOMERS, "make-globex", customer("initech"))
        .await
        .problem(422, "idempotency_key_reused");
    let list = service.get(CUSTOMERS).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
