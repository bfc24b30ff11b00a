//! Access: whether a subscription may use the API now. What the decision is made from is read from the
//! database, or was and has not changed since (`book`); the decision itself is made anew each time.

mod book;
mod keys;
mod tokens;

pub use keys::{KeySet, PublicKey};
pub use tokens::AccessToken;

pub(super) use book::Book;

use std::sync::Arc;

use super::{App, Context};
use crate::clock::Timestamp;
use crate::domain::access::{Access, decide};
use crate::domain::customer::CustomerRef;
use crate::domain::error::Error;
use crate::domain::slug::Slug;
use crate::store::access::{self, Grounds};
use crate::store::{Conn, StoreError};
use book::Told;

/// What is told about access, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// Seconds for which an answer may be kept.
    pub max_age_seconds: u32,
    /// Seconds for which a token is valid.
    pub token_seconds: u32,
    /// Days for which a key signs.
    pub signing_key_days: u32,
    /// Milliseconds for which a change made by another replica may go unseen.
    pub stale_ms: u32,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            max_age_seconds: 30,
            token_seconds: 240,
            signing_key_days: 30,
            stale_ms: 500,
        }
    }
}

/// Whose access is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccessTo {
    /// That of a subscription, `subn_…`.
    Subscription(String),
    /// A customer's to a product.
    Product {
        /// Whose.
        customer: CustomerRef,
        /// To which product.
        product: Slug,
        /// For which application; `None`: the subscription that is for none in particular.
        application: Option<String>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessAnswer {
    /// The decision.
    pub access: Access,
    /// The subscription it comes from, `subn_…`, if there is one.
    pub subscription: Option<String>,
    /// The plan of it.
    pub plan: Option<String>,
    /// Whole seconds for which it may be kept: never beyond the moment at which the clock alone
    /// changes it.
    pub max_age_seconds: i64,
}

/// Whole seconds from `now` for which `access` holds whatever the clock does, `most` at the most.
fn holds_for(access: &Access, now: Timestamp, most: u32) -> i64 {
    let most = i64::from(most);
    access.until.map_or(most, |until| {
        (until.millis_since(now) / 1000).clamp(0, most)
    })
}

impl App {
    /// Whether it may use the API now.
    ///
    /// # Errors
    /// `not_found` for a customer or a subscription that is none of the caller's.
    pub async fn access(
        &self,
        context: &Context,
        portal: &Slug,
        asked: &AccessTo,
    ) -> Result<AccessAnswer, Error> {
        let grounds = self.grounds(portal, asked).await?;
        let grounds = grounds
            .filter(|grounds| is_visible(grounds, context))
            .ok_or_else(Error::not_found)?;
        let now = self.clock.now();
        let access = decision(&grounds, now);
        let held = grounds.subscription.as_ref();
        Ok(AccessAnswer {
            max_age_seconds: holds_for(&access, now, self.access_settings.max_age_seconds),
            access,
            plan: held.map(|held| held.plan.clone()),
            subscription: held.map(|held| held.id.clone()),
        })
    }

    /// The grounds as they are, or were a moment ago at another replica.
    async fn grounds(
        &self,
        portal: &Slug,
        asked: &AccessTo,
    ) -> Result<Option<Arc<Grounds>>, StoreError> {
        let ask = || self.book.ask(portal, asked, self.store.commits());
        if matches!(ask(), Told::Stale) {
            self.book.look(&self.store).await?;
        }
        let mark = match ask() {
            Told::Grounds(grounds) => return Ok(Some(grounds)),
            Told::Nothing(mark) => mark,
            // Something was committed while it was looked.
            Told::Stale => None,
        };
        let read = self
            .store
            .read(async |conn| grounds(conn, portal, asked).await)
            .await?;
        if let Some(grounds) = &read {
            self.book.keep(portal, asked, grounds, mark);
        }
        Ok(read.map(Arc::new))
    }
}

fn decision(grounds: &Grounds, now: Timestamp) -> Access {
    let held = grounds.subscription.as_ref();
    held.map_or(Access::NONE, |held| decide(&held.facts, grounds.rules, now))
}

/// Whether the caller may know of it.
fn is_visible(grounds: &Grounds, context: &Context) -> bool {
    let organization = context.organization.as_ref();
    organization.is_none_or(|organization| *organization == grounds.external_id)
}

/// What a decision is made from. One query.
async fn grounds(
    conn: &mut Conn,
    portal: &Slug,
    asked: &AccessTo,
) -> Result<Option<Grounds>, StoreError> {
    match asked {
        AccessTo::Subscription(id) => access::of_subscription(conn, portal, id).await,
        AccessTo::Product {
            customer,
            product,
            application,
        } => {
            let application = application.as_deref();
            access::of_customer(conn, portal, customer, product, application).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_never_kept_beyond_its_moment() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let access = |until: Option<i64>| Access {
            until: until.map(|millis| now.plus_millis(millis)),
            ..Access::NONE
        };
        for (until, expected) in [
            (None, 30),
            (Some(86_400_000), 30),
            (Some(30_000), 30),
            (Some(29_999), 29),
            (Some(1_000), 1),
            (Some(999), 0),
            (Some(0), 0),
        ] {
            assert_eq!(holds_for(&access(until), now, 30), expected, "{until:?}");
        }
        assert_eq!(holds_for(&access(None), now, 0), 0);
    }
}
