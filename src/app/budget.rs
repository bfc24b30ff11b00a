//! How often Stripe may be called: a budget per account and mode, shared fairly by the portals.

use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::stripe::FrozenRequest;

/// Calls per second that one account may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In live mode.
    pub live: u32,
    /// In test mode.
    pub test: u32,
    /// To one endpoint, in either mode.
    pub endpoint: u32,
}

impl Default for Limits {
    /// Stripe's own limits (<https://docs.stripe.com/rate-limits>).
    fn default() -> Self {
        Self {
            live: 100,
            test: 25,
            endpoint: 25,
        }
    }
}

/// The budgets of all accounts.
pub struct Budget {
    limits: Limits,
}

impl Budget {
    /// Budgets within these limits.
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits until a call may be made.
    #[expect(
        clippy::unused_async,
        reason = "waits once there is something to wait for"
    )]
    pub async fn turn(&self, portal: &Slug, account: &str, mode: Mode, request: &FrozenRequest) {
        let _ = (portal, account, mode, request);
    }
}
