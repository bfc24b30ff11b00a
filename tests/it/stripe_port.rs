//! The port to Stripe over real HTTP.

mod against_simulator;
mod calls;
mod everything;
mod frozen;
mod hostile;
mod journey_catalog;
mod journey_customers;
mod journey_invoices;
mod journey_schedules;
mod journey_sessions;
mod journey_subscriptions;
mod probes;
mod sender;
mod tls;

use std::time::Duration;

use portal_billing::clock::{Clock, Timestamp};
use portal_billing::domain::stripe_key::{ApiKey, PublishableKey};
use portal_billing::stripe::{IdempotencyKey, StripeClient, StripeSettings};

fn client(base_url: &str) -> StripeClient {
    client_with(&StripeSettings {
        base_url: base_url.to_owned(),
        ..StripeSettings::default()
    })
}

fn client_with(settings: &StripeSettings) -> StripeClient {
    let clock = Clock::standing_at(Timestamp::parse_rfc3339("2026-11-23T14:00:00Z").unwrap());
    StripeClient::new(settings, clock).unwrap()
}

/// Gives up soon, for servers that never answer.
fn impatient(base_url: &str) -> StripeClient {
    client_with(&StripeSettings {
        base_url: base_url.to_owned(),
        connect_timeout: Duration::from_millis(150),
        request_timeout: Duration::from_millis(300),
        ..StripeSettings::default()
    })
}

fn secret_key() -> ApiKey {
    ApiKey::parse("sk_test_simulator_a").unwrap()
}

fn restricted_key() -> ApiKey {
    ApiKey::parse("rk_test_simulator_a").unwrap()
}

fn publishable_key() -> PublishableKey {
    PublishableKey::parse("pk_test_simulator_a").unwrap()
}

fn idempotency_key() -> IdempotencyKey {
    IdempotencyKey::new("oper_1:1").unwrap()
}
