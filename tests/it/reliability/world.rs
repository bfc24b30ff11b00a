//! A service, its database and its Stripe for many cases at once, and what every case needs.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::cuts;
use crate::support::database::Database;
use crate::support::service::{Answer, Service};

/// Longer than a lease.
pub(super) const LEASE_MS: i64 = 16_000;
/// What a month of the plan costs, in cents.
pub(super) const PRICE: i64 = 1_500;
/// How often it is looked whether the service has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So many looks in a row that show the same, which is longer than a call to Stripe may take.
const LOOKS: u32 = 100;
/// How often the service's clock is moved where it follows the wall's.
const TICK: Duration = Duration::from_millis(100);
/// Leases that may run out until the service is at rest: each case is cut off at most twice, and
/// slow work may lose one more.
const LEASES: u32 = 4;

/// How often time passes until all has to be settled, and looks in between that show the same.
const SETTLING_ROUNDS: u32 = 20;
const SETTLING_LOOKS: u32 = 12;

/// A service that takes up lost work at once and is not held by Stripe's usual limits.
pub(super) struct World {
    pub(super) service: Service,
}

/// Until it is looked again: asleep, because the work is done elsewhere, by processes and threads that
/// tell nobody here.
pub(super) async fn a_moment() {
    tokio::time::sleep(LOOK_EVERY).await;
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

    /// The request that compares the portal with Stripe and mends what differs.
    pub(super) fn mending(&self) -> Asked {
        let path = self.path("/reconciliations");
        Asked::unkeyed(Method::POST, path, json!({"repair": true}))
    }
}

/// A request that is asked again until it is answered.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) key: Option<String>,
    pub(super) body: Value,
}

impl Asked {
    /// A request that has no key: asked again, it comes to the same.
    pub(super) fn unkeyed(method: Method, path: String, body: Value) -> Self {
        Self {
            method,
            path,
            key: None,
            body,
        }
    }

    /// A POST with a key.
    pub(super) fn post(path: String, key: String, body: Value) -> Self {
        Self {
            method: Method::POST,
            path,
            key: Some(key),
            body,
        }
    }
}

impl World {
    pub(super) async fn start(engine: Database) -> Self {
        Self::start_with(engine, &[]).await
    }

    pub(super) async fn start_with(engine: Database, settings: &[(&str, &str)]) -> Self {
        cuts::listen();
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
        // A new account's clock shows the wall's time; ours stands, or has been moved already.
        let shown = format!("/clock?account={}", portal.account);
        let shown = service.simulator(Method::GET, &shown, Value::Null).await;
        let later = shown["now"].as_i64().unwrap() - service.clock.now().as_seconds();
        if later > 0 {
            service.clock.advance_millis(later * 1000);
        }
        let now = service.clock.now().as_seconds();
        let clock = json!({"mode": "frozen", "advance_to": now + 1, "account": portal.account});
        service.simulator(Method::POST, "/clock", clock).await;
        service.enabled_portal(name).await;
        let module = portal.path("/modules/stripe");
        let settings = json!({"allowed_return_origins": ["https://portal.example"]});
        let settings = json!({"enabled": true, "settings": settings});
        service.put(&module, settings).await.expect(200);
        let mut stored = None;
        for _time in 0..5 {
            let answer = service
                .put_credentials(name, &portal.secret_key, &publishable)
                .await;
            // On a busy machine the calls may take longer than the short time they are given here.
            if answer.status != 503 {
                stored = Some(answer);
                break;
            }
        }
        stored.unwrap().expect(201);
        portal
    }

    /// The request that publishes a product with the paid plan `gold`.
    pub(super) fn publishing(portal: &Portal, product: &str) -> Asked {
        let plan = json!({
            "id": "gold",
            "title": "Gold",
            "pricing": {
                "model": "flat",
                "price": {"amount": PRICE, "currency": "usd"},
                "interval": {"unit": "month", "count": 1},
            },
        });
        Self::publishing_plans(portal, product, &json!([plan]))
    }

    /// The request that publishes a product with these plans.
    pub(super) fn publishing_plans(portal: &Portal, product: &str, plans: &Value) -> Asked {
        let path = portal.path(&format!("/products/{product}"));
        let body = json!({
            "title": "API", "version": "1.0.0", "state": "published", "plans": plans,
        });
        Asked::unkeyed(Method::PUT, path, body)
    }

