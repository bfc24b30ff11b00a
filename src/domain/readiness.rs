//! Whether a portal is ready to sell, and if not, what is missing and how to mend it.
//!
//! A pure function over what is stored: reading readiness never calls Stripe.

use super::stripe_key::Mode;
use super::stripe_module::StripeModule;
use crate::clock::Timestamp;

/// Furthest this machine's clock may be from Stripe's, in milliseconds. Signatures are accepted
/// within 300 s, so a minute leaves room for the way.
pub const CLOCK_SKEW_MAX_MS: i64 = 60_000;

/// One thing that has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckCode {
    /// The module is enabled.
    ModuleEnabled,
    /// Credentials are stored.
    CredentialsPresent,
    /// Both keys are of one mode.
    KeysSameMode,
    /// Stripe accepted the keys when they were last verified.
    KeyAccepted,
    /// The key may do all the product needs.
    Permissions,
    /// The account may charge.
    AccountCanCharge,
    /// Stripe knows where to deliver.
    WebhookEndpointRegistered,
    /// A signed delivery has arrived.
    WebhookReceived,
    /// Deliveries come in the version this service reads.
    ApiVersionEqual,
    /// The clocks agree.
    ClockSkew,
}

impl CheckCode {
    /// The code as it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModuleEnabled => "module_enabled",
            Self::CredentialsPresent => "credentials_present",
            Self::KeysSameMode => "keys_same_mode",
            Self::KeyAccepted => "key_accepted",
            Self::Permissions => "permissions",
            Self::AccountCanCharge => "account_can_charge",
            Self::WebhookEndpointRegistered => "webhook_endpoint_registered",
            Self::WebhookReceived => "webhook_received",
            Self::ApiVersionEqual => "api_version_equal",
            Self::ClockSkew => "clock_skew",
        }
    }
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// It holds.
    Pass,
    /// It does not; the portal is not ready.
    Fail,
    /// It cannot be told yet. Does not stand in the way.
    Unknown,
}

impl CheckStatus {
    /// The status as it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }
}

/// One check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub code: CheckCode,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do, unless it holds.
    pub mend: Option<String>,
}

/// The module's state in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleStatus {
    /// Not enabled.
    Disabled,
    /// Enabled, no credentials.
    Unconfigured,
    /// Something fails.
    Attention,
    /// Ready to sell.
    Ready,
}

impl ModuleStatus {
    /// The status as it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Unconfigured => "unconfigured",
            Self::Attention => "attention",
            Self::Ready => "ready",
        }
    }
}

/// What Stripe answered when credentials were last verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Whether Stripe took both keys.
    pub accepted: bool,
    /// Permissions a restricted key lacks, by Stripe's names.
    pub missing_permissions: Vec<String>,
    /// Whether the account may charge.
    pub charges_enabled: bool,
    /// The account's country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The account's currency, ISO 4217 in lower case.
    pub default_currency: Option<String>,
    /// This machine's clock minus Stripe's, in milliseconds.
    pub clock_skew_ms: Option<i64>,
}

/// Stored credentials, as far as readiness asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFacts {
    /// The publishable key's mode.
    pub publishable_mode: Option<Mode>,
    /// The secret key's mode.
    pub secret_mode: Mode,
    /// Stripe's last word on them.
    pub verification: Verification,
}

/// How Stripe knows where to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointFacts {
    /// It does not, or no signing secret is known.
    None,
    /// A signing secret was stored by hand; what the endpoint looks like is not known.
    SecretOnly,
    /// This service registered it.
    Registered {
        /// Whether it points to this service's address of today; `None` without a public address.
        url_is_current: Option<bool>,
        /// The version deliveries come in.
        api_version: String,
    },
}

/// Everything readiness is decided from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The portal's name, for the mends.
    pub portal: &'a str,
    /// The module, if ever configured.
    pub module: Option<&'a StripeModule>,
    /// The current credentials.
    pub credentials: Option<&'a CredentialFacts>,
    /// The webhook endpoint.
    pub endpoint: &'a EndpointFacts,
    /// When a signed delivery last arrived.
    pub last_webhook_at: Option<Timestamp>,
    /// The version this service is written for.
    pub pinned_api_version: &'a str,
}

