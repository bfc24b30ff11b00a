//! Makes tokens, well-formed or not, with real signatures.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{AUDIENCE, ISSUER, NOW};

/// Key pairs are made once for the whole run.
pub(crate) struct Keys {
    pub(crate) ed: Ed25519KeyPair,
    pub(crate) ed_new: Ed25519KeyPair,
    pub(crate) stranger: Ed25519KeyPair,
    pub(crate) p256_pkcs8: Vec<u8>,
    pub(crate) p384_pkcs8: Vec<u8>,
    pub(crate) rsa: RsaKeyPair,
}

pub(crate) fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let random = SystemRandom::new();
        let ec = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::generate_pkcs8(algorithm, &random)
                .unwrap()
                .as_ref()
                .to_vec()
        };
        Keys {
            ed: Ed25519KeyPair::generate().unwrap(),
            ed_new: Ed25519KeyPair::generate().unwrap(),
            stranger: Ed25519KeyPair::generate().unwrap(),
            p256_pkcs8: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384_pkcs8: ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    })
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

pub(crate) fn ed_jwk(id: &str, pair: &Ed25519KeyPair) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64(pair.public_key())})
}

pub(crate) fn ec_jwk(
    id: &str,
    curve: &str,
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
) -> Value {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "kid": id, "x": base64(x), "y": base64(y)})
}

pub(crate) fn p256_jwk(id: &str) -> Value {
    ec_jwk(
        id,
        "P-256",
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &keys().p256_pkcs8,
    )
}

pub(crate) fn p384_jwk(id: &str) -> Value {
    ec_jwk(
        id,
        "P-384",
        &ECDSA_P384_SHA384_FIXED_SIGNING,
        &keys().p384_pkcs8,
    )
}

pub(crate) fn rsa_jwk(id: &str) -> Value {
    let public = keys().rsa.public_key();
    json!({
        "kty": "RSA",
        "kid": id,
        "n": base64(public.modulus().big_endian_without_leading_zero()),
        "e": base64(public.exponent().big_endian_without_leading_zero()),
    })
}

/// The RSA public key as a verifier holds it: what a key confusion would use as an HMAC secret.
pub(crate) fn rsa_public_der() -> Vec<u8> {
    let public = keys().rsa.public_key();
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = public.as_der().unwrap();
    der.as_ref().to_vec()
}

/// How a token is signed.
#[derive(Clone)]
pub(crate) enum Signer {
    Ed(&'static Ed25519KeyPair),
    P256,
    P256Asn1,
    P384,
    Rsa256,
    Rsa384,
    RsaPss,
    Hmac(Vec<u8>),
    Hmac384(Vec<u8>),
    Raw(Vec<u8>),
}

impl Signer {
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let ec = |algorithm: &'static EcdsaSigningAlgorithm, pkcs8: &[u8]| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).unwrap();
            pair.sign(&random, message).unwrap().as_ref().to_vec()
        };
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let pair = &keys().rsa;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, message, &mut signature)
                .unwrap();
            signature
        };
        let hmac = |algorithm, secret: &[u8]| {
            hmac::sign(&hmac::Key::new(algorithm, secret), message)
                .as_ref()
                .to_vec()
        };
        match self {
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, &keys().p256_pkcs8),
            Self::P256Asn1 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING, &keys().p256_pkcs8),
            Self::P384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, &keys().p384_pkcs8),
            Self::Rsa256 => rsa(&RSA_PKCS1_SHA256),
            Self::Rsa384 => rsa(&RSA_PKCS1_SHA384),
            Self::RsaPss => rsa(&RSA_PSS_SHA256),
            Self::Hmac(secret) => hmac(hmac::HMAC_SHA256, secret),
            Self::Hmac384(secret) => hmac(hmac::HMAC_SHA384, secret),
            Self::Raw(signature) => signature.clone(),
        }
    }
}

/// A token in the making. Starts as one that is accepted.
#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signer: Signer,
}

impl Forge {
    /// A token of [`ISSUER`] signed with its Ed25519 key, whose id is `ed`.
    pub(crate) fn ed() -> Self {
        Self {
            header: json!({"typ": "JWT", "alg": "EdDSA", "kid": "ed"}),
            claims: json!({
                "iss": ISSUER,
                "sub": "ada",
                "aud": AUDIENCE,
                "exp": NOW + 300,
                "nbf": NOW - 5,
                "iat": NOW - 5,
                "scope": "openid portals:read portals:write",
                "portal": "acme",
            }),
            signer: Signer::Ed(&keys().ed),
        }
    }

    /// The same, signed otherwise.
    pub(crate) fn with(algorithm: &str, id: &str, signer: Signer) -> Self {
        Self {
            signer,
            ..Self::ed().header("alg", algorithm).header("kid", id)
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    pub(crate) fn without_claim(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    pub(crate) fn token(&self) -> String {
        self.of_text(&self.header.to_string(), &self.claims.to_string())
    }

    /// Signs header and claims as they are written here.
    pub(crate) fn of_text(&self, header: &str, claims: &str) -> String {
        self.of_parts(&base64(header), &base64(claims))
    }

    pub(crate) fn of_parts(&self, header: &str, claims: &str) -> String {
        let message = format!("{header}.{claims}");
        let signature = base64(self.signer.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// The length of an Ed25519 signature.
pub(crate) const ED_SIGNATURE_BYTES: usize = signature::ED25519_PUBLIC_KEY_LEN * 2;
