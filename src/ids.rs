//! Identifiers: a prefix that cannot be mistaken for Stripe's, then 26 characters of lower-case
//! Crockford base32 over a UUIDv7 (RFC 9562), so that ids sort by the time they were made, those of one
//! process within a millisecond, too: lists that are newest first depend on it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::rand;

use crate::clock::Clock;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LEN: usize = 26;
/// The bits behind the milliseconds that count within one (RFC 9562, 6.2, method 1). The context that `uuid`
/// has for this draws its counter from a source of its own, which cannot be seeded.
const COUNTER_BITS: u32 = 12;
/// How far the ids run ahead of a clock that was set back before they follow it.
const AHEAD_MAX_MS: u64 = 1_000;

/// What an id names; decides its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A version of a portal's Stripe credentials, `cred_`.
    Credentials,
    /// An entry of the audit log, `audt_`.
    AuditEntry,
    /// A durable operation, `oper_`.
    Operation,
    /// A customer (a consumer organization), `org_`.
    Customer,
    /// A saved payment method, `meth_`.
    PaymentMethod,
    /// A subscription, `subn_`.
    Subscription,
    /// An invoice, `bill_`.
    Invoice,
    /// An event this service publishes, `fact_`.
    Event,
    /// A webhook endpoint of the portal's, `hook_`.
    WebhookEndpoint,
    /// A delivery to a webhook endpoint, `dlvr_`.
    Delivery,
    /// A reconciliation, `recn_`.
    Reconciliation,
    /// A webhook signing secret of ours in storage, `wsec_`; never shown.
    WebhookSecret,
}

impl Kind {
    /// The prefix without the underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Credentials => "cred",
            Self::AuditEntry => "audt",
            Self::Operation => "oper",
            Self::Customer => "org",
            Self::PaymentMethod => "meth",
            Self::Subscription => "subn",
            Self::Invoice => "bill",
            Self::Event => "fact",
            Self::WebhookEndpoint => "hook",
            Self::Delivery => "dlvr",
            Self::Reconciliation => "recn",
            Self::WebhookSecret => "wsec",
        }
    }
}

/// An id of ours, such as `audt_01kat…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    /// Reads an id of exactly this kind; anything else is `None`.
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        let body = text.strip_prefix(kind.prefix())?.strip_prefix('_')?;
        let well_formed = body.len() == BODY_LEN
            && body.bytes().all(|byte| ALPHABET.contains(&byte))
            // 26 characters carry 130 bits; the first may only spend three of its five.
            && body.bytes().next().is_some_and(|first| first <= b'7');
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

/// Where ids come from. Cheap to clone; clones share its state.
#[derive(Clone, Debug)]
pub struct Ids {
    clock: Clock,
    source: Source,
    /// The milliseconds and the counter of the last id.
    last: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
enum Source {
    Machine,
    Seeded(Arc<Mutex<u64>>),
}

impl Ids {
    /// Ids from the machine's random source.
    pub fn random(clock: Clock) -> Self {
        Self {
            clock,
            source: Source::Machine,
            last: Arc::default(),
        }
    }

    /// The same ids in the same order for the same seed and clock; for tests.
    pub fn seeded(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            source: Source::Seeded(Arc::new(Mutex::new(seed))),
            last: Arc::default(),
        }
    }

    /// A new id.
    pub fn new_id(&self, kind: Kind) -> Id {
        let body = encode(uuid_v7(self.next(), self.random_bytes()));
        Id(format!("{}_{body}", kind.prefix()))
    }

