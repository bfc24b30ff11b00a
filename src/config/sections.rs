//! Every setting there is: name, type, default, bounds and meaning, each said once.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use config::Value;
use reqwest::Url;
use secrecy::SecretString;

use super::settings::{
    Described, Leaf, OpenSection, Problems, Setting, choice, join, leaf_settings, list_items,
    quoted, range_words, settings,
};

choice! {
    /// Whether generated and shared secrets are tolerated.
    pub enum Mode {
        /// Starts with nothing configured; keys are generated and kept in `data_dir`.
        Development = "development",
        /// Refuses to start without real keys, issuers and encrypted connections.
        Production = "production",
    }
}

choice! {
    /// How log lines are written.
    pub enum LogFormat {
        /// One JSON object a line.
        Json = "json",
        /// For a person at a terminal.
        Pretty = "pretty",
    }
}

choice! {
    /// Signature algorithms a trusted issuer may use (RFC 8725 §3.1: asymmetric ones only).
    pub enum IssuerAlgorithm {
        /// Ed25519 (RFC 8037).
        EdDsa = "EdDSA",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// RSASSA-PKCS1-v1_5 with SHA-256, keys of at least 2048 bits.
        Rs256 = "RS256",
    }
}

/// Where the database is. Its text may hold a password, so `Debug` shows it without.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The whole URL, password included: for connecting, not for showing.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it names a SQLite file.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite://")
    }

    /// The URL with its password and parameters left out.
    pub fn redacted(&self) -> String {
        if self.is_sqlite() {
            return self.0.clone();
        }
        Url::parse(&self.0).map_or_else(
            |_| "[redacted]".to_owned(),
            |mut url| {
                let hidden = url.password().is_none() || url.set_password(Some("redacted")).is_ok();
                url.set_query(None);
                if hidden {
                    url.to_string()
                } else {
                    "[redacted]".to_owned()
                }
            },
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Leaf for DatabaseUrl {
    fn kind() -> String {
        "a URL, sqlite://<path> or postgres://<user>:<password>@<host>/<database>".to_owned()
    }
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || Err(format!("expected {}", Self::kind()));
        if let Some(path) = text.strip_prefix("sqlite://") {
            return if path.is_empty() {
                refused()
            } else {
                Ok(Self(text.to_owned()))
            };
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") && url.has_host() => {
                Ok(Self(text.to_owned()))
            }
            _ => refused(),
        }
    }
    fn show(&self) -> String {
        quoted(&self.redacted())
    }
}
leaf_settings!(DatabaseUrl);

