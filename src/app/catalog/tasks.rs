//! What is still to be done at Stripe so that it agrees with a product: a pure comparison of the
//! product as stored, with what is known of Stripe, and nothing else. An operation does the first
//! task, stores what came of it and compares again, until nothing is left; so it can be cut off
//! anywhere, and what an earlier one left undone is done by the next.

use serde::{Deserialize, Serialize};

use super::requests::lookup_key;
use crate::domain::catalog::{OpenPrice, PriceAtStripe, Product, ProductAtStripe, StoredPlan};
use crate::domain::slug::Slug;
use crate::domain::stripe_key::Mode;
use crate::domain::stripe_link::StripeLink;

/// One thing to be done at Stripe. It is stored in the operation that does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Task {
    /// Make the Product of a plan.
    CreateProduct {
        /// The plan.
        plan: String,
        /// What customers read on invoices.
        name: String,
    },
    /// Read a Product that exists under the id we chose, to know it for ours.
    AdoptProduct {
        /// The plan.
        plan: String,
    },
    /// Name a Product anew, or take it out of use or into use again.
    UpdateProduct {
        /// The plan.
        plan: String,
        /// `prod_…`, or as we chose it.
        id: String,
        /// What customers read on invoices.
        name: String,
        /// Whether it is to be in use.
        active: bool,
    },
    /// Make the Price of a revision.
    CreatePrice {
        /// The plan.
        plan: String,
        /// Its revision.
        revision: i64,
        /// The Product it is a price of.
        product: String,
        /// Its lookup key.
        key: String,
    },
    /// Read the Price that has a revision's lookup key, to know it for ours.
    AdoptPrice {
        /// The plan.
        plan: String,
        /// Its revision.
        revision: i64,
        /// The Product it is a price of.
        product: String,
        /// Its lookup key.
        key: String,
    },
    /// Take a Price out of use or into use again.
    UpdatePrice {
        /// The plan.
        plan: String,
        /// Its revision.
        revision: i64,
        /// `price_…`.
        id: String,
        /// Whether it is to be in use.
        active: bool,
    },
}

impl Task {
    /// The name of the step that does it.
    pub(super) const fn step(&self) -> &'static str {
        match self {
            Self::CreateProduct { .. } => "create_product",
            Self::AdoptProduct { .. } => "adopt_product",
            Self::UpdateProduct { .. } => "update_product",
            Self::CreatePrice { .. } => "create_price",
            Self::AdoptPrice { .. } => "adopt_price",
            Self::UpdatePrice { .. } => "update_price",
        }
    }

    /// The Stripe id of what it takes out of use. Only that may be left undone: nobody can have
    /// what the catalog does not offer, whatever stands at Stripe.
    pub(super) fn archives(&self) -> Option<&str> {
        match self {
            Self::UpdateProduct {
                id, active: false, ..
            }
            | Self::UpdatePrice {
                id, active: false, ..
            } => Some(id),
            _ => None,
        }
    }
}

/// Where a product is to be published: an account and a mode. `None`: nowhere now, because the portal
/// has no usable credentials; then what was published anywhere counts as being there.
pub(super) type Place<'a> = Option<(&'a str, Mode)>;

fn is_in(place: Place<'_>, link: &StripeLink) -> bool {
    place.is_none_or(|(account, mode)| link.id_in(account, mode).is_some())
}

/// The name of the Product that stands for a plan: Stripe's hosted pages and its invoices show it.
pub(super) fn name_at_stripe(product: &Product, plan: &StoredPlan) -> String {
    format!("{}: {}", product.title, plan.known.plan.title)
}

/// Everything that is to be done for a product, what is needed first before what can be left undone.
/// `open` are its Prices in this place that were not taken out of use. `going`: it is being deleted.
/// Later tasks may need what earlier ones make.
pub(super) fn tasks(
    portal: &Slug,
    product: &Product,
    open: &[OpenPrice],
    place: Place<'_>,
    going: bool,
) -> Vec<Task> {
    let wanted = |plan: &StoredPlan| {
        !going
            && product.state.keeps_subscribers()
            && !plan.known.withdrawn
            && plan.known.plan.pricing.is_paid()
    };
    let publishing = product
        .plans
        .iter()
        .filter(|plan| wanted(plan))
        .filter_map(|plan| publish(portal, product, plan, place));
    let archiving = product
        .plans
        .iter()
        .flat_map(|plan| archive(plan, open, place, wanted(plan)));
    publishing.chain(archiving).collect()
}

/// The next thing to be done so that a plan can be had.
fn publish(portal: &Slug, product: &Product, plan: &StoredPlan, place: Place<'_>) -> Option<Task> {
    let name = name_at_stripe(product, plan);
    let id = || plan.known.plan.id.to_string();
    let there: Option<&ProductAtStripe> = plan.product.as_ref().filter(|it| is_in(place, &it.link));
    let Some(there) = there else {
        return Some(Task::CreateProduct { plan: id(), name });
    };
    if there.archived || there.name != name {
        return Some(Task::UpdateProduct {
            plan: id(),
            id: there.link.id.clone(),
            name,
            active: true,
        });
    }
    let price: Option<&PriceAtStripe> = plan.price.as_ref().filter(|it| is_in(place, &it.link));
    let revision = plan.known.plan.revision;
    match price {
        None => Some(Task::CreatePrice {
            plan: id(),
            revision,
            product: there.link.id.clone(),
            key: lookup_key(portal, product, plan.known.plan.id.as_str(), revision),
        }),
        Some(price) => price.archived.then(|| Task::UpdatePrice {
            plan: id(),
            revision,
            id: price.link.id.clone(),
            active: true,
        }),
    }
}

/// What of a plan is to be taken out of use: the Prices of revisions that can no longer be had, and
/// the Product when none can.
fn archive(plan: &StoredPlan, open: &[OpenPrice], place: Place<'_>, wanted: bool) -> Vec<Task> {
    if place.is_none() {
        return Vec::new();
    }
    let known = &plan.known.plan;
    let prices = open
        .iter()
        .filter(|price| price.plan == known.id)
        .filter(|price| !wanted || price.revision != known.revision)
        .map(|price| Task::UpdatePrice {
            plan: price.plan.to_string(),
            revision: price.revision,
            id: price.price.clone(),
            active: false,
        });
    let product = plan
        .product
        .as_ref()
        .filter(|it| !wanted && !it.archived && is_in(place, &it.link))
        .map(|it| Task::UpdateProduct {
            plan: known.id.to_string(),
            id: it.link.id.clone(),
            name: it.name.clone(),
            active: false,
        });
    prices.chain(product).collect()
}
