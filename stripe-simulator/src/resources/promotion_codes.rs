//! Promotion codes: <https://docs.stripe.com/api/promotion_codes>.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{coupons, customers};
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "promotion_code",
    prefixes: &["promo_"],
    routes: &[
        Route::post("/v1/promotion_codes", "promotion_code", create),
        Route::get("/v1/promotion_codes", "promotion_code", list_all),
        Route::get(
            "/v1/promotion_codes/{promotion_code}",
            "promotion_code",
            retrieve,
        ),
        Route::post(
            "/v1/promotion_codes/{promotion_code}",
            "promotion_code",
            update,
        ),
    ],
    find: |account, id| {
        account
            .promotion_codes
            .get(id)
            .map(|code| code.render(account))
    },
    all: |account| {
        account
            .promotion_codes
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

#[derive(Clone, Debug)]
pub(crate) struct PromotionCode {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    /// What the operator set; see [`PromotionCode::is_active`] for the rest of it.
    pub(crate) enabled: bool,
    pub(crate) code: String,
    pub(crate) coupon: String,
    pub(crate) customer: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) max_redemptions: Option<i64>,
    pub(crate) metadata: Metadata,
    pub(crate) first_time_transaction: bool,
    pub(crate) minimum: Option<(i64, Currency)>,
    pub(crate) minimum_options: BTreeMap<Currency, i64>,
    pub(crate) times_redeemed: i64,
}

impl Stored for PromotionCode {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        // Codes are the same in either case.
        vec![
            ("coupon", self.coupon.clone()),
            ("code", self.code.to_ascii_uppercase()),
        ]
    }
}

impl PromotionCode {
    /// Whether it can be redeemed: enabled, not expired, not used up, its coupon valid.
    pub(crate) fn is_active(&self, account: &Account) -> bool {
        let now = account.now();
        self.enabled
            && self.expires_at.is_none_or(|end| now < end)
            && self
                .max_redemptions
                .is_none_or(|max| self.times_redeemed < max)
            && account
                .coupons
                .get(&self.coupon)
                .is_some_and(|coupon| coupon.is_valid(now))
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let mut restrictions = json!({
            "first_time_transaction": self.first_time_transaction,
            "minimum_amount": self.minimum.map(|(amount, _)| amount),
            "minimum_amount_currency": self.minimum.map(|(_, currency)| currency),
        });
        if let (Value::Object(map), false) = (&mut restrictions, self.minimum_options.is_empty()) {
            let options: Map<String, Value> = self
                .minimum_options
                .iter()
                .map(|(code, amount)| (code.to_string(), json!({ "minimum_amount": amount })))
                .collect();
            map.insert("currency_options".to_owned(), Value::Object(options));
        }
        json!({
            "id": self.id,
            "object": "promotion_code",
            "active": self.is_active(account),
            "code": self.code,
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "expires_at": self.expires_at,
            "livemode": account.livemode,
            "max_redemptions": self.max_redemptions,
            "metadata": self.metadata,
            "promotion": { "coupon": self.coupon, "type": "coupon" },
            "restrictions": restrictions,
            "times_redeemed": self.times_redeemed,
        })
    }
}

/// Counts a redemption of the code and of its coupon.
pub(crate) fn redeem(account: &mut Account, id: &str) {
    let Some(coupon) = account
        .promotion_codes
        .get(id)
        .map(|code| code.coupon.clone())
    else {
        return;
    };
    if let Some(mut code) = account.promotion_codes.get_mut(id) {
        code.times_redeemed += 1;
    }
    coupons::redeem(account, &coupon);
}

fn read_minimum(params: Params<'_>) -> Result<Option<(i64, Currency)>, StripeError> {
    let Some(amount) = params.integer("minimum_amount") else {
        return Ok(None);
    };
    let Some(code) = params.text("minimum_amount_currency") else {
        return Err(StripeError::missing_param(
            "restrictions[minimum_amount_currency]",
        ));
    };
    Ok(Some((
        amount,
        Currency::parse(code, "restrictions[minimum_amount_currency]")?,
    )))
}

fn read_options(params: Params<'_>) -> Result<BTreeMap<Currency, i64>, StripeError> {
    let mut options = BTreeMap::new();
    if let Some(child) = params.child("currency_options") {
        for code in child.map().keys() {
            let param = format!("restrictions[currency_options][{code}]");
            let amount = child
                .child(code)
                .and_then(|option| option.integer("minimum_amount"));
            options.insert(Currency::parse(code, &param)?, amount.unwrap_or(0));
        }
    }
    Ok(options)
}

