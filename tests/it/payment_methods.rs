//! Payment methods over HTTP: saved once whatever happens, never by number.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

mod in_use;
mod listed;
mod races;
mod setup;

on_both_databases!(
    the_first_method_makes_the_customer_in_one_call,
    a_second_method_is_attached_and_may_become_the_default,
    the_same_method_again_is_what_was_saved,
    a_declined_card_leaves_nothing,
    what_cannot_be_used_is_refused_alike,
    a_detached_method_is_gone_for_good,
    a_method_takes_anothers_place,
    an_organization_sees_its_own_methods_alone,
    what_is_wrong_is_pointed_at,
);

async fn billing(engine: Database) -> Service {
    let service = Service::start(engine).await;
    service.with_billing().await;
    service.customer("globex").await;
    service.forget_calls().await;
    service
}

fn methods(customer: &str) -> String {
    format!("{CUSTOMERS}/ext:{customer}/payment-methods")
}

#[expect(clippy::too_many_lines, reason = "one life, told in its order")]
async fn the_first_method_makes_the_customer_in_one_call(engine: Database) {
    let service = billing(engine).await;
    let card = service.card("visa").await;
    service.forget_calls().await;
    let answer = service
        .save("ext:globex", "save-0001", json!({"payment_method": card}))
        .await;
    let location = answer.header("location").unwrap().to_owned();
    let tag = answer.header("etag").unwrap().to_owned();
    let text = answer.text.clone();
    let saved = answer.expect(201);
    let customer = service
        .get(&format!("{CUSTOMERS}/ext:globex"))
        .await
        .expect(200);
    let now = service.clock.now().to_rfc3339();
    let id = saved["id"].as_str().unwrap();
    assert!(id.starts_with("meth_"), "{id}");
    assert_eq!(
        saved,
        json!({
            "id": id,
            "customer": customer["id"],
            "type": "card",
            "card": {
                "brand": "visa", "last4": "4242", "exp_month": saved["card"]["exp_month"],
                "exp_year": saved["card"]["exp_year"], "funding": "credit", "country": "US",
            },
            "status": "usable",
            "default": true,
            "stripe": {
                "account": customer["stripe"]["account"], "livemode": false, "payment_method": card,
            },
            "created_at": now,
            "updated_at": now,
        })
    );
    assert_eq!(service.calls().await, ["POST /v1/customers"]);
    assert_eq!(customer["default_payment_method"], saved["id"]);
    assert_eq!(
        location,
        format!(
            "{CUSTOMERS}/{}/payment-methods/{id}",
            customer["id"].as_str().unwrap()
        )
    );
    let read = service.get(&location).await;
    assert_eq!(read.header("etag"), Some(tag.as_str()));
    assert_eq!(read.expect(200), saved);
    let there = service.objects_at_stripe("customer").await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0]["invoice_settings"]["default_payment_method"], card);

    let again = service
        .save("ext:globex", "save-0001", json!({"payment_method": card}))
        .await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.status.as_u16(), again.text), (201, text));
    service
        .save(
            "ext:globex",
            "save-0001",
            json!({"payment_method": "pm_other"}),
        )
        .await
        .problem(422, "idempotency_key_reused");
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str())];
    service
        .call_with(
            Method::POST,
            &methods("globex"),
            &headers,
            json!({"payment_method": card}),
        )
        .await
        .problem(400, "idempotency_key_missing");
    assert_eq!(
        service.calls().await.len(),
        1,
        "none of these reached Stripe"
    );
    assert_eq!(
        service.audited().await[4..],
        [
            "customer.created",
            "customer.updated",
            "payment_method.created",
            "customer.updated"
        ]
    );
}

