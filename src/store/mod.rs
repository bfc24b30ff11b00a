//! SQLite and PostgreSQL behind one code path.
//!
//! A unit of work is an async closure given to [`Store::read`] or [`Store::write`]; inside it the
//! functions of this module's families are called with the connection. `store` cannot see `stripe`,
//! so a network call inside a transaction cannot be written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use tokio::sync::{Mutex, MutexGuard};

pub mod access;
pub mod audit;
pub mod catalog;
mod conn;
pub mod credentials;
pub mod customers;
pub mod deliveries;
pub mod endpoints;
mod error;
pub mod events;
pub mod feed;
pub mod idempotency;
pub mod invoices;
mod kept;
pub mod migrate;
pub mod operations;
pub mod payment_methods;
pub mod plans;
mod pooled;
pub mod portal_keys;
pub mod portals;
mod pricing;
pub mod reconciliations;
mod schema;
pub mod signing_keys;
pub mod stripe_events;
pub mod stripe_modules;
pub mod stripe_objects;
pub mod subscription_actions;
pub mod subscriptions;
mod together;
pub mod webhook_endpoints;

pub use conn::Conn;
pub use error::{Both, StoreError, Unique};

use conn::Use;
use pooled::Pooled;
use subscriptions::Shown;
use together::Together;

/// How often a unit of work that met contention runs again before the caller hears 503.
const MAX_ATTEMPTS: u32 = 6;

/// Which database, from its URL.
#[derive(Clone)]
pub enum Engine {
    /// `sqlite://<path>`.
    Lite {
        /// The file.
        path: String,
    },
    /// `postgres://…`; the URL may hold a password and is never printed.
    Pg {
        /// The whole URL.
        url: String,
    },
}

impl Engine {
    /// Reads a database URL; the scheme chooses the engine.
    pub fn from_url(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return (!path.is_empty()).then(|| Self::Lite {
                path: path.to_owned(),
            });
        }
        (url.starts_with("postgres://") || url.starts_with("postgresql://")).then(|| Self::Pg {
            url: url.to_owned(),
        })
    }

    /// The engine's name for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lite { .. } => "sqlite",
            Self::Pg { .. } => "postgres",
        }
    }
}

/// What the store needs to know.
#[derive(Clone)]
pub struct StoreSettings {
    /// Which database.
    pub engine: Engine,
    /// PostgreSQL connections per worker.
    pub pool_size: usize,
    /// How long a unit of work waits for a connection.
    pub acquire_timeout: Duration,
    /// How long SQLite waits for its lock, in milliseconds.
    pub busy_timeout_ms: u32,
    /// How long PostgreSQL may work on one statement, in milliseconds.
    pub statement_timeout_ms: u32,
}

/// The database. [`Store::for_worker`] gives each worker connections of its own; a clone shares them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    local: Arc<Local>,
    /// Reads of one subscription each.
    shown: Arc<Together<Shown>>,
}

struct Shared {
    settings: StoreSettings,
    /// SQLite has one writer at a time; waiting here is fair, waiting for its lock is not.
    lite_writer: Mutex<Option<Conn>>,
    /// Transactions that were, or may have been, committed by this process.
    commits: AtomicU64,
}

enum Local {
    Pg(Pool<AsyncPgConnection>),
    Lite(Box<Mutex<Option<Conn>>>),
}

impl Store {
    /// A store over the database of these settings. Connects to nothing yet.
    pub fn new(settings: StoreSettings) -> Result<Self, StoreError> {
        let local = Arc::new(Local::new(&settings)?);
        let shared = Arc::new(Shared {
            settings,
            lite_writer: Mutex::new(None),
            commits: AtomicU64::new(0),
        });
        Ok(Self {
            shared,
            local,
            shown: Arc::default(),
        })
    }