settings! {
    /// The whole configuration of the service.
    pub struct Config {
        /// `development` starts with nothing configured; `production` refuses generated keys,
        /// shared secrets and unencrypted connections.
        mode: Mode = Mode::Development;
        /// Directory for files the service makes itself: generated development keys.
        data_dir: PathBuf = PathBuf::from("./data");
        /// The HTTP server.
        server: Server = Server::default();
        /// Calls straight from a browser.
        cors: Cors = Cors::default();
        /// The database.
        database: Database = Database::default();
        /// Who may call.
        auth: Auth = Auth::default();
        /// The keys that seal secrets at rest.
        keys: Keys = Keys::default();
        /// The connection to Stripe.
        stripe: Stripe = Stripe::default();
        /// Durable operations: what has to reach Stripe.
        operations: Operations = Operations::default();
        /// What is told about access: how long it may be kept, and what signs it.
        access: Access = Access::default();
        /// Events sent to portals' own webhook endpoints.
        deliveries: Deliveries = Deliveries::default();
        /// Regular comparisons with Stripe.
        reconciliation: Reconciliation = Reconciliation::default();
        /// What is logged, and how.
        log: Log = Log::default();
    }

    /// The HTTP server.
    pub struct Server {
        /// Address and port to listen on; port 0 takes a free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
        /// Worker threads; unset: one per processor.
        workers: Option<u16> = None, in 1..=1024;
        /// The address callers know the service by, without a path at its end; used for the hook
        /// URL registered at Stripe. Unset: http:// and the listening address.
        public_url: Option<String> = None;
        /// Seconds a request may take, reading it included.
        request_timeout_seconds: u32 = 40, in 1..=300;
        /// Seconds a request's head may take to arrive, and then its body.
        read_timeout_seconds: u32 = 10, in 1..=300;
        /// Seconds that running requests have to finish once the service is told to stop.
        shutdown_grace_seconds: u32 = 30, in 0..=600;
        /// Connections served at once by each worker; more wait to be accepted.
        max_connections: u32 = 10_000, in 1..=1_000_000;
        /// Seconds an idle connection is kept open.
        keep_alive_seconds: u32 = 60, in 1..=3600;
    }

    /// Calls straight from a browser.
    pub struct Cors {
        /// Origins, such as `https://portal.example.com`, whose pages may call; none: CORS is off.
        allowed_origins: Vec<String> = Vec::new();
    }

    /// The database.
    pub struct Database {
        /// Which database: SQLite for one machine, PostgreSQL for many replicas.
        url: DatabaseUrl = DatabaseUrl("sqlite://./data/portal-billing.db".to_owned());
        /// Connections each worker keeps.
        pool_size_per_worker: u32 = 4, in 1..=256;
        /// Milliseconds a SQLite statement waits for another writer.
        busy_timeout_ms: u32 = 5_000, in 1..=60_000;
        /// Milliseconds after which PostgreSQL ends a statement.
        statement_timeout_ms: u32 = 10_000, in 1..=600_000;
        /// Whether `serve` applies pending migrations before it listens.
        migrate_on_start: bool = true;
    }

    /// Who may call.
    pub struct Auth {
        /// The `aud` claim a token must hold.
        audience: String = "portal-billing".to_owned();
        /// Those whose tokens are accepted.
        issuers: Vec<Issuer> = Vec::new();
        /// Secret of at least 32 bytes for HS256 tokens; development mode only. Unset: generated.
        development_secret: Option<SecretString> = None;
        /// Seconds by which clocks may differ when `exp` and `nbf` are checked.
        leeway_seconds: u32 = 30, in 0..=300;
        /// Longest token accepted, in bytes.
        max_token_bytes: usize = 8_192, in 256..=65_536;
    }

    /// One issuer whose tokens are accepted.
    pub struct Issuer {
        /// Its exact `iss` claim.
        issuer: String = String::new();
        /// File with its public keys as a JSON Web Key Set (RFC 7517); a change counts
        /// within ten seconds.
        jwks_file: Option<PathBuf> = None;
        /// Where its JSON Web Key Set is fetched from: https, or http on loopback.
        jwks_url: Option<String> = None;
        /// The algorithms its keys may be used with.
        algorithms: Vec<IssuerAlgorithm> = Vec::new();
    }

    /// The keys that seal secrets at rest.
    pub struct Keys {
        /// The master key: 32 random bytes in base64. Unset in development: generated.
        master_key: Option<SecretString> = None;
        /// File that holds the master key; in production not readable by everyone.
        master_key_file: Option<PathBuf> = None;
        /// Former master keys that data may still be sealed under, until `rotate-keys` has run.
        previous_master_keys: Vec<SecretString> = Vec::new();
        /// Files that hold former master keys.
        previous_master_key_files: Vec<PathBuf> = Vec::new();
    }

    /// The connection to Stripe.
    pub struct Stripe {
        /// Where Stripe is: https, or http on loopback for a simulator.
        base_url: String = "https://api.stripe.com".to_owned();
        /// Milliseconds to reach Stripe; less than for a whole call.
        connect_timeout_ms: u32 = 5_000, in 1..=60_000;
        /// Milliseconds for a whole call to Stripe.
        request_timeout_ms: u32 = 20_000, in 1..=300_000;
        /// Largest answer read from Stripe, in bytes.
        max_response_bytes: usize = 4_194_304, in 65_536..=67_108_864;
        /// An HTTP proxy for the calls to Stripe. The environment's proxy variables are not read.
        proxy: Option<SecretString> = None;
        /// Calls a second this process makes to one Stripe account in live mode. Divide Stripe's
        /// limit (100) by the number of replicas.
        live_calls_per_second: u32 = 100, in 1..=10_000;
        /// Calls a second to one account in test mode; Stripe's limit is 25.
        test_calls_per_second: u32 = 25, in 1..=10_000;
        /// Calls a second to one endpoint of one account; Stripe's limit is 25.
        endpoint_calls_per_second: u32 = 25, in 1..=10_000;
    }

    /// Durable operations: what has to reach Stripe.
    pub struct Operations {
        /// Milliseconds before a failed call to Stripe is tried again; each further wait is twice
        /// as long.
        first_backoff_ms: u32 = 500, in 1..=60_000;
        /// Longest wait between two attempts, in milliseconds.
        longest_backoff_ms: u32 = 10_000, in 1..=600_000;
        /// Attempts of one step after which the operation is put to `attention`.
        max_attempts: u32 = 100, in 1..=100_000;
        /// Milliseconds between two looks for operations that nobody works on.
        poll_ms: u32 = 1_000, in 10..=60_000;
    }

    /// What is told about access: how long it may be kept, and what signs it.
    pub struct Access {
        /// Seconds for which a gateway may keep an answer about access; never beyond the moment at
        /// which the answer changes by itself. 0: not at all.
        max_age_seconds: u32 = 30, in 0..=3_600;
        /// Seconds for which a signed answer is valid; never beyond the moment at which the answer
        /// changes by itself.
        token_seconds: u32 = 240, in 1..=300;
        /// Days for which one key signs before the next one takes over.
        signing_key_days: u32 = 30, in 1..=3_650;
        /// Milliseconds for which a change made by another replica may go unseen in answers about
        /// access. 0: each answer is read from the database.
        stale_ms: u32 = 500, in 0..=1_000;
    }

    /// Events sent to portals' own webhook endpoints.
    pub struct Deliveries {
        /// Milliseconds between two looks for events to send.
        poll_ms: u32 = 500, in 10..=60_000;
        /// Milliseconds an attempt may take.
        timeout_ms: u32 = 15_000, in 100..=60_000;
        /// Attempts this process makes at a time.
        at_once: u32 = 256, in 1..=10_000;
        /// Attempts it makes at a time for one endpoint; one that takes nothing gets one at a time.
        at_once_per_endpoint: u32 = 8, in 1..=1_000;
        /// Days for which an endpoint may take nothing before it is disabled; that happens when an
        /// event is given up, which takes about 75 hours.
        disable_after_days: u32 = 5, in 1..=365;
        /// Days for which deliveries that are over are kept.
        keep_days: u32 = 30, in 1..=3_650;
        /// Whether receivers on this machine may be called, over plain HTTP too; development mode
        /// only.
        allow_loopback: bool = false;
    }

    /// Regular comparisons with Stripe.
    pub struct Reconciliation {
        /// Minutes between two sweeps of a portal, which mend what webhooks have lost; 0: none.
        sweep_minutes: u32 = 60, in 0..=10_080;
        /// Milliseconds between two looks for sweeps that are due and for reconciliations that nobody
        /// works on.
        poll_ms: u32 = 1_000, in 10..=60_000;
    }

    /// What is logged, and how.
    pub struct Log {
        /// A level (error, warn, info, debug, trace), or levels by module such as
        /// `info,portal_billing=debug`.
        level: String = "info".to_owned();
        /// `json`: one object a line; `pretty`: for a person at a terminal.
        format: LogFormat = LogFormat::Json;
    }
}
