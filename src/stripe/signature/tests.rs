use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

const NOW_SECONDS: i64 = 1_790_000_000;

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::parse(text).unwrap()
}

fn ours() -> WebhookSecret {
    secret("whsec_0123456789abcdef")
}

fn other() -> WebhookSecret {
    secret("whsec_fedcba9876543210")
}

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW_SECONDS)
}

fn sign(secret: &WebhookSecret, time: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let message = [time.as_bytes(), b".", body].concat();
    HEXLOWER.encode(hmac::sign(&key, &message).as_ref())
}

fn header(secret: &WebhookSecret, time: i64, body: &[u8]) -> String {
    format!("t={time},v1={}", sign(secret, &time.to_string(), body))
}

#[test]
fn a_signature_computed_by_openssl_is_accepted() {
    // printf '1790000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_0123456789abcdef
    let signature = "20558bba767b5242d7c20d0a504e86848aec306fb069625f7e88e646f251df6d";
    let verified = verify(
        &format!("t=1790000000,v1={signature}"),
        br#"{"id":"evt_1"}"#,
        &[ours()],
        now(),
    );
    assert_eq!(
        verified,
        Ok(Verified {
            signed_at: now(),
            secret_index: 0
        })
    );
}

#[test]
fn any_of_several_secrets_and_any_of_several_signatures_will_do() {
    let body = b"{}";
    let (right, wrong) = (
        sign(&ours(), &NOW_SECONDS.to_string(), body),
        "0".repeat(64),
    );
    for (header, secrets, index) in [
        (format!("t={NOW_SECONDS},v1={right}"), vec![ours()], 0),
        (
            format!("t={NOW_SECONDS},v1={right}"),
            vec![other(), ours()],
            1,
        ),
        (
            format!("t={NOW_SECONDS},v1={wrong},v1={right}"),
            vec![ours(), other()],
            0,
        ),
        (
            format!("t={NOW_SECONDS}, v1={right}, v0={wrong}"),
            vec![ours()],
            0,
        ),
        (format!("v1={right},t={NOW_SECONDS}"), vec![ours()], 0),
        (
            format!("t={NOW_SECONDS},v1=short,v1={right}"),
            vec![ours()],
            0,
        ),
        (
            format!("t={NOW_SECONDS},v1={}", right.to_uppercase()),
            vec![ours()],
            0,
        ),
    ] {
        let verified = verify(&header, body, &secrets, now());
        assert_eq!(verified.map(|v| v.secret_index), Ok(index), "{header}");
    }
}

#[test]
fn the_tolerance_is_three_hundred_seconds_either_way() {
    for (offset, expected) in [
        (-301, Err(SignatureError::TooOld)),
        (-300, Ok(())),
        (0, Ok(())),
        (300, Ok(())),
        (301, Err(SignatureError::TooNew)),
        (-86_400, Err(SignatureError::TooOld)),
    ] {
        let header = header(&ours(), NOW_SECONDS + offset, b"{}");
        let verified = verify(&header, b"{}", &[ours()], now()).map(|_| ());
        assert_eq!(verified, expected, "{offset}");
    }
}

#[test]
fn an_old_time_with_a_wrong_signature_is_only_wrong() {
    let header = header(&other(), NOW_SECONDS - 10_000, b"{}");
    assert_eq!(
        verify(&header, b"{}", &[ours()], now()),
        Err(SignatureError::NoMatch)
    );
}

#[test]
fn headers_that_are_none_are_malformed() {
    let right = sign(&ours(), &NOW_SECONDS.to_string(), b"{}");
    for header in [
        String::new(),
        ",".to_owned(),
        "t".to_owned(),
        format!("t={NOW_SECONDS}"),
        format!("v1={right}"),
        format!("t={NOW_SECONDS},v0={right}"),
        format!("t={NOW_SECONDS},t={NOW_SECONDS},v1={right}"),
        format!("t=,v1={right}"),
        format!("t=-{NOW_SECONDS},v1={right}"),
        format!("t=+{NOW_SECONDS},v1={right}"),
        format!("t= {NOW_SECONDS},v1={right}"),
        format!("t=99999999999999999999,v1={right}"),
        format!("t={NOW_SECONDS},v1={}", &right[..63]),
        format!("t={NOW_SECONDS},v1={right}0"),
        format!("t={NOW_SECONDS},v1={}", "g".repeat(64)),
        format!("t={NOW_SECONDS};v1={right}"),
        format!("t={NOW_SECONDS},V1={right}"),
        format!("t={NOW_SECONDS},v1={right},"),
        format!("t={NOW_SECONDS},v1={right},x={}", "a".repeat(5000)),
    ] {
        let verified = verify(&header, b"{}", &[ours()], now());
        assert_eq!(verified, Err(SignatureError::Malformed), "{header}");
    }
}