/// Runs every check, in the order an operator goes through them.
pub fn checks(facts: &Facts<'_>) -> Vec<Check> {
    let mut checks = vec![module_enabled(facts)];
    checks.extend(credential_checks(facts));
    checks.extend(webhook_checks(facts));
    checks.push(clock_skew(facts));
    checks
}

/// The one word for these checks.
pub fn status(facts: &Facts<'_>, checks: &[Check]) -> ModuleStatus {
    if !facts.module.is_some_and(|module| module.enabled) {
        ModuleStatus::Disabled
    } else if facts.credentials.is_none() {
        ModuleStatus::Unconfigured
    } else if checks.iter().any(|check| check.status == CheckStatus::Fail) {
        ModuleStatus::Attention
    } else {
        ModuleStatus::Ready
    }
}

fn pass(code: CheckCode, detail: impl Into<String>) -> Check {
    Check {
        code,
        status: CheckStatus::Pass,
        detail: detail.into(),
        mend: None,
    }
}

fn fail(code: CheckCode, detail: impl Into<String>, mend: impl Into<String>) -> Check {
    Check {
        code,
        status: CheckStatus::Fail,
        detail: detail.into(),
        mend: Some(mend.into()),
    }
}

fn unknown(code: CheckCode, detail: impl Into<String>, mend: Option<String>) -> Check {
    Check {
        code,
        status: CheckStatus::Unknown,
        detail: detail.into(),
        mend,
    }
}

fn module_enabled(facts: &Facts<'_>) -> Check {
    if facts.module.is_some_and(|module| module.enabled) {
        pass(CheckCode::ModuleEnabled, "The Stripe module is enabled.")
    } else {
        fail(
            CheckCode::ModuleEnabled,
            "The Stripe module is not enabled.",
            format!(
                "PUT /v1/portals/{}/modules/stripe with {{\"enabled\": true}}.",
                facts.portal
            ),
        )
    }
}

fn credential_checks(facts: &Facts<'_>) -> Vec<Check> {
    let mend_keys = format!(
        "PUT /v1/portals/{}/modules/stripe/credentials.",
        facts.portal
    );
    let Some(credentials) = facts.credentials else {
        let later = |code| unknown(code, "There are no credentials to check.", None);
        return vec![
            fail(
                CheckCode::CredentialsPresent,
                "No credentials are stored.",
                mend_keys,
            ),
            later(CheckCode::KeysSameMode),
            later(CheckCode::KeyAccepted),
            later(CheckCode::Permissions),
            later(CheckCode::AccountCanCharge),
        ];
    };
    vec![
        pass(CheckCode::CredentialsPresent, "Credentials are stored."),
        same_mode(credentials, &mend_keys),
        accepted(credentials, &mend_keys),
        permissions(credentials),
        can_charge(credentials),
    ]
}

fn same_mode(credentials: &CredentialFacts, mend: &str) -> Check {
    if credentials.publishable_mode == Some(credentials.secret_mode) {
        pass(
            CheckCode::KeysSameMode,
            format!(
                "Both keys are of {} mode.",
                credentials.secret_mode.as_str()
            ),
        )
    } else {
        fail(
            CheckCode::KeysSameMode,
            "The keys are of different modes.",
            mend,
        )
    }
}

fn accepted(credentials: &CredentialFacts, mend: &str) -> Check {
    if credentials.verification.accepted {
        pass(
            CheckCode::KeyAccepted,
            "Stripe accepted the keys when they were last verified.",
        )
    } else {
        fail(
            CheckCode::KeyAccepted,
            "Stripe no longer accepts the keys.",
            format!("Make a new key in Stripe's dashboard and store it: {mend}"),
        )
    }
}

