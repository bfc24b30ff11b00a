//! Playing the bank, and how payments settle.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::pages::with_intent;
use crate::payments::settle::{BankAnswer, NothingToAuthenticate};
use crate::world::lock;

pub(super) static ROUTES: &[AdminRoute] = &[
    AdminRoute {
        method: "POST",
        path: "/bank/{intent}/approve",
        does: "the customer completes the 3-D Secure of a payment intent or a setup intent",
        handler: |call| answer(call, BankAnswer::Approve),
    },
    AdminRoute {
        method: "POST",
        path: "/bank/{intent}/deny",
        does: "the customer fails the 3-D Secure of a payment intent or a setup intent",
        handler: |call| answer(call, BankAnswer::Deny),
    },
    AdminRoute {
        method: "GET",
        path: "/payments",
        does: "shows how payments settle",
        handler: show,
    },
    AdminRoute {
        method: "POST",
        path: "/payments",
        does: "sets {debit_settlement_seconds}: how long a bank debit is processing",
        handler: change,
    },
];

fn answer(call: &AdminCall<'_>, answer: BankAnswer) -> AdminReply {
    let id = call.arg("intent");
    let outcome = with_intent(call.world, id, |account| {
        account
            .answer_authentication(id, answer)
            .map(|()| account.render(id))
    });
    match outcome {
        None | Some(Err(NothingToAuthenticate::Unknown)) => {
            Err(AdminError::not_found(format!("No intent {id}.")))
        }
        Some(Err(NothingToAuthenticate::NotWaiting)) => Err(AdminError::conflict(
            "This intent does not wait for authentication.",
        )),
        Some(Ok(intent)) => Ok(intent.unwrap_or_default()),
    }
}

fn show(call: &AdminCall<'_>) -> AdminReply {
    let account = call.account();
    let seconds = lock(&account).payments.settings.debit_settlement_seconds;
    Ok(settings(seconds))
}

fn change(call: &AdminCall<'_>) -> AdminReply {
    let seconds = call
        .params()
        .integer("debit_settlement_seconds")
        .filter(|seconds| *seconds >= 0);
    let seconds = seconds.ok_or_else(|| {
        AdminError::invalid("`debit_settlement_seconds` is a number of seconds from 0 up.")
    })?;
    let account = call.account();
    lock(&account).payments.settings.debit_settlement_seconds = seconds;
    Ok(settings(seconds))
}

fn settings(debit_settlement_seconds: i64) -> Value {
    json!({ "debit_settlement_seconds": debit_settlement_seconds })
}
