//! Payment links: <https://docs.stripe.com/api/payment-link>. Opening one starts a Checkout session.

use serde_json::{Map, Value, json};

use super::checkout_sessions;
use crate::account::Account;
use crate::checkout::session::no_custom_text;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list::{self, embedded};
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::store::{Key, Stored};

pub(crate) static RESOURCE: Resource = Resource {
    object: "payment_link",
    prefixes: &["plink_"],
    routes: &[
        Route::post("/v1/payment_links", "payment_links", create),
        Route::get("/v1/payment_links", "payment_links", list_all),
        Route::get(
            "/v1/payment_links/{payment_link}",
            "payment_links",
            retrieve,
        ),
        Route::post("/v1/payment_links/{payment_link}", "payment_links", update),
        Route::get(
            "/v1/payment_links/{payment_link}/line_items",
            "payment_links",
            line_items,
        ),
    ],
    find: |account, id| {
        account
            .hosted
            .payment_links
            .get(id)
            .map(PaymentLink::render)
    },
    all: |account| {
        account
            .hosted
            .payment_links
            .oldest_first()
            .map(PaymentLink::render)
            .collect()
    },
    includes: &[("line_items", lines)],
};

/// A payment link.
#[derive(Debug, Clone)]
pub(crate) struct PaymentLink {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) active: bool,
    pub(crate) currency: Currency,
    /// Whether one of its prices recurs.
    pub(crate) subscribes: bool,
    pub(crate) url: String,
    /// The creation parameters, which each of its sessions takes over.
    pub(crate) given: Map<String, Value>,
    pub(crate) metadata: Metadata,
}

impl Stored for PaymentLink {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> i64 {
        self.created
    }

    fn keys(&self) -> Vec<Key> {
        vec![("active", self.active.to_string())]
    }
}

impl PaymentLink {
    fn render(&self) -> Value {
        let or = |name: &str, default: Value| match self.given.get(name) {
            Some(value) if !value.is_null() => value.clone(),
            _ => default,
        };
        let confirmation = json!({
            "hosted_confirmation": { "custom_message": null },
            "type": "hosted_confirmation",
        });
        json!({
            "id": self.id,
            "object": "payment_link",
            "active": self.active,
            "after_completion": or("after_completion", confirmation),
            "allow_promotion_codes": or("allow_promotion_codes", false.into()),
            "application": null,
            "application_fee_amount": null,
            "application_fee_percent": null,
            "automatic_tax": { "enabled": false, "liability": null },
            "billing_address_collection": or("billing_address_collection", "auto".into()),
            "consent_collection": null,
            "currency": self.currency.code(),
            "custom_fields": [],
            "custom_text": no_custom_text(),
            "customer_creation": or("customer_creation", "if_required".into()),
            "inactive_message": or("inactive_message", Value::Null),
            "invoice_creation": null,
            "livemode": self.livemode,
            "managed_payments": { "enabled": false },
            "metadata": self.metadata,
            "name_collection": null,
            "on_behalf_of": null,
            "optional_items": null,
            "payment_intent_data": null,
            "payment_method_collection": or("payment_method_collection", "always".into()),
            "payment_method_options": null,
            "payment_method_types": or("payment_method_types", Value::Null),
            "phone_number_collection": { "enabled": false },
            "restrictions": null,
            "shipping_address_collection": null,
            "shipping_options": [],
            "submit_type": or("submit_type", "auto".into()),
            "subscription_data": self.subscribes.then(|| json!({
                "description": null,
                "invoice_settings": { "issuer": { "type": "self" } },
                "metadata": {},
                "trial_period_days": null,
                "trial_settings": null,
            })),
            "tax_id_collection": { "enabled": false, "required": "never" },
            "transfer_data": null,
            "url": self.url,
        })
    }
}

