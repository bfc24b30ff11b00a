//! The endpoint at Stripe that delivers to this service: registered, renewed, removed.
//!
//! Creating it is a write that reaches Stripe, so its idempotency key is stored before the call and
//! outlives a crash: repeating the request finds the same endpoint instead of making another.

use super::portals::existing;
use super::{App, Context};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::credentials::{Credentials, WebhookEndpoint};
use crate::domain::error::{Code, Error};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::ApiKey;
use crate::ids::Kind;
use crate::store::{self, Conn, StoreError};
use crate::stripe::{
    API_VERSION, CreatedWebhookEndpoint, EVENT_TYPES, IdempotencyKey, Metadata, NewWebhookEndpoint,
    Outcome, Step, StripeError, WebhookEndpointChange,
};

/// Stripe may forget an idempotency key after 24 hours; an older attempt lists before it posts.
const ATTEMPT_MAX_AGE_MS: i64 = 23 * 60 * 60 * 1000;
/// By this key of its metadata an endpoint is recognized as this portal's.
const METADATA_PORTAL: &str = "portal_billing_portal";
const DESCRIPTION: &str = "portal-billing";

/// What became of the endpoint at Stripe when its portal or credentials went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There was none, or it is gone.
    Nothing,
    /// It could not be removed; Stripe will deliver in vain until it gives up.
    Endpoint(String),
}

impl Left {
    /// For the audit log: the one place where an operator finds what to remove by hand.
    pub(super) fn audit_detail(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Nothing => None,
            Self::Endpoint(id) => Some(("endpoint_left_at_stripe", id.clone())),
        }
    }
}

/// Everything a registration works with.
struct Plan {
    credentials: Credentials,
    key: ApiKey,
    url: String,
    /// What is registered now, if it is of these credentials' account and mode.
    registered: Option<WebhookEndpoint>,
    attempt: Attempt,
}

struct Attempt {
    key: IdempotencyKey,
    /// Whether Stripe may have forgotten the key, or answered it with a failure it stored.
    lists_first: bool,
}

impl App {
    /// Where Stripe delivers for this hook; `None` when this service has no public address.
    pub(super) fn hook_url(&self, hook: &str) -> Option<String> {
        self.public_url
            .as_ref()
            .map(|base| format!("{base}/v1/hooks/stripe/{hook}"))
    }

    /// Registers this service at Stripe, or makes sure that it still is. With `rotate`, makes a new
    /// endpoint with a new signing secret; the old secret stays valid for 24 hours. Tells whether an
    /// endpoint was made.
    ///
    /// # Errors
    /// `module_disabled`, `stripe_not_ready`, `not_found`, and what Stripe's refusal or absence
    /// means.
    pub async fn register_webhook_endpoint(
        &self,
        context: &Context,
        portal: &Slug,
        rotate: bool,
    ) -> Result<(WebhookEndpoint, bool), Error> {
        let plan = self
            .store
            .write(async |conn| self.plan(conn, portal).await)
            .await?;
        if !rotate && let Some(endpoint) = self.still_good(context, portal, &plan).await? {
            return Ok((endpoint, false));
        }
        if plan.attempt.lists_first {
            self.remove_strays(portal, &plan).await?;
        }
        let created = match self.create(portal, &plan, &plan.attempt.key).await {
            Ok(created) => created,
            Err(error) if error.outcome() == Outcome::KeyReused || error.is_stored_failure() => {
                // The stored attempt cannot succeed any more: look at what it left, begin anew.
                self.remove_strays(portal, &plan).await?;
                let fresh = self.begin_attempt(portal, &plan).await?;
                self.create(portal, &plan, &fresh)
                    .await
                    .map_err(refused_url)?
            }
            Err(error) => return Err(refused_url(error)),
        };
        let endpoint = self
            .store_registered(context, portal, &plan, &created)
            .await?;
        let old = plan
            .registered
            .as_ref()
            .and_then(|old| old.endpoint_id.as_deref());
        if let Some(old) = old.filter(|old| endpoint.endpoint_id.as_deref() != Some(*old)) {
            // Best effort: a stray is found by its metadata the next time.
            let _removed = self.delete_at_stripe(&plan.key, old).await;
        }
        Ok((endpoint, true))
    }

    /// Removes the endpoint at Stripe, as far as that is possible.
    pub(super) async fn remove_endpoint_at_stripe(&self, portal: &Slug) -> Left {
        match self.api_key(portal).await {
            Ok((credentials, _)) => self.remove_endpoint_with(portal, &credentials).await,
            Err(_) => Left::Nothing,
        }
    }

    /// Removes the endpoint that was registered with these credentials.
    pub(super) async fn remove_endpoint_with(&self, portal: &Slug, with: &Credentials) -> Left {
        let found = self
            .store
            .read(async |conn| {
                let endpoint = store::webhook_endpoints::find(conn, portal).await?;
                let key = self.open_api_key(conn, portal, with).await?;
                Ok(endpoint
                    .filter(|it| belongs_to(it, with))
                    .map(|endpoint| (endpoint, key)))
            })
            .await;
        let Ok(Some((
            WebhookEndpoint {
                endpoint_id: Some(id),
                ..
            },
            key,
        ))) = found
        else {
            return Left::Nothing;
        };
        match self.delete_at_stripe(&key, &id).await {
            Ok(()) => Left::Nothing,
            Err(error) => {
                tracing::warn!(%portal, endpoint = %id, cause = error.log_text(), "endpoint left at Stripe");
                Left::Endpoint(id)
            }
        }
    }

