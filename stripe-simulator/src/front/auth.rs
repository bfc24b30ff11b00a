//! API keys: how they come, who they are, what they may do.

use super::errors::StripeError;
use super::router::Route;
use crate::world::{Key, KeyKind, World};

/// Finds the key of an `Authorization` header: `Bearer <key>`, or Basic with the key as the user.
///
/// # Errors
/// 401 without a key, with an unknown one, with a revoked one.
pub(crate) fn authenticate(
    world: &World,
    header: Option<&str>,
) -> Result<(String, Key), StripeError> {
    let text = header.and_then(read_header).ok_or_else(|| {
        StripeError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
        )
        .header("WWW-Authenticate", "Bearer realm=\"Stripe\"")
        .not_stored()
    })?;
    match world.key(&text) {
        None => Err(StripeError::unauthorized(format!(
            "Invalid API Key provided: {}",
            mask(&text)
        ))
        .header("WWW-Authenticate", "Bearer realm=\"Stripe\"")
        .not_stored()),
        Some(key) if key.revoked => Err(StripeError::unauthorized(format!(
            "Expired API Key provided: {}",
            mask(&text)
        ))
        .code("api_key_expired")
        .header("WWW-Authenticate", "Bearer realm=\"Stripe\"")
        .not_stored()),
        Some(key) => Ok((text, key)),
    }
}

/// Checks the `Stripe-Account` header: the simulator has no connected accounts, so only a key's own
/// account can be named.
///
/// # Errors
/// 403 `account_invalid`.
pub(crate) fn check_account(
    header: Option<&str>,
    text: &str,
    key: &Key,
) -> Result<(), StripeError> {
    match header {
        Some(account) if account != key.account_id => Err(StripeError::forbidden(format!(
            "The provided key '{}' does not have access to account '{account}' (or that account does not exist). Application access may have been revoked.",
            mask(text)
        ))
        .code("account_invalid")
        .not_stored()),
        _ => Ok(()),
    }
}

/// Checks a route against the key, before anything is looked up.
///
/// # Errors
/// 403 that names the missing permission; 401 for a publishable key where a secret one is due.
pub(crate) fn authorize(text: &str, key: &Key, route: &Route) -> Result<(), StripeError> {
    match &key.kind {
        KeyKind::Secret => Ok(()),
        KeyKind::Publishable if allows_publishable(route) => Ok(()),
        KeyKind::Publishable => Err(StripeError::unauthorized(
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.",
        )
        .code("secret_key_required")
        .not_stored()),
        KeyKind::Restricted(granted) => {
            let needed = route.permission_name();
            let write = format!("rak_{}_write", route.permission);
            if granted.contains(&needed) || granted.contains(&write) {
                return Ok(());
            }
            Err(StripeError::forbidden(format!(
                "The provided key '{}' does not have the required permissions for this endpoint on account '{}'. Having the '{needed}' permission would allow this request to continue.",
                mask(text),
                key.account_id
            ))
            .not_stored())
        }
    }
}

/// What a browser may do with `pk_…` and a client secret.
fn allows_publishable(route: &Route) -> bool {
    use super::router::Method::{Get, Post};
    matches!(
        (route.method, route.path),
        (
            Get,
            "/v1/setup_intents/{intent}" | "/v1/payment_intents/{intent}"
        ) | (
            Post,
            "/v1/setup_intents/{intent}/confirm"
                | "/v1/payment_intents/{intent}/confirm"
                | "/v1/payment_methods"
                | "/v1/tokens"
                | "/v1/sources"
        )
    )
}

fn read_header(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return (!rest.is_empty()).then(|| rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = decode_base64(rest)?;
        let user = decoded.split(':').next().unwrap_or_default();
        return (!user.is_empty()).then(|| user.to_owned());
    }
    None
}

fn decode_base64(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A key as Stripe's messages show it: the kind, stars, the last four.
pub(crate) fn mask(key: &str) -> String {
    let count = key.chars().count();
    let prefix: String = match key.match_indices('_').nth(1) {
        Some((at, _)) => key.chars().take(at + 1).collect(),
        None => String::new(),
    };
    let shown = prefix.chars().count();
    if count < shown + 8 {
        return format!("{prefix}{}", "*".repeat(count.saturating_sub(shown)));
    }
    let last: String = key.chars().skip(count - 4).collect();
    format!("{prefix}{}{last}", "*".repeat(count - shown - 4))
}
