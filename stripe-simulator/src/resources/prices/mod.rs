//! Prices: <https://docs.stripe.com/api/prices>. Amount, currency and interval never change.

mod read;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub(crate) use read::check;
use read::draft;

use super::products;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "price",
    prefixes: &["price_"],
    routes: &[
        Route::post("/v1/prices", "plan", create),
        Route::get("/v1/prices", "plan", list_all),
        Route::get("/v1/prices/{price}", "plan", retrieve),
        Route::post("/v1/prices/{price}", "plan", update),
    ],
    find: |account, id| account.prices.get(id).map(|price| price.render(account)),
    all: |account| {
        account
            .prices
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[("tiers", tiers), ("currency_options", currency_options)],
};

#[derive(Clone, Debug)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) active: bool,
    pub(crate) currency: Currency,
    /// What it costs in `currency`.
    pub(crate) amount: Amount,
    /// What it costs in other currencies.
    pub(crate) currency_options: BTreeMap<Currency, Amount>,
    pub(crate) custom_unit_amount: Option<CustomUnitAmount>,
    pub(crate) lookup_key: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) nickname: Option<String>,
    pub(crate) product: String,
    pub(crate) recurring: Option<Recurring>,
    pub(crate) tiers_mode: Option<TiersMode>,
    pub(crate) transform_quantity: Option<TransformQuantity>,
}

