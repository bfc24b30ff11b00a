//! Logs and metrics.
//!
//! Logs are one JSON object a line on standard error. Never logged, at any level: keys and secrets
//! of any kind, tokens, headers, bodies, query strings, card numbers, e-mail and postal addresses,
//! the words of a panic.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{self, LogFormat};

/// Upper bounds of the request time histogram, in seconds.
const SECONDS_BUCKETS: [f64; 12] = [
    0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Starts logging, once per process; later calls change nothing. Also keeps panics from printing
/// what they say, which may hold anything.
pub fn start_logging<W>(settings: &config::Log, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    let started = match settings.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .try_init(),
        LogFormat::Pretty => builder.try_init(),
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            tracing::error!(place, "panic");
        }));
    }
}

/// The process's metrics. Every server of a process shares them.
pub fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let suffix = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new();
            let recorder = builder
                .set_buckets_for_metric(suffix, &SECONDS_BUCKETS)
                .unwrap_or_else(|_| PrometheusBuilder::new())
                .build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_ok() {
                describe();
            }
            handle
        })
        .clone()
}

fn describe() {
    metrics::describe_counter!("http_requests_total", "Requests answered.");
    metrics::describe_histogram!(
        "http_request_duration_seconds",
        metrics::Unit::Seconds,
        "Time from the request's head to the answer."
    );
    metrics::describe_counter!("http_panics_total", "Handlers that panicked: bugs.");
    metrics::describe_counter!("stripe_deliveries_total", "Stripe's deliveries by outcome.");
    metrics::describe_counter!(
        "stripe_events_total",
        "Stripe's events by what became of them; one that waited is counted again."
    );
    metrics::describe_counter!(
        "stripe_refetches_total",
        "Objects read from Stripe because the order of events about them could not be known."
    );
    metrics::describe_gauge!(
        "stripe_events_dead",
        "Stripe's events that could not be applied: somebody has to look."
    );
}
