//! The command line: arguments in, one call into the library, an exit status out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use actix_web::rt::System;
use clap::{Args, Parser, Subcommand};
use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::http::openapi;
use portal_billing::ids::Ids;
use portal_billing::server::{self, Direction, Server, TokenArguments};
use portal_billing::telemetry;
use tokio::signal::unix::{SignalKind, signal};

/// Paid plans over Stripe for any API developer portal.
#[derive(Parser)]
#[command(name = "portal-billing", version)]
struct Arguments {
    #[command(flatten)]
    sources: SourceArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct SourceArguments {
    /// Configuration file; without it, portal-billing.toml if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as server.listen=0.0.0.0:8080; may be repeated.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service until it is told to stop.
    Serve,
    /// Apply the database migrations that are pending.
    Migrate {
        /// Change nothing; fail when migrations are pending.
        #[arg(long)]
        check: bool,
        /// Undo the newest migration instead; may lose data.
        #[arg(long, conflicts_with = "check")]
        undo_last: bool,
    },
    /// Print the API's description (OpenAPI 3.1).
    Openapi {
        /// Compare with this file instead, and fail when it differs.
        #[arg(long, value_name = "FILE")]
        check: Option<PathBuf>,
    },
    /// Wrap every portal's data key under the current master key; the service may go on running.
    RotateKeys,
    /// Make a token for an operator or a developer.
    Token(TokenCommand),
    /// Check the configuration and name every problem.
    CheckConfig {
        /// List each setting: default, environment variable and meaning.
        #[arg(long)]
        explain: bool,
    },
}

#[derive(Args)]
struct TokenCommand {
    /// Portal the token is for; * for every portal.
    #[arg(long)]
    portal: String,
    /// External id of the one organization the token is bound to.
    #[arg(long)]
    org: Option<String>,
    /// Scope, or several with commas between, or all; may be repeated.
    #[arg(long = "scope", required = true)]
    scopes: Vec<String>,
    /// Seconds, or a number followed by s, m, h or d.
    #[arg(long, default_value = "1h")]
    lifetime: String,
    /// Whom the audit log shall name.
    #[arg(long, default_value = "command-line")]
    subject: String,
    /// Private key of a configured issuer, PKCS#8 in PEM; without it the development secret signs.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Issuer the private key belongs to, when several are configured.
    #[arg(long)]
    issuer: Option<String>,
    /// The key's id in its issuer's key set.
    #[arg(long)]
    key_id: Option<String>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(output) => match io::stdout().lock().write_all(output.as_bytes()) {
            // A reader such as `head` that has seen enough is no failure.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        },
        Err(error) => {
            // Nothing is left to tell it to when standard error is closed.
            let _ = writeln!(io::stderr().lock(), "portal-billing: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let Arguments { sources, command } = arguments;
    let load = || Config::load(&Sources::of_process(sources.config, sources.settings));
    match command {
        Command::CheckConfig { explain: true } => Ok(Config::explain_text()),
        Command::CheckConfig { explain: false } => load()
            .map(|config| {
                format!(
                    "the configuration is valid for {} mode\n",
                    config.mode.as_str()
                )
            })
            .map_err(Into::into),
        Command::Serve => serve(load()?).map(|()| String::new()),
        Command::Migrate { check, undo_last } => {
            let direction = match (check, undo_last) {
                (true, _) => Direction::Look,
                (_, true) => Direction::DownOne,
                _ => Direction::Up,
            };
            let config = load()?;
            let migration = server::migrate(&config, direction);
            Ok(System::new().block_on(migration)?)
        }
        Command::Openapi { check: None } => Ok(openapi::document_text()),
        Command::Openapi { check: Some(file) } => {
            if std::fs::read_to_string(&file)? == openapi::document_text() {
                Ok(format!("{} is up to date\n", file.display()))
            } else {
                Err(format!("{} differs: run `make openapi`", file.display()).into())
            }
        }
        Command::RotateKeys => rotate_keys(&load()?),
        Command::Token(command) => {
            let arguments = TokenArguments {
                subject: command.subject,
                portal: command.portal,
                org: command.org,
                scopes: command.scopes,
                lifetime: command.lifetime,
                signing_key: command.signing_key,
                issuer: command.issuer,
                key_id: command.key_id,
            };
            let token = server::issue_token(&load()?, &arguments)?;
            Ok(format!("{token}\n"))
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn serve(config: Config) -> Result<(), Failure> {
    telemetry::start_logging(&config.log, io::stderr);
    System::new().block_on(async {
        let clock = Clock::machine();
        let server = Server::build(config, clock.clone(), Ids::random(clock)).await?;
        tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "listening");
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        server
            .run_until(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await?;
        Ok(())
    })
}

fn rotate_keys(config: &Config) -> Result<String, Failure> {
    telemetry::start_logging(&config.log, io::stderr);
    let clock = Clock::machine();
    let app = server::app(config, &clock, &Ids::random(clock.clone()))?;
    let rotated = System::new().block_on(app.rotate_master_key())?;
    Ok(format!(
        "{} data keys and {} signing keys sealed anew, {} taken care of by others\n",
        rotated.rewrapped, rotated.resealed, rotated.skipped
    ))
}
