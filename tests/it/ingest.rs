//! Stripe's events: what they change here, in whatever order, however often, and whatever else happens.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::subscriptions::{order, payer, shop_with, subscribe};
use crate::support::database::Database;
use crate::support::service::{PUBLISHABLE_KEY, SECRET_KEY, Service};
use crate::webhooks::{BY_HAND, deliver, hook_of, signature};

mod checkout;
mod claims;
mod copies;
mod customers;
mod invoices;
mod letters;
mod lives;
mod order;
mod plans;

const EVENTS: &str = "/v1/portals/acme/modules/stripe/events";
const PINNED: &str = "2026-09-30.endive";

/// A portal that sells, with a hook; what Stripe itself would deliver is held.
struct World {
    service: Service,
    hook: String,
}

impl World {
    async fn new(engine: Database) -> Self {
        let world = Self::delivering(engine).await;
        world.plan(json!({"hold": true})).await;
        world
    }

    /// Where Stripe delivers by itself.
    async fn delivering(engine: Database) -> Self {
        Self::delivering_with(engine, &[]).await
    }

    async fn delivering_with(engine: Database, settings: &[(&str, &str)]) -> Self {
        // Stored events are looked at in the wall's time, whatever the clock of the service says.
        let mut all = vec![("operations.poll_ms", "10")];
        all.extend_from_slice(settings);
        let service = shop_with(engine, &all).await;
        let hook = hook_in(&service, "acme").await;
        let world = Self { service, hook };
        // Tests turn the clocks; a signature is of the time that the account has.
        world.plan(json!({"signature_clock": "account"})).await;
        world
    }

    async fn plan(&self, plan: Value) {
        self.service
            .simulator(Method::POST, "/webhooks/plan", plan)
            .await;
    }

    /// Lets Stripe tell what it was kept from telling, and all that comes.
    async fn let_go(&self) {
        self.plan(json!({"hold": false})).await;
        let released = self
            .service
            .simulator(Method::POST, "/webhooks/release", json!({}));
        assert_ne!(released.await["released"], 0);
        self.rest().await;
    }

    /// A customer's active subscription: as it is here, and as Stripe has it.
    async fn subscription(&self) -> (Value, Value) {
        let customer = payer(&self.service, "globex").await;
        let made = subscribe(&self.service, "subscribe-1", order(&customer, "gold")).await;
        let made = made.expect(201);
        let there = self
            .there(made["stripe"]["subscription"].as_str().unwrap())
            .await;
        self.service.forget_calls().await;
        (made, there)
    }

    /// A subscription as Stripe has it.
    async fn there(&self, id: &str) -> Value {
        self.get_there(&format!("/v1/subscriptions/{id}")).await
    }

    async fn get_there(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.service.simulator.base_url());
        let request = self.service.client.get(url).bearer_auth(SECRET_KEY);
        Service::answer(request).await.expect(200)
    }

    /// Signs and delivers an event; tells whether it was a duplicate.
    async fn deliver(&self, event: &Value) -> bool {
        let answer = deliver_to(&self.service, &self.hook, event).await;
        answer["duplicate"].as_bool().unwrap()
    }

    /// What became of the events, by their ids.
    async fn inbox(&self) -> BTreeMap<String, String> {
        let page = self.service.get(&format!("{EVENTS}?limit=100")).await;
        let page = page.expect(200);
        let events = page["data"].as_array().unwrap().iter();
        events
            .map(|event| {
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                (text("id"), text("status"))
            })
            .collect()
    }

    /// Waits until nothing is delivered and nothing is left to do; what waits for a time gets it.
    async fn rest(&self) {
        for _ in 0..600 {
            let idle = self
                .service
                .simulator(Method::GET, "/webhooks/idle?timeout_ms=5000", Value::Null)
                .await;
            assert_eq!(idle["idle"], true);
            let mut open = 0;
            for status in ["parked", "refetch"] {
                let path = format!("{EVENTS}?status={status}");
                let page = self.service.get(&path).await.expect(200);
                open += page["data"].as_array().unwrap().len();
            }
            if open == 0 {
                return;
            }
            self.service.clock.advance_millis(100);
            // Asleep, because the service looks by itself, and by the wall's clock.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the inbox does not come to rest: {:?}", self.inbox().await);
    }
}

/// The hook of a portal whose endpoint has a secret that the tests know.
async fn hook_in(service: &Service, portal: &str) -> String {
    let module = format!("/v1/portals/{portal}/modules/stripe");
    let keys = json!({
        "secret_key": SECRET_KEY, "publishable_key": PUBLISHABLE_KEY, "webhook_secret": BY_HAND,
    });
    let stored = service.put(&format!("{module}/credentials"), keys).await;
    assert!(stored.status.is_success(), "{}", stored.text);
    let endpoint = format!("{module}/webhook-endpoint");
    hook_of(&service.post(&endpoint, Value::Null).await.expect(201))
}

async fn deliver_to(service: &Service, hook: &str, event: &Value) -> Value {
    let body = event.to_string();
    let signature = signature(BY_HAND, service.clock.now().as_seconds(), &body);
    deliver(service, hook, &signature, &body).await.expect(200)
}

/// An event of the pinned version.
fn event(id: &str, kind: &str, created: i64, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "type": kind, "created": created, "api_version": PINNED,
        "livemode": false, "data": {"object": object},
        "request": {"id": null, "idempotency_key": null},
    })
}

/// The same subscription with another status.
fn in_status(there: &Value, status: &str) -> Value {
    let mut changed = there.clone();
    changed["status"] = json!(status);
    changed
}

/// A time after all that has happened so far.
fn later(service: &Service, seconds: i64) -> i64 {
    service.clock.now().as_seconds() + 60 + seconds
}
