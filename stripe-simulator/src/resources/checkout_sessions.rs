//! Checkout sessions: <https://docs.stripe.com/api/checkout/sessions>.

use serde_json::{Map, Value};

use super::{customers, prices, products};
use crate::account::Account;
use crate::billing::lines::pricing;
use crate::checkout::complete::Step;
use crate::checkout::session::{CartLine, CheckoutSession, Mode, PaidStatus, Payer, SessionStatus};
use crate::clock::{DAY, HOUR};
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::collect::default_method_types;
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "checkout.session",
    prefixes: &["cs_"],
    routes: &[
        Route::post("/v1/checkout/sessions", "checkout_session", create),
        Route::get("/v1/checkout/sessions", "checkout_session", list_all),
        Route::get(
            "/v1/checkout/sessions/{session}",
            "checkout_session",
            retrieve,
        ),
        Route::post(
            "/v1/checkout/sessions/{session}",
            "checkout_session",
            update,
        ),
        Route::get(
            "/v1/checkout/sessions/{session}/line_items",
            "checkout_session",
            line_items,
        ),
        Route::post(
            "/v1/checkout/sessions/{session}/expire",
            "checkout_session",
            expire,
        ),
        // What the hosted page itself calls; the official CLI's scripts call it too.
        Route::get("/v1/payment_pages/{session}", "checkout_session", retrieve),
        Route::post(
            "/v1/payment_pages/{session}/confirm",
            "checkout_session",
            confirm_page,
        ),
    ],
    find: |account, id| {
        account
            .hosted
            .sessions
            .get(id)
            .map(|session| session.render(account))
    },
    all: |account| {
        account
            .hosted
            .sessions
            .oldest_first()
            .map(|session| session.render(account))
            .collect()
    },
    includes: &[("line_items", included_lines)],
};

/// The creation parameters that are kept as they came.
const KEPT: &[&str] = &[
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "automatic_tax",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_creation",
    "customer_email",
    "discounts",
    "integration_identifier",
    "locale",
    "origin_context",
    "payment_intent_data",
    "payment_method_collection",
    "payment_method_options",
    "redirect_on_completion",
    "return_url",
    "setup_intent_data",
    "submit_type",
    "subscription_data",
    "success_url",
];

fn included_lines(account: &Account, id: &str) -> Value {
    let session = account.hosted.sessions.get(id);
    session.map_or(Value::Null, |session| session.render_lines(account))
}

fn of_path<'a>(ctx: &'a Ctx<'_>) -> Result<&'a CheckoutSession, StripeError> {
    let id = ctx.arg("session");
    let found = ctx.account.hosted.sessions.get(id);
    found.ok_or_else(|| StripeError::no_such("checkout.session", id, "session"))
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        ctx.account.act_for(customer);
    }
    let id = start(ctx.account, params, None)?;
    Ok(ctx.account.render(&id).unwrap_or_default().into())
}

/// Starts a session; for a payment link, `link` is its id.
pub(crate) fn start(
    account: &mut Account,
    params: Params<'_>,
    link: Option<&str>,
) -> Result<String, StripeError> {
    let mode = match params.required("mode")? {
        "payment" => Mode::Payment,
        "setup" => Mode::Setup,
        _ => Mode::Subscription,
    };
    check_urls(params)?;
    let expires_at = check_expiry(account, params)?;
    if params.is_given("customer") && params.is_given("customer_email") {
        return Err(StripeError::invalid(
            "You may only specify one of these parameters: customer, customer_email.",
        )
        .param("customer_email"));
    }
    let (lines, currency) = read_lines(account, params, mode)?;
    let named = params.texts("allowed_payment_method_types");
    let types: Vec<String> = if named.is_empty() {
        currency.map_or_else(|| vec!["card".to_owned()], default_method_types)
    } else {
        named.iter().map(|&kind| kind.to_owned()).collect()
    };
    let live = if account.livemode { "live" } else { "test" };
    let id = format!("cs_{live}_{}", account.ids.base62(58));
    let ui_mode = params.text("ui_mode").unwrap_or("hosted_page").to_owned();
    let hosted = ui_mode == "hosted_page";
    let given: Map<String, Value> = KEPT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), params.raw(name)?.clone())))
        .collect();
    let session = CheckoutSession {
        created: account.now(),
        expires_at,
        livemode: account.livemode,
        mode,
        status: SessionStatus::Open,
        payment_status: if mode == Mode::Setup {
            PaidStatus::NoPaymentRequired
        } else {
            PaidStatus::Unpaid
        },
        currency,
        lines,
        customer: params.owned("customer"),
        creates_customer: params.text("customer_creation") == Some("always"),
        payer: Payer::default(),
        payment_intent: None,
        setup_intent: None,
        subscription: None,
        invoice: None,
        pending_method: None,
        message: None,
        payment_method_types: types,
        configuration: named.is_empty().then(|| account.method_configuration()),
        payment_link: link.map(str::to_owned),
        client_secret: (!hosted).then(|| format!("{id}_secret_{}", account.ids.base62(40))),
        ui_mode,
        page: format!("{}/c/pay/{id}", account.base_url),
        given,
        metadata: params.metadata(),
        id: id.clone(),
    };
    account.hosted.sessions.insert(session);
    if mode == Mode::Setup {
        start_setup(account, &id);
    }
    account.schedule(expires_at, "checkout.expire", Account::expire_checkout, &id);
    Ok(id)
}

