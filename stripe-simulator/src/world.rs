//! The accounts, by key.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::account::Account;
use crate::clock::ClockMode;
use crate::faults::FaultPlan;
use crate::ids::Ids;
use crate::request_log::{LoggedRequest, RequestLog};
use crate::shapes;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) clock: ClockMode,
    pub(crate) keys: Vec<String>,
    pub(crate) upstream_latency_ms: u64,
    /// Of requests that name none.
    pub(crate) default_api_version: String,
    /// Whether answers are checked against the response shapes from the start.
    pub(crate) check_responses: bool,
}

/// A registered API key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) kind: KeyKind,
    pub(crate) account: Arc<Mutex<Account>>,
    pub(crate) account_id: String,
    pub(crate) livemode: bool,
    pub(crate) revoked: bool,
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Secret,
    Publishable,
    /// Names such as `rak_customer_read`; a `write` permission includes `read`.
    Restricted(BTreeSet<String>),
}

/// By id and livemode.
type Accounts = BTreeMap<(String, bool), Arc<Mutex<Account>>>;

/// Everything a running simulator knows.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) base_url: String,
    keys: RwLock<HashMap<String, Key>>,
    accounts: RwLock<Accounts>,
    next_request: AtomicU64,
    /// What is to go wrong.
    pub(crate) faults: Mutex<FaultPlan>,
    pub(crate) requests: Mutex<RequestLog>,
    /// Keys of requests that are being answered: API key and idempotency key.
    in_flight: Mutex<HashSet<(String, String)>>,
    checks_responses: AtomicBool,
    /// Told when a delivery is ready.
    pub(crate) wake: Arc<Notify>,
    /// Told when an attempt is over.
    pub(crate) settled: Notify,
    violations: Mutex<Vec<String>>,
}

/// A lock that a panicking handler poisoned is still good: handlers are caught one by one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody reads more; the list must not grow without end.
const MAX_VIOLATIONS: usize = 1_000;

pub(crate) const DEFAULT_ACCOUNT: &str = "acct_1Simulator000000";

impl World {
    pub(crate) fn new(settings: Settings, base_url: String) -> Self {
        let world = Self {
            base_url,
            keys: RwLock::default(),
            accounts: RwLock::default(),
            next_request: AtomicU64::new(settings.seed),
            faults: Mutex::default(),
            requests: Mutex::default(),
            in_flight: Mutex::default(),
            checks_responses: AtomicBool::new(settings.check_responses),
            wake: Arc::default(),
            settled: Notify::new(),
            violations: Mutex::default(),
            settings,
        };
        for key in ["sk_test_simulator", "pk_test_simulator"] {
            world.register(key, DEFAULT_ACCOUNT, BTreeSet::new());
        }
        for key in world.settings.keys.clone() {
            world.register(&key, DEFAULT_ACCOUNT, BTreeSet::new());
        }
        world
    }

    /// Registers a key for an account, which is made when it is new. Permissions are for `rk_`
    /// keys. `false` when the text is not a key.
    pub(crate) fn register(
        &self,
        key: &str,
        account_id: &str,
        permissions: BTreeSet<String>,
    ) -> bool {
        let Some((kind, livemode)) = read_key(key, permissions) else {
            return false;
        };
        let account = self.account(account_id, livemode);
        let entry = Key {
            kind,
            account,
            account_id: account_id.to_owned(),
            livemode,
            revoked: false,
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.to_owned(), entry);
        true
    }

