//! How far what is known of an object of Stripe's is: another mark later means that something was taken over in
//! between.

use super::event::Incoming;
use crate::app::App;
use crate::clock::Timestamp;
use crate::store::{self, Conn, StoreError, stripe_objects};

/// The version of our row and Stripe's time of what was last taken over; `None`: it is not known here.
pub(super) type Mark = Option<(i64, Option<Timestamp>)>;

impl App {
    /// The mark of what an event is about, or names, by Stripe's id of that.
    ///
    /// # Errors
    /// What the database answers.
    pub(super) async fn mark_of(
        &self,
        event: &Incoming,
        stripe_id: &str,
    ) -> Result<Mark, StoreError> {
        self.store
            .read(async |conn| mark(conn, event, stripe_id).await)
            .await
    }
}

/// As [`App::mark_of`], within a unit of work.
///
/// # Errors
/// What the database answers.
pub(super) async fn mark(
    conn: &mut Conn,
    event: &Incoming,
    stripe_id: &str,
) -> Result<Mark, StoreError> {
    let Some(place) = &event.place else {
        return Ok(None);
    };
    let found = stripe_objects::find(conn, &place.account, place.mode, stripe_id).await?;
    let Some(found) = found else {
        return Ok(None);
    };
    let id = found.local_id.as_str();
    Ok(match found.kind.as_str() {
        stripe_objects::CUSTOMER => {
            let it = store::customers::find(conn, id).await?;
            it.map(|it| (it.version, it.stripe_at))
        }
        stripe_objects::PAYMENT_METHOD => {
            let it = store::payment_methods::find(conn, id).await?;
            it.map(|it| (it.version, it.stripe_at))
        }
        stripe_objects::SUBSCRIPTION => {
            let it = store::subscriptions::find(conn, id).await?;
            it.map(|it| (it.version, it.stripe_at))
        }
        stripe_objects::INVOICE => {
            let it = store::invoices::shown(conn, id).await?;
            it.map(|it| (it.invoice.version, Some(it.invoice.stripe_at)))
        }
        _ => None,
    })
}
