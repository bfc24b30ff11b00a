use std::collections::BTreeSet;

use secrecy::ExposeSecret;

use super::*;

static_assertions::assert_not_impl_any!(DataKey: fmt::Debug, fmt::Display, serde::Serialize, Clone);
static_assertions::assert_not_impl_any!(MasterKeys: fmt::Debug, fmt::Display, serde::Serialize);
static_assertions::assert_not_impl_any!(Signer: fmt::Debug, fmt::Display, serde::Serialize);

const SECRET: &[u8] = b"sk_test_a_secret_of_some_length_0123456789";
const CASES: u64 = 10_000;

/// A repeatable stream of numbers (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Places that are told apart only by where one part ends and the next begins, and by case,
/// emptiness and sign.
fn places() -> Vec<(String, String, String, i64)> {
    let words = [
        "",
        "a",
        "aa",
        "a\0",
        "\0a",
        "A",
        "aaa",
        "secret_key",
        "secret_ke",
        "y",
    ];
    let mut places = Vec::new();
    for portal in words {
        for row in words {
            for field in ["", "a", "aa", "secret_key"] {
                for version in [0, 1, -1, 256] {
                    places.push((portal.to_owned(), row.to_owned(), field.to_owned(), version));
                }
            }
        }
    }
    places
}

fn aad((portal, row, field, version): &(String, String, String, i64)) -> Aad<'_> {
    Aad {
        portal,
        row,
        field,
        version: *version,
    }
}

const PLACE: Aad<'static> = Aad {
    portal: "acme",
    row: "cred_1",
    field: "secret_key",
    version: 1,
};

fn masters(current: u8, previous: &[u8]) -> MasterKeys {
    let previous: Vec<[u8; KEY_BYTES]> = previous.iter().map(|byte| [*byte; KEY_BYTES]).collect();
    MasterKeys::new(&[current; KEY_BYTES], &previous)
}

#[test]
fn a_secret_opens_where_it_was_sealed() {
    let key = DataKey::generate().unwrap();
    for secret in [SECRET, b"", &[0xff; 4096]] {
        let sealed = key.seal(secret, &PLACE).unwrap();
        assert_eq!(key.open(&sealed, &PLACE).unwrap().expose_secret(), secret);
        assert!(secret.is_empty() || !sealed.windows(secret.len()).any(|part| part == secret));
    }
    let text = key.seal("schlüssel".as_bytes(), &PLACE).unwrap();
    assert_eq!(
        key.open_text(&text, &PLACE).unwrap().expose_secret(),
        "schlüssel"
    );
    let binary = key.seal(&[0xff], &PLACE).unwrap();
    assert_eq!(
        key.open_text(&binary, &PLACE).err(),
        Some(SecretError::Malformed)
    );
}

#[test]
fn a_blob_moved_to_any_other_place_does_not_open() {
    let key = DataKey::generate().unwrap();
    let places = places();
    let sealed: Vec<Vec<u8>> = places
        .iter()
        .map(|place| key.seal(SECRET, &aad(place)).unwrap())
        .collect();
    let mut numbers = Numbers(0x5EED);
    let mut moved = 0;
    while moved < CASES {
        let (from, to) = (numbers.below(places.len()), numbers.below(places.len()));
        let outcome = key.open(&sealed[from], &aad(&places[to]));
        if from == to {
            assert_eq!(outcome.unwrap().expose_secret(), SECRET);
            continue;
        }
        let seen = (&places[from], &places[to]);
        assert_eq!(outcome.err(), Some(SecretError::Rejected), "{seen:?}");
        moved += 1;
    }
}

