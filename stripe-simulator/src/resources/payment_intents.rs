//! Payment intents: <https://docs.stripe.com/api/payment_intents>.

use serde_json::{Value, json};

use super::customers;
use super::intents::{
    IntentRequest, MethodTypes, check_client_secret, method_types, presence, unexpected_state,
};
use crate::account::Account;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::attempt::Attempt;
use crate::payments::limits::check_charge_amount;
use crate::payments::payment_intent::{CaptureMethod, Owner, PaymentIntent, PaymentStatus};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "payment_intent",
    prefixes: &["pi_"],
    routes: &[
        Route::post("/v1/payment_intents", "payment_intent", create),
        Route::get("/v1/payment_intents", "payment_intent", list_all),
        Route::get("/v1/payment_intents/{intent}", "payment_intent", retrieve),
        Route::post("/v1/payment_intents/{intent}", "payment_intent", update),
        Route::post(
            "/v1/payment_intents/{intent}/confirm",
            "payment_intent",
            confirm,
        ),
        Route::post(
            "/v1/payment_intents/{intent}/cancel",
            "payment_intent",
            cancel,
        ),
        Route::post(
            "/v1/payment_intents/{intent}/capture",
            "payment_intent",
            capture,
        ),
    ],
    find: |account, id| {
        account
            .payments
            .payment_intents
            .get(id)
            .map(PaymentIntent::render)
    },
    all: |account| {
        account
            .payments
            .payment_intents
            .oldest_first()
            .map(PaymentIntent::render)
            .collect()
    },
    includes: &[],
};

const UNEXPECTED: &str = "payment_intent_unexpected_state";

fn rendered(account: &Account, id: &str) -> Value {
    account
        .payments
        .payment_intents
        .get(id)
        .map_or(Value::Null, PaymentIntent::render)
}

/// The path's intent, its customer's clock being acted on.
fn of_path(ctx: &mut Ctx<'_>, params: Params<'_>) -> Result<PaymentIntent, StripeError> {
    let id = ctx.arg("intent").to_owned();
    let Some(intent) = ctx.account.payments.payment_intents.get(&id).cloned() else {
        return Err(StripeError::no_such("payment_intent", &id, "intent"));
    };
    check_client_secret(ctx.request, params, &intent.client_secret, "PaymentIntent")?;
    if let Some(customer) = &intent.customer {
        ctx.account.act_for(customer);
    }
    Ok(intent)
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let amount = params
        .integer("amount")
        .ok_or_else(|| StripeError::missing_param("amount"))?;
    let currency = Currency::parse(params.required("currency")?, "currency")?;
    check_charge_amount(amount, currency, "amount")?;
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        ctx.account.act_for(customer);
    }
    let confirms = params.boolean("confirm").unwrap_or(false);
    if !confirms && (params.is_given("off_session") || params.is_given("error_on_requires_action"))
    {
        let param = if params.is_given("off_session") {
            "off_session"
        } else {
            "error_on_requires_action"
        };
        return Err(StripeError::invalid(format!(
            "You cannot set `{param}` when creating a PaymentIntent without `confirm=true`."
        ))
        .param(param));
    }
    let account = &mut *ctx.account;
    let MethodTypes {
        types,
        automatic,
        configuration,
    } = method_types(account, params, currency);
    let id = account.ids.long("pi_");
    let client_secret = format!("{id}_secret_{}", account.ids.base62(25));
    let mut intent = PaymentIntent {
        created: account.now(),
        livemode: account.livemode,
        customer: params.owned("customer"),
        payment_method_types: types,
        automatic_payment_methods: automatic,
        configuration,
        manual_confirmation: params.text("confirmation_method") == Some("manual"),
        authentication_url: account.authentication_url(&id),
        ..PaymentIntent::new(id.clone(), client_secret, amount, currency)
    };
    apply(&mut intent, params);
    let method = account.method_for_intent(
        params,
        IntentRequest {
            customer: intent.customer.as_deref(),
            types: &intent.payment_method_types,
        },
    )?;
    if method.is_some() {
        intent.payment_method = method;
        intent.status = PaymentStatus::RequiresConfirmation;
    }
    let body = intent.render();
    account.payments.payment_intents.insert(intent);
    account.emit("payment_intent.created", &body);
    if confirms {
        confirm_now(ctx, &id, params)
    } else {
        Ok(body.into())
    }
}

