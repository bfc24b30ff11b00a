//! `GET …/access/token` and `/.well-known/jwks.json`: answers that are verified offline.

use std::collections::{BTreeSet, HashSet};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use portal_billing::app::App;
use portal_billing::clock::Timestamp;
use portal_billing::domain::subscription::Status;
use portal_billing::ids::Ids;
use portal_billing::server;
use portal_billing::store::signing_keys::{self, StoredKey};
use reqwest::Method;
use serde_json::{Value, json};

use super::world::{DAY_MS, World};
use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    a_token_says_what_the_answer_says_and_is_verified_offline,
    a_token_never_outlives_its_answer,
    a_token_opens_nothing_here_and_a_bent_one_nowhere,
    keys_take_turns_with_overlap,
    two_replicas_make_one_key,
    a_new_master_key_seals_the_signing_keys_anew,
);

const KEY_SET: &str = "/.well-known/jwks.json";
const TOKEN: &str = "/v1/portals/acme/access/token?customer=ext:globex&product=weather";
const HOUR_MS: i64 = 60 * 60 * 1000;

async fn key_set(service: &Service) -> JwkSet {
    let answer = service
        .call_with(Method::GET, KEY_SET, &[], Value::Null)
        .await;
    serde_json::from_value(answer.expect(200)).unwrap()
}

/// As a gateway would: by the set it has read, at this time.
fn verify(token: &str, set: &JwkSet, audience: &str) -> Result<Value, String> {
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let kid = header.kid.ok_or("no kid")?;
    let jwk = set.find(&kid).ok_or("unknown key")?;
    let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // The tests' clock is not the machine's.
    validation.validate_exp = false;
    decode::<Value>(token, &key, &validation)
        .map(|decoded| decoded.claims)
        .map_err(|error| error.to_string())
}

