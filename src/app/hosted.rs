//! What lets a consumer enter a payment method where card numbers may be entered: setup intents for
//! Stripe's scripts in the portal, and Stripe's own pages. Each makes the customer at Stripe first,
//! when it is not there yet.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Outcome};
use super::customers::{CREATE_CUSTOMER, address_of, in_lane, locked_customer};
use super::idempotency::{Begun, Claim};
use super::operations::{NewOperation, Next, Search, Send, state_of, state_text};
use super::stripe_metadata::{CUSTOMER, made_by};
use super::{App, Context};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::customer::{Customer, CustomerRef};
use crate::domain::error::{Code, Error, FieldCode, FieldError};
use crate::domain::operation::{Kind, Operation};
use crate::domain::slug::Slug;
use crate::domain::stripe_module::Origin;
use crate::store::{self, Conn, StoreError};
use crate::stripe::sessions::{
    self, CheckoutFilter, CheckoutPurpose, CheckoutSession, NewCheckoutSession, PortalSession,
};
use crate::stripe::setup_intents::{self, NewSetupIntent, SetupIntent, SetupIntentFilter};
use crate::stripe::{Created, FrozenRequest, Page, RawReply};

const CREATE_INTENT: &str = "create_setup_intent";
pub(super) const CREATE_SESSION: &str = "create_checkout_session";
const CREATE_PORTAL: &str = "create_portal_session";
/// What a Checkout page that saves a payment method is made with where the account has no currency
/// of its own: it decides the kinds of payment method on offer.
const FALLBACK_CURRENCY: &str = "usd";
/// Stripe's clock and ours may differ by this much when a lost object is looked for.
const SKEW_MS: i64 = 60 * 60 * 1000;

/// A setup intent, for Stripe's scripts in a browser.
#[derive(Clone, Debug)]
pub struct SetupIntentView {
    /// Stripe's id, `seti_…`.
    pub id: String,
    /// With it, a browser can finish the intent.
    pub client_secret: SecretString,
    /// The publishable key of the same account and mode.
    pub publishable_key: String,
    /// Stripe's word for how far it is.
    pub status: String,
}

/// A page of Stripe's.
#[derive(Clone, Debug)]
pub struct HostedPage {
    /// Stripe's id, `cs_…`; the customer portal's pages have none to be used.
    pub id: Option<String>,
    /// Where it is; whoever has it may use the page.
    pub url: SecretString,
    /// When it ends, where Stripe says so.
    pub expires_at: Option<Timestamp>,
    /// Our id of the subscription that is paid on it.
    pub subscription: Option<String>,
}

/// Where a consumer goes from one of Stripe's pages.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// No page: a setup intent.
    SetupIntent,
    /// A Checkout page that saves a payment method.
    Setup {
        /// When it is done.
        success_url: String,
        /// When the consumer turns back.
        cancel_url: String,
    },
    /// The customer portal.
    Portal {
        /// When the consumer leaves it.
        return_url: String,
    },
}

impl Wanted {
    /// The addresses by the fields they stand in.
    fn urls(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::SetupIntent => Vec::new(),
            Self::Setup {
                success_url,
                cancel_url,
            } => vec![("/success_url", success_url), ("/cancel_url", cancel_url)],
            Self::Portal { return_url } => vec![("/return_url", return_url)],
        }
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::SetupIntent => Kind::CreateSetupIntent,
            Self::Setup { .. } => Kind::CreateCheckoutSession,
            Self::Portal { .. } => Kind::CreatePortalSession,
        }
    }
}

/// What an operation of these kinds remembers.
#[derive(Default, Serialize, Deserialize)]
struct State {
    urls: Vec<String>,
    currency: String,
}

