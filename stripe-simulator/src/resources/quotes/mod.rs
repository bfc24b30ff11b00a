//! Quotes: <https://docs.stripe.com/api/quotes>. What is quoted is reckoned by the same engine that
//! will bill it.

mod model;

use serde_json::{Map, Value, json};

use super::{customers, prices, products, subscriptions};
use crate::account::Account;
use crate::clock::DAY;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{self, Answer, Ctx, Method, Reply, Route};
use crate::params::Params;
use crate::registry::Resource;
pub(crate) use model::Quote;
use model::{Line, Status, Sums};

pub(crate) static RESOURCE: Resource = Resource {
    object: "quote",
    prefixes: &["qt_"],
    routes: &[
        Route::post("/v1/quotes", "quote", create),
        Route::get("/v1/quotes", "quote", list_all),
        Route::get("/v1/quotes/{quote}", "quote", retrieve),
        Route::post("/v1/quotes/{quote}", "quote", update),
        Route::post("/v1/quotes/{quote}/finalize", "quote", finalize),
        Route::post("/v1/quotes/{quote}/accept", "quote", accept),
        Route::post("/v1/quotes/{quote}/cancel", "quote", cancel),
        Route::get("/v1/quotes/{quote}/line_items", "quote", line_items),
        Route::get(
            "/v1/quotes/{quote}/computed_upfront_line_items",
            "quote",
            line_items,
        ),
    ],
    find: |account, id| Some(account.quotes.get(id)?.render(account)),
    all: |account| {
        let all = account.quotes.oldest_first();
        all.map(|quote| quote.render(account)).collect()
    },
    includes: &[("line_items", included_lines)],
};

/// Stripe: a quote can be accepted for 30 days unless it says otherwise.
const VALID_SECONDS: i64 = 30 * DAY;

/// Parameters of Connect and of revisions, which the simulator does not know.
const UNSUPPORTED: [&str; 5] = [
    "application_fee_amount",
    "application_fee_percent",
    "from_quote",
    "on_behalf_of",
    "transfer_data",
];

fn of_path(ctx: &mut Ctx<'_>) -> Result<Quote, StripeError> {
    let id = ctx.arg("quote");
    let quote = ctx.account.quotes.get(id).cloned();
    let quote = quote.ok_or_else(|| StripeError::no_such("quote", id, "quote"))?;
    if let Some(customer) = &quote.customer {
        ctx.account.act_for(customer);
    }
    Ok(quote)
}

/// Makes another call of the API inside this one.
fn call(ctx: &mut Ctx<'_>, path: &str, params: &Map<String, Value>) -> Result<Value, StripeError> {
    let Some((route, _)) = router::find(Method::Post, path) else {
        return Err(StripeError::internal(format!("no route for {path}")));
    };
    let Answer(body) = (route.handler)(ctx, Params::new(params))?;
    Ok(body)
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        ctx.account.act_for(customer);
    }
    let now = ctx.now();
    let id = ctx.account.ids.long("qt_");
    let mut quote = Quote::new(id, now, now.saturating_add(VALID_SECONDS));
    apply(ctx, &mut quote, params)?;
    store(ctx.account, quote, "quote.created")
}

fn store(account: &mut Account, quote: Quote, event: &str) -> Reply {
    let id = quote.id.clone();
    account.quotes.insert(quote);
    let body = account.render(&id).unwrap_or_default();
    account.emit(event, &body);
    Ok(body.into())
}

