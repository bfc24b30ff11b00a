//! Where a thing of ours lives at Stripe.

use super::stripe_key::Mode;

/// The object at Stripe that a thing of ours is linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeLink {
    /// The account it lives in, `acct_…`.
    pub account: String,
    /// The mode it lives in.
    pub mode: Mode,
    /// Stripe's id of it.
    pub id: String,
}
