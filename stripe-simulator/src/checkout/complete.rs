//! What happens when a customer submits a Checkout page.

use serde_json::{Map, Value, json};

use super::session::{CheckoutSession, Mode, PaidStatus, Payer, SessionStatus};
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::front::router::Method;
use crate::params::Metadata;
use crate::payments::attempt::Attempt;
use crate::payments::collect::CollectOutcome;
use crate::payments::instrument::{Answer, Circumstances, Presence};
use crate::payments::payment_intent::{CaptureMethod, Owner, PaymentIntent, PaymentStatus};
use crate::payments::settle::{BankAnswer, NothingToAuthenticate};
use crate::payments::setup_intent::SetupStatus;

/// Where a submission has led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The session is complete.
    Complete,
    /// The customer has to authenticate; the id is the one the bank's page is for.
    Authenticate(String),
    /// Refused, with a message for the customer; the session stays open.
    Refused(String),
}

impl Account {
    /// The customer pays, subscribes or saves with this payment method; without one where the
    /// session needs none.
    ///
    /// # Errors
    /// 400 for a session that is not open, or that needs a method.
    pub(crate) fn submit_checkout(
        &mut self,
        id: &str,
        method: Option<&str>,
        payer: Payer,
    ) -> Result<Step, StripeError> {
        let Some(mut session) = self.hosted.sessions.get_mut(id) else {
            return Err(StripeError::no_such("checkout.session", id, "session"));
        };
        if session.status != SessionStatus::Open {
            return Err(StripeError::invalid(format!(
                "This Checkout Session has a status of `{}`: it takes no submission any more.",
                session.status.as_str()
            )));
        }
        if method.is_none() && !session.needs_no_method() {
            return Err(StripeError::missing_param("payment_method"));
        }
        session.payer = payer;
        let (mode, customer) = (session.mode, session.customer.clone());
        drop(session);
        if let Some(customer) = customer {
            self.act_for(&customer);
        }
        let Some(method) = method else {
            return Ok(self
                .session(id)
                .map_or_else(gone, |own| self.subscribe(&own, None)));
        };
        Ok(match mode {
            Mode::Setup => self.submit_setup(id, method),
            Mode::Payment => self.submit_payment(id, method),
            Mode::Subscription => self.submit_subscription(id, method),
        })
    }

    fn session(&self, id: &str) -> Option<CheckoutSession> {
        self.hosted.sessions.get(id).cloned()
    }

    fn submit_setup(&mut self, id: &str, method: &str) -> Step {
        let Some(session) = self.session(id) else {
            return gone();
        };
        let Some(intent) = session.setup_intent.clone() else {
            return gone();
        };
        let customer = self.customer_of(&session);
        let customer = if session.creates_customer && customer.is_none() {
            Some(self.make_customer(id))
        } else {
            customer
        };
        self.change_setup_intent(&intent, |intent| {
            intent.payment_method = Some(method.to_owned());
            intent.customer = customer;
            intent.mandate_given = true;
            intent.status = SetupStatus::RequiresConfirmation;
        });
        match self.attempt_setup(&intent, Presence::OnSession, Some(session.page)) {
            SetupStatus::RequiresAction => Step::Authenticate(intent),
            SetupStatus::Succeeded => {
                self.finish(id, PaidStatus::NoPaymentRequired);
                Step::Complete
            }
            _ => {
                let intent = self.payments.setup_intents.get(&intent);
                let error = intent.and_then(|intent| intent.last_setup_error.as_ref());
                Step::Refused(error.map_or_else(String::new, |error| error.message.clone()))
            }
        }
    }

