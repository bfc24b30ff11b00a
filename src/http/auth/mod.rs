//! Who is calling, and what they may do: bearer tokens (RFC 6750) that are JSON Web Tokens.
//!
//! A handler that takes an [`Authorized`] with a scope's type in it runs only for callers with that
//! scope; the API document reads the scope from the same type. Tokens are checked as RFC 8725 asks:
//! the issuer chooses the keys, the key chooses the algorithm, and the token chooses neither.

mod claims;
mod extract;
mod keys;
mod scope;
mod seen;
mod sign;
mod source;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};

pub use claims::{Caller, PortalClaim};
pub use extract::{Authentication, Authorized};
pub use keys::Algorithm;
pub use scope::{RequiredScope, Scope, ScopeSet, required};
pub use sign::{SignError, SigningKey, TokenRequest, sign};
pub use source::KeySource;

use crate::clock::Clock;
use crate::domain::error::{Code, Error};
use claims::{Claims, Header, Rules};
use keys::{KeySet, NoKey};
use seen::{Seen, SeenTokens, VerifiedBy};
use source::{KeyCache, SourceFailed};

/// What tokens are checked against.
pub struct Settings {
    /// The `aud` a token must hold.
    pub audience: String,
    /// Those whose tokens are accepted.
    pub issuers: Vec<TrustedIssuer>,
    /// The issuer of HS256 tokens; development only.
    pub development: Option<DevelopmentIssuer>,
    /// Seconds by which clocks may differ.
    pub leeway_seconds: u32,
    /// Longest token accepted, in bytes.
    pub max_token_bytes: usize,
    /// How long fetching a key set may take.
    pub fetch_timeout: Duration,
}

/// One issuer whose tokens are accepted.
pub struct TrustedIssuer {
    /// Its exact `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// The algorithms its keys may be used with.
    pub algorithms: Vec<Algorithm>,
}

/// The issuer whose key is a shared secret.
#[derive(Clone)]
pub struct DevelopmentIssuer {
    /// Its exact `iss`.
    pub issuer: String,
    /// Signs and verifies with HS256.
    pub secret: SecretString,
}

/// Turns tokens into callers.
pub struct Authenticator {
    issuers: Vec<Known>,
    development: Option<Development>,
    rules: Rules,
    max_token_bytes: usize,
    clock: Clock,
    seen: SeenTokens,
}

struct Known {
    issuer: String,
    cache: KeyCache,
}

struct Development {
    issuer: String,
    key: DecodingKey,
}

/// Why a token is not accepted. The words never repeat anything of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// It is not valid, for this reason.
    Invalid(&'static str),
    /// Its time is over.
    Expired,
    /// The keys to check it with cannot be had; the text is for the log.
    KeysUnavailable(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::new(
                Code::TokenMissing,
                "This address needs a bearer token in the Authorization header.",
            ),
            Refusal::Invalid(reason) => Self::new(
                Code::TokenInvalid,
                format!("The token is not valid: {reason}."),
            ),
            Refusal::Expired => Self::new(Code::TokenExpired, "The token has expired."),
            Refusal::KeysUnavailable(cause) => Self::unavailable(cause),
        }
    }
}

