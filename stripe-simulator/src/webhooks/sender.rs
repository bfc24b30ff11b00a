//! Sends deliveries over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::Delivery;
use crate::account::Account;
use crate::world::{World, lock};

/// One attempt, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) delivery: Delivery,
    pub(crate) url: String,
    pub(crate) signature: String,
    pub(crate) body: String,
    pub(crate) timeout_ms: u64,
}

type Http = Client<HttpConnector, Full<Bytes>>;

/// Sends whatever becomes ready, for as long as the simulator lives.
pub(crate) async fn run(world: Arc<World>) {
    let client: Http = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(5))
        .build_http();
    loop {
        for account in world.accounts() {
            while let Some(outgoing) = { lock(&account).next_attempt() } {
                let (client, world) = (client.clone(), Arc::clone(&world));
                let account = Arc::clone(&account);
                tokio::spawn(attempt(client, account, world, outgoing));
            }
        }
        // Deliveries may have been dropped without an attempt.
        world.settled.notify_waiters();
        world.wake.notified().await;
    }
}

async fn attempt(client: Http, account: Arc<Mutex<Account>>, world: Arc<World>, out: Outgoing) {
    let timeout = Duration::from_millis(out.timeout_ms);
    let outcome = match tokio::time::timeout(timeout, send(&client, &out)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("Timed out".to_owned()),
    };
    lock(&account).record_attempt(out.delivery, outcome);
    world.settled.notify_waiters();
}

async fn send(client: &Http, out: &Outgoing) -> Result<u16, String> {
    let request = Request::post(&out.url)
        .header("Content-Type", "application/json; charset=utf-8")
        .header(
            "User-Agent",
            "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        )
        .header("Accept", "*/*; q=0.5, application/xml")
        .header("Cache-Control", "no-cache")
        .header("Stripe-Signature", &out.signature)
        .body(Full::new(Bytes::from(out.body.clone())))
        .map_err(|error| error.to_string())?;
    if request.uri().scheme_str() != Some("http") {
        return Err("The simulator delivers to http:// URLs only".to_owned());
    }
    match client.request(request).await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(error) => Err(describe(&error)),
    }
}

/// The error with its causes, which hold what went wrong.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
