//! Paid plans at Stripe: made once, never changed in place, taken out of use when they are gone.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    QUICK, WEATHER, at_stripe, audited, calls, flat, free, plan, product, selling, subscribe,
};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{SECRET_KEY, Service};

on_both_databases!(
    a_paid_plan_has_one_product_and_one_price,
    amounts_arrive_as_exact_as_they_were_given,
    a_changed_price_leaves_the_one_before_to_its_subscribers,
    titles_are_followed_and_nothing_else,
    what_cannot_be_had_is_out_of_use_and_comes_back,
    a_deleted_product_is_out_of_use_first,
    without_stripe_a_product_is_deleted_here_and_what_is_left_is_said,
    a_refusal_of_stripes_leaves_the_plan_off_offer_until_it_is_mended,
    two_portals_share_nothing,
    another_account_gets_objects_of_its_own,
    parallel_writers_make_everything_once,
    who_does_not_wait_hears_of_the_operation,
);

fn published(plans: &[Value]) -> Value {
    product("published", plans)
}

fn stripe_of(product: &Value, plan: usize) -> (&str, &str) {
    let stripe = &product["plans"][plan]["stripe"];
    (
        stripe["product"].as_str().unwrap(),
        stripe["price"].as_str().unwrap(),
    )
}

/// The object of this id at Stripe.
async fn object(service: &Service, kind: &str, id: &str) -> Value {
    let all = at_stripe(service, kind).await;
    let found = all.into_iter().find(|object| object["id"] == id);
    found.unwrap_or_else(|| panic!("no {kind} {id}"))
}

async fn a_paid_plan_has_one_product_and_one_price(engine: Database) {
    let service = selling(engine).await;
    let mut gold = flat(1500);
    gold["tax_behavior"] = json!("exclusive");
    gold["interval"] = json!({"unit": "week", "count": 2});
    gold["setup_fee"] = json!({"amount": 900, "currency": "usd"});
    let body = published(&[plan("free", free()), plan("gold", gold)]);
    let made = service.put(WEATHER, body.clone()).await;
    let tag = made.header("etag").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(made["plans"][0]["stripe"], Value::Null);
    assert_eq!(calls(&service).await, (2, 0));

    let (product, price) = stripe_of(&made, 1);
    let stripe = &made["plans"][1]["stripe"];
    assert_eq!(stripe["livemode"], false);
    assert!(stripe["account"].as_str().unwrap().starts_with("acct_"));
    let product = object(&service, "product", product).await;
    assert_eq!(product["name"], "Weather: The gold plan");
    assert_eq!(product["metadata"]["portal_billing_portal"], "acme");
    assert_eq!(product["metadata"]["portal_billing_product"], "weather");
    assert_eq!(product["metadata"]["portal_billing_plan"], "gold");
    let price = object(&service, "price", price).await;
    assert_eq!(price["product"], product["id"]);
    assert_eq!(price["unit_amount"], 1500);
    assert_eq!(price["currency"], "usd");
    assert_eq!(price["recurring"]["interval"], "week");
    assert_eq!(price["recurring"]["interval_count"], 2);
    assert_eq!(price["tax_behavior"], "exclusive");
    assert_eq!(price["metadata"]["portal_billing_revision"], "1");
    // The setup fee is no Price, and neither is the free plan.
    assert_eq!(at_stripe(&service, "product").await.len(), 1);
    assert_eq!(at_stripe(&service, "price").await.len(), 1);

    // The same again, and reading, ask Stripe nothing.
    let same = service.put(WEATHER, body).await;
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(same.expect(200), made);
    assert_eq!(service.get(WEATHER).await.expect(200), made);
    service.get("/v1/portals/acme/products").await.expect(200);
    assert_eq!(calls(&service).await, (2, 0));
    assert_eq!(
        audited(&service).await,
        ["product.created", "product.updated"]
    );
}

