//! Discounts: a coupon redeemed by a customer, a subscription, an item or an invoice.

use serde_json::{Value, json};

use super::catalog;
use super::invoice_model::{Invoice, Line};
use super::model::Subscription;
use crate::account::Account;
use crate::currency::Currency;
use crate::engine::discount::Off;
use crate::engine::period::{Interval, Unit};
use crate::front::errors::StripeError;
use crate::params::Params;
use crate::resources::promotion_codes;
use crate::store::Stored;

/// What a discount hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Customer,
    Subscription(String),
    Item {
        subscription: String,
        item: String,
    },
    Invoice(String),
    InvoiceItem(String),
    /// A preview: the discount is forgotten with it.
    Nothing,
}

/// A redeemed coupon. What the coupon takes off is kept here, so that deleting the coupon changes
/// nothing for those who have it (Stripe docs, "Delete a coupon").
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Discount {
    pub(crate) id: String,
    pub(crate) coupon: String,
    pub(crate) promotion_code: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) owner: Owner,
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    /// The coupon's `duration` is `once`.
    pub(crate) once: bool,
    pub(crate) percent_off: Option<crate::engine::decimal::Decimal>,
    /// By currency, in minor units.
    pub(crate) amounts_off: Vec<(String, i64)>,
    /// Products it is limited to; empty for all.
    pub(crate) products: Vec<String>,
}

impl Stored for Discount {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.start
    }
}

impl Discount {
    /// The discount as Stripe shows it.
    pub(crate) fn render(&self) -> Value {
        let (subscription, item, invoice, invoice_item) = match &self.owner {
            Owner::Customer | Owner::Nothing => (None, None, None, None),
            Owner::Subscription(id) => (Some(id), None, None, None),
            Owner::Item { subscription, item } => (Some(subscription), Some(item), None, None),
            Owner::Invoice(id) => (None, None, Some(id), None),
            Owner::InvoiceItem(id) => (None, None, None, Some(id)),
        };
        json!({
            "id": self.id,
            "object": "discount",
            "checkout_session": null,
            "customer": self.customer,
            "customer_account": null,
            "end": self.end,
            "invoice": invoice,
            "invoice_item": invoice_item,
            "promotion_code": self.promotion_code,
            "source": { "coupon": self.coupon, "type": "coupon" },
            "start": self.start,
            "subscription": subscription,
            "subscription_item": item,
        })
    }
}

/// What a discount takes off in a currency; none when its amount is in another.
pub(crate) fn off(account: &Account, id: &str, currency: Currency) -> Option<Off> {
    let discount = account.billing.discounts.get(id)?;
    if let Some(percent) = discount.percent_off {
        return Some(Off::Percent(percent));
    }
    let (_, amount) = discount
        .amounts_off
        .iter()
        .find(|(own, _)| own == currency.code())?;
    Some(Off::Amount(*amount))
}

/// Whether a discount may touch a line: its coupon names the line's product, or names none.
pub(crate) fn applies_to(account: &Account, id: &str, line: &Line) -> bool {
    account.billing.discounts.get(id).is_some_and(|discount| {
        discount.products.is_empty()
            || line
                .price
                .as_ref()
                .is_some_and(|price| discount.products.contains(&price.product))
    })
}

/// The discounts of a list that still run at `at`.
pub(crate) fn running(account: &Account, ids: &[String], at: i64) -> Vec<String> {
    let runs = |id: &&String| {
        let discount = account.billing.discounts.get(id);
        discount.is_some_and(|own| own.end.is_none_or(|end| end > at))
    };
    ids.iter().filter(runs).cloned().collect()
}

/// The discounts of a subscription's invoice: the subscription's own, or else its customer's
/// (<https://docs.stripe.com/billing/subscriptions/coupons>).
pub(crate) fn of_subscription(account: &Account, own: &Subscription, at: i64) -> Vec<String> {
    let mut ids = running(account, &own.discounts, at);
    if ids.is_empty() && own.items.iter().all(|item| item.discounts.is_empty()) {
        ids = of_customer(account, &own.customer, at);
    }
    ids
}

/// The customer's own discount, while it runs.
pub(crate) fn of_customer(account: &Account, customer: &str, at: i64) -> Vec<String> {
    let customer = account.customers.get(customer);
    let id = customer.and_then(|customer| customer.discount.clone());
    running(account, id.as_slice(), at)
}

/// Takes a customer's `once` discount away when an invoice uses it.
pub(crate) fn spend_of_customer(account: &mut Account, invoice: &Invoice) {
    let customer = account.customers.get(&invoice.customer);
    let Some(id) = customer.and_then(|customer| customer.discount.clone()) else {
        return;
    };
    if is_once(account, &id)
        && invoice.discounts.contains(&id)
        && let Some(mut customer) = account.customers.get_mut(&invoice.customer)
    {
        customer.discount = None;
    }
}

/// Whether a discount is spent by the first invoice it stands on.
pub(crate) fn is_once(account: &Account, id: &str) -> bool {
    account
        .billing
        .discounts
        .get(id)
        .is_some_and(|own| own.once)
}