#[test]
fn without_secrets_nothing_fits() {
    let header = header(&ours(), NOW_SECONDS, b"{}");
    assert_eq!(
        verify(&header, b"{}", &[], now()),
        Err(SignatureError::NoMatch)
    );
}

#[test]
fn only_the_first_eight_signatures_are_tried() {
    let right = sign(&ours(), &NOW_SECONDS.to_string(), b"{}");
    let wrong = format!(",v1={}", "0".repeat(64));
    let with = |count: usize| format!("t={NOW_SECONDS}{},v1={right}", wrong.repeat(count));
    assert!(verify(&with(7), b"{}", &[ours()], now()).is_ok());
    assert_eq!(
        verify(&with(8), b"{}", &[ours()], now()),
        Err(SignatureError::NoMatch)
    );
}

/// How a right delivery is spoiled.
#[derive(Clone, Debug)]
enum Spoil {
    FlipBodyBit(prop::sample::Index, u8),
    CutBody(prop::sample::Index),
    AppendToBody(u8),
    FlipSignatureNibble(prop::sample::Index, u8),
    MoveTime(i64),
    OtherSecret,
    Garbage(String),
    InsertIntoHeader(prop::sample::Index, char),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Spoil::FlipBodyBit(at, bit)),
        index().prop_map(Spoil::CutBody),
        any::<u8>().prop_map(Spoil::AppendToBody),
        (index(), 1..16_u8).prop_map(|(at, by)| Spoil::FlipSignatureNibble(at, by)),
        prop_oneof![-1_000_i64..=-1, 1_i64..=1_000].prop_map(Spoil::MoveTime),
        Just(Spoil::OtherSecret),
        any::<String>().prop_map(Spoil::Garbage),
        (index(), prop::char::range('0', 'f')).prop_map(|(at, c)| Spoil::InsertIntoHeader(at, c)),
    ]
}

fn spoiled(spoil: Spoil, body: &[u8]) -> (String, Vec<u8>) {
    let right = header(&ours(), NOW_SECONDS, body);
    let mut body = body.to_vec();
    let mut header_text = right;
    match spoil {
        Spoil::FlipBodyBit(at, bit) => {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        }
        Spoil::CutBody(at) => body.truncate(at.index(body.len())),
        Spoil::AppendToBody(byte) => body.push(byte),
        Spoil::FlipSignatureNibble(at, by) => {
            let start = header_text.len() - 64;
            let at = start + at.index(64);
            let mut bytes = header_text.into_bytes();
            let digit = u8::try_from(char::from(bytes[at]).to_digit(16).unwrap()).unwrap();
            let flipped = char::from_digit(u32::from(digit ^ by), 16).unwrap();
            bytes[at] = u8::try_from(flipped).unwrap();
            header_text = String::from_utf8(bytes).unwrap();
        }
        Spoil::MoveTime(by) => {
            let signature = header_text.split_once(',').unwrap().1.to_owned();
            header_text = format!("t={},{signature}", NOW_SECONDS + by);
        }
        Spoil::OtherSecret => header_text = header(&other(), NOW_SECONDS, &body),
        Spoil::Garbage(text) => header_text = text,
        Spoil::InsertIntoHeader(at, character) => {
            header_text.insert(at.index(header_text.len()), character);
        }
    }
    (header_text, body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// R7: nothing that was touched is believed.
    #[test]
    fn nothing_spoiled_is_accepted(
        body in prop::collection::vec(any::<u8>(), 1..200),
        spoil in spoil(),
    ) {
        let (header, spoiled_body) = spoiled(spoil, &body);
        prop_assert!(verify(&header, &spoiled_body, &[ours()], now()).is_err());
    }

    #[test]
    fn what_stripe_signs_is_accepted(
        body in prop::collection::vec(any::<u8>(), 0..200),
        age in -300_i64..=300,
    ) {
        let header = header(&ours(), NOW_SECONDS - age, &body);
        prop_assert!(verify(&header, &body, &[other(), ours()], now()).is_ok());
    }
}
