//! Finds a secret in whatever dress it left in.

use std::collections::BTreeSet;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::support::database::{FreshDatabase, connect};

/// A secret and every form it is searched in.
pub(super) struct Canary {
    pub(super) name: String,
    forms: BTreeSet<String>,
}

/// Each byte as the character of its number: what is not text can be searched like text then.
pub(crate) fn readable(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

impl Canary {
    pub(super) fn new(name: &str, secret: &[u8]) -> Self {
        let mut forms = BTreeSet::from([
            readable(secret),
            HEXLOWER.encode(secret),
            HEXUPPER.encode(secret),
        ]);
        for encoding in [BASE64, BASE64URL] {
            for shift in 0..3 {
                // In base64 the same bytes look different at each of three places; what the
                // neighbours cannot change is the middle.
                let padded = [&b"\0\0"[..shift], secret].concat();
                let encoded = encoding.encode(&padded);
                forms.insert(encoded[4..encoded.len() - 4].to_owned());
            }
        }
        let escaped = secret.iter().map(|byte| match byte {
            b if b.is_ascii_alphanumeric() => char::from(*b).to_string(),
            b => format!("%{b:02X}"),
        });
        forms.insert(escaped.collect());
        Self {
            name: name.to_owned(),
            forms,
        }
    }

    /// Whether a sink, made [`readable`], holds it.
    pub(super) fn is_in(&self, sink: &str) -> bool {
        self.forms.iter().any(|form| sink.contains(form))
    }
}

/// Everything that the database holds: files as they are, or every row of every table as text.
pub(crate) async fn contents(database: &FreshDatabase) -> Vec<u8> {
    let Some(file) = database.file() else {
        return rows(&database.url).await;
    };
    let mut bytes = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        // The last two are there only while somebody works on it.
        bytes.extend(std::fs::read(format!("{file}{suffix}")).unwrap_or_default());
    }
    bytes
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn rows(url: &str) -> Vec<u8> {
    let mut connection = connect(url).await;
    let query = "SELECT table_name::text AS line FROM information_schema.tables \
                 WHERE table_schema = 'public'";
    let tables: Vec<Line> = diesel::sql_query(query)
        .load(&mut connection)
        .await
        .unwrap();
    assert!(tables.len() > 8);
    let mut text = String::new();
    for Line { line: table } in tables {
        let query = format!("SELECT t::text AS line FROM \"{table}\" t");
        let rows: Vec<Line> = diesel::sql_query(query)
            .load(&mut connection)
            .await
            .unwrap();
        for row in rows {
            text.push_str(&row.line);
            text.push('\n');
        }
    }
    text.into_bytes()
}

/// A portal's data key, unwrapped without the service's help; the format is that of `secret`.
pub(super) fn data_key(master: &[u8; 32], wrapped: &[u8], portal: &str) -> Vec<u8> {
    let (header, rest) = wrapped.split_at(6);
    let (nonce, sealed) = rest.split_at(12);
    let mut associated = Vec::new();
    for part in [header, portal.as_bytes()] {
        associated.extend(u64::try_from(part.len()).unwrap().to_be_bytes());
        associated.extend(part);
    }
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, master).unwrap());
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
    let opened = key.open_in_place(nonce, Aad::from(associated), &mut buffer);
    opened.unwrap().to_vec()
}

#[test]
fn a_secret_is_found_in_each_dress() {
    let secret = b"sk_test_canary+/0123456789";
    let canary = Canary::new("it", secret);
    for dressed in [
        String::from_utf8(secret.to_vec()).unwrap(),
        HEXLOWER.encode(secret),
        HEXUPPER.encode(secret),
        BASE64.encode(secret),
        BASE64.encode(&[b"a", secret.as_slice()].concat()),
        BASE64URL.encode(&[b"ab", secret.as_slice(), b"tail"].concat()),
        "sk%5Ftest%5Fcanary%2B%2F0123456789".to_owned(),
    ] {
        assert!(canary.is_in(&format!("before{dressed}after")), "{dressed}");
    }
    assert!(!canary.is_in("sk_test_canary"));
}
