//! # portal-billing
//!
//! A headless billing service that gives any API developer portal paid plans over Stripe.
//!
//! ## The map
//!
//! Data flows one way: `http` → `app` → `domain`, `stripe`, `store`, `deliver`. A test reads the `use crate::`
//! lines and fails on any other edge.
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | composition root: the same for production and for tests |
//! | [`config`] | every setting, typed and explained |
//! | [`http`] | routes, OpenAPI, authentication, problems |
//! | [`app`] | use cases: the only place where `store` and `stripe` meet |
//! | [`domain`] | pure rules: no I/O, no serde, no SQL |
//! | [`stripe`] | the port to Stripe |
//! | [`deliver`] | posting events to receivers that portals name |
//! | [`store`] | SQLite and PostgreSQL behind one code path |
//! | [`worker`] | background loops |
//! | [`clock`], [`ids`], [`secret`], [`telemetry`] | small tools of the house |

pub mod app;
pub mod clock;
pub mod config;
pub mod deliver;
pub mod domain;
pub mod http;
pub mod ids;
pub mod secret;
pub mod server;
pub mod store;
pub mod stripe;
pub mod telemetry;
pub mod worker;
