//! Tax rates: <https://docs.stripe.com/api/tax_rates>. The percentage never changes.

use serde_json::{Value, json};

use super::shared::number;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "tax_rate",
    prefixes: &["txr_"],
    routes: &[
        Route::post("/v1/tax_rates", "tax_rate", create),
        Route::get("/v1/tax_rates", "tax_rate", list_all),
        Route::get("/v1/tax_rates/{tax_rate}", "tax_rate", retrieve),
        Route::post("/v1/tax_rates/{tax_rate}", "tax_rate", update),
    ],
    find: |account, id| account.tax_rates.get(id).map(|rate| rate.render(account)),
    all: |account| {
        account
            .tax_rates
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

#[derive(Clone, Debug, Default)]
pub(crate) struct TaxRate {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) active: bool,
    pub(crate) country: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) display_name: String,
    pub(crate) inclusive: bool,
    pub(crate) jurisdiction: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) percentage: Decimal,
    pub(crate) state: Option<String>,
    pub(crate) tax_type: Option<String>,
}

impl Stored for TaxRate {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }
}

impl TaxRate {
    pub(crate) fn render(&self, account: &Account) -> Value {
        json!({
            "id": self.id,
            "object": "tax_rate",
            "active": self.active,
            "country": self.country,
            "created": self.created,
            "description": self.description,
            "display_name": self.display_name,
            "effective_percentage": number(self.percentage),
            "flat_amount": null,
            "inclusive": self.inclusive,
            "jurisdiction": self.jurisdiction,
            "jurisdiction_level": null,
            "livemode": account.livemode,
            "metadata": self.metadata,
            "percentage": number(self.percentage),
            "rate_type": "percentage",
            "state": self.state,
            "tax_type": self.tax_type,
        })
    }

    fn apply(&mut self, params: Params<'_>) {
        self.active = params.boolean("active").unwrap_or(self.active);
        params.patch("country").apply(&mut self.country);
        params.patch("description").apply(&mut self.description);
        if let Some(name) = params.owned("display_name") {
            self.display_name = name;
        }
        params.patch("jurisdiction").apply(&mut self.jurisdiction);
        params.merge_metadata(&mut self.metadata);
        params.patch("state").apply(&mut self.state);
        params.patch("tax_type").apply(&mut self.tax_type);
    }
}

/// The tax rate that a parameter names.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a TaxRate, StripeError> {
    account
        .tax_rates
        .get(id)
        .ok_or_else(|| StripeError::no_such_in("tax rate", id, param))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let percentage = params.decimal("percentage").unwrap_or_default();
    if percentage.is_negative() || percentage > Decimal::from_int(100) {
        return Err(
            StripeError::invalid("Invalid percentage: must be between 0 and 100")
                .param("percentage"),
        );
    }
    let mut rate = TaxRate {
        id: account.ids.long("txr_"),
        created: account.now(),
        active: true,
        inclusive: params.boolean("inclusive").unwrap_or(false),
        percentage,
        ..TaxRate::default()
    };
    rate.apply(params);
    let body = rate.render(account);
    account.tax_rates.insert(rate);
    account.emit("tax_rate.created", &body);
    Ok(body.into())
}

fn missing(id: &str) -> StripeError {
    StripeError::no_such("tax rate", id, "tax_rate")
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("tax_rate");
    let rate = ctx.account.tax_rates.get(id).ok_or_else(|| missing(id))?;
    Ok(rate.render(ctx.account).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("tax_rate").to_owned();
    let account = &mut *ctx.account;
    let before = account.render(&id).ok_or_else(|| missing(&id))?;
    if let Some(mut rate) = account.tax_rates.get_mut(&id) {
        rate.apply(params);
    }
    let after = account.render(&id).unwrap_or_default();
    account.emit_updated("tax_rate.updated", &before, &after);
    Ok(after.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let keep = |rate: &TaxRate| {
        params
            .boolean("active")
            .is_none_or(|active| rate.active == active)
            && params
                .boolean("inclusive")
                .is_none_or(|inclusive| rate.inclusive == inclusive)
    };
    let render = |rate: &TaxRate| rate.render(ctx.account);
    let store = &ctx.account.tax_rates;
    Ok(list::list(ctx, params, store, "tax rate", None, keep, render)?.into())
}
