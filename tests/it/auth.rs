//! Tokens and key sets that have to be refused, and the few that have to be accepted.

mod claims;
pub(crate) mod forge;
mod issuer;
mod key_sets;
mod rotation;
mod tokens;
mod world;

use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use portal_billing::clock::{Clock, Timestamp};
use portal_billing::domain::error::{Code, Error};
use portal_billing::http::auth::{
    Algorithm, Authenticator, Caller, DevelopmentIssuer, KeySource, Settings, TrustedIssuer,
};

const ISSUER: &str = "https://id.example";
const OTHER_ISSUER: &str = "https://other.example";
const DEVELOPMENT: &str = "portal-billing-development";
const DEVELOPMENT_SECRET: &str = "a development secret of more than thirty-two bytes";
const AUDIENCE: &str = "portal-billing";
const NOW: i64 = 1_795_000_000;
const LEEWAY: i64 = 30;
const MAX_TOKEN_BYTES: usize = 4096;

fn clock() -> Clock {
    Clock::standing_at(Timestamp::from_seconds(NOW))
}

fn trusted(issuer: &str, keys: KeySource, algorithms: &[Algorithm]) -> TrustedIssuer {
    TrustedIssuer {
        issuer: issuer.to_owned(),
        keys,
        algorithms: algorithms.to_vec(),
    }
}

fn development() -> DevelopmentIssuer {
    DevelopmentIssuer {
        issuer: DEVELOPMENT.to_owned(),
        secret: DEVELOPMENT_SECRET.into(),
    }
}

fn authenticator(
    issuers: Vec<TrustedIssuer>,
    development: Option<DevelopmentIssuer>,
    clock: &Clock,
) -> Authenticator {
    impatient(issuers, development, clock, Duration::from_secs(30))
}

/// An authenticator that gives up fetching keys after `fetch_timeout`.
fn impatient(
    issuers: Vec<TrustedIssuer>,
    development: Option<DevelopmentIssuer>,
    clock: &Clock,
    fetch_timeout: Duration,
) -> Authenticator {
    let settings = Settings {
        audience: AUDIENCE.to_owned(),
        issuers,
        development,
        leeway_seconds: u32::try_from(LEEWAY).unwrap(),
        max_token_bytes: MAX_TOKEN_BYTES,
        fetch_timeout,
    };
    Authenticator::new(settings, clock.clone()).unwrap()
}

async fn authenticate(authenticator: &Authenticator, token: &str) -> Result<Caller, Error> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    let caller = authenticator.authenticate(&headers).await?;
    Ok(Caller::clone(&caller))
}

async fn refusal(authenticator: &Authenticator, token: &str) -> Option<Code> {
    authenticate(authenticator, token)
        .await
        .err()
        .map(|error| error.code())
}
