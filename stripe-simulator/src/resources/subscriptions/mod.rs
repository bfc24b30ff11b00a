//! Subscriptions: <https://docs.stripe.com/api/subscriptions>.

mod items;
mod read;

use serde_json::{Value, json};

use crate::account::Account;
use crate::billing::cancel::{self, CancelNow};
use crate::billing::change::{self, How, PauseNow};
use crate::billing::create::{self, Beginning};
use crate::billing::model::{
    CancellationDetails, CollectionMethod, Item, PaymentBehavior, ProrationBehavior, Status,
    Subscription, TrialEndBehavior,
};
use crate::billing::{lifecycle, render};
use crate::currency::Currency;
use crate::engine::period::Period;
use crate::front::errors::StripeError;
use crate::front::list::{self, Range};
use crate::front::router::{Answer, Ctx, Reply, Route};
use crate::params::{Metadata, Params};
use crate::registry::Resource;
use crate::resources::customers;

pub(crate) use items::{one_time_price, read_item, read_price, tax_rates};
use read::apply_update;
pub(crate) use read::{Asked, apply_preview, new_subscription};

pub(crate) static RESOURCE: Resource = Resource {
    object: "subscription",
    prefixes: &["sub_"],
    routes: &[
        Route::post("/v1/subscriptions", "subscription", create),
        Route::get("/v1/subscriptions", "subscription", list_all),
        Route::get(
            "/v1/subscriptions/{subscription_exposed_id}",
            "subscription",
            retrieve,
        ),
        Route::post(
            "/v1/subscriptions/{subscription_exposed_id}",
            "subscription",
            update,
        ),
        Route::delete(
            "/v1/subscriptions/{subscription_exposed_id}",
            "subscription",
            delete,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/resume",
            "subscription",
            resume,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/pause",
            "subscription",
            pause,
        ),
        Route::delete(
            "/v1/subscriptions/{subscription_exposed_id}/discount",
            "subscription",
            delete_discount,
        ),
        Route::post(
            "/v1/subscriptions/{subscription}/migrate",
            "subscription",
            migrate,
        ),
    ],
    find: |account, id| account.render_subscription(id),
    all: |account| {
        let all = account.billing.subscriptions.oldest_first();
        all.map(|own| render::subscription(own, account)).collect()
    },
    includes: &[],
};

/// The subscription that the path names, its customer's clock being acted on.
pub(crate) fn of_path(ctx: &mut Ctx<'_>, arg: &str) -> Result<Subscription, StripeError> {
    let id = ctx.arg(arg).to_owned();
    let own = ctx.account.billing.subscriptions.get(&id).cloned();
    let own = own.ok_or_else(|| StripeError::no_such("subscription", &id, "id"))?;
    ctx.account.act_for(&own.customer);
    Ok(own)
}

/// The subscription that a parameter names.
pub(crate) fn named(account: &Account, id: &str, param: &str) -> Result<Subscription, StripeError> {
    let own = account.billing.subscriptions.get(id).cloned();
    own.ok_or_else(|| StripeError::no_such_in("subscription", id, param))
}

fn answer(ctx: &Ctx<'_>, id: &str) -> Answer {
    ctx.account
        .render_subscription(id)
        .unwrap_or_default()
        .into()
}

fn create(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let customer = params.required("customer")?.to_owned();
    customers::named(ctx.account, &customer, "customer")?;
    ctx.account.act_for(&customer);
    let payment = PaymentBehavior::parse(params.text("payment_behavior"));
    if payment == PaymentBehavior::PendingIfIncomplete {
        return Err(StripeError::invalid(
            "`payment_behavior=pending_if_incomplete` is only supported when updating subscriptions.",
        )
        .param("payment_behavior"));
    }
    let own = new_subscription(ctx.account, params, &customer)?;
    let extra = items::extra_items(ctx.account, &own, &params.children("add_invoice_items"))?;
    let how = Beginning {
        proration: ProrationBehavior::parse(params.text("proration_behavior")),
        payment,
        off_session: params.boolean("off_session").unwrap_or(false),
        draft_first: false,
        extra,
    };
    let id = create::create(ctx.account, own, &how)?;
    Ok(answer(ctx, &id))
}

