//! Regular sweeps: of each portal at its own times, mended as they go, so that what webhooks have lost
//! is right again after at most two.

use super::LEASE_MS;
use crate::app::{App, Context};
use crate::clock::Timestamp;
use crate::domain::audit::Actor;
use crate::domain::error::Error;
use crate::domain::reconciliation::{Reconciliation, sweep_slot};
use crate::domain::slug::Slug;
use crate::ids::Kind;
use crate::store::{StoreError, reconciliations};

/// Reconciliations taken up by one look of the background loop.
const DUE_AT_ONCE: i64 = 16;
/// How long sweeps are kept after their end.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// How often portals are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// Minutes between two sweeps of a portal; 0: none.
    pub every_minutes: u32,
}

impl App {
    /// Takes up reconciliations that nobody works on, and begins the sweeps that are due. Tells how many
    /// it has taken up.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn run_due_reconciliations(&self, settings: SweepSettings) -> Result<usize, Error> {
        self.begin_sweeps(settings).await?;
        let now = self.clock.now();
        let due = self
            .store
            .read(async |conn| reconciliations::due(conn, now, DUE_AT_ONCE).await)
            .await?;
        let mut taken = 0;
        for it in due {
            let after = Reconciliation {
                lease_owner: Some(self.worker_name()),
                lease_until: Some(now.plus_millis(LEASE_MS)),
                version: it.version + 1,
                updated_at: now,
                ..it
            };
            let mine = self
                .store
                .write(async |conn| reconciliations::update(conn, &after, after.version - 1).await)
                .await?;
            if mine {
                self.spawn_reconciliation(after.id);
                taken += 1;
            }
        }
        Ok(taken)
    }

    async fn begin_sweeps(&self, settings: SweepSettings) -> Result<(), Error> {
        let every = i64::from(settings.every_minutes) * MINUTE_MS;
        if every == 0 {
            return Ok(());
        }
        let now = self.clock.now();
        let portals = self
            .store
            .read(async |conn| reconciliations::portals_to_sweep(conn).await)
            .await?;
        for (portal, since) in portals {
            let slot = sweep_slot(&portal, now, every);
            // The first one is for what may have been lost since the credentials were stored.
            if since < slot {
                self.begin_sweep(&portal, slot).await?;
            }
        }
        Ok(())
    }

    /// Begins the portal's sweep of that time, unless that was done, or another reconciliation of the
    /// portal is running, which does the same.
    async fn begin_sweep(&self, portal: &Slug, slot: Timestamp) -> Result<(), StoreError> {
        let last = self
            .store
            .read(async |conn| reconciliations::last_sweep(conn, portal).await)
            .await?;
        if last.as_ref().is_some_and(|last| last.slot >= slot) {
            return Ok(());
        }
        let now = self.clock.now();
        self.store
            .write(async |conn| {
                if reconciliations::is_running(conn, portal).await? {
                    return Ok(());
                }
                let credentials = match self.ready_credentials(conn, portal).await {
                    Ok(credentials) => credentials,
                    // Disabled or removed just now.
                    Err(StoreError::Rule(_)) => return Ok(()),
                    Err(error) => return Err(error),
                };
                let before = now.plus_millis(-KEPT_MS);
                reconciliations::delete_sweeps(conn, portal, before).await?;
                let id = String::from(self.ids.new_id(Kind::Reconciliation));
                let context = sweeper(portal, &id);
                let places = last
                    .clone()
                    .map(|last| (last.methods_place, last.invoices_place));
                let (methods_place, invoices_place) = places.unwrap_or_default();
                let it = Reconciliation {
                    repair: true,
                    sweep_slot: Some(slot),
                    methods_place,
                    invoices_place,
                    lease_owner: None,
                    lease_until: None,
                    ..self.new_reconciliation(&id, portal, &credentials, &context)
                };
                reconciliations::insert(conn, &it).await?;
                Ok(())
            })
            .await
    }
}

/// In whose name a sweep changes things.
fn sweeper(portal: &Slug, id: &str) -> Context {
    Context {
        actor: Actor {
            subject: "reconciliation".to_owned(),
            issuer: "portal-billing".to_owned(),
        },
        request_id: id.to_owned(),
        instance: format!("/v1/portals/{portal}/reconciliations/{id}"),
        organization: None,
    }
}