/// Takes over the parameters that creation and update share and reckons the sums anew.
fn apply(ctx: &mut Ctx<'_>, quote: &mut Quote, params: Params<'_>) -> Result<(), StripeError> {
    if let Some(name) = UNSUPPORTED.iter().find(|name| params.is_given(name)) {
        let message = format!("stripe-simulator does not simulate `{name}` of quotes.");
        return Err(StripeError::invalid(message).param(*name));
    }
    params.patch("customer").apply(&mut quote.customer);
    params.patch("description").apply(&mut quote.description);
    params.patch("header").apply(&mut quote.header);
    params.patch("footer").apply(&mut quote.footer);
    params.merge_metadata(&mut quote.metadata);
    quote.expires_at = params.integer("expires_at").unwrap_or(quote.expires_at);
    if quote.expires_at <= ctx.now() {
        return Err(StripeError::invalid("`expires_at` must be in the future.").param("expires_at"));
    }
    for name in ["discounts", "default_tax_rates", "collection_method"] {
        if let Some(value) = params.raw(name) {
            quote.terms.insert(name.to_owned(), value.clone());
        }
    }
    for name in ["automatic_tax", "invoice_settings", "subscription_data"] {
        if let Some(Value::Object(given)) = params.raw(name) {
            let own = quote.terms.entry(name).or_insert_with(|| json!({}));
            if let Value::Object(own) = own {
                own.extend(given.clone());
            }
        }
    }
    if params.is_given("line_items") {
        quote.lines = read_lines(ctx.account, &params.children("line_items"))?;
    }
    quote.sums = reckon(ctx, quote)?;
    Ok(())
}

fn read_lines(account: &mut Account, items: &[Params<'_>]) -> Result<Vec<Line>, StripeError> {
    let mut lines = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = |name: &str| format!("line_items[{index}][{name}]");
        if item.is_given("discounts") {
            let message = "stripe-simulator does not simulate discounts of a quote's single lines.";
            return Err(StripeError::invalid(message).param(at("discounts")));
        }
        let price = match (item.text("price"), item.child("price_data")) {
            (Some(id), _) => prices::named(account, id, &at("price"))?.id.clone(),
            (None, Some(data)) => {
                let product = data.required("product")?;
                let product = products::named(account, product, &at("price_data][product"))?;
                let product = product.id.clone();
                prices::make(account, data, &product, false, &at("price_data"))?
            }
            (None, None) => return Err(StripeError::missing_param(&at("price"))),
        };
        lines.push(Line {
            id: account.ids.long("li_"),
            price,
            quantity: item.integer("quantity").unwrap_or(1),
            tax_rates: item.raw("tax_rates").cloned(),
        });
    }
    Ok(lines)
}

/// What the quote comes to, as a preview of the invoice says; without a customer, before discounts
/// and taxes.
fn reckon(ctx: &mut Ctx<'_>, quote: &Quote) -> Result<Sums, StripeError> {
    let Some(customer) = &quote.customer else {
        return Ok(Sums::plain(ctx.account, quote));
    };
    if quote.lines.is_empty() {
        return Ok(Sums::default());
    }
    let (recurring, once) = quote.split(ctx.account);
    let mut params = object([("customer", json!(customer))]);
    if !recurring.is_empty() {
        let details = json!({ "items": recurring });
        params.insert("subscription_details".to_owned(), details);
    }
    if !once.is_empty() {
        params.insert("invoice_items".to_owned(), Value::Array(once));
    }
    copy(&quote.terms, &mut params, &["automatic_tax", "discounts"]);
    let preview = call(ctx, "/v1/invoices/create_preview", &params)?;
    Ok(Sums::of_preview(&preview))
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(*name) {
            to.insert((*name).to_owned(), value.clone());
        }
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let quote = of_path(ctx)?;
    Ok(quote.render(ctx.account).into())
}

/// Stripe's error for a quote that is past the step.
fn check_status(quote: &Quote, allowed: &[Status], verb: &str) -> Result<(), StripeError> {
    if allowed.contains(&quote.status) {
        return Ok(());
    }
    Err(StripeError::invalid(format!(
        "You cannot {verb} a quote with status `{}`.",
        quote.status.name()
    )))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut quote = of_path(ctx)?;
    check_status(&quote, &[Status::Draft], "update")?;
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
    }
    apply(ctx, &mut quote, params)?;
    // Stripe has no event for a changed draft.
    let body = quote.render(ctx.account);
    ctx.account.quotes.insert(quote);
    Ok(body.into())
}

fn finalize(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut quote = of_path(ctx)?;
    check_status(&quote, &[Status::Draft], "finalize")?;
    if quote.customer.is_none() {
        return Err(StripeError::missing_param("customer"));
    }
    if quote.lines.is_empty() {
        return Err(StripeError::invalid(
            "You cannot finalize a quote without line items.",
        ));
    }
    let now = ctx.now();
    quote.expires_at = params.integer("expires_at").unwrap_or(quote.expires_at);
    quote.status = Status::Open;
    quote.finalized_at = Some(now);
    quote.number = Some(format!("QT-{}-0001-1", ctx.account.ids.code(8)));
    let (id, expires_at) = (quote.id.clone(), quote.expires_at);
    ctx.account
        .schedule(expires_at, "quote.expire", expire, &id);
    store(ctx.account, quote, "quote.finalized")
}

