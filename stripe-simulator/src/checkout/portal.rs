//! The billing portal: configurations and sessions, their state and their JSON.

use serde_json::{Map, Value, json};

use crate::params::Metadata;
use crate::store::{Key, Stored};

/// What customers may do in the portal.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags of Stripe's object"
)]
pub(crate) struct PortalConfiguration {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) livemode: bool,
    pub(crate) active: bool,
    pub(crate) is_default: bool,
    pub(crate) name: Option<String>,
    pub(crate) default_return_url: Option<String>,
    /// `business_profile`, as given.
    pub(crate) business_profile: Map<String, Value>,
    /// `features`, as given.
    pub(crate) features: Map<String, Value>,
    pub(crate) login_page: bool,
    pub(crate) metadata: Metadata,
}

impl Stored for PortalConfiguration {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl PortalConfiguration {
    fn feature(&self, feature: &str, field: &str) -> Option<&Value> {
        self.features
            .get(feature)?
            .get(field)
            .filter(|value| !value.is_null())
    }

    fn flag(&self, feature: &str) -> bool {
        self.feature(feature, "enabled")
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// Whether customers may cancel, and whether that ends the subscription at once.
    pub(crate) fn cancels(&self) -> Option<bool> {
        let mode = self
            .feature("subscription_cancel", "mode")
            .and_then(Value::as_str);
        self.flag("subscription_cancel")
            .then(|| mode == Some("immediately"))
    }

    /// Whether customers may change their payment method.
    pub(crate) fn changes_method(&self) -> bool {
        self.flag("payment_method_update")
    }

    /// Whether customers see their invoices.
    pub(crate) fn shows_invoices(&self) -> bool {
        self.flag("invoice_history")
    }

    pub(crate) fn render(&self, base_url: &str) -> Value {
        let field = |feature: &str, name: &str, default: Value| {
            self.feature(feature, name).cloned().unwrap_or(default)
        };
        let profile = |name: &str| self.business_profile.get(name).cloned().unwrap_or_default();
        let reason = self.feature("subscription_cancel", "cancellation_reason");
        let reasons = reason.and_then(|reason| reason.get("options")).cloned();
        let asks = reason.and_then(|reason| reason.get("enabled")).cloned();
        json!({
            "id": self.id,
            "object": "billing_portal.configuration",
            "active": self.active,
            "application": null,
            "business_profile": {
                "headline": profile("headline"),
                "privacy_policy_url": profile("privacy_policy_url"),
                "terms_of_service_url": profile("terms_of_service_url"),
            },
            "created": self.created,
            "default_return_url": self.default_return_url,
            "features": {
                "customer_update": {
                    "allowed_updates": field("customer_update", "allowed_updates", json!([])),
                    "enabled": self.flag("customer_update"),
                },
                "invoice_history": { "enabled": self.flag("invoice_history") },
                "payment_method_update": {
                    "enabled": self.flag("payment_method_update"),
                    "payment_method_configuration": null,
                },
                "subscription_cancel": {
                    "cancellation_reason": {
                        "enabled": asks.unwrap_or(false.into()),
                        "options": reasons.unwrap_or_else(|| {
                            json!([
                                "too_expensive", "missing_features", "switched_service", "unused",
                                "customer_service", "too_complex", "low_quality", "other",
                            ])
                        }),
                    },
                    "enabled": self.flag("subscription_cancel"),
                    "mode": field("subscription_cancel", "mode", "at_period_end".into()),
                    "proration_behavior":
                        field("subscription_cancel", "proration_behavior", "none".into()),
                },
                "subscription_update": {
                    "billing_cycle_anchor":
                        field("subscription_update", "billing_cycle_anchor", Value::Null),
                    "default_allowed_updates":
                        field("subscription_update", "default_allowed_updates", json!([])),
                    "enabled": self.flag("subscription_update"),
                    "proration_behavior":
                        field("subscription_update", "proration_behavior", "none".into()),
                    "schedule_at_period_end": { "conditions": [] },
                    "trial_update_behavior":
                        field("subscription_update", "trial_update_behavior", "end_trial".into()),
                },
            },
            "is_default": self.is_default,
            "livemode": self.livemode,
            "login_page": {
                "enabled": self.login_page,
                "url": self.login_page.then(|| format!("{base_url}/p/login/{}", self.id)),
            },
            "metadata": self.metadata,
            "name": self.name,
            "updated": self.updated,
        })
    }
}

/// A customer's visit to the portal.
#[derive(Debug, Clone)]
pub(crate) struct PortalSession {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) configuration: String,
    pub(crate) customer: String,
    pub(crate) return_url: Option<String>,
    pub(crate) locale: Option<String>,
    /// `flow_data`, as given.
    pub(crate) flow: Option<Map<String, Value>>,
    /// The last part of the page's address; only its holder may use the session.
    pub(crate) secret: String,
}

impl Stored for PortalSession {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![
            ("customer", self.customer.clone()),
            ("secret", self.secret.clone()),
        ]
    }
}

impl PortalSession {
    /// The page's address.
    pub(crate) fn url(&self, base_url: &str) -> String {
        format!("{base_url}/p/session/{}", self.secret)
    }

    /// Where a flow leads once its one thing is done.
    pub(crate) fn after_completion(&self) -> Option<&str> {
        let after = self.flow.as_ref()?.get("after_completion")?;
        let redirects = after.get("type").and_then(Value::as_str) == Some("redirect");
        after
            .pointer("/redirect/return_url")?
            .as_str()
            .filter(|_| redirects)
    }

    pub(crate) fn render(&self, base_url: &str) -> Value {
        json!({
            "id": self.id,
            "object": "billing_portal.session",
            "configuration": self.configuration,
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "flow": self.flow.as_ref().map(render_flow),
            "livemode": self.livemode,
            "locale": self.locale,
            "on_behalf_of": null,
            "return_url": self.return_url,
            "url": self.url(base_url),
        })
    }
}

/// `flow_data` with the nulls that Stripe puts in.
fn render_flow(given: &Map<String, Value>) -> Value {
    let field = |name: &str| given.get(name).cloned().unwrap_or_default();
    let after = given.get("after_completion");
    let after = |name: &str| {
        after
            .and_then(|after| after.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let kind = match after("type") {
        Value::Null => Value::from("portal_homepage"),
        kind => kind,
    };
    json!({
        "after_completion": {
            "hosted_confirmation": after("hosted_confirmation"),
            "redirect": after("redirect"),
            "type": kind,
        },
        "subscription_cancel": field("subscription_cancel"),
        "subscription_update": field("subscription_update"),
        "subscription_update_confirm": field("subscription_update_confirm"),
        "type": field("type"),
    })
}
