//! The keys that sign access tokens: made, turned and published. The database is asked each time, so
//! that every replica signs with the same key and publishes the same set.

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::signing_key::{Schedule, State, Step, step};
use crate::secret::{SecretError, SigningKey};
use crate::store::signing_keys::{self, StoredKey};
use crate::store::{Conn, StoreError};

/// Seconds for which the published set may be kept.
const SET_MAX_AGE_SECONDS: u32 = 300;
/// How long a key is published before it signs: longer than any copy of the set is kept.
const ANNOUNCED_MS: i64 = 60 * 60 * 1000;
/// How long a key stays published after it signed last: longer than any token is valid (300 s), with
/// room for clocks that differ.
const KEPT_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// More than one look of the schedule ever asks for.
const STEPS_MAX: usize = 8;

/// A key that whoever verifies may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    kty: String,
    crv: String,
    /// The public half in base64url.
    pub x: String,
    #[serde(rename = "use")]
    usage: String,
    alg: String,
    /// Its name.
    pub kid: String,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// The keys, newest first.
    pub keys: Vec<PublicKey>,
    /// Seconds for which it may be kept.
    pub max_age_seconds: u32,
}

fn sealing(error: SecretError) -> StoreError {
    Error::internal(format!("signing key: {error}")).into()
}

fn public_jwk(key: &SigningKey) -> Result<String, StoreError> {
    let public = PublicKey {
        kty: "OKP".to_owned(),
        crv: "Ed25519".to_owned(),
        x: key.public(),
        usage: "sig".to_owned(),
        alg: "EdDSA".to_owned(),
        kid: key.id(),
    };
    serde_json::to_string(&public).map_err(|error| StoreError::Other(error.to_string()))
}

impl App {
    /// The public halves of the keys that have signed, sign and will sign.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn signing_key_set(&self) -> Result<KeySet, Error> {
        let mut stored = self
            .store
            .read(async |conn| signing_keys::all(conn).await)
            .await?;
        if stored.is_empty() {
            self.turn_signing_keys().await?;
            stored = self
                .store
                .read(async |conn| signing_keys::all(conn).await)
                .await?;
        }
        let keys = stored
            .iter()
            .map(|key| serde_json::from_str(&key.public_jwk))
            .collect::<Result<_, _>>()
            .map_err(|_| Error::from(StoreError::corrupt("signing_keys.public_jwk")))?;
        Ok(KeySet {
            keys,
            max_age_seconds: SET_MAX_AGE_SECONDS,
        })
    }

    /// Does what the schedule of the keys asks for now; tells whether there was anything. Two that do
    /// so at once do it once: each change holds only for the state it was decided from.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn turn_signing_keys(&self) -> Result<bool, Error> {
        let schedule = Schedule {
            signs_ms: i64::from(self.access_settings.signing_key_days) * DAY_MS,
            announced_ms: ANNOUNCED_MS,
            kept_ms: KEPT_MS,
        };
        // Looked at first without a transaction: nearly always there is nothing to do.
        let keys = self
            .store
            .read(async |conn| signing_keys::turns(conn).await)
            .await?;
        if step(&keys, schedule, self.clock.now()).is_none() {
            return Ok(false);
        }
        let turned = self
            .store
            .write(async |conn| {
                let mut turned = false;
                for _ in 0..STEPS_MAX {
                    let now = self.clock.now();
                    let keys = signing_keys::turns(conn).await?;
                    let Some(step) = step(&keys, schedule, now) else {
                        break;
                    };
                    if !self.take_step(conn, &step, now).await? {
                        break;
                    }
                    turned = true;
                }
                Ok(turned)
            })
            .await?;
        Ok(turned)
    }

    /// Tells whether it was still to be done.
    async fn take_step(
        &self,
        conn: &mut Conn,
        step: &Step,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match step {
            Step::Make(state) => {
                let key = self.new_signing_key(*state, now)?;
                signing_keys::insert(conn, &key).await
            }
            Step::Activate(next) => signing_keys::activate(conn, next, now).await,
            Step::Replace(active, next) => {
                if !signing_keys::retire(conn, active, now).await? {
                    return Ok(false);
                }
                if !signing_keys::activate(conn, next, now).await? {
                    return Err(Error::internal("the next signing key is gone").into());
                }
                Ok(true)
            }
            Step::Remove(retired) => signing_keys::remove(conn, retired).await,
        }
    }

    fn new_signing_key(&self, state: State, now: Timestamp) -> Result<StoredKey, StoreError> {
        let key = SigningKey::generate().map_err(sealing)?;
        let id = key.id();
        Ok(StoredKey {
            state: state.as_str().to_owned(),
            public_jwk: public_jwk(&key)?,
            sealed: key.seal(&self.keys, &id).map_err(sealing)?,
            master_key_id: self.keys.current_id().to_string(),
            created_at: now.as_millis(),
            activated_at: (state == State::Active).then_some(now.as_millis()),
            retired_at: None,
            id,
        })
    }

    /// The key that signs.
    pub(super) fn open_signing_key(&self, stored: &StoredKey) -> Result<SigningKey, StoreError> {
        SigningKey::open(&self.keys, &stored.sealed, &stored.id).map_err(sealing)
    }

    /// Seals the signing keys anew under the current master key; gives how many, and how many others
    /// have sealed or removed in between.
    ///
    /// # Errors
    /// `internal_error` when a key is sealed under a master key that is not at hand.
    pub(in crate::app) async fn reseal_signing_keys(&self) -> Result<(usize, usize), Error> {
        let current = self.keys.current_id().to_string();
        let due = self
            .store
            .read(async |conn| signing_keys::not_under(conn, &current).await)
            .await?;
        let (mut resealed, mut skipped) = (0, 0);
        for old in &due {
            let key = self.open_signing_key(old)?;
            let sealed = key.seal(&self.keys, &old.id).map_err(sealing)?;
            let changed = self
                .store
                .write(async |conn| signing_keys::reseal(conn, old, &current, &sealed).await)
                .await?;
            if changed {
                resealed += 1;
            } else {
                skipped += 1;
            }
        }
        Ok((resealed, skipped))
    }
}
