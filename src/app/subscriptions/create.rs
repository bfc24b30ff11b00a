//! Asking for a subscription.

use std::time::Duration;

use super::offer::{Footing, find_offer, quantity_of};
use super::order::Order;
use crate::app::answer::Answer;
use crate::app::customers::locked_customer;
use crate::app::idempotency::{Begun, Claim};
use crate::app::operations::{NewOperation, state_text};
use crate::app::payment_methods::unusable;
use crate::app::{App, Context};
use crate::domain::catalog::PlanOnOffer;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error, FieldCode};
use crate::domain::operation::{self, Operation};
use crate::domain::slug::Slug;
use crate::domain::subscription::{Requested, Status, Subscription};
use crate::domain::text::Metadata;
use crate::ids::Kind;
use crate::store::{self, Conn, StoreError, Unique};

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct SubscriptionInput {
    /// For whom.
    pub customer: CustomerRef,
    /// The product.
    pub product: Slug,
    /// The plan of it.
    pub plan: Slug,
    /// The caller's id of the one application it is for, if for one.
    pub application: Option<String>,
    /// Seats, of a plan that has them.
    pub quantity: Option<i64>,
    /// What it is paid with; `None`: the customer's default.
    pub payment_method: Option<Method>,
    /// What the customer typed.
    pub promotion_code: Option<String>,
    /// Whether the plan's trial is wanted.
    pub trial: bool,
    /// The caller's own keys and values.
    pub metadata: Metadata,
}

/// How a caller names a payment method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// One that is saved for the customer, `meth_…`.
    Saved(String),
    /// One that a browser has just made with Stripe, `pm_…`.
    New(String),
}

impl App {
    /// Makes a subscription: a free one at once, one that needs approval as a request for it, a paid
    /// one by an operation.
    ///
    /// # Errors
    /// `not_found` for the customer, `validation_failed`, `plan_unavailable`, `subscription_exists`;
    /// for a paid plan also `module_disabled`, `stripe_not_ready`, `trial_used`,
    /// `payment_method_required`, `payment_method_unusable`, and what the operation comes to:
    /// `payment_declined`, `promotion_code_invalid`, `stripe_refused`.
    pub async fn create_subscription(
        &self,
        context: &Context,
        portal: &Slug,
        input: SubscriptionInput,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        let ahead = async |conn: &mut Conn| {
            conn.both(
                async |conn| locked_customer(conn, context, portal, &input.customer).await,
                async |conn| find_offer(conn, portal, &input.product, &input.plan).await,
            )
            .await
        };
        let work = async |conn: &mut Conn, (customer, offer): (Customer, PlanOnOffer)| {
            let asked = self.asked(portal, &customer, &offer, &input)?;
            if asked.paid && !offer.plan.approval_required {
                let ordered = self.ordered(conn, context, &customer, &asked, &offer);
                return Box::pin(ordered).await;
            }
            if let Some(other) = other_than(conn, &asked).await? {
                return Err(exists(&other).into());
            }
            if offer.plan.approval_required {
                request_of(conn, &customer, &asked).await?;
            }
            self.settled_here(conn, context, &asked).await
        };
        self.once_with(context, portal, claim, wait, ahead, work)
            .await
    }

    /// Begins to make a paid subscription.
    async fn ordered(
        &self,
        conn: &mut Conn,
        context: &Context,
        customer: &Customer,
        asked: &Subscription,
        offer: &PlanOnOffer,
    ) -> Result<Begun, StoreError> {
        let (other, footing) = conn
            .each(
                async |conn| other_than(conn, asked).await,
                async |conn| self.footing(conn, customer, asked).await,
            )
            .await;
        if let Some(other) = other? {
            return Err(exists(&other).into());
        }
        let footing = footing?;
        let order = self.order(conn, customer, asked, offer, &footing).await?;
        let requested = "subscription.requested";
        conn.both(
            async |conn| insert(conn, asked).await,
            async |conn| {
                self.record_subscription(conn, context, asked, requested)
                    .await
            },
        )
        .await?;
        self.begin_order(conn, context, (customer, asked), footing, order)
            .await
    }

