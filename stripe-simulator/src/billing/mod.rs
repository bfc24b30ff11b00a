//! Subscriptions and invoices in time: what is billed when, collected how, and what follows.
//!
//! `engine` holds the arithmetic; here it meets the account's objects and clock. Handlers in
//! `resources` parse parameters and call into this module; due work calls the same functions.

pub(crate) mod cancel;
pub(crate) mod catalog;
pub(crate) mod change;
pub(crate) mod collect;
pub(crate) mod create;
pub(crate) mod credit_notes;
pub(crate) mod discounts;
pub(crate) mod dunning;
pub(crate) mod invoice_model;
pub(crate) mod invoicing;
pub(crate) mod lifecycle;
pub(crate) mod lines;
pub(crate) mod model;
pub(crate) mod payer;
pub(crate) mod preview;
pub(crate) mod prorate;
pub(crate) mod render;
pub(crate) mod schedule;
pub(crate) mod totals;
pub(crate) mod usage;

use serde_json::Value;

use crate::account::Account;
use crate::store::Store;

/// Everything the billing engine keeps for an account.
#[derive(Debug, Default)]
pub(crate) struct Billing {
    pub(crate) subscriptions: Store<model::Subscription>,
    pub(crate) invoices: Store<invoice_model::Invoice>,
    pub(crate) invoice_items: Store<invoice_model::InvoiceItem>,
    pub(crate) invoice_payments: Store<invoice_model::InvoicePayment>,
    pub(crate) discounts: Store<discounts::Discount>,
    pub(crate) meters: Store<usage::Meter>,
    pub(crate) usage: usage::Usage,
    pub(crate) settings: dunning::BillingSettings,
    pub(crate) credit_grants: Store<usage::CreditGrant>,
    pub(crate) credit_transactions: Store<usage::CreditTransaction>,
    pub(crate) credit_notes: Store<credit_notes::CreditNote>,
    pub(crate) schedules: Store<schedule::Schedule>,
}

impl Account {
    /// Changes a subscription and records `customer.subscription.updated` with what it was before.
    pub(crate) fn update_subscription(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut model::Subscription),
    ) {
        let Some(before) = self.render_subscription(id) else {
            return;
        };
        if let Some(mut subscription) = self.billing.subscriptions.get_mut(id) {
            change(&mut subscription);
        }
        if let Some(after) = self.render_subscription(id) {
            self.emit_updated("customer.subscription.updated", &before, &after);
        }
    }

    /// Changes a subscription and records an event of this kind about it.
    pub(crate) fn change_subscription(
        &mut self,
        id: &str,
        kind: &str,
        change: impl FnOnce(&mut model::Subscription),
    ) {
        if let Some(mut subscription) = self.billing.subscriptions.get_mut(id) {
            change(&mut subscription);
        }
        if let Some(after) = self.render_subscription(id) {
            self.emit(kind, &after);
        }
    }

    /// Changes an invoice without an event; the caller records the fitting one.
    pub(crate) fn change_invoice(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut invoice_model::Invoice),
    ) {
        if let Some(mut invoice) = self.billing.invoices.get_mut(id) {
            change(&mut invoice);
        }
    }

    /// Records an event about an invoice as it is now.
    pub(crate) fn emit_invoice(&mut self, id: &str, kind: &str) {
        if let Some(object) = self.render_invoice(id) {
            self.emit(kind, &object);
        }
    }

    /// The subscription's JSON.
    pub(crate) fn render_subscription(&self, id: &str) -> Option<Value> {
        let subscription = self.billing.subscriptions.get(id)?;
        Some(render::subscription(subscription, self))
    }

    /// The invoice's JSON.
    pub(crate) fn render_invoice(&self, id: &str) -> Option<Value> {
        let invoice = self.billing.invoices.get(id)?;
        Some(render::invoice(invoice, self))
    }
}