    async fn plan(&self, conn: &mut Conn, portal: &Slug) -> Result<Plan, StoreError> {
        existing(conn, portal).await?;
        let module = store::stripe_modules::find(conn, portal)
            .await?
            .filter(|module| module.enabled)
            .ok_or_else(|| Error::new(Code::ModuleDisabled, "Enable the Stripe module first."))?;
        let credentials = store::credentials::current(conn, portal)
            .await?
            .ok_or_else(|| Error::new(Code::StripeNotReady, "Store the credentials first."))?;
        let url = self.hook_url(&module.hook).ok_or_else(|| {
            Error::new(
                Code::StripeNotReady,
                "The service has no public address (server.public_url).",
            )
        })?;
        let key = self.open_api_key(conn, portal, &credentials).await?;
        let known = store::webhook_endpoints::find(conn, portal).await?;
        let known = known.filter(|endpoint| belongs_to(endpoint, &credentials));
        let registered = known
            .clone()
            .filter(|endpoint| endpoint.endpoint_id.is_some());
        let attempt = self
            .attempt(conn, portal, (&credentials, &url), known)
            .await?;
        Ok(Plan {
            credentials,
            key,
            url,
            registered,
            attempt,
        })
    }

    /// The attempt under way, or a new one, stored before anything is sent.
    async fn attempt(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        (credentials, url): (&Credentials, &str),
        known: Option<WebhookEndpoint>,
    ) -> Result<Attempt, StoreError> {
        let now = self.clock.now();
        let under_way = known
            .as_ref()
            .and_then(|it| it.attempt_key.clone().zip(it.attempted_at));
        if let Some((key, since)) = under_way {
            let young = now.millis_since(since) < ATTEMPT_MAX_AGE_MS;
            if young && known.as_ref().is_some_and(|it| it.url == url) {
                let key = IdempotencyKey::new(key)
                    .ok_or_else(|| StoreError::corrupt("stripe_webhook_endpoints.attempt_key"))?;
                return Ok(Attempt {
                    key,
                    lists_first: false,
                });
            }
        }
        let lists_first = known.as_ref().is_some_and(|it| it.attempt_key.is_some());
        let key = self.step_key(Step::CreateWebhookEndpoint);
        let row = with_attempt(known, credentials, url, &key, now);
        store::webhook_endpoints::put(conn, portal, &row).await?;
        Ok(Attempt { key, lists_first })
    }

    fn step_key(&self, step: Step) -> IdempotencyKey {
        IdempotencyKey::for_step(&self.ids.new_id(Kind::Operation), step)
    }

    async fn begin_attempt(&self, portal: &Slug, plan: &Plan) -> Result<IdempotencyKey, Error> {
        let key = self.step_key(Step::CreateWebhookEndpoint);
        let now = self.clock.now();
        let row = with_attempt(
            plan.registered.clone(),
            &plan.credentials,
            &plan.url,
            &key,
            now,
        );
        self.store
            .write(async |conn| store::webhook_endpoints::put(conn, portal, &row).await)
            .await?;
        Ok(key)
    }

    /// The registered endpoint, if Stripe still has it as it should be; its address is mended.
    async fn still_good(
        &self,
        context: &Context,
        portal: &Slug,
        plan: &Plan,
    ) -> Result<Option<WebhookEndpoint>, Error> {
        let Some(registered) = &plan.registered else {
            return Ok(None);
        };
        let has_secret = self
            .store
            .read(async |conn| {
                let now = self.clock.now();
                let secrets = store::credentials::webhook_secrets(conn, portal, now).await?;
                Ok(secrets
                    .iter()
                    .any(|(view, _)| view.endpoint_id == registered.endpoint_id))
            })
            .await?;
        let at_stripe = self.stripe.all_webhook_endpoints(&plan.key).await?;
        let found = at_stripe
            .into_iter()
            .find(|it| registered.endpoint_id.as_deref() == Some(it.id.as_str()));
        // The version of an endpoint cannot be changed, and a lost secret cannot be read again:
        // either way a new endpoint is needed.
        let Some(found) =
            found.filter(|it| has_secret && it.api_version.as_deref() == Some(API_VERSION))
        else {
            return Ok(None);
        };
        if found.url != plan.url || !found.serves(EVENT_TYPES) {
            let change = WebhookEndpointChange {
                url: Some(&plan.url),
                events: Some(EVENT_TYPES),
                disabled: Some(false),
                ..WebhookEndpointChange::default()
            };
            let key = self.step_key(Step::UpdateWebhookEndpoint);
            self.stripe
                .update_webhook_endpoint(&plan.key, &key, &found.id, &change)
                .await
                .map_err(refused_url)?;
        }
        let endpoint = WebhookEndpoint {
            url: plan.url.clone(),
            attempt_key: None,
            attempted_at: None,
            ..registered.clone()
        };
        let mended = endpoint.url != registered.url;
        self.store
            .write(async |conn| {
                store::webhook_endpoints::put(conn, portal, &endpoint).await?;
                if mended {
                    self.record(
                        conn,
                        context,
                        portal,
                        &draft("endpoint.moved", portal, &endpoint),
                    )
                    .await?;
                }
                Ok(())
            })
            .await?;
        Ok(Some(endpoint))
    }

