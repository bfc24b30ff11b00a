//! One connection type over both engines, and how connections are opened.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, ConnectionError, ConnectionResult, SqliteConnection};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use deadpool::managed::QueueMode;
use futures_util::future::join;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Both, StoreError};
use super::pooled::Pooled;
use super::{Engine, StoreSettings};

/// SQLite behind diesel-async.
pub(super) type LiteConnection = SyncConnectionWrapper<SqliteConnection, Waits>;

/// A connection during one unit of work.
pub enum Conn {
    /// PostgreSQL, or what speaks its protocol.
    Pg(Pooled),
    /// SQLite, and whether its next call waits.
    Lite(LiteConnection, Waits),
}

/// Expands the same query for each engine. `$connection` is a `&mut Conn`; inside `$body`, `$name` is
/// the engine's own connection.
macro_rules! db {
    ($connection:expr, $name:ident => $body:expr) => {
        match $connection {
            $crate::store::conn::Conn::Pg(pooled) => {
                let $name = &mut pooled.connection();
                $body
            }
            $crate::store::conn::Conn::Lite($name, _) => $body,
        }
    };
}
pub(super) use db;

/// As [`db`], for a statement of a transaction whose answer decides nothing: on PostgreSQL what follows is
/// sent without waiting for it. `$body` takes what it needs along, and gives `Result<(), StoreError>`.
macro_rules! send {
    ($connection:expr, $name:ident => $body:expr) => {
        match $connection {
            $crate::store::conn::Conn::Pg(pooled) => {
                let held = pooled.share();
                let statement = async move {
                    let $name = &mut held.connection();
                    $body
                };
                pooled.send(statement).await
            }
            $crate::store::conn::Conn::Lite($name, _) => $body,
        }
    };
}
pub(super) use send;

impl Conn {
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Pg(pooled) => pooled.connection().batch_execute("BEGIN").await?,
            // A deferred transaction that reads before it writes fails under contention; IMMEDIATE
            // takes the write lock first and waits for it.
            Self::Lite(lite, waits) => {
                let _waiting = waits.while_held();
                lite.batch_execute("BEGIN IMMEDIATE").await?;
            }
        }
        Ok(())
    }

    /// Does two things of which neither needs what the other finds out. On PostgreSQL the first statement of
    /// the second is sent behind the first one of the first, before that is answered; on SQLite, where there is
    /// nothing to be won, one is done after the other.
    ///
    /// # Errors
    /// That of the first, else of the second.
    pub async fn both<A, B>(
        &mut self,
        first: impl AsyncFnOnce(&mut Self) -> Result<A, StoreError>,
        second: impl AsyncFnOnce(&mut Self) -> Result<B, StoreError>,
    ) -> Result<(A, B), StoreError> {
        let (first, second) = self.each(first, second).await;
        Ok((first?, second?))
    }

    /// As [`Conn::both`], for who wants to know what the first found out before whether the second failed.
    pub async fn each<A, B>(
        &mut self,
        first: impl AsyncFnOnce(&mut Self) -> Result<A, StoreError>,
        second: impl AsyncFnOnce(&mut Self) -> Result<B, StoreError>,
    ) -> Both<A, B> {
        let mut beside = match self {
            Self::Pg(pooled) => Self::Pg(pooled.beside()),
            Self::Lite(..) => {
                let first = first(self).await;
                // After an error SQLite may have no transaction open any more.
                return match first {
                    Ok(_) => (first, second(self).await),
                    Err(_) => (first, Err(StoreError::Moot)),
                };
            }
        };
        let answers = join(first(self), second(&mut beside)).await;
        if let (Self::Pg(pooled), Self::Pg(beside)) = (self, beside) {
            pooled.take_over(beside);
        }
        StoreError::cause_first(answers)
    }

    /// Waits for the answers to everything that was sent without waiting.
    pub(super) async fn answered(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Pg(pooled) => pooled.answered().await,
            Self::Lite(..) => Ok(()),
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Pg(pooled) => pooled.connection().batch_execute("COMMIT").await?,
            Self::Lite(lite, waits) => {
                let _waiting = waits.while_held();
                lite.batch_execute("COMMIT").await?;
            }
        }
        Ok(())
    }

    pub(super) async fn rollback(&mut self) -> Result<(), StoreError> {
        Ok(self.batch("ROLLBACK").await?)
    }

    pub(super) async fn batch(&mut self, sql: &str) -> diesel::QueryResult<()> {
        db!(self, c => c.batch_execute(sql).await)
    }
}

