//! What several areas' tests stand on.

pub(crate) mod api;
pub(crate) mod billing;
pub(crate) mod contract;
pub(crate) mod database;
pub(crate) mod fake_stripe;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod service;
pub(crate) mod simulator;
