//! Which URLs may be called.

use std::net::IpAddr;

use reqwest::Url;

use super::address::is_public;
use crate::domain::webhook_endpoint::URL_MAX_BYTES;

/// The one name of this machine.
pub(super) const LOCALHOST: &str = "localhost";
const HTTPS_PORT: u16 = 443;
/// Below this are the ports of services that are not the web's.
const FREE_PORTS: u16 = 1024;
/// Ends of names that are never the public internet's (RFC 6761, RFC 6762, RFC 8375, RFC 9476, and
/// ICANN's resolution of 2024 on `internal`).
const PRIVATE_ENDS: [&str; 6] = [
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "alt",
    "onion",
];

/// Why a URL must not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an absolute URL, or with characters that a URL does not have.
    #[error("Must be an absolute URL, without white space and backslashes.")]
    Unreadable,
    /// Longer than is kept.
    #[error("Must be at most {URL_MAX_BYTES} bytes.")]
    TooLong,
    /// Events would travel readable.
    #[error("Must begin with https://.")]
    NotEncrypted,
    /// A user, a password or a fragment, none of which reaches a receiver.
    #[error("Must have no user, no password and no fragment.")]
    Superfluous,
    /// A port of another service.
    #[error("Must be on port 443 or on one from 1024.")]
    Port,
    /// Not on the public internet.
    #[error("Must be on the public internet.")]
    NotPublic,
}

/// A URL that may be called, as far as it shows by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Judges a URL: `https`, on port 443 or one from 1024, with a name or an address of the public
    /// internet. With `allow_loopback` also this machine, over `http` too.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn parse(text: &str, allow_loopback: bool) -> Result<Self, Refusal> {
        if text.len() > URL_MAX_BYTES {
            return Err(Refusal::TooLong);
        }
        // The standard's parser drops or mends these, so that what is read is not what stands there.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(Refusal::Unreadable);
        }
        let url = Url::parse(text).map_err(|_| Refusal::Unreadable)?;
        let host = url.host_str().ok_or(Refusal::Unreadable)?;
        // The parser has read an IPv4 address in whichever spelling.
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = literal.parse().ok();
        let this_machine =
            allow_loopback && address.map_or(host == LOCALHOST, |address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if this_machine => {}
            _ => return Err(Refusal::NotEncrypted),
        }
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.fragment().is_some() || text.contains('@') && !after_authority(text) {
            return Err(Refusal::Superfluous);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Port)?;
        if port != HTTPS_PORT && port < FREE_PORTS && !this_machine {
            return Err(Refusal::Port);
        }
        let public = match address {
            Some(address) => is_public(address),
            None => is_public_name(host),
        };
        if !public && !this_machine {
            return Err(Refusal::NotPublic);
        }
        Ok(Self(url))
    }

    /// The URL as it is called.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn into_url(self) -> Url {
        self.0
    }
}

/// Whether the first `@` stands behind the host and so names no user, not even an empty one.
fn after_authority(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| !authority.contains('@'))
}

/// Whether a name can be one of the public internet: what it stands for is seen at each connect.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ends_in = |end: &&str| {
        name.strip_suffix(*end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    name.contains('.') && !PRIVATE_ENDS.iter().any(|end| ends_in(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_on_the_internet_may_be_called() {
        for (text, called) in [
            (
                "https://hooks.acme.example/billing",
                "https://hooks.acme.example/billing",
            ),
            ("https://acme.example", "https://acme.example/"),
            (
                "HTTPS://ACME.example:443/a?b=c@d",
                "https://acme.example/a?b=c@d",
            ),
            ("https://acme.example:8443/", "https://acme.example:8443/"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            (
                "https://[2606:4700:4700::1111]/",
                "https://[2606:4700:4700::1111]/",
            ),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ] {
            for allow_loopback in [false, true] {
                let target = Target::parse(text, allow_loopback).unwrap();
                assert_eq!(target.as_str(), called);
            }
        }
    }

    #[test]
    fn each_refusal_says_why() {
        use Refusal::{NotEncrypted, NotPublic, Port, Superfluous, TooLong, Unreadable};
        let long = format!("https://acme.example/{}", "x".repeat(2_000));
        for (text, refusal) in [
            ("", Unreadable),
            ("acme.example", Unreadable),
            ("/hooks", Unreadable),
            ("https://", Unreadable),
            ("https://acme.example/a b", Unreadable),
            ("https://acme\t.example/", Unreadable),
            (" https://acme.example/", Unreadable),
            ("https:\\\\acme.example\\", Unreadable),
            ("http://acme.example/", NotEncrypted),
            ("ftp://acme.example/", NotEncrypted),
            ("file:///etc/passwd", Unreadable),
            ("https://user@acme.example/", Superfluous),
            ("https://:@acme.example/", Superfluous),
            ("https://@acme.example/", Superfluous),
            ("https://acme.example/#x", Superfluous),
            ("https://acme.example:25/", Port),
            ("https://acme.example:0/", Port),
            ("https://acme.example:80/", Port),
            ("https://127.0.0.1/", NotPublic),
            ("https://metadata/", NotPublic),
            ("https://metadata.google.internal/", NotPublic),
            ("https://metadata.google.internal./", NotPublic),
            ("https://printer.local/", NotPublic),
            ("https://a.localhost/", NotPublic),
            (&long, TooLong),
        ] {
            assert_eq!(Target::parse(text, false), Err(refusal), "{text}");
        }
    }

    #[test]
    fn this_machine_may_be_called_only_where_that_is_allowed() {
        for text in [
            "http://127.0.0.1:4000/x",
            "http://127.1.2.3/",
            "http://localhost:80/",
            "http://[::1]:4000/",
            "https://localhost:4000/",
        ] {
            assert!(Target::parse(text, true).is_ok(), "{text}");
            assert!(Target::parse(text, false).is_err(), "{text}");
        }
        for text in [
            "http://acme.example/",
            "http://10.0.0.1/",
            "https://10.0.0.1/",
            "https://a.localhost/",
            "http://0.0.0.0/",
            "http://[::]/",
        ] {
            assert!(Target::parse(text, true).is_err(), "{text}");
        }
    }
}
