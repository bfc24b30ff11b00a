//! Invoices: followed as Stripe tells of them, paid, voided, previewed.

use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::subscriptions::{advance, at_stripe, order, payer, read, subscribe};
use crate::support::database::Database;

mod dunning;
mod follow;
mod settle;
mod upcoming;

const INVOICES: &str = "/v1/portals/acme/invoices";
const DAY: i64 = 86_400;

/// All invoices of the portal, newest first.
async fn invoices(world: &World) -> Vec<Value> {
    let page = world
        .service
        .get(&format!("{INVOICES}?limit=100"))
        .await
        .expect(200);
    page["data"].as_array().unwrap().clone()
}

async fn invoice(world: &World, id: &Value) -> Value {
    let path = format!("{INVOICES}/{}", id.as_str().unwrap());
    world.service.get(&path).await.expect(200)
}

/// A customer's payment method that is saved here, of the test card of that name.
async fn saved(world: &World, customer: &str, name: &str) -> Value {
    let card = world.service.card(name).await;
    let key = format!("save-{name}");
    world
        .service
        .save(customer, &key, json!({"payment_method": card}))
        .await
        .expect(201)
}

/// A subscription that is paid with another card from now on, by the name of a test card.
async fn pays_with(world: &World, subscription: &Value, name: &str) {
    let card = world.service.card(name).await;
    let owner = at_stripe(&world.service, "customer").await[0]["id"].clone();
    let form = [("customer", owner.as_str().unwrap())];
    let attach = format!("/v1/payment_methods/{card}/attach");
    world.service.stripe(&attach, &form).await;
    let id = subscription["stripe"]["subscription"].as_str().unwrap();
    let form = [("default_payment_method", card.as_str())];
    world
        .service
        .stripe(&format!("/v1/subscriptions/{id}"), &form)
        .await;
}

/// A subscription whose renewal has failed, as it is here, and its open invoice.
async fn behind(engine: Database, card: &str) -> (World, String, Value, Value) {
    let world = World::delivering(engine).await;
    let customer = payer(&world.service, "globex").await;
    let made = subscribe(&world.service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    world.rest().await;
    pays_with(&world, &made, card).await;
    // Into the second period, past the hour in which an invoice is a draft.
    for _ in 0..4 {
        advance(&world.service, 8 * DAY).await;
        world.rest().await;
        if read(&world.service, &made).await["status"] == "past_due" {
            break;
        }
    }
    let now = read(&world.service, &made).await;
    assert_eq!(now["status"], "past_due");
    let open = invoice(&world, &now["latest_invoice"]).await;
    assert_eq!(open["status"], "open");
    (world, customer, now, open)
}

/// Calls below an invoice.
async fn tell(
    world: &World,
    invoice: &Value,
    verb: &str,
    key: &str,
    body: Value,
) -> crate::support::service::Answer {
    let path = format!("{INVOICES}/{}/{verb}", invoice["id"].as_str().unwrap());
    world.service.post_once(&path, key, body).await
}

/// What a gateway is told.
async fn access(world: &World) -> Value {
    let path = "/v1/portals/acme/access?customer=ext:globex&product=weather";
    world.service.get(path).await.expect(200)
}

/// Payments that went through at Stripe.
async fn payments(world: &World) -> usize {
    let all = at_stripe(&world.service, "payment_intent").await;
    all.iter()
        .filter(|intent| intent["status"] == "succeeded")
        .count()
}

/// The bank has seen who pays the invoice.
async fn bank_approves(world: &World, invoice: &Value) {
    let id = invoice["stripe"]["invoice"].as_str().unwrap();
    let path = format!("/v1/invoices/{id}?expand[]=confirmation_secret");
    let there = world.get_there(&path).await;
    let secret = there["confirmation_secret"]["client_secret"]
        .as_str()
        .unwrap();
    let intent = secret.split("_secret_").next().unwrap();
    let approve = format!("/bank/{intent}/approve");
    world
        .service
        .simulator(Method::POST, &approve, json!({}))
        .await;
}
