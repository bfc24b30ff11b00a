//! Key sets, one flaw each: a flawed key is left out, a flawed set is not believed.

use actix_web::rt::net::TcpListener;
use serde_json::{Value, json};

use super::forge::{Forge, Signer, base64, ed_jwk, keys, p256_jwk, p384_jwk, rsa_jwk};
use super::issuer::{Answer, Issuer};
use super::world::EVERY;
use super::*;

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().unwrap().remove(name);
    key
}

async fn outcome(key_set: &[Value], allowed: &[Algorithm], forge: &Forge) -> Option<Code> {
    let issuer = Issuer::serving(key_set);
    let issuers = vec![trusted(ISSUER, issuer.source(), allowed)];
    let outcome = refusal(&authenticator(issuers, None, &clock()), &forge.token()).await;
    issuer.stop().await;
    outcome
}

fn ed() -> Value {
    ed_jwk("ed", &keys().ed)
}

fn ec_forge() -> Forge {
    Forge::with("ES256", "p256", Signer::P256)
}

fn rsa_forge() -> Forge {
    Forge::with("RS256", "rsa", Signer::Rsa256)
}

#[actix_web::test]
async fn keys_that_may_not_verify_tokens_are_left_out() {
    let secret = base64(DEVELOPMENT_SECRET);
    let hmac = Forge::with("HS256", "oct", Signer::Hmac(DEVELOPMENT_SECRET.into()));
    let n = rsa_jwk("rsa")["n"].as_str().unwrap().to_owned();
    let p256 = || p256_jwk("p256");
    let rsa = || rsa_jwk("rsa");
    let short_modulus = base64([vec![0; 128], vec![0xc1; 128]].concat());
    let p384_as_p256 = with(p384_jwk("p384"), "crv", "P-256");
    for (name, key, forge) in [
        (
            "symmetric",
            json!({"kty": "oct", "kid": "oct", "k": secret}),
            hmac.clone(),
        ),
        (
            "symmetric, asymmetric token",
            json!({"kty": "oct", "kid": "ed", "k": secret}),
            Forge::ed(),
        ),
        (
            "symmetric in disguise",
            with(ed(), "kty", "oct"),
            Forge::ed(),
        ),
        ("for encryption", with(ed(), "use", "enc"), Forge::ed()),
        (
            "for signing only",
            with(ed(), "key_ops", json!(["sign"])),
            Forge::ed(),
        ),
        ("for nothing", with(ed(), "key_ops", json!([])), Forge::ed()),
        (
            "for another algorithm",
            with(ed(), "alg", "ES256"),
            Forge::ed(),
        ),
        ("for HMAC", with(rsa(), "alg", "HS256"), rsa_forge()),
        ("for PSS", with(rsa(), "alg", "PS256"), rsa_forge()),
        ("private", with(ed(), "d", base64([1; 32])), Forge::ed()),
        ("X25519", with(ed(), "crv", "X25519"), Forge::ed()),
        ("Ed448", with(ed(), "crv", "Ed448"), Forge::ed()),
        ("no curve", without(ed(), "crv"), Forge::ed()),
        ("no point", without(ed(), "x"), Forge::ed()),
        ("short point", with(ed(), "x", base64([1; 31])), Forge::ed()),
        ("long point", with(ed(), "x", base64([1; 33])), Forge::ed()),
        (
            "padded point",
            with(ed(), "x", format!("{}=", ed()["x"].as_str().unwrap())),
            Forge::ed(),
        ),
        (
            "another point",
            with(ed(), "x", base64([1; 32])),
            Forge::ed(),
        ),
        ("no type", without(ed(), "kty"), Forge::ed()),
        ("type in lower case", with(ed(), "kty", "okp"), Forge::ed()),
        ("key id a number", with(ed(), "kid", 7), Forge::ed()),
        (
            "P-384 called P-256",
            p384_as_p256,
            Forge::with("ES256", "p384", Signer::P384),
        ),
        (
            "P-256 called P-384",
            with(p256(), "crv", "P-384"),
            ec_forge(),
        ),
        ("secp256k1", with(p256(), "crv", "secp256k1"), ec_forge()),
        ("no y", without(p256(), "y"), ec_forge()),
        ("short y", with(p256(), "y", base64([1; 31])), ec_forge()),
        (
            "off the curve",
            with(p256(), "y", base64([1; 32])),
            ec_forge(),
        ),
        (
            "1024 bits in disguise",
            with(rsa(), "n", short_modulus),
            rsa_forge(),
        ),
        ("half a modulus", with(rsa(), "n", &n[..170]), rsa_forge()),
        ("no modulus", without(rsa(), "n"), rsa_forge()),
        ("exponent 1", with(rsa(), "e", base64([1])), rsa_forge()),
        ("even exponent", with(rsa(), "e", base64([2])), rsa_forge()),
        ("empty exponent", with(rsa(), "e", ""), rsa_forge()),
        ("not an object", json!("ed"), Forge::ed()),
        ("null", Value::Null, Forge::ed()),
    ] {
        let refused = outcome(std::slice::from_ref(&key), EVERY, &forge).await;
        assert_eq!(refused, Some(Code::TokenInvalid), "{name}");
        // It does not spoil the good key beside it either.
        let good = ed_jwk("good", &keys().ed_new);
        let beside = Forge::with("EdDSA", "good", Signer::Ed(&keys().ed_new));
        assert_eq!(outcome(&[key, good], EVERY, &beside).await, None, "{name}");
    }
}

