//! Sealed secrets moved about in the database: they open in no other place, and nobody is called
//! with a key that is not the portal's own.

use reqwest::Method;
use serde_json::Value;

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(secrets_open_nowhere_else);

const KEYS: [(&str, &str); 2] = [
    ("sk_test_canaryOfOneAAAA", "pk_test_canaryOfOneAAAA"),
    ("sk_test_canaryOfTwoBBBB", "pk_test_canaryOfTwoBBBB"),
];
const VERIFY: &str = "/v1/portals/one/modules/stripe/credentials/verify";

async fn calls(service: &Service) -> Value {
    service
        .simulator(Method::GET, "/requests", Value::Null)
        .await["counts"]
        .clone()
}

/// Takes `column` of one row from what `from` selects.
fn copied(table: &str, column: &str, from: &str, to: &str) -> String {
    format!("UPDATE {table} SET {column} = ({from}) WHERE {to}")
}

/// Every tampering by name. The tables `held` and `held_keys` keep the originals.
fn tamperings(engine: Database) -> Vec<(&'static str, String)> {
    let credentials = |from: &str| {
        copied(
            "stripe_credentials",
            "secret_sealed",
            from,
            "portal_id = 'one' AND version = 2",
        )
    };
    let bytes = |hex: &str| match engine {
        Database::Lite => format!("SELECT X'{hex}'"),
        Database::Pg => format!("SELECT '\\x{hex}'::bytea"),
    };
    let cut = match engine {
        Database::Lite => {
            "SELECT substr(secret_sealed, 1, length(secret_sealed) - 1) FROM held WHERE portal_id = 'one' AND version = 2"
        }
        Database::Pg => {
            "SELECT substring(secret_sealed from 1 for length(secret_sealed) - 1) FROM held WHERE portal_id = 'one' AND version = 2"
        }
    };
    let wrapped = |from: &str| copied("portal_keys", "wrapped", from, "portal_id = 'one'");
    vec![
        ("another portal's key", credentials("SELECT secret_sealed FROM held WHERE portal_id = 'two' AND version = 2")),
        ("an older version's key", credentials("SELECT secret_sealed FROM held WHERE portal_id = 'one' AND version = 1")),
        ("a signing secret", credentials("SELECT sealed FROM stripe_webhook_secrets WHERE portal_id = 'one'")),
        ("one byte short", credentials(cut)),
        ("nothing", credentials(&bytes(""))),
        ("a header alone", credentials(&bytes("010200000000"))),
        ("zeros", credentials(&bytes(&"00".repeat(64)))),
        ("no key at all", "UPDATE stripe_credentials SET secret_sealed = NULL WHERE portal_id = 'one'".to_owned()),
        ("another portal's data key", wrapped("SELECT wrapped FROM held_keys WHERE portal_id = 'two'")),
        (
            "another portal's data key and key",
            format!(
                "{}; {}",
                wrapped("SELECT wrapped FROM held_keys WHERE portal_id = 'two'"),
                credentials("SELECT secret_sealed FROM held WHERE portal_id = 'two' AND version = 2"),
            ),
        ),
        (
            "another row's id",
            "UPDATE stripe_credentials SET id = 'cred_01kat5bmf0f3x8q2r7w1e4t6y9' WHERE portal_id = 'one' AND version = 2".to_owned(),
        ),
        (
            "another version",
            "UPDATE stripe_credentials SET version = 3 WHERE portal_id = 'one' AND version = 2".to_owned(),
        ),
        (
            "another portal's whole row",
            "DELETE FROM stripe_credentials WHERE portal_id = 'one'; UPDATE stripe_credentials SET portal_id = 'one' WHERE portal_id = 'two' AND version = 2".to_owned(),
        ),
    ]
}

/// Puts everything back as it was held.
const RESTORE: &str = "DELETE FROM stripe_credentials; \
     INSERT INTO stripe_credentials SELECT * FROM held; \
     UPDATE portal_keys SET wrapped = \
       (SELECT wrapped FROM held_keys WHERE held_keys.portal_id = portal_keys.portal_id)";

async fn secrets_open_nowhere_else(engine: Database) {
    let service = Service::start(engine).await;
    for (portal, (secret, publishable)) in ["one", "two"].into_iter().zip(KEYS) {
        service.configured_portal(portal).await;
        service
            .accept_key(secret, "acct_1Simulator000000", &[])
            .await;
        service
            .accept_key(publishable, "acct_1Simulator000000", &[])
            .await;
        service
            .put_credentials(portal, secret, publishable)
            .await
            .expect(200);
        let path = format!("/v1/portals/{portal}/modules/stripe/webhook-endpoint");
        service.post(&path, Value::Null).await.expect(201);
    }
    let hold = "CREATE TABLE held AS SELECT * FROM stripe_credentials; \
                CREATE TABLE held_keys AS SELECT * FROM portal_keys";
    service.database.execute(hold).await;
    for (name, sql) in tamperings(engine) {
        service.database.execute(&sql).await;
        let before = calls(&service).await;
        let answer = service.post(VERIFY, Value::Null).await;
        assert!(!answer.text.contains("canary"), "{name}: {}", answer.text);
        let body = answer.problem(500, "internal_error");
        assert_eq!(
            body["detail"],
            "The service failed on its side. The request id finds the cause in its log.",
            "{name}"
        );
        assert_eq!(
            calls(&service).await,
            before,
            "{name}: Stripe was not called"
        );
        service.database.execute(RESTORE).await;
        service.post(VERIFY, Value::Null).await.expect(200);
    }
}
