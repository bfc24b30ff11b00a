//! The HTTP face: routes, OpenAPI, authentication, problems.

pub mod auth;
pub mod problem;