    /// The request that saves a new card for a customer.
    pub(super) async fn saving(&self, portal: &Portal, customer: &str, key: &str) -> Asked {
        let path = portal.path(&format!("/customers/{customer}/payment-methods"));
        let body = json!({"payment_method": self.card(portal).await, "default": true});
        Asked::post(path, key.to_owned(), body)
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

    /// A card that works and belongs to nobody yet; gives Stripe's id of it.
    pub(super) async fn card(&self, portal: &Portal) -> String {
        self.card_named(portal, "visa").await
    }

    /// A card of this name that belongs to nobody yet; gives Stripe's id of it.
    pub(super) async fn card_named(&self, portal: &Portal, name: &str) -> String {
        let form = format!("type=card&card[token]=tok_{name}");
        let made = self
            .at_dashboard(portal, Method::POST, "/v1/payment_methods", form)
            .await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// A call to Stripe's own API with the portal's key, as a dashboard or a browser makes it.
    pub(super) async fn at_dashboard(
        &self,
        portal: &Portal,
        method: Method,
        path: &str,
        form: String,
    ) -> Value {
        let url = format!("{}{path}", self.service.simulator.base_url());
        let request = self
            .service
            .client
            .request(method, url)
            .bearer_auth(&portal.secret_key)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        Service::answer(request).await.expect(200)
    }

    /// An open invoice of a customer's, over the price of a month, that somebody makes in the dashboard.
    pub(super) async fn bill(&self, portal: &Portal, customer: &str) {
        let path = portal.path(&format!("/customers/{customer}"));
        let shown = self.service.get(&path).await.expect(200);
        let owner = shown["stripe"]["customer"].as_str().unwrap();
        let post = async |path: &str, form: String| {
            self.at_dashboard(portal, Method::POST, path, form).await
        };
        let form = format!("customer={owner}&auto_advance=false");
        let made = post("/v1/invoices", form).await;
        let id = made["id"].as_str().unwrap();
        let item = format!("customer={owner}&invoice={id}&amount={PRICE}&currency=usd");
        post("/v1/invoiceitems", item).await;
        post(&format!("/v1/invoices/{id}/finalize"), String::new()).await;
    }

    /// The customer's one invoice, which is open, as it is known here.
    pub(super) async fn open_invoice(&self, portal: &Portal, customer: &str) -> Value {
        let path = portal.path(&format!("/invoices?customer={customer}"));
        let mut list = self.service.get(&path).await.expect(200);
        assert_eq!(list["data"][0]["status"], "open", "{list}");
        list["data"][0].take()
    }

    /// Lets Stripe deliver its events to the portal's hook, signed by the account's clock.
    pub(super) async fn hear_events(&self, portal: &Portal) {
        let path = portal.path("/modules/stripe/webhook-endpoint");
        self.service.post(&path, Value::Null).await.expect(201);
        self.plan_events(portal, json!({"signature_clock": "account"}))
            .await;
    }

    /// Disturbs the delivery of the account's events.
    pub(super) async fn plan_events(&self, portal: &Portal, mut plan: Value) {
        plan["account"] = json!(portal.account);
        self.service
            .simulator(Method::POST, "/webhooks/plan", plan)
            .await;
    }

    /// Asks, and waits so many seconds for the work. The answer may not come: the service is cut off
    /// under it.
    pub(super) async fn ask(&self, base_url: &str, asked: &Asked, wait: u8) -> Option<Answer> {
        let mut request = self
            .service
            .client
            .request(asked.method.clone(), format!("{base_url}{}", asked.path))
            .header("authorization", self.service.bearer())
            .header("prefer", format!("wait={wait}"));
        if !asked.body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(asked.body.to_string());
        }
        if let Some(key) = &asked.key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer {
            status,
            headers,
            text: response.text().await.ok()?,
        })
    }

    /// Does this while time passes as it does on the wall.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let passing = async {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                let millis = i64::try_from(TICK.as_millis()).unwrap();
                self.service.clock.advance_millis(millis);
            }
        };
        tokio::select! {
            done = work => done,
            () = passing => unreachable!("time does not end"),
        }
    }

    /// Lets leases of cut-off work run out until nothing of these portals is running. The clock
    /// moves on when nothing has for a while: work that only is slow loses its lease then, too, and
    /// must not mind.
    pub(super) async fn come_to_rest(&self, portals: &[Portal]) -> Result<(), String> {
        let mut running = Vec::new();
        for _lease in 0..LEASES {
            self.service.clock.advance_millis(LEASE_MS);
            let mut unchanged = 0;
            while unchanged < LOOKS {
                let now = self.running(portals).await;
                if now.is_empty() {
                    return Ok(());
                }
                unchanged = if now == running { unchanged + 1 } else { 0 };
                running = now;
                a_moment().await;
            }
        }
        Err(format!("I12: still running: {running:?}"))
    }

    /// Whether nothing of the portal is running.
    pub(super) async fn is_at_rest(&self, portal: &Portal) -> bool {
        self.running(std::slice::from_ref(portal)).await.is_empty()
    }

    /// Lets time pass until nothing of the portal is under way: no operation, no event that Stripe has to
    /// deliver, none that was stored and not settled. Work that was cut off loses its lease, and what
    /// waits for a time gets it.
    pub(super) async fn settle_all(&self, portal: &Portal) -> Result<(), String> {
        let open = format!(
            "SELECT (SELECT COUNT(*) FROM operations WHERE portal_id = '{0}' AND status = 'running') \
             + (SELECT COUNT(*) FROM stripe_events WHERE portal_id = '{0}' \
             AND status IN ('parked', 'refetch')) AS count",
            portal.name
        );
        let idle = format!("/webhooks/idle?account={}&timeout_ms=5000", portal.account);
        for _round in 0..SETTLING_ROUNDS {
            self.pass(portal, LEASE_MS / 1000).await;
            let (mut left, mut unchanged) = (-1, 0);
            while unchanged < SETTLING_LOOKS {
                self.service
                    .simulator(Method::GET, &idle, Value::Null)
                    .await;
                let now = self.service.database.count(&open).await;
                if now == 0 {
                    return Ok(());
                }
                unchanged = if now == left { unchanged + 1 } else { 0 };
                left = now;
                a_moment().await;
            }
        }
        Err(format!("{}: it does not come to rest", portal.name))
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
