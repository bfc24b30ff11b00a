//! Keys: register, list, revoke.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::world::KeyKind;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/keys",
        does: "lists the accepted keys",
        handler: list,
    },
    AdminRoute {
        method: "POST",
        path: "/keys",
        does: "accepts {key, account?, permissions?}; permissions are rak_… names for rk_ keys",
        handler: register,
    },
    AdminRoute {
        method: "POST",
        path: "/keys/revoke",
        does: "revokes {key}: 401 from now on",
        handler: revoke,
    },
];

fn register(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let key = params
        .text("key")
        .ok_or_else(|| AdminError::invalid("`key` is missing."))?;
    let permissions: BTreeSet<String> = params
        .texts("permissions")
        .into_iter()
        .map(str::to_owned)
        .collect();
    if !call.world.register(key, call.account_id(), permissions) {
        return Err(AdminError::invalid(
            "A key is sk_, rk_ or pk_, then test_ or live_, then something.",
        ));
    }
    Ok(json!({ "key": key, "account": call.account_id() }))
}

fn revoke(call: &AdminCall<'_>) -> AdminReply {
    let key = call.params().text("key").unwrap_or_default();
    if call.world.revoke(key) {
        Ok(json!({ "key": key, "revoked": true }))
    } else {
        Err(AdminError::not_found("No such key."))
    }
}

fn list(call: &AdminCall<'_>) -> AdminReply {
    let keys: Vec<Value> = call
        .world
        .keys()
        .into_iter()
        .map(|(text, key)| {
            let permissions = match &key.kind {
                KeyKind::Restricted(granted) => Some(granted.clone()),
                KeyKind::Secret | KeyKind::Publishable => None,
            };
            json!({
                "key": text,
                "account": key.account_id,
                "livemode": key.livemode,
                "revoked": key.revoked,
                "permissions": permissions,
            })
        })
        .collect();
    Ok(json!({ "data": keys }))
}