    /// The same database through connections of its own: pools shared between workers contend.
    pub fn for_worker(&self) -> Result<Self, StoreError> {
        let local = Arc::new(Local::new(&self.shared.settings)?);
        Ok(Self {
            shared: Arc::clone(&self.shared),
            local,
            shown: Arc::default(),
        })
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &StoreSettings {
        &self.shared.settings
    }

    /// Reads, outside a transaction unless the closure is a single statement anyway.
    ///
    /// # Errors
    /// What the closure answers; contention and a lost connection only after another try.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFn(&mut Conn) -> Result<T, StoreError>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut lease = self.reader().await?;
            let result = work(lease.conn()?).await;
            let lost = matches!(result, Err(StoreError::Disconnected(_)));
            if !lost {
                lease.give_back();
            }
            drop(lease);
            match result {
                Err(error) if (lost || error.is_contention()) && attempt < MAX_ATTEMPTS => {
                    back_off(attempt).await;
                }
                other => return other,
            }
        }
    }

    /// The subscription of that id, in whichever portal, with all that is shown of it; one statement for all that
    /// are asked for at once.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn shown_subscription(&self, id: &str) -> Result<Option<Shown>, StoreError> {
        let read = async |ids: &[&str]| {
            self.read(async |conn| subscriptions::shown_of(conn, ids).await)
                .await
        };
        self.shown.get(id, read).await
    }

    /// Reads and writes in one transaction: all of it or nothing. The closure may run several times.
    ///
    /// # Errors
    /// What the closure answers; contention only after several tries; a connection lost in `COMMIT`
    /// is not tried again, because the outcome is not known.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        F: AsyncFn(&mut Conn) -> Result<T, StoreError>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut lease = self.writer().await?;
            let (outcome, stage) = run_transaction(&mut lease, &work).await;
            if stage == Stage::Commit {
                self.shared.commits.fetch_add(1, Ordering::Release);
            }
            let again = attempt < MAX_ATTEMPTS
                && match &outcome {
                    Err(StoreError::Disconnected(_)) => stage != Stage::Commit,
                    Err(error) => error.is_contention(),
                    Ok(_) => false,
                };
            drop(lease);
            if !again {
                return outcome;
            }
            back_off(attempt).await;
        }
    }

    /// How many transactions this process has committed, through whichever worker: while it is the same,
    /// nothing was changed here.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Acquire)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read(async |conn| Ok(conn.batch("SELECT 1").await?))
            .await
    }

    async fn reader(&self) -> Result<Lease<'_>, StoreError> {
        match self.local.as_ref() {
            Local::Pg(pool) => Ok(Lease::pooled(checkout(pool).await?)),
            Local::Lite(slot) => {
                Lease::slot(slot.lock().await, &self.shared.settings, Use::Reading)
            }
        }
    }

    async fn writer(&self) -> Result<Lease<'_>, StoreError> {
        match self.local.as_ref() {
            Local::Pg(pool) => Ok(Lease::pooled(checkout(pool).await?)),
            Local::Lite(_) => {
                let waiting = self.shared.lite_writer.lock();
                let guard = tokio::time::timeout(self.shared.settings.acquire_timeout, waiting)
                    .await
                    .map_err(|_| StoreError::Unavailable("the writer is busy".to_owned()))?;
                Lease::slot(guard, &self.shared.settings, Use::Writing)
            }
        }
    }
}

impl Local {
    fn new(settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(match settings.engine {
            Engine::Pg { .. } => Self::Pg(conn::pool(settings)?),
            Engine::Lite { .. } => Self::Lite(Box::new(Mutex::new(None))),
        })
    }
}

async fn checkout(pool: &Pool<AsyncPgConnection>) -> Result<Object<AsyncPgConnection>, StoreError> {
    pool.get()
        .await
        .map_err(|error| StoreError::Unavailable(format!("no connection: {error}")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Work,
    Commit,
}

async fn run_transaction<T, F>(lease: &mut Lease<'_>, work: &F) -> (Result<T, StoreError>, Stage)
where
    F: AsyncFn(&mut Conn) -> Result<T, StoreError>,
{
    let conn = match lease.conn() {
        Ok(conn) => conn,
        Err(error) => return (Err(error), Stage::Begin),
    };
    if let Err(error) = conn.begin().await {
        return (Err(error), Stage::Begin);
    }
    let worked = work(conn).await;
    // What was sent without waiting came first: what was refused after it may be so for its sake.
    let (result, stage) = match conn.answered().await.and(worked) {
        Ok(value) => (conn.commit().await.map(|()| value), Stage::Commit),
        Err(error) => (Err(error), Stage::Work),
    };
    // After a failed COMMIT the transaction may still be open on SQLite: roll back either way.
    let clean = match &result {
        Ok(_) => true,
        Err(StoreError::Disconnected(_)) => false,
        Err(_) => conn.rollback().await.is_ok(),
    };
    if clean {
        lease.give_back();
    }
    (result, stage)
}

/// A connection that goes back only when told so: a unit of work that is dropped half way, because
/// its caller is gone, takes its connection and so its open transaction with it.
struct Lease<'a> {
    conn: Option<Conn>,
    home: Option<MutexGuard<'a, Option<Conn>>>,
    clean: bool,
}

impl<'a> Lease<'a> {
    fn pooled(object: Object<AsyncPgConnection>) -> Self {
        Self {
            conn: Some(Conn::Pg(Pooled::new(object))),
            home: None,
            clean: false,
        }
    }

    fn slot(
        mut home: MutexGuard<'a, Option<Conn>>,
        settings: &StoreSettings,
        purpose: Use,
    ) -> Result<Self, StoreError> {
        let conn = match home.take() {
            Some(conn) => conn,
            None => conn::open_lite(settings, purpose)?,
        };
        Ok(Self {
            conn: Some(conn),
            home: Some(home),
            clean: false,
        })
    }

    fn conn(&mut self) -> Result<&mut Conn, StoreError> {
        self.conn
            .as_mut()
            .ok_or_else(|| StoreError::Other("the connection was given back".to_owned()))
    }

    fn give_back(&mut self) {
        self.clean = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        match (self.conn.take(), self.home.as_mut()) {
            (Some(conn), Some(home)) if self.clean => **home = Some(conn),
            (Some(Conn::Pg(pooled)), None) if self.clean => pooled.give_back(),
            (_, _) => {}
        }
    }
}

/// Waits before the next attempt: 5, 10, 20 … ms, each with up to twice as much again at random, so
/// that those who met do not meet again. Asleep, because nothing tells when the other one is done.
async fn back_off(attempt: u32) {
    let base = 5_u64.saturating_mul(1 << attempt.min(6));
    let mut byte = [0_u8; 1];
    let jitter = match aws_lc_rs::rand::fill(&mut byte) {
        Ok(()) => base * u64::from(u8::from_ne_bytes(byte)) / 256,
        Err(_) => 0,
    };
    tokio::time::sleep(Duration::from_millis(base / 2 + jitter)).await;
}
