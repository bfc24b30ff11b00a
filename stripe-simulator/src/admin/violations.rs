//! Where answers differ from Stripe's response shapes.

use serde_json::{Value, json};

use super::{AdminCall, AdminReply, AdminRoute};

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/violations",
        does: "lists where answers differed from Stripe's response shapes, while checking was on",
        handler: list,
    },
    AdminRoute {
        method: "POST",
        path: "/violations",
        does: "switches the check of answers on or off {check}; forgets what was found",
        handler: switch,
    },
];

fn list(call: &AdminCall<'_>) -> AdminReply {
    Ok(render(call))
}

fn switch(call: &AdminCall<'_>) -> AdminReply {
    let check = call.params().boolean("check").unwrap_or(true);
    call.world.check_responses(check);
    Ok(render(call))
}

fn render(call: &AdminCall<'_>) -> Value {
    json!({ "check": call.world.checks_responses(), "data": call.world.violations() })
}
