//! C16, C30: a database that is full, and one in which transactions get into each other's way: 503 and
//! nothing of it is left, or it is done again; never 500.

use serde_json::json;

use super::score::Score;
use crate::support::billing::customer;
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(a_full_database_is_503_and_leaves_nothing);

/// Tables whose every insert is refused, one after another.
const TABLES: [&str; 4] = ["customers", "audit_entries", "events", "idempotency_keys"];

/// Lets every insert into a table fail as a full disk makes it fail.
async fn fill(service: &Service, table: &str) {
    let sql = if service.database.file().is_some() {
        format!(
            "CREATE TRIGGER full_{table} BEFORE INSERT ON {table} \
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    } else {
        refusing(
            table,
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'",
        )
    };
    service.database.execute(&sql).await;
}

fn refusing(table: &str, raise: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION full_{table}() RETURNS trigger AS $$ BEGIN {raise}; RETURN NEW; \
         END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER full_{table} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_{table}()"
    )
}

async fn empty(service: &Service, table: &str) {
    let on = if service.database.file().is_some() {
        String::new()
    } else {
        format!(" ON {table}")
    };
    service
        .database
        .execute(&format!("DROP TRIGGER full_{table}{on}"))
        .await;
}

async fn a_full_database_is_503_and_leaves_nothing(engine: Database) {
    let service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let customers = "/v1/portals/acme/customers";
    let mut score = Score::new("R3-full", engine);
    for table in TABLES {
        fill(&service, table).await;
        let key = format!("full-{table}");
        let answer = service.post_once(customers, &key, customer(table)).await;
        if answer.status != 503 || answer.header("retry-after").is_none() {
            score.violation(format!("{table}: {} {}", answer.status, answer.text));
        }
        empty(&service, table).await;
        let path = format!("{customers}/ext:{table}");
        if service.get(&path).await.status != 404 {
            score.violation(format!("{table}: something is left"));
        }
        // The same request with the same key is the first one.
        let answer = service.post_once(customers, &key, customer(table)).await;
        if answer.status != 201 || answer.header("idempotency-replayed").is_some() {
            score.violation(format!("{table}: then {} {}", answer.status, answer.text));
        }
        score.count(1);
    }
    score.close(TABLES.len());
}

/// PostgreSQL ends one of two transactions that wait for each other; that one is done again.
#[tokio::test]
async fn a_deadlock_is_run_again() {
    let service = Service::start(Database::Pg).await;
    let portal = "/v1/portals/acme";
    service.put(portal, json!({"title": "A"})).await.expect(201);
    service.database.execute("CREATE SEQUENCE deadlocks").await;
    let once = "IF nextval('deadlocks') = 1 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = \
                '40P01'; END IF";
    service
        .database
        .execute(&refusing("audit_entries", once))
        .await;
    let answer = service.put(portal, json!({"title": "B"})).await;
    assert_eq!(answer.expect(200)["title"], "B");
    let log = service.get("/v1/portals/acme/audit-log").await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 2, "{log}");
    // One that never ends is 503 like everything that only time mends.
    let always = "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'";
    empty(&service, "audit_entries").await;
    service
        .database
        .execute(&refusing("audit_entries", always))
        .await;
    let answer = service.put(portal, json!({"title": "C"})).await;
    answer.problem(503, "unavailable");
    let portal = service.get(portal).await.expect(200);
    assert_eq!(portal["title"], "B");
}
