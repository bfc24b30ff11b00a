//! How a webhook endpoint looks outside.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::endpoints::EndpointView;
use crate::clock::Timestamp;
use crate::domain::webhook_endpoint::{DisabledReason, PublicKey, WebhookEndpoint};

/// Where a portal wants to hear of what happens.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint, example = json!({
    "id": "hook_01kat5bmf0f3x8q2r7w1e4t6y9",
    "url": "https://portal.acme.example/hooks/billing",
    "events": ["subscription.created", "subscription.updated"],
    "description": "The portal's back end",
    "metadata": {"team": "apis"},
    "enabled": true,
    "disabled": null,
    "failing_since": null,
    "public_keys": [{
        "key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "created_at": "2026-11-25T12:00:00.000Z",
        "expires_at": null
    }],
    "created_at": "2026-11-25T12:00:00.000Z",
    "updated_at": "2026-11-25T12:00:00.000Z"
}))]
pub struct EndpointBody {
    /// Its id.
    #[schema(pattern = "^hook_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Where events are posted.
    url: String,
    /// Which types of events; `*` for all.
    events: Vec<String>,
    /// For people.
    #[schema(required = true)]
    description: Option<String>,
    /// The caller's own keys and values.
    metadata: BTreeMap<String, String>,
    /// Whether anything is sent. What is not sent waits, and is sent when it is enabled again.
    enabled: bool,
    /// Why nothing is sent.
    #[schema(required = true)]
    disabled: Option<EndpointDisabled>,
    /// When the first attempt failed since the last one that was taken.
    #[schema(required = true, format = DateTime)]
    failing_since: Option<String>,
    /// The keys that `v1a` signatures may be verified by, the current one first.
    public_keys: Vec<EndpointPublicKey>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Why nothing is sent to an endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointDisabled)]
pub(super) struct EndpointDisabled {
    /// Why.
    reason: EndpointDisabledReason,
    /// Since when.
    #[schema(format = DateTime)]
    at: String,
}

/// Why nothing is sent.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookEndpointDisabledReason)]
pub(super) enum EndpointDisabledReason {
    /// The portal wanted it so.
    Requested,
    /// The receiver answered 410.
    Gone,
    /// Nothing was taken for days.
    Failing,
}

impl From<DisabledReason> for EndpointDisabledReason {
    fn from(reason: DisabledReason) -> Self {
        match reason {
            DisabledReason::Requested => Self::Requested,
            DisabledReason::Gone => Self::Gone,
            DisabledReason::Failing => Self::Failing,
        }
    }
}

/// A key to verify `v1a` signatures by (Standard Webhooks 1.0).
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookPublicKey)]
pub(super) struct EndpointPublicKey {
    /// An Ed25519 public key: `whpk_` and its 32 bytes in base64.
    #[schema(pattern = "^whpk_[A-Za-z0-9+/]{43}=$")]
    key: String,
    /// When it began to sign.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when it signs, once rotated.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
}

impl From<PublicKey> for EndpointPublicKey {
    fn from(key: PublicKey) -> Self {
        Self {
            key: key.key,
            created_at: key.created_at.to_rfc3339(),
            expires_at: key.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<EndpointView> for EndpointBody {
    fn from(view: EndpointView) -> Self {
        let WebhookEndpoint {
            id,
            url,
            wanted,
            description,
            metadata,
            disabled,
            failing_since,
            created_at,
            updated_at,
            ..
        } = view.endpoint;
        Self {
            id,
            url,
            events: wanted.names(),
            description,
            metadata,
            enabled: disabled.is_none(),
            disabled: disabled.map(|it| EndpointDisabled {
                reason: it.reason.into(),
                at: it.at.to_rfc3339(),
            }),
            failing_since: failing_since.map(Timestamp::to_rfc3339),
            public_keys: view.keys.into_iter().map(EndpointPublicKey::from).collect(),
            created_at: created_at.to_rfc3339(),
            updated_at: updated_at.to_rfc3339(),
        }
    }
}

/// A webhook endpoint with its secret, which is shown in this answer only.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointWithSecret, example = json!({
    "endpoint": {
        "id": "hook_01kat5bmf0f3x8q2r7w1e4t6y9",
        "url": "https://portal.acme.example/hooks/billing",
        "events": ["*"],
        "description": null,
        "metadata": {},
        "enabled": true,
        "disabled": null,
        "failing_since": null,
        "public_keys": [{
            "key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "created_at": "2026-11-25T12:00:00.000Z",
            "expires_at": null
        }],
        "created_at": "2026-11-25T12:00:00.000Z",
        "updated_at": "2026-11-25T12:00:00.000Z"
    },
    "secret": "whsec_…"
}))]
pub struct EndpointSecretBody {
    /// The endpoint.
    endpoint: EndpointBody,
    /// The secret to verify `v1` signatures by: `whsec_` and its bytes in base64 (Standard Webhooks
    /// 1.0). Keep it; it is not shown again.
    secret: String,
}

impl EndpointSecretBody {
    pub(in crate::http) fn new(view: EndpointView, secret: &SecretString) -> Self {
        Self {
            endpoint: view.into(),
            secret: secret.expose_secret().to_owned(),
        }
    }
}
