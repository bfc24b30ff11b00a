//! Subscription items: <https://docs.stripe.com/api/subscription_items>.

use serde_json::json;

use super::shared::deleted;
use super::subscriptions::{self, Asked};
use crate::billing::model::{Item, Subscription};
use crate::billing::render;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "subscription_item",
    prefixes: &["si_"],
    routes: &[
        Route::post("/v1/subscription_items", "subscription", create),
        Route::get("/v1/subscription_items", "subscription", list_all),
        Route::get("/v1/subscription_items/{item}", "subscription", retrieve),
        Route::post("/v1/subscription_items/{item}", "subscription", update),
        Route::delete("/v1/subscription_items/{item}", "subscription", delete),
    ],
    find: |account, id| {
        let own = account.billing.subscriptions.by_key("item", id).next()?;
        Some(render::item(own.item(id)?, own, account))
    },
    all: |_| Vec::new(),
    includes: &[],
};

fn of_path(ctx: &mut Ctx<'_>) -> Result<(Subscription, Item), StripeError> {
    let id = ctx.arg("item").to_owned();
    let own = ctx
        .account
        .billing
        .subscriptions
        .by_key("item", &id)
        .next()
        .cloned();
    let found = own.and_then(|own| own.item(&id).cloned().map(|item| (own, item)));
    let found = found.ok_or_else(|| StripeError::no_such("subscription_item", &id, "item"))?;
    ctx.account.act_for(&found.0.customer);
    Ok(found)
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let old = subscriptions::named(
        ctx.account,
        params.required("subscription")?,
        "subscription",
    )?;
    ctx.account.act_for(&old.customer);
    let now = ctx.now();
    let mut item = subscriptions::blank_item(ctx.account.ids.short("si_"), now);
    if !subscriptions::read_price(ctx.account, params, "", &mut item)? {
        return Err(StripeError::missing_param("price"));
    }
    subscriptions::read_item(ctx.account, params, "", &mut item, Some(&old.id))?;
    let id = item.id.clone();
    let mut wanted = old.clone();
    wanted.items.push(item);
    finish(ctx, &old, wanted, params)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn finish(
    ctx: &mut Ctx<'_>,
    old: &Subscription,
    wanted: Subscription,
    params: Params<'_>,
) -> Result<(), StripeError> {
    let asked = Asked {
        wanted,
        bills: true,
        changes_items: true,
        anchor_now: false,
    };
    let how = subscriptions::how(params, &asked);
    subscriptions::finish_update(ctx.account, old, asked, how)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let (own, item) = of_path(ctx)?;
    Ok(render::item(&item, &own, ctx.account).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (old, mut item) = of_path(ctx)?;
    subscriptions::read_price(ctx.account, params, "", &mut item)?;
    subscriptions::read_item(ctx.account, params, "", &mut item, Some(&old.id))?;
    let id = item.id.clone();
    let mut wanted = old.clone();
    if let Some(place) = wanted.items.iter_mut().find(|own| own.id == id) {
        *place = item;
    }
    finish(ctx, &old, wanted, params)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

fn delete(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (old, item) = of_path(ctx)?;
    let mut wanted = old.clone();
    wanted.items.retain(|own| own.id != item.id);
    if wanted.items.is_empty() {
        return Err(StripeError::invalid(
            "A subscription must have at least one active plan.",
        ));
    }
    finish(ctx, &old, wanted, params)?;
    Ok(deleted("subscription_item", &item.id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = params.required("subscription")?;
    let own = subscriptions::named(ctx.account, id, "subscription")?;
    let limit = list::limit(params)?;
    let after = params.text("starting_after");
    let start = match after {
        None => Some(0),
        Some(cursor) => own
            .items
            .iter()
            .position(|item| item.id == cursor)
            .map(|at| at + 1),
    };
    let start = start.ok_or_else(|| {
        StripeError::no_such_in(
            "subscription_item",
            after.unwrap_or_default(),
            "starting_after",
        )
    })?;
    let page = own.items.iter().skip(start).take(limit);
    let data: Vec<_> = page
        .map(|item| render::item(item, &own, ctx.account))
        .collect();
    let has_more = own.items.len() > start + data.len();
    Ok(
        json!({ "object": "list", "data": data, "has_more": has_more, "url": ctx.request.path })
            .into(),
    )
}