    /// The subscription as it is asked for, in its first status.
    pub(super) fn asked(
        &self,
        portal: &Slug,
        customer: &Customer,
        offer: &PlanOnOffer,
        input: &SubscriptionInput,
    ) -> Result<Subscription, Error> {
        let now = self.clock.now();
        let plan = &offer.plan;
        let paid = plan.pricing.is_paid();
        let status = match (plan.approval_required, paid) {
            (true, _) => Status::PendingApproval,
            (false, true) => Status::Provisioning,
            (false, false) => Status::Active,
        };
        let (saved, new) = match &input.payment_method {
            None => (None, None),
            Some(_) if !paid => return Err(nothing_to_pay("/payment_method")),
            Some(Method::Saved(id)) => (Some(id.clone()), None),
            Some(Method::New(id)) => (None, Some(id.clone())),
        };
        if input.promotion_code.is_some() && !paid {
            return Err(nothing_to_pay("/promotion_code"));
        }
        let bare = Subscription::provisioning(
            self.ids.new_id(Kind::Subscription).into(),
            portal.clone(),
            customer.id.clone(),
            (input.product.clone(), input.plan.clone(), plan.revision),
            now,
        );
        Ok(Subscription {
            application: input.application.clone(),
            status,
            paid,
            quantity: quantity_of(&plan.pricing, input.quantity)?,
            payment_method: saved,
            requested: paid.then(|| Requested {
                payment_method: new,
                promotion_code: input.promotion_code.clone(),
                trial: input.trial,
                checkout: None,
            }),
            metadata: input.metadata.clone(),
            version: i64::from(status != Status::Provisioning),
            ..bare
        })
    }

    /// Stores a subscription that needs nothing from Stripe now.
    async fn settled_here(
        &self,
        conn: &mut Conn,
        context: &Context,
        asked: &Subscription,
    ) -> Result<Begun, StoreError> {
        let ((), told) = conn
            .both(
                async |conn| insert(conn, asked).await,
                async |conn| self.tell_of_subscription(conn, context, asked).await,
            )
            .await?;
        Ok(Begun::Done(self.outcome_of(conn, told, true).await?))
    }

    /// Stores the operation that brings a subscription to Stripe.
    pub(super) async fn begin_order(
        &self,
        conn: &mut Conn,
        context: &Context,
        (customer, subscription): (&Customer, &Subscription),
        footing: Footing,
        order: Order,
    ) -> Result<Begun, StoreError> {
        let Footing {
            credentials,
            key,
            busy,
            ..
        } = footing;
        let new = NewOperation {
            kind: operation::Kind::CreateSubscription,
            subject: subscription.id.clone(),
            organization: Some(customer.external_id.clone()),
            lane: customer.id.clone(),
            state: state_text(&order)?,
        };
        let portal = &subscription.portal;
        let first = async |_: &mut Conn, operation: &Operation| {
            self.first_of_order(operation, customer, subscription, order)
        };
        let begun =
            self.begin_operation_with(conn, context, portal, &credentials, (new, busy), first);
        let operation = Box::pin(begun).await?;
        Ok(match key {
            Some(key) => Begun::Opened(operation, key),
            None => Begun::Operation(operation),
        })
    }
}

/// The live subscription of the customer to the product for the application: there is one at most.
pub(super) async fn other_than(
    conn: &mut Conn,
    asked: &Subscription,
) -> Result<Option<Subscription>, StoreError> {
    let application = asked.application.as_deref();
    store::subscriptions::live(conn, &asked.customer, &asked.product, application).await
}

pub(super) fn exists(other: &Subscription) -> Error {
    Error::new(
        Code::SubscriptionExists,
        format!(
            "The customer has a live subscription to this product for this application: {}.",
            other.id
        ),
    )
}

/// Whether a request that waits for approval may name what it is to be paid with. Whether it can be
/// paid with is asked when it is approved.
async fn request_of(
    conn: &mut Conn,
    customer: &Customer,
    asked: &Subscription,
) -> Result<(), StoreError> {
    let Some(id) = &asked.payment_method else {
        return Ok(());
    };
    let found = store::payment_methods::find(conn, id).await?;
    if found.is_none_or(|method| method.customer_id != customer.id) {
        return Err(unusable().into());
    }
    Ok(())
}

pub(super) async fn insert(conn: &mut Conn, asked: &Subscription) -> Result<(), StoreError> {
    match store::subscriptions::insert(conn, asked).await {
        // The customer is locked and there was none: only a writer that takes no lock gets here.
        Err(StoreError::Unique(Unique::LiveSubscription)) => Err(Error::new(
            Code::SubscriptionExists,
            "The customer has a live subscription to this product for this application.",
        )
        .into()),
        other => other,
    }
}

pub(super) fn nothing_to_pay(pointer: &str) -> Error {
    Error::field(
        pointer,
        FieldCode::InvalidValue,
        "The plan is free: there is nothing to pay.",
    )
}
