//! Secrets that are marked are taken through the whole life of the service, and through every place
//! where they do not belong; afterwards they are in no database, no log, no metric and no answer.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use portal_billing::config::{Config, Sources};
use portal_billing::server::{self, TokenArguments};
use portal_billing::store::{Store, portal_keys};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use stripe_simulator::Simulator;

use super::search::{Canary, contents, data_key, readable};
use crate::support::database::{Database, FreshDatabase, on_both_databases};
use crate::support::process::Process;
use crate::support::receiver::{Reaction, Receiver};
use crate::support::service::Service;
use crate::support::simulator;

on_both_databases!(no_secret_gets_out);

const ACCOUNT: &str = "acct_1Simulator000000";
const MASTER: [u8; 32] = *b"\x9fmaster-key-canary-0123456789ab\xfe";
const DEVELOPMENT_SECRET: &str = "development-secret-canary-0123456789abcdef";
const PUBLISHABLE: &str = "pk_test_publishedToEverybody0001";

/// A binary under test, and everything it answered.
struct World {
    process: Process,
    simulator: Simulator,
    database: FreshDatabase,
    client: Client,
    bearer: String,
    answers: Vec<u8>,
    canaries: Vec<Canary>,
}

impl World {
    async fn start(engine: Database) -> Self {
        let simulator = simulator::start();
        let database = FreshDatabase::new(engine).await;
        let environment = BTreeMap::from([
            (
                "PORTAL_BILLING__KEYS__MASTER_KEY".to_owned(),
                BASE64.encode(&MASTER),
            ),
            (
                "PORTAL_BILLING__AUTH__DEVELOPMENT_SECRET".to_owned(),
                DEVELOPMENT_SECRET.to_owned(),
            ),
            (
                "PORTAL_BILLING__DATABASE__URL".to_owned(),
                database.url.clone(),
            ),
        ]);
        let settings = [
            "server.listen=127.0.0.1:0".to_owned(),
            "server.workers=1".to_owned(),
            "deliveries.allow_loopback=true".to_owned(),
            "deliveries.poll_ms=20".to_owned(),
            "log.level=debug,portal_billing=trace".to_owned(),
            format!("stripe.base_url={}", simulator.base_url()),
        ];
        let token = token(&environment);
        let mut canaries = vec![
            Canary::new("the master key", &MASTER),
            Canary::new(
                "the master key as configured",
                BASE64.encode(&MASTER).as_bytes(),
            ),
            Canary::new("the development secret", DEVELOPMENT_SECRET.as_bytes()),
        ];
        for (part, name) in token
            .split('.')
            .zip(["header", "claims", "signature"])
            .skip(1)
        {
            canaries.push(Canary::new(&format!("the token's {name}"), part.as_bytes()));
        }
        Self {
            process: Process::start(&environment, &settings),
            simulator,
            database,
            client: Client::builder().no_proxy().build().unwrap(),
            bearer: format!("Bearer {token}"),
            answers: Vec::new(),
            canaries,
        }
    }

    /// A marked text with this beginning; it will be searched for.
    fn mark(&mut self, start: &str) -> String {
        let number = self.canaries.len();
        let body = format!("Canary{number:02}xQ7vT2mZ9kW4pL8");
        let name = format!("number {number} ({start})");
        self.canaries.push(Canary::new(&name, body.as_bytes()));
        // The last four characters of a key are shown, so the mark ends before them.
        format!("{start}{body}AbCd")
    }

    /// A marked key that Stripe accepts.
    async fn key(&mut self, start: &str) -> String {
        let key = self.mark(start);
        let permissions = if start.starts_with("rk") {
            vec!["rak_customer_read"]
        } else {
            vec![]
        };
        let body = json!({"key": key, "account": ACCOUNT, "permissions": permissions});
        simulator::admin(&self.simulator, "/keys", &body).await;
        key
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> u16 {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.process.base_url);
        let mut request = self.client.request(method, url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = Service::answer(request).await;
        let text = format!(
            "{:?}\n{:?}\n{}\n",
            answer.status, answer.headers, answer.text
        );
        self.answers.extend(text.into_bytes());
        answer.status.as_u16()
    }

    /// As the operator, with JSON.
    async fn call(&mut self, method: &str, path: &str, body: &Value) -> u16 {
        let bearer = self.bearer.clone();
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, &format!("/v1/portals{path}"), &headers, &body)
            .await
    }

