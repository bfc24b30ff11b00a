//! Taking a payment method from its customer, which Stripe never takes back.

use std::time::Duration;

use super::{left_without, method_of};
use crate::app::answer::{Answer, Outcome};
use crate::app::customers::{in_lane, locked_customer};
use crate::app::idempotency::Begun;
use crate::app::operations::{NewOperation, Next, Send};
use crate::app::stripe_errors::refusal;
use crate::app::{App, Context};
use crate::domain::credentials::Credentials;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error};
use crate::domain::operation::{Kind, Operation};
use crate::domain::payment_method::{PaymentMethod, State};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::store::{self, Conn, StoreError};
use crate::stripe::{self, RawReply, StripeError, payment_methods as there};

/// The step that does it.
const DETACH: &str = "detach_payment_method";
/// The step that looks what became of it, when Stripe says that it cannot be done.
const LOOK: &str = "retrieve_payment_method";

impl App {
    /// Takes a payment method from its customer, for good.
    ///
    /// # Errors
    /// `not_found`, also when that was done before; `precondition_failed`, `payment_method_in_use`;
    /// `module_disabled` and `stripe_not_ready`.
    pub async fn delete_payment_method(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
        id: &str,
        precondition: &Precondition,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, None, wait, async |conn| {
            let customer = locked_customer(conn, context, portal, name).await?;
            let method = method_of(conn, &customer, id).await?;
            if method.state == State::Detached {
                return Err(Error::not_found().into());
            }
            precondition.check(Some(&method.tag()))?;
            left_without(conn, &customer, Some(id)).await?;
            let credentials = self.operation_credentials(conn, portal).await?;
            if !is_there(&method, &credentials) {
                self.detached(conn, context, customer, method).await?;
                return Ok(Begun::Done(Outcome::Nothing));
            }
            let new = NewOperation {
                kind: Kind::DetachPaymentMethod,
                subject: method.id,
                organization: Some(customer.external_id),
                lane: customer.id,
                state: "{}".to_owned(),
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// The first step of an operation that detaches a payment method.
    pub(in crate::app) async fn start_detaching(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let Some((customer, method)) = of_operation(conn, operation).await? else {
            return Ok(Next::Done(Outcome::Nothing));
        };
        left_without(conn, &customer, Some(&method.id)).await?;
        Ok(Next::Send(Send {
            step: DETACH,
            request: there::detach(&method.stripe.id).map_err(Error::from)?,
            state: None,
        }))
    }

    /// What follows from Stripe's answer.
    pub(in crate::app) async fn advance_detaching(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        if operation.step == LOOK {
            let found: there::PaymentMethod = reply.read().map_err(Error::from)?;
            if found.customer.is_some() {
                let error = Error::new(Code::StripeRefused, "Stripe refuses to detach it.");
                return Ok(Next::Failed(error));
            }
        }
        self.finish_detaching(conn, operation).await
    }

    /// What follows when Stripe refuses. What is not attached there any more, because somebody
    /// detached it or an answer was lost, is as it should be.
    pub(in crate::app) async fn refused_detaching(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        match error.outcome() {
            stripe::Outcome::Missing => self.finish_detaching(conn, operation).await,
            stripe::Outcome::Rejected if operation.step == DETACH => {
                let Some((_, method)) = of_operation(conn, operation).await? else {
                    return Ok(Next::Done(Outcome::Nothing));
                };
                Ok(Next::Send(Send {
                    step: LOOK,
                    request: there::retrieve(&method.stripe.id).map_err(Error::from)?,
                    state: None,
                }))
            }
            _ => Ok(Next::Failed(refusal(error))),
        }
    }

    async fn finish_detaching(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        if let Some((customer, method)) = of_operation(conn, operation).await? {
            self.detached(conn, &operation.context(), customer, method)
                .await?;
        }
        Ok(Next::Done(Outcome::Nothing))
    }

    /// Stores that a payment method is detached. A customer whose default it was has none then:
    /// which one to pay with is for people to say.
    pub(in crate::app) async fn detached(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: Customer,
        method: PaymentMethod,
    ) -> Result<Customer, StoreError> {
        let was_default = customer.default_payment_method.as_ref() == Some(&method.id);
        let customer = if was_default {
            let without = Customer {
                default_payment_method: None,
                ..customer
            };
            self.change_customer(conn, context, without).await?
        } else {
            customer
        };
        let detached = PaymentMethod {
            state: State::Detached,
            ..method
        };
        self.change_method(conn, context, &customer, detached, "payment_method.deleted")
            .await?;
        Ok(customer)
    }
}

/// Whether Stripe has to be told. What was never attached, or is in an account that these credentials
/// do not reach, is only forgotten here.
fn is_there(method: &PaymentMethod, credentials: &Credentials) -> bool {
    let place = (credentials.account_id.as_str(), credentials.mode);
    method.state == State::Usable && method.stripe.id_in(place.0, place.1).is_some()
}

/// The payment method an operation is to detach, unless that is done.
async fn of_operation(
    conn: &mut Conn,
    operation: &Operation,
) -> Result<Option<(Customer, PaymentMethod)>, StoreError> {
    let Some(customer) = in_lane(conn, operation).await? else {
        return Ok(None);
    };
    let method = store::payment_methods::find(conn, &operation.subject).await?;
    let method = method.filter(|method| method.state != State::Detached);
    Ok(method.map(|method| (customer, method)))
}
