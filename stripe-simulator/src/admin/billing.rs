//! What Stripe's dashboard sets about billing: retries, and what follows the last of them.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::billing::dunning::{BillingSettings, EndState};
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/billing",
        does: "shows the retries of failed payments and what follows the last",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/billing",
        does: "sets {retry_days: [3, 5, 7], end_state: canceled|unpaid|past_due, mark_uncollectible, upcoming_days, draft_seconds, overdue_days}",
        handler: change,
    },
];

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of admin routes asks for a result"
)]
fn show(call: &AdminCall<'_>) -> AdminReply {
    let account = call.account();
    let settings = lock(&account).billing.settings.clone();
    Ok(render(&settings))
}

fn render(settings: &BillingSettings) -> Value {
    json!({
        "retry_days": settings.retry_days,
        "end_state": settings.end_state.as_str(),
        "mark_uncollectible": settings.mark_uncollectible,
        "upcoming_days": settings.upcoming_days,
        "draft_seconds": settings.draft_seconds,
        "overdue_days": settings.overdue_days,
    })
}

fn change(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    let mut settings = account.billing.settings.clone();
    if let Some(days) = params.raw("retry_days") {
        let read = |day: &Value| day.as_i64().filter(|day| (0..=365).contains(day));
        let days: Option<Vec<i64>> = days
            .as_array()
            .and_then(|days| days.iter().map(read).collect());
        settings.retry_days = days.filter(|days| days.len() <= 8).ok_or_else(|| {
            AdminError::invalid("`retry_days` is a list of at most 8 numbers of days.")
        })?;
    }
    if let Some(word) = params.text("end_state") {
        settings.end_state = EndState::parse(word).ok_or_else(|| {
            AdminError::invalid("`end_state` is `canceled`, `unpaid` or `past_due`.")
        })?;
    }
    if let Some(flag) = params.boolean("mark_uncollectible") {
        settings.mark_uncollectible = flag;
    }
    for (name, place) in [
        ("upcoming_days", &mut settings.upcoming_days),
        ("draft_seconds", &mut settings.draft_seconds),
        ("overdue_days", &mut settings.overdue_days),
    ] {
        if let Some(value) = params.integer(name) {
            if value < 0 {
                return Err(AdminError::invalid(format!("`{name}` is not below 0.")));
            }
            *place = value;
        }
    }
    account.billing.settings = settings.clone();
    Ok(render(&settings))
}
