//! Products: <https://docs.stripe.com/api/products>.

use serde_json::{Value, json};

use super::prices;
use super::shared::deleted;
use crate::account::Account;
use crate::clock::Timestamp;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::{Metadata, Params, Patch};
use crate::registry::Resource;
use crate::store::Stored;

pub(crate) static RESOURCE: Resource = Resource {
    object: "product",
    prefixes: &["prod_"],
    routes: &[
        Route::post("/v1/products", "product", create),
        Route::get("/v1/products", "product", list_all),
        Route::get("/v1/products/{id}", "product", retrieve),
        Route::post("/v1/products/{id}", "product", update),
        Route::delete("/v1/products/{id}", "product", delete),
    ],
    find: |account, id| {
        account
            .products
            .get(id)
            .map(|product| product.render(account))
    },
    all: |account| {
        account
            .products
            .oldest_first()
            .map(|object| object.render(account))
            .collect()
    },
    includes: &[],
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) deleted: bool,
    pub(crate) active: bool,
    pub(crate) default_price: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) images: Vec<String>,
    pub(crate) marketing_features: Vec<String>,
    pub(crate) metadata: Metadata,
    pub(crate) name: String,
    /// Height, length, weight, width, as they were sent.
    pub(crate) package_dimensions: Option<Value>,
    pub(crate) shippable: Option<bool>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) tax_code: Option<String>,
    pub(crate) is_good: bool,
    pub(crate) unit_label: Option<String>,
    pub(crate) url: Option<String>,
}

impl Stored for Product {
    fn id(&self) -> &str {
        &self.id
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }
}

impl Product {
    pub(crate) fn render(&self, account: &Account) -> Value {
        if self.deleted {
            return deleted("product", &self.id);
        }
        let features: Vec<Value> = self
            .marketing_features
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
        json!({
            "id": self.id,
            "object": "product",
            "active": self.active,
            "created": self.created,
            "default_price": self.default_price,
            "description": self.description,
            "images": self.images,
            "livemode": account.livemode,
            "marketing_features": features,
            "metadata": self.metadata,
            "name": self.name,
            "package_dimensions": self.package_dimensions,
            "shippable": self.shippable,
            "statement_descriptor": self.statement_descriptor,
            "tax_code": self.tax_code,
            "type": if self.is_good { "good" } else { "service" },
            "unit_label": self.unit_label,
            "updated": self.updated,
            "url": self.url,
        })
    }

    fn apply(&mut self, params: Params<'_>) {
        self.active = params.boolean("active").unwrap_or(self.active);
        params.patch("description").apply(&mut self.description);
        if params.is_given("images") {
            self.images = params
                .texts("images")
                .into_iter()
                .map(str::to_owned)
                .collect();
        }
        if params.is_given("marketing_features") {
            self.marketing_features = params
                .children("marketing_features")
                .into_iter()
                .filter_map(|feature| feature.owned("name"))
                .collect();
        }
        params.merge_metadata(&mut self.metadata);
        if let Some(name) = params.owned("name") {
            self.name = name;
        }
        match params.patch_child("package_dimensions") {
            Patch::Keep => {}
            Patch::Clear => self.package_dimensions = None,
            Patch::Set(size) => self.package_dimensions = Some(Value::Object(size.map().clone())),
        }
        self.shippable = params.boolean("shippable").or(self.shippable);
        params
            .patch("statement_descriptor")
            .apply(&mut self.statement_descriptor);
        params.patch("tax_code").apply(&mut self.tax_code);
        params.patch("unit_label").apply(&mut self.unit_label);
        params.patch("url").apply(&mut self.url);
    }
}

/// The product that a parameter names.
pub(crate) fn named<'a>(
    account: &'a Account,
    id: &str,
    param: &str,
) -> Result<&'a Product, StripeError> {
    account
        .products
        .get(id)
        .filter(|product| !product.deleted)
        .ok_or_else(|| StripeError::no_such_in("product", id, param))
}

