//! Subscribing on a Checkout page.
//!
//! The subscription is here before it is paid, `incomplete`, and holds its place: as long as its page is
//! open, the customer has no other one to the product for the application, so that nothing is paid twice.
//! It goes with its page: `expired` when that is over, `canceled` once that was closed. A further page for
//! the same thing closes the one before (`expire_checkout_session`) and is of a new subscription.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::create::{SubscriptionInput, exists, insert, nothing_to_pay, other_than};
use super::offer::{find_offer, trial_is_gone, trial_used};
use super::order::{Order, given_up, in_turn, labels};
use crate::app::answer::{Answer, Outcome};
use crate::app::customers::{CREATE_CUSTOMER, in_lane, locked_customer};
use crate::app::hosted::{CREATE_SESSION, check_urls, checkout_of};
use crate::app::idempotency::{Begun, Claim};
use crate::app::operations::{NewOperation, Next, Send, state_of, state_text};
use crate::app::stripe_errors::refusal;
use crate::app::stripe_metadata::{SUBSCRIPTION, made_by};
use crate::app::{App, Context};
use crate::domain::customer::Customer;
use crate::domain::error::{Error, FieldCode};
use crate::domain::operation::{self, Operation};
use crate::domain::slug::Slug;
use crate::domain::subscription::{Requested, Status, Subscription};
use crate::domain::text::Metadata;
use crate::store::{self, Conn, StoreError};
use crate::stripe::sessions::{
    self, CheckoutPurpose, CheckoutSession, CheckoutStatus, NewCheckoutSession,
};
use crate::stripe::{FrozenRequest, Outcome as StripeOutcome, RawReply, StripeError};

const EXPIRE: &str = "expire_checkout_session";
const READ: &str = "retrieve_checkout_session";
/// Closes a page that nobody here waits for any more.
const EXPIRE_STRAY: &str = "expire_stray_session";

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct CheckoutInput {
    /// The subscription to be.
    pub subscription: SubscriptionInput,
    /// Whether the page takes promotion codes.
    pub promotion_codes: bool,
    /// Where the consumer goes who has paid.
    pub success_url: String,
    /// Where the consumer goes who turns back.
    pub cancel_url: String,
}

/// What an operation of this kind remembers.
#[derive(Serialize, Deserialize)]
struct Opening {
    order: Order,
    wanted: Wanted,
    promotion_codes: bool,
    success_url: String,
    cancel_url: String,
    /// Our id of the subscription whose page this one replaces, if there is one.
    instead_of: Option<String>,
}

/// The subscription to be, while another one still has its place.
#[derive(Serialize, Deserialize)]
struct Wanted {
    product: String,
    plan: String,
    revision: i64,
    application: Option<String>,
    quantity: i64,
    metadata: Metadata,
}

