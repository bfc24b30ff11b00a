//! What the tests of subscriptions and invoices share.

use serde_json::Value;

use crate::support::{START, Stripe};

pub(crate) const DAY: i64 = 86_400;

/// A customer on a test clock, with a product to subscribe to.
pub(crate) struct Shop {
    pub(crate) stripe: Stripe,
    pub(crate) clock: String,
    pub(crate) customer: String,
    pub(crate) product: String,
}

impl Shop {
    /// A customer whose default method is this ready-made test method.
    pub(crate) fn open(method: &str) -> Self {
        let shop = Self::without_method();
        shop.give_method(method);
        shop
    }

    /// A customer without any method.
    pub(crate) fn without_method() -> Self {
        let stripe = Stripe::start();
        let clock = stripe
            .post(
                "/v1/test_helpers/test_clocks",
                &[("frozen_time", &START.to_string())],
            )
            .ok();
        let clock = text(&clock["id"]);
        let customer = stripe
            .post(
                "/v1/customers",
                &[("email", "jenny@example.com"), ("test_clock", &clock)],
            )
            .ok();
        let product = stripe.post("/v1/products", &[("name", "Gold")]).id();
        Self {
            customer: text(&customer["id"]),
            stripe,
            clock,
            product,
        }
    }

    /// Attaches a ready-made test method and makes it the default.
    pub(crate) fn give_method(&self, method: &str) -> String {
        let path = format!("/v1/payment_methods/{method}/attach");
        let attached = self
            .stripe
            .post(&path, &[("customer", &self.customer)])
            .ok();
        let id = text(&attached["id"]);
        let path = format!("/v1/customers/{}", self.customer);
        self.stripe
            .post(&path, &[("invoice_settings[default_payment_method]", &id)])
            .ok();
        id
    }

    /// A recurring price of this many cents per month.
    pub(crate) fn price(&self, cents: i64) -> String {
        self.price_with(cents, &[])
    }

    /// The same with further parameters; one of the same name replaces ours.
    pub(crate) fn price_with(&self, cents: i64, more: &[(&str, &str)]) -> String {
        let cents = cents.to_string();
        let own = [
            ("currency", "usd"),
            ("product", self.product.as_str()),
            ("unit_amount", cents.as_str()),
            ("recurring[interval]", "month"),
        ];
        let kept = own
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(other, _)| name == other));
        let form: Vec<(&str, &str)> = kept.chain(more.iter().copied()).collect();
        text(&self.stripe.post("/v1/prices", &form).ok()["id"])
    }

    /// A create call for a subscription to this price.
    pub(crate) fn try_subscribe(
        &self,
        price: &str,
        more: &[(&str, &str)],
    ) -> crate::support::Reply {
        let own = [
            ("customer", self.customer.as_str()),
            ("items[0][price]", price),
        ];
        let form: Vec<(&str, &str)> = own.into_iter().chain(more.iter().copied()).collect();
        self.stripe.post("/v1/subscriptions", &form)
    }

    /// A subscription to this price.
    #[track_caller]
    pub(crate) fn subscribe(&self, price: &str, more: &[(&str, &str)]) -> Value {
        self.try_subscribe(price, more).ok()
    }

    /// Moves the test clock to so many seconds after its start.
    #[track_caller]
    pub(crate) fn advance_to(&self, seconds: i64) {
        let path = format!("/v1/test_helpers/test_clocks/{}/advance", self.clock);
        let to = (START + seconds).to_string();
        self.stripe.post(&path, &[("frozen_time", &to)]).ok();
        let path = format!("/v1/test_helpers/test_clocks/{}", self.clock);
        assert_eq!(self.stripe.get(&path).ok()["status"], "ready");
    }

    /// The subscription as it is now.
    #[track_caller]
    pub(crate) fn subscription(&self, id: &Value) -> Value {
        self.stripe
            .get(&format!("/v1/subscriptions/{}", text(id)))
            .ok()
    }

    /// The invoice as it is now.
    #[track_caller]
    pub(crate) fn invoice(&self, id: &Value) -> Value {
        self.stripe.get(&format!("/v1/invoices/{}", text(id))).ok()
    }

    /// The customer's invoices, newest first.
    #[track_caller]
    pub(crate) fn invoices(&self) -> Vec<Value> {
        let path = format!("/v1/invoices?limit=100&customer={}", self.customer);
        self.stripe.get(&path).ok()["data"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The types of all events, oldest first.
    pub(crate) fn events(&self) -> Vec<String> {
        let list = self.stripe.get("/v1/events?limit=100").ok();
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| text(&event["type"]))
            .collect()
    }

    /// The types of the events about billing since the given number of events, oldest first.
    pub(crate) fn events_of(&self, prefixes: &[&str]) -> Vec<String> {
        let wanted = |kind: &String| prefixes.iter().any(|prefix| kind.starts_with(prefix));
        self.events().into_iter().filter(wanted).collect()
    }
}

/// A JSON string's text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no string: {value}"))
        .to_owned()
}
