//! The Stripe module over HTTP: enabled, given credentials, ready; rotated, moved, removed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::{PUBLISHABLE_KEY, SECRET_KEY, Service, check};

on_both_databases!(
    three_calls_and_the_endpoint_make_a_portal_ready,
    settings_have_defaults_and_limits,
    a_key_that_stripe_revokes_shows_as_attention,
    credentials_are_removed_with_their_endpoint,
    a_portal_takes_its_endpoint_along,
    stripe_down_is_said_and_changes_nothing,
);

const CREDENTIALS: &str = "/v1/portals/acme/modules/stripe/credentials";
const MODULE: &str = "/v1/portals/acme/modules/stripe";
const ENDPOINT: &str = "/v1/portals/acme/modules/stripe/webhook-endpoint";

/// The checks as `code: status` lines.
fn checks(module: &Value) -> Vec<String> {
    let checks = module["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            format!(
                "{}: {}",
                check["code"].as_str().unwrap(),
                check["status"].as_str().unwrap()
            )
        })
        .collect()
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn three_calls_and_the_endpoint_make_a_portal_ready(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(
        (&module["enabled"], &module["status"]),
        (&json!(false), &json!("disabled"))
    );

    let module = service
        .put(MODULE, json!({"enabled": true}))
        .await
        .expect(201);
    assert_eq!(module["status"], "unconfigured");
    assert_eq!(
        (&module["mode"], &module["account"]),
        (&Value::Null, &Value::Null)
    );

    let credentials = service
        .put_credentials("acme", SECRET_KEY, PUBLISHABLE_KEY)
        .await
        .expect(201);
    assert_eq!(
        (&credentials["version"], &credentials["mode"]),
        (&json!(1), &json!("test"))
    );
    assert_eq!(credentials["secret_key"]["kind"], "secret");
    assert_eq!(credentials["secret_key"]["last_four"], "ator");
    assert_eq!(credentials["rotated_at"], Value::Null);

    let module = service.get(MODULE).await.expect(200);
    assert_eq!(module["status"], "attention");
    assert_eq!(
        checks(&module),
        [
            "module_enabled: pass",
            "credentials_present: pass",
            "keys_same_mode: pass",
            "key_accepted: pass",
            "permissions: pass",
            "account_can_charge: pass",
            "webhook_endpoint_registered: fail",
            "webhook_received: unknown",
            "api_version_equal: unknown",
            "clock_skew: pass",
        ]
    );
    let mend = check(&module, "webhook_endpoint_registered")["mend"]
        .as_str()
        .unwrap();
    assert_eq!(mend, format!("POST {ENDPOINT}."));

    let endpoint = service.post(ENDPOINT, Value::Null).await.expect(201);
    let url = endpoint["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{}/v1/hooks/stripe/", service.base_url)),
        "{url}"
    );
    assert_eq!(endpoint["api_version"], "2026-09-30.endive");

    let module = service.get(MODULE).await.expect(200);
    assert_eq!(module["status"], "ready");
    assert_eq!(module["mode"], "test");
    assert!(
        module["account"]["id"]
            .as_str()
            .unwrap()
            .starts_with("acct_")
    );
    assert_eq!(check(&module, "api_version_equal")["status"], "pass");

    // Repeating it is harmless, and readiness itself never calls Stripe.
    assert_eq!(
        service.post(ENDPOINT, json!({})).await.expect(200),
        endpoint
    );
    assert_eq!(
        service.calls_to_stripe("POST /v1/webhook_endpoints").await,
        1
    );
    service
        .simulator(Method::DELETE, "/requests", Value::Null)
        .await;
    service.get(MODULE).await.expect(200);
    service.get(CREDENTIALS).await.expect(200);
    let log = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await;
    assert_eq!(log["total"], 0);
}

async fn settings_have_defaults_and_limits(engine: Database) {
    let service = Service::start(engine).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    let defaults = json!({
        "grace_period_days": 3,
        "on_unpaid": "deny",
        "proration": "create_prorations",
        "one_trial_per_customer": true,
        "allowed_return_origins": [],
    });
    assert_eq!(service.get(MODULE).await.expect(200)["settings"], defaults);
    let chosen = json!({
        "grace_period_days": 0,
        "on_unpaid": "allow",
        "proration": "none",
        "one_trial_per_customer": false,
        "allowed_return_origins": ["https://portal.example", "http://localhost:3000"],
    });
    let put = service
        .put(MODULE, json!({"enabled": true, "settings": chosen}))
        .await
        .expect(201);
    assert_eq!(put["settings"], chosen);
    assert_eq!(service.get(MODULE).await.expect(200)["settings"], chosen);
    let put = service
        .put(MODULE, json!({"enabled": false}))
        .await
        .expect(200);
    assert_eq!(
        (&put["settings"], &put["status"]),
        (&defaults, &json!("disabled"))
    );

    let many: Vec<String> = (0..21).map(|n| format!("https://p{n}.example")).collect();
    for (settings, pointer) in [
        (
            json!({"grace_period_days": -1}),
            "/settings/grace_period_days",
        ),
        (
            json!({"grace_period_days": 91}),
            "/settings/grace_period_days",
        ),
        (
            json!({"grace_period_days": 1.5}),
            "/settings/grace_period_days",
        ),
        (json!({"on_unpaid": "maybe"}), "/settings/on_unpaid"),
        (
            json!({"allowed_return_origins": many}),
            "/settings/allowed_return_origins",
        ),
        (
            json!({"allowed_return_origins": ["https://a.example", "https://b.example/path"]}),
            "/settings/allowed_return_origins/1",
        ),
    ] {
        let answer = service
            .put(MODULE, json!({"enabled": true, "settings": settings}))
            .await;
        assert_eq!(
            answer.problem(422, "validation_failed")["errors"][0]["pointer"],
            pointer
        );
    }
}

