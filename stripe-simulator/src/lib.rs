//! Stripe, offline.

pub mod engine;
