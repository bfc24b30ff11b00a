//! Tells whoever waits for an intent that it has moved.

use super::payment_intent::Owner;
use crate::account::Account;
use crate::billing::payer;

impl Account {
    /// After a step of a payment that its owner did not take itself: a confirmation by the
    /// customer, the bank's answer, a debit that settled.
    pub(crate) fn tell_owner(&mut self, intent: &str) {
        let owner = self
            .payments
            .payment_intents
            .get(intent)
            .map(|intent| intent.owner.clone());
        match owner {
            None | Some(Owner::Nobody) => {}
            Some(Owner::Invoice(invoice)) => {
                let collected = self.collected(intent);
                payer::moved(self, &invoice, &collected);
                self.checkout_invoice_moved(&invoice, &collected.outcome);
            }
            Some(Owner::Checkout(session)) => {
                self.checkout_moved(&session);
            }
        }
    }

    /// The same for a setup.
    pub(crate) fn tell_setup_owner(&mut self, intent: &str) {
        let session = self
            .payments
            .setup_intents
            .get(intent)
            .and_then(|intent| intent.checkout.clone());
        if let Some(session) = session {
            self.checkout_moved(&session);
        }
        crate::billing::payer::setup_moved(self, intent);
    }
}
