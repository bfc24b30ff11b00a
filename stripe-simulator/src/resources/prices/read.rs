//! Reads a price's parameters, and refuses what Stripe refuses.

use std::collections::BTreeMap;

use super::{
    Amount, CustomUnitAmount, Interval, Recurring, TaxBehavior, Tier, TiersMode, TransformQuantity,
};
use crate::currency::Currency;
use crate::engine::decimal::Decimal;
use crate::front::errors::StripeError;
use crate::params::Params;

fn at(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}[{name}]")
    }
}

/// The parts of a price that its parameters give, checked before anything is made.
pub(super) struct Draft {
    pub(super) currency: Currency,
    pub(super) amount: Amount,
    pub(super) options: BTreeMap<Currency, Amount>,
    pub(super) custom_unit_amount: Option<CustomUnitAmount>,
    pub(super) recurring: Option<Recurring>,
    pub(super) tiers_mode: Option<TiersMode>,
    pub(super) transform_quantity: Option<TransformQuantity>,
}

/// Checks the parameters of a price without making one. `prefix` is where they stand in the
/// request: empty, `price_data`, `items[0][price_data]`, …
pub(crate) fn check(params: Params<'_>, prefix: &str) -> Result<(), StripeError> {
    draft(params, prefix).map(|_| ())
}

pub(super) fn draft(params: Params<'_>, prefix: &str) -> Result<Draft, StripeError> {
    let currency = Currency::parse(params.required("currency")?, &at(prefix, "currency"))?;
    let tiers_mode = match params.text("tiers_mode") {
        Some("graduated") => Some(TiersMode::Graduated),
        Some("volume") => Some(TiersMode::Volume),
        _ => None,
    };
    let custom_unit_amount = params
        .child("custom_unit_amount")
        .filter(|custom| custom.boolean("enabled") == Some(true))
        .map(|custom| CustomUnitAmount {
            minimum: custom.integer("minimum"),
            maximum: custom.integer("maximum"),
            preset: custom.integer("preset"),
        });
    let tiered = params.text("billing_scheme") == Some("tiered");
    check_scheme(params, prefix, tiered, tiers_mode)?;
    let amount = read_amount(params, prefix, tiered, custom_unit_amount.is_some())?;
    let recurring = params
        .child("recurring")
        .map(|child| read_recurring(child, prefix))
        .transpose()?;
    if tiered && recurring.is_none() {
        return Err(StripeError::invalid("Tiered prices must be recurring.")
            .param(at(prefix, "billing_scheme")));
    }
    let mut options = BTreeMap::new();
    for (code, _) in params
        .child("currency_options")
        .map(Params::map)
        .into_iter()
        .flatten()
    {
        let param = at(prefix, &format!("currency_options[{code}]"));
        let other = Currency::parse(code, &param)?;
        if let Some(child) = params
            .child("currency_options")
            .and_then(|all| all.child(code))
            && other != currency
        {
            options.insert(other, read_amount(child, &param, tiered, false)?);
        }
    }
    let transform_quantity = params.child("transform_quantity").map(|transform| {
        let divide_by = transform.integer("divide_by").unwrap_or(1);
        TransformQuantity {
            divide_by,
            round_up: transform.text("round") == Some("up"),
        }
    });
    if transform_quantity.is_some_and(|transform| transform.divide_by < 1) {
        return Err(positive(&at(prefix, "transform_quantity[divide_by]")));
    }
    if transform_quantity.is_some() && tiered {
        return Err(
            StripeError::invalid("`transform_quantity` cannot be combined with `tiers`.")
                .param(at(prefix, "transform_quantity")),
        );
    }
    Ok(Draft {
        currency,
        amount,
        options,
        custom_unit_amount,
        recurring,
        tiers_mode,
        transform_quantity,
    })
}

fn positive(param: &str) -> StripeError {
    StripeError::invalid("This value must be greater than or equal to 1.")
        .code("parameter_invalid_integer")
        .param(param)
}

fn check_scheme(
    params: Params<'_>,
    prefix: &str,
    tiered: bool,
    tiers_mode: Option<TiersMode>,
) -> Result<(), StripeError> {
    let refuse =
        |message: &str, name: &str| Err(StripeError::invalid(message).param(at(prefix, name)));
    if tiered {
        if tiers_mode.is_none() {
            return Err(StripeError::missing_param(&at(prefix, "tiers_mode")));
        }
        if params.children("tiers").is_empty() {
            return Err(StripeError::missing_param(&at(prefix, "tiers")));
        }
        if params.is_given("unit_amount") || params.is_given("unit_amount_decimal") {
            return refuse(
                "You cannot specify a `unit_amount` when `billing_scheme=tiered`. Use `tiers` instead.",
                "unit_amount",
            );
        }
    } else if params.is_given("tiers") || tiers_mode.is_some() {
        return refuse(
            "`tiers` can only be set when `billing_scheme=tiered`.",
            "tiers",
        );
    }
    Ok(())
}