#[test]
fn each_single_part_of_the_place_counts() {
    let key = DataKey::generate().unwrap();
    let sealed = key.seal(SECRET, &PLACE).unwrap();
    for other in [
        Aad {
            portal: "acme2",
            ..PLACE
        },
        Aad {
            row: "cred_2",
            ..PLACE
        },
        Aad {
            field: "webhook_secret",
            ..PLACE
        },
        Aad {
            version: 2,
            ..PLACE
        },
        Aad {
            portal: "acmec",
            row: "red_1",
            ..PLACE
        },
        Aad {
            row: "cred_1s",
            field: "ecret_key",
            ..PLACE
        },
    ] {
        assert_eq!(key.open(&sealed, &other).err(), Some(SecretError::Rejected));
    }
}

#[test]
fn a_blob_changed_in_any_bit_or_cut_anywhere_does_not_open() {
    let key = DataKey::generate().unwrap();
    let masters = masters(1, &[2]);
    let sealed = key.seal(SECRET, &PLACE).unwrap();
    let wrapped = masters.wrap(&key, "acme").unwrap();
    for length in 0..sealed.len() {
        assert!(key.open(&sealed[..length], &PLACE).is_err(), "{length}");
        let longer = [&sealed[..], &sealed[..length], &[0]].concat();
        assert!(key.open(&longer, &PLACE).is_err(), "{length}");
    }
    for length in 0..wrapped.len() {
        assert!(
            masters.unwrap(&wrapped[..length], "acme").is_err(),
            "{length}"
        );
    }
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(&changed, &PLACE).is_err(), "{bit}");
    }
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(masters.unwrap(&changed, "acme").is_err(), "{bit}");
    }
    let mut numbers = Numbers(0xB17);
    for case in 0..CASES {
        let mut changed = sealed.clone();
        for _ in 0..=numbers.below(4) {
            let place = numbers.below(changed.len());
            changed[place] =
                changed[place].wrapping_add(u8::try_from(1 + numbers.below(255)).unwrap());
        }
        assert!(
            changed == sealed || key.open(&changed, &PLACE).is_err(),
            "{case}"
        );
    }
}

#[test]
fn random_bytes_never_open() {
    let key = DataKey::generate().unwrap();
    let mut numbers = Numbers(0xF00D);
    for case in 0..CASES {
        let length = numbers.below(96);
        let mut blob: Vec<u8> = (0..length)
            .map(|_| numbers.next().to_le_bytes()[0])
            .collect();
        if case % 2 == 0 && length >= HEADER_BYTES {
            blob[0] = FORMAT;
            blob[1] = SEALED_SECRET;
            blob[2..HEADER_BYTES].copy_from_slice(&key.id().0);
        }
        assert!(key.open(&blob, &PLACE).is_err(), "{case}");
    }
}

#[test]
fn no_nonce_is_used_twice_and_equal_secrets_look_different() {
    let key = DataKey::generate().unwrap();
    let mut nonces = BTreeSet::new();
    let mut blobs = BTreeSet::new();
    for _ in 0..CASES {
        let sealed = key.seal(SECRET, &PLACE).unwrap();
        nonces.insert(sealed[HEADER_BYTES..HEADER_BYTES + aead::NONCE_LEN].to_vec());
        blobs.insert(sealed[HEADER_BYTES + aead::NONCE_LEN..].to_vec());
    }
    assert_eq!(u64::try_from(nonces.len()).unwrap(), CASES);
    assert_eq!(u64::try_from(blobs.len()).unwrap(), CASES);
}

#[test]
fn another_portals_data_key_opens_nothing() {
    let (ours, theirs) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
    let sealed = ours.seal(SECRET, &PLACE).unwrap();
    assert_eq!(
        theirs.open(&sealed, &PLACE).err(),
        Some(SecretError::UnknownKey)
    );
    // Not even when the blob claims to be theirs.
    let mut claimed = sealed.clone();
    claimed[2..HEADER_BYTES].copy_from_slice(&theirs.id().0);
    assert_eq!(
        theirs.open(&claimed, &PLACE).err(),
        Some(SecretError::Rejected)
    );
    assert_ne!(ours.id(), theirs.id());
}

