//! # portal-billing
//!
//! A headless billing service that gives any API developer portal paid plans over Stripe.
//!
//! ## The map
//!
//! Data flows one way: `http` → `app` → `domain`, `stripe`, `store`. A test reads the `use crate::`
//! lines and fails on any other edge.
//!
//! | module | holds |
//! |---|---|

pub mod app;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod ids;
pub mod secret;
pub mod server;
pub mod store;
pub mod stripe;
