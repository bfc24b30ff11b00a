//! Brings the database's schema to what this binary expects.

pub use crate::store::migrate::Direction;

use super::settings::store_settings;
use crate::config::Config;
use crate::domain::error::Error;
use crate::store::{StoreError, migrate::run};

/// The schema is not as asked.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The settings name no database.
    #[error(transparent)]
    Settings(#[from] Error),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// [`Direction::Look`] found this many pending migrations.
    #[error("pending migrations: {0}; apply them with `portal-billing migrate`")]
    Pending(usize),
}

/// Applies, undoes or looks; says in words what was done.
///
/// # Errors
/// See [`MigrationError`].
pub async fn migrate(config: &Config, direction: Direction) -> Result<String, MigrationError> {
    let state = run(&store_settings(config)?, direction).await?;
    if direction == Direction::Look && state.pending > 0 {
        return Err(MigrationError::Pending(state.pending));
    }
    let done = if direction == Direction::DownOne {
        "undone"
    } else {
        "applied"
    };
    let mut told = String::new();
    for name in &state.applied {
        told.push_str(&[done, " ", name, "\n"].concat());
    }
    if state.pending == 0 {
        told.push_str("the schema is up to date\n");
    }
    Ok(told)
}
