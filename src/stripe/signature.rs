//! Stripe's webhook signatures (<https://docs.stripe.com/webhooks#verify-manually>).
//!
//! `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`: HMAC-SHA256 over `<t>.<body>` with
//! the endpoint's secret, prefix included. While a secret is rolled Stripe signs with both, and
//! while we replace ours both are accepted.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::clock::Timestamp;
use crate::domain::stripe_key::WebhookSecret;

/// How far the signature's time may be from ours, either way, in seconds; Stripe's own default.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Longer headers are not read. Two secrets make a header of about 150 characters.
const HEADER_MAX: usize = 4096;
/// More signatures than this are not tried: each costs a pass over the body per secret.
const SIGNATURES_MAX: usize = 8;

/// Why a delivery is not believed. For logs and counters: whoever sent it gets one and the same
/// answer for all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureError {
    /// The header is not of the form above.
    #[error("the Stripe-Signature header cannot be read")]
    Malformed,
    /// No signature fits any of the secrets.
    #[error("no signature fits")]
    NoMatch,
    /// Signed right, longer ago than the tolerance: delayed, replayed, or our clock is ahead.
    #[error("signed too long ago")]
    TooOld,
    /// Signed right, further ahead than the tolerance: our clock is behind.
    #[error("signed in the future")]
    TooNew,
}

/// A delivery that Stripe signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When Stripe signed it.
    pub signed_at: Timestamp,
    /// Which of the given secrets it was, counted from zero.
    pub secret_index: usize,
}

/// Checks the signature of `body`, the raw bytes as they came.
///
/// All secrets are tried against all signatures in constant time each; the time is looked at last,
/// so that only a right signature learns about clocks.
pub fn verify<'a>(
    header: &str,
    body: &[u8],
    secrets: impl IntoIterator<Item = &'a WebhookSecret>,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    let parsed = Header::parse(header).ok_or(SignatureError::Malformed)?;
    let mut fitting = None;
    for (index, secret) in secrets.into_iter().enumerate() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(parsed.time_text.as_bytes());
        context.update(b".");
        context.update(body);
        let tag = context.sign();
        let fitting_here = parsed
            .signatures
            .iter()
            .filter(|given| equal(tag.as_ref(), given))
            .count();
        if fitting_here > 0 && fitting.is_none() {
            fitting = Some(index);
        }
    }
    let secret_index = fitting.ok_or(SignatureError::NoMatch)?;
    let age = now.as_seconds().saturating_sub(parsed.time);
    if age > TOLERANCE_SECONDS {
        return Err(SignatureError::TooOld);
    }
    if age < -TOLERANCE_SECONDS {
        return Err(SignatureError::TooNew);
    }
    Ok(Verified {
        signed_at: Timestamp::from_seconds(parsed.time),
        secret_index,
    })
}

fn equal(left: &[u8], right: &[u8; 32]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

struct Header<'a> {
    time: i64,
    /// As it was signed: `t=007` is signed as `007`.
    time_text: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Header<'a> {
    /// `None` unless there is exactly one time and at least one `v1` of the right form. Other
    /// schemes, such as the `v0` of test deliveries, are passed over: accepting them would let a
    /// sender choose the weakest (a downgrade, says Stripe's manual).
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > HEADER_MAX {
            return None;
        }
        let mut time = None;
        let mut signatures = Vec::new();
        for item in text.split(',') {
            let (name, value) = item.trim_matches(' ').split_once('=')?;
            match name {
                "t" if time.is_some() => return None,
                "t" => time = Some((parse_time(value)?, value)),
                "v1" if signatures.len() < SIGNATURES_MAX => {
                    if let Some(signature) = parse_signature(value) {
                        signatures.push(signature);
                    }
                }
                _ => {}
            }
        }
        let (time, time_text) = time?;
        (!signatures.is_empty()).then_some(Self {
            time,
            time_text,
            signatures,
        })
    }
}

fn parse_time(text: &str) -> Option<i64> {
    let fits = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn parse_signature(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests;
