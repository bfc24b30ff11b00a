//! Customers and what they pay with, as the tests of billing need them.

use reqwest::Method;
use serde_json::{Value, json};

use super::service::{Answer, Service};

/// The portal of these tests.
pub(crate) const PORTAL: &str = "acme";

/// Where the portal's customers are.
pub(crate) const CUSTOMERS: &str = "/v1/portals/acme/customers";

impl Service {
    /// The portal of these tests with credentials, whose consumers may come back to
    /// `https://portal.example`.
    pub(crate) async fn with_billing(&self) {
        self.configured_portal(PORTAL).await;
        self.put(
            "/v1/portals/acme/modules/stripe",
            json!({
                "enabled": true,
                "settings": {"allowed_return_origins": ["https://portal.example"]},
            }),
        )
        .await
        .expect(200);
    }

    /// A new customer of this external id.
    pub(crate) async fn customer(&self, external_id: &str) -> Value {
        self.post(CUSTOMERS, customer(external_id))
            .await
            .expect(201)
    }

    /// A POST with an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        let bearer = self.bearer();
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        self.call_with(Method::POST, path, &headers, body).await
    }

    /// Saves a payment method for a customer.
    pub(crate) async fn save(&self, customer: &str, key: &str, body: Value) -> Answer {
        let path = format!("{CUSTOMERS}/{customer}/payment-methods");
        self.post_once(&path, key, body).await
    }

    /// With a token that is bound to an organization.
    pub(crate) async fn call_bound(
        &self,
        organization: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        let claims = [("portal", PORTAL), ("org", organization), ("scope", "all")];
        let bearer = format!("Bearer {}", self.token(&claims));
        let headers = [
            ("authorization", bearer.as_str()),
            ("idempotency-key", "bound-0001"),
        ];
        self.call_with(method, path, &headers, body).await
    }

    /// A call to Stripe's own API at the simulator, as a browser or a dashboard makes it.
    pub(crate) async fn stripe(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let url = format!("{}{path}", self.simulator.base_url());
        let encoded = reqwest::Url::parse_with_params("https://x/", form).unwrap();
        let request = self
            .client
            .post(url)
            .bearer_auth(super::service::SECRET_KEY)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded.query().unwrap_or_default().to_owned());
        Self::answer(request).await.expect(200)
    }

    /// A card that Stripe's scripts have made in a browser, by the name of a test card.
    pub(crate) async fn card(&self, name: &str) -> String {
        let token = format!("tok_{name}");
        let form = [("type", "card"), ("card[token]", token.as_str())];
        let made = self.stripe("/v1/payment_methods", &form).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// Every object of a kind that the simulator has.
    pub(crate) async fn objects_at_stripe(&self, kind: &str) -> Vec<Value> {
        let state = self.simulator(Method::GET, "/state", Value::Null).await;
        state["objects"][kind].as_array().unwrap().clone()
    }

    /// Calls that the product has made since the log was emptied.
    pub(crate) async fn calls(&self) -> Vec<String> {
        let log = self.simulator(Method::GET, "/requests", Value::Null).await;
        let entries = log["data"].as_array().unwrap().iter();
        entries
            .map(|entry| {
                format!(
                    "{} {}",
                    entry["method"].as_str().unwrap(),
                    entry["template"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// Empties the log of calls.
    pub(crate) async fn forget_calls(&self) {
        self.simulator(Method::DELETE, "/requests", Value::Null)
            .await;
    }

    /// Lets something go wrong at Stripe.
    pub(crate) async fn fault(&self, kind: &str, method: &str, path: &str) {
        let body = json!({"kind": kind, "method": method, "path": path});
        self.simulator(Method::POST, "/faults", body).await;
    }

    /// The actions in the portal's audit log, oldest first.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let path = format!("/v1/portals/{PORTAL}/audit-log?limit=100");
        let log = self.get(&path).await.expect(200);
        let entries = log["data"].as_array().unwrap().iter().rev();
        entries
            .map(|entry| entry["action"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// What a new customer is.
pub(crate) fn customer(external_id: &str) -> Value {
    json!({
        "external_id": external_id,
        "name": "Globex GmbH",
        "email": "billing@globex.example",
    })
}