#[actix_web::test]
async fn keys_that_may_are_used() {
    for (name, key, forge) in [
        ("for signatures", with(ed(), "use", "sig"), Forge::ed()),
        (
            "for verifying",
            with(ed(), "key_ops", json!(["verify"])),
            Forge::ed(),
        ),
        ("for its algorithm", with(ed(), "alg", "EdDSA"), Forge::ed()),
        ("unknown parameters", with(ed(), "x5t", "abc"), Forge::ed()),
        ("P-256", p256_jwk("p256"), ec_forge()),
        ("RSA", rsa_jwk("rsa"), rsa_forge()),
    ] {
        assert_eq!(outcome(&[key], EVERY, &forge).await, None, "{name}");
    }
}

#[actix_web::test]
async fn an_issuers_allow_list_binds_its_keys() {
    let all = [ed(), p256_jwk("p256"), rsa_jwk("rsa")];
    let forges = [
        (Algorithm::EdDsa, Forge::ed()),
        (Algorithm::Es256, ec_forge()),
        (Algorithm::Rs256, rsa_forge()),
    ];
    for allowed in EVERY {
        for (algorithm, forge) in &forges {
            let expected = if algorithm == allowed {
                None
            } else {
                Some(Code::TokenInvalid)
            };
            let got = outcome(&all, &[*allowed], forge).await;
            assert_eq!(got, expected, "{algorithm:?} where {allowed:?} is allowed");
        }
    }
}

#[actix_web::test]
async fn a_key_id_has_to_lead_to_one_key() {
    let twice = [ed(), ed_jwk("ed", &keys().stranger)];
    assert_eq!(
        outcome(&twice, EVERY, &Forge::ed()).await,
        Some(Code::TokenInvalid)
    );
    // RFC 7517 §4.5: keys of different types may share one.
    let shared = [ed(), p256_jwk("ed"), rsa_jwk("ed")];
    assert_eq!(outcome(&shared, EVERY, &Forge::ed()).await, None);
    let ec = Forge::with("ES256", "ed", Signer::P256);
    assert_eq!(outcome(&shared, EVERY, &ec).await, None);

    let nameless = [without(ed(), "kid")];
    let no_id = Forge::ed().without_header("kid");
    assert_eq!(outcome(&nameless, EVERY, &no_id).await, None);
    assert_eq!(
        outcome(&nameless, EVERY, &Forge::ed()).await,
        Some(Code::TokenInvalid)
    );
    let two = [without(ed(), "kid"), p256_jwk("p256")];
    assert_eq!(outcome(&two, EVERY, &no_id).await, Some(Code::TokenInvalid));
    assert_eq!(outcome(&[], EVERY, &no_id).await, Some(Code::TokenInvalid));
    let other = Forge::with("ES256", "", Signer::P256).without_header("kid");
    assert_eq!(
        outcome(&nameless, EVERY, &other).await,
        Some(Code::TokenInvalid)
    );
}

#[actix_web::test]
async fn a_source_that_does_not_give_a_key_set_is_not_believed() {
    let good = Issuer::serving(&[ed()]);
    let good_set = json!({"keys": [ed()]}).to_string();
    let mut many = vec![ed()];
    many.extend((0..100).map(|place| ed_jwk(&place.to_string(), &keys().stranger)));
    let padding = " ".repeat(262_145);
    let body = |text: &str| Answer::Body(200, text.as_bytes().to_vec());
    for (name, answer) in [
        ("not found", Answer::Body(404, good_set.clone().into())),
        ("failed", Answer::Body(500, good_set.clone().into())),
        ("made", Answer::Body(201, good_set.clone().into())),
        ("empty", body("")),
        ("a page", body("<html>please sign in</html>")),
        ("cut off", body(&good_set[..good_set.len() - 2])),
        ("followed by more", body(&format!("{good_set}x"))),
        ("no keys", body("{}")),
        ("keys an object", body(r#"{"keys":{}}"#)),
        ("a list", body(&json!([ed()]).to_string())),
        ("too many", body(&json!({"keys": many}).to_string())),
        ("too large", body(&format!("{good_set}{padding}"))),
        ("elsewhere", Answer::Redirect(good.url())),
        ("never", Answer::Nothing),
    ] {
        let patience = match answer {
            Answer::Nothing => Duration::from_millis(100),
            _ => Duration::from_secs(30),
        };
        let issuer = Issuer::answering(answer);
        let issuers = vec![trusted(ISSUER, issuer.source(), EVERY)];
        let authenticator = impatient(issuers, None, &clock(), patience);
        let error = authenticate(&authenticator, &Forge::ed().token())
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{name}");
        assert!(error.retry_after_seconds().is_some(), "{name}");
        assert!(
            error.log_text().is_some_and(|text| text.contains(ISSUER)),
            "{name}"
        );
        assert!(!error.to_string().contains("127.0.0.1"), "{name}");
        issuer.stop().await;
    }
    assert_eq!(good.hits(), 0);
}

#[actix_web::test]
async fn an_unreachable_source_is_told_from_a_bad_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let directory = tempfile::tempdir().unwrap();
    for source in [
        KeySource::Url(url),
        KeySource::File(directory.path().join("none.json")),
    ] {
        let issuers = vec![trusted(ISSUER, source, EVERY)];
        let authenticator = authenticator(issuers, Some(development()), &clock());
        let good = Forge::ed().token();
        assert_eq!(
            refusal(&authenticator, &good).await,
            Some(Code::Unavailable)
        );
        // Other issuers do not suffer.
        let other = Forge::with("HS256", "", Signer::Hmac(DEVELOPMENT_SECRET.into()));
        assert_eq!(
            refusal(&authenticator, &other.claim("iss", DEVELOPMENT).token()).await,
            None
        );
    }
}
