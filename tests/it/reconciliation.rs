//! Reconciliation over HTTP: what was changed behind the service's back is named, mended, and found no
//! more; nothing is charged or made at Stripe for it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::billing::PORTAL;
use crate::support::database::Database;
use crate::support::service::{SECRET_KEY, Service};

mod adopt;
mod drift;
mod invoices;
mod lost;
mod runs;
mod sweeps;

const RECONCILIATIONS: &str = "/v1/portals/acme/reconciliations";
const SUBSCRIPTIONS: &str = "/v1/portals/acme/subscriptions";

/// Room for calls, so that the tests wait for no second to pass.
const FAST: [(&str, &str); 2] = [
    ("stripe.test_calls_per_second", "10000"),
    ("stripe.endpoint_calls_per_second", "10000"),
];

/// A portal that sells a plan for 15 dollars and one by the seat.
async fn shop(engine: Database, settings: &[(&str, &str)]) -> Service {
    let settings = [&FAST[..], settings].concat();
    let service = Service::start_with(engine, &settings).await;
    service.with_billing().await;
    publish(&service, PORTAL).await;
    service
}

async fn publish(service: &Service, portal: &str) {
    let monthly = json!({"unit": "month", "count": 1});
    let plan = |id: &str, model: &str| {
        json!({
            "id": id, "title": id, "approval_required": false, "pricing": {
                "model": model, "price": {"amount": 1500, "currency": "usd"}, "interval": monthly,
            },
        })
    };
    let body = json!({
        "title": "Weather", "version": "1.0.0", "state": "published",
        "plans": [plan("gold", "flat"), plan("seats", "per_seat")],
    });
    let path = format!("/v1/portals/{portal}/products/weather");
    let answer = service.put(&path, body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// A customer of a portal with a card that works as its default, and its subscription.
async fn subscriber_of(service: &Service, portal: &str, external_id: &str, plan: &str) -> Value {
    let customers = format!("/v1/portals/{portal}/customers");
    let body = json!({
        "external_id": external_id, "name": "Globex GmbH", "email": "billing@globex.example",
    });
    service.post(&customers, body).await.expect(201);
    let card = service.card("visa").await;
    let path = format!("{customers}/ext:{external_id}/payment-methods");
    let key = format!("save-{portal}-{external_id}");
    service
        .post_once(
            &path,
            &key,
            json!({"payment_method": card, "default": true}),
        )
        .await
        .expect(201);
    let body = json!({
        "customer": format!("ext:{external_id}"), "product": "weather", "plan": plan,
        "application": "app-42",
    });
    let key = format!("subscribe-{portal}-{external_id}");
    let path = format!("/v1/portals/{portal}/subscriptions");
    service.post_once(&path, &key, body).await.expect(201)
}

async fn subscriber(service: &Service, external_id: &str, plan: &str) -> Value {
    subscriber_of(service, PORTAL, external_id, plan).await
}

async fn customer(service: &Service, external_id: &str) -> Value {
    let path = format!("/v1/portals/{PORTAL}/customers/ext:{external_id}");
    service.get(&path).await.expect(200)
}

async fn subscription(service: &Service, id: &Value) -> Value {
    let path = format!("{SUBSCRIPTIONS}/{}", id.as_str().unwrap());
    service.get(&path).await.expect(200)
}

/// A reconciliation that was waited for.
async fn reconcile(service: &Service, repair: bool) -> Value {
    reconcile_with(service, json!({"repair": repair})).await
}

async fn reconcile_with(service: &Service, body: Value) -> Value {
    let bearer = service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=30")];
    let answer = service
        .call_with(Method::POST, RECONCILIATIONS, &headers, body)
        .await;
    let done = if answer.status == 202 {
        // Larger than what is waited for: a thousand customers are a thousand reads.
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let path = format!("{RECONCILIATIONS}/{id}");
        until(service, &path, |body| body["status"] != "running").await
    } else {
        answer.expect(200)
    };
    assert_eq!(done["status"], "done", "{done}");
    done
}

/// What was found but invoices, as `kind object drift fields`, sorted; each must have been repaired, or
/// not. Invoices are told of by events alone, which most tests here do without.
fn found(done: &Value, repaired: bool) -> Vec<String> {
    of_kinds(done, repaired, |kind| kind != "invoice")
}

/// The same of invoices.
fn invoices_found(done: &Value, repaired: bool) -> Vec<String> {
    of_kinds(done, repaired, |kind| kind == "invoice")
}

fn of_kinds(done: &Value, repaired: bool, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let all = done["drift"].as_array().unwrap();
    assert_eq!(done["drift_count"], all.len(), "{done}");
    let mut lines: Vec<String> = all
        .iter()
        .filter(|drift| wanted(drift["kind"].as_str().unwrap()))
        .map(|drift| {
            assert_eq!(drift["repaired"], repaired, "{drift}");
            let fields: Vec<&str> = drift["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| field.as_str().unwrap())
                .collect();
            let text = |name: &str| drift[name].as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {}",
                text("kind"),
                text("object"),
                text("drift"),
                fields.join("+")
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

/// `POST` and `DELETE` calls that the service made to Stripe since the log was emptied.
async fn writes(service: &Service) -> Vec<String> {
    let calls = service.calls().await;
    assert!(
        !calls.iter().any(|call| call.contains("/search")),
        "{calls:?}"
    );
    calls
        .into_iter()
        .filter(|call| !call.starts_with("GET "))
        .collect()
}

/// A deletion at Stripe, as its dashboard makes it.
async fn delete_at_stripe(service: &Service, path: &str) {
    let url = format!("{}{path}", service.simulator.base_url());
    let request = service.client.delete(url).bearer_auth(SECRET_KEY);
    Service::answer(request).await.expect(200);
}

/// Every object of a kind that Stripe has.
async fn at_stripe(service: &Service, kind: &str) -> Vec<Value> {
    let state = service.simulator(Method::GET, "/state", Value::Null).await;
    let objects = state["objects"][kind].as_array();
    objects.cloned().unwrap_or_default()
}

/// Asks until the answer is as wanted; gives it.
async fn until(service: &Service, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            let body = service.get(path).await.expect(200);
            if wanted(&body) {
                return body;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(2), asked)
        .await
        .unwrap_or_else(|_| panic!("{path} did not come to it"))
}
