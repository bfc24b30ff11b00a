//! Subscriptions over HTTP, and what of them Stripe is told.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::PORTAL;
use crate::support::database::Database;
use crate::support::service::{Answer, Service};

mod abandoned;
mod approval;
mod bank;
mod ends;
mod free;
mod lists;
mod outage;
mod paid;
mod races;
mod trials;

pub(crate) const SUBSCRIPTIONS: &str = "/v1/portals/acme/subscriptions";
const CREATE: &str = "POST /v1/subscriptions";
const CREATE_CUSTOMER: &str = "POST /v1/customers";

/// Every plan these tests subscribe to.
fn plans() -> Value {
    let monthly = json!({"unit": "month", "count": 1});
    let flat = |amount: i64| {
        json!({
            "model": "flat", "price": {"amount": amount, "currency": "usd"}, "interval": monthly,
        })
    };
    let with = |mut pricing: Value, more: Value| {
        for (name, value) in more.as_object().unwrap() {
            pricing[name] = value.clone();
        }
        pricing
    };
    let plan = |id: &str, approval: bool, pricing: Value| {
        json!({
            "id": id, "title": id, "approval_required": approval, "pricing": pricing,
        })
    };
    json!([
        plan("open", false, json!({"model": "free"})),
        plan("club", true, json!({"model": "free"})),
        plan("gold", false, flat(1500)),
        plan("board", true, flat(9900)),
        plan(
            "seats",
            false,
            json!({
                "model": "per_seat", "price": {"amount": 700, "currency": "usd"}, "interval": monthly,
            })
        ),
        plan(
            "trial",
            false,
            with(flat(2000), json!({"trial": {"days": 14}}))
        ),
        plan(
            "taste",
            false,
            with(
                flat(2500),
                json!({
                    "trial": {"days": 7, "requires_payment_method": false, "end_behavior": "cancel"},
                })
            )
        ),
        plan(
            "setup",
            false,
            with(
                flat(3000),
                json!({
                    "setup_fee": {"amount": 5000, "currency": "usd"},
                })
            )
        ),
    ])
}

async fn publish(service: &Service, product: &str, plans: Value) {
    let body = json!({
        "title": product, "version": "1.0.0", "state": "published", "plans": plans,
    });
    let path = format!("/v1/portals/{PORTAL}/products/{product}");
    let answer = service.put(&path, body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// A portal that sells, and nobody has bought yet.
pub(crate) async fn shop(engine: Database) -> Service {
    shop_with(engine, &[]).await
}

pub(crate) async fn shop_with(engine: Database, settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(engine, settings).await;
    service.with_billing().await;
    publish(&service, "weather", plans()).await;
    service
}

/// A customer that Stripe knows, with a card that works as its default; its id.
pub(crate) async fn payer(service: &Service, external_id: &str) -> String {
    let customer = service.customer(external_id).await;
    let id = customer["id"].as_str().unwrap().to_owned();
    let card = service.card("visa").await;
    let key = format!("save-{external_id}");
    service
        .save(&id, &key, json!({"payment_method": card}))
        .await
        .expect(201);
    service.forget_calls().await;
    id
}

pub(crate) fn order(customer: &str, plan: &str) -> Value {
    json!({"customer": customer, "product": "weather", "plan": plan})
}

/// The same with more said.
pub(crate) fn with(mut order: Value, name: &str, value: impl Into<Value>) -> Value {
    order[name] = value.into();
    order
}

pub(crate) async fn subscribe(service: &Service, key: &str, order: Value) -> Answer {
    service.post_once(SUBSCRIPTIONS, key, order).await
}

/// A call below a subscription, such as `cancel`.
async fn tell(service: &Service, subscription: &Value, verb: &str, body: Value) -> Answer {
    service.post(&place(subscription, verb), body).await
}

fn place(subscription: &Value, verb: &str) -> String {
    format!(
        "{SUBSCRIPTIONS}/{}/{verb}",
        subscription["id"].as_str().unwrap()
    )
}

pub(crate) async fn read(service: &Service, subscription: &Value) -> Value {
    let path = format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap());
    service.get(&path).await.expect(200)
}

/// The types of the events about a thing, with their sequence numbers, in order.
pub(crate) async fn told_of(service: &Service, subject: &Value) -> Vec<(String, i64)> {
    told(service)
        .await
        .into_iter()
        .filter(|event| Some(event.subject.as_str()) == subject.as_str())
        .map(|event| (event.event_type, event.seq))
        .collect()
}

/// An event as it is stored.
#[derive(diesel::QueryableByName)]
struct Told {
    #[diesel(sql_type = diesel::sql_types::Text)]
    event_type: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    subject: String,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    seq: i64,
    #[diesel(sql_type = diesel::sql_types::Text)]
    data: String,
}

/// Everything the portal's feed holds.
async fn told(service: &Service) -> Vec<Told> {
    const ALL: &str = "SELECT event_type, subject, seq, data FROM events ORDER BY position";
    service.database.rows(ALL).await
}

/// Every object of a kind that Stripe has, of which there may be none.
pub(crate) async fn at_stripe(service: &Service, kind: &str) -> Vec<Value> {
    let state = service.simulator(Method::GET, "/state", Value::Null).await;
    state["objects"][kind]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Live subscriptions at Stripe.
async fn live_at_stripe(service: &Service) -> usize {
    let all = at_stripe(service, "subscription").await;
    let ended = |object: &Value| {
        matches!(
            object["status"].as_str().unwrap(),
            "canceled" | "incomplete_expired"
        )
    };
    all.iter().filter(|object| !ended(object)).count()
}

/// Turns Stripe's clock and ours together.
pub(crate) async fn advance(service: &Service, seconds: i64) {
    service.clock.advance_millis(seconds * 1000);
    service
        .simulator(Method::POST, "/clock", json!({"advance_seconds": seconds}))
        .await;
}
