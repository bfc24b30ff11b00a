//! Subscribing on a Checkout page: what is paid on it comes by webhook, and nothing is paid twice.

use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::subscriptions::{SUBSCRIPTIONS, advance, at_stripe, order, read, subscribe, told_of};
use crate::support::billing::CUSTOMERS;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::{Answer, Service};

on_both_databases!(
    what_is_paid_on_a_page_is_active,
    while_a_page_is_open_nothing_else_is_sold,
    a_further_page_closes_the_one_before,
    a_page_that_was_paid_is_not_replaced,
    canceling_closes_the_page,
    whose_page_is_being_closed_by_a_cancel_does_not_expire,
    canceling_after_it_was_paid_ends_what_was_paid,
    a_page_that_is_over_expires,
    trials_and_fees_are_on_the_page,
    two_pages_are_one_trial,
    what_cannot_be_sold_on_a_page_is_refused,
    one_of_many_pages_at_once_is_open,
    who_may_not_subscribe_may_not_do_it_on_a_page,
);

const CALLS: [&str; 2] = [
    "POST /v1/checkout/sessions/{session}/expire",
    "POST /v1/checkout/sessions",
];

/// A customer of whom Stripe has not heard.
async fn customer(world: &World) -> String {
    let made = world.service.customer("globex").await;
    world.service.forget_calls().await;
    made["id"].as_str().unwrap().to_owned()
}

fn page(plan: &str) -> Value {
    json!({
        "mode": "subscription", "product": "weather", "plan": plan, "application": "app-42",
        "success_url": "https://portal.example/done", "cancel_url": "https://portal.example/back",
    })
}

async fn post_page(service: &Service, customer: &str, body: Value) -> Answer {
    let path = format!("{CUSTOMERS}/{customer}/checkout-sessions");
    service.post(&path, body).await
}

async fn open(world: &World, customer: &str, plan: &str) -> Value {
    let answer = post_page(&world.service, customer, page(plan)).await;
    answer.expect(201)
}

/// What the consumer does on the page; its status then.
async fn pay(world: &World, page: &Value) -> Value {
    let path = format!("/checkout/{}/complete", page["id"].as_str().unwrap());
    let card = json!({"payment_method": "pm_card_visa"});
    let answer = world.service.simulator(Method::POST, &path, card).await;
    world.rest().await;
    answer
}

async fn subscription_of(world: &World, page: &Value) -> Value {
    read(&world.service, &json!({"id": page["subscription"]})).await
}

/// How many subscriptions Stripe has that cost something.
async fn live(world: &World) -> usize {
    let all = at_stripe(&world.service, "subscription").await;
    let ended = |it: &&Value| {
        matches!(
            it["status"].as_str(),
            Some("canceled" | "incomplete_expired")
        )
    };
    all.len() - all.iter().filter(ended).count()
}

async fn page_at_stripe(world: &World, page: &Value) -> Value {
    let id = page["id"].as_str().unwrap();
    world
        .get_there(&format!("/v1/checkout/sessions/{id}"))
        .await
}

