//! The billing engine: pure arithmetic of periods, prices, proration, discounts and taxes.
//!
//! Nothing here knows of HTTP, of objects' JSON or of the clock; all amounts are integers in a
//! currency's minor unit, or [`decimal::Decimal`] where Stripe allows finer unit prices.

pub mod currency;
pub mod decimal;
pub mod discount;
pub mod period;
pub mod pricing;
pub mod proration;
pub mod tax;
