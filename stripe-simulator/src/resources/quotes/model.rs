//! A quote's state and JSON.

use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::billing::lines;
use crate::clock::Timestamp;
use crate::params::Metadata;
use crate::resources::prices::Price;
use crate::store::{Key, Stored};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Draft,
    Open,
    Accepted,
    Canceled,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) price: String,
    pub(crate) quantity: i64,
    pub(crate) tax_rates: Option<Value>,
}

/// What a quote comes to, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    subtotal: i64,
    discount: i64,
    tax: i64,
    total: i64,
    /// Of each price: subtotal, discount and tax.
    by_price: Vec<(String, [i64; 3])>,
}

impl Sums {
    /// Quantities times prices.
    pub(crate) fn plain(account: &Account, quote: &Quote) -> Self {
        let mut sums = Self::default();
        for line in &quote.lines {
            let Some(price) = account.prices.get(&line.price) else {
                continue;
            };
            let amount = lines::pricing(price, price.currency).amount(line.quantity);
            sums.subtotal += amount;
            sums.total += amount;
            sums.by_price.push((line.price.clone(), [amount, 0, 0]));
        }
        sums
    }

    /// Of an invoice preview.
    pub(crate) fn of_preview(preview: &Value) -> Self {
        let of = |name: &str| preview.get(name).and_then(Value::as_i64).unwrap_or(0);
        let rows = preview.pointer("/lines/data").and_then(Value::as_array);
        let by_price = rows
            .into_iter()
            .flatten()
            .map(|row| {
                let price = row.pointer("/pricing/price_details/price");
                let price = price.and_then(Value::as_str).unwrap_or_default();
                let amount = row.get("amount").and_then(Value::as_i64).unwrap_or(0);
                let amounts = [amount, sum(row, "discount_amounts"), sum(row, "taxes")];
                (price.to_owned(), amounts)
            })
            .collect();
        Self {
            subtotal: of("subtotal"),
            discount: sum(preview, "total_discount_amounts"),
            tax: sum(preview, "total_taxes"),
            total: of("total"),
            by_price,
        }
    }

    fn details(&self) -> Value {
        json!({
            "amount_discount": self.discount,
            "amount_shipping": 0,
            "amount_tax": self.tax,
        })
    }
}

fn sum(value: &Value, name: &str) -> i64 {
    let rows = value.get(name).and_then(Value::as_array);
    let amounts = rows.into_iter().flatten();
    amounts.filter_map(|row| row.get("amount")?.as_i64()).sum()
}

#[derive(Clone, Debug)]
pub(crate) struct Quote {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) status: Status,
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) footer: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) number: Option<String>,
    pub(crate) lines: Vec<Line>,
    /// Parameters that are passed on to what the quote becomes, as they were checked.
    pub(crate) terms: Map<String, Value>,
    pub(crate) sums: Sums,
    pub(crate) finalized_at: Option<Timestamp>,
    pub(crate) accepted_at: Option<Timestamp>,
    pub(crate) canceled_at: Option<Timestamp>,
    pub(crate) subscription: Option<String>,
    pub(crate) invoice: Option<String>,
}

impl Stored for Quote {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let customer = self.customer.iter();
        customer.map(|id| ("customer", id.clone())).collect()
    }
}

impl Quote {
    pub(crate) fn new(id: String, created: Timestamp, expires_at: Timestamp) -> Self {
        Self {
            id,
            created,
            expires_at,
            status: Status::Draft,
            customer: None,
            description: None,
            header: None,
            footer: None,
            metadata: Metadata::new(),
            number: None,
            lines: Vec::new(),
            terms: Map::new(),
            sums: Sums::default(),
            finalized_at: None,
            accepted_at: None,
            canceled_at: None,
            subscription: None,
            invoice: None,
        }
    }

    /// One of the nested terms, such as `invoice_settings[days_until_due]`.
    pub(crate) fn term(&self, outer: &str, inner: &str) -> Option<&Value> {
        let value = self.terms.get(outer)?.get(inner)?;
        (!value.is_null() && value != "").then_some(value)
    }

