//! Products and plans over HTTP: set, brought to Stripe, taken from it, imported.

mod faults;
mod imports;
mod products;
mod publishing;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::service::Service;

const WEATHER: &str = "/v1/portals/acme/products/weather";

/// Calls that are repeated at once, so that a test waits for nothing.
const QUICK: [(&str, &str); 2] = [
    ("operations.first_backoff_ms", "1"),
    ("operations.longest_backoff_ms", "5"),
];

fn free() -> Value {
    json!({"model": "free"})
}

fn flat(amount: i64) -> Value {
    json!({
        "model": "flat",
        "price": {"amount": amount, "currency": "usd"},
        "interval": {"unit": "month", "count": 1},
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "made where it is passed, at every call"
)]
fn plan(id: &str, pricing: Value) -> Value {
    json!({"id": id, "title": format!("The {id} plan"), "pricing": pricing})
}

fn product(state: &str, plans: &[Value]) -> Value {
    json!({"title": "Weather", "version": "1.0.0", "state": state, "plans": plans})
}

/// A service with a portal that can sell.
async fn selling(engine: Database) -> Service {
    let service = Service::start_with(engine, &QUICK).await;
    service.configured_portal("acme").await;
    service
}

/// The objects of a type at Stripe, oldest first.
async fn at_stripe(service: &Service, object: &str) -> Vec<Value> {
    let state = service.simulator(Method::GET, "/state", Value::Null).await;
    state["objects"][object].as_array().unwrap().clone()
}

/// How often Stripe was called for products and prices, to write and to read.
async fn calls(service: &Service) -> (u64, u64) {
    let log = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await;
    let (mut writes, mut reads) = (0, 0);
    for (operation, count) in log["counts"].as_object().unwrap() {
        if operation.contains("/v1/products") || operation.contains("/v1/prices") {
            let sum = if operation.starts_with("GET") {
                &mut reads
            } else {
                &mut writes
            };
            *sum += count.as_u64().unwrap();
        }
    }
    (writes, reads)
}

/// The actions of the portal's audit log about products, oldest first.
async fn audited(service: &Service) -> Vec<String> {
    let log = service
        .get("/v1/portals/acme/audit-log?limit=100")
        .await
        .expect(200);
    let mut actions: Vec<String> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .filter(|action| action.starts_with("product."))
        .collect();
    actions.reverse();
    actions
}
