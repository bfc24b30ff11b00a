//! The database in trouble: contention is waited out within a bound, then said; lost connections are
//! replaced; nothing is half done.

use diesel_async::SimpleAsyncConnection;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, connect, on_both_databases};
use crate::support::service::Service;

on_both_databases!(contention_beyond_the_bound_is_503_and_leaves_nothing);

/// Holds what every writer needs, for as long as it lives.
enum Blocker {
    Lite(diesel::SqliteConnection),
    Pg(Box<diesel_async::AsyncPgConnection>),
}

impl Blocker {
    async fn new(service: &Service) -> Self {
        if let Some(file) = service.database.file() {
            use diesel::Connection;
            use diesel::connection::SimpleConnection;
            let mut connection = diesel::SqliteConnection::establish(file).unwrap();
            let begin = "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE";
            connection.batch_execute(begin).unwrap();
            Self::Lite(connection)
        } else {
            let mut connection = connect(&service.database.url).await;
            let lock = "BEGIN; LOCK TABLE portals IN ACCESS EXCLUSIVE MODE";
            connection.batch_execute(lock).await.unwrap();
            Self::Pg(Box::new(connection))
        }
    }

    async fn release(self) {
        match self {
            Self::Lite(mut connection) => {
                diesel::connection::SimpleConnection::batch_execute(&mut connection, "ROLLBACK")
                    .unwrap();
            }
            Self::Pg(mut connection) => connection.batch_execute("ROLLBACK").await.unwrap(),
        }
    }
}

async fn contention_beyond_the_bound_is_503_and_leaves_nothing(engine: Database) {
    let settings = [
        ("database.busy_timeout_ms", "20"),
        ("database.statement_timeout_ms", "100"),
    ];
    let service = Service::start_with(engine, &settings).await;
    service
        .put("/v1/portals/calm", json!({"title": "C"}))
        .await
        .expect(201);
    let blocker = Blocker::new(&service).await;
    let answer = service.put("/v1/portals/acme", json!({"title": "A"})).await;
    assert!(answer.header("retry-after").is_some());
    let body = answer.problem(503, "unavailable");
    assert_eq!(body["retryable"], true);
    blocker.release().await;
    service
        .get("/v1/portals/acme")
        .await
        .problem(404, "not_found");
    service
        .put("/v1/portals/acme", json!({"title": "A"}))
        .await
        .expect(201);
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
}

/// PostgreSQL restarts, or a proxy between drops idle connections: callers do not notice.
#[tokio::test]
async fn connections_that_died_are_replaced_unseen() {
    let service = Service::start(Database::Pg).await;
    service
        .put("/v1/portals/acme", json!({"title": "A"}))
        .await
        .expect(201);
    let mut operator = connect(&crate::support::database::cluster_url()).await;
    let name = service.database.url.rsplit('/').next().unwrap();
    for round in 0..5 {
        // So that every worker has connections to lose.
        let reads = (0..8).map(|_| service.get("/v1/portals/acme"));
        futures_util::future::join_all(reads).await;
        let kill = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        operator.batch_execute(&kill).await.unwrap();
        let calls = (0..8).map(|n| {
            let service = &service;
            async move {
                if n % 2 == 0 {
                    service.get("/v1/portals/acme").await
                } else {
                    let path = format!("/v1/portals/p{round}-{n}");
                    service
                        .call(Method::PUT, &path, json!({"title": "P"}))
                        .await
                }
            }
        });
        for answer in futures_util::future::join_all(calls).await {
            assert!(
                answer.status.is_success(),
                "{} {}",
                answer.status,
                answer.text
            );
        }
    }
    assert_eq!(
        service.get("/readyz").await.expect(200)["database"],
        json!("postgres")
    );
    assert_ne!(
        service.get("/v1/portals").await.expect(200)["data"],
        Value::Null
    );
}
