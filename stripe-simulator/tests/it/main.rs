//! Tests over HTTP against a simulator of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod billing;
mod catalog;
mod changes;
mod checkout;
mod clocks;
mod collection;
mod contract;
mod customer_discounts;
mod customers;
mod discounts_and_tax;
mod faults;
mod fixtures;
mod front;
mod hosted;
mod hostile;
mod idempotency;
mod invoices;
mod keys;
mod laws;
mod payment_laws;
mod payment_methods;
mod payments;
mod plans;
mod portal;
mod quotes;
mod receiver;
mod search;
mod setup_intents;
mod subscriptions;
mod support;
mod usage;
mod violations;
mod webhooks;
