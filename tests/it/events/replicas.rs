//! Two processes on one PostgreSQL share the deliveries, and either may be killed at any time.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::domain::slug::Slug;
use portal_billing::ids::{Ids, Kind};
use portal_billing::server::{self, TokenArguments};
use portal_billing::store::Store;
use portal_billing::store::events::{self, NewEvent};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::database::{Database, FreshDatabase};
use crate::support::process::Process;
use crate::support::receiver::{Reaction, Received, Receiver};
use crate::support::service::Service;

const SUBJECTS: usize = 24;
const KILLS: usize = 6;
const EVENTS_BETWEEN: usize = 120;

struct Replicas {
    database: FreshDatabase,
    environment: BTreeMap<String, String>,
    client: Client,
    bearer: String,
}

impl Replicas {
    async fn new() -> Self {
        let database = FreshDatabase::new(Database::Pg).await;
        let variable =
            |name: &str, value: &str| (format!("PORTAL_BILLING__{name}"), value.to_owned());
        let environment = BTreeMap::from([
            variable("KEYS__MASTER_KEY", &BASE64.encode(&[7; 32])),
            variable(
                "AUTH__DEVELOPMENT_SECRET",
                "a development secret of replicas",
            ),
            variable("DATABASE__URL", &database.url),
        ]);
        let sources = Sources {
            environment: environment.clone(),
            ..Sources::default()
        };
        let arguments = TokenArguments {
            subject: "ops".to_owned(),
            portal: "*".to_owned(),
            org: None,
            scopes: vec!["all".to_owned()],
            lifetime: "1h".to_owned(),
            signing_key: None,
            issuer: None,
            key_id: None,
        };
        let token = server::issue_token(&Config::load(&sources).unwrap(), &arguments).unwrap();
        Self {
            database,
            environment,
            client: Client::builder().no_proxy().build().unwrap(),
            bearer: format!("Bearer {token}"),
        }
    }

    fn start(&self) -> Process {
        let settings = [
            "server.listen=127.0.0.1:0",
            "server.workers=1",
            "deliveries.allow_loopback=true",
            "deliveries.poll_ms=20",
            "deliveries.timeout_ms=1000",
            "deliveries.at_once_per_endpoint=4",
        ];
        Process::start(&self.environment, &settings.map(str::to_owned))
    }

    async fn call(&self, process: &Process, method: Method, path: &str, body: Value) -> Value {
        let request = self
            .client
            .request(method, format!("{}{path}", process.base_url))
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(body.to_string());
        Service::answer(request).await.expect(201)
    }

    /// Writes events as use cases do; counts up the versions of the subjects.
    async fn publish(&self, versions: &mut [i64], count: usize) {
        let store = Store::new(self.database.settings()).unwrap();
        let clock = Clock::machine();
        let ids = Ids::random(clock.clone());
        let portal = Slug::parse("acme").unwrap();
        for n in 0..count {
            let place = n * 5 % versions.len();
            versions[place] += 1;
            let (id, subject) = (ids.new_id(Kind::Event), format!("subn_{place}"));
            let event = NewEvent {
                id: id.as_str(),
                event_type: "subscription.updated",
                subject: &subject,
                seq: versions[place],
                organization: None,
                data: "{}",
            };
            store
                .write(async |conn| events::append(conn, &portal, &event, clock.now()).await)
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn either_of_two_replicas_may_be_killed_at_any_time() {
    let replicas = Replicas::new().await;
    let receiver = Receiver::deciding(|_| Reaction::Slowly(5)).await;
    let mut running = [Some(replicas.start()), Some(replicas.start())];
    let first = running[0].as_ref().unwrap();
    let portal = "/v1/portals/acme";
    replicas
        .call(first, Method::PUT, portal, json!({"title": "Acme"}))
        .await;
    let body = json!({"url": receiver.url(), "events": ["subscription.updated"]});
    let path = format!("{portal}/webhook-endpoints");
    replicas.call(first, Method::POST, &path, body).await;
    let mut versions = vec![0; SUBJECTS];
    for kill in 0..KILLS {
        let before = receiver.received_count();
        replicas.publish(&mut versions, EVENTS_BETWEEN).await;
        // In the middle of it, at another place each time.
        receiver.count(before + 10 + 13 * kill).await;
        running[kill % 2].take().unwrap().kill();
        running[kill % 2] = Some(replicas.start());
    }
    let total = KILLS * EVENTS_BETWEEN;
    let received = receiver
        .until(|received| {
            let ids: std::collections::BTreeSet<&str> = received.iter().map(Received::id).collect();
            ids.len() == total
        })
        .await;
    let mut seen: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for it in &received {
        let seen = seen.entry(it.subject()).or_default();
        // What was under way when its process died comes again, before anything newer.
        if seen.last() != Some(&it.sequence()) {
            seen.push(it.sequence());
        }
    }
    for (place, last) in versions.into_iter().enumerate() {
        let expected: Vec<i64> = (1..=last).collect();
        assert_eq!(seen[&format!("subn_{place}")], expected);
    }
}
