//! One step: what is to be asked next, Stripe's answer, and what follows from it, stored in one
//! transaction with how far the reconciliation has come.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::call::{Caller, Failed, Said};
use super::round::Round;
use super::{LEASE_MS, concurrent, lease_lost};
use crate::app::App;
use crate::app::stripe_errors::refusal;
use crate::clock::Timestamp;
use crate::domain::error::{Code, Error};
use crate::domain::reconciliation::{Phase, Reconciliation, Status};
use crate::store::stripe_objects::{CUSTOMER, SUBSCRIPTION};
use crate::store::{Conn, StoreError, reconciliations};
use crate::stripe::{
    CheckoutSession, FrozenRequest, List, Outcome, Page, RawReply, StripeError, customers,
    invoices, sessions, subscriptions,
};

/// Failures in a row after which a reconciliation is given up.
const ATTEMPTS_MAX: i32 = 12;
/// How often a step is done anew because something it compares was changed meanwhile.
const RACES_MAX: usize = 8;
/// The first wait after a failure; each further one is twice as long.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
/// The longest wait between two attempts; the lease is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(20);
/// Customers whose payment methods one sweep looks at, and old invoices that it asks for; the next goes on
/// behind them.
const VISITS_PER_SWEEP: i64 = 1_000;
/// Objects that are looked at to find the next one to ask for.
const LOOKED_AT: i64 = 100;

/// What is asked of Stripe next.
enum Ask {
    /// Nothing is left in this phase.
    Nothing,
    /// A page of the phase's list.
    Page(FrozenRequest),
    /// One thing of ours, by our id of it.
    Thing(String, FrozenRequest),
    /// A page of the list of invoices.
    Invoices(FrozenRequest),
    /// One invoice of ours, by our id of it.
    Invoice(String, FrozenRequest),
    /// The payment methods of a customer: ours and Stripe's id.
    Methods(String, String),
}

impl App {
    pub(super) fn spawn_reconciliation(&self, id: String) {
        let app = self.clone();
        (self.spawn)(Box::pin(async move {
            app.run_reconciliation(&id).await;
        }));
    }

    /// Goes on with a reconciliation this process has the lease of, to its end.
    async fn run_reconciliation(&self, id: &str) {
        let found = self
            .store
            .read(async |conn| reconciliations::find(conn, id).await)
            .await;
        let mut turn = found.ok().flatten();
        while let Some(it) = turn.take() {
            if it.status != Status::Running {
                return;
            }
            match self.reconcile_step(it).await {
                Ok(next) => turn = Some(next),
                // Its lease runs out, and whoever takes it next finds it as it is stored.
                Err(error) => tracing::warn!(
                    reconciliation = id,
                    cause = %error,
                    "a reconciliation was put down"
                ),
            }
        }
    }

    async fn reconcile_step(&self, it: Reconciliation) -> Result<Reconciliation, StoreError> {
        for _ in 0..RACES_MAX {
            let error = match self.try_reconcile_step(&it).await {
                Ok(next) => return Ok(next),
                Err(Failed::Stripe(error)) => return self.stripe_failed(it, &error).await,
                Err(Failed::Store(StoreError::Rule(error))) => error,
                // Somebody else has just told of the same thing.
                Err(Failed::Store(StoreError::Unique(_))) => concurrent(),
                Err(Failed::Store(error)) => return Err(error),
            };
            match error.code() {
                // Somebody changed a thing that is compared, so that Stripe is asked once more; unless
                // it was the reconciliation itself, which somebody else goes on with.
                Code::ConcurrentChange => {
                    let id = it.id.as_str();
                    let read = self
                        .store
                        .read(async |conn| reconciliations::find(conn, id).await);
                    if read.await?.is_none_or(|now| now.version != it.version) {
                        return Err(lease_lost());
                    }
                }
                Code::StripeBadAnswer => {
                    let code = error.code().as_str();
                    return self.reconcile_later(it, code, None).await;
                }
                code => return self.give_up(it, code.as_str()).await,
            }
        }
        Err(lease_lost())
    }