fn permissions(credentials: &CredentialFacts) -> Check {
    let missing = &credentials.verification.missing_permissions;
    if !credentials.verification.accepted {
        unknown(CheckCode::Permissions, "The key is not accepted.", None)
    } else if missing.is_empty() {
        pass(
            CheckCode::Permissions,
            "The key may do all this service needs.",
        )
    } else {
        fail(
            CheckCode::Permissions,
            format!("The key lacks: {}.", missing.join(", ")),
            "Grant the restricted key these permissions in Stripe's dashboard, then verify again.",
        )
    }
}

fn can_charge(credentials: &CredentialFacts) -> Check {
    if !credentials.verification.accepted {
        unknown(
            CheckCode::AccountCanCharge,
            "The key is not accepted.",
            None,
        )
    } else if credentials.verification.charges_enabled {
        pass(
            CheckCode::AccountCanCharge,
            "The Stripe account may charge.",
        )
    } else {
        fail(
            CheckCode::AccountCanCharge,
            "The Stripe account may not charge yet.",
            "Finish the account's onboarding in Stripe's dashboard, then verify again.",
        )
    }
}

fn webhook_checks(facts: &Facts<'_>) -> Vec<Check> {
    let mend = format!(
        "POST /v1/portals/{}/modules/stripe/webhook-endpoint.",
        facts.portal
    );
    let registered = match facts.endpoint {
        EndpointFacts::None => fail(
            CheckCode::WebhookEndpointRegistered,
            "Stripe does not know where to deliver events.",
            mend.clone(),
        ),
        EndpointFacts::SecretOnly => pass(
            CheckCode::WebhookEndpointRegistered,
            "A signing secret was stored with the credentials.",
        ),
        EndpointFacts::Registered {
            url_is_current: Some(false),
            ..
        } => fail(
            CheckCode::WebhookEndpointRegistered,
            "The endpoint at Stripe points to an address this service no longer has.",
            mend.clone(),
        ),
        EndpointFacts::Registered { .. } => pass(
            CheckCode::WebhookEndpointRegistered,
            "This service registered its endpoint at Stripe.",
        ),
    };
    let received = match facts.last_webhook_at {
        Some(at) => pass(
            CheckCode::WebhookReceived,
            format!("The last signed delivery arrived at {}.", at.to_rfc3339()),
        ),
        None => unknown(
            CheckCode::WebhookReceived,
            "No signed delivery has arrived yet.",
            Some("Nothing to do: the first event at Stripe will show.".to_owned()),
        ),
    };
    let version = match facts.endpoint {
        EndpointFacts::Registered { api_version, .. }
            if api_version == facts.pinned_api_version =>
        {
            pass(
                CheckCode::ApiVersionEqual,
                format!("Deliveries come in {api_version}."),
            )
        }
        EndpointFacts::Registered { api_version, .. } => fail(
            CheckCode::ApiVersionEqual,
            format!(
                "Deliveries come in {api_version}, this service reads {}.",
                facts.pinned_api_version
            ),
            mend,
        ),
        EndpointFacts::SecretOnly => unknown(
            CheckCode::ApiVersionEqual,
            "The endpoint was made by hand; its version is not known.",
            Some(format!(
                "Make sure it is set to {}.",
                facts.pinned_api_version
            )),
        ),
        EndpointFacts::None => unknown(CheckCode::ApiVersionEqual, "There is no endpoint.", None),
    };
    vec![registered, received, version]
}

fn clock_skew(facts: &Facts<'_>) -> Check {
    let skew = facts.credentials.and_then(|c| c.verification.clock_skew_ms);
    match skew {
        None => unknown(
            CheckCode::ClockSkew,
            "Stripe's time is not known yet.",
            None,
        ),
        Some(skew) if skew.abs() <= CLOCK_SKEW_MAX_MS => pass(
            CheckCode::ClockSkew,
            format!(
                "This machine's clock is within {} s of Stripe's.",
                CLOCK_SKEW_MAX_MS / 1000
            ),
        ),
        Some(skew) => fail(
            CheckCode::ClockSkew,
            format!(
                "This machine's clock is {} s away from Stripe's.",
                skew / 1000
            ),
            "Synchronise the machine's clock, then verify again.",
        ),
    }
}
