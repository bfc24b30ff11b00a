//! R3 for work that reaches Stripe, and for portals' own webhook endpoints: the connection to the
//! database ends at every statement of it, in the caller's request and in the work that follows, before
//! the statement and after it. What was acknowledged is there, and what is asked again is done once.

use reqwest::Method;
use serde_json::{Value, json};

use super::invariants::{self, Wanted};
use super::proxy::{Proxy, When};
use super::score::Score;
use super::world::{Asked, PRICE, Portal, World, a_moment};
use super::{Dice, of_tier, seed};
use crate::support::database::{Database, FreshDatabase};
use crate::support::service::{Replica, Service};

/// How often a caller comes back.
const COMES_BACK: u32 = 50;

/// What is being done when the database goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A product with a paid plan.
    Publish,
    /// A customer, which needs no Stripe.
    Customer,
    /// A customer's first payment method.
    Save,
    /// A paid subscription.
    Subscribe,
    /// The end of one.
    Cancel,
    /// The loss of a payment method.
    Detach,
    /// Another name for a customer.
    Rename,
    /// The payment of an open invoice.
    Pay,
    /// The end of one.
    Void,
    /// A webhook endpoint of the portal's.
    NewEndpoint,
    /// Other words about one.
    ChangeEndpoint,
    /// The end of one.
    RemoveEndpoint,
    /// New keys for one.
    RotateSecret,
    /// Events once more to one.
    Replay,
}

const WORKS: [Work; 14] = [
    Work::Publish,
    Work::Customer,
    Work::Save,
    Work::Subscribe,
    Work::Cancel,
    Work::Detach,
    Work::Rename,
    Work::Pay,
    Work::Void,
    Work::NewEndpoint,
    Work::ChangeEndpoint,
    Work::RemoveEndpoint,
    Work::RotateSecret,
    Work::Replay,
];

/// After these Stripe knows the customer.
const KNOWN_THERE: [Work; 7] = [
    Work::Save,
    Work::Subscribe,
    Work::Cancel,
    Work::Detach,
    Work::Rename,
    Work::Pay,
    Work::Void,
];

impl Work {
    /// How the audit log names what is done with an endpoint, if that is it.
    const fn of_endpoint(self) -> Option<&'static str> {
        match self {
            Self::NewEndpoint => Some("webhook_endpoint.created"),
            Self::ChangeEndpoint => Some("webhook_endpoint.updated"),
            Self::RemoveEndpoint => Some("webhook_endpoint.deleted"),
            Self::RotateSecret => Some("webhook_endpoint.secret_rotated"),
            Self::Replay => Some("webhook_endpoint.replayed"),
            _ => None,
        }
    }
}

/// A service whose database is behind the proxy, and a replica that reaches it directly and takes up
/// what the first one loses.
async fn start() -> (World, Proxy, Replica) {
    let database = FreshDatabase::new(Database::Pg).await;
    let proxy = Proxy::start(&database.url);
    let (direct, proxied) = (database.url.clone(), proxy.url(&database.url));
    let settings = [
        ("database.url", proxied.as_str()),
        ("server.workers", "1"),
        ("operations.poll_ms", "60000"),
        ("operations.first_backoff_ms", "1"),
        ("operations.longest_backoff_ms", "20"),
        ("stripe.test_calls_per_second", "10000"),
        ("stripe.endpoint_calls_per_second", "10000"),
    ];
    let service = Service::start_on(database, &settings).await;
    let settings = [
        ("database.url", direct.as_str()),
        ("operations.poll_ms", "10"),
    ];
    let replica = service.one_more(&settings).await;
    (World { service }, proxy, replica)
}

