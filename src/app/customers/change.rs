//! Changing a customer: here alone while Stripe does not know it, at Stripe first when it does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::at_stripe::in_lane;
use super::tax_ids::{self, TaxIdWork};
use super::{locked_customer, shown};
use crate::app::answer::Answer;
use crate::app::idempotency::Begun;
use crate::app::operations::{NewOperation, Next, Send, state_of, state_text};
use crate::app::payment_methods::{left_without, unusable, usable_method};
use crate::app::portals::{MetadataChange, merged};
use crate::app::stripe_errors::refusal;
use crate::app::{App, Context};
use crate::domain::credentials::Credentials;
use crate::domain::customer::{Address, Customer, CustomerRef, TaxId};
use crate::domain::error::Error;
use crate::domain::operation::{Kind, Operation};
use crate::domain::precondition::{self, Precondition};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::store::{self, Conn, StoreError, operations};
use crate::stripe::customers::{self as there, CustomerChange as ChangeThere};
use crate::stripe::{Change, FrozenRequest, RawReply, StripeError};

/// The step that brings names, addresses and the default to Stripe.
const UPDATE_CUSTOMER: &str = "update_customer";

/// A new value for a field, or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Field<T> {
    /// Nothing stands there any more.
    Clear,
    /// This.
    To(T),
}

impl<T: Clone> Field<T> {
    fn value(&self) -> Option<T> {
        match self {
            Self::Clear => None,
            Self::To(value) => Some(value.clone()),
        }
    }
}

/// What a caller changes about a customer; `None` leaves a field as it is.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct CustomerChange {
    /// The new name.
    pub name: Option<String>,
    /// The new e-mail address.
    pub email: Option<String>,
    /// What becomes of the address.
    pub address: Option<Field<AddressChange>>,
    /// All tax ids: type and value.
    pub tax_ids: Option<Vec<(String, String)>>,
    /// Keys to set, or to remove.
    pub metadata: Option<MetadataChange>,
    /// The payment method (`meth_…`) to be used unless another one is named.
    pub default_payment_method: Option<Field<String>>,
}

/// A merge patch of an address: `None` leaves a part as it is.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AddressChange {
    /// Street and number.
    pub line1: Option<Field<String>>,
    /// What else there is to say.
    pub line2: Option<Field<String>>,
    /// City or town.
    pub city: Option<Field<String>>,
    /// State, county or region.
    pub state: Option<Field<String>>,
    /// ZIP or postal code.
    pub postal_code: Option<Field<String>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Field<String>>,
}

impl AddressChange {
    fn applied(&self, before: Option<&Address>) -> Address {
        let before = before.cloned().unwrap_or_default();
        let part = |change: &Option<Field<String>>, before| match change {
            None => before,
            Some(field) => field.value(),
        };
        Address {
            line1: part(&self.line1, before.line1),
            line2: part(&self.line2, before.line2),
            city: part(&self.city, before.city),
            state: part(&self.state, before.state),
            postal_code: part(&self.postal_code, before.postal_code),
            country: part(&self.country, before.country),
        }
    }
}

impl CustomerChange {
    /// The customer with the change made.
    ///
    /// # Errors
    /// `validation_failed` for what the merged parts make.
    fn applied(&self, before: &Customer) -> Result<Customer, Error> {
        let mut errors = Vec::new();
        let address = match &self.address {
            None => before.address.clone(),
            Some(Field::Clear) => None,
            Some(Field::To(change)) => {
                let parts = change.applied(before.address.as_ref());
                Address::checked("/address", parts, &mut errors)
            }
        };
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        let tax_id = |(kind, value): &(String, String)| TaxId {
            kind: kind.clone(),
            value: value.clone(),
        };
        let changed = self.tax_ids.as_ref();
        Ok(Customer {
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            email: self.email.clone().unwrap_or_else(|| before.email.clone()),
            address,
            tax_ids: changed.map_or_else(
                || before.tax_ids.clone(),
                |all| all.iter().map(tax_id).collect(),
            ),
            metadata: merged(&before.metadata, self.metadata.as_ref())?,
            default_payment_method: match &self.default_payment_method {
                None => before.default_payment_method.clone(),
                Some(field) => field.value(),
            },
            ..before.clone()
        })
    }
}