/// A session in setup mode has its setup intent from the start.
fn start_setup(account: &mut Account, id: &str) {
    let Some(session) = account.hosted.sessions.get(id).cloned() else {
        return;
    };
    let data = session.given_map("setup_intent_data");
    let mut intent = account.blank_setup_intent();
    intent.customer = session.customer;
    intent.payment_method_types = session.payment_method_types;
    intent.configuration = session.configuration;
    intent.description = data
        .get("description")
        .and_then(Value::as_str)
        .map(str::to_owned);
    intent.metadata = data
        .get("metadata")
        .and_then(|metadata| serde_json::from_value(metadata.clone()).ok())
        .unwrap_or_default();
    intent.checkout = Some(id.to_owned());
    let (intent_id, rendered) = (intent.id.clone(), intent.render());
    account.payments.setup_intents.insert(intent);
    account.emit("setup_intent.created", &rendered);
    if let Some(mut session) = account.hosted.sessions.get_mut(id) {
        session.setup_intent = Some(intent_id);
    }
}

fn check_urls(params: Params<'_>) -> Result<(), StripeError> {
    let hosted = params
        .text("ui_mode")
        .is_none_or(|mode| mode == "hosted_page");
    if hosted && params.text("success_url").is_none() {
        return Err(StripeError::missing_param("success_url"));
    }
    let redirects = params.text("redirect_on_completion") != Some("never");
    if !hosted && redirects && params.text("return_url").is_none() {
        return Err(StripeError::missing_param("return_url"));
    }
    for name in ["success_url", "cancel_url", "return_url"] {
        let Some(url) = params.text(name) else {
            continue;
        };
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(StripeError::invalid("Not a valid URL")
                .code("url_invalid")
                .param(name));
        }
    }
    Ok(())
}

/// `expires_at`: 30 minutes to 24 hours ahead, 24 hours by default.
fn check_expiry(account: &Account, params: Params<'_>) -> Result<i64, StripeError> {
    let now = account.now();
    let Some(at) = params.integer("expires_at") else {
        return Ok(now.saturating_add(DAY));
    };
    let fault = |message: &str| StripeError::invalid(message).param("expires_at");
    if at < now.saturating_add(HOUR / 2) {
        return Err(fault(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
        ));
    }
    if at > now.saturating_add(DAY) {
        return Err(fault(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
        ));
    }
    Ok(at)
}

type Cart = (Vec<CartLine>, Option<Currency>);

