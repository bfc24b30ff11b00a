//! Portals' own webhook endpoints: made, changed, rotated, removed. (Stripe's endpoint, which
//! delivers to this service, is in `webhook_endpoint`.)

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::answer::{Answer, Outcome};
use super::idempotency::{Begun, Claim};
use super::portals::{MetadataChange, concurrent, existing, merged};
use super::publish::Fact;
use super::vault::Place;
use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::deliver::{Refusal, SigningKeys};
use crate::domain::audit::Draft;
use crate::domain::error::{Code, Error};
use crate::domain::precondition::{Precondition, entity_tag};
use crate::domain::slug::Slug;
use crate::domain::text::Metadata;
use crate::domain::webhook_endpoint::{
    Disabled, DisabledReason, ENDPOINTS_MAX, PublicKey, SECRET_OVERLAP_MS, Wanted, WebhookEndpoint,
};
use crate::ids::{Id, Kind};
use crate::store::endpoints::{Progress, SealedKeys};
use crate::store::{Conn, StoreError, deliveries, endpoints, feed};

pub use crate::deliver::Target;

/// The field the signing keys are sealed for.
pub(super) const KEYS_FIELD: &str = "webhook_endpoint_secrets.sealed";
/// What happened to an endpoint, as the audit log and the feed name it.
const UPDATED: &str = "webhook_endpoint.updated";
const ROTATED: &str = "webhook_endpoint.secret_rotated";
/// Generations of keys that sign at a time, however often they are rotated in a day.
const GENERATIONS_MAX: usize = 4;

/// An endpoint and the public keys that receivers may verify by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The endpoint.
    pub endpoint: WebhookEndpoint,
    /// Its keys, the current one first.
    pub keys: Vec<PublicKey>,
}

impl EndpointView {
    /// Its version as an entity tag.
    pub fn tag(&self) -> String {
        tag(&self.endpoint)
    }
}

/// What a caller says an endpoint is.
#[derive(Clone, Debug)]
pub struct EndpointInput {
    /// Where events are posted.
    pub url: Target,
    /// Which events.
    pub wanted: Wanted,
    /// For people.
    pub description: Option<String>,
    /// The caller's own keys and values.
    pub metadata: Metadata,
    /// Whether anything is sent.
    pub enabled: bool,
}

/// What a caller changes about an endpoint; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    /// Where events are posted.
    pub url: Option<Target>,
    /// Which events.
    pub wanted: Option<Wanted>,
    /// For people; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// Keys to set, or to remove with `None`.
    pub metadata: Option<MetadataChange>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

fn tag(endpoint: &WebhookEndpoint) -> String {
    entity_tag(endpoint.created_at, endpoint.version)
}

fn address(endpoint: &WebhookEndpoint) -> String {
    format!(
        "/v1/portals/{}/webhook-endpoints/{}",
        endpoint.portal, endpoint.id
    )
}

pub(super) fn draft(action: &'static str, endpoint: &WebhookEndpoint) -> Draft {
    Draft {
        action,
        subject: address(endpoint),
        details: vec![("version", endpoint.version.to_string())],
    }
}

impl App {
    /// Judges a URL that events are to be posted to.
    ///
    /// # Errors
    /// Why not, in words for the caller.
    pub fn webhook_target(&self, url: &str) -> Result<Target, Refusal> {
        self.courier.target(url)
    }

