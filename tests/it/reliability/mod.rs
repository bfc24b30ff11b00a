//! Never lost, never double: the service is cut off, its Stripe answers badly or not at all, its
//! database goes away, and afterwards every thing is there exactly once.
//!
//! Cases are made from a seed. A failing one names its seed and number; with these in
//! `PORTAL_BILLING_TEST_SEED` and `PORTAL_BILLING_TEST_CASE` it runs alone.
//! `PORTAL_BILLING_TEST_FULL=1` runs the large numbers, as `make test-full` does.
//!
//! # Money bugs seen elsewhere, and the test that keeps each out
//!
//! | what went wrong | test |
//! |---|---|
//! | cents that do not round-trip, in any kind of currency | `money::every_cent_below_a_thousand_round_trips_in_every_kind_of_currency` |
//! | prices below a cent are lost | `money::unit_prices_below_a_cent_survive` |
//! | two portals' keys are mixed | `storm::two_portals_at_once_never_use_each_others_key` |
//! | a test token in the binary | `house::no_test_card_is_in_the_product` |
//! | access only when the browser comes back | `ingest::customers::a_method_saved_by_a_page_nobody_came_back_from_is_there`, `ingest::lives::a_bank_that_is_satisfied_makes_it_active` |
//! | another organization's return is believed | `payment_methods::setup::an_unfinished_or_foreign_intent_is_refused` |
//! | unpaid, then paid, and still no access | `ingest::invoices::dunning::access_follows_money`, `lives` |
//! | sums of usage differ | when usage is reported |
//! | parallel first subscriptions make several customers | `subscriptions::races::fifty_first_subscriptions_make_one_customer` |
//! | a free subscription needs Stripe | `subscriptions::free::a_free_plan_is_active_at_once_with_stripe_down_and_the_module_off` |
//! | an unknown object in a webhook is an error | `ingest::lives::an_event_of_another_portal_is_foreign` |
//! | a call without the API version | `stripe_port::calls` |
//! | a 404 without `error` is a success | `subscriptions::outage::a_404_without_an_error_is_no_success` |
//! | cancelling leaves the open invoice open | `subscriptions::ends::ending_a_past_due_one_settles_its_open_invoice` |
//! | an update in the same second is dropped | `subscription::an_update_in_the_same_second_is_not_dropped_and_an_older_one_is`, `ingest::order` |
//! | an operation that came to no end charges after the cancel | `subscriptions::abandoned::what_came_to_no_end_can_be_ended` |
//!
//! # Crash points whose case is not in the matrix
//!
//! | # | test |
//! |---|---|
//! | C19 | `outbox`, at its places; `events::replicas::either_of_two_replicas_may_be_killed_at_any_time`, at instants left to chance |
//! | C20 | `ingest::lives::an_event_before_its_operation_waits_for_it` |
//! | C21 | `hooks`, before and in the transaction; `kills`, at instants left to chance; `ingest::letters::what_the_database_does_not_take_is_not_acknowledged`, where the database fails |
//! | C22 | `hooks`, in the transaction that stores and applies, and in the work on what is applied later |
//! | C23 | `hooks::an_effect_that_fails_is_told_and_comes_with_the_next_attempt`; `ingest::letters::a_dead_letter_is_tried_again_after_it_was_mended` |
//! | C24 | `ingest::order`, `ingest::copies::four_copies_at_once_are_applied_once`, `ingest::copies::two_replicas_apply_each_event_once` |
//! | C25 | `aged` |
//! | C26 C27 | `rotated`; `moved` |
//! | C28 | `security::rotation::rotation_under_load_fails_nothing` |

mod aged;
mod cuts;
mod durable;
mod front;
mod hooks;
mod invariants;
mod kills;
mod lives;
mod matrix;
mod moved;
mod outbox;
mod proxy;
mod race;
mod rotated;
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
