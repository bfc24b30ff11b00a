//! Bringing a paid subscription to Stripe.
//!
//! One call for a customer that Stripe knows, with a saved payment method: `create_subscription`. One
//! more for a new customer (`create_customer`, with the payment method attached in the same call), for
//! a new payment method of a known one (`attach_payment_method`), and for a promotion code
//! (`find_promotion_code`). Where the bank wants to see who pays, the subscription is made once more,
//! incomplete (`create_incomplete`): the first attempt has left nothing behind.

use serde::{Deserialize, Serialize};

use super::offer::{code_for, no_such_code, trial_is_gone, trial_used};
use super::snapshot::{named_in, snapshot_with, spoken_at};
use crate::app::App;
use crate::app::customers::{CREATE_CUSTOMER, in_lane};
use crate::app::operations::{Next, Search, Send, state_of, state_text};
use crate::app::payment_methods::unusable;
use crate::app::portals::concurrent;
use crate::app::stripe_errors::refusal;
use crate::app::stripe_metadata::{
    APPLICATION, CUSTOMER, PLAN, PRODUCT, REVISION, SUBSCRIPTION, is_made_by, made_by,
};
use crate::domain::customer::Customer;
use crate::domain::error::{Code, Error};
use crate::domain::operation::Operation;
use crate::domain::pricing::{TaxBehavior, Terms};
use crate::domain::subscription::{Status, Subscription};
use crate::store::{self, Conn, StoreError};
use crate::stripe::catalog::{self, PromotionCode};
use crate::stripe::payment_methods::{self, PaymentMethod};
use crate::stripe::subscriptions::{
    self as there, EXPAND_CONFIRMATION_SECRET, EXPAND_PENDING_SETUP_INTENT, MissingPaymentMethod,
    NewItem, NewSubscription, OneTimeCharge, PaymentBehavior, SubscriptionFilter,
};
use crate::stripe::{
    Expandable, FrozenRequest, List, Metadata, Outcome, Page, RawReply, StripeError,
};

const FIND_PROMOTION_CODE: &str = "find_promotion_code";
pub(super) const ATTACH: &str = "attach_payment_method";
const READ_METHOD: &str = "retrieve_payment_method";
const CREATE: &str = "create_subscription";
const CREATE_INCOMPLETE: &str = "create_incomplete";
/// For what a list does not show.
const READ: &str = "retrieve_subscription";
/// Ends at Stripe what nobody here waits for any more.
const CANCEL_STRAY: &str = "cancel_stray";
/// What is left to do for the consumer stands in these.
const EXPAND_ACTION: [&str; 2] = [EXPAND_CONFIRMATION_SECRET, EXPAND_PENDING_SETUP_INTENT];
/// Stripe's word for a first payment that its bank wants to see somebody for
/// (<https://docs.stripe.com/error-codes#subscription-payment-intent-requires-action>).
const REQUIRES_ACTION: &str = "subscription_payment_intent_requires_action";
/// And for the same when nobody is there
/// (<https://docs.stripe.com/declines/codes#authentication_required>).
const AUTHENTICATION_REQUIRED: &str = "authentication_required";

/// What an operation of this kind remembers: what was decided when it began, and what its steps found.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// Stripe's id of the price.
    pub(super) price: String,
    /// Stripe's id of the plan's product.
    pub(super) product: String,
    /// Seats, of a plan that has them.
    pub(super) quantity: Option<i64>,
    /// The trial, if it begins with one.
    pub(super) trial: Option<OrderTrial>,
    /// Whether a customer may have one trial only.
    pub(super) one_trial: bool,
    /// What is paid once.
    pub(super) setup_fee: Option<Fee>,
    /// The payment method that was named.
    pub(super) method: Option<Named>,
    /// Whether that has to be attached first.
    pub(super) attach: bool,
    /// What the customer typed.
    pub(super) promotion_code: Option<String>,
    /// What that is at Stripe, once it is found.
    pub(super) promotion: Option<String>,
    /// Stripe's id of the customer, once it is known.
    pub(super) customer: Option<String>,
    /// Whether somebody approved it, so that the consumer is away and it was there before.
    pub(super) approved: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OrderTrial {
    pub(super) days: i64,
    /// What happens at its end without a payment method, if it may begin without one.
    pub(super) end_behavior: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Fee {
    amount: i64,
    currency: String,
    tax_behavior: String,
}

/// A payment method that was named.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Named {
    /// Our id of it, once it is saved.
    pub(super) saved: Option<String>,
    /// Stripe's.
    pub(super) stripe: String,
}

