//! The integration tests, in one binary: one file per area.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod auth;
mod bad_input;
mod card_numbers;
mod command_line;
mod cors;
mod credentials;
mod description;
mod house;
mod outages;
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
