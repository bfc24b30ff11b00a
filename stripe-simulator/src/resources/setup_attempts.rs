//! Setup attempts and mandates: <https://docs.stripe.com/api/setup_attempts>,
//! <https://docs.stripe.com/api/mandates>. They are made by setup intents and by debits.

use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::setup_attempt::{Mandate, SetupAttempt};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "setup_attempt",
    prefixes: &["setatt_"],
    routes: &[Route::get("/v1/setup_attempts", "setup_intent", list_all)],
    find: |account, id| {
        account
            .payments
            .setup_attempts
            .get(id)
            .map(SetupAttempt::render)
    },
    all: |account| {
        account
            .payments
            .setup_attempts
            .oldest_first()
            .map(SetupAttempt::render)
            .collect()
    },
    includes: &[],
};

pub(crate) static MANDATES: Resource = Resource {
    object: "mandate",
    prefixes: &["mandate_"],
    routes: &[Route::get(
        "/v1/mandates/{mandate}",
        "mandate",
        retrieve_mandate,
    )],
    find: |account, id| account.payments.mandates.get(id).map(Mandate::render),
    all: |account| {
        account
            .payments
            .mandates
            .oldest_first()
            .map(Mandate::render)
            .collect()
    },
    includes: &[],
};

fn retrieve_mandate(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("mandate");
    match ctx.account.payments.mandates.get(id) {
        Some(mandate) => Ok(mandate.render().into()),
        None => Err(StripeError::no_such("mandate", id, "mandate")),
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = params.required("setup_intent")?;
    if !ctx.account.payments.setup_intents.contains(intent) {
        return Err(StripeError::no_such_in(
            "setupintent",
            intent,
            "setup_intent",
        ));
    }
    let store = &ctx.account.payments.setup_attempts;
    let key = Some(("setup_intent", intent));
    let page = list::list(
        ctx,
        params,
        store,
        "setup_attempt",
        key,
        |_| true,
        SetupAttempt::render,
    )?;
    Ok(page.into())
}