/// The request of a case, everything it needs being there.
async fn prepare(world: &World, portal: &Portal, work: Work, number: u32) -> Asked {
    let key = format!("statement-{number}");
    match work {
        Work::Publish => return World::publishing(portal, &format!("api-{number}")),
        Work::Customer => {
            let body = json!({
                "external_id": format!("made-{number}"), "name": "N", "email": "n@globex.example",
            });
            return Asked::post(portal.path("/customers"), key, body);
        }
        _ if work.of_endpoint().is_some() => return at_endpoint(world, portal, work, number).await,
        _ => {}
    }
    let customer = world.customer(portal, &format!("c-{number}")).await;
    let saving = world
        .saving(portal, &customer, &format!("saved-key-{number}"))
        .await;
    if work == Work::Save {
        return saving;
    }
    let made = async |asked: &Asked| {
        let answer = world.ask(&world.service.base_url, asked, 20);
        world.in_time(answer).await.unwrap().expect(201)
    };
    let saved = made(&saving).await;
    let path = portal.path(&format!("/customers/{customer}"));
    match work {
        Work::Detach => {
            let path = format!("{path}/payment-methods/{}", saved["id"].as_str().unwrap());
            return Asked::unkeyed(Method::DELETE, path, Value::Null);
        }
        Work::Rename => return Asked::unkeyed(Method::PATCH, path, json!({"name": "Initech"})),
        Work::Pay | Work::Void => return at_invoice(world, portal, work, &customer, key).await,
        _ => {}
    }
    let body = json!({"customer": customer, "product": "api", "plan": "gold"});
    let subscribing = Asked::post(portal.path("/subscriptions"), key, body);
    if work == Work::Subscribe {
        return subscribing;
    }
    let subscribed = made(&subscribing).await;
    let id = subscribed["id"].as_str().unwrap();
    let path = portal.path(&format!("/subscriptions/{id}/cancel"));
    Asked::post(path, format!("cancel-{number}"), json!({"at": "now"}))
}

/// The payment, or the end, of an open invoice of this customer's.
async fn at_invoice(
    world: &World,
    portal: &Portal,
    work: Work,
    customer: &str,
    key: String,
) -> Asked {
    world.bill(portal, customer).await;
    // No event of Stripe's is heard here.
    let found = portal.mending();
    let found = world.ask(&world.service.base_url, &found, 20);
    assert_eq!(
        world.in_time(found).await.unwrap().expect(200)["status"],
        "done"
    );
    let invoice = world.open_invoice(portal, customer).await;
    let verb = if work == Work::Pay { "pay" } else { "void" };
    let path = format!("/invoices/{}/{verb}", invoice["id"].as_str().unwrap());
    Asked::post(portal.path(&path), key, json!({}))
}

/// A request about the portal's one endpoint, to which nothing is sent.
async fn at_endpoint(world: &World, portal: &Portal, work: Work, number: u32) -> Asked {
    let path = portal.path("/webhook-endpoints");
    let body = json!({"url": "https://globex.example/hooks", "events": ["*"], "enabled": false});
    let key = format!("statement-{number}");
    let found = world.service.get(&path).await.expect(200);
    let mut id = found["data"][0]["id"].as_str().map(str::to_owned);
    if work == Work::NewEndpoint {
        if let Some(before) = id {
            let gone = world.service.delete(&format!("{path}/{before}")).await;
            gone.expect(204);
        }
        return Asked::post(path, key, body);
    }
    if id.is_none() {
        let made = world.service.post(&path, body).await.expect(201);
        id = made["endpoint"]["id"].as_str().map(str::to_owned);
    }
    let path = format!("{path}/{}", id.unwrap());
    match work {
        Work::ChangeEndpoint => {
            let words = json!({"description": format!("Number {number}")});
            Asked::unkeyed(Method::PATCH, path, words)
        }
        Work::RemoveEndpoint => Asked::unkeyed(Method::DELETE, path, Value::Null),
        Work::RotateSecret => Asked::post(format!("{path}/rotate-secret"), key, json!({})),
        _ => {
            let from = json!({"since": "2020-01-01T00:00:00Z"});
            Asked::post(format!("{path}/replay"), key, from)
        }
    }
}