impl App {
    /// Opens what is wanted for a customer.
    ///
    /// # Errors
    /// `not_found`, `module_disabled`, `stripe_not_ready`, `return_origin_not_allowed`.
    pub async fn open_hosted(
        &self,
        context: &Context,
        portal: &Slug,
        name: &CustomerRef,
        wanted: &Wanted,
        claim: Option<&Claim>,
        wait: Duration,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, wait, async |conn| {
            let customer = locked_customer(conn, context, portal, name).await?;
            let credentials = self.operation_credentials(conn, portal).await?;
            check_urls(conn, portal, &wanted.urls()).await?;
            let currency = credentials.verification.default_currency.clone();
            let urls = wanted.urls().into_iter();
            let state = State {
                urls: urls.map(|(_, url)| url.to_owned()).collect(),
                currency: currency.unwrap_or_else(|| FALLBACK_CURRENCY.to_owned()),
            };
            let new = NewOperation {
                kind: wanted.kind(),
                subject: customer.id.clone(),
                organization: Some(customer.external_id),
                lane: customer.id,
                state: state_text(&state)?,
            };
            let begun = self.begin_operation(conn, context, portal, &credentials, new);
            Ok(Begun::Operation(Box::pin(begun).await?))
        })
        .await
    }

    /// The first step of an operation of these kinds.
    pub(super) async fn start_hosted(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Next, StoreError> {
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let account = operation.stripe_account.as_str();
        match customer.stripe_id_in(account, operation.mode) {
            Some(id) => opening(operation, &customer, id),
            None => Ok(Next::Send(Send {
                step: CREATE_CUSTOMER,
                request: self.create_customer_request(operation, &customer, None, false)?,
                state: None,
            })),
        }
    }

    /// What follows from Stripe's answer to a step of such an operation.
    pub(super) async fn advance_hosted(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Next, StoreError> {
        if operation.step == CREATE_CUSTOMER {
            let customer = self.store_customer_link(conn, operation, reply).await?;
            let link = customer.stripe.clone();
            let id = link.map(|link| link.id).unwrap_or_default();
            return opening(operation, &customer, &id);
        }
        let Some(customer) = in_lane(conn, operation).await? else {
            return Ok(Next::Failed(Error::not_found()));
        };
        let outcome = match operation.kind {
            Kind::CreateSetupIntent => self.setup_intent_made(conn, operation, reply).await?,
            Kind::CreateCheckoutSession => checkout_made(reply)?,
            _ => portal_made(reply)?,
        };
        let entry = Draft {
            action: match operation.kind {
                Kind::CreateSetupIntent => "setup_intent.created",
                Kind::CreateCheckoutSession => "checkout_session.created",
                _ => "portal_session.created",
            },
            subject: address_of(&customer),
            details: Vec::new(),
        };
        let context = operation.context();
        self.record(conn, &context, &operation.portal, &entry)
            .await?;
        Ok(Next::Done(outcome))
    }

    async fn setup_intent_made(
        &self,
        conn: &mut Conn,
        operation: &Operation,
        reply: &RawReply,
    ) -> Result<Outcome, StoreError> {
        let made: SetupIntent = reply.read().map_err(Error::from)?;
        let (Some(status), Some(client_secret)) = (made.status, made.client_secret) else {
            return Err(bad_answer().into());
        };
        let version = operation.credentials_version;
        let credentials = store::credentials::version(conn, &operation.portal, version)
            .await?
            .ok_or_else(|| StoreError::corrupt("operations.credentials_version"))?;
        Ok(Outcome::SetupIntent(Box::new(SetupIntentView {
            id: made.id,
            client_secret,
            publishable_key: credentials.publishable_key,
            status: status.as_str().to_owned(),
        })))
    }
}

/// The request that opens what the operation is to open.
fn opening(operation: &Operation, customer: &Customer, id: &str) -> Result<Next, StoreError> {
    let state: State = state_of(operation)?;
    let url = |place: usize| {
        state
            .urls
            .get(place)
            .map(String::as_str)
            .unwrap_or_default()
    };
    let metadata = made_by(operation, &[(CUSTOMER, &customer.id)]);
    let (step, request) = match operation.kind {
        Kind::CreateSetupIntent => {
            let new = NewSetupIntent {
                customer: id,
                metadata,
                ..NewSetupIntent::default()
            };
            (CREATE_INTENT, setup_intents::create(&new))
        }
        Kind::CreateCheckoutSession => {
            let new = NewCheckoutSession {
                purpose: CheckoutPurpose::Setup {
                    currency: &state.currency,
                    metadata: metadata.clone(),
                },
                customer: id,
                success_url: url(0),
                cancel_url: url(1),
                client_reference_id: Some(&customer.id),
                expires_at: None,
                metadata,
            };
            (CREATE_SESSION, sessions::create_checkout(&new))
        }
        _ => (CREATE_PORTAL, sessions::create_portal(id, url(0))),
    };
    Ok(Next::Send(Send {
        step,
        request,
        state: None,
    }))
}

/// Where the effect of the operation's step is looked for when its answer was lost. A second page of
/// the customer portal does no harm.
pub(super) fn hosted_search(operation: &Operation) -> Option<Search> {
    let created = Created::since(operation.created_at.plus_millis(-SKEW_MS));
    match operation.step.as_str() {
        CREATE_INTENT => Some(Box::new(move |after: Option<&str>| {
            Ok::<FrozenRequest, _>(setup_intents::list(&SetupIntentFilter {
                customer: None,
                created,
                page: Page::largest(after),
            }))
        })),
        CREATE_SESSION => Some(Box::new(move |after: Option<&str>| {
            Ok(sessions::list_checkouts(&CheckoutFilter {
                created,
                page: Page::largest(after),
            }))
        })),
        _ => None,
    }
}

/// The page that Stripe has opened; `subscription` is what is paid on it.
pub(super) fn checkout_of(
    made: CheckoutSession,
    subscription: Option<String>,
) -> Result<HostedPage, Error> {
    Ok(HostedPage {
        id: Some(made.id),
        url: made.url.ok_or_else(bad_answer)?,
        expires_at: made.expires_at,
        subscription,
    })
}

fn checkout_made(reply: &RawReply) -> Result<Outcome, StoreError> {
    let made: CheckoutSession = reply.read().map_err(Error::from)?;
    Ok(Outcome::HostedPage(Box::new(checkout_of(made, None)?)))
}

fn portal_made(reply: &RawReply) -> Result<Outcome, StoreError> {
    let made: PortalSession = reply.read().map_err(Error::from)?;
    Ok(Outcome::HostedPage(Box::new(HostedPage {
        id: None,
        url: made.url.ok_or_else(bad_answer)?,
        expires_at: None,
        subscription: None,
    })))
}

fn bad_answer() -> Error {
    Error::new(
        Code::StripeBadAnswer,
        "Stripe's answer lacks what makes it useful.",
    )
}

/// # Errors
/// `return_origin_not_allowed` with every address whose origin the module does not allow.
pub(super) async fn check_urls(
    conn: &mut Conn,
    portal: &Slug,
    urls: &[(&'static str, &str)],
) -> Result<(), StoreError> {
    let module = store::stripe_modules::find(conn, portal).await?;
    let allowed = module
        .map(|module| module.settings.allowed_return_origins)
        .unwrap_or_default();
    let is_allowed = |url: &str| allowed.iter().any(|origin: &Origin| origin.covers(url));
    let refused: Vec<FieldError> = urls
        .iter()
        .filter(|(_, url)| !is_allowed(url))
        .map(|(pointer, _)| {
            FieldError::new(
                *pointer,
                FieldCode::InvalidValue,
                "Its origin is not one of the module's allowed_return_origins.",
            )
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let error = Error::new(
        Code::ReturnOriginNotAllowed,
        "The consumer can only be sent back to an origin that the module's settings allow.",
    );
    Err(error.with_fields(refused).into())
}
