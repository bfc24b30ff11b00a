//! Customers: the consumer organizations a portal bills.

mod at_stripe;

pub(super) use at_stripe::{CREATE_CUSTOMER, customer_search};

use super::answer::Outcome;
use super::portals::concurrent;
use super::publish::Fact;
use super::{App, Context};
use crate::domain::audit::Draft;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::Error;
use crate::domain::precondition::entity_tag;
use crate::domain::slug::Slug;
use crate::store::{self, Conn, StoreError};

impl Customer {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }
}

/// The customer of that name, as far as the caller may see it: one that is bound to an organization
/// sees its own alone, and any other looks like none.
///
/// # Errors
/// `not_found`.
pub(super) async fn visible_customer(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    name: &CustomerRef,
) -> Result<Customer, StoreError> {
    let visible = |customer: &Customer| {
        let organization = context.organization.as_ref();
        organization.is_none_or(|organization| *organization == customer.external_id)
    };
    Ok(store::customers::resolve(conn, portal, name)
        .await?
        .filter(visible)
        .ok_or_else(Error::not_found)?)
}

/// As [`visible_customer`]; nobody else changes the customer, or begins an operation about it, until
/// the transaction ends. Whoever begins an operation in a customer's lane takes this first: else two
/// of them could both find the lane free.
///
/// # Errors
/// `not_found`.
pub(super) async fn locked_customer(
    conn: &mut Conn,
    context: &Context,
    portal: &Slug,
    name: &CustomerRef,
) -> Result<Customer, StoreError> {
    let seen = visible_customer(conn, context, portal, name).await?;
    Ok(store::customers::lock(conn, &seen.id)
        .await?
        .ok_or_else(Error::not_found)?)
}

impl App {
    /// Stores a changed customer as its next version, with its audit entry and its event.
    ///
    /// # Errors
    /// `concurrent_change`.
    pub(super) async fn change_customer(
        &self,
        conn: &mut Conn,
        context: &Context,
        changed: Customer,
    ) -> Result<Customer, StoreError> {
        let before = changed.version;
        let after = Customer {
            version: before + 1,
            updated_at: self.clock.now(),
            ..changed
        };
        if !store::customers::update(conn, &after, before).await? {
            return Err(concurrent().into());
        }
        self.tell_of_customer(conn, context, &after, "customer.updated")
            .await?;
        Ok(after)
    }

    /// Writes the audit entry and the event of a customer's change; `change` names both.
    async fn tell_of_customer(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        change: &'static str,
    ) -> Result<(), StoreError> {
        let portal = &customer.portal;
        let entry = Draft {
            action: change,
            subject: format!("/v1/portals/{portal}/customers/{}", customer.id),
            details: vec![("version", customer.version.to_string())],
        };
        self.record(conn, context, portal, &entry).await?;
        let shown = Outcome::Customer {
            customer: Box::new(customer.clone()),
            created: false,
        };
        let fact = Fact {
            event_type: change,
            subject: &customer.id,
            version: customer.version,
            organization: Some(&customer.external_id),
            shown: &shown,
        };
        self.publish(conn, portal, &fact).await
    }
}
