//! Webhooks: disturb, hold, release, send again, roll secrets, see what was sent.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::account::Account;
use crate::resources::webhook_endpoints;
use crate::webhooks::Attempt;
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/webhooks",
        does: "shows the plan, what is waiting, and the attempts; {event?, endpoint?} filter them",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/webhooks/plan",
        does: "sets {duplicates, loss_permille, delay_seconds, hold, shuffle, same_second, retry_seconds[], concurrency, signature_clock: wall|account, timeout_ms}",
        handler: plan,
    },
    AdminRoute {
        method: "POST",
        path: "/webhooks/release",
        does: "lets held deliveries go {order: fifo|reverse|shuffle or [event ids]}",
        handler: release,
    },
    AdminRoute {
        method: "POST",
        path: "/webhooks/send",
        does: "sends {event} again, to {endpoint} or to all that want it, {times} times",
        handler: send,
    },
    AdminRoute {
        method: "POST",
        path: "/webhooks/endpoints/{endpoint}/roll_secret",
        does: "makes a new signing secret; the old one goes on signing for {overlap_seconds}",
        handler: roll_secret,
    },
];

fn show(call: &AdminCall<'_>) -> AdminReply {
    let account = call.account();
    let account = lock(&account);
    Ok(render(&account, call))
}

fn render(account: &Account, call: &AdminCall<'_>) -> Value {
    let params = call.params();
    let (event, endpoint) = (params.text("event"), params.text("endpoint"));
    let attempts: Vec<Value> = account
        .outbox
        .attempts
        .iter()
        .filter(|attempt| event.is_none_or(|event| attempt.delivery.event == event))
        .filter(|attempt| endpoint.is_none_or(|id| attempt.delivery.endpoint == id))
        .map(Attempt::render)
        .collect();
    let held: Vec<&str> = account
        .outbox
        .held
        .iter()
        .map(|d| d.event.as_str())
        .collect();
    let plan = &account.outbox.plan;
    json!({
        "idle": account.outbox.is_idle(),
        "counts": account.outbox.counts(),
        "held": held,
        "attempts": attempts,
        "plan": {
            "duplicates": plan.duplicates,
            "loss_permille": plan.loss_permille,
            "delay_seconds": plan.delay_seconds,
            "hold": plan.hold,
            "shuffle": plan.shuffle,
            "same_second": plan.pin_created,
            "retry_seconds": plan.retry_seconds,
            "concurrency": plan.concurrency,
            "signature_clock": if plan.sign_with_wall { "wall" } else { "account" },
            "timeout_ms": plan.timeout_ms,
        },
    })
}

fn plan(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    let now = account.clocks.account_now();
    let natural = |name: &str| {
        params
            .integer(name)
            .and_then(|value| u64::try_from(value).ok())
    };
    let plan = &mut account.outbox.plan;
    plan.duplicates = natural("duplicates").unwrap_or(plan.duplicates).min(100);
    plan.loss_permille = natural("loss_permille").unwrap_or(plan.loss_permille);
    plan.delay_seconds = params
        .integer("delay_seconds")
        .unwrap_or(plan.delay_seconds);
    plan.hold = params.boolean("hold").unwrap_or(plan.hold);
    plan.shuffle = params.boolean("shuffle").unwrap_or(plan.shuffle);
    plan.timeout_ms = natural("timeout_ms").unwrap_or(plan.timeout_ms);
    if let Some(pin) = params.boolean("same_second") {
        plan.pin_created = pin.then_some(now);
    }
    if let Some(count) = natural("concurrency").and_then(|count| usize::try_from(count).ok()) {
        plan.concurrency = count.max(1);
    }
    if let Some(steps) = params.raw("retry_seconds").and_then(Value::as_array) {
        plan.retry_seconds = steps.iter().filter_map(Value::as_i64).collect();
    }
    match params.text("signature_clock") {
        None => {}
        Some("wall") => plan.sign_with_wall = true,
        Some("account") => plan.sign_with_wall = false,
        Some(_) => return Err(AdminError::invalid("`signature_clock` is wall or account.")),
    }
    Ok(render(&account, call))
}

fn release(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    let order = params.texts("order");
    match params.text("order") {
        Some("reverse") => account.outbox.rearrange(false),
        Some("shuffle") => account.outbox.rearrange(true),
        None | Some("fifo") => {}
        Some(_) => {
            return Err(AdminError::invalid(
                "`order` is fifo, reverse, shuffle or a list of event ids.",
            ));
        }
    }
    let count = account.outbox.release(&order);
    Ok(json!({ "released": count }))
}

fn send(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let account = call.account();
    let mut account = lock(&account);
    let event = params.text("event").unwrap_or_default();
    if !account.events.contains(event) {
        return Err(AdminError::not_found("No such event."));
    }
    let mut sent = 0;
    for _ in 0..params.integer("times").unwrap_or(1).clamp(1, 1_000) {
        sent += account.resend(event, params.text("endpoint"));
    }
    Ok(json!({ "sent": sent }))
}

fn roll_secret(call: &AdminCall<'_>) -> AdminReply {
    let overlap = call.params().integer("overlap_seconds").unwrap_or(0);
    let account = call.account();
    let mut account = lock(&account);
    let id = call.arg("endpoint");
    match webhook_endpoints::roll(&mut account, id, overlap) {
        Some(secret) => Ok(json!({ "id": id, "secret": secret })),
        None => Err(AdminError::not_found("No such webhook endpoint.")),
    }
}
