//! Invoices, their lines, and the invoice items that wait for an invoice.

use serde_json::Value;

use super::lines;
use super::model::{CollectionMethod, Subscription};
use crate::account::Account;
use crate::currency::Currency;
use crate::engine::period::Period;
use crate::params::Metadata;
use crate::resources::prices::Price;
use crate::store::{Key, Stored};

/// An invoice's status (`status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InvoiceStatus {
    Draft,
    Open,
    Paid,
    Uncollectible,
    Void,
}

impl InvoiceStatus {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Uncollectible => "uncollectible",
            Self::Void => "void",
        }
    }
}

/// Which price a line was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinePrice {
    pub(crate) price: String,
    pub(crate) product: String,
    /// What one unit cost, in minor units, as a decimal string.
    pub(crate) unit_amount_decimal: Option<String>,
}

/// One rate's tax on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineTax {
    pub(crate) rate: String,
    pub(crate) amount: i64,
    pub(crate) taxable: i64,
    pub(crate) inclusive: bool,
    pub(crate) reason: &'static str,
}

/// The line an earlier invoice billed that a proration gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreditedLines {
    pub(crate) invoice: String,
    pub(crate) lines: Vec<String>,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Stripe's object, independent of the others"
)]
pub(crate) struct Line {
    pub(crate) id: String,
    /// Before discounts and exclusive tax, in minor units.
    pub(crate) amount: i64,
    pub(crate) description: Option<String>,
    pub(crate) discountable: bool,
    pub(crate) discounts: Vec<String>,
    /// What each discount took off: discount id and amount.
    pub(crate) discount_amounts: Vec<(String, i64)>,
    /// What billing credits paid of it: credit balance transaction id and amount.
    pub(crate) credit_amounts: Vec<(String, i64)>,
    pub(crate) period: Period,
    pub(crate) quantity: Option<i64>,
    pub(crate) price: Option<LinePrice>,
    pub(crate) proration: bool,
    pub(crate) credited: Option<CreditedLines>,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_item: Option<String>,
    pub(crate) invoice_item: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) tax_rates: Vec<String>,
    pub(crate) taxes: Vec<LineTax>,
    /// Billed in arrears by a meter; billing credits apply to such lines alone.
    pub(crate) metered: bool,
    /// The price's `tax_behavior` is `inclusive`.
    pub(crate) tax_inclusive: bool,
}

impl Line {
    /// What is left after discounts, in minor units.
    pub(crate) fn discounted(&self) -> i64 {
        let off = self.discount_amounts.iter().map(|(_, amount)| *amount);
        off.fold(self.amount, i64::saturating_sub)
    }

    /// What is left after discounts and billing credits: what tax is reckoned on.
    pub(crate) fn taxable(&self) -> i64 {
        let credits = self.credit_amounts.iter().map(|(_, amount)| *amount);
        credits.fold(self.discounted(), i64::saturating_sub)
    }
}

/// An item that waits for the customer's next invoice, or already stands on one.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Stripe's object, independent of the others"
)]
pub(crate) struct InvoiceItem {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) currency: Currency,
    pub(crate) date: i64,
    /// The invoice it stands on; none while it is pending.
    pub(crate) invoice: Option<String>,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_item: Option<String>,
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) description: Option<String>,
    pub(crate) discountable: bool,
    pub(crate) discounts: Vec<String>,
    pub(crate) period: Period,
    pub(crate) price: Option<LinePrice>,
    pub(crate) proration: bool,
    pub(crate) credited: Option<CreditedLines>,
    pub(crate) tax_rates: Vec<String>,
    pub(crate) tax_inclusive: bool,
    pub(crate) metadata: Metadata,
    pub(crate) test_clock: Option<String>,
    pub(crate) livemode: bool,
    pub(crate) deleted: bool,
}

impl InvoiceItem {
    /// An item of nothing, dated now.
    pub(crate) fn blank(account: &mut Account, customer: &str, currency: Currency) -> Self {
        let now = account.now();
        Self {
            id: account.ids.long("ii_"),
            customer: customer.to_owned(),
            currency,
            date: now,
            invoice: None,
            subscription: None,
            subscription_item: None,
            amount: 0,
            quantity: 1,
            description: None,
            discountable: true,
            discounts: Vec::new(),
            period: Period {
                start: now,
                end: now,
            },
            price: None,
            proration: false,
            credited: None,
            tax_rates: Vec::new(),
            tax_inclusive: false,
            metadata: Metadata::new(),
            test_clock: account
                .customers
                .get(customer)
                .and_then(|own| own.test_clock.clone()),
            livemode: account.livemode,
            deleted: false,
        }
    }

    /// So many units of a one-time price, for a subscription.
    pub(crate) fn once(
        account: &mut Account,
        own: &Subscription,
        price: &Price,
        quantity: i64,
    ) -> Self {
        let mut item = Self::blank(account, &own.customer, own.currency);
        item.set_price(price, quantity);
        item.subscription = Some(own.id.clone());
        item.description = Some(lines::product_name(account, price));
        item
    }

    /// Prices so many units of a price.
    pub(crate) fn set_price(&mut self, price: &Price, quantity: i64) {
        let unit = lines::unit_amount(price, self.currency);
        self.amount = lines::pricing(price, self.currency).amount(quantity);
        self.quantity = quantity;
        self.price = Some(LinePrice {
            price: price.id.clone(),
            product: price.product.clone(),
            unit_amount_decimal: unit.map(|unit| unit.to_string()),
        });
        self.tax_inclusive = lines::is_tax_inclusive(price, self.currency);
    }

