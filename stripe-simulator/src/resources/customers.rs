//! Customers: <https://docs.stripe.com/api/customers>.

use serde_json::{Value, json};

use super::customer_balance_transactions::{Kind, adjust};
use super::customer_discounts;
use super::shared::{Address, deleted, patch_address};
use super::tax_ids;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params, Patch};
use crate::payments::methods::DEFAULT_METHOD;
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "customer",
    prefixes: &["cus_"],
    routes: &[
        Route::post("/v1/customers", "customer", create),
        Route::get("/v1/customers", "customer", list_all),
        Route::get("/v1/customers/{customer}", "customer", retrieve),
        Route::post("/v1/customers/{customer}", "customer", update),
        Route::delete("/v1/customers/{customer}", "customer", delete),
    ],
    find: |account, id| {
        account
            .customers
            .get(id)
            .map(|customer| customer.render(account))
    },
    all: |account| {
        account
            .customers
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[("tax", tax), ("tax_ids", tax_ids_of)],
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) deleted: bool,
    pub(crate) address: Option<Address>,
    /// Minor units of `currency`; negative is credit that reduces the next invoice.
    pub(crate) balance: i64,
    pub(crate) business_name: Option<String>,
    /// Set by the first invoice, subscription or balance change; fixed from then on.
    pub(crate) currency: Option<Currency>,
    /// Whether the latest charge attempt of an invoice failed.
    pub(crate) delinquent: bool,
    pub(crate) description: Option<String>,
    /// The id of its discount, which only older versions can give it.
    pub(crate) discount: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) individual_name: Option<String>,
    pub(crate) invoice_prefix: String,
    pub(crate) invoice_settings: InvoiceSettings,
    pub(crate) metadata: Metadata,
    pub(crate) name: Option<String>,
    pub(crate) next_invoice_sequence: i64,
    pub(crate) phone: Option<String>,
    pub(crate) preferred_locales: Vec<String>,
    pub(crate) shipping: Option<Shipping>,
    pub(crate) tax_exempt: TaxExempt,
    pub(crate) tax_ip_address: Option<String>,
    pub(crate) test_clock: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct InvoiceSettings {
    /// Name and value of each.
    pub(crate) custom_fields: Vec<(String, String)>,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) footer: Option<String>,
    pub(crate) amount_tax_display: Option<String>,
    pub(crate) rendering_template: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shipping {
    pub(crate) address: Address,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TaxExempt {
    #[default]
    None,
    Exempt,
    Reverse,
}

impl TaxExempt {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Exempt => "exempt",
            Self::Reverse => "reverse",
        }
    }
}

impl Stored for Customer {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![("test_clock", self.test_clock.clone().unwrap_or_default())];
        if let Some(email) = &self.email {
            keys.push(("email", email.clone()));
        }
        keys
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

impl Customer {
    pub(crate) fn render(&self, account: &Account) -> Value {
        if self.deleted {
            return deleted("customer", &self.id);
        }
        json!({
            "id": self.id,
            "object": "customer",
            "address": self.address.as_ref().map(Address::render),
            "balance": self.balance,
            "business_name": self.business_name,
            "created": self.created,
            "currency": self.currency,
            "customer_account": null,
            "default_source": null,
            "delinquent": self.delinquent,
            "description": self.description,
            "discount": super::customer_discounts::of(account, &self.id),
            "email": self.email,
            "individual_name": self.individual_name,
            "invoice_prefix": self.invoice_prefix,
            "invoice_settings": self.invoice_settings.render(),
            "livemode": account.livemode,
            "metadata": self.metadata,
            "name": self.name,
            "next_invoice_sequence": self.next_invoice_sequence,
            "phone": self.phone,
            "preferred_locales": self.preferred_locales,
            "shipping": self.shipping.as_ref().map(Shipping::render),
            "tax_exempt": self.tax_exempt.name(),
            "test_clock": self.test_clock,
        })
    }

