//! A server from its configuration: the same for production and for tests.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App as ActixApp, HttpServer, web};

use super::settings::{
    access_settings, authenticator, courier_settings, delivery_settings, master_keys,
    operation_settings, store_settings, stripe_limits, stripe_settings, sweep_settings,
};
use crate::app::{App, Parts};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, KeyMaterial};
use crate::deliver::{Courier, CourierError};
use crate::domain::error::Error;
use crate::http::auth::Authenticator;
use crate::http::middleware::edge;
use crate::http::render::Views;
use crate::http::{State, mount, unmatched};
use crate::ids::Ids;
use crate::secret::{MasterKeys, Signer};
use crate::store::migrate::{self, Direction};
use crate::store::{Store, StoreError};
use crate::stripe::{SettingsError, StripeClient};
use crate::{telemetry, worker};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or its keys.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The database or its schema.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The connection to Stripe cannot be set up.
    #[error("stripe: {0}")]
    Stripe(#[from] SettingsError),
    /// The connections to webhook receivers cannot be set up.
    #[error("deliveries: {0}")]
    Deliveries(#[from] CourierError),
    /// The listening address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: io::Error,
    },
    /// Migrations are pending and are not to be applied at start.
    #[error("{0} migrations are pending; run `portal-billing migrate`")]
    Pending(usize),
    /// Anything else.
    #[error("{}", .0.log_text().unwrap_or(.0.detail()))]
    Other(#[from] Error),
}

/// A server that is bound and not yet running.
pub struct Server {
    config: Config,
    app: App,
    authenticator: Arc<Authenticator>,
    cursors: Arc<Signer>,
    ids: Ids,
    listener: TcpListener,
}

fn warn_of_generated_keys(keys: &KeyMaterial) {
    if let Some(path) = &keys.generated_in {
        tracing::warn!(
            file = %path.display(),
            "GENERATED DEVELOPMENT KEYS ARE IN USE: whoever reads this file can read the stored \
             secrets and sign tokens. For real portals set mode to production and configure keys \
             and issuers"
        );
    }
}

/// The product of this configuration, for commands that need no HTTP.
///
/// # Errors
/// What is wrong with the configuration, or with the keys.
pub fn app(config: &Config, clock: &Clock, ids: &Ids) -> Result<App, StartError> {
    app_with(config, master_keys(&config.key_material()?), clock, ids)
}

fn app_with(
    config: &Config,
    keys: MasterKeys,
    clock: &Clock,
    ids: &Ids,
) -> Result<App, StartError> {
    let stripe = StripeClient::new(&stripe_settings(config), clock.clone())?;
    Ok(App::new(Parts {
        store: Store::new(store_settings(config)?)?,
        stripe,
        keys: Arc::new(keys),
        clock: clock.clone(),
        ids: ids.clone(),
        public_url: Some(config.public_url()),
        render: Arc::new(Views),
        spawn: Arc::new(|task| {
            // On the worker's own thread: the work is not bound to the request that began it.
            actix_web::rt::spawn(task);
        }),
        operations: operation_settings(config),
        access: access_settings(config),
        budget: stripe_limits(config),
        courier: Courier::new(courier_settings(config))?,
        deliveries: delivery_settings(config),
    }))
}

impl Server {
    /// Checks the schema, binds the address, puts everything together.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn build(mut config: Config, clock: Clock, ids: Ids) -> Result<Self, StartError> {
        let keys = config.key_material()?;
        warn_of_generated_keys(&keys);
        let wanted = if config.database.migrate_on_start {
            Direction::Up
        } else {
            Direction::Look
        };
        let schema = migrate::run(&store_settings(&config)?, wanted).await?;
        if schema.pending > 0 {
            return Err(StartError::Pending(schema.pending));
        }
        let address = config.server.listen;
        let listener = bind(address).map_err(|cause| StartError::Listen { address, cause })?;
        // Port 0 is a free one; whoever asks for the address from here on gets the real one.
        config.server.listen = listener
            .local_addr()
            .map_err(|cause| StartError::Listen { address, cause })?;
        let authenticator = Arc::new(authenticator(&config, &keys, clock.clone())?);
        let cursors = master_keys(&keys)
            .signer("list cursors")
            .map_err(|error| Error::internal(error.to_string()))?;
        let app = app_with(&config, master_keys(&keys), &clock, &ids)?;
        Ok(Self {
            config,
            app,
            authenticator,
            cursors: Arc::new(cursors),
            ids,
            listener,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.config.server.listen
    }

    /// Serves until `shutdown` is over, then finishes what is running within the grace time.
    ///
    /// # Errors
    /// When the server itself fails.
    #[expect(
        clippy::too_many_lines,
        reason = "the one place where everything is put to work"
    )]
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let settings = &self.config.server;
        let metrics = telemetry::metrics_handle();
        let background = {
            let app = self.app.for_worker().map_err(io::Error::other)?;
            let metrics = metrics.clone();
            let deliverer = self.app.for_worker().map_err(io::Error::other)?;
            let poll = Duration::from_millis(self.config.operations.poll_ms.into());
            let look = Duration::from_millis(self.config.deliveries.poll_ms.into());
            let sweeps = sweep_settings(&self.config);
            let compare = Duration::from_millis(self.config.reconciliation.poll_ms.into());
            async move {
                tokio::join!(
                    worker::retention(app.clone()),
                    worker::signing_keys(app.clone()),
                    worker::intake(app.clone()),
                    worker::inbox(app.clone(), poll),
                    worker::dead_letters(app.clone()),
                    worker::operations(app.clone(), poll),
                    worker::reconciliations(app, compare, sweeps),
                    worker::deliveries(deliverer, look),
                    worker::metrics_upkeep(metrics)
                )
            }
        };
        let request_timeout = Duration::from_secs(settings.request_timeout_seconds.into());
        let read_timeout = Duration::from_secs(settings.read_timeout_seconds.into());
        let origins = Arc::new(self.config.cors.allowed_origins.clone());
        let (app, authenticator, cursors, ids) =
            (self.app.clone(), self.authenticator, self.cursors, self.ids);
        let factory = move || {
            let state = State {
                // Settings were used once already when the server was built.
                app: app.for_worker().unwrap_or_else(|_| app.clone()),
                authenticator: Arc::clone(&authenticator),
                cursors: Arc::clone(&cursors),
                ids: ids.clone(),
                request_timeout,
                read_timeout,
                metrics: metrics.clone(),
            };
            ActixApp::new()
                .app_data(web::Data::new(state))
                .configure(mount)
                .default_service(web::to(unmatched))
                .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
                .wrap(from_fn(edge))
        };
        let mut server = HttpServer::new(factory)
            .disable_signals()
            .shutdown_timeout(settings.shutdown_grace_seconds.into())
            .client_request_timeout(read_timeout)
            .client_disconnect_timeout(Duration::from_secs(2))
            .keep_alive(Duration::from_secs(settings.keep_alive_seconds.into()))
            .max_connections(usize::try_from(settings.max_connections).unwrap_or(usize::MAX));
        if let Some(workers) = settings.workers {
            server = server.workers(workers.into());
        }
        let running = server.listen(self.listener)?.run();
        let handle = running.handle();
        let stop = async {
            shutdown.await;
            tracing::info!("stopping: no new requests, running ones are finished");
            handle.stop(true).await;
            // `running` ends now; this branch must not end before it.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            outcome = running => outcome,
            () = stop => Ok(()),
            _ = background => Err(io::Error::other("the background loops ended")),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn cors(origins: &[String]) -> Cors {
    let base = Cors::default()
        .allowed_methods(["GET", "PUT", "POST", "PATCH", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "if-match",
            "if-none-match",
            "idempotency-key",
            "prefer",
            "traceparent",
            "x-request-id",
        ])
        .expose_headers([
            "etag",
            "link",
            "location",
            "retry-after",
            "idempotency-replayed",
            "x-request-id",
        ])
        .max_age(600);
    origins
        .iter()
        .fold(base, |cors, origin| cors.allowed_origin(origin))
}
