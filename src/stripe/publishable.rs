//! Whether Stripe accepts a publishable key, and whether it is of the same account as the other
//! one. Creates nothing.
//!
//! What a publishable key may do is little: among it, to read a `SetupIntent` whose client secret is
//! known. Asked for one that does not exist, Stripe answers "no such setupintent" to a good key and
//! 401 to a bad one. Asked for one that the account has, it answers with it only if the publishable
//! key is of that account. An account that has no `SetupIntent` yet cannot be told apart this way;
//! Stripe has no call for it. (Both keys of an account usually carry the account's id in their
//! text; Stripe documents no such thing, so that nothing here builds on it.)

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::transport::{Bearer, Call};
use super::wire::List;
use super::{Outcome, Reply, StripeClient, StripeError, first_of, get, path_id};
use crate::domain::stripe_key::{ApiKey, PublishableKey};

/// What Stripe says to a publishable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishableKeyCheck {
    /// Accepted.
    Accepted(SameAccount),
    /// Not accepted: unknown, revoked or expired.
    Refused,
}

/// Whether the two keys are of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameAccount {
    /// Yes: one key can see what the other has.
    Yes,
    /// No.
    No,
    /// There was nothing to tell by.
    Unknown,
}

#[derive(Serialize)]
struct ByClientSecret<'a> {
    client_secret: &'a str,
}

#[derive(Deserialize)]
struct SetupIntent {
    id: String,
    #[serde(default)]
    client_secret: Option<String>,
}

impl StripeClient {
    /// Asks Stripe about a publishable key, beside an API key that Stripe has accepted.
    ///
    /// Two keys of different modes are of different worlds and not worth a call; the caller
    /// compares their modes first.
    pub async fn check_publishable_key(
        &self,
        publishable: &PublishableKey,
        key: &ApiKey,
    ) -> Result<PublishableKeyCheck, StripeError> {
        let nobodys = SetupIntent {
            id: "seti_portalbillingprobe".to_owned(),
            client_secret: Some("seti_portalbillingprobe_secret_portalbillingprobe".to_owned()),
        };
        match self.look_with(publishable, &nobodys).await {
            Err(error) if error.outcome() == Outcome::Credentials => {
                return Ok(PublishableKeyCheck::Refused);
            }
            // "No such setupintent", or a complaint about the made-up secret: past the key.
            Err(error) if matches!(error.outcome(), Outcome::Missing | Outcome::Rejected) => {}
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        self.same_account(publishable, key)
            .await
            .map(PublishableKeyCheck::Accepted)
    }

    async fn same_account(
        &self,
        publishable: &PublishableKey,
        key: &ApiKey,
    ) -> Result<SameAccount, StripeError> {
        let request = first_of("/setup_intents");
        let latest: Result<Reply<List<SetupIntent>>, _> = self.read(key, request).await;
        let latest = match latest {
            Ok(reply) => reply.object.data.into_iter().next(),
            // A restricted key may lack the permission; that is reported elsewhere.
            Err(error) if error.outcome() == Outcome::Forbidden => None,
            Err(error) => return Err(error),
        };
        let Some(latest) = latest.filter(|intent| intent.client_secret.is_some()) else {
            return Ok(SameAccount::Unknown);
        };
        match self.look_with(publishable, &latest).await {
            Ok(()) => Ok(SameAccount::Yes),
            Err(error) if error.outcome() == Outcome::Missing => Ok(SameAccount::No),
            Err(error) if error.outcome() == Outcome::Rejected => Ok(SameAccount::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Reads a `SetupIntent` the way a browser does.
    async fn look_with(
        &self,
        publishable: &PublishableKey,
        intent: &SetupIntent,
    ) -> Result<(), StripeError> {
        let path = format!("/setup_intents/{}", path_id(&intent.id)?);
        let call = Call {
            bearer: Bearer::Publishable(publishable),
            request: get(path).query(&ByClientSecret {
                client_secret: intent.client_secret.as_deref().unwrap_or_default(),
            }),
            idempotency_key: None,
        };
        self.send::<IgnoredAny>(call).await.map(|_| ())
    }
}
