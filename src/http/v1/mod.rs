//! `/v1`: one file per family of resources, each with its request and answer types, its handlers
//! and their documentation.

pub mod access;
pub mod audit_log;
pub mod credentials;
pub mod customers;
pub mod events;
pub mod hooks;
pub mod hosted;
pub mod imports;
pub mod invoices;
pub mod operations;
pub mod payment_methods;
pub mod portals;
pub mod pricing;
pub mod products;
pub mod reconciliations;
pub mod stripe_events;
pub mod stripe_module;
pub mod subscriptions;
pub mod webhook_deliveries;
pub mod webhook_endpoints;

use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::domain::text::{METADATA_MAX_KEY_CHARS, METADATA_MAX_KEYS, METADATA_MAX_VALUE_CHARS};

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
    #[param(rename = "If-Match", required = false, value_type = EntityTags, inline)]
    if_match: Option<String>,
    /// `*`: create only what does not exist; 412 otherwise.
    #[param(rename = "If-None-Match", required = false, value_type = EntityTags, inline)]
    if_none_match: Option<String>,
}

/// What every POST may carry.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents headers that the extractor reads by itself"
)]
pub struct MayRepeat {
    /// The same request with the same key is done once and answered alike, for 30 days.
    #[param(rename = "Idempotency-Key", required = false, value_type = IdempotencyKey, inline)]
    idempotency_key: Option<String>,
}

/// What a POST must carry that can move money or bind a payment method.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents headers that the extractor reads by itself"
)]
pub struct MustRepeat {
    /// The same request with the same key is done once and answered alike, for 30 days.
    #[param(rename = "Idempotency-Key", value_type = IdempotencyKey, inline)]
    idempotency_key: String,
}

/// What a request may carry that can take long.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents headers that the extractor reads by itself"
)]
pub struct MayWait {
    /// `wait=<seconds>` (0 to 30; 10 unless said): how long to wait before the answer is 202.
    #[param(rename = "Prefer", required = false, value_type = Preference, inline)]
    prefer: Option<String>,
}

/// 8 to 255 of `A-Z a-z 0-9 . _ : -`, quoted or bare.
#[derive(ToSchema)]
#[schema(
    pattern = r#"^("[A-Za-z0-9._:-]{8,255}"|[A-Za-z0-9._:-]{8,255})$"#,
    example = "0b6c1a52-1b4e-4a3e-9d52-5a4d7f6a8c10"
)]
#[expect(dead_code, reason = "documents what the extractor reads by itself")]
pub struct IdempotencyKey(String);

/// A preference (RFC 7240): `wait=<seconds>` or `respond-async`. Any other is ignored, as the standard says.
#[derive(ToSchema)]
#[schema(example = "wait=10")]
#[expect(dead_code, reason = "documents what the extractor reads by itself")]
pub struct Preference(String);

/// What readers may require.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "documents a header that the extractor reads by itself"
)]
pub struct ReadConditions {
    /// Entity tags the caller has already; 304 when it is still one of them.
    #[param(rename = "If-None-Match", required = false, value_type = EntityTags, inline)]
    if_none_match: Option<String>,
}

/// `*`, or entity tags with commas between them (RFC 9110, section 8.8.3).
#[derive(ToSchema)]
#[schema(
    pattern = r#"^(\*|(W/)?"[!#-+\--~]*"( *, *(W/)?"[!#-+\--~]*")*)$"#,
    example = "\"3\""
)]
#[expect(dead_code, reason = "documents what the extractor reads by itself")]
pub struct EntityTags(String);

/// A customer as callers name it: `org_…`, or `ext:` and the id by which the portal knows it.
#[derive(ToSchema)]
#[schema(
    pattern = r"^(org_[0-7][0-9a-hjkmnp-tv-z]{25}|ext:[^\u0000-\u001f\u007f-\u009f/\\]{1,255})$"
)]
#[expect(dead_code, reason = "documents what the handlers parse by themselves")]
pub struct CustomerName(String);

/// `metadata` as `domain::text` takes it: at most 50 keys, of 40 and 500 characters, with no control
/// characters but tab and line feed.
pub struct Metadata;

impl PartialSchema for Metadata {
    fn schema() -> RefOr<Schema> {
        metadata_object(Type::String.into())
            .description(Some("The caller's own keys and values."))
            .into()
    }
}

impl ToSchema for Metadata {}

/// `metadata` in a merge patch: as [`Metadata`], with `null` for what is to go.
pub struct MetadataPatch;

impl PartialSchema for MetadataPatch {
    fn schema() -> RefOr<Schema> {
        metadata_object(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Keys to set, or to remove with `null`."))
            .into()
    }
}

impl ToSchema for MetadataPatch {}

fn metadata_object(value: SchemaType) -> ObjectBuilder {
    const NO_CONTROL: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";
    let text = || ObjectBuilder::new().pattern(Some(NO_CONTROL));
    ObjectBuilder::new()
        .property_names(Some(
            text()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(METADATA_MAX_KEY_CHARS))
                .build(),
        ))
        .additional_properties(Some(Schema::Object(
            text()
                .schema_type(value)
                .max_length(Some(METADATA_MAX_VALUE_CHARS))
                .build(),
        )))
        .max_properties(Some(METADATA_MAX_KEYS))
}