#[test]
fn a_wrapped_key_serves_its_portal_alone_and_is_no_sealed_secret() {
    let masters = masters(1, &[]);
    let key = DataKey::generate().unwrap();
    let wrapped = masters.wrap(&key, "acme").unwrap();
    assert_eq!(masters.unwrap(&wrapped, "acme").unwrap().id(), key.id());
    assert_eq!(
        masters.unwrap(&wrapped, "acme2").err(),
        Some(SecretError::Rejected)
    );
    let sealed = key.seal(SECRET, &PLACE).unwrap();
    assert_eq!(
        masters.unwrap(&sealed, "acme").err(),
        Some(SecretError::Malformed)
    );
    assert_eq!(
        key.open(&wrapped, &PLACE).err(),
        Some(SecretError::Malformed)
    );
}

#[test]
fn rotating_the_master_key_keeps_secrets_fingerprints_and_signatures() {
    let old = masters(1, &[]);
    let key = DataKey::generate().unwrap();
    let sealed = key.seal(SECRET, &PLACE).unwrap();
    let fingerprint = key.fingerprint(SECRET).unwrap();
    let wrapped = old.wrap(&key, "acme").unwrap();
    let cursor = old.signer("cursor").unwrap().sign(b"place");

    let both = masters(2, &[1]);
    assert_eq!(wrapping_key_id(&wrapped).unwrap(), old.current_id());
    assert_eq!(both.unwrap(&wrapped, "acme").unwrap().id(), key.id());
    assert_eq!(
        both.rewrap(&wrapped, "acme2").err(),
        Some(SecretError::Rejected)
    );
    let rewrapped = both.rewrap(&wrapped, "acme").unwrap().unwrap();
    assert_eq!(wrapping_key_id(&rewrapped).unwrap(), both.current_id());
    assert_eq!(both.rewrap(&rewrapped, "acme").unwrap(), None);
    assert_eq!(
        both.signer("cursor").unwrap().verify(&cursor).unwrap(),
        b"place"
    );

    let new = masters(2, &[]);
    assert_eq!(
        new.unwrap(&wrapped, "acme").err(),
        Some(SecretError::UnknownKey)
    );
    assert!(new.signer("cursor").unwrap().verify(&cursor).is_none());
    let same = new.unwrap(&rewrapped, "acme").unwrap();
    assert_eq!(same.open(&sealed, &PLACE).unwrap().expose_secret(), SECRET);
    assert_eq!(same.fingerprint(SECRET).unwrap(), fingerprint);
}

#[test]
fn a_key_id_is_the_start_of_the_keys_hash() {
    // printf '\1%.0s' {1..32} | sha256sum
    assert_eq!(masters(1, &[]).current_id().to_string(), "72cd6e84");
}

#[test]
fn fingerprints_tell_secrets_apart_and_differ_between_portals() {
    let (one, two) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
    let fingerprint = one.fingerprint(SECRET).unwrap();
    assert_eq!(fingerprint.len(), 32);
    assert_eq!(fingerprint, one.fingerprint(SECRET).unwrap());
    assert_ne!(fingerprint, two.fingerprint(SECRET).unwrap());
    assert_ne!(fingerprint, one.fingerprint(&SECRET[1..]).unwrap());
}

#[test]
fn a_signed_token_is_refused_after_any_change_and_for_another_purpose() {
    let masters = masters(1, &[]);
    let signer = masters.signer("cursor").unwrap();
    for payload in [&b""[..], b"subn_0001", &[0xff; 300]] {
        let token = signer.sign(payload);
        assert_eq!(signer.verify(&token).unwrap(), payload);
        assert!(masters.signer("other").unwrap().verify(&token).is_none());
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(signer.verify(&changed).is_none(), "{changed}");
            assert!(signer.verify(&token[..place]).is_none());
        }
        assert!(signer.verify(&format!("{token}=")).is_none());
        assert!(signer.verify(&format!(" {token}")).is_none());
    }
}
