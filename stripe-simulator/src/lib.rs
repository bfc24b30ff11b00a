//! Stripe, offline: a stateful simulator of Stripe Billing.
//!
//! ```
//! let simulator = stripe_simulator::Simulator::start()?;
//! println!("{}/v1/customers", simulator.base_url());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It speaks HTTP on loopback as Stripe does, keeps its state in memory, and lives on a virtual
//! clock. Nothing in it is real money.

// `json!` of objects with many fields recurses once per token.
#![recursion_limit = "256"]
#![expect(
    clippy::unnecessary_wraps,
    reason = "handlers have one signature, whether or not they can fail"
)]

mod account;
mod admin;
mod billing;
mod checkout;
mod clock;
mod currency;
mod engine;
mod events;
mod faults;
mod front;
mod ids;
mod pages;
mod params;
pub mod payments;
mod registry;
mod request_log;
mod resources;
mod server;
pub mod shapes;
mod store;
mod webhooks;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Runtime;

pub use clock::ClockMode;
use world::World;

/// The API version whose contract and shapes the simulator speaks.
pub const API_VERSION: &str = "2026-09-30.endive";

/// The secret test key that every simulator accepts.
pub const DEFAULT_SECRET_KEY: &str = "sk_test_simulator";

/// The publishable test key that every simulator accepts.
pub const DEFAULT_PUBLISHABLE_KEY: &str = "pk_test_simulator";

/// The `Server` header of every answer.
pub(crate) const SERVER_NAME: &str = "stripe-simulator";

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    runtime: Option<Runtime>,
    world: Arc<World>,
    address: SocketAddr,
}

/// Settings of a simulator to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: SocketAddr,
    settings: world::Settings,
}

impl Simulator {
    /// Starts on a free loopback port with a fixed seed and a clock that follows the wall.
    ///
    /// # Errors
    /// When no socket can be bound or no thread started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Settings before a start.
    pub fn builder() -> Builder {
        Builder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            settings: world::Settings {
                seed: 1,
                clock: ClockMode::Running { offset: 0 },
                keys: Vec::new(),
                upstream_latency_ms: 0,
                default_api_version: API_VERSION.to_owned(),
                check_responses: false,
            },
        }
    }

    /// `http://127.0.0.1:<port>`, to be used where `https://api.stripe.com` would be.
    pub fn base_url(&self) -> &str {
        &self.world.base_url
    }

    /// What [`Builder::check_responses`] has found so far, one line each, oldest first.
    pub fn violations(&self) -> Vec<String> {
        self.world.violations()
    }

    /// Calls an admin route without HTTP: the path is below `/_simulator`, such as `/clock`.
    ///
    /// # Errors
    /// What is wrong with the call, in words.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        admin::call(&self.world, method, path, body)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // In the background: the drop may happen inside somebody's own run time.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Builder {
    /// The address to listen on; port 0 takes a free one. Default: `127.0.0.1:0`.
    #[must_use]
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// The seed of all ids: the same seed and the same requests give the same history.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How the accounts' own time passes. Test clocks are apart from it.
    #[must_use]
    pub fn clock(mut self, clock: ClockMode) -> Self {
        self.settings.clock = clock;
        self
    }

    /// A further key (`sk_test_…`, `sk_live_…`, `pk_…`) of the default account.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.settings.keys.push(key.into());
        self
    }

    /// Milliseconds that every answer is held back, for benchmarks against a stated upstream.
    #[must_use]
    pub fn upstream_latency_ms(mut self, latency_ms: u64) -> Self {
        self.settings.upstream_latency_ms = latency_ms;
        self
    }

    /// The API version of requests without a `Stripe-Version` header. Default: the pinned one.
    ///
    /// With an older one, parameters that newer versions removed are understood.
    #[must_use]
    pub fn default_api_version(mut self, version: impl Into<String>) -> Self {
        self.settings.default_api_version = version.into();
        self
    }

    /// Whether every answer is checked against Stripe's response shapes (see [`shapes`]). What
    /// differs is kept for [`Simulator::violations`]; the answer is sent all the same.
    #[must_use]
    pub fn check_responses(mut self, check: bool) -> Self {
        self.settings.check_responses = check;
        self
    }

    /// Binds and serves.
    ///
    /// # Errors
    /// When the address cannot be bound or no thread started.
    pub fn start(self) -> io::Result<Simulator> {
        let settings = self.settings;
        let (runtime, world, address) =
            server::start(self.listen, |base_url| World::new(settings, base_url))?;
        Ok(Simulator {
            runtime: Some(runtime),
            world,
            address,
        })
    }
}