    async fn try_reconcile_step(&self, it: &Reconciliation) -> Result<Reconciliation, Failed> {
        let (ask, key) = self
            .store
            .read(async |conn| {
                let credentials = self.credentials_of(conn, it).await?;
                let key = self.open_api_key(conn, &it.portal, &credentials).await?;
                Ok((self.ask(conn, it).await?, key))
            })
            .await?;
        let mut round = Round {
            context: it.context(),
            at: self.now_at_stripe(),
            began: self.clock.now(),
            it: it.clone(),
        };
        let mut caller = Caller {
            app: self,
            key: &key,
            it,
            requests: 0,
        };
        let said = match &ask {
            Ask::Nothing => None,
            Ask::Page(request) => Some(Said::Reply(caller.call(request).await?)),
            Ask::Thing(_, request) => Some(match caller.call(request).await {
                Ok(reply) => Said::Reply(reply),
                Err(error) if error.outcome() == Outcome::Missing => Said::Missing,
                Err(error) => return Err(error.into()),
            }),
            Ask::Invoices(request) => Some(caller.invoices(request).await?),
            Ask::Invoice(_, request) => Some(caller.invoice(request).await?),
            Ask::Methods(local, stripe_id) => caller.methods(local, stripe_id).await?,
        };
        round.it.requests += caller.requests;
        let taken = self
            .store
            .write(async |conn| {
                let mut round = round.clone();
                self.take_answer(conn, &mut round, &ask, said.as_ref())
                    .await?;
                self.store_round(conn, round.it).await
            })
            .await?;
        Ok(taken)
    }

    /// Stripe's time now, in whole seconds; as good as the last answer's.
    fn now_at_stripe(&self) -> Timestamp {
        let now = self.clock.now();
        let there = self.stripe.clock_reading().map_or(now, |reading| {
            reading.stripe.plus_millis(now.millis_since(reading.ours))
        });
        Timestamp::from_seconds(there.as_seconds())
    }

    async fn ask(&self, conn: &mut Conn, it: &Reconciliation) -> Result<Ask, StoreError> {
        let after = Some(it.place.as_str()).filter(|place| !place.is_empty());
        let page = Page::largest(after);
        Ok(match it.phase {
            Phase::Adopt => match self.next_to_adopt(it)? {
                Some((place, request)) => Ask::Thing(place, request),
                None => Ask::Nothing,
            },
            Phase::Customers => Ask::Page(customers::list(&customers::CustomerFilter {
                page,
                ..Default::default()
            })),
            Phase::CustomersHere => self.next_unseen(conn, it, CUSTOMER).await?,
            Phase::PaymentMethods => next_customer(conn, it).await?,
            Phase::Subscriptions => {
                Ask::Page(subscriptions::list(&subscriptions::SubscriptionFilter {
                    page,
                    ..Default::default()
                }))
            }
            Phase::SubscriptionsHere => self.next_unseen(conn, it, SUBSCRIPTION).await?,
            Phase::Checkouts => match super::checkouts::next(conn, it).await? {
                Some((local, page)) => {
                    let request = sessions::retrieve_checkout(&page).map_err(Error::from)?;
                    Ask::Thing(local, request)
                }
                None => Ask::Nothing,
            },
            Phase::Invoices => Ask::Invoices(super::invoices::page(it, page)),
            Phase::InvoicesHere => match super::invoices::next_unsettled(conn, it).await? {
                Some((local, id)) => {
                    let request = invoices::retrieve(&id, &[]).map_err(Error::from)?;
                    Ask::Invoice(local, request)
                }
                None => Ask::Nothing,
            },
            Phase::Over => Ask::Nothing,
        })
    }

    /// The next thing of ours that no list has shown and that should be at Stripe.
    async fn next_unseen(
        &self,
        conn: &mut Conn,
        it: &Reconciliation,
        kind: &str,
    ) -> Result<Ask, StoreError> {
        let mut after = it.place.clone();
        loop {
            let batch = reconciliations::objects(conn, it, kind, false, &after, LOOKED_AT).await?;
            let Some((last, _)) = batch.last() else {
                return Ok(Ask::Nothing);
            };
            last.clone_into(&mut after);
            for (local, stripe_id) in batch {
                let wanted = if kind == CUSTOMER {
                    super::customers::is_there(conn, &local, &stripe_id).await?
                } else {
                    super::subscriptions::is_live(conn, &local, &stripe_id).await?
                };
                if !wanted {
                    continue;
                }
                let request = if kind == CUSTOMER {
                    customers::retrieve(&stripe_id)
                } else {
                    subscriptions::retrieve(&stripe_id, &[])
                };
                return Ok(Ask::Thing(local, request.map_err(Error::from)?));
            }
        }
    }

