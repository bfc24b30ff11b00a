//! Invoice payments: <https://docs.stripe.com/api/invoice-payment>.

use crate::billing::invoice_model::InvoicePayment;
use crate::billing::render;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "invoice_payment",
    prefixes: &["inpay_"],
    routes: &[
        Route::get("/v1/invoice_payments", "invoice", list_all),
        Route::get(
            "/v1/invoice_payments/{invoice_payment}",
            "invoice",
            retrieve,
        ),
    ],
    find: |account, id| {
        account
            .billing
            .invoice_payments
            .get(id)
            .map(render::invoice_payment)
    },
    all: |account| {
        account
            .billing
            .invoice_payments
            .oldest_first()
            .map(render::invoice_payment)
            .collect()
    },
    includes: &[],
};

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("invoice_payment");
    let own = ctx.account.billing.invoice_payments.get(id);
    let own = own.ok_or_else(|| StripeError::no_such("invoice_payment", id, "invoice_payment"))?;
    Ok(render::invoice_payment(own).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (invoice, status) = (params.text("invoice"), params.text("status"));
    let intent = params
        .child("payment")
        .and_then(|own| own.text("payment_intent"));
    let key = match (invoice, intent) {
        (Some(id), _) => Some(("invoice", id)),
        (None, Some(id)) => Some(("payment_intent", id)),
        (None, None) => None,
    };
    let keep = |own: &InvoicePayment| {
        status.is_none_or(|status| own.status == status)
            && intent.is_none_or(|intent| own.payment_intent.as_deref() == Some(intent))
    };
    let store = &ctx.account.billing.invoice_payments;
    let page = list::list(
        ctx,
        params,
        store,
        "invoice_payment",
        key,
        keep,
        render::invoice_payment,
    )?;
    Ok(page.into())
}
