//! The Stripe module of a portal.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PortalPath, ReadConditions, WriteConditions};
use crate::app::modules::ModuleView;
use crate::clock::Timestamp;
use crate::domain::credentials::{Credentials, WebhookEndpoint};
use crate::domain::error::{Error, FieldCode, FieldError};
use crate::domain::readiness::Check;
use crate::domain::stripe_module::{
    GRACE_PERIOD_MAX_DAYS, ModuleSettings, OnUnpaid, Origin, Proration, RETURN_ORIGINS_MAX,
};
use crate::http::State;
use crate::http::auth::required;
use crate::http::etag::{Preconditions, stored, tag_with_digest};
use crate::http::extract::{InPortal, Json, OptionalJson, context, object};
use crate::http::problem::Problem;

/// A portal's Stripe module: its settings, and whether the portal is ready to sell.
#[derive(Serialize, ToSchema)]
#[schema(as = StripeModule, example = json!({
    "enabled": true,
    "status": "attention",
    "mode": "test",
    "account": {"id": "acct_1PgafTB1WZ2rYsUu", "country": "US", "default_currency": "usd"},
    "settings": {
        "grace_period_days": 3,
        "on_unpaid": "deny",
        "proration": "create_prorations",
        "one_trial_per_customer": true,
        "allowed_return_origins": ["https://portal.example"]
    },
    "checks": [{
        "code": "webhook_endpoint_registered",
        "status": "fail",
        "detail": "Stripe does not know where to deliver events.",
        "mend": "POST /v1/portals/acme/modules/stripe/webhook-endpoint."
    }]
}))]
pub struct StripeModuleBody {
    /// Whether paid plans may be had.
    enabled: bool,
    /// `disabled`, `unconfigured` (no credentials), `attention` (a check fails) or `ready`.
    #[schema(value_type = ModuleStatusName)]
    status: &'static str,
    /// The credentials' mode; `null` without credentials.
    #[schema(required = true, value_type = Option<ModeName>)]
    mode: Option<&'static str>,
    /// The Stripe account; `null` without credentials.
    #[schema(required = true)]
    account: Option<AccountBody>,
    /// How the module behaves.
    settings: SettingsBody,
    /// Everything that has to hold, each with its mend.
    checks: Vec<CheckBody>,
}

/// The module's state in one word.
#[derive(ToSchema)]
#[schema(as = ModuleStatus, rename_all = "snake_case")]
pub enum ModuleStatusName {
    /// Not enabled.
    Disabled,
    /// Enabled, no credentials.
    Unconfigured,
    /// A check fails.
    Attention,
    /// Ready to sell.
    Ready,
}

/// One of Stripe's two worlds.
#[derive(ToSchema)]
#[schema(as = Mode, rename_all = "snake_case")]
pub enum ModeName {
    /// No money moves.
    Test,
    /// Real money.
    Live,
}

/// How a check stands.
#[derive(ToSchema)]
#[schema(as = CheckStatus, rename_all = "snake_case")]
pub enum CheckStatusName {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be told yet.
    Unknown,
}

/// A Stripe account.
#[derive(Serialize, ToSchema)]
#[schema(as = StripeAccount)]
pub struct AccountBody {
    /// Stripe's id of it.
    id: String,
    /// ISO 3166-1 alpha-2; `null` when the key may not see it.
    #[schema(required = true)]
    country: Option<String>,
    /// ISO 4217 in lower case; `null` when the key may not see it.
    #[schema(required = true)]
    default_currency: Option<String>,
}

/// One check.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckBody {
    /// Which; see the list in the guide.
    code: &'static str,
    /// How it stands.
    #[schema(value_type = CheckStatusName)]
    status: &'static str,
    /// What was found.
    detail: String,
    /// What to do; `null` when it holds.
    #[schema(required = true)]
    mend: Option<String>,
}

/// What `unpaid` means for access.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OnUnpaid)]
pub enum OnUnpaidName {
    /// No access.
    Deny,
    /// Access all the same.
    Allow,
}

