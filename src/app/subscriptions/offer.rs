//! What can be subscribed to, and what of it Stripe has to be told.

use super::order::{Fee, Named, Order, OrderTrial};
use crate::app::App;
use crate::app::payment_methods::{unusable, usable_method, usable_of};
use crate::domain::catalog::PlanOnOffer;
use crate::domain::credentials::Credentials;
use crate::domain::customer::Customer;
use crate::domain::error::{Code, Error, FieldCode};
use crate::domain::payment_method::PaymentMethod;
use crate::domain::pricing::{Pricing, Trial};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::ApiKey;
use crate::domain::subscription::{QUANTITY_MAX, Subscription};
use crate::store::{self, Conn, StoreError, operations, stripe_objects};
use crate::stripe::catalog::PromotionCode;

/// The plan, if it takes new subscriptions.
///
/// # Errors
/// `validation_failed` for a product or plan that is not there, `plan_unavailable`.
pub(super) async fn find_offer(
    conn: &mut Conn,
    portal: &Slug,
    product: &Slug,
    plan: &Slug,
) -> Result<PlanOnOffer, StoreError> {
    let offer = store::catalog::plan_for_subscribing(conn, portal, product, plan)
        .await?
        .ok_or_else(|| {
            Error::field(
                "/plan",
                FieldCode::InvalidValue,
                "The portal has no such plan of such a product.",
            )
        })?;
    if !offer.product_state.takes_subscribers() || offer.withdrawn {
        return Err(Error::new(
            Code::PlanUnavailable,
            "The plan takes no new subscriptions.",
        )
        .into());
    }
    Ok(offer)
}

/// How many, for a plan of this pricing.
///
/// # Errors
/// `validation_failed` at `/quantity`.
pub(super) fn quantity_of(pricing: &Pricing, wanted: Option<i64>) -> Result<i64, Error> {
    let refused = |detail: String| Error::field("/quantity", FieldCode::InvalidValue, detail);
    match (pricing, wanted) {
        (_, None) => Ok(1),
        (Pricing::PerSeat { .. }, Some(quantity @ 1..=QUANTITY_MAX)) => Ok(quantity),
        (Pricing::PerSeat { .. }, Some(_)) => Err(refused(format!("Must be 1 to {QUANTITY_MAX}."))),
        (Pricing::Free | Pricing::Flat { .. }, Some(_)) => Err(refused(
            "Only a plan priced per seat has a quantity.".to_owned(),
        )),
    }
}

/// What an order stands on, besides the customer and the plan.
pub(super) struct Footing {
    /// With which Stripe is spoken to.
    pub(super) credentials: Credentials,
    /// Their secret key.
    pub(super) key: Option<ApiKey>,
    /// The payment method that the subscription names, else the customer's default.
    pub(super) method: Option<PaymentMethod>,
    /// Whether an operation of the customer is under way.
    pub(super) busy: bool,
}

impl App {
    /// What an order of this customer, who is locked, stands on.
    ///
    /// # Errors
    /// `module_disabled`, `stripe_not_ready`.
    pub(super) async fn footing(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        subscription: &Subscription,
    ) -> Result<Footing, StoreError> {
        let portal = &subscription.portal;
        let named = subscription.payment_method.as_ref();
        let method =
            async |conn: &mut Conn| match named.or(customer.default_payment_method.as_ref()) {
                None => Ok(None),
                Some(id) => store::payment_methods::find(conn, id).await,
            };
        let busy =
            async |conn: &mut Conn| operations::lane_is_busy(conn, portal, &customer.id).await;
        let held = async |conn: &mut Conn| self.operation_credentials(conn, portal).await;
        let opened = async |conn: &mut Conn| self.api_key_now(conn, portal).await;
        let ((credentials, opened), (method, busy)) = conn
            .both(
                async |conn| conn.both(held, opened).await,
                async |conn| conn.both(method, busy).await,
            )
            .await?;
        let key = opened.filter(|(of, _)| *of == credentials);
        Ok(Footing {
            credentials,
            key: key.map(|(_, key)| key),
            method,
            busy,
        })
    }

