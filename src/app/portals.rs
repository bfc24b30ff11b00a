//! Portals: made, changed, listed, deleted.

use serde::{Deserialize, Serialize};

use super::{App, Context, Page};
use crate::clock::Timestamp;
use crate::domain::audit::Draft;
use crate::domain::error::{Code, Error};
use crate::domain::portal::Portal;
use crate::domain::precondition::{Precondition, entity_tag};
use crate::domain::slug::Slug;
use crate::domain::text::Metadata;
use crate::store::{self, Conn, StoreError};

/// What a caller says a portal is.
#[derive(Clone, Debug)]
pub struct PortalInput {
    /// For people.
    pub title: String,
    /// The caller's own keys and values.
    pub metadata: Metadata,
}

/// What a caller changes about a portal; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct PortalChange {
    /// The new title.
    pub title: Option<String>,
    /// Keys to set, or to remove with `None`.
    pub metadata: Option<MetadataChange>,
}

/// A merge patch of `metadata` (RFC 7396).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MetadataChange {
    /// Remove every key.
    Clear,
    /// Set the keys with a value, remove those without.
    Merge(Vec<(String, Option<String>)>),
}

impl Portal {
    /// Its entity tag.
    pub fn tag(&self) -> String {
        entity_tag(self.created_at, self.version)
    }
}

/// The portal, or the one answer for what does not exist.
pub(super) async fn existing(conn: &mut Conn, id: &Slug) -> Result<Portal, StoreError> {
    Ok(store::portals::find(conn, id)
        .await?
        .ok_or_else(Error::not_found)?)
}

impl App {
    /// Makes a portal or sets the one of that name; tells whether it was made.
    ///
    /// # Errors
    /// `precondition_failed`, `concurrent_change`.
    pub async fn put_portal(
        &self,
        context: &Context,
        id: &Slug,
        input: PortalInput,
        precondition: &Precondition,
    ) -> Result<(Portal, bool), Error> {
        let data_key = self.new_data_key(id)?;
        let outcome = self
            .store
            .write(async |conn| {
                let now = self.clock.now();
                let found = store::portals::find(conn, id).await?;
                precondition.check(found.as_ref().map(Portal::tag).as_deref())?;
                if let Some(before) = found {
                    let after = Portal {
                        title: input.title.clone(),
                        metadata: input.metadata.clone(),
                        ..before.clone()
                    };
                    let after = self.store_change(conn, context, before, after, now).await?;
                    return Ok((after, false));
                }
                let portal = Portal {
                    id: id.clone(),
                    title: input.title.clone(),
                    metadata: input.metadata.clone(),
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                store::portals::insert(conn, &portal).await?;
                store::portal_keys::insert(conn, &data_key).await?;
                self.record(conn, context, id, &draft("portal.created", &portal))
                    .await?;
                Ok((portal, true))
            })
            .await?;
        Ok(outcome)
    }

    /// The portal.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn portal(&self, id: &Slug) -> Result<Portal, Error> {
        Ok(self
            .store
            .read(async |conn| existing(conn, id).await)
            .await?)
    }

    /// Portals, newest first; with `only`, that one at most.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn portals(
        &self,
        only: Option<&Slug>,
        after: Option<(Timestamp, String)>,
        limit: u16,
    ) -> Result<Page<Portal>, Error> {
        let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
        let items = self
            .store
            .read(async |conn| store::portals::list(conn, only, after, i64::from(limit) + 1).await)
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }

    /// Changes a portal.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `concurrent_change`; `validation_failed` when the merged
    /// metadata is over the limits.
    pub async fn patch_portal(
        &self,
        context: &Context,
        id: &Slug,
        change: PortalChange,
        precondition: &Precondition,
    ) -> Result<Portal, Error> {
        let outcome = self
            .store
            .write(async |conn| {
                let before = existing(conn, id).await?;
                precondition.check(Some(&before.tag()))?;
                let after = Portal {
                    title: change.title.clone().unwrap_or_else(|| before.title.clone()),
                    metadata: merged(&before.metadata, change.metadata.as_ref())?,
                    ..before.clone()
                };
                self.store_change(conn, context, before, after, self.clock.now())
                    .await
            })
            .await?;
        Ok(outcome)
    }

    /// Deletes a portal with everything in it; its audit log stays.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `portal_in_use` while it has live subscriptions.
    pub async fn delete_portal(
        &self,
        context: &Context,
        id: &Slug,
        precondition: &Precondition,
    ) -> Result<(), Error> {
        let in_use = async |conn: &mut Conn| {
            let portal = existing(conn, id).await?;
            precondition.check(Some(&portal.tag()))?;
            if store::subscriptions::live_in_portal(conn, id).await? {
                return Err(Error::new(
                    Code::PortalInUse,
                    "The portal still has live subscriptions. End them first.",
                )
                .into());
            }
            Ok(portal)
        };
        // Asked before Stripe is told anything, and again in the transaction that deletes.
        self.store.read(async |conn| in_use(conn).await).await?;
        let left = self.remove_endpoint_at_stripe(id).await;
        self.store
            .write(async |conn| {
                let portal = in_use(conn).await?;
                if !store::portals::delete(conn, id, portal.version).await? {
                    return Err(concurrent().into());
                }
                let mut entry = draft("portal.deleted", &portal);
                entry.details.extend(left.audit_detail());
                self.record(conn, context, id, &entry).await
            })
            .await?;
        self.hooks.forget();
        Ok(())
    }

    /// Stores what differs, as a new version; what does not differ leaves no trace.
    async fn store_change(
        &self,
        conn: &mut Conn,
        context: &Context,
        before: Portal,
        after: Portal,
        now: Timestamp,
    ) -> Result<Portal, StoreError> {
        if before == after {
            return Ok(before);
        }
        let after = Portal {
            version: before.version + 1,
            updated_at: now,
            ..after
        };
        if !store::portals::update(conn, &after, before.version).await? {
            return Err(concurrent().into());
        }
        self.record(conn, context, &after.id, &draft("portal.updated", &after))
            .await?;
        Ok(after)
    }
}

/// Two writers met.
pub(super) fn concurrent() -> Error {
    Error::new(
        Code::ConcurrentChange,
        "Another request changed the same thing in between. Read it again and repeat.",
    )
}

fn draft(action: &'static str, portal: &Portal) -> Draft {
    Draft {
        action,
        subject: format!("/v1/portals/{}", portal.id),
        details: vec![("version", portal.version.to_string())],
    }
}

pub(super) fn merged(
    before: &Metadata,
    change: Option<&MetadataChange>,
) -> Result<Metadata, Error> {
    let mut metadata = before.clone();
    match change {
        None => return Ok(metadata),
        Some(MetadataChange::Clear) => metadata.clear(),
        Some(MetadataChange::Merge(pairs)) => {
            for (key, value) in pairs {
                match value {
                    Some(value) => metadata.insert(key.clone(), value.clone()),
                    None => metadata.remove(key),
                };
            }
        }
    }
    let mut errors = Vec::new();
    let metadata = crate::domain::text::metadata("/metadata", metadata, &mut errors);
    if errors.is_empty() {
        Ok(metadata)
    } else {
        Err(Error::fields(errors))
    }
}
