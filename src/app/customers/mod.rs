//! Customers: the consumer organizations a portal bills.

use std::time::Duration;

mod at_stripe;
mod change;
mod removal;
mod tax_ids;

pub(super) use at_stripe::{CREATE_CUSTOMER, customer_at_stripe, customer_search, in_lane};
pub use change::{AddressChange, CustomerChange, Field};

use super::answer::{Answer, Outcome};
use super::idempotency::{Begun, Claim};
use super::portals::{concurrent, existing};
use super::publish::Fact;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::customer::{Address, Customer, CustomerRef, TaxId};
use crate::domain::error::{Code, Error};
use crate::domain::precondition::entity_tag;
use crate::domain::slug::Slug;
use crate::domain::text::Metadata;
use crate::ids::Kind;
use crate::store::{self, Conn, StoreError};

pub use crate::store::customers::Filter;

/// What a caller says a new customer is.
#[derive(Clone)]
pub struct CustomerInput {
    /// By which the portal knows it.
    pub external_id: String,
    /// Of the organization.
    pub name: String,
    /// Where invoices go.
    pub email: String,
    /// For invoices and taxes.
    pub address: Option<Address>,
    /// For invoices.
    pub tax_ids: Vec<TaxId>,
    /// The caller's own keys and values.
    pub metadata: Metadata,
}

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
    Ok(store::customers::resolve(conn, portal, name)
        .await?
        .filter(|customer| may_see(context, &customer.external_id))
        .ok_or_else(Error::not_found)?)
}

/// Whether what belongs to this organization is for the caller.
fn may_see(context: &Context, external_id: &str) -> bool {
    let organization = context.organization.as_deref();
    organization.is_none_or(|organization| organization == external_id)
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
    Ok(store::customers::lock_named(conn, portal, name)
        .await?
        .filter(|customer| may_see(context, &customer.external_id))
        .ok_or_else(Error::not_found)?)
}

impl App {
    /// Makes a customer. Stripe is not told before it has to know.
    ///
    /// # Errors
    /// `not_found` for another organization than the caller's, `customer_exists`.
    pub async fn create_customer(
        &self,
        context: &Context,
        portal: &Slug,
        input: CustomerInput,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        if !may_see(context, &input.external_id) {
            return Err(Error::not_found());
        }
        self.once(context, portal, claim, Duration::ZERO, async |conn| {
            let now = self.clock.now();
            let input = input.clone();
            let customer = Customer {
                id: self.ids.new_id(Kind::Customer).into(),
                portal: portal.clone(),
                external_id: input.external_id,
                name: input.name,
                email: input.email,
                address: input.address,
                tax_ids: input.tax_ids,
                metadata: input.metadata,
                default_payment_method: None,
                stripe: None,
                stripe_at: None,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            if !store::customers::insert(conn, &customer).await? {
                return Err(exists(conn, customer).await?.into());
            }
            self.tell_of_customer(conn, context, &customer, "customer.created")
                .await?;
            Ok(Begun::Done(Outcome::Customer {
                customer: Box::new(customer),
                created: true,
            }))
        })
        .await
    }

    /// The customer.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn customer(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
    ) -> Result<Customer, Error> {
        let found = self
            .store
            .read(async |conn| visible_customer(conn, context, portal, name).await)
            .await?;
        Ok(found)
    }

    /// Customers of the portal, newest first; for a caller that is bound to an organization its own
    /// at most.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn customers(
        &self,
        context: &Context,
        portal: &Slug,
        filter: Filter,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Customer>, Error> {
        let hidden = |wanted: &String| !may_see(context, wanted);
        let nothing = filter.external_id.as_ref().is_some_and(hidden);
        let filter = Filter {
            external_id: context.organization.clone().or(filter.external_id),
            ..filter
        };
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                if nothing {
                    return Ok(Vec::new());
                }
                let limit = i64::from(limit) + 1;
                store::customers::list(conn, portal, &filter, after, limit).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

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
    pub(super) async fn tell_of_customer(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        change: &'static str,
    ) -> Result<(), StoreError> {
        let portal = &customer.portal;
        let entry = Draft {
            action: change,
            subject: address_of(customer),
            details: vec![("version", customer.version.to_string())],
        };
        self.record(conn, context, portal, &entry).await?;
        let shown = shown(customer.clone());
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

/// Where the API has it.
pub(super) fn address_of(customer: &Customer) -> String {
    format!("/v1/portals/{}/customers/{}", customer.portal, customer.id)
}

/// A customer that was there already, as an outcome.
fn shown(customer: Customer) -> Outcome {
    Outcome::Customer {
        customer: Box::new(customer),
        created: false,
    }
}

/// The refusal of a second customer of an external id, which names the first.
async fn exists(conn: &mut Conn, refused: Customer) -> Result<Error, StoreError> {
    let name = CustomerRef::External(refused.external_id);
    let found = store::customers::resolve(conn, &refused.portal, &name).await?;
    // Gone again in between: the caller may simply ask once more.
    let Some(found) = found else {
        return Ok(concurrent());
    };
    Ok(Error::new(
        Code::CustomerExists,
        format!(
            "The portal has a customer of this external id: {}.",
            found.id
        ),
    ))
}
