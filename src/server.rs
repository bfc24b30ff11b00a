//! The composition root: the only module that sees all the others.

mod migration;
mod serve;
mod settings;
mod token;

pub use migration::{Direction, MigrationError, migrate};
pub use serve::{Server, StartError, app};
pub use settings::{authenticator, master_keys, store_settings};
pub use token::{TokenArguments, TokenError, issue_token};