/// What a price costs in one currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Minor units per unit; none for tiered prices and amounts of the payer's choice.
    pub(crate) unit: Option<Decimal>,
    /// Of tiered prices, in order; only the last has no upper end.
    pub(crate) tiers: Vec<Tier>,
    pub(crate) tax_behavior: TaxBehavior,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    /// The last quantity in the tier; `None` is infinity.
    pub(crate) up_to: Option<i64>,
    pub(crate) flat: Option<Decimal>,
    pub(crate) unit: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TaxBehavior {
    #[default]
    Unspecified,
    Exclusive,
    Inclusive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TiersMode {
    Graduated,
    Volume,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransformQuantity {
    pub(crate) divide_by: i64,
    pub(crate) round_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CustomUnitAmount {
    pub(crate) minimum: Option<i64>,
    pub(crate) maximum: Option<i64>,
    pub(crate) preset: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recurring {
    pub(crate) interval: Interval,
    pub(crate) interval_count: i64,
    pub(crate) metered: bool,
    pub(crate) meter: Option<String>,
    pub(crate) trial_period_days: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interval {
    Day,
    Week,
    Month,
    Year,
}

impl Interval {
    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "day" => Self::Day,
            "week" => Self::Week,
            "year" => Self::Year,
            _ => Self::Month,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Stripe: at most three years.
    const fn max_count(self) -> i64 {
        match self {
            Self::Day => 1_095,
            Self::Week => 156,
            Self::Month => 36,
            Self::Year => 3,
        }
    }
}

impl TaxBehavior {
    fn of(params: Params<'_>) -> Self {
        match params.text("tax_behavior") {
            Some("exclusive") => Self::Exclusive,
            Some("inclusive") => Self::Inclusive,
            _ => Self::Unspecified,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Exclusive => "exclusive",
            Self::Inclusive => "inclusive",
        }
    }
}

impl Stored for Price {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![("product", self.product.clone())];
        if let Some(lookup_key) = &self.lookup_key {
            keys.push(("lookup_key", lookup_key.clone()));
        }
        keys
    }
}

/// An amount twice, as Stripe shows it: whole minor units if it is whole, and exact.
pub(crate) fn put_amount(map: &mut Map<String, Value>, name: &str, amount: Option<Decimal>) {
    map.insert(name.to_owned(), amount.and_then(Decimal::to_int).into());
    map.insert(
        format!("{name}_decimal"),
        amount.map(|amount| amount.to_string()).into(),
    );
}

impl Tier {
    fn render(&self) -> Value {
        let mut map = Map::new();
        put_amount(&mut map, "flat_amount", self.flat);
        put_amount(&mut map, "unit_amount", self.unit);
        map.insert("up_to".to_owned(), self.up_to.into());
        Value::Object(map)
    }
}

impl Amount {
    fn render_option(&self) -> Value {
        let mut map = Map::new();
        map.insert("custom_unit_amount".to_owned(), Value::Null);
        map.insert("tax_behavior".to_owned(), self.tax_behavior.name().into());
        put_amount(&mut map, "unit_amount", self.unit);
        if !self.tiers.is_empty() {
            let tiers = self.tiers.iter().map(Tier::render).collect();
            map.insert("tiers".to_owned(), Value::Array(tiers));
        }
        Value::Object(map)
    }
}

impl Price {
    pub(crate) fn is_tiered(&self) -> bool {
        self.tiers_mode.is_some()
    }

    /// The amount in a currency, if the price is to be had in it.
    pub(crate) fn amount_in(&self, currency: Currency) -> Option<&Amount> {
        if currency == self.currency {
            return Some(&self.amount);
        }
        self.currency_options.get(&currency)
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let mut value = json!({
            "id": self.id,
            "object": "price",
            "active": self.active,
            "billing_scheme": if self.is_tiered() { "tiered" } else { "per_unit" },
            "created": self.created,
            "currency": self.currency,
            "custom_unit_amount": self.custom_unit_amount.map(|custom| json!({
                "maximum": custom.maximum,
                "minimum": custom.minimum,
                "preset": custom.preset,
            })),
            "livemode": account.livemode,
            "lookup_key": self.lookup_key,
            "metadata": self.metadata,
            "nickname": self.nickname,
            "product": self.product,
            "recurring": self.recurring.as_ref().map(Recurring::render),
            "tax_behavior": self.amount.tax_behavior.name(),
            "tiers_mode": self.tiers_mode.map(TiersMode::name),
            "transform_quantity": self.transform_quantity.map(|transform| json!({
                "divide_by": transform.divide_by,
                "round": if transform.round_up { "up" } else { "down" },
            })),
            "type": if self.recurring.is_some() { "recurring" } else { "one_time" },
        });
        if let Value::Object(map) = &mut value {
            put_amount(map, "unit_amount", self.amount.unit);
        }
        value
    }
}

impl TiersMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Graduated => "graduated",
            Self::Volume => "volume",
        }
    }
}

impl Recurring {
    fn render(&self) -> Value {
        json!({
            "interval": self.interval.name(),
            "interval_count": self.interval_count,
            "meter": self.meter,
            "trial_period_days": self.trial_period_days,
            "usage_type": if self.metered { "metered" } else { "licensed" },
        })
    }
}

pub(crate) fn tiers(account: &Account, id: &str) -> Value {
    let tiers = account
        .prices
        .get(id)
        .map_or(&[][..], |price| &price.amount.tiers);
    if tiers.is_empty() {
        return Value::Null;
    }
    Value::Array(tiers.iter().map(Tier::render).collect())
}

fn currency_options(account: &Account, id: &str) -> Value {
    let Some(price) = account.prices.get(id) else {
        return Value::Null;
    };
    let mut options = Map::new();
    options.insert(
        price.currency.code().to_owned(),
        price.amount.render_option(),
    );
    for (currency, amount) in &price.currency_options {
        options.insert(currency.code().to_owned(), amount.render_option());
    }
    Value::Object(options)
}

/// Makes a price of a product from a create call's parameters or from `price_data`.
///
/// Prices made inside another object (`price_data`) are not `active`: they cannot be used again.
pub(crate) fn make(
    account: &mut Account,
    params: Params<'_>,
    product: &str,
    active: bool,
    prefix: &str,
) -> Result<String, StripeError> {
    let id = account.ids.long("price_");
    make_as(account, &id, params, product, active, prefix)?;
    Ok(id)
}

/// Makes a price of a given id.
pub(crate) fn make_as(
    account: &mut Account,
    id: &str,
    params: Params<'_>,
    product: &str,
    active: bool,
    prefix: &str,
) -> Result<(), StripeError> {
    let draft = draft(params, prefix)?;
    let price = Price {
        id: id.to_owned(),
        created: account.now(),
        active: params.boolean("active").unwrap_or(active),
        currency: draft.currency,
        amount: draft.amount,
        currency_options: draft.options,
        custom_unit_amount: draft.custom_unit_amount,
        lookup_key: params.owned("lookup_key"),
        metadata: params.metadata(),
        nickname: params.owned("nickname"),
        product: product.to_owned(),
        recurring: draft.recurring,
        tiers_mode: draft.tiers_mode,
        transform_quantity: draft.transform_quantity,
    };
    let (body, plan) = (price.render(account), price.render_plan(account));
    account.prices.insert(price);
    if let Some(plan) = plan {
        account.emit("plan.created", &plan);
    }
    account.emit("price.created", &body);
    Ok(())
}

/// The price that a parameter names.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a Price, StripeError> {
    account
        .prices
        .get(id)
        .ok_or_else(|| StripeError::no_such_in("price", id, param))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    check(params, "")?;
    check_lookup_key(account, params, None)?;
    let product = match (params.text("product"), params.child("product_data")) {
        (Some(id), None) => products::named(account, id, "product")?.id.clone(),
        (None, Some(data)) => products::make(account, data)?,
        (Some(_), Some(_)) => {
            return Err(StripeError::invalid(
                "You may only specify one of these parameters: product, product_data.",
            )
            .param("product"));
        }
        (None, None) => {
            return Err(StripeError::missing_param("product"));
        }
    };
    take_lookup_key(account, params);
    let id = make(account, params, &product, true, "")?;
    Ok(account.render(&id).unwrap_or_default().into())
}

