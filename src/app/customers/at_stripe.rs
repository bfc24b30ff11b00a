//! A customer at Stripe: made when first needed, by whichever operation needs it first.

use crate::app::App;
use crate::app::operations::Search;
use crate::app::stripe_metadata::{CUSTOMER, EXTERNAL_ID, made_by};
use crate::clock::Timestamp;
use crate::domain::customer::{Address, Customer};
use crate::domain::error::Error;
use crate::domain::operation::Operation;
use crate::domain::stripe_link::StripeLink;
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::{self, Conn, StoreError};
use crate::stripe::customers::{self as there, CustomerFilter, NewCustomer, NewTaxId};
use crate::stripe::{Created, FrozenRequest, Page, RawReply};

/// The step that makes the customer at Stripe.
pub(in crate::app) const CREATE_CUSTOMER: &str = "create_customer";
/// Stripe's clock and ours may differ by this much when a lost customer is looked for.
const SKEW_MS: i64 = 60 * 60 * 1000;

impl From<&Address> for there::Address {
    fn from(address: &Address) -> Self {
        let Address {
            line1,
            line2,
            city,
            state,
            postal_code,
            country,
        } = address.clone();
        Self {
            line1,
            line2,
            city,
            state,
            postal_code,
            country,
        }
    }
}

impl App {
    /// What makes the customer at Stripe, with a payment method (`pm_…`) attached to it when one is
    /// given, which is what its invoices are paid with if `set_default`: one call for all of it.
    ///
    /// # Errors
    /// None today.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the other requests of steps look the same"
    )]
    pub(in crate::app) fn create_customer_request(
        &self,
        operation: &Operation,
        customer: &Customer,
        payment_method: Option<&str>,
        set_default: bool,
    ) -> Result<FrozenRequest, StoreError> {
        let address = customer.address.as_ref().map(there::Address::from);
        let tax_ids: Vec<NewTaxId<'_>> = customer
            .tax_ids
            .iter()
            .map(|tax_id| NewTaxId {
                kind: &tax_id.kind,
                value: &tax_id.value,
            })
            .collect();
        Ok(there::create(&NewCustomer {
            name: Some(&customer.name),
            email: Some(&customer.email),
            address: address.as_ref(),
            tax_ids: &tax_ids,
            metadata: made_by(
                operation,
                &[
                    (CUSTOMER, &customer.id),
                    (EXTERNAL_ID, &customer.external_id),
                ],
            ),
            payment_method,
            default_payment_method: payment_method.filter(|_| set_default),
        }))
    }

    /// Stores which Customer at Stripe is the one whose lane the operation is in, from Stripe's answer
    /// to [`CREATE_CUSTOMER`].
    ///
    /// # Errors
    /// `stripe_bad_answer` when the answer is no customer; `concurrent_change`.
    pub(in crate::app) async fn store_customer_link(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Customer, StoreError> {
        let made: there::Customer = reply.read().map_err(Error::from)?;
        let customer = in_lane(conn, operation)
            .await?
            .ok_or_else(Error::not_found)?;
        let link = StripeLink {
            account: operation.stripe_account.clone(),
            mode: operation.mode,
            id: made.id,
        };
        if customer.stripe.as_ref() == Some(&link) {
            // Somebody else has recognized it by its metadata.
            return Ok(customer);
        }
        let object = StripeObject {
            account_id: link.account.clone(),
            mode: link.mode,
            stripe_id: link.id.clone(),
            kind: stripe_objects::CUSTOMER.to_owned(),
            local_id: customer.id.clone(),
        };
        stripe_objects::insert(conn, &operation.portal, &object, self.clock.now()).await?;
        let linked = Customer {
            stripe: Some(link),
            stripe_at: made.created,
            ..customer
        };
        self.change_customer(conn, &operation.context(), linked)
            .await
    }
}

/// The customer whose lane the operation is in; locked until the transaction ends.
///
/// # Errors
/// What the database answers.
pub(in crate::app) async fn in_lane(
    conn: &mut Conn,
    operation: &Operation,
) -> Result<Option<Customer>, StoreError> {
    store::customers::lock(conn, &operation.lane).await
}

/// The Customer that is known by now to be the one whose lane the operation is in, as an answer of Stripe's
/// to [`CREATE_CUSTOMER`] that says no more than that.
///
/// # Errors
/// What the database answers.
pub(in crate::app) async fn customer_at_stripe(
    conn: &mut Conn,
    operation: &Operation,
) -> Result<Option<RawReply>, StoreError> {
    let customer = store::customers::find(conn, &operation.lane).await?;
    let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
    Ok(customer.and_then(|customer| {
        let id = customer.stripe_id_in(account, mode)?;
        let said = serde_json::json!({"id": id, "object": "customer"});
        Some(RawReply::found(said.to_string()))
    }))
}

/// Where a customer is looked for whose making, at or after this time, was not answered.
pub(in crate::app) fn customer_search(since: Timestamp) -> Search {
    let created = Created::since(since.plus_millis(-SKEW_MS));
    Box::new(move |after| {
        Ok(there::list(&CustomerFilter {
            created,
            page: Page::largest(after),
            ..CustomerFilter::default()
        }))
    })
}
