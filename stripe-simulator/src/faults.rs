//! The fault plan: what goes wrong, at which call, by rule or by chance.

use serde_json::{Value, json};

use crate::ids::Ids;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// 429 `rate_limit` with `Retry-After`, before the idempotency layer.
    RateLimit,
    /// 429 `lock_timeout`.
    LockTimeout,
    /// 409 `idempotency_key_in_use`.
    Conflict,
    /// 500 and no effect; stored under the idempotency key, as Stripe does.
    ErrorBefore,
    /// 500 although the call took effect; stored under the idempotency key.
    ErrorAfter,
    /// 502 from something in front of Stripe, no effect, nothing stored.
    BadGatewayBefore,
    /// 502 although the call took effect; the true answer is stored.
    BadGatewayAfter,
    /// The connection is reset, no effect.
    ResetBefore,
    /// The connection is reset although the call took effect.
    ResetAfter,
    /// The call takes effect late.
    SlowBefore,
    /// The answer comes late.
    SlowAfter,
    /// The call takes effect; half of the answer's body comes, then the connection ends.
    TruncatedBody,
    /// The call takes effect; the answer is 200 with a body that is not JSON.
    NotJson,
    /// 404 whose body has no `error`, no effect.
    NotFoundPlain,
    /// A list without its newest objects.
    StaleList,
    /// A search without its newest objects.
    StaleSearch,
}

const NAMES: [(FaultKind, &str); 16] = [
    (FaultKind::RateLimit, "rate_limit"),
    (FaultKind::LockTimeout, "lock_timeout"),
    (FaultKind::Conflict, "conflict"),
    (FaultKind::ErrorBefore, "error_before"),
    (FaultKind::ErrorAfter, "error_after"),
    (FaultKind::BadGatewayBefore, "bad_gateway_before"),
    (FaultKind::BadGatewayAfter, "bad_gateway_after"),
    (FaultKind::ResetBefore, "reset_before"),
    (FaultKind::ResetAfter, "reset_after"),
    (FaultKind::SlowBefore, "slow_before"),
    (FaultKind::SlowAfter, "slow_after"),
    (FaultKind::TruncatedBody, "truncated_body"),
    (FaultKind::NotJson, "not_json"),
    (FaultKind::NotFoundPlain, "not_found_plain"),
    (FaultKind::StaleList, "stale_list"),
    (FaultKind::StaleSearch, "stale_search"),
];

impl FaultKind {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// Every kind's name.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }
}

/// One fault, for one call.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// Of slow faults, in milliseconds.
    pub(crate) delay_ms: u64,
    /// Of `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    /// Instead of 500 or 502.
    pub(crate) status: Option<u16>,
    /// The `Stripe-Should-Retry` header.
    pub(crate) should_retry: Option<bool>,
    /// How many of the newest objects a stale answer lacks.
    pub(crate) count: usize,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            delay_ms: 1_000,
            retry_after: Some(1),
            status: None,
            should_retry: None,
            count: 1,
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
}

/// When a fault happens.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: u64,
    pub(crate) fault: Fault,
    /// `None` for any.
    pub(crate) method: Option<String>,
    /// A path, a template with `{…}`, or a beginning with `*`; `None` for any.
    pub(crate) path: Option<String>,
    /// Only calls whose path, query or body has this text as it is sent; `None` for any.
    pub(crate) contains: Option<String>,
    /// The first matching call that it happens at, counted from 1.
    pub(crate) nth: u64,
    /// At every so many matching calls from there.
    pub(crate) every: u64,
    /// How often in all; `None` without end.
    pub(crate) times: Option<u64>,
    /// Matching calls seen, and how often it happened.
    pub(crate) seen: u64,
    pub(crate) hits: u64,
}

impl Rule {
    fn matches(&self, call: &Call<'_>) -> bool {
        let has = |text: &str, wanted: &str| text.contains(wanted);
        self.method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(call.method))
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| path_matches(pattern, call.path))
            && self.contains.as_ref().is_none_or(|wanted| {
                has(call.path, wanted)
                    || has(call.query, wanted)
                    || has(&String::from_utf8_lossy(call.body), wanted)
            })
    }

    fn fires(&mut self) -> bool {
        self.seen += 1;
        let due = self.seen >= self.nth
            && (self.seen - self.nth).is_multiple_of(self.every.max(1))
            && self.times.is_none_or(|times| self.hits < times);
        self.hits += u64::from(due);
        due
    }

    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id,
            "kind": self.fault.kind.name(),
            "method": self.method,
            "path": self.path,
            "contains": self.contains,
            "nth": self.nth,
            "every": self.every,
            "times": self.times,
            "seen": self.seen,
            "hits": self.hits,
        })
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    if let Some(beginning) = pattern.strip_suffix('*') {
        return path.starts_with(beginning);
    }
    pattern.split('/').count() == path.split('/').count()
        && pattern
            .split('/')
            .zip(path.split('/'))
            .all(|(wanted, actual)| wanted.starts_with('{') || wanted == actual)
}

/// Faults by chance: the same seed and the same calls give the same faults.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    pub(crate) permille: u64,
    pub(crate) kinds: Vec<FaultKind>,
    pub(crate) delay_ms: u64,
    dice: Ids,
}

impl Chance {
    pub(crate) fn new(seed: u64, permille: u64, kinds: Vec<FaultKind>, delay_ms: u64) -> Self {
        Self {
            seed,
            permille,
            kinds,
            delay_ms,
            dice: Ids::new(seed),
        }
    }

    fn roll(&mut self) -> Option<Fault> {
        if self.dice.below(1_000) >= self.permille {
            return None;
        }
        let bound = u64::try_from(self.kinds.len()).unwrap_or(0);
        let place = usize::try_from(self.dice.below(bound)).unwrap_or(0);
        let kind = self.kinds.get(place).copied()?;
        Some(Fault {
            delay_ms: self.delay_ms,
            ..Fault::new(kind)
        })
    }
}

/// All that is to go wrong.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) chance: Option<Chance>,
    next: u64,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, mut rule: Rule) -> Value {
        self.next += 1;
        rule.id = self.next;
        let body = rule.render();
        self.rules.push(rule);
        body
    }

    /// The fault of a call. Every matching rule counts the call; the first that is due decides.
    pub(crate) fn choose(&mut self, call: &Call<'_>) -> Option<Fault> {
        let mut chosen = None;
        for rule in &mut self.rules {
            if chosen.is_none() && rule.matches(call) && rule.fires() {
                chosen = Some(rule.fault.clone());
            }
        }
        chosen.or_else(|| self.chance.as_mut().and_then(Chance::roll))
    }
}
