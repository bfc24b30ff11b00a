//! Products, prices and promotion codes.

use serde::Deserialize;
use stripe_product::price::{
    CreatePrice, CreatePriceRecurring, CreatePriceRecurringUsageType, ListPrice, RetrievePrice,
    UpdatePrice,
};
use stripe_product::product::{CreateProduct, RetrieveProduct};
use stripe_product::promotion_code::ListPromotionCode;
use stripe_types::Currency;

use super::request::{Created, FrozenRequest, Page, hash_map, known, owned, paged, set};
use super::wire::{
    Bare, Change, Expandable, identified, null_as_default, open_enum, seconds, sent_enum,
};
use super::{Metadata, StripeError, path_id, post};
use crate::clock::Timestamp;

/// A product to be.
#[derive(Clone, Debug, Default)]
pub struct NewProduct<'a> {
    /// The id that it shall have, unique in the account; letters, digits, `_` and `-`.
    pub id: &'a str,
    /// What customers read on invoices.
    pub name: &'a str,
    /// What customers read in Checkout.
    pub description: Option<&'a str>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
}

/// Creates a product. Under an id that is taken, Stripe refuses with `resource_already_exists`.
pub fn create_product(new: &NewProduct<'_>) -> Result<FrozenRequest, StripeError> {
    let mut create = CreateProduct::new(new.name).id(path_id(new.id)?);
    set!(create, new, description);
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    Ok(FrozenRequest::of(&create))
}

/// What to change of a product.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ProductChange<'a> {
    /// What customers read on invoices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// What customers read in Checkout.
    #[serde(skip_serializing_if = "Change::is_keep")]
    pub description: Change<&'a str>,
    /// Whether it can be sold. An archived product's subscriptions go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Added to what is there; an empty value removes its key.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// Changes a product.
pub fn update_product(id: &str, change: &ProductChange<'_>) -> Result<FrozenRequest, StripeError> {
    let path = format!("/products/{}", path_id(id)?);
    Ok(post(path).form(change).into())
}

/// Reads a product.
pub fn retrieve_product(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&RetrieveProduct::new(path_id(id)?)))
}

sent_enum! {
    /// How long a billing period's unit is.
    Interval {
        /// A day.
        Day = "day",
        /// A week.
        Week = "week",
        /// A calendar month.
        Month = "month",
        /// A calendar year.
        Year = "year",
    }
}

sent_enum! {
    /// Whether a price has its tax in it.
    TaxBehavior {
        /// Tax is added.
        Exclusive = "exclusive",
        /// Tax is part of it.
        Inclusive = "inclusive",
        /// Not said.
        Unspecified = "unspecified",
    }
}

/// How much a price is, in the currency's minor unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitAmount<'a> {
    /// Whole minor units.
    Whole(i64),
    /// A decimal with at most twelve places, such as `0.05`.
    Decimal(&'a str),
}

/// A price to be. Amount, currency and period can never be changed.
#[derive(Clone, Debug)]
pub struct NewPrice<'a> {
    /// The product's id.
    pub product: &'a str,
    /// Lower-case ISO 4217.
    pub currency: &'a str,
    /// For one unit.
    pub unit_amount: UnitAmount<'a>,
    /// The period: a unit, and how many of them. `None`: paid once.
    pub recurring: Option<(Interval, u64)>,
    /// `None`: Stripe's default.
    pub tax_behavior: Option<TaxBehavior>,
    /// For people, in Stripe's dashboard.
    pub nickname: Option<&'a str>,
    /// By which it can be found, unique among the account's prices; at most 200 characters.
    pub lookup_key: Option<&'a str>,
    /// By which it is recognized as ours.
    pub metadata: Metadata,
}

/// Creates a price.
pub fn create_price(new: &NewPrice<'_>) -> FrozenRequest {
    let mut create = CreatePrice::new(known::<Currency>(new.currency)).product(new.product);
    create = match new.unit_amount {
        UnitAmount::Whole(amount) => create.unit_amount(amount),
        UnitAmount::Decimal(amount) => create.unit_amount_decimal(amount),
    };
    if let Some((interval, count)) = new.recurring {
        let mut recurring = CreatePriceRecurring::new(known::<
            stripe_product::price::CreatePriceRecurringInterval,
        >(interval.as_str()));
        recurring.interval_count = Some(count);
        recurring.usage_type = Some(CreatePriceRecurringUsageType::Licensed);
        create = create.recurring(recurring);
    }
    if let Some(behavior) = new.tax_behavior {
        create = create.tax_behavior(known::<stripe_product::PriceTaxBehavior>(behavior.as_str()));
    }
    set!(create, new, nickname, lookup_key);
    if !new.metadata.is_empty() {
        create = create.metadata(hash_map(&new.metadata));
    }
    FrozenRequest::of(&create)
}