/// The parameters that creation and update share.
fn apply(intent: &mut PaymentIntent, params: Params<'_>) {
    for (name, field) in [
        ("description", &mut intent.description),
        ("receipt_email", &mut intent.receipt_email),
        ("setup_future_usage", &mut intent.setup_future_usage),
        ("statement_descriptor", &mut intent.statement_descriptor),
        (
            "statement_descriptor_suffix",
            &mut intent.statement_descriptor_suffix,
        ),
        ("transfer_group", &mut intent.transfer_group),
    ] {
        params.patch(name).apply(field);
    }
    params.merge_metadata(&mut intent.metadata);
    if let Some(shipping) = params.raw("shipping") {
        intent.shipping = render_shipping(shipping);
    }
    if let Some(options) = params
        .raw("payment_method_options")
        .filter(|value| value.is_object())
    {
        intent.payment_method_options = options.clone();
    }
    intent.capture_method = match params.text("capture_method") {
        Some("manual") => CaptureMethod::Manual,
        Some("automatic") => CaptureMethod::Automatic,
        Some(_) => CaptureMethod::AutomaticAsync,
        None => intent.capture_method,
    };
    intent.mandate_given |= params.is_given("mandate_data") || params.is_given("mandate");
}

fn render_shipping(given: &Value) -> Value {
    let Some(fields) = given.as_object() else {
        return Value::Null;
    };
    let get = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let part = |name: &str| {
        fields
            .get("address")
            .and_then(|address| address.get(name))
            .cloned()
            .unwrap_or_default()
    };
    json!({
        "address": {
            "city": part("city"),
            "country": part("country"),
            "line1": part("line1"),
            "line2": part("line2"),
            "postal_code": part("postal_code"),
            "state": part("state"),
        },
        "carrier": get("carrier"),
        "name": get("name"),
        "phone": get("phone"),
        "tracking_number": get("tracking_number"),
    })
}

fn retrieve(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    Ok(intent.render().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    let mut changed = intent.clone();
    let structural = [
        "amount",
        "currency",
        "customer",
        "payment_method",
        "payment_method_data",
    ];
    if let Some(field) = structural.into_iter().find(|field| params.is_given(field))
        && !intent.status.is_confirmable()
    {
        return Err(unexpected_state(
            UNEXPECTED,
            format!(
                "This PaymentIntent's {field} could not be updated because it has a status of {}. \
                 You may only update the {field} of a PaymentIntent with one of the following \
                 statuses: requires_payment_method, requires_confirmation, requires_action.",
                intent.status.as_str()
            ),
            "payment_intent",
            intent.render(),
        )
        .param(field));
    }
    if let Some(currency) = params.text("currency") {
        changed.currency = Currency::parse(currency, "currency")?;
    }
    if let Some(amount) = params.integer("amount") {
        check_charge_amount(amount, changed.currency, "amount")?;
        changed.amount = amount;
    }
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        changed.customer = Some(customer.to_owned());
    }
    if params.is_given("allowed_payment_method_types") {
        changed.payment_method_types = params
            .texts("payment_method_types")
            .into_iter()
            .map(str::to_owned)
            .collect();
    }
    apply(&mut changed, params);
    let request = IntentRequest {
        customer: changed.customer.as_deref(),
        types: &changed.payment_method_types,
    };
    if let Some(method) = ctx.account.method_for_intent(params, request)? {
        changed.payment_method = Some(method);
        changed.status = PaymentStatus::RequiresConfirmation;
        changed.next_action = None;
    }
    let body = changed.render();
    ctx.account.payments.payment_intents.insert(changed);
    Ok(body.into())
}

fn confirm(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    if !intent.status.is_confirmable() {
        let why = match intent.status {
            PaymentStatus::Succeeded => {
                "it has already succeeded after being previously confirmed".to_owned()
            }
            status => format!("it has a status of {}", status.as_str()),
        };
        return Err(unexpected_state(
            UNEXPECTED,
            format!("You cannot confirm this PaymentIntent because {why}."),
            "payment_intent",
            intent.render(),
        ));
    }
    let mut changed = intent.clone();
    apply(&mut changed, params);
    let request = IntentRequest {
        customer: changed.customer.as_deref(),
        types: &changed.payment_method_types,
    };
    if let Some(method) = ctx.account.method_for_intent(params, request)? {
        changed.payment_method = Some(method);
        changed.status = PaymentStatus::RequiresConfirmation;
        changed.next_action = None;
    }
    let id = changed.id.clone();
    ctx.account.payments.payment_intents.insert(changed);
    confirm_now(ctx, &id, params)
}

