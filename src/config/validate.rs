//! The rules that tie settings to each other, to the mode and to the files they name.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use config::{Value, ValueKind};
use reqwest::Url;
use secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use super::key_material::{decode_key, read_key_file};
use super::sections::{Config, Issuer, Mode};
use super::settings::Problems;

/// What the `config` crate calls the origin of what it read from the environment.
const ENVIRONMENT_ORIGIN: &str = "the environment";
/// HS256 needs a key at least as long as its hash (RFC 7518 §3.2).
const DEVELOPMENT_SECRET_MIN_BYTES: usize = 32;

pub(super) fn validate(config: &Config, problems: &mut Problems) {
    addresses(config, problems);
    stripe(config, problems);
    authentication(config, problems);
    keys(config, problems);
    if EnvFilter::builder().parse(&config.log.level).is_err() {
        problems.push("log.level", "expected a level or a list of module=level");
    }
    if config.mode == Mode::Production {
        production(config, problems);
    }
}

/// Secrets written in a file that every user of the machine can read are no secrets.
pub(super) fn secrets_in_file(
    config: &Config,
    merged: &Value,
    file: &Path,
    problems: &mut Problems,
) {
    if config.mode != Mode::Production || !world_readable(file) {
        return;
    }
    let written_here = |section: &str, key: &str| {
        let ValueKind::Table(top) = &merged.kind else {
            return false;
        };
        let Some(ValueKind::Table(fields)) = top.get(section).map(|value| &value.kind) else {
            return false;
        };
        let origin = fields.get(key).and_then(Value::origin);
        origin.is_some_and(|origin| origin != ENVIRONMENT_ORIGIN)
    };
    let password =
        Url::parse(config.database.url.expose()).is_ok_and(|url| url.password().is_some());
    let secret = written_here("keys", "master_key")
        || written_here("keys", "previous_master_keys")
        || written_here("stripe", "proxy")
        || (password && written_here("database", "url"));
    if secret {
        problems.push(
            &file.display().to_string(),
            "holds secrets and is readable by every user; take that right away (chmod o-rwx)",
        );
    }
}

fn addresses(config: &Config, problems: &mut Problems) {
    if let Some(public_url) = &config.server.public_url {
        let usable = web_url(public_url).is_some_and(|url| {
            url.query().is_none() && url.fragment().is_none() && url.path() == "/"
        });
        if !usable {
            let message = "expected an http or https URL without path, query and fragment";
            problems.push("server.public_url", message);
        }
    }
    let mut seen = BTreeSet::new();
    for (place, origin) in config.cors.allowed_origins.iter().enumerate() {
        let name = format!("cors.allowed_origins.{place}");
        let exact =
            web_url(origin).is_some_and(|url| url.origin().ascii_serialization() == *origin);
        if !exact {
            let message =
                "expected an origin as browsers send it, such as https://portal.example.com";
            problems.push(&name, message);
        } else if !seen.insert(origin) {
            problems.push(&name, "stands in the list twice");
        }
    }
}

fn stripe(config: &Config, problems: &mut Problems) {
    let stripe = &config.stripe;
    if !encrypted_or_loopback(&stripe.base_url) {
        problems.push("stripe.base_url", ENCRYPTED_OR_LOOPBACK);
    } else if web_url(&stripe.base_url)
        .is_some_and(|url| url.path() != "/" || url.query().is_some())
    {
        problems.push("stripe.base_url", "expected a URL without path and query");
    }
    if stripe.connect_timeout_ms >= stripe.request_timeout_ms {
        let message = "must be less than stripe.request_timeout_ms";
        problems.push("stripe.connect_timeout_ms", message);
    }
    if let Some(proxy) = &stripe.proxy
        && !Url::parse(proxy.expose_secret())
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        problems.push("stripe.proxy", "expected an http or https URL");
    }
}

const ENCRYPTED_OR_LOOPBACK: &str = "expected an https URL, or http on loopback";

fn authentication(config: &Config, problems: &mut Problems) {
    if config.auth.audience.is_empty() {
        problems.push("auth.audience", "must not be empty");
    }
    let mut seen = BTreeSet::new();
    for (place, issuer) in config.auth.issuers.iter().enumerate() {
        let name = format!("auth.issuers.{place}");
        check_issuer(issuer, &name, problems);
        if !issuer.issuer.is_empty() && !seen.insert(&issuer.issuer) {
            problems.push(&format!("{name}.issuer"), "stands in the list twice");
        }
    }
    if let Some(secret) = &config.auth.development_secret
        && secret.expose_secret().len() < DEVELOPMENT_SECRET_MIN_BYTES
    {
        let message = format!("must have at least {DEVELOPMENT_SECRET_MIN_BYTES} bytes");
        problems.push("auth.development_secret", message);
    }
}

