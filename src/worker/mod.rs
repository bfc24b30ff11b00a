//! Background loops.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::App;
use crate::app::reconcile::SweepSettings;

/// How often retired secrets are wiped; their overlap is a day, so minutes do not matter.
const RETENTION_INTERVAL: Duration = Duration::from_mins(5);
/// How often the metrics forget what they need not keep.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(10);

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
                "retired secrets wiped"
            ),
            Err(error) => tracing::warn!(cause = error.log_text(), "retention sweep failed"),
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