fn read_amount(
    params: Params<'_>,
    prefix: &str,
    tiered: bool,
    custom: bool,
) -> Result<Amount, StripeError> {
    let tax_behavior = TaxBehavior::of(params);
    if tiered {
        let tiers = read_tiers(&params.children("tiers"), prefix)?;
        return Ok(Amount {
            unit: None,
            tiers,
            tax_behavior,
        });
    }
    let unit = either(params, prefix, "unit_amount")?;
    if unit.is_none() && !custom {
        return Err(StripeError::invalid(
            "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.",
        )
        .param(at(prefix, "unit_amount")));
    }
    Ok(Amount {
        unit,
        tiers: Vec::new(),
        tax_behavior,
    })
}

/// `name` or `name_decimal`, never both, never negative.
fn either(params: Params<'_>, prefix: &str, name: &str) -> Result<Option<Decimal>, StripeError> {
    let decimal_name = format!("{name}_decimal");
    let whole = params.integer(name).map(Decimal::from_int);
    let exact = params.decimal(&decimal_name);
    if whole.is_some() && exact.is_some() {
        return Err(StripeError::invalid(format!(
            "You may only specify one of these parameters: {name}, {decimal_name}."
        ))
        .param(at(prefix, name)));
    }
    let amount = whole.or(exact);
    if amount.is_some_and(Decimal::is_negative) {
        return Err(StripeError::invalid("Invalid non-negative integer")
            .code("parameter_invalid_integer")
            .param(at(prefix, name)));
    }
    Ok(amount)
}

fn read_tiers(given: &[Params<'_>], prefix: &str) -> Result<Vec<Tier>, StripeError> {
    let mut tiers = Vec::with_capacity(given.len());
    let mut last = Some(0);
    for (position, params) in given.iter().enumerate() {
        let here = at(prefix, &format!("tiers[{position}]"));
        let up_to = params.integer("up_to");
        let ascends = match (last, up_to) {
            (Some(last), Some(up_to)) => up_to > last,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if !ascends {
            return Err(StripeError::invalid(
                "The `up_to` values of `tiers` must be ascending, and only the last may be `inf`.",
            )
            .param(format!("{here}[up_to]")));
        }
        let flat = either(*params, &here, "flat_amount")?;
        let unit = either(*params, &here, "unit_amount")?;
        if flat.is_none() && unit.is_none() {
            return Err(StripeError::invalid(
                "Each tier must have a `unit_amount` or a `flat_amount`.",
            )
            .param(here));
        }
        tiers.push(Tier { up_to, flat, unit });
        last = up_to;
    }
    if last.is_some() {
        return Err(
            StripeError::invalid("The last tier must have `up_to` set to `inf`.")
                .param(at(prefix, "tiers")),
        );
    }
    Ok(tiers)
}

fn read_recurring(params: Params<'_>, prefix: &str) -> Result<Recurring, StripeError> {
    let interval = Interval::parse(params.text("interval").unwrap_or_default());
    let interval_count = params.integer("interval_count").unwrap_or(1);
    let param = at(prefix, "recurring[interval_count]");
    if interval_count < 1 {
        return Err(positive(&param));
    }
    if interval_count > interval.max_count() {
        return Err(StripeError::invalid(format!(
            "The maximum interval count for interval `{}` is {}.",
            interval.name(),
            interval.max_count()
        ))
        .param(param));
    }
    let metered = params.text("usage_type") == Some("metered");
    let meter = params.owned("meter");
    if metered && meter.is_none() {
        return Err(StripeError::invalid(
            "Starting with Stripe version 2025-03-31.basil, all metered prices must be backed by meters.",
        )
        .param(at(prefix, "recurring[meter]")));
    }
    if meter.is_some() && !metered {
        return Err(StripeError::invalid(
            "You may only specify a meter for prices with `usage_type=metered`.",
        )
        .param(at(prefix, "recurring[meter]")));
    }
    let trial_period_days = params.integer("trial_period_days");
    Ok(Recurring {
        interval,
        interval_count,
        metered,
        meter,
        trial_period_days,
    })
}