/// The promotion code that a parameter names.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a PromotionCode, StripeError> {
    account
        .promotion_codes
        .get(id)
        .ok_or_else(|| StripeError::no_such_in("promotion code", id, param))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let promotion = params.child("promotion");
    let Some(coupon) = promotion.and_then(|promotion| promotion.text("coupon")) else {
        return Err(StripeError::missing_param("promotion[coupon]"));
    };
    let now = account.now();
    if !coupons::named(account, coupon, "promotion[coupon]")?.is_valid(now) {
        return Err(StripeError::invalid(format!("Coupon expired: {coupon}"))
            .code("coupon_expired")
            .param("promotion[coupon]"));
    }
    let customer = params.text("customer");
    if let Some(customer) = customer {
        customers::named(account, customer, "customer")?;
    }
    let restrictions = params.child("restrictions");
    let minimum = restrictions.map(read_minimum).transpose()?.flatten();
    let minimum_options = restrictions
        .map(read_options)
        .transpose()?
        .unwrap_or_default();
    let code = params.owned("code").unwrap_or_else(|| account.ids.code(8));
    let taken = account
        .promotion_codes
        .by_key("code", &code.to_ascii_uppercase())
        .any(|other| other.is_active(account) && other.customer.as_deref() == customer);
    if taken {
        return Err(StripeError::invalid(format!(
            "An active promotion code with `code: {code}` already exists."
        ))
        .param("code"));
    }
    let promotion_code = PromotionCode {
        id: account.ids.long("promo_"),
        created: now,
        enabled: params.boolean("active").unwrap_or(true),
        code,
        coupon: coupon.to_owned(),
        customer: customer.map(str::to_owned),
        expires_at: params.integer("expires_at"),
        max_redemptions: params.integer("max_redemptions"),
        metadata: params.metadata(),
        first_time_transaction: restrictions
            .and_then(|restrictions| restrictions.boolean("first_time_transaction"))
            .unwrap_or(false),
        minimum,
        minimum_options,
        times_redeemed: 0,
    };
    let body = promotion_code.render(account);
    account.promotion_codes.insert(promotion_code);
    account.emit("promotion_code.created", &body);
    Ok(body.into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("promotion_code");
    match ctx.account.promotion_codes.get(id) {
        Some(code) => Ok(code.render(ctx.account).into()),
        None => Err(StripeError::no_such("promotion code", id, "promotion_code")),
    }
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("promotion_code").to_owned();
    let account = &mut *ctx.account;
    let Some(before) = account
        .promotion_codes
        .get(&id)
        .map(|code| code.render(account))
    else {
        return Err(StripeError::no_such(
            "promotion code",
            &id,
            "promotion_code",
        ));
    };
    let options = params.child("restrictions").map(read_options).transpose()?;
    if let Some(mut code) = account.promotion_codes.get_mut(&id) {
        code.enabled = params.boolean("active").unwrap_or(code.enabled);
        params.merge_metadata(&mut code.metadata);
        code.minimum_options.extend(options.unwrap_or_default());
    }
    let after = account.render(&id).unwrap_or_default();
    account.emit_updated("promotion_code.updated", &before, &after);
    Ok(after.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &*ctx.account;
    let upper = params.text("code").map(str::to_ascii_uppercase);
    let coupon = params.text("coupon");
    let keep = |code: &PromotionCode| {
        params
            .boolean("active")
            .is_none_or(|active| code.is_active(account) == active)
            && coupon.is_none_or(|coupon| code.coupon == coupon)
            && upper
                .as_ref()
                .is_none_or(|text| code.code.eq_ignore_ascii_case(text))
            && params
                .text("customer")
                .is_none_or(|customer| code.customer.as_deref() == Some(customer))
    };
    let key = match (&upper, coupon) {
        (Some(code), _) => Some(("code", code.as_str())),
        (None, Some(coupon)) => Some(("coupon", coupon)),
        (None, None) => None,
    };
    let render = |code: &PromotionCode| code.render(account);
    let store = &account.promotion_codes;
    Ok(list::list(ctx, params, store, "promotion code", key, keep, render)?.into())
}
