//! Secrets at rest: a master key wraps a data key per portal, a data key seals each secret of it. What
//! belongs to no portal, the keys this service signs with, the master key seals itself.
//!
//! Everything is AES-256-GCM with a random nonce, and each blob is bound by its associated data to
//! the one place it was written for, so a blob copied to another portal, row, field or version does
//! not open. A blob names its format and the key that sealed it:
//!
//! ```text
//! format (1) ‖ purpose (1) ‖ key id (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//! ```
//!
//! Keys are wiped when dropped and have neither `Debug` nor `Display` nor `Serialize`. Opening
//! fails closed, and says nothing about why beyond what the blob shows by itself.
//!
//! Random nonces limit one key to about 2³² seals (NIST SP 800-38D §8.3); a portal's data key
//! seals a few secrets in its life.

use std::fmt;

use aws_lc_rs::aead::{self, AES_256_GCM, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, hkdf, hmac, rand};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use secrecy::{SecretSlice, SecretString};
use zeroize::Zeroizing;

mod signing;

pub use signing::SigningKey;

/// Length of master and data keys in bytes.
pub const KEY_BYTES: usize = 32;

const FORMAT: u8 = 1;
const WRAPPED_KEY: u8 = 1;
const SEALED_SECRET: u8 = 2;
const SEALED_BY_MASTER: u8 = 3;
const KEY_ID_BYTES: usize = 4;
const HEADER_BYTES: usize = 2 + KEY_ID_BYTES;
const FINGERPRINT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// Why a secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The blob is cut short or of a format this version does not know.
    #[error("not a sealed secret of a known format")]
    Malformed,
    /// No key at hand has the id that the blob names.
    #[error("sealed under a key that is not at hand")]
    UnknownKey,
    /// The blob was changed, or belongs to another place.
    #[error("does not open here")]
    Rejected,
    /// The cryptographic library failed, for want of random bytes for example.
    #[error("the cryptographic library failed")]
    Failed,
}

/// Names a key without giving it away: the first four bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

impl KeyId {
    fn of(key: &[u8; KEY_BYTES]) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, key).as_ref())
        {
            *to = *from;
        }
        Self(id)
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place a secret is sealed for. All four are bound to it.
#[derive(Clone, Copy)]
pub struct Aad<'a> {
    /// The portal it belongs to.
    pub portal: &'a str,
    /// The row's id.
    pub row: &'a str,
    /// The column or field.
    pub field: &'a str,
    /// The row's version of that secret.
    pub version: i64,
}

/// The master keys: one that wraps, and former ones that still unwrap.
pub struct MasterKeys {
    current: Zeroizing<[u8; KEY_BYTES]>,
    previous: Vec<Zeroizing<[u8; KEY_BYTES]>>,
}

impl MasterKeys {
    /// Wraps under `current`, unwraps under any.
    pub fn new<'a>(
        current: &[u8; KEY_BYTES],
        previous: impl IntoIterator<Item = &'a [u8; KEY_BYTES]>,
    ) -> Self {
        Self {
            current: Zeroizing::new(*current),
            previous: previous
                .into_iter()
                .map(|key| Zeroizing::new(*key))
                .collect(),
        }
    }

    /// The id of the key that wraps; a wrapped key with another one is due for [`Self::rewrap`].
    pub fn current_id(&self) -> KeyId {
        KeyId::of(&self.current)
    }

    /// Wraps the data key of `portal` for storage.
    pub fn wrap(&self, data_key: &DataKey, portal: &str) -> Result<Vec<u8>, SecretError> {
        seal(
            &self.current,
            WRAPPED_KEY,
            data_key.0.as_slice(),
            &[portal.as_bytes()],
        )
    }

    /// The data key of `portal` out of storage.
    pub fn unwrap(&self, wrapped: &[u8], portal: &str) -> Result<DataKey, SecretError> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let opened = open(keys, WRAPPED_KEY, wrapped, &[portal.as_bytes()])?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err(SecretError::Malformed);
        }
        key.copy_from_slice(&opened);
        Ok(DataKey(key))
    }

    /// The same data key wrapped under the current master key, or `None` when it already is.
    pub fn rewrap(&self, wrapped: &[u8], portal: &str) -> Result<Option<Vec<u8>>, SecretError> {
        let data_key = self.unwrap(wrapped, portal)?;
        if wrapping_key_id(wrapped)? == self.current_id() {
            return Ok(None);
        }
        self.wrap(&data_key, portal).map(Some)
    }

    /// Seals a secret of the service's own, for the place `aad`, under the current key.
    fn seal(&self, plaintext: &[u8], aad: &Aad<'_>) -> Result<Vec<u8>, SecretError> {
        let version = aad.version.to_be_bytes();
        seal(
            &self.current,
            SEALED_BY_MASTER,
            plaintext,
            &aad.parts(&version),
        )
    }

    /// Opens what was sealed for exactly the place `aad`, under any of the keys.
    fn open(&self, sealed: &[u8], aad: &Aad<'_>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let version = aad.version.to_be_bytes();
        open(keys, SEALED_BY_MASTER, sealed, &aad.parts(&version))
    }

    /// Signs what callers hand back to us later, such as list cursors. Each purpose has its own key,
    /// derived from the master key; what was signed under a former master key is still accepted.
    pub fn signer(&self, purpose: &str) -> Result<Signer, SecretError> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let keys: Result<Vec<_>, _> = keys
            .map(|key| derive(key, "sign", purpose).map(|derived| hmac_key(&derived)))
            .collect();
        Ok(Signer { keys: keys? })
    }
}