impl Fee {
    pub(super) fn of(terms: &Terms) -> Option<Self> {
        let fee = terms.setup_fee?;
        Some(Self {
            amount: fee.amount,
            currency: fee.currency.as_str().to_owned(),
            tax_behavior: terms.tax_behavior.as_str().to_owned(),
        })
    }
}

impl Order {
    /// What is subscribed to.
    pub(super) fn item(&self) -> NewItem<'_> {
        NewItem {
            price: &self.price,
            quantity: self
                .quantity
                .and_then(|quantity| u64::try_from(quantity).ok()),
        }
    }

    /// What is paid once.
    pub(super) fn charges(&self) -> Vec<OneTimeCharge<'_>> {
        let fees = self.setup_fee.iter();
        fees.map(|fee| OneTimeCharge {
            product: &self.product,
            currency: &fee.currency,
            unit_amount: fee.amount,
            tax_behavior: tax_behavior(&fee.tax_behavior),
        })
        .collect()
    }

    pub(super) fn trial(&self) -> Option<there::Trial> {
        let days = self.trial.as_ref()?.days;
        Some(there::Trial::Days(u32::try_from(days).ok()?))
    }

    /// What happens at the trial's end without a payment method, if it may begin without one.
    pub(super) fn missing_payment_method(&self) -> Option<MissingPaymentMethod> {
        let word = self.trial.as_ref()?.end_behavior.as_deref()?;
        missing_payment_method(word)
    }
}

fn send(step: &'static str, request: FrozenRequest, order: &Order) -> Result<Next, StoreError> {
    Ok(Next::Send(Send {
        step,
        request,
        state: Some(state_text(order)?),
    }))
}