    /// What Stripe is to be told of a paid subscription but what it is paid with, checked before anything
    /// is sent; `instead_of` is the subscription that goes when this one comes.
    ///
    /// # Errors
    /// `plan_unavailable`, `trial_used`.
    pub(super) async fn terms_of_order(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        subscription: &Subscription,
        offer: &PlanOnOffer,
        credentials: &Credentials,
        instead_of: Option<&str>,
    ) -> Result<Order, StoreError> {
        let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
        let place = |link: &Option<_>| {
            let link: &crate::domain::stripe_link::StripeLink = link.as_ref()?;
            Some(link.id_in(account, mode)?.to_owned())
        };
        let (Some(price), Some(product)) =
            (place(&offer.stripe_price), place(&offer.stripe_product))
        else {
            return Err(not_at_stripe().into());
        };
        let requested = subscription.requested.as_ref();
        let terms = offer.plan.pricing.terms();
        let trial = terms
            .and_then(|terms| terms.trial)
            .filter(|_| requested.is_none_or(|requested| requested.trial));
        let only_one = trial.is_some() && self.one_trial_only(conn, &subscription.portal).await?;
        if only_one && trial_is_gone(conn, &customer.id, instead_of).await? {
            return Err(trial_used().into());
        }
        let per_seat = matches!(offer.plan.pricing, Pricing::PerSeat { .. });
        Ok(Order {
            price,
            product,
            quantity: per_seat.then_some(subscription.quantity),
            trial: trial.map(OrderTrial::from),
            one_trial: only_one,
            setup_fee: terms.and_then(Fee::of),
            method: None,
            attach: false,
            promotion_code: requested.and_then(|requested| requested.promotion_code.clone()),
            promotion: None,
            customer: None,
            approved: false,
        })
    }

    /// What Stripe is to be told of a paid subscription, checked before anything is sent.
    ///
    /// # Errors
    /// `plan_unavailable`, `trial_used`, `payment_method_required`, `payment_method_unusable`.
    pub(super) async fn order(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        subscription: &Subscription,
        offer: &PlanOnOffer,
        footing: &Footing,
    ) -> Result<Order, StoreError> {
        let credentials = &footing.credentials;
        let order = self
            .terms_of_order(conn, customer, subscription, offer, credentials, None)
            .await?;
        let (named, attach) = self
            .named_method(conn, customer, subscription, footing)
            .await?;
        let needed = order
            .trial
            .as_ref()
            .is_none_or(|trial| trial.end_behavior.is_none());
        let named = match named {
            None if needed => self.default_or_saved(conn, customer, footing).await?,
            named => named,
        };
        Ok(Order {
            method: named,
            attach,
            ..order
        })
    }

    async fn one_trial_only(&self, conn: &mut Conn, portal: &Slug) -> Result<bool, StoreError> {
        let module = store::stripe_modules::find(conn, portal).await?;
        Ok(module.is_none_or(|module| module.settings.one_trial_per_customer))
    }

    /// The payment method that is named for it, and whether it is not the customer's yet.
    async fn named_method(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        subscription: &Subscription,
        footing: &Footing,
    ) -> Result<(Option<Named>, bool), StoreError> {
        let credentials = &footing.credentials;
        let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
        let now = self.clock.now();
        let requested = subscription.requested.as_ref();
        let new = requested.and_then(|requested| requested.payment_method.as_ref());
        let found = match (subscription.payment_method.as_deref(), new) {
            (None, None) => return Ok((None, false)),
            (Some(saved), _) => {
                let found = footing.method.clone();
                usable_of(found, customer, Some(saved), now, account, mode)?
            }
            (None, Some(new)) => {
                let Some(known) = stripe_objects::find(conn, account, mode, new).await? else {
                    let named = Named {
                        saved: None,
                        stripe: new.clone(),
                    };
                    return Ok((Some(named), true));
                };
                // It has been saved before: whether for this customer is asked below.
                usable_method(conn, customer, Some(&known.local_id), now, account, mode).await?
            }
        };
        let method = found.ok_or_else(unusable)?;
        let named = Named {
            saved: Some(method.id),
            stripe: method.stripe.id,
        };
        Ok((Some(named), false))
    }