    /// The parameters that creation and update share.
    fn apply(&mut self, params: Params<'_>) -> Result<(), StripeError> {
        if let Some(email) = params.text("email")
            && !is_email(email)
        {
            return Err(
                StripeError::invalid(format!("Invalid email address: {email}"))
                    .code("email_invalid")
                    .param("email"),
            );
        }
        patch_address(&mut self.address, params.patch_child("address"));
        params.patch("business_name").apply(&mut self.business_name);
        params.patch("description").apply(&mut self.description);
        params.patch("email").apply(&mut self.email);
        params
            .patch("individual_name")
            .apply(&mut self.individual_name);
        params.patch("name").apply(&mut self.name);
        params.patch("phone").apply(&mut self.phone);
        params.merge_metadata(&mut self.metadata);
        self.apply_numbering(params)?;
        if params.is_given("preferred_locales") {
            self.preferred_locales = params
                .texts("preferred_locales")
                .into_iter()
                .map(str::to_owned)
                .collect();
        }
        match params.patch_child("shipping") {
            Patch::Keep => {}
            Patch::Clear => self.shipping = None,
            Patch::Set(shipping) => self.shipping.get_or_insert_default().apply(shipping),
        }
        self.tax_exempt = match params.patch("tax_exempt") {
            Patch::Keep => self.tax_exempt,
            Patch::Set("exempt") => TaxExempt::Exempt,
            Patch::Set("reverse") => TaxExempt::Reverse,
            Patch::Clear | Patch::Set(_) => TaxExempt::None,
        };
        if let Some(tax) = params.child("tax") {
            tax.patch("ip_address").apply(&mut self.tax_ip_address);
        }
        if let Some(settings) = params.child("invoice_settings") {
            self.invoice_settings.apply(settings);
        }
        Ok(())
    }

    fn apply_numbering(&mut self, params: Params<'_>) -> Result<(), StripeError> {
        if let Some(prefix) = params.text("invoice_prefix") {
            let fits = (3..=12).contains(&prefix.len())
                && prefix
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            if !fits {
                return Err(StripeError::invalid(
                    "The invoice prefix must be 3 to 12 uppercase letters or numbers.",
                )
                .param("invoice_prefix"));
            }
            prefix.clone_into(&mut self.invoice_prefix);
        }
        if let Some(next) = params.integer("next_invoice_sequence") {
            if next < self.next_invoice_sequence {
                return Err(StripeError::invalid(format!(
                    "The next invoice sequence must be at least {}.",
                    self.next_invoice_sequence
                ))
                .param("next_invoice_sequence"));
            }
            self.next_invoice_sequence = next;
        }
        Ok(())
    }
}

impl InvoiceSettings {
    fn apply(&mut self, params: Params<'_>) {
        if params.is_given("custom_fields") {
            self.custom_fields = params
                .children("custom_fields")
                .into_iter()
                .filter_map(|field| Some((field.owned("name")?, field.owned("value")?)))
                .collect();
        }
        params
            .patch("default_payment_method")
            .apply(&mut self.default_payment_method);
        params.patch("footer").apply(&mut self.footer);
        match params.patch_child("rendering_options") {
            Patch::Keep => {}
            Patch::Clear => {
                self.amount_tax_display = None;
                self.rendering_template = None;
            }
            Patch::Set(options) => {
                options
                    .patch("amount_tax_display")
                    .apply(&mut self.amount_tax_display);
                options
                    .patch("template")
                    .apply(&mut self.rendering_template);
            }
        }
    }

    fn render(&self) -> Value {
        let custom_fields: Vec<Value> = self
            .custom_fields
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let has_options = self.amount_tax_display.is_some() || self.rendering_template.is_some();
        json!({
            "custom_fields": (!custom_fields.is_empty()).then_some(custom_fields),
            "default_payment_method": self.default_payment_method,
            "footer": self.footer,
            "rendering_options": has_options.then(|| json!({
                "amount_tax_display": self.amount_tax_display,
                "template": self.rendering_template,
            })),
        })
    }
}

impl Shipping {
    fn apply(&mut self, params: Params<'_>) {
        if let Some(address) = params.child("address") {
            self.address = Address::of(address);
        }
        params.patch("name").apply(&mut self.name);
        params.patch("phone").apply(&mut self.phone);
    }

