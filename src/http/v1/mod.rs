//! `/v1`: one file per family of resources, each with its request and answer types, its handlers
//! and their documentation.

pub mod audit_log;
pub mod credentials;
pub mod hooks;
pub mod portals;
pub mod stripe_module;

use utoipa::IntoParams;

/// The path of everything inside a portal.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(
    dead_code,
    reason = "documents a parameter that the extractor reads by itself"
)]
pub struct PortalPath {
    /// The portal's name.
    #[param(
        pattern = "^[a-z0-9][a-z0-9-]{0,62}$",
        max_length = 63,
        example = "acme"
    )]
    portal: String,
}

/// What writers may require; see RFC 9110, section 13.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents headers that the extractor reads by itself"
)]
pub struct WriteConditions {
    /// Change only what still has this entity tag; 412 otherwise.
    #[param(rename = "If-Match", required = false)]
    if_match: Option<String>,
    /// `*`: create only what does not exist; 412 otherwise.
    #[param(rename = "If-None-Match", required = false)]
    if_none_match: Option<String>,
}

/// What readers may require.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents a header that the extractor reads by itself"
)]
pub struct ReadConditions {
    /// Entity tags the caller has already; 304 when it is still one of them.
    #[param(rename = "If-None-Match", required = false)]
    if_none_match: Option<String>,
}