    /// Nothing to be named when the customer's default can be used; without a default the method that
    /// was saved last: one that was saved on a page of Stripe's has come by itself, and nobody has
    /// made it the default yet. A default that cannot be used is no leave to charge another card.
    async fn default_or_saved(
        &self,
        conn: &mut Conn,
        customer: &Customer,
        footing: &Footing,
    ) -> Result<Option<Named>, StoreError> {
        let credentials = &footing.credentials;
        let (account, mode) = (credentials.account_id.as_str(), credentials.mode);
        let now = self.clock.now();
        let default = footing.method.clone();
        if usable_of(default, customer, None, now, account, mode)?.is_some() {
            return Ok(None);
        }
        let saved = match customer.default_payment_method {
            Some(_) => Vec::new(),
            None => store::payment_methods::of_customer(conn, &customer.id).await?,
        };
        let usable = saved
            .into_iter()
            .rev()
            .find(|method| method.stripe.id_in(account, mode).is_some() && method.is_usable(now));
        let method = usable.ok_or_else(|| {
            Error::new(
                Code::PaymentMethodRequired,
                "The plan costs money and the customer has no payment method that can be used. \
                 Save one as the default, or name one.",
            )
        })?;
        Ok(Some(Named {
            saved: Some(method.id),
            stripe: method.stripe.id,
        }))
    }
}

/// The code that this customer may use: its own one, else one for everybody.
pub(super) fn code_for(customer: Option<&str>, found: Vec<PromotionCode>) -> Option<PromotionCode> {
    let of = |code: &PromotionCode| code.customer.as_ref().map(|it| it.id().to_owned());
    let usable = found
        .into_iter()
        .filter(|code| code.active)
        .filter(|code| of(code).is_none_or(|owner| Some(owner.as_str()) == customer));
    usable.max_by_key(|code| code.customer.is_some())
}

pub(super) fn no_such_code() -> Error {
    Error::new(
        Code::PromotionCodeInvalid,
        "The promotion code does not exist, or cannot be used any more.",
    )
}

fn not_at_stripe() -> Error {
    Error::new(
        Code::PlanUnavailable,
        "The plan has no price in the Stripe account and mode that the portal uses now. Put the \
         product again.",
    )
}

/// Whether the customer has had a trial, or may begin one on a page that is open for another subscription
/// than `but`.
pub(super) async fn trial_is_gone(
    conn: &mut Conn,
    customer: &str,
    but: Option<&str>,
) -> Result<bool, StoreError> {
    if store::subscriptions::had_trial(conn, customer).await? {
        return Ok(true);
    }
    let live = store::subscriptions::live_of_customer(conn, customer).await?;
    let mut others = live.iter().filter(|it| Some(it.id.as_str()) != but);
    Ok(others.any(|it| {
        let requested = it.requested.as_ref().filter(|_| it.checkout().is_some());
        requested.is_some_and(|requested| requested.trial)
    }))
}

pub(super) fn trial_used() -> Error {
    Error::new(
        Code::TrialUsed,
        "The customer has had its one trial. Ask with \"trial\": false.",
    )
}

impl From<Trial> for OrderTrial {
    fn from(trial: Trial) -> Self {
        Self {
            days: trial.days,
            end_behavior: (!trial.requires_payment_method)
                .then(|| trial.end_behavior.as_str().to_owned()),
        }
    }
}
