//! Places that work passes which is no operation's (of those `operations` tells); the tests cut it off
//! there.

/// Names a place, for the portal it is passed for. A delivery of Stripe's passes `hook_verified`,
/// `hook_stored` and `hook_applied`, both before the end of their transaction, and `hook_taken` behind
/// it; `hook_failed` when it cannot be applied and is not stored yet. A stored event that is worked on
/// passes `event_claimed`, and `event_read` when its object was read at Stripe. A delivery of ours
/// passes `delivery_sending`, `delivery_sent`, and `delivery_settling` before the end of the transaction
/// that stores what came of it. Credentials pass `credentials_verified`, `credentials_storing` before
/// the end of their transaction and `credentials_stored` behind it.
pub(super) fn passes(place: &'static str, portal: &str) {
    tracing::trace!(target: "portal_billing::place", place, lane = portal);
}
