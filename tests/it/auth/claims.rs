//! Genuine tokens: whom they are for, how long they live, and what they say of their holder.

use portal_billing::http::auth::{PortalClaim, Scope, SigningKey, TokenRequest, sign};
use serde_json::{Value, json};

use super::forge::{Forge, Signer, ed_jwk, keys};
use super::issuer::Issuer;
use super::world::{EVERY, all_refused, development_token, hmac, world};
use super::*;

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
        ("not before the end of time", {
            let claims = Forge::ed()
                .claims
                .to_string()
                .replace(&format!("\"nbf\":{}", NOW - 5), "\"nbf\":1.5e300");
            assert!(claims.contains("1.5e300"));
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