    fn submit_payment(&mut self, id: &str, method: &str) -> Step {
        let Some(session) = self.session(id) else {
            return gone();
        };
        if session.total() == Some(0) {
            self.finish(id, PaidStatus::NoPaymentRequired);
            return Step::Complete;
        }
        let customer = self.customer_of(&session);
        let customer = if session.creates_customer && customer.is_none() {
            Some(self.make_customer(id))
        } else {
            customer
        };
        let intent = match session.payment_intent.clone() {
            Some(intent) => intent,
            None => self.make_checkout_intent(&session, customer),
        };
        self.change_payment_intent(&intent, |intent| {
            intent.payment_method = Some(method.to_owned());
            intent.status = PaymentStatus::RequiresConfirmation;
            intent.mandate_given = true;
        });
        let attempt = Attempt {
            return_url: Some(session.page),
            ..Attempt::default()
        };
        match self.attempt_payment(&intent, &attempt) {
            PaymentStatus::RequiresAction => Step::Authenticate(intent),
            PaymentStatus::Succeeded => {
                self.finish(id, PaidStatus::Paid);
                Step::Complete
            }
            PaymentStatus::Processing | PaymentStatus::RequiresCapture => {
                self.finish(id, PaidStatus::Unpaid);
                Step::Complete
            }
            _ => {
                let intent = self.payments.payment_intents.get(&intent);
                let error = intent.and_then(|intent| intent.last_payment_error.as_ref());
                Step::Refused(error.map_or_else(String::new, |error| error.message.clone()))
            }
        }
    }

    fn make_checkout_intent(
        &mut self,
        session: &CheckoutSession,
        customer: Option<String>,
    ) -> String {
        let data = session.given_map("payment_intent_data");
        let text = |name: &str| data.get(name).and_then(Value::as_str).map(str::to_owned);
        let id = self.ids.long("pi_");
        let client_secret = format!("{id}_secret_{}", self.ids.base62(25));
        let metadata: Metadata = data
            .get("metadata")
            .and_then(|metadata| serde_json::from_value(metadata.clone()).ok())
            .unwrap_or_default();
        let manual = text("capture_method").as_deref() == Some("manual");
        let currency = session.currency.unwrap_or_else(|| self.default_currency());
        let intent = PaymentIntent {
            created: self.now(),
            livemode: self.livemode,
            customer,
            payment_method_types: session.payment_method_types.clone(),
            configuration: session.configuration.clone(),
            setup_future_usage: text("setup_future_usage"),
            description: text("description"),
            receipt_email: text("receipt_email"),
            statement_descriptor: text("statement_descriptor"),
            statement_descriptor_suffix: text("statement_descriptor_suffix"),
            transfer_group: text("transfer_group"),
            shipping: data.get("shipping").cloned().unwrap_or_default(),
            capture_method: if manual {
                CaptureMethod::Manual
            } else {
                CaptureMethod::AutomaticAsync
            },
            metadata,
            authentication_url: self.authentication_url(&id),
            owner: Owner::Checkout(session.id.clone()),
            ..PaymentIntent::new(
                id.clone(),
                client_secret,
                session.total().unwrap_or_default(),
                currency,
            )
        };
        let rendered = intent.render();
        self.payments.payment_intents.insert(intent);
        self.emit("payment_intent.created", &rendered);
        if let Some(mut session) = self.hosted.sessions.get_mut(&session.id) {
            session.payment_intent = Some(id.clone());
        }
        id
    }

    /// The bank is asked first, so that a refused card leaves no subscription behind.
    fn submit_subscription(&mut self, id: &str, method: &str) -> Step {
        let Some(session) = self.session(id) else {
            return gone();
        };
        let Some(found) = self.payments.payment_methods.get(method) else {
            return gone();
        };
        let circumstances = Circumstances {
            presence: Presence::OnSession,
            set_up: found.set_up,
            three_d_secure_requested: false,
        };
        let due = session.total().unwrap_or_default() > 0;
        let answer = if due {
            found.instrument.answer_to_charge(circumstances)
        } else {
            found.instrument.answer_to_setup(circumstances)
        };
        match answer {
            Answer::Declined(decline) => Step::Refused(decline.words().message.to_owned()),
            Answer::AuthenticationNeeded => {
                if let Some(mut session) = self.hosted.sessions.get_mut(id) {
                    session.pending_method = Some(method.to_owned());
                }
                Step::Authenticate(id.to_owned())
            }
            Answer::Approved | Answer::Pending(_) => self.subscribe(&session, Some(method)),
        }
    }