/// The id of the master key that `wrapped` is wrapped under, for telling which rows are due.
pub fn wrapping_key_id(wrapped: &[u8]) -> Result<KeyId, SecretError> {
    let (header, _) = split_header(wrapped)?;
    header_key_id(header, WRAPPED_KEY)
}

/// A portal's own key: seals its secrets and keys its fingerprints. It stays the same when the
/// master key is rotated, so fingerprints and sealed secrets stay good.
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// A new random key.
    pub fn generate() -> Result<Self, SecretError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *key).map_err(|_| SecretError::Failed)?;
        Ok(Self(key))
    }

    /// The key's name in the blobs it seals.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.0)
    }

    /// Seals `plaintext` for the place `aad`.
    pub fn seal(&self, plaintext: &[u8], aad: &Aad<'_>) -> Result<Vec<u8>, SecretError> {
        seal(
            &self.0,
            SEALED_SECRET,
            plaintext,
            &aad.parts(&aad.version.to_be_bytes()),
        )
    }

    /// Opens what was sealed for exactly the place `aad`.
    pub fn open(&self, sealed: &[u8], aad: &Aad<'_>) -> Result<SecretSlice<u8>, SecretError> {
        let version = aad.version.to_be_bytes();
        let opened = open([&self.0], SEALED_SECRET, sealed, &aad.parts(&version))?;
        Ok(SecretSlice::from(opened.to_vec()))
    }

    /// [`Self::open`] for a secret that is text.
    pub fn open_text(&self, sealed: &[u8], aad: &Aad<'_>) -> Result<SecretString, SecretError> {
        let version = aad.version.to_be_bytes();
        let opened = open([&self.0], SEALED_SECRET, sealed, &aad.parts(&version))?;
        let text = std::str::from_utf8(&opened).map_err(|_| SecretError::Malformed)?;
        Ok(SecretString::from(text))
    }

    /// A keyed hash of `secret`, 32 hexadecimal digits: equal for equal secrets of one portal, and
    /// useless for guessing them without the portal's key.
    pub fn fingerprint(&self, secret: &[u8]) -> Result<String, SecretError> {
        let key = derive(&self.0, "fingerprint", "")?;
        let tag = hmac::sign(&hmac_key(&key), secret);
        Ok(HEXLOWER.encode(tag.as_ref().get(..FINGERPRINT_BYTES).unwrap_or_default()))
    }
}

impl<'a> Aad<'a> {
    fn parts(&self, version: &'a [u8; 8]) -> [&'a [u8]; 4] {
        [
            self.portal.as_bytes(),
            self.row.as_bytes(),
            self.field.as_bytes(),
            version,
        ]
    }
}

/// Makes tokens that callers can read but not make; see [`MasterKeys::signer`].
pub struct Signer {
    /// The first signs; all verify.
    keys: Vec<hmac::Key>,
}

