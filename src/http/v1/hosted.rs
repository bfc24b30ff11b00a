//! Setup intents, and Stripe's own pages: where consumers enter card numbers.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::customers::{CustomerPath, customer_of};
use super::operations::OperationBody;
use super::subscriptions::Subscribing;
use super::{MayRepeat, MayWait, Metadata, PortalPath};
use crate::app::hosted::{HostedPage, SetupIntentView, Wanted};
use crate::app::idempotency::Claim;
use crate::app::subscriptions::CheckoutInput;
use crate::clock::Timestamp;
use crate::domain::customer::CustomerRef;
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::http::State;
use crate::http::auth::{Scope, required};
use crate::http::extract::{WithinPortal, context};
use crate::http::idempotency::{Accepted, Posted, PostedOptional, Wait};
use crate::http::problem::Problem;
use crate::http::render::respond;

/// A setup intent for Stripe's scripts in a browser. Its secret is shown in this answer and stored
/// nowhere in clear.
#[derive(Serialize, ToSchema)]
#[schema(as = SetupIntent, example = json!({
    "id": "seti_1Qx7example",
    "client_secret": "seti_1Qx7example_…",
    "publishable_key": "pk_test_51PgafTB1WZ2rYsUu",
    "status": "requires_payment_method"
}))]
pub struct SetupIntentBody {
    /// Stripe's id.
    id: String,
    /// With it, a browser finishes the intent (`stripe.confirmSetup`).
    client_secret: String,
    /// What Stripe's scripts are started with.
    publishable_key: String,
    /// Stripe's word for how far it is.
    status: String,
}

impl From<SetupIntentView> for SetupIntentBody {
    fn from(view: SetupIntentView) -> Self {
        Self {
            id: view.id,
            client_secret: view.client_secret.expose_secret().to_owned(),
            publishable_key: view.publishable_key,
            status: view.status,
        }
    }
}

/// A Checkout page.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckoutSession, example = json!({
    "id": "cs_test_a1Qx7example",
    "url": "https://checkout.stripe.com/c/pay/cs_test_a1Qx7example",
    "expires_at": "2026-11-26T12:00:00.000Z",
    "subscription": null
}))]
pub struct CheckoutSessionBody {
    /// Stripe's id; with it, the payment method is saved afterwards. Stripe puts it into the
    /// `success_url` in place of `{CHECKOUT_SESSION_ID}`.
    id: String,
    /// Where to send the consumer.
    url: String,
    /// When the page ends.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
    /// Of a page to subscribe on: the subscription, `incomplete` until it is paid.
    #[schema(required = true)]
    subscription: Option<String>,
}

/// A page of Stripe's customer portal.
#[derive(Serialize, ToSchema)]
#[schema(as = PortalSession, example = json!({
    "url": "https://billing.stripe.com/p/session/test_YWNjdF8xUXg3ZXhhbXBsZQ"
}))]
pub struct PortalSessionBody {
    /// Where to send the consumer, soon.
    url: String,
}

/// What a page of Stripe's looks like.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum HostedPageBody {
    Checkout(CheckoutSessionBody),
    Portal(PortalSessionBody),
}

impl From<HostedPage> for HostedPageBody {
    fn from(page: HostedPage) -> Self {
        let url = page.url.expose_secret().to_owned();
        match page.id {
            Some(id) => Self::Checkout(CheckoutSessionBody {
                id,
                url,
                expires_at: page.expires_at.map(Timestamp::to_rfc3339),
                subscription: page.subscription,
            }),
            None => Self::Portal(PortalSessionBody { url }),
        }
    }
}

/// Nothing has to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct SetupIntentPost {}

/// What a Checkout page is to be for.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckoutMode {
    /// To save a payment method.
    Setup,
    /// To subscribe to a paid plan, and to save what it is paid with.
    Subscription,
}

