//! Billing credit grants: <https://docs.stripe.com/api/billing/credit-grant>.

use serde_json::{Value, json};

use super::{customers, prices};
use crate::account::Account;
use crate::billing::usage::CreditGrant;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::{Params, Patch};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "billing.credit_grant",
    prefixes: &["credgr_"],
    routes: &[
        Route::post("/v1/billing/credit_grants", "billing_credit_grant", create),
        Route::get(
            "/v1/billing/credit_grants",
            "billing_credit_grant",
            list_all,
        ),
        Route::get(
            "/v1/billing/credit_grants/{id}",
            "billing_credit_grant",
            retrieve,
        ),
        Route::post(
            "/v1/billing/credit_grants/{id}",
            "billing_credit_grant",
            update,
        ),
        Route::post(
            "/v1/billing/credit_grants/{id}/expire",
            "billing_credit_grant",
            expire,
        ),
        Route::post(
            "/v1/billing/credit_grants/{id}/void",
            "billing_credit_grant",
            void,
        ),
    ],
    find: |account, id| {
        account
            .billing
            .credit_grants
            .get(id)
            .map(|own| render(own, account))
    },
    all: |account| {
        let all = account.billing.credit_grants.oldest_first();
        all.map(|own| render(own, account)).collect()
    },
    includes: &[],
};

fn render(own: &CreditGrant, account: &Account) -> Value {
    let prices: Vec<Value> = own.prices.iter().map(|id| json!({ "id": id })).collect();
    let scope = if prices.is_empty() {
        json!({ "price_type": "metered" })
    } else {
        json!({ "prices": prices })
    };
    json!({
        "id": own.id,
        "object": "billing.credit_grant",
        "amount": {
            "monetary": { "currency": own.currency, "value": own.value },
            "type": "monetary",
        },
        "applicability_config": { "scope": scope },
        "category": own.category,
        "created": own.created,
        "customer": own.customer,
        "customer_account": null,
        "effective_at": own.effective_at,
        "expires_at": own.expires_at,
        "livemode": account.livemode,
        "metadata": own.metadata,
        "name": own.name,
        "priority": own.priority,
        "test_clock": own.test_clock,
        "updated": own.updated,
        "voided_at": own.voided_at,
    })
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account.render(id).unwrap_or_default().into()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?.to_owned();
    let test_clock = customers::named(ctx.account, &customer, "customer")?
        .test_clock
        .clone();
    ctx.account.act_for(&customer);
    let account = &mut *ctx.account;
    let money = params.child("amount").and_then(|own| own.child("monetary"));
    let money = money.ok_or_else(|| StripeError::missing_param("amount[monetary]"))?;
    let currency = Currency::parse(money.required("currency")?, "amount[monetary][currency]")?;
    let value = money.integer("value").unwrap_or(0);
    if value <= 0 {
        return Err(
            StripeError::invalid("This value must be greater than or equal to 1.")
                .code("parameter_invalid_integer")
                .param("amount[monetary][value]"),
        );
    }
    let scope = params
        .child("applicability_config")
        .and_then(|own| own.child("scope"));
    let mut limited = Vec::new();
    for entry in scope.map(|own| own.children("prices")).unwrap_or_default() {
        let id = entry.required("id")?;
        limited.push(
            prices::named(account, id, "applicability_config[scope][prices]")?
                .id
                .clone(),
        );
    }
    let now = account.now();
    let grant = CreditGrant {
        id: account.ids.long("credgr_"),
        created: now,
        updated: now,
        customer,
        currency,
        value,
        remaining: value,
        category: params.text("category").unwrap_or("paid").to_owned(),
        effective_at: params.integer("effective_at").unwrap_or(now),
        expires_at: params.integer("expires_at"),
        priority: params.integer("priority").unwrap_or(50),
        name: params.owned("name"),
        metadata: params.metadata(),
        prices: limited,
        voided_at: None,
        test_clock,
    };
    let id = grant.id.clone();
    super::credit_balances::granted(account, &grant);
    account.billing.credit_grants.insert(grant);
    let body = account.render(&id).unwrap_or_default();
    account.emit("billing.credit_grant.created", &body);
    Ok(body.into())
}

fn of_path(ctx: &mut Ctx<'_>) -> Result<CreditGrant, StripeError> {
    let id = ctx.arg("id").to_owned();
    let own = ctx.account.billing.credit_grants.get(&id).cloned();
    let own = own.ok_or_else(|| StripeError::no_such("credit grant", &id, "id"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx)?;
    Ok(answer(ctx, &own.id))
}

fn change(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut CreditGrant, i64)) -> Reply {
    let own = of_path(ctx)?;
    let now = ctx.now();
    let before = render(&own, ctx.account);
    if let Some(mut grant) = ctx.account.billing.credit_grants.get_mut(&own.id) {
        change(&mut grant, now);
        grant.updated = now;
    }
    let after = ctx.account.render(&own.id).unwrap_or_default();
    ctx.account
        .emit_updated("billing.credit_grant.updated", &before, &after);
    Ok(after.into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    change(ctx, |own, _| {
        params.merge_metadata(&mut own.metadata);
        match params.patch("expires_at") {
            Patch::Clear if params.integer("expires_at").is_none() => own.expires_at = None,
            _ => own.expires_at = params.integer("expires_at").or(own.expires_at),
        }
    })
}

fn expire(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    change(ctx, |own, now| own.expires_at = Some(now))
}

fn void(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    if of_path(ctx)?.voided_at.is_some() {
        return Err(StripeError::invalid("This credit grant is already voided."));
    }
    change(ctx, |own, now| own.voided_at = Some(now))
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let key = params
        .text("customer")
        .map(|customer| ("customer", customer));
    let render = |own: &CreditGrant| render(own, ctx.account);
    let store = &ctx.account.billing.credit_grants;
    let page = list::list(ctx, params, store, "credit grant", key, |_| true, render)?;
    Ok(page.into())
}
