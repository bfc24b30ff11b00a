//! A service, its database and its Stripe for many cases at once, and what every case needs.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::service::{Answer, Service};

/// Longer than a lease.
pub(super) const LEASE_MS: i64 = 16_000;
/// What a month of the plan costs, in cents.
pub(super) const PRICE: i64 = 1_500;
/// How long a case may take on a busy machine, without any waiting of its own.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether the service has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Leases that may run out until the service is at rest. Each case is cut off at most twice.
const LEASES: u32 = 3;

/// A service that takes up lost work at once and is not held by Stripe's usual limits.
pub(super) struct World {
    pub(super) service: Service,
    pub(super) engine: Database,
}

/// A portal with an account of its own at Stripe.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) secret_key: String,
}

impl Portal {
    pub(super) fn path(&self, below: &str) -> String {
        format!("/v1/portals/{}{below}", self.name)
    }
}

impl World {
    pub(super) async fn start(engine: Database) -> Self {
        Self::start_with(engine, &[]).await
    }

    pub(super) async fn start_with(engine: Database, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("operations.poll_ms", "10"),
            ("operations.first_backoff_ms", "1"),
            ("operations.longest_backoff_ms", "20"),
            ("stripe.test_calls_per_second", "10000"),
            ("stripe.live_calls_per_second", "10000"),
            ("stripe.endpoint_calls_per_second", "10000"),
            ("stripe.request_timeout_ms", "1500"),
            ("stripe.connect_timeout_ms", "1000"),
        ];
        all.extend_from_slice(settings);
        Self {
            service: Service::start_with(engine, &all).await,
            engine,
        }
    }

    /// A portal whose module is ready, with a paid plan `gold` of the product `api`.
    pub(super) async fn open_portal(&self, name: &str) -> Portal {
        let id = name.replace('-', "");
        let portal = Portal {
            name: name.to_owned(),
            account: format!("acct_{id}"),
            secret_key: format!("sk_test_Reliability{id}"),
        };
        let service = &self.service;
        let publishable = format!("pk_test_Reliability{id}");
        for key in [&portal.secret_key, &publishable] {
            service.accept_key(key, &portal.account, &[]).await;
        }
        service.enabled_portal(name).await;
        service
            .put_credentials(name, &portal.secret_key, &publishable)
            .await
            .expect(201);
        portal
    }

    /// Publishes the product `api` with the paid plan `gold`.
    pub(super) async fn publish(&self, portal: &Portal) -> Answer {
        let plan = json!({
            "id": "gold",
            "title": "Gold",
            "description": "Everything",
            "approval_required": false,
            "pricing": {
                "model": "flat",
                "price": {"amount": PRICE, "currency": "usd"},
                "interval": {"unit": "month", "count": 1},
            },
        });
        let product = json!({
            "title": "API",
            "version": "1.0.0",
            "description": "All of it",
            "state": "published",
            "plans": [plan],
        });
        self.service
            .put(&portal.path("/products/api"), product)
            .await
    }

    /// A customer of that external id; gives our id.
    pub(super) async fn customer(&self, portal: &Portal, external_id: &str) -> String {
        let body = json!({
            "external_id": external_id,
            "name": "Globex",
            "email": "billing@globex.example",
        });
        let made = self.service.post(&portal.path("/customers"), body).await;
        made.expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// A card that belongs to nobody yet; gives Stripe's id of it.
    pub(super) async fn card(&self, portal: &Portal) -> String {
        let url = format!("{}/v1/payment_methods", self.service.simulator.base_url());
        let request = self
            .service
            .client
            .post(url)
            .bearer_auth(&portal.secret_key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("type=card&card[token]=tok_visa");
        let made = Service::answer(request).await.expect(200);
        made["id"].as_str().unwrap().to_owned()
    }

    /// A call with a key, whose answer may not come: the service is cut off under it.
    pub(super) async fn try_call(
        &self,
        base_url: &str,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Option<Answer> {
        let mut request = self
            .service
            .client
            .request(method, format!("{base_url}{path}"))
            .header("authorization", self.service.bearer())
            .header("prefer", "wait=2");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer {
            status,
            headers,
            text: response.text().await.ok()?,
        })
    }

    /// Lets leases of cut-off work run out until nothing of these portals is running.
    pub(super) async fn come_to_rest(&self, portals: &[Portal]) -> Result<(), String> {
        let mut running = Vec::new();
        for _lease in 0..LEASES {
            self.service.clock.advance_millis(LEASE_MS);
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let mut looks = 0;
            loop {
                running = self.running(portals).await;
                if running.is_empty() {
                    return Ok(());
                }
                looks += 1;
                // Work that was cut off a second time rests until its next lease runs out.
                if looks > 100 && running.iter().all(|it| it["lease"] == "held") {
                    break;
                }
                if tokio::time::Instant::now() > deadline || looks > 300 {
                    break;
                }
                // Asleep, because the work is done elsewhere.
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Err(format!("I12: still running: {running:?}"))
    }

    /// Whether nothing of the portal is running.
    pub(super) async fn is_at_rest(&self, portal: &Portal) -> bool {
        self.running(std::slice::from_ref(portal)).await.is_empty()
    }

    async fn running(&self, portals: &[Portal]) -> Vec<Value> {
        let mut running = Vec::new();
        for portal in portals {
            let path = portal.path("/operations?status=running&limit=100");
            let page = self.service.get(&path).await.expect(200);
            running.extend(page["data"].as_array().unwrap().iter().cloned());
        }
        running
    }

    /// Everything of an account at Stripe, by type.
    pub(super) async fn at_stripe(&self, portal: &Portal) -> Value {
        let path = format!("/state?account={}", portal.account);
        let state = self.service.simulator(Method::GET, &path, Value::Null);
        state.await["objects"].take()
    }

    /// A fault at the n-th call of Stripe's that has this text in it.
    pub(super) async fn fault(&self, kind: &str, contains: &str, nth: u32) {
        let rule = json!({
            "kind": kind,
            "contains": contains,
            "nth": nth,
            "delay_ms": 2500,
            "retry_after": 0,
        });
        self.service.simulator(Method::POST, "/faults", rule).await;
    }

    /// Moves both clocks.
    pub(super) async fn pass(&self, portal: &Portal, seconds: i64) {
        self.service.clock.advance_millis(seconds * 1000);
        let body = json!({"advance_seconds": seconds, "account": portal.account});
        self.service.simulator(Method::POST, "/clock", body).await;
    }
}
