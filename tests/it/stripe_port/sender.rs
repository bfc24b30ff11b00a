//! Sends frozen requests to a simulator as an operation does, and checks on the way what holds for
//! all of them.

use portal_billing::domain::stripe_key::ApiKey;
use portal_billing::stripe::catalog::{self, Interval, NewPrice, NewProduct, UnitAmount};
use portal_billing::stripe::customers::{self, CustomerChange, NewCustomer};
use portal_billing::stripe::{
    Change, Customer, FrozenRequest, IdempotencyKey, Metadata, Method, PaymentMethod, Price,
    Product, RawReply, StripeClient, StripeError, payment_methods,
};
use serde::de::DeserializeOwned;
use stripe_simulator::{DEFAULT_SECRET_KEY, Simulator};

use super::client;
use crate::support::contract;
use crate::support::simulator::{admin, start};

/// The parameters of a frozen request, decoded.
pub(super) fn parameters(request: &FrozenRequest) -> Vec<(String, String)> {
    let text: serde_json::Value = serde_json::from_str(&request.to_text()).unwrap();
    let url = format!("https://x/?{}", text["form"].as_str().unwrap());
    reqwest::Url::parse(&url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

pub(super) struct Sender {
    pub(super) simulator: Simulator,
    pub(super) client: StripeClient,
    key: ApiKey,
    steps: u32,
}

impl Sender {
    pub(super) fn start() -> Self {
        let simulator = start();
        Self {
            client: client(simulator.base_url()),
            key: ApiKey::parse(DEFAULT_SECRET_KEY).unwrap(),
            simulator,
            steps: 0,
        }
    }

    /// Sends a request that is expected to succeed, and reads the answer.
    pub(super) async fn send<T: DeserializeOwned>(&mut self, request: FrozenRequest) -> T {
        let name = request.operation();
        match self.send_raw(&request).await {
            Ok(reply) => reply.read().unwrap_or_else(|error| {
                panic!("{name}: {}: {}", error.log_text(), reply.raw_json())
            }),
            Err(error) => panic!("{name}: {}", error.log_text()),
        }
    }

    /// Sends a request that is expected to fail.
    pub(super) async fn refused(&mut self, request: FrozenRequest) -> StripeError {
        self.send_raw(&request).await.unwrap_err()
    }

    /// Sends a request, thawed from its text, and a write twice under the same key.
    async fn send_raw(&mut self, request: &FrozenRequest) -> Result<RawReply, StripeError> {
        let found = contract::violations(
            request.method().as_str(),
            request.path(),
            &parameters(request),
        );
        assert_eq!(found, Vec::<String>::new(), "{}", request.to_text());
        let thawed = FrozenRequest::from_text(&request.to_text()).unwrap();
        assert_eq!(&thawed, request);
        self.steps += 1;
        let key = IdempotencyKey::new(format!("oper_1:{}", self.steps)).unwrap();
        let first = self
            .client
            .send_frozen(&self.key, Some(&key), request)
            .await;
        if request.method() == Method::Post && !request.is_read() {
            let second = self
                .client
                .send_frozen(&self.key, Some(&key), &thawed)
                .await;
            match (&first, second) {
                (Ok(first), Ok(second)) => {
                    assert!(!first.replayed && second.replayed, "{request:?}");
                    assert_eq!(first.raw_json(), second.raw_json());
                }
                (Err(first), Err(second)) => assert_eq!(first.code(), second.code()),
                (first, second) => panic!("{request:?}: {first:?} and then {second:?}"),
            }
        }
        first
    }

    /// A customer whose invoices are paid with this card; the ids of both.
    pub(super) async fn customer_with(&mut self, card: &str) -> (String, String) {
        let new = NewCustomer {
            email: Some("ada@example.com"),
            ..NewCustomer::default()
        };
        let customer: Customer = self.send(customers::create(&new)).await;
        let attach = payment_methods::attach(card, &customer.id).unwrap();
        let method: PaymentMethod = self.send(attach).await;
        let change = CustomerChange {
            default_payment_method: Change::To(&method.id),
            ..CustomerChange::default()
        };
        let update = customers::update(&customer.id, &change).unwrap();
        let _: Customer = self.send(update).await;
        (customer.id, method.id)
    }

    /// A monthly price in euros of a product of this id.
    pub(super) async fn monthly(&mut self, product: &str, cents: i64) -> String {
        let new = NewProduct {
            id: product,
            name: product,
            ..NewProduct::default()
        };
        let _: Product = self.send(catalog::create_product(&new).unwrap()).await;
        let new = NewPrice {
            product,
            currency: "eur",
            unit_amount: UnitAmount::Whole(cents),
            recurring: Some((Interval::Month, 1)),
            tax_behavior: None,
            nickname: None,
            lookup_key: None,
            metadata: Metadata::new(),
        };
        let price: Price = self.send(catalog::create_price(&new)).await;
        price.id
    }

    /// Moves the simulator's clock.
    pub(super) async fn advance_days(&self, days: i64) {
        let advance = serde_json::json!({"advance_seconds": days * 86_400});
        admin(&self.simulator, "/clock", &advance).await;
    }

    /// Posts a form that the port has no words for.
    pub(super) async fn post(&self, path: &str, form: &str) -> serde_json::Value {
        let response = reqwest::Client::new()
            .post(format!("{}{path}", self.simulator.base_url()))
            .bearer_auth(DEFAULT_SECRET_KEY)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
            .send()
            .await
            .unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Whether all answers were as Stripe's.
    pub(super) fn finish(&self) {
        assert_eq!(self.simulator.violations(), Vec::<String>::new());
    }
}