impl App {
    /// Opens a Checkout page on which a customer subscribes to a paid plan.
    ///
    /// # Errors
    /// `not_found` for the customer, `module_disabled`, `stripe_not_ready`, `return_origin_not_allowed`,
    /// `validation_failed`, also for a plan that is free or needs approval, `plan_unavailable`,
    /// `trial_used`, `subscription_exists`.
    pub async fn open_subscription_checkout(
        &self,
        context: &Context,
        portal: &Slug,
        input: CheckoutInput,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let urls = [
            ("/success_url", input.success_url.as_str()),
            ("/cancel_url", input.cancel_url.as_str()),
        ];
        self.once(context, portal, claim, wait, async |conn| {
            let wanted = &input.subscription;
            let customer = locked_customer(conn, context, portal, &wanted.customer).await?;
            let credentials = self.operation_credentials(conn, portal).await?;
            check_urls(conn, portal, &urls).await?;
            let offer = find_offer(conn, portal, &wanted.product, &wanted.plan).await?;
            if offer.plan.approval_required {
                return Err(needs_approval().into());
            }
            let asked = self.asked(portal, &customer, &offer, wanted)?;
            if !asked.paid {
                return Err(nothing_to_pay("/plan").into());
            }
            let other = other_than(conn, &asked).await?;
            if let Some(other) = other.as_ref().filter(|other| other.checkout().is_none()) {
                return Err(exists(other).into());
            }
            let instead_of = other.map(|other| other.id);
            let but = instead_of.as_deref();
            let order = self
                .terms_of_order(conn, &customer, &asked, &offer, &credentials, but)
                .await?;
            if instead_of.is_none() {
                insert(conn, &asked).await?;
                self.record_subscription(conn, context, &asked, "subscription.requested")
                    .await?;
            }
            let opening = Opening {
                order,
                wanted: Wanted {
                    product: asked.product.to_string(),
                    plan: asked.plan.to_string(),
                    revision: asked.plan_revision,
                    application: asked.application,
                    quantity: asked.quantity,
                    metadata: asked.metadata,
                },
                promotion_codes: input.promotion_codes,
                success_url: input.success_url.clone(),
                cancel_url: input.cancel_url.clone(),
                instead_of,
            };
            let new = NewOperation {
                kind: operation::Kind::CreateSubscriptionCheckout,
                subject: asked.id,
                organization: Some(customer.external_id),
                lane: customer.id,
                state: state_text(&opening)?,
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// The first step: to close the page before, or to open this one.
    pub(in crate::app) async fn start_checkout(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let opening: Opening = state_of(operation)?;
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let but = opening.instead_of.as_deref();
        let had_trial = opening.order.trial.is_some()
            && opening.order.one_trial
            && trial_is_gone(conn, &customer.id, but).await?;
        if had_trial {
            return self.not_opened(conn, operation, trial_used()).await;
        }
        if let Some(before) = self.before(conn, &opening).await? {
            if let Some(page) = before.checkout() {
                let request = sessions::expire_checkout(page).map_err(Error::from)?;
                return Ok(send(EXPIRE, request));
            }
            if !before.status.is_final() {
                return Ok(Next::Failed(exists(&before)));
            }
        }
        self.page_of(conn, operation, &customer, &opening).await
    }

    /// What follows from Stripe's answer.
    pub(in crate::app) async fn advance_checkout(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let opening: Opening = state_of(operation)?;
        if operation.step == EXPIRE_STRAY {
            return Ok(Next::Failed(given_up()));
        }
        if operation.step == CREATE_CUSTOMER {
            let customer = self.store_customer_link(conn, operation, reply).await?;
            return self.page_of(conn, operation, &customer, &opening).await;
        }
        let page: CheckoutSession = reply.read().map_err(Error::from)?;
        if operation.step == CREATE_SESSION {
            return self.page_opened(conn, operation, &opening, page).await;
        }
        if operation.step == READ && page.status != Some(CheckoutStatus::Expired) {
            let before = self.before(conn, &opening).await?;
            return Ok(Next::Failed(before.as_ref().map_or_else(given_up, exists)));
        }
        self.page_closed(conn, operation, &opening).await
    }

    /// What follows from a final refusal.
    pub(in crate::app) async fn refused_checkout(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let opening: Opening = state_of(operation)?;
        let before = self.before(conn, &opening).await?;
        match operation.step.as_str() {
            EXPIRE_STRAY => Ok(Next::Failed(given_up())),
            EXPIRE | READ if error.outcome() == StripeOutcome::Missing => {
                self.page_closed(conn, operation, &opening).await
            }
            // It is over already: by its time, or since it was paid.
            EXPIRE if error.outcome() == StripeOutcome::Rejected => {
                match before.as_ref().and_then(Subscription::checkout) {
                    Some(page) => {
                        let request = sessions::retrieve_checkout(page).map_err(Error::from)?;
                        Ok(send(READ, request))
                    }
                    None => self.start_checkout(conn, operation).await,
                }
            }
            _ => self.not_opened(conn, operation, refusal(error)).await,
        }
    }

    /// The subscription whose page this one replaces.
    async fn before(
        &self,
        conn: &mut Conn,
        opening: &Opening,
    ) -> Result<Option<Subscription>, StoreError> {
        match &opening.instead_of {
            Some(id) => store::subscriptions::find(conn, id).await,
            None => Ok(None),
        }
    }

    /// The page before is closed: its subscription is over, and gives its place to this one.
    async fn page_closed(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        opening: &Opening,
    ) -> Result<Next, StoreError> {
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        if let Some(before) = self.before(conn, opening).await?
            && before.checkout().is_some()
        {
            self.checkout_over(conn, &operation.context(), &before)
                .await?;
        }
        self.page_of(conn, operation, &customer, opening).await
    }

    /// Ends a subscription whose page is closed and was not used.
    pub(in crate::app) async fn checkout_over(
        &self,
        conn: &mut Conn,
        context: &Context,
        before: &Subscription,
    ) -> Result<(), StoreError> {
        let Some(after) = before.turned(Status::Expired, self.clock.now()) else {
            return Ok(());
        };
        store::subscription_actions::delete(conn, &before.id).await?;
        self.store_subscription(conn, context, before, &after).await
    }

    /// The call that opens the page, or makes the customer for it. The subscription takes its place, if
    /// that was another one's until now.
    async fn page_of(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        customer: &Customer,
        opening: &Opening,
    ) -> Result<Next, StoreError> {
        let found = store::subscriptions::find(conn, &operation.subject).await?;
        let subscription = if let Some(found) = found {
            found
        } else {
            let asked = self.row_of(operation, &opening.wanted)?;
            if let Some(other) = other_than(conn, &asked).await? {
                return Ok(Next::Failed(exists(&other)));
            }
            insert(conn, &asked).await?;
            let context = operation.context();
            self.record_subscription(conn, &context, &asked, "subscription.requested")
                .await?;
            asked
        };
        if subscription.status != Status::Provisioning {
            return Ok(Next::Failed(subscription.conflict()));
        }
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let Some(owner) = customer.stripe_id_in(account, mode) else {
            let request = self.create_customer_request(operation, customer, None, false)?;
            return Ok(send(CREATE_CUSTOMER, request));
        };
        let order = &opening.order;
        let request = sessions::create_checkout(&NewCheckoutSession {
            purpose: CheckoutPurpose::Subscription {
                items: &[order.item()],
                trial: order.trial(),
                missing_payment_method: order.missing_payment_method(),
                one_time_charges: &order.charges(),
                promotion_codes: opening.promotion_codes,
                metadata: labels(operation, &subscription),
            },
            customer: owner,
            success_url: &opening.success_url,
            cancel_url: &opening.cancel_url,
            client_reference_id: Some(&subscription.id),
            expires_at: None,
            metadata: made_by(operation, &[(SUBSCRIPTION, &subscription.id)]),
        });
        Ok(send(CREATE_SESSION, request))
    }

    /// The subscription in its first status.
    fn row_of(&self, operation: &Operation, wanted: &Wanted) -> Result<Subscription, StoreError> {
        let slug =
            |text: &str| Slug::parse(text).ok_or_else(|| StoreError::corrupt("operations.state"));
        let row = Subscription::provisioning(
            operation.subject.clone(),
            operation.portal.clone(),
            operation.lane.clone(),
            (slug(&wanted.product)?, slug(&wanted.plan)?, wanted.revision),
            self.clock.now(),
        );
        Ok(Subscription {
            application: wanted.application.clone(),
            quantity: wanted.quantity,
            metadata: wanted.metadata.clone(),
            ..row
        })
    }

    /// The page is open: the subscription waits for the consumer.
    async fn page_opened(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        opening: &Opening,
        page: CheckoutSession,
    ) -> Result<Next, StoreError> {
        let found = in_turn(conn, operation).await?;
        let waiting = found.and_then(|(_, before)| {
            let after = before.turned(Status::Incomplete, self.clock.now())?;
            Some((before, after))
        });
        let Some((before, after)) = waiting else {
            // It was canceled meanwhile; nobody has seen the page.
            let request = sessions::expire_checkout(&page.id).map_err(Error::from)?;
            return Ok(send(EXPIRE_STRAY, request));
        };
        let after = Subscription {
            requested: Some(Requested {
                payment_method: None,
                promotion_code: None,
                trial: opening.order.trial.is_some(),
                checkout: Some(page.id.clone()),
            }),
            ..after
        };
        let view = checkout_of(page, Some(after.id.clone()))?;
        let url = view.url.expose_secret();
        self.keep_page(conn, &after, url).await?;
        self.store_subscription(conn, &operation.context(), &before, &after)
            .await?;
        Ok(Next::Done(Outcome::HostedPage(Box::new(view))))
    }

    /// Takes back what was stored for a page that does not come to be.
    async fn not_opened(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: Error,
    ) -> Result<Next, StoreError> {
        match store::subscriptions::find(conn, &operation.subject).await? {
            Some(subscription) => self.undone(conn, operation, &subscription, error).await,
            None => Ok(Next::Failed(error)),
        }
    }
}

fn send(step: &'static str, request: FrozenRequest) -> Next {
    Next::Send(Send {
        step,
        request,
        state: None,
    })
}

fn needs_approval() -> Error {
    Error::field(
        "/plan",
        FieldCode::InvalidValue,
        "The plan needs approval, so that nothing can be paid yet: ask for the subscription, and save a \
         payment method on a page with \"mode\": \"setup\".",
    )
}
