//! The billing engine: pure arithmetic of periods, prices, proration, discounts and taxes.
//!
//! Nothing here knows of HTTP, of objects' JSON or of the clock; all amounts are integers in a
//! currency's minor unit, or [`decimal::Decimal`] where Stripe allows finer unit prices.

pub(crate) mod currency;
pub(crate) mod decimal;
pub(crate) mod discount;
pub(crate) mod period;
pub(crate) mod pricing;
pub(crate) mod proration;
pub(crate) mod tax;
