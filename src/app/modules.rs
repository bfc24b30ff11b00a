//! The Stripe module: enabled or not, its settings, its readiness.

use super::portals::{concurrent, existing};
use super::{App, Context};
use crate::domain::audit::Draft;
use crate::domain::credentials::{Credentials, WebhookEndpoint};
use crate::domain::error::Error;
use crate::domain::precondition::{Precondition, entity_tag};
use crate::domain::readiness::{
    Check, CredentialFacts, EndpointFacts, Facts, ModuleStatus, checks, status,
};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::PublishableKey;
use crate::domain::stripe_module::{ModuleSettings, StripeModule};
use crate::store::{self, Conn, StoreError};
use crate::stripe::API_VERSION;

/// A module with everything that can be said about it.
#[derive(Clone, Debug)]
pub struct ModuleView {
    /// The module, if ever configured.
    pub module: Option<StripeModule>,
    /// The current credentials.
    pub credentials: Option<Credentials>,
    /// Its state in one word.
    pub status: ModuleStatus,
    /// Each check with its mend.
    pub checks: Vec<Check>,
}

impl ModuleView {
    /// The tag of what writers change; `None` if never configured.
    pub fn tag(&self) -> Option<String> {
        self.module.as_ref().map(tag)
    }
}

fn tag(module: &StripeModule) -> String {
    entity_tag(module.created_at, module.version)
}

impl App {
    /// The module and whether the portal is ready to sell. Never calls Stripe.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn module(&self, portal: &Slug) -> Result<ModuleView, Error> {
        Ok(self
            .store
            .read(async |conn| self.view(conn, portal).await)
            .await?)
    }

    /// Enables or disables the module and sets its settings.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `concurrent_change`.
    pub async fn put_module(
        &self,
        context: &Context,
        portal: &Slug,
        enabled: bool,
        settings: &ModuleSettings,
        precondition: &Precondition,
    ) -> Result<(ModuleView, bool), Error> {
        let outcome = self
            .store
            .write(async |conn| {
                existing(conn, portal).await?;
                let before = store::stripe_modules::find(conn, portal).await?;
                precondition.check(before.as_ref().map(tag).as_deref())?;
                let created = before.is_none();
                self.store_module(conn, context, portal, before, (enabled, settings))
                    .await?;
                Ok((self.view(conn, portal).await?, created))
            })
            .await?;
        Ok(outcome)
    }

    async fn store_module(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        before: Option<StripeModule>,
        (enabled, settings): (bool, &ModuleSettings),
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let module = match before {
            Some(before) if before.enabled == enabled && before.settings == *settings => {
                return Ok(());
            }
            Some(before) => {
                let after = StripeModule {
                    enabled,
                    settings: settings.clone(),
                    version: before.version + 1,
                    updated_at: now,
                    ..before
                };
                let expected = after.version - 1;
                if !store::stripe_modules::update(conn, portal, &after, expected).await? {
                    return Err(concurrent().into());
                }
                after
            }
            None => {
                let module = StripeModule {
                    enabled,
                    settings: settings.clone(),
                    hook: self.ids.unguessable(),
                    last_webhook_at: None,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                store::stripe_modules::insert(conn, portal, &module).await?;
                module
            }
        };
        let entry = Draft {
            action: "module.configured",
            subject: format!("/v1/portals/{portal}/modules/stripe"),
            details: vec![
                ("enabled", enabled.to_string()),
                ("version", module.version.to_string()),
            ],
        };
        self.record(conn, context, portal, &entry).await
    }

    async fn view(&self, conn: &mut Conn, portal: &Slug) -> Result<ModuleView, StoreError> {
        existing(conn, portal).await?;
        let module = store::stripe_modules::find(conn, portal).await?;
        let credentials = store::credentials::current(conn, portal).await?;
        let endpoint = store::webhook_endpoints::find(conn, portal)
            .await?
            .filter(|endpoint| {
                // One of a former account does not serve the current one.
                credentials.as_ref().is_some_and(|it| {
                    it.account_id == endpoint.account_id && it.mode == endpoint.mode
                })
            });
        let now = self.clock.now();
        let has_secret = !store::credentials::webhook_secrets(conn, portal, now)
            .await?
            .is_empty();
        let credential_facts = credentials.as_ref().map(|credentials| CredentialFacts {
            publishable_mode: PublishableKey::parse(&credentials.publishable_key)
                .ok()
                .map(|key| key.mode()),
            secret_mode: credentials.mode,
            verification: credentials.verification.clone(),
        });
        let endpoint_facts = self.endpoint_facts(module.as_ref(), endpoint, has_secret);
        let facts = Facts {
            portal: portal.as_str(),
            module: module.as_ref(),
            credentials: credential_facts.as_ref(),
            endpoint: &endpoint_facts,
            last_webhook_at: module.as_ref().and_then(|module| module.last_webhook_at),
            pinned_api_version: API_VERSION,
        };
        let checks = checks(&facts);
        let status = status(&facts, &checks);
        Ok(ModuleView {
            module,
            credentials,
            status,
            checks,
        })
    }

    fn endpoint_facts(
        &self,
        module: Option<&StripeModule>,
        endpoint: Option<WebhookEndpoint>,
        has_secret: bool,
    ) -> EndpointFacts {
        match endpoint.filter(|endpoint| endpoint.endpoint_id.is_some()) {
            Some(endpoint) if has_secret => EndpointFacts::Registered {
                url_is_current: module
                    .and_then(|module| self.hook_url(&module.hook))
                    .map(|url| url == endpoint.url),
                api_version: endpoint.api_version,
            },
            None if has_secret => EndpointFacts::SecretOnly,
            _ => EndpointFacts::None,
        }
    }
}
