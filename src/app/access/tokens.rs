//! Answers about access as signed JSON Web Tokens (RFC 7519), for whoever verifies them offline.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::{AccessTo, decision, grounds, is_visible};
use crate::app::{App, Context};
use crate::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::secret::SigningKey;
use crate::store::access::Grounds;
use crate::store::signing_keys;

/// Whom the tokens are for. Followed by a colon and the portal's name it is for that portal alone.
/// Never the audience of this service's own API, which takes none of them.
const AUDIENCE: &str = "portal-billing-access";

/// A signed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The token.
    pub token: String,
    /// When it expires, in whole seconds.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: [&'a str; 2],
    sub: &'a str,
    iat: i64,
    exp: i64,
    jti: &'a str,
    portal: &'a str,
    customer: &'a str,
    product: &'a str,
    plan: Option<&'a str>,
    application: Option<&'a str>,
    decision: &'static str,
    reason: &'static str,
    until: Option<i64>,
}

fn part(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_vec(value)
        .map(|json| BASE64URL_NOPAD.encode(&json))
        .map_err(Error::internal)
}

impl App {
    /// What [`App::access`] answers, signed.
    ///
    /// # Errors
    /// As [`App::access`].
    pub async fn access_token(
        &self,
        context: &Context,
        portal: &Slug,
        asked: &AccessTo,
    ) -> Result<AccessToken, Error> {
        let ask = async || {
            self.store
                .read(async |conn| {
                    let grounds = grounds(conn, portal, asked).await?;
                    let seen = grounds.filter(|grounds| is_visible(grounds, context));
                    let grounds = seen.ok_or_else(Error::not_found)?;
                    let key = signing_keys::active(conn).await?;
                    Ok((grounds, key))
                })
                .await
        };
        let (mut grounds, mut key) = ask().await?;
        if key.is_none() {
            self.turn_signing_keys().await?;
            (grounds, key) = ask().await?;
        }
        let stored = key.ok_or_else(|| Error::internal("there is no signing key"))?;
        let key = self.open_signing_key(&stored)?;
        self.sign_access(portal, asked, &grounds, &key)
    }

    fn sign_access(
        &self,
        portal: &Slug,
        asked: &AccessTo,
        grounds: &Grounds,
        key: &SigningKey,
    ) -> Result<AccessToken, Error> {
        let now = self.clock.now();
        let access = decision(grounds, now);
        let held = grounds.subscription.as_ref();
        let (product, application) = match (held, asked) {
            (Some(held), _) => (held.product.as_str(), held.application.as_deref()),
            (
                None,
                AccessTo::Product {
                    product,
                    application,
                    ..
                },
            ) => (product.as_str(), application.as_deref()),
            (None, AccessTo::Subscription(_)) => return Err(Error::not_found()),
        };
        let iat = now.as_seconds();
        let until = access.until.map(Timestamp::as_seconds);
        let exp = iat + i64::from(self.access_settings.token_seconds);
        let exp = until.map_or(exp, |until| exp.min(until));
        let claims = Claims {
            iss: self.public_url.as_deref().unwrap_or_default(),
            aud: [AUDIENCE, &format!("{AUDIENCE}:{portal}")],
            sub: held.map_or(&grounds.customer, |held| &held.id),
            iat,
            exp,
            jti: &self.ids.unguessable(),
            portal: portal.as_str(),
            customer: &grounds.external_id,
            product,
            plan: held.map(|held| held.plan.as_str()),
            application,
            decision: access.decision.as_str(),
            reason: access.reason.as_str(),
            until,
        };
        let header = Header {
            alg: "EdDSA",
            typ: "JWT",
            kid: &key.id(),
        };
        let signed = format!("{}.{}", part(&header)?, part(&claims)?);
        let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()));
        Ok(AccessToken {
            token: format!("{signed}.{signature}"),
            expires_at: Timestamp::from_seconds(exp),
        })
    }
}