/// How a change in the middle of a period is charged.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Proration)]
pub enum ProrationName {
    /// Lines on the next invoice.
    CreateProrations,
    /// An invoice at once.
    AlwaysInvoice,
    /// Not at all.
    None,
}

/// Scheme, host and port, nothing behind them; https, or http to loopback.
#[derive(ToSchema)]
#[schema(
    max_length = 255,
    pattern = r"^(https://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*|http://(localhost|127\.0\.0\.1|\[::1\]))(:[1-9][0-9]{0,3})?$",
    example = "https://portal.example"
)]
#[expect(dead_code, reason = "documents what `domain::stripe_module` checks")]
pub struct WebOrigin(String);

/// How a module behaves.
#[derive(Serialize, ToSchema)]
#[schema(as = StripeModuleSettings)]
pub struct SettingsBody {
    /// Days of access after the first failed payment.
    #[schema(minimum = 0, maximum = 90)]
    grace_period_days: i32,
    /// What `unpaid` means for access.
    on_unpaid: OnUnpaidName,
    /// How a change in the middle of a period is charged.
    proration: ProrationName,
    /// Whether a customer gets one trial in all.
    one_trial_per_customer: bool,
    /// Origins that hosted pages may send the consumer back to, such as `https://portal.example`.
    #[schema(max_items = 20, value_type = Vec<WebOrigin>)]
    allowed_return_origins: Vec<String>,
}

/// How a module is to behave. What is left out has its default.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StripeModuleSettingsPut {
    /// Days of access after the first failed payment.
    #[schema(minimum = 0, maximum = 90, default = 3)]
    grace_period_days: i32,
    /// What `unpaid` means for access.
    on_unpaid: OnUnpaidName,
    /// How a change in the middle of a period is charged.
    proration: ProrationName,
    /// Whether a customer gets one trial in all.
    #[schema(default = true)]
    one_trial_per_customer: bool,
    /// Origins that hosted pages may send the consumer back to, such as `https://portal.example`.
    #[schema(max_items = 20, value_type = Vec<WebOrigin>)]
    allowed_return_origins: Vec<String>,
}

impl Default for StripeModuleSettingsPut {
    fn default() -> Self {
        let settings = SettingsBody::from(&ModuleSettings::default());
        Self {
            grace_period_days: settings.grace_period_days,
            on_unpaid: settings.on_unpaid,
            proration: settings.proration,
            one_trial_per_customer: settings.one_trial_per_customer,
            allowed_return_origins: settings.allowed_return_origins,
        }
    }
}

impl From<&ModuleSettings> for SettingsBody {
    fn from(settings: &ModuleSettings) -> Self {
        Self {
            grace_period_days: settings.grace_period_days,
            on_unpaid: match settings.on_unpaid {
                OnUnpaid::Deny => OnUnpaidName::Deny,
                OnUnpaid::Allow => OnUnpaidName::Allow,
            },
            proration: match settings.proration {
                Proration::CreateProrations => ProrationName::CreateProrations,
                Proration::AlwaysInvoice => ProrationName::AlwaysInvoice,
                Proration::None => ProrationName::None,
            },
            one_trial_per_customer: settings.one_trial_per_customer,
            allowed_return_origins: settings
                .allowed_return_origins
                .iter()
                .map(|origin| origin.as_str().to_owned())
                .collect(),
        }
    }
}

impl TryFrom<StripeModuleSettingsPut> for ModuleSettings {
    type Error = Error;

