//! What several areas' tests stand on.

pub(crate) mod fake_stripe;
