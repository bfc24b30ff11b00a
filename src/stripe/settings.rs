//! How to reach Stripe.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

/// How to reach Stripe. All portals share one client made from these.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// `https://api.stripe.com`, or a stand-in. Plain `http://` only to this machine.
    pub base_url: String,
    /// How long a connection may take to stand, TLS included.
    pub connect_timeout: Duration,
    /// How long a call may take from start to the last byte of the answer. Longer than
    /// `connect_timeout`, so that a host that cannot be reached is told from one that is silent.
    pub request_timeout: Duration,
    /// The largest answer that is read, in bytes.
    pub max_response_bytes: usize,
    /// An HTTP proxy for these calls. The proxy variables of the environment are not read: they
    /// would send the keys of all portals through whatever set them. May hold a password.
    pub proxy: Option<SecretString>,
}

impl Default for StripeSettings {
    fn default() -> Self {
        Self {
            base_url: "https://api.stripe.com".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            max_response_bytes: 4 * 1024 * 1024,
            proxy: None,
        }
    }
}

/// Why [`StripeSettings`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not an absolute `http` or `https` URL, or one with a path, query, fragment or user.
    #[error("the base URL must be https://<host>[:<port>] and nothing more")]
    BaseUrl,
    /// Plain HTTP to another machine: keys would travel readable.
    #[error("plain http:// is allowed to this machine only (127.0.0.0/8, ::1, localhost)")]
    InsecureBaseUrl,
    /// A timeout of zero, or a connect timeout that is not below the request timeout.
    #[error("timeouts must be above zero, and the connect timeout below the request timeout")]
    Timeouts,
    /// A response limit under 64 KiB, which ordinary lists exceed.
    #[error("the response limit must be at least 65536 bytes")]
    ResponseLimit,
    /// The proxy's URL cannot be used.
    #[error("the proxy must be http://<host>:<port> or https://<host>:<port>")]
    Proxy,
    /// The TLS library would not start; most often this machine has no root certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl StripeSettings {
    /// Checks everything that can be wrong in itself and gives the base URL.
    pub(super) fn check(&self) -> Result<Url, SettingsError> {
        let url = Url::parse(&self.base_url).map_err(|_| SettingsError::BaseUrl)?;
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && url.host_str().is_some();
        match url.scheme() {
            "https" if bare => {}
            "http" if bare => {
                if !is_this_machine(&url) {
                    return Err(SettingsError::InsecureBaseUrl);
                }
            }
            _ => return Err(SettingsError::BaseUrl),
        }
        if self.connect_timeout.is_zero() || self.connect_timeout >= self.request_timeout {
            return Err(SettingsError::Timeouts);
        }
        if self.max_response_bytes < 64 * 1024 {
            return Err(SettingsError::ResponseLimit);
        }
        Ok(url)
    }
}

fn is_this_machine(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    // `Url` has brought every spelling of an address (0x7f.1, 127.1) into its plain form.
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_base_url(base_url: &str) -> Result<(), SettingsError> {
        let settings = StripeSettings {
            base_url: base_url.to_owned(),
            ..StripeSettings::default()
        };
        settings.check().map(|_| ())
    }

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        for url in [
            "https://api.stripe.com",
            "https://api.stripe.com/",
            "https://stripe.example:8443",
            "http://127.0.0.1:12111",
            "http://127.8.9.10",
            "http://127.1:80",
            "http://[::1]:12111",
            "http://localhost:12111/",
        ] {
            assert_eq!(with_base_url(url), Ok(()), "{url}");
        }
        for url in [
            "http://api.stripe.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[::ffff:10.0.0.1]",
        ] {
            assert_eq!(
                with_base_url(url),
                Err(SettingsError::InsecureBaseUrl),
                "{url}"
            );
        }
    }

    #[test]
    fn a_base_url_is_scheme_host_and_port() {
        for url in [
            "",
            "api.stripe.com",
            "ftp://127.0.0.1",
            "https://api.stripe.com/v1",
            "https://api.stripe.com?x=1",
            "https://api.stripe.com/#x",
            "https://user@api.stripe.com",
            "https://:secret@api.stripe.com",
            "file:///etc/passwd",
            "unix:/run/stripe.sock",
        ] {
            assert_eq!(with_base_url(url), Err(SettingsError::BaseUrl), "{url}");
        }
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        let timeouts = StripeSettings {
            connect_timeout: Duration::from_secs(30),
            ..StripeSettings::default()
        };
        assert_eq!(timeouts.check().err(), Some(SettingsError::Timeouts));
        let limit = StripeSettings {
            max_response_bytes: 1000,
            ..StripeSettings::default()
        };
        assert_eq!(limit.check().err(), Some(SettingsError::ResponseLimit));
    }
}
