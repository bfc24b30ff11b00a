//! The integration tests, in one binary: one file per area.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod access;
mod auth;
mod bad_input;
mod card_numbers;
mod catalog;
mod command_line;
mod cors;
mod credentials;
mod customers;
mod description;
mod events;
mod hosted;
mod house;
mod ingest;
mod outages;
mod payment_methods;
mod portals;
mod readme;
mod reconciliation;
mod reliability;
mod security;
mod store;
mod stripe_module;
mod stripe_port;
mod subscriptions;
mod support;
mod webhooks;
