//! Every statement of everyday work finds an index. PostgreSQL is told not to read tables from end to
//! end where anything else will do, and counts where it had to: a new statement is caught by itself.
//! SQLite has the same indexes, which `store` checks.

use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::subscriptions::{advance, order, payer, read, subscribe, with};
use crate::support::database::{Count, Database, connect};
use crate::support::receiver::Receiver;

/// What does not grow with what is sold: portals' own settings, and one row of each.
const SMALL: [&str; 13] = [
    "portals",
    "portal_keys",
    "stripe_modules",
    "stripe_credentials",
    "stripe_webhook_secrets",
    "stripe_webhook_endpoints",
    "audit_heads",
    "event_heads",
    "webhook_endpoints",
    "webhook_endpoint_secrets",
    "signing_keys",
    "reconciliations",
    "__diesel_schema_migrations",
];

#[derive(diesel::QueryableByName, Debug, PartialEq)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    read_whole: i64,
}

#[tokio::test]
async fn every_statement_of_everyday_work_finds_an_index() {
    let mut world = World::delivering_with(
        Database::Pg,
        &[
            ("deliveries.allow_loopback", "true"),
            ("deliveries.poll_ms", "10"),
        ],
    )
    .await;
    let url = world.service.database.url.clone();
    let mut database = connect(&url).await;
    world.service.stop();
    alone(&mut database).await;
    let name = url.rsplit_once('/').unwrap().1;
    let settings =
        format!("ALTER DATABASE {name} SET enable_seqscan = off; SELECT pg_stat_reset()");
    database.batch_execute(&settings).await.unwrap();
    world.service.run().await;
    everyday(&world).await;
    world.service.stop();
    alone(&mut database).await;
    let tables: Vec<Table> = diesel::sql_query(
        "SELECT relname::text AS name, seq_scan AS read_whole FROM pg_stat_user_tables \
         WHERE schemaname = 'public' ORDER BY relname",
    )
    .load(&mut database)
    .await
    .unwrap();
    assert!(tables.len() > SMALL.len() + 10, "{tables:?}");
    let whole: Vec<&Table> = tables
        .iter()
        .filter(|table| !SMALL.contains(&table.name.as_str()) && table.read_whole > 0)
        .collect();
    assert_eq!(whole, Vec::<&Table>::new());
}

/// Until every other session has ended: what it has counted is told at the latest then.
async fn alone(database: &mut AsyncPgConnection) {
    loop {
        let others: Count = diesel::sql_query(
            "SELECT count(*) AS count FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .get_result(database)
        .await
        .unwrap();
        if others.count == 0 {
            break;
        }
    }
}

/// A customer's first two months with everything that is read on the way.
async fn everyday(world: &World) {
    let service = &world.service;
    let receiver = Receiver::start().await;
    let endpoint = json!({"url": receiver.url(), "events": ["*"]});
    service
        .post("/v1/portals/acme/webhook-endpoints", endpoint)
        .await
        .expect(201);
    let customer = payer(service, "globex").await;
    let paid = subscribe(service, "subscribe-1", order(&customer, "gold")).await;
    let paid = paid.expect(201);
    subscribe(service, "subscribe-1", order(&customer, "gold"))
        .await
        .expect(201);
    let free = with(order(&customer, "open"), "application", "mobile");
    let free = subscribe(service, "subscribe-2", free).await.expect(201);
    world.rest().await;
    for _ in 0..5 {
        advance(service, 8 * 86_400).await;
        world.rest().await;
    }
    read(service, &paid).await;
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    for path in [
        "customers?limit=10".to_owned(),
        "customers/ext:globex".to_owned(),
        format!("customers/{customer}/payment-methods"),
        "subscriptions?limit=10".to_owned(),
        "subscriptions?customer=ext:globex&status=active".to_owned(),
        format!("subscriptions/{}/access", id(&paid)),
        "access?customer=ext:globex&product=weather".to_owned(),
        "access/token?customer=ext:globex&product=weather".to_owned(),
        "invoices?limit=10".to_owned(),
        format!("invoices?customer={customer}&status=paid"),
        format!("invoices?subscription={}", id(&paid)),
        format!("customers/{customer}/upcoming-invoice"),
        "operations?limit=10".to_owned(),
        "events?limit=10".to_owned(),
        format!("events?subject={}", id(&paid)),
        "audit-log?limit=10".to_owned(),
        "modules/stripe/events?limit=10".to_owned(),
        "products".to_owned(),
        "products/weather".to_owned(),
    ] {
        service
            .get(&format!("/v1/portals/acme/{path}"))
            .await
            .expect(200);
    }
    for ended in [&free, &paid] {
        let cancel = format!("/v1/portals/acme/subscriptions/{}/cancel", id(ended));
        service
            .post_once(
                &cancel,
                &format!("cancel-{}", id(ended)),
                json!({"at": "now"}),
            )
            .await
            .expect(200);
    }
    let patch = json!({"name": "Globex AG"});
    let customer = format!("/v1/portals/acme/customers/{customer}");
    service
        .call(Method::PATCH, &customer, patch)
        .await
        .expect(200);
    world.rest().await;
}