impl App {
    /// The first step, after a second look at what the rules were checked against.
    pub(in crate::app) async fn start_order(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let order: Order = state_of(operation)?;
        let Some((customer, subscription)) = in_turn(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        if subscription.status != Status::Provisioning {
            return Ok(Next::Failed(subscription.conflict()));
        }
        let had_trial = order.trial.is_some()
            && order.one_trial
            && trial_is_gone(conn, &customer.id, None).await?;
        if had_trial {
            return self
                .undone(conn, operation, &subscription, trial_used())
                .await;
        }
        if let Some(saved) = order.method.as_ref().and_then(|named| named.saved.as_ref()) {
            let found = store::payment_methods::find(conn, saved).await?;
            if found.is_none_or(|method| !method.is_usable(self.clock.now())) {
                return self
                    .undone(conn, operation, &subscription, unusable())
                    .await;
            }
        }
        self.first_of_order(operation, &customer, &subscription, order)
    }

    /// The first step of an order that has just been checked against the rules.
    pub(super) fn first_of_order(
        &self,
        operation: &Operation,
        customer: &Customer,
        subscription: &Subscription,
        order: Order,
    ) -> Result<Next, StoreError> {
        if let Some(code) = &order.promotion_code {
            let request = catalog::list_promotion_codes(code, Some(true), Page::default());
            return send(FIND_PROMOTION_CODE, request, &order);
        }
        self.next_of_order(operation, customer, subscription, order)
    }

    /// The first of the steps that write which is still to do.
    fn next_of_order(
        &self,
        operation: &Operation,
        customer: &Customer,
        subscription: &Subscription,
        order: Order,
    ) -> Result<Next, StoreError> {
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let new = order.method.as_ref().filter(|_| order.attach);
        let Some(id) = customer.stripe_id_in(account, mode) else {
            let method = new.map(|named| named.stripe.as_str());
            let request =
                self.create_customer_request(operation, customer, method, method.is_some())?;
            return send(CREATE_CUSTOMER, request, &order);
        };
        if let Some(named) = new {
            let request = payment_methods::attach(&named.stripe, id).map_err(Error::from)?;
            return send(ATTACH, request, &order);
        }
        let order = Order {
            customer: Some(id.to_owned()),
            ..order
        };
        let request = create_request(operation, subscription, &order, false);
        send(CREATE, request, &order)
    }

    /// What follows from Stripe's answer.
    pub(in crate::app) async fn advance_order(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let order: Order = state_of(operation)?;
        match operation.step.as_str() {
            CREATE | CREATE_INCOMPLETE | READ => {
                return self.order_is_done(conn, operation, &order, reply).await;
            }
            CANCEL_STRAY => return Ok(Next::Failed(given_up())),
            _ => {}
        }
        let Some((customer, subscription)) = in_turn(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        match operation.step.as_str() {
            FIND_PROMOTION_CODE => {
                let found: List<PromotionCode> = reply.read().map_err(Error::from)?;
                let own = customer.stripe_id_in(&operation.stripe_account, operation.mode);
                let Some(code) = code_for(own, found.data) else {
                    return self
                        .undone(conn, operation, &subscription, no_such_code())
                        .await;
                };
                let order = Order {
                    promotion: Some(code.id),
                    ..order
                };
                self.next_of_order(operation, &customer, &subscription, order)
            }
            CREATE_CUSTOMER => {
                self.customer_of_order(conn, operation, &subscription, order, reply)
                    .await
            }
            ATTACH | READ_METHOD => {
                let method: PaymentMethod = reply.read().map_err(Error::from)?;
                let owner = customer.stripe_id_in(&operation.stripe_account, operation.mode);
                if owner.is_none() || method.customer.as_ref().map(Expandable::id) != owner {
                    return self
                        .undone(conn, operation, &subscription, unusable())
                        .await;
                }
                self.method_of_order(conn, operation, &subscription, order, &method)
                    .await
            }
            other => Err(StoreError::Other(format!("no step {other}"))),
        }
    }

    async fn customer_of_order(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
        order: Order,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let made: crate::stripe::customers::Customer = reply.read().map_err(Error::from)?;
        let customer = self.store_customer_link(conn, operation, reply).await?;
        // One that another operation has made is paid with what that one has brought.
        let method = made.invoice_settings.default_payment_method;
        match method.filter(|_| is_made_by(operation, &made.metadata)) {
            Some(Expandable::Object(method)) if order.attach => {
                self.method_of_order(conn, operation, subscription, order, &method)
                    .await
            }
            // A customer that was found in a list shows ids alone.
            Some(Expandable::Id(method)) if order.attach => {
                let request = payment_methods::retrieve(&method).map_err(Error::from)?;
                send(READ_METHOD, request, &order)
            }
            _ => self.next_of_order(operation, &customer, subscription, order),
        }
    }

    /// The new payment method is the customer's: it is saved, and the subscription is paid with it.
    async fn method_of_order(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
        order: Order,
        method: &PaymentMethod,
    ) -> Result<Next, StoreError> {
        let Some((customer, saved)) = self.keep_method(conn, operation, method).await? else {
            return self.undone(conn, operation, subscription, unusable()).await;
        };
        let order = Order {
            method: Some(Named {
                saved: Some(saved.id),
                stripe: saved.stripe.id,
            }),
            attach: false,
            ..order
        };
        self.next_of_order(operation, &customer, subscription, order)
    }

    /// Stripe has the subscription: what is here follows it.
    async fn order_is_done(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        order: &Order,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let said: there::Subscription = reply.read().map_err(Error::from)?;
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let (found, named) = conn
            .both(
                async |conn| in_turn(conn, operation).await,
                async |conn| named_in(conn, &said, account, mode).await,
            )
            .await?;
        let Some((_, before)) = found.filter(|(_, found)| !is_stray(found, &said)) else {
            let cancellation = there::Cancellation::default();
            let request = there::cancel(&said.id, &cancellation).map_err(Error::from)?;
            return send(CANCEL_STRAY, request, order);
        };
        let at = spoken_at(&said);
        let heard = snapshot_with(&before, &said, named, account, mode, at);
        let after = before.follow(&heard, self.clock.now());
        if after.status == Status::Provisioning {
            return Err(Error::new(
                Code::StripeBadAnswer,
                "Stripe's answer names a status that is not known.",
            )
            .into());
        }
        if lacks_action(&after, &said) && operation.step != READ {
            let request = there::retrieve(&said.id, &EXPAND_ACTION).map_err(Error::from)?;
            return send(READ, request, order);
        }
        self.note_at_stripe(conn, operation, &before, &said.id)
            .await?;
        self.keep_action(conn, (&before, &after), &said).await?;
        let (context, change) = (operation.context(), (&before, &after));
        let outcome = self
            .store_and_show(conn, &context, change, !order.approved)
            .await?;
        Ok(Next::Done(outcome))
    }

    /// What follows from a final refusal.
    pub(in crate::app) async fn refused_order(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let order: Order = state_of(operation)?;
        let Some((_, subscription)) = in_turn(conn, operation).await? else {
            return Ok(Next::Failed(refusal(error)));
        };
        let final_word = matches!(error.outcome(), Outcome::Rejected | Outcome::Missing);
        let about_method = error
            .param()
            .is_none_or(|param| param.contains("payment_method"));
        match operation.step.as_str() {
            CREATE if wants_action(error) => {
                let request = create_request(operation, &subscription, &order, true);
                send(CREATE_INCOMPLETE, request, &order)
            }
            CANCEL_STRAY => Ok(Next::Failed(given_up())),
            // It may be attached to this customer already: by a page of Stripe's, or by this very
            // step, if its answer was lost.
            ATTACH if error.outcome() == Outcome::Rejected => match &order.method {
                Some(named) => {
                    let request = payment_methods::retrieve(&named.stripe).map_err(Error::from)?;
                    send(READ_METHOD, request, &order)
                }
                None => {
                    self.undone(conn, operation, &subscription, unusable())
                        .await
                }
            },
            ATTACH | READ_METHOD if final_word => {
                self.undone(conn, operation, &subscription, unusable())
                    .await
            }
            CREATE_CUSTOMER if final_word && order.attach && about_method => {
                self.undone(conn, operation, &subscription, unusable())
                    .await
            }
            _ => {
                self.undone(conn, operation, &subscription, refusal(error))
                    .await
            }
        }
    }

    /// Takes back what was stored for a subscription that does not come to be: nobody was told of a new
    /// one, so it goes; one that was approved waits for approval again.
    pub(super) async fn undone(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
        error: Error,
    ) -> Result<Next, StoreError> {
        let context = operation.context();
        if subscription.status != Status::Provisioning {
            return Ok(Next::Failed(error));
        }
        if subscription.version > 0 {
            let now = self.clock.now();
            let waiting = subscription.turned(Status::PendingApproval, now);
            let waiting = waiting.ok_or_else(|| subscription.conflict())?;
            self.store_subscription(conn, &context, subscription, &waiting)
                .await?;
            return Ok(Next::Failed(error));
        }
        if !store::subscriptions::delete(conn, &subscription.id, 0).await? {
            return Err(concurrent().into());
        }
        self.record_subscription(conn, &context, subscription, "subscription.refused")
            .await?;
        Ok(Next::Failed(error))
    }
}

/// Whether the bank wants to see who pays.
fn wants_action(error: &StripeError) -> bool {
    let words = [error.code(), error.decline_code()];
    error.outcome() == Outcome::Declined
        && words
            .into_iter()
            .flatten()
            .any(|word| matches!(word, REQUIRES_ACTION | AUTHENTICATION_REQUIRED))
}

/// Whether the consumer has something left to do and the answer does not say how.
fn lacks_action(subscription: &Subscription, said: &there::Subscription) -> bool {
    let bare = |is_object: Option<bool>| is_object == Some(false);
    let invoice = said.latest_invoice.as_ref().map(|it| it.object().is_some());
    let setup = said
        .pending_setup_intent
        .as_ref()
        .map(|it| it.object().is_some());
    (subscription.status == Status::Incomplete && bare(invoice))
        || (!subscription.status.is_final() && bare(setup))
}

/// The customer whose lane it is, locked, and the subscription that the operation is about.
pub(super) async fn in_turn(
    conn: &mut Conn,
    operation: &Operation,
) -> Result<Option<(Customer, Subscription)>, StoreError> {
    let (customer, subscription) = conn
        .both(
            async |conn| in_lane(conn, operation).await,
            async |conn| store::subscriptions::find(conn, &operation.subject).await,
        )
        .await?;
    Ok(customer.zip(subscription))
}

/// Whether nobody waits for what Stripe has made: its subscription has ended here before it was there,
/// or is another one there already.
fn is_stray(subscription: &Subscription, said: &there::Subscription) -> bool {
    match &subscription.stripe {
        None => subscription.status != Status::Provisioning,
        Some(link) => link.id != said.id,
    }
}

/// What makes the subscription at Stripe.
fn create_request(
    operation: &Operation,
    subscription: &Subscription,
    order: &Order,
    incomplete: bool,
) -> FrozenRequest {
    let items = [order.item()];
    let charges = order.charges();
    let promotion: Vec<&str> = order.promotion.as_deref().into_iter().collect();
    let expand = match (incomplete, &order.trial) {
        (true, _) => EXPAND_ACTION.as_slice(),
        (false, Some(_)) => &[EXPAND_PENDING_SETUP_INTENT],
        (false, None) => &[],
    };
    there::create(&NewSubscription {
        customer: order.customer.as_deref().unwrap_or_default(),
        items: &items,
        default_payment_method: order.method.as_ref().map(|named| named.stripe.as_str()),
        payment_behavior: Some(if incomplete {
            PaymentBehavior::AllowIncomplete
        } else {
            PaymentBehavior::ErrorIfIncomplete
        }),
        // Whoever asked for it is there; whoever approved it is somebody else. What is left incomplete is
        // finished by the consumer, so that the bank is asked to wait for that.
        off_session: (order.approved && !incomplete).then_some(true),
        trial: order.trial(),
        missing_payment_method: order.missing_payment_method(),
        one_time_charges: &charges,
        promotion_codes: &promotion,
        metadata: labels(operation, subscription),
        expand,
        ..NewSubscription::default()
    })
}

/// By which the subscription is known as ours at Stripe.
pub(super) fn labels(operation: &Operation, subscription: &Subscription) -> Metadata {
    let revision = subscription.plan_revision.to_string();
    let mut ids = vec![
        (CUSTOMER, subscription.customer.as_str()),
        (SUBSCRIPTION, &subscription.id),
        (PRODUCT, subscription.product.as_str()),
        (PLAN, subscription.plan.as_str()),
        (REVISION, &revision),
    ];
    let application = subscription.application.as_deref();
    ids.extend(application.map(|application| (APPLICATION, application)));
    made_by(operation, &ids)
}

fn tax_behavior(word: &str) -> Option<catalog::TaxBehavior> {
    TaxBehavior::parse(word).map(|behavior| match behavior {
        TaxBehavior::Exclusive => catalog::TaxBehavior::Exclusive,
        TaxBehavior::Inclusive => catalog::TaxBehavior::Inclusive,
        TaxBehavior::Unspecified => catalog::TaxBehavior::Unspecified,
    })
}

fn missing_payment_method(word: &str) -> Option<MissingPaymentMethod> {
    use crate::domain::pricing::TrialEnd;
    TrialEnd::parse(word).map(|end| match end {
        TrialEnd::Cancel => MissingPaymentMethod::Cancel,
        TrialEnd::Pause => MissingPaymentMethod::Pause,
        TrialEnd::CreateInvoice => MissingPaymentMethod::CreateInvoice,
    })
}

/// Where the effect of a step is looked for whose answer was lost.
pub(in crate::app) fn order_search(operation: &Operation) -> Result<Option<Search>, Error> {
    if !matches!(operation.step.as_str(), CREATE | CREATE_INCOMPLETE) {
        return Ok(None);
    }
    let order: Order = state_of(operation)?;
    let customer = order.customer.unwrap_or_default();
    Ok(Some(Box::new(move |after| Ok(all_of(&customer, after)))))
}

/// What lists the subscriptions of a customer at Stripe, from behind this one.
pub(super) fn all_of(owner: &str, after: Option<&str>) -> FrozenRequest {
    there::list(&SubscriptionFilter {
        customer: Some(owner),
        page: Page::largest(after),
        ..SubscriptionFilter::default()
    })
}

pub(super) fn given_up() -> Error {
    Error::new(
        Code::SubscriptionStateConflict,
        "The subscription was canceled before it came to be.",
    )
}
