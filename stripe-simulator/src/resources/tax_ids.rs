//! Tax ids of customers and of the account: <https://docs.stripe.com/api/tax_ids>.

use serde_json::{Value, json};

use super::customers;
use super::shared::deleted;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "tax_id",
    prefixes: &["txi_"],
    routes: &[
        Route::post(
            "/v1/customers/{customer}/tax_ids",
            "customer",
            create_for_customer,
        ),
        Route::get(
            "/v1/customers/{customer}/tax_ids",
            "customer",
            list_of_customer,
        ),
        Route::get(
            "/v1/customers/{customer}/tax_ids/{id}",
            "customer",
            retrieve,
        ),
        Route::delete("/v1/customers/{customer}/tax_ids/{id}", "customer", delete),
        Route::post("/v1/tax_ids", "tax_id", create),
        Route::get("/v1/tax_ids", "tax_id", list_all),
        Route::get("/v1/tax_ids/{id}", "tax_id", retrieve),
        Route::delete("/v1/tax_ids/{id}", "tax_id", delete),
    ],
    find: |account, id| account.tax_ids.get(id).map(|tax_id| tax_id.render(account)),
    all: |account| {
        account
            .tax_ids
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

#[derive(Clone, Debug)]
pub(crate) struct TaxId {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    /// `None` when it belongs to the account itself.
    pub(crate) customer: Option<String>,
    pub(crate) kind: String,
    pub(crate) value: String,
}

impl Stored for TaxId {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("customer", self.customer.clone().unwrap_or_default())]
    }
}

impl TaxId {
    /// The country that the type, or the value of a European one, names.
    fn country(&self) -> Option<String> {
        let text = match self.kind.as_str() {
            "eu_vat" => self.value.get(..2)?,
            "eu_oss_vat" => return None,
            kind => kind.get(..2)?,
        };
        Some(text.to_ascii_uppercase())
    }

    /// <https://docs.stripe.com/billing/customer/tax-ids#validation>: in test mode the value
    /// decides; types without a register to ask are `unavailable`.
    fn verification(&self) -> &'static str {
        if !matches!(self.kind.as_str(), "eu_vat" | "gb_vat" | "au_abn") {
            return "unavailable";
        }
        let digits: String = self.value.chars().filter(char::is_ascii_digit).collect();
        match digits.as_str() {
            "000000000" | "00000000000" => "verified",
            "111111111" | "11111111111" => "unverified",
            _ => "pending",
        }
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let owner = match &self.customer {
            Some(customer) => json!({ "customer": customer, "type": "customer" }),
            None => json!({ "type": "self" }),
        };
        json!({
            "id": self.id,
            "object": "tax_id",
            "country": self.country(),
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "livemode": account.livemode,
            "owner": owner,
            "type": self.kind,
            "value": self.value,
            "verification": {
                "status": self.verification(),
                "verified_address": null,
                "verified_name": null,
            },
        })
    }
}

/// Checks a type and a value, where the form is known.
pub(crate) fn check(params: Params<'_>, param: &str) -> Result<(), StripeError> {
    let kind = params.text("type").unwrap_or_default();
    let value = params.text("value").unwrap_or_default();
    let plain: Vec<char> = value
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '.'))
        .collect();
    let is_alphanumeric = plain.iter().all(char::is_ascii_alphanumeric);
    let fits = match kind {
        "eu_vat" => {
            (4..=14).contains(&plain.len())
                && plain.iter().take(2).all(char::is_ascii_alphabetic)
                && is_alphanumeric
        }
        "au_abn" => plain.len() == 11 && plain.iter().all(char::is_ascii_digit),
        "us_ein" => plain.len() == 9 && plain.iter().all(char::is_ascii_digit),
        _ => !plain.is_empty(),
    };
    if fits {
        return Ok(());
    }
    Err(StripeError::invalid(format!("Invalid value for {kind}."))
        .code("tax_id_invalid")
        .param(param))
}

/// Adds a tax id that [`check`] has passed.
pub(crate) fn make(account: &mut Account, params: Params<'_>, customer: Option<&str>) -> Value {
    let tax_id = TaxId {
        id: account.ids.long("txi_"),
        created: account.now(),
        customer: customer.map(str::to_owned),
        kind: params.owned("type").unwrap_or_default(),
        value: params.owned("value").unwrap_or_default(),
    };
    let body = tax_id.render(account);
    account.tax_ids.insert(tax_id);
    if customer.is_some() {
        account.emit("customer.tax_id.created", &body);
    }
    body
}

fn customer_of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("customer").to_owned();
    customers::named(ctx.account, &id, "customer").map_err(|error| error.status(404))?;
    ctx.account.act_for(&id);
    Ok(id)
}

fn create_for_customer(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    check(params, "value")?;
    Ok(make(ctx.account, params, Some(&customer)).into())
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    check(params, "value")?;
    let customer = params
        .child("owner")
        .and_then(|owner| owner.owned("customer"));
    if let Some(customer) = &customer {
        customers::named(ctx.account, customer, "owner[customer]")?;
        ctx.account.act_for(customer);
    }
    Ok(make(ctx.account, params, customer.as_deref()).into())
}

/// The tax id of the path, if it is the customer's that the path names too.
fn of_path<'a>(ctx: &'a Ctx<'_>) -> Result<&'a TaxId, StripeError> {
    let id = ctx.arg("id");
    let customer = ctx.arg("customer");
    ctx.account
        .tax_ids
        .get(id)
        .filter(|tax_id| customer.is_empty() || tax_id.customer.as_deref() == Some(customer))
        .ok_or_else(|| StripeError::no_such("tax_id", id, "id"))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(of_path(ctx)?.render(ctx.account).into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let tax_id = of_path(ctx)?.clone();
    let account = &mut *ctx.account;
    account.tax_ids.remove(&tax_id.id);
    if let Some(customer) = &tax_id.customer {
        account.act_for(customer);
        let last = tax_id.render(account);
        account.emit("customer.tax_id.deleted", &last);
    }
    Ok(deleted("tax_id", &tax_id.id).into())
}

fn list_of_customer(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = customer_of_path(ctx)?;
    list_under(ctx, params, &customer)
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let owner = params
        .child("owner")
        .and_then(|owner| owner.owned("customer"));
    list_under(ctx, params, owner.as_deref().unwrap_or_default())
}

fn list_under(ctx: &Ctx<'_>, params: Params<'_>, customer: &str) -> Reply {
    let render = |tax_id: &TaxId| tax_id.render(ctx.account);
    let key = Some(("customer", customer));
    Ok(list::list(
        ctx,
        params,
        &ctx.account.tax_ids,
        "tax_id",
        key,
        |_| true,
        render,
    )?
    .into())
}
