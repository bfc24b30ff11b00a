//! Ending a subscription: here, at Stripe at once, or at Stripe with its period.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::locked;
use super::order::{all_of, given_up, in_turn};
use super::snapshot::{snapshot, spoken_at};
use crate::app::answer::Answer;
use crate::app::idempotency::{Begun, Claim};
use crate::app::operations::{NewOperation, Next, Send, state_of, state_text};
use crate::app::stripe_errors::refusal;
use crate::app::stripe_metadata::SUBSCRIPTION;
use crate::app::{App, Context};
use crate::clock::Timestamp;
use crate::domain::credentials::Credentials;
use crate::domain::customer::Customer;
use crate::domain::error::{Code, Error, FieldCode};
use crate::domain::operation::{self, Operation};
use crate::domain::precondition::Precondition;
use crate::domain::slug::Slug;
use crate::domain::subscription::{Status, Subscription};
use crate::store::{self, Conn, StoreError, subscription_actions};
use crate::stripe::invoices::{self, InvoiceStatus};
use crate::stripe::sessions::{self, CheckoutSession, CheckoutStatus};
use crate::stripe::subscriptions::{self as there, Cancellation, SubscriptionChange};
use crate::stripe::{Expandable, FrozenRequest, List, Outcome, RawReply, StripeError};

const CANCEL: &str = "cancel_subscription";
const CANCEL_AT_PERIOD_END: &str = "cancel_at_period_end";
const UNDO_CANCEL: &str = "undo_cancel";
const READ: &str = "retrieve_subscription";
/// For a subscription whose making came to no end.
const FIND: &str = "find_subscription";
const VOID_INVOICE: &str = "void_invoice";
/// For a subscription that is to be paid on a page: the page goes first, so that nobody pays on it for
/// what has ended here.
const EXPIRE_CHECKOUT: &str = "expire_checkout_session";
const READ_CHECKOUT: &str = "retrieve_checkout_session";
/// For what one that has ended there already leaves behind.
const READ_ENDED: &str = "retrieve_ended";
const EXPAND_INVOICE: &str = "latest_invoice";

/// How a subscription is to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelInput {
    /// When.
    pub at: CancelTime,
    /// Whether what is still to be invoiced is invoiced now.
    pub invoice_now: bool,
    /// What becomes of an open invoice.
    pub open_invoice: OpenInvoice,
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelTime {
    /// At once.
    Now,
    /// With the period that is paid.
    PeriodEnd,
}

/// What becomes of an open invoice when a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenInvoice {
    /// It is void: nothing is owed any more.
    Void,
    /// It stays open, to be paid by hand.
    Keep,
}

/// What an operation of this kind remembers.
#[derive(Serialize, Deserialize)]
struct Ending {
    /// `None`: the end that was planned is taken back.
    cancel: Option<CancelInput>,
    /// Stripe's ids of the invoices that are still to become void.
    #[serde(default)]
    owed: Vec<String>,
}

impl Ending {
    /// Whether what is owed becomes void.
    fn voids(&self) -> bool {
        let cancel = self.cancel.as_ref();
        let voids = |it: &CancelInput| it.open_invoice == OpenInvoice::Void && !it.invoice_now;
        cancel.is_some_and(|it| it.at == CancelTime::Now && voids(it))
    }
}

fn send(step: &'static str, request: FrozenRequest) -> Next {
    Next::Send(Send {
        step,
        request,
        state: None,
    })
}