async fn amounts_arrive_as_exact_as_they_were_given(engine: Database) {
    let service = selling(engine).await;
    let month = json!({"unit": "month", "count": 1});
    let cases = [
        ("flat", json!({"amount": 500, "currency": "jpy"}), "500"),
        ("flat", json!({"amount": 1230, "currency": "kwd"}), "1230"),
        ("flat", json!({"amount": 500, "currency": "isk"}), "500"),
        ("flat", json!({"amount": 1, "currency": "eur"}), "1"),
        (
            "per_seat",
            json!({"unit_amount_decimal": "0.003", "currency": "usd"}),
            "0.003",
        ),
        (
            "per_seat",
            json!({"unit_amount_decimal": "12.000000000001", "currency": "usd"}),
            "12.000000000001",
        ),
        (
            "per_seat",
            json!({"unit_amount_decimal": "7.00", "currency": "usd"}),
            "7",
        ),
    ];
    let plans: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(place, (model, price, _))| {
            let pricing = json!({"model": model, "price": price, "interval": month});
            plan(&format!("p{place}"), pricing)
        })
        .collect();
    let made = service.put(WEATHER, published(&plans)).await.expect(201);
    for (place, (_, given, decimal)) in cases.iter().enumerate() {
        let price = object(&service, "price", stripe_of(&made, place).1).await;
        assert_eq!(price["unit_amount_decimal"], *decimal, "{price}");
        assert_eq!(price["currency"], given["currency"]);
    }
    let same = service.put(WEATHER, published(&plans)).await.expect(200);
    assert_eq!(same, made);
}

async fn a_changed_price_leaves_the_one_before_to_its_subscribers(engine: Database) {
    let service = selling(engine).await;
    let first = service
        .put(WEATHER, published(&[plan("gold", flat(1500))]))
        .await
        .expect(201);
    let (product, old) = stripe_of(&first, 0);
    let before = object(&service, "price", old).await;
    subscribe(&service, "acme", "weather", "gold").await;

    let second = service
        .put(WEATHER, published(&[plan("gold", flat(1700))]))
        .await
        .expect(200);
    assert_eq!(second["plans"][0]["revision"], 2);
    let (same_product, new) = stripe_of(&second, 0);
    assert_eq!(product, same_product);
    assert_ne!(old, new);
    assert_eq!(object(&service, "price", new).await["unit_amount"], 1700);
    // The old one bills its subscribers as before, and takes nobody new.
    let mut after = object(&service, "price", old).await;
    assert_eq!(after["active"], false);
    after["active"] = json!(true);
    assert_eq!(after, before);
    // One call for the new Price, one to archive the old one.
    assert_eq!(calls(&service).await, (4, 0));

    // The first price again is a third revision with a Price of its own.
    let third = service
        .put(WEATHER, published(&[plan("gold", flat(1500))]))
        .await
        .expect(200);
    assert_eq!(third["plans"][0]["revision"], 3);
    assert_ne!(stripe_of(&third, 0).1, old);
    let active: Vec<Value> = at_stripe(&service, "price")
        .await
        .into_iter()
        .filter(|price| price["active"] == true)
        .collect();
    assert_eq!(active.len(), 1);
}

async fn titles_are_followed_and_nothing_else(engine: Database) {
    let service = selling(engine).await;
    let mut body = published(&[plan("gold", flat(1500)), plan("silver", flat(900))]);
    let made = service.put(WEATHER, body.clone()).await.expect(201);
    assert_eq!(calls(&service).await, (4, 0));
    body["plans"][0]["title"] = json!("Golden");
    let changed = service.put(WEATHER, body.clone()).await.expect(200);
    assert_eq!(stripe_of(&changed, 0), stripe_of(&made, 0));
    assert_eq!(changed["plans"][0]["revision"], 1);
    let named = object(&service, "product", stripe_of(&made, 0).0).await;
    assert_eq!(named["name"], "Weather: Golden");
    assert_eq!(calls(&service).await, (5, 0));
    body["title"] = json!("Forecasts");
    service.put(WEATHER, body.clone()).await.expect(200);
    let named = object(&service, "product", stripe_of(&made, 1).0).await;
    assert_eq!(named["name"], "Forecasts: The silver plan");
    assert_eq!(calls(&service).await, (7, 0));
    // What Stripe does not show changes nothing there, nor needs it.
    service
        .put("/v1/portals/acme/modules/stripe", json!({"enabled": false}))
        .await
        .expect(200);
    body["description"] = json!("Every harbour.");
    body["plans"][0]["approval_required"] = json!(true);
    service.put(WEATHER, body.clone()).await.expect(200);
    body["plans"][0]["pricing"]["price"]["amount"] = json!(2000);
    service
        .put(WEATHER, body)
        .await
        .problem(409, "module_disabled");
    assert_eq!(calls(&service).await, (7, 0));
}

/// Which Products and Prices are in use, by our names of them.
async fn in_use(service: &Service) -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["product", "price"] {
        for object in at_stripe(service, kind).await {
            if object["active"] == true {
                let metadata = &object["metadata"];
                let part = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
                names.push(format!(
                    "{kind} {}{}",
                    part("portal_billing_plan"),
                    part("portal_billing_revision")
                ));
            }
        }
    }
    names.sort();
    names
}