/// A Checkout page to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "mode": "setup",
    "success_url": "https://portal.example/billing?session={CHECKOUT_SESSION_ID}",
    "cancel_url": "https://portal.example/billing"
}))]
pub struct CheckoutSessionPost {
    /// What it is for.
    mode: CheckoutMode,
    /// To subscribe: the product.
    #[serde(default)]
    #[schema(required = false, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    product: Option<String>,
    /// To subscribe: the plan of it, a paid one that needs no approval.
    #[serde(default)]
    #[schema(required = false, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    plan: Option<String>,
    /// To subscribe: the caller's id of the one application it is for.
    #[serde(default)]
    #[schema(
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    application: Option<String>,
    /// To subscribe: seats, of a plan that is priced per seat; 1 unless said.
    #[serde(default)]
    #[schema(required = false, minimum = 1, maximum = 1_000_000)]
    quantity: Option<i64>,
    /// To subscribe: `false` is without the plan's trial.
    #[serde(default)]
    #[schema(required = false)]
    trial: Option<bool>,
    /// To subscribe: whether the page takes promotion codes. It does not unless said.
    #[serde(default)]
    #[schema(required = false)]
    allow_promotion_codes: Option<bool>,
    /// To subscribe: the caller's own keys and values, at most 50, of 40 and 500 characters.
    #[serde(default)]
    #[schema(required = false, value_type = Option<Metadata>)]
    metadata: Option<BTreeMap<String, String>>,
    /// Where the consumer goes when it is done. Its origin is one of the module's
    /// `allowed_return_origins`.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\\]+$")]
    success_url: String,
    /// Where the consumer goes who turns back; likewise.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\\]+$")]
    cancel_url: String,
}