/// What to change of a price.
#[derive(Clone, Debug, Default)]
pub struct PriceChange<'a> {
    /// Whether new subscriptions can have it. Those that have it go on.
    pub active: Option<bool>,
    /// For people, in Stripe's dashboard.
    pub nickname: Option<&'a str>,
    /// Added to what is there; an empty value removes its key.
    pub metadata: Metadata,
}

/// Changes a price.
pub fn update_price(id: &str, change: &PriceChange<'_>) -> Result<FrozenRequest, StripeError> {
    let mut update = UpdatePrice::new(path_id(id)?);
    set!(update, change, active, nickname);
    if !change.metadata.is_empty() {
        update = update.metadata(hash_map(&change.metadata));
    }
    Ok(FrozenRequest::of(&update))
}

/// Reads a price.
pub fn retrieve_price(id: &str) -> Result<FrozenRequest, StripeError> {
    Ok(FrozenRequest::of(&RetrievePrice::new(path_id(id)?)))
}

/// Which prices to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceFilter<'a> {
    /// Only active ones, or only archived ones.
    pub active: Option<bool>,
    /// Of this product.
    pub product: Option<&'a str>,
    /// With one of these keys, at most ten.
    pub lookup_keys: &'a [&'a str],
    /// When they were created.
    pub created: Created,
    /// Which part of the list.
    pub page: Page<'a>,
}

/// Lists prices, newest first.
pub fn list_prices(filter: &PriceFilter<'_>) -> FrozenRequest {
    let mut list = ListPrice::new();
    set!(list, filter, active, product);
    if !filter.lookup_keys.is_empty() {
        list = list.lookup_keys(owned(filter.lookup_keys));
    }
    if let Some(range) = filter.created.range() {
        list = list.created(range);
    }
    paged!(list, filter.page);
    FrozenRequest::of(&list)
}

/// Finds promotion codes by what a customer types; Stripe compares without regard to case. An
/// account has at most one active code of the same text for the same customer.
pub fn list_promotion_codes(code: &str, active: Option<bool>, page: Page<'_>) -> FrozenRequest {
    let mut list = ListPromotionCode::new().code(code);
    if let Some(active) = active {
        list = list.active(active);
    }
    paged!(list, page);
    FrozenRequest::of(&list)
}

/// What this service reads of Stripe's `Product`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Product {
    /// `prod_…`, or as we chose it.
    pub id: String,
    /// Whether it was deleted.
    #[serde(default, deserialize_with = "null_as_default")]
    pub deleted: bool,
    /// What customers read on invoices.
    #[serde(default)]
    pub name: Option<String>,
    /// What customers read in Checkout.
    #[serde(default)]
    pub description: Option<String>,
    /// `None`: not said.
    #[serde(default)]
    pub active: Option<bool>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Product);

open_enum! {
    /// Whether a price is paid once or again and again.
    PriceKind {
        /// Once.
        OneTime = "one_time",
        /// Again and again.
        Recurring = "recurring",
    }
}

/// What this service reads of Stripe's `Price`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// `None`: not said.
    #[serde(default)]
    pub active: Option<bool>,
    /// Lower-case ISO 4217.
    #[serde(default)]
    pub currency: Option<String>,
    /// What it is a price of.
    #[serde(default)]
    pub product: Option<Expandable<Product>>,
    /// For one unit, in minor units; `None` when it is not whole, or has tiers.
    #[serde(default)]
    pub unit_amount: Option<i64>,
    /// The same as a decimal.
    #[serde(default)]
    pub unit_amount_decimal: Option<String>,
    /// The period.
    #[serde(default)]
    pub recurring: Option<Recurring>,
    /// `None`: not said.
    #[serde(default, rename = "type")]
    pub kind: Option<PriceKind>,
    /// `exclusive`, `inclusive` or `unspecified`.
    #[serde(default)]
    pub tax_behavior: Option<String>,
    /// For people.
    #[serde(default)]
    pub nickname: Option<String>,
    /// By which it can be found.
    #[serde(default)]
    pub lookup_key: Option<String>,
    /// Ours.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Metadata,
    /// When it was created.
    #[serde(default, deserialize_with = "seconds")]
    pub created: Option<Timestamp>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(Price);

/// The period of a price.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Recurring {
    /// `day`, `week`, `month` or `year`.
    #[serde(default)]
    pub interval: Option<String>,
    /// How many of them.
    #[serde(default)]
    pub interval_count: Option<u64>,
    /// `licensed` or `metered`.
    #[serde(default)]
    pub usage_type: Option<String>,
}