fn read_lines(account: &mut Account, params: Params<'_>, mode: Mode) -> Result<Cart, StripeError> {
    let items = params.children("line_items");
    let asked = params
        .text("currency")
        .map(|code| Currency::parse(code, "currency"))
        .transpose()?;
    if mode == Mode::Setup {
        if !items.is_empty() {
            return Err(
                StripeError::invalid("You can not pass `line_items` in `setup` mode.")
                    .param("line_items"),
            );
        }
        if asked.is_none() && !params.is_given("allowed_payment_method_types") {
            return Err(StripeError::missing_param("currency"));
        }
        return Ok((Vec::new(), asked));
    }
    if items.is_empty() {
        return Err(StripeError::missing_param("line_items"));
    }
    // Everything is checked before an inline price is made.
    for (index, item) in items.iter().enumerate() {
        check_item(account, *item, mode, index)?;
    }
    let recurring = |item: &Params<'_>| is_recurring(account, *item);
    if mode == Mode::Subscription && !items.iter().any(recurring) {
        return Err(StripeError::invalid(
            "You must provide at least one recurring price in `subscription` mode when using \
             prices.",
        )
        .param("line_items"));
    }
    let trial = has_trial(params);
    let mut lines = Vec::new();
    let mut currency = asked;
    for (index, item) in items.into_iter().enumerate() {
        let price = price_of(account, item, index)?;
        let own = account.prices.get(&price).map(|price| price.currency);
        match (currency, own) {
            (None, own) => currency = own,
            (Some(currency), Some(own)) => {
                let offered = account.prices.get(&price);
                if offered.is_none_or(|price| price.amount_in(currency).is_none()) {
                    return Err(StripeError::invalid(format!(
                        "The price specified only supports `{}`. This doesn't match the expected \
                         currency: `{}`.",
                        own.code(),
                        currency.code()
                    ))
                    .param(format!("line_items[{index}][price]")));
                }
            }
            (Some(_), None) => {}
        }
        lines.push(line(account, item, &price, currency, trial));
    }
    Ok((lines, currency))
}

/// What a payment link sells.
pub(crate) struct LinkCart {
    pub(crate) currency: Currency,
    pub(crate) subscribes: bool,
    /// The parameters for the link's sessions, inline prices made.
    pub(crate) given: Map<String, Value>,
}

/// Reads the cart of a payment link. Its prices are made once, for all its sessions.
pub(crate) fn cart_of_link(
    account: &mut Account,
    params: Params<'_>,
) -> Result<LinkCart, StripeError> {
    let recurs = |item: &Params<'_>| is_recurring(account, *item);
    let subscribes = params.children("line_items").iter().any(recurs);
    let mode = if subscribes {
        Mode::Subscription
    } else {
        Mode::Payment
    };
    let (lines, currency) = read_lines(account, params, mode)?;
    let items: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::json!({ "price": line.price, "quantity": line.quantity }))
        .collect();
    let mut given = params.map().clone();
    given.insert("line_items".to_owned(), items.into());
    given.remove("metadata");
    Ok(LinkCart {
        currency: currency.unwrap_or_else(|| account.default_currency()),
        subscribes,
        given,
    })
}

fn has_trial(params: Params<'_>) -> bool {
    params.child("subscription_data").is_some_and(|data| {
        data.integer("trial_period_days").is_some() || data.integer("trial_end").is_some()
    })
}

fn is_recurring(account: &Account, item: Params<'_>) -> bool {
    if let Some(data) = item.child("price_data") {
        return data.is_given("recurring");
    }
    let price = item.text("price").and_then(|id| account.prices.get(id));
    price.is_some_and(|price| price.recurring.is_some())
}

fn check_item(
    account: &Account,
    item: Params<'_>,
    mode: Mode,
    index: usize,
) -> Result<(), StripeError> {
    let at = |name: &str| format!("line_items[{index}][{name}]");
    match (item.text("price"), item.child("price_data")) {
        (Some(id), None) => {
            let price = prices::named(account, id, &at("price"))?;
            if !price.active {
                return Err(StripeError::invalid(format!(
                    "The price specified is inactive. This field only accepts active prices: {id}."
                ))
                .code("price_inactive")
                .param(at("price")));
            }
        }
        (None, Some(data)) => {
            prices::check(data, &at("price_data"))?;
            match (data.text("product"), data.child("product_data")) {
                (Some(product), None) => {
                    products::named(account, product, &at("price_data][product"))?;
                }
                (None, Some(_)) => {}
                _ => return Err(StripeError::missing_param(&at("price_data][product_data"))),
            }
        }
        _ => return Err(StripeError::missing_param(&at("price"))),
    }
    if mode == Mode::Payment && is_recurring(account, item) {
        return Err(StripeError::invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to \
             `subscription` mode or use only one-time prices.",
        )
        .param("mode"));
    }
    if !is_metered(account, item) && item.integer("quantity").is_none_or(|quantity| quantity < 1) {
        return Err(
            StripeError::invalid("Quantity is required. Add `quantity` to `line_items`.")
                .param(at("quantity")),
        );
    }
    Ok(())
}

fn is_metered(account: &Account, item: Params<'_>) -> bool {
    let price = item.text("price").and_then(|id| account.prices.get(id));
    let recurring = price.and_then(|price| price.recurring.as_ref());
    recurring.is_some_and(|recurring| recurring.metered)
}