/// Creates the subscription of an accepted quote: its first invoice stays a draft for an hour, so
/// that nothing need be on file yet (<https://docs.stripe.com/quotes/overview>).
pub(crate) fn of_quote(
    ctx: &mut Ctx<'_>,
    params: Params<'_>,
    customer: &str,
) -> Result<String, StripeError> {
    let own = new_subscription(ctx.account, params, customer)?;
    let extra = items::extra_items(ctx.account, &own, &params.children("add_invoice_items"))?;
    let how = Beginning {
        proration: ProrationBehavior::default(),
        payment: PaymentBehavior::parse(None),
        off_session: true,
        draft_first: true,
        extra,
    };
    create::create(ctx.account, own, &how)
}

fn retrieve(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription_exposed_id")?;
    Ok(answer(ctx, &own.id))
}

fn update(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let old = of_path(ctx, "subscription_exposed_id")?;
    check_updatable(&old, params)?;
    check_proration_date(&old, params)?;
    let asked = apply_update(ctx.account, &old, params)?;
    if old.schedule.is_some() && asked.bills {
        return Err(StripeError::invalid(
            "The subscription is managed by the subscription schedule, and updating any of its items or billing settings directly is not allowed. Please update the schedule instead.",
        ));
    }
    let how = how(params, &asked);
    finish_update(ctx.account, &old, asked, how)?;
    Ok(answer(ctx, &old.id))
}

/// Stores an update: through billing when it touches items, trial or anchor, plainly otherwise.
pub(crate) fn finish_update(
    account: &mut Account,
    old: &Subscription,
    asked: Asked,
    how: How,
) -> Result<(), StripeError> {
    let id = old.id.clone();
    let now = account.now();
    let trial_is_over = asked.wanted.trial_end.is_some_and(|end| end <= now);
    if old.status == Status::Trialing
        && trial_is_over
        && !lifecycle::goes_on_after_trial(account, &asked.wanted)
    {
        // `trial_end=now` without a payment method ends the trial as its settings say.
        account.update_subscription(&id, |own| *own = asked.wanted.clone());
        lifecycle::may_continue_after_trial(account, &asked.wanted);
        return Ok(());
    }
    if asked.bills {
        change::apply(account, old, asked.wanted, how)?;
    } else {
        account.update_subscription(&id, |own| *own = asked.wanted);
        lifecycle::plan(account, &id);
    }
    Ok(())
}

/// The billing side of an update's parameters.
pub(crate) fn how(params: Params<'_>, asked: &Asked) -> How {
    How {
        proration: ProrationBehavior::parse(params.text("proration_behavior")),
        proration_date: params.integer("proration_date"),
        payment: PaymentBehavior::parse(params.text("payment_behavior")),
        anchor_now: asked.anchor_now,
        off_session: params.boolean("off_session").unwrap_or(false),
        changes_items: asked.changes_items,
    }
}

/// A proration date lies in the current period.
fn check_proration_date(old: &Subscription, params: Params<'_>) -> Result<(), StripeError> {
    let period = old.period();
    match params.integer("proration_date") {
        Some(date) if date < period.start || date >= period.end => Err(StripeError::invalid(
            "Cannot specify proration date outside of current subscription period.",
        )
        .param("proration_date")),
        _ => Ok(()),
    }
}

/// What Stripe refuses to change in which status.
fn check_updatable(old: &Subscription, params: Params<'_>) -> Result<(), StripeError> {
    let given = |allowed: &[&str]| {
        params
            .map()
            .keys()
            .all(|name| allowed.contains(&name.as_str()))
    };
    match old.status {
        Status::Canceled | Status::IncompleteExpired
            if !given(&["metadata", "cancellation_details", "expand"]) =>
        {
            Err(StripeError::invalid(
                "A canceled subscription can only update its cancellation_details and metadata.",
            ))
        }
        Status::Incomplete
            if params.is_given("items")
                || params.is_given("trial_end")
                || params.is_given("billing_cycle_anchor") =>
        {
            Err(StripeError::invalid(
                "You cannot update a subscription in `incomplete` status in a way that results in a new invoice. Only its default payment method and metadata can be updated.",
            ))
        }
        _ => Ok(()),
    }
}