impl Authenticator {
    /// Reads no key yet: a source is read when the first token of its issuer comes.
    ///
    /// # Errors
    /// The HTTP client that fetches keys cannot be made.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let known = |trusted: TrustedIssuer| {
            let timeout = settings.fetch_timeout;
            KeyCache::new(trusted.keys, trusted.algorithms, timeout, clock.clone())
                .map(|cache| Known {
                    issuer: trusted.issuer,
                    cache,
                })
                .map_err(Error::internal)
        };
        let development = settings.development.map(|development| Development {
            key: DecodingKey::from_secret(development.secret.expose_secret().as_bytes()),
            issuer: development.issuer,
        });
        Ok(Self {
            issuers: settings
                .issuers
                .into_iter()
                .map(known)
                .collect::<Result<_, _>>()?,
            development,
            rules: Rules {
                audience: settings.audience,
                leeway_seconds: settings.leeway_seconds,
            },
            max_token_bytes: settings.max_token_bytes,
            clock,
            seen: SeenTokens::default(),
        })
    }

    /// The caller who holds `token`.
    ///
    /// # Errors
    /// The reason why the token is not accepted.
    pub async fn authenticate_token(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        if token.len() > self.max_token_bytes {
            return Err(Refusal::Invalid("it is too long"));
        }
        let name = seen::fingerprint(token);
        if let Some(seen) = self.seen.get(&name)
            && self.still_holds(&seen.by).await
        {
            return self.rules.caller_of(&seen.bearer, self.clock.now());
        }
        let (header, issuer) = claims::peek(token)?;
        let (claims, by) = match self
            .development
            .as_ref()
            .filter(|known| known.issuer == issuer)
        {
            Some(development) => {
                if header.alg != "HS256" {
                    return Err(WRONG_ALGORITHM);
                }
                let algorithm = jsonwebtoken::Algorithm::HS256;
                let claims = verify(token, &development.key, algorithm)?;
                (claims, VerifiedBy::Development)
            }
            None => self.verify_with_issuer(token, &header, &issuer).await?,
        };
        let bearer = self.rules.check(claims, &issuer, self.clock.now())?;
        let caller = Arc::clone(&bearer.caller);
        self.seen.put(name, Seen { bearer, by });
        Ok(caller)
    }

    /// Whether what a token was verified with is still what it would be verified with.
    async fn still_holds(&self, by: &VerifiedBy) -> bool {
        match by {
            VerifiedBy::Development => true,
            VerifiedBy::Issuer(place, keys) => match self.issuers.get(*place) {
                Some(known) => {
                    let held = known.cache.keys().await;
                    held.is_ok_and(|held| Arc::ptr_eq(&held, keys))
                }
                None => false,
            },
        }
    }

    async fn verify_with_issuer(
        &self,
        token: &str,
        header: &Header,
        issuer: &str,
    ) -> Result<(Claims, VerifiedBy), Refusal> {
        let (place, known) = self
            .issuers
            .iter()
            .enumerate()
            .find(|(_, known)| known.issuer == issuer)
            .ok_or(Refusal::Invalid("its issuer is not trusted here"))?;
        let keys = known.cache.keys().await.map_err(|SourceFailed(why)| {
            Refusal::KeysUnavailable(format!("the keys of {issuer} cannot be read: {why}"))
        })?;
        let (outcome, keys) = match verify_with(&keys, token, header) {
            Err(NotVerified::NoKey(NoKey::Unknown | NoKey::Ambiguous)) => {
                let newer = known.cache.newer_than(&keys).await;
                let keys = newer.unwrap_or(keys);
                (verify_with(&keys, token, header), keys)
            }
            outcome => (outcome, keys),
        };
        Ok((outcome?, VerifiedBy::Issuer(place, keys)))
    }
}

const WRONG_ALGORITHM: Refusal = Refusal::Invalid("its algorithm is not the one of its key");

enum NotVerified {
    NoKey(NoKey),
    Refused(Refusal),
}

impl From<NotVerified> for Refusal {
    fn from(not_verified: NotVerified) -> Self {
        match not_verified {
            NotVerified::NoKey(NoKey::Unknown) => {
                Self::Invalid("its key is not among its issuer's keys")
            }
            NotVerified::NoKey(NoKey::Ambiguous) => {
                Self::Invalid("it does not say which of its issuer's keys it is signed with")
            }
            NotVerified::NoKey(NoKey::OtherAlgorithm) => WRONG_ALGORITHM,
            NotVerified::Refused(refusal) => refusal,
        }
    }
}

fn verify_with(keys: &Arc<KeySet>, token: &str, header: &Header) -> Result<Claims, NotVerified> {
    let found = keys
        .find(header.kid.as_deref(), &header.alg)
        .map_err(NotVerified::NoKey)?;
    verify(token, &found.key, found.algorithm.jwt()).map_err(NotVerified::Refused)
}

/// Checks the signature with exactly this key and algorithm, then reads the claims. Their rules,
/// those of time included, are ours: the library would ask the machine's clock.
fn verify(
    token: &str,
    key: &DecodingKey,
    algorithm: jsonwebtoken::Algorithm,
) -> Result<Claims, Refusal> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, key, &validation)
        .map(|decoded| decoded.claims)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::Json(_) => {
                Refusal::Invalid("a claim is missing or of a wrong type")
            }
            _ => Refusal::Invalid("its signature does not fit"),
        })
}
