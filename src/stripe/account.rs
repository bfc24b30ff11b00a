//! The account a key belongs to.

use serde::Deserialize;

use super::wire::null_as_default;
use super::{Outcome, Reply, StripeClient, StripeError, get};
use crate::domain::stripe_key::ApiKey;

/// What this service reads of Stripe's Account. All but `id` is absent for keys that may not see it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// `acct_…`.
    pub id: String,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub default_currency: Option<String>,
    /// Whether it can create live charges. `None`: not said.
    #[serde(default)]
    pub charges_enabled: Option<bool>,
    /// Whether its owner has given Stripe all it asked for at first. `None`: not said.
    #[serde(default)]
    pub details_submitted: Option<bool>,
    /// What stands open between the account and Stripe.
    #[serde(default, deserialize_with = "null_as_default")]
    pub requirements: AccountRequirements,
}

/// What stands open between the account and Stripe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct AccountRequirements {
    /// Why charges or payouts are off, such as `requirements.past_due`.
    #[serde(default)]
    pub disabled_reason: Option<String>,
    /// What Stripe waits for, overdue.
    #[serde(default, deserialize_with = "null_as_default")]
    pub past_due: Vec<String>,
}

impl Account {
    /// An account of which only the id is known.
    fn of_unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            country: None,
            default_currency: None,
            charges_enabled: None,
            details_submitted: None,
            requirements: AccountRequirements::default(),
        }
    }
}

impl StripeClient {
    /// The account of this key. The first thing to ask with a new key: it fails with
    /// [`Outcome::Credentials`] when Stripe does not know the key.
    ///
    /// A restricted key needs a permission of its own to see the account
    /// (`rak_accounts_kyc_basic_read`), which Stripe's dashboard does not offer for every account,
    /// and which a key of least privilege should not need to have. Stripe's refusal names the
    /// account, and then that is the answer: an account of which nothing but the id is known. A
    /// refusal that names none stays a failure.
    pub async fn account(&self, key: &ApiKey) -> Result<Reply<Account>, StripeError> {
        match self.read(key, get("/account")).await {
            Err(error) if error.outcome() == Outcome::Forbidden => match error.account() {
                Some(id) => Ok(Reply {
                    object: Account::of_unknown(id),
                    request_id: error.request_id().map(ToOwned::to_owned),
                    replayed: false,
                    raw: "{}".to_owned(),
                }),
                None => Err(error),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_however_little_the_key_may_see() {
        let bare: Account = serde_json::from_str(r#"{"id":"acct_1","object":"account"}"#).unwrap();
        assert_eq!(bare.charges_enabled, None);
        let full: Account = serde_json::from_str(
            r#"{"id":"acct_1","country":"US","default_currency":"usd","charges_enabled":false,
                "details_submitted":true,"new_field":{},
                "requirements":{"disabled_reason":"requirements.past_due","past_due":["external_account"]}}"#,
        )
        .unwrap();
        assert_eq!(full.charges_enabled, Some(false));
        assert_eq!(full.requirements.past_due, ["external_account"]);
        let nulls: Account = serde_json::from_str(
            r#"{"id":"acct_1","country":null,"requirements":null,"charges_enabled":null}"#,
        )
        .unwrap();
        assert_eq!(nulls.requirements, AccountRequirements::default());
    }
}