/// The part of a price that percent discounts leave: prorations are reckoned on what is really
/// paid (Stripe docs, "Prorations", on discounts).
pub(crate) fn percent_left(
    account: &Account,
    ids: &[String],
    product: &str,
    at: i64,
) -> crate::engine::decimal::Decimal {
    let hundred = crate::engine::decimal::Decimal::from_int(100);
    let mut left = crate::engine::decimal::Decimal::from_int(1);
    for discount in ids
        .iter()
        .filter_map(|id| account.billing.discounts.get(id))
    {
        let runs = discount.end.is_none_or(|end| end > at);
        let fits =
            discount.products.is_empty() || discount.products.iter().any(|own| own == product);
        if let (Some(percent), true, true) = (discount.percent_off, runs, fits) {
            left = left.times_decimal(hundred.minus(percent)).over(hundred);
        }
    }
    left
}

/// Redeems the entries of a `discounts` parameter: coupons, promotion codes, existing discounts.
///
/// # Errors
/// Stripe's errors for unknown, expired, used-up or unfitting coupons and codes.
pub(crate) fn redeem_all(
    account: &mut Account,
    entries: &[Params<'_>],
    owner: &Owner,
    customer: Option<&str>,
    currency: Currency,
) -> Result<Vec<String>, StripeError> {
    let mut ids = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let param = |name: &str| format!("discounts[{index}][{name}]");
        let id = if let Some(existing) = entry.text("discount") {
            if account.billing.discounts.get(existing).is_none() {
                return Err(StripeError::no_such_in(
                    "discount",
                    existing,
                    &param("discount"),
                ));
            }
            existing.to_owned()
        } else if let Some(code) = entry.text("promotion_code") {
            let coupon = usable_code(account, code, customer, &param("promotion_code"))?;
            redeem(
                account,
                &coupon,
                Some(code),
                owner,
                customer,
                currency,
                &param("promotion_code"),
            )?
        } else if let Some(coupon) = entry.text("coupon") {
            redeem(
                account,
                coupon,
                None,
                owner,
                customer,
                currency,
                &param("coupon"),
            )?
        } else {
            return Err(StripeError::missing_param(&param("coupon")));
        };
        ids.push(id);
    }
    Ok(ids)
}

/// Checks a promotion code and gives its coupon.
fn usable_code(
    account: &Account,
    id: &str,
    customer: Option<&str>,
    param: &str,
) -> Result<String, StripeError> {
    let code = promotion_codes::named(account, id, param)?;
    if !code.is_active(account) {
        return Err(
            StripeError::invalid("This promotion code is not active, or has expired.")
                .code("promotion_code_expired")
                .param(param),
        );
    }
    let has_paid = customer.is_some_and(|customer| {
        let mut invoices = account.billing.invoices.by_key("customer", customer);
        invoices.any(|own| own.amount_paid > 0)
    });
    if code.first_time_transaction && has_paid {
        return Err(StripeError::invalid(
            "This promotion code cannot be redeemed because the associated customer has prior transactions.",
        )
        .code("promotion_code_customer_not_first_time")
        .param(param));
    }
    let foreign = code
        .customer
        .as_deref()
        .is_some_and(|own| Some(own) != customer);
    if foreign {
        return Err(StripeError::invalid(
            "This promotion code cannot be redeemed because it is restricted to another customer.",
        )
        .code("customer_not_allowed_for_promotion_code")
        .param(param));
    }
    Ok(code.coupon.clone())
}

/// Redeems one coupon and counts it.
pub(crate) fn redeem(
    account: &mut Account,
    coupon_id: &str,
    promotion_code: Option<&str>,
    owner: &Owner,
    customer: Option<&str>,
    currency: Currency,
    param: &str,
) -> Result<String, StripeError> {
    let now = account.now();
    let coupon = catalog::coupon(account, coupon_id)
        .ok_or_else(|| StripeError::no_such_in("coupon", coupon_id, param))?;
    if !coupon.valid {
        return Err(StripeError::invalid(format!("Coupon expired: {coupon_id}"))
            .code("coupon_expired")
            .param(param));
    }
    let fits = coupon
        .amounts_off
        .iter()
        .any(|(own, _)| own == currency.code());
    if coupon.percent_off.is_none() && !fits {
        return Err(StripeError::invalid(format!(
            "The coupon `{coupon_id}` does not support currency `{}`.",
            currency.code()
        ))
        .param(param));
    }
    let end = coupon
        .months
        .and_then(|months| u32::try_from(months).ok())
        .map(|count| {
            Interval {
                unit: Unit::Month,
                count,
            }
            .boundary(now, 1)
        });
    if *owner != Owner::Nothing {
        catalog::redeemed(account, coupon_id, promotion_code);
    }
    let id = account.ids.long("di_");
    account.billing.discounts.insert(Discount {
        id: id.clone(),
        coupon: coupon_id.to_owned(),
        promotion_code: promotion_code.map(str::to_owned),
        customer: customer.map(str::to_owned),
        owner: owner.clone(),
        start: now,
        end,
        once: coupon.once,
        percent_off: coupon.percent_off,
        amounts_off: coupon.amounts_off,
        products: coupon.products,
    });
    Ok(id)
}
