//! The Checkout session: its state and its JSON.

use serde_json::{Value, json};

use crate::account::Account;
use crate::currency::Currency;
use crate::front::list::embedded;
use crate::params::Metadata;
use crate::payments::payment_intent::render_configuration;
use crate::store::{Key, Stored};

/// `session.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Payment,
    Setup,
    Subscription,
}

impl Mode {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Setup => "setup",
            Self::Subscription => "subscription",
        }
    }
}

/// `session.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionStatus {
    Open,
    Complete,
    Expired,
}

impl SessionStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// `session.payment_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaidStatus {
    NoPaymentRequired,
    Paid,
    Unpaid,
}

impl PaidStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoPaymentRequired => "no_payment_required",
            Self::Paid => "paid",
            Self::Unpaid => "unpaid",
        }
    }
}

/// One thing in the cart.
#[derive(Debug, Clone)]
pub(crate) struct CartLine {
    pub(crate) id: String,
    pub(crate) price: String,
    /// None for metered prices.
    pub(crate) quantity: Option<i64>,
    /// What is due now, in minor units.
    pub(crate) amount: i64,
    /// Becomes an item of the subscription, not of its first invoice only.
    pub(crate) recurring: bool,
    pub(crate) description: String,
}

/// What the customer has filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payer {
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
}

/// A Checkout session.
#[derive(Debug, Clone)]
pub(crate) struct CheckoutSession {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) livemode: bool,
    pub(crate) mode: Mode,
    pub(crate) status: SessionStatus,
    pub(crate) payment_status: PaidStatus,
    pub(crate) currency: Option<Currency>,
    pub(crate) lines: Vec<CartLine>,
    pub(crate) customer: Option<String>,
    /// Make a customer even where the mode needs none.
    pub(crate) creates_customer: bool,
    pub(crate) payer: Payer,
    pub(crate) payment_intent: Option<String>,
    pub(crate) setup_intent: Option<String>,
    pub(crate) subscription: Option<String>,
    pub(crate) invoice: Option<String>,
    /// The method that the bank is asked about, in subscription mode.
    pub(crate) pending_method: Option<String>,
    /// Why the last submission was refused, for the customer.
    pub(crate) message: Option<String>,
    pub(crate) payment_method_types: Vec<String>,
    /// The payment method configuration, when methods are automatic.
    pub(crate) configuration: Option<String>,
    pub(crate) payment_link: Option<String>,
    /// `hosted_page`, `embedded_page`, …
    pub(crate) ui_mode: String,
    pub(crate) client_secret: Option<String>,
    /// The page's address on this simulator.
    pub(crate) page: String,
    /// The creation parameters that are shown as they were given, or handed on to what the
    /// session makes: `success_url`, `subscription_data`, `locale`, …
    pub(crate) given: serde_json::Map<String, Value>,
    pub(crate) metadata: Metadata,
}

impl Stored for CheckoutSession {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let named = [
            ("customer", &self.customer),
            ("payment_intent", &self.payment_intent),
            ("subscription", &self.subscription),
            ("invoice", &self.invoice),
            ("payment_link", &self.payment_link),
        ];
        named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

impl CheckoutSession {
    /// What is due now, in minor units; none in setup mode.
    pub(crate) fn total(&self) -> Option<i64> {
        (self.mode != Mode::Setup).then(|| {
            self.lines
                .iter()
                .fold(0, |sum, line| i64::saturating_add(sum, line.amount))
        })
    }

    /// Whether it can be completed without a payment method: nothing is due, and the caller asked
    /// for one only `if_required`.
    pub(crate) fn needs_no_method(&self) -> bool {
        self.mode == Mode::Subscription
            && self.total() == Some(0)
            && self.given_text("payment_method_collection") == Some("if_required")
    }

    pub(crate) fn is_hosted(&self) -> bool {
        self.ui_mode == "hosted_page"
    }