/// What an operation of this kind remembers.
#[derive(Serialize, Deserialize)]
struct State {
    change: CustomerChange,
    /// Only while the customer is at one of these versions.
    only_at: Option<i64>,
    tax_ids: TaxIdWork,
}

impl App {
    /// Changes a customer.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `concurrent_change`, `payment_method_unusable`,
    /// `payment_method_in_use`; `validation_failed` for what merging makes; `module_disabled` and
    /// `stripe_not_ready` when Stripe knows the customer.
    pub async fn patch_customer(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
        change: CustomerChange,
        precondition: &Precondition,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, None, wait, async |conn| {
            let before = locked_customer(conn, context, portal, name).await?;
            precondition.check(Some(&before.tag()))?;
            let current = store::credentials::current(conn, portal).await?;
            let after = change.applied(&before)?;
            let place = current.as_ref().map(|it| (it.account_id.as_str(), it.mode));
            self.check_default(conn, &before, &after, place).await?;
            if before == after {
                return Ok(Begun::Done(shown(before)));
            }
            let busy = operations::lane_is_busy(conn, portal, &before.id).await?;
            if !busy && !is_known_there(&before, current.as_ref()) {
                let changed = self.change_customer(conn, context, after).await?;
                return Ok(Begun::Done(shown(changed)));
            }
            tax_ids::check_room(&before, &after)?;
            let credentials = self.operation_credentials(conn, portal).await?;
            let state = State {
                change: change.clone(),
                only_at: precondition.if_match.as_ref().map(|_| before.version),
                tax_ids: TaxIdWork::default(),
            };
            let new = NewOperation {
                kind: Kind::UpdateCustomer,
                subject: before.id.clone(),
                organization: Some(before.external_id.clone()),
                lane: before.id,
                state: state_text(&state)?,
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// Whether the default payment method may become what it is to be.
    async fn check_default(
        &self,
        conn: &mut Conn,
        before: &Customer,
        after: &Customer,
        place: Option<(&str, Mode)>,
    ) -> Result<(), StoreError> {
        if before.default_payment_method == after.default_payment_method {
            return Ok(());
        }
        let Some(wanted) = after.default_payment_method.as_deref() else {
            return left_without(conn, before, None).await;
        };
        let (account, mode) = place.ok_or_else(unusable)?;
        let now = self.clock.now();
        usable_method(conn, before, Some(wanted), now, account, mode).await?;
        Ok(())
    }

    /// The first step of an operation that changes a customer.
    pub(in crate::app) async fn start_customer_change(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let mut state: State = state_of(operation)?;
        let Some(before) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        if state
            .only_at
            .is_some_and(|version| version != before.version)
        {
            return Ok(Next::Failed(precondition::failed()));
        }
        let place = (operation.stripe_account.as_str(), operation.mode);
        let after = state.change.applied(&before)?;
        self.check_default(conn, &before, &after, Some(place))
            .await?;
        if before.stripe_id_in(place.0, place.1).is_none() {
            return self.finish_customer_change(conn, operation, &state).await;
        }
        state.tax_ids = TaxIdWork::between(&before.tax_ids, &after.tax_ids);
        self.next_change(conn, operation, state).await
    }

    /// What follows from Stripe's answer to a step of an operation that changes a customer.
    pub(in crate::app) async fn advance_customer_change(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let mut state: State = state_of(operation)?;
        if operation.step == UPDATE_CUSTOMER {
            state.tax_ids.rest_is_sent();
        } else {
            state.tax_ids.advance(operation, reply)?;
        }
        self.next_change(conn, operation, state).await
    }

    /// What follows when Stripe refuses a step of such an operation: tax ids that were given to the
    /// customer on the way are taken from it again, so that nothing is left.
    pub(in crate::app) async fn refused_customer_change(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let mut state: State = state_of(operation)?;
        match state.tax_ids.refused(operation, error) {
            // It was gone already.
            tax_ids::Refused::AsDone => self.next_change(conn, operation, state).await,
            tax_ids::Refused::Undo => {
                state.tax_ids.undo_because(&refusal(error));
                self.next_change(conn, operation, state).await
            }
        }
    }

    /// The next step that is to be done, or the end.
    async fn next_change(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        state: State,
    ) -> Result<Next, StoreError> {
        let Some(before) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let place = (operation.stripe_account.as_str(), operation.mode);
        let Some(id) = before.stripe_id_in(place.0, place.1).map(str::to_owned) else {
            return self.finish_customer_change(conn, operation, &state).await;
        };
        let mut state = state;
        loop {
            if let Some((step, request)) = state.tax_ids.next(&id)? {
                return Ok(Next::SendNumbered(step_of(step, request, &state)?));
            }
            if let Some(error) = state.tax_ids.failure() {
                return Ok(Next::Failed(error));
            }
            if state.tax_ids.is_rest_sent() {
                return self.finish_customer_change(conn, operation, &state).await;
            }
            let after = state.change.applied(&before)?;
            if let Some(request) = self.update_there(conn, &before, &after, &id).await? {
                return Ok(Next::Send(step_of(UPDATE_CUSTOMER, request, &state)?));
            }
            state.tax_ids.rest_is_sent();
        }
    }

    /// What Stripe has to be told besides tax ids; `None` when it is nothing.
    async fn update_there(
        &self,
        conn: &mut Conn,
        before: &Customer,
        after: &Customer,
        id: &str,
    ) -> Result<Option<FrozenRequest>, StoreError> {
        fn changed<'a>(before: &str, after: &'a str) -> Change<&'a str> {
            if before == after {
                Change::Keep
            } else {
                Change::To(after)
            }
        }
        let address = after.address.as_ref().map(there::Address::from);
        let mut change = ChangeThere {
            name: changed(&before.name, &after.name),
            email: changed(&before.email, &after.email),
            ..ChangeThere::default()
        };
        if before.address != after.address {
            change.address = address.as_ref().map_or(Change::Clear, Change::To);
        }
        let default = if before.default_payment_method == after.default_payment_method {
            None
        } else {
            match after.default_payment_method.as_deref() {
                None => Some(None),
                Some(wanted) => Some(store::payment_methods::find(conn, wanted).await?),
            }
        };
        if let Some(method) = &default {
            let method = method.as_ref().map(|method| method.stripe.id.as_str());
            change.default_payment_method = method.map_or(Change::Clear, Change::To);
        }
        let nothing = change.name == Change::Keep
            && change.email == Change::Keep
            && change.address == Change::Keep
            && change.default_payment_method == Change::Keep;
        if nothing {
            return Ok(None);
        }
        Ok(Some(there::update(id, &change).map_err(Error::from)?))
    }

    async fn finish_customer_change(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        state: &State,
    ) -> Result<Next, StoreError> {
        let Some(before) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let after = state.change.applied(&before)?;
        if before == after {
            return Ok(Next::Done(shown(before)));
        }
        let context = operation.context();
        let after = self.change_customer(conn, &context, after).await?;
        Ok(Next::Done(shown(after)))
    }
}

/// Whether Stripe has to be told: the customer is in the account and mode of the current credentials,
/// or the credentials are away for now.
fn is_known_there(customer: &Customer, current: Option<&Credentials>) -> bool {
    match (&customer.stripe, current) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(link), Some(current)) => link.id_in(&current.account_id, current.mode).is_some(),
    }
}

fn step_of(step: &'static str, request: FrozenRequest, state: &State) -> Result<Send, StoreError> {
    Ok(Send {
        step,
        request,
        state: Some(state_text(state)?),
    })
}
