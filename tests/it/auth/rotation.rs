//! Keys that come and go, and sources that fail and recover.

use std::fs;

use futures_util::future::join_all;
use portal_billing::clock::Clock;
use serde_json::json;

use super::forge::{Forge, Signer, ed_jwk, keys};
use super::issuer::{Answer, Issuer};
use super::*;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn of(clock: &Clock, source: KeySource) -> Authenticator {
    authenticator(
        vec![trusted(ISSUER, source, &[Algorithm::EdDsa])],
        None,
        clock,
    )
}

/// A token that lives as long as any test, by the issuer's old key.
fn old() -> String {
    Forge::ed().claim("exp", NOW + 1_000_000).token()
}

/// The same by its new key.
fn new() -> String {
    let forge = Forge::with("EdDSA", "new", Signer::Ed(&keys().ed_new));
    forge.claim("exp", NOW + 1_000_000).token()
}

fn unknown(number: usize) -> String {
    Forge::ed()
        .header("kid", format!("unknown-{number}"))
        .token()
}

fn old_key() -> serde_json::Value {
    ed_jwk("ed", &keys().ed)
}

fn new_key() -> serde_json::Value {
    ed_jwk("new", &keys().ed_new)
}

#[actix_web::test]
async fn a_new_key_is_accepted_at_once_with_one_more_reading() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    assert_eq!(refusal(&authenticator, &old()).await, None);
    issuer.serve(&[old_key(), new_key()]);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    assert_eq!(refusal(&authenticator, &old()).await, None);
    assert_eq!(issuer.hits(), 2);
}

#[actix_web::test]
async fn a_withdrawn_key_is_refused_once_the_set_is_read_again() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key(), new_key()]);
    let authenticator = of(&clock, issuer.source());
    assert_eq!(refusal(&authenticator, &old()).await, None);
    issuer.serve(&[new_key()]);
    clock.advance_millis(5 * MINUTE - 1);
    assert_eq!(refusal(&authenticator, &old()).await, None);
    assert_eq!(issuer.hits(), 1);
    clock.advance_millis(1);
    assert_eq!(
        refusal(&authenticator, &old()).await,
        Some(Code::TokenInvalid)
    );
    assert_eq!(refusal(&authenticator, &new()).await, None);
    // All keys withdrawn is an answer, too.
    issuer.serve(&[]);
    clock.advance_millis(5 * MINUTE);
    assert_eq!(
        refusal(&authenticator, &new()).await,
        Some(Code::TokenInvalid)
    );
}

#[actix_web::test]
async fn a_key_replaced_under_the_same_id_counts_after_the_next_reading() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    let replaced = Forge {
        signer: Signer::Ed(&keys().ed_new),
        ..Forge::ed()
    };
    let replaced = replaced.claim("exp", NOW + 1_000_000).token();
    assert_eq!(
        refusal(&authenticator, &replaced).await,
        Some(Code::TokenInvalid)
    );
    issuer.serve(&[ed_jwk("ed", &keys().ed_new)]);
    clock.advance_millis(5 * MINUTE);
    assert_eq!(refusal(&authenticator, &replaced).await, None);
    assert_eq!(
        refusal(&authenticator, &old()).await,
        Some(Code::TokenInvalid)
    );
}

#[actix_web::test]
async fn unknown_keys_cause_one_reading_in_thirty_seconds() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    assert_eq!(refusal(&authenticator, &old()).await, None);
    for number in 0..500 {
        let refused = refusal(&authenticator, &unknown(number)).await;
        assert_eq!(refused, Some(Code::TokenInvalid));
    }
    assert_eq!(issuer.hits(), 2);
    clock.advance_millis(30 * SECOND - 1);
    assert_eq!(
        refusal(&authenticator, &unknown(0)).await,
        Some(Code::TokenInvalid)
    );
    assert_eq!(issuer.hits(), 2);
    issuer.serve(&[old_key(), new_key()]);
    clock.advance_millis(1);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    assert_eq!(issuer.hits(), 3);
}

#[actix_web::test]
async fn many_callers_at_once_cause_one_reading() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    let token = old();
    let outcomes = join_all((0..50).map(|_| refusal(&authenticator, &token))).await;
    assert!(outcomes.iter().all(Option::is_none));
    assert_eq!(issuer.hits(), 1);
    issuer.serve(&[old_key(), new_key()]);
    let token = new();
    let outcomes = join_all((0..50).map(|_| refusal(&authenticator, &token))).await;
    assert!(outcomes.iter().all(Option::is_none));
    assert_eq!(issuer.hits(), 2);
}