    /// `false` when the key is unknown.
    pub(crate) fn revoke(&self, key: &str) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.get_mut(key)
            .map(|entry| entry.revoked = true)
            .is_some()
    }

    pub(crate) fn key(&self, key: &str) -> Option<Key> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Every key, revoked ones too, in order.
    pub(crate) fn keys(&self) -> Vec<(String, Key)> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = keys
            .iter()
            .map(|(text, key)| (text.clone(), key.clone()))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Empties every account in place.
    pub(crate) fn reset(&self) {
        for account in self.accounts() {
            let mut account = lock(&account);
            let (id, livemode) = (account.id.clone(), account.livemode);
            *account = self.fresh(&id, livemode);
        }
        *lock(&self.faults) = FaultPlan::default();
        *lock(&self.requests) = RequestLog::default();
    }

    fn fresh(&self, id: &str, livemode: bool) -> Account {
        // Accounts differ in their ids; the same account id under the same seed does not.
        let seed = id.bytes().fold(self.settings.seed, |seed, byte| {
            seed.wrapping_mul(0x0100_0000_01B3) ^ u64::from(byte)
        });
        let wake = Arc::clone(&self.wake);
        Account::new(
            id,
            livemode,
            seed,
            self.settings.clock,
            &self.base_url,
            wake,
        )
    }

    /// The account of this id and mode, made when it is new.
    pub(crate) fn account(&self, id: &str, livemode: bool) -> Arc<Mutex<Account>> {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = accounts
            .entry((id.to_owned(), livemode))
            .or_insert_with(|| Arc::new(Mutex::new(self.fresh(id, livemode))));
        Arc::clone(entry)
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<Mutex<Account>>> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.values().map(Arc::clone).collect()
    }

    /// Whether answers are checked against the response shapes.
    pub(crate) fn checks_responses(&self) -> bool {
        self.checks_responses.load(Ordering::Relaxed)
    }

    /// Switches the check on or off and forgets what was found.
    pub(crate) fn check_responses(&self, check: bool) {
        self.checks_responses.store(check, Ordering::Relaxed);
        lock(&self.violations).clear();
    }

    /// Where answers, and what events are about, differed from the response shapes.
    pub(crate) fn violations(&self) -> Vec<String> {
        if self.checks_responses() {
            self.check_events();
        }
        lock(&self.violations).clone()
    }

    fn check_events(&self) {
        for account in self.accounts() {
            let account = lock(&account);
            // Events of API v2 are thin ones, of another shape.
            let events = account.events.oldest_first();
            for event in events.filter(|event| !event.kind.starts_with("v2.")) {
                for violation in shapes::check_object(&event.render()) {
                    self.note_violation(format!("event {}: {violation}", event.kind));
                }
            }
        }
    }

    /// Keeps a difference; the same one is kept once.
    pub(crate) fn note_violation(&self, found: String) {
        let mut violations = lock(&self.violations);
        if violations.len() < MAX_VIOLATIONS && !violations.contains(&found) {
            violations.push(found);
        }
    }

    pub(crate) fn log(&self, entry: LoggedRequest) {
        lock(&self.requests).push(entry);
    }

    /// Claims an idempotency key for the time that its request takes; `None` while another
    /// request has it.
    pub(crate) fn claim(&self, authorization: &str, key: &str) -> Option<Claim<'_>> {
        let claim = (authorization.to_owned(), key.to_owned());
        let is_free = lock(&self.in_flight).insert(claim.clone());
        is_free.then_some(Claim { world: self, claim })
    }

    /// The id of the next request. Ids of requests are not part of an account's history, so
    /// they come from a counter of their own.
    pub(crate) fn next_request_id(&self) -> String {
        let number = self.next_request.fetch_add(1, Ordering::Relaxed);
        Ids::new(number).short("req_")
    }
}

/// A claimed idempotency key; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    world: &'a World,
    claim: (String, String),
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        lock(&self.world.in_flight).remove(&self.claim);
    }
}

fn read_key(key: &str, permissions: BTreeSet<String>) -> Option<(KeyKind, bool)> {
    let mut parts = key.splitn(3, '_');
    let kind = match parts.next()? {
        "sk" => KeyKind::Secret,
        "pk" => KeyKind::Publishable,
        "rk" => KeyKind::Restricted(permissions),
        _ => return None,
    };
    let livemode = match parts.next()? {
        "test" => false,
        "live" => true,
        _ => return None,
    };
    parts.next().filter(|rest| !rest.is_empty())?;
    Some((kind, livemode))
}
