//! Parameters that older API versions took and the pinned one no longer takes.
//!
//! A request is of the version in its `Stripe-Version` header, or else of the account's default
//! version. The contract is the pinned version's; a parameter that was removed since is put into
//! today's words before it is checked, so that clients that live on an older version work. The
//! answers keep the pinned version's shapes.

use std::collections::BTreeMap;

use super::errors::StripeError;
use super::form::Form;
use super::router::{Method, Route};
use crate::account::Account;

/// What an older request says that has no parameter today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Legacy {
    /// `coupon` of a customer; empty removes the discount.
    pub(crate) coupon: Option<String>,
}

type Fields = BTreeMap<String, Form>;

/// One parameter that a version removed.
struct Removal {
    /// The first version without it.
    version: &'static str,
    paths: &'static [&'static str],
    translate: fn(&Account, &mut Fields, &mut Legacy),
}

const REMOVALS: [Removal; 5] = [
    // https://docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-payment-intents-and-setup-intents
    // https://docs.stripe.com/changelog/endive/2026-09-30/remove-payment-method-types-checkout-sessions
    Removal {
        version: "2026-09-30",
        paths: &[
            "/v1/payment_intents",
            "/v1/payment_intents/{intent}",
            "/v1/payment_intents/{intent}/confirm",
            "/v1/setup_intents",
            "/v1/setup_intents/{intent}",
            "/v1/checkout/sessions",
        ],
        translate: |_, fields, _| {
            rename(
                fields,
                "payment_method_types",
                "allowed_payment_method_types",
            );
        },
    },
    // https://docs.stripe.com/changelog/clover/2025-09-30/polymorphic-coupon
    Removal {
        version: "2025-09-30",
        paths: &["/v1/promotion_codes"],
        translate: |_, fields, _| promotion(fields),
    },
    // https://docs.stripe.com/changelog/clover/2025-09-30/remove-iterations
    Removal {
        version: "2025-09-30",
        paths: &[
            "/v1/subscription_schedules",
            "/v1/subscription_schedules/{schedule}",
        ],
        translate: |account, fields, _| iterations(account, fields),
    },
    // https://docs.stripe.com/changelog/basil/2025-03-31/deprecate-singular-coupon-promotion-code
    Removal {
        version: "2025-03-31",
        paths: &["/v1/customers", "/v1/customers/{customer}"],
        translate: |_, fields, legacy| legacy.coupon = take_text(fields, "coupon"),
    },
    Removal {
        version: "2025-03-31",
        paths: &[
            "/v1/subscriptions",
            "/v1/subscriptions/{subscription_exposed_id}",
        ],
        translate: |_, fields, _| singular_discounts(fields),
    },
];

/// Whether a request of this version may use removed parameters.
pub(crate) fn is_older(version: &str) -> bool {
    day(version) < day(crate::API_VERSION)
}

/// Puts the removed parameters of an older request into today's words.
pub(crate) fn translate(
    account: &Account,
    route: &Route,
    version: &str,
    form: &mut Form,
) -> Legacy {
    let mut legacy = Legacy::default();
    let Form::Map(fields) = form else {
        return legacy;
    };
    if route.method == Method::Post {
        for removal in &REMOVALS {
            if day(version) < removal.version && removal.paths.contains(&route.path) {
                (removal.translate)(account, fields, &mut legacy);
            }
        }
    }
    legacy
}

/// Refuses what the pinned version refuses with a code of its own.
///
/// # Errors
/// 400 `payment_method_types_no_longer_supported` for the intents' old parameter.
pub(crate) fn refuse(route: &Route, form: &Form) -> Result<(), StripeError> {
    let Form::Map(fields) = form else {
        return Ok(());
    };
    let is_intent = route.path.starts_with("/v1/payment_intents")
        || route.path.starts_with("/v1/setup_intents");
    if route.method == Method::Post && is_intent && fields.contains_key("payment_method_types") {
        return Err(StripeError::invalid(
            "The parameter `payment_method_types` is no longer supported in this API version. Use `allowed_payment_method_types`, `excluded_payment_method_types` or dynamic payment methods instead.",
        )
        .code("payment_method_types_no_longer_supported")
        .param("payment_method_types")
        .not_stored());
    }
    Ok(())
}

/// The date in front of a version's name. Dates of this form compare as text.
fn day(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

fn rename(fields: &mut Fields, old: &str, new: &str) {
    if let Some(value) = fields.remove(old) {
        fields.insert(new.to_owned(), value);
    }
}

fn take_text(fields: &mut Fields, name: &str) -> Option<String> {
    match fields.remove(name)? {
        Form::Text(text) => Some(text),
        Form::List(_) | Form::Map(_) => None,
    }
}

fn map<const N: usize>(entries: [(&str, Form); N]) -> Form {
    Form::Map(
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// `coupon=x` → `promotion[type]=coupon&promotion[coupon]=x`.
fn promotion(fields: &mut Fields) {
    if let Some(coupon) = fields.remove("coupon") {
        let kind = Form::Text("coupon".to_owned());
        fields.insert(
            "promotion".to_owned(),
            map([("type", kind), ("coupon", coupon)]),
        );
    }
}

/// `coupon=x` → `discounts[0][coupon]=x`; an empty one clears the discounts.
fn singular_discounts(fields: &mut Fields) {
    for name in ["coupon", "promotion_code"] {
        let Some(value) = fields.remove(name) else {
            continue;
        };
        let discounts = match &value {
            Form::Text(text) if text.is_empty() => value,
            _ => Form::List(vec![map([(name, value)])]),
        };
        fields.insert("discounts".to_owned(), discounts);
    }
}

/// `phases[][iterations]=3` → a `duration` of three of the first price's intervals.
fn iterations(account: &Account, fields: &mut Fields) {
    let phases: Vec<&mut Form> = match fields.get_mut("phases") {
        Some(Form::List(phases)) => phases.iter_mut().collect(),
        Some(Form::Map(phases)) => phases.values_mut().collect(),
        _ => Vec::new(),
    };
    for phase in phases {
        let Form::Map(phase) = phase else { continue };
        let Some(Form::Text(times)) = phase.remove("iterations") else {
            continue;
        };
        let Ok(times) = times.parse::<i64>() else {
            continue;
        };
        let (interval, count) = first_interval(account, phase);
        let length = Form::Text(count.saturating_mul(times).to_string());
        let duration = map([
            ("interval", Form::Text(interval)),
            ("interval_count", length),
        ]);
        phase.insert("duration".to_owned(), duration);
    }
}

/// Of the first price of a phase; a month where none is named (the handler says what is missing).
fn first_interval(account: &Account, phase: &Fields) -> (String, i64) {
    let item = match phase.get("items") {
        Some(Form::List(items)) => items.first(),
        Some(Form::Map(items)) => items.values().next(),
        _ => None,
    };
    let id = match item {
        Some(Form::Map(item)) => match item.get("price") {
            Some(Form::Text(id)) => id.as_str(),
            _ => "",
        },
        _ => "",
    };
    let recurring = account
        .prices
        .get(id)
        .and_then(|price| price.recurring.as_ref());
    recurring.map_or_else(
        || ("month".to_owned(), 1),
        |recurring| {
            (
                recurring.interval.name().to_owned(),
                recurring.interval_count,
            )
        },
    )
}
