//! The integration tests, in one binary: one file per area.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod auth;
mod command_line;
mod portals;
mod stripe_port;
mod support;