    /// As the operator; the answer, which has a secret to tell, is not among those searched.
    async fn quietly(&self, path: &str, body: &Value) -> Value {
        let request = self
            .client
            .post(format!("{}/v1/portals{path}", self.process.base_url))
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .header("idempotency-key", "told-but-once-0001")
            .body(body.to_string());
        let answer = Service::answer(request).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.json()
    }

    /// As the operator, with one more header.
    async fn with_header(&mut self, name: &str, value: &str) -> u16 {
        let bearer = self.bearer.clone();
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            (name, value),
        ];
        self.send(
            "PUT",
            "/v1/portals/acme",
            &headers,
            r#"{"title":"Harmless"}"#,
        )
        .await
    }
}

fn token(environment: &BTreeMap<String, String>) -> String {
    let sources = Sources {
        environment: environment.clone(),
        ..Sources::default()
    };
    let arguments = TokenArguments {
        subject: "ops".to_owned(),
        portal: "*".to_owned(),
        org: None,
        scopes: vec!["all".to_owned()],
        lifetime: "1h".to_owned(),
        signing_key: None,
        issuer: None,
        key_id: None,
    };
    server::issue_token(&Config::load(&sources).unwrap(), &arguments).unwrap()
}

fn credentials(secret: &str, webhook: Option<&str>) -> Value {
    json!({"secret_key": secret, "publishable_key": PUBLISHABLE, "webhook_secret": webhook})
}

/// In a receiver's URL: shown to the portal, and never logged.
const RECEIVERS_OWN: &str = "ReceiversOwnToken7Kq2";
const CREDENTIALS: &str = "/acme/modules/stripe/credentials";

/// Keys stored, rotated, verified, refused, removed.
async fn life(world: &mut World) {
    let accepted = json!({"key": PUBLISHABLE, "account": ACCOUNT, "permissions": []});
    simulator::admin(&world.simulator, "/keys", &accepted).await;
    assert_eq!(
        world
            .call("PUT", "/acme", &json!({"title": "Harmless"}))
            .await,
        201
    );
    let enabled = json!({"enabled": true});
    assert_eq!(
        world.call("PUT", "/acme/modules/stripe", &enabled).await,
        201
    );
    let first = world.key("sk_test_").await;
    let webhook = world.mark("whsec_");
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&first, Some(&webhook)))
            .await,
        201
    );
    let verify = format!("{CREDENTIALS}/verify");
    assert_eq!(world.call("POST", &verify, &Value::Null).await, 200);
    let endpoint = "/acme/modules/stripe/webhook-endpoint";
    assert_eq!(world.call("POST", endpoint, &Value::Null).await, 201);
    assert_eq!(
        world.call("POST", endpoint, &json!({"rotate": true})).await,
        201
    );
    let second = world.key("sk_test_").await;
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&second, None))
            .await,
        200
    );
    for path in [
        "",
        "/acme",
        "/acme/modules/stripe",
        CREDENTIALS,
        "/acme/audit-log",
    ] {
        assert_eq!(world.call("GET", path, &Value::Null).await, 200);
    }
    // A data key, while it is there.
    let store = Store::new(world.database.settings()).unwrap();
    let keys = store
        .read(async |conn| portal_keys::not_under(conn, "", 10).await)
        .await
        .unwrap();
    let key = data_key(&MASTER, &keys[0].wrapped, "acme");
    world.canaries.push(Canary::new("a data key", &key));
}