#[actix_web::test]
async fn stale_keys_serve_for_a_day_while_the_source_fails() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    assert_eq!(refusal(&authenticator, &old()).await, None);
    issuer.answer(Answer::Body(500, Vec::new()));
    clock.advance_millis(HOUR);
    for _ in 0..20 {
        assert_eq!(refusal(&authenticator, &old()).await, None);
    }
    assert_eq!(
        issuer.hits(),
        2,
        "a failing source is left in peace for a while"
    );
    clock.advance_millis(30 * SECOND);
    assert_eq!(refusal(&authenticator, &old()).await, None);
    assert_eq!(issuer.hits(), 3);

    clock.advance_millis(23 * HOUR);
    assert_eq!(
        refusal(&authenticator, &old()).await,
        Some(Code::Unavailable)
    );
    issuer.serve(&[new_key()]);
    clock.advance_millis(2 * SECOND);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    assert_eq!(
        refusal(&authenticator, &old()).await,
        Some(Code::TokenInvalid)
    );
}

#[actix_web::test]
async fn while_a_reading_hangs_others_go_on_with_the_keys_at_hand() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let issuers = vec![trusted(ISSUER, issuer.source(), &[Algorithm::EdDsa])];
    let authenticator = impatient(issuers, None, &clock, Duration::from_secs(2));
    assert_eq!(refusal(&authenticator, &old()).await, None);
    issuer.answer(Answer::Nothing);
    clock.advance_millis(5 * MINUTE);
    let token = old();
    let outcomes = join_all((0..50).map(|_| refusal(&authenticator, &token))).await;
    assert!(outcomes.iter().all(Option::is_none));
    assert_eq!(issuer.hits(), 2);
}

#[actix_web::test]
async fn a_source_that_fails_at_first_is_asked_again_soon() {
    let clock = clock();
    let issuer = Issuer::answering(Answer::Body(503, Vec::new()));
    let authenticator = of(&clock, issuer.source());
    for _ in 0..20 {
        assert_eq!(
            refusal(&authenticator, &old()).await,
            Some(Code::Unavailable)
        );
    }
    assert_eq!(issuer.hits(), 1);
    issuer.serve(&[old_key()]);
    clock.advance_millis(2 * SECOND);
    assert_eq!(refusal(&authenticator, &old()).await, None);
}

#[actix_web::test]
async fn a_caller_who_leaves_in_the_middle_of_a_reading_hurts_nobody() {
    let clock = clock();
    let issuer = Issuer::answering(Answer::Nothing);
    let authenticator = of(&clock, issuer.source());
    let token = old();
    {
        let mut leaving = std::pin::pin!(refusal(&authenticator, &token));
        assert!(futures_util::poll!(leaving.as_mut()).is_pending());
    }
    issuer.serve(&[old_key()]);
    assert_eq!(refusal(&authenticator, &token).await, None);
}

#[actix_web::test]
async fn a_clock_set_back_makes_keys_old_not_young() {
    let clock = clock();
    let issuer = Issuer::serving(&[old_key()]);
    let authenticator = of(&clock, issuer.source());
    assert_eq!(
        refusal(&authenticator, &Forge::ed().without_claim("nbf").token()).await,
        None
    );
    issuer.serve(&[new_key()]);
    clock.advance_millis(-10 * MINUTE);
    let token = Forge::ed().without_claim("nbf").token();
    assert_eq!(
        refusal(&authenticator, &token).await,
        Some(Code::TokenInvalid)
    );
}

#[actix_web::test]
async fn a_file_is_read_again_after_ten_seconds_and_at_once_for_an_unknown_key() {
    let clock = clock();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let write = |keys: &[serde_json::Value]| {
        fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    };
    write(&[old_key()]);
    let authenticator = of(&clock, KeySource::File(path.clone()));
    assert_eq!(refusal(&authenticator, &old()).await, None);
    write(&[old_key(), new_key()]);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    write(&[new_key()]);
    assert_eq!(refusal(&authenticator, &old()).await, None);
    clock.advance_millis(10 * SECOND);
    assert_eq!(
        refusal(&authenticator, &old()).await,
        Some(Code::TokenInvalid)
    );
    // Caught in the middle of being written: the keys at hand go on.
    fs::write(&path, "{\"keys\": [").unwrap();
    clock.advance_millis(10 * SECOND);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    fs::remove_file(&path).unwrap();
    clock.advance_millis(30 * SECOND);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    fs::write(&path, " ".repeat(262_145)).unwrap();
    clock.advance_millis(30 * SECOND);
    assert_eq!(refusal(&authenticator, &new()).await, None);
    clock.advance_millis(24 * HOUR);
    assert_eq!(
        refusal(&authenticator, &new()).await,
        Some(Code::Unavailable)
    );
}
