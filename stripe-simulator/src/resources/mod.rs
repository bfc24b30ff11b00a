//! One file per Stripe resource: its state, its JSON, its handlers.

pub(crate) mod billing_details;
pub(crate) mod charges;
pub(crate) mod coupons;
pub(crate) mod customer_balance_transactions;
pub(crate) mod customers;
pub(crate) mod disputes;
pub(crate) mod events;
pub(crate) mod intents;
pub(crate) mod invoice_items;
pub(crate) mod invoice_payments;
pub(crate) mod invoices;
pub(crate) mod payment_intents;
pub(crate) mod payment_methods;
pub(crate) mod plans;
pub(crate) mod prices;
pub(crate) mod products;
pub(crate) mod promotion_codes;
pub(crate) mod refunds;
pub(crate) mod setup_intents;
pub(crate) mod shared;
pub(crate) mod subscription_items;
pub(crate) mod subscriptions;
pub(crate) mod tax_ids;
pub(crate) mod tax_rates;
pub(crate) mod test_clocks;
