//! From the configuration to what each module wants to know.

use std::time::Duration;

use crate::app::access::AccessSettings;
use crate::app::budget::Limits;
use crate::app::deliveries::DeliverySettings;
use crate::app::operations::OperationSettings;
use crate::app::reconcile::SweepSettings;
use crate::clock::Clock;
use crate::config::{self, Config, IssuerAlgorithm, KeyMaterial};
use crate::deliver::CourierSettings;
use crate::domain::error::Error;
use crate::http::auth::{
    Algorithm, Authenticator, DevelopmentIssuer, KeySource, Settings, TrustedIssuer,
};
use crate::secret::MasterKeys;
use crate::store::{Engine, StoreSettings};
use crate::stripe::StripeSettings;

/// Longer than any key set takes, shorter than a caller waits.
const KEY_FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// A request that gets no connection by then is told to come again.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Turns tokens into callers, as configured.
///
/// # Errors
/// The HTTP client that fetches keys cannot be made.
pub fn authenticator(
    config: &Config,
    keys: &KeyMaterial,
    clock: Clock,
) -> Result<Authenticator, Error> {
    let settings = Settings {
        audience: config.auth.audience.clone(),
        issuers: config.auth.issuers.iter().filter_map(trusted).collect(),
        development: development_issuer(keys),
        leeway_seconds: config.auth.leeway_seconds,
        max_token_bytes: config.auth.max_token_bytes,
        fetch_timeout: KEY_FETCH_TIMEOUT,
    };
    Authenticator::new(settings, clock)
}

/// The keys that seal secrets at rest.
pub fn master_keys(keys: &KeyMaterial) -> MasterKeys {
    MasterKeys::new(
        keys.master.expose(),
        keys.previous.iter().map(config::Key::expose),
    )
}

/// The database, as configured.
///
/// # Errors
/// The URL is of an engine that is not built in; the configuration's own check comes first.
pub fn store_settings(config: &Config) -> Result<StoreSettings, Error> {
    let database = &config.database;
    let engine = Engine::from_url(database.url.expose())
        .ok_or_else(|| Error::internal("the database URL names no known engine"))?;
    Ok(StoreSettings {
        engine,
        pool_size: usize::try_from(database.pool_size_per_worker).unwrap_or(usize::MAX),
        acquire_timeout: ACQUIRE_TIMEOUT,
        busy_timeout_ms: database.busy_timeout_ms,
        statement_timeout_ms: database.statement_timeout_ms,
    })
}

pub(super) fn development_issuer(keys: &KeyMaterial) -> Option<DevelopmentIssuer> {
    keys.development_secret
        .clone()
        .map(|secret| DevelopmentIssuer {
            issuer: config::DEVELOPMENT_ISSUER.to_owned(),
            secret,
        })
}

pub(super) const fn algorithm(configured: IssuerAlgorithm) -> Algorithm {
    match configured {
        IssuerAlgorithm::EdDsa => Algorithm::EdDsa,
        IssuerAlgorithm::Es256 => Algorithm::Es256,
        IssuerAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

fn trusted(issuer: &config::Issuer) -> Option<TrustedIssuer> {
    let file = issuer.jwks_file.clone().map(KeySource::File);
    let keys = file.or_else(|| issuer.jwks_url.clone().map(KeySource::Url))?;
    Some(TrustedIssuer {
        issuer: issuer.issuer.clone(),
        keys,
        algorithms: issuer.algorithms.iter().copied().map(algorithm).collect(),
    })
}

/// How Stripe is called, as configured.
pub(super) fn stripe_settings(config: &Config) -> StripeSettings {
    StripeSettings {
        base_url: config.stripe.base_url.clone(),
        connect_timeout: Duration::from_millis(config.stripe.connect_timeout_ms.into()),
        request_timeout: Duration::from_millis(config.stripe.request_timeout_ms.into()),
        max_response_bytes: config.stripe.max_response_bytes,
        proxy: config.stripe.proxy.clone(),
    }
}

/// How operations are run, as configured.
pub(super) fn operation_settings(config: &Config) -> OperationSettings {
    let operations = &config.operations;
    OperationSettings {
        first_backoff: Duration::from_millis(operations.first_backoff_ms.into()),
        longest_backoff: Duration::from_millis(operations.longest_backoff_ms.into()),
        max_attempts: operations.max_attempts,
    }
}

/// What is told about access, as configured.
pub(super) const fn access_settings(config: &Config) -> AccessSettings {
    AccessSettings {
        max_age_seconds: config.access.max_age_seconds,
        stale_ms: config.access.stale_ms,
        token_seconds: config.access.token_seconds,
        signing_key_days: config.access.signing_key_days,
    }
}

/// How deliveries are made, as configured.
pub(super) fn delivery_settings(config: &Config) -> DeliverySettings {
    let deliveries = &config.deliveries;
    let count = |configured: u32| usize::try_from(configured).unwrap_or(usize::MAX);
    DeliverySettings {
        at_once: count(deliveries.at_once),
        at_once_per_endpoint: count(deliveries.at_once_per_endpoint),
        disable_after: days(deliveries.disable_after_days),
        keep: days(deliveries.keep_days),
    }
}

fn days(configured: u32) -> Duration {
    Duration::from_hours(24).saturating_mul(configured)
}

/// How receivers are called, as configured.
pub(super) fn courier_settings(config: &Config) -> CourierSettings {
    CourierSettings {
        timeout: Duration::from_millis(config.deliveries.timeout_ms.into()),
        allow_loopback: config.deliveries.allow_loopback,
    }
}

/// How often Stripe may be called, as configured.
pub(super) const fn stripe_limits(config: &Config) -> Limits {
    Limits {
        live: config.stripe.live_calls_per_second,
        test: config.stripe.test_calls_per_second,
        endpoint: config.stripe.endpoint_calls_per_second,
    }
}

/// How often portals are swept, as configured.
pub(super) const fn sweep_settings(config: &Config) -> SweepSettings {
    SweepSettings {
        every_minutes: config.reconciliation.sweep_minutes,
    }
}
