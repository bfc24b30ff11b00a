//! Signatures as Standard Webhooks 1.0 has them (<https://www.standardwebhooks.com>): HMAC-SHA256
//! (`v1`) and Ed25519 (`v1a`) over `id.timestamp.body`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{hmac, rand};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use secrecy::{ExposeSecret, SecretString};

const SECRET_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// The standard asks for 24 to 64 bytes; one block of the hash's output is as good as it gets.
const SECRET_BYTES: usize = 32;
const SEED_BYTES: usize = 32;

/// One generation of an endpoint's keys: a secret shared with the receiver, and a key pair whose
/// public half the receiver may know instead. Neither printable nor serializable.
pub struct SigningKeys {
    secret: Zeroizing<Vec<u8>>,
    seed: Zeroizing<[u8; SEED_BYTES]>,
}

impl SigningKeys {
    /// New random keys; `None` when the machine has no randomness to give.
    pub fn generate() -> Option<Self> {
        let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rand::fill(&mut secret).ok()?;
        rand::fill(&mut *seed).ok()?;
        Some(Self { secret, seed })
    }

    /// Reads what [`Self::to_text`] gives.
    pub fn from_text(text: &SecretString) -> Option<Self> {
        let (secret, seed) = text.expose_secret().split_once(' ')?;
        let decode = |text: &str, prefix: &str| {
            let encoded = text.strip_prefix(prefix)?;
            BASE64.decode(encoded.as_bytes()).ok().map(Zeroizing::new)
        };
        let mut keys = Self {
            secret: decode(secret, SECRET_PREFIX)?,
            seed: Zeroizing::new([0; SEED_BYTES]),
        };
        let decoded = decode(seed, PRIVATE_PREFIX)?;
        if decoded.len() != SEED_BYTES {
            return None;
        }
        keys.seed.copy_from_slice(&decoded);
        Some(keys)
    }

    /// Both keys as one text, to be sealed.
    pub fn to_text(&self) -> SecretString {
        let secret = Zeroizing::new(BASE64.encode(&self.secret));
        let seed = Zeroizing::new(BASE64.encode(&*self.seed));
        SecretString::from(format!(
            "{SECRET_PREFIX}{} {PRIVATE_PREFIX}{}",
            *secret, *seed
        ))
    }

    /// The secret as the receiver is told it, once: `whsec_…`.
    pub fn secret_text(&self) -> SecretString {
        let secret = Zeroizing::new(BASE64.encode(&self.secret));
        SecretString::from(format!("{SECRET_PREFIX}{}", *secret))
    }

    /// The public key as receivers may read it: `whpk_…`.
    pub fn public_text(&self) -> Option<String> {
        let pair = self.pair()?;
        let key = BASE64.encode(pair.public_key().as_ref());
        Some(format!("{PUBLIC_PREFIX}{key}"))
    }

    fn pair(&self) -> Option<Ed25519KeyPair> {
        Ed25519KeyPair::from_seed_unchecked(&*self.seed).ok()
    }

    fn sign(&self, content: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let symmetric = BASE64.encode(hmac::sign(&key, content).as_ref());
        let asymmetric = self
            .pair()
            .map(|pair| BASE64.encode(pair.sign(content).as_ref()));
        match asymmetric {
            Some(asymmetric) => format!("v1,{symmetric} v1a,{asymmetric}"),
            None => format!("v1,{symmetric}"),
        }
    }
}

/// The value of `webhook-signature`: two signatures by each of the keys, with spaces between them.
pub fn signatures(keys: &[SigningKeys], id: &str, timestamp: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp}.{body}");
    let signed: Vec<String> = keys
        .iter()
        .map(|keys| keys.sign(content.as_bytes()))
        .collect();
    signed.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(SigningKeys: std::fmt::Debug, std::fmt::Display, serde::Serialize, Clone);

    /// The vectors of the standard's own libraries: `v1` stands in the tests of each of them, `v1a`
    /// in those of the one in Go.
    #[test]
    fn the_standards_own_vectors_come_out() {
        let keys = SigningKeys::from_text(&SecretString::from(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw \
             whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=",
        ))
        .unwrap();
        let signed = signatures(
            &[keys],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= \
             v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
        );
    }

    #[test]
    fn keys_go_to_text_and_back() {
        let keys = SigningKeys::generate().unwrap();
        let again = SigningKeys::from_text(&keys.to_text()).unwrap();
        let sign = |keys: SigningKeys| signatures(&[keys], "fact_1", 1, "{}");
        assert!(keys.secret_text().expose_secret().len() > 40);
        assert_eq!(keys.public_text(), again.public_text());
        assert_eq!(sign(keys), sign(again));
        for bad in ["", "whsec_AAAA", "whsec_AAAA whsk_AAAA", "whsec_! whsk_!"] {
            assert!(SigningKeys::from_text(&SecretString::from(bad)).is_none());
        }
    }

    #[test]
    fn each_generation_signs() {
        let keys = [
            SigningKeys::generate().unwrap(),
            SigningKeys::generate().unwrap(),
        ];
        let signed = signatures(&keys, "fact_1", 1, "{}");
        let versions: Vec<&str> = signed
            .split(' ')
            .map(|one| one.split(',').next().unwrap())
            .collect();
        assert_eq!(versions, ["v1", "v1a", "v1", "v1a"]);
    }
}
