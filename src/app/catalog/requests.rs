//! What is asked of Stripe for each task, and whether what is found there is ours.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

use super::tasks::Task;
use crate::app::stripe_metadata::{PLAN, PRODUCT, REVISION, made_by};
use crate::domain::catalog::{PlanRevision, Product};
use crate::domain::error::Error;
use crate::domain::money::UnitAmount;
use crate::domain::operation::Operation;
use crate::domain::pricing::{IntervalUnit, Pricing, TaxBehavior};
use crate::domain::slug::Slug;
use crate::store::StoreError;
use crate::stripe::catalog::{
    self as there, Interval, NewPrice, NewProduct, PriceChange, PriceFilter, ProductChange,
};
use crate::stripe::{FrozenRequest, Metadata, Page, StripeError};

/// Hexadecimal digits of a name that is made of others: 128 bits.
const DIGITS: usize = 32;

/// The id of the Product that stands for a plan: always the same, so that making it twice is refused.
pub(super) fn product_id(portal: &Slug, product: &Product, plan: &str) -> String {
    name_of(&[portal.as_str(), product.id.as_str(), plan, &product.nonce])
}

/// The lookup key of the Price that stands for a revision: one Price has it.
pub(super) fn lookup_key(portal: &Slug, product: &Product, plan: &str, revision: i64) -> String {
    name_of(&[&product_id(portal, product, plan), &revision.to_string()])
}

fn name_of(parts: &[&str]) -> String {
    // A line end stands in no part.
    let digest = HEXLOWER.encode(digest(&SHA256, parts.join("\n").as_bytes()).as_ref());
    format!("pb_{}", digest.get(..DIGITS).unwrap_or_default())
}

/// The request of a task. `revision` is that of tasks about a Price.
pub(super) fn request(
    operation: &Operation,
    product: &Product,
    task: &Task,
    revision: Option<&PlanRevision>,
) -> Result<FrozenRequest, StoreError> {
    let portal = &operation.portal;
    let made = match task {
        Task::CreateProduct { plan, name } => there::create_product(&NewProduct {
            id: &product_id(portal, product, plan),
            name,
            description: None,
            metadata: made_by(operation, &[(PRODUCT, product.id.as_str()), (PLAN, plan)]),
        }),
        Task::AdoptProduct { plan } => there::retrieve_product(&product_id(portal, product, plan)),
        Task::UpdateProduct {
            id, name, active, ..
        } => there::update_product(
            id,
            &ProductChange {
                name: active.then_some(name),
                active: Some(*active),
                ..ProductChange::default()
            },
        ),
        Task::CreatePrice {
            plan,
            revision: number,
            product: id,
            key,
        } => {
            let pricing = revision.map(|revision| &revision.pricing);
            let price = pricing.and_then(PriceText::of).ok_or_else(not_paid)?;
            let number = number.to_string();
            let metadata = made_by(
                operation,
                &[
                    (PRODUCT, product.id.as_str()),
                    (PLAN, plan),
                    (REVISION, &number),
                ],
            );
            Ok(price.request(id, key, &format!("{plan}, revision {number}"), metadata))
        }
        Task::AdoptPrice { key, .. } => Ok(with_key(key, None)),
        Task::UpdatePrice { id, active, .. } => there::update_price(
            id,
            &PriceChange {
                active: Some(*active),
                ..PriceChange::default()
            },
        ),
    };
    made.map_err(|error: StripeError| Error::from(error).into())
}

/// The Prices that have this lookup key: one, or none.
pub(super) fn with_key(key: &str, after: Option<&str>) -> FrozenRequest {
    there::list_prices(&PriceFilter {
        lookup_keys: &[key],
        page: Page::largest(after),
        ..PriceFilter::default()
    })
}

fn not_paid() -> StoreError {
    StoreError::Other("a revision that costs nothing has no price".to_owned())
}

/// A pricing as it is sent.
struct PriceText {
    currency: &'static str,
    amount: UnitAmount,
    decimal: String,
    interval: (Interval, u64),
    tax_behavior: Option<there::TaxBehavior>,
}

impl PriceText {
    fn of(pricing: &Pricing) -> Option<Self> {
        let (price, terms) = (pricing.unit_price()?, pricing.terms()?);
        let unit = match terms.interval.unit {
            IntervalUnit::Day => Interval::Day,
            IntervalUnit::Week => Interval::Week,
            IntervalUnit::Month => Interval::Month,
            IntervalUnit::Year => Interval::Year,
        };
        Some(Self {
            currency: price.currency.as_str(),
            amount: price.amount,
            decimal: price.amount.to_string(),
            interval: (unit, u64::try_from(terms.interval.count).ok()?),
            tax_behavior: match terms.tax_behavior {
                TaxBehavior::Exclusive => Some(there::TaxBehavior::Exclusive),
                TaxBehavior::Inclusive => Some(there::TaxBehavior::Inclusive),
                // The account's default decides only if nothing is said.
                TaxBehavior::Unspecified => None,
            },
        })
    }

    fn request(
        &self,
        product: &str,
        key: &str,
        nickname: &str,
        metadata: Metadata,
    ) -> FrozenRequest {
        there::create_price(&NewPrice {
            product,
            currency: self.currency,
            unit_amount: match self.amount.as_minor() {
                Some(minor) => there::UnitAmount::Whole(minor),
                None => there::UnitAmount::Decimal(&self.decimal),
            },
            recurring: Some(self.interval),
            tax_behavior: self.tax_behavior,
            nickname: Some(nickname),
            lookup_key: Some(key),
            metadata,
        })
    }
}

/// Whether a Product that was found is the one that stands for this plan.
pub(super) fn is_our_product(
    found: &there::Product,
    operation: &Operation,
    product: &Product,
    plan: &str,
) -> bool {
    let says = |key: &str, value: &str| found.metadata.get(key).is_some_and(|own| own == value);
    !found.deleted
        && says(
            crate::app::stripe_metadata::PORTAL,
            operation.portal.as_str(),
        )
        && says(PRODUCT, product.id.as_str())
        && says(PLAN, plan)
}

/// Whether a Price that was found charges exactly what this pricing says, for this Product.
pub(super) fn is_our_price(found: &there::Price, pricing: &Pricing, product: &str) -> bool {
    let Some(wanted) = PriceText::of(pricing) else {
        return false;
    };
    let amount = found
        .unit_amount_decimal
        .as_deref()
        .and_then(|text| UnitAmount::parse(text).ok())
        .or_else(|| found.unit_amount.and_then(UnitAmount::from_minor));
    let (interval, count) = wanted.interval;
    let every = found.recurring.as_ref().is_some_and(|recurring| {
        recurring.interval.as_deref() == Some(interval.as_str())
            && recurring.interval_count == Some(count)
            && recurring
                .usage_type
                .as_deref()
                .is_none_or(|usage| usage == "licensed")
    });
    let tax = wanted
        .tax_behavior
        .is_none_or(|behavior| found.tax_behavior.as_deref() == Some(behavior.as_str()));
    let of_product = found
        .product
        .as_ref()
        .is_some_and(|own| own.id() == product);
    found.currency.as_deref() == Some(wanted.currency)
        && amount == Some(wanted.amount)
        && every
        && tax
        && of_product
}