impl CheckoutSessionPost {
    /// The fields that only a page to subscribe on has, and whether they are given.
    fn of_subscriptions(&self) -> [(&'static str, bool); 7] {
        [
            ("/product", self.product.is_some()),
            ("/plan", self.plan.is_some()),
            ("/application", self.application.is_some()),
            ("/quantity", self.quantity.is_some()),
            ("/trial", self.trial.is_some()),
            (
                "/allow_promotion_codes",
                self.allow_promotion_codes.is_some(),
            ),
            ("/metadata", self.metadata.is_some()),
        ]
    }

    /// What is asked for, for a customer.
    fn checked(self, customer: CustomerRef) -> Result<Asked, Error> {
        match self.mode {
            CheckoutMode::Setup => {
                let given = self.of_subscriptions().into_iter();
                let errors: Vec<FieldError> = given
                    .filter(|(_, is_given)| *is_given)
                    .map(|(pointer, _)| {
                        let detail = "Only with \"mode\": \"subscription\".";
                        FieldError::new(pointer, FieldCode::InvalidValue, detail)
                    })
                    .collect();
                if !errors.is_empty() {
                    return Err(Error::fields(errors));
                }
                Ok(Asked::Page(Wanted::Setup {
                    success_url: self.success_url,
                    cancel_url: self.cancel_url,
                }))
            }
            CheckoutMode::Subscription => {
                let subscribing = Subscribing {
                    customer: Some(customer),
                    product: self.product.as_deref(),
                    plan: self.plan.as_deref(),
                    application: self.application,
                    quantity: self.quantity,
                    payment_method: None,
                    promotion_code: None,
                    trial: self.trial,
                    metadata: self.metadata.unwrap_or_default(),
                };
                Ok(Asked::Subscription(Box::new(CheckoutInput {
                    subscription: subscribing.checked()?,
                    promotion_codes: self.allow_promotion_codes.unwrap_or(false),
                    success_url: self.success_url,
                    cancel_url: self.cancel_url,
                })))
            }
        }
    }
}

/// What a Checkout page is asked for.
enum Asked {
    Page(Wanted),
    Subscription(Box<CheckoutInput>),
}

/// A page of the customer portal to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"return_url": "https://portal.example/billing"}))]
pub struct PortalSessionPost {
    /// Where the consumer goes who leaves it. Its origin is one of the module's
    /// `allowed_return_origins`.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\\]+$")]
    return_url: String,
}

/// Begin to save a payment method
///
/// For a page of the portal with Stripe's scripts. When the consumer has finished it, save the payment
/// method with `{"setup_intent": "seti_…"}`. With an `Idempotency-Key`, a lost answer can be asked for
/// again. Where the portal has no such page, a Checkout page does the same.
#[utoipa::path(
    operation_id = "setup_intent_create",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, MayRepeat, MayWait),
    request_body = Option<SetupIntentPost>,
    responses(
        (status = 201, description = "The setup intent", body = SetupIntentBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "The module is not ready, or another request changed the customer"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[post("/customers/{customer}/setup-intents")]
pub(crate) async fn create_setup_intent(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    wait: Wait,
    posted: PostedOptional<SetupIntentPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    open(
        &at,
        &state,
        &request,
        &path.1,
        &Wanted::SetupIntent,
        posted.claim,
        wait,
    )
    .await
}

/// Open a Checkout page
///
/// Stripe's own page, where the consumer enters a card; nothing of it comes here.
///
/// With `mode` `setup` it saves a payment method: when it is done, `{"checkout_session": "cs_…"}` saves it
/// here, and where nobody does, Stripe's webhook.
///
/// With `mode` `subscription`, which needs the scope `subscriptions:write` as well, the consumer subscribes
/// to a paid plan on it. The subscription is there at once, `incomplete`, and holds its place; it becomes
/// `active` or `trialing` by Stripe's webhook when the page is done, `expired` when the page is over after
/// 24 hours, and canceling it closes the page. A further page for the same product and application closes
/// the one before.
#[utoipa::path(
    operation_id = "checkout_session_create",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, MayRepeat, MayWait),
    request_body = CheckoutSessionPost,
    responses(
        (status = 201, description = "The page", body = CheckoutSessionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "The module is not ready, another request changed the customer, or it has a subscription to the product for the application"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[post("/customers/{customer}/checkout-sessions")]
pub(crate) async fn create_checkout_session(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    wait: Wait,
    posted: Posted<CheckoutSessionPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let name = customer_of(&path.1)?;
    let input = match posted.body.checked(name)? {
        Asked::Page(wanted) => {
            return open(&at, &state, &request, &path.1, &wanted, posted.claim, wait).await;
        }
        Asked::Subscription(input) => *input,
    };
    at.caller.require_scope(Scope::SubscriptionsWrite)?;
    let context = context(&request, &at.caller);
    let claim = posted.claim.as_ref();
    let answer = state
        .app
        .open_subscription_checkout(&context, &at.portal, input, claim, wait.0)
        .await?;
    Ok(respond(answer))
}

/// Open the customer portal
///
/// Stripe's own page, where the consumer sees invoices and changes payment methods, as the account's
/// settings at Stripe allow.
#[utoipa::path(
    operation_id = "portal_session_create",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, MayRepeat, MayWait),
    request_body = PortalSessionPost,
    responses(
        (status = 201, description = "The page", body = PortalSessionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "The module is not ready, or another request changed the customer"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[post("/customers/{customer}/portal-sessions")]
pub(crate) async fn create_portal_session(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    wait: Wait,
    posted: Posted<PortalSessionPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::Portal {
        return_url: posted.body.return_url,
    };
    open(&at, &state, &request, &path.1, &wanted, posted.claim, wait).await
}

async fn open(
    at: &WithinPortal<required::PaymentMethodsWrite>,
    state: &State,
    request: &HttpRequest,
    customer: &str,
    wanted: &Wanted,
    claim: Option<Claim>,
    wait: Wait,
) -> Result<HttpResponse, Problem> {
    let context = context(request, &at.caller);
    let name = customer_of(customer)?;
    let claim = claim.as_ref();
    let answer = state
        .app
        .open_hosted(&context, &at.portal, &name, wanted, claim, wait.0)
        .await?;
    Ok(respond(answer))
}