    /// Makes an endpoint; its secret is told in the answer, and never again.
    ///
    /// # Errors
    /// `not_found` for the portal, `webhook_endpoint_limit`.
    pub async fn create_endpoint(
        &self,
        context: &Context,
        portal: &Slug,
        input: EndpointInput,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, Duration::ZERO, async |conn| {
            let now = self.clock.now();
            let disabled = Disabled {
                reason: DisabledReason::Requested,
                at: now,
            };
            let endpoint = WebhookEndpoint {
                id: self.ids.new_id(Kind::WebhookEndpoint).into(),
                portal: portal.clone(),
                url: input.url.as_str().to_owned(),
                wanted: input.wanted.clone(),
                description: input.description.clone(),
                metadata: input.metadata.clone(),
                disabled: (!input.enabled).then_some(disabled),
                failing_since: None,
                version: 1,
                created_at: now,
                updated_at: now,
            };
            let (keys, secret) = self.new_signing_keys(conn, &endpoint).await?;
            let view = EndpointView {
                endpoint,
                keys: vec![keys.public.clone()],
            };
            self.publish_endpoint(conn, "webhook_endpoint.created", &view)
                .await?;
            // Behind the publication, which one transaction of a portal has at a time.
            if endpoints::count(conn, portal).await? >= ENDPOINTS_MAX {
                return Err(Error::new(
                    Code::WebhookEndpointLimit,
                    format!("The portal has {ENDPOINTS_MAX} webhook endpoints, which is the most."),
                )
                .into());
            }
            let progress = Progress {
                // Events from now on, its own making not among them.
                position: feed::head(conn, portal).await?,
                not_before: now,
            };
            endpoints::insert(conn, &view.endpoint, progress).await?;
            endpoints::insert_keys(conn, &keys).await?;
            let entry = draft("webhook_endpoint.created", &view.endpoint);
            self.record(conn, context, portal, &entry).await?;
            Ok(Begun::Done(Outcome::WebhookEndpointSecret {
                view: Box::new(view),
                secret,
                created: true,
            }))
        })
        .await
    }

    /// The endpoint.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn endpoint(&self, portal: &Slug, id: &str) -> Result<EndpointView, Error> {
        let view = self
            .store
            .read(async |conn| {
                let endpoint = endpoints::find(conn, portal, id)
                    .await?
                    .ok_or_else(Error::not_found)?;
                self.endpoint_view(conn, endpoint).await
            })
            .await?;
        Ok(view)
    }

    /// Endpoints of the portal, newest first.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn endpoints(
        &self,
        portal: &Slug,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<EndpointView>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let page = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                let limit = i64::from(limit);
                let found = endpoints::list(conn, portal, after, limit + 1).await?;
                let ids: Vec<&str> = found.iter().map(|it| it.id.as_str()).collect();
                let keys = endpoints::keys_of(conn, &ids, self.clock.now()).await?;
                let views = found.iter().map(|endpoint| EndpointView {
                    endpoint: endpoint.clone(),
                    keys: public_keys_of(&endpoint.id, &keys),
                });
                Ok(Page::cut(
                    views.collect(),
                    usize::try_from(limit).unwrap_or(0),
                ))
            })
            .await?;
        Ok(page)
    }

    /// Changes an endpoint. One that is enabled, or called at another URL, is sent at once what has
    /// waited for it.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `concurrent_change`, `validation_failed`.
    pub async fn change_endpoint(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        change: EndpointChange,
        precondition: &Precondition,
    ) -> Result<EndpointView, Error> {
        let view = self
            .store
            .write(async |conn| {
                let (before, progress) = self.held_endpoint(conn, portal, id).await?;
                precondition.check(Some(&tag(&before)))?;
                let now = self.clock.now();
                let after = changed(&before, &change, now)?;
                if before == after {
                    return self.endpoint_view(conn, before).await;
                }
                let anew = (before.disabled.is_some() && after.disabled.is_none())
                    || before.url != after.url;
                if anew {
                    let progress = Progress {
                        not_before: now,
                        ..progress
                    };
                    endpoints::set_progress(conn, id, progress, None).await?;
                    deliveries::hasten(conn, id, now).await?;
                }
                let after = WebhookEndpoint {
                    failing_since: before.failing_since.filter(|_| !anew),
                    ..after
                };
                self.store_endpoint(conn, context, after, (UPDATED, UPDATED))
                    .await
            })
            .await?;
        Ok(view)
    }

    /// Deletes an endpoint with its deliveries.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `concurrent_change`.
    pub async fn delete_endpoint(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        self.store
            .write(async |conn| {
                let (before, _) = self.held_endpoint(conn, portal, id).await?;
                precondition.check(Some(&tag(&before)))?;
                let mut view = self.endpoint_view(conn, before).await?;
                if !endpoints::delete(conn, id, view.endpoint.version).await? {
                    return Err(concurrent().into());
                }
                view.endpoint.version += 1;
                view.endpoint.updated_at = self.clock.now();
                self.publish_endpoint(conn, "webhook_endpoint.deleted", &view)
                    .await?;
                let entry = draft("webhook_endpoint.deleted", &view.endpoint);
                self.record(conn, context, portal, &entry).await
            })
            .await?;
        Ok(())
    }

    /// Makes new signing keys; the ones so far go on signing beside them for a day.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn rotate_endpoint_secret(
        &self,
        context: &Context,
        portal: &Slug,
        id: &str,
        claim: Option<&Claim>,
    ) -> Result<Answer, Error> {
        self.once(context, portal, claim, Duration::ZERO, async |conn| {
            let (endpoint, _) = self.held_endpoint(conn, portal, id).await?;
            let now = self.clock.now();
            let sealed = endpoints::keys_of(conn, &[id], now).await?;
            for oldest in sealed.iter().skip(GENERATIONS_MAX - 1) {
                endpoints::delete_keys(conn, &oldest.id).await?;
            }
            endpoints::expire_keys(conn, id, now.plus_millis(SECRET_OVERLAP_MS)).await?;
            let (keys, secret) = self.new_signing_keys(conn, &endpoint).await?;
            endpoints::insert_keys(conn, &keys).await?;
            let view = self
                .store_endpoint(conn, context, endpoint, (ROTATED, UPDATED))
                .await?;
            Ok(Begun::Done(Outcome::WebhookEndpointSecret {
                view: Box::new(view),
                secret,
                created: false,
            }))
        })
        .await
    }

    /// The endpoint, for this transaction alone.
    pub(super) async fn held_endpoint(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        id: &str,
    ) -> Result<(WebhookEndpoint, Progress), StoreError> {
        // What is no id of an endpoint is not looked for.
        let id = Id::parse(Kind::WebhookEndpoint, id).ok_or_else(Error::not_found)?;
        Ok(endpoints::lock(conn, id.as_str())
            .await?
            .filter(|(endpoint, _)| endpoint.portal == *portal)
            .ok_or_else(Error::not_found)?)
    }

    /// Stores a changed endpoint as its next version, with its audit entry and its event.
    pub(super) async fn store_endpoint(
        &self,
        conn: &mut Conn,
        context: &Context,
        changed: WebhookEndpoint,
        (action, event_type): (&'static str, &'static str),
    ) -> Result<EndpointView, StoreError> {
        let before = changed.version;
        let after = WebhookEndpoint {
            version: before + 1,
            updated_at: self.clock.now(),
            ..changed
        };
        if !endpoints::update(conn, &after, before).await? {
            return Err(concurrent().into());
        }
        self.record(conn, context, &after.portal, &draft(action, &after))
            .await?;
        let view = self.endpoint_view(conn, after).await?;
        self.publish_endpoint(conn, event_type, &view).await?;
        Ok(view)
    }

    async fn publish_endpoint(
        &self,
        conn: &mut Conn,
        event_type: &'static str,
        view: &EndpointView,
    ) -> Result<(), StoreError> {
        let fact = Fact {
            event_type,
            subject: &view.endpoint.id,
            version: view.endpoint.version,
            organization: None,
            shown: &Outcome::WebhookEndpoint(Box::new(view.clone())),
        };
        self.publish(conn, &view.endpoint.portal, &fact).await
    }

    async fn endpoint_view(
        &self,
        conn: &mut Conn,
        endpoint: WebhookEndpoint,
    ) -> Result<EndpointView, StoreError> {
        let keys = endpoints::keys_of(conn, &[&endpoint.id], self.clock.now()).await?;
        Ok(EndpointView {
            keys: public_keys_of(&endpoint.id, &keys),
            endpoint,
        })
    }

    /// New keys, sealed, and the secret among them to be told.
    async fn new_signing_keys(
        &self,
        conn: &mut Conn,
        endpoint: &WebhookEndpoint,
    ) -> Result<(SealedKeys, SecretString), StoreError> {
        let failed = || Error::internal("no signing keys could be made");
        let keys = SigningKeys::generate().ok_or_else(failed)?;
        let id: String = self.ids.new_id(Kind::WebhookSecret).into();
        let vault = self.vault(conn, &endpoint.portal, None).await?;
        let place = keys_place(&id);
        let sealed = vault.seal(&endpoint.portal, &place, keys.to_text().expose_secret())?;
        let public = PublicKey {
            key: keys.public_text().ok_or_else(failed)?,
            created_at: self.clock.now(),
            expires_at: None,
        };
        let sealed = SealedKeys {
            id,
            portal: endpoint.portal.clone(),
            endpoint: endpoint.id.clone(),
            public,
            sealed,
        };
        Ok((sealed, keys.secret_text()))
    }
}

/// Where a generation of keys is sealed for.
pub(super) fn keys_place(id: &str) -> Place<'_> {
    Place {
        row: id,
        field: KEYS_FIELD,
        version: 1,
    }
}

fn public_keys_of(endpoint: &str, keys: &[SealedKeys]) -> Vec<PublicKey> {
    keys.iter()
        .filter(|keys| keys.endpoint == endpoint)
        .map(|keys| keys.public.clone())
        .collect()
}

fn changed(
    before: &WebhookEndpoint,
    change: &EndpointChange,
    now: Timestamp,
) -> Result<WebhookEndpoint, Error> {
    let it = before.clone();
    let disabled = match change.enabled {
        None => it.disabled,
        Some(true) => None,
        Some(false) => it.disabled.or(Some(Disabled {
            reason: DisabledReason::Requested,
            at: now,
        })),
    };
    Ok(WebhookEndpoint {
        url: change
            .url
            .as_ref()
            .map_or(it.url, |url| url.as_str().to_owned()),
        wanted: change.wanted.clone().unwrap_or(it.wanted),
        description: change.description.clone().unwrap_or(it.description),
        metadata: merged(&before.metadata, change.metadata.as_ref())?,
        disabled,
        ..it
    })
}
