//! Tokens, one flaw each.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use portal_billing::clock::Clock;
use portal_billing::http::auth::{PortalClaim, Scope, SigningKey, TokenRequest, sign};
use serde_json::{Value, json};

use super::forge::{
    ED_SIGNATURE_BYTES, Forge, Signer, base64, ed_jwk, keys, p256_jwk, p384_jwk, rsa_jwk,
    rsa_public_der,
};
use super::issuer::Issuer;
use super::*;

const EVERY: &[Algorithm] = &[Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

struct World {
    authenticator: Authenticator,
    clock: Clock,
    issuer: Issuer,
}

/// Two trusted issuers and the development issuer. The first has a key of each kind, the other one
/// Ed25519 key whose id is `theirs`.
fn world() -> World {
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

fn hmac(secret: impl AsRef<[u8]>) -> Signer {
    Signer::Hmac(secret.as_ref().to_vec())
}

fn development_token() -> Forge {
    Forge::with("HS256", "", hmac(DEVELOPMENT_SECRET))
        .without_header("kid")
        .claim("iss", DEVELOPMENT)
}

async fn all_refused(cases: &[(&str, String)], code: Code) {
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

#[actix_web::test]
async fn good_tokens_are_accepted() {
    let world = world();
    for (name, forge) in [
        ("Ed25519", Forge::ed()),
        ("P-256", Forge::with("ES256", "p256", Signer::P256)),
        ("RSA", Forge::with("RS256", "rsa", Signer::Rsa256)),
        ("development", development_token()),
        ("the only key needs no id", {
            let forge = Forge {
                signer: Signer::Ed(&keys().stranger),
                ..Forge::ed()
            };
            forge.without_header("kid").claim("iss", OTHER_ISSUER)
        }),
        (
            "audience list",
            Forge::ed().claim("aud", json!(["x", AUDIENCE])),
        ),
        ("access token type", Forge::ed().header("typ", "at+JWT")),
        ("no type", Forge::ed().without_header("typ")),
        ("no nbf", Forge::ed().without_claim("nbf")),
        ("fractional times", {
            let (exp, nbf) = (format!("{}.75", NOW + 1), format!("{NOW}.5"));
            let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            Forge::ed()
                .claim("exp", number(&exp))
                .claim("nbf", number(&nbf))
        }),
        (
            "last second of exp",
            Forge::ed().claim("exp", NOW - LEEWAY + 1),
        ),
        (
            "first second of nbf",
            Forge::ed().claim("nbf", NOW + LEEWAY),
        ),
        ("null organization", Forge::ed().claim("org", Value::Null)),
        (
            "unknown claims",
            Forge::ed().claim("groups", json!(["admins"])),
        ),
        (
            "a key in the header is ignored",
            Forge::ed().header("jwk", ed_jwk("x", &keys().stranger)),
        ),
    ] {
        let outcome = authenticate(&world.authenticator, &forge.token()).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
    assert_eq!(world.issuer.hits(), 1);
}

#[actix_web::test]
async fn a_caller_is_what_the_token_says() {
    let world = world();
    let token = Forge::ed().claim("org", "org-7").token();
    let caller = authenticate(&world.authenticator, &token).await.unwrap();
    assert_eq!(
        (caller.subject.as_str(), caller.issuer.as_str()),
        ("ada", ISSUER)
    );
    assert_eq!(caller.org.as_deref(), Some("org-7"));
    assert_eq!(caller.scopes.to_string(), "portals:read portals:write");
    let PortalClaim::One(own) = &caller.portal else {
        panic!("{caller:?}")
    };
    assert_eq!(own.as_str(), "acme");
    let slug = |text| portal_billing::domain::slug::Slug::parse(text).unwrap();
    caller.require_portal(own).unwrap();
    let other = caller.require_portal(&slug("acme2")).unwrap_err();
    assert_eq!(other, Error::not_found());
    caller.require_scope(Scope::PortalsRead).unwrap();
    let missing = caller.require_scope(Scope::AuditRead).unwrap_err();
    assert_eq!(missing.code(), Code::ScopeMissing);
    assert_eq!(missing.detail(), "The token lacks the scope audit:read.");
    assert_eq!(
        caller.require_unbound().unwrap_err().code(),
        Code::OrganizationBound
    );

    let operator = Forge::ed()
        .claim("portal", "*")
        .without_claim("scope")
        .token();
    let operator = authenticate(&world.authenticator, &operator).await.unwrap();
    operator.require_portal(&slug("anything")).unwrap();
    operator.require_unbound().unwrap();
    assert_eq!(operator.scopes.to_string(), "");
}

#[actix_web::test]
async fn the_header_has_to_hold_exactly_one_bearer_token() {
    let world = world();
    let good = Forge::ed().token();
    for (values, code) in [
        (vec![], Code::TokenMissing),
        (vec!["Basic dXNlcjpwYXNz".to_owned()], Code::TokenMissing),
        (vec![good.clone()], Code::TokenMissing),
        (vec![String::new()], Code::TokenMissing),
        (vec!["Bearer".to_owned()], Code::TokenInvalid),
        (vec!["Bearer ".to_owned()], Code::TokenInvalid),
        (vec![format!("Bearer {good} ")], Code::TokenInvalid),
        (
            vec![format!("Bearer {good},Bearer {good}")],
            Code::TokenInvalid,
        ),
        (vec![format!("Bearer\t{good}")], Code::TokenMissing),
        (
            vec![format!("Bearer {good}"), format!("Bearer {good}")],
            Code::TokenInvalid,
        ),
        (
            vec![format!("Bearer {good}"), "Basic x".to_owned()],
            Code::TokenInvalid,
        ),
    ] {
        let mut headers = HeaderMap::new();
        for value in &values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let refused = world
            .authenticator
            .authenticate(&headers)
            .await
            .unwrap_err();
        assert_eq!(refused.code(), code, "{values:?}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_bytes(b"Bearer \xff").unwrap(),
    );
    let refused = world
        .authenticator
        .authenticate(&headers)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::TokenInvalid);
    for scheme in ["bearer", "BEARER", "Bearer "] {
        let value = format!("{scheme} {good}");
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        world.authenticator.authenticate(&headers).await.unwrap();
    }
}

#[actix_web::test]
async fn malformed_tokens_are_refused() {
    let good = Forge::ed().token();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let forge = Forge::ed();
    let (header_text, claims_text) = (forge.header.to_string(), forge.claims.to_string());
    let header_json = |json: &str| forge.of_text(json, &claims_text);
    let claims_json = |json: &str| forge.of_text(&header_text, json);
    let doubled_claim = claims_text.replacen('{', r#"{"portal":"*","#, 1);
    let cases = [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as an encrypted token", format!("{good}.x.y")),
        ("dots alone", "..".to_owned()),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("header not base64", forge.of_parts("!!!", payload)),
        (
            "header with padding",
            forge.of_parts(&format!("{header}=="), payload),
        ),
        ("payload not base64", forge.of_parts(header, "a+/b")),
        ("header not JSON", header_json("alg=EdDSA")),
        ("header a list", header_json("[]")),
        ("header null", header_json("null")),
        (
            "algorithm twice",
            header_json(r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#),
        ),
        (
            "key id twice",
            header_json(r#"{"alg":"EdDSA","kid":"x","kid":"ed"}"#),
        ),
        (
            "header followed by more",
            header_json(&format!("{header_text}{{}}")),
        ),
        ("payload not JSON", claims_json("iss")),
        ("payload a list", claims_json("[]")),
        ("portal twice", claims_json(&doubled_claim)),
        (
            "payload not UTF-8",
            forge.of_parts(header, &base64([0xff, 0xfe])),
        ),
        (
            "payload nested beyond measure",
            claims_json(&"[".repeat(2000)),
        ),
        (
            "too long",
            forge
                .clone()
                .claim("x", "x".repeat(MAX_TOKEN_BYTES))
                .token(),
        ),
        (
            "line break",
            format!("{header}.{payload}.\u{20}{signature}"),
        ),
    ];
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn signatures_that_do_not_fit_are_refused() {
    let good = Forge::ed().token();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = Forge::ed().claim("portal", "*");
    let other_message = other.token();
    let (other_message, other_signature) = other_message.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let (_, other_payload) = other_message.split_once('.').unwrap();
    let mut cases = vec![
        ("empty signature", format!("{message}.")),
        ("short signature", format!("{message}.{}", &signature[..40])),
        ("longer signature", format!("{message}.{signature}AA")),
        ("padded signature", format!("{message}.{signature}==")),
        (
            "signature of another token",
            format!("{message}.{other_signature}"),
        ),
        (
            "other payload, same signature",
            format!("{header}.{other_payload}.{signature}"),
        ),
        (
            "all zeros",
            format!("{message}.{}", base64([0; ED_SIGNATURE_BYTES])),
        ),
        (
            "a stranger's key",
            Forge {
                signer: Signer::Ed(&keys().stranger),
                ..Forge::ed()
            }
            .token(),
        ),
        (
            "zero ECDSA",
            Forge::with("ES256", "p256", Signer::Raw(vec![0; 64])).token(),
        ),
        (
            "ECDSA in ASN.1",
            Forge::with("ES256", "p256", Signer::P256Asn1).token(),
        ),
        (
            "RSA all ones",
            Forge::with("RS256", "rsa", Signer::Raw(vec![1; 256])).token(),
        ),
        ("development, wrong secret", {
            Forge {
                signer: hmac("wrong"),
                ..development_token()
            }
            .token()
        }),
        (
            "development, no secret",
            Forge {
                signer: hmac(""),
                ..development_token()
            }
            .token(),
        ),
    ];
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(signature.as_bytes())
        .unwrap();
    for bit in [0, 7, 200, 255, 256, 300, 511] {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        cases.push(("one bit flipped", format!("{message}.{}", base64(flipped))));
    }
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn the_token_does_not_choose_its_algorithm() {
    let ed_public = {
        use aws_lc_rs::signature::KeyPair as _;
        keys().ed.public_key().as_ref().to_vec()
    };
    let unsigned = |name: &str| Forge::with(name, "ed", Signer::Raw(Vec::new())).token();
    let jwk_text = rsa_jwk("rsa").to_string();
    let modulus = rsa_jwk("rsa")["n"].as_str().unwrap().to_owned();
    let cases = [
        ("none", unsigned("none")),
        ("None", unsigned("None")),
        ("nOnE", unsigned("nOnE")),
        ("NONE", unsigned("NONE")),
        ("empty", unsigned("")),
        (
            "none with a good signature",
            Forge::ed().header("alg", "none").token(),
        ),
        ("missing", Forge::ed().without_header("alg").token()),
        ("a number", Forge::ed().header("alg", 1).token()),
        (
            "a list",
            Forge::ed().header("alg", json!(["EdDSA"])).token(),
        ),
        ("null", Forge::ed().header("alg", Value::Null).token()),
        ("lower case", Forge::ed().header("alg", "eddsa").token()),
        ("with a space", Forge::ed().header("alg", "EdDSA ").token()),
        (
            "Ed25519 public key as HMAC secret",
            Forge::with("HS256", "ed", hmac(&ed_public)).token(),
        ),
        (
            "RSA DER as HMAC secret",
            Forge::with("HS256", "rsa", hmac(rsa_public_der())).token(),
        ),
        (
            "RSA JWK as HMAC secret",
            Forge::with("HS256", "rsa", hmac(jwk_text)).token(),
        ),
        (
            "RSA modulus as HMAC secret",
            Forge::with("HS256", "rsa", hmac(modulus)).token(),
        ),
        (
            "empty HMAC secret",
            Forge::with("HS256", "ed", hmac("")).token(),
        ),
        (
            "ES256 on an Ed25519 key",
            Forge::with("ES256", "ed", Signer::P256).token(),
        ),
        (
            "EdDSA on an RSA key",
            Forge::with("EdDSA", "rsa", Signer::Ed(&keys().ed)).token(),
        ),
        (
            "RS256 on a P-256 key",
            Forge::with("RS256", "p256", Signer::Rsa256).token(),
        ),
        (
            "RS384 on an RSA key",
            Forge::with("RS384", "rsa", Signer::Rsa384).token(),
        ),
        (
            "PS256 on an RSA key",
            Forge::with("PS256", "rsa", Signer::RsaPss).token(),
        ),
        (
            "RS256 signed with PSS",
            Forge::with("RS256", "rsa", Signer::RsaPss).token(),
        ),
        (
            "RS256 signed over SHA-384",
            Forge::with("RS256", "rsa", Signer::Rsa384).token(),
        ),
        (
            "ES384 on a P-384 key",
            Forge::with("ES384", "p384", Signer::P384).token(),
        ),
        (
            "ES256 on a P-384 key",
            Forge::with("ES256", "p384", Signer::P384).token(),
        ),
        ("HS384 of the development issuer", {
            let signer = Signer::Hmac384(DEVELOPMENT_SECRET.into());
            Forge {
                signer,
                ..development_token()
            }
            .header("alg", "HS384")
            .token()
        }),
        (
            "EdDSA of the development issuer",
            Forge::ed().claim("iss", DEVELOPMENT).token(),
        ),
        ("none of the development issuer", {
            let signer = Signer::Raw(Vec::new());
            Forge {
                signer,
                ..development_token()
            }
            .header("alg", "none")
            .token()
        }),
        (
            "development secret for a real issuer",
            development_token().claim("iss", ISSUER).token(),
        ),
        ("the same with a key id", {
            development_token()
                .claim("iss", ISSUER)
                .header("kid", "ed")
                .token()
        }),
    ];
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn the_token_does_not_choose_its_key() {
    let stranger = || Forge {
        signer: Signer::Ed(&keys().stranger),
        ..Forge::ed()
    };
    let cases = [
        (
            "unknown key id",
            Forge::ed().header("kid", "nobody").token(),
        ),
        (
            "no key id among several",
            Forge::ed().without_header("kid").token(),
        ),
        ("empty key id", Forge::ed().header("kid", "").token()),
        (
            "key id in another case",
            Forge::ed().header("kid", "ED").token(),
        ),
        (
            "key id with a space",
            Forge::ed().header("kid", "ed ").token(),
        ),
        ("key id a number", Forge::ed().header("kid", 0).token()),
        (
            "key id a path",
            Forge::ed().header("kid", "../../dev/null").token(),
        ),
        (
            "key id a query",
            Forge::ed().header("kid", "' or '1'='1").token(),
        ),
        (
            "another issuer's key id",
            stranger().header("kid", "theirs").token(),
        ),
        ("another issuer's key", stranger().token()),
        ("our issuer's key for the other issuer", {
            Forge::ed()
                .claim("iss", OTHER_ISSUER)
                .header("kid", "theirs")
                .token()
        }),
        (
            "key in the header",
            stranger()
                .header("jwk", ed_jwk("ed", &keys().stranger))
                .token(),
        ),
        ("key in the header, id too", {
            stranger()
                .header("kid", "mine")
                .header("jwk", ed_jwk("mine", &keys().stranger))
                .token()
        }),
        (
            "key set URL in the header",
            stranger().header("jku", "http://127.0.0.1:9/jwks").token(),
        ),
        (
            "certificate in the header",
            stranger().header("x5c", json!(["MIIB"])).token(),
        ),
        (
            "certificate URL in the header",
            stranger().header("x5u", "http://127.0.0.1:9/").token(),
        ),
    ];
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn tokens_made_for_something_else_are_refused() {
    let cases = [
        (
            "unknown extension",
            Forge::ed()
                .header("crit", json!(["exp"]))
                .header("exp", 1)
                .token(),
        ),
        ("unencoded payload", {
            Forge::ed()
                .header("crit", json!(["b64"]))
                .header("b64", false)
                .token()
        }),
        (
            "empty extensions",
            Forge::ed().header("crit", json!([])).token(),
        ),
        (
            "proof of possession",
            Forge::ed().header("typ", "dpop+jwt").token(),
        ),
        ("logout", Forge::ed().header("typ", "logout+jwt").token()),
        (
            "security event",
            Forge::ed().header("typ", "secevent+jwt").token(),
        ),
        ("empty type", Forge::ed().header("typ", "").token()),
        (
            "encrypted",
            Forge::ed()
                .header("alg", "RSA-OAEP")
                .header("enc", "A256GCM")
                .token(),
        ),
    ];
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn claims_have_to_be_for_us() {
    let long = "x".repeat(256);
    let drop = |name: &str| Forge::ed().without_claim(name).token();
    let set = |name: &str, value: Value| Forge::ed().claim(name, value).token();
    let cases = [
        ("no issuer", drop("iss")),
        ("unknown issuer", set("iss", json!("https://evil.example"))),
        (
            "issuer with a slash",
            set("iss", json!("https://id.example/")),
        ),
        (
            "issuer in another case",
            set("iss", json!("https://ID.example")),
        ),
        ("issuers", set("iss", json!([ISSUER]))),
        ("empty issuer", set("iss", json!(""))),
        ("no audience", drop("aud")),
        ("another audience", set("aud", json!("other"))),
        (
            "audience in another case",
            set("aud", json!("Portal-Billing")),
        ),
        ("longer audience", set("aud", json!("portal-billing-2"))),
        ("shorter audience", set("aud", json!("portal"))),
        ("other audiences", set("aud", json!(["a", "b"]))),
        ("no audiences", set("aud", json!([]))),
        ("audience a number", set("aud", json!(1))),
        (
            "audience an object",
            set("aud", json!({"portal-billing": true})),
        ),
        ("audience null", set("aud", Value::Null)),
        ("no expiry", drop("exp")),
        ("expiry text", set("exp", json!((NOW + 300).to_string()))),
        ("expiry null", set("exp", Value::Null)),
        ("expiry with an exponent", {
            let claims = Forge::ed()
                .claims
                .to_string()
                .replace(&(NOW + 300).to_string(), "9e99");
            Forge::ed().of_text(&Forge::ed().header.to_string(), &claims)
        }),
        ("expiry beyond all numbers", set("exp", json!(u64::MAX))),
        ("expiry true", set("exp", json!(true))),
        ("not yet", set("nbf", json!(NOW + LEEWAY + 1))),
        ("not before text", set("nbf", json!("0"))),
        ("no subject", drop("sub")),
        ("empty subject", set("sub", json!(""))),
        ("subject a number", set("sub", json!(7))),
        ("long subject", set("sub", json!(long))),
        ("subject with a line break", set("sub", json!("ada\nroot"))),
        ("no portal", drop("portal")),
        ("empty portal", set("portal", json!(""))),
        ("portal in upper case", set("portal", json!("ACME"))),
        ("portal a pattern", set("portal", json!("ac*"))),
        ("two stars", set("portal", json!("**"))),
        ("portals", set("portal", json!(["acme", "other"]))),
        ("portal null", set("portal", Value::Null)),
        ("portal a path", set("portal", json!("acme/../other"))),
        ("organization a number", set("org", json!(7))),
        ("organizations", set("org", json!(["a", "b"]))),
        ("empty organization", set("org", json!(""))),
        ("long organization", set("org", json!(long))),
        ("organization with a null byte", set("org", json!("a\0b"))),
        ("scopes", set("scope", json!(["portals:read"]))),
        ("scope a number", set("scope", json!(1))),
        ("scope null", set("scope", Value::Null)),
    ];
    all_refused(&cases, Code::TokenInvalid).await;
}

#[actix_web::test]
async fn expired_tokens_are_told_so_but_only_when_genuine() {
    let cases = [
        ("just", Forge::ed().claim("exp", NOW - LEEWAY).token()),
        ("long ago", Forge::ed().claim("exp", 1).token()),
        ("before time began", Forge::ed().claim("exp", -1).token()),
        (
            "development",
            development_token().claim("exp", NOW - 3600).token(),
        ),
    ];
    all_refused(&cases, Code::TokenExpired).await;
    let forged = Forge {
        signer: Signer::Ed(&keys().stranger),
        ..Forge::ed()
    }
    .claim("exp", 1);
    all_refused(&[("forged", forged.token())], Code::TokenInvalid).await;

    let world = world();
    let token = Forge::ed().token();
    authenticate(&world.authenticator, &token).await.unwrap();
    world.clock.advance_millis((300 + LEEWAY) * 1000 - 1);
    authenticate(&world.authenticator, &token).await.unwrap();
    world.clock.advance_millis(1);
    assert_eq!(
        refusal(&world.authenticator, &token).await,
        Some(Code::TokenExpired)
    );
}

#[actix_web::test]
async fn without_development_mode_its_issuer_is_a_stranger() {
    let clock = clock();
    let issuer = Issuer::serving(&[ed_jwk("ed", &keys().ed)]);
    let issuers = vec![trusted(ISSUER, issuer.source(), EVERY)];
    let authenticator = authenticator(issuers, None, &clock);
    for token in [
        development_token().token(),
        Forge {
            signer: hmac(""),
            ..development_token()
        }
        .token(),
        Forge::ed().claim("iss", DEVELOPMENT).token(),
    ] {
        assert_eq!(
            refusal(&authenticator, &token).await,
            Some(Code::TokenInvalid)
        );
    }
    assert_eq!(issuer.hits(), 0);
}

#[actix_web::test]
async fn no_refusal_repeats_anything_of_the_token() {
    let world = world();
    let canary = "canary-5f2c";
    for forge in [
        Forge::ed().header("kid", canary),
        Forge::ed().header("alg", canary),
        Forge::ed().header("typ", canary),
        Forge::ed().claim("iss", canary),
        Forge::ed().claim("aud", canary),
        Forge::ed().claim("exp", canary),
        Forge::ed().claim("sub", format!("{canary}\n")),
        Forge::ed().claim("portal", format!("{canary}*")),
        Forge::ed().claim("scope", json!([canary])),
    ] {
        let error = authenticate(&world.authenticator, &forge.token())
            .await
            .unwrap_err();
        let said = format!("{error} {error:?} {:?}", error.log_text());
        assert!(!said.contains("canary"), "{said}");
    }
}

#[actix_web::test]
async fn tokens_made_here_are_accepted_here() {
    let world = world();
    let request = TokenRequest {
        subject: "cli".to_owned(),
        audience: AUDIENCE.to_owned(),
        portal: PortalClaim::All,
        org: Some("org-7".to_owned()),
        scopes: [Scope::PortalsRead, Scope::AuditRead].into_iter().collect(),
        lifetime_seconds: 60,
    };
    let token = sign(
        &request,
        &SigningKey::development(&development()),
        world.clock.now(),
    )
    .unwrap();
    let caller = authenticate(&world.authenticator, &token).await.unwrap();
    assert_eq!(
        (caller.portal, caller.scopes),
        (request.portal.clone(), request.scopes)
    );
    assert_eq!(
        (caller.org, caller.issuer.as_str()),
        (request.org.clone(), DEVELOPMENT)
    );

    let pem = |der: &[u8]| {
        let text = data_encoding::BASE64.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    };
    let es256 = pem(&keys().p256_pkcs8);
    let make = |algorithm, id: &str, pem: &str| {
        SigningKey::from_pem(
            ISSUER.to_owned(),
            algorithm,
            Some(id.to_owned()),
            pem.as_bytes(),
        )
    };
    let key = make(Algorithm::Es256, "p256", &es256).unwrap();
    let token = sign(&request, &key, world.clock.now()).unwrap();
    authenticate(&world.authenticator, &token).await.unwrap();
    let mismatched = make(Algorithm::EdDsa, "ed", &es256)
        .and_then(|key| sign(&request, &key, world.clock.now()));
    assert!(mismatched.is_err());
    assert!(make(Algorithm::Rs256, "rsa", "no key at all").is_err());
}