    /// The line it makes on an invoice.
    pub(crate) fn line(&self, id: String) -> Line {
        Line {
            id,
            amount: self.amount,
            description: self.description.clone(),
            discountable: self.discountable,
            discounts: self.discounts.clone(),
            discount_amounts: Vec::new(),
            credit_amounts: Vec::new(),
            period: self.period,
            quantity: Some(self.quantity),
            price: self.price.clone(),
            proration: self.proration,
            credited: self.credited.clone(),
            subscription: self.subscription.clone(),
            subscription_item: self.subscription_item.clone(),
            invoice_item: Some(self.id.clone()),
            metadata: self.metadata.clone(),
            tax_rates: self.tax_rates.clone(),
            taxes: Vec::new(),
            metered: false,
            tax_inclusive: self.tax_inclusive,
        }
    }
}

impl Stored for InvoiceItem {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.date
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![("customer", self.customer.clone())];
        match &self.invoice {
            Some(invoice) => keys.push(("invoice", invoice.clone())),
            None if !self.deleted => keys.push(("pending", self.customer.clone())),
            None => {}
        }
        keys
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// The customer's particulars as they stood when the invoice was finalized.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CustomerSnapshot {
    pub(crate) address: Value,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) shipping: Value,
    pub(crate) tax_exempt: Option<String>,
    pub(crate) tax_ids: Value,
}

/// When an invoice reached each status (`status_transitions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names are Stripe's")]
pub(crate) struct Transitions {
    pub(crate) finalized_at: Option<i64>,
    pub(crate) marked_uncollectible_at: Option<i64>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) voided_at: Option<i64>,
}

/// Sums over an invoice's lines, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Lines before discounts and exclusive tax.
    pub(crate) subtotal: i64,
    /// The same without the tax that is inside the lines.
    pub(crate) subtotal_excluding_tax: i64,
    /// After discounts, credits and tax.
    pub(crate) total: i64,
    /// After discounts and credits, without any tax.
    pub(crate) total_excluding_tax: i64,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Stripe's object, independent of the others"
)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    pub(crate) status: InvoiceStatus,
    pub(crate) billing_reason: &'static str,
    pub(crate) collection_method: CollectionMethod,
    pub(crate) lines: Vec<Line>,
    pub(crate) totals: Totals,
    pub(crate) subscription: Option<String>,
    /// The subscription's metadata when the invoice was made.
    pub(crate) subscription_metadata: Metadata,
    pub(crate) proration_date: Option<i64>,
    pub(crate) number: Option<String>,
    pub(crate) period: Period,
    pub(crate) due_date: Option<i64>,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) auto_advance: bool,
    pub(crate) automatically_finalizes_at: Option<i64>,
    pub(crate) effective_at: Option<i64>,
    pub(crate) attempt_count: i64,
    pub(crate) attempted: bool,
    pub(crate) next_payment_attempt: Option<i64>,
    pub(crate) starting_balance: i64,
    pub(crate) ending_balance: Option<i64>,
    /// What is asked for: the total less the balance applied, in minor units.
    pub(crate) amount_due: i64,
    pub(crate) amount_paid: i64,
    pub(crate) amount_overpaid: i64,
    pub(crate) amount_paid_off_stripe: i64,
    pub(crate) pre_payment_credit_notes: i64,
    pub(crate) post_payment_credit_notes: i64,
    pub(crate) automatic_tax: bool,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) default_source: Option<String>,
    pub(crate) default_tax_rates: Vec<String>,
    pub(crate) discounts: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) footer: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) custom_fields: Value,
    pub(crate) account_tax_ids: Value,
    pub(crate) rendering: Value,
    pub(crate) shipping_details: Value,
    pub(crate) payment_settings: Value,
    pub(crate) metadata: Metadata,
    pub(crate) snapshot: CustomerSnapshot,
    pub(crate) transitions: Transitions,
    pub(crate) uncollectible_reason: Option<&'static str>,
    pub(crate) payment_intent: Option<String>,
    /// The invoice it was made from (`from_invoice`).
    pub(crate) revises: Option<String>,
    pub(crate) latest_revision: Option<String>,
    pub(crate) receipt_number: Option<String>,
    pub(crate) last_finalization_error: Value,
    pub(crate) test_clock: Option<String>,
    pub(crate) livemode: bool,
    pub(crate) deleted: bool,
}

impl Invoice {
    /// What is still to be paid, in minor units.
    pub(crate) fn amount_remaining(&self) -> i64 {
        self.amount_due.saturating_sub(self.amount_paid).max(0)
    }

    /// The secret in the hosted page's address: stable for the invoice.
    pub(crate) fn token(&self) -> &str {
        self.id.strip_prefix("in_").unwrap_or(&self.id)
    }
}

impl Stored for Invoice {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            ("customer", self.customer.clone()),
            ("status", self.status.as_str().to_owned()),
        ];
        if let Some(subscription) = &self.subscription {
            keys.push(("subscription", subscription.clone()));
        }
        if let Some(intent) = &self.payment_intent {
            keys.push(("payment_intent", intent.clone()));
        }
        keys
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

/// One payment towards an invoice (`invoice_payment`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvoicePayment {
    pub(crate) id: String,
    pub(crate) invoice: String,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    pub(crate) amount_requested: i64,
    pub(crate) amount_paid: Option<i64>,
    /// `open`, `paid` or `canceled`.
    pub(crate) status: &'static str,
    pub(crate) payment_intent: Option<String>,
    pub(crate) paid_at: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) livemode: bool,
}

impl Stored for InvoicePayment {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![("invoice", self.invoice.clone())];
        if let Some(intent) = &self.payment_intent {
            keys.push(("payment_intent", intent.clone()));
        }
        keys
    }
}