fn details(params: Params<'_>, reason: Option<&'static str>) -> CancellationDetails {
    let given = params.child("cancellation_details");
    CancellationDetails {
        comment: given.and_then(|own| own.owned("comment")),
        feedback: given.and_then(|own| own.owned("feedback")),
        reason,
    }
}

fn delete(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription_exposed_id")?;
    if own.status.is_ended() {
        return Err(StripeError::no_such("subscription", &own.id, "id"));
    }
    let how = CancelNow {
        invoice_now: params.boolean("invoice_now").unwrap_or(false),
        prorate: params.boolean("prorate").unwrap_or(false),
        details: details(params, Some("cancellation_requested")),
    };
    cancel::immediately(ctx.account, &own.id, &how);
    Ok(answer(ctx, &own.id))
}

fn resume(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription")?;
    if own.status != Status::Paused {
        return Err(StripeError::invalid(format!(
            "Only paused subscriptions can be resumed; this subscription has status `{}`.",
            own.status.as_str()
        )));
    }
    let anchor = params
        .child("billing_cycle_anchor")
        .and_then(|own| own.text("type"));
    let how = How {
        proration: ProrationBehavior::parse(params.text("proration_behavior")),
        proration_date: params.integer("proration_date"),
        ..How::default()
    };
    let on_attempt = params.text("payment_behavior") == Some("resume_on_payment_attempt");
    change::resume(
        ctx.account,
        &own.id,
        anchor != Some("unchanged"),
        on_attempt,
        how,
    );
    Ok(answer(ctx, &own.id))
}

fn pause(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription")?;
    if !matches!(
        own.status,
        Status::Active | Status::Trialing | Status::PastDue | Status::Unpaid
    ) {
        return Err(StripeError::invalid(format!(
            "A subscription with status `{}` cannot be paused.",
            own.status.as_str()
        )));
    }
    let unused = params
        .child("bill_for")
        .and_then(|own| own.child("unused_time_from"));
    let credit = unused
        .and_then(|own| own.text("type"))
        .is_some_and(|word| word != "none");
    let usage = params
        .child("bill_for")
        .and_then(|own| own.child("outstanding_usage_through"));
    let how = PauseNow {
        credit_unused: credit,
        bill_usage: usage.and_then(|own| own.text("type")) == Some("now"),
        invoice_now: params.text("invoicing_behavior") == Some("invoice"),
    };
    change::pause(ctx.account, &own.id, how);
    Ok(answer(ctx, &own.id))
}

/// Removes the discounts of a subscription.
fn delete_discount(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription_exposed_id")?;
    let Some(id) = own.discounts.last().cloned() else {
        return Err(StripeError::no_such("discount", &own.id, "id").code("resource_missing"));
    };
    let account = &mut *ctx.account;
    let mut body = account.render(&id).unwrap_or_default();
    account.update_subscription(&own.id, |own| own.discounts.clear());
    account.emit("customer.discount.deleted", &body);
    render::extend(&mut body, json!({ "deleted": true }));
    Ok(body.into())
}

/// Moves a subscription to the flexible billing mode; there is no way back.
fn migrate(ctx: &mut Ctx<'_>, _params: Params<'_>) -> Reply {
    let own = of_path(ctx, "subscription")?;
    if own.flexible {
        return Err(StripeError::invalid(
            "The subscription is already in the flexible billing mode.",
        ));
    }
    ctx.account
        .update_subscription(&own.id, |own| own.flexible = true);
    Ok(answer(ctx, &own.id))
}

