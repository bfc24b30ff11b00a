//! The service as production runs it, on a free port, with the simulator as its Stripe and a clock
//! that the test turns.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::ids::Ids;
use portal_billing::server::{self, Server, TokenArguments};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use stripe_simulator::Simulator;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::database::{Database, FreshDatabase};

/// Keys of the simulator's default account.
pub(crate) const SECRET_KEY: &str = "sk_test_simulator";
pub(crate) const PUBLISHABLE_KEY: &str = "pk_test_simulator";

/// A running service.
pub(crate) struct Service {
    pub(crate) base_url: String,
    pub(crate) simulator: Simulator,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) database: FreshDatabase,
    pub(crate) client: Client,
    operator: String,
    flags: Vec<(String, String)>,
    _directory: TempDir,
    replica: Option<Replica>,
}

/// One running server of the service.
pub(crate) struct Replica {
    pub(crate) base_url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    pub(crate) async fn start(config: Config, clock: Clock) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, address) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let ids = Ids::random(clock.clone());
                let server = Server::build(config, clock, ids).await.unwrap();
                started.send(server.address()).unwrap();
                let shutdown = async move {
                    // Dropping the sender stops it as well.
                    stopped.await.unwrap_or_default();
                };
                server.run_until(shutdown).await.unwrap();
            });
        });
        Self {
            base_url: format!("http://{}", address.await.unwrap()),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Replica {
    /// Waits for the end of a server that a test has cut off where its loops run: they end it.
    async fn crashed(mut self) {
        let thread = self.thread.take().unwrap();
        while !thread.is_finished() {
            // Asleep, because the server's own threads end it.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(thread.join().is_err(), "it was stopped, and did not crash");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the service's thread panicked");
        }
    }
}

/// An answer of the service.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body, if the status is this one.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Asserts a problem of this status and code, whole in form; gives its body.
    pub(crate) fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.text
        );
        let request_id = self.header("x-request-id").unwrap().to_owned();
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["request_id"], request_id);
        assert!(
            body["instance"]
                .as_str()
                .is_some_and(|path| path.starts_with('/')),
            "{body}"
        );
        body
    }
}

impl Service {
    pub(crate) async fn start(engine: Database) -> Self {
        Self::start_with(engine, &[]).await
    }

    /// With settings such as `("server.workers", "1")`.
    pub(crate) async fn start_with(engine: Database, settings: &[(&str, &str)]) -> Self {
        Self::start_on(FreshDatabase::new(engine).await, settings).await
    }

    /// On this database.
    pub(crate) async fn start_on(database: FreshDatabase, settings: &[(&str, &str)]) -> Self {
        let simulator = Simulator::builder().check_responses(true).start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        // It stands still at the wall's time, so that Stripe's clock and ours agree.
        let clock = Clock::standing_at(Clock::machine().now());
        let data_dir = directory.path().display().to_string();
        let mut flags = vec![
            ("server.listen", "127.0.0.1:0"),
            ("server.workers", "2"),
            ("server.shutdown_grace_seconds", "5"),
            ("data_dir", data_dir.as_str()),
            ("database.url", database.url.as_str()),
            ("stripe.base_url", simulator.base_url()),
            // Calls that a test has not asked for would be counted among those it has.
            ("reconciliation.sweep_minutes", "0"),
        ];
        flags.extend_from_slice(settings);
        let flags: Vec<_> = flags
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut service = Self {
            base_url: String::new(),
            simulator,
            clock,
            config: load(flags.clone()),
            database,
            client: Client::builder()
                .no_proxy()
                // Shorter than any server here keeps one: none is taken that is just being closed.
                .pool_idle_timeout(Duration::from_secs(5))
                .build()
                .unwrap(),
            operator: String::new(),
            flags,
            _directory: directory,
            replica: None,
        };
        service.operator =
            service.token(&[("portal", "*"), ("scope", "all"), ("lifetime", "366d")]);
        service.run().await;
        service
    }

    /// Starts (again) on the same database.
    pub(crate) async fn run(&mut self) {
        let replica = Replica::start(self.config.clone(), self.clock.clone()).await;
        self.base_url.clone_from(&replica.base_url);
        self.replica = Some(replica);
    }

