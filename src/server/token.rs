//! Makes a token for an operator or a developer.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::settings::{algorithm, development_issuer};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Issuer, Mode};
use crate::domain::slug::Slug;
use crate::http::auth::{
    Algorithm, PortalClaim, Scope, ScopeSet, SignError, SigningKey, TokenRequest, sign,
};

/// Longest lifetime of a token made here, in seconds: 366 days.
const LIFETIME_MAX_SECONDS: u32 = 31_622_400;
const EVERY_PORTAL: &str = "*";
const EVERY_SCOPE: &str = "all";

/// What the token shall say and what signs it, as it stands on the command line.
#[derive(Clone, Debug)]
pub struct TokenArguments {
    /// Who it is for.
    pub subject: String,
    /// The portal it is for; `*` is every portal.
    pub portal: String,
    /// The one organization it is bound to.
    pub org: Option<String>,
    /// Scopes; `all` is all of them. Each may hold several with commas or spaces between.
    pub scopes: Vec<String>,
    /// How long it lives: seconds, or a number followed by s, m, h or d.
    pub lifetime: String,
    /// File with the private key (PKCS#8 in PEM) of a configured issuer. Without it the development
    /// secret signs.
    pub signing_key: Option<PathBuf>,
    /// The issuer, when there are several.
    pub issuer: Option<String>,
    /// The key's id in the issuer's key set.
    pub key_id: Option<String>,
}

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The keys cannot be had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key file cannot be used.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// An argument does not hold what it must.
    #[error("{0}")]
    Argument(String),
}

fn wrong<T>(message: impl Into<String>) -> Result<T, TokenError> {
    Err(TokenError::Argument(message.into()))
}

/// A token as asked for, valid from now on.
///
/// # Errors
/// See [`TokenError`].
pub fn issue_token(config: &Config, arguments: &TokenArguments) -> Result<String, TokenError> {
    let request = TokenRequest {
        subject: name("--subject", &arguments.subject)?,
        audience: config.auth.audience.clone(),
        portal: portal(&arguments.portal)?,
        org: arguments
            .org
            .as_deref()
            .map(|org| name("--org", org))
            .transpose()?,
        scopes: scopes(&arguments.scopes)?,
        lifetime_seconds: lifetime_seconds(&arguments.lifetime)?,
    };
    let key = signing_key(config, arguments)?;
    Ok(sign(&request, &key, Clock::machine().now())?)
}

fn signing_key(config: &Config, arguments: &TokenArguments) -> Result<SigningKey, TokenError> {
    if let Some(path) = &arguments.signing_key {
        let issuer = chosen_issuer(&config.auth.issuers, arguments.issuer.as_deref())?;
        let pem = std::fs::read(path).map(Zeroizing::new);
        let pem = pem.map_err(|error| {
            TokenError::Argument(format!("{} cannot be read: {error}", path.display()))
        })?;
        return fitting_key(issuer, arguments.key_id.as_deref(), &pem);
    }
    if arguments.issuer.is_some() || arguments.key_id.is_some() {
        return wrong("--issuer and --key-id need --signing-key");
    }
    if config.mode == Mode::Production {
        return wrong(
            "in production only configured issuers make tokens: give the private key of one with \
             --signing-key",
        );
    }
    development_issuer(&config.key_material()?).map_or_else(
        || wrong("there is no development secret"),
        |development| Ok(SigningKey::development(&development)),
    )
}

fn chosen_issuer<'a>(issuers: &'a [Issuer], name: Option<&str>) -> Result<&'a Issuer, TokenError> {
    match (name, issuers) {
        (None, [only]) => Ok(only),
        (None, []) => wrong("no issuer is configured that the key could belong to"),
        (None, _) => wrong("several issuers are configured: choose one with --issuer"),
        (Some(name), _) => issuers
            .iter()
            .find(|issuer| issuer.issuer == name)
            .map_or_else(|| wrong("that issuer is not configured"), Ok),
    }
}

/// The key with the first of the issuer's algorithms that it is made for.
fn fitting_key(
    issuer: &Issuer,
    key_id: Option<&str>,
    pem: &[u8],
) -> Result<SigningKey, TokenError> {
    let try_with = |algorithm: Algorithm| {
        SigningKey::from_pem(
            issuer.issuer.clone(),
            algorithm,
            key_id.map(str::to_owned),
            pem,
        )
    };
    let mut keys = issuer
        .algorithms
        .iter()
        .copied()
        .map(algorithm)
        .map(try_with);
    keys.find_map(Result::ok)
        .ok_or(TokenError::Sign(SignError::BadKey))
}

fn portal(text: &str) -> Result<PortalClaim, TokenError> {
    if text == EVERY_PORTAL {
        return Ok(PortalClaim::All);
    }
    Slug::parse(text).map_or_else(
        || wrong("--portal: expected the name of a portal, or * for every portal"),
        |slug| Ok(PortalClaim::One(slug)),
    )
}

fn name(flag: &str, text: &str) -> Result<String, TokenError> {
    let fits = !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        wrong(format!("{flag}: expected 1 to 255 bytes of plain text"))
    }
}

fn scopes(texts: &[String]) -> Result<ScopeSet, TokenError> {
    let words = texts.iter().flat_map(|text| text.split([',', ' ']));
    let mut scopes = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        if word == EVERY_SCOPE {
            scopes.extend(Scope::ALL);
        } else if let Some(scope) = Scope::parse(word) {
            scopes.push(scope);
        } else {
            let known = ScopeSet::all();
            return wrong(format!(
                "--scope: there is no scope {word:?}; there are: all {known}"
            ));
        }
    }
    if scopes.is_empty() {
        return wrong("--scope: a token without a scope allows nothing");
    }
    Ok(scopes.into_iter().collect())
}

fn lifetime_seconds(text: &str) -> Result<u32, TokenError> {
    let (digits, unit) = text
        .find(|character: char| !character.is_ascii_digit())
        .map_or((text, ""), |place| text.split_at(place));
    let seconds_each: Option<u32> = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let number: Option<u32> = digits.parse().ok();
    number
        .zip(seconds_each)
        .and_then(|(number, each)| number.checked_mul(each))
        .filter(|seconds| (1..=LIFETIME_MAX_SECONDS).contains(seconds))
        .map_or_else(
            || wrong("--lifetime: expected seconds, or a number and one of s, m, h, d, up to 366d"),
            Ok,
        )
}