/// Where SQLite's calls run: on the calling thread, since most are shorter than a hop to another one and
/// back; but on tokio's blocking pool while the connection waits for the disk or for another process, as it
/// does in the writer's `BEGIN` and `COMMIT`, so that a worker is not held up.
#[derive(Clone, Debug, Default)]
pub struct Waits(Arc<AtomicBool>);

struct Waiting<'a>(&'a AtomicBool);

impl Waits {
    fn while_held(&self) -> Waiting<'_> {
        self.0.store(true, Ordering::Relaxed);
        Waiting(&self.0)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type BoxedError = Box<dyn StdError + Send + Sync + 'static>;

impl SpawnBlocking for Waits {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxedFuture<'a, Result<R, BoxedError>>
    where
        R: Send + 'static,
    {
        if self.0.load(Ordering::Relaxed) {
            let handle = tokio::task::spawn_blocking(task);
            return Box::pin(async move { handle.await.map_err(BoxedError::from) });
        }
        Box::pin(std::future::ready(Ok(task())))
    }

    fn get_runtime() -> Self {
        Self::default()
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Reading alone.
    Reading,
    /// Transactions that write.
    Writing,
}

/// Opens SQLite: `busy_timeout` first, so that setting WAL itself waits for its lock.
pub(super) fn open_lite(settings: &StoreSettings, purpose: Use) -> Result<Conn, StoreError> {
    let Engine::Lite { path } = &settings.engine else {
        return Err(StoreError::Other("not an SQLite database".to_owned()));
    };
    let mut connection = SqliteConnection::establish(path)
        .map_err(|error| StoreError::Unavailable(format!("cannot open {path}: {error}")))?;
    connection.batch_execute(&format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
        settings.busy_timeout_ms,
    ))?;
    if purpose == Use::Reading {
        connection.batch_execute("PRAGMA query_only = ON;")?;
    }
    let waits = Waits::default();
    let connection = SyncConnectionWrapper::with_runtime(connection, waits.clone());
    Ok(Conn::Lite(connection, waits))
}

/// A connection to PostgreSQL. With `sslmode=require` in the URL it is TLS with the server's certificate
/// checked against the system's, or no connection; otherwise it is not encrypted.
pub(super) async fn connect_pg(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let config: tokio_postgres::Config = url.parse().map_err(|error| bad_connection(&error))?;
    if config.get_ssl_mode() != SslMode::Require {
        return AsyncPgConnection::establish(url).await;
    }
    let (client, connection) = config
        .connect(tls()?)
        .await
        .map_err(|error| bad_connection(&error))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// The system's certificates are read once.
fn tls() -> ConnectionResult<MakeRustlsConnect> {
    static TLS: OnceLock<Result<MakeRustlsConnect, String>> = OnceLock::new();
    TLS.get_or_init(|| {
        let loaded = MakeRustlsConnect::with_native_certs();
        // Some that cannot be read are no obstacle as long as others can.
        loaded
            .map(|(tls, _unreadable)| tls)
            .map_err(|errors| format!("no certificates: {errors:?}"))
    })
    .clone()
    .map_err(ConnectionError::BadConnection)
}

fn bad_connection(error: &tokio_postgres::Error) -> ConnectionError {
    // The cause names the host's refusal or the certificate's; it never holds the URL.
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    ConnectionError::BadConnection(format!("{error}: {cause}"))
}

/// A pool of PostgreSQL connections. Building it connects to nothing.
pub(super) fn pool(settings: &StoreSettings) -> Result<Pool<AsyncPgConnection>, StoreError> {
    let Engine::Pg { url } = &settings.engine else {
        return Err(StoreError::Other("not a PostgreSQL database".to_owned()));
    };
    let mut config = ManagerConfig::default();
    // The default test query costs a quarter of the throughput; a dead connection is instead met as
    // an error, and the unit of work is run again on a new one.
    config.recycling_method = RecyclingMethod::Fast;
    let statement_timeout_ms = settings.statement_timeout_ms;
    config.custom_setup = Box::new(move |url| {
        Box::pin(async move {
            let mut connection = connect_pg(url).await?;
            connection
                .batch_execute(&format!(
                    "SET statement_timeout = {statement_timeout_ms}; \
                     SET idle_in_transaction_session_timeout = {statement_timeout_ms}; \
                     SET timezone = 'UTC'"
                ))
                .await
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager =
        AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url.as_str(), config);
    Pool::builder(manager)
        .max_size(settings.pool_size)
        // The one that was used last: what its server process needs is still in the processor's caches.
        .queue_mode(QueueMode::Lifo)
        .wait_timeout(Some(settings.acquire_timeout))
        .create_timeout(Some(settings.acquire_timeout))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Other(error.to_string()))
}