    /// A text among the creation parameters.
    pub(crate) fn given_text(&self, name: &str) -> Option<&str> {
        self.given
            .get(name)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// A hash among the creation parameters.
    pub(crate) fn given_map(&self, name: &str) -> serde_json::Map<String, Value> {
        self.given
            .get(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    fn shown(&self, name: &str) -> Value {
        self.given.get(name).cloned().unwrap_or_default()
    }

    /// Where the customer goes after success, the placeholder filled in.
    pub(crate) fn success_url(&self) -> Option<String> {
        let url = self
            .given_text("success_url")
            .or_else(|| self.given_text("return_url"))?;
        Some(url.replace("{CHECKOUT_SESSION_ID}", &self.id))
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let mut session = self.render_state(account);
        if let (Some(session), Some(choices)) = (
            session.as_object_mut(),
            self.render_choices().as_object_mut(),
        ) {
            session.append(choices);
        }
        session
    }

    /// What has become of the session.
    fn render_state(&self, account: &Account) -> Value {
        let total = self.total();
        let open = self.status == SessionStatus::Open;
        json!({
            "id": self.id,
            "object": "checkout.session",
            "adaptive_pricing": { "enabled": false },
            "after_expiration": null,
            "amount_subtotal": total,
            "amount_total": total,
            "client_secret": self.client_secret.as_ref().filter(|_| open),
            "collected_information": self.collected(),
            "consent": null,
            "created": self.created,
            "currency": self.currency,
            "currency_conversion": null,
            "customer": self.customer,
            "customer_account": null,
            "customer_details": self.customer_details(account),
            "customer_email": self.shown("customer_email"),
            "expires_at": self.expires_at,
            "invoice": self.invoice,
            "livemode": self.livemode,
            "managed_payments": { "enabled": false },
            "metadata": self.metadata,
            "mode": self.mode.as_str(),
            "payment_intent": self.payment_intent,
            "payment_link": self.payment_link,
            "payment_status": self.payment_status.as_str(),
            "recovered_from": null,
            "setup_intent": self.setup_intent,
            "shipping_cost": null,
            "status": self.status.as_str(),
            "subscription": self.subscription,
            "total_details": total.map(|_| {
                json!({ "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 })
            }),
            "url": (open && self.is_hosted()).then_some(&self.page),
        })
    }

    /// What the caller chose, with Stripe's defaults.
    fn render_choices(&self) -> Value {
        let or = |name: &str, default: Value| match self.given.get(name) {
            Some(value) if !value.is_null() => value.clone(),
            _ => default,
        };
        let creation = match self.mode {
            Mode::Subscription => Value::Null,
            _ => or("customer_creation", "if_required".into()),
        };
        let collection = if self.mode == Mode::Payment {
            "if_required"
        } else {
            "always"
        };
        json!({
            "allow_promotion_codes": self.shown("allow_promotion_codes"),
            "allowed_payment_method_types": self.shown("allowed_payment_method_types"),
            "automatic_tax": self.automatic_tax(),
            "billing_address_collection": self.shown("billing_address_collection"),
            "cancel_url": self.shown("cancel_url"),
            "client_reference_id": self.shown("client_reference_id"),
            "consent_collection": null,
            "custom_fields": [],
            "custom_text": no_custom_text(),
            "customer_creation": creation,
            "discounts": [],
            "excluded_payment_method_types": null,
            "integration_identifier": self.shown("integration_identifier"),
            "invoice_creation": self.invoice_creation(),
            "locale": self.shown("locale"),
            "name_collection": null,
            "optional_items": null,
            "origin_context": self.shown("origin_context"),
            "payment_method_collection": or("payment_method_collection", collection.into()),
            "payment_method_configuration_details":
                render_configuration(self.configuration.as_deref()),
            "payment_method_options": or("payment_method_options", json!({
                "card": { "request_three_d_secure": "automatic" },
            })),
            "payment_method_types": self.payment_method_types,
            "permissions": null,
            "phone_number_collection": { "enabled": false },
            "redirect_on_completion":
                (!self.is_hosted()).then(|| or("redirect_on_completion", "always".into())),
            "return_url": self.shown("return_url"),
            "saved_payment_method_options": self.saved_options(),
            "shipping_address_collection": null,
            "shipping_options": [],
            "submit_type": self.shown("submit_type"),
            "success_url": self.shown("success_url"),
            "ui_mode": self.ui_mode,
            "wallet_options": null,
        })
    }

    fn automatic_tax(&self) -> Value {
        let given = self
            .given
            .get("automatic_tax")
            .and_then(|tax| tax.get("enabled"));
        json!({
            "enabled": given.and_then(Value::as_bool).unwrap_or(false),
            "liability": null,
            "provider": null,
            "status": null,
        })
    }

    fn invoice_creation(&self) -> Option<Value> {
        (self.mode == Mode::Payment).then(|| {
            json!({
                "enabled": false,
                "invoice_data": {
                    "account_tax_ids": null,
                    "custom_fields": null,
                    "description": null,
                    "footer": null,
                    "issuer": null,
                    "metadata": {},
                    "rendering_options": null,
                },
            })
        })
    }

    fn saved_options(&self) -> Value {
        if self.mode == Mode::Setup {
            return Value::Null;
        }
        json!({
            "allow_redisplay_filters": ["always"],
            "payment_method_remove": "disabled",
            "payment_method_save": null,
        })
    }

    fn collected(&self) -> Value {
        if self.status != SessionStatus::Complete {
            return Value::Null;
        }
        json!({ "business_name": null, "individual_name": null, "shipping_details": null })
    }

    /// Null until the customer or the caller has said who it is.
    fn customer_details(&self, account: &Account) -> Value {
        let customer = self
            .customer
            .as_deref()
            .and_then(|id| account.customers.get(id));
        let email = self
            .payer
            .email
            .as_deref()
            .or_else(|| self.given_text("customer_email"))
            .or_else(|| customer?.email.as_deref());
        let name = self
            .payer
            .name
            .as_deref()
            .or_else(|| customer?.name.as_deref());
        if self.status != SessionStatus::Complete && email.is_none() {
            return Value::Null;
        }
        let done = self.status == SessionStatus::Complete;
        json!({
            "address": done.then(|| json!({
                "city": null,
                "country": account.settings.country,
                "line1": null,
                "line2": null,
                "postal_code": null,
                "state": null,
            })),
            "business_name": null,
            "email": email,
            "individual_name": null,
            "name": name.filter(|_| done),
            "phone": null,
            "tax_exempt": "none",
            "tax_ids": done.then(|| json!([])),
        })
    }

    /// `line_items`, which only `expand` and its own call show.
    pub(crate) fn render_lines(&self, account: &Account) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| self.line(account, line))
            .collect();
        let total = lines.len();
        embedded(
            format!("/v1/checkout/sessions/{}/line_items", self.id),
            lines,
            total,
        )
    }

    fn line(&self, account: &Account, line: &CartLine) -> Value {
        json!({
            "id": line.id,
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": 0,
            "amount_subtotal": line.amount,
            "amount_tax": 0,
            "amount_total": line.amount,
            "currency": self.currency,
            "description": line.description,
            "metadata": {},
            "price": account.render(&line.price),
            "quantity": line.quantity,
        })
    }
}

/// `custom_text` of a page without any.
pub(crate) fn no_custom_text() -> Value {
    json!({
        "after_submit": null,
        "shipping_address": null,
        "submit": null,
        "terms_of_service_acceptance": null,
    })
}