async fn a_key_that_stripe_revokes_shows_as_attention(engine: Database) {
    let service = Service::start(engine).await;
    service.enabled_portal("acme").await;
    service
        .accept_key("sk_test_short_lived", "acct_short", &[])
        .await;
    service
        .accept_key("pk_test_short_lived", "acct_short", &[])
        .await;
    service
        .put_credentials("acme", "sk_test_short_lived", "pk_test_short_lived")
        .await
        .expect(201);
    let revoke = json!({"key": "sk_test_short_lived"});
    service
        .simulator(Method::POST, "/keys/revoke", revoke)
        .await;
    let verified = service
        .post(&format!("{CREDENTIALS}/verify"), Value::Null)
        .await
        .expect(200);
    assert_eq!(verified["verification"]["accepted"], false);
    let module = service.get(MODULE).await.expect(200);
    assert_eq!(module["status"], "attention");
    assert_eq!(check(&module, "key_accepted")["status"], "fail");
    assert_eq!(check(&module, "permissions")["status"], "unknown");
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(424, "stripe_credentials_invalid");
}

async fn credentials_are_removed_with_their_endpoint(engine: Database) {
    let service = Service::start(engine).await;
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(404, "not_found");
    service
        .put("/v1/portals/acme", json!({"title": "A"}))
        .await
        .expect(201);
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(409, "module_disabled");
    service
        .put(MODULE, json!({"enabled": true}))
        .await
        .expect(201);
    service
        .post(ENDPOINT, Value::Null)
        .await
        .problem(409, "stripe_not_ready");
    service.delete(CREDENTIALS).await.problem(404, "not_found");
    service
        .post(&format!("{CREDENTIALS}/verify"), Value::Null)
        .await
        .problem(404, "not_found");
    service
        .put_credentials("acme", SECRET_KEY, PUBLISHABLE_KEY)
        .await
        .expect(201);
    service.post(ENDPOINT, Value::Null).await.expect(201);

    service.delete(CREDENTIALS).await.expect(204);
    assert_eq!(
        service
            .calls_to_stripe("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
            .await,
        1
    );
    service.get(CREDENTIALS).await.problem(404, "not_found");
    assert_eq!(
        service.get(MODULE).await.expect(200)["status"],
        "unconfigured"
    );
    // Versions are never used twice.
    let again = service
        .put_credentials("acme", SECRET_KEY, PUBLISHABLE_KEY)
        .await
        .expect(201);
    assert_eq!(again["version"], 2);
}

async fn a_portal_takes_its_endpoint_along(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    service.post(ENDPOINT, Value::Null).await.expect(201);
    service.delete("/v1/portals/acme").await.expect(204);
    assert_eq!(
        service
            .calls_to_stripe("DELETE /v1/webhook_endpoints/{webhook_endpoint}")
            .await,
        1
    );
    // Its audit log stays, for operators of every portal.
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(log["data"][0]["action"], "portal.deleted");
    let token = format!(
        "Bearer {}",
        service.token(&[("portal", "acme"), ("scope", "all")])
    );
    let headers = [("authorization", token.as_str())];
    service
        .call_with(
            Method::GET,
            "/v1/portals/acme/audit-log",
            &headers,
            Value::Null,
        )
        .await
        .problem(404, "not_found");
    // Made anew, it begins with nothing of the old one, and its chain goes on.
    service
        .put("/v1/portals/acme", json!({"title": "Again"}))
        .await
        .expect(201);
    service.get(CREDENTIALS).await.problem(404, "not_found");
    let next = service
        .get("/v1/portals/acme/audit-log?limit=1")
        .await
        .expect(200);
    assert_eq!(next["data"][0]["previous_hash"], log["data"][0]["hash"]);
}

async fn stripe_down_is_said_and_changes_nothing(engine: Database) {
    // Nobody listens there: a port that was free a moment ago, below the ephemeral range's use.
    let settings = [
        ("stripe.base_url", "http://127.0.0.1:9"),
        ("stripe.connect_timeout_ms", "500"),
    ];
    let service = Service::start_with(engine, &settings).await;
    service.enabled_portal("acme").await;
    let answer = service
        .put_credentials("acme", SECRET_KEY, PUBLISHABLE_KEY)
        .await;
    assert!(answer.header("retry-after").is_some());
    let body = answer.problem(503, "stripe_unavailable");
    assert_eq!(body["retryable"], true);
    service.get(CREDENTIALS).await.problem(404, "not_found");
    assert_eq!(service.get("/readyz").await.expect(200)["status"], "ready");
}
