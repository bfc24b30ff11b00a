//! Billing credit balances: <https://docs.stripe.com/api/billing/credit-balance-summary>.

use serde_json::{Value, json};

use super::customers;
use crate::account::Account;
use crate::billing::usage::{CreditGrant, CreditMovement, CreditTransaction};
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing.credit_balance_transaction",
    prefixes: &["cbtxn_"],
    routes: &[
        Route::get(
            "/v1/billing/credit_balance_summary",
            "billing_credit_balance",
            summary,
        ),
        Route::get(
            "/v1/billing/credit_balance_transactions",
            "billing_credit_balance",
            list_all,
        ),
        Route::get(
            "/v1/billing/credit_balance_transactions/{id}",
            "billing_credit_balance",
            retrieve,
        ),
    ],
    find: |account, id| {
        let own = account.billing.credit_transactions.get(id)?;
        Some(render(own, account))
    },
    all: |account| {
        let all = account.billing.credit_transactions.oldest_first();
        all.map(|own| render(own, account)).collect()
    },
    includes: &[],
};

fn money(value: i64, currency: Currency) -> Value {
    json!({ "monetary": { "currency": currency, "value": value }, "type": "monetary" })
}

fn render(own: &CreditTransaction, account: &Account) -> Value {
    let amount = money(own.amount, own.currency);
    let (credit, debit) = match &own.movement {
        CreditMovement::Granted => (
            json!({
                "amount": amount,
                "credits_application_invoice_voided": null,
                "type": "credits_granted",
            }),
            Value::Null,
        ),
        CreditMovement::Applied { invoice, line } => (
            Value::Null,
            json!({
                "amount": amount,
                "credits_applied": { "invoice": invoice, "invoice_line_item": line },
                "type": "credits_applied",
            }),
        ),
        CreditMovement::GivenBack { invoice, line } => (
            json!({
                "amount": amount,
                "credits_application_invoice_voided": {
                    "invoice": invoice,
                    "invoice_line_item": line,
                },
                "type": "credits_application_invoice_voided",
            }),
            Value::Null,
        ),
    };
    json!({
        "id": own.id,
        "object": "billing.credit_balance_transaction",
        "created": own.created,
        "credit": credit,
        "credit_grant": own.grant,
        "debit": debit,
        "effective_at": own.created,
        "livemode": account.livemode,
        "test_clock": own.test_clock,
        "type": if debit.is_null() { "credit" } else { "debit" },
    })
}

fn summary(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?;
    customers::named(ctx.account, customer, "customer")?;
    ctx.account.act_for(customer);
    let now = ctx.now();
    let only = params
        .child("filter")
        .and_then(|own| own.text("credit_grant"));
    let grants = ctx
        .account
        .billing
        .credit_grants
        .by_key("customer", customer);
    let mut sums: Vec<(Currency, i64, i64)> = Vec::new();
    for grant in grants.filter(|own| only.is_none_or(|only| own.id == only)) {
        let usable = if grant.is_usable(now) {
            grant.remaining
        } else {
            0
        };
        let kept = if grant.voided_at.is_some() {
            0
        } else {
            grant.remaining
        };
        match sums
            .iter_mut()
            .find(|(currency, _, _)| *currency == grant.currency)
        {
            Some((_, available, ledger)) => {
                *available += usable;
                *ledger += kept;
            }
            None => sums.push((grant.currency, usable, kept)),
        }
    }
    let balances: Vec<Value> = sums
        .into_iter()
        .map(|(currency, available, ledger)| {
            json!({
                "available_balance": money(available, currency),
                "ledger_balance": money(ledger, currency),
            })
        })
        .collect();
    Ok(json!({
        "object": "billing.credit_balance_summary",
        "balances": balances,
        "customer": customer,
        "customer_account": null,
        "livemode": ctx.account.livemode,
    })
    .into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    let own = ctx.account.billing.credit_transactions.get(id);
    let own = own.ok_or_else(|| StripeError::no_such("credit balance transaction", id, "id"))?;
    Ok(render(own, ctx.account).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?;
    let grant = params.text("credit_grant");
    let keep = |own: &CreditTransaction| grant.is_none_or(|grant| own.grant == grant);
    let render = |own: &CreditTransaction| render(own, ctx.account);
    let store = &ctx.account.billing.credit_transactions;
    let key = Some(("customer", customer));
    let page = list::list(
        ctx,
        params,
        store,
        "credit balance transaction",
        key,
        keep,
        render,
    )?;
    Ok(page.into())
}

/// Records that a grant was made.
pub(crate) fn granted(account: &mut Account, grant: &CreditGrant) {
    let id = account.ids.long("cbtxn_");
    let made = CreditTransaction::of(
        grant,
        id,
        grant.value,
        CreditMovement::Granted,
        account.now(),
    );
    account.billing.credit_transactions.insert(made);
}
