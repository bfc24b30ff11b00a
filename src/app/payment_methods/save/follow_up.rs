//! What is left to do once a payment method is stored: it becomes the default, and takes the place of
//! another.

use super::{DETACH_OLD, MOVE_SUBSCRIPTION, SET_DEFAULT, Saving, send};
use crate::app::App;
use crate::app::customers::in_lane;
use crate::app::operations::{Next, Send, state_text};
use crate::domain::error::Error;
use crate::domain::operation::Operation;
use crate::domain::payment_method::{PaymentMethod, State};
use crate::domain::subscription::Subscription;
use crate::store::{self, Conn, StoreError};
use crate::stripe::customers::{self, CustomerChange};
use crate::stripe::subscriptions::{self, SubscriptionChange};
use crate::stripe::{Change, payment_methods as there};

impl App {
    /// What is left to do once the payment method is stored.
    pub(super) async fn go_on(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        saving: Saving,
    ) -> Result<Next, StoreError> {
        let found = store::payment_methods::find(conn, &saving.method).await?;
        let (Some(customer), Some(method)) = (in_lane(conn, operation).await?, found) else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let is_default = customer.default_payment_method.as_ref() == Some(&method.id);
        if saving.set_default && !is_default {
            let id = customer.stripe.map(|link| link.id).unwrap_or_default();
            let change = CustomerChange {
                default_payment_method: Change::To(&method.stripe.id),
                ..CustomerChange::default()
            };
            let request = customers::update(&id, &change).map_err(Error::from)?;
            return send(SET_DEFAULT, request, &saving);
        }
        if let Some(old) = self.still_to_replace(conn, &saving, &method).await? {
            if let Some(next) = self.next_to_move(conn, operation, &saving, &method).await? {
                return Ok(next);
            }
            let request = there::detach(&old.stripe.id).map_err(Error::from)?;
            return send(DETACH_OLD, request, &saving);
        }
        Ok(Next::Done(self.shown_method(
            &customer,
            method,
            saving.created,
        )))
    }

    /// The payment method that is to go for this one, while it is there.
    async fn still_to_replace(
        &self,
        conn: &mut Conn,
        saving: &Saving,
        method: &PaymentMethod,
    ) -> Result<Option<PaymentMethod>, StoreError> {
        let Some(replaced) = &saving.input.replaces else {
            return Ok(None);
        };
        // One that waits for its bank cannot take another's place yet.
        if method.state != State::Usable || *replaced == method.id {
            return Ok(None);
        }
        let old = store::payment_methods::find(conn, replaced).await?;
        Ok(old.filter(|old| old.state != State::Detached))
    }

    /// Lets the next subscription that names the old payment method go on with the new one; `None`
    /// when there is none any more.
    async fn next_to_move(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        saving: &Saving,
        method: &PaymentMethod,
    ) -> Result<Option<Next>, StoreError> {
        let live = store::subscriptions::live_of_customer(conn, &method.customer_id).await?;
        let named = live
            .into_iter()
            .filter(|it| it.payment_method.is_some() && it.payment_method == saving.input.replaces);
        for subscription in named {
            let link = subscription.stripe.as_ref();
            let place = (operation.stripe_account.as_str(), operation.mode);
            let Some(id) = link.and_then(|link| link.id_in(place.0, place.1)) else {
                // It is not at Stripe yet, and will come there with the new one.
                self.move_subscription(conn, operation, &subscription, &method.id)
                    .await?;
                continue;
            };
            let change = SubscriptionChange {
                default_payment_method: Change::To(&method.stripe.id),
                ..SubscriptionChange::default()
            };
            let request = subscriptions::update(id, &change).map_err(Error::from)?;
            let moving = Saving {
                input: saving.input.clone(),
                method: saving.method.clone(),
                moving: Some(subscription.id.clone()),
                ..*saving
            };
            return Ok(Some(Next::SendNumbered(Send {
                step: MOVE_SUBSCRIPTION,
                request,
                state: Some(state_text(&moving)?),
            })));
        }
        Ok(None)
    }

    pub(super) async fn subscription_is_moved(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        saving: Saving,
    ) -> Result<Next, StoreError> {
        let id = saving.moving.as_deref().unwrap_or_default();
        if let Some(subscription) = store::subscriptions::find(conn, id).await? {
            self.move_subscription(conn, operation, &subscription, &saving.method)
                .await?;
        }
        self.go_on(conn, operation, saving).await
    }

    async fn move_subscription(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        before: &Subscription,
        method: &str,
    ) -> Result<(), StoreError> {
        let after = Subscription {
            payment_method: Some(method.to_owned()),
            version: before.version + 1,
            updated_at: self.clock.now(),
            ..before.clone()
        };
        self.store_subscription(conn, &operation.context(), before, &after)
            .await
    }

    pub(super) async fn old_is_detached(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        saving: Saving,
    ) -> Result<Next, StoreError> {
        let old = saving.input.replaces.as_deref().unwrap_or_default();
        let old = store::payment_methods::find(conn, old).await?;
        if let (Some(customer), Some(old)) = (in_lane(conn, operation).await?, old) {
            self.detached(conn, &operation.context(), customer, old)
                .await?;
        }
        self.go_on(conn, operation, saving).await
    }
}
