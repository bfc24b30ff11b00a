//! Setup intents, and Stripe's own pages: where consumers enter card numbers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::customers::{CustomerPath, customer_of};
use super::operations::OperationBody;
use super::{MayRepeat, MayWait, PortalPath};
use crate::app::hosted::{HostedPage, SetupIntentView, Wanted};
use crate::app::idempotency::Claim;
use crate::clock::Timestamp;
use crate::http::State;
use crate::http::auth::required;
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
    "expires_at": "2026-11-26T12:00:00.000Z"
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
    #[expect(
        dead_code,
        reason = "there is one mode today, and callers have to say it"
    )]
    mode: CheckoutMode,
    /// Where the consumer goes when it is done. Its origin is one of the module's
    /// `allowed_return_origins`.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\\]+$")]
    success_url: String,
    /// Where the consumer goes who turns back; likewise.
    #[schema(max_length = 2048, pattern = r"^https?://[^\s\\]+$")]
    cancel_url: String,
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
#[post("/v1/portals/{portal}/customers/{customer}/setup-intents")]
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
/// Stripe's own page, where the consumer enters a card; nothing of it comes here. When it is done,
/// save the payment method with `{"checkout_session": "cs_…"}`.
#[utoipa::path(
    operation_id = "checkout_session_create",
    tag = "Payment methods",
    params(PortalPath, CustomerPath, MayRepeat, MayWait),
    request_body = CheckoutSessionPost,
    responses(
        (status = 201, description = "The page", body = CheckoutSessionBody),
        (status = 202, description = "It goes on by itself", body = OperationBody),
        (status = 409, description = "The module is not ready, or another request changed the customer"),
    ),
    extensions(("x-organization-tokens" = json!(true))),
    security(("bearer" = ["payment_methods:write"])),
)]
#[post("/v1/portals/{portal}/customers/{customer}/checkout-sessions")]
pub(crate) async fn create_checkout_session(
    at: WithinPortal<required::PaymentMethodsWrite>,
    state: Data<State>,
    request: HttpRequest,
    path: Path<(String, String)>,
    wait: Wait,
    posted: Posted<CheckoutSessionPost, Accepted>,
) -> Result<HttpResponse, Problem> {
    let wanted = Wanted::Setup {
        success_url: posted.body.success_url,
        cancel_url: posted.body.cancel_url,
    };
    open(&at, &state, &request, &path.1, &wanted, posted.claim, wait).await
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
#[post("/v1/portals/{portal}/customers/{customer}/portal-sessions")]
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
