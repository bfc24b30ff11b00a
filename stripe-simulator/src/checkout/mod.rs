//! Checkout: sessions, and what a customer's submission brings about.

pub(crate) mod complete;
pub(crate) mod portal;
pub(crate) mod session;

use crate::resources::payment_links::PaymentLink;
use crate::store::Store;

/// What the hosted pages keep for an account.
#[derive(Debug, Default)]
pub(crate) struct Hosted {
    pub(crate) sessions: Store<session::CheckoutSession>,
    pub(crate) portal_configurations: Store<portal::PortalConfiguration>,
    pub(crate) portal_sessions: Store<portal::PortalSession>,
    pub(crate) payment_links: Store<PaymentLink>,
}
