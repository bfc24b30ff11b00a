//! Names to addresses, at each connect: what is not the public internet does not come out.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// How names are looked up.
pub type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;

/// As this machine does it.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// The name stands for no address that may be called.
#[derive(Debug, thiserror::Error)]
#[error("the name stands for no address of the public internet")]
pub(super) struct Refused;

/// Lets only such addresses through as may be called.
pub(super) struct Guard {
    lookup: Lookup,
    allow_loopback: bool,
}

impl Guard {
    pub(super) fn new(lookup: Lookup, allow_loopback: bool) -> Self {
        Self {
            lookup,
            allow_loopback,
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        // The one name that may mean this machine, where that is allowed.
        let this_machine = self.allow_loopback && name.as_str() == super::target::LOCALHOST;
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let allowed =
                |address: &IpAddr| is_public(*address) || (this_machine && address.is_loopback());
            let addresses: Vec<SocketAddr> = found
                .await?
                .into_iter()
                .filter(allowed)
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if addresses.is_empty() {
                return Err(Refused.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(found: &[&str], name: &str, allow_loopback: bool) -> Vec<String> {
        let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let found = found.clone();
            Box::pin(async move { Ok(found) })
        });
        let guard = Guard::new(lookup, allow_loopback);
        match guard.resolve(name.parse().unwrap()).await {
            Ok(addresses) => addresses.map(|address| address.ip().to_string()).collect(),
            Err(error) => {
                assert!(error.is::<Refused>());
                Vec::new()
            }
        }
    }

    #[tokio::test]
    async fn only_what_may_be_called_comes_out() {
        let both = ["10.0.0.1", "1.1.1.1", "::1", "2606:4700:4700::1111"];
        let public = ["1.1.1.1", "2606:4700:4700::1111"];
        for allow_loopback in [false, true] {
            assert_eq!(resolve(&both, "a.example", allow_loopback).await, public);
            for none in [
                &["127.0.0.1"][..],
                &["169.254.169.254", "fd00:ec2::254"],
                &[],
            ] {
                let found = resolve(none, "a.example", allow_loopback).await;
                assert!(found.is_empty(), "{none:?}");
            }
        }
    }

    #[tokio::test]
    async fn this_machine_has_one_name_and_only_where_it_is_allowed() {
        let found = ["127.0.0.1", "10.0.0.1"];
        assert!(resolve(&found, "localhost", false).await.is_empty());
        assert_eq!(resolve(&found, "localhost", true).await, ["127.0.0.1"]);
        assert!(resolve(&found, "localhost.example", true).await.is_empty());
    }
}