async fn token(service: &Service) -> String {
    let body = service.get(TOKEN).await.expect(200);
    body["token"].as_str().unwrap().to_owned()
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

fn replica(service: &Service) -> App {
    let ids = Ids::random(service.clock.clone());
    server::app(&service.config, &service.clock, &ids).unwrap()
}

async fn stored(world: &World) -> Vec<StoredKey> {
    world
        .store
        .read(async |conn| signing_keys::all(conn).await)
        .await
        .unwrap()
}

async fn a_token_says_what_the_answer_says_and_is_verified_offline(engine: Database) {
    let url = ("server.public_url", "https://billing.example.com");
    let world = World::start_with(engine, &[url]).await;
    let customer = world.customer("acme", "globex").await;
    let none = world.service.get(TOKEN).await;
    assert_eq!(none.header("cache-control"), Some("no-store"));
    let none = none.expect(200);
    let set = key_set(&world.service).await;
    let claims = verify(
        none["token"].as_str().unwrap(),
        &set,
        "portal-billing-access",
    )
    .unwrap();
    assert_eq!(claims["sub"], customer.id);
    assert_eq!(claims["decision"], "deny");
    assert_eq!(claims["reason"], "no_subscription");
    assert_eq!(claims["plan"], Value::Null);
    assert_eq!(claims["product"], "weather");

    let subscription = world
        .subscription(&customer, "weather", Status::Active, |it| {
            it.application = Some("mobile".to_owned());
        })
        .await;
    let path = format!("{TOKEN}&application=mobile");
    let made = world.service.get(&path).await.expect(200);
    let text = made["token"].as_str().unwrap();
    let now = world.now().as_seconds();
    let mut claims = verify(text, &set, "portal-billing-access:acme").unwrap();
    assert_eq!(
        made["expires_at"],
        Timestamp::from_seconds(now + 240).to_rfc3339()
    );
    let jti = claims["jti"].take();
    assert!(jti.as_str().unwrap().len() >= 26);
    assert_eq!(
        claims,
        json!({
            "iss": "https://billing.example.com",
            "aud": ["portal-billing-access", "portal-billing-access:acme"],
            "sub": subscription.id,
            "iat": now,
            "exp": now + 240,
            "jti": null,
            "portal": "acme",
            "customer": "globex",
            "product": "weather",
            "plan": "gold",
            "application": "mobile",
            "decision": "allow",
            "reason": "active",
            "until": null,
        })
    );
    let header = decode_header(text).unwrap();
    assert_eq!(header.alg, Algorithm::EdDSA);
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    assert!(verify(text, &set, "portal-billing-access:other").is_err());
    let again = world.service.get(&path).await.expect(200);
    let other = verify(
        again["token"].as_str().unwrap(),
        &set,
        "portal-billing-access",
    )
    .unwrap();
    assert_ne!(other["jti"], jti, "each token is one of its own");
}

async fn a_token_never_outlives_its_answer(engine: Database) {
    let world = World::start_with(engine, &[("access.token_seconds", "120")]).await;
    let customer = world.customer("acme", "globex").await;
    let until = world.now().plus_millis(90_500);
    world
        .subscription(&customer, "weather", Status::Active, |it| {
            it.cancel_at = Some(until);
        })
        .await;
    let set = key_set(&world.service).await;
    let read = async || {
        let text = token(&world.service).await;
        verify(&text, &set, "portal-billing-access").unwrap()
    };
    let claims = read().await;
    assert_eq!(claims["decision"], "allow");
    assert_eq!(claims["exp"], until.as_seconds());
    assert_eq!(claims["until"], until.as_seconds());
    world.service.clock.advance_millis(90_500);
    let claims = read().await;
    assert_eq!(
        (&claims["decision"], &claims["reason"]),
        (&json!("deny"), &json!("canceled"))
    );
    assert_eq!(claims["exp"], world.now().as_seconds() + 120);
}

async fn a_token_opens_nothing_here_and_a_bent_one_nowhere(engine: Database) {
    let world = World::start(engine).await;
    world.customer("acme", "globex").await;
    let set = key_set(&world.service).await;
    let good = token(&world.service).await;
    assert!(verify(&good, &set, "portal-billing-access").is_ok());
    world
        .with_token(&good, TOKEN)
        .await
        .problem(401, "token_invalid");

    let parts: Vec<&str> = good.split('.').collect();
    let mut claims: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
    claims["decision"] = json!("allow");
    let bent = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
    let forged = format!("{}.{bent}.{}", parts[0], parts[2]);
    assert!(verify(&forged, &set, "portal-billing-access").is_err());
}

async fn keys_take_turns_with_overlap(engine: Database) {
    let world = World::start_with(engine, &[("access.signing_key_days", "10")]).await;
    world.customer("acme", "globex").await;
    let app = replica(&world.service);
    let first = token(&world.service).await;
    let set = key_set(&world.service).await;
    assert_eq!(set.keys.len(), 2, "the one that signs and the next");
    assert!(!app.turn_signing_keys().await.unwrap(), "nothing is due");

    world.service.clock.advance_millis(10 * DAY_MS - 1);
    app.turn_signing_keys().await.unwrap();
    assert_eq!(kid(&token(&world.service).await), kid(&first));
    world.service.clock.advance_millis(1);
    app.turn_signing_keys().await.unwrap();
    let second = token(&world.service).await;
    assert_ne!(kid(&second), kid(&first));
    // Whoever has read the set before the turn knows the key already.
    assert!(verify(&second, &set, "portal-billing-access").is_ok());
    let newer = key_set(&world.service).await;
    assert_eq!(newer.keys.len(), 3);
    for text in [&first, &second] {
        assert!(verify(text, &newer, "portal-billing-access").is_ok());
    }

    world.service.clock.advance_millis(HOUR_MS - 1);
    app.turn_signing_keys().await.unwrap();
    assert_eq!(key_set(&world.service).await, newer);
    world.service.clock.advance_millis(1);
    app.turn_signing_keys().await.unwrap();
    let last = key_set(&world.service).await;
    assert_eq!(last.keys.len(), 2);
    assert_eq!(
        verify(&first, &last, "portal-billing-access"),
        Err("unknown key".to_owned())
    );
    assert!(verify(&second, &last, "portal-billing-access").is_ok());

    let answer = world.service.get(KEY_SET).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let tag = answer.header("etag").unwrap().to_owned();
    let known = world
        .service
        .call_with(
            Method::GET,
            KEY_SET,
            &[("if-none-match", &tag)],
            Value::Null,
        )
        .await;
    assert_eq!(known.status.as_u16(), 304);
    let published = answer.text;
    for member in ["\"d\"", "sealed", "private"] {
        assert!(!published.contains(member), "{published}");
    }
}

async fn two_replicas_make_one_key(engine: Database) {
    let world = World::start(engine).await;
    let replicas: Vec<App> = (0..4).map(|_| replica(&world.service)).collect();
    for round in 0..4 {
        let turns = replicas.iter().map(App::turn_signing_keys);
        for turned in futures_util::future::join_all(turns).await {
            turned.unwrap();
        }
        let keys = stored(&world).await;
        let of = |state: &str| keys.iter().filter(|key| key.state == state).count();
        assert_eq!((of("active"), of("next")), (1, 1), "round {round}");
        assert!(of("retired") <= 1, "round {round}");
        world.service.clock.advance_millis(30 * DAY_MS);
    }
}

async fn a_new_master_key_seals_the_signing_keys_anew(engine: Database) {
    let mut world = World::start(engine).await;
    world.customer("acme", "globex").await;
    let before = token(&world.service).await;
    let rows = stored(&world).await;
    let old = world.service.config.key_material().unwrap();
    let old = BASE64.encode(old.master.expose());
    world.service.stop();
    world.service.config.keys.master_key = Some(BASE64.encode(&[9; 32]).into());
    world.service.config.keys.previous_master_keys = vec![old.into()];
    world.service.run().await;
    let app = replica(&world.service);
    let (one, two) = tokio::join!(app.rotate_master_key(), app.rotate_master_key());
    let resealed = one.unwrap().resealed + two.unwrap().resealed;
    assert_eq!(resealed, rows.len());
    let after = stored(&world).await;
    let masters = |rows: &[StoredKey]| -> BTreeSet<String> {
        rows.iter().map(|key| key.master_key_id.clone()).collect()
    };
    assert!(masters(&rows).is_disjoint(&masters(&after)));
    let blobs: HashSet<_> = rows.iter().chain(&after).map(|key| &key.sealed).collect();
    assert_eq!(blobs.len(), rows.len() + after.len());

    // The old master key is gone for good; the same key signs, and what it signed is good.
    world.service.stop();
    world.service.config.keys.previous_master_keys.clear();
    world.service.run().await;
    let again = token(&world.service).await;
    assert_eq!(kid(&again), kid(&before));
    let set = key_set(&world.service).await;
    for text in [&before, &again] {
        assert!(verify(text, &set, "portal-billing-access").is_ok());
    }
}