    async fn take_answer(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        ask: &Ask,
        said: Option<&Said>,
    ) -> Result<(), StoreError> {
        match (ask, said) {
            (Ask::Page(_), Some(Said::Reply(reply))) => self.take_page(conn, round, reply).await,
            (Ask::Thing(local, _), Some(said)) => {
                let reply = match said {
                    Said::Reply(reply) => Some(reply),
                    _ => None,
                };
                self.take_thing(conn, round, local, reply).await?;
                local.clone_into(&mut round.it.place);
                Ok(())
            }
            (Ask::Invoices(_), Some(Said::Invoices(page))) => {
                for said in &page.data {
                    self.invoice_listed(conn, round, said).await?;
                }
                round.next_page(page);
                Ok(())
            }
            (Ask::Invoice(local, _), Some(said)) => {
                let said = match said {
                    Said::Invoice(said) => Some(said.as_ref()),
                    _ => None,
                };
                self.invoice_asked_for(conn, round, local, said).await?;
                visit(&mut round.it, local);
                Ok(())
            }
            (Ask::Methods(local, _), said) => {
                if let Some(Said::Methods(methods, customer)) = said {
                    self.take_methods(conn, round, local, methods, customer.as_deref())
                        .await?;
                }
                visit(&mut round.it, local);
                Ok(())
            }
            _ => {
                let next = if has_enough(&round.it) {
                    visited(&round.it.place).1.map(str::to_owned)
                } else {
                    None
                };
                match round.it.phase {
                    Phase::PaymentMethods => round.it.methods_place = next.unwrap_or_default(),
                    Phase::InvoicesHere => round.it.invoices_place = next.unwrap_or_default(),
                    _ => {}
                }
                round.next_phase();
                Ok(())
            }
        }
    }

    async fn take_page(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        reply: &RawReply,
    ) -> Result<(), StoreError> {
        if round.it.phase == Phase::Customers {
            let page: List<customers::Customer> = read(reply)?;
            for said in &page.data {
                self.customer_listed(conn, round, said).await?;
            }
            round.next_page(&page);
        } else {
            let page: List<subscriptions::Subscription> = read(reply)?;
            for said in &page.data {
                self.subscription_listed(conn, round, said).await?;
            }
            round.next_page(&page);
        }
        Ok(())
    }

    /// What Stripe said of one thing; `None`: that there is none.
    async fn take_thing(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        reply: Option<&RawReply>,
    ) -> Result<(), StoreError> {
        match round.it.phase {
            Phase::Adopt => self.adopt_next(conn, round, reply).await,
            Phase::CustomersHere => {
                let said = reply.map(read::<customers::Customer>).transpose()?;
                self.customer_asked_for(conn, round, local, said.as_ref())
                    .await
            }
            Phase::Checkouts => {
                let said = reply.map(read::<CheckoutSession>).transpose()?;
                self.checkout_asked_for(conn, round, local, said.as_ref())
                    .await
            }
            _ => {
                let said = reply.map(read::<subscriptions::Subscription>).transpose()?;
                self.subscription_asked_for(conn, round, local, said.as_ref())
                    .await
            }
        }
    }

    /// Stores how far it has come; the lease goes on.
    async fn store_round(
        &self,
        conn: &mut Conn,
        it: Reconciliation,
    ) -> Result<Reconciliation, StoreError> {
        let now = self.clock.now();
        let over = it.phase == Phase::Over;
        if over {
            reconciliations::forget_seen(conn, &it.id).await?;
        }
        let after = Reconciliation {
            status: if over { Status::Done } else { Status::Running },
            finished_at: over.then_some(now),
            lease_owner: (!over).then(|| self.worker_name()),
            lease_until: (!over).then(|| now.plus_millis(LEASE_MS)),
            attempts: 0,
            error: None,
            version: it.version + 1,
            updated_at: now,
            ..it
        };
        self.keep_progress(conn, &after).await?;
        Ok(after)
    }

