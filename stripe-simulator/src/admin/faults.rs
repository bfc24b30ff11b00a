//! The fault plan: add rules, roll dice, look, clear.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::faults::{Chance, Fault, FaultKind, FaultPlan, Rule};
use crate::params::Params;
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "GET",
        path: "/faults",
        does: "shows the rules, how often each happened, and the kinds there are",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/faults",
        does: "adds {kind, method?, path?, contains?, nth?, every?, times? (0: without end), delay_ms?, retry_after?, status?, should_retry?, count?}",
        handler: add,
    },
    AdminRoute {
        method: "POST",
        path: "/faults/random",
        does: "faults by chance {seed, permille, kinds[], delay_ms?}; permille 0 ends them",
        handler: random,
    },
    AdminRoute {
        method: "DELETE",
        path: "/faults",
        does: "ends all faults",
        handler: clear,
    },
];

fn natural(params: Params<'_>, name: &str) -> Option<u64> {
    params
        .integer(name)
        .and_then(|value| u64::try_from(value).ok())
}

fn kind(text: &str) -> Result<FaultKind, AdminError> {
    FaultKind::parse(text).ok_or_else(|| {
        let names: Vec<&str> = FaultKind::names().collect();
        AdminError::invalid(format!("`kind` is one of {}.", names.join(", ")))
    })
}

fn show(call: &AdminCall<'_>) -> AdminReply {
    let plan = lock(&call.world.faults);
    let rules: Vec<Value> = plan.rules.iter().map(Rule::render).collect();
    let chance = plan.chance.as_ref().map(|chance| {
        let kinds: Vec<&str> = chance.kinds.iter().map(|kind| kind.name()).collect();
        json!({ "seed": chance.seed, "permille": chance.permille, "kinds": kinds })
    });
    let kinds: Vec<&str> = FaultKind::names().collect();
    Ok(json!({ "rules": rules, "random": chance, "kinds": kinds }))
}

fn add(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let default = Fault::new(kind(params.text("kind").unwrap_or_default())?);
    let narrow = |name| {
        params
            .integer(name)
            .and_then(|value| u16::try_from(value).ok())
    };
    let count = natural(params, "count").and_then(|count| usize::try_from(count).ok());
    let fault = Fault {
        delay_ms: natural(params, "delay_ms").unwrap_or(default.delay_ms),
        retry_after: natural(params, "retry_after").or(default.retry_after),
        status: narrow("status").filter(|status| (400..600).contains(status)),
        should_retry: params.boolean("should_retry"),
        count: count.unwrap_or(default.count),
        ..default
    };
    let rule = Rule {
        id: 0,
        fault,
        method: params.owned("method"),
        path: params.owned("path"),
        contains: params.owned("contains"),
        nth: natural(params, "nth").unwrap_or(1).max(1),
        every: natural(params, "every").unwrap_or(1),
        times: match natural(params, "times") {
            Some(0) => None,
            times => Some(times.unwrap_or(1)),
        },
        seen: 0,
        hits: 0,
    };
    Ok(lock(&call.world.faults).add(rule))
}

fn random(call: &AdminCall<'_>) -> AdminReply {
    let params = call.params();
    let permille = natural(params, "permille").unwrap_or(0);
    let kinds: Vec<FaultKind> = params
        .texts("kinds")
        .into_iter()
        .map(kind)
        .collect::<Result<_, _>>()?;
    if permille > 0 && kinds.is_empty() {
        return Err(AdminError::invalid("`kinds` is missing."));
    }
    let seed = natural(params, "seed").unwrap_or(1);
    let delay_ms = natural(params, "delay_ms").unwrap_or(100);
    lock(&call.world.faults).chance =
        (permille > 0).then(|| Chance::new(seed, permille, kinds, delay_ms));
    show(call)
}

fn clear(call: &AdminCall<'_>) -> AdminReply {
    *lock(&call.world.faults) = FaultPlan::default();
    show(call)
}