/// What this service reads of Stripe's `PromotionCode`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PromotionCode {
    /// `promo_…`.
    pub id: String,
    /// What customers type.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether it can be used now.
    #[serde(default, deserialize_with = "null_as_default")]
    pub active: bool,
    /// The one customer it is for; `None`: everybody.
    #[serde(default)]
    pub customer: Option<Expandable<Bare>>,
    /// When it ends.
    #[serde(default, deserialize_with = "seconds")]
    pub expires_at: Option<Timestamp>,
    /// What it takes off.
    #[serde(default)]
    pub promotion: Option<Promotion>,
    /// Whether it is in live mode.
    #[serde(default, deserialize_with = "null_as_default")]
    pub livemode: bool,
}
identified!(PromotionCode);

/// What a promotion code takes off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Promotion {
    /// The coupon.
    #[serde(default)]
    pub coupon: Option<Expandable<Bare>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata::from([("plan".to_owned(), "plan_1".to_owned())])
    }

    #[test]
    fn a_product_has_the_id_we_choose() {
        let new = NewProduct {
            id: "pb_demo_gold-1",
            name: "Gold",
            description: Some("All of it"),
            metadata: metadata(),
        };
        assert_eq!(
            create_product(&new).unwrap().shown(),
            [
                "POST /v1/products",
                "description=All of it",
                "id=pb_demo_gold-1",
                "metadata[plan]=plan_1",
                "name=Gold",
            ]
        );
        assert!(create_product(&NewProduct { id: "a/b", ..new }).is_err());
        assert_eq!(
            retrieve_product("pb_1").unwrap().shown(),
            ["GET /v1/products/pb_1"]
        );
        let change = ProductChange {
            name: Some("Silver"),
            description: Change::Clear,
            active: Some(false),
            metadata: metadata(),
        };
        assert_eq!(
            update_product("pb_1", &change).unwrap().shown(),
            [
                "POST /v1/products/pb_1",
                "active=false",
                "description=",
                "metadata[plan]=plan_1",
                "name=Silver",
            ]
        );
    }

    #[test]
    fn a_price_is_whole_or_decimal_once_or_again_and_again() {
        let monthly = NewPrice {
            product: "pb_1",
            currency: "eur",
            unit_amount: UnitAmount::Whole(1_900),
            recurring: Some((Interval::Month, 3)),
            tax_behavior: Some(TaxBehavior::Exclusive),
            nickname: Some("Gold"),
            lookup_key: Some("pb:gold:1"),
            metadata: metadata(),
        };
        assert_eq!(
            create_price(&monthly).shown(),
            [
                "POST /v1/prices",
                "currency=eur",
                "lookup_key=pb:gold:1",
                "metadata[plan]=plan_1",
                "nickname=Gold",
                "product=pb_1",
                "recurring[interval]=month",
                "recurring[interval_count]=3",
                "recurring[usage_type]=licensed",
                "tax_behavior=exclusive",
                "unit_amount=1900",
            ]
        );
        let once = NewPrice {
            unit_amount: UnitAmount::Decimal("0.003"),
            currency: "xyz",
            recurring: None,
            tax_behavior: None,
            nickname: None,
            lookup_key: None,
            metadata: Metadata::new(),
            ..monthly
        };
        assert_eq!(
            create_price(&once).shown(),
            [
                "POST /v1/prices",
                "currency=xyz",
                "product=pb_1",
                "unit_amount_decimal=0.003"
            ]
        );
        let change = PriceChange {
            active: Some(false),
            nickname: Some("old"),
            metadata: metadata(),
        };
        assert_eq!(
            update_price("price_1", &change).unwrap().shown(),
            [
                "POST /v1/prices/price_1",
                "active=false",
                "metadata[plan]=plan_1",
                "nickname=old"
            ]
        );
        assert_eq!(
            retrieve_price("price_1").unwrap().shown(),
            ["GET /v1/prices/price_1"]
        );
    }

    #[test]
    fn prices_and_promotion_codes_are_found_by_what_is_known_of_them() {
        let filter = PriceFilter {
            active: Some(true),
            product: Some("pb_1"),
            lookup_keys: &["a", "b"],
            created: Created::since(Timestamp::from_seconds(1)),
            page: Page::largest(None),
        };
        assert_eq!(
            list_prices(&filter).shown(),
            [
                "GET /v1/prices",
                "active=true",
                "created[gte]=1",
                "limit=100",
                "lookup_keys[0]=a",
                "lookup_keys[1]=b",
                "product=pb_1",
            ]
        );
        assert_eq!(
            list_promotion_codes("SPRING 20", Some(true), Page::default()).shown(),
            ["GET /v1/promotion_codes", "active=true", "code=SPRING 20"]
        );
    }
}
