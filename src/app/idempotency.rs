//! Once: a caller's key is claimed in the transaction of the work, and its answer stored in the
//! transaction that ends it.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Outcome, Rendered};
use super::portals::existing;
use super::vault::{Place, Vault};
use super::{App, Context};
use crate::domain::error::{Code, Error};
use crate::domain::operation::Operation;
use crate::domain::slug::Slug;
use crate::domain::stripe_key::ApiKey;
use crate::store::idempotency::{self, Claimed, KeyOfOperation, Scope, StoredAnswer};
use crate::store::{Conn, StoreError};

/// How long answers are kept: 30 days.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// The route under which operations without a caller's key keep their answer for those who wait.
const OWN_ROUTE: &str = "operation";
const FIELD: &str = "idempotency_keys.sealed";

/// A caller's claim that this request is one and the same however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The route's name.
    pub route: String,
    /// The caller's key.
    pub key: String,
    /// SHA-256 over route parameters, query and canonical JSON, in hex.
    pub fingerprint: String,
}

/// How a unit of work ends.
pub(super) enum Begun {
    /// It is done.
    Done(Outcome),
    /// An operation was stored that will do it.
    Operation(Operation),
    /// The same, with the secret key that it is to run with.
    Opened(Operation, ApiKey),
}

#[expect(clippy::large_enum_variant, reason = "one value lives per request")]
enum Stored {
    Answer(Rendered),
    Repeated(Rendered),
    Operation(Operation, Option<ApiKey>),
}

#[derive(Serialize, Deserialize)]
struct Headers(Vec<(String, String)>);

fn scope_of<'a>(portal: &'a Slug, context: &'a Context, claim: &'a Claim) -> Scope<'a> {
    Scope {
        portal,
        organization: context.organization.as_deref().unwrap_or_default(),
        route: &claim.route,
        key: &claim.key,
    }
}

fn scope_within<'a>(portal: &'a Slug, found: &'a KeyOfOperation) -> Scope<'a> {
    Scope {
        portal,
        organization: &found.organization,
        route: &found.route,
        key: &found.key,
    }
}

impl App {
    /// Runs `work` in one transaction, at most once for each key. An operation it stored is run, and
    /// waited for at most `wait`; then the answer is 202.
    ///
    /// # Errors
    /// `not_found` for the portal, `idempotency_in_progress`, `idempotency_key_reused`, and what
    /// `work` answers: then nothing was stored, the key included.
    pub(super) async fn once<F>(
        &self,
        context: &Context,
        portal: &Slug,
        claim: Option<&Claim>,
        wait: Duration,
        work: F,
    ) -> Result<Answer, Error>
    where
        F: AsyncFn(&mut Conn) -> Result<Begun, StoreError>,
    {
        let nothing = async |_: &mut Conn| Ok(());
        let work = async |conn: &mut Conn, ()| work(conn).await;
        self.once_with(context, portal, claim, wait, nothing, work)
            .await
    }

    /// As [`App::once`], for work that begins with reads which can be made while the key is claimed: `ahead`
    /// makes them, and what it comes to counts only when the key was free.
    ///
    /// # Errors
    /// As [`App::once`].
    pub(super) async fn once_with<T, A, F>(
        &self,
        context: &Context,
        portal: &Slug,
        claim: Option<&Claim>,
        wait: Duration,
        ahead: A,
        work: F,
    ) -> Result<Answer, Error>
    where
        A: AsyncFn(&mut Conn) -> Result<T, StoreError>,
        F: AsyncFn(&mut Conn, T) -> Result<Begun, StoreError>,
    {
        let stored = self
            .store
            .write(async |conn| {
                let claimed = async |conn: &mut Conn| match claim {
                    None => existing(conn, portal).await.map(|_| None),
                    Some(claim) => self.claim(conn, context, portal, claim).await,
                };
                let (before, read) = conn.each(claimed, &ahead).await;
                if let Some(before) = before? {
                    return Ok(Stored::Repeated(before));
                }
                let (operation, key) = match work(conn, read?).await? {
                    Begun::Done(outcome) => {
                        let rendered = self.render.outcome(&outcome);
                        if let Some(claim) = claim {
                            let scope = scope_of(portal, context, claim);
                            let vault = self.vault(conn, portal, None).await?;
                            keep(conn, &scope, &vault, &rendered).await?;
                        }
                        return Ok(Stored::Answer(rendered));
                    }
                    Begun::Operation(operation) => (operation, None),
                    Begun::Opened(operation, key) => (operation, Some(key)),
                };
                self.attach(conn, context, portal, claim, &operation)
                    .await?;
                Ok(Stored::Operation(operation, key))
            })
            .await?;
        match stored {
            Stored::Answer(rendered) => Ok(Answer::fresh(rendered)),
            Stored::Repeated(rendered) => Ok(Answer {
                rendered,
                replayed: true,
            }),
            Stored::Operation(operation, key) => {
                let rendered = self.run_and_wait(operation, key, wait).await?;
                Ok(Answer::fresh(rendered))
            }
        }
    }

