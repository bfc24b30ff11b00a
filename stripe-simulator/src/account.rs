//! One Stripe account in one mode: every object, clock and setting of it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::billing::Billing;
use crate::checkout::Hosted;
use crate::clock::{ClockMode, Clocks};
use crate::currency::Currency;
use crate::events::{Event, RequestStamp};
use crate::front::idempotency::IdempotencyKeys;
use crate::front::rate_limit::RateLimiter;
use crate::ids::Ids;
use crate::payments::Payments;
use crate::registry;
use crate::resources::coupons::Coupon;
use crate::resources::customer_balance_transactions::CustomerBalanceTransaction;
use crate::resources::customers::Customer;
use crate::resources::prices::Price;
use crate::resources::products::Product;
use crate::resources::promotion_codes::PromotionCode;
use crate::resources::quotes::Quote;
use crate::resources::tax_calculations::TaxCalculation;
use crate::resources::tax_ids::TaxId;
use crate::resources::tax_rates::TaxRate;
use crate::resources::test_clocks::TestClock;
use crate::resources::webhook_endpoints::WebhookEndpoint;
use crate::store::Store;
use crate::webhooks::Outbox;

/// What admin routes can set.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) country: String,
    pub(crate) default_currency: String,
    pub(crate) charges_enabled: bool,
    /// Shown on invoices and Checkout pages.
    pub(crate) business_name: String,
    /// Seconds of the account's clock until a change is found by search.
    pub(crate) search_lag_seconds: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            country: "US".to_owned(),
            default_currency: "usd".to_owned(),
            charges_enabled: true,
            business_name: "Stripe Simulator".to_owned(),
            search_lag_seconds: 0,
        }
    }
}

/// One account in one mode. Requests are handled one at a time under its lock.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) livemode: bool,
    /// When it was made, in Unix seconds.
    pub(crate) opened: i64,
    pub(crate) ids: Ids,
    pub(crate) clocks: Clocks,
    pub(crate) settings: Settings,
    /// Where the simulator listens, for URLs inside objects: `http://127.0.0.1:12111`.
    pub(crate) base_url: String,
    /// The request being handled, for events; none while due work runs by itself.
    pub(crate) current_request: Option<RequestStamp>,
    pub(crate) events: Store<Event>,
    pub(crate) outbox: Outbox,
    pub(crate) billing: Billing,
    pub(crate) idempotency_keys: IdempotencyKeys,
    pub(crate) rate_limiter: RateLimiter,

    pub(crate) coupons: Store<Coupon>,
    pub(crate) customer_balance_transactions: Store<CustomerBalanceTransaction>,
    pub(crate) customers: Store<Customer>,
    pub(crate) products: Store<Product>,
    pub(crate) prices: Store<Price>,
    pub(crate) promotion_codes: Store<PromotionCode>,
    pub(crate) quotes: Store<Quote>,
    pub(crate) tax_ids: Store<TaxId>,
    pub(crate) tax_rates: Store<TaxRate>,
    pub(crate) test_clocks: Store<TestClock>,
    pub(crate) payments: Payments,
    pub(crate) webhook_endpoints: Store<WebhookEndpoint>,
    pub(crate) hosted: Hosted,
    pub(crate) tax_calculations: Store<TaxCalculation>,
}

impl Account {
    pub(crate) fn new(
        id: &str,
        livemode: bool,
        seed: u64,
        clock: ClockMode,
        base_url: &str,
        wake: Arc<Notify>,
    ) -> Self {
        // The two modes of an account must not give the same ids.
        let seed = if livemode { !seed } else { seed };
        let clocks = Clocks::new(clock);
        Self {
            id: id.to_owned(),
            livemode,
            opened: clocks.account_now(),
            ids: Ids::new(seed),
            clocks,
            settings: Settings::default(),
            base_url: base_url.to_owned(),
            current_request: None,
            events: Store::default(),
            idempotency_keys: IdempotencyKeys::default(),
            rate_limiter: RateLimiter::default(),
            outbox: Outbox::new(seed, !matches!(clock, ClockMode::Frozen { .. }), wake),
            billing: Billing::default(),
            coupons: Store::default(),
            customer_balance_transactions: Store::default(),
            customers: Store::default(),
            products: Store::default(),
            prices: Store::default(),
            promotion_codes: Store::default(),
            quotes: Store::default(),
            tax_ids: Store::default(),
            tax_rates: Store::default(),
            test_clocks: Store::default(),
            payments: Payments::default(),
            webhook_endpoints: Store::default(),
            hosted: Hosted::default(),
            tax_calculations: Store::default(),
        }
    }

    /// The currency of the account's country.
    pub(crate) fn default_currency(&self) -> Currency {
        Currency::parse(&self.settings.default_currency, "").unwrap_or(Currency::USD)
    }

    /// Any object by its id, as its own retrieve call shows it.
    pub(crate) fn render(&self, id: &str) -> Option<Value> {
        registry::find(self, id)
    }
}
