//! State: dump it, reset it, set the account up.

use serde_json::{Map, Value, json};

use super::{AdminCall, AdminReply, AdminRoute};
use crate::account::Account;
use crate::registry::RESOURCES;
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/state",
        does: "dumps every object of the account, by type",
        handler: dump,
    },
    AdminRoute {
        method: "POST",
        path: "/reset",
        does: "empties every account; keys and settings of the start stay",
        handler: reset,
    },
];

fn dump(call: &AdminCall<'_>) -> AdminReply {
    let account = call.account();
    let account = lock(&account);
    Ok(render(&account))
}

fn render(account: &Account) -> Value {
    let mut objects = Map::new();
    for resource in RESOURCES {
        objects.insert(
            resource.object.to_owned(),
            Value::Array((resource.all)(account)),
        );
    }
    json!({
        "account": account.id,
        "livemode": account.livemode,
        "now": account.clocks.account_now(),
        "objects": objects,
    })
}

fn reset(call: &AdminCall<'_>) -> AdminReply {
    call.world.reset();
    Ok(json!({ "reset": true }))
}