    /// Claims the key; gives the stored answer when the same request was answered before.
    async fn claim(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        claim: &Claim,
    ) -> Result<Option<Rendered>, StoreError> {
        let scope = scope_of(portal, context, claim);
        let now = self.clock.now();
        let expires = now.plus_millis(KEPT_MS);
        match idempotency::claim(conn, &scope, &claim.fingerprint, now, expires).await? {
            None => Ok(None),
            Some(before) if before.fingerprint != claim.fingerprint => Err(reused().into()),
            Some(Claimed {
                answer: Some(answer),
                ..
            }) => Ok(Some(self.open_answer(conn, &scope, &answer).await?)),
            Some(Claimed { operation_id, .. }) => Err(in_progress(operation_id).into()),
        }
    }

    async fn attach(
        &self,
        conn: &mut Conn,
        context: &Context,
        portal: &Slug,
        claim: Option<&Claim>,
        operation: &Operation,
    ) -> Result<(), StoreError> {
        if let Some(claim) = claim {
            let scope = scope_of(portal, context, claim);
            return idempotency::attach(conn, &scope, &operation.id).await;
        }
        let scope = Scope {
            portal,
            organization: "",
            route: OWN_ROUTE,
            key: &operation.id,
        };
        let now = self.clock.now();
        idempotency::claim(conn, &scope, "", now, now.plus_millis(KEPT_MS)).await?;
        idempotency::attach(conn, &scope, &operation.id).await
    }

    /// Stores the answer of an operation that is over under its key, or frees the key when the answer is
    /// not one to be repeated.
    pub(super) async fn keep_answer_of(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        key: &KeyOfOperation,
        rendered: &Rendered,
    ) -> Result<(), StoreError> {
        let scope = scope_within(portal, key);
        if rendered.is_kept() || scope.route == OWN_ROUTE {
            let vault = self.vault_of(portal, &key.data_key)?;
            keep(conn, &scope, &vault, rendered).await
        } else {
            idempotency::release(conn, &scope).await
        }
    }

    /// The answer of an operation, if it is over.
    pub(super) async fn answer_of(
        &self,
        conn: &mut Conn,
        operation: &Operation,
    ) -> Result<Option<Rendered>, StoreError> {
        let Some(found) = idempotency::of_operation(conn, &operation.id).await? else {
            return Ok(None);
        };
        let scope = scope_within(&operation.portal, &found);
        let claimed = idempotency::find(conn, &scope).await?;
        match claimed.and_then(|claimed| claimed.answer) {
            Some(answer) => Ok(Some(self.open_answer(conn, &scope, &answer).await?)),
            None => Ok(None),
        }
    }

    async fn open_answer(
        &self,
        conn: &mut Conn,
        scope: &Scope<'_>,
        answer: &StoredAnswer,
    ) -> Result<Rendered, StoreError> {
        let row = row_name(scope);
        let body = self
            .vault(conn, scope.portal, Some(answer.body.data_key_version))
            .await?
            .open(scope.portal, &place(&row), &answer.body)?;
        let corrupt = || StoreError::corrupt("idempotency_keys");
        let Headers(headers) = serde_json::from_str(&answer.headers).map_err(|_| corrupt())?;
        Ok(Rendered {
            status: u16::try_from(answer.status).map_err(|_| corrupt())?,
            headers,
            body: body.expose_secret().to_owned(),
        })
    }
}

/// Stores an answer under the key it belongs to.
async fn keep(
    conn: &mut Conn,
    scope: &Scope<'_>,
    vault: &Vault,
    rendered: &Rendered,
) -> Result<(), StoreError> {
    let row = row_name(scope);
    let body = vault.seal(scope.portal, &place(&row), &rendered.body)?;
    let headers = serde_json::to_string(&Headers(rendered.headers.clone()))
        .map_err(|error| StoreError::Other(error.to_string()))?;
    let answer = StoredAnswer {
        status: rendered.status.into(),
        headers,
        body,
    };
    idempotency::finish(conn, scope, answer).await
}

fn row_name(scope: &Scope<'_>) -> String {
    [scope.organization, scope.route, scope.key].join("\n")
}

fn place(row: &str) -> Place<'_> {
    Place {
        row,
        field: FIELD,
        version: 1,
    }
}

fn reused() -> Error {
    Error::new(
        Code::IdempotencyKeyReused,
        "This Idempotency-Key was used before on this route for another request.",
    )
}

fn in_progress(operation: Option<String>) -> Error {
    let detail = match operation {
        Some(id) => format!("The first request with this key is still being worked on by {id}."),
        None => "The first request with this key is still being worked on.".to_owned(),
    };
    Error::new(Code::IdempotencyInProgress, detail).with_retry_after(1)
}