/// A lookup key belongs to one active price; `transfer_lookup_key` takes it from the other.
fn check_lookup_key(
    account: &Account,
    params: Params<'_>,
    own: Option<&str>,
) -> Result<(), StripeError> {
    let Some(lookup_key) = params.text("lookup_key") else {
        return Ok(());
    };
    let holder = account.prices.by_key("lookup_key", lookup_key).next();
    match holder {
        Some(holder)
            if Some(holder.id.as_str()) != own
                && params.boolean("transfer_lookup_key") != Some(true) =>
        {
            Err(StripeError::invalid(format!(
                "A price (`{}`) already uses that lookup key.",
                holder.id
            ))
            .param("lookup_key"))
        }
        _ => Ok(()),
    }
}

fn take_lookup_key(account: &mut Account, params: Params<'_>) {
    let Some(lookup_key) = params.text("lookup_key") else {
        return;
    };
    for id in account.prices.ids_by_key("lookup_key", lookup_key) {
        change(account, &id, |price| price.lookup_key = None);
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("price");
    match ctx.account.prices.get(id) {
        Some(price) => Ok(price.render(ctx.account).into()),
        None => Err(StripeError::no_such("price", id, "price")),
    }
}

pub(crate) fn change(account: &mut Account, id: &str, f: impl FnOnce(&mut Price)) -> Value {
    let before = account.render(id).unwrap_or_default();
    let plan_before = as_plan(account, id);
    if let Some(mut price) = account.prices.get_mut(id) {
        f(&mut price);
    }
    let after = account.render(id).unwrap_or_default();
    let plan_after = as_plan(account, id);
    account.emit_updated("plan.updated", &plan_before, &plan_after);
    account.emit_updated("price.updated", &before, &after);
    after
}

/// Null for a one-time price.
fn as_plan(account: &Account, id: &str) -> Value {
    let price = account.prices.get(id);
    price
        .and_then(|price| price.render_plan(account))
        .unwrap_or_default()
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("price").to_owned();
    let account = &mut *ctx.account;
    let price = account
        .prices
        .get(&id)
        .ok_or_else(|| StripeError::no_such("price", &id, "price"))?;
    let tax_behavior = TaxBehavior::of(params);
    let fixed = price.amount.tax_behavior;
    if params.is_given("tax_behavior") && fixed != TaxBehavior::Unspecified && fixed != tax_behavior
    {
        return Err(StripeError::invalid(
            "You cannot change the `tax_behavior` of a price once it is set to `inclusive` or `exclusive`.",
        )
        .param("tax_behavior"));
    }
    let is_default = account
        .products
        .get(&price.product)
        .is_some_and(|product| product.default_price.as_deref() == Some(id.as_str()));
    if is_default && params.boolean("active") == Some(false) {
        return Err(StripeError::invalid(
            "This price cannot be archived because it is the default price of its product.",
        )
        .param("active"));
    }
    check_lookup_key(account, params, Some(&id))?;
    if account
        .prices
        .get(&id)
        .is_some_and(|p| p.lookup_key.as_deref() != params.text("lookup_key"))
    {
        take_lookup_key(account, params);
    }
    let body = change(account, &id, |price| {
        price.active = params.boolean("active").unwrap_or(price.active);
        params.patch("nickname").apply(&mut price.nickname);
        params.patch("lookup_key").apply(&mut price.lookup_key);
        params.merge_metadata(&mut price.metadata);
        if params.is_given("tax_behavior") {
            price.amount.tax_behavior = tax_behavior;
        }
    });
    Ok(body.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let lookup_keys = params.texts("lookup_keys");
    let recurring = params.child("recurring");
    let keep = |price: &Price| {
        params
            .boolean("active")
            .is_none_or(|active| price.active == active)
            && params
                .text("product")
                .is_none_or(|product| price.product == product)
            && params
                .text("currency")
                .is_none_or(|code| price.currency.code() == code)
            && params
                .text("type")
                .is_none_or(|kind| price.recurring.is_some() == (kind == "recurring"))
            && (lookup_keys.is_empty()
                || price
                    .lookup_key
                    .as_ref()
                    .is_some_and(|key| lookup_keys.contains(&key.as_str())))
            && recurring.is_none_or(|filter| matches_recurring(price, filter))
    };
    let key = match (params.text("product"), lookup_keys.as_slice()) {
        (Some(product), _) => Some(("product", product)),
        (None, [only]) => Some(("lookup_key", *only)),
        (None, _) => None,
    };
    let render = |price: &Price| price.render(ctx.account);
    let page = list::list(ctx, params, &ctx.account.prices, "price", key, keep, render)?;
    Ok(page.into())
}

fn matches_recurring(price: &Price, filter: Params<'_>) -> bool {
    price.recurring.as_ref().is_some_and(|recurring| {
        filter
            .text("interval")
            .is_none_or(|name| recurring.interval.name() == name)
            && filter
                .text("meter")
                .is_none_or(|meter| recurring.meter.as_deref() == Some(meter))
            && filter
                .text("usage_type")
                .is_none_or(|usage| recurring.metered == (usage == "metered"))
    })
}
