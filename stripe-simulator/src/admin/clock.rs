//! The account's clock: look at it, move it.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::account::Account;
use crate::clock::ClockMode;
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/clock",
        does: "shows the account's time and what is due next",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/clock",
        does: "moves the clock {advance_seconds} or {advance_to}; {mode: running|frozen} changes how it passes",
        handler: advance,
    },
];

fn show(call: &AdminCall<'_>) -> AdminReply {
    Ok(render(&lock(&call.account())))
}

fn render(account: &Account) -> Value {
    let agenda = account.clocks.agenda(None);
    let due: Vec<Value> = agenda
        .into_iter()
        .flat_map(|agenda| agenda.entries().take(100))
        .map(|(at, job)| json!({ "at": at, "job": job.name, "id": job.id }))
        .collect();
    let mode = if account.clocks.is_frozen() {
        "frozen"
    } else {
        "running"
    };
    json!({ "now": account.clocks.account_now(), "mode": mode, "due": due })
}

fn advance(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    let now = account.clocks.account_now();
    match params.text("mode") {
        None => {}
        Some("frozen") => account.clocks.set_mode(ClockMode::Frozen { at: now }),
        Some("running") => {
            let offset = now.saturating_sub(crate::clock::wall_seconds());
            account.clocks.set_mode(ClockMode::Running { offset });
        }
        Some(_) => return Err(AdminError::invalid("`mode` is running or frozen.")),
    }
    let to = match (
        params.integer("advance_to"),
        params.integer("advance_seconds"),
    ) {
        (Some(to), None) => to,
        (None, Some(seconds)) => now.saturating_add(seconds),
        (None, None) => now,
        (Some(_), Some(_)) => {
            return Err(AdminError::invalid(
                "Only one of advance_to, advance_seconds.",
            ));
        }
    };
    if to < now {
        return Err(AdminError::invalid(format!(
            "Time does not go back: it is {now}."
        )));
    }
    account.advance(None, to);
    Ok(render(&account))
}