/// A webhook endpoint's secrets: each is told once, and stands nowhere else.
async fn webhooks(world: &mut World) {
    let receiver = Receiver::start().await;
    let url = format!("{}?token={RECEIVERS_OWN}", receiver.url());
    let (endpoints, body) = (
        "/acme/webhook-endpoints",
        json!({"url": url, "events": ["*"]}),
    );
    let made = world.quietly(endpoints, &body).await;
    let path = format!("{endpoints}/{}", made["endpoint"]["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate-secret");
    let rotated = world.quietly(&rotate, &json!({})).await;
    for (name, told) in [("a first secret", made), ("a second secret", rotated)] {
        let secret = told["secret"]
            .as_str()
            .unwrap()
            .strip_prefix("whsec_")
            .unwrap();
        let raw = BASE64.decode(secret.as_bytes()).unwrap();
        world.canaries.push(Canary::new(name, &raw));
        world.canaries.push(Canary::new(name, secret.as_bytes()));
    }
    // Its rotation is the first thing it hears of; then it fails, is changed, is replayed to.
    let delivered = receiver.count(1).await.remove(0);
    for signature in delivered.signatures("v1") {
        world.canaries.push(Canary::new("a signature", &signature));
    }
    receiver.decide(|_| Reaction::Status(500));
    let change = json!({"description": "Harmless"});
    assert_eq!(world.call("PATCH", &path, &change).await, 200);
    receiver.count(2).await;
    let replay = format!("{path}/replay");
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    assert_eq!(world.call("POST", &replay, &since).await, 200);
    let deliveries = format!("{path}/deliveries");
    assert_eq!(world.call("GET", &deliveries, &Value::Null).await, 200);
    assert_eq!(world.call("DELETE", &path, &Value::Null).await, 204);
}

/// Keys that are refused, each for another reason.
async fn refusals(world: &mut World) {
    let unknown = world.mark("sk_test_");
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&unknown, None))
            .await,
        424
    );
    let restricted = world.key("rk_test_").await;
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&restricted, None))
            .await,
        424
    );
    for (start, end) in [
        ("sk_live_", ""),
        ("pk_test_", ""),
        ("whsec_", ""),
        ("sk_org_", ""),
        ("sk_", ""),
        ("", ""),
        (" sk_test_", ""),
        ("sk_test_", "*"),
        ("sk_test_", "\n"),
        ("sk_test_", "\0"),
    ] {
        let key = format!("{}{end}", world.mark(start));
        assert_eq!(
            world
                .call("PUT", CREDENTIALS, &credentials(&key, None))
                .await,
            422,
            "{key}"
        );
    }
    let long = format!("{}{}", world.mark("sk_test_"), "x".repeat(300));
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&long, None))
            .await,
        422
    );
    let not_published = world.mark("sk_test_");
    let good = world.key("sk_test_").await;
    let swapped = json!({"secret_key": good, "publishable_key": not_published});
    assert_eq!(world.call("PUT", CREDENTIALS, &swapped).await, 422);
    let bad_webhook = world.mark("sk_test_");
    assert_eq!(
        world
            .call("PUT", CREDENTIALS, &credentials(&good, Some(&bad_webhook)))
            .await,
        422
    );
}

/// Secrets in bodies where they do not belong.
async fn misplaced_in_bodies(world: &mut World) {
    for start in ["sk_test_", "sk_live_", "rk_live_", "whsec_"] {
        let secret = world.mark(start);
        for body in [
            json!({"title": secret}),
            json!({"title": "x", "metadata": {"key": secret}}),
            json!({"title": "x", "metadata": {secret.as_str(): "v"}}),
            json!({"title": "x", "secret_key": secret}),
            json!({"title": "x", secret.as_str(): "v"}),
            json!({"title": {"of": secret}}),
            json!({"title": [secret]}),
            json!({"title": "x", "metadata": secret}),
            json!([secret]),
            json!(secret),
        ] {
            assert_eq!(world.call("PUT", "/other", &body).await, 422, "{body}");
            assert_eq!(world.call("PATCH", "/acme", &body).await, 422, "{body}");
        }
        let settings = json!({"enabled": true, "settings": {"proration": secret}});
        assert_eq!(
            world.call("PUT", "/acme/modules/stripe", &settings).await,
            422
        );
        let origins = json!({"enabled": true, "settings": {"allowed_return_origins": [secret]}});
        assert_eq!(
            world.call("PUT", "/acme/modules/stripe", &origins).await,
            422
        );
        let bearer = world.bearer.clone();
        for (body, content_type, status) in [
            (
                format!("{{\"secret_key\": \"{secret}\""),
                "application/json",
                400,
            ),
            (
                format!("{{\"secret_key\": \"{secret}\u{1}\"}}"),
                "application/json",
                400,
            ),
            (format!("{secret}: {secret}"), "application/json", 400),
            (
                format!("secret_key={secret}"),
                "application/x-www-form-urlencoded",
                415,
            ),
            (format!("secret_key={secret}"), secret.as_str(), 415),
        ] {
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", content_type),
            ];
            let path = format!("/v1/portals{CREDENTIALS}");
            assert_eq!(
                world.send("PUT", &path, &headers, &body).await,
                status,
                "{body}"
            );
        }
    }
}

