//! One file per Stripe resource: its state, its JSON, its handlers.

pub(crate) mod customers;
pub(crate) mod prices;
pub(crate) mod products;
pub(crate) mod shared;
