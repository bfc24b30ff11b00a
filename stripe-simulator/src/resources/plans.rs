//! Plans: <https://docs.stripe.com/api/plans>. A plan is a recurring price by its older name: both
//! are one object, and either call finds it.

use serde_json::{Map, Value, json};

use super::prices::{self, Price};
use super::products;
use super::shared::deleted;
use crate::account::Account;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "plan",
    prefixes: &[],
    routes: &[
        Route::post("/v1/plans", "plan", create),
        Route::get("/v1/plans", "plan", list_all),
        Route::get("/v1/plans/{plan}", "plan", retrieve),
        Route::post("/v1/plans/{plan}", "plan", update),
        Route::delete("/v1/plans/{plan}", "plan", delete),
    ],
    // Found and dumped as prices.
    find: |_, _| None,
    all: |_| Vec::new(),
    includes: &[("tiers", prices::tiers)],
};

impl Price {
    /// The price as a plan; `None` for a one-time price.
    pub(crate) fn render_plan(&self, account: &Account) -> Option<Value> {
        let recurring = self.recurring.as_ref()?;
        let mut plan = json!({
            "id": self.id,
            "object": "plan",
            "active": self.active,
            "billing_scheme": if self.is_tiered() { "tiered" } else { "per_unit" },
            "created": self.created,
            "currency": self.currency,
            "interval": recurring.interval.name(),
            "interval_count": recurring.interval_count,
            "livemode": account.livemode,
            "metadata": self.metadata,
            "meter": recurring.meter,
            "nickname": self.nickname,
            "product": self.product,
            "tiers_mode": self.tiers_mode.map(prices::TiersMode::name),
            "transform_usage": self.transform_quantity.map(|transform| json!({
                "divide_by": transform.divide_by,
                "round": if transform.round_up { "up" } else { "down" },
            })),
            "trial_period_days": recurring.trial_period_days,
            "usage_type": if recurring.metered { "metered" } else { "licensed" },
        });
        if let Value::Object(map) = &mut plan {
            prices::put_amount(map, "amount", self.amount.unit);
        }
        Some(plan)
    }
}

fn found<'a>(account: &'a Account, id: &str) -> Result<&'a Price, StripeError> {
    account
        .prices
        .get(id)
        .filter(|price| price.recurring.is_some())
        .ok_or_else(|| StripeError::no_such("plan", id, "plan"))
}

/// A plan's parameters in the words of a price.
fn as_price(params: Params<'_>) -> Map<String, Value> {
    let mut price = Map::new();
    let mut recurring = Map::new();
    for (name, value) in params.map() {
        let (target, name) = match name.as_str() {
            "amount" => (&mut price, "unit_amount"),
            "amount_decimal" => (&mut price, "unit_amount_decimal"),
            "transform_usage" => (&mut price, "transform_quantity"),
            "interval" | "interval_count" | "meter" | "trial_period_days" | "usage_type" => {
                (&mut recurring, name.as_str())
            }
            "id" | "product" | "expand" => continue,
            other => (&mut price, other),
        };
        target.insert(name.to_owned(), value.clone());
    }
    price.insert("recurring".to_owned(), Value::Object(recurring));
    price
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let id = params
        .owned("id")
        .unwrap_or_else(|| account.ids.long("plan_"));
    if account.prices.contains(&id) {
        return Err(StripeError::invalid("Plan already exists.")
            .code("resource_already_exists")
            .param("id"));
    }
    let price = as_price(params);
    prices::check(Params::new(&price), "")?;
    let product = match (params.text("product"), params.child("product")) {
        (Some(id), _) => products::named(account, id, "product")?.id.clone(),
        (None, Some(data)) => products::make(account, data)?,
        (None, None) => return Err(StripeError::missing_param("product")),
    };
    prices::make_as(account, &id, Params::new(&price), &product, true, "")?;
    Ok(found(account, &id)?
        .render_plan(account)
        .unwrap_or_default()
        .into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let plan = found(ctx.account, ctx.arg("plan"))?.render_plan(ctx.account);
    Ok(plan.unwrap_or_default().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("plan").to_owned();
    let account = &mut *ctx.account;
    found(account, &id)?;
    let product = match params.text("product") {
        Some(product) => Some(products::named(account, product, "product")?.id.clone()),
        None => None,
    };
    prices::change(account, &id, |price| {
        price.active = params.boolean("active").unwrap_or(price.active);
        params.patch("nickname").apply(&mut price.nickname);
        params.merge_metadata(&mut price.metadata);
        if let Some(product) = product {
            price.product = product;
        }
        if let Some(recurring) = &mut price.recurring {
            let days = params.integer("trial_period_days");
            recurring.trial_period_days = days.or(recurring.trial_period_days);
        }
    });
    Ok(found(account, &id)?
        .render_plan(account)
        .unwrap_or_default()
        .into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("plan").to_owned();
    let account = &mut *ctx.account;
    let plan = found(account, &id)?
        .render_plan(account)
        .unwrap_or_default();
    let price = account.render(&id).unwrap_or_default();
    account.prices.remove(&id);
    account.emit("plan.deleted", &plan);
    account.emit("price.deleted", &price);
    Ok(deleted("plan", &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let keep = |price: &Price| {
        price.recurring.is_some()
            && params
                .boolean("active")
                .is_none_or(|active| price.active == active)
    };
    let key = params.text("product").map(|product| ("product", product));
    let render = |price: &Price| price.render_plan(ctx.account).unwrap_or_default();
    let page = list::list(ctx, params, &ctx.account.prices, "plan", key, keep, render)?;
    Ok(page.into())
}