impl Signer {
    /// A URL-safe token that carries `payload` readably, followed by its tag.
    pub fn sign(&self, payload: &[u8]) -> String {
        let mut token = payload.to_vec();
        if let Some(key) = self.keys.first() {
            token.extend_from_slice(hmac::sign(key, payload).as_ref());
        }
        BASE64URL_NOPAD.encode(&token)
    }

    /// The payload of a token that was signed here, or `None`.
    pub fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let mut bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let cut = bytes
            .len()
            .checked_sub(hmac::HMAC_SHA256.digest_algorithm().output_len())?;
        let tag = bytes.split_off(cut);
        let genuine = self
            .keys
            .iter()
            .any(|key| hmac::verify(key, &bytes, &tag).is_ok());
        genuine.then_some(bytes)
    }
}

fn hmac_key(key: &[u8; KEY_BYTES]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

/// A key for one use out of another one (HKDF-SHA256, RFC 5869); different uses never share a key.
fn derive(
    key: &[u8; KEY_BYTES],
    usage: &str,
    purpose: &str,
) -> Result<Zeroizing<[u8; KEY_BYTES]>, SecretError> {
    let info = associated_data(&[], &[usage.as_bytes(), purpose.as_bytes()]);
    let info = [info.as_slice()];
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"portal-billing")
        .extract(key)
        .expand(&info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *derived))
        .map_err(|_| SecretError::Failed)?;
    Ok(derived)
}

/// Header and parts, each with its length before it, so that no two lists of parts look alike.
fn associated_data(header: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in std::iter::once(&header).chain(parts) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<RandomizedNonceKey, SecretError> {
    RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SecretError::Failed)
}

fn seal(
    key: &[u8; KEY_BYTES],
    purpose: u8,
    plaintext: &[u8],
    parts: &[&[u8]],
) -> Result<Vec<u8>, SecretError> {
    let mut header = vec![FORMAT, purpose];
    header.extend_from_slice(&KeyId::of(key).0);
    let aad = aead::Aad::from(associated_data(&header, parts));
    // Room for the tag, so that the plaintext is never left behind by a reallocation.
    let mut sealed = Zeroizing::new(Vec::with_capacity(
        plaintext.len().saturating_add(TAG_BYTES),
    ));
    sealed.extend_from_slice(plaintext);
    let nonce = cipher(key)?
        .seal_in_place_append_tag(aad, &mut *sealed)
        .map_err(|_| SecretError::Failed)?;
    let mut blob = header;
    blob.extend_from_slice(nonce.as_ref());
    blob.extend_from_slice(&sealed);
    Ok(blob)
}

fn open<'k>(
    keys: impl IntoIterator<Item = &'k Zeroizing<[u8; KEY_BYTES]>>,
    purpose: u8,
    blob: &[u8],
    parts: &[&[u8]],
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let (header, rest) = split_header(blob)?;
    let id = header_key_id(header, purpose)?;
    let (nonce, ciphertext) = rest
        .split_at_checked(aead::NONCE_LEN)
        .ok_or(SecretError::Malformed)?;
    if ciphertext.len() < TAG_BYTES {
        return Err(SecretError::Malformed);
    }
    let mut outcome = SecretError::UnknownKey;
    // Ids are short; in the unlikely case that two keys share one, each of them is tried.
    for key in keys.into_iter().filter(|key| KeyId::of(key) == id) {
        let aad = aead::Aad::from(associated_data(header, parts));
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::Malformed)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        match cipher(key)?.open_in_place(nonce, aad, &mut buffer) {
            Ok(plaintext) => return Ok(Zeroizing::new(plaintext.to_vec())),
            Err(_) => outcome = SecretError::Rejected,
        }
    }
    Err(outcome)
}

fn split_header(blob: &[u8]) -> Result<(&[u8], &[u8]), SecretError> {
    blob.split_at_checked(HEADER_BYTES)
        .ok_or(SecretError::Malformed)
}

fn header_key_id(header: &[u8], purpose: u8) -> Result<KeyId, SecretError> {
    match header {
        [FORMAT, found, id @ ..] if *found == purpose => {
            id.try_into().map(KeyId).map_err(|_| SecretError::Malformed)
        }
        _ => Err(SecretError::Malformed),
    }
}

#[cfg(test)]
mod tests;
