//! Setup intents: <https://docs.stripe.com/api/setup_intents>.

use serde_json::{Value, json};

use super::customers;
use super::intents::{
    IntentRequest, MethodTypes, check_client_secret, method_types, unexpected_state,
};
use crate::account::Account;
use crate::currency::Currency;
use crate::front::errors::StripeError;
use crate::front::list;
use crate::front::router::{Ctx, Reply, Route};
use crate::params::Params;
use crate::payments::instrument::Presence;
use crate::payments::setup_intent::{SetupIntent, SetupStatus};
use crate::registry::Resource;

pub(crate) static RESOURCE: Resource = Resource {
    object: "setup_intent",
    prefixes: &["seti_"],
    routes: &[
        Route::post("/v1/setup_intents", "setup_intent", create),
        Route::get("/v1/setup_intents", "setup_intent", list_all),
        Route::get("/v1/setup_intents/{intent}", "setup_intent", retrieve),
        Route::post("/v1/setup_intents/{intent}", "setup_intent", update),
        Route::post(
            "/v1/setup_intents/{intent}/confirm",
            "setup_intent",
            confirm,
        ),
        Route::post("/v1/setup_intents/{intent}/cancel", "setup_intent", cancel),
    ],
    find: |account, id| {
        account
            .payments
            .setup_intents
            .get(id)
            .map(SetupIntent::render)
    },
    all: |account| {
        account
            .payments
            .setup_intents
            .oldest_first()
            .map(SetupIntent::render)
            .collect()
    },
    includes: &[],
};

const UNEXPECTED: &str = "setup_intent_unexpected_state";

fn rendered(account: &Account, id: &str) -> Value {
    account
        .payments
        .setup_intents
        .get(id)
        .map_or(Value::Null, SetupIntent::render)
}

/// The path's intent, its customer's clock being acted on.
fn of_path(ctx: &mut Ctx<'_>, params: Params<'_>) -> Result<SetupIntent, StripeError> {
    let id = ctx.arg("intent").to_owned();
    let Some(intent) = ctx.account.payments.setup_intents.get(&id).cloned() else {
        return Err(StripeError::no_such("setupintent", &id, "intent"));
    };
    check_client_secret(ctx.request, params, &intent.client_secret, "SetupIntent")?;
    if let Some(customer) = &intent.customer {
        ctx.account.act_for(customer);
    }
    Ok(intent)
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        ctx.account.act_for(customer);
    }
    let account = &mut *ctx.account;
    let currency = Currency::parse(&account.settings.default_currency, "currency")?;
    let MethodTypes {
        types,
        automatic,
        configuration,
    } = method_types(account, params, currency);
    let intent = SetupIntent {
        payment_method_types: types,
        automatic_payment_methods: automatic,
        configuration,
        customer: params.owned("customer"),
        on_session: params.text("usage") == Some("on_session"),
        ..account.blank_setup_intent()
    };
    let id = intent.id.clone();
    let intent = account.with_parameters(intent, params)?;
    let body = intent.render();
    account.payments.setup_intents.insert(intent);
    account.emit("setup_intent.created", &body);
    if params.boolean("confirm").unwrap_or(false) {
        confirm_now(ctx, &id, params)
    } else {
        Ok(body.into())
    }
}

impl Account {
    /// A setup intent with nothing in it but its identity.
    pub(crate) fn blank_setup_intent(&mut self) -> SetupIntent {
        let id = self.ids.long("seti_");
        SetupIntent {
            created: self.now(),
            livemode: self.livemode,
            status: SetupStatus::RequiresPaymentMethod,
            client_secret: format!("{id}_secret_{}", self.ids.base62(25)),
            customer: None,
            payment_method: None,
            payment_method_types: vec!["card".to_owned()],
            automatic_payment_methods: None,
            configuration: None,
            payment_method_options: json!({}),
            on_session: false,
            return_url: None,
            authentication_url: self.authentication_url(&id),
            last_setup_error: None,
            latest_attempt: None,
            cancellation_reason: None,
            description: None,
            mandate: None,
            mandate_given: false,
            metadata: crate::params::Metadata::new(),
            checkout: None,
            id,
        }
    }

    /// The intent with what creation, update and confirmation can all give.
    fn with_parameters(
        &mut self,
        mut intent: SetupIntent,
        params: Params<'_>,
    ) -> Result<SetupIntent, StripeError> {
        params.patch("description").apply(&mut intent.description);
        params.merge_metadata(&mut intent.metadata);
        if let Some(options) = params
            .raw("payment_method_options")
            .filter(|value| value.is_object())
        {
            intent.payment_method_options = options.clone();
        }
        intent.mandate_given |= params.is_given("mandate_data");
        let request = IntentRequest {
            customer: intent.customer.as_deref(),
            types: &intent.payment_method_types,
        };
        if let Some(method) = self.method_for_intent(params, request)? {
            intent.payment_method = Some(method);
            intent.status = SetupStatus::RequiresConfirmation;
        }
        Ok(intent)
    }
}

