//! What Stripe says of a pair of keys, asked by calls that create nothing.

use super::App;
use super::credentials::CredentialsInput;
use crate::domain::error::{Code, Error, FieldCode, FieldError};
use crate::domain::readiness::Verification;
use crate::domain::stripe_key::{ApiKey, ApiKeyKind, PublishableKey};
use crate::stripe::{Account, ClockReading, Outcome, PublishableKeyCheck, SameAccount};

/// What reading the account needs, where Stripe does not say it itself.
const ACCOUNT_READ: &str = "rak_account_read";

/// What Stripe said of a pair of keys.
pub(super) struct Verdict {
    pub(super) account: Account,
    pub(super) verification: Verification,
}

impl App {
    /// New keys have to be accepted and complete.
    pub(super) async fn verify_new(&self, input: &CredentialsInput) -> Result<Verdict, Error> {
        let verdict = self
            .ask_stripe(&input.publishable_key, &input.api_key)
            .await?;
        let missing = &verdict.verification.missing_permissions;
        if missing.is_empty() {
            Ok(verdict)
        } else {
            Err(permissions_missing(missing))
        }
    }

    /// Everything Stripe can say about a pair of keys, by calls that create nothing.
    pub(super) async fn ask_stripe(
        &self,
        publishable: &PublishableKey,
        api_key: &ApiKey,
    ) -> Result<Verdict, Error> {
        let account = match self.stripe.account(api_key).await {
            Ok(reply) => reply.object,
            Err(error) if error.outcome() == Outcome::Credentials => {
                return Err(
                    refused_key("/secret_key", "Stripe does not accept this key.")
                        .with_log(error.log_text()),
                );
            }
            Err(error) if error.outcome() == Outcome::Forbidden => {
                // Name this permission together with all others that are missing.
                let mut missing = self.missing_permissions(api_key).await?;
                missing.insert(
                    0,
                    error
                        .missing_permission()
                        .unwrap_or(ACCOUNT_READ)
                        .to_owned(),
                );
                return Err(permissions_missing(&missing));
            }
            Err(error) => return Err(error.into()),
        };
        match self
            .stripe
            .check_publishable_key(publishable, api_key)
            .await?
        {
            PublishableKeyCheck::Refused => {
                return Err(refused_key(
                    "/publishable_key",
                    "Stripe does not accept this key.",
                ));
            }
            PublishableKeyCheck::Accepted(SameAccount::No) => {
                return Err(refused_key(
                    "/publishable_key",
                    "This key belongs to another Stripe account than the secret key.",
                ));
            }
            PublishableKeyCheck::Accepted(SameAccount::Yes | SameAccount::Unknown) => {}
        }
        let missing_permissions = self.missing_permissions(api_key).await?;
        let verification = Verification {
            accepted: true,
            missing_permissions,
            // A restricted key may not be allowed to see it; then nothing speaks against it.
            charges_enabled: account.charges_enabled.unwrap_or(true),
            country: account.country.clone(),
            default_currency: account.default_currency.clone(),
            clock_skew_ms: self.stripe.clock_reading().map(ClockReading::ahead_millis),
        };
        Ok(Verdict {
            account,
            verification,
        })
    }

    async fn missing_permissions(&self, api_key: &ApiKey) -> Result<Vec<String>, Error> {
        if api_key.kind() == ApiKeyKind::Secret {
            // An unrestricted key may do everything; there is nothing to probe.
            return Ok(Vec::new());
        }
        let report = self.stripe.probe_permissions(api_key).await;
        if let Some((_, error)) = report.unknown.into_iter().next() {
            return Err(error.into());
        }
        Ok(report
            .missing
            .into_iter()
            .map(|missing| missing.stripe_name)
            .collect())
    }
}

fn refused_key(pointer: &str, detail: &str) -> Error {
    Error::new(Code::StripeCredentialsInvalid, detail).with_fields(vec![FieldError::new(
        pointer,
        FieldCode::InvalidValue,
        detail,
    )])
}

/// Each missing permission by Stripe's name.
fn permissions_missing(missing: &[String]) -> Error {
    let fields = missing
        .iter()
        .map(|permission| {
            FieldError::new(
                "/secret_key",
                FieldCode::PermissionMissing,
                permission.clone(),
            )
        })
        .collect();
    Error::new(
        Code::StripePermissionsMissing,
        format!("The restricted key lacks: {}.", missing.join(", ")),
    )
    .with_fields(fields)
}
