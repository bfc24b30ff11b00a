//! By what an object at Stripe is recognized as ours: the keys of its `metadata`.

use crate::domain::operation::Operation;
use crate::stripe::Metadata;

/// The operation that made it; how an effect is found whose answer was lost.
pub(super) const OPERATION: &str = "operation";
/// The portal it belongs to.
pub(super) const PORTAL: &str = "portal_billing_portal";
/// Our id of the customer.
pub(super) const CUSTOMER: &str = "portal_billing_customer";
/// The id by which the portal knows the customer, so that a lost row can be made anew.
pub(super) const EXTERNAL_ID: &str = "portal_billing_external_id";
/// Our id of the subscription.
pub(super) const SUBSCRIPTION: &str = "portal_billing_subscription";
/// The caller's id of the application that the subscription is for.
pub(super) const APPLICATION: &str = "portal_billing_application";
/// The product's name.
pub(super) const PRODUCT: &str = "portal_billing_product";
/// The plan's name.
pub(super) const PLAN: &str = "portal_billing_plan";
/// The plan's revision.
pub(super) const REVISION: &str = "portal_billing_revision";
/// Our id of the payment method.
pub(super) const PAYMENT_METHOD: &str = "portal_billing_payment_method";

/// The metadata of what an operation makes: the operation, the portal, and our own ids as they apply.
pub(super) fn made_by(operation: &Operation, ids: &[(&str, &str)]) -> Metadata {
    let own = [
        (OPERATION, operation.id.as_str()),
        (PORTAL, operation.portal.as_str()),
    ];
    own.iter()
        .chain(ids)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Whether an object with this metadata was made by the operation.
pub(super) fn is_made_by(operation: &Operation, metadata: &Metadata) -> bool {
    metadata.get(OPERATION) == Some(&operation.id)
}