async fn a_second_method_is_attached_and_may_become_the_default(engine: Database) {
    let service = billing(engine).await;
    let save = async |key: &str, name: &str, more: Value| {
        let mut body = json!({"payment_method": service.card(name).await});
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        service.forget_calls().await;
        service.save("ext:globex", key, body).await.expect(201)
    };
    // Explicitly not the default: the customer is made without it, and has none.
    let first = save("save-0001", "visa", json!({"default": false})).await;
    assert_eq!(first["default"], false);
    assert_eq!(
        service.calls().await,
        [
            "POST /v1/customers",
            "POST /v1/payment_methods/{payment_method}/attach"
        ]
    );
    let second = save("save-0002", "mastercard", json!({})).await;
    assert_eq!(second["default"], true, "there was no other");
    assert_eq!(
        service.calls().await,
        [
            "POST /v1/payment_methods/{payment_method}/attach",
            "POST /v1/customers/{customer}"
        ]
    );
    let third = save("save-0003", "amex", json!({})).await;
    assert_eq!(third["default"], false);
    assert_eq!(service.calls().await.len(), 1);
    let fourth = save("save-0004", "jcb", json!({"default": true})).await;
    assert_eq!(fourth["default"], true);

    let default_there = async || {
        let all = service.objects_at_stripe("customer").await;
        all[0]["invoice_settings"]["default_payment_method"].clone()
    };
    assert_eq!(default_there().await, fourth["stripe"]["payment_method"]);
    // By the customer, too.
    let own = format!("{CUSTOMERS}/ext:globex");
    let to = json!({"default_payment_method": first["id"]});
    let changed = service.call(Method::PATCH, &own, to).await.expect(200);
    assert_eq!(changed["default_payment_method"], first["id"]);
    assert_eq!(default_there().await, first["stripe"]["payment_method"]);
    let none = json!({"default_payment_method": null});
    let changed = service.call(Method::PATCH, &own, none).await.expect(200);
    assert_eq!(changed["default_payment_method"], Value::Null);
    assert_eq!(default_there().await, Value::Null);
    let list = service.get(&methods("globex")).await.expect(200);
    let listed = list["data"].as_array().unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|method| method["default"] == false));
}

async fn the_same_method_again_is_what_was_saved(engine: Database) {
    let service = billing(engine).await;
    let card = service.card("visa").await;
    let saved = service
        .save("ext:globex", "save-0001", json!({"payment_method": card}))
        .await
        .expect(201);
    service.forget_calls().await;
    let again = service
        .save("ext:globex", "save-0002", json!({"payment_method": card}))
        .await
        .expect(200);
    assert_eq!(again, saved);
    assert_eq!(service.calls().await, Vec::<String>::new());
    // What was attached by other hands is found to be so.
    let customer = service.objects_at_stripe("customer").await[0]["id"].clone();
    let other = service.card("mastercard").await;
    service
        .stripe(
            &format!("/v1/payment_methods/{other}/attach"),
            &[("customer", customer.as_str().unwrap())],
        )
        .await;
    let saved = service
        .save(
            "ext:globex",
            "save-0003",
            json!({"payment_method": other, "default": true}),
        )
        .await
        .expect(201);
    assert_eq!(
        (&saved["stripe"]["payment_method"], &saved["default"]),
        (&json!(other), &json!(true))
    );
    // The same again as the default costs the one call that makes it so.
    service.forget_calls().await;
    let first = service
        .save(
            "ext:globex",
            "save-0004",
            json!({"payment_method": card, "default": true}),
        )
        .await
        .expect(200);
    assert_eq!(first["default"], true);
    assert_eq!(service.calls().await, ["POST /v1/customers/{customer}"]);
}

async fn a_declined_card_leaves_nothing(engine: Database) {
    let service = billing(engine).await;
    let declined = async |key: &str| {
        let card = service.card("chargeDeclinedLostCard").await;
        let refused = service
            .save("ext:globex", key, json!({"payment_method": card}))
            .await;
        let text = refused.text.clone();
        let problem = refused.problem(402, "payment_declined");
        assert_eq!(problem["stripe"]["code"], "card_declined");
        assert_eq!(problem["stripe"]["decline_code"], "lost_card");
        let again = service
            .save("ext:globex", key, json!({"payment_method": card}))
            .await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.text, text);
        let list = service.get(&methods("globex")).await.expect(200);
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(declined("save-0001").await, 0);
    let customer = service
        .get(&format!("{CUSTOMERS}/ext:globex"))
        .await
        .expect(200);
    assert_eq!(customer["stripe"], Value::Null);
    assert!(service.objects_at_stripe("customer").await.is_empty());
    let good = service.card("visa").await;
    service
        .save("ext:globex", "save-0002", json!({"payment_method": good}))
        .await
        .expect(201);
    assert_eq!(declined("save-0003").await, 1);
}