/// Secrets in everything around a body.
#[expect(clippy::too_many_lines, reason = "one place after the other")]
async fn misplaced_around_bodies(world: &mut World) {
    for start in ["sk_test_", "rk_live_", "whsec_"] {
        for name in [
            "x-request-id",
            "traceparent",
            "tracestate",
            "user-agent",
            "cookie",
            "referer",
            "origin",
            "x-forwarded-for",
            "idempotency-key",
            "stripe-account",
            "prefer",
            "accept",
        ] {
            let secret = world.mark(start);
            let status = world.with_header(name, &secret).await;
            assert!(matches!(status, 200 | 400), "{name}: {status}");
        }
        for name in ["if-match", "if-none-match"] {
            let secret = world.mark(start);
            assert_eq!(world.with_header(name, &secret).await, 400);
        }
        let secret = world.mark(start);
        let (first, rest) = (secret.as_bytes()[0], &secret[1..]);
        for path in [
            format!("?{secret}=1"),
            format!("?limit={secret}"),
            format!("?cursor={secret}"),
            format!("/{secret}"),
            format!("/acme/{secret}"),
            format!("/acme/%{first:02x}{rest}"),
            format!("/acme/audit-log?cursor=x&{secret}"),
        ] {
            let status = world.call("GET", &path, &Value::Null).await;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
        for path in [
            format!("/problems/{secret}"),
            format!("/docs/{secret}"),
            format!("/{secret}"),
        ] {
            assert_eq!(world.send("GET", &path, &[], "").await, 404);
        }
        let signature = format!("t=1,v1={secret}");
        let headers = [("stripe-signature", signature.as_str())];
        assert_eq!(
            world
                .send("POST", "/v1/hooks/stripe/nobodys", &headers, &secret)
                .await,
            400
        );
        // A method is any word.
        assert_eq!(world.send(&secret, "/v1/portals/acme", &[], "").await, 405);
        let not_a_token = format!("Bearer {secret}");
        let headers = [("authorization", not_a_token.as_str())];
        assert_eq!(world.send("GET", "/v1/portals", &headers, "").await, 401);
    }
    // A token where none belongs, and one that is not valid.
    let token = world.bearer.replacen("Bearer ", "", 1);
    for path in [
        format!("/{token}"),
        format!("?cursor={token}"),
        format!("?access_token={token}"),
    ] {
        let status = world.call("GET", &path, &Value::Null).await;
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(
        world.call("PUT", "/acme", &json!({"title": token})).await,
        422
    );
    world.with_header("x-request-id", &token).await;
    let bent = format!("{}x", world.bearer);
    assert_eq!(
        world
            .send("GET", "/v1/portals", &[("authorization", &bent)], "")
            .await,
        401
    );
}

fn search(canaries: &[Canary], sink: &str, bytes: &[u8]) {
    let text = readable(bytes);
    let found: Vec<_> = canaries.iter().filter(|it| it.is_in(&text)).collect();
    let names: Vec<_> = found.iter().map(|canary| canary.name.as_str()).collect();
    assert!(names.is_empty(), "in {sink}: {names:?}");
}

async fn no_secret_gets_out(engine: Database) {
    let mut world = World::start(engine).await;
    life(&mut world).await;
    webhooks(&mut world).await;
    refusals(&mut world).await;
    misplaced_in_bodies(&mut world).await;
    misplaced_around_bodies(&mut world).await;
    let working = contents(&world.database).await;
    assert_eq!(world.call("DELETE", CREDENTIALS, &Value::Null).await, 204);
    assert_eq!(world.call("DELETE", "/acme", &Value::Null).await, 204);
    assert_eq!(world.send("GET", "/metrics", &[], "").await, 200);
    let log = world.process.stop();
    let at_rest = contents(&world.database).await;
    assert!(world.canaries.len() >= 60);

    // What is searched is what it is taken for.
    let holds = |bytes: &[u8], text: &str| readable(bytes).contains(text);
    assert!(holds(&working, "Harmless") && holds(&working, "credentials.stored"));
    assert!(holds(&at_rest, "portal.deleted"));
    assert!(holds(&world.answers, "last_four") && holds(&world.answers, "http_requests_total"));
    assert!(log.contains("/v1/portals/{portal}/modules/stripe/credentials"));
    assert!(holds(&working, RECEIVERS_OWN) && !log.contains(RECEIVERS_OWN));
    assert!(log.contains("\"DEBUG\"") && log.lines().count() > 200);

    for (sink, bytes) in [
        ("the answers", world.answers.as_slice()),
        ("the log", log.as_bytes()),
        ("the database at work", &working),
        ("the database at rest", &at_rest),
    ] {
        search(&world.canaries, sink, bytes);
    }
}
