//! A database of its own for each test, on either engine.

use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel::{Connection as _, QueryableByName};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use portal_billing::clock::Clock;
use portal_billing::ids::Ids;
use portal_billing::store::migrate::{self, Direction};
use portal_billing::store::{Engine, StoreSettings};
use std::time::Duration;
use tempfile::TempDir;

/// The variable that `make test` sets to the throw-away cluster it has started.
const POSTGRES: &str = "PORTAL_BILLING_TEST_POSTGRES_URL";
const TEMPLATE: &str = "portal_billing_template";
/// So that test processes that start together make the template once.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

/// Which engine a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Lite,
    Pg,
}

/// A fresh database.
pub(crate) struct FreshDatabase {
    pub(crate) url: String,
    _directory: Option<TempDir>,
}

impl FreshDatabase {
    /// On SQLite an empty file's name; on PostgreSQL a copy of a migrated template.
    pub(crate) async fn new(engine: Database) -> Self {
        match engine {
            Database::Lite => {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("billing.db");
                Self {
                    url: format!("sqlite://{}", path.display()),
                    _directory: Some(directory),
                }
            }
            Database::Pg => {
                template().await;
                let url = create(&format!("TEMPLATE {TEMPLATE}")).await;
                Self {
                    url,
                    _directory: None,
                }
            }
        }
    }

    /// One that somebody else has made.
    pub(crate) fn at(url: String) -> Self {
        Self {
            url,
            _directory: None,
        }
    }

    /// Without a table in it.
    pub(crate) async fn empty(engine: Database) -> Self {
        match engine {
            Database::Lite => Self::new(engine).await,
            Database::Pg => Self {
                url: create("").await,
                _directory: None,
            },
        }
    }

    pub(crate) fn settings(&self) -> StoreSettings {
        StoreSettings {
            engine: Engine::from_url(&self.url).unwrap(),
            pool_size: 4,
            acquire_timeout: Duration::from_secs(10),
            busy_timeout_ms: 5000,
            statement_timeout_ms: 10_000,
        }
    }

    /// Runs statements behind the service's back.
    pub(crate) async fn execute(&self, statements: &str) {
        if let Some(mut connection) = self.lite() {
            diesel::connection::SimpleConnection::batch_execute(&mut connection, statements)
                .unwrap();
        } else {
            let mut connection = connect(&self.url).await;
            connection.batch_execute(statements).await.unwrap();
        }
    }

    /// What a query finds.
    pub(crate) async fn rows<T>(&self, query: &str) -> Vec<T>
    where
        T: QueryableByName<Sqlite> + QueryableByName<Pg> + Send + 'static,
    {
        let query = diesel::sql_query(query);
        if let Some(mut connection) = self.lite() {
            diesel::RunQueryDsl::load(query, &mut connection).unwrap()
        } else {
            query.load(&mut connect(&self.url).await).await.unwrap()
        }
    }

    /// What a query finds that selects one `count`.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        self.rows::<Count>(query).await[0].count
    }

    /// A connection to the SQLite file; the service writes, too.
    fn lite(&self) -> Option<diesel::SqliteConnection> {
        let file = self.file()?;
        let mut connection = diesel::SqliteConnection::establish(file).unwrap();
        let wait = "PRAGMA busy_timeout = 5000";
        diesel::connection::SimpleConnection::batch_execute(&mut connection, wait).unwrap();
        Some(connection)
    }

    /// The SQLite file, to be looked at from outside.
    pub(crate) fn file(&self) -> Option<&str> {
        self.url.strip_prefix("sqlite://")
    }
}

/// The cluster's maintenance database.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' one setting; it is not the service's"
)]
pub(crate) fn cluster_url() -> String {
    std::env::var(POSTGRES).unwrap_or_else(|_| {
        panic!("{POSTGRES} is not set: run `make test`, which starts a PostgreSQL of its own")
    })
}

fn database_url(name: &str) -> String {
    let cluster = cluster_url();
    let (server, _) = cluster.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

pub(crate) async fn connect(url: &str) -> AsyncPgConnection {
    AsyncPgConnection::establish(url).await.unwrap()
}

async fn create(options: &str) -> String {
    let name = format!("test_{}", Ids::random(Clock::machine()).unguessable());
    let mut connection = connect(&cluster_url()).await;
    connection
        .batch_execute(&format!("CREATE DATABASE {name} {options}"))
        .await
        .unwrap();
    database_url(&name)
}

/// What a query says that selects one `count`.
#[derive(QueryableByName)]
pub(crate) struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) count: i64,
}

/// Makes the template database, unless this binary's migrations are in it already.
async fn template() {
    let mut connection = connect(&cluster_url()).await;
    connection
        .batch_execute(&format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})"))
        .await
        .unwrap();
    let existing: Count = diesel::sql_query(format!(
        "SELECT count(*) AS count FROM pg_database WHERE datname = '{TEMPLATE}'"
    ))
    .get_result(&mut connection)
    .await
    .unwrap();
    if existing.count == 0 {
        // Built under another name, so that one that was left half made is never taken for it.
        let building = format!("{TEMPLATE}_building");
        connection
            .batch_execute(&format!("DROP DATABASE IF EXISTS {building}"))
            .await
            .unwrap();
        connection
            .batch_execute(&format!("CREATE DATABASE {building}"))
            .await
            .unwrap();
        let database = FreshDatabase {
            url: database_url(&building),
            _directory: None,
        };
        migrate::run(&database.settings(), Direction::Up)
            .await
            .unwrap();
        connection
            .batch_execute(&format!("ALTER DATABASE {building} RENAME TO {TEMPLATE}"))
            .await
            .unwrap();
    }
    connection
        .batch_execute(&format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})"))
        .await
        .unwrap();
}

/// Runs each test on both engines.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::support::database::Database::Lite).await;
            })+
        }
        mod postgres {
            $(#[tokio::test] async fn $name() {
                super::$name(crate::support::database::Database::Pg).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
