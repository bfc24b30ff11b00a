//! Credentials: verified with Stripe, then stored; shown masked, never whole.

use secrecy::ExposeSecret;

use super::places::passes;
use super::portals::{concurrent, existing};
use super::vault::{Place, Vault};
use super::verification::Verdict;
use super::{App, Context};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::credentials::{Credentials, WebhookSecretView};
use crate::domain::error::{Code, Error, FieldCode, FieldError};
use crate::domain::precondition::{Precondition, entity_tag};
use crate::domain::readiness::Verification;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::{ApiKey, PublishableKey, WebhookSecret};
use crate::ids::Kind;
use crate::store::credentials::{Hold, Kept, SecretOrigin};
use crate::store::{self, Conn, StoreError};

/// How long a superseded key or signing secret stays usable, so that what began with it can end
/// with it: longer than the 23 hours after which an operation lists before it posts.
pub const OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;
/// Versions shown; older ones are history for the audit log.
const VERSIONS_SHOWN: i64 = 10;
const SECRET_FIELD: &str = "stripe_credentials.secret_sealed";
const WEBHOOK_FIELD: &str = "stripe_webhook_secrets.sealed";

/// Keys as the caller sent them, each known to be one by its form.
pub struct CredentialsInput {
    /// For browsers.
    pub publishable_key: PublishableKey,
    /// For this service.
    pub api_key: ApiKey,
    /// Of an endpoint made by hand.
    pub webhook_secret: Option<WebhookSecret>,
    /// Whether another account or mode than before is meant.
    pub confirm_account_change: bool,
}

impl CredentialsInput {
    /// Reads the keys.
    ///
    /// # Errors
    /// `credentials_malformed` with a pointer per key; `credentials_mode_mismatch`.
    pub fn parse(
        publishable_key: &str,
        secret_key: &str,
        webhook_secret: Option<&str>,
        confirm_account_change: bool,
    ) -> Result<Self, Error> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: &str, detail: String| {
            errors.push(FieldError::new(pointer, FieldCode::InvalidValue, detail));
        };
        let publishable = PublishableKey::parse(publishable_key)
            .map_err(|error| refuse("/publishable_key", error.to_string()));
        let api =
            ApiKey::parse(secret_key).map_err(|error| refuse("/secret_key", error.to_string()));
        let webhook = webhook_secret
            .map(WebhookSecret::parse)
            .transpose()
            .map_err(|error| refuse("/webhook_secret", error.to_string()));
        let (Ok(publishable_key), Ok(api_key), Ok(webhook_secret)) = (publishable, api, webhook)
        else {
            let detail = "A key is not one of Stripe's by its form.";
            return Err(Error::new(Code::CredentialsMalformed, detail).with_fields(errors));
        };
        if publishable_key.mode() != api_key.mode() {
            return Err(Error::new(
                Code::CredentialsModeMismatch,
                format!(
                    "The publishable key is of {} mode, the secret key of {} mode.",
                    publishable_key.mode(),
                    api_key.mode()
                ),
            ));
        }
        Ok(Self {
            publishable_key,
            api_key,
            webhook_secret,
            confirm_account_change,
        })
    }
}

/// Credentials as they are shown.
#[derive(Clone, Debug)]
pub struct CredentialsView {
    /// The version in use.
    pub current: Credentials,
    /// The newest versions, the current one first.
    pub versions: Vec<Credentials>,
    /// When the first version was stored.
    pub first_stored_at: Timestamp,
    /// The signing secrets accepted now.
    pub webhook_secrets: Vec<WebhookSecretView>,
}

impl CredentialsView {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        tag(&self.current)
    }
}

fn tag(credentials: &Credentials) -> String {
    entity_tag(credentials.created_at, credentials.version)
}

/// The current credentials, or the one answer for what does not exist.
async fn current(conn: &mut Conn, portal: &Slug) -> Result<Credentials, StoreError> {
    existing(conn, portal).await?;
    Ok(store::credentials::current(conn, portal)
        .await?
        .ok_or_else(Error::not_found)?)
}