impl App {
    /// Ends a subscription, at once or with its period. What Stripe does not know ends here; what is on
    /// its way there ends as soon as it has arrived.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `subscription_state_conflict`, `validation_failed`; for a
    /// paid one also `module_disabled`, `stripe_not_ready`, `stripe_account_mismatch`.
    #[expect(clippy::too_many_arguments, reason = "a request has this many parts")]
    pub async fn cancel_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        input: &CancelInput,
        precondition: &Precondition,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let shown = locked(conn, context, portal, id).await?;
            let before = shown.subscription;
            precondition.check(Some(&before.tag()))?;
            if before.status.is_final() {
                return Err(before.conflict().into());
            }
            let at_period_end = input.at == CancelTime::PeriodEnd;
            if at_period_end && !before.paid {
                return Err(no_period().into());
            }
            if at_period_end && !has_period(before.status) {
                return Err(before.conflict().into());
            }
            if !before.paid || before.status == Status::PendingApproval {
                let after = self.turned(&before, Status::Canceled)?;
                let outcome = self.turn(conn, context, &before, &after).await?;
                return Ok(Begun::Done(outcome));
            }
            let ending = Ending {
                cancel: Some(input.clone()),
                owed: Vec::new(),
            };
            let kind = operation::Kind::CancelSubscription;
            self.begin_ending(conn, context, (&before, &shown.organization), kind, &ending)
                .await
        })
        .await
    }

    /// Takes back the end that was planned for a subscription.
    ///
    /// # Errors
    /// As [`App::cancel_subscription`]; `subscription_state_conflict` when no end is planned.
    pub async fn undo_cancel_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        precondition: &Precondition,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let shown = locked(conn, context, portal, id).await?;
            let before = shown.subscription;
            precondition.check(Some(&before.tag()))?;
            if before.status.is_final() {
                return Err(before.conflict().into());
            }
            if before.cancel_at.is_none() {
                return Err(Error::new(
                    Code::SubscriptionStateConflict,
                    "No end is planned for the subscription.",
                )
                .into());
            }
            let kind = operation::Kind::ChangeSubscription;
            let ending = Ending {
                cancel: None,
                owed: Vec::new(),
            };
            self.begin_ending(conn, context, (&before, &shown.organization), kind, &ending)
                .await
        })
        .await
    }

    async fn begin_ending(
        &self,
        conn: &mut Conn,
        context: &Context,
        (before, organization): (&Subscription, &str),
        kind: operation::Kind,
        ending: &Ending,
    ) -> Result<Begun, StoreError> {
        let credentials = self.operation_credentials(conn, &before.portal).await?;
        if !lives_in(before, &credentials) {
            return Err(Error::new(
                Code::StripeAccountMismatch,
                "The subscription lives in another Stripe account or mode than the portal's \
                 credentials are of.",
            )
            .into());
        }
        let new = NewOperation {
            kind,
            subject: before.id.clone(),
            organization: Some(organization.to_owned()),
            lane: before.customer.clone(),
            state: state_text(ending)?,
        };
        let begun = self.begin_operation(conn, context, &before.portal, &credentials, new);
        Ok(Begun::Operation(Box::pin(begun).await?))
    }

    /// The first step of ending a subscription, or of taking its end back.
    pub(in crate::app) async fn start_ending(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let ending: Ending = state_of(operation)?;
        let Some((customer, subscription)) = in_turn(conn, operation).await? else {
            // It came to nothing while this waited: its bank said no.
            return Ok(Next::Failed(Error::not_found()));
        };
        if subscription.status.is_final() {
            return match ending.cancel {
                Some(_) => self.ended_here(conn, operation, &subscription).await,
                None => Ok(Next::Failed(subscription.conflict())),
            };
        }
        if let Some(page) = subscription.checkout() {
            let request = sessions::expire_checkout(page).map_err(Error::from)?;
            return Ok(send(EXPIRE_CHECKOUT, request));
        }
        let Some(link) = &subscription.stripe else {
            let owner = customer.stripe_id_in(&operation.stripe_account, operation.mode);
            let Some(owner) = owner.filter(|_| subscription.status == Status::Provisioning) else {
                return self.ended_here(conn, operation, &subscription).await;
            };
            return Ok(send(FIND, all_of(owner, None)));
        };
        let (step, request) = request_of(&link.id, ending.cancel.as_ref())?;
        Ok(send(step, request))
    }

    /// What follows from Stripe's answer.
    pub(in crate::app) async fn advance_ending(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let ending: Ending = state_of(operation)?;
        let Some((customer, subscription)) = in_turn(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        if operation.step.starts_with(FIND) {
            return self
                .found_or_not(conn, operation, (&customer, &subscription), reply)
                .await;
        }
        if operation.step == EXPIRE_CHECKOUT {
            return self.ended_here(conn, operation, &subscription).await;
        }
        if operation.step == READ_CHECKOUT {
            return self
                .page_read(conn, operation, &subscription, &ending, reply)
                .await;
        }
        if operation.step.starts_with(VOID_INVOICE) {
            return self.void_next(conn, &subscription.id, ending).await;
        }
        let said: there::Subscription = reply.read().map_err(Error::from)?;
        if operation.step == READ_ENDED && said.ended_at.is_none() {
            return Ok(Next::Failed(subscription.conflict()));
        }
        let ended = matches!(operation.step.as_str(), CANCEL | READ_ENDED);
        if !ended && reply.replayed && operation.step != READ {
            // It may have changed since this answer was first given.
            let request = there::retrieve(&said.id, &[]).map_err(Error::from)?;
            return Ok(send(READ, request));
        }
        // What Stripe speaks of in an answer to a change may be older than what is known.
        let at = spoken_at(&said).max(
            subscription
                .stripe_at
                .filter(|_| !ended)
                .unwrap_or(Timestamp::from_millis(0)),
        );
        let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
        let heard = snapshot(conn, &subscription, &said, account, mode, at).await?;
        let after = subscription.follow(&heard, self.clock.now());
        self.note_at_stripe(conn, operation, &subscription, &said.id)
            .await?;
        if after.status.is_final() {
            self.let_nothing_come(conn, &after).await?;
        }
        self.store_subscription(conn, &operation.context(), &subscription, &after)
            .await?;
        self.let_go(conn, operation, &after, open_invoice(&said))
            .await
    }

    /// Makes void, if that was asked for, what is owed for a subscription that has ended, as far as it is known
    /// here, and its last invoice, of which nobody may have told yet.
    async fn let_go(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        ended: &Subscription,
        latest: Option<&str>,
    ) -> Result<Next, StoreError> {
        let ending: Ending = state_of(operation)?;
        let mut owed = Vec::new();
        if ending.voids() {
            let (account, mode) = (operation.stripe_account.as_str(), operation.mode);
            let open = store::invoices::open_of(conn, &ended.id, account, mode).await?;
            let untold = latest.filter(|id| !open.iter().any(|known| known == id));
            owed = untold.map(str::to_owned).into_iter().chain(open).collect();
        }
        self.void_next(conn, &ended.id, Ending { owed, ..ending })
            .await
    }

    /// Makes the next invoice void that is still owed; without one, the subscription is settled.
    async fn void_next(
        &self,
        conn: &mut Conn,
        ended: &str,
        mut ending: Ending,
    ) -> Result<Next, StoreError> {
        let Some(invoice) = ending.owed.pop() else {
            let outcome = self.shown_subscription(conn, ended, false).await?;
            return Ok(Next::Done(outcome));
        };
        Ok(Next::SendNumbered(Send {
            step: VOID_INVOICE,
            request: invoices::void(&invoice).map_err(Error::from)?,
            state: Some(state_text(&ending)?),
        }))
    }

    /// What follows from a final refusal.
    pub(in crate::app) async fn refused_ending(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        error: &StripeError,
    ) -> Result<Next, StoreError> {
        let found = in_turn(conn, operation).await?;
        let Some((_, subscription)) = found else {
            return Ok(Next::Failed(refusal(error)));
        };
        match operation.step.as_str() {
            // It has ended there already: by somebody else, or by this very step, if its answer was lost.
            CANCEL if error.outcome() == Outcome::Missing => {
                self.read_ended(conn, operation, &subscription).await
            }
            // There is nothing to end any more.
            READ_ENDED | EXPIRE_CHECKOUT | READ_CHECKOUT if error.outcome() == Outcome::Missing => {
                self.ended_here(conn, operation, &subscription).await
            }
            // It is over already: by its time, or since it was paid.
            EXPIRE_CHECKOUT if error.outcome() == Outcome::Rejected => {
                match subscription.checkout() {
                    Some(page) => {
                        let request = sessions::retrieve_checkout(page).map_err(Error::from)?;
                        Ok(send(READ_CHECKOUT, request))
                    }
                    // What was paid has arrived meanwhile.
                    None => self.start_ending(conn, operation).await,
                }
            }
            // Paid or void in the meantime: nothing is owed either way.
            step if step.starts_with(VOID_INVOICE)
                && matches!(error.outcome(), Outcome::Missing | Outcome::Rejected) =>
            {
                let ending = state_of(operation)?;
                self.void_next(conn, &subscription.id, ending).await
            }
            _ => Ok(Next::Failed(refusal(error))),
        }
    }

    /// What has become of the page that a subscription was to be paid on, which does not take an end.
    async fn page_read(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
        ending: &Ending,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let page: CheckoutSession = reply.read().map_err(Error::from)?;
        match (page.status, page.subscription) {
            (Some(CheckoutStatus::Complete), Some(made)) => {
                let (step, request) = request_of(made.id(), ending.cancel.as_ref())?;
                Ok(send(step, request))
            }
            (Some(CheckoutStatus::Expired), _) => {
                self.ended_here(conn, operation, subscription).await
            }
            _ => Ok(Next::Failed(subscription.conflict())),
        }
    }

    /// What is left behind by an operation that came to no end: the subscription is at Stripe after
    /// all, or it is not.
    async fn found_or_not(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        (customer, subscription): (&Customer, &Subscription),
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        let page: List<there::Subscription> = reply.read().map_err(Error::from)?;
        let ours = |said: &&there::Subscription| {
            said.metadata.get(SUBSCRIPTION) == Some(&subscription.id) && said.ended_at.is_none()
        };
        if let Some(said) = page.data.iter().find(ours) {
            let ending: Ending = state_of(operation)?;
            let (step, request) = request_of(&said.id, ending.cancel.as_ref())?;
            return Ok(send(step, request));
        }
        let owner = customer.stripe_id_in(&operation.stripe_account, operation.mode);
        let last = page.data.last().filter(|_| page.has_more);
        if let (Some(owner), Some(last)) = (owner, last) {
            return Ok(Next::SendNumbered(Send {
                step: FIND,
                request: all_of(owner, Some(&last.id)),
                state: None,
            }));
        }
        self.ended_here(conn, operation, subscription).await
    }

    /// Asks for what one that has ended at Stripe leaves behind.
    async fn read_ended(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
    ) -> Result<Next, StoreError> {
        let Some(link) = &subscription.stripe else {
            return self.ended_here(conn, operation, subscription).await;
        };
        let request = there::retrieve(&link.id, &[EXPAND_INVOICE]).map_err(Error::from)?;
        Ok(send(READ_ENDED, request))
    }

    /// It ends here, since there is nothing to end at Stripe; what is owed for it is not owed any more.
    async fn ended_here(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        subscription: &Subscription,
    ) -> Result<Next, StoreError> {
        if !subscription.status.is_final() {
            let after = self.turned(subscription, Status::Canceled)?;
            self.let_nothing_come(conn, &after).await?;
            self.store_subscription(conn, &operation.context(), subscription, &after)
                .await?;
        }
        self.let_go(conn, operation, subscription, None).await
    }

    /// What was left of a subscription that has ended goes with it: the consumer has nothing to do any
    /// more, and an operation that came to no end would make it, and charge for it, when it is tried
    /// again.
    async fn let_nothing_come(
        &self,
        conn: &mut Conn,
        ended: &Subscription,
    ) -> Result<(), StoreError> {
        subscription_actions::delete(conn, &ended.id).await?;
        for kind in [
            operation::Kind::CreateSubscription,
            operation::Kind::CreateSubscriptionCheckout,
        ] {
            let making = (kind, ended.id.as_str());
            self.close_operations(conn, &ended.portal, making, &given_up())
                .await?;
        }
        Ok(())
    }
}