fn list_all(ctx: &mut Ctx<'_>, params: Params<'_>) -> Reply {
    let (customer, price) = (
        params.text("customer"),
        params.text("price").or(params.text("plan")),
    );
    let status = params.text("status");
    let clock = params.text("test_clock");
    let method = params.text("collection_method");
    let (starts, ends) = (
        Range::of(params, "current_period_start"),
        Range::of(params, "current_period_end"),
    );
    let one = status.filter(|word| !matches!(*word, "all" | "ended"));
    let key = match (customer, one, clock) {
        (Some(customer), _, _) => Some(("customer", customer)),
        (None, Some(status), _) => Some(("status", status)),
        (None, None, Some(clock)) => Some(("test_clock", clock)),
        (None, None, None) => None,
    };
    let keep = |own: &Subscription| {
        let fits = match status {
            None => own.status != Status::Canceled && own.status != Status::IncompleteExpired,
            Some("all") => true,
            Some("ended") => own.status.is_ended(),
            Some(word) => own.status.as_str() == word,
        };
        fits && customer.is_none_or(|customer| own.customer == customer)
            && price.is_none_or(|price| own.items.iter().any(|item| item.price == price))
            && clock.is_none_or(|clock| own.test_clock.as_deref() == Some(clock))
            && method.is_none_or(|method| own.collection_method.as_str() == method)
            && starts.contains(own.period().start)
            && ends.contains(own.period().end)
    };
    let render = |own: &Subscription| render::subscription(own, ctx.account);
    let store = &ctx.account.billing.subscriptions;
    let page = list::list(ctx, params, store, "subscription", key, keep, render)?;
    Ok(page.into())
}

/// A subscription of a customer with nothing in it yet.
pub(crate) fn blank(
    account: &mut Account,
    customer: &str,
    settings: &Value,
) -> Option<Subscription> {
    let own = account.customers.get(customer)?;
    let test_clock = own.test_clock.clone();
    let now = account.now();
    let setting = |name: &str| settings.get(name).and_then(Value::as_str);
    Some(Subscription {
        id: account.ids.long("sub_"),
        customer: customer.to_owned(),
        created: now,
        start_date: now,
        currency: Currency::USD,
        status: Status::Active,
        items: Vec::new(),
        billing_cycle_anchor: now,
        anchor_config: None,
        cancel_at: None,
        cancel_at_period_end: false,
        canceled_at: None,
        ended_at: None,
        cancellation: CancellationDetails::default(),
        collection_method: setting("collection_method").map_or(
            CollectionMethod::ChargeAutomatically,
            CollectionMethod::parse,
        ),
        days_until_due: None,
        default_payment_method: setting("default_payment_method").map(str::to_owned),
        default_source: None,
        default_tax_rates: Vec::new(),
        description: setting("description").map(str::to_owned),
        discounts: Vec::new(),
        invoice_settings: json!({
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
            "issuer": { "account": null, "type": "self" },
        }),
        latest_invoice: None,
        metadata: Metadata::new(),
        pause_collection: None,
        payment_settings: json!({
            "payment_method_options": null, "payment_method_types": null,
            "save_default_payment_method": "off",
        }),
        pending_setup_intent: None,
        pending_update: None,
        pending_item_interval: None,
        schedule: None,
        trial_start: None,
        trial_end: None,
        trial_end_behavior: TrialEndBehavior::CreateInvoice,
        automatic_tax: false,
        application_fee_percent: None,
        // The mode of new subscriptions since 2025-09-30.clover.
        flexible: true,
        paused: None,
        resume_invoice: None,
        test_clock,
        livemode: account.livemode,
    })
}

/// An item with nothing in it yet.
pub(crate) fn blank_item(id: String, now: i64) -> Item {
    Item {
        id,
        created: now,
        price: String::new(),
        quantity: Some(1),
        metadata: Metadata::new(),
        discounts: Vec::new(),
        tax_rates: Vec::new(),
        period: Period {
            start: now,
            end: now,
        },
        billing_thresholds: None,
    }
}
