//! Invoices.

mod object;

pub use object::*;
