//! Whether a subscription may use the API now.
//!
//! [`decide`] is one pure function over what is stored and the clock, so that grace ends when it ends,
//! whether or not anything arrives from Stripe. Its table, also in `docs/access.md`; the first row that
//! fits counts:
//!
//! | status | and | decision | reason | until |
//! |---|---|---|---|---|
//! | `pending_approval` | | deny | `pending_approval` | |
//! | `provisioning`, `incomplete` | | deny | `incomplete` | |
//! | `canceled` | | deny | `canceled` | |
//! | `expired` | | deny | `expired` | |
//! | `rejected` | | deny | `no_subscription` | |
//! | `paused` | | deny | `paused` | |
//! | any other | `cancel_at` has passed | deny | `canceled` | |
//! | `active` | the plan is free | allow | `free` | `cancel_at` |
//! | `active` | | allow | `active` | `cancel_at` |
//! | `trialing` | | allow | `trialing` | `trial_end` while it is ahead, `cancel_at` if that is earlier |
//! | `past_due` | before `unpaid_since` + `grace_period_days` | grace | `past_due` | that time, `cancel_at` if that is earlier |
//! | `past_due` | | deny | `past_due` | |
//! | `unpaid` | `on_unpaid` is `allow` | allow | `unpaid` | `cancel_at` |
//! | `unpaid` | | deny | `unpaid` | |

use super::operation::named;
use super::stripe_module::{ModuleSettings, OnUnpaid};
use super::subscription::{Status, Subscription};
use crate::clock::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

named! {
    /// What the answer is.
    Decision {
        /// It may.
        Allow = "allow",
        /// It may for a while; a payment is missing.
        Grace = "grace",
        /// It may not.
        Deny = "deny",
    }
}

named! {
    /// Why.
    Reason {
        /// It is paid.
        Active = "active",
        /// It is in its trial.
        Trialing = "trialing",
        /// The plan costs nothing.
        Free = "free",
        /// A payment has failed and is tried again.
        PastDue = "past_due",
        /// It was never paid.
        Incomplete = "incomplete",
        /// Payments have failed to the last.
        Unpaid = "unpaid",
        /// It is paused.
        Paused = "paused",
        /// It has ended.
        Canceled = "canceled",
        /// It was not paid in time to begin.
        Expired = "expired",
        /// The portal has not said yes yet.
        PendingApproval = "pending_approval",
        /// There is none.
        NoSubscription = "no_subscription",
    }
}

/// An answer, and until when nothing but an event can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The answer.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// When the clock alone will change it; `None`: never.
    pub until: Option<Timestamp>,
}

/// What of a subscription the answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it stands.
    pub status: Status,
    /// Whether its plan costs anything.
    pub paid: bool,
    /// Since when a payment is missing.
    pub unpaid_since: Option<Timestamp>,
    /// When its trial ends or ended.
    pub trial_end: Option<Timestamp>,
    /// When it will end.
    pub cancel_at: Option<Timestamp>,
}

/// What of the module's settings the answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Days of access after a payment was due, 0 to 90.
    pub grace_period_days: i32,
    /// What `unpaid` means.
    pub on_unpaid: OnUnpaid,
}

impl From<&Subscription> for Facts {
    fn from(subscription: &Subscription) -> Self {
        Self {
            status: subscription.status,
            paid: subscription.paid,
            unpaid_since: subscription.unpaid_since,
            trial_end: subscription.trial_end,
            cancel_at: subscription.cancel_at,
        }
    }
}

impl From<&ModuleSettings> for Rules {
    fn from(settings: &ModuleSettings) -> Self {
        Self {
            grace_period_days: settings.grace_period_days,
            on_unpaid: settings.on_unpaid,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::from(&ModuleSettings::default())
    }
}

impl Access {
    /// The answer where there is no subscription at all.
    pub const NONE: Self = Self::deny(Reason::NoSubscription);

    const fn deny(reason: Reason) -> Self {
        Self {
            decision: Decision::Deny,
            reason,
            until: None,
        }
    }

