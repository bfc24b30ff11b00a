//! Playing the bank, and how payments settle.

use serde_json::{Value, json};

use super::{AdminCall, AdminError, AdminReply, AdminRoute};
use crate::checkout::complete::Step;
use crate::checkout::session::Payer;
use crate::pages::checkout::with_session;
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
        method: "POST",
        path: "/checkout/{session}/complete",
        does: "submits a Checkout page with {payment_method, email?, name?}; a 3-D Secure card then waits for /bank/{authenticate}/approve",
        handler: complete,
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

fn complete(call: &AdminCall<'_>) -> AdminReply {
    let id = call.arg("session");
    let params = call.params();
    let named = params.text("payment_method").unwrap_or("pm_card_visa");
    let payer = Payer {
        email: params.owned("email"),
        name: params.owned("name"),
    };
    let outcome = with_session(call.world, id, |account| {
        let step = if named == "none" {
            account.submit_checkout(id, None, payer)
        } else {
            let method = account.resolve_payment_method(named, "payment_method");
            method.and_then(|method| account.submit_checkout(id, Some(&method), payer))
        };
        Some((step, account.render(id)))
    });
    let Some((step, session)) = outcome else {
        return Err(AdminError::not_found(format!("No Checkout session {id}.")));
    };
    match step {
        Ok(Step::Complete) => Ok(json!({ "step": "complete", "session": session })),
        Ok(Step::Authenticate(intent)) => {
            Ok(json!({ "step": "authenticate", "authenticate": intent, "session": session }))
        }
        Ok(Step::Refused(message)) => {
            Ok(json!({ "step": "refused", "message": message, "session": session }))
        }
        Err(error) => Err(AdminError::conflict(error.message())),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the table of admin routes asks for a result"
)]
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
