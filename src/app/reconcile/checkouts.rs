//! Checkout pages on which subscriptions were to be paid, and which are over without a word about it. What
//! was paid on one stands in the list of subscriptions.

use super::round::Round;
use super::subscriptions::drift;
use crate::app::App;
use crate::domain::reconciliation::{Drift, DriftKind, Reconciliation};
use crate::store::{self, Conn, StoreError};
use crate::stripe::CheckoutSession;
use crate::stripe::sessions::CheckoutStatus;

/// How long a page is open at most
/// (<https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at>).
const OPEN_MS: i64 = 24 * 60 * 60 * 1000;

/// The next subscription of ours whose page has to be over: ours and Stripe's id of the page.
pub(super) async fn next(
    conn: &mut Conn,
    it: &Reconciliation,
) -> Result<Option<(String, String)>, StoreError> {
    let before = it.created_at.plus_millis(-OPEN_MS);
    let mut after = it.place.clone();
    loop {
        let batch = store::subscriptions::waiting(conn, &it.portal, before, &after).await?;
        let Some(last) = batch.last() else {
            return Ok(None);
        };
        last.id.clone_into(&mut after);
        let mut pages = batch
            .iter()
            .filter_map(|it| Some((it.id.clone(), it.checkout()?.to_owned())));
        if let Some(next) = pages.next() {
            return Ok(Some(next));
        }
    }
}

impl App {
    /// What Stripe said of the page of a subscription of ours; `None`: that there is none.
    pub(super) async fn checkout_asked_for(
        &self,
        conn: &mut Conn,
        round: &mut Round,
        local: &str,
        said: Option<&CheckoutSession>,
    ) -> Result<(), StoreError> {
        if said.is_some_and(|said| said.status != Some(CheckoutStatus::Expired)) {
            return Ok(());
        }
        let Some(before) = store::subscriptions::find(conn, local).await? else {
            return Ok(());
        };
        let Some(page) = before.checkout() else {
            return Ok(());
        };
        let found = Drift {
            fields: vec!["status".to_owned()],
            repaired: round.it.repair,
            ..drift(Some(local), page, DriftKind::Differs)
        };
        if round.it.repair {
            self.checkout_over(conn, &round.context, &before).await?;
        }
        round.found(conn, &found).await
    }
}
