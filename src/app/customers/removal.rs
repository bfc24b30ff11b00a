//! Deleting a customer: at Stripe first, if Stripe knows it.

use std::time::Duration;

use super::at_stripe::in_lane;
use super::{address_of, locked_customer, shown};
use crate::app::answer::{Answer, Outcome};
use crate::app::idempotency::Begun;
use crate::app::operations::{NewOperation, Next, Send};
use crate::app::portals::concurrent;
use crate::app::publish::Fact;
use crate::app::stripe_errors::refusal;
use crate::app::{App, Context};
use crate::domain::audit::Draft;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error};
use crate::domain::operation::{Kind, Operation};
use crate::domain::payment_method::State;
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::store::stripe_objects::{self, CUSTOMER, PAYMENT_METHOD};
use crate::store::{self, Conn, StoreError, operations};
use crate::stripe::{self, StripeError, customers as there};

/// The one step.
const DELETE_CUSTOMER: &str = "delete_customer";

impl App {
    /// Deletes a customer with its payment methods and its ended subscriptions. Its invoices stay at
    /// Stripe, and what it did stays in the audit log.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `customer_in_use` with live subscriptions;
    /// `module_disabled` and `stripe_not_ready` when Stripe knows the customer.
    pub async fn delete_customer(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
        precondition: &Precondition,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, None, wait, async |conn| {
            let customer = locked_customer(conn, context, portal, name).await?;
            precondition.check(Some(&customer.tag()))?;
            check_unused(conn, &customer).await?;
            let busy = operations::lane_is_busy(conn, portal, &customer.id).await?;
            if customer.stripe.is_none() && !busy {
                self.remove_customer(conn, context, customer).await?;
                return Ok(Begun::Done(Outcome::Nothing));
            }
            let credentials = self.operation_credentials(conn, portal).await?;
            let new = NewOperation {
                kind: Kind::DeleteCustomer,
                subject: customer.id.clone(),
                organization: Some(customer.external_id),
                lane: customer.id,
                state: "{}".to_owned(),
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// The step of an operation that deletes a customer.
    pub(in crate::app) async fn start_customer_removal(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Done(Outcome::Nothing));
        };
        check_unused(conn, &customer).await?;
        let account = operation.stripe_account.as_str();
        let Some(id) = customer.stripe_id_in(account, operation.mode) else {
            // What may live in another account is out of these credentials' reach.
            return self.finish_customer_removal(conn, operation).await;
        };
        Ok(Next::Send(Send {
            step: DELETE_CUSTOMER,
            request: there::delete(id).map_err(Error::from)?,
            state: None,
        }))
    }

    /// The end of an operation that deletes a customer.
    pub(in crate::app) async fn finish_customer_removal(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        if let Some(customer) = in_lane(conn, operation).await? {
            let context = operation.context();
            self.remove_customer(conn, &context, customer).await?;
        }
        Ok(Next::Done(Outcome::Nothing))
    }

    /// What follows when Stripe refuses: one that is gone already is as good as deleted.
    pub(in crate::app) async fn refused_customer_removal(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        if error.outcome() == stripe::Outcome::Missing {
            return self.finish_customer_removal(conn, operation).await;
        }
        Ok(Next::Failed(refusal(error)))
    }

    async fn remove_customer(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: Customer,
    ) -> Result<(), StoreError> {
        let portal = customer.portal.clone();
        for method in store::payment_methods::of_customer(conn, &customer.id).await? {
            stripe_objects::forget(conn, &portal, PAYMENT_METHOD, &method.id).await?;
            if method.state != State::Detached {
                self.tell_of_lost_method(conn, context, &customer, method)
                    .await?;
            }
        }
        stripe_objects::forget(conn, &portal, CUSTOMER, &customer.id).await?;
        if !store::customers::delete(conn, &customer.id, customer.version).await? {
            return Err(concurrent().into());
        }
        let version = customer.version + 1;
        let entry = Draft {
            action: "customer.deleted",
            subject: address_of(&customer),
            details: vec![("version", version.to_string())],
        };
        self.record(conn, context, &portal, &entry).await?;
        let fact = Fact {
            event_type: "customer.deleted",
            subject: &customer.id,
            version,
            organization: Some(&customer.external_id),
            shown: &shown(customer.clone()),
        };
        self.publish(conn, &portal, &fact).await
    }
}

/// # Errors
/// `customer_in_use`.
async fn check_unused(conn: &mut Conn, customer: &Customer) -> Result<(), StoreError> {
    let (_, live) = store::customers::live_subscriptions(conn, &customer.id).await?;
    if live > 0 {
        return Err(Error::new(
            Code::CustomerInUse,
            "The customer still has live subscriptions. End them first.",
        )
        .into());
    }
    Ok(())
}
