//! Customers that Stripe knows: changes go there first, and end alike on both sides whatever fails.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::{CUSTOMERS, customer};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_change_reaches_stripe_and_is_stored_when_it_has_agreed,
    tax_ids_follow_one_by_one,
    what_stripe_refuses_changes_nothing,
    a_deleted_customer_is_deleted_there_first,
    faults_on_the_way_end_in_one_state,
    without_credentials_what_stripe_knows_stays_as_it_is,
    changes_in_any_number_end_alike_on_both_sides,
);

const GLOBEX: &str = "/v1/portals/acme/customers/ext:globex";

/// A customer that Stripe knows.
async fn linked(service: &Service, body: Value) -> Value {
    service.with_billing().await;
    service.post(CUSTOMERS, body).await.expect(201);
    service
        .post(&format!("{GLOBEX}/setup-intents"), json!({}))
        .await
        .expect(201);
    service.forget_calls().await;
    service.get(GLOBEX).await.expect(200)
}

async fn there(service: &Service) -> Value {
    let mut all = service.objects_at_stripe("customer").await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

async fn a_change_reaches_stripe_and_is_stored_when_it_has_agreed(engine: Database) {
    let service = Service::start(engine).await;
    let mut body = customer("globex");
    body["address"] = json!({"line1": "Hauptstr. 1", "country": "DE"});
    let made = linked(&service, body).await;
    let own = there(&service).await;
    assert_eq!(
        made["stripe"],
        json!({
            "account": service.get("/v1/portals/acme/modules/stripe").await.json()["account"]["id"],
            "livemode": false,
            "customer": own["id"],
        })
    );
    assert_eq!(own["metadata"]["portal_billing_customer"], made["id"]);
    assert_eq!(own["metadata"]["portal_billing_portal"], "acme");
    assert_eq!(
        (&own["name"], &own["email"]),
        (&made["name"], &made["email"])
    );

    let patch = json!({
        "name": "Globex AG", "email": "pay@globex.example",
        "address": {"line1": null, "city": "Bonn"}, "metadata": {"seen": "yes"},
    });
    let answer = service.call(Method::PATCH, GLOBEX, patch).await;
    let tag = answer.header("etag").unwrap().to_owned();
    let changed = answer.expect(200);
    assert_eq!(changed["name"], "Globex AG");
    assert_eq!(changed["metadata"], json!({"seen": "yes"}));
    let read = service.get(GLOBEX).await;
    assert_eq!(read.header("etag"), Some(tag.as_str()));
    assert_eq!(read.expect(200), changed);
    let own = there(&service).await;
    assert_eq!(own["name"], "Globex AG");
    assert_eq!(own["email"], "pay@globex.example");
    assert_eq!(own["address"]["city"], "Bonn");
    assert!(matches!(own["address"]["line1"].as_str(), None | Some("")));
    assert_eq!(own["metadata"].as_object().unwrap().len(), 4, "{own}");
    assert_eq!(service.calls().await, ["POST /v1/customers/{customer}"]);

    // What Stripe need not know, it is not told.
    let mine = json!({"metadata": {"seen": "no"}});
    service.call(Method::PATCH, GLOBEX, mine).await.expect(200);
    let same = json!({"name": "Globex AG"});
    service.call(Method::PATCH, GLOBEX, same).await.expect(200);
    assert_eq!(service.calls().await.len(), 1);
}

async fn tax_ids_follow_one_by_one(engine: Database) {
    let service = Service::start(engine).await;
    let mut body = customer("globex");
    let vat = |value: &str| json!({"type": "eu_vat", "value": value});
    body["tax_ids"] = json!([vat("DE123456789"), vat("FRAB123456789")]);
    linked(&service, body).await;
    let values = async || {
        let mut values: Vec<String> = service
            .objects_at_stripe("tax_id")
            .await
            .iter()
            .map(|tax_id| tax_id["value"].as_str().unwrap().to_owned())
            .collect();
        values.sort();
        values
    };
    assert_eq!(values().await, ["DE123456789", "FRAB123456789"]);
    let patch = json!({"name": "Globex AG", "tax_ids": [vat("FRAB123456789"), vat("ATU12345678")]});
    let changed = service.call(Method::PATCH, GLOBEX, patch).await.expect(200);
    assert_eq!(changed["tax_ids"][1]["value"], "ATU12345678");
    assert_eq!(values().await, ["ATU12345678", "FRAB123456789"]);
    assert_eq!(
        service.calls().await,
        [
            "GET /v1/customers/{customer}/tax_ids",
            "POST /v1/customers/{customer}/tax_ids",
            "POST /v1/customers/{customer}",
            "DELETE /v1/customers/{customer}/tax_ids/{id}",
        ]
    );

    // Old and new ones have to fit together.
    let many: Vec<Value> = (0..4).map(|n| vat(&format!("DE00000000{n}"))).collect();
    let refused = service
        .call(Method::PATCH, GLOBEX, json!({"tax_ids": many}))
        .await
        .problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/tax_ids");

    // What Stripe refuses leaves neither side changed.
    let wrong = json!({"name": "Never", "tax_ids": [vat("DE111111111"), {"type": "no_such_kind", "value": "x"}]});
    service
        .call(Method::PATCH, GLOBEX, wrong)
        .await
        .problem(422, "stripe_refused");
    assert_eq!(values().await, ["ATU12345678", "FRAB123456789"]);
    assert_eq!(service.get(GLOBEX).await.expect(200), changed);
    assert_eq!(there(&service).await["name"], "Globex AG");

    // An answer that Stripe lost gives no tax id twice.
    service
        .fault("error_after", "POST", "/v1/customers/{customer}/tax_ids")
        .await;
    let more = json!({"tax_ids": [vat("DE222222222")]});
    service.call(Method::PATCH, GLOBEX, more).await.expect(200);
    assert_eq!(values().await, ["DE222222222"]);
}

async fn what_stripe_refuses_changes_nothing(engine: Database) {
    let service = Service::start(engine).await;
    let before = linked(&service, customer("globex")).await;
    // Somebody has deleted it in Stripe's dashboard.
    let id = before["stripe"]["customer"].as_str().unwrap();
    let request = service
        .client
        .delete(format!(
            "{}/v1/customers/{id}",
            service.simulator.base_url()
        ))
        .bearer_auth(crate::support::service::SECRET_KEY);
    Service::answer(request).await.expect(200);
    let refused = service
        .call(Method::PATCH, GLOBEX, json!({"name": "Globex AG"}))
        .await
        .problem(422, "stripe_refused");
    assert_eq!(refused["stripe"]["code"], "resource_missing");
    assert_eq!(service.get(GLOBEX).await.expect(200), before);
    // Deleting it here is what is left.
    service.delete(GLOBEX).await.expect(204);
    service.get(GLOBEX).await.problem(404, "not_found");
}

async fn a_deleted_customer_is_deleted_there_first(engine: Database) {
    let service = Service::start(engine).await;
    linked(&service, customer("globex")).await;
    let card = service.card("visa").await;
    service
        .save("ext:globex", "save-0001", json!({"payment_method": card}))
        .await
        .expect(201);
    service.forget_calls().await;
    service.delete(GLOBEX).await.expect(204);
    assert_eq!(service.calls().await, ["DELETE /v1/customers/{customer}"]);
    service.get(GLOBEX).await.problem(404, "not_found");
    let all = service.objects_at_stripe("customer").await;
    assert!(
        all.iter().all(|own| own["deleted"] == true),
        "nothing is left: {all:?}"
    );
    // The same organization may come again, and is somebody new at Stripe.
    service.customer("globex").await;
    service
        .post(&format!("{GLOBEX}/setup-intents"), json!({}))
        .await
        .expect(201);
    let actions = service.audited().await;
    assert!(
        actions.contains(&"payment_method.deleted".to_owned()),
        "{actions:?}"
    );
    assert!(
        actions.contains(&"customer.deleted".to_owned()),
        "{actions:?}"
    );
}

async fn faults_on_the_way_end_in_one_state(engine: Database) {
    let service = Service::start_with(engine, FAST).await;
    linked(&service, customer("globex")).await;
    for (n, kind) in FAULTS.iter().enumerate() {
        service
            .fault(kind, "POST", "/v1/customers/{customer}")
            .await;
        let name = format!("Globex {n}");
        let changed = service
            .call(Method::PATCH, GLOBEX, json!({"name": name}))
            .await
            .expect(200);
        assert_eq!(changed["name"], name, "{kind}");
        assert_eq!(there(&service).await["name"], name, "{kind}");
    }
    for kind in ["reset_after", "error_after"] {
        service
            .fault(kind, "DELETE", "/v1/customers/{customer}")
            .await;
        service.delete(GLOBEX).await.expect(204);
        service.customer("globex").await;
        service
            .post(&format!("{GLOBEX}/setup-intents"), json!({}))
            .await
            .expect(201);
    }
}

async fn without_credentials_what_stripe_knows_stays_as_it_is(engine: Database) {
    let service = Service::start(engine).await;
    let before = linked(&service, customer("globex")).await;
    service.customer("initech").await;
    let module = "/v1/portals/acme/modules/stripe";
    service
        .put(module, json!({"enabled": false}))
        .await
        .expect(200);
    let name = || json!({"name": "X"});
    service
        .call(Method::PATCH, GLOBEX, name())
        .await
        .problem(409, "module_disabled");
    service.delete(GLOBEX).await.problem(409, "module_disabled");
    service
        .put(module, json!({"enabled": true}))
        .await
        .expect(200);
    service
        .delete(&format!("{module}/credentials"))
        .await
        .expect(204);
    for method in [Method::PATCH, Method::DELETE] {
        let body = match method {
            Method::PATCH => name(),
            _ => Value::Null,
        };
        service
            .call(method, GLOBEX, body)
            .await
            .problem(409, "stripe_not_ready");
    }
    assert_eq!(service.get(GLOBEX).await.expect(200), before);
    // Of what Stripe does not know, nobody has to be told.
    let initech = format!("{CUSTOMERS}/ext:initech");
    service
        .call(Method::PATCH, &initech, name())
        .await
        .expect(200);
    service.delete(&initech).await.expect(204);
    for route in ["setup-intents", "payment-methods"] {
        let body = match route {
            "setup-intents" => json!({}),
            _ => json!({"payment_method": "pm_1"}),
        };
        service
            .post_once(&format!("{GLOBEX}/{route}"), "no-keys-01", body)
            .await
            .problem(409, "stripe_not_ready");
    }
}

async fn changes_in_any_number_end_alike_on_both_sides(engine: Database) {
    let service = Service::start_with(engine, FAST).await;
    linked(&service, customer("globex")).await;
    let changes = (0..12).map(|n| {
        let body = json!({"name": format!("Globex {n}"), "metadata": {format!("k{n}"): "v"}});
        service.call(Method::PATCH, GLOBEX, body)
    });
    for answer in futures_util::future::join_all(changes).await {
        answer.expect(200);
    }
    let own = service.get(GLOBEX).await.expect(200);
    assert_eq!(there(&service).await["name"], own["name"]);
    assert_eq!(
        own["metadata"].as_object().unwrap().len(),
        12,
        "none is lost"
    );
    let updates = service.audited().await;
    let updates = updates.iter().filter(|it| *it == "customer.updated");
    // One for each change, and one for the linking.
    assert_eq!(updates.count(), 13);
}

/// What may befall any one call and must not be seen from outside.
const FAULTS: [&str; 11] = [
    "rate_limit",
    "lock_timeout",
    "conflict",
    "error_before",
    "error_after",
    "bad_gateway_before",
    "bad_gateway_after",
    "reset_before",
    "reset_after",
    "truncated_body",
    "not_json",
];

/// Settings with which nothing is waited for long.
const FAST: &[(&str, &str)] = &[
    ("operations.first_backoff_ms", "5"),
    ("stripe.test_calls_per_second", "10000"),
    ("stripe.endpoint_calls_per_second", "10000"),
];
