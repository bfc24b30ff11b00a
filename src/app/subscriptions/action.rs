//! What a consumer has to do to finish a subscription. The client secret that does it in a browser, or
//! the address of the page where it is done, is sealed at rest.

use secrecy::ExposeSecret;

use super::ActionView;
use crate::app::App;
use crate::app::vault::Place;
use crate::domain::subscription::{ActionType, Status, Subscription};
use crate::store::subscription_actions::{self, StoredAction};
use crate::store::{Conn, StoreError};
use crate::stripe::Expandable;
use crate::stripe::subscriptions as there;

const FIELD: &str = "subscription_actions.sealed";

fn place(subscription: &str) -> Place<'_> {
    Place {
        row: subscription,
        field: FIELD,
        version: 1,
    }
}

/// What is left to do, as Stripe's answer says it: to authenticate the first payment of an incomplete
/// one, or the payment method of one that begins without a payment.
fn left_to_do(subscription: &Subscription, answer: &there::Subscription) -> Option<ActionView> {
    if subscription.status == Status::Incomplete {
        let invoice = answer.latest_invoice.as_ref().and_then(Expandable::object);
        let secret = invoice.and_then(|invoice| invoice.confirmation_secret.as_ref());
        return Some(ActionView {
            action_type: ActionType::Authenticate,
            client_secret: secret.and_then(|secret| secret.client_secret.clone()),
            url: invoice.and_then(|invoice| invoice.hosted_invoice_url.clone()),
        });
    }
    let setup = answer.pending_setup_intent.as_ref()?.object()?;
    if subscription.status.is_final() {
        return None;
    }
    Some(ActionView {
        action_type: ActionType::AuthenticateSetup,
        client_secret: setup.client_secret.clone(),
        url: None,
    })
}

impl App {
    /// Keeps what is left to do for a subscription, by Stripe's answer; forgets it when nothing is.
    pub(super) async fn keep_action(
        &self,
        conn: &mut Conn,
        (before, subscription): (&Subscription, &Subscription),
        answer: &there::Subscription,
    ) -> Result<(), StoreError> {
        let Some(action) = left_to_do(subscription, answer) else {
            // Nothing is left to do for what is only now on its way to Stripe.
            if before.status == Status::Provisioning {
                return Ok(());
            }
            return subscription_actions::delete(conn, &subscription.id).await;
        };
        let secret = action
            .client_secret
            .as_ref()
            .map(ExposeSecret::expose_secret);
        self.store_action(conn, subscription, action.action_type, action.url, secret)
            .await
    }

    /// Keeps the address of the Checkout page on which a subscription is to be paid. Whoever has it may use
    /// the page, so that it is sealed like a secret.
    pub(super) async fn keep_page(
        &self,
        conn: &mut Conn,
        subscription: &Subscription,
        url: &str,
    ) -> Result<(), StoreError> {
        self.store_action(conn, subscription, ActionType::Checkout, None, Some(url))
            .await
    }

    async fn store_action(
        &self,
        conn: &mut Conn,
        subscription: &Subscription,
        action_type: ActionType,
        url: Option<String>,
        secret: Option<&str>,
    ) -> Result<(), StoreError> {
        let portal = &subscription.portal;
        let sealed = match secret {
            None => None,
            Some(secret) => Some(self.vault(conn, portal, None).await?.seal(
                portal,
                &place(&subscription.id),
                secret,
            )?),
        };
        let stored = StoredAction {
            action_type: action_type.as_str().to_owned(),
            url,
            sealed,
        };
        let now = self.clock.now();
        subscription_actions::put(conn, portal, &subscription.id, &stored, now).await
    }

    pub(super) async fn open_action(
        &self,
        conn: &mut Conn,
        subscription: &Subscription,
        stored: StoredAction,
        with_secret: bool,
    ) -> Result<ActionView, StoreError> {
        let portal = &subscription.portal;
        let secret = match stored.sealed.filter(|_| with_secret) {
            None => None,
            Some(sealed) => Some(
                self.vault(conn, portal, Some(sealed.data_key_version))
                    .await?
                    .open(portal, &place(&subscription.id), &sealed)?,
            ),
        };
        let action_type = ActionType::parse(&stored.action_type)
            .ok_or_else(|| StoreError::corrupt("subscription_actions.action_type"))?;
        Ok(match action_type {
            ActionType::Checkout => ActionView {
                action_type,
                client_secret: None,
                url: secret.map(|url| url.expose_secret().to_owned()),
            },
            ActionType::Authenticate | ActionType::AuthenticateSetup => ActionView {
                action_type,
                client_secret: secret,
                url: stored.url,
            },
        })
    }
}
