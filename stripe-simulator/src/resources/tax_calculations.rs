//! Tax calculations: <https://docs.stripe.com/api/tax/calculations>, by the same fixed table as
//! automatic tax on invoices.

use serde_json::{Value, json};

use super::shared::Address;
use crate::account::Account;
use crate::clock::DAY;
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::engine::tax::{Jurisdiction, Rate, automatic, on_line};
use crate::front::errors::StripeError;
use crate::front::list::embedded;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "tax.calculation",
    prefixes: &["taxcalc_"],
    routes: &[
        Route::post("/v1/tax/calculations", "tax_calculation", create),
        Route::get(
            "/v1/tax/calculations/{calculation}",
            "tax_calculation",
            retrieve,
        ),
        Route::get(
            "/v1/tax/calculations/{calculation}/line_items",
            "tax_calculation",
            list_lines,
        ),
    ],
    find: |account, id| account.tax_calculations.get(id).map(TaxCalculation::render),
    all: |account| {
        account
            .tax_calculations
            .oldest_first()
            .map(TaxCalculation::render)
            .collect()
    },
    includes: &[("line_items", lines)],
};

/// A calculation is kept for 90 days.
const KEPT_DAYS: i64 = 90;

/// The tax code of things whose code is not said: general, electronically supplied services.
const DEFAULT_TAX_CODE: &str = "txcd_10000000";

/// One calculated line.
#[derive(Debug, Clone)]
pub(crate) struct TaxLine {
    id: String,
    /// Minor units, with the tax when it is inclusive.
    amount: i64,
    tax: i64,
    taxable: i64,
    quantity: i64,
    reference: String,
    product: Option<String>,
    inclusive: bool,
    tax_code: String,
    metadata: Metadata,
}

/// A calculation.
#[derive(Debug, Clone)]
pub(crate) struct TaxCalculation {
    id: String,
    created: i64,
    livemode: bool,
    currency: Currency,
    customer: Option<String>,
    address: Address,
    address_source: Option<String>,
    ip_address: Option<String>,
    override_: String,
    jurisdiction: Option<&'static Jurisdiction>,
    lines: Vec<TaxLine>,
    tax_date: i64,
}

impl Stored for TaxCalculation {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl TaxCalculation {
    fn sum(&self, of: impl Fn(&TaxLine) -> i64) -> i64 {
        self.lines
            .iter()
            .fold(0, |sum, line| sum.saturating_add(of(line)))
    }

    fn reason(&self) -> &'static str {
        match (self.jurisdiction, self.override_.as_str()) {
            (_, "customer_exempt") => "customer_exempt",
            (_, "reverse_charge") => "reverse_charge",
            (Some(_), _) => "standard_rated",
            (None, _) => "not_collecting",
        }
    }

    fn render(&self) -> Value {
        let tax = |inclusive: bool| {
            self.sum(|line| {
                if line.inclusive == inclusive {
                    line.tax
                } else {
                    0
                }
            })
        };
        let breakdown: Vec<Value> = [false, true]
            .into_iter()
            .filter(|inclusive| self.lines.iter().any(|line| line.inclusive == *inclusive))
            .map(|inclusive| self.breakdown(inclusive, tax(inclusive)))
            .collect();
        json!({
            "id": self.id,
            "object": "tax.calculation",
            "amount_total": self.sum(|line| line.amount).saturating_add(tax(false)),
            "currency": self.currency.code(),
            "customer": self.customer,
            "customer_details": {
                "address": self.address.render(),
                "address_source": self.address_source,
                "ip_address": self.ip_address,
                "tax_ids": [],
                "taxability_override": self.override_,
            },
            "expires_at": self.created.saturating_add(KEPT_DAYS * DAY),
            "livemode": self.livemode,
            "ship_from_details": null,
            "shipping_cost": null,
            "tax_amount_exclusive": tax(false),
            "tax_amount_inclusive": tax(true),
            "tax_breakdown": breakdown,
            "tax_date": self.tax_date,
        })
    }

    fn breakdown(&self, inclusive: bool, amount: i64) -> Value {
        let taxable = self.sum(|line| {
            if line.inclusive == inclusive {
                line.taxable
            } else {
                0
            }
        });
        json!({
            "amount": amount,
            "inclusive": inclusive,
            "tax_rate_details": {
                "country": self.address.country,
                "flat_amount": null,
                "percentage_decimal": self.percentage(),
                "rate_type": "percentage",
                "state": self.address.state,
                "tax_type": self.jurisdiction.map(|own| own.tax_type),
            },
            "taxability_reason": self.reason(),
            "taxable_amount": taxable,
        })
    }

