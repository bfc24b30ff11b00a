//! Disputes: <https://docs.stripe.com/api/disputes>. They are opened by the test cards that do so.

use serde_json::Map;

use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::dispute::Dispute;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "dispute",
    prefixes: &["du_", "dp_"],
    routes: &[
        Route::get("/v1/disputes", "dispute", list_all),
        Route::get("/v1/disputes/{dispute}", "dispute", retrieve),
        Route::post("/v1/disputes/{dispute}", "dispute", update),
        Route::post("/v1/disputes/{dispute}/close", "dispute", close),
    ],
    find: |account, id| account.payments.disputes.get(id).map(Dispute::render),
    all: |account| {
        account
            .payments
            .disputes
            .oldest_first()
            .map(Dispute::render)
            .collect()
    },
    includes: &[],
};

fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Dispute, StripeError> {
    let id = ctx.arg("dispute");
    ctx.account
        .payments
        .disputes
        .get(id)
        .ok_or_else(|| StripeError::no_such("dispute", id, "dispute"))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    find(ctx).map(|dispute| dispute.render().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let dispute = find(ctx)?;
    let (id, before) = (dispute.id.clone(), dispute.render());
    if let Some(mut dispute) = ctx.account.payments.disputes.get_mut(&id) {
        params.merge_metadata(&mut dispute.metadata);
    }
    let evidence = params
        .child("evidence")
        .map_or_else(Map::new, |evidence| evidence.map().clone());
    // Stripe submits by default.
    let submit = !evidence.is_empty() && params.boolean("submit").unwrap_or(true);
    ctx.account.answer_dispute(&id, evidence, submit);
    let after = find(ctx)?.render();
    ctx.account
        .emit_updated("charge.dispute.updated", &before, &after);
    Ok(after.into())
}

fn close(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = find(ctx)?.id.clone();
    ctx.account.close_dispute(&id, false);
    find(ctx).map(|dispute| dispute.render().into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let key = match (params.text("charge"), params.text("payment_intent")) {
        (Some(charge), _) => Some(("charge", charge)),
        (None, Some(intent)) => Some(("payment_intent", intent)),
        (None, None) => None,
    };
    let store = &ctx.account.payments.disputes;
    let page = list::list(
        ctx,
        params,
        store,
        "dispute",
        key,
        |_| true,
        Dispute::render,
    )?;
    Ok(page.into())
}
