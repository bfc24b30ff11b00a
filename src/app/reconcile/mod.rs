//! Reconciliation: what is stored here against what Stripe has, both ways, and mended when told.
//!
//! Stripe's lists are paged through (never Search, which lags), account-wide, within the account's
//! budget and behind callers. What is the portal's is known by `stripe_objects`, or by the metadata that
//! this service gives to what it makes; anything else is counted and left alone. What a list has not
//! shown is asked for by its id before it is called gone. Mending is what a webhook would have done:
//! the same transitions, audit entries and events. Nothing is ever created, changed or charged at Stripe.
//!
//! How far one has come is stored after every answer of Stripe's, in the transaction that took it over;
//! whichever replica finds it without a lease goes on from there.

mod adopt;
mod call;
mod checkouts;
mod customers;
mod invoices;
mod methods;
mod round;
mod step;
mod subscriptions;
mod sweep;

use std::time::Duration;

use super::answer::{Answer, Outcome};
use super::idempotency::{Begun, Claim};
use super::portals::{concurrent, existing};
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::{Actor, Draft};
use crate::domain::credentials::Credentials;
use crate::domain::error::{Code, Error};
use crate::domain::precondition::entity_tag;
use crate::domain::reconciliation::{Compared, Drift, Phase, Reconciliation, Status};
use crate::domain::slug::Slug;
use crate::ids::Kind;
use crate::store::{Conn, StoreError, reconciliations};

pub use adopt::{Adopt, AdoptCustomer, AdoptSubscription};
pub use sweep::SweepSettings;

/// How long a worker may be silent before another goes on. Longer than a call to Stripe may take.
const LEASE_MS: i64 = 60_000;
/// How often one who waits looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct ReconcileInput {
    /// Whether what is here is brought into line.
    pub repair: bool,
    /// What is to be taken over.
    pub adopt: Adopt,
}

/// A reconciliation as it is shown.
#[derive(Clone, Debug)]
pub struct ReconciliationView {
    /// How far it has come.
    pub it: Reconciliation,
    /// What it has found so far, in the order it was found; the first thousand.
    pub drift: Vec<Drift>,
}

impl Reconciliation {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }

    /// On whose behalf it changes things.
    fn context(&self) -> Context {
        Context {
            actor: Actor {
                subject: self.actor.clone(),
                issuer: self.issuer.clone(),
            },
            request_id: self.request_id.clone(),
            instance: self.instance.clone(),
            organization: None,
        }
    }
}

impl App {
    /// Begins a reconciliation. Without an idempotency key it is waited for at most `wait`; with one the
    /// answer is always that it has begun, so that repetitions can be answered alike.
    ///
    /// # Errors
    /// `not_found` for the portal, `module_disabled`, `stripe_not_ready`.
    pub async fn reconcile(
        &self,
        context: &Context,
        portal: &Slug,
        input: ReconcileInput,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let id = String::from(self.ids.new_id(Kind::Reconciliation));
        let answer = self
            .once(context, portal, claim, Duration::ZERO, async |conn| {
                let credentials = self.ready_credentials(conn, portal).await?;
                let it = Reconciliation {
                    repair: input.repair,
                    adopt: input.adopt.to_text()?,
                    ..self.new_reconciliation(&id, portal, &credentials, context)
                };
                reconciliations::insert(conn, &it).await?;
                let entry = Draft {
                    action: "reconciliation.started",
                    subject: format!("/v1/portals/{portal}/reconciliations/{id}"),
                    details: vec![("repair", it.repair.to_string())],
                };
                self.record(conn, context, portal, &entry).await?;
                let view = ReconciliationView {
                    it,
                    drift: Vec::new(),
                };
                Ok(Begun::Done(Outcome::Reconciliation(Box::new(view))))
            })
            .await?;
        if answer.replayed {
            return Ok(answer);
        }
        self.spawn_reconciliation(id.clone());
        if claim.is_some() {
            return Ok(answer);
        }
        Ok(match self.wait_for_reconciliation(&id, wait).await {
            Some(view) => Answer::fresh(
                self.render
                    .outcome(&Outcome::Reconciliation(Box::new(view))),
            ),
            None => answer,
        })
    }

    /// The portal's credentials, if they are still of the account and mode that the reconciliation works
    /// in.
    async fn credentials_of(
        &self,
        conn: &mut Conn,
        it: &Reconciliation,
    ) -> Result<Credentials, StoreError> {
        let credentials = self.ready_credentials(conn, &it.portal).await?;
        if credentials.account_id == it.account && credentials.mode == it.mode {
            return Ok(credentials);
        }
        let moved = "The portal's credentials are of another account or mode now.";
        Err(Error::new(Code::StripeNotReady, moved).into())
    }

    fn new_reconciliation(
        &self,
        id: &str,
        portal: &Slug,
        credentials: &Credentials,
        context: &Context,
    ) -> Reconciliation {
        let now = self.clock.now();
        Reconciliation {
            id: id.to_owned(),
            portal: portal.clone(),
            repair: false,
            sweep_slot: None,
            status: Status::Running,
            phase: Phase::Adopt,
            place: String::new(),
            methods_place: String::new(),
            invoices_place: String::new(),
            adopt: String::new(),
            account: credentials.account_id.clone(),
            mode: credentials.mode,
            compared: Compared::default(),
            drift: 0,
            requests: 0,
            attempts: 0,
            lease_owner: Some(self.worker_name()),
            lease_until: Some(now.plus_millis(LEASE_MS)),
            error: None,
            actor: context.actor.subject.clone(),
            issuer: context.actor.issuer.clone(),
            request_id: context.request_id.clone(),
            instance: context.instance.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
            finished_at: None,
        }
    }

    async fn wait_for_reconciliation(
        &self,
        id: &str,
        wait: Duration,
    ) -> Option<ReconciliationView> {
        let over = async {
            loop {
                let found = self
                    .store
                    .read(async |conn| shown(conn, id).await)
                    .await
                    .ok()??;
                if found.it.status != Status::Running {
                    return Some(found);
                }
                // Asleep, because another thread or process is the one that ends it.
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(wait, over).await.ok().flatten()
    }

    /// A reconciliation of the portal with what it has found.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn reconciliation(
        &self,
        portal: &Slug,
        id: &str,
    ) -> Result<ReconciliationView, Error> {
        let found = self
            .store
            .read(async |conn| {
                let found = shown(conn, id).await?;
                Ok(found
                    .filter(|found| found.it.portal == *portal)
                    .ok_or_else(Error::not_found)?)
            })
            .await?;
        Ok(found)
    }

    /// Reconciliations of the portal, newest first, regular sweeps among them.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn reconciliations(
        &self,
        portal: &Slug,
        status: Option<Status>,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Reconciliation>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                let limit = i64::from(limit) + 1;
                reconciliations::list(conn, portal, status, after, limit).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }
}

async fn shown(conn: &mut Conn, id: &str) -> Result<Option<ReconciliationView>, StoreError> {
    let Some(it) = reconciliations::find(conn, id).await? else {
        return Ok(None);
    };
    let drift = reconciliations::drift_of(conn, id).await?;
    Ok(Some(ReconciliationView { it, drift }))
}

/// Another worker has gone on with it.
fn lease_lost() -> StoreError {
    StoreError::Rule(concurrent())
}
