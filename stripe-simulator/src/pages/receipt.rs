//! The receipt of a charge.

use super::account_with;
use super::html::{escape, not_found, page};
use crate::front::HttpResponse;
use crate::world::{World, lock};

pub(super) fn show(world: &World, id: &str) -> HttpResponse {
    let Some(account) = account_with(world, |account| account.payments.charges.contains(id)) else {
        return not_found();
    };
    let account = lock(&account);
    let Some(charge) = account.payments.charges.get(id) else {
        return not_found();
    };
    let refunded = if charge.amount_refunded > 0 {
        format!(
            "<p>Refunded: {}</p>",
            escape(&charge.currency.display(charge.amount_refunded))
        )
    } else {
        String::new()
    };
    let body = format!(
        "<p>{} received {} ({}).</p>{refunded}<p class=\"note\">{}</p>",
        escape(&account.settings.business_name),
        escape(&charge.currency.display(charge.amount)),
        escape(charge.status.as_str()),
        escape(&charge.id),
    );
    page(200, "Receipt", &body)
}
