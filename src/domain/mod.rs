//! Pure rules: no I/O, no serde, no SQL.

pub mod access;
pub mod audit;
pub mod card_guard;
pub mod catalog;
pub mod credentials;
pub mod currency;
pub mod customer;
pub mod delivery;
pub mod error;
pub mod inbox;
pub mod money;
pub mod operation;
pub mod payment_method;
pub mod portal;
pub mod precondition;
pub mod pricing;
pub mod readiness;
pub mod secret_guard;
pub mod signing_key;
pub mod slug;
pub mod stripe_key;
pub mod stripe_link;
pub mod stripe_module;
pub mod subscription;
pub mod text;
pub mod webhook_endpoint;
