//! Payments: test cards and bank accounts, and what becomes of money.

pub mod bank;
pub(crate) mod card_table;
pub mod cards;
pub mod decline;
