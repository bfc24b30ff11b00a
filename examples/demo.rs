//! `make demo`: the service on a fresh SQLite database and the Stripe simulator, in one process, no
//! network. Shows each call as a curl command with its answer, and fails where an answer is not the
//! one the guide promises. With `--serve` both are left running to be tried by hand.

#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};

use actix_web::rt::System;
use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::ids::Ids;
use portal_billing::server::{self, Server, TokenArguments};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use stripe_simulator::{DEFAULT_PUBLISHABLE_KEY, DEFAULT_SECRET_KEY, Simulator};
use tokio::sync::oneshot;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PORTAL: &str = "/v1/portals/acme";
const MODULE: &str = "/v1/portals/acme/modules/stripe";

/// Where the demo plays: the service's address, a token, and somewhere to write.
struct Stage {
    base_url: String,
    token: String,
    client: Client,
}

impl Stage {
    /// Says what comes next.
    fn say(text: &str) -> Outcome {
        Ok(writeln!(io::stdout().lock(), "\n# {text}")?)
    }

    /// One call: shown as curl, sent, its answer shown and compared with the promised status.
    async fn call(&self, method: Method, path: &str, body: Value, promised: u16) -> Outcome<Value> {
        let url = format!("{}{path}", self.base_url);
        let mut shown = match method {
            Method::GET => "curl -sS".to_owned(),
            _ => format!("curl -sS -X {method}"),
        };
        shown.push_str(" -H \"Authorization: Bearer $TOKEN\"");
        let mut request = self.client.request(method, &url).bearer_auth(&self.token);
        if !body.is_null() {
            shown = format!("{shown} \\\n    -H 'Content-Type: application/json' -d '{body}'");
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let answer: Value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        };
        let mut out = io::stdout().lock();
        writeln!(out, "$ {shown} \\\n    {url}\nHTTP {status}")?;
        if !answer.is_null() {
            writeln!(out, "{answer:#}")?;
        }
        if status.as_u16() == promised {
            Ok(answer)
        } else {
            Err(format!("{url} answered {status} instead of {promised}").into())
        }
    }
}

fn main() -> Outcome {
    let serve = std::env::args().any(|argument| argument == "--serve");
    let directory = tempfile::tempdir()?;
    let simulator = Simulator::start()?;
    let data_dir = directory.path().display().to_string();
    let database = format!("sqlite://{data_dir}/portal-billing.db");
    let flags = [
        (
            "server.listen",
            if serve {
                "127.0.0.1:8080"
            } else {
                "127.0.0.1:0"
            },
        ),
        ("server.shutdown_grace_seconds", "1"),
        ("data_dir", &data_dir),
        ("database.url", &database),
        ("stripe.base_url", simulator.base_url()),
    ];
    let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sources = Sources {
        file: None,
        environment: BTreeMap::new(),
        flags: flags.into(),
    };
    let config = Config::load(&sources)?;
    System::new().block_on(async {
        let clock = Clock::machine();
        let server = Server::build(config.clone(), clock.clone(), Ids::random(clock)).await?;
        let stage = Stage {
            base_url: format!("http://{}", server.address()),
            token: server::issue_token(&config, &operator())?,
            client: Client::builder().no_proxy().build()?,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let story = async {
            let told = tell(&stage, &simulator).await;
            if told.is_ok() && serve {
                left_running(&stage, &simulator)?;
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
    Stage::say("Done. The same with your own portal: see the quick start in README.md.")
}

fn operator() -> TokenArguments {
    TokenArguments {
        subject: "demo".to_owned(),
        portal: "*".to_owned(),
        org: None,
        scopes: vec!["all".to_owned()],
        lifetime: "12h".to_owned(),
        signing_key: None,
        issuer: None,
        key_id: None,
    }
}

async fn tell(stage: &Stage, simulator: &Simulator) -> Outcome {
    Stage::say("A portal is made, and its Stripe module enabled.")?;
    stage
        .call(
            Method::PUT,
            PORTAL,
            json!({"title": "Acme developer portal"}),
            201,
        )
        .await?;
    let module = stage
        .call(Method::PUT, MODULE, json!({"enabled": true}), 201)
        .await?;
    promised(&module["status"], "unconfigured")?;

    Stage::say("A key that Stripe does not know is refused, and nothing is stored.")?;
    let credentials = format!("{MODULE}/credentials");
    let wrong =
        json!({"publishable_key": DEFAULT_PUBLISHABLE_KEY, "secret_key": "sk_test_mistyped"});
    stage.call(Method::PUT, &credentials, wrong, 424).await?;

    Stage::say("Credentials are verified with Stripe, then stored sealed; the answer is masked.")?;
    let right =
        json!({"publishable_key": DEFAULT_PUBLISHABLE_KEY, "secret_key": DEFAULT_SECRET_KEY});
    stage.call(Method::PUT, &credentials, right, 201).await?;

    Stage::say("Is the portal ready to sell? One check fails, and says how to mend it.")?;
    let module = stage.call(Method::GET, MODULE, Value::Null, 200).await?;
    promised(&module["status"], "attention")?;

    Stage::say(
        "The service registers its webhook endpoint at Stripe and keeps the secret sealed.",
    )?;
    stage
        .call(
            Method::POST,
            &format!("{MODULE}/webhook-endpoint"),
            Value::Null,
            201,
        )
        .await?;

    Stage::say("Something happens at Stripe; the signed delivery arrives.")?;
    delivered(stage, simulator).await?;

    Stage::say("Ready.")?;
    let module = stage.call(Method::GET, MODULE, Value::Null, 200).await?;
    promised(&module["status"], "ready")?;

    Stage::say("Who did what: append-only and hash-chained.")?;
    stage
        .call(
            Method::GET,
            &format!("{PORTAL}/audit-log?limit=2"),
            Value::Null,
            200,
        )
        .await?;
    Ok(())
}

fn promised(found: &Value, promised: &str) -> Outcome {
    if found == promised {
        Ok(())
    } else {
        Err(format!("the status is {found} instead of {promised}").into())
    }
}

/// Makes a customer at Stripe and waits until its event was delivered.
async fn delivered(stage: &Stage, simulator: &Simulator) -> Outcome {
    let base = simulator.base_url();
    let request = stage
        .client
        .post(format!("{base}/v1/customers"))
        .bearer_auth(DEFAULT_SECRET_KEY)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=Consumer");
    request.send().await?.error_for_status()?;
    for _ in 0..5000 {
        let sent = stage
            .client
            .get(format!("{base}/_simulator/webhooks"))
            .send()
            .await?;
        let sent: Value = serde_json::from_str(&sent.text().await?)?;
        if let Some(attempt) = sent["attempts"]
            .as_array()
            .and_then(|attempts| attempts.first())
        {
            let (event, status) = (&attempt["event"], &attempt["status"]);
            writeln!(
                io::stdout().lock(),
                "Stripe delivered {event}; the service answered {status}."
            )?;
            return Ok(());
        }
    }
    Err("Stripe's delivery did not arrive".into())
}

fn left_running(stage: &Stage, simulator: &Simulator) -> Outcome {
    let (service, stripe, token) = (&stage.base_url, simulator.base_url(), &stage.token);
    writeln!(
        io::stdout().lock(),
        "\n# Left running; end it with Ctrl-C.\n\
         service    {service}  (reference: {service}/docs)\n\
         simulator  {stripe}\n\
         export TOKEN={token}"
    )?;
    Ok(())
}
