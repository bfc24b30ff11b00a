//! A portal's Stripe integration: enabled or not, and its settings.

use super::error::{FieldCode, FieldError};
use crate::clock::Timestamp;

/// Longest grace period, in days. Stripe itself gives up retrying after about two months.
pub const GRACE_PERIOD_MAX_DAYS: i32 = 90;
/// Longest return origin, in bytes.
const ORIGIN_MAX_BYTES: usize = 255;
/// Longest address to return to, in bytes.
pub const RETURN_URL_MAX_BYTES: usize = 2048;
/// Most return origins of one portal.
pub const RETURN_ORIGINS_MAX: usize = 20;

/// What a subscription may do once Stripe calls it `unpaid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnpaid {
    /// Nothing any more.
    Deny,
    /// Everything still.
    Allow,
}

/// How a change in the middle of a period is charged; Stripe's `proration_behavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proration {
    /// Lines on the next invoice.
    CreateProrations,
    /// An invoice at once.
    AlwaysInvoice,
    /// Not at all.
    None,
}

/// The settings of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSettings {
    /// Days of access after the first failed payment, 0 to 90.
    pub grace_period_days: i32,
    /// What `unpaid` means for access.
    pub on_unpaid: OnUnpaid,
    /// How changes are charged.
    pub proration: Proration,
    /// Whether a customer gets one trial in all.
    pub one_trial_per_customer: bool,
    /// Where hosted pages may send the consumer back to.
    pub allowed_return_origins: Vec<Origin>,
}

impl Default for ModuleSettings {
    fn default() -> Self {
        Self {
            grace_period_days: 3,
            on_unpaid: OnUnpaid::Deny,
            proration: Proration::CreateProrations,
            one_trial_per_customer: true,
            allowed_return_origins: Vec::new(),
        }
    }
}

/// A portal's Stripe module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeModule {
    /// Whether paid plans may be had.
    pub enabled: bool,
    /// Its settings.
    pub settings: ModuleSettings,
    /// The last segment of the address Stripe delivers to; cannot be guessed.
    pub hook: String,
    /// When Stripe last delivered something that was signed right.
    pub last_webhook_at: Option<Timestamp>,
    /// Counts changes of `enabled` and `settings`, from 1.
    pub version: i64,
    /// When it was first configured.
    pub created_at: Timestamp,
    /// When `enabled` or `settings` last changed.
    pub updated_at: Timestamp,
}

/// A web origin (RFC 6454): scheme, host and port, nothing behind them. HTTPS, or HTTP to loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin.
    ///
    /// # Errors
    /// A [`FieldError`] at `pointer`.
    pub fn parse(pointer: &str, text: &str) -> Result<Self, FieldError> {
        let refused = |detail: &str| Err(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        let Some((scheme, authority)) = text.split_once("://") else {
            return refused("Must be an origin such as https://portal.example.");
        };
        if text.len() > ORIGIN_MAX_BYTES {
            return refused("Must be at most 255 characters.");
        }
        let (host, port) = split_port(authority);
        if !is_host(host) || !port.is_none_or(|port| port.parse::<u16>().is_ok_and(|p| p > 0)) {
            return refused("Must be scheme, host and optional port, with nothing behind them.");
        }
        match scheme {
            "https" => {}
            "http" if matches!(host, "localhost" | "127.0.0.1" | "[::1]") => {}
            "http" => return refused("Must be https; http is allowed for loopback hosts only."),
            _ => return refused("Must be https."),
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address is of this origin: it begins with it, letter by letter, and goes on with
    /// a path, a query or a fragment, or not at all. Nothing else may stand there, such as the `@`
    /// that would make a user's name of the origin. What browsers would cut out or turn around
    /// (white space, control characters, `\\`) is in no address.
    pub fn covers(&self, url: &str) -> bool {
        let rest = url.strip_prefix(self.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
            && url.len() <= RETURN_URL_MAX_BYTES
            && !url
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if host == "[::1]" {
        return true;
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_covers_its_own_addresses_and_no_other() {
        let origin = Origin::parse("/o", "https://portal.example").unwrap();
        for good in [
            "",
            "/",
            "/a?b=c#d",
            "?x={CHECKOUT_SESSION_ID}",
            "#top",
            "/@evil.example",
        ] {
            assert!(
                origin.covers(&format!("https://portal.example{good}")),
                "{good}"
            );
        }
        let long = format!(
            "https://portal.example/{}",
            "a".repeat(RETURN_URL_MAX_BYTES)
        );
        for bad in [
            "https://portal.example.evil.example/",
            "https://portal.example@evil.example/",
            "https://portal.example:8443/",
            "https://portal.example\\@evil.example",
            "https://portal.example/\\evil",
            "https://portal.example/a b",
            "https://portal.example/\n",
            "https://PORTAL.example/",
            "http://portal.example/",
            "//portal.example/",
            " https://portal.example/",
            "javascript:https://portal.example/",
            "",
            &long,
        ] {
            assert!(!origin.covers(bad), "{bad}");
        }
    }

    #[test]
    fn only_origins_are_origins() {
        for good in [
            "https://portal.example",
            "https://portal.example:8443",
            "http://localhost:3000",
            "http://127.0.0.1",
            "http://[::1]:9",
        ] {
            assert!(Origin::parse("/o", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "portal.example",
            "https://",
            "https://portal.example/",
            "https://portal.example/path",
            "https://user@portal.example",
            "https://PORTAL.example",
            "https://portal.example:0",
            "https://portal.example:70000",
            "https://portal.example:",
            "http://portal.example",
            "http://localhost.evil.example",
            "javascript://portal.example",
            "https://-a.example",
            "https://a..example",
            "https://portal.example?x",
            "https://portal.example#x",
            "https://portal example",
            &format!("https://{}.example", ["a".repeat(60).as_str(); 5].join(".")),
        ] {
            assert!(Origin::parse("/o", bad).is_err(), "{bad}");
        }
    }
}
