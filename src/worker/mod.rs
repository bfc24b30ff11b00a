//! Background loops.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::app::reconcile::SweepSettings;

/// How often retired secrets are wiped; their overlap is a day, so minutes do not matter.
const RETENTION_INTERVAL: Duration = Duration::from_mins(5);
/// How often it is looked whether a signing key has had its time, which is days.
const SIGNING_KEYS_INTERVAL: Duration = Duration::from_mins(1);
/// How often the metrics forget what they need not keep.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How often dead letters are counted.
const DEAD_INTERVAL: Duration = Duration::from_secs(10);

/// Wipes retired secrets, for ever. A sweep that fails is tried again at the next turn.
pub async fn retention(app: App) {
    let mut turns = tokio::time::interval(RETENTION_INTERVAL);
    loop {
        turns.tick().await;
        match app.sweep_retired().await {
            Ok(swept) if swept == crate::app::retention::Swept::default() => {}
            Ok(swept) => tracing::info!(
                credentials = swept.credentials,
                webhook_secrets = swept.webhook_secrets,
                deliveries = swept.deliveries,
                idempotency_keys = swept.idempotency_keys,
                stripe_events = swept.stripe_events,
                "what had its time was wiped"
            ),
            Err(error) => tracing::warn!(cause = error.log_text(), "retention sweep failed"),
        }
    }
}

/// Makes, turns and removes the keys that sign access tokens, for ever.
pub async fn signing_keys(app: App) {
    let mut turns = tokio::time::interval(SIGNING_KEYS_INTERVAL);
    loop {
        turns.tick().await;
        match app.turn_signing_keys().await {
            Ok(false) => {}
            Ok(true) => tracing::info!("signing keys turned"),
            Err(error) => tracing::warn!(cause = error.log_text(), "signing keys cannot be turned"),
        }
    }
}

/// Keeps the metrics' memory bounded when nobody reads them.
pub async fn metrics_upkeep(metrics: PrometheusHandle) {
    let mut turns = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        turns.tick().await;
        metrics.run_upkeep();
    }
}

/// Stores and applies what Stripe delivers, for ever.
pub async fn intake(app: App) {
    app.take_deliveries().await;
    // Another task of this process has the queue.
    std::future::pending::<()>().await;
}

/// Works on stored events with which something is still to be done, for ever: as soon as there are any,
/// and `every` so often, since another process may have stored them and some wait for a time.
pub async fn inbox(app: App, every: Duration) {
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = app.events_left() => {}
        }
        // Asked again at once while there is more than one look takes up.
        loop {
            match app.work_on_inbox().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(cause = error.log_text(), "the inbox cannot be looked at");
                    break;
                }
            }
        }
    }
}

/// Counts the dead letters, for ever.
pub async fn dead_letters(app: App) {
    let mut turns = tokio::time::interval(DEAD_INTERVAL);
    loop {
        turns.tick().await;
        match app.count_dead_events().await {
            Ok(dead) => metrics::gauge!("stripe_events_dead").set(f64::from(dead)),
            Err(error) => {
                tracing::warn!(cause = error.log_text(), "dead letters cannot be counted");
            }
        }
    }
}

/// Takes up operations that nobody works on, for ever.
pub async fn operations(app: App, every: Duration) {
    let mut turns = tokio::time::interval(every);
    loop {
        turns.tick().await;
        if let Err(error) = app.run_due_operations().await {
            tracing::warn!(cause = error.log_text(), "operations cannot be looked for");
        }
    }
}

/// Sends events to portals' webhook endpoints, for ever.
pub async fn deliveries(app: App, every: Duration) {
    let mut rounds = app.rounds();
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let served = tokio::select! {
            () = rounds.ended() => rounds.settle().await,
            _ = turns.tick() => rounds.look().await,
        };
        if let Err(error) = served {
            tracing::warn!(cause = error.log_text(), "deliveries cannot be served");
            // Not sooner than the next turn: what is wrong is the database.
            turns.tick().await;
        }
    }
}

/// Begins the sweeps that are due and takes up reconciliations that nobody works on, for ever.
pub async fn reconciliations(app: App, every: Duration, settings: SweepSettings) {
    let mut turns = tokio::time::interval(every);
    loop {
        turns.tick().await;
        if let Err(error) = app.run_due_reconciliations(settings).await {
            tracing::warn!(
                cause = error.log_text(),
                "reconciliations cannot be looked for"
            );
        }
    }
}