fn lines(account: &Account, id: &str) -> Value {
    let Some(link) = account.hosted.payment_links.get(id) else {
        return Value::Null;
    };
    let items = link.given.get("line_items").and_then(Value::as_array);
    let data: Vec<Value> = items
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, item)| {
            let price = item
                .get("price")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let found = account.prices.get(price);
            let quantity = item.get("quantity").and_then(Value::as_i64).unwrap_or(1);
            let amount = found.map_or(0, |price| {
                crate::billing::lines::pricing(price, link.currency).amount(quantity)
            });
            let product = found.and_then(|price| account.products.get(&price.product));
            json!({
                "id": format!("li_{index}{}", link.id.trim_start_matches("plink_")),
                "object": "item",
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": link.currency.code(),
                "description": product.map(|product| &product.name),
                "price": account.render(price),
                "quantity": quantity,
            })
        })
        .collect();
    let total = data.len();
    embedded(format!("/v1/payment_links/{id}/line_items"), data, total)
}

fn of_path<'a>(ctx: &'a Ctx<'_>) -> Result<&'a PaymentLink, StripeError> {
    let id = ctx.arg("payment_link");
    let found = ctx.account.hosted.payment_links.get(id);
    found.ok_or_else(|| StripeError::no_such("payment link", id, "payment_link"))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let cart = checkout_sessions::cart_of_link(account, params)?;
    let id = account.ids.long("plink_");
    let link = PaymentLink {
        created: account.now(),
        livemode: account.livemode,
        active: true,
        currency: cart.currency,
        subscribes: cart.subscribes,
        url: format!("{}/b/{id}", account.base_url),
        given: cart.given,
        metadata: params.metadata(),
        id,
    };
    let body = link.render();
    account.hosted.payment_links.insert(link);
    account.emit("payment_link.created", &body);
    Ok(body.into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    Ok(of_path(ctx)?.render().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut link = of_path(ctx)?.clone();
    let before = link.render();
    link.active = params.boolean("active").unwrap_or(link.active);
    params.merge_metadata(&mut link.metadata);
    let shown = [
        "after_completion",
        "allow_promotion_codes",
        "billing_address_collection",
        "customer_creation",
        "inactive_message",
        "payment_method_collection",
        "payment_method_types",
        "submit_type",
    ];
    for name in shown {
        if let Some(value) = params.raw(name) {
            link.given.insert(name.to_owned(), value.clone());
        }
    }
    let after = link.render();
    ctx.account.hosted.payment_links.insert(link);
    ctx.account
        .emit_updated("payment_link.updated", &before, &after);
    Ok(after.into())
}

fn line_items(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = of_path(ctx)?.id.clone();
    Ok(lines(ctx.account, &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let active = params.boolean("active").map(|active| active.to_string());
    let key = active.as_deref().map(|active| ("active", active));
    let store = &ctx.account.hosted.payment_links;
    let page = list::list(
        ctx,
        params,
        store,
        "payment link",
        key,
        |_| true,
        PaymentLink::render,
    )?;
    Ok(page.into())
}

impl Account {
    /// Opens a link: the new session's page, or why there is none.
    ///
    /// # Errors
    /// 400 for a link that is not active.
    pub(crate) fn open_payment_link(&mut self, id: &str) -> Result<String, StripeError> {
        let Some(link) = self.hosted.payment_links.get(id).cloned() else {
            return Err(StripeError::no_such("payment link", id, "payment_link"));
        };
        if !link.active {
            let message = link.given.get("inactive_message").and_then(Value::as_str);
            return Err(StripeError::invalid(
                message.unwrap_or("The link is no longer active."),
            ));
        }
        let mut params = link.given.clone();
        let after = link.given.get("after_completion");
        let url = after
            .and_then(|after| after.pointer("/redirect/url"))
            .and_then(Value::as_str);
        let thanks = format!("{}/b/{id}/thanks", self.base_url);
        params.insert("success_url".to_owned(), url.unwrap_or(&thanks).into());
        params.insert(
            "mode".to_owned(),
            if link.subscribes {
                "subscription"
            } else {
                "payment"
            }
            .into(),
        );
        let session = checkout_sessions::start(self, Params::new(&params), Some(id))?;
        let page = self
            .hosted
            .sessions
            .get(&session)
            .map(|session| session.page.clone());
        Ok(page.unwrap_or_default())
    }
}
