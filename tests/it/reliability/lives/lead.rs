//! What some lives are led to, because chance alone seldom comes there: a debt and each way out of it, and
//! a trial that was had before.

use serde_json::json;

use super::actor::{Life, PAYS, Way};
use super::reference::Plan;

impl Life<'_> {
    /// Whether this life is led in this phase, which it was then.
    pub(super) async fn is_led(&mut self) -> bool {
        let begins = self.own.subscriptions.is_empty() && self.own.cards.is_empty();
        match (self.number % 4, self.own.open_invoice()) {
            (0, None) if begins => self.run_up_a_debt().await,
            (1, None) if begins => self.try_twice().await,
            (0, Some(_)) => match self.number / 4 % 4 {
                0 => self.settle(Some(Way::Void)).await,
                1 => self.settle(Some(Way::Pay)).await,
                2 => self.at_dashboard(None, Some(PAYS)).await,
                // Nobody does anything: grace ends, and whatever Stripe makes of it.
                _ => {}
            },
            _ => return false,
        }
        true
    }

    /// A card that works, a subscription, and then a card that does not.
    async fn run_up_a_debt(&mut self) {
        self.save_card(true, true).await;
        if !self.is_over() {
            self.subscribe_to(Plan::Gold, true).await;
        }
        if !self.is_over() {
            self.save_card(false, true).await;
        }
    }

    async fn try_twice(&mut self) {
        self.save_card(true, true).await;
        if !self.is_over() {
            self.subscribe_to(Plan::Taste, true).await;
        }
        if !self.is_over()
            && let Some(it) = self.own.live()
        {
            self.tell(it, "cancel", json!({"at": "now"})).await;
        }
        if !self.is_over() {
            self.subscribe_to(Plan::Taste, true).await;
        }
    }

    const fn is_over(&self) -> bool {
        self.rests || self.wrong.is_some()
    }
}
