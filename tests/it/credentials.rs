//! Credentials over HTTP: refused with a reason, restricted, rotated, bound to their account.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::{PUBLISHABLE_KEY, SECRET_KEY, Service, check};

on_both_databases!(
    refused_keys_name_the_reason_and_store_nothing,
    a_restricted_key_needs_every_permission,
    a_rotated_key_is_a_new_version_and_the_old_one_retires,
    another_account_or_mode_needs_a_word,
    objects_at_stripe_bind_the_portal_to_its_account,
);

const CREDENTIALS: &str = "/v1/portals/acme/modules/stripe/credentials";
const MODULE: &str = "/v1/portals/acme/modules/stripe";
const ENDPOINT: &str = "/v1/portals/acme/modules/stripe/webhook-endpoint";

async fn refused_keys_name_the_reason_and_store_nothing(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let put = async |secret: &str, publishable: &str| {
        service.put_credentials("acme", secret, publishable).await
    };
    // The two keys in each other's place.
    let swapped = put(PUBLISHABLE_KEY, SECRET_KEY)
        .await
        .problem(422, "credentials_malformed");
    let pointers: Vec<_> = swapped["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["pointer"])
        .collect();
    assert_eq!(pointers, ["/publishable_key", "/secret_key"]);
    put("sk_test_with space", PUBLISHABLE_KEY)
        .await
        .problem(422, "credentials_malformed");
    put(SECRET_KEY, "pk_live_simulator")
        .await
        .problem(422, "credentials_mode_mismatch");

    let unknown = put("sk_test_nobody_knows_this", PUBLISHABLE_KEY).await;
    let unknown = unknown.problem(424, "stripe_credentials_invalid");
    assert_eq!(unknown["errors"][0]["pointer"], "/secret_key");
    let unknown = put(SECRET_KEY, "pk_test_nobody_knows_this").await;
    let unknown = unknown.problem(424, "stripe_credentials_invalid");
    assert_eq!(unknown["errors"][0]["pointer"], "/publishable_key");

    service.get(CREDENTIALS).await.problem(404, "not_found");
    assert_eq!(
        service.get(MODULE).await.expect(200)["status"],
        "unconfigured"
    );
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(
        log["data"].as_array().unwrap().len(),
        2,
        "only the portal and the module"
    );
    put(SECRET_KEY, PUBLISHABLE_KEY).await.expect(201);
}

async fn a_restricted_key_needs_every_permission(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    let account = "acct_restricted";
    service.accept_key("pk_test_restricted", account, &[]).await;
    service
        .accept_key("rk_test_too_little", account, &["rak_customer_write"])
        .await;
    let refused = service
        .put_credentials("acme", "rk_test_too_little", "pk_test_restricted")
        .await;
    let refused = refused.problem(424, "stripe_permissions_missing");
    let missing: Vec<String> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert_eq!(error["code"], "permission_missing");
            error["detail"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(missing.len() > 5, "{missing:?}");
    assert!(
        missing.iter().any(|name| name.contains("subscription")),
        "{missing:?}"
    );
    assert!(
        !missing.iter().any(|name| name == "rak_customer_write"),
        "{missing:?}"
    );

    // Exactly what was named is enough; nothing was created by asking.
    let mut granted: Vec<&str> = missing.iter().map(String::as_str).collect();
    granted.push("rak_customer_write");
    service
        .accept_key("rk_test_just_enough", account, &granted)
        .await;
    let stored = service
        .put_credentials("acme", "rk_test_just_enough", "pk_test_restricted")
        .await;
    let stored = stored.expect(201);
    assert_eq!(stored["secret_key"]["kind"], "restricted");
    assert_eq!(stored["verification"]["missing_permissions"], json!([]));
    for kind in [
        "customers",
        "products",
        "subscriptions",
        "webhook_endpoints",
    ] {
        let url = format!("{}/v1/{kind}", service.simulator.base_url());
        service.accept_key("sk_test_onlooker", account, &[]).await;
        let request = service.client.get(url).bearer_auth("sk_test_onlooker");
        assert_eq!(
            Service::answer(request).await.expect(200)["data"],
            json!([]),
            "{kind}"
        );
    }
    service.post(ENDPOINT, Value::Null).await.expect(201);
}

async fn a_rotated_key_is_a_new_version_and_the_old_one_retires(engine: Database) {
    let mut service = Service::start(engine).await;
    let first = service.configured_portal("acme").await;
    // The same keys again are verified again and make no version.
    service.clock.advance_millis(5);
    let same = service
        .put_credentials("acme", SECRET_KEY, PUBLISHABLE_KEY)
        .await
        .expect(200);
    assert_eq!(
        (&same["version"], &same["id"]),
        (&first["version"], &first["id"])
    );
    assert_ne!(
        same["verification"]["verified_at"],
        first["verification"]["verified_at"]
    );

    let default_account = first["stripe"]["account"].as_str().unwrap().to_owned();
    service
        .accept_key("sk_test_second_key", &default_account, &[])
        .await;
    let second = service
        .put_credentials("acme", "sk_test_second_key", PUBLISHABLE_KEY)
        .await
        .expect(200);
    assert_eq!(second["version"], 2);
    assert_ne!(
        second["secret_key"]["fingerprint"],
        first["secret_key"]["fingerprint"]
    );
    assert_eq!(second["created_at"], first["created_at"]);
    assert_eq!(second["rotated_at"], service.clock.now().to_rfc3339());
    let usable_until = service
        .clock
        .now()
        .plus_millis(24 * 60 * 60 * 1000)
        .to_rfc3339();
    assert_eq!(second["versions"][0]["usable_until"], Value::Null);
    assert_eq!(second["versions"][1]["usable_until"], usable_until);

    // A restart keeps everything; the new key is the one in use.
    service.stop();
    service.run().await;
    service
        .simulator(Method::DELETE, "/requests", Value::Null)
        .await;
    service
        .post(&format!("{CREDENTIALS}/verify"), Value::Null)
        .await
        .expect(200);
    let log = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await;
    let account_call = &log["data"][0];
    assert_eq!(account_call["path"], "/v1/account");
    assert!(
        account_call.to_string().contains("sk_test_second_key"),
        "{account_call}"
    );
}

async fn another_account_or_mode_needs_a_word(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    service.post(ENDPOINT, Value::Null).await.expect(201);
    service
        .accept_key("sk_test_other_account", "acct_other", &[])
        .await;
    service
        .accept_key("pk_test_other_account", "acct_other", &[])
        .await;
    let refused = service
        .put_credentials("acme", "sk_test_other_account", "pk_test_other_account")
        .await;
    refused.problem(409, "stripe_account_mismatch");
    let body = json!({
        "secret_key": "sk_test_other_account", "publishable_key": "pk_test_other_account",
        "confirm_account_change": true,
    });
    let moved = service.put(CREDENTIALS, body).await.expect(200);
    assert_eq!(moved["stripe"]["account"], "acct_other");
    // The endpoint of the former account is gone there, and does not count here.
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(
        check(&module, "webhook_endpoint_registered")["status"],
        "fail"
    );
    assert_eq!(
        service
            .calls_to_stripe("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
            .await,
        1
    );
    service.post(ENDPOINT, Value::Null).await.expect(201);
    assert_eq!(service.get(MODULE).await.expect(200)["status"], "ready");

    service
        .accept_key("sk_live_other_account", "acct_other", &[])
        .await;
    service
        .accept_key("pk_live_other_account", "acct_other", &[])
        .await;
    let refused = service
        .put_credentials("acme", "sk_live_other_account", "pk_live_other_account")
        .await;
    refused.problem(409, "stripe_mode_mismatch");
}

async fn objects_at_stripe_bind_the_portal_to_its_account(engine: Database) {
    use portal_billing::domain::slug::Slug;
    use portal_billing::domain::stripe_key::Mode;
    use portal_billing::store::{Store, stripe_objects};

    let service = Service::start(engine).await;
    let credentials = service.configured_portal("acme").await;
    let object = |kind: &str, id: &str| stripe_objects::StripeObject {
        account_id: credentials["stripe"]["account"]
            .as_str()
            .unwrap()
            .to_owned(),
        mode: Mode::Test,
        stripe_id: id.to_owned(),
        kind: kind.to_owned(),
        local_id: format!("local_{id}"),
    };
    let store = Store::new(service.database.settings()).unwrap();
    let portal = Slug::parse("acme").unwrap();
    let add = async |object: stripe_objects::StripeObject| {
        let now = service.clock.now();
        store
            .write(async |conn| stripe_objects::insert(conn, &portal, &object, now).await)
            .await
            .unwrap();
    };
    add(object("customer", "cus_1")).await;
    service
        .accept_key("sk_test_other_account", "acct_other", &[])
        .await;
    service
        .accept_key("pk_test_other_account", "acct_other", &[])
        .await;
    let body = json!({
        "secret_key": "sk_test_other_account", "publishable_key": "pk_test_other_account",
        "confirm_account_change": true,
    });
    service
        .put(CREDENTIALS, body)
        .await
        .problem(409, "stripe_account_mismatch");

    service.get(CREDENTIALS).await.expect(200);
}
