//! Migrations, embedded in the binary.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::{Connection as _, SqliteConnection};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::conn::connect_pg;
use super::error::StoreError;
use super::{Engine, StoreSettings};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Chosen once for this product; replicas that start together take turns.
const ADVISORY_LOCK: i64 = 0x706f_7274_616c_6269;

/// What to do with the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Apply everything pending.
    Up,
    /// Undo the newest; for tests and for going back by hand.
    DownOne,
    /// Change nothing, tell.
    Look,
}

/// The state of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// Names applied by this call.
    pub applied: Vec<String>,
    /// How many are still pending.
    pub pending: usize,
}

/// Applies, undoes or looks. Refuses a schema that this binary does not know.
///
/// # Errors
/// [`StoreError::Other`] for a newer schema or a failing migration.
pub async fn run(
    settings: &StoreSettings,
    direction: Direction,
) -> Result<SchemaState, StoreError> {
    match &settings.engine {
        Engine::Lite { path } => {
            let (path, busy_timeout_ms) = (path.clone(), settings.busy_timeout_ms);
            blocking(move || migrate_lite(&path, busy_timeout_ms, direction)).await
        }
        Engine::Pg { url } => {
            let connection = connect_pg(url)
                .await
                .map_err(|error| StoreError::Unavailable(format!("cannot connect: {error}")))?;
            blocking(move || migrate_pg(connection.into(), direction)).await
        }
    }
}

/// diesel's migrations are not async.
async fn blocking<F>(work: F) -> Result<SchemaState, StoreError>
where
    F: FnOnce() -> Result<SchemaState, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Other(error.to_string()))?
}

fn migrate_lite(
    path: &str,
    busy_timeout_ms: u32,
    direction: Direction,
) -> Result<SchemaState, StoreError> {
    create_folder(path)?;
    let mut connection = SqliteConnection::establish(path)
        .map_err(|error| StoreError::Unavailable(format!("cannot open {path}: {error}")))?;
    connection.batch_execute(&format!(
        "PRAGMA busy_timeout = {busy_timeout_ms}; PRAGMA journal_mode = WAL; \
         PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    ))?;
    migrate(&mut connection, || SQLITE, direction)
}

fn migrate_pg(
    mut connection: AsyncConnectionWrapper<AsyncPgConnection>,
    direction: Direction,
) -> Result<SchemaState, StoreError> {
    connection.batch_execute(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))?;
    let result = migrate(&mut connection, || POSTGRES, direction);
    // Closing the connection would release it too; this is for the next in line.
    connection.batch_execute(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})"))?;
    result
}

fn create_folder(path: &str) -> Result<(), StoreError> {
    let Some(folder) = std::path::Path::new(path).parent() else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        StoreError::Unavailable(format!("cannot create {}: {error}", folder.display()))
    })
}

fn migrate<C, DB>(
    connection: &mut C,
    source: fn() -> EmbeddedMigrations,
    direction: Direction,
) -> Result<SchemaState, StoreError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Other(format!("migration failed: {error}"))
    };
    let known: BTreeSet<String> = MigrationSource::<DB>::migrations(&source())
        .map_err(failed)?
        .iter()
        .map(|migration| Migration::name(migration.as_ref()).version().to_string())
        .collect();
    let unknown: Vec<String> = connection
        .applied_migrations()
        .map_err(failed)?
        .iter()
        .map(MigrationVersion::to_string)
        .filter(|version| !known.contains(version))
        .collect();
    if !unknown.is_empty() {
        return Err(StoreError::Other(format!(
            "the schema is newer than this binary (it has {}); run the newer binary",
            unknown.join(", ")
        )));
    }
    let applied = match direction {
        Direction::Look => Vec::new(),
        Direction::Up => connection
            .run_pending_migrations(source())
            .map_err(failed)?
            .iter()
            .map(MigrationVersion::to_string)
            .collect(),
        Direction::DownOne => {
            vec![
                connection
                    .revert_last_migration(source())
                    .map_err(failed)?
                    .to_string(),
            ]
        }
    };
    let pending = connection
        .pending_migrations(source())
        .map_err(failed)?
        .len();
    Ok(SchemaState { applied, pending })
}