async fn what_is_paid_on_a_page_is_active(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let opened = open(&world, &customer, "gold").await;
    assert_eq!(
        world.service.calls().await,
        ["POST /v1/customers", "POST /v1/checkout/sessions"]
    );
    let waiting = subscription_of(&world, &opened).await;
    assert_eq!(waiting["status"], "incomplete");
    assert_eq!(waiting["access"]["decision"], "deny");
    assert_eq!(
        waiting["action"],
        json!({"type": "checkout", "client_secret": null, "url": opened["url"]})
    );
    // Whoever has the address may use the page: it stands in no event.
    let feed = world.service.get("/v1/portals/acme/events?limit=100").await;
    let feed = feed.expect(200).to_string();
    assert!(feed.contains("checkout") && !feed.contains(opened["url"].as_str().unwrap()));

    pay(&world, &opened).await;
    let paid = subscription_of(&world, &opened).await;
    assert_eq!(paid["status"], "active", "{paid}");
    assert_eq!(paid["access"]["decision"], "allow");
    assert_eq!(paid["action"], Value::Null);
    assert_eq!(paid["application"], "app-42");
    assert!(paid["payment_method"].is_string(), "{paid}");
    assert!(paid["latest_invoice"].is_string(), "{paid}");
    let methods = format!("{CUSTOMERS}/{customer}/payment-methods");
    let methods = world.service.get(&methods).await.expect(200);
    assert_eq!(methods["data"].as_array().unwrap().len(), 1);
    let told = told_of(&world.service, &paid["id"]).await;
    assert_eq!(told[0], ("subscription.created".to_owned(), 1));
    let seqs: Vec<i64> = told.iter().map(|(_, seq)| *seq).collect();
    assert_eq!(
        seqs,
        (1..=i64::try_from(told.len()).unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(at_stripe(&world.service, "charge").await.len(), 1);
}

async fn while_a_page_is_open_nothing_else_is_sold(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let card = json!({"payment_method": world.service.card("visa").await});
    world
        .service
        .save(&customer, "save-0001", card)
        .await
        .expect(201);
    let opened = open(&world, &customer, "gold").await;
    let mut direct = order(&customer, "gold");
    direct["application"] = json!("app-42");
    let refused = subscribe(&world.service, "subscribe-1", direct.clone()).await;
    refused.problem(409, "subscription_exists");
    // For another application it is another thing.
    subscribe(&world.service, "subscribe-2", order(&customer, "gold"))
        .await
        .expect(201);
    pay(&world, &opened).await;
    let refused = subscribe(&world.service, "subscribe-3", direct).await;
    refused.problem(409, "subscription_exists");
    let refused = post_page(&world.service, &customer, page("gold")).await;
    refused.problem(409, "subscription_exists");
    assert_eq!(live(&world).await, 2);
}

async fn a_further_page_closes_the_one_before(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let first = open(&world, &customer, "gold").await;
    world.service.forget_calls().await;
    let second = open(&world, &customer, "setup").await;
    assert_eq!(world.service.calls().await, CALLS);
    world.rest().await;
    assert_ne!(first["subscription"], second["subscription"]);
    assert_eq!(page_at_stripe(&world, &first).await["status"], "expired");
    assert_eq!(subscription_of(&world, &first).await["status"], "expired");
    assert_eq!(
        subscription_of(&world, &second).await["status"],
        "incomplete"
    );
    pay(&world, &second).await;
    let paid = subscription_of(&world, &second).await;
    assert_eq!(
        (&paid["status"], &paid["plan"]),
        (&json!("active"), &json!("setup"))
    );
    assert_eq!(live(&world).await, 1);
}

async fn a_page_that_was_paid_is_not_replaced(engine: Database) {
    let world = World::new(engine).await;
    let customer = customer(&world).await;
    let first = open(&world, &customer, "gold").await;
    pay(&world, &first).await;
    // Nobody has told of it yet.
    assert_eq!(
        subscription_of(&world, &first).await["status"],
        "incomplete"
    );
    let refused = post_page(&world.service, &customer, page("setup")).await;
    refused.problem(409, "subscription_exists");
    world.let_go().await;
    assert_eq!(subscription_of(&world, &first).await["status"], "active");
    assert_eq!(live(&world).await, 1);
    let list = world.service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

async fn cancel(world: &World, page: &Value) -> Value {
    let path = format!(
        "{SUBSCRIPTIONS}/{}/cancel",
        page["subscription"].as_str().unwrap()
    );
    world
        .service
        .post(&path, json!({"at": "now"}))
        .await
        .expect(200)
}

async fn canceling_closes_the_page(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let opened = open(&world, &customer, "gold").await;
    let ended = cancel(&world, &opened).await;
    assert_eq!(
        (&ended["status"], &ended["action"]),
        (&json!("canceled"), &Value::Null)
    );
    assert_eq!(page_at_stripe(&world, &opened).await["status"], "expired");
    world.rest().await;
    assert_eq!(subscription_of(&world, &opened).await["status"], "canceled");
    open(&world, &customer, "gold").await;
}

async fn whose_page_is_being_closed_by_a_cancel_does_not_expire(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let opened = open(&world, &customer, "gold").await;
    let path = format!(
        "/v1/checkout/sessions/{}/expire",
        opened["id"].as_str().unwrap()
    );
    let slow = json!({"kind": "slow_after", "method": "POST", "path": path, "delay_ms": 700});
    world.service.simulator(Method::POST, "/faults", slow).await;
    let ended = cancel(&world, &opened).await;
    assert_eq!(ended["status"], "canceled");
    world.rest().await;
    assert_eq!(subscription_of(&world, &opened).await, ended);
}

async fn canceling_after_it_was_paid_ends_what_was_paid(engine: Database) {
    let world = World::new(engine).await;
    let customer = customer(&world).await;
    let opened = open(&world, &customer, "gold").await;
    pay(&world, &opened).await;
    assert_eq!(live(&world).await, 1);
    let ended = cancel(&world, &opened).await;
    assert_eq!(ended["status"], "canceled");
    assert!(ended["stripe"]["subscription"].is_string(), "{ended}");
    assert_eq!(live(&world).await, 0);
    world.let_go().await;
    assert_eq!(subscription_of(&world, &opened).await["status"], "canceled");
}

async fn a_page_that_is_over_expires(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let told = open(&world, &customer, "gold").await;
    advance(&world.service, 25 * 3_600).await;
    world.rest().await;
    let expired = subscription_of(&world, &told).await;
    assert_eq!(
        (&expired["status"], &expired["action"]),
        (&json!("expired"), &Value::Null)
    );

    // And one of which nobody tells.
    world.plan(json!({"loss_permille": 1_000})).await;
    let lost = open(&world, &customer, "gold").await;
    advance(&world.service, 25 * 3_600).await;
    let bearer = world.service.bearer();
    let headers = [("authorization", bearer.as_str()), ("prefer", "wait=30")];
    let path = "/v1/portals/acme/reconciliations";
    let done = world
        .service
        .call_with(Method::POST, path, &headers, json!({"repair": true}))
        .await
        .expect(200);
    let drift = &done["drift"][0];
    assert_eq!(done["drift_count"], 1, "{done}");
    assert_eq!(
        (&drift["object"], &drift["fields"], &drift["repaired"]),
        (&lost["subscription"], &json!(["status"]), &json!(true))
    );
    assert_eq!(subscription_of(&world, &lost).await["status"], "expired");
    open(&world, &customer, "gold").await;
}

async fn trials_and_fees_are_on_the_page(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let fee = open(&world, &customer, "setup").await;
    pay(&world, &fee).await;
    assert_eq!(subscription_of(&world, &fee).await["status"], "active");
    let charged: Vec<Value> = at_stripe(&world.service, "charge").await;
    assert_eq!(charged[0]["amount"], 8_000);

    let mut taste = page("taste");
    taste["application"] = json!("app-43");
    let taste = post_page(&world.service, &customer, taste)
        .await
        .expect(201);
    let there = page_at_stripe(&world, &taste).await;
    assert_eq!(there["payment_method_collection"], "if_required");
    let path = format!("/checkout/{}/complete", taste["id"].as_str().unwrap());
    world
        .service
        .simulator(Method::POST, &path, json!({}))
        .await;
    world.rest().await;
    let begun = subscription_of(&world, &taste).await;
    assert_eq!(begun["status"], "trialing", "{begun}");
    assert!(begun["trial_end"].is_string());
    assert_eq!(at_stripe(&world.service, "charge").await.len(), 1);

    let mut seats = page("seats");
    seats["quantity"] = json!(3);
    seats["application"] = json!("app-44");
    seats["metadata"] = json!({"ticket": "4711"});
    let seats = post_page(&world.service, &customer, seats)
        .await
        .expect(201);
    pay(&world, &seats).await;
    let seats = subscription_of(&world, &seats).await;
    assert_eq!(
        (&seats["quantity"], &seats["metadata"]),
        (&json!(3), &json!({"ticket": "4711"}))
    );
}

async fn two_pages_are_one_trial(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    open(&world, &customer, "trial").await;
    let mut other = page("trial");
    other["application"] = json!("app-43");
    let refused = post_page(&world.service, &customer, other.clone()).await;
    refused.problem(409, "trial_used");
    // The same page again is the same trial.
    let again = open(&world, &customer, "trial").await;
    other["trial"] = json!(false);
    post_page(&world.service, &customer, other)
        .await
        .expect(201);
    pay(&world, &again).await;
    assert_eq!(subscription_of(&world, &again).await["status"], "trialing");
}

async fn what_cannot_be_sold_on_a_page_is_refused(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let changed = |name: &str, value: Value| {
        let mut body = page("gold");
        body[name] = value;
        body
    };
    for (body, pointer) in [
        (changed("plan", json!("open")), "/plan"),
        (changed("plan", json!("board")), "/plan"),
        (changed("plan", json!("none")), "/plan"),
        (changed("plan", Value::Null), "/plan"),
        (changed("product", json!("No")), "/product"),
        (changed("quantity", json!(2)), "/quantity"),
        (changed("quantity", json!(0)), "/quantity"),
        (changed("application", json!("")), "/application"),
        (changed("mode", json!("setup")), "/product"),
    ] {
        let refused = post_page(&world.service, &customer, body).await;
        let refused = refused.problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let evil = changed("cancel_url", json!("https://evil.example/"));
    let refused = post_page(&world.service, &customer, evil).await;
    refused.problem(422, "return_origin_not_allowed");
    assert_eq!(world.service.calls().await, [""; 0]);
    let list = world.service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(list["data"], json!([]));
    // What Stripe refuses leaves nothing behind either.
    let prices = at_stripe(&world.service, "price").await;
    let gold = prices.iter().find(|it| it["unit_amount"] == 1_500).unwrap();
    let gold = format!("/v1/prices/{}", gold["id"].as_str().unwrap());
    world.service.stripe(&gold, &[("active", "false")]).await;
    let refused = post_page(&world.service, &customer, page("gold")).await;
    assert!(refused.status.is_client_error(), "{}", refused.text);
    world.service.stripe(&gold, &[("active", "true")]).await;
    let list = world.service.get(SUBSCRIPTIONS).await.expect(200);
    assert_eq!(list["data"], json!([]));
    open(&world, &customer, "gold").await;
}

async fn one_of_many_pages_at_once_is_open(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let card = json!({"payment_method": world.service.card("visa").await});
    world
        .service
        .save(&customer, "save-0001", card)
        .await
        .expect(201);
    let mut direct = order(&customer, "gold");
    direct["application"] = json!("app-42");
    let pages = (0..12).map(|_| post_page(&world.service, &customer, page("gold")));
    let keys: Vec<String> = (0..6).map(|number| format!("direct-{number}")).collect();
    let orders = keys
        .iter()
        .map(|key| subscribe(&world.service, key, direct.clone()));
    let (pages, orders) = futures_util::future::join(
        futures_util::future::join_all(pages),
        futures_util::future::join_all(orders),
    )
    .await;
    for answer in pages.iter().chain(&orders) {
        assert!(
            matches!(answer.status.as_u16(), 201 | 409),
            "{}",
            answer.text
        );
    }
    world.rest().await;
    let there = at_stripe(&world.service, "checkout.session").await;
    let open: Vec<&Value> = there.iter().filter(|it| it["status"] == "open").collect();
    for session in &open {
        pay(&world, session).await;
    }
    assert_eq!(
        open.len() + orders.iter().filter(|it| it.status == 201).count(),
        1
    );
    assert_eq!(live(&world).await, 1);
    let list = world
        .service
        .get(&format!("{SUBSCRIPTIONS}?status=active"))
        .await
        .expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

async fn who_may_not_subscribe_may_not_do_it_on_a_page(engine: Database) {
    let world = World::delivering(engine).await;
    let customer = customer(&world).await;
    let path = format!("{CUSTOMERS}/{customer}/checkout-sessions");
    let setup = json!({
        "mode": "setup",
        "success_url": "https://portal.example/done", "cancel_url": "https://portal.example/back",
    });
    for (claims, body, expected) in [
        (
            [("org", "globex"), ("scope", "payment_methods:write")],
            page("gold"),
            (403, "scope_missing"),
        ),
        (
            [("org", "globex"), ("scope", "subscriptions:write")],
            page("gold"),
            (403, "scope_missing"),
        ),
        (
            [
                ("org", "hooli"),
                ("scope", "payment_methods:write subscriptions:write"),
            ],
            page("gold"),
            (404, "not_found"),
        ),
        (
            [("org", "globex"), ("scope", "payment_methods:write")],
            setup,
            (201, ""),
        ),
        (
            [
                ("org", "globex"),
                ("scope", "payment_methods:write subscriptions:write"),
            ],
            page("gold"),
            (201, ""),
        ),
    ] {
        let token = world
            .service
            .token(&[&claims[..], &[("portal", "acme")]].concat());
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = world
            .service
            .call_with(Method::POST, &path, &headers, body)
            .await;
        match expected {
            (201, _) => drop(answer.expect(201)),
            (status, code) => drop(answer.problem(status, code)),
        }
    }
}
