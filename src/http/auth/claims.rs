//! What stands in a token, and the rules it has to keep.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Number;

use super::Refusal;
use super::scope::{Scope, ScopeSet};
use crate::clock::Timestamp;
use crate::domain::error::{Code, Error};
use crate::domain::slug::Slug;

/// Subjects and organizations stand in the audit log; longer ones are a mistake.
const NAME_MAX_BYTES: usize = 255;
/// In the `portal` claim: the token is for every portal.
pub(super) const EVERY_PORTAL: &str = "*";

/// Which portals a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortalClaim {
    /// Only this one.
    One(Slug),
    /// Every portal: an operator's token.
    All,
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: String,
    /// The token's `iss`.
    pub issuer: String,
    /// The portals it is for.
    pub portal: PortalClaim,
    /// The one consumer organization, by external id, that the token is bound to.
    pub org: Option<String>,
    /// What it allows.
    pub scopes: ScopeSet,
}

impl Caller {
    /// Whether the token is for `portal`.
    pub fn may_enter(&self, portal: &Slug) -> bool {
        match &self.portal {
            PortalClaim::All => true,
            PortalClaim::One(own) => own == portal,
        }
    }

    /// Passes when the token is for `portal`.
    ///
    /// # Errors
    /// The same 404 as for a portal that does not exist: a token tells nothing of other portals.
    pub fn require_portal(&self, portal: &Slug) -> Result<(), Error> {
        if self.may_enter(portal) {
            Ok(())
        } else {
            Err(Error::not_found())
        }
    }

    /// Passes when the token has `scope`.
    ///
    /// # Errors
    /// 403 that names the scope.
    pub fn require_scope(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.contains(scope) {
            return Ok(());
        }
        let detail = format!("The token lacks the scope {scope}.");
        Err(Error::new(Code::ScopeMissing, detail))
    }

    /// Passes when the token is not bound to one organization.
    ///
    /// # Errors
    /// 403: what concerns a whole portal is not for a single organization.
    pub fn require_unbound(&self) -> Result<(), Error> {
        if self.org.is_none() {
            return Ok(());
        }
        Err(Error::new(
            Code::OrganizationBound,
            "The token is bound to one organization; this address is for the portal itself.",
        ))
    }
}

/// What we read of a token's header. The key it may carry or point to (`jwk`, `jku`, `x5c`, `x5u`)
/// is nothing to us (RFC 8725 §3.10).
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Number,
    nbf: Option<Number>,
    #[serde(default)]
    scope: String,
    portal: String,
    org: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct IssuerOnly {
    iss: String,
}

/// Header and issuer of a token nobody has verified yet: enough to choose the key, no more.
pub(super) fn peek(token: &str) -> Result<(Header, String), Refusal> {
    const MALFORMED: Refusal = Refusal::Invalid("it is not a signed JSON Web Token");
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED);
    };
    let header: Header = decode(header).ok_or(MALFORMED)?;
    if header.crit.is_some() {
        // RFC 7515 §4.1.11: what must be understood and is not, must be refused.
        return Err(Refusal::Invalid(
            "it asks for an extension that is not known here",
        ));
    }
    let access_token = header.typ.as_deref().is_none_or(|typ| {
        typ.eq_ignore_ascii_case("JWT")
            || typ.eq_ignore_ascii_case("at+jwt")
            || typ.eq_ignore_ascii_case("application/at+jwt")
    });
    if !access_token {
        // RFC 8725 §3.11: a token made for something else is no access token.
        return Err(Refusal::Invalid(
            "it is of another type than an access token",
        ));
    }
    let issuer: IssuerOnly = decode(payload).ok_or(MALFORMED)?;
    Ok((header, issuer.iss))
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
    serde_json::from_slice(&json).ok()
}

/// What claims are held against.
pub(super) struct Rules {
    pub(super) audience: String,
    pub(super) leeway_seconds: u32,
}

impl Rules {
    /// The holder that verified claims speak of.
    pub(super) fn check(
        &self,
        claims: Claims,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Bearer, Refusal> {
        let invalid = Refusal::Invalid;
        if claims.iss != issuer {
            return Err(invalid("its issuer is not trusted here"));
        }
        let for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Many(audiences) => audiences.contains(&self.audience),
        };
        if !for_us {
            return Err(invalid("its audience is another service"));
        }
        let expires = seconds(&claims.exp).ok_or(invalid("its exp is not a time"))?;
        let begins = match &claims.nbf {
            None => None,
            Some(begins) => Some(seconds(begins).ok_or(invalid("its nbf is not a time"))?),
        };
        self.timely(expires, begins, now)?;
        if !is_name(&claims.sub) || !claims.org.as_deref().is_none_or(is_name) {
            return Err(invalid(
                "its sub or org is empty, too long or not plain text",
            ));
        }
        let portal = if claims.portal == EVERY_PORTAL {
            PortalClaim::All
        } else {
            let own = Slug::parse(&claims.portal);
            PortalClaim::One(own.ok_or(invalid("its portal is not the name of a portal"))?)
        };
        let caller = Caller {
            subject: claims.sub,
            issuer: claims.iss,
            portal,
            org: claims.org,
            scopes: ScopeSet::parse_claim(&claims.scope),
        };
        Ok(Bearer {
            caller: Arc::new(caller),
            expires,
            begins,
        })
    }

    /// The caller, while the token is good.
    pub(super) fn caller_of(
        &self,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Refusal> {
        self.timely(bearer.expires, bearer.begins, now)?;
        Ok(Arc::clone(&bearer.caller))
    }

    fn timely(&self, expires: i64, begins: Option<i64>, now: Timestamp) -> Result<(), Refusal> {
        let leeway = i64::from(self.leeway_seconds);
        if now.as_seconds() >= expires.saturating_add(leeway) {
            return Err(Refusal::Expired);
        }
        if begins.is_some_and(|begins| now.as_seconds() < begins.saturating_sub(leeway)) {
            return Err(Refusal::Invalid("its time has not come yet"));
        }
        Ok(())
    }
}

/// Who holds a token whose claims keep the rules, and when it is good: seconds since 1970.
pub(super) struct Bearer {
    pub(super) caller: Arc<Caller>,
    expires: i64,
    begins: Option<i64>,
}

/// A `NumericDate` (RFC 7519 §2) in whole seconds. Some issuers add a fraction, which is cut off.
fn seconds(date: &Number) -> Option<i64> {
    let text = date.to_string();
    let whole = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    // A number so large that it is written with an exponent is no time.
    if text.contains(['e', 'E']) {
        None
    } else {
        whole.parse().ok()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX_BYTES && !text.chars().any(char::is_control)
}