async fn what_cannot_be_used_is_refused_alike(engine: Database) {
    let service = billing(engine).await;
    service.customer("initech").await;
    let theirs = service.card("visa").await;
    let saved = service
        .save(
            "ext:initech",
            "save-0001",
            json!({"payment_method": theirs}),
        )
        .await
        .expect(201);
    let elsewhere = service.card("visa").await;
    let stranger = service
        .stripe("/v1/customers", &[("name", "Stranger")])
        .await;
    service
        .stripe(
            &format!("/v1/payment_methods/{elsewhere}/attach"),
            &[("customer", stranger["id"].as_str().unwrap())],
        )
        .await;
    let mut details = Vec::new();
    let mut key = 0;
    // Before Stripe knows the customer, and after.
    for _ in 0..2 {
        for body in [
            json!({"payment_method": theirs}),
            json!({"payment_method": elsewhere}),
            json!({"payment_method": "pm_nobody"}),
            json!({"setup_intent": "seti_nobody"}),
            json!({"checkout_session": "cs_test_nobody"}),
            json!({"payment_method": theirs, "replaces": saved["id"]}),
            json!({"payment_method": theirs, "replaces": "meth_01kat5bmf0f3x8q2r7w1e4t6y9"}),
        ] {
            key += 1;
            let refused = service
                .save("ext:globex", &format!("wrong-{key:04}"), body.clone())
                .await;
            let problem = refused.problem(409, "payment_method_unusable");
            assert!(problem.get("stripe").is_none(), "{body}: {problem}");
            details.push(problem["detail"].clone());
        }
        let own = format!("{CUSTOMERS}/ext:globex");
        let to = json!({"default_payment_method": saved["id"]});
        let refused = service.call(Method::PATCH, &own, to).await;
        details.push(refused.problem(409, "payment_method_unusable")["detail"].clone());
        service
            .post(&format!("{own}/setup-intents"), json!({}))
            .await
            .expect(201);
    }
    details.dedup();
    assert_eq!(
        details.len(),
        1,
        "one answer, whatever is the matter: {details:?}"
    );
    let list = service.get(&methods("globex")).await.expect(200);
    assert_eq!(list["data"], json!([]));
    let path = format!("{}/{}", methods("globex"), saved["id"].as_str().unwrap());
    service.get(&path).await.problem(404, "not_found");
    service.delete(&path).await.problem(404, "not_found");
}

async fn a_detached_method_is_gone_for_good(engine: Database) {
    let service = billing(engine).await;
    let card = service.card("visa").await;
    let saved = service
        .save("ext:globex", "save-0001", json!({"payment_method": card}))
        .await;
    let tag = saved.header("etag").unwrap().to_owned();
    let saved = saved.expect(201);
    let path = format!("{}/{}", methods("globex"), saved["id"].as_str().unwrap());
    let bearer = service.bearer();
    let remove = async |tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        service
            .call_with(Method::DELETE, &path, &headers, Value::Null)
            .await
    };
    remove("\"1.1\"").await.problem(412, "precondition_failed");
    service.forget_calls().await;
    remove(&tag).await.expect(204);
    assert_eq!(
        service.calls().await,
        ["POST /v1/payment_methods/{payment_method}/detach"]
    );
    service.delete(&path).await.problem(404, "not_found");
    let read = service.get(&path).await.expect(200);
    assert_eq!(
        (&read["status"], &read["default"]),
        (&json!("detached"), &json!(false))
    );
    let list = service.get(&methods("globex")).await.expect(200);
    assert_eq!(list["data"], json!([]));
    let customer = service
        .get(&format!("{CUSTOMERS}/ext:globex"))
        .await
        .expect(200);
    assert_eq!(customer["default_payment_method"], Value::Null);
    service
        .save("ext:globex", "save-0002", json!({"payment_method": card}))
        .await
        .problem(409, "payment_method_unusable");

    // One that somebody has detached at Stripe is only forgotten here.
    let other = service.card("visa").await;
    let saved = service
        .save("ext:globex", "save-0003", json!({"payment_method": other}))
        .await
        .expect(201);
    service
        .stripe(&format!("/v1/payment_methods/{other}/detach"), &[])
        .await;
    let path = format!("{}/{}", methods("globex"), saved["id"].as_str().unwrap());
    service.delete(&path).await.expect(204);
    assert_eq!(service.get(&path).await.expect(200)["status"], "detached");
}

