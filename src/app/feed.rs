//! The event feed for those who poll.

use super::portals::existing;
use super::{App, Context};
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::store::feed;

pub use crate::store::feed::{Event, Filter};

/// A page of the feed.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Whether there are more by now.
    pub has_more: bool,
    /// The place up to which the feed has been read: where the next page begins, also if there is
    /// nothing more yet.
    pub position: i64,
}

impl App {
    /// Up to `limit` events of the portal behind the place `after`, oldest first; for a caller bound
    /// to an organization those that concern it.
    ///
    /// # Errors
    /// `not_found` for the portal.
    pub async fn events(
        &self,
        context: &Context,
        portal: &Slug,
        filter: Filter,
        after: i64,
        limit: u16,
    ) -> Result<FeedPage, Error> {
        let filter = Filter {
            organization: context.organization.clone().or(filter.organization),
            ..filter
        };
        let page = self
            .store
            .read(async |conn| {
                existing(conn, portal).await?;
                // Read first: what comes after it belongs to the next page.
                let head = feed::head(conn, portal).await?.max(after);
                let limit = usize::from(limit);
                let wanted = i64::try_from(limit).unwrap_or(i64::MAX) + 1;
                let mut events = feed::list(conn, portal, &filter, (after, head), wanted).await?;
                let has_more = events.len() > limit;
                events.truncate(limit);
                let last = events.last().filter(|_| has_more);
                Ok(FeedPage {
                    position: last.map_or(head, |event| event.position),
                    events,
                    has_more,
                })
            })
            .await?;
        Ok(page)
    }
}
