//! Saving the payment method that came with a request for a subscription.

use crate::app::App;
use crate::app::customers::in_lane;
use crate::app::portals::concurrent;
use crate::domain::customer::Customer;
use crate::domain::operation::Operation;
use crate::domain::payment_method::{Card, PaymentMethod, State};
use crate::domain::stripe_link::StripeLink;
use crate::ids::Kind;
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::{self, Conn, StoreError};
use crate::stripe::payment_methods as there;

impl App {
    /// Saves a payment method that is attached to the customer at Stripe, if it is not saved yet. It is
    /// the customer's default when Stripe made it so together with the customer. `None`: it is saved for
    /// somebody else.
    pub(super) async fn keep_method(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        found: &there::PaymentMethod,
    ) -> Result<Option<(Customer, PaymentMethod)>, StoreError> {
        let customer = in_lane(conn, operation).await?.ok_or_else(concurrent)?;
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let known = stripe_objects::find(conn, account, mode, &found.id).await?;
        if let Some(known) = known {
            let method = store::payment_methods::find(conn, &known.local_id).await?;
            let method = method.filter(|method| method.customer_id == customer.id);
            return Ok(method.map(|method| (customer, method)));
        }
        let method = self.method_at_hand(operation, &customer, found);
        let object = StripeObject {
            account_id: account.to_owned(),
            mode,
            stripe_id: found.id.clone(),
            kind: stripe_objects::PAYMENT_METHOD.to_owned(),
            local_id: method.id.clone(),
        };
        stripe_objects::insert(conn, &customer.portal, &object, method.created_at).await?;
        store::payment_methods::insert(conn, &method).await?;
        let context = operation.context();
        let is_default =
            operation.step != super::order::ATTACH && customer.default_payment_method.is_none();
        let customer = if is_default {
            let changed = Customer {
                default_payment_method: Some(method.id.clone()),
                ..customer
            };
            self.change_customer(conn, &context, changed).await?
        } else {
            customer
        };
        self.tell_of_method(
            conn,
            &context,
            &customer,
            method.clone(),
            "payment_method.created",
        )
        .await?;
        Ok(Some((customer, method)))
    }

    fn method_at_hand(
        &self,
        operation: &Operation,
        customer: &Customer,
        found: &there::PaymentMethod,
    ) -> PaymentMethod {
        let now = self.clock.now();
        PaymentMethod {
            id: self.ids.new_id(Kind::PaymentMethod).into(),
            portal: customer.portal.clone(),
            customer_id: customer.id.clone(),
            method_type: found
                .kind
                .as_ref()
                .map_or_else(String::new, |kind| kind.as_str().to_owned()),
            state: State::Usable,
            card: found.card.as_ref().map(Card::from),
            stripe: StripeLink {
                account: operation.stripe_account.clone(),
                mode: operation.mode,
                id: found.id.clone(),
            },
            stripe_at: found.created,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}
