//! Ed25519 keys (RFC 8032) with which this service signs what it says, sealed under the master key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{digest, rand};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::{Aad, MasterKeys, SecretError};

const SEED_BYTES: usize = 32;

/// A key pair. The private half is wiped when dropped, and has neither `Debug` nor `Serialize`.
pub struct SigningKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    pair: Ed25519KeyPair,
}

/// The place it is sealed for. It belongs to the service, and no portal has an empty name.
const fn place(id: &str) -> Aad<'_> {
    Aad {
        portal: "",
        row: id,
        field: "signing_keys.sealed",
        version: 1,
    }
}

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Result<Self, SecretError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rand::fill(&mut *seed).map_err(|_| SecretError::Failed)?;
        Self::from_seed(seed)
    }

    fn from_seed(seed: Zeroizing<[u8; SEED_BYTES]>) -> Result<Self, SecretError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| SecretError::Failed)?;
        Ok(Self { seed, pair })
    }

    /// The private half for storage in the row `id`.
    pub fn seal(&self, keys: &MasterKeys, id: &str) -> Result<Vec<u8>, SecretError> {
        keys.seal(&*self.seed, &place(id))
    }

    /// The key out of storage.
    pub fn open(keys: &MasterKeys, sealed: &[u8], id: &str) -> Result<Self, SecretError> {
        let opened = keys.open(sealed, &place(id))?;
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        if opened.len() != SEED_BYTES {
            return Err(SecretError::Malformed);
        }
        seed.copy_from_slice(&opened);
        Self::from_seed(seed)
    }

    /// The public half as a JSON Web Key has it: `x` of the curve `Ed25519` (RFC 8037).
    pub fn public(&self) -> String {
        BASE64URL_NOPAD.encode(self.pair.public_key().as_ref())
    }

    /// Its name: the SHA-256 thumbprint of its public half (RFC 7638), in base64url.
    pub fn id(&self) -> String {
        // The members that count, in the order of their names, without white space.
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.public());
        BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, members.as_bytes()).as_ref())
    }

    /// The signature of `message`, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::KEY_BYTES;

    const OLD: [u8; KEY_BYTES] = [1; KEY_BYTES];
    const NEW: [u8; KEY_BYTES] = [2; KEY_BYTES];

    /// RFC 8037, appendix A.1 to A.4.
    #[test]
    fn the_standards_own_key_has_its_public_half_its_thumbprint_and_its_signature() {
        let seed = BASE64URL_NOPAD
            .decode(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let key = SigningKey::from_seed(Zeroizing::new(seed.try_into().unwrap())).unwrap();
        assert_eq!(key.public(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert_eq!(
            BASE64URL_NOPAD.encode(&key.sign(message)),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn a_sealed_key_opens_in_its_own_row_under_its_own_master_key_only() {
        let keys = MasterKeys::new(&OLD, []);
        let key = SigningKey::generate().unwrap();
        let sealed = key.seal(&keys, "a").unwrap();
        let opened = SigningKey::open(&keys, &sealed, "a").unwrap();
        assert_eq!(opened.id(), key.id());
        let failed = |keys: &MasterKeys, sealed: &[u8], id| {
            SigningKey::open(keys, sealed, id).err().unwrap()
        };
        assert_eq!(failed(&keys, &sealed, "b"), SecretError::Rejected);
        let other = MasterKeys::new(&NEW, []);
        assert_eq!(failed(&other, &sealed, "a"), SecretError::UnknownKey);
        let both = MasterKeys::new(&NEW, [&OLD]);
        assert!(SigningKey::open(&both, &sealed, "a").is_ok());
        for place in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[place] ^= 1;
            assert!(SigningKey::open(&keys, &bent, "a").is_err(), "{place}");
        }
    }

    #[test]
    fn neither_kind_of_blob_passes_for_the_other() {
        let keys = MasterKeys::new(&OLD, []);
        let data_key = crate::secret::DataKey::generate().unwrap();
        let wrapped = keys.wrap(&data_key, "a").unwrap();
        let refused = SigningKey::open(&keys, &wrapped, "a").err().unwrap();
        assert_eq!(refused, SecretError::Malformed);
        let sealed = SigningKey::generate().unwrap().seal(&keys, "a").unwrap();
        let refused = keys.unwrap(&sealed, "a").err().unwrap();
        assert_eq!(refused, SecretError::Malformed);
    }
}
