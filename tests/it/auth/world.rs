//! The issuers that the tests of tokens know.

use portal_billing::clock::Clock;

use super::forge::{Forge, Signer, ed_jwk, keys, p256_jwk, p384_jwk, rsa_jwk};
use super::issuer::Issuer;
use super::*;

pub(super) const EVERY: &[Algorithm] = &[Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

pub(super) struct World {
    pub(super) authenticator: Authenticator,
    pub(super) clock: Clock,
    pub(super) issuer: Issuer,
}

/// Two trusted issuers and the development issuer. The first has a key of each kind, the other one
/// Ed25519 key whose id is `theirs`.
pub(super) fn world() -> World {
    let clock = clock();
    let issuer = Issuer::serving(&[
        ed_jwk("ed", &keys().ed),
        p256_jwk("p256"),
        p384_jwk("p384"),
        rsa_jwk("rsa"),
    ]);
    let other = Issuer::serving(&[ed_jwk("theirs", &keys().stranger)]);
    let issuers = vec![
        trusted(ISSUER, issuer.source(), EVERY),
        trusted(OTHER_ISSUER, other.source(), &[Algorithm::EdDsa]),
    ];
    let authenticator = authenticator(issuers, Some(development()), &clock);
    World {
        authenticator,
        clock,
        issuer,
    }
}

pub(super) fn hmac(secret: impl AsRef<[u8]>) -> Signer {
    Signer::Hmac(secret.as_ref().to_vec())
}

pub(super) fn development_token() -> Forge {
    Forge::with("HS256", "", hmac(DEVELOPMENT_SECRET))
        .without_header("kid")
        .claim("iss", DEVELOPMENT)
}

pub(super) async fn all_refused(cases: &[(&str, String)], code: Code) {
    let world = world();
    for (name, token) in cases {
        let refused = refusal(&world.authenticator, token).await;
        assert_eq!(refused, Some(code), "{name}: {token}");
    }
    // The world is not one that refuses everything.
    authenticate(&world.authenticator, &Forge::ed().token())
        .await
        .unwrap();
}
