//! Makes tokens: for development with the shared secret, for operations with a private key whose
//! public half is in a configured key set.

use jsonwebtoken::{EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::keys::Algorithm;
use super::{DevelopmentIssuer, PortalClaim, ScopeSet};
use crate::clock::Timestamp;

/// What a new token says.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audience: String,
    /// Its `portal`.
    pub portal: PortalClaim,
    /// Its `org`, if it is to be bound to one organization.
    pub org: Option<String>,
    /// Its `scope`.
    pub scopes: ScopeSet,
    /// Seconds from now until its `exp`.
    pub lifetime_seconds: u32,
}

/// What a token is signed with.
pub struct SigningKey {
    issuer: String,
    algorithm: jsonwebtoken::Algorithm,
    key_id: Option<String>,
    key: EncodingKey,
}

/// A token cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The private key does not fit the algorithm.
    #[error("the key is not a PKCS#8 private key in PEM for that algorithm")]
    BadKey,
    /// The library would not sign.
    #[error("the token cannot be signed")]
    Failed,
}

impl SigningKey {
    /// Signs as the development issuer, with HS256.
    pub fn development(development: &DevelopmentIssuer) -> Self {
        Self {
            issuer: development.issuer.clone(),
            algorithm: jsonwebtoken::Algorithm::HS256,
            key_id: None,
            key: EncodingKey::from_secret(development.secret.expose_secret().as_bytes()),
        }
    }

    /// Signs as `issuer` with a PKCS#8 private key in PEM.
    ///
    /// # Errors
    /// [`SignError::BadKey`].
    pub fn from_pem(
        issuer: String,
        algorithm: Algorithm,
        key_id: Option<String>,
        pem: &[u8],
    ) -> Result<Self, SignError> {
        let key = match algorithm {
            Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
            Algorithm::Es256 => EncodingKey::from_ec_pem(pem),
            Algorithm::Rs256 => EncodingKey::from_rsa_pem(pem),
        };
        let key = key.map_err(|_| SignError::BadKey)?;
        Ok(Self {
            issuer,
            algorithm: algorithm.jwt(),
            key_id,
            key,
        })
    }
}

#[derive(Serialize)]
struct NewClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    scope: String,
    portal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<&'a str>,
}

/// A token as `request` asks, valid from `now`.
///
/// # Errors
/// The key does not fit its algorithm.
pub fn sign(
    request: &TokenRequest,
    signing_key: &SigningKey,
    now: Timestamp,
) -> Result<String, SignError> {
    let claims = NewClaims {
        iss: &signing_key.issuer,
        sub: &request.subject,
        aud: &request.audience,
        iat: now.as_seconds(),
        exp: now
            .as_seconds()
            .saturating_add(i64::from(request.lifetime_seconds)),
        scope: request.scopes.to_string(),
        portal: match &request.portal {
            PortalClaim::One(portal) => portal.as_str(),
            PortalClaim::All => super::claims::EVERY_PORTAL,
        },
        org: request.org.as_deref(),
    };
    let mut header = Header::new(signing_key.algorithm);
    header.kid.clone_from(&signing_key.key_id);
    encode(&header, &claims, &signing_key.key).map_err(|_| SignError::Failed)
}
