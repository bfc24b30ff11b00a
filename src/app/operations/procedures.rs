//! What each kind of operation does: one arm per kind, one function per question.

use crate::app::App;
use crate::app::answer::Outcome;
use crate::app::hosted::hosted_search;
use crate::app::stripe_errors::refusal;
use crate::app::subscriptions::order_search;
use crate::clock::Timestamp;
use crate::domain::error::{Code, Error};
use crate::domain::operation::{Kind, Operation};
use crate::store::{Conn, StoreError};
use crate::stripe::{FrozenRequest, RawReply, StripeError};

/// What comes next.
#[expect(clippy::large_enum_variant, reason = "one value lives per step")]
pub(in crate::app) enum Next {
    /// Another step, with its request.
    Send(Send),
    /// The same for an operation that does alike things one after another: behind the step's name
    /// stands its number within the operation.
    SendNumbered(Send),
    /// The operation is done.
    Done(Outcome),
    /// The operation came to nothing, and what it had made of local rows is undone.
    Failed(Error),
}

/// A step to be sent.
pub(in crate::app) struct Send {
    /// The step's name; with the operation's id it makes the key at Stripe, so it is unique within
    /// the operation.
    pub(in crate::app) step: &'static str,
    /// What is sent.
    pub(in crate::app) request: FrozenRequest,
    /// The operation's state from here on, if it changes.
    pub(in crate::app) state: Option<String>,
}

impl Next {
    /// Makes the step, if it is one, the operation's current step.
    pub(super) fn freeze_into(self, operation: &mut Operation, now: Timestamp) {
        match self {
            Self::Send(send) => send.freeze_into(operation, now),
            Self::SendNumbered(send) => {
                send.freeze_into(operation, now);
                let number = operation.steps_done + 1;
                operation.step = format!("{}.{number}", operation.step);
            }
            Self::Done(_) | Self::Failed(_) => {}
        }
    }
}

impl Send {
    fn freeze_into(self, operation: &mut Operation, now: Timestamp) {
        self.step.clone_into(&mut operation.step);
        operation.request = self.request.to_text();
        if let Some(state) = self.state {
            operation.state = state;
        }
        operation.sent_at = Some(now);
        operation.key_generation = 0;
        operation.attempts = 0;
        operation.uncertain = false;
    }
}

/// The pages of a list in which a lost effect would be found, newest first; the argument is the id
/// behind which the page begins. What carries the operation's id in its metadata is the effect.
pub(in crate::app) type Search = Box<dyn Fn(Option<&str>) -> Result<FrozenRequest, StripeError>>;

impl App {
    /// The first step, decided in the transaction in which the operation gets its turn.
    pub(super) async fn start(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let next = match operation.kind {
            Kind::PublishPlan | Kind::ArchivePlan => {
                Box::pin(self.start_publishing(conn, operation)).await
            }
            Kind::UpdateCustomer => Box::pin(self.start_customer_change(conn, operation)).await,
            Kind::DeleteCustomer => Box::pin(self.start_customer_removal(conn, operation)).await,
            Kind::CreateSetupIntent | Kind::CreateCheckoutSession | Kind::CreatePortalSession => {
                Box::pin(self.start_hosted(conn, operation)).await
            }
            Kind::SavePaymentMethod => Box::pin(self.start_saving(conn, operation)).await,
            Kind::DetachPaymentMethod => Box::pin(self.start_detaching(conn, operation)).await,
            Kind::CreateSubscription => Box::pin(self.start_order(conn, operation)).await,
            Kind::CreateSubscriptionCheckout => {
                Box::pin(self.start_checkout(conn, operation)).await
            }
            Kind::CancelSubscription | Kind::ChangeSubscription => {
                Box::pin(self.start_ending(conn, operation)).await
            }
            Kind::PayInvoice | Kind::VoidInvoice => {
                Box::pin(self.start_settling(conn, operation)).await
            }
        };
        decided(next)
    }

