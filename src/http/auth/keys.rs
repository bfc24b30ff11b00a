//! Public keys of issuers: JSON Web Key Sets (RFC 7517), read strictly.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

/// A signature algorithm an issuer may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
}

impl Algorithm {
    /// The name in the `alg` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    pub(super) const fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A key set with more keys than this is not one we want to search for each request.
const KEYS_MAX: usize = 100;
/// Ed25519 keys and the coordinates of P-256 points.
const POINT_BYTES: usize = 32;
/// RFC 7518 §3.3: a key of 2048 bits or larger must be used.
const RSA_MIN_BYTES: usize = 256;
/// The largest the cryptographic library verifies with.
const RSA_MAX_BYTES: usize = 1024;

/// One usable public key, bound to the one algorithm it may be used with.
pub(super) struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The usable keys of one issuer.
#[derive(Default)]
pub(super) struct KeySet(Vec<VerifyingKey>);

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// No key of that id; a newer key set might have it.
    Unknown,
    /// The token names no key and there is not exactly one.
    Ambiguous,
    /// The key is there, and it is for another algorithm.
    OtherAlgorithm,
}

/// A key set that cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadKeySet(&'static str);

impl fmt::Display for BadKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Deserialize)]
struct WireSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct WireKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys of an unknown type, for another use, or for an algorithm outside
    /// `allowed` are left out (RFC 7517 §5), and so are keys whose parameters do not fit.
    ///
    /// # Errors
    /// The text is not a key set, or holds too many keys.
    pub(super) fn parse(json: &[u8], allowed: &[Algorithm]) -> Result<Self, BadKeySet> {
        let set: WireSet =
            serde_json::from_slice(json).map_err(|_| BadKeySet("is not a JSON Web Key Set"))?;
        if set.keys.len() > KEYS_MAX {
            return Err(BadKeySet("holds more than 100 keys"));
        }
        let keys = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<WireKey>(key).ok())
            .filter_map(verifying_key)
            .filter(|key| allowed.contains(&key.algorithm));
        Ok(Self(keys.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key a token was signed with, by its header.
    pub(super) fn find(&self, id: Option<&str>, algorithm: &str) -> Result<&VerifyingKey, NoKey> {
        let Some(id) = id else {
            return match self.0.as_slice() {
                [only] if only.algorithm.as_str() == algorithm => Ok(only),
                [_] => Err(NoKey::OtherAlgorithm),
                _ => Err(NoKey::Ambiguous),
            };
        };
        let mut same_id = self
            .0
            .iter()
            .filter(|key| key.id.as_deref() == Some(id))
            .peekable();
        if same_id.peek().is_none() {
            return Err(NoKey::Unknown);
        }
        // RFC 7517 §4.5: keys of different types may share an id.
        let mut fitting = same_id.filter(|key| key.algorithm.as_str() == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(NoKey::Ambiguous),
            (None, _) => Err(NoKey::OtherAlgorithm),
        }
    }
}

fn verifying_key(wire: WireKey) -> Option<VerifyingKey> {
    let for_signatures = wire.usage.as_deref().is_none_or(|usage| usage == "sig")
        && wire
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    // A published private key is nobody's secret any more.
    if !for_signatures || wire.d.is_some() {
        return None;
    }
    let (algorithm, key) = match (wire.kty.as_str(), wire.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, ed25519(wire.x.as_deref()?)?),
        ("EC", Some("P-256")) => (
            Algorithm::Es256,
            p256(wire.x.as_deref()?, wire.y.as_deref()?)?,
        ),
        ("RSA", _) => (
            Algorithm::Rs256,
            rsa(wire.n.as_deref()?, wire.e.as_deref()?)?,
        ),
        _ => return None,
    };
    let named = wire
        .alg
        .as_deref()
        .is_none_or(|name| name == algorithm.as_str());
    named.then_some(VerifyingKey {
        id: wire.kid,
        algorithm,
        key,
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

fn ed25519(x: &str) -> Option<DecodingKey> {
    let point = decode(x)?;
    (point.len() == POINT_BYTES).then(|| DecodingKey::from_ed_der(&point))
}

fn p256(x: &str, y: &str) -> Option<DecodingKey> {
    let (x, y) = (decode(x)?, decode(y)?);
    if x.len() != POINT_BYTES || y.len() != POINT_BYTES {
        return None;
    }
    // SEC 1 §2.3.3: an uncompressed point.
    Some(DecodingKey::from_ec_der(
        &[&[4], x.as_slice(), y.as_slice()].concat(),
    ))
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (n, e) = (decode(n)?, decode(e)?);
    let significant = n
        .len()
        .checked_sub(n.iter().take_while(|byte| **byte == 0).count())?;
    let odd = e.last().is_some_and(|last| last % 2 == 1);
    let fits = (RSA_MIN_BYTES..=RSA_MAX_BYTES).contains(&significant) && odd && e != [1];
    fits.then(|| DecodingKey::from_rsa_raw_components(&n, &e))
}
