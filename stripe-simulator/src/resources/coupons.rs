//! Coupons: <https://docs.stripe.com/api/coupons>.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::products;
use super::shared::{deleted, number};
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "coupon",
    prefixes: &[],
    routes: &[
        Route::post("/v1/coupons", "coupon", create),
        Route::get("/v1/coupons", "coupon", list_all),
        Route::get("/v1/coupons/{coupon}", "coupon", retrieve),
        Route::post("/v1/coupons/{coupon}", "coupon", update),
        Route::delete("/v1/coupons/{coupon}", "coupon", delete),
    ],
    find: |account, id| account.coupons.get(id).map(|coupon| coupon.render(account)),
    all: |account| {
        account
            .coupons
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[
        ("applies_to", applies_to),
        ("currency_options", currency_options),
    ],
};

/// A coupon; a deleted one stays for the discounts made from it.
#[derive(Clone, Debug)]
pub(crate) struct Coupon {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) deleted: bool,
    pub(crate) off: Off,
    pub(crate) duration: Duration,
    /// Only these products are discounted; empty means all.
    pub(crate) products: Vec<String>,
    pub(crate) max_redemptions: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) name: Option<String>,
    /// Last second at which it can be redeemed.
    pub(crate) redeem_by: Option<Timestamp>,
    pub(crate) times_redeemed: i64,
}

/// What is taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// Minor units, by currency; the first is the coupon's own.
    Amount {
        amount: i64,
        currency: Currency,
        others: BTreeMap<Currency, i64>,
    },
    Percent(Decimal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duration {
    Once,
    Forever,
    /// For so many months.
    Repeating(i64),
}

impl Stored for Coupon {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

impl Coupon {
    /// Whether it can still be redeemed.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        !self.deleted
            && self.redeem_by.is_none_or(|last| now <= last)
            && self
                .max_redemptions
                .is_none_or(|max| self.times_redeemed < max)
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let (amount_off, currency, percent_off) = match &self.off {
            Off::Amount {
                amount, currency, ..
            } => (Some(*amount), Some(*currency), Value::Null),
            Off::Percent(percent) => (None, None, number(*percent)),
        };
        let (duration, months) = match self.duration {
            Duration::Once => ("once", None),
            Duration::Forever => ("forever", None),
            Duration::Repeating(months) => ("repeating", Some(months)),
        };
        json!({
            "id": self.id,
            "object": "coupon",
            "amount_off": amount_off,
            "created": self.created,
            "currency": currency,
            "duration": duration,
            "duration_in_months": months,
            "livemode": account.livemode,
            "max_redemptions": self.max_redemptions,
            "metadata": self.metadata,
            "name": self.name,
            "percent_off": percent_off,
            "redeem_by": self.redeem_by,
            "times_redeemed": self.times_redeemed,
            "valid": self.is_valid(account.now()),
        })
    }
}

fn applies_to(account: &Account, id: &str) -> Value {
    match account.coupons.get(id) {
        Some(coupon) if !coupon.products.is_empty() => json!({ "products": coupon.products }),
        _ => Value::Null,
    }
}

fn currency_options(account: &Account, id: &str) -> Value {
    let mut options = Map::new();
    if let Some(Off::Amount {
        amount,
        currency,
        others,
    }) = account.coupons.get(id).map(|coupon| &coupon.off)
    {
        for (code, amount) in others.iter().chain([(currency, amount)]) {
            options.insert(code.code().to_owned(), json!({ "amount_off": amount }));
        }
    }
    Value::Object(options)
}

/// The coupon that a parameter names.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a Coupon, StripeError> {
    account
        .coupons
        .get(id)
        .filter(|coupon| !coupon.deleted)
        .ok_or_else(|| StripeError::no_such_in("coupon", id, param))
}

/// Counts a redemption.
pub(crate) fn redeem(account: &mut Account, id: &str) {
    if let Some(mut coupon) = account.coupons.get_mut(id) {
        coupon.times_redeemed += 1;
    }
}

fn positive(params: Params<'_>, name: &str) -> Result<Option<i64>, StripeError> {
    match params.integer(name) {
        Some(value) if value < 1 => Err(StripeError::invalid(
            "This value must be greater than or equal to 1.",
        )
        .code("parameter_invalid_integer")
        .param(name)),
        value => Ok(value),
    }
}