fn retrieve(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    Ok(intent.render().into())
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let mut intent = of_path(ctx, params)?;
    let structural = [
        "customer",
        "payment_method",
        "payment_method_data",
        "allowed_payment_method_types",
    ];
    if let Some(field) = structural.into_iter().find(|field| params.is_given(field))
        && !intent.status.is_open()
    {
        return Err(unexpected_state(
            UNEXPECTED,
            format!(
                "You cannot update the {field} of this SetupIntent because it has a status of {}.",
                intent.status.as_str()
            ),
            "setup_intent",
            intent.render(),
        )
        .param(field));
    }
    if let Some(customer) = params.text("customer") {
        customers::named(ctx.account, customer, "customer")?;
        intent.customer = Some(customer.to_owned());
    }
    if params.is_given("allowed_payment_method_types") {
        intent.payment_method_types = params
            .texts("payment_method_types")
            .into_iter()
            .map(str::to_owned)
            .collect();
    }
    let intent = ctx.account.with_parameters(intent, params)?;
    let body = intent.render();
    ctx.account.payments.setup_intents.insert(intent);
    Ok(body.into())
}

fn confirm(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    if !intent.status.is_open() {
        let why = match intent.status {
            SetupStatus::Succeeded => "it has already succeeded".to_owned(),
            status => format!("it has a status of {}", status.as_str()),
        };
        return Err(unexpected_state(
            UNEXPECTED,
            format!("You cannot confirm this SetupIntent because {why}."),
            "setup_intent",
            intent.render(),
        ));
    }
    let id = intent.id.clone();
    let intent = ctx.account.with_parameters(intent, params)?;
    ctx.account.payments.setup_intents.insert(intent);
    confirm_now(ctx, &id, params)
}

/// Confirms an intent whose parameters are stored, and tells whoever waits for it.
fn confirm_now(ctx: &mut Ctx<'_>, id: &str, params: Params<'_>) -> Reply {
    let account = &mut *ctx.account;
    let Some(intent) = account.payments.setup_intents.get(id) else {
        return Err(StripeError::no_such("setupintent", id, "intent"));
    };
    let method = intent.payment_method.as_deref();
    let Some(method) = method.and_then(|method| account.payments.payment_methods.get(method))
    else {
        return Err(unexpected_state(
            UNEXPECTED,
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the \
             SetupIntent with a payment method and then confirm it again."
                .to_owned(),
            "setup_intent",
            intent.render(),
        ));
    };
    if method.instrument.needs_mandate() && method.mandate.is_none() && !intent.mandate_given {
        return Err(StripeError::invalid(
            "This SetupIntent requires a mandate, but no existing mandate was found. Collect \
             mandate acceptance from the customer and try again, providing acceptance data in the \
             mandate_data parameter.",
        )
        .with("setup_intent", intent.render()));
    }
    account.attempt_setup(id, Presence::OnSession, params.owned("return_url"));
    account.tell_setup_owner(id);
    let intent = account.payments.setup_intents.get(id);
    let error = intent.and_then(|intent| intent.last_setup_error.clone());
    let body = rendered(account, id);
    match error {
        Some(error) => Err(error.answer("setup_intent", body)),
        None => Ok(body.into()),
    }
}

fn cancel(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let intent = of_path(ctx, params)?;
    if !intent.status.is_open() {
        return Err(unexpected_state(
            UNEXPECTED,
            format!(
                "You cannot cancel this SetupIntent because it has a status of {}. Only a \
                 SetupIntent with one of the following statuses may be canceled: \
                 requires_payment_method, requires_confirmation, requires_action, processing.",
                intent.status.as_str()
            ),
            "setup_intent",
            intent.render(),
        ));
    }
    let reason = params.owned("cancellation_reason");
    let body = ctx.account.change_setup_intent(&intent.id, |intent| {
        intent.status = SetupStatus::Canceled;
        intent.cancellation_reason = reason;
    });
    ctx.account.emit("setup_intent.canceled", &body);
    Ok(body.into())
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (customer, method) = (params.text("customer"), params.text("payment_method"));
    let key = match (customer, method) {
        (Some(customer), _) => Some(("customer", customer)),
        (None, Some(method)) => Some(("payment_method", method)),
        (None, None) => None,
    };
    let keep = |intent: &SetupIntent| {
        method.is_none_or(|method| intent.payment_method.as_deref() == Some(method))
    };
    let store = &ctx.account.payments.setup_intents;
    let page = list::list(
        ctx,
        params,
        store,
        "setupintent",
        key,
        keep,
        SetupIntent::render,
    )?;
    Ok(page.into())
}
