//! The calls of a step.

use crate::app::App;
use crate::app::budget::Class;
use crate::domain::reconciliation::Reconciliation;
use crate::domain::stripe_key::ApiKey;
use crate::store::{self, StoreError};
use crate::stripe::{
    FrozenRequest, List, Outcome, Page, RawReply, StripeError, customers, payment_methods,
};

/// Pages of one customer's payment methods.
const METHOD_PAGES_MAX: usize = 20;
/// What Stripe said.
pub(super) enum Said {
    /// This.
    Reply(RawReply),
    /// That there is no such object.
    Missing,
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
