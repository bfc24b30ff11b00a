//! The calls of a step.

use crate::app::App;
use crate::app::budget::Class;
use crate::app::invoices::{snapshot, spoken_at};
use crate::domain::invoice::Status;
use crate::domain::reconciliation::Reconciliation;
use crate::domain::stripe_key::ApiKey;
use crate::domain::stripe_link::StripeLink;
use crate::store::{self, StoreError, reconciliations};
use crate::stripe::{
    FrozenRequest, Invoice, List, Outcome, Page, RawReply, StripeError, customers, payment_methods,
};

/// Pages of one customer's payment methods.
const METHOD_PAGES_MAX: usize = 20;

/// What Stripe said.
pub(super) enum Said {
    /// This.
    Reply(RawReply),
    /// That there is no such object.
    Missing,
    /// A page of invoices, each with all its lines.
    Invoices(List<Invoice>),
    /// An invoice with all its lines.
    Invoice(Box<Invoice>),
    /// The payment methods of a customer, and the customer itself where it may be needed.
    Methods(
        Vec<payment_methods::PaymentMethod>,
        Option<Box<customers::Customer>>,
    ),
}

/// Why a step was not done.
pub(super) enum Failed {
    /// Stripe did not answer as it should.
    Stripe(StripeError),
    /// Something here.
    Store(StoreError),
}

impl From<StripeError> for Failed {
    fn from(error: StripeError) -> Self {
        Self::Stripe(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Calls Stripe in the account's turn, and counts.
pub(super) struct Caller<'a> {
    pub(super) app: &'a App,
    pub(super) key: &'a ApiKey,
    pub(super) it: &'a Reconciliation,
    pub(super) requests: i64,
}

impl Caller<'_> {
    pub(super) async fn call(&mut self, request: &FrozenRequest) -> Result<RawReply, StripeError> {
        let it = self.it;
        self.app
            .budget
            .turn(Class::Background, &it.portal, &it.account, it.mode, request)
            .await;
        self.requests += 1;
        self.app.stripe.send_frozen(self.key, None, request).await
    }

    /// A page of invoices with their lines.
    pub(super) async fn invoices(&mut self, request: &FrozenRequest) -> Result<Said, Failed> {
        let mut page: List<Invoice> = self.call(request).await?.read()?;
        for said in &mut page.data {
            self.complete(said).await?;
        }
        Ok(Said::Invoices(page))
    }

    /// One invoice with its lines.
    pub(super) async fn invoice(&mut self, request: &FrozenRequest) -> Result<Said, Failed> {
        let reply = match self.call(request).await {
            Ok(reply) => reply,
            Err(error) if error.outcome() == Outcome::Missing => return Ok(Said::Missing),
            Err(error) => return Err(error.into()),
        };
        let mut said: Box<Invoice> = reply.read()?;
        self.complete(&mut said).await?;
        Ok(Said::Invoice(said))
    }

    /// The lines of an invoice beyond the ten that it comes with. Those of one that has come to the same
    /// end here are known: they cannot have changed since.
    async fn complete(&mut self, said: &mut Invoice) -> Result<(), Failed> {
        if said.lines.has_more && !self.has_ended_here(said).await? {
            said.read_lines(async |request| self.call(request).await)
                .await?;
        }
        Ok(())
    }

    async fn has_ended_here(&self, said: &Invoice) -> Result<bool, StoreError> {
        let it = self.it;
        let link = StripeLink {
            account: it.account.clone(),
            mode: it.mode,
            id: said.id.clone(),
        };
        let heard = snapshot(said, link, None, spoken_at(said));
        if !heard.status.is_some_and(Status::is_final) {
            return Ok(false);
        }
        let known = self
            .app
            .store
            .read(async |conn| {
                let found = reconciliations::owner_of(conn, &it.account, it.mode, &said.id).await?;
                match found {
                    Some((_, object)) => store::invoices::shown(conn, &object.local_id).await,
                    None => Ok(None),
                }
            })
            .await?;
        Ok(known.is_some_and(|known| known.invoice.has_ended_like(&heard)))
    }

    /// The payment methods of a customer, and where one of them is not known here, the customer itself;
    /// nothing when it is gone, which its own comparison tells.
    pub(super) async fn methods(
        &mut self,
        local: &str,
        customer: &str,
    ) -> Result<Option<Said>, Failed> {
        let mut all: Vec<payment_methods::PaymentMethod> = Vec::new();
        for _ in 0..METHOD_PAGES_MAX {
            let after = all.last().map(|last| last.id.clone());
            let request = payment_methods::list(customer, None, Page::largest(after.as_deref()))?;
            let reply = match self.call(&request).await {
                Ok(reply) => reply,
                Err(error) if matches!(error.outcome(), Outcome::Missing | Outcome::Rejected) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let page: List<payment_methods::PaymentMethod> = reply.read()?;
            all.extend(page.data);
            if !page.has_more {
                break;
            }
        }
        let known = self
            .app
            .store
            .read(async |conn| store::payment_methods::of_customer(conn, local).await)
            .await?;
        let is_known = |one: &payment_methods::PaymentMethod| {
            known.iter().any(|method| method.stripe.id == one.id)
        };
        let owner = if all.iter().all(is_known) {
            None
        } else {
            let reply = self.call(&customers::retrieve(customer)?).await?;
            Some(Box::new(reply.read()?))
        };
        Ok(Some(Said::Methods(all, owner)))
    }
}
