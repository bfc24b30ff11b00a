//! Stored credentials of a portal's Stripe module: everything that may be shown, never a secret.

use super::readiness::Verification;
use super::stripe_key::{ApiKeyKind, Mode};
use crate::clock::Timestamp;

/// One version of a portal's credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its id.
    pub id: String,
    /// Counts the portal's versions, from 1.
    pub version: i64,
    /// The Stripe account the keys belong to.
    pub account_id: String,
    /// The mode of both keys.
    pub mode: Mode,
    /// The publishable key: meant for browsers, not a secret.
    pub publishable_key: String,
    /// Whether the secret key is restricted.
    pub secret_kind: ApiKeyKind,
    /// The secret key's last four characters.
    pub secret_last_four: String,
    /// A keyed hash of the secret key: equal for equal keys of one portal, useless elsewhere.
    pub secret_fingerprint: String,
    /// Stripe's last word on them.
    pub verification: Verification,
    /// When Stripe was last asked.
    pub verified_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When a newer version took its place.
    pub superseded_at: Option<Timestamp>,
    /// Until when work begun with it may end with it; after that its key is wiped.
    pub retire_at: Option<Timestamp>,
}

/// A signing secret of Stripe's deliveries, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSecretView {
    /// Our id of it; not shown.
    pub id: String,
    /// The endpoint at Stripe it belongs to; `None` when it was stored by hand.
    pub endpoint_id: Option<String>,
    /// Its last four characters.
    pub last_four: String,
    /// A keyed hash of it.
    pub fingerprint: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Until when it is accepted, once rotated.
    pub expires_at: Option<Timestamp>,
}

/// The webhook endpoint registered at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookEndpoint {
    /// The account it is registered in.
    pub account_id: String,
    /// The mode it is registered in.
    pub mode: Mode,
    /// Where Stripe delivers.
    pub url: String,
    /// The version deliveries come in.
    pub api_version: String,
    /// Stripe's id; `None` while its creation is under way.
    pub endpoint_id: Option<String>,
    /// The idempotency key of the creation under way.
    pub attempt_key: Option<String>,
    /// When that creation began.
    pub attempted_at: Option<Timestamp>,
    /// When it was registered.
    pub registered_at: Option<Timestamp>,
}

/// A sealed secret as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the portal's data keys seals it.
    pub data_key_version: i64,
    /// The sealed bytes.
    pub blob: Vec<u8>,
}
