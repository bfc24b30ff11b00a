//! Refunds: <https://docs.stripe.com/api/refunds>.

use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::refund::{Refund, RefundRequest, RefundStatus};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "refund",
    prefixes: &["re_", "pyr_"],
    routes: &[
        Route::post("/v1/refunds", "charge", create),
        Route::get("/v1/refunds", "charge", list_all),
        Route::get("/v1/refunds/{refund}", "charge", retrieve),
        Route::post("/v1/refunds/{refund}", "charge", update),
        Route::post("/v1/refunds/{refund}/cancel", "charge", cancel),
    ],
    find: |account, id| account.payments.refunds.get(id).map(Refund::render),
    all: |account| {
        account
            .payments
            .refunds
            .oldest_first()
            .map(Refund::render)
            .collect()
    },
    includes: &[],
};

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let charge = match (params.text("charge"), params.text("payment_intent")) {
        (Some(_), Some(_)) => {
            return Err(StripeError::invalid(
                "You may only specify one of these parameters: charge, payment_intent.",
            ));
        }
        (Some(charge), None) => {
            if !ctx.account.payments.charges.contains(charge) {
                return Err(StripeError::no_such("charge", charge, "charge").status(404));
            }
            charge.to_owned()
        }
        (None, Some(intent)) => charge_of(ctx, intent)?,
        (None, None) => {
            return Err(StripeError::invalid(
                "One of the following params should be provided for this request: payment_intent \
                 or charge.",
            ));
        }
    };
    let customer = ctx.account.payments.charges.get(&charge);
    if let Some(customer) = customer.and_then(|charge| charge.customer.clone()) {
        ctx.account.act_for(&customer);
    }
    let request = RefundRequest {
        amount: params.integer("amount"),
        reason: params.owned("reason"),
        metadata: params.metadata(),
    };
    let id = ctx.account.refund(&charge, request)?;
    find(ctx, &id).map(|refund| refund.render().into())
}

fn charge_of(ctx: &Ctx<'_>, intent: &str) -> Result<String, StripeError> {
    let Some(found) = ctx.account.payments.payment_intents.get(intent) else {
        return Err(StripeError::no_such("payment_intent", intent, "payment_intent").status(404));
    };
    let charge = found
        .latest_charge
        .as_deref()
        .and_then(|id| ctx.account.payments.charges.get(id));
    match charge {
        Some(charge) if charge.failure_code.is_none() => Ok(charge.id.clone()),
        _ => Err(StripeError::invalid(format!(
            "This PaymentIntent ({intent}) does not have a successful charge to refund."
        ))
        .param("payment_intent")),
    }
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a Refund, StripeError> {
    ctx.account
        .payments
        .refunds
        .get(id)
        .ok_or_else(|| StripeError::no_such("refund", id, "refund"))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    find(ctx, ctx.arg("refund")).map(|refund| refund.render().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = find(ctx, ctx.arg("refund"))?.id.clone();
    let body = ctx
        .account
        .change_refund(&id, |refund| params.merge_metadata(&mut refund.metadata));
    Ok(body.into())
}

fn cancel(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let refund = find(ctx, ctx.arg("refund"))?;
    if refund.status != RefundStatus::Pending {
        return Err(StripeError::invalid(format!(
            "You cannot cancel a refund with status {}.",
            refund.status.as_str()
        )));
    }
    let (id, charge, amount) = (refund.id.clone(), refund.charge.clone(), refund.amount);
    let body = ctx
        .account
        .change_refund(&id, |refund| refund.status = RefundStatus::Canceled);
    let (before, after) = ctx.account.change_charge(&charge, |charge| {
        charge.amount_refunded = charge.amount_refunded.saturating_sub(amount);
    });
    ctx.account.emit_updated("charge.updated", &before, &after);
    Ok(body.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let key = match (params.text("charge"), params.text("payment_intent")) {
        (Some(charge), _) => Some(("charge", charge)),
        (None, Some(intent)) => Some(("payment_intent", intent)),
        (None, None) => None,
    };
    let store = &ctx.account.payments.refunds;
    let page = list::list(ctx, params, store, "refund", key, |_| true, Refund::render)?;
    Ok(page.into())
}