/// What was done with endpoints was done once for each case; what is to be sent again is kept once.
async fn at_endpoints(world: &World, portal: &Portal, work: Work, cases: usize) -> Vec<String> {
    let Some(action) = work.of_endpoint() else {
        return Vec::new();
    };
    let database = &world.service.database;
    let audit = invariants::rows(database, "audit_entries", &["action"], portal).await;
    let done = audit.iter().filter(|entry| entry["action"] == action);
    let mut wrong = Vec::new();
    if done.clone().count() != cases {
        wrong.push(format!("{} × {action} of {cases}", done.count()));
    }
    let sent = invariants::rows(database, "webhook_deliveries", &["event_id"], portal).await;
    let events = invariants::rows(database, "events", &["id"], portal).await;
    // All that was told before the endpoint, and its own making: nothing later has been taken up.
    let wanted = if work == Work::Replay {
        events.len()
    } else {
        0
    };
    if sent.len() != wanted {
        wrong.push(format!("{} × deliveries, {wanted} wanted", sent.len()));
    }
    wrong
}

/// Asks the replica until the work is done.
async fn ask_again(world: &World, replica: &Replica, asked: &Asked) -> Result<(), String> {
    let mut heard = String::new();
    for _time in 0..COMES_BACK {
        let Some(answer) = world.ask(&replica.base_url, asked, 1).await else {
            return Err("no answer".to_owned());
        };
        match answer.status.as_u16() {
            200 | 201 | 204 => return Ok(()),
            // It is gone already.
            404 if asked.method == Method::DELETE => return Ok(()),
            202 | 409 => heard = format!("{} {}", answer.status, answer.text),
            _ => return Err(format!("asked again: {} {}", answer.status, answer.text)),
        }
        a_moment().await;
    }
    Err(format!("no end: {heard}"))
}

/// Every chosen statement of one work; gives how many there were.
async fn cut_all(
    (world, proxy, replica): &(World, Proxy, Replica),
    (work, when): (Work, When),
    portal: &Portal,
    score: &mut Score,
) -> usize {
    // The quick tier takes every tenth, others for each seed.
    let stride = of_tier(10, 1);
    let mut dice = Dice(seed());
    let mut number = 0;
    for statement in (1 + dice.below(stride)..).step_by(stride) {
        let asked = prepare(world, portal, work, number).await;
        number += 1;
        proxy.cut_at(when, u32::try_from(statement).unwrap());
        let answer = world.ask(&world.service.base_url, &asked, 1).await;
        let cut = proxy.disarm();
        let case = format!("{work:?} cut {when:?} statement {statement} ({cut:?})");
        match answer.map(|answer| (answer.status.as_u16(), answer.text)) {
            Some((200 | 201 | 202 | 204 | 503, _)) => {}
            other => score.violation(format!("{case}: {other:?}")),
        }
        if let Err(wrong) = world.come_to_rest(std::slice::from_ref(portal)).await {
            score.violation(format!("{case}: {wrong}"));
        }
        if let Err(wrong) = world.in_time(ask_again(world, replica, &asked)).await {
            score.violation(format!("{case}: {wrong}"));
        }
        if cut.is_none() {
            break;
        }
        score.count(1);
    }
    usize::try_from(number).unwrap()
}

#[tokio::test]
async fn a_database_cut_under_durable_work_leaves_nothing_half_done() {
    let all = start().await;
    let (world, ..) = &all;
    let mut score = Score::new("R3-durable", Database::Pg);
    for (place, work) in WORKS.into_iter().enumerate() {
        for (letter, when) in [('b', When::Before), ('a', When::After)] {
            let portal = world.open_portal(&format!("durable-{place}{letter}")).await;
            let published = World::publishing(&portal, "api");
            let published = world.ask(&world.service.base_url, &published, 20);
            world.in_time(published).await.unwrap().expect(201);
            let cases = cut_all(&all, (work, when), &portal, &mut score).await;
            let of = |wanted: &[Work]| if wanted.contains(&work) { cases } else { 0 };
            let mut wanted = Wanted::customers(of(&KNOWN_THERE))
                .paid(of(&[Work::Subscribe, Work::Cancel]))
                .plans(1 + of(&[Work::Publish]));
            wanted.charged += PRICE * i64::try_from(of(&[Work::Pay])).unwrap();
            let mut wrong = invariants::check(world, &portal, wanted).await;
            wrong.extend(at_endpoints(world, &portal, work, cases).await);
            for wrong in wrong {
                score.violation(format!("{work:?} cut {when:?}: {wrong}"));
            }
        }
    }
    score.close(of_tier(60, 500));
}