/// Makes a product of `product_data` or of a create call's parameters.
///
/// # Errors
/// 400 `resource_already_exists` for a taken id.
pub(crate) fn make(account: &mut Account, params: Params<'_>) -> Result<String, StripeError> {
    let id = params
        .owned("id")
        .unwrap_or_else(|| account.ids.short("prod_"));
    if account.products.contains(&id) {
        return Err(StripeError::invalid("Product already exists.")
            .code("resource_already_exists")
            .param("id"));
    }
    let now = account.now();
    let mut product = Product {
        id: id.clone(),
        created: now,
        updated: now,
        active: true,
        is_good: params.text("type") == Some("good"),
        ..Product::default()
    };
    product.apply(params);
    let body = product.render(account);
    account.products.insert(product);
    account.emit("product.created", &body);
    Ok(id)
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let price = params.child("default_price_data");
    if let Some(price) = price {
        prices::check(price, "default_price_data")?;
    }
    let id = make(account, params)?;
    if let Some(price) = price {
        let price = prices::make(account, price, &id, true, "default_price_data")?;
        change(account, &id, |product| product.default_price = Some(price));
    }
    Ok(account.render(&id).unwrap_or_default().into())
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id");
    match ctx.account.products.get(id) {
        Some(product) if !product.deleted => Ok(product.render(ctx.account).into()),
        _ => Err(StripeError::no_such("product", id, "id")),
    }
}

/// Changes a product and emits `product.updated` if anything but the time is different.
fn change(account: &mut Account, id: &str, f: impl FnOnce(&mut Product)) -> Value {
    let now = account.now();
    let before = account.render(id).unwrap_or_default();
    if let Some(mut product) = account.products.get_mut(id) {
        f(&mut product);
    }
    if account.render(id).as_ref() == Some(&before) {
        return before;
    }
    if let Some(mut product) = account.products.get_mut(id) {
        product.updated = now;
    }
    let after = account.render(id).unwrap_or_default();
    account.emit_updated("product.updated", &before, &after);
    after
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = ctx.arg("id").to_owned();
    let account = &mut *ctx.account;
    if account
        .products
        .get(&id)
        .is_none_or(|product| product.deleted)
    {
        return Err(StripeError::no_such("product", &id, "id"));
    }
    if let Some(price) = params.text("default_price") {
        let found = account.prices.get(price);
        let owner = found.map(|price| price.product.as_str());
        if owner != Some(id.as_str()) {
            return Err(StripeError::no_such_in("price", price, "default_price"));
        }
        if found.is_some_and(|price| !price.active) {
            return Err(StripeError::invalid(format!(
                "The price specified is inactive. This field only accepts active prices. You passed {price}."
            ))
            .param("default_price"));
        }
    }
    let body = change(account, &id, |product| {
        product.apply(params);
        params
            .patch("default_price")
            .apply(&mut product.default_price);
    });
    Ok(body.into())
}

fn delete(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let id = ctx.arg("id").to_owned();
    let account = &mut *ctx.account;
    if account
        .products
        .get(&id)
        .is_none_or(|product| product.deleted)
    {
        return Err(StripeError::no_such("product", &id, "id"));
    }
    if account.prices.by_key("product", &id).next().is_some() {
        return Err(StripeError::invalid(
            "This product cannot be deleted because it has one or more user-created prices.",
        ));
    }
    let last = account.render(&id).unwrap_or_default();
    account.products.remove(&id);
    account.emit("product.deleted", &last);
    Ok(deleted("product", &id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let ids = params.texts("ids");
    let keep = |product: &Product| {
        (ids.is_empty() || ids.contains(&product.id.as_str()))
            && params
                .boolean("active")
                .is_none_or(|active| product.active == active)
            && params
                .boolean("shippable")
                .is_none_or(|flag| product.shippable == Some(flag))
            && params
                .text("url")
                .is_none_or(|url| product.url.as_deref() == Some(url))
            && params
                .text("type")
                .is_none_or(|kind| product.is_good == (kind == "good"))
    };
    let render = |product: &Product| product.render(ctx.account);
    let page = list::list(
        ctx,
        params,
        &ctx.account.products,
        "product",
        None,
        keep,
        render,
    )?;
    Ok(page.into())
}