    /// The milliseconds and the counter of the next id: more than those of every one before.
    fn next(&self) -> u64 {
        let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        let now = millis << COUNTER_BITS;
        let after = |last: u64| {
            let follows = now <= last && last < (millis + AHEAD_MAX_MS) << COUNTER_BITS;
            if follows { last + 1 } else { now }
        };
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(after(last))
            });
        after(last.unwrap_or_else(|last| last))
    }

    /// A name that cannot be guessed: 26 characters over 128 random bits.
    pub fn unguessable(&self) -> String {
        encode(u128::from_be_bytes(self.random_bytes()))
    }

    /// A byte of chance, for jitter.
    pub fn byte(&self) -> u8 {
        let [first, ..] = self.random_bytes();
        first
    }

    fn random_bytes(&self) -> [u8; 16] {
        let mut bytes = [0_u8; 16];
        match &self.source {
            Source::Machine => {
                // Without a random source no id is safe to hand out; the request answers 500.
                assert!(
                    rand::fill(&mut bytes).is_ok(),
                    "the machine's random source failed"
                );
            }
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix64(&mut state).to_be_bytes());
                }
            }
        }
        bytes
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): enough for repeatable test ids, not for secrets.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn uuid_v7(at: u64, random: [u8; 16]) -> u128 {
    let [_, _, _, _, _, _, mut tail @ ..] = random;
    let [_, _, _, _, _, _, high, low] = at.to_be_bytes();
    // The version's bits are written over those above the counter's.
    [tail[0], tail[1]] = [high, low];
    uuid::Builder::from_unix_timestamp_millis(at >> COUNTER_BITS, &tail)
        .into_uuid()
        .as_u128()
}

fn encode(value: u128) -> String {
    (0..BODY_LEN)
        .rev()
        .map(|position| {
            let index = usize::try_from((value >> (position * 5)) & 31).unwrap_or(0);
            char::from(ALPHABET.get(index).copied().unwrap_or(b'0'))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn seeded() -> Ids {
        Ids::seeded(
            Clock::standing_at(Timestamp::from_seconds(1_800_000_000)),
            7,
        )
    }

    #[test]
    fn ids_have_their_prefix_and_parse_only_as_their_kind() {
        let id = seeded().new_id(Kind::AuditEntry);
        assert_eq!(id.as_str().len(), 31);
        assert_eq!(Id::parse(Kind::AuditEntry, id.as_str()), Some(id.clone()));
        assert_eq!(Id::parse(Kind::Operation, id.as_str()), None);
        assert_eq!(
            Id::parse(Kind::AuditEntry, &id.as_str().to_uppercase()),
            None
        );
        assert_eq!(
            Id::parse(Kind::AuditEntry, "audt_zzzzzzzzzzzzzzzzzzzzzzzzzz"),
            None
        );
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let clock = Clock::standing_at(Timestamp::from_seconds(1_800_000_000));
        let ids = Ids::random(clock.clone());
        let first = ids.new_id(Kind::Operation);
        clock.advance_millis(1);
        assert!(ids.new_id(Kind::Operation) > first);
    }

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let clock = Clock::standing_at(Timestamp::from_seconds(1_800_000_000));
        let ids = Ids::random(clock.clone());
        let mut made: Vec<Id> = (0..10_000)
            .map(|_| ids.clone().new_id(Kind::Operation))
            .collect();
        // More than a millisecond's counter holds: the next one is taken, and time catches up.
        clock.advance_millis(3);
        made.push(ids.new_id(Kind::Operation));
        assert!(made.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn ids_follow_a_clock_that_was_set_back() {
        let clock = Clock::standing_at(Timestamp::from_seconds(1_800_000_000));
        let ids = Ids::random(clock.clone());
        let first = ids.new_id(Kind::Operation);
        clock.advance_millis(-2_000);
        let back = ids.new_id(Kind::Operation);
        assert!(back < first);
        assert!(ids.new_id(Kind::Operation) > back);
    }

    #[test]
    fn a_seed_repeats_its_ids() {
        let (one, two) = (seeded(), seeded());
        for _ in 0..100 {
            assert_eq!(one.new_id(Kind::Operation), two.new_id(Kind::Operation));
            assert_eq!(one.unguessable(), two.unguessable());
        }
    }
}
