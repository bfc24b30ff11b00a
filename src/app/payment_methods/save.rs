//! Saving a payment method for a customer: one that a browser made with Stripe (`pm_…`), or the one a
//! setup intent or a Checkout page has set up. For a customer that Stripe does not know yet, one call
//! makes the customer with the payment method attached and as its default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{left_without, method_of, unusable};
use crate::app::answer::Answer;
use crate::app::customers::{CREATE_CUSTOMER, in_lane, locked_customer};
use crate::app::idempotency::{Begun, Claim};
use crate::app::operations::{NewOperation, Next, Send, state_of, state_text};
use crate::app::stripe_errors::refusal;
use crate::app::stripe_metadata::is_made_by;
use crate::app::{App, Context};
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error, StripeContext};
use crate::domain::operation::{self, Operation};
use crate::domain::payment_method::{Card, PaymentMethod, State};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;
use crate::ids::Kind;
use crate::store::stripe_objects::{self, StripeObject};
use crate::store::{self, Conn, StoreError};
use crate::stripe::customers;
use crate::stripe::sessions::{self, CheckoutSession, CheckoutStatus};
use crate::stripe::setup_intents::{self, SetupIntent, SetupIntentStatus};
use crate::stripe::{
    Expandable, FrozenRequest, Outcome, RawReply, StripeError, payment_methods as there,
};

mod follow_up;

const ATTACH: &str = "attach_payment_method";
const RETRIEVE: &str = "retrieve_payment_method";
const RETRIEVE_INTENT: &str = "retrieve_setup_intent";
const RETRIEVE_SESSION: &str = "retrieve_checkout_session";
const SET_DEFAULT: &str = "set_default_payment_method";
const MOVE_SUBSCRIPTION: &str = "move_subscription";
const DETACH_OLD: &str = "detach_replaced_payment_method";

/// Where a payment method comes from, by Stripe's id.
#[derive(Clone, Serialize, Deserialize)]
pub enum Source {
    /// `pm_…`.
    PaymentMethod(String),
    /// `seti_…`.
    SetupIntent(String),
    /// `cs_…`.
    CheckoutSession(String),
}

/// What a caller asks for.
#[derive(Clone, Serialize, Deserialize)]
pub struct SaveInput {
    /// Which one.
    pub source: Source,
    /// Whether the customer is to pay with it unless another one is named; `None`: if the customer
    /// has nothing else to pay with.
    pub default: Option<bool>,
    /// The payment method (`meth_…`) that is taken from the customer for it.
    pub replaces: Option<String>,
}

/// What an operation of this kind remembers.
#[derive(Serialize, Deserialize)]
struct Saving {
    input: SaveInput,
    /// Our id of it, `meth_…`.
    method: String,
    /// Whether that is new.
    created: bool,
    /// Whether it is to be the default.
    set_default: bool,
    /// The subscription that is being let go on with it.
    moving: Option<String>,
}