async fn what_cannot_be_had_is_out_of_use_and_comes_back(engine: Database) {
    let service = selling(engine).await;
    let both = [plan("gold", flat(1500)), plan("silver", flat(900))];
    let made = service.put(WEATHER, published(&both)).await.expect(201);
    let all = [
        "price gold1",
        "price silver1",
        "product gold",
        "product silver",
    ];
    assert_eq!(in_use(&service).await, all);

    // Withdrawn, and back with the same objects.
    service
        .put(WEATHER, published(&both[..1]))
        .await
        .expect(200);
    assert_eq!(in_use(&service).await, ["price gold1", "product gold"]);
    let back = service.put(WEATHER, published(&both)).await.expect(200);
    assert_eq!(stripe_of(&back, 1), stripe_of(&made, 1));
    assert_eq!(in_use(&service).await, all);

    // Free from now on.
    let given = [plan("gold", free()), plan("silver", flat(900))];
    let shown = service.put(WEATHER, published(&given)).await.expect(200);
    assert_eq!(shown["plans"][0]["stripe"], Value::Null);
    assert_eq!(shown["plans"][0]["revision"], 2);
    assert_eq!(in_use(&service).await, ["price silver1", "product silver"]);

    // Deprecated goes on; retired does not, and a draft neither.
    service
        .put(WEATHER, product("deprecated", &both))
        .await
        .expect(200);
    let again = [
        "price gold3",
        "price silver1",
        "product gold",
        "product silver",
    ];
    assert_eq!(in_use(&service).await, again);
    service
        .put(WEATHER, product("retired", &both))
        .await
        .expect(200);
    assert_eq!(in_use(&service).await, Vec::<String>::new());
    let writes = calls(&service).await;
    service
        .put(WEATHER, product("draft", &both))
        .await
        .expect(200);
    assert_eq!(calls(&service).await, writes);
    service.put(WEATHER, published(&both)).await.expect(200);
    assert_eq!(in_use(&service).await, again);
}

async fn a_deleted_product_is_out_of_use_first(engine: Database) {
    let service = selling(engine).await;
    let both = [plan("gold", flat(1500)), plan("silver", flat(900))];
    service.put(WEATHER, published(&both)).await.expect(201);
    service.delete(WEATHER).await.expect(204);
    assert_eq!(in_use(&service).await, Vec::<String>::new());
    service.get(WEATHER).await.problem(404, "not_found");
    service.delete(WEATHER).await.problem(404, "not_found");
    // Retired while Stripe was told, then deleted.
    assert_eq!(
        audited(&service).await,
        [
            "product.created",
            "product.updated",
            "product.updated",
            "product.updated",
            "product.deleted"
        ]
    );
}

async fn without_stripe_a_product_is_deleted_here_and_what_is_left_is_said(engine: Database) {
    let service = selling(engine).await;
    let made = service
        .put(WEATHER, published(&[plan("gold", flat(1500))]))
        .await
        .expect(201);
    let before = calls(&service).await;
    service
        .put("/v1/portals/acme/modules/stripe", json!({"enabled": false}))
        .await
        .expect(200);
    service.delete(WEATHER).await.expect(204);
    assert_eq!(calls(&service).await, before);
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    let entry = &log["data"][0];
    assert_eq!(entry["action"], "product.deleted");
    let (product, price) = stripe_of(&made, 0);
    assert_eq!(
        entry["details"]["left_in_use_at_stripe"],
        format!("{product} {price}")
    );
}

async fn a_refusal_of_stripes_leaves_the_plan_off_offer_until_it_is_mended(engine: Database) {
    let service = selling(engine).await;
    let fault = json!({
        "kind": "error_before", "status": 400, "method": "POST", "path": "/v1/prices", "times": 1,
    });
    service.simulator(Method::POST, "/faults", fault).await;
    let body = published(&[plan("gold", flat(1500))]);
    service
        .put(WEATHER, body.clone())
        .await
        .problem(422, "stripe_refused");
    let shown = service.get(WEATHER).await.expect(200);
    assert_eq!(shown["plans"][0]["stripe"], Value::Null);
    let operations = service
        .get("/v1/portals/acme/operations?subject=products/weather")
        .await
        .expect(200);
    assert_eq!(operations["data"][0]["status"], "failed");
    assert_eq!(operations["data"][0]["kind"], "publish_plan");
    // The same again goes on where it stopped.
    let shown = service.put(WEATHER, body).await.expect(200);
    assert_ne!(shown["plans"][0]["stripe"], Value::Null);
    assert_eq!(at_stripe(&service, "product").await.len(), 1);
    assert_eq!(at_stripe(&service, "price").await.len(), 1);

    // A key that Stripe does not accept any more.
    let key = json!({"key": SECRET_KEY});
    service.simulator(Method::POST, "/keys/revoke", key).await;
    let body = published(&[plan("gold", flat(1700))]);
    service
        .put(WEATHER, body.clone())
        .await
        .problem(424, "stripe_credentials_invalid");
    let shown = service.get(WEATHER).await.expect(200);
    assert_eq!(shown["plans"][0]["revision"], 2);
    assert_eq!(shown["plans"][0]["stripe"], Value::Null);
}

