//! Seeded identifiers: the same seed and the same requests give the same ids.

/// A small generator (`SplitMix64`), enough for ids and for the choices of a fault plan.
///
/// It is not a source of secrets; determinism is its purpose.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    state: u64,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// `length` random base-62 characters.
    pub(crate) fn base62(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let mut bits = self.next_u64();
            // Ten characters use 59.5 of the 64 bits.
            for _ in 0..10.min(length - text.len()) {
                let index = usize::try_from(bits % 62).unwrap_or(0);
                text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'0')));
                bits /= 62;
            }
        }
        text
    }

    /// An id of Stripe's older form: prefix and 14 characters (`cus_`, `prod_`, `req_`).
    pub(crate) fn short(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.base62(14))
    }

    /// An id of Stripe's newer form: prefix, the generation digit `1` and 23 characters
    /// (`sub_1…`, `in_1…`, `price_1…`).
    pub(crate) fn long(&mut self, prefix: &str) -> String {
        format!("{prefix}1{}", self.base62(23))
    }

    /// An upper-case code of `length` letters and digits (invoice prefixes, promotion codes).
    pub(crate) fn code(&mut self, length: usize) -> String {
        self.base62(length).to_ascii_uppercase()
    }
}
