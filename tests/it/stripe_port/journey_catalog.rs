//! Products, prices and promotion codes at the simulator.

use portal_billing::stripe::catalog::{
    self, Interval, NewPrice, NewProduct, PriceChange, PriceFilter, PriceKind, ProductChange,
    TaxBehavior, UnitAmount,
};
use portal_billing::stripe::{
    Change, Created, List, Metadata, Outcome, Page, Price, Product, PromotionCode,
};

use super::sender::Sender;

fn metadata() -> Metadata {
    Metadata::from([("plan".to_owned(), "plan_1".to_owned())])
}

#[tokio::test]
async fn a_product_has_our_id_and_only_once() {
    let mut stripe = Sender::start();
    let new = NewProduct {
        id: "pb_demo_gold",
        name: "Gold",
        description: Some("All of it"),
        metadata: metadata(),
    };
    let made: Product = stripe.send(catalog::create_product(&new).unwrap()).await;
    assert_eq!(
        (made.id.as_str(), made.active),
        ("pb_demo_gold", Some(true))
    );
    let error = stripe.refused(catalog::create_product(&new).unwrap()).await;
    assert_eq!(error.outcome(), Outcome::Rejected);
    assert_eq!(error.code(), Some("resource_already_exists"));
    let change = ProductChange {
        name: Some("Silver"),
        description: Change::Clear,
        active: Some(false),
        metadata: Metadata::from([("plan".to_owned(), "plan_2".to_owned())]),
    };
    let changed: Product = stripe
        .send(catalog::update_product(&made.id, &change).unwrap())
        .await;
    assert_eq!(changed.name.as_deref(), Some("Silver"));
    assert_eq!((&changed.description, changed.active), (&None, Some(false)));
    let read: Product = stripe
        .send(catalog::retrieve_product(&made.id).unwrap())
        .await;
    assert_eq!(read, changed);
    stripe.finish();
}

fn quarterly() -> NewPrice<'static> {
    NewPrice {
        product: "pb_demo_gold",
        currency: "eur",
        unit_amount: UnitAmount::Whole(1_900),
        recurring: Some((Interval::Month, 3)),
        tax_behavior: Some(TaxBehavior::Exclusive),
        nickname: Some("Gold"),
        lookup_key: Some("pb:gold:1"),
        metadata: metadata(),
    }
}

#[tokio::test]
async fn prices_are_made_found_and_archived() {
    let mut stripe = Sender::start();
    let product = NewProduct {
        id: "pb_demo_gold",
        name: "Gold",
        ..NewProduct::default()
    };
    let _: Product = stripe
        .send(catalog::create_product(&product).unwrap())
        .await;
    let monthly = quarterly();
    let made: Price = stripe.send(catalog::create_price(&monthly)).await;
    assert_eq!(made.unit_amount, Some(1_900));
    assert_eq!(made.kind, Some(PriceKind::Recurring));
    let recurring = made.recurring.as_ref().unwrap();
    assert_eq!(recurring.interval.as_deref(), Some("month"));
    assert_eq!(recurring.interval_count, Some(3));
    assert_eq!(made.product.as_ref().unwrap().id(), "pb_demo_gold");
    let tiny = NewPrice {
        unit_amount: UnitAmount::Decimal("0.003"),
        lookup_key: Some("pb:gold:2"),
        ..monthly.clone()
    };
    let tiny: Price = stripe.send(catalog::create_price(&tiny)).await;
    assert_eq!(tiny.unit_amount, None);
    assert_eq!(tiny.unit_amount_decimal.as_deref(), Some("0.003"));
    let yen = NewPrice {
        currency: "jpy",
        unit_amount: UnitAmount::Whole(500),
        recurring: None,
        lookup_key: None,
        ..monthly.clone()
    };
    let yen: Price = stripe.send(catalog::create_price(&yen)).await;
    assert_eq!((yen.kind, yen.recurring), (Some(PriceKind::OneTime), None));

    let by_keys = PriceFilter {
        lookup_keys: &["pb:gold:2", "pb:gold:1", "pb:none"],
        ..PriceFilter::default()
    };
    let found: List<Price> = stripe.send(catalog::list_prices(&by_keys)).await;
    let ids: Vec<_> = found.data.iter().map(|price| price.id.as_str()).collect();
    assert_eq!(ids, [tiny.id.as_str(), made.id.as_str()]);

    let change = PriceChange {
        active: Some(false),
        ..PriceChange::default()
    };
    let archived: Price = stripe
        .send(catalog::update_price(&made.id, &change).unwrap())
        .await;
    assert_eq!(archived.active, Some(false));
    let read: Price = stripe
        .send(catalog::retrieve_price(&made.id).unwrap())
        .await;
    assert_eq!(read, archived);
    let sold = PriceFilter {
        active: Some(true),
        product: Some("pb_demo_gold"),
        created: Created::since(made.created.unwrap()),
        page: Page::largest(None),
        ..PriceFilter::default()
    };
    let sold: List<Price> = stripe.send(catalog::list_prices(&sold)).await;
    assert_eq!(sold.data.len(), 2);
    stripe.finish();
}

#[tokio::test]
async fn a_promotion_code_is_found_by_what_a_customer_types() {
    let mut stripe = Sender::start();
    let coupon = stripe
        .post("/v1/coupons", "percent_off=20&duration=once")
        .await;
    let form = format!(
        "promotion[type]=coupon&promotion[coupon]={}&code=SPRING20",
        coupon["id"].as_str().unwrap()
    );
    let made = stripe.post("/v1/promotion_codes", &form).await;
    let found: List<PromotionCode> = stripe
        .send(catalog::list_promotion_codes(
            "SPRING20",
            Some(true),
            Page::default(),
        ))
        .await;
    assert_eq!(found.data.len(), 1);
    let code = &found.data[0];
    assert_eq!(Some(code.id.as_str()), made["id"].as_str());
    assert!(code.active && code.customer.is_none());
    let promotion = code.promotion.as_ref().unwrap().coupon.as_ref().unwrap();
    assert_eq!(Some(promotion.id()), coupon["id"].as_str());
    let none: List<PromotionCode> = stripe
        .send(catalog::list_promotion_codes(
            "AUTUMN",
            None,
            Page::default(),
        ))
        .await;
    assert!(none.data.is_empty());
    stripe.finish();
}
