//! Facts for the outside, written in the transaction of the change they tell of.

use super::App;
use super::answer::Outcome;
use crate::domain::slug::Slug;
use crate::ids::Kind;
use crate::store::events::{self, NewEvent};
use crate::store::{Conn, StoreError};

/// A fact about one thing.
pub(super) struct Fact<'a> {
    /// Such as `subscription.updated`.
    pub(super) event_type: &'static str,
    /// Our id of the thing.
    pub(super) subject: &'a str,
    /// The thing's version after the change. Each version is published exactly once, so that the
    /// sequence of a subject has no gap: whoever raises a version publishes it.
    pub(super) version: i64,
    /// The external id of the organization it concerns, if one.
    pub(super) organization: Option<&'a str>,
    /// The thing as it is now, shown as the API shows it.
    pub(super) shown: &'a Outcome,
}

impl App {
    /// Publishes a fact.
    pub(super) async fn publish(
        &self,
        conn: &mut Conn,
        portal: &Slug,
        fact: &Fact<'_>,
    ) -> Result<(), StoreError> {
        let data = self.render.outcome(fact.shown).body;
        let id = self.ids.new_id(Kind::Event);
        let event = NewEvent {
            id: id.as_str(),
            event_type: fact.event_type,
            subject: fact.subject,
            seq: fact.version,
            organization: fact.organization,
            data: if data.is_empty() { "null" } else { &data },
        };
        events::append(conn, portal, &event, self.clock.now()).await?;
        Ok(())
    }
}