async fn two_portals_share_nothing(engine: Database) {
    let service = selling(engine).await;
    service.configured_portal("other").await;
    let body = published(&[plan("gold", flat(1500))]);
    let ours = service.put(WEATHER, body.clone()).await.expect(201);
    let theirs = service
        .put("/v1/portals/other/products/weather", body)
        .await
        .expect(201);
    assert_ne!(stripe_of(&ours, 0).0, stripe_of(&theirs, 0).0);
    assert_ne!(stripe_of(&ours, 0).1, stripe_of(&theirs, 0).1);
    service
        .delete("/v1/portals/other/products/weather")
        .await
        .expect(204);
    assert_eq!(service.get(WEATHER).await.expect(200), ours);
    assert_eq!(in_use(&service).await, ["price gold1", "product gold"]);
}

async fn another_account_gets_objects_of_its_own(engine: Database) {
    let service = selling(engine).await;
    let body = published(&[plan("gold", flat(1500))]);
    let first = service.put(WEATHER, body.clone()).await.expect(201);
    service
        .accept_key("sk_test_elsewhere", "acct_elsewhere", &[])
        .await;
    service
        .accept_key("pk_test_elsewhere", "acct_elsewhere", &[])
        .await;
    let credentials = "/v1/portals/acme/modules/stripe/credentials";
    let moved = json!({
        "secret_key": "sk_test_elsewhere",
        "publishable_key": "pk_test_elsewhere",
        "confirm_account_change": true,
    });
    let answer = service.put(credentials, moved).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    let second = service.put(WEATHER, body.clone()).await.expect(200);
    assert_eq!(second["plans"][0]["stripe"]["account"], "acct_elsewhere");
    assert_eq!(second["plans"][0]["revision"], 1);
    assert_ne!(stripe_of(&first, 0).1, stripe_of(&second, 0).1);
    let same = service.put(WEATHER, body).await.expect(200);
    assert_eq!(same, second);
    assert_eq!(calls(&service).await, (4, 0));
}

async fn parallel_writers_make_everything_once(engine: Database) {
    let service = selling(engine).await;
    let replica = service.one_more(&QUICK).await;
    let body = published(&[plan("gold", flat(1500)), plan("silver", flat(900))]);
    let bearer = service.bearer();
    let puts = (0..12).map(|number| {
        let base = if number % 2 == 0 {
            &service.base_url
        } else {
            &replica.base_url
        };
        let request = service
            .client
            .put(format!("{base}{WEATHER}"))
            .header("authorization", &bearer)
            .header("content-type", "application/json")
            .body(body.to_string());
        Service::answer(request)
    });
    let mut made = 0;
    for answer in futures_util::future::join_all(puts).await {
        made += usize::from(answer.status.as_u16() == 201);
        assert!(answer.status.is_success(), "{}", answer.text);
    }
    assert!(made <= 1, "made {made} times");
    let shown = service.get(WEATHER).await.expect(200);
    assert_ne!(shown["plans"][1]["stripe"], Value::Null);
    assert_eq!(at_stripe(&service, "product").await.len(), 2);
    assert_eq!(at_stripe(&service, "price").await.len(), 2);
    assert_eq!(calls(&service).await, (4, 0));
}

async fn who_does_not_wait_hears_of_the_operation(engine: Database) {
    let service = selling(engine).await;
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=0")];
    let body = published(&[plan("gold", flat(1500))]);
    let answer = service
        .call_with(Method::PUT, WEATHER, &headers, body.clone())
        .await;
    let place = answer.header("location").unwrap().to_owned();
    let operation = answer.expect(202);
    assert_eq!(operation["subject"], "products/weather");
    // It is there at once, and on offer when the next one has had its turn.
    service.get(WEATHER).await.expect(200);
    let shown = service.put(WEATHER, body).await.expect(200);
    assert_ne!(shown["plans"][0]["stripe"], Value::Null);
    let operation = service.get(&place).await.expect(200);
    assert_eq!(operation["status"], "succeeded");
    assert_eq!(calls(&service).await, (2, 0));
}
