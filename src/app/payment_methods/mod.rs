//! Payment methods of customers. Card numbers never come here: Stripe's pages and scripts take them,
//! and this service knows methods by Stripe's ids.

mod detach;
mod save;

pub use save::{SaveInput, Source};

use super::answer::Outcome;
use super::customers::{address_of, visible_customer};
use super::portals::concurrent;
use super::publish::Fact;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error};
use crate::domain::payment_method::{PaymentMethod, State};
use crate::domain::precondition::entity_tag;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::store::{self, Conn, StoreError};

/// A payment method as it is shown.
#[derive(Clone, Debug)]
pub struct MethodView {
    /// The method.
    pub method: PaymentMethod,
    /// Whether its customer pays with it unless another one is named.
    pub is_default: bool,
    /// When it is looked at: a card expires by itself.
    pub at: Timestamp,
}

impl PaymentMethod {
    /// The part of its entity tag that writers are held to.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }
}

/// The payment method that the customer pays with in this account and mode: the wanted one, else the
/// default; `None` when nothing is wanted and there is no default that can be used.
///
/// # Errors
/// `payment_method_unusable` when the wanted one is not this customer's, not of this account and mode,
/// or cannot be used now; which of them is not told.
pub(super) async fn usable_method(
    conn: &mut Conn,
    customer: &Customer,
    wanted: Option<&str>,
    now: Timestamp,
    account: &str,
    mode: Mode,
) -> Result<Option<PaymentMethod>, StoreError> {
    let Some(id) = wanted.or(customer.default_payment_method.as_deref()) else {
        return Ok(None);
    };
    let found = store::payment_methods::find(conn, id).await?;
    Ok(usable_of(found, customer, wanted, now, account, mode)?)
}

/// As [`usable_method`], of what was found under the wanted one's id, else the default's.
///
/// # Errors
/// As [`usable_method`].
pub(super) fn usable_of(
    found: Option<PaymentMethod>,
    customer: &Customer,
    wanted: Option<&str>,
    now: Timestamp,
    account: &str,
    mode: Mode,
) -> Result<Option<PaymentMethod>, Error> {
    let usable = found.filter(|method| {
        method.customer_id == customer.id
            && method.stripe.id_in(account, mode).is_some()
            && method.is_usable(now)
    });
    if usable.is_none() && wanted.is_some() {
        return Err(unusable());
    }
    Ok(usable)
}

/// The one refusal of a payment method, whatever is the matter with it.
pub(super) fn unusable() -> Error {
    Error::new(
        Code::PaymentMethodUnusable,
        "This payment method cannot be used for this customer.",
    )
}

/// Refuses to take a payment method (with `None`: the default) from a customer while a live paid
/// subscription would be left without one: one that names it, or that names none and relies on the
/// default.
///
/// # Errors
/// `payment_method_in_use`.
pub(super) async fn left_without(
    conn: &mut Conn,
    customer: &Customer,
    method: Option<&str>,
) -> Result<(), StoreError> {
    let is_default = method.is_none() || customer.default_payment_method.as_deref() == method;
    let (paid_with, _) = store::customers::live_subscriptions(conn, &customer.id).await?;
    let relies = |named: &Option<String>| match named {
        Some(named) => Some(named.as_str()) == method,
        None => is_default,
    };
    if paid_with.iter().any(relies) {
        return Err(Error::new(
            Code::PaymentMethodInUse,
            "A live subscription is paid with it. Let it be paid with another one first.",
        )
        .into());
    }
    Ok(())
}

/// The payment method of that id, if it is the customer's.
///
/// # Errors
/// `not_found`.
async fn method_of(
    conn: &mut Conn,
    customer: &Customer,
    id: &str,
) -> Result<PaymentMethod, StoreError> {
    Ok(store::payment_methods::find(conn, id)
        .await?
        .filter(|method| method.customer_id == customer.id)
        .ok_or_else(Error::not_found)?)
}

impl App {
    /// A payment method; a detached one too, since subscriptions and invoices may name it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn payment_method(
        &self,
        context: &Context,
        portal: &Slug,
        customer: &CustomerRef,
        id: &str,
    ) -> Result<MethodView, Error> {
        let found = self
            .store
            .read(async |conn| {
                let customer = visible_customer(conn, context, portal, customer).await?;
                let method = method_of(conn, &customer, id).await?;
                Ok(self.view_of_method(&customer, method))
            })
            .await?;
        Ok(found)
    }

    /// The payment methods of a customer that it has now, newest first.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn payment_methods(
        &self,
        context: &Context,
        portal: &Slug,
        customer: &CustomerRef,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<MethodView>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| {
                let customer = visible_customer(conn, context, portal, customer).await?;
                let limit = i64::from(limit) + 1;
                let found = store::payment_methods::list(conn, &customer.id, after, limit).await?;
                let views = found
                    .into_iter()
                    .map(|method| self.view_of_method(&customer, method));
                Ok(views.collect())
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    fn view_of_method(&self, customer: &Customer, method: PaymentMethod) -> MethodView {
        MethodView {
            is_default: customer.default_payment_method.as_ref() == Some(&method.id),
            method,
            at: self.clock.now(),
        }
    }

    pub(super) fn shown_method(
        &self,
        customer: &Customer,
        method: PaymentMethod,
        created: bool,
    ) -> Outcome {
        Outcome::PaymentMethod {
            view: Box::new(self.view_of_method(customer, method)),
            created,
        }
    }

    /// Stores a changed payment method as its next version, with its audit entry and its event, which
    /// `change` names.
    pub(super) async fn change_method(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        changed: PaymentMethod,
        change: &'static str,
    ) -> Result<PaymentMethod, StoreError> {
        let before = changed.version;
        let after = PaymentMethod {
            version: before + 1,
            updated_at: self.clock.now(),
            ..changed
        };
        if !store::payment_methods::update(conn, &after, before).await? {
            return Err(concurrent().into());
        }
        self.tell_of_method(conn, context, customer, after.clone(), change)
            .await?;
        Ok(after)
    }

    pub(super) async fn tell_of_method(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        method: PaymentMethod,
        change: &'static str,
    ) -> Result<(), StoreError> {
        let (id, version) = (method.id.clone(), method.version);
        let entry = Draft {
            action: change,
            subject: format!("{}/payment-methods/{id}", address_of(customer)),
            details: vec![("version", version.to_string())],
        };
        self.record(conn, context, &customer.portal, &entry).await?;
        let fact = Fact {
            event_type: change,
            subject: &id,
            version,
            organization: Some(&customer.external_id),
            shown: &self.shown_method(customer, method, false),
        };
        self.publish(conn, &customer.portal, &fact).await
    }

    /// Tells of a payment method that goes with its customer.
    pub(super) async fn tell_of_lost_method(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        method: PaymentMethod,
    ) -> Result<(), StoreError> {
        let lost = PaymentMethod {
            state: State::Detached,
            version: method.version + 1,
            updated_at: self.clock.now(),
            ..method
        };
        self.tell_of_method(conn, context, customer, lost, "payment_method.deleted")
            .await
    }
}
