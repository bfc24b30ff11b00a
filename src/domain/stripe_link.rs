//! Where at Stripe a thing of ours lives.

use super::stripe_key::Mode;

/// An object at Stripe: its id means something in its account and mode only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeLink {
    /// `acct_…`.
    pub account: String,
    /// The mode it lives in.
    pub mode: Mode,
    /// Stripe's id of it.
    pub id: String,
}

impl StripeLink {
    /// Stripe's id, if the object lives in this account and mode.
    pub fn id_in(&self, account: &str, mode: Mode) -> Option<&str> {
        (self.account == account && self.mode == mode).then_some(self.id.as_str())
    }
}