    async fn keep_progress(
        &self,
        conn: &mut Conn,
        after: &Reconciliation,
    ) -> Result<(), StoreError> {
        if !reconciliations::update(conn, after, after.version - 1).await? {
            return Err(lease_lost());
        }
        if after.status != Status::Running {
            metrics::counter!("reconciliations_total", "status" => after.status.as_str())
                .increment(1);
        }
        Ok(())
    }

    async fn stripe_failed(
        &self,
        it: Reconciliation,
        error: &StripeError,
    ) -> Result<Reconciliation, StoreError> {
        let outcome = error.outcome();
        metrics::counter!("stripe_failures_total", "outcome" => outcome.as_str()).increment(1);
        tracing::info!(
            reconciliation = it.id,
            outcome = outcome.as_str(),
            stripe_request_id = error.request_id(),
            cause = error.log_text(),
            "a call to Stripe failed"
        );
        if outcome == Outcome::Throttled {
            self.budget
                .throttled(&it.account, it.mode, error.retry_after());
        }
        let code = refusal(error).code().as_str();
        if error.is_retryable() {
            self.reconcile_later(it, code, error.retry_after()).await
        } else {
            self.give_up(it, code).await
        }
    }

    /// The same step later, or none any more, after too many failures.
    async fn reconcile_later(
        &self,
        it: Reconciliation,
        code: &str,
        retry_after: Option<Duration>,
    ) -> Result<Reconciliation, StoreError> {
        let attempts = it.attempts.saturating_add(1);
        if attempts >= ATTEMPTS_MAX {
            return self.give_up(it, code).await;
        }
        let now = self.clock.now();
        let waiting = Reconciliation {
            attempts,
            error: Some(code.to_owned()),
            requests: it.requests + 1,
            lease_until: Some(now.plus_millis(LEASE_MS)),
            version: it.version + 1,
            updated_at: now,
            ..it
        };
        self.store
            .write(async |conn| self.keep_progress(conn, &waiting).await)
            .await?;
        let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(16);
        let delay = FIRST_BACKOFF
            .saturating_mul(1 << doublings)
            .max(retry_after.unwrap_or_default())
            .min(LONGEST_BACKOFF);
        // Asleep, because only time makes Stripe answer differently.
        tokio::time::sleep(delay).await;
        Ok(waiting)
    }

    async fn give_up(&self, it: Reconciliation, code: &str) -> Result<Reconciliation, StoreError> {
        let now = self.clock.now();
        tracing::warn!(
            reconciliation = it.id,
            code,
            "a reconciliation was given up"
        );
        let failed = Reconciliation {
            status: Status::Failed,
            error: Some(code.to_owned()),
            lease_owner: None,
            lease_until: None,
            finished_at: Some(now),
            version: it.version + 1,
            updated_at: now,
            ..it
        };
        self.store
            .write(async |conn| {
                reconciliations::forget_seen(conn, &failed.id).await?;
                self.keep_progress(conn, &failed).await
            })
            .await?;
        Ok(failed)
    }
}

/// How many were asked for one by one in this phase, and the last of them.
pub(super) fn visited(place: &str) -> (i64, Option<&str>) {
    match place.split_once(' ') {
        Some((count, last)) => (count.parse().unwrap_or(0), Some(last)),
        None => (0, None),
    }
}

fn visit(it: &mut Reconciliation, local: &str) {
    it.place = format!("{} {local}", visited(&it.place).0 + 1);
}

/// Whether a sweep has asked for as many as it does; the next goes on behind them.
pub(super) fn has_enough(it: &Reconciliation) -> bool {
    it.sweep_slot.is_some() && visited(&it.place).0 >= VISITS_PER_SWEEP
}

/// The next customer whose payment methods are compared, of those that Stripe has.
async fn next_customer(conn: &mut Conn, it: &Reconciliation) -> Result<Ask, StoreError> {
    if has_enough(it) {
        return Ok(Ask::Nothing);
    }
    let after = visited(&it.place).1.unwrap_or(&it.methods_place);
    let next = reconciliations::objects(conn, it, CUSTOMER, true, after, 1).await?;
    Ok(match next.into_iter().next() {
        Some((local, stripe_id)) => Ask::Methods(local, stripe_id),
        None => Ask::Nothing,
    })
}

pub(super) fn read<T: DeserializeOwned>(reply: &RawReply) -> Result<T, StoreError> {
    Ok(reply.read().map_err(Error::from)?)
}
