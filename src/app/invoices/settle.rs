//! Paying an open invoice now, and voiding one.
//!
//! One call to Stripe. Where Stripe refuses because somebody was faster, the invoice is read, and what it
//! is decides. When an invoice of a subscription was paid, the subscription is read too, so that access
//! is there with the answer, whatever becomes of Stripe's events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::locked;
use super::snapshot::{snapshot, spoken_at};
use crate::app::answer::{Answer, Outcome};
use crate::app::idempotency::{Begun, Claim};
use crate::app::operations::{NewOperation, Next, Send, state_of, state_text};
use crate::app::payment_methods::usable_method;
use crate::app::stripe_errors::refusal;
use crate::app::{App, Context, subscriptions};
use crate::clock::Timestamp;
use crate::domain::credentials::Credentials;
use crate::domain::error::{Code, Error};
use crate::domain::invoice::{Invoice, Status};
use crate::domain::operation::{Kind, Operation};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::domain::subscription;
use crate::store::invoices::Shown;
use crate::store::{self, Conn, StoreError};
use crate::stripe::invoices::{self as there, InvoicePaying};
use crate::stripe::subscriptions as subscriptions_there;
use crate::stripe::{FrozenRequest, Outcome as Said, RawReply, StripeError};

const PAY: &str = "pay_invoice";
const VOID: &str = "void_invoice";
const READ: &str = "retrieve_invoice";
const READ_SUBSCRIPTION: &str = "retrieve_subscription";

/// How an invoice is to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is paid now, with this payment method (`meth_…`) if one is named.
    Pay(Option<String>),
    /// It is void from now on.
    Void,
}

/// What an operation of these kinds remembers.
#[derive(Default, Serialize, Deserialize)]
struct Settling {
    /// Stripe's id of the payment method that was named.
    method: Option<String>,
    /// Up to when the subscription was known when it was asked for, in milliseconds.
    known_at: Option<i64>,
}

fn send(step: &'static str, request: FrozenRequest, state: Option<String>) -> Next {
    Next::Send(Send {
        step,
        request,
        state,
    })
}