async fn a_method_takes_anothers_place(engine: Database) {
    let service = billing(engine).await;
    let save = async |key: &str, name: &str, more: Value| {
        let mut body = json!({"payment_method": service.card(name).await});
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        service.forget_calls().await;
        service.save("ext:globex", key, body).await
    };
    let old = save("save-0001", "visa", json!({})).await.expect(201);
    let new = save("save-0002", "mastercard", json!({"replaces": old["id"]}))
        .await
        .expect(201);
    assert_eq!(new["default"], true);
    assert_eq!(
        service.calls().await,
        [
            "POST /v1/payment_methods/{payment_method}/attach",
            "POST /v1/customers/{customer}",
            "POST /v1/payment_methods/{payment_method}/detach"
        ]
    );
    let list = service.get(&methods("globex")).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], new["id"]);
    // One that is not the default is replaced by one that is not.
    let side = save("save-0003", "amex", json!({})).await.expect(201);
    let next = save("save-0004", "jcb", json!({"replaces": side["id"]}))
        .await
        .expect(201);
    assert_eq!(next["default"], false);
    assert_eq!(service.calls().await.len(), 2);
    // A declined one takes nobody's place.
    save(
        "save-0005",
        "chargeDeclined",
        json!({"replaces": new["id"]}),
    )
    .await
    .problem(402, "payment_declined");
    let path = format!("{}/{}", methods("globex"), new["id"].as_str().unwrap());
    let kept = service.get(&path).await.expect(200);
    assert_eq!(
        (&kept["status"], &kept["default"]),
        (&json!("usable"), &json!(true))
    );
    // One that is gone has no place.
    save("save-0006", "visa", json!({"replaces": old["id"]}))
        .await
        .problem(409, "payment_method_unusable");
}

async fn an_organization_sees_its_own_methods_alone(engine: Database) {
    let service = billing(engine).await;
    service.customer("initech").await;
    let card = service.card("visa").await;
    let path = methods("globex");
    let saved = service
        .call_bound(
            "globex",
            Method::POST,
            &path,
            json!({"payment_method": card}),
        )
        .await
        .expect(201);
    let one = format!("{path}/{}", saved["id"].as_str().unwrap());
    let of_initech = format!("{}/{}", methods("initech"), saved["id"].as_str().unwrap());
    for (organization, path, status) in [
        ("globex", &one, 200),
        ("initech", &one, 404),
        ("initech", &of_initech, 404),
    ] {
        for (method, refused) in [(Method::GET, 404), (Method::DELETE, 404)] {
            if status == refused {
                service
                    .call_bound(organization, method, path, Value::Null)
                    .await
                    .problem(404, "not_found");
            }
        }
        if status == 200 {
            let read = service
                .call_bound(organization, Method::GET, path, Value::Null)
                .await;
            assert_eq!(read.expect(200), saved);
        }
    }
    // Its operations are its own, too.
    let operations = "/v1/portals/acme/operations";
    let count = async |organization: &str| {
        let list = service
            .call_bound(organization, Method::GET, operations, Value::Null)
            .await
            .expect(200);
        list["data"].as_array().unwrap().len()
    };
    assert_eq!((count("globex").await, count("initech").await), (1, 0));
    service
        .call_bound("globex", Method::DELETE, &one, Value::Null)
        .await
        .expect(204);
}

async fn what_is_wrong_is_pointed_at(engine: Database) {
    let service = billing(engine).await;
    let cases = [
        (json!({}), ""),
        (
            json!({"payment_method": "pm_1", "setup_intent": "seti_1"}),
            "",
        ),
        (json!({"payment_method": "card_1"}), "/payment_method"),
        (json!({"payment_method": "pm_1/../x"}), "/payment_method"),
        (json!({"setup_intent": "seti_1_secret_2"}), "/setup_intent"),
        (json!({"checkout_session": "seti_1"}), "/checkout_session"),
        (
            json!({"payment_method": "pm_1", "replaces": "pm_2"}),
            "/replaces",
        ),
        (
            json!({"payment_method": "pm_1", "default": "yes"}),
            "/default",
        ),
    ];
    for (number, (body, pointer)) in cases.into_iter().enumerate() {
        let refused = service
            .save("ext:globex", &format!("wrong-{number:04}"), body.clone())
            .await
            .problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    service
        .save(
            "ext:nobody",
            "wrong-9999",
            json!({"payment_method": "pm_1"}),
        )
        .await
        .problem(404, "not_found");
    assert_eq!(service.calls().await, Vec::<String>::new());
}
