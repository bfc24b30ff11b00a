//! Seals and opens a portal's secrets under its data key.

use secrecy::SecretString;

use super::App;
use crate::domain::credentials::Sealed;
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::secret::{Aad, DataKey, SecretError};
use crate::store::portal_keys::WrappedKey;
use crate::store::{self, Conn, StoreError};

/// Where a secret lives: the row and the field it is sealed for.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The row's id.
    pub(super) row: &'a str,
    /// The table and column.
    pub(super) field: &'static str,
    /// The row's version.
    pub(super) version: i64,
}

impl Place<'_> {
    fn aad<'a>(&'a self, portal: &'a Slug) -> Aad<'a> {
        Aad {
            portal: portal.as_str(),
            row: self.row,
            field: self.field,
            version: self.version,
        }
    }
}

/// A portal's data key at hand.
pub(super) struct Vault {
    key: DataKey,
    version: i64,
}

impl Vault {
    pub(super) fn seal(
        &self,
        portal: &Slug,
        place: &Place<'_>,
        secret: &str,
    ) -> Result<Sealed, Error> {
        let blob = self
            .key
            .seal(secret.as_bytes(), &place.aad(portal))
            .map_err(internal)?;
        Ok(Sealed {
            data_key_version: self.version,
            blob,
        })
    }

    pub(super) fn open(
        &self,
        portal: &Slug,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<SecretString, Error> {
        self.key
            .open_text(&sealed.blob, &place.aad(portal))
            .map_err(internal)
    }

    pub(super) fn fingerprint(&self, secret: &str) -> Result<String, Error> {
        self.key.fingerprint(secret.as_bytes()).map_err(internal)
    }
}

/// A secret that does not open is a fault of the installation, never of the caller.
fn internal(error: SecretError) -> Error {
    Error::internal(format!("secret: {error}"))
}

impl App {
    /// A new data key for a portal, wrapped.
    pub(super) fn new_data_key(&self, portal: &Slug) -> Result<WrappedKey, Error> {
        let key = DataKey::generate().map_err(internal)?;
        Ok(WrappedKey {
            portal_id: portal.to_string(),
            version: 1,
            master_key_id: self.keys.current_id().to_string(),
            wrapped: self.keys.wrap(&key, portal.as_str()).map_err(internal)?,
            created_at: self.clock.now().as_millis(),
            rewrapped_at: None,
        })
    }

    /// The portal's data key of that version, or its newest.
    pub(super) async fn vault(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        version: Option<i64>,
    ) -> Result<Vault, StoreError> {
        let wrapped = store::portal_keys::find(conn, portal, version)
            .await?
            .ok_or_else(|| Error::internal(format!("no data key for portal {portal}")))?;
        Ok(self.vault_of(portal, &wrapped)?)
    }

    /// The portal's data key, unwrapped.
    pub(super) fn vault_of(&self, portal: &Slug, wrapped: &WrappedKey) -> Result<Vault, Error> {
        let key = self
            .keys
            .unwrap(&wrapped.wrapped, portal.as_str())
            .map_err(internal)?;
        Ok(Vault {
            key,
            version: wrapped.version,
        })
    }
}