impl App {
    /// Pays an invoice that waits to be paid, or voids it.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `invoice_state_conflict`, `payment_method_required`,
    /// `payment_method_unusable`, `module_disabled`, `stripe_not_ready`, `stripe_account_mismatch`.
    #[expect(clippy::too_many_arguments, reason = "a request has this many parts")]
    pub async fn settle_invoice(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        settlement: &Settlement,
        precondition: &Precondition,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let Shown {
                invoice,
                organization,
            } = locked(conn, context, portal, id).await?;
            precondition.check(Some(&invoice.tag()))?;
            if !invoice.status.is_payable() {
                return Err(invoice.conflict().into());
            }
            let credentials = self.operation_credentials(conn, portal).await?;
            let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
            if invoice.stripe.id_in(account, mode).is_none() {
                return Err(elsewhere().into());
            }
            let (kind, method) = match settlement {
                Settlement::Void => (Kind::VoidInvoice, None),
                Settlement::Pay(wanted) => {
                    let method = self
                        .method_for(conn, &invoice, wanted.as_deref(), &credentials)
                        .await?;
                    (Kind::PayInvoice, method)
                }
            };
            let state = Settling {
                method,
                known_at: None,
            };
            let new = NewOperation {
                kind,
                subject: invoice.id.clone(),
                organization: Some(organization),
                lane: invoice.customer.clone(),
                state: state_text(&state)?,
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// Stripe's id of the payment method that was named; `None`: Stripe takes the subscription's own or
    /// the customer's default, of which there has to be one.
    async fn method_for(
        &self,
        conn: &mut Conn,
        invoice: &Invoice,
        wanted: Option<&str>,
        credentials: &Credentials,
    ) -> Result<Option<String>, StoreError> {
        let customer = store::customers::find(conn, &invoice.customer).await?;
        let customer = customer.ok_or_else(Error::not_found)?;
        if wanted.is_some() {
            let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
            let now = self.clock.now();
            let found = usable_method(conn, &customer, wanted, now, account, mode).await?;
            return Ok(found.map(|method| method.stripe.id));
        }
        let own = match &invoice.subscription {
            None => None,
            Some(id) => store::subscriptions::find(conn, id)
                .await?
                .and_then(|subscription| subscription.payment_method),
        };
        if own.is_none() && customer.default_payment_method.is_none() {
            return Err(Error::new(
                Code::PaymentMethodRequired,
                "The customer has no payment method: save one first, or name one here.",
            )
            .into());
        }
        Ok(None)
    }

    /// The first step.
    pub(in crate::app) async fn start_settling(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let state: Settling = state_of(operation)?;
        let Shown { invoice, .. } = of_operation(conn, operation).await?;
        let is_wanted = invoice.status == wanted(operation);
        if is_wanted {
            return Ok(done(invoice));
        }
        if !invoice.status.is_payable() {
            return Ok(Next::Failed(invoice.conflict()));
        }
        let id = &invoice.stripe.id;
        if operation.kind == Kind::VoidInvoice {
            return Ok(send(VOID, there::void(id).map_err(Error::from)?, None));
        }
        let how = InvoicePaying {
            payment_method: state.method.as_deref(),
            // Somebody is there: the bank may ask for more than the card.
            off_session: Some(false),
            ..InvoicePaying::default()
        };
        Ok(send(PAY, there::pay(id, &how).map_err(Error::from)?, None))
    }

    /// What follows from Stripe's answer.
    pub(in crate::app) async fn advance_settling(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        if operation.step == READ_SUBSCRIPTION {
            return self.follow_subscription(conn, operation, reply).await;
        }
        let said: there::Invoice = reply.read().map_err(Error::from)?;
        let Shown {
            invoice: before,
            organization,
        } = of_operation(conn, operation).await?;
        let at = spoken_at(&said).max(before.stripe_at);
        let heard = snapshot(&said, before.stripe.clone(), None, at);
        let after = before.follow(&heard, self.clock.now());
        let context = operation.context();
        self.store_invoice(conn, &context, &organization, &before, &after)
            .await?;
        if operation.step == READ && after.status != wanted(operation) {
            return Ok(Next::Failed(after.conflict()));
        }
        // Access follows at once, whichever way nothing is owed any more.
        if after.status == wanted(operation)
            && let Some(next) = self.ask_for_subscription(conn, operation, &after).await?
        {
            return Ok(next);
        }
        Ok(done(after))
    }

    /// What follows from a final refusal. One for another reason than the payment itself may mean that
    /// somebody was faster: the invoice is read.
    pub(in crate::app) async fn refused_settling(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let Shown { invoice, .. } = of_operation(conn, operation).await?;
        if operation.step == READ_SUBSCRIPTION {
            // The invoice is paid; how the subscription stands comes with Stripe's events.
            return Ok(done(invoice));
        }
        if operation.step != READ && error.outcome() == Said::Rejected {
            let request = there::retrieve(&invoice.stripe.id, &[]).map_err(Error::from)?;
            return Ok(send(READ, request, None));
        }
        Ok(Next::Failed(refusal(error)))
    }

    /// The step that reads the subscription of a paid invoice, if it has to be read.
    async fn ask_for_subscription(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        invoice: &Invoice,
    ) -> Result<Option<Next>, StoreError> {
        use subscription::Status::{Incomplete, PastDue, Unpaid};
        let Some(id) = &invoice.subscription else {
            return Ok(None);
        };
        let behind = store::subscriptions::find(conn, id)
            .await?
            .filter(|it| matches!(it.status, Incomplete | PastDue | Unpaid));
        let Some(behind) = behind else {
            return Ok(None);
        };
        let Some(link) = &behind.stripe else {
            return Ok(None);
        };
        let state = Settling {
            known_at: behind.stripe_at.map(Timestamp::as_millis),
            ..state_of(operation)?
        };
        let request = subscriptions_there::retrieve(&link.id, &[]).map_err(Error::from)?;
        Ok(Some(send(
            READ_SUBSCRIPTION,
            request,
            Some(state_text(&state)?),
        )))
    }

    async fn follow_subscription(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let said: subscriptions_there::Subscription = reply.read().map_err(Error::from)?;
        let state: Settling = state_of(operation)?;
        let Shown { invoice, .. } = of_operation(conn, operation).await?;
        if let Some(id) = &invoice.subscription
            && let Some(before) = store::subscriptions::find(conn, id).await?
        {
            // It was so after what was known when it was asked for; what has come since may be later.
            let known = Timestamp::from_millis(state.known_at.unwrap_or_default());
            let at = subscriptions::spoken_at(&said).max(known);
            let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
            let heard = subscriptions::snapshot(conn, &before, &said, account, mode, at).await?;
            let after = before.follow(&heard, self.clock.now());
            if before.status == subscription::Status::Incomplete && after.status != before.status {
                store::subscription_actions::delete(conn, id).await?;
            }
            let context = operation.context();
            self.store_subscription(conn, &context, &before, &after)
                .await?;
        }
        Ok(done(invoice))
    }
}

/// The invoice that an operation is about; nobody else changes it until the transaction ends.
async fn of_operation(conn: &mut Conn, operation: &Operation) -> Result<Shown, StoreError> {
    let id = operation.subject.as_str();
    store::customers::lock(conn, &operation.lane).await?;
    store::invoices::lock_many(conn, &[id]).await?;
    Ok(store::invoices::shown(conn, id)
        .await?
        .ok_or_else(Error::not_found)?)
}

/// What an operation makes of its invoice.
fn wanted(operation: &Operation) -> Status {
    match operation.kind {
        Kind::VoidInvoice => Status::Void,
        _ => Status::Paid,
    }
}

fn done(invoice: Invoice) -> Next {
    Next::Done(Outcome::Invoice(Box::new(invoice)))
}

pub(super) fn elsewhere() -> Error {
    Error::new(
        Code::StripeAccountMismatch,
        "The invoice is of another Stripe account or mode than the portal's credentials.",
    )
}