impl App {
    /// Saves a payment method for a customer.
    ///
    /// # Errors
    /// `not_found`, `module_disabled`, `stripe_not_ready`, `payment_method_unusable`,
    /// `payment_declined`, `payment_method_in_use`.
    pub async fn save_payment_method(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
        input: SaveInput,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let customer = locked_customer(conn, context, portal, name).await?;
            let credentials = self.operation_credentials(conn, portal).await?;
            if let Some(replaced) = &input.replaces {
                self.replaceable(conn, &customer, replaced).await?;
            }
            let place = (credentials.account_id.as_str(), credentials.mode);
            let known = known_method(conn, &customer, &input.source, place).await?;
            if let Some(method) = known
                && method.state == State::Usable
                && input.replaces.is_none()
                && (input.default != Some(true)
                    || customer.default_payment_method.as_ref() == Some(&method.id))
            {
                return Ok(Begun::Done(self.shown_method(&customer, method, false)));
            }
            let saving = Saving {
                input: input.clone(),
                method: self.ids.new_id(Kind::PaymentMethod).into(),
                created: false,
                set_default: false,
                moving: None,
            };
            let new = NewOperation {
                kind: operation::Kind::SavePaymentMethod,
                subject: saving.method.clone(),
                organization: Some(customer.external_id),
                lane: customer.id,
                state: state_text(&saving)?,
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// Whether a payment method can be taken from the customer for a new one. Subscriptions that name
    /// it go on with the new one.
    async fn replaceable(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        id: &str,
    ) -> Result<PaymentMethod, StoreError> {
        match method_of(conn, customer, id).await {
            Ok(method) if method.state != State::Detached => Ok(method),
            // It stands in the body: the address is right.
            Ok(_) | Err(StoreError::Rule(_)) => Err(unusable().into()),
            Err(error) => Err(error),
        }
    }

    /// The first step of an operation that saves a payment method.
    pub(in crate::app) async fn start_saving(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let mut saving: Saving = state_of(operation)?;
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        if let Some(replaced) = &saving.input.replaces {
            self.replaceable(conn, &customer, replaced).await?;
        }
        let place = (operation.stripe_account.as_str(), operation.mode);
        saving.set_default = wants_default(conn, &customer, &saving.input, place).await?;
        if !saving.set_default
            && saving.input.replaces.is_some()
            && saving.input.replaces == customer.default_payment_method
        {
            // The old one goes, and what is paid with the default would have none.
            left_without(conn, &customer, None).await?;
        }
        let there = customer.stripe_id_in(place.0, place.1);
        let (step, request) = match (&saving.input.source, there) {
            (Source::PaymentMethod(method), None) => {
                let with = saving.set_default.then_some(method.as_str());
                let request =
                    self.create_customer_request(operation, &customer, with, with.is_some())?;
                (CREATE_CUSTOMER, request)
            }
            (source @ Source::PaymentMethod(method), Some(id)) => {
                let known = known_method(conn, &customer, source, place).await?;
                if let Some(method) = known.filter(|method| method.state == State::Usable) {
                    saving.method.clone_from(&method.id);
                    return self.go_on(conn, operation, saving).await;
                }
                (ATTACH, there::attach(method, id).map_err(Error::from)?)
            }
            // Nothing can have been set up for a customer that Stripe does not know.
            (_, None) => return Ok(Next::Failed(unusable())),
            (Source::SetupIntent(intent), Some(_)) => (RETRIEVE_INTENT, intent_request(intent)?),
            (Source::CheckoutSession(session), Some(_)) => {
                let request = sessions::retrieve_checkout(session).map_err(Error::from)?;
                (RETRIEVE_SESSION, request)
            }
        };
        send(step, request, &saving)
    }

    /// What follows from Stripe's answer to a step of such an operation.
    pub(in crate::app) async fn advance_saving(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let saving: Saving = state_of(operation)?;
        if operation.step == CREATE_CUSTOMER {
            return self.customer_is_made(conn, operation, saving, reply).await;
        }
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let account = operation.stripe_account.as_str();
        let owner = customer.stripe_id_in(account, operation.mode);
        match operation.step.as_str() {
            ATTACH | RETRIEVE => {
                let method: there::PaymentMethod = reply.read().map_err(Error::from)?;
                if owner.is_none() || method.customer.as_ref().map(Expandable::id) != owner {
                    return Ok(Next::Failed(unusable()));
                }
                self.store_found(conn, operation, saving, &method, State::Usable)
                    .await
            }
            RETRIEVE_SESSION => match intent_of(reply, owner)? {
                Some(intent) => send(RETRIEVE_INTENT, intent_request(&intent)?, &saving),
                None => Ok(Next::Failed(unusable())),
            },
            RETRIEVE_INTENT => match set_up(reply, owner)? {
                Ok((method, state)) => {
                    self.store_found(conn, operation, saving, &method, state)
                        .await
                }
                Err(error) => Ok(Next::Failed(error)),
            },
            SET_DEFAULT => {
                let changed = Customer {
                    default_payment_method: Some(saving.method.clone()),
                    ..customer
                };
                let context = operation.context();
                self.change_customer(conn, &context, changed).await?;
                self.go_on(conn, operation, saving).await
            }
            DETACH_OLD => self.old_is_detached(conn, operation, saving).await,
            step if step.starts_with(MOVE_SUBSCRIPTION) => {
                self.subscription_is_moved(conn, operation, saving).await
            }
            other => Err(StoreError::Other(format!("no step {other}"))),
        }
    }

    /// What follows when Stripe refuses a step of such an operation.
    pub(in crate::app) async fn refused_saving(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let saving: Saving = state_of(operation)?;
        let final_word = matches!(error.outcome(), Outcome::Rejected | Outcome::Missing);
        let param = error.param().unwrap_or_default();
        match operation.step.as_str() {
            // It may be attached to this customer already: by a page of Stripe's, or by this very
            // step, if its answer was lost.
            ATTACH if error.outcome() == Outcome::Rejected => match &saving.input.source {
                Source::PaymentMethod(method) => {
                    let request = there::retrieve(method).map_err(Error::from)?;
                    send(RETRIEVE, request, &saving)
                }
                _ => Ok(Next::Failed(unusable())),
            },
            ATTACH if final_word && param != "customer" => Ok(Next::Failed(unusable())),
            CREATE_CUSTOMER
                if final_word
                    && saving.set_default
                    && (param.is_empty() || param.contains("payment_method")) =>
            {
                Ok(Next::Failed(unusable()))
            }
            RETRIEVE | RETRIEVE_INTENT | RETRIEVE_SESSION if final_word => {
                Ok(Next::Failed(unusable()))
            }
            step if step.starts_with(MOVE_SUBSCRIPTION) && error.outcome() == Outcome::Missing => {
                self.subscription_is_moved(conn, operation, saving).await
            }
            DETACH_OLD if final_word => self.old_is_detached(conn, operation, saving).await,
            // A method that is attached but could not be made the default stays attached and stored.
            _ => Ok(Next::Failed(refusal(error))),
        }
    }

    async fn customer_is_made(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        saving: Saving,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let made: customers::Customer = reply.read().map_err(Error::from)?;
        let customer = self.store_customer_link(conn, operation, reply).await?;
        // One that another operation has made is paid with what that one has brought.
        let method = made.invoice_settings.default_payment_method;
        let method = method.filter(|_| is_made_by(operation, &made.metadata));
        match (method, &saving.input.source) {
            (Some(Expandable::Object(method)), _) => {
                self.store_found(conn, operation, saving, &method, State::Usable)
                    .await
            }
            // A customer that was found in a list shows ids alone.
            (Some(Expandable::Id(method)), _) => {
                let request = there::retrieve(&method).map_err(Error::from)?;
                send(RETRIEVE, request, &saving)
            }
            (None, Source::PaymentMethod(method)) => {
                let id = customer.stripe.map(|link| link.id).unwrap_or_default();
                let request = there::attach(method, &id).map_err(Error::from)?;
                send(ATTACH, request, &saving)
            }
            (None, _) => Ok(Next::Failed(unusable())),
        }
    }

    /// Stores a payment method that is the customer's at Stripe, or will be once the consumer has
    /// finished what the bank wants.
    async fn store_found(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        mut saving: Saving,
        found: &there::PaymentMethod,
        state: State,
    ) -> Result<Next, StoreError> {
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let place = (operation.stripe_account.as_str(), operation.mode);
        let source = Source::PaymentMethod(found.id.clone());
        let context = operation.context();
        if let Some(before) = known_method(conn, &customer, &source, place).await? {
            saving.method.clone_from(&before.id);
            let after = PaymentMethod {
                state,
                card: found.card.as_ref().map(Card::from),
                ..before.clone()
            };
            // What can be paid with does not become less by an older answer.
            if after != before && before.state != State::Usable {
                let change = "payment_method.updated";
                self.change_method(conn, &context, &customer, after, change)
                    .await?;
            }
        } else {
            let method = self.new_method(operation, &customer, &saving, found, state);
            let object = StripeObject {
                account_id: method.stripe.account.clone(),
                mode: method.stripe.mode,
                stripe_id: method.stripe.id.clone(),
                kind: stripe_objects::PAYMENT_METHOD.to_owned(),
                local_id: method.id.clone(),
            };
            stripe_objects::insert(conn, &customer.portal, &object, method.created_at).await?;
            store::payment_methods::insert(conn, &method).await?;
            self.tell_of_method(conn, &context, &customer, method, "payment_method.created")
                .await?;
            saving.created = true;
        }
        if operation.step == CREATE_CUSTOMER && saving.set_default {
            // The call that made the customer made it the default, too.
            let changed = Customer {
                default_payment_method: Some(saving.method.clone()),
                ..customer
            };
            self.change_customer(conn, &context, changed).await?;
        }
        saving.set_default &= state == State::Usable;
        self.go_on(conn, operation, saving).await
    }

    fn new_method(
        &self,
        operation: &Operation,
        customer: &Customer,
        saving: &Saving,
        found: &there::PaymentMethod,
        state: State,
    ) -> PaymentMethod {
        let now = self.clock.now();
        PaymentMethod {
            id: saving.method.clone(),
            portal: customer.portal.clone(),
            customer_id: customer.id.clone(),
            method_type: found
                .kind
                .as_ref()
                .map_or("unknown", there::PaymentMethodKind::as_str)
                .to_owned(),
            state,
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

impl From<&there::Card> for Card {
    fn from(card: &there::Card) -> Self {
        Self {
            brand: card.brand.clone(),
            last4: card.last4.clone(),
            exp_month: card.exp_month.map(i32::from),
            exp_year: card.exp_year.map(i32::from),
            funding: card.funding.as_ref().map(|it| it.as_str().to_owned()),
            country: card.country.clone(),
        }
    }
}

fn send(step: &'static str, request: FrozenRequest, saving: &Saving) -> Result<Next, StoreError> {
    Ok(Next::Send(Send {
        step,
        request,
        state: Some(state_text(saving)?),
    }))
}

fn intent_request(id: &str) -> Result<FrozenRequest, Error> {
    Ok(setup_intents::retrieve(id)?)
}

/// The stored payment method of that id of Stripe's.
///
/// # Errors
/// `payment_method_unusable` when it is another's, or was detached.
async fn known_method(
    conn: &mut Conn,
    customer: &Customer,
    source: &Source,
    place: (&str, Mode),
) -> Result<Option<PaymentMethod>, StoreError> {
    let Source::PaymentMethod(id) = source else {
        return Ok(None);
    };
    let Some(object) = stripe_objects::find(conn, place.0, place.1, id).await? else {
        return Ok(None);
    };
    let known = store::payment_methods::find(conn, &object.local_id)
        .await?
        .filter(|method| method.customer_id == customer.id && method.state != State::Detached);
    known.map_or_else(|| Err(unusable().into()), |method| Ok(Some(method)))
}

/// Whether the new payment method is to be the default: when that is asked for, or when nothing is
/// said and the customer has no default here, or loses it for this one.
async fn wants_default(
    conn: &mut Conn,
    customer: &Customer,
    input: &SaveInput,
    place: (&str, Mode),
) -> Result<bool, StoreError> {
    if let Some(default) = input.default {
        return Ok(default);
    }
    let Some(current) = &customer.default_payment_method else {
        return Ok(true);
    };
    if input.replaces.as_ref() == Some(current) {
        return Ok(true);
    }
    let current = store::payment_methods::find(conn, current).await?;
    Ok(current.is_none_or(|method| method.stripe.id_in(place.0, place.1).is_none()))
}

/// The setup intent of a finished Checkout page of this customer.
fn intent_of(reply: &RawReply, owner: Option<&str>) -> Result<Option<String>, Error> {
    let session: CheckoutSession = reply.read()?;
    let mine = owner.is_some() && session.customer.as_ref().map(Expandable::id) == owner;
    let done = session.status == Some(CheckoutStatus::Complete);
    let intent = session.setup_intent.filter(|_| mine && done);
    Ok(intent.map(|intent| intent.id().to_owned()))
}

/// What a setup intent of this customer has set up, or why nothing.
fn set_up(
    reply: &RawReply,
    owner: Option<&str>,
) -> Result<Result<(Box<there::PaymentMethod>, State), Error>, Error> {
    let intent: SetupIntent = reply.read()?;
    if owner.is_none() || intent.customer.as_ref().map(Expandable::id) != owner {
        return Ok(Err(unusable()));
    }
    let state = match (intent.status, intent.last_setup_error) {
        (Some(SetupIntentStatus::Succeeded | SetupIntentStatus::Processing), _) => State::Usable,
        (Some(SetupIntentStatus::RequiresAction), _) => State::RequiresAction,
        (Some(SetupIntentStatus::RequiresPaymentMethod), Some(error)) => {
            let stripe = StripeContext {
                request_id: reply.request_id.clone(),
                code: error.code,
                decline_code: error.decline_code,
            };
            let declined = Error::new(Code::PaymentDeclined, "The payment method was declined.");
            return Ok(Err(declined.with_stripe(stripe)));
        }
        _ => return Ok(Err(unusable())),
    };
    Ok(match intent.payment_method {
        Some(Expandable::Object(method)) => Ok((method, state)),
        _ => Err(unusable()),
    })
}
