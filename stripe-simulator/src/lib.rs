//! Stripe, offline.
