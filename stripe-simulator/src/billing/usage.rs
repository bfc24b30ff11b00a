//! Meters and what they measured; billing credits.

use std::collections::HashMap;

use super::invoice_model::Invoice;
use crate::account::Account;
use crate::clock::DAY;
use crate::engine::decimal::Decimal;
use crate::engine::period::Period;
use crate::resources::prices::Price;
use crate::store::{Key, Stored};

/// How a meter sums up (`default_aggregation.formula`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formula {
    Count,
    Sum,
    Last,
}

impl Formula {
    /// Stripe's word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Last => "last",
        }
    }

    /// Reads Stripe's word.
    pub(crate) fn parse(word: &str) -> Self {
        match word {
            "count" => Self::Count,
            "last" => Self::Last,
            _ => Self::Sum,
        }
    }

    fn of<'a>(self, events: impl Iterator<Item = &'a UsageEvent>) -> Decimal {
        match self {
            Self::Count => events.fold(Decimal::ZERO, |sum, _| sum.plus(Decimal::ONE)),
            Self::Sum => events.fold(Decimal::ZERO, |sum, event| sum.plus(event.value)),
            Self::Last => events
                .max_by_key(|event| event.timestamp)
                .map_or(Decimal::ZERO, |event| event.value),
        }
    }
}

/// A meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meter {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) display_name: String,
    pub(crate) event_name: String,
    pub(crate) formula: Formula,
    pub(crate) time_window: Option<String>,
    pub(crate) customer_key: String,
    pub(crate) value_key: String,
    pub(crate) deactivated_at: Option<i64>,
}

impl Stored for Meter {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let status = if self.deactivated_at.is_none() {
            "active"
        } else {
            "inactive"
        };
        vec![
            ("event_name", self.event_name.clone()),
            ("status", status.to_owned()),
        ]
    }
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsageEvent {
    pub(crate) identifier: String,
    pub(crate) timestamp: i64,
    pub(crate) value: Decimal,
}

/// All measurements of an account.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// By meter and customer, in the order they came.
    events: HashMap<(String, String), Vec<UsageEvent>>,
    /// When each identifier of an event name was last taken.
    identifiers: HashMap<(String, String), i64>,
}

impl Usage {
    /// Whether an identifier was taken within the last 24 hours (Stripe: "uniqueness … within a
    /// rolling period of at least 24 hours").
    pub(crate) fn is_taken(&self, event_name: &str, identifier: &str, now: i64) -> bool {
        let key = (event_name.to_owned(), identifier.to_owned());
        self.identifiers.get(&key).is_some_and(|at| now - at < DAY)
    }

    /// Takes a measurement in.
    pub(crate) fn record(&mut self, meter: &Meter, customer: &str, event: UsageEvent, now: i64) {
        let name = (meter.event_name.clone(), event.identifier.clone());
        self.identifiers.insert(name, now);
        self.events
            .entry((meter.id.clone(), customer.to_owned()))
            .or_default()
            .push(event);
    }

    /// Forgets a measurement of the last 24 hours; whether there was one.
    pub(crate) fn cancel(&mut self, meter: &Meter, identifier: &str, now: i64) -> bool {
        if !self.is_taken(&meter.event_name, identifier, now) {
            return false;
        }
        let mut found = false;
        for ((own, _), events) in &mut self.events {
            if *own == meter.id {
                let before = events.len();
                events.retain(|event| event.identifier != identifier);
                found |= events.len() < before;
            }
        }
        found
    }

    /// What a meter measured for a customer in a period.
    pub(crate) fn total(&self, meter: &Meter, customer: &str, period: Period) -> Decimal {
        let key = (meter.id.clone(), customer.to_owned());
        let events = self.events.get(&key).map_or(&[][..], Vec::as_slice);
        let inside =
            |event: &&UsageEvent| period.start <= event.timestamp && event.timestamp < period.end;
        meter.formula.of(events.iter().filter(inside))
    }
}

/// The quantity that a metered price bills for a period; usage is rounded to whole units.
pub(crate) fn quantity(account: &Account, price: &Price, customer: &str, period: Period) -> i64 {
    let meter = price
        .recurring
        .as_ref()
        .and_then(|recurring| recurring.meter.as_deref());
    let meter = meter.and_then(|meter| account.billing.meters.get(meter));
    meter.map_or(0, |meter| {
        account.billing.usage.total(meter, customer, period).round()
    })
}

/// A grant of billing credits (`billing.credit_grant`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CreditGrant {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) customer: String,
    pub(crate) currency: crate::currency::Currency,
    /// Minor units granted.
    pub(crate) value: i64,
    /// Minor units not yet used.
    pub(crate) remaining: i64,
    pub(crate) category: String,
    pub(crate) effective_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) priority: i64,
    pub(crate) name: Option<String>,
    pub(crate) metadata: crate::params::Metadata,
    /// Limited to these prices; empty for every metered price.
    pub(crate) prices: Vec<String>,
    pub(crate) voided_at: Option<i64>,
    pub(crate) test_clock: Option<String>,
}

