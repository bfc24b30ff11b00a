//! The HTTP face: routes, OpenAPI, authentication, problems.

pub mod auth;
pub mod etag;
pub mod extract;
pub mod problem;
