//! Pure rules: no I/O, no serde, no SQL.

pub mod audit;
pub mod card_guard;
pub mod credentials;
pub mod delivery;
pub mod error;
pub mod operation;
pub mod portal;
pub mod precondition;
pub mod readiness;
pub mod secret_guard;
pub mod slug;
pub mod stripe_key;
pub mod stripe_module;
pub mod text;
pub mod webhook_endpoint;