impl App {
    /// Verifies credentials with Stripe and stores them as a new version. The same keys again are
    /// verified again and make no new version. Tells whether the portal had none before.
    ///
    /// # Errors
    /// `stripe_credentials_invalid`, `stripe_permissions_missing`, `stripe_account_mismatch`,
    /// `stripe_mode_mismatch`, `precondition_failed`, `not_found`, and what Stripe's absence means.
    pub async fn put_credentials(
        &self,
        context: &Context,
        portal: &Slug,
        input: CredentialsInput,
        precondition: &Precondition,
    ) -> Result<(CredentialsView, bool), Error> {
        let before = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                store::credentials::current(conn, portal).await
            })
            .await?;
        precondition.check(before.as_ref().map(tag).as_deref())?;
        let verdict = self.verify_new(&input).await?;
        passes("credentials_verified", portal.as_str());
        let (moved_from, created) = self
            .store
            .write(async |conn| {
                existing(conn, portal).await?;
                let before = store::credentials::held(conn, portal, Hold::Alone).await?;
                precondition.check(before.as_ref().map(tag).as_deref())?;
                let moved = self
                    .check_account(conn, portal, &input, &verdict, before.as_ref())
                    .await?;
                if moved {
                    // What is still on its way from the former account is no longer ours to take.
                    let (now, registered) = (self.clock.now(), SecretOrigin::Registered);
                    store::credentials::expire_webhook_secrets(conn, portal, registered, now)
                        .await?;
                }
                self.store_version(conn, context, portal, &input, &verdict, before.as_ref())
                    .await?;
                passes("credentials_storing", portal.as_str());
                Ok((moved.then(|| before.clone()).flatten(), before.is_none()))
            })
            .await?;
        passes("credentials_stored", portal.as_str());
        self.hooks.forget();
        if let Some(old) = moved_from {
            // The endpoint of the former account is of no use; what cannot be removed is harmless.
            let _left = self.remove_endpoint_with(portal, &old).await;
        }
        Ok((self.credentials(portal).await?, created))
    }

    /// The credentials, masked.
    ///
    /// # Errors
    /// `not_found` when none are stored.
    pub async fn credentials(&self, portal: &Slug) -> Result<CredentialsView, Error> {
        let view = self
            .store
            .read(async |conn| {
                let now = self.clock.now();
                let current = current(conn, portal).await?;
                let first = store::credentials::first_stored_at(conn, portal).await?;
                Ok(CredentialsView {
                    first_stored_at: first.unwrap_or(current.created_at),
                    current,
                    versions: store::credentials::versions(conn, portal, VERSIONS_SHOWN).await?,
                    webhook_secrets: store::credentials::webhook_secrets(conn, portal, now)
                        .await?
                        .into_iter()
                        .map(|(view, _)| view)
                        .collect(),
                })
            })
            .await?;
        Ok(view)
    }

    /// Asks Stripe about the stored credentials now and writes down what it says.
    ///
    /// # Errors
    /// `not_found`, `concurrent_change`, and what Stripe's absence means; a key that Stripe refuses
    /// is an answer, not an error.
    pub async fn verify_credentials(
        &self,
        context: &Context,
        portal: &Slug,
    ) -> Result<CredentialsView, Error> {
        let (stored, api_key) = self.api_key(portal).await?;
        let publishable = PublishableKey::parse(&stored.publishable_key)
            .map_err(|_| Error::internal("stored publishable key cannot be read"))?;
        let verification = match self.ask_stripe(&publishable, &api_key).await {
            Ok(verdict) => verdict.verification,
            Err(error) if error.code() == Code::StripePermissionsMissing => Verification {
                missing_permissions: error
                    .field_errors()
                    .iter()
                    .map(|field| field.detail.clone())
                    .collect(),
                ..stored.verification.clone()
            },
            Err(error) if error.code() == Code::StripeCredentialsInvalid => Verification {
                accepted: false,
                ..stored.verification.clone()
            },
            Err(error) => return Err(error),
        };
        self.store
            .write(async |conn| {
                let now = self.clock.now();
                let version = stored.version;
                let still_current =
                    store::credentials::set_verification(conn, portal, version, &verification, now)
                        .await?;
                if !still_current {
                    return Err(concurrent().into());
                }
                let entry = Draft {
                    action: "credentials.verified",
                    subject: subject(portal),
                    details: vec![
                        ("version", version.to_string()),
                        ("accepted", verification.accepted.to_string()),
                    ],
                };
                self.record(conn, context, portal, &entry).await
            })
            .await?;
        self.credentials(portal).await
    }

    /// Removes the credentials, the signing secrets and the endpoint at Stripe.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `credentials_in_use` while live paid subscriptions exist
    /// or operations run.
    pub async fn delete_credentials(
        &self,
        context: &Context,
        portal: &Slug,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        let removable = async |conn: &mut Conn| {
            let credentials = current(conn, portal).await?;
            precondition.check(Some(&tag(&credentials)))?;
            if store::operations::count_running(conn, portal, None).await? > 0 {
                return Err(Error::new(
                    Code::CredentialsInUse,
                    "Operations on their way to Stripe need these credentials. Try again when they \
                     have come to their end.",
                )
                .into());
            }
            if store::subscriptions::live_paid_in_portal(conn, portal).await? {
                return Err(Error::new(
                    Code::CredentialsInUse,
                    "Live paid subscriptions need these credentials. End them first.",
                )
                .into());
            }
            Ok(credentials)
        };
        self.store.read(async |conn| removable(conn).await).await?;
        let left = self.remove_endpoint_at_stripe(portal).await;
        self.store
            .write(async |conn| {
                store::credentials::held(conn, portal, Hold::Alone).await?;
                let credentials = removable(conn).await?;
                let now = self.clock.now();
                store::credentials::supersede(conn, portal, credentials.version, now, now).await?;
                store::credentials::wipe_retired(conn, now).await?;
                for origin in [SecretOrigin::ByHand, SecretOrigin::Registered] {
                    store::credentials::expire_webhook_secrets(conn, portal, origin, now).await?;
                }
                store::credentials::delete_expired_webhook_secrets(conn, now).await?;
                store::webhook_endpoints::delete(conn, portal).await?;
                let mut entry = stored_draft("credentials.removed", portal, &credentials);
                entry.details.extend(left.audit_detail());
                self.record(conn, context, portal, &entry).await
            })
            .await?;
        self.hooks.forget();
        Ok(())
    }

    /// The current credentials with the secret key opened, for a call to Stripe.
    pub(super) async fn api_key(&self, portal: &Slug) -> Result<(Credentials, ApiKey), Error> {
        let pair = self
            .store
            .read(async |conn| {
                let credentials = current(conn, portal).await?;
                let key = self.open_api_key(conn, portal, &credentials).await?;
                Ok((credentials, key))
            })
            .await?;
        Ok(pair)
    }

    pub(super) async fn open_api_key(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        credentials: &Credentials,
    ) -> Result<ApiKey, StoreError> {
        let kept = self.kept_api_key(conn, portal, credentials.version).await?;
        let (_, key) =
            kept.ok_or_else(|| Error::internal("the key of these credentials was wiped"))?;
        Ok(key)
    }

    /// One version of the portal's credentials with the secret key opened; `None` when the key was wiped.
    pub(super) async fn kept_api_key(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        version: i64,
    ) -> Result<Option<(Credentials, ApiKey)>, StoreError> {
        let kept = store::credentials::kept(conn, portal, version).await?;
        kept.map_or(Ok(None), |kept| self.opened(portal, kept))
    }

    /// As [`App::kept_api_key`], of the portal's current credentials.
    pub(super) async fn api_key_now(
        &self,
        conn: &mut Conn,
        portal: &Slug,
    ) -> Result<Option<(Credentials, ApiKey)>, StoreError> {
        let kept = store::credentials::kept_now(conn, portal).await?;
        kept.map_or(Ok(None), |kept| self.opened(portal, kept))
    }

    fn opened(
        &self,
        portal: &Slug,
        kept: Kept,
    ) -> Result<Option<(Credentials, ApiKey)>, StoreError> {
        let (credentials, Some((sealed, data_key))) = kept else {
            return Ok(None);
        };
        let vault = self.vault_of(portal, &data_key)?;
        let place = Place {
            row: &credentials.id,
            field: SECRET_FIELD,
            version: credentials.version,
        };
        let text = vault.open(portal, &place, &sealed)?;
        let key = ApiKey::parse(text.expose_secret())
            .map_err(|_| Error::internal("stored secret key cannot be read"))?;
        Ok(Some((credentials, key)))
    }

    /// The signing secrets accepted now, opened, each with its end. The data key is unwrapped once.
    pub(super) async fn open_webhook_secrets(
        &self,
        conn: &mut Conn,
        portal: &Slug,
    ) -> Result<Vec<(WebhookSecret, Option<Timestamp>)>, StoreError> {
        let now = self.clock.now();
        let mut vault: Option<(i64, Vault)> = None;
        let mut secrets = Vec::new();
        for (view, sealed) in store::credentials::webhook_secrets(conn, portal, now).await? {
            let version = sealed.data_key_version;
            let vault = match &mut vault {
                Some((known, vault)) if *known == version => vault,
                other => {
                    let opened = self.vault(conn, portal, Some(version)).await?;
                    &mut other.insert((version, opened)).1
                }
            };
            let text = vault.open(portal, &webhook_place(&view), &sealed)?;
            let secret = WebhookSecret::parse(text.expose_secret())
                .map_err(|_| Error::internal("stored signing secret cannot be read"))?;
            secrets.push((secret, view.expires_at));
        }
        Ok(secrets)
    }

    /// Stores a signing secret; the others of its origin end after the overlap. One that is stored
    /// already is left as it is.
    pub(super) async fn store_webhook_secret(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        secret: &WebhookSecret,
        endpoint_id: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let vault = self.vault(conn, portal, None).await?;
        let fingerprint = vault.fingerprint(secret.expose())?;
        let known = store::credentials::webhook_secrets(conn, portal, now).await?;
        if known
            .iter()
            .any(|(view, _)| view.fingerprint == fingerprint && view.expires_at.is_none())
        {
            return Ok(());
        }
        let origin = match endpoint_id {
            Some(_) => SecretOrigin::Registered,
            None => SecretOrigin::ByHand,
        };
        let end = now.plus_millis(OVERLAP_MS);
        store::credentials::expire_webhook_secrets(conn, portal, origin, end).await?;
        let view = WebhookSecretView {
            id: self.ids.new_id(Kind::WebhookSecret).into(),
            endpoint_id: endpoint_id.map(str::to_owned),
            last_four: secret.last_four().to_owned(),
            fingerprint,
            created_at: now,
            expires_at: None,
        };
        let sealed = vault.seal(portal, &webhook_place(&view), secret.expose())?;
        store::credentials::insert_webhook_secret(conn, portal, &view, &sealed).await
    }

    /// Whether the new credentials are of another account or mode than the current ones, and if so
    /// whether that may be. Tells whether they are.
    async fn check_account(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        input: &CredentialsInput,
        verdict: &Verdict,
        before: Option<&Credentials>,
    ) -> Result<bool, StoreError> {
        let mode = input.api_key.mode();
        let account_id = &verdict.account.id;
        let elsewhere =
            store::stripe_objects::count_elsewhere(conn, portal, account_id, mode).await?;
        let moved =
            before.is_some_and(|before| before.account_id != *account_id || before.mode != mode);
        let same_account = before.is_some_and(|before| before.account_id == *account_id);
        let code = if same_account {
            Code::StripeModeMismatch
        } else {
            Code::StripeAccountMismatch
        };
        if elsewhere > 0 {
            return Err(Error::new(
                code,
                format!(
                    "{elsewhere} objects of this portal live in another Stripe account or mode. \
                     End them there first; confirm_account_change does not override this."
                ),
            )
            .into());
        }
        let there = Some((account_id.as_str(), mode));
        let on_their_way = store::operations::count_running(conn, portal, there).await?;
        if on_their_way > 0 {
            return Err(Error::new(
                code,
                format!(
                    "{on_their_way} operations of this portal are on their way to another Stripe \
                     account or mode. Try again when they have come to their end."
                ),
            )
            .into());
        }
        if moved && !input.confirm_account_change {
            return Err(Error::new(
                code,
                "These keys belong to another Stripe account or mode than the stored ones. Send \
                 confirm_account_change if that is meant.",
            )
            .into());
        }
        Ok(moved)
    }

    async fn store_version(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        input: &CredentialsInput,
        verdict: &Verdict,
        before: Option<&Credentials>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let vault = self.vault(conn, portal, None).await?;
        let fingerprint = vault.fingerprint(input.api_key.expose())?;
        let unchanged = before.filter(|before| {
            before.secret_fingerprint == fingerprint
                && before.publishable_key == input.publishable_key.expose()
        });
        let entry = if let Some(same) = unchanged {
            let verification = &verdict.verification;
            store::credentials::set_verification(conn, portal, same.version, verification, now)
                .await?;
            stored_draft("credentials.verified", portal, same)
        } else {
            let newest = store::credentials::versions(conn, portal, 1).await?;
            let version = newest.first().map_or(1, |newest| newest.version + 1);
            if let Some(before) = before {
                let retire_at = now.plus_millis(OVERLAP_MS);
                store::credentials::supersede(conn, portal, before.version, now, retire_at).await?;
            }
            let credentials = self.new_version(input, verdict, version, fingerprint, now);
            let place = Place {
                row: &credentials.id,
                field: SECRET_FIELD,
                version,
            };
            let sealed = vault.seal(portal, &place, input.api_key.expose())?;
            store::credentials::insert(conn, portal, &credentials, &sealed).await?;
            stored_draft("credentials.stored", portal, &credentials)
        };
        if let Some(secret) = &input.webhook_secret {
            self.store_webhook_secret(conn, portal, secret, None)
                .await?;
        }
        self.record(conn, context, portal, &entry).await
    }

    fn new_version(
        &self,
        input: &CredentialsInput,
        verdict: &Verdict,
        version: i64,
        secret_fingerprint: String,
        now: Timestamp,
    ) -> Credentials {
        Credentials {
            id: self.ids.new_id(Kind::Credentials).into(),
            version,
            account_id: verdict.account.id.clone(),
            mode: input.api_key.mode(),
            publishable_key: input.publishable_key.expose().to_owned(),
            secret_kind: input.api_key.kind(),
            secret_last_four: input.api_key.last_four().to_owned(),
            secret_fingerprint,
            verification: verdict.verification.clone(),
            verified_at: now,
            created_at: now,
            superseded_at: None,
            retire_at: None,
        }
    }
}

fn webhook_place(view: &WebhookSecretView) -> Place<'_> {
    Place {
        row: &view.id,
        field: WEBHOOK_FIELD,
        version: 1,
    }
}

fn subject(portal: &Slug) -> String {
    format!("/v1/portals/{portal}/modules/stripe/credentials")
}

fn stored_draft(action: &'static str, portal: &Slug, credentials: &Credentials) -> Draft {
    Draft {
        action,
        subject: subject(portal),
        details: vec![
            ("version", credentials.version.to_string()),
            ("account", credentials.account_id.clone()),
            ("mode", credentials.mode.to_string()),
            ("kind", credentials.secret_kind.as_str().to_owned()),
            ("fingerprint", credentials.secret_fingerprint.clone()),
        ],
    }
}