impl Stored for CreditGrant {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("customer", self.customer.clone())]
    }
}

impl CreditGrant {
    /// Whether it may pay now.
    pub(crate) fn is_usable(&self, now: i64) -> bool {
        self.remaining > 0
            && self.voided_at.is_none()
            && self.effective_at <= now
            && self.expires_at.is_none_or(|at| at > now)
    }
}

/// What moved a grant's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CreditMovement {
    Granted,
    Applied {
        invoice: String,
        line: String,
    },
    /// The invoice it was applied to was voided.
    GivenBack {
        invoice: String,
        line: String,
    },
}

/// A movement of billing credits (`billing.credit_balance_transaction`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreditTransaction {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) grant: String,
    pub(crate) currency: crate::currency::Currency,
    /// Minor units, above zero.
    pub(crate) amount: i64,
    pub(crate) movement: CreditMovement,
    pub(crate) test_clock: Option<String>,
}

impl CreditTransaction {
    /// A movement of a grant's balance.
    pub(crate) fn of(
        grant: &CreditGrant,
        id: String,
        amount: i64,
        movement: CreditMovement,
        now: i64,
    ) -> Self {
        Self {
            id,
            created: now,
            customer: grant.customer.clone(),
            grant: grant.id.clone(),
            currency: grant.currency,
            amount,
            movement,
            test_clock: grant.test_clock.clone(),
        }
    }
}

impl Stored for CreditTransaction {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("customer", self.customer.clone())]
    }
}

/// The customer's grants that may pay now, in the order Stripe uses them: priority, the soonest
/// to expire, promotional before paid, the oldest (docs.stripe.com, "Billing credits").
fn usable_grants(account: &Account, invoice: &Invoice) -> Vec<CreditGrant> {
    let now = account.now();
    let mut grants: Vec<CreditGrant> = account
        .billing
        .credit_grants
        .by_key("customer", &invoice.customer)
        .filter(|grant| grant.currency == invoice.currency && grant.is_usable(now))
        .cloned()
        .collect();
    grants.sort_by_key(|grant| {
        let expiry = grant.expires_at.unwrap_or(i64::MAX);
        (
            grant.priority,
            expiry,
            grant.category == "paid",
            grant.effective_at,
            grant.created,
        )
    });
    grants
}

/// Pays the metered lines of an invoice with billing credits, before tax; with `spend` the grants
/// are lessened, without it this is a preview.
pub(crate) fn apply_credit_grants(account: &mut Account, invoice: &mut Invoice, spend: bool) {
    for line in &mut invoice.lines {
        line.credit_amounts.clear();
    }
    let now = account.now();
    for mut grant in usable_grants(account, invoice) {
        for line in invoice.lines.iter_mut().filter(|line| line.metered) {
            let fits = grant.prices.is_empty()
                || line
                    .price
                    .as_ref()
                    .is_some_and(|price| grant.prices.contains(&price.price));
            let amount = line.taxable().min(grant.remaining);
            if !fits || amount <= 0 {
                continue;
            }
            grant.remaining -= amount;
            let id = account.ids.long("cbtxn_");
            line.credit_amounts.push((id.clone(), amount));
            if spend {
                let movement = CreditMovement::Applied {
                    invoice: invoice.id.clone(),
                    line: line.id.clone(),
                };
                let made = CreditTransaction::of(&grant, id, amount, movement, now);
                account.billing.credit_transactions.insert(made);
            }
        }
        if spend && let Some(mut own) = account.billing.credit_grants.get_mut(&grant.id) {
            own.remaining = grant.remaining;
        }
    }
}

/// Gives back the credits that a voided invoice used.
pub(crate) fn give_credits_back(account: &mut Account, invoice: &Invoice) {
    let now = account.now();
    for line in &invoice.lines {
        for (transaction, amount) in &line.credit_amounts {
            let used = account.billing.credit_transactions.get(transaction);
            let Some(grant) = used.map(|used| used.grant.clone()) else {
                continue;
            };
            let id = account.ids.long("cbtxn_");
            let Some(mut own) = account.billing.credit_grants.get_mut(&grant) else {
                continue;
            };
            own.remaining = own.remaining.saturating_add(*amount);
            let movement = CreditMovement::GivenBack {
                invoice: invoice.id.clone(),
                line: line.id.clone(),
            };
            let made = CreditTransaction::of(&own, id, *amount, movement, now);
            drop(own);
            account.billing.credit_transactions.insert(made);
        }
    }
}
