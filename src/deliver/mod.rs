//! Sending events to receivers that portals name: the one place that calls addresses which somebody
//! outside has chosen.
//!
//! What keeps such a call away from this service's own network: the URL is judged when it is stored
//! ([`target`]) and again when it is called, since an address may stand in it literally; a name is
//! resolved here, at each connect, and only addresses of the public internet come out of that
//! ([`address`], [`resolver`]), so that a name that means another address a moment later gains
//! nothing; no redirect is followed, and no proxy of the environment is asked.

mod address;
mod resolver;
mod signature;
mod target;

use std::error::Error as StdError;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::clock::Timestamp;
use crate::domain::delivery::Reason;

pub use address::is_public;
pub use resolver::{Lookup, system_lookup};
pub use signature::{SigningKeys, signatures};
pub use target::{Refusal, Target};

const USER_AGENT: &str = concat!("portal-billing/", env!("CARGO_PKG_VERSION"));
/// Shorter than receivers usually keep idle connections, so that we close first.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// As much of an answer as is read, so that its connection can be used again. None of it is kept.
const ANSWER_MAX_BYTES: usize = 4 * 1024;

static HTTP_DATE: DateTimeParser = DateTimeParser::new();

/// How receivers are called.
#[derive(Clone, Copy, Debug)]
pub struct CourierSettings {
    /// How long an attempt may take, from resolving the name to the end of the answer.
    pub timeout: Duration,
    /// Whether receivers on this machine may be called, over plain HTTP too. For development.
    pub allow_loopback: bool,
}

/// The connections to receivers could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CourierError(String);

/// What is posted.
pub struct Parcel {
    /// Where to.
    pub target: Target,
    /// `webhook-id`: the event's id, the same at every attempt.
    pub id: String,
    /// When this attempt is made.
    pub now: Timestamp,
    /// The body, as it is signed.
    pub body: String,
    /// What signs it: the current keys, and rotated ones for a while.
    pub keys: Vec<SigningKeys>,
}

/// How a receiver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Posts events to receivers.
#[derive(Clone)]
pub struct Courier {
    client: Client,
    settings: CourierSettings,
}

impl Courier {
    /// One that resolves names as this machine does.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: CourierSettings) -> Result<Self, CourierError> {
        Self::with_lookup(settings, system_lookup())
    }

    /// One that resolves names by `lookup`; what comes of it is judged all the same.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_lookup(settings: CourierSettings, lookup: Lookup) -> Result<Self, CourierError> {
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            // When an event is sent again is decided where its attempts are counted.
            .retry(reqwest::retry::never())
            .no_proxy()
            .https_only(!settings.allow_loopback)
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .dns_resolver(resolver::Guard::new(lookup, settings.allow_loopback))
            .build()
            .map_err(|error| CourierError(chain(&error)))?;
        Ok(Self { client, settings })
    }

    /// Judges a URL; see [`Target`].
    ///
    /// # Errors
    /// Why it must not be called.
    pub fn target(&self, url: &str) -> Result<Target, Refusal> {
        Target::parse(url, self.settings.allow_loopback)
    }

    /// How long an attempt takes at most.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&self, parcel: Parcel) -> Result<Reply, Reason> {
        let timestamp = parcel.now.as_seconds();
        let signature = signatures(&parcel.keys, &parcel.id, timestamp, &parcel.body);
        let response = self
            .client
            .post(parcel.target.into_url())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", parcel.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(parcel.body)
            .send()
            .await
            .map_err(|error| reason_of(&error))?;
        let reply = Reply {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), parcel.now),
        };
        // The status has been said; a body that breaks off takes nothing back.
        read_a_little(response).await;
        Ok(reply)
    }
}

async fn read_a_little(mut response: Response) {
    let mut left = ANSWER_MAX_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn reason_of(error: &reqwest::Error) -> Reason {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<resolver::Refused>() {
            return Reason::AddressRefused;
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        Reason::Timeout
    } else if error.is_connect() || error.is_builder() {
        Reason::Unreachable
    } else {
        Reason::Interrupted
    }
}

/// `Retry-After` in either form (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = HTTP_DATE.parse_timestamp(text).ok()?;
    let wait = Timestamp::from_millis(until.as_millisecond()).millis_since(now);
    u64::try_from(wait).ok().map(Duration::from_millis)
}

/// An error with all its causes on one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::parse_rfc3339("2026-11-25T12:00:00Z").unwrap();
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            read("Wed, 25 Nov 2026 12:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(read("Wed, 25 Nov 2026 11:59:00 GMT"), None);
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