    fn percentage(&self) -> &'static str {
        self.jurisdiction.map_or("0.0", |own| own.percent)
    }

    fn render_lines(&self) -> Value {
        let data: Vec<Value> = self
            .lines
            .iter()
            .map(|line| self.render_line(line))
            .collect();
        let total = data.len();
        embedded(
            format!("/v1/tax/calculations/{}/line_items", self.id),
            data,
            total,
        )
    }

    fn render_line(&self, line: &TaxLine) -> Value {
        let details = self.jurisdiction.map(|own| {
            json!({
                "display_name": own.display_name,
                "percentage_decimal": own.percent,
                "tax_type": own.tax_type,
            })
        });
        json!({
            "id": line.id,
            "object": "tax.calculation_line_item",
            "amount": line.amount,
            "amount_tax": line.tax,
            "livemode": self.livemode,
            "metadata": line.metadata,
            "product": line.product,
            "quantity": line.quantity,
            "reference": line.reference,
            "tax_behavior": if line.inclusive { "inclusive" } else { "exclusive" },
            "tax_breakdown": [{
                "amount": line.tax,
                "jurisdiction": {
                    "country": self.address.country,
                    "display_name": self.address.country,
                    "level": if self.address.state.is_some() { "state" } else { "country" },
                    "state": self.address.state,
                },
                "sourcing": "destination",
                "tax_rate_details": details,
                "taxability_reason": self.reason(),
                "taxable_amount": line.taxable,
            }],
            "tax_code": line.tax_code,
        })
    }
}

fn lines(account: &Account, id: &str) -> Value {
    account
        .tax_calculations
        .get(id)
        .map_or(Value::Null, TaxCalculation::render_lines)
}

fn of_path<'a>(ctx: &'a Ctx<'_>) -> Result<&'a TaxCalculation, StripeError> {
    let id = ctx.arg("calculation");
    let found = ctx.account.tax_calculations.get(id);
    found.ok_or_else(|| StripeError::no_such("calculation", id, "calculation"))
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(of_path(ctx)?.render().into())
}

fn list_lines(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(of_path(ctx)?.render_lines().into())
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let currency = Currency::parse(params.required("currency")?, "currency")?;
    let details = params.child("customer_details");
    let customer = params.owned("customer");
    let address = match (
        &customer,
        details.and_then(|details| details.child("address")),
    ) {
        (_, Some(address)) => Address::of(address),
        (Some(id), None) => {
            let found = super::customers::named(ctx.account, id, "customer")?;
            found.address.clone().unwrap_or_default()
        }
        (None, None) => return Err(StripeError::missing_param("customer_details")),
    };
    let Some(country) = address.country.as_deref() else {
        return Err(StripeError::invalid(
            "We could not determine the customer's tax location based on the provided customer \
             address.",
        )
        .code("customer_tax_location_invalid")
        .param("customer_details[address]"));
    };
    let jurisdiction = automatic(country, address.state.as_deref());
    let override_ = details.and_then(|details| details.text("taxability_override"));
    let override_ = override_.unwrap_or("none").to_owned();
    let rate = jurisdiction
        .filter(|_| override_ == "none")
        .and_then(|own| Decimal::parse(own.percent).ok())
        .map(|percent| Rate {
            percent,
            inclusive: false,
        });
    let account = &mut *ctx.account;
    let lines = params
        .children("line_items")
        .into_iter()
        .enumerate()
        .map(|(index, item)| line(account, item, index, rate))
        .collect::<Result<Vec<_>, _>>()?;
    if lines.is_empty() {
        return Err(StripeError::missing_param("line_items"));
    }
    let now = account.now();
    let text = |name: &str| details.and_then(|details| details.owned(name));
    let calculation = TaxCalculation {
        id: account.ids.long("taxcalc_"),
        created: now,
        livemode: account.livemode,
        currency,
        customer,
        address_source: text("address_source"),
        ip_address: text("ip_address"),
        address,
        override_,
        jurisdiction,
        lines,
        tax_date: params.integer("tax_date").unwrap_or(now),
    };
    let body = calculation.render();
    account.tax_calculations.insert(calculation);
    Ok(body.into())
}

fn line(
    account: &mut Account,
    item: Params<'_>,
    index: usize,
    rate: Option<Rate>,
) -> Result<TaxLine, StripeError> {
    let amount = item
        .integer("amount")
        .ok_or_else(|| StripeError::missing_param(&format!("line_items[{index}][amount]")))?;
    let inclusive = item.text("tax_behavior") == Some("inclusive");
    let rates: Vec<Rate> = rate
        .into_iter()
        .map(|rate| Rate { inclusive, ..rate })
        .collect();
    let taxes = on_line(amount, &rates);
    let id = account.ids.long("tax_li_");
    Ok(TaxLine {
        amount,
        tax: taxes
            .iter()
            .fold(0, |sum, tax| i64::saturating_add(sum, tax.amount)),
        taxable: taxes.first().map_or(0, |tax| tax.taxable),
        quantity: item.integer("quantity").unwrap_or(1),
        reference: item
            .owned("reference")
            .unwrap_or_else(|| format!("L{}", index + 1)),
        product: item.owned("product"),
        inclusive,
        tax_code: item
            .owned("tax_code")
            .unwrap_or_else(|| DEFAULT_TAX_CODE.to_owned()),
        metadata: item.metadata(),
        id,
    })
}