    fn try_from(body: StripeModuleSettingsPut) -> Result<Self, Error> {
        let mut errors = Vec::new();
        if !(0..=GRACE_PERIOD_MAX_DAYS).contains(&body.grace_period_days) {
            errors.push(FieldError::new(
                "/settings/grace_period_days",
                FieldCode::InvalidValue,
                format!("Must be 0 to {GRACE_PERIOD_MAX_DAYS}."),
            ));
        }
        if body.allowed_return_origins.len() > RETURN_ORIGINS_MAX {
            errors.push(FieldError::new(
                "/settings/allowed_return_origins",
                FieldCode::TooMany,
                format!("Must be at most {RETURN_ORIGINS_MAX}."),
            ));
        }
        let mut origins = Vec::new();
        for (index, text) in body.allowed_return_origins.iter().enumerate() {
            let pointer = format!("/settings/allowed_return_origins/{index}");
            match Origin::parse(&pointer, text) {
                Ok(origin) => origins.push(origin),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        Ok(Self {
            grace_period_days: body.grace_period_days,
            on_unpaid: match body.on_unpaid {
                OnUnpaidName::Deny => OnUnpaid::Deny,
                OnUnpaidName::Allow => OnUnpaid::Allow,
            },
            proration: match body.proration {
                ProrationName::CreateProrations => Proration::CreateProrations,
                ProrationName::AlwaysInvoice => Proration::AlwaysInvoice,
                ProrationName::None => Proration::None,
            },
            one_trial_per_customer: body.one_trial_per_customer,
            allowed_return_origins: origins,
        })
    }
}

impl From<&ModuleView> for StripeModuleBody {
    fn from(view: &ModuleView) -> Self {
        let defaults = ModuleSettings::default();
        let settings = view
            .module
            .as_ref()
            .map_or(&defaults, |module| &module.settings);
        Self {
            enabled: view.module.as_ref().is_some_and(|module| module.enabled),
            status: view.status.as_str(),
            mode: view
                .credentials
                .as_ref()
                .map(|credentials| credentials.mode.as_str()),
            account: view.credentials.as_ref().map(AccountBody::from),
            settings: SettingsBody::from(settings),
            checks: view.checks.iter().map(CheckBody::from).collect(),
        }
    }
}

impl From<&Credentials> for AccountBody {
    fn from(credentials: &Credentials) -> Self {
        Self {
            id: credentials.account_id.clone(),
            country: credentials.verification.country.clone(),
            default_currency: credentials.verification.default_currency.clone(),
        }
    }
}

impl From<&Check> for CheckBody {
    fn from(check: &Check) -> Self {
        Self {
            code: check.code.as_str(),
            status: check.status.as_str(),
            detail: check.detail.clone(),
            mend: check.mend.clone(),
        }
    }
}

/// What the module is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": true, "settings": {"grace_period_days": 5}}))]
pub struct StripeModulePut {
    /// Whether paid plans may be had.
    enabled: bool,
    /// How it behaves; what is left out has its default.
    #[serde(default, deserialize_with = "object")]
    #[schema(required = false)]
    settings: StripeModuleSettingsPut,
}

/// Read the Stripe module and its readiness
///
/// One answer to whether the portal is ready to sell, and if not, what is missing and how to mend
/// it. Never calls Stripe.
#[utoipa::path(
    operation_id = "stripe_module_get",
    tag = "Stripe module",
    params(PortalPath, ReadConditions),
    responses(
        (status = 200, description = "The module", body = StripeModuleBody),
        (status = 304, description = "The caller has it already"),
    ),
    security(("bearer" = ["modules:read"])),
)]
#[get("/modules/stripe")]
pub(crate) async fn get(
    at: InPortal<required::ModulesRead>,
    state: Data<State>,
    conditions: Preconditions,
) -> Result<HttpResponse, Problem> {
    let view = state.app.module(&at.portal).await?;
    let body = StripeModuleBody::from(&view);
    let version = view.tag().unwrap_or_else(|| "0".to_owned());
    Ok(conditions.answer(&tag_with_digest(&version, &body), &body))
}

/// Enable or disable the Stripe module and set its settings
#[utoipa::path(
    operation_id = "stripe_module_put",
    tag = "Stripe module",
    params(PortalPath, WriteConditions),
    request_body = StripeModulePut,
    responses(
        (status = 200, description = "The module as set", body = StripeModuleBody),
        (status = 201, description = "The module as first set", body = StripeModuleBody),
        (status = 409, description = "Another request changed it in between"),
        (status = 412, description = "A precondition does not hold"),
    ),
    security(("bearer" = ["modules:write"])),
)]
#[put("/modules/stripe")]
pub(crate) async fn put(
    at: InPortal<required::ModulesWrite>,
    state: Data<State>,
    request: HttpRequest,
    conditions: Preconditions,
    body: Json<StripeModulePut>,
) -> Result<HttpResponse, Problem> {
    let settings = ModuleSettings::try_from(body.0.settings)?;
    let context = context(&request, &at.caller);
    let (view, created) = state
        .app
        .put_module(
            &context,
            &at.portal,
            body.0.enabled,
            &settings,
            &conditions.0,
        )
        .await?;
    let version = view.tag().unwrap_or_default();
    let body = StripeModuleBody::from(&view);
    Ok(stored(created, &tag_with_digest(&version, &body), &body))
}

