//! The table of resources: what is listed here is served, found by id, and expandable.

use serde_json::Value;

use crate::account::Account;
use crate::front::router::Route;
use crate::resources;

/// What a resource file declares about itself.
pub(crate) struct Resource {
    /// The `object` field of its objects.
    pub(crate) object: &'static str,
    /// Prefixes of its ids, such as `cus_`.
    pub(crate) prefixes: &'static [&'static str],
    pub(crate) routes: &'static [Route],
    /// Finds and renders an object.
    pub(crate) find: fn(&Account, &str) -> Option<Value>,
    /// Every object, oldest first, for the state dump.
    pub(crate) all: fn(&Account) -> Vec<Value>,
    /// Fields that only `expand` puts in: the field's name, and its value for an object's id.
    pub(crate) includes: &'static [(&'static str, Include)],
}

/// Renders a field that is left out unless expanded; the argument is the object's id.
pub(crate) type Include = fn(&Account, &str) -> Value;

pub(crate) static RESOURCES: &[&Resource] = &[
    &resources::charges::RESOURCE,
    &resources::checkout_sessions::RESOURCE,
    &resources::account::RESOURCE,
    &resources::coupons::RESOURCE,
    &resources::customer_balance_transactions::RESOURCE,
    &resources::customer_discounts::RESOURCE,
    &resources::customers::RESOURCE,
    &resources::credit_balances::RESOURCE,
    &resources::subscription_schedules::RESOURCE,
    &resources::meters::RESOURCE,
    &resources::meter_events::RESOURCE,
    &resources::discounts::RESOURCE,
    &resources::credit_notes::RESOURCE,
    &resources::credit_grants::RESOURCE,
    &resources::plans::RESOURCE,
    &resources::disputes::RESOURCE,
    &resources::event_destinations::RESOURCE,
    &resources::events::RESOURCE,
    &resources::invoice_items::RESOURCE,
    &resources::invoice_payments::RESOURCE,
    &resources::invoices::RESOURCE,
    &resources::payment_intents::RESOURCE,
    &resources::payment_links::RESOURCE,
    &resources::payment_methods::RESOURCE,
    &resources::portal_configurations::RESOURCE,
    &resources::portal_sessions::RESOURCE,
    &resources::prices::RESOURCE,
    &resources::products::RESOURCE,
    &resources::promotion_codes::RESOURCE,
    &resources::quotes::RESOURCE,
    &resources::refunds::RESOURCE,
    &resources::setup_attempts::MANDATES,
    &resources::setup_attempts::RESOURCE,
    &resources::setup_intents::RESOURCE,
    &resources::sources::RESOURCE,
    &resources::subscription_items::RESOURCE,
    &resources::subscriptions::RESOURCE,
    &resources::searches::RESOURCE,
    &resources::tax_calculations::RESOURCE,
    &resources::tax_ids::RESOURCE,
    &resources::tax_rates::RESOURCE,
    &resources::test_clocks::RESOURCE,
    &resources::webhook_endpoints::RESOURCE,
];

/// Any object by id.
pub(crate) fn find(account: &Account, id: &str) -> Option<Value> {
    let of_prefix = RESOURCES.iter().filter(|resource| {
        resource
            .prefixes
            .iter()
            .any(|prefix| id.starts_with(prefix))
    });
    // Products, coupons and others may have ids of the caller's choice.
    of_prefix
        .into_iter()
        .find_map(|resource| (resource.find)(account, id))
        .or_else(|| {
            RESOURCES
                .iter()
                .find_map(|resource| (resource.find)(account, id))
        })
}

/// The includable field of an object of this type.
pub(crate) fn include(object: &str, field: &str) -> Option<Include> {
    RESOURCES
        .iter()
        .filter(|resource| resource.object == object)
        .flat_map(|resource| resource.includes)
        .find(|(name, _)| *name == field)
        .map(|(_, include)| *include)
}