/// Confirms an intent whose parameters are stored, and tells whoever waits for it.
fn confirm_now(ctx: &mut Ctx<'_>, id: &str, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let Some(intent) = account.payments.payment_intents.get(id) else {
        return Err(StripeError::no_such("payment_intent", id, "intent"));
    };
    let method = intent.payment_method.as_deref();
    let Some(method) = method.and_then(|method| account.payments.payment_methods.get(method))
    else {
        return Err(unexpected_state(
            UNEXPECTED,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can \
             either update the PaymentIntent with a payment method and then confirm it again, or \
             confirm it again directly with a payment method or ConfirmationToken."
                .to_owned(),
            "payment_intent",
            intent.render(),
        ));
    };
    if method.instrument.needs_mandate() && method.mandate.is_none() && !intent.mandate_given {
        return Err(StripeError::invalid(
            "This PaymentIntent requires a mandate, but no existing mandate was found. Collect \
             mandate acceptance from the customer and try again, providing acceptance data in the \
             mandate_data parameter.",
        )
        .with("payment_intent", intent.render()));
    }
    let attempt = Attempt {
        presence: presence(params),
        error_on_requires_action: params.boolean("error_on_requires_action").unwrap_or(false),
        return_url: params.owned("return_url"),
    };
    let status = account.attempt_payment(id, &attempt);
    account.tell_owner(id);
    let intent = account.payments.payment_intents.get(id);
    let error = intent.and_then(|intent| intent.last_payment_error.clone());
    let body = rendered(account, id);
    match error.filter(|_| status == PaymentStatus::RequiresPaymentMethod) {
        Some(error) => Err(error.answer("payment_intent", body)),
        None => Ok(body.into()),
    }
}

fn cancel(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    if let Owner::Invoice(invoice) = &intent.owner {
        return Err(StripeError::invalid(format!(
            "You cannot cancel this PaymentIntent because it belongs to the invoice {invoice}. \
             Void the invoice instead."
        )));
    }
    if !intent.status.is_cancelable() {
        return Err(unexpected_state(
            UNEXPECTED,
            format!(
                "You cannot cancel this PaymentIntent because it has a status of {}. Only a \
                 PaymentIntent with one of the following statuses may be canceled: \
                 requires_payment_method, requires_capture, requires_confirmation, \
                 requires_action, processing.",
                intent.status.as_str()
            ),
            "payment_intent",
            intent.render(),
        ));
    }
    let account = &mut *ctx.account;
    match (intent.status, &intent.latest_charge) {
        (PaymentStatus::RequiresCapture, Some(charge)) => account.release_authorization(charge),
        (PaymentStatus::Processing, Some(charge)) => account.stop_debit(charge),
        _ => {}
    }
    account.cancel_payment(&intent.id, params.text("cancellation_reason"));
    Ok(rendered(account, &intent.id).into())
}

fn capture(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    if intent.status != PaymentStatus::RequiresCapture {
        return Err(unexpected_state(
            UNEXPECTED,
            format!(
                "This PaymentIntent could not be captured because it has a status of {}. Only a \
                 PaymentIntent with one of the following statuses may be captured: \
                 requires_capture.",
                intent.status.as_str()
            ),
            "payment_intent",
            intent.render(),
        ));
    }
    let amount = params
        .integer("amount_to_capture")
        .unwrap_or(intent.amount_capturable);
    if amount < 1 || amount > intent.amount_capturable {
        return Err(StripeError::invalid(format!(
            "The requested capture amount is greater than the amount you can capture for this \
             charge: {} of {}.",
            intent.currency.display(amount),
            intent.currency.display(intent.amount_capturable)
        ))
        .code("amount_too_large")
        .param("amount_to_capture"));
    }
    let account = &mut *ctx.account;
    if let Some(charge) = intent.latest_charge.clone() {
        account.capture_charge(&charge, amount);
        account.succeed(&intent.id, &charge, amount);
    }
    account.tell_owner(&intent.id);
    Ok(rendered(account, &intent.id).into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.text("customer");
    if let Some(customer) = customer {
        customers::named(ctx.account, customer, "customer")?;
    }
    let page = list::list(
        ctx,
        params,
        &ctx.account.payments.payment_intents,
        "payment_intent",
        customer.map(|customer| ("customer", customer)),
        |_| true,
        PaymentIntent::render,
    )?;
    Ok(page.into())
}