    /// The customer's answer to the bank about a session in subscription mode.
    pub(crate) fn answer_checkout_authentication(
        &mut self,
        id: &str,
        answer: BankAnswer,
    ) -> Result<(), NothingToAuthenticate> {
        let Some(mut session) = self.hosted.sessions.get_mut(id) else {
            return Err(NothingToAuthenticate::Unknown);
        };
        let method = session.pending_method.take();
        drop(session);
        let (Some(method), Some(session)) = (method, self.session(id)) else {
            return Err(NothingToAuthenticate::NotWaiting);
        };
        if session.status != SessionStatus::Open {
            return Err(NothingToAuthenticate::NotWaiting);
        }
        let step = match answer {
            BankAnswer::Deny => Step::Refused(AUTHENTICATION_FAILED.to_owned()),
            BankAnswer::Approve => {
                if let Some(mut method) = self.payments.payment_methods.get_mut(&method) {
                    method.authenticated_once = true;
                }
                self.subscribe(&session, Some(&method))
            }
        };
        if let (Step::Refused(message), Some(mut session)) =
            (step, self.hosted.sessions.get_mut(id))
        {
            session.message = Some(message);
        }
        Ok(())
    }

    fn subscribe(&mut self, session: &CheckoutSession, method: Option<&str>) -> Step {
        let customer = match self.customer_of(session) {
            Some(customer) => customer,
            None => self.make_customer(&session.id),
        };
        self.act_for(&customer);
        if let Some(method) = method {
            self.attach_verified(method, &customer);
            if let Some(mut method) = self.payments.payment_methods.get_mut(method) {
                method.set_up = true;
            }
        }
        let params = subscription_params(session, &customer, method);
        let made = self.call(Method::Post, "/v1/subscriptions", &params);
        let subscription = match made {
            Ok(subscription) => subscription,
            Err(error) => return Step::Refused(error.message().to_owned()),
        };
        let text = |name: &str| {
            subscription
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let invoice = text("latest_invoice");
        let paid = match invoice.as_deref().and_then(|invoice| self.render(invoice)) {
            Some(invoice) if invoice.get("status").and_then(Value::as_str) == Some("paid") => {
                PaidStatus::Paid
            }
            Some(_) => PaidStatus::Unpaid,
            None => PaidStatus::NoPaymentRequired,
        };
        if let Some(mut session) = self.hosted.sessions.get_mut(&session.id) {
            session.subscription = text("id");
            session.invoice = invoice;
        }
        let due = session.total().unwrap_or_default() > 0;
        self.finish(
            &session.id,
            if due {
                paid
            } else {
                PaidStatus::NoPaymentRequired
            },
        );
        Step::Complete
    }

    fn customer_of(&self, session: &CheckoutSession) -> Option<String> {
        self.hosted.sessions.get(&session.id)?.customer.clone()
    }

    /// The customer that the session makes out of what was filled in.
    fn make_customer(&mut self, session: &str) -> String {
        let mut params = Map::new();
        if let Some(session) = self.hosted.sessions.get(session) {
            let email = session
                .payer
                .email
                .as_deref()
                .or(session.given_text("customer_email"));
            for (name, value) in [("email", email), ("name", session.payer.name.as_deref())] {
                if let Some(value) = value {
                    params.insert(name.to_owned(), value.into());
                }
            }
        }
        let made = self
            .call(Method::Post, "/v1/customers", &params)
            .unwrap_or_default();
        let id = made
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Some(mut session) = self.hosted.sessions.get_mut(session) {
            session.customer = Some(id.clone());
        }
        id
    }

    fn finish(&mut self, id: &str, paid: PaidStatus) {
        if let Some(mut session) = self.hosted.sessions.get_mut(id) {
            session.status = SessionStatus::Complete;
            session.payment_status = paid;
            session.pending_method = None;
        }
        self.emit_session(id, "checkout.session.completed");
    }

    /// Records an event about a session as it is now.
    fn emit_session(&mut self, id: &str, kind: &str) {
        if let Some(body) = self
            .hosted
            .sessions
            .get(id)
            .map(|session| session.render(self))
        {
            self.emit(kind, &body);
        }
    }

    /// A payment or a setup of the session has moved by itself: the bank answered, a debit
    /// settled.
    pub(crate) fn checkout_moved(&mut self, id: &str) {
        let Some(session) = self.session(id) else {
            return;
        };
        let intent = session.payment_intent.as_deref();
        let payment = intent.and_then(|id| self.payments.payment_intents.get(id));
        let payment = payment.map(|intent| intent.status);
        if session.status == SessionStatus::Open {
            let setup = session.setup_intent.as_deref();
            let setup = setup.and_then(|id| self.payments.setup_intents.get(id));
            match (payment, setup.map(|intent| intent.status)) {
                (Some(PaymentStatus::Succeeded), _) => self.finish(id, PaidStatus::Paid),
                (Some(PaymentStatus::Processing), _) => self.finish(id, PaidStatus::Unpaid),
                (None, Some(SetupStatus::Succeeded)) => {
                    self.finish(id, PaidStatus::NoPaymentRequired);
                }
                _ => {}
            }
            return;
        }
        if session.payment_status != PaidStatus::Unpaid {
            return;
        }
        match payment {
            Some(PaymentStatus::Succeeded) => self.paid_later(id, true),
            Some(PaymentStatus::RequiresPaymentMethod) => self.paid_later(id, false),
            _ => {}
        }
    }

    /// The first invoice of a subscription that a session made has been settled, or its debit has
    /// come back.
    pub(crate) fn checkout_invoice_moved(&mut self, invoice: &str, outcome: &CollectOutcome) {
        for id in self.hosted.sessions.ids_by_key("invoice", invoice) {
            let waits = self
                .session(&id)
                .is_some_and(|session| session.payment_status == PaidStatus::Unpaid);
            match outcome {
                CollectOutcome::Succeeded if waits => self.paid_later(&id, true),
                CollectOutcome::Declined { .. } if waits => self.paid_later(&id, false),
                _ => {}
            }
        }
    }

    /// A complete session hears how its debit ended.
    fn paid_later(&mut self, id: &str, paid: bool) {
        if !paid {
            self.emit_session(id, "checkout.session.async_payment_failed");
            return;
        }
        if let Some(mut session) = self.hosted.sessions.get_mut(id) {
            session.payment_status = PaidStatus::Paid;
        }
        self.emit_session(id, "checkout.session.async_payment_succeeded");
    }

    /// Ends an open session without success: by call, or by the clock.
    pub(crate) fn expire_checkout(&mut self, id: &str) {
        let Some(mut session) = self.hosted.sessions.get_mut(id) else {
            return;
        };
        if session.status != SessionStatus::Open {
            return;
        }
        session.status = SessionStatus::Expired;
        session.pending_method = None;
        let intent = session.payment_intent.clone();
        drop(session);
        if let Some(intent) = intent {
            self.cancel_payment(&intent, Some("expired"));
        }
        self.emit_session(id, "checkout.session.expired");
    }
}

const AUTHENTICATION_FAILED: &str = "We are unable to authenticate your payment method. Please choose a different payment method and try again.";

fn gone() -> Step {
    Step::Refused("This session is not here any more.".to_owned())
}

/// The parameters of the subscription that a session makes.
fn subscription_params(
    session: &CheckoutSession,
    customer: &str,
    method: Option<&str>,
) -> Map<String, Value> {
    let mut params = session.given_map("subscription_data");
    let (recurring, once): (Vec<_>, Vec<_>) = session.lines.iter().partition(|line| line.recurring);
    let items = |lines: Vec<&super::session::CartLine>| -> Value {
        let item = |line: &super::session::CartLine| match line.quantity {
            Some(quantity) => json!({ "price": line.price, "quantity": quantity }),
            None => json!({ "price": line.price }),
        };
        lines.into_iter().map(item).collect()
    };
    params.insert("customer".to_owned(), customer.into());
    if let Some(method) = method {
        params.insert("default_payment_method".to_owned(), method.into());
    }
    params.insert("items".to_owned(), items(recurring));
    if !once.is_empty() {
        params.insert("add_invoice_items".to_owned(), items(once));
    }
    // A refusal leaves nothing behind: the customer tries another card on the same page.
    params.insert("payment_behavior".to_owned(), "error_if_incomplete".into());
    for name in ["automatic_tax", "discounts"] {
        if let Some(value) = session.given.get(name) {
            params.insert(name.to_owned(), value.clone());
        }
    }
    params
}