    async fn create(
        &self,
        portal: &Slug,
        plan: &Plan,
        key: &IdempotencyKey,
    ) -> Result<CreatedWebhookEndpoint, StripeError> {
        let mut metadata = Metadata::new();
        metadata.insert(METADATA_PORTAL.to_owned(), portal.to_string());
        metadata.insert("operation".to_owned(), key.as_str().to_owned());
        let new = NewWebhookEndpoint {
            url: &plan.url,
            events: EVENT_TYPES,
            description: DESCRIPTION,
            metadata: &metadata,
        };
        Ok(self
            .stripe
            .create_webhook_endpoint(&plan.key, key, &new)
            .await?
            .object)
    }

    async fn store_registered(
        &self,
        context: &Context,
        portal: &Slug,
        plan: &Plan,
        created: &CreatedWebhookEndpoint,
    ) -> Result<WebhookEndpoint, Error> {
        let endpoint = WebhookEndpoint {
            account_id: plan.credentials.account_id.clone(),
            mode: plan.credentials.mode,
            url: plan.url.clone(),
            api_version: API_VERSION.to_owned(),
            endpoint_id: Some(created.endpoint.id.clone()),
            attempt_key: None,
            attempted_at: None,
            registered_at: Some(self.clock.now()),
        };
        self.store
            .write(async |conn| {
                existing(conn, portal).await?;
                store::webhook_endpoints::put(conn, portal, &endpoint).await?;
                let id = Some(created.endpoint.id.as_str());
                self.store_webhook_secret(conn, portal, &created.secret, id)
                    .await?;
                self.record(
                    conn,
                    context,
                    portal,
                    &draft("endpoint.registered", portal, &endpoint),
                )
                .await
            })
            .await?;
        self.hooks.forget();
        Ok(endpoint)
    }

    /// Deletes endpoints of this portal at Stripe that are not the registered one: what attempts
    /// left whose answer was never seen, and whose secret therefore nobody knows.
    async fn remove_strays(&self, portal: &Slug, plan: &Plan) -> Result<(), Error> {
        let registered = plan
            .registered
            .as_ref()
            .and_then(|it| it.endpoint_id.as_deref());
        for endpoint in self.stripe.all_webhook_endpoints(&plan.key).await? {
            let ours =
                endpoint.metadata.get(METADATA_PORTAL).map(String::as_str) == Some(portal.as_str());
            if ours && endpoint.url == plan.url && registered != Some(endpoint.id.as_str()) {
                self.delete_at_stripe(&plan.key, &endpoint.id).await?;
            }
        }
        Ok(())
    }

    async fn delete_at_stripe(&self, key: &ApiKey, id: &str) -> Result<(), StripeError> {
        let idempotency = self.step_key(Step::DeleteWebhookEndpoint);
        match self
            .stripe
            .delete_webhook_endpoint(key, &idempotency, id)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.outcome() == Outcome::Missing => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn belongs_to(endpoint: &WebhookEndpoint, credentials: &Credentials) -> bool {
    endpoint.account_id == credentials.account_id && endpoint.mode == credentials.mode
}

fn with_attempt(
    known: Option<WebhookEndpoint>,
    credentials: &Credentials,
    url: &str,
    key: &IdempotencyKey,
    now: Timestamp,
) -> WebhookEndpoint {
    let base = known.unwrap_or_else(|| WebhookEndpoint {
        account_id: credentials.account_id.clone(),
        mode: credentials.mode,
        url: url.to_owned(),
        api_version: API_VERSION.to_owned(),
        endpoint_id: None,
        attempt_key: None,
        attempted_at: None,
        registered_at: None,
    });
    WebhookEndpoint {
        attempt_key: Some(key.as_str().to_owned()),
        attempted_at: Some(now),
        ..base
    }
}

/// Stripe refuses addresses it cannot reach; that is a setting of ours, not a bug.
fn refused_url(error: StripeError) -> Error {
    if error.outcome() == Outcome::Rejected && error.param() == Some("url") {
        return Error::new(
            Code::StripeNotReady,
            "Stripe does not accept this service's address; set server.public_url to one that \
             Stripe can reach.",
        )
        .with_log(error.log_text());
    }
    error.into()
}

fn draft(action: &'static str, portal: &Slug, endpoint: &WebhookEndpoint) -> Draft {
    Draft {
        action,
        subject: format!("/v1/portals/{portal}/modules/stripe/webhook-endpoint"),
        details: vec![
            ("endpoint", endpoint.endpoint_id.clone().unwrap_or_default()),
            ("account", endpoint.account_id.clone()),
            ("mode", endpoint.mode.to_string()),
        ],
    }
}
