//! One connection type over both engines, and how connections are opened.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, ConnectionError, ConnectionResult, SqliteConnection};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;
use super::{Engine, StoreSettings};

/// SQLite behind diesel-async.
pub(super) type LiteConnection = SyncConnectionWrapper<SqliteConnection, Lane>;

/// A connection during one unit of work.
#[expect(
    clippy::large_enum_variant,
    reason = "one value lives per unit of work; boxing would cost each an allocation"
)]
pub enum Conn {
    /// PostgreSQL, or what speaks its protocol.
    Pg(Object<AsyncPgConnection>),
    /// SQLite.
    Lite(LiteConnection),
}

/// Expands the same query for each engine. `$connection` is a `&mut Conn`; inside `$body`, `$name` is
/// the engine's own connection.
macro_rules! db {
    ($connection:expr, $name:ident => $body:expr) => {
        match $connection {
            $crate::store::conn::Conn::Pg(object) => {
                let $name: &mut diesel_async::AsyncPgConnection = object;
                $body
            }
            $crate::store::conn::Conn::Lite($name) => $body,
        }
    };
}
pub(super) use db;

impl Conn {
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Pg(object) => object.batch_execute("BEGIN").await?,
            // A deferred transaction that reads before it writes fails under contention; IMMEDIATE
            // takes the write lock first and waits for it.
            Self::Lite(lite) => lite.batch_execute("BEGIN IMMEDIATE").await?,
        }
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        Ok(self.batch("COMMIT").await?)
    }

    pub(super) async fn rollback(&mut self) -> Result<(), StoreError> {
        Ok(self.batch("ROLLBACK").await?)
    }

    pub(super) async fn batch(&mut self, sql: &str) -> diesel::QueryResult<()> {
        db!(self, c => c.batch_execute(sql).await)
    }
}

/// Where SQLite's calls run.
///
/// Readers run inline: a WAL snapshot read of a few rows is shorter than a hop to another thread.
/// The writer waits for the disk in `COMMIT` and must not hold up a worker.
#[derive(Clone, Copy, Debug)]
pub enum Lane {
    /// On the calling thread.
    Inline,
    /// On tokio's blocking pool.
    Blocking,
}

type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type BoxedError = Box<dyn StdError + Send + Sync + 'static>;

impl SpawnBlocking for Lane {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxedFuture<'a, Result<R, BoxedError>>
    where
        R: Send + 'static,
    {
        match self {
            Self::Inline => {
                let result = task();
                Box::pin(std::future::ready(Ok(result)))
            }
            Self::Blocking => {
                let handle = tokio::task::spawn_blocking(task);
                Box::pin(async move { handle.await.map_err(BoxedError::from) })
            }
        }
    }

    fn get_runtime() -> Self {
        Self::Blocking
    }
}

/// Opens SQLite: `busy_timeout` first, so that setting WAL itself waits for its lock.
pub(super) fn open_lite(
    settings: &StoreSettings,
    lane: Lane,
) -> Result<LiteConnection, StoreError> {
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
    if matches!(lane, Lane::Inline) {
        connection.batch_execute("PRAGMA query_only = ON;")?;
    }
    Ok(SyncConnectionWrapper::with_runtime(connection, lane))
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
        .wait_timeout(Some(settings.acquire_timeout))
        .create_timeout(Some(settings.acquire_timeout))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Other(error.to_string()))
}