/// The price of an item, made if it is given inline.
fn price_of(account: &mut Account, item: Params<'_>, index: usize) -> Result<String, StripeError> {
    if let Some(id) = item.text("price") {
        return Ok(id.to_owned());
    }
    let Some(data) = item.child("price_data") else {
        return Err(StripeError::missing_param(&format!(
            "line_items[{index}][price]"
        )));
    };
    let product = match (data.text("product"), data.child("product_data")) {
        (Some(product), _) => product.to_owned(),
        (None, Some(product)) => products::make(account, product)?,
        (None, None) => {
            return Err(StripeError::missing_param(&format!(
                "line_items[{index}][price_data][product]"
            )));
        }
    };
    prices::make(
        account,
        data,
        &product,
        false,
        &format!("line_items[{index}][price_data]"),
    )
}

fn line(
    account: &mut Account,
    item: Params<'_>,
    price: &str,
    currency: Option<Currency>,
    trial: bool,
) -> CartLine {
    let id = account.ids.long("li_");
    let found = account.prices.get(price);
    let recurring = found.is_some_and(|price| price.recurring.is_some());
    let quantity = item.integer("quantity");
    let amount = match (found, currency, quantity) {
        (Some(price), Some(currency), Some(quantity)) if !(recurring && trial) => {
            pricing(price, currency).amount(quantity)
        }
        _ => 0,
    };
    let product = found.and_then(|price| account.products.get(&price.product));
    CartLine {
        id,
        price: price.to_owned(),
        quantity,
        amount,
        recurring,
        description: product.map_or_else(String::new, |product| product.name.clone()),
    }
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let session = of_path(ctx)?;
    Ok(session.render(ctx.account).into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let id = of_path(ctx)?.id.clone();
    if let Some(mut session) = ctx.account.hosted.sessions.get_mut(&id) {
        params.merge_metadata(&mut session.metadata);
    }
    retrieve(ctx, params)
}

fn line_items(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let session = of_path(ctx)?;
    Ok(session.render_lines(ctx.account).into())
}

fn expire(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let session = of_path(ctx)?;
    if session.status != SessionStatus::Open {
        return Err(StripeError::invalid(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout \
             Session has a status of `{}`.",
            session.status.as_str()
        )));
    }
    let (id, customer) = (session.id.clone(), session.customer.clone());
    if let Some(customer) = customer {
        ctx.account.act_for(&customer);
    }
    ctx.account.expire_checkout(&id);
    retrieve(ctx, params)
}

/// The call of the hosted page that submits it.
fn confirm_page(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let session = of_path(ctx)?;
    let (id, total) = (session.id.clone(), session.total().unwrap_or_default());
    if params
        .integer("expected_amount")
        .is_some_and(|expected| expected != total)
    {
        return Err(StripeError::invalid(
            "The amount of this Checkout Session has changed; reload the page.",
        )
        .code("checkout_amount_mismatch")
        .param("expected_amount"));
    }
    let named = params.required("payment_method")?;
    let method = ctx
        .account
        .resolve_payment_method(named, "payment_method")?;
    let found = ctx.account.payments.payment_methods.get(&method);
    let billing = found
        .map(|method| method.billing_details.clone())
        .unwrap_or_default();
    let payer = Payer {
        email: billing.email,
        name: billing.name,
    };
    match ctx.account.submit_checkout(&id, Some(&method), payer)? {
        Step::Refused(message) => Err(StripeError::card("card_declined", message)),
        Step::Complete | Step::Authenticate(_) => retrieve(ctx, params),
    }
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let filters = ["customer", "payment_intent", "subscription", "payment_link"];
    let key = filters
        .iter()
        .find_map(|name| Some((*name, params.text(name)?)));
    let status = params.text("status");
    let email = params
        .child("customer_details")
        .and_then(|details| details.text("email"));
    let keep = |session: &CheckoutSession| {
        status.is_none_or(|status| session.status.as_str() == status)
            && email.is_none_or(|email| session.payer.email.as_deref() == Some(email))
    };
    let account = &*ctx.account;
    let store = &account.hosted.sessions;
    let render = |session: &CheckoutSession| session.render(account);
    let page = list::list(ctx, params, store, "checkout.session", key, keep, render)?;
    Ok(page.into())
}
