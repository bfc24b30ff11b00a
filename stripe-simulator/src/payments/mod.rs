//! Payments: test cards and bank accounts, intents, charges, refunds and disputes.

pub(crate) mod attempt;
pub mod bank;
pub(crate) mod card_table;
pub mod card_traits;
pub mod cards;
pub(crate) mod charge;
pub(crate) mod collect;
pub mod decline;
pub(crate) mod dispute;
pub(crate) mod instrument;
pub(crate) mod intent_error;
pub(crate) mod ledger;
pub(crate) mod limits;
pub(crate) mod methods;
pub(crate) mod notify;
pub(crate) mod payment_intent;
pub(crate) mod payment_method;
pub(crate) mod reading;
pub(crate) mod refund;
pub(crate) mod settle;
pub(crate) mod setup;
pub(crate) mod setup_attempt;
pub(crate) mod setup_intent;

use crate::store::Store;

/// Everything about money that an account holds.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    pub(crate) settings: PaymentSettings,
    pub(crate) payment_methods: Store<payment_method::PaymentMethod>,
    pub(crate) payment_intents: Store<payment_intent::PaymentIntent>,
    pub(crate) setup_intents: Store<setup_intent::SetupIntent>,
    pub(crate) setup_attempts: Store<setup_attempt::SetupAttempt>,
    pub(crate) mandates: Store<setup_attempt::Mandate>,
    pub(crate) charges: Store<charge::Charge>,
    pub(crate) refunds: Store<refund::Refund>,
    pub(crate) disputes: Store<dispute::Dispute>,
    /// Balance transactions.
    pub(crate) ledger: Store<ledger::Entry>,
}

/// What admin routes can set about payments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaymentSettings {
    /// How long a bank debit is `processing`, in seconds of the acting clock.
    pub(crate) debit_settlement_seconds: i64,
}

impl Default for PaymentSettings {
    fn default() -> Self {
        // Stripe's test mode settles about 15 to 20 seconds after the confirmation.
        Self {
            debit_settlement_seconds: 15,
        }
    }
}
