//! Never lost, never double: the service is cut off, its Stripe answers badly or not at all, its
//! database goes away, and afterwards every thing is there exactly once.
//!
//! Cases are made from a seed. A failing one names its seed and number; with these in
//! `PORTAL_BILLING_TEST_SEED` and `PORTAL_BILLING_TEST_CASE` it runs alone.
//! `PORTAL_BILLING_TEST_FULL=1` runs the large numbers, as `make test-full` does.

mod aged;
mod cuts;
mod durable;
mod invariants;
mod kills;
mod lives;
mod matrix;
mod proxy;
mod race;
pub(crate) mod score;
mod statements;
mod storm;
mod trouble;
mod world;

/// The tests' own settings; they are not the service's.
#[expect(
    clippy::disallowed_methods,
    reason = "settings of the tests, not of the service"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(format!("PORTAL_BILLING_TEST_{name}"))
        .ok()
        .filter(|value| !value.is_empty())
}

/// Whether the large numbers are wanted.
pub(crate) fn is_full() -> bool {
    setting("FULL").is_some()
}

/// `quick`, or `full` when the large numbers are wanted.
pub(crate) fn of_tier<T>(quick: T, full: T) -> T {
    if is_full() { full } else { quick }
}

/// The seed of all that is left to chance.
pub(crate) fn seed() -> u64 {
    setting("SEED").map_or(20_261_125, |text| text.parse().unwrap())
}

/// The one case to run, if only one is wanted.
fn only_case() -> Option<usize> {
    setting("CASE").map(|text| text.parse().unwrap())
}

/// Numbers that only look like chance: the same ones for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(bound).unwrap()).unwrap()
    }
}
