//! Where an issuer's keys come from, and how long they are believed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};
use tokio::sync::Mutex;

use super::keys::{Algorithm, KeySet};
use crate::clock::{Clock, Timestamp};

/// Where an issuer's key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file; read again when a token comes more than ten seconds after the last reading.
    File(PathBuf),
    /// A URL: https, or http on loopback. Fetched again after five minutes.
    Url(String),
}

/// A key set is a few kilobytes; more is a mistake or an attack.
const KEY_SET_MAX_BYTES: usize = 262_144;
const FILE_FRESH_MS: i64 = 10_000;
const URL_FRESH_MS: i64 = 300_000;
/// How long keys are believed when the source fails: long enough to mend it, short enough that a
/// withdrawn key does not live on behind a blocked source.
const STALE_MAX_MS: i64 = 86_400_000;
/// At most one reading per this time is caused by tokens with unknown key ids, so that nobody can
/// make this service flood an issuer. It also spaces out attempts while a source fails.
const REFETCH_EVERY_MS: i64 = 30_000;
/// The same while there are no keys at all, when waiting hurts.
const FIRST_FETCH_EVERY_MS: i64 = 2_000;

/// The issuer's keys cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFailed(pub(super) String);

/// The keys of one issuer, kept.
pub(super) struct KeyCache {
    source: KeySource,
    algorithms: Vec<Algorithm>,
    clock: Clock,
    client: Client,
    held: RwLock<Option<Held>>,
    /// Held while reading: one reading at a time.
    reading: Mutex<Attempt>,
}

#[derive(Clone)]
struct Held {
    keys: Arc<KeySet>,
    read_at: Timestamp,
}

/// What happened at the source lately.
#[derive(Default)]
struct Attempt {
    /// The last failure and when its reading began, until a reading succeeds.
    failure: Option<(Timestamp, SourceFailed)>,
    /// When a token with an unknown key id last caused a reading.
    refetched_at: Option<Timestamp>,
}

impl KeyCache {
    pub(super) fn new(
        source: KeySource,
        algorithms: Vec<Algorithm>,
        fetch_timeout: Duration,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let encrypted = matches!(&source, KeySource::Url(url) if url.starts_with("https:"));
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .https_only(encrypted)
            .timeout(fetch_timeout)
            .no_proxy()
            // Readings are rare, and worker threads with runtimes of their own share this client.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            source,
            algorithms,
            clock,
            client,
            held: RwLock::default(),
            reading: Mutex::default(),
        })
    }

    /// Keys to check a token with: those held while they are fresh, else newly read ones, else, when
    /// the source fails, stale ones.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, SourceFailed> {
        let now = self.clock.now();
        let held = self.held();
        if let Some(held) = held.as_ref().filter(|held| self.is_fresh(held, now)) {
            return Ok(Arc::clone(&held.keys));
        }
        let usable = held.filter(|held| age(held.read_at, now) < STALE_MAX_MS);
        // With keys at hand nobody waits for another's reading.
        let reading = match (self.reading.try_lock(), &usable) {
            (Ok(reading), _) => Some(reading),
            (Err(_), Some(_)) => None,
            (Err(_), None) => Some(self.reading.lock().await),
        };
        if let Some(mut reading) = reading {
            let every = if usable.is_some() {
                REFETCH_EVERY_MS
            } else {
                FIRST_FETCH_EVERY_MS
            };
            match self.read_unless_recent(&mut reading, every).await {
                Ok(keys) => return Ok(keys),
                Err(failure) if usable.is_none() => return Err(failure),
                Err(_) => {}
            }
        }
        usable
            .map(|held| held.keys)
            .ok_or_else(|| SourceFailed("the source is being read".to_owned()))
    }

    /// Keys newer than `seen`, for a token whose key id is not among those; `None` when such a token
    /// caused a reading less than thirty seconds ago, or when the reading fails.
    pub(super) async fn newer_than(&self, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let mut reading = self.reading.lock().await;
        let held = self.held();
        if let Some(held) = held.filter(|held| !Arc::ptr_eq(&held.keys, seen)) {
            return Some(held.keys);
        }
        let now = self.clock.now();
        if reading
            .refetched_at
            .is_some_and(|then| age(then, now) < REFETCH_EVERY_MS)
        {
            return None;
        }
        reading.refetched_at = Some(now);
        self.read_now(&mut reading).await.ok()
    }

    fn held(&self) -> Option<Held> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn is_fresh(&self, held: &Held, now: Timestamp) -> bool {
        let fresh_ms = match self.source {
            KeySource::File(_) => FILE_FRESH_MS,
            KeySource::Url(_) => URL_FRESH_MS,
        };
        age(held.read_at, now) < fresh_ms
    }

    async fn read_unless_recent(
        &self,
        attempt: &mut Attempt,
        every_ms: i64,
    ) -> Result<Arc<KeySet>, SourceFailed> {
        let now = self.clock.now();
        // Another caller may have read while this one waited for its turn.
        if let Some(held) = self.held().filter(|held| self.is_fresh(held, now)) {
            return Ok(held.keys);
        }
        match &attempt.failure {
            Some((then, failure)) if age(*then, now) < every_ms => Err(failure.clone()),
            _ => self.read_now(attempt).await,
        }
    }

    async fn read_now(&self, attempt: &mut Attempt) -> Result<Arc<KeySet>, SourceFailed> {
        let begun_at = self.clock.now();
        let json = match &self.source {
            KeySource::File(path) => read_file(path).await,
            KeySource::Url(url) => self.fetch(url).await,
        };
        let parsed = json.and_then(|json| {
            KeySet::parse(&json, &self.algorithms)
                .map_err(|why| SourceFailed(format!("the key set {why}")))
        });
        match parsed {
            Ok(keys) => {
                if keys.len() == 0 {
                    tracing::warn!(source = ?self.source, "an issuer's key set has no usable key");
                }
                let keys = Arc::new(keys);
                let held = Held {
                    keys: Arc::clone(&keys),
                    read_at: begun_at,
                };
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held);
                attempt.failure = None;
                Ok(keys)
            }
            Err(failure) => {
                let why = &failure.0;
                tracing::warn!(source = ?self.source, why, "an issuer's keys cannot be read");
                attempt.failure = Some((begun_at, failure.clone()));
                Err(failure)
            }
        }
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, SourceFailed> {
        let failed = |error: reqwest::Error| SourceFailed(error.without_url().to_string());
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(SourceFailed(format!("the answer is {}", response.status())));
        }
        let mut json = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            json.extend_from_slice(&chunk);
            if json.len() > KEY_SET_MAX_BYTES {
                return Err(too_large());
            }
        }
        Ok(json)
    }
}

async fn read_file(path: &PathBuf) -> Result<Vec<u8>, SourceFailed> {
    let failed = |error: std::io::Error| SourceFailed(error.to_string());
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if usize::try_from(size).is_ok_and(|size| size <= KEY_SET_MAX_BYTES) {
        tokio::fs::read(path).await.map_err(failed)
    } else {
        Err(too_large())
    }
}

fn too_large() -> SourceFailed {
    SourceFailed(format!(
        "the key set is larger than {KEY_SET_MAX_BYTES} bytes"
    ))
}

/// Milliseconds from `then` to `now`; a clock that was set back makes everything old, never young.
fn age(then: Timestamp, now: Timestamp) -> i64 {
    match now.millis_since(then) {
        millis if millis < 0 => i64::MAX,
        millis => millis,
    }
}