/// What is to be done about the webhook endpoint.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rotate": true}))]
pub struct WebhookEndpointRegister {
    /// Whether to make a new endpoint with a new signing secret although the old one is good. The
    /// old secret stays valid for 24 hours.
    #[serde(default)]
    #[schema(required = false)]
    rotate: bool,
}

/// The endpoint at Stripe that delivers to this service.
#[derive(Serialize, ToSchema)]
#[schema(as = StripeWebhookEndpoint, example = json!({
    "url": "https://billing.example/v1/hooks/stripe/3p6q2x0000000000000000000h",
    "api_version": "2026-09-30.endive",
    "registered_at": "2026-11-23T12:00:00.000Z",
    "stripe": {"account": "acct_1PgafTB1WZ2rYsUu", "livemode": false, "webhook_endpoint": "we_1Mr5jULkdIwHu7ix1ibLTM0x"}
}))]
pub struct WebhookEndpointBody {
    /// Where Stripe delivers.
    url: String,
    /// The version deliveries come in.
    api_version: String,
    /// When it was registered.
    #[schema(required = true, format = DateTime)]
    registered_at: Option<String>,
    /// Stripe's own names.
    stripe: WebhookEndpointStripe,
}

/// Stripe's names of an endpoint.
#[derive(Serialize, ToSchema)]
pub struct WebhookEndpointStripe {
    /// The account it is registered in.
    account: String,
    /// Whether it is of live mode.
    livemode: bool,
    /// Its id at Stripe.
    #[schema(required = true)]
    webhook_endpoint: Option<String>,
}

impl From<WebhookEndpoint> for WebhookEndpointBody {
    fn from(endpoint: WebhookEndpoint) -> Self {
        Self {
            url: endpoint.url,
            api_version: endpoint.api_version,
            registered_at: endpoint.registered_at.map(Timestamp::to_rfc3339),
            stripe: WebhookEndpointStripe {
                account: endpoint.account_id,
                livemode: endpoint.mode.livemode(),
                webhook_endpoint: endpoint.endpoint_id,
            },
        }
    }
}

/// Register this service's webhook endpoint at Stripe
///
/// With the pinned API version and the event types it needs; the signing secret that Stripe returns
/// is stored sealed. Repeating the call is harmless: it makes sure that the endpoint is still as it
/// should be.
#[utoipa::path(
    operation_id = "webhook_endpoint_register",
    tag = "Stripe module",
    params(PortalPath),
    request_body(content = Option<WebhookEndpointRegister>, content_type = "application/json"),
    responses(
        (status = 200, description = "It was registered and still is", body = WebhookEndpointBody),
        (status = 201, description = "It is registered now", body = WebhookEndpointBody),
        (status = 409, description = "The module is disabled, or lacks credentials or an address"),
        (status = 424, description = "Stripe does not accept the credentials"),
        (status = 502, description = "Stripe's answer was not usable"),
    ),
    security(("bearer" = ["modules:write"])),
)]
#[post("/modules/stripe/webhook-endpoint")]
pub(crate) async fn register_webhook_endpoint(
    at: InPortal<required::ModulesWrite>,
    state: Data<State>,
    request: HttpRequest,
    body: OptionalJson<WebhookEndpointRegister>,
) -> Result<HttpResponse, Problem> {
    let context = context(&request, &at.caller);
    let (endpoint, created) = state
        .app
        .register_webhook_endpoint(&context, &at.portal, body.0.rotate)
        .await?;
    let body = WebhookEndpointBody::from(endpoint);
    Ok(if created {
        HttpResponse::Created().json(body)
    } else {
        HttpResponse::Ok().json(body)
    })
}