    /// What follows from Stripe's answer to the current step; changes local rows in the transaction
    /// that stores it.
    pub(super) async fn advance(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let next = match operation.kind {
            Kind::PublishPlan | Kind::ArchivePlan => {
                Box::pin(self.advance_publishing(conn, operation, reply)).await
            }
            Kind::UpdateCustomer => {
                Box::pin(self.advance_customer_change(conn, operation, reply)).await
            }
            Kind::DeleteCustomer => Box::pin(self.finish_customer_removal(conn, operation)).await,
            Kind::CreateSetupIntent | Kind::CreateCheckoutSession | Kind::CreatePortalSession => {
                Box::pin(self.advance_hosted(conn, operation, reply)).await
            }
            Kind::SavePaymentMethod => Box::pin(self.advance_saving(conn, operation, reply)).await,
            Kind::DetachPaymentMethod => {
                Box::pin(self.advance_detaching(conn, operation, reply)).await
            }
            Kind::CreateSubscription => Box::pin(self.advance_order(conn, operation, reply)).await,
            Kind::CreateSubscriptionCheckout => {
                Box::pin(self.advance_checkout(conn, operation, reply)).await
            }
            Kind::CancelSubscription | Kind::ChangeSubscription => {
                Box::pin(self.advance_ending(conn, operation, reply)).await
            }
            Kind::PayInvoice | Kind::VoidInvoice => {
                Box::pin(self.advance_settling(conn, operation, reply)).await
            }
        };
        decided(next)
    }

    /// What follows when Stripe has refused the current step for good, and nothing of it was done.
    pub(super) async fn refused(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let next = match operation.kind {
            Kind::PublishPlan | Kind::ArchivePlan => {
                Box::pin(self.refused_publishing(conn, operation, error)).await
            }
            Kind::UpdateCustomer => {
                Box::pin(self.refused_customer_change(conn, operation, error)).await
            }
            Kind::DeleteCustomer => {
                Box::pin(self.refused_customer_removal(conn, operation, error)).await
            }
            Kind::SavePaymentMethod => Box::pin(self.refused_saving(conn, operation, error)).await,
            Kind::DetachPaymentMethod => {
                Box::pin(self.refused_detaching(conn, operation, error)).await
            }
            Kind::CreateSubscription => Box::pin(self.refused_order(conn, operation, error)).await,
            Kind::CreateSubscriptionCheckout => {
                Box::pin(self.refused_checkout(conn, operation, error)).await
            }
            Kind::CancelSubscription | Kind::ChangeSubscription => {
                Box::pin(self.refused_ending(conn, operation, error)).await
            }
            Kind::PayInvoice | Kind::VoidInvoice => {
                Box::pin(self.refused_settling(conn, operation, error)).await
            }
            _ => Ok(Next::Failed(refusal(error))),
        };
        decided(next)
    }

    /// Where the current step's effect is looked for when its answer was lost and its key is of no
    /// use any more, but of [`CREATE_CUSTOMER`](crate::app::customers::CREATE_CUSTOMER). `None` for steps
    /// that may be done twice without harm.
    pub(super) fn search(&self, operation: &Operation) -> Result<Option<Search>, Error> {
        match operation.kind {
            Kind::PublishPlan | Kind::ArchivePlan => self.publishing_search(operation),
            Kind::CreateSetupIntent
            | Kind::CreateCheckoutSession
            | Kind::CreateSubscriptionCheckout => Ok(hosted_search(operation)),
            Kind::CreateSubscription => order_search(operation),
            _ => Ok(None),
        }
    }
}

/// A rule that says no in the middle of an operation ends it. What only time or another attempt
/// mends does not.
fn decided(next: Result<Next, StoreError>) -> Result<Next, StoreError> {
    match next {
        Err(StoreError::Rule(error))
            if !matches!(
                error.code(),
                Code::ConcurrentChange
                    | Code::StripeBadAnswer
                    | Code::StripeUnavailable
                    | Code::Unavailable
                    | Code::Internal
            ) =>
        {
            Ok(Next::Failed(error))
        }
        other => other,
    }
}
