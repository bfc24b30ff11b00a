//! `make demo`: the service on a fresh SQLite database and the Stripe simulator, in one process, no
//! network. Shows each call as a curl command with its answer, and fails where an answer is not the
//! one the guide promises. With `--serve` both are left running to be tried by hand.

mod stage;
mod story;

use std::collections::BTreeMap;
use std::io::{self, Write};

use actix_web::rt::System;
use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::ids::Ids;
use portal_billing::server::{self, Server, TokenArguments};
use reqwest::Client;
use serde_json::json;
use stripe_simulator::Simulator;
use tokio::sync::oneshot;

use stage::{Outcome, Stage, say};

fn main() -> Outcome {
    let serve = std::env::args().any(|argument| argument == "--serve");
    let directory = tempfile::tempdir()?;
    let simulator = Simulator::start()?;
    let config = configuration(&directory.path().display().to_string(), &simulator, serve)?;
    System::new().block_on(async {
        // Moved ahead together with Stripe's, so that months pass in a moment.
        let clock = Clock::movable();
        let ids = Ids::random(clock.clone());
        let server = Server::build(config.clone(), clock.clone(), ids).await?;
        let stage = Stage {
            base_url: format!("http://{}", server.address()),
            token: server::issue_token(&config, &operator())?,
            client: Client::builder().no_proxy().build()?,
            simulator: &simulator,
            clock,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let story = async {
            // Signed by the clock that the demo moves.
            stage
                .at_stripe("/webhooks/plan", json!({"signature_clock": "account"}))
                .await?;
            let told = story::tell(&stage).await;
            if told.is_ok() && serve {
                left_running(&stage)?;
                std::future::pending::<()>().await;
            }
            drop(stop);
            told
        };
        let shutdown = async {
            // Over when the story is: its end drops the sender.
            let _over = stopped.await;
        };
        let (told, outcome) = tokio::join!(story, server.run_until(shutdown));
        outcome?;
        told
    })?;
    say("Done. The same with your own portal: see the quick start in README.md.")
}

fn configuration(data_dir: &str, simulator: &Simulator, serve: bool) -> Outcome<Config> {
    let database = format!("sqlite://{data_dir}/portal-billing.db");
    let listen = if serve {
        "127.0.0.1:8080"
    } else {
        "127.0.0.1:0"
    };
    let flags = [
        ("server.listen", listen),
        ("server.shutdown_grace_seconds", "1"),
        ("data_dir", data_dir),
        ("database.url", &database),
        ("stripe.base_url", simulator.base_url()),
    ];
    let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config::load(&Sources {
        file: None,
        environment: BTreeMap::new(),
        flags: flags.into(),
    })?)
}

fn operator() -> TokenArguments {
    TokenArguments {
        subject: "demo".to_owned(),
        portal: "*".to_owned(),
        org: None,
        scopes: vec!["all".to_owned()],
        // The demo's clock runs ahead of the token's by months.
        lifetime: "366d".to_owned(),
        signing_key: None,
        issuer: None,
        key_id: None,
    }
}

fn left_running(stage: &Stage<'_>) -> Outcome {
    let (service, stripe, token) = (&stage.base_url, stage.simulator.base_url(), &stage.token);
    writeln!(
        io::stdout().lock(),
        "\n# Left running; end it with Ctrl-C.\n\
         service    {service}  (reference: {service}/docs)\n\
         simulator  {stripe}\n\
         export TOKEN={token}"
    )?;
    Ok(())
}
