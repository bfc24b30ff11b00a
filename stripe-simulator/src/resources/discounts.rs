//! Discounts: <https://docs.stripe.com/api/discounts>. They have no calls of their own, but are
//! found by id and expanded.

use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "discount",
    prefixes: &["di_"],
    routes: &[],
    find: |account, id| Some(account.billing.discounts.get(id)?.render()),
    all: |account| {
        let all = account.billing.discounts.oldest_first();
        all.map(crate::billing::discounts::Discount::render)
            .collect()
    },
    includes: &[],
};
