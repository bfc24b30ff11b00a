//! The HTTP face: routes, OpenAPI, authentication, problems.

pub mod problem;
