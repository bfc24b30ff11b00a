//! The composition root: the only module that sees all the others.

mod settings;
mod token;

pub use settings::{authenticator, master_keys, store_settings};
pub use token::{TokenArguments, TokenError, issue_token};