/// An open quote is canceled when its time is over.
fn expire(account: &mut Account, id: &str) {
    let Some(mut quote) = account.quotes.get(id).cloned() else {
        return;
    };
    if quote.status == Status::Open {
        quote.status = Status::Canceled;
        quote.canceled_at = Some(account.now());
        // What the event says is all there is to answer.
        let _ = store(account, quote, "quote.canceled");
    }
}

fn cancel(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let mut quote = of_path(ctx)?;
    check_status(&quote, &[Status::Draft, Status::Open], "cancel")?;
    quote.status = Status::Canceled;
    quote.canceled_at = Some(ctx.now());
    store(ctx.account, quote, "quote.canceled")
}

fn accept(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let mut quote = of_path(ctx)?;
    check_status(&quote, &[Status::Open], "accept")?;
    let (recurring, once) = quote.split(ctx.account);
    let mut params = object([("customer", json!(quote.customer))]);
    copy(
        &quote.terms,
        &mut params,
        &[
            "automatic_tax",
            "collection_method",
            "default_tax_rates",
            "discounts",
        ],
    );
    if let Some(days) = quote.term("invoice_settings", "days_until_due") {
        params.insert("days_until_due".to_owned(), days.clone());
    }
    if recurring.is_empty() {
        quote.invoice = Some(bill_once(ctx, &quote, &mut params, once)?);
    } else {
        params.insert("items".to_owned(), Value::Array(recurring));
        params.insert("add_invoice_items".to_owned(), Value::Array(once));
        for name in ["description", "metadata", "trial_period_days"] {
            if let Some(value) = quote.term("subscription_data", name) {
                params.insert(name.to_owned(), value.clone());
            }
        }
        let customer = quote.customer.clone().unwrap_or_default();
        let made = subscriptions::of_quote(ctx, Params::new(&params), &customer)?;
        let made = ctx.account.render(&made).unwrap_or_default();
        quote.subscription = text(&made, "id");
        quote.invoice = text(&made, "latest_invoice");
    }
    quote.status = Status::Accepted;
    quote.accepted_at = Some(ctx.now());
    store(ctx.account, quote, "quote.accepted")
}

/// A draft invoice over one-time prices.
fn bill_once(
    ctx: &mut Ctx<'_>,
    quote: &Quote,
    params: &mut Map<String, Value>,
    items: Vec<Value>,
) -> Result<String, StripeError> {
    if let Some(currency) = quote.currency(ctx.account) {
        params.insert("currency".to_owned(), json!(currency));
    }
    let invoice = text(&call(ctx, "/v1/invoices", params)?, "id").unwrap_or_default();
    for item in items {
        let Value::Object(mut item) = item else {
            continue;
        };
        let price = item.remove("price").unwrap_or_default();
        item.insert("pricing".to_owned(), json!({ "price": price }));
        item.insert("customer".to_owned(), json!(quote.customer));
        item.insert("invoice".to_owned(), json!(invoice));
        call(ctx, "/v1/invoiceitems", &item)?;
    }
    Ok(invoice)
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn lines_of(account: &Account, quote: &Quote) -> Value {
    let rows = quote.render_lines(account);
    let total = rows.len();
    list::embedded(format!("/v1/quotes/{}/line_items", quote.id), rows, total)
}

fn included_lines(account: &Account, id: &str) -> Value {
    let quote = account.quotes.get(id);
    quote.map_or(Value::Null, |quote| lines_of(account, quote))
}

fn line_items(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let quote = of_path(ctx)?;
    Ok(lines_of(ctx.account, &quote).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let keep = |quote: &Quote| {
        params
            .text("status")
            .is_none_or(|name| quote.status.name() == name)
    };
    let key = params.text("customer").map(|id| ("customer", id));
    let render = |quote: &Quote| quote.render(ctx.account);
    let page = list::list(ctx, params, &ctx.account.quotes, "quote", key, keep, render)?;
    Ok(page.into())
}
