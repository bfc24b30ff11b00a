//! What a batch of events has to say: audit entries and facts, portal by portal.

use super::event::Incoming;
use super::work::Work;
use crate::app::Context;
use crate::app::answer::Outcome;
use crate::domain::audit::{Actor, Draft};
use crate::domain::slug::Slug;
use crate::ids::{Id, Kind};
use crate::store::audit::Stamp;
use crate::store::events::NewEvent;
use crate::store::{self, Conn, StoreError};

/// A fact as it will be published.
struct OwnedFact {
    event_type: &'static str,
    subject: String,
    seq: i64,
    organization: String,
    data: String,
}

/// A change to be told of.
pub(super) struct Change {
    pub(super) name: &'static str,
    /// Where the API has the thing.
    pub(super) address: String,
    pub(super) details: Vec<(&'static str, String)>,
    /// The thing's id.
    pub(super) subject: String,
    /// Its version now.
    pub(super) version: i64,
    pub(super) organization: String,
}

/// What is to be said in one portal: audit entries, each with the event it comes from, and facts.
#[derive(Default)]
pub(super) struct Told {
    entries: Vec<(String, Draft)>,
    facts: Vec<OwnedFact>,
}

impl Work<'_> {
    /// Notes something in the portal's audit log.
    pub(super) fn note(&mut self, event: &Incoming, draft: Draft) {
        self.told_in(&event.portal)
            .entries
            .push((event.id.clone(), draft));
    }

    /// An audit entry and a fact of a change.
    pub(super) fn tell(&mut self, event: &Incoming, change: Change, shown: &Outcome) {
        let data = self.app.render.outcome(shown).body;
        let mut details = change.details;
        details.push(("version", change.version.to_string()));
        let draft = Draft {
            action: change.name,
            subject: change.address,
            details,
        };
        let told = self.told_in(&event.portal);
        told.entries.push((event.id.clone(), draft));
        told.facts.push(OwnedFact {
            event_type: change.name,
            subject: change.subject,
            seq: change.version,
            organization: change.organization,
            data,
        });
    }

    fn told_in(&mut self, portal: &Slug) -> &mut Told {
        self.told.entry(portal.clone()).or_default()
    }

    /// Writes the audit entries and the facts, portal by portal.
    pub(super) async fn publish_all(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let actor = stripe_actor();
        for (portal, told) in &self.told {
            let entries: Vec<(Stamp<'_>, &Draft)> = told
                .entries
                .iter()
                .map(|(request_id, draft)| {
                    let stamp = Stamp {
                        actor: &actor,
                        request_id,
                        now: self.now,
                        ids: &self.app.ids,
                    };
                    (stamp, draft)
                })
                .collect();
            store::audit::append_all(conn, portal.as_str(), &entries).await?;
            let ids: Vec<Id> = told
                .facts
                .iter()
                .map(|_| self.app.ids.new_id(Kind::Event))
                .collect();
            let facts: Vec<NewEvent<'_>> = told
                .facts
                .iter()
                .zip(&ids)
                .map(|(fact, id)| NewEvent {
                    id: id.as_str(),
                    event_type: fact.event_type,
                    subject: &fact.subject,
                    seq: fact.seq,
                    organization: Some(&fact.organization),
                    data: &fact.data,
                })
                .collect();
            store::events::append_all(conn, portal, &facts, self.now).await?;
        }
        Ok(())
    }
}

/// As whom what Stripe says is written down.
fn stripe_actor() -> Actor {
    Actor {
        subject: "stripe".to_owned(),
        issuer: "stripe".to_owned(),
    }
}

/// For what an event sets going.
pub(super) fn context_of(event: &Incoming) -> Context {
    Context {
        actor: stripe_actor(),
        request_id: event.id.clone(),
        instance: format!(
            "/v1/portals/{}/modules/stripe/events/{}",
            event.portal, event.id
        ),
        organization: None,
    }
}