    pub(crate) fn render(&self) -> Value {
        json!({
            "address": self.address.render(),
            "carrier": null,
            "name": self.name,
            "phone": self.phone,
            "tracking_number": null,
        })
    }
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
    })
}

/// The customer that a parameter names; a deleted one is "No such customer" too.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a Customer, StripeError> {
    account
        .customers
        .get(id)
        .filter(|customer| !customer.deleted)
        .ok_or_else(|| StripeError::no_such_in("customer", id, param))
}

/// The live customer that the path names, its clock being acted on.
fn of_path(ctx: &mut Ctx<'_>) -> Result<String, StripeError> {
    let id = ctx.arg("customer").to_owned();
    match ctx.account.customers.get(&id) {
        Some(customer) if !customer.deleted => {
            ctx.account.act_for(&id);
            Ok(id)
        }
        _ => Err(StripeError::no_such("customer", &id, "id")),
    }
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    if let Some(clock) = params.text("test_clock") {
        if ctx.account.clocks.test_clock_now(clock).is_none() {
            return Err(StripeError::no_such_in("test clock", clock, "test_clock"));
        }
        ctx.account.act_on(Some(clock));
    }
    let account = &mut *ctx.account;
    let tax_ids = params.children("tax_id_data");
    for (position, data) in tax_ids.iter().enumerate() {
        tax_ids::check(*data, &format!("tax_id_data[{position}][value]"))?;
    }
    let coupon = ctx
        .request
        .legacy
        .coupon
        .clone()
        .filter(|id| !id.is_empty());
    customer_discounts::check(account, coupon.as_deref())?;
    let mut customer = Customer {
        id: account.ids.short("cus_"),
        created: account.now(),
        invoice_prefix: account.ids.code(8),
        next_invoice_sequence: 1,
        test_clock: params.owned("test_clock"),
        ..Customer::default()
    };
    customer.apply(params)?;
    let method = account.method_of_new_customer(params)?;
    if customer.invoice_settings.default_payment_method.is_some() {
        customer
            .invoice_settings
            .default_payment_method
            .clone_from(&method);
    }
    let id = customer.id.clone();
    let body = customer.render(account);
    account.customers.insert(customer);
    account.emit("customer.created", &body);
    for data in tax_ids {
        tax_ids::make(account, data, Some(&id));
    }
    if let Some(balance) = params.integer("balance").filter(|balance| *balance != 0) {
        set_balance(account, &id, balance, Kind::Initial);
    }
    if let Some(method) = method {
        account.attach_verified(&method, &id);
    }
    if let Some(coupon) = coupon {
        customer_discounts::set(account, &id, &coupon)?;
    }
    Ok(account.render(&id).unwrap_or_default().into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("customer");
    match ctx.account.customers.get(id) {
        Some(customer) => Ok(customer.render(ctx.account).into()),
        None => Err(StripeError::no_such("customer", id, "id")),
    }
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    let settings = params.child("invoice_settings");
    if let Some(method) = settings.and_then(|settings| settings.text("default_payment_method")) {
        account.check_owned_method(method, &id, DEFAULT_METHOD)?;
    }
    let coupon = ctx.request.legacy.coupon.clone();
    customer_discounts::check(account, coupon.as_deref())?;
    let mut body = change(account, &id, |customer| customer.apply(params))?;
    if let Some(coupon) = coupon {
        customer_discounts::set(account, &id, &coupon)?;
        body = account.render(&id).unwrap_or_default();
    }
    let balance = account
        .customers
        .get(&id)
        .map_or(0, |customer| customer.balance);
    if let Some(wanted) = params.integer("balance")
        && wanted != balance
    {
        set_balance(account, &id, wanted - balance, Kind::Adjustment);
        body = account.render(&id).unwrap_or_default();
    }
    Ok(body.into())
}

/// Setting `balance` is an adjustment in the customer's currency, or the account's.
fn set_balance(account: &mut Account, id: &str, amount: i64, kind: Kind) {
    let bound = account
        .customers
        .get(id)
        .and_then(|customer| customer.currency);
    let currency = bound.unwrap_or_else(|| account.default_currency());
    adjust(account, id, amount, currency, kind);
}

/// Changes a customer, emits `customer.updated` if anything is different, and renders it.
pub(crate) fn change(
    account: &mut Account,
    id: &str,
    f: impl FnOnce(&mut Customer) -> Result<(), StripeError>,
) -> Result<Value, StripeError> {
    let missing = || StripeError::no_such("customer", id, "id");
    let customer = account.customers.get(id).ok_or_else(missing)?;
    let before = customer.render(account);
    // A refused change must leave nothing behind, so it is made on a copy.
    let mut changed = customer.clone();
    f(&mut changed)?;
    let after = changed.render(account);
    account.customers.insert(changed);
    account.emit_updated("customer.updated", &before, &after);
    Ok(after)
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?;
    let account = &mut *ctx.account;
    remove(account, &id);
    Ok(deleted("customer", &id).into())
}

/// Deletes a customer with all that hangs on it.
pub(crate) fn remove(account: &mut Account, id: &str) {
    account.act_for(id);
    crate::billing::cancel::all_of_customer(account, id);
    let last = account.render(id).unwrap_or_default();
    if let Some(mut customer) = account.customers.get_mut(id) {
        customer.deleted = true;
    }
    account.emit("customer.deleted", &last);
}

/// Refuses a currency other than the one the customer is bound to.
pub(crate) fn check_currency(
    account: &Account,
    id: &str,
    currency: Currency,
) -> Result<(), StripeError> {
    match account.customers.get(id).and_then(|customer| customer.currency) {
        Some(bound) if bound != currency => Err(StripeError::invalid(format!(
            "You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, discount, quote, or invoice item with currency {bound}"
        ))
        .param("currency")),
        _ => Ok(()),
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    // Stripe: without `test_clock`, customers with test clocks are left out.
    let clock = params.text("test_clock");
    let email = params.text("email");
    let key = match (email, clock) {
        (Some(email), _) => Some(("email", email)),
        (None, clock) => Some(("test_clock", clock.unwrap_or_default())),
    };
    let keep = |customer: &Customer| {
        customer.test_clock.as_deref() == clock
            && email.is_none_or(|email| customer.email.as_deref() == Some(email))
    };
    let render = |customer: &Customer| customer.render(ctx.account);
    let page = list::list(
        ctx,
        params,
        &ctx.account.customers,
        "customer",
        key,
        keep,
        render,
    )?;
    Ok(page.into())
}

/// `customer.tax`: whether automatic tax can find the customer's place.
fn tax(account: &Account, id: &str) -> Value {
    let customer = account.customers.get(id);
    let address = customer.and_then(|customer| customer.address.as_ref());
    let country = address.and_then(|address| address.country.as_ref());
    let location = country.map(|country| {
        json!({
            "country": country,
            "source": "billing_address",
            "state": address.and_then(|address| address.state.as_ref()),
        })
    });
    json!({
        "automatic_tax": if location.is_some() { "supported" } else { "unrecognized_location" },
        "ip_address": customer.and_then(|customer| customer.tax_ip_address.as_ref()),
        "location": location,
        "provider": "stripe",
    })
}

/// `customer.tax_ids`: the first ten.
fn tax_ids_of(account: &Account, id: &str) -> Value {
    let all = || account.tax_ids.by_key("customer", id);
    let data = all()
        .take(10)
        .map(|tax_id| tax_id.render(account))
        .collect();
    list::embedded(format!("/v1/customers/{id}/tax_ids"), data, all().count())
}