    /// Its recurring and its one-time lines, as items of a call.
    pub(crate) fn split(&self, account: &Account) -> (Vec<Value>, Vec<Value>) {
        let (mut recurring, mut once) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let mut item = json!({ "price": line.price, "quantity": line.quantity });
            if let (Some(rates), Value::Object(item)) = (&line.tax_rates, &mut item) {
                item.insert("tax_rates".to_owned(), rates.clone());
            }
            let recurs = account
                .prices
                .get(&line.price)
                .is_some_and(|price| price.recurring.is_some());
            if recurs {
                recurring.push(item);
            } else {
                once.push(item);
            }
        }
        (recurring, once)
    }

    fn prices<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = &'a Price> {
        self.lines
            .iter()
            .filter_map(|line| account.prices.get(&line.price))
    }

    pub(crate) fn currency(&self, account: &Account) -> Option<&'static str> {
        self.prices(account)
            .next()
            .map(|price| price.currency.code())
    }

    /// The part that comes again each period, before discounts that end.
    fn recurring(&self, account: &Account) -> Value {
        let mut found = None;
        let (mut subtotal, mut discount, mut tax) = (0, 0, 0);
        for price in self.prices(account) {
            let Some(recurring) = &price.recurring else {
                continue;
            };
            found.get_or_insert(recurring);
            let amounts = self.amounts(&price.id);
            subtotal += amounts[0];
            discount += amounts[1];
            tax += amounts[2];
        }
        found.map_or(Value::Null, |recurring| {
            json!({
                "amount_subtotal": subtotal,
                "amount_total": subtotal - discount + tax,
                "interval": recurring.interval.name(),
                "interval_count": recurring.interval_count,
                "total_details": {
                    "amount_discount": discount,
                    "amount_shipping": 0,
                    "amount_tax": tax,
                },
            })
        })
    }

    fn amounts(&self, price: &str) -> [i64; 3] {
        let found = self.sums.by_price.iter().find(|(id, _)| id == price);
        found.map_or([0; 3], |(_, amounts)| *amounts)
    }

    /// The lines as Stripe shows them.
    pub(crate) fn render_lines(&self, account: &Account) -> Vec<Value> {
        let lines = self.lines.iter().filter_map(|line| {
            let price = account.prices.get(&line.price)?;
            let [subtotal, discount, tax] = self.amounts(&line.price);
            Some(json!({
                "id": line.id,
                "object": "item",
                "amount_discount": discount,
                "amount_subtotal": subtotal,
                "amount_tax": tax,
                "amount_total": subtotal - discount + tax,
                "currency": price.currency,
                "description": lines::product_name(account, price),
                "price": price.render(account),
                "quantity": line.quantity,
            }))
        });
        lines.collect()
    }

    pub(crate) fn render(&self, account: &Account) -> Value {
        let clock = self
            .customer
            .as_ref()
            .and_then(|id| account.customers.get(id));
        let automatic = self.term("automatic_tax", "enabled") == Some(&json!(true));
        json!({
            "id": self.id,
            "object": "quote",
            "amount_subtotal": self.sums.subtotal,
            "amount_total": self.sums.total,
            "application": null,
            "application_fee_amount": null,
            "application_fee_percent": null,
            "automatic_tax": render_automatic_tax(automatic),
            "collection_method":
                self.terms.get("collection_method").cloned().unwrap_or("charge_automatically".into()),
            "computed": {
                "recurring": self.recurring(account),
                "upfront": {
                    "amount_subtotal": self.sums.subtotal,
                    "amount_total": self.sums.total,
                    "total_details": self.sums.details(),
                },
            },
            "created": self.created,
            "currency": self.currency(account),
            "customer": self.customer,
            "customer_account": null,
            "default_tax_rates":
                self.terms.get("default_tax_rates").filter(|v| v.is_array()).cloned().unwrap_or(json!([])),
            "description": self.description,
            "discounts": [],
            "expires_at": self.expires_at,
            "footer": self.footer,
            "from_quote": null,
            "header": self.header,
            "invoice": self.invoice,
            "invoice_settings": {
                "custom_fields": null,
                "days_until_due": self.term("invoice_settings", "days_until_due"),
                "description": self.term("invoice_settings", "description"),
                "footer": self.term("invoice_settings", "footer"),
                "issuer": { "type": "self" },
            },
            "livemode": account.livemode,
            "metadata": self.metadata,
            "number": self.number,
            "on_behalf_of": null,
            "status": self.status.name(),
            "status_transitions": {
                "accepted_at": self.accepted_at,
                "canceled_at": self.canceled_at,
                "finalized_at": self.finalized_at,
            },
            "subscription": self.subscription,
            "subscription_data": {
                "billing_mode": { "type": "flexible" },
                "description": self.term("subscription_data", "description"),
                "effective_date": self.term("subscription_data", "effective_date"),
                "metadata": self.term("subscription_data", "metadata"),
                "trial_period_days": self.term("subscription_data", "trial_period_days"),
            },
            "subscription_schedule": null,
            "test_clock": clock.and_then(|customer| customer.test_clock.as_ref()),
            "total_details": self.sums.details(),
            "transfer_data": null,
        })
    }
}

fn render_automatic_tax(enabled: bool) -> Value {
    json!({
        "enabled": enabled,
        "liability": enabled.then(|| json!({ "type": "self" })),
        "provider": enabled.then_some("stripe"),
        "status": enabled.then_some("complete"),
    })
}