fn check_issuer(issuer: &Issuer, name: &str, problems: &mut Problems) {
    let field = |field: &str| format!("{name}.{field}");
    if issuer.issuer.is_empty() {
        problems.push(&field("issuer"), "is missing");
    }
    if issuer.issuer == super::DEVELOPMENT_ISSUER {
        problems.push(
            &field("issuer"),
            "is the name of the built-in development issuer",
        );
    }
    if issuer.algorithms.is_empty() {
        problems.push(&field("algorithms"), "must name at least one algorithm");
    }
    match (&issuer.jwks_file, &issuer.jwks_url) {
        (Some(path), None) => {
            if let Err(error) = std::fs::File::open(path) {
                let message = format!("{} cannot be read: {error}", path.display());
                problems.push(&field("jwks_file"), message);
            }
        }
        (None, Some(url)) => {
            if !encrypted_or_loopback(url) {
                problems.push(&field("jwks_url"), ENCRYPTED_OR_LOOPBACK);
            }
        }
        _ => problems.push(name, "needs one of jwks_file and jwks_url, and not both"),
    }
}

fn keys(config: &Config, problems: &mut Problems) {
    let keys = &config.keys;
    let mut known = BTreeSet::new();
    let mut check = |name: &str, key: Result<super::Key, String>, problems: &mut Problems| match key
    {
        Ok(key) => {
            if !known.insert(*key.expose()) {
                problems.push(name, "is the same key as another one here");
            }
        }
        Err(message) => problems.push(name, message),
    };
    if let Some(text) = &keys.master_key {
        check(
            "keys.master_key",
            decode_key(text.expose_secret()),
            problems,
        );
        if keys.master_key_file.is_some() {
            problems.push(
                "keys.master_key_file",
                "cannot stand beside keys.master_key",
            );
        }
    } else if let Some(path) = &keys.master_key_file {
        check("keys.master_key_file", read_key_file(path), problems);
    }
    for (place, text) in keys.previous_master_keys.iter().enumerate() {
        let name = format!("keys.previous_master_keys.{place}");
        check(&name, decode_key(text.expose_secret()), problems);
    }
    for (place, path) in keys.previous_master_key_files.iter().enumerate() {
        let name = format!("keys.previous_master_key_files.{place}");
        check(&name, read_key_file(path), problems);
    }
}

fn production(config: &Config, problems: &mut Problems) {
    let keys = &config.keys;
    if keys.master_key.is_none() && keys.master_key_file.is_none() {
        let message = "production needs a master key: set keys.master_key_file or keys.master_key \
                       to 32 random bytes in base64 (openssl rand -base64 32)";
        problems.push("keys.master_key", message);
    }
    let files = keys
        .master_key_file
        .iter()
        .map(|path| ("keys.master_key_file", path));
    let previous = keys.previous_master_key_files.iter();
    for (name, path) in files.chain(previous.map(|path| ("keys.previous_master_key_files", path))) {
        if world_readable(path) {
            let message = format!(
                "{} is readable by every user; take that right away (chmod o-rwx)",
                path.display()
            );
            problems.push(name, message);
        }
    }
    if config.auth.development_secret.is_some() {
        problems.push("auth.development_secret", "is for development mode only");
    }
    if config.deliveries.allow_loopback {
        problems.push("deliveries.allow_loopback", "is for development mode only");
    }
    if config.auth.issuers.is_empty() {
        let message = "production needs at least one issuer of tokens";
        problems.push("auth.issuers", message);
    }
    if let Some(public_url) = &config.server.public_url
        && !encrypted_or_loopback(public_url)
    {
        problems.push("server.public_url", ENCRYPTED_OR_LOOPBACK);
    }
    for (place, origin) in config.cors.allowed_origins.iter().enumerate() {
        if !encrypted_or_loopback(origin) {
            problems.push(
                &format!("cors.allowed_origins.{place}"),
                ENCRYPTED_OR_LOOPBACK,
            );
        }
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && bare).then_some(url)
}

fn encrypted_or_loopback(text: &str) -> bool {
    web_url(text).is_some_and(|url| url.scheme() == "https" || is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn world_readable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
