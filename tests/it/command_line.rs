//! The binary as operators use it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use portal_billing::clock::Clock;
use portal_billing::config::{Config, Sources};
use portal_billing::http::auth::{Caller, PortalClaim, ScopeSet};
use portal_billing::server;
use serde_json::json;

const CANARY: &str = "canary-0123456789-abcdefghijklmnopqrstuvwxyz";

fn run(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portal-billing"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn good(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = run(directory, environment, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", err(&output));
    assert_eq!(err(&output), "", "{arguments:?}");
    out(&output).to_owned()
}

fn bad(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = run(directory, environment, arguments);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{arguments:?}: {}",
        out(&output)
    );
    assert_eq!(out(&output), "", "{arguments:?}");
    err(&output).to_owned()
}

/// Who the service, configured by `sources`, takes the holder of `token` for.
async fn caller(sources: &Sources, token: &str) -> Caller {
    let config = Config::load(sources).unwrap();
    let keys = config.key_material().unwrap();
    let authenticator = server::authenticator(&config, &keys, Clock::machine()).unwrap();
    let caller = authenticator.authenticate_token(token.trim()).await;
    Caller::clone(&caller.unwrap())
}

#[test]
fn check_config_names_every_problem_at_once_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert_eq!(
        good(path, &[], &["check-config"]),
        "the configuration is valid for development mode\n"
    );
    assert_eq!(
        fs::read_dir(path).unwrap().count(),
        0,
        "checking makes nothing"
    );

    fs::write(path.join("portal-billing.toml"), "[sever]\nlisten = 1\n").unwrap();
    let environment = [
        ("PORTAL_BILLING__KEYS__MASTER_KEY", CANARY),
        ("PORTAL_BILLING__SERVER__WORKERS", "many"),
        ("PORTAL_BILLING__SERVER__WORKES", "1"),
        ("PORTAL_BILLING_SERVICE_HOST", "not ours"),
    ];
    let told = bad(
        path,
        &environment,
        &["check-config", "--set", "log.format=xml"],
    );
    assert!(
        told.starts_with("portal-billing: 5 problems in the configuration:\n"),
        "{told}"
    );
    for name in [
        "  sever: unknown setting",
        "  server.workers (from the environment): expected a whole number",
        "  PORTAL_BILLING__SERVER__WORKES: unknown environment variable",
        "  keys.master_key: expected 32 random bytes in base64",
        "  log.format (from a flag): expected one of json, pretty",
    ] {
        assert!(told.contains(name), "{name}\n{told}");
    }
    assert!(!told.contains("canary"), "{told}");
    let flag = format!("keys.master_key={CANARY}");
    let told = bad(path, &[], &["check-config", "--set", &flag]);
    assert!(told.contains("not taken from the command line") && !told.contains("canary"));
    assert!(bad(path, &[], &["--config", "none.toml", "check-config"]).contains("none.toml"));
}

#[test]
fn check_config_explains_each_setting() {
    let directory = tempfile::tempdir().unwrap();
    // It helps where it is needed most: when the configuration is broken.
    let broken = [("PORTAL_BILLING__MODE", "no such mode")];
    let told = good(directory.path(), &broken, &["check-config", "--explain"]);
    let settings: Vec<&str> = told.split("\n\n").collect();
    assert_eq!(settings.len(), Config::explain().len());
    assert_eq!(
        settings
            .iter()
            .find(|text| text.starts_with("server.workers"))
            .unwrap()
            .trim_end(),
        "server.workers\n    \
         meaning      Worker threads; unset: one per processor.\n    \
         value        a whole number from 1 to 1024\n    \
         default      (none)\n    \
         environment  PORTAL_BILLING__SERVER__WORKERS"
    );
    assert!(told.contains("environment  PORTAL_BILLING__AUTH__ISSUERS__<n>__JWKS_URL\n"));
}

#[test]
fn serve_starts_with_nothing_configured_and_warns_of_its_generated_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut service = Command::new(env!("CARGO_BIN_EXE_portal-billing"))
        .args(["serve", "--set", "server.listen=127.0.0.1:0"])
        .current_dir(path)
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = Vec::new();
    for line in BufReader::new(service.stderr.take().unwrap()).lines() {
        log.push(line.unwrap());
        if log.last().is_some_and(|line| line.contains("listening")) {
            break;
        }
    }
    service.kill().unwrap();
    service.wait().unwrap();
    let warnings: Vec<&String> = log
        .iter()
        .filter(|line| line.contains("DEVELOPMENT KEYS ARE IN USE"))
        .collect();
    assert_eq!(warnings.len(), 1, "{log:?}");
    assert!(warnings[0].contains("WARN"), "{log:?}");
    assert!(warnings[0].contains("development-keys.toml"), "{log:?}");
    assert!(
        log.last().is_some_and(|line| line.contains("listening")),
        "{log:?}"
    );
    let keys = fs::read_to_string(path.join("data/development-keys.toml")).unwrap();
    for secret in keys.lines().filter_map(|line| line.split('"').nth(1)) {
        assert!(secret.len() > 40 && !log.iter().any(|line| line.contains(secret)));
    }
}

