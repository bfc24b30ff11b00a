//! Tokens, one flaw each: their form, their signature, their algorithm, their key.

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::forge::{
    ED_SIGNATURE_BYTES, Forge, Signer, base64, ed_jwk, keys, rsa_jwk, rsa_public_der,
};
use super::world::{all_refused, development_token, hmac, world};
use super::*;

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
