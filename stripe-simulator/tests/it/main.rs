//! Tests over HTTP against a simulator of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod catalog;
mod contract;
mod customers;
mod front;
mod hostile;
mod support;