/// Whether the subscription is, or is going to be, where these credentials reach.
fn lives_in(subscription: &Subscription, credentials: &Credentials) -> bool {
    subscription.stripe.as_ref().is_none_or(|link| {
        link.id_in(&credentials.account_id, credentials.mode)
            .is_some()
    })
}

/// Whether there is a period to end with.
const fn has_period(status: Status) -> bool {
    matches!(
        status,
        Status::Trialing | Status::Active | Status::PastDue | Status::Unpaid
    )
}

fn request_of(
    id: &str,
    cancel: Option<&CancelInput>,
) -> Result<(&'static str, FrozenRequest), Error> {
    let planned = |planned| SubscriptionChange {
        cancel_at_period_end: Some(planned),
        ..SubscriptionChange::default()
    };
    Ok(match cancel {
        None => (UNDO_CANCEL, there::update(id, &planned(false))?),
        Some(input) if input.at == CancelTime::PeriodEnd => {
            (CANCEL_AT_PERIOD_END, there::update(id, &planned(true))?)
        }
        Some(input) => {
            let cancellation = Cancellation {
                invoice_now: input.invoice_now.then_some(true),
                expand: &[EXPAND_INVOICE],
                ..Cancellation::default()
            };
            (CANCEL, there::cancel(id, &cancellation)?)
        }
    })
}

/// The last invoice, while it waits to be paid.
fn open_invoice(said: &there::Subscription) -> Option<&str> {
    let invoice = said.latest_invoice.as_ref().and_then(Expandable::object)?;
    (invoice.status == Some(InvoiceStatus::Open)).then_some(invoice.id.as_str())
}

fn no_period() -> Error {
    Error::field(
        "/at",
        FieldCode::InvalidValue,
        "A free subscription has no period to end with.",
    )
}
