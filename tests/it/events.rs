//! What happens, for the outside: the feed, webhook endpoints, and what is delivered to them.

use portal_billing::domain::slug::Slug;
use portal_billing::ids::{Ids, Kind};
use portal_billing::store::Store;
use portal_billing::store::events::{self, NewEvent};
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::service::{Answer, Service};

mod deliveries;
mod endpoints;
mod feed;
mod many;
mod replicas;

const ENDPOINTS: &str = "/v1/portals/acme/webhook-endpoints";

/// A service that looks for work all the time and may call this machine, with the portal `acme`.
async fn service(engine: Database, settings: &[(&str, &str)]) -> Service {
    let mut all = vec![
        ("deliveries.poll_ms", "10"),
        ("deliveries.allow_loopback", "true"),
    ];
    all.extend_from_slice(settings);
    let service = Service::start_with(engine, &all).await;
    service
        .put("/v1/portals/acme", json!({"title": "Acme"}))
        .await
        .expect(201);
    service
}

/// Writes events as use cases do, in one transaction: type, subject, version.
async fn publish(service: &Service, portal: &str, facts: &[(&str, &str, i64)]) {
    publish_for(service, portal, None, facts).await;
}

async fn publish_for(
    service: &Service,
    portal: &str,
    organization: Option<&str>,
    facts: &[(&str, &str, i64)],
) {
    let store = Store::new(service.database.settings()).unwrap();
    let ids = Ids::random(service.clock.clone());
    let portal = Slug::parse(portal).unwrap();
    store
        .write(async |conn| {
            for (event_type, subject, version) in facts {
                let id = ids.new_id(Kind::Event);
                let data = json!({"id": subject, "version": version}).to_string();
                let event = NewEvent {
                    id: id.as_str(),
                    event_type,
                    subject,
                    seq: *version,
                    organization,
                    data: &data,
                };
                events::append(conn, &portal, &event, service.clock.now()).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
}

/// An endpoint for these types; the whole answer, its secret included.
async fn endpoint(service: &Service, url: &str, types: &[&str]) -> Value {
    let body = json!({"url": url, "events": types});
    service.post(ENDPOINTS, body).await.expect(201)
}

fn id_of(made: &Value) -> String {
    made["endpoint"]["id"].as_str().unwrap().to_owned()
}

/// Asks until the answer is as wanted; asking takes its time, and there is an end to it.
async fn eventually(ask: impl AsyncFn() -> Answer, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..20_000 {
        last = ask().await.expect(200);
        if wanted(&last) {
            return last;
        }
    }
    panic!("it stays {last:#}");
}
