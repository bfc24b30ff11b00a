//! What is kept between questions: changes count at once where they are made, and within a second on
//! every other replica.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Replica, Service};

on_both_databases!(
    a_change_counts_at_once_here_and_within_a_second_elsewhere,
    settings_count_within_a_second_elsewhere,
    what_follows_an_end_is_seen_at_once,
    nothing_is_read_again_that_has_not_changed,
    what_is_kept_is_kept_for_nobody_else,
    with_no_time_to_be_stale_each_answer_is_read,
);

const ACCESS: &str = "/v1/portals/acme/access?customer=ext:globex&product=open";

/// A portal with a free plan, one customer, and two servers.
struct World {
    service: Service,
    other: Replica,
    made: std::cell::Cell<u32>,
}

impl World {
    async fn start(engine: Database, settings: &[(&str, &str)]) -> Self {
        let service = Service::start_with(engine, settings).await;
        service.enabled_portal("acme").await;
        let plans = json!([{"id": "free", "title": "Free", "pricing": {"model": "free"}}]);
        let product =
            json!({"title": "Open", "version": "1.0.0", "state": "published", "plans": plans});
        let path = "/v1/portals/acme/products/open";
        service.put(path, product).await.expect(201);
        let customer =
            json!({"external_id": "globex", "name": "Globex", "email": "b@globex.example"});
        let path = "/v1/portals/acme/customers";
        service.post(path, customer).await.expect(201);
        Self {
            other: service.one_more(&[]).await,
            service,
            made: std::cell::Cell::new(0),
        }
    }

    /// Subscribes through the first server; gives the subscription's id.
    async fn subscribe(&self) -> String {
        self.made.set(self.made.get() + 1);
        let body = json!({"customer": "ext:globex", "product": "open", "plan": "free"});
        let key = format!("subscribe-{}", self.made.get());
        let bearer = self.service.bearer();
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", &key),
        ];
        let path = "/v1/portals/acme/subscriptions";
        let answer = self.service.call_with(Method::POST, path, &headers, body);
        answer.await.expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// Ends it through the first server.
    async fn cancel(&self, id: &str) {
        let path = format!("/v1/portals/acme/subscriptions/{id}/cancel");
        self.service
            .post(&path, json!({"at": "now"}))
            .await
            .expect(200);
    }

    /// The reason that the other server gives.
    async fn elsewhere(&self, path: &str) -> String {
        let request = self
            .service
            .client
            .get(format!("{}{path}", self.other.base_url))
            .header("authorization", self.service.bearer());
        reason(&Service::answer(request).await.expect(200))
    }

    async fn here(&self, path: &str) -> String {
        reason(&self.service.get(path).await.expect(200))
    }

    /// Asks both servers so often that they keep what there is to be kept, whatever else they do.
    async fn ask_often(&self, path: &str, expected: &str) {
        for _ in 0..20 {
            assert_eq!(self.here(path).await, expected);
            assert_eq!(self.elsewhere(path).await, expected);
        }
    }

    /// Asks the other server until it says what is expected, for a second at the most.
    async fn within_a_second(&self, path: &str, expected: &str) {
        let begun = Instant::now();
        while self.elsewhere(path).await != expected {
            assert!(begun.elapsed() < Duration::from_secs(1), "not {expected}");
        }
    }
}

fn reason(body: &Value) -> String {
    body["reason"].as_str().unwrap().to_owned()
}

fn of(id: &str) -> String {
    format!("/v1/portals/acme/subscriptions/{id}/access")
}

async fn a_change_counts_at_once_here_and_within_a_second_elsewhere(engine: Database) {
    let world = World::start(engine, &[]).await;
    for _ in 0..3 {
        let id = world.subscribe().await;
        for path in [ACCESS, &of(&id)] {
            world.ask_often(path, "free").await;
        }
        world.cancel(&id).await;
        for path in [ACCESS, &of(&id)] {
            assert_eq!(world.here(path).await, "canceled");
            world.within_a_second(path, "canceled").await;
        }
    }
}

async fn settings_count_within_a_second_elsewhere(engine: Database) {
    let world = World::start(engine, &[]).await;
    let id = world.subscribe().await;
    // As if Stripe had said so; the settings decide what it means.
    let owed = "UPDATE subscriptions SET status = 'unpaid', paid = TRUE, unpaid_since = 1";
    world.service.database.execute(owed).await;
    let path = of(&id);
    world.ask_often(&path, "unpaid").await;
    let decision = async |on: &str| {
        let request = world
            .service
            .client
            .get(format!("{on}{path}"))
            .header("authorization", world.service.bearer());
        Service::answer(request).await.expect(200)["decision"].clone()
    };
    assert_eq!(decision(&world.other.base_url).await, "deny");
    let settings = json!({"enabled": true, "settings": {"on_unpaid": "allow"}});
    let module = "/v1/portals/acme/modules/stripe";
    world.service.put(module, settings).await.expect(200);
    assert_eq!(decision(&world.service.base_url).await, "allow");
    let begun = Instant::now();
    while decision(&world.other.base_url).await != "allow" {
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

async fn what_follows_an_end_is_seen_at_once(engine: Database) {
    let world = World::start(engine, &[]).await;
    world.ask_often(ACCESS, "no_subscription").await;
    let first = world.subscribe().await;
    // What is not live is not kept, so there is nothing to be stale.
    assert_eq!(world.elsewhere(ACCESS).await, "free");
    world.ask_often(ACCESS, "free").await;
    world.cancel(&first).await;
    world.within_a_second(ACCESS, "canceled").await;
    world.subscribe().await;
    assert_eq!(world.elsewhere(ACCESS).await, "free");
}

async fn nothing_is_read_again_that_has_not_changed(engine: Database) {
    let world = World::start(engine, &[]).await;
    let id = world.subscribe().await;
    world.ask_often(&of(&id), "free").await;
    // A change that nobody tells of, which no code of ours makes, is seen by nobody who has asked.
    world
        .service
        .database
        .execute("UPDATE subscriptions SET status = 'paused'")
        .await;
    assert_eq!(world.elsewhere(&of(&id)).await, "free");
    // Whoever has not asked yet reads.
    assert_eq!(world.elsewhere(ACCESS).await, "paused");
    world.cancel(&id).await;
    world.within_a_second(&of(&id), "canceled").await;
}

async fn what_is_kept_is_kept_for_nobody_else(engine: Database) {
    let world = World::start(engine, &[]).await;
    let id = world.subscribe().await;
    world.ask_often(&of(&id), "free").await;
    world.service.enabled_portal("other").await;
    for claims in [
        [("portal", "acme"), ("org", "initech")],
        [("portal", "other"), ("org", "globex")],
    ] {
        let claims = [&claims[..], &[("scope", "access:read")]].concat();
        let bearer = format!("Bearer {}", world.service.token(&claims));
        let headers = [("authorization", bearer.as_str())];
        let path = of(&id);
        let call = world
            .service
            .call_with(Method::GET, &path, &headers, Value::Null);
        call.await.problem(404, "not_found");
    }
    let far = of(&id).replace("acme", "other");
    world.service.get(&far).await.problem(404, "not_found");
}

async fn with_no_time_to_be_stale_each_answer_is_read(engine: Database) {
    let world = World::start(engine, &[("access.stale_ms", "0")]).await;
    let id = world.subscribe().await;
    world.ask_often(&of(&id), "free").await;
    world
        .service
        .database
        .execute("UPDATE subscriptions SET status = 'paused'")
        .await;
    world.ask_often(&of(&id), "paused").await;
}
