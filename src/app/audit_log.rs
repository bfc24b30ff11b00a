//! Reading the audit log.

use super::{App, Page};
use crate::domain::audit::Entry;
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::store;

impl App {
    /// A portal's audit log, newest first, each entry with its hash. The log outlives its portal;
    /// of a deleted one it is read with `including_deleted`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn audit_log(
        &self,
        portal: &Slug,
        including_deleted: bool,
        before: Option<i64>,
        limit: u16,
    ) -> Result<Page<(Entry, String)>, Error> {
        let items = self
            .store
            .read(async |conn| {
                let there = store::portals::find(conn, portal).await?.is_some()
                    || (including_deleted
                        && store::audit::head(conn, portal.as_str()).await?.is_some());
                if !there {
                    return Err(Error::not_found().into());
                }
                store::audit::list(conn, portal.as_str(), before, i64::from(limit) + 1).await
            })
            .await?;
        Ok(Page::cut(items, usize::from(limit)))
    }
}