#[test]
fn serve_refuses_production_without_real_keys() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("PORTAL_BILLING__MODE", "production")];
    let told = bad(directory.path(), &environment, &["serve"]);
    assert!(told.contains("keys.master_key: production needs"), "{told}");
    assert!(told.contains("auth.issuers: production needs"), "{told}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn migrate_applies_once_tells_what_is_pending_and_undoes_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let pending = bad(path, &[], &["migrate", "--check"]);
    assert!(pending.contains("pending migrations: "), "{pending}");
    let first = good(path, &[], &["migrate"]);
    assert!(first.starts_with("applied "), "{first}");
    assert!(first.ends_with("the schema is up to date\n"), "{first}");
    for again in [&["migrate"][..], &["migrate", "--check"]] {
        assert_eq!(good(path, &[], again), "the schema is up to date\n");
    }
    let undone = good(path, &[], &["migrate", "--undo-last"]);
    assert!(undone.starts_with("undone "), "{undone}");
    assert!(bad(path, &[], &["migrate", "--check"]).contains("pending migrations: 1;"));
    fs::write(
        path.join("data/portal-billing.db"),
        "this is no database, and long enough",
    )
    .unwrap();
    bad(path, &[], &["migrate"]);
}

#[actix_web::test]
async fn a_development_token_opens_the_service_it_was_made_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let arguments = [
        "token",
        "--portal",
        "acme",
        "--org",
        "org-7",
        "--scope",
        "portals:read,audit:read",
        "--scope",
        "modules:read",
        "--lifetime",
        "5m",
        "--subject",
        "ada",
    ];
    let token = good(path, &[], &arguments);
    let sources = Sources {
        flags: vec![(
            "data_dir".to_owned(),
            path.join("data").display().to_string(),
        )],
        ..Sources::default()
    };
    let made_for = caller(&sources, &token).await;
    assert_eq!(made_for.subject, "ada");
    assert_eq!(made_for.org.as_deref(), Some("org-7"));
    assert_eq!(
        made_for.scopes.to_string(),
        "portals:read modules:read audit:read"
    );
    assert!(matches!(made_for.portal, PortalClaim::One(own) if own.as_str() == "acme"));

    let operator = good(path, &[], &["token", "--portal", "*", "--scope", "all"]);
    let operator = caller(&sources, &operator).await;
    assert_eq!(
        (operator.portal, operator.scopes),
        (PortalClaim::All, ScopeSet::all())
    );
    let payload = token.split('.').nth(1).unwrap();
    let claims: serde_json::Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn token_says_what_is_wrong_with_its_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (arguments, told) in [
        (
            vec!["--portal", "ACME", "--scope", "all"],
            "--portal: expected",
        ),
        (vec!["--portal", "", "--scope", "all"], "--portal: expected"),
        (
            vec!["--portal", "*", "--scope", "everything"],
            "no scope \"everything\"",
        ),
        (vec!["--portal", "*", "--scope", ","], "allows nothing"),
        (
            vec!["--portal", "*", "--scope", "all", "--lifetime", "0"],
            "--lifetime: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--lifetime", "367d"],
            "--lifetime: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--lifetime", "1w"],
            "--lifetime: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--lifetime", "-1"],
            "--lifetime: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--lifetime", "h"],
            "--lifetime: expected",
        ),
        (
            vec![
                "--portal",
                "*",
                "--scope",
                "all",
                "--lifetime",
                "99999999999d",
            ],
            "--lifetime",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--subject", ""],
            "--subject: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--org", "a\nb"],
            "--org: expected",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--issuer", "x"],
            "need --signing-key",
        ),
        (
            vec!["--portal", "*", "--scope", "all", "--signing-key", "k"],
            "no issuer is configured",
        ),
    ] {
        // `--lifetime=-1`, because a lone `-1` would be a flag of its own.
        let joined: Vec<String> = arguments
            .chunks(2)
            .map(|pair| format!("{}={}", pair[0], pair[1]))
            .collect();
        let mut line = vec!["token"];
        line.extend(joined.iter().map(String::as_str));
        let said = bad(path, &[], &line);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    let usage = run(path, &[], &["token", "--portal", "*"]);
    assert_eq!(usage.status.code(), Some(2));
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

#[actix_web::test]
async fn in_production_a_token_needs_the_private_key_of_a_configured_issuer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let pair = Ed25519KeyPair::generate().unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        BASE64.encode(der.as_ref())
    );
    let (key_file, jwks) = (path.join("key.pem"), path.join("jwks.json"));
    fs::write(&key_file, pem).unwrap();
    let point = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ops", "x": point});
    fs::write(&jwks, json!({"keys": [key]}).to_string()).unwrap();
    let (key_file, jwks) = (key_file.to_str().unwrap(), jwks.to_str().unwrap());
    let master_key = BASE64.encode(&[7; 32]);
    let environment = [
        ("PORTAL_BILLING__MODE", "production"),
        ("PORTAL_BILLING__KEYS__MASTER_KEY", master_key.as_str()),
        ("PORTAL_BILLING__AUTH__ISSUERS__0__ISSUER", "operations"),
        ("PORTAL_BILLING__AUTH__ISSUERS__0__JWKS_FILE", jwks),
        (
            "PORTAL_BILLING__AUTH__ISSUERS__0__ALGORITHMS",
            "RS256,EdDSA",
        ),
    ];
    let asked = ["token", "--portal", "*", "--scope", "all"];
    assert!(bad(path, &environment, &asked).contains("--signing-key"));
    let signed = [&asked[..], &["--signing-key", key_file, "--key-id", "ops"]].concat();
    let token = good(path, &environment, &signed);
    let sources = Sources {
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Sources::default()
    };
    assert_eq!(caller(&sources, &token).await.issuer, "operations");
    let other = [&signed[..], &["--issuer", "other"]].concat();
    assert!(bad(path, &environment, &other).contains("not configured"));
    fs::write(key_file, "nonsense").unwrap();
    assert!(bad(path, &environment, &signed).contains("not a PKCS#8 private key"));
    fs::remove_file(key_file).unwrap();
    assert!(bad(path, &environment, &signed).contains("cannot be read"));
}