    /// Stops gracefully and waits for it.
    pub(crate) fn stop(&mut self) {
        drop(self.replica.take());
    }

    /// Waits until it has crashed, which a test has made it do.
    pub(crate) async fn crashed(&mut self) {
        self.replica.take().unwrap().crashed().await;
    }

    /// One more server of the same service, with other settings where these say so.
    pub(crate) async fn one_more(&self, settings: &[(&str, &str)]) -> Replica {
        let mut flags = self.flags.clone();
        flags.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Replica::start(load(flags), self.clock.clone()).await
    }

    /// Its settings as the command line takes them.
    pub(crate) fn settings(&self) -> Vec<String> {
        let flags = self.flags.iter();
        flags
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// A development token; `scope`, `portal`, `org`, `subject` and `lifetime` may be set.
    pub(crate) fn token(&self, claims: &[(&str, &str)]) -> String {
        let claim = |name: &str| {
            claims
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let arguments = TokenArguments {
            subject: claim("subject").unwrap_or_else(|| "operator".to_owned()),
            portal: claim("portal").unwrap_or_else(|| "*".to_owned()),
            org: claim("org"),
            scopes: claim("scope").map(|scope| vec![scope]).unwrap_or_default(),
            lifetime: claim("lifetime").unwrap_or_else(|| "366d".to_owned()),
            signing_key: None,
            issuer: None,
            key_id: None,
        };
        server::issue_token(&self.config, &arguments).unwrap()
    }

    /// As the operator, with a JSON body unless it is null.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.call_with(method, path, &[("authorization", &self.bearer())], body)
            .await
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.operator)
    }

    /// With exactly these headers, and a JSON body unless it is null.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        Self::answer(request).await
    }

    pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// A portal with its module enabled.
    pub(crate) async fn enabled_portal(&self, portal: &str) {
        self.put(&format!("/v1/portals/{portal}"), json!({"title": portal}))
            .await
            .expect(201);
        self.put(
            &format!("/v1/portals/{portal}/modules/stripe"),
            json!({"enabled": true}),
        )
        .await
        .expect(201);
    }

    /// A portal with its module enabled and credentials of the simulator's default account.
    pub(crate) async fn configured_portal(&self, portal: &str) -> Value {
        self.enabled_portal(portal).await;
        self.put_credentials(portal, SECRET_KEY, PUBLISHABLE_KEY)
            .await
            .expect(201)
    }

    pub(crate) async fn put_credentials(
        &self,
        portal: &str,
        secret_key: &str,
        publishable_key: &str,
    ) -> Answer {
        self.put(
            &format!("/v1/portals/{portal}/modules/stripe/credentials"),
            json!({"secret_key": secret_key, "publishable_key": publishable_key}),
        )
        .await
    }

    /// An admin call to the simulator.
    pub(crate) async fn simulator(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_simulator{path}", self.simulator.base_url());
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = Self::answer(request).await;
        assert!(
            answer.status.is_success(),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
        answer.json()
    }

    /// Makes the simulator accept a key.
    pub(crate) async fn accept_key(&self, key: &str, account: &str, permissions: &[&str]) {
        let body = json!({"key": key, "account": account, "permissions": permissions});
        self.simulator(Method::POST, "/keys", body).await;
    }

    /// How often Stripe was called, as `POST /v1/webhook_endpoints`.
    pub(crate) async fn calls_to_stripe(&self, operation: &str) -> u64 {
        let log = self.simulator(Method::GET, "/requests", Value::Null).await;
        log["counts"][operation].as_u64().unwrap_or(0)
    }
}

/// One check of a module's readiness.
pub(crate) fn check<'a>(module: &'a Value, code: &str) -> &'a Value {
    let checks = module["checks"].as_array().unwrap();
    checks.iter().find(|check| check["code"] == code).unwrap()
}

fn load(flags: Vec<(String, String)>) -> Config {
    let sources = Sources {
        file: None,
        environment: BTreeMap::new(),
        flags,
    };
    Config::load(&sources).unwrap()
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.replica.take());
        if !std::thread::panicking() {
            // Every request of the product against Stripe's contract, and every answer's shape.
            assert_eq!(self.simulator.violations(), Vec::<String>::new());
        }
    }
}