fn read_off(params: Params<'_>) -> Result<Off, StripeError> {
    let percent = params.decimal("percent_off");
    match (percent, positive(params, "amount_off")?) {
        (Some(percent), None) => {
            if percent <= Decimal::ZERO || percent > Decimal::from_int(100) {
                return Err(StripeError::invalid(
                    "Invalid percent_off: must be greater than 0 and less than or equal to 100",
                )
                .param("percent_off"));
            }
            Ok(Off::Percent(percent))
        }
        (None, Some(amount)) => {
            let Some(code) = params.text("currency") else {
                return Err(
                    StripeError::invalid("You must pass currency when passing amount_off")
                        .code("parameter_missing")
                        .param("currency"),
                );
            };
            let currency = Currency::parse(code, "currency")?;
            Ok(Off::Amount {
                amount,
                currency,
                others: read_options(params)?,
            })
        }
        (Some(_), Some(_)) => Err(StripeError::invalid(
            "You may only specify one of these parameters: amount_off, percent_off.",
        )
        .param("amount_off")),
        (None, None) => Err(
            StripeError::invalid("Must pass either percent_off or amount_off")
                .code("parameter_missing"),
        ),
    }
}

fn read_options(params: Params<'_>) -> Result<BTreeMap<Currency, i64>, StripeError> {
    let mut others = BTreeMap::new();
    if let Some(options) = params.child("currency_options") {
        for code in options.map().keys() {
            let currency = Currency::parse(code, &format!("currency_options[{code}]"))?;
            let amount = options
                .child(code)
                .and_then(|option| option.integer("amount_off"));
            others.insert(currency, amount.unwrap_or(0));
        }
    }
    Ok(others)
}

fn read_duration(params: Params<'_>) -> Result<Duration, StripeError> {
    let months = positive(params, "duration_in_months")?;
    match (params.text("duration"), months) {
        (Some("repeating"), Some(months)) => Ok(Duration::Repeating(months)),
        (Some("repeating"), None) => Err(StripeError::missing_param("duration_in_months")),
        (_, Some(_)) => Err(StripeError::invalid(
            "You can only set duration_in_months when duration is repeating.",
        )
        .param("duration_in_months")),
        (Some("forever"), None) => Ok(Duration::Forever),
        _ => Ok(Duration::Once),
    }
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let off = read_off(params)?;
    let duration = read_duration(params)?;
    let max_redemptions = positive(params, "max_redemptions")?;
    let products: Vec<String> = params
        .child("applies_to")
        .map(|child| {
            child
                .texts("products")
                .into_iter()
                .map(str::to_owned)
                .collect()
        })
        .unwrap_or_default();
    for product in &products {
        products::named(account, product, "applies_to[products]")?;
    }
    let id = params.owned("id").unwrap_or_else(|| account.ids.base62(8));
    if account
        .coupons
        .get(&id)
        .is_some_and(|coupon| !coupon.deleted)
    {
        return Err(StripeError::invalid("Coupon already exists.")
            .code("resource_already_exists")
            .param("id"));
    }
    let coupon = Coupon {
        id,
        created: account.now(),
        deleted: false,
        off,
        duration,
        products,
        max_redemptions,
        metadata: params.metadata(),
        name: params.owned("name"),
        redeem_by: params.integer("redeem_by"),
        times_redeemed: 0,
    };
    let body = coupon.render(account);
    account.coupons.insert(coupon);
    account.emit("coupon.created", &body);
    Ok(body.into())
}

fn of_path(ctx: &Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("coupon");
    match ctx.account.coupons.get(id) {
        Some(coupon) if !coupon.deleted => Ok(coupon.id.clone()),
        _ => Err(StripeError::no_such("coupon", id, "coupon")),
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let coupon = ctx
        .account
        .coupons
        .get(&id)
        .map(|coupon| coupon.render(ctx.account));
    Ok(coupon.unwrap_or_default().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let options = read_options(params)?;
    let account = &mut *ctx.account;
    let before = account
        .coupons
        .get(&id)
        .map(|coupon| coupon.render(account))
        .unwrap_or_default();
    if let Some(mut coupon) = account.coupons.get_mut(&id) {
        params.patch("name").apply(&mut coupon.name);
        params.merge_metadata(&mut coupon.metadata);
        if let Off::Amount { others, .. } = &mut coupon.off {
            others.extend(options);
        }
    }
    let after = account
        .coupons
        .get(&id)
        .map(|coupon| coupon.render(account))
        .unwrap_or_default();
    account.emit_updated("coupon.updated", &before, &after);
    Ok(after.into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    if let Some(mut coupon) = account.coupons.get_mut(&id) {
        coupon.deleted = true;
    }
    let last = account
        .coupons
        .get(&id)
        .map(|coupon| coupon.render(account))
        .unwrap_or_default();
    account.emit("coupon.deleted", &last);
    Ok(deleted("coupon", &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let render = |coupon: &Coupon| coupon.render(ctx.account);
    let store = &ctx.account.coupons;
    Ok(list::list(ctx, params, store, "coupon", None, |_| true, render)?.into())
}