    const fn allow(reason: Reason, until: Option<Timestamp>) -> Self {
        Self {
            decision: Decision::Allow,
            reason,
            until,
        }
    }
}

/// The decision table; see the module's documentation.
pub fn decide(facts: &Facts, rules: Rules, now: Timestamp) -> Access {
    match facts.status {
        Status::PendingApproval => Access::deny(Reason::PendingApproval),
        Status::Provisioning | Status::Incomplete => Access::deny(Reason::Incomplete),
        Status::Canceled => Access::deny(Reason::Canceled),
        Status::Expired => Access::deny(Reason::Expired),
        Status::Rejected => Access::NONE,
        Status::Paused => Access::deny(Reason::Paused),
        Status::Active | Status::Trialing | Status::PastDue | Status::Unpaid
            if facts.cancel_at.is_some_and(|at| at <= now) =>
        {
            Access::deny(Reason::Canceled)
        }
        Status::Active if !facts.paid => Access::allow(Reason::Free, facts.cancel_at),
        Status::Active => Access::allow(Reason::Active, facts.cancel_at),
        Status::Trialing => {
            let end = facts.trial_end.filter(|end| *end > now);
            Access::allow(Reason::Trialing, earlier(end, facts.cancel_at))
        }
        Status::PastDue => match grace_end(facts, rules) {
            Some(end) if now < end => Access {
                decision: Decision::Grace,
                reason: Reason::PastDue,
                until: earlier(Some(end), facts.cancel_at),
            },
            _ => Access::deny(Reason::PastDue),
        },
        Status::Unpaid => match rules.on_unpaid {
            OnUnpaid::Allow => Access::allow(Reason::Unpaid, facts.cancel_at),
            OnUnpaid::Deny => Access::deny(Reason::Unpaid),
        },
    }
}

fn grace_end(facts: &Facts, rules: Rules) -> Option<Timestamp> {
    let grace = i64::from(rules.grace_period_days.max(0)) * DAY_MS;
    Some(facts.unpaid_since?.plus_millis(grace))
}

/// The earlier of two times that may be open.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn facts(status: Status) -> Facts {
        Facts {
            status,
            paid: true,
            unpaid_since: None,
            trial_end: None,
            cancel_at: None,
        }
    }

    fn days(count: i64) -> Timestamp {
        NOW.plus_millis(count * DAY_MS)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one line per row of the table")]
    fn the_table_holds_row_by_row() {
        use Decision::{Allow, Deny, Grace};
        let past_due = |since| Facts {
            unpaid_since: Some(since),
            ..facts(Status::PastDue)
        };
        let ending = |status, at| Facts {
            cancel_at: Some(at),
            ..facts(status)
        };
        let rows = [
            (
                facts(Status::PendingApproval),
                Deny,
                Reason::PendingApproval,
                None,
            ),
            (facts(Status::Provisioning), Deny, Reason::Incomplete, None),
            (facts(Status::Incomplete), Deny, Reason::Incomplete, None),
            (facts(Status::Canceled), Deny, Reason::Canceled, None),
            (facts(Status::Expired), Deny, Reason::Expired, None),
            (facts(Status::Rejected), Deny, Reason::NoSubscription, None),
            (facts(Status::Paused), Deny, Reason::Paused, None),
            (facts(Status::Active), Allow, Reason::Active, None),
            (
                Facts {
                    paid: false,
                    ..facts(Status::Active)
                },
                Allow,
                Reason::Free,
                None,
            ),
            (
                ending(Status::Active, days(2)),
                Allow,
                Reason::Active,
                Some(days(2)),
            ),
            (ending(Status::Active, NOW), Deny, Reason::Canceled, None),
            (
                ending(Status::Trialing, days(-1)),
                Deny,
                Reason::Canceled,
                None,
            ),
            (
                Facts {
                    trial_end: Some(days(9)),
                    ..facts(Status::Trialing)
                },
                Allow,
                Reason::Trialing,
                Some(days(9)),
            ),
            (
                Facts {
                    trial_end: Some(days(9)),
                    ..ending(Status::Trialing, days(4))
                },
                Allow,
                Reason::Trialing,
                Some(days(4)),
            ),
            (
                Facts {
                    trial_end: Some(days(-9)),
                    ..facts(Status::Trialing)
                },
                Allow,
                Reason::Trialing,
                None,
            ),
            (past_due(days(-2)), Grace, Reason::PastDue, Some(days(1))),
            (
                Facts {
                    cancel_at: Some(days(0).plus_millis(1)),
                    ..past_due(days(-2))
                },
                Grace,
                Reason::PastDue,
                Some(days(0).plus_millis(1)),
            ),
            (past_due(days(-3)), Deny, Reason::PastDue, None),
            (facts(Status::PastDue), Deny, Reason::PastDue, None),
            (
                Facts {
                    unpaid_since: Some(NOW),
                    ..facts(Status::Unpaid)
                },
                Deny,
                Reason::Unpaid,
                None,
            ),
        ];
        for (facts, decision, reason, until) in rows {
            let expected = Access {
                decision,
                reason,
                until,
            };
            assert_eq!(decide(&facts, Rules::default(), NOW), expected, "{facts:?}");
        }
        let lenient = Rules {
            on_unpaid: OnUnpaid::Allow,
            ..Rules::default()
        };
        let access = decide(&facts(Status::Unpaid), lenient, NOW);
        assert_eq!(access, Access::allow(Reason::Unpaid, None));
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (-200_i64..200).prop_map(|hours| NOW.plus_millis(hours * 3_600_000))
    }

    fn any_facts() -> impl Strategy<Value = Facts> {
        (
            prop::sample::select(Status::ALL),
            any::<bool>(),
            prop::option::of(time()),
            prop::option::of(time()),
            prop::option::of(time()),
        )
            .prop_map(|(status, paid, unpaid_since, trial_end, cancel_at)| Facts {
                status,
                paid,
                unpaid_since,
                trial_end,
                cancel_at,
            })
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        (0..=90_i32, any::<bool>()).prop_map(|(grace_period_days, allow)| Rules {
            grace_period_days,
            on_unpaid: if allow {
                OnUnpaid::Allow
            } else {
                OnUnpaid::Deny
            },
        })
    }

    proptest! {
        /// `until` is exactly when the answer changes: not before, and then it does.
        #[test]
        fn nothing_changes_before_until(facts in any_facts(), rules in any_rules(), part in 0..1_000_i64) {
            let access = decide(&facts, rules, NOW);
            match access.until {
                None => {
                    let later = decide(&facts, rules, days(10_000));
                    prop_assert_eq!(access.decision, later.decision);
                }
                Some(until) => {
                    prop_assert!(until > NOW);
                    let between = NOW.plus_millis(until.millis_since(NOW) / 1_000 * part);
                    prop_assert_eq!(decide(&facts, rules, between), access);
                    prop_assert_ne!(decide(&facts, rules, until), access);
                }
            }
        }

        /// Without any news, time only takes access away.
        #[test]
        fn the_clock_alone_never_gives_access_back(facts in any_facts(), rules in any_rules(), later in time()) {
            let (first, then) = (NOW.min(later), NOW.max(later));
            if decide(&facts, rules, first).decision == Decision::Deny {
                prop_assert_eq!(decide(&facts, rules, then).decision, Decision::Deny);
            }
        }

        /// Grace ends by the clock, to the millisecond.
        #[test]
        fn grace_lasts_as_long_as_the_setting_says(since in time(), rules in any_rules(), at in time()) {
            let facts = Facts { unpaid_since: Some(since), ..facts(Status::PastDue) };
            let end = since.plus_millis(i64::from(rules.grace_period_days) * DAY_MS);
            let expected = if at < end { Decision::Grace } else { Decision::Deny };
            prop_assert_eq!(decide(&facts, rules, at).decision, expected);
            prop_assert_eq!(decide(&facts, rules, end).decision, Decision::Deny);
            prop_assert_eq!(decide(&facts, rules, end.plus_millis(-1)).decision, Decision::Grace);
        }

        /// Once it is paid, access is there at once, whatever was before.
        #[test]
        fn paid_is_allowed_at_once(before in any_facts(), rules in any_rules()) {
            let paid = Facts { status: Status::Active, unpaid_since: None, cancel_at: None, ..before };
            prop_assert_eq!(decide(&paid, rules, NOW).decision, Decision::Allow);
        }
    }
}
